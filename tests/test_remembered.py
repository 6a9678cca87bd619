"""What is asked on behalf of all: once, seldom, never waited for in vain, and shown with its age when it is old."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from cloud.pages.remembered import LONG_S, Remembered, Source, aside
from cloud.store import Retry
from tests.rules.garden import HandClock


class Question:
    """Counts how often it is asked; answers at once, fails, or hangs until it is let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails = False
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, key: str) -> int:
        self.asked.append(key)
        number = len(self.asked)
        await self.go.wait()
        if self.fails:
            raise Retry("the store does not answer")
        return number


def remembered(question: Any, clock: HandClock, **of: Any) -> Remembered[str, int]:
    return Remembered(question, clock, 10.0, **({"patience_s": 0.01, "rest_s": 30.0} | of))


async def settled(memory: Remembered[str, int]) -> None:
    """Let what is asked behind the visitors' backs come to its end."""
    while memory._flights:
        await asyncio.wait(memory._flights.values())


def test_one_question_serves_all_who_ask_meanwhile() -> None:
    async def run() -> None:
        question, clock = Question(), HandClock()
        question.go.clear()
        memory = remembered(question, clock, patience_s=None)
        all_of_them = [asyncio.create_task(memory.get("a")) for _ in range(100)]
        await asyncio.sleep(0)
        question.go.set()
        assert {(await one).value for one in all_of_them} == {1}
        clock.advance(9.9)
        known = await memory.get("a")
        assert (known.value, known.stale) == (1, False)
        assert known.age_s == pytest.approx(9.9)
        assert question.asked == ["a"]

    asyncio.run(run())


def test_an_answer_not_yet_twice_as_old_is_given_while_a_new_one_is_asked_for() -> None:
    async def run() -> None:
        question, clock = Question(), HandClock()
        memory = remembered(question, clock)
        await memory.get("a")
        clock.advance(15.0)
        question.go.clear()
        known = await memory.get("a")
        assert (known.value, known.stale) == (1, False)
        question.go.set()
        await settled(memory)
        assert (await memory.get("a")).value == 2
        clock.advance(20.0)
        assert (await memory.get("a")).value == 3, "an older one is waited for"

    asyncio.run(run())


def test_nobody_waits_twice_for_what_hangs() -> None:
    async def run() -> None:
        question, clock = Question(), HandClock()
        memory = remembered(question, clock)
        await memory.get("a")
        clock.advance(60.0)
        question.go.clear()
        known = await memory.get("a")
        assert (known.value, known.age_s, known.stale) == (1, 60.0, True)
        with pytest.raises(Retry, match=r"no answer within 0\.01 s"):
            await memory.get("never seen")
        waits: list[object] = []
        memory._came = lambda flight, _patience_s: waits.append(flight) or Remembered._came(memory, None, 0.0)  # type: ignore[method-assign]
        for _ in range(100):
            assert (await memory.get("a")).stale
        assert question.asked == ["a", "a"], "one question is under way; all others wait for their turn"
        question.go.set()
        await settled(memory)
        assert not (await memory.get("a")).stale

    asyncio.run(run())


def test_who_waits_in_vain_for_a_source_waits_for_all_that_is_asked_of_it() -> None:
    """A page that asks a store that hangs for five things waits once; who has more patience tries it once himself."""

    async def run() -> None:
        day, year, clock, source = Question(), Question(), HandClock(), Source()
        day.go.clear()
        year.go.clear()
        days, years = (remembered(question, clock, source=source) for question in (day, year))
        with pytest.raises(Retry, match=r"no answer within 0\.01 s"):
            await days.get("a")
        with pytest.raises(Retry, match="it answers nobody"):
            await years.get("a")
        await asyncio.sleep(0)
        assert year.asked == ["a"], "it is asked all the same"
        with pytest.raises(Retry, match=r"no answer within 0\.02 s"):
            await years.get("a", 0.02)
        assert source.vain_s == 0.02
        year.go.set()
        await settled(years)
        assert source.vain_s == 0.0, "it answers again"
        day.go.set()
        await settled(days)
        assert (await days.get("a")).value == 1

    asyncio.run(run())


