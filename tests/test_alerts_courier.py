"""A courier alone: what it leaves behind ends by itself, and what can wait gives way to what is about life."""

from __future__ import annotations

import threading
import time

from msgspec.structs import replace

from cloud.alerts.channels import Message, Named
from cloud.alerts.tell import deliver
from cloud.alerts.tell.deliver import Courier, Job, Outcome
from cloud.alerts.tell.outbox import Row
from cloud.clock import SystemClock
from tests.rules.garden import until

ROW = Row(1, "ab.1", 1, "lu", "vi", "slow", "lu", 0, 0.0, 600.0, "", None, "")


class Slow:
    """A channel that comes back when it is let, whatever its deadline says: as a name server that hangs."""

    deadline_s = 0.01

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.began = threading.Semaphore(0)

    def send(self, message: Message) -> None:
        self.began.release()
        self.go_on.wait(20.0)

    def check(self) -> None:
        pass


def carrying(courier: Courier, slow: Slow, row: Row) -> Job:
    job = Job(row, Message(row.name, 0, row.address, "", ""))
    slow.go_on.clear()
    courier.give(job)
    assert slow.began.acquire(timeout=20.0)
    return job


def threads() -> int:
    return sum(one.name == "channel-slow" for one in threading.enumerate())


def test_threads_that_were_left_behind_end_when_they_come_back() -> None:
    """Every quarter of an hour one look at a channel whose name server hangs: for years."""
    slow, outcomes = Slow(), list[Outcome]()
    courier = Courier(Named("slow", "slow", slow), SystemClock(), outcomes.append)
    grace_s, deliver.GRACE_S = deliver.GRACE_S, 0.01
    try:
        for number in range(20):
            outcomes.clear()
            carrying(courier, slow, replace(ROW, id=number))
            late = None
            end_s = time.monotonic() + 20.0
            while late is None and time.monotonic() < end_s:
                late = courier.overdue()
            assert late is not None
            assert courier.take_back(late)
            slow.go_on.set()
            until(lambda: outcomes)
            courier.take_back(outcomes[0])
        until(lambda: threads() == 0)
    finally:
        deliver.GRACE_S = grace_s
        courier.close(1.0)


def test_what_is_written_back_gives_way_to_life_and_other_letters_do_not() -> None:
    slow, outcomes = Slow(), list[Outcome]()
    courier = Courier(Named("slow", "slow", slow), SystemClock(), outcomes.append)
    try:
        carrying(courier, slow, replace(ROW, level=0))
        assert courier.give_way() is None
        slow.go_on.set()
        until(lambda: outcomes)
        courier.take_back(outcomes.pop())
        carrying(courier, slow, replace(ROW, says="{}"))
        aside = courier.give_way()
        assert aside is not None
        courier.take_back(aside)
        assert courier.takes(0)
        assert courier.why == "", "that says nothing of the channel"
        slow.go_on.set()
        until(lambda: outcomes)
        assert courier.take_back(outcomes.pop()), "it arrived after all, and is noted"
    finally:
        courier.close(1.0)