def test_a_fault_is_not_asked_again_at_once_and_then_by_one() -> None:
    async def run() -> None:
        question, clock = Question(), HandClock()
        question.fails = True
        memory = remembered(question, clock, patience_s=None)
        for _ in range(50):
            with pytest.raises(Retry, match="the store does not answer"):
                await memory.get("a")
        assert question.asked == ["a"]
        clock.advance(31.0)
        question.fails = False
        with pytest.raises(Retry):
            await memory.get("a")  # who asks now waits for nothing, and brings the question on its way
        await settled(memory)
        assert (await memory.get("a")).value == 2

    asyncio.run(run())


def test_those_who_wait_their_turn_do_not_ask_what_failed_meanwhile() -> None:
    async def run() -> None:
        question, clock = Question(), HandClock()
        question.go.clear()
        memory = remembered(question, clock, patience_s=None)
        many = [asyncio.create_task(memory.get(key)) for key in "abcdef"]
        await asyncio.sleep(0)
        question.fails = True
        question.go.set()
        assert all(isinstance(one, Retry) for one in await asyncio.gather(*many, return_exceptions=True))
        assert question.asked == ["a"]

    asyncio.run(run())


def test_a_fault_of_ours_is_logged_and_no_visitors_matter(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_key: str) -> int:
        raise KeyError("inner part")

    async def run() -> None:
        memory = remembered(broken, HandClock())
        with pytest.raises(Retry):
            await memory.get("a")

    asyncio.run(run())
    assert "question stumbled" in caplog.text


def test_only_what_is_worth_it_is_kept_and_not_more_than_so_many() -> None:
    async def run() -> None:
        question, clock = Question(), HandClock()
        memory = remembered(question, clock, worth=lambda number: number % 2 == 0, most=3)
        assert [(await memory.get("a")).value for _ in range(4)] == [1, 2, 2, 2]
        for key in range(20):
            await memory.get(f"k{key}")
        assert len(memory._kept) <= 3

    asyncio.run(run())


def test_answers_with_a_size_are_kept_up_to_so_much_of_it() -> None:
    async def run() -> None:
        clock = HandClock()
        memory: Remembered[str, int] = Remembered(sized, clock, 10.0, patience_s=None, most=100, size=lambda n: n)
        for key, kept in (("40", {"40"}), ("50", {"40", "50"}), ("30", {"30"}), ("300", {"300"}), ("7", {"7"})):
            await memory.get(key)
            assert set(memory._kept) == kept
        for _ in range(30):  # the same again, as it ages, is no more than before
            clock.advance(25)
            await memory.get("7")
        await memory.get("93")
        assert set(memory._kept) == {"7", "93"}
        assert memory._held == 100

    async def sized(key: str) -> int:
        return int(key)

    asyncio.run(run())


def test_what_blocks_is_asked_in_a_thread_that_no_stop_waits_for() -> None:
    hang, threads = threading.Event(), []

    def ask(key: str) -> str:
        threads.append(threading.current_thread())
        if key == "hang":
            hang.wait(30)
        return key.upper()

    async def run() -> None:
        asked = aside("ask-test", ask)
        assert await asked("a") == "A"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asked("hang"), 0.01)

    asyncio.run(run())
    assert [(thread.name, thread.daemon) for thread in threads] == [("ask-test", True)] * 2
    hang.set()
    for thread in threads:
        thread.join(10)


def test_a_source_is_said_to_be_silent_only_after_a_while_or_a_fault() -> None:
    async def run() -> None:
        question, clock, source = Question(), HandClock(), Source()
        memory = remembered(question, clock, source=source)
        assert source.coming(clock.monotonic())
        question.go.clear()
        with pytest.raises(Retry):
            await memory.get("a")
        clock.advance(LONG_S - 0.1)
        assert source.coming(clock.monotonic()), "a first look takes its time"
        clock.advance(0.2)
        assert not source.coming(clock.monotonic())
        question.go.set()
        await settled(memory)
        assert source.coming(clock.monotonic()), "it answered"
        question.fails = True
        with pytest.raises(Retry):
            await memory.get("b")
        assert not source.coming(clock.monotonic()), "it says that it cannot"

    asyncio.run(run())
