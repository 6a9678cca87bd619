"""Asks on one line, in simulated time: budgets, the stop, echo, retries of one ask, and answers that come late."""

from __future__ import annotations

import random
import re
from contextlib import suppress
from functools import partial

import pytest

from at.talk import AT_REST, RESULT
from edge.driver import Ask, BadReply, Value
from edge.framing import rtu
from edge.sense.exchange import DEAF_ASKS, Exchange, Stopped
from edge.sense.owed import REMEMBERED_MS
from edge.sense.terms import Terms
from tests.edge.clock import HandClock
from tests.edge.line import TimedLine
from wire.reading import Reason

LONGEST = Ask().longest
TERMS = Terms(device="probe", timeout_s=0.5, retries=2, budget_s=10.0, settle_ms=200)


def answer(n: int, *, address: int = 1, count: int = 1) -> bytes:
    body = bytes((address, 3, 2 * count)) + count * n.to_bytes(2, "big")
    return body + rtu.crc16(body)


def asking(*ats: int, count: int = 1):
    """A driver that reads registers one by one; its values are what each ask brought."""
    for at in ats or (0,):
        request = rtu.request(1, 3, at, count)
        reply = yield Ask(request, size=rtu.answer_size(request), find=partial(rtu.find, request))
        yield_value.append(int.from_bytes(reply[:2]))
    return [Value(f"r{i}", "1", one) for i, one in enumerate(yield_value)]


def asking_blocks(*counts: int):
    """A driver that reads blocks of so many registers, each of which holds how many there are."""
    for count in counts:
        yield from asking(0, count=count)
    return []


def iter_of(ask):
    yield ask
    return []


yield_value: list[int] = []


@pytest.fixture(autouse=True)
def _empty():
    yield_value.clear()


@pytest.fixture
def clock():
    return HandClock(mono_ms=1_000)


def exchange(clock, line, **keys):
    one = Exchange(clock, **keys)
    one.attach(line)
    return one


def values(heard):
    return [value.value for value in heard.values]


def counting(delay=lambda n: 10, damage=lambda n, frame: frame):
    """A slave whose every answer holds the number of the request."""
    asked = []

    def respond(_frame):
        asked.append(1)
        n = len(asked)
        return [(delay(n), damage(n, answer(n)))]

    return asked, respond


@pytest.mark.parametrize("late_ms", [510, 700, 750, 900, 1_500, 1_900])
def test_a_late_answer_is_heard_out_and_never_taken_for_the_next_one(clock, late_ms):
    """Proven on the field's registers before: 4° were stored for 270°, 0.3 % for 65.5 %."""
    asked, respond = counting(lambda n: late_ms if n % 2 else 20)
    one = exchange(clock, TimedLine(clock, respond))
    for _ in range(6):
        got = values(one.run(asking(0, 1, 2), TERMS))
        yield_value.clear()
        assert got[-1] == len(asked), "the answer to an earlier question"
        assert got == sorted(set(got))
    assert one.known.late_ms("probe") / 1000 == pytest.approx(late_ms / 1000, abs=0.3)


def test_what_a_device_was_once_late_by_is_waited_for_from_then_on(clock):
    """A slave that takes ever longer stays behind what it is known for: none of its answers is mistaken."""
    lateness = iter([1_900, 2_700, 3_900, 20, 20])
    _, respond = counting(lambda _: next(lateness))
    line = TimedLine(clock, respond)
    one = exchange(clock, line)
    for _ in range(3):
        with pytest.raises(BadReply, match="did not answer"):
            one.run(asking(0), Terms(device="probe"))
    assert values(one.run(asking(0), Terms(device="probe"))) == [4]


@pytest.mark.parametrize("every", [1, 2, 3, 4])
@pytest.mark.parametrize("late_ms", [2_100, 2_600, 3_300, 4_400])
def test_an_answer_later_than_was_waited_for_does_not_shift_all_that_follow(clock, late_ms, every):
    """Given up, asked again, and then the first answer comes: the second one is still on its way."""
    _, respond = counting(lambda n: late_ms if n % every == 0 else 20)
    one = exchange(clock, TimedLine(clock, lambda frame: [(respond(frame)[0][0], answer(frame[3]))]))
    heard = wrong = 0
    for _ in range(10):
        yield_value.clear()
        with suppress(BadReply):
            one.run(asking(10, 20, 30), TERMS)
        got = list(zip(yield_value, (10, 20, 30), strict=False))
        heard, wrong = heard + len(got), wrong + sum(one != asked for one, asked in got)
        clock.now += 10_000
    assert not wrong
    assert heard or every == 1


@pytest.mark.parametrize("seed", range(4))
def test_however_late_an_answer_is_its_length_says_which_block_it_belongs_to(clock, seed):
    """Later than anybody waits, and to a poll that was given up: so profiles have no two blocks of one length."""
    rng = random.Random(seed)
    _, respond = counting(lambda _: rng.choice((20, 20, rng.randrange(2_100, 40_000))))
    line = TimedLine(clock, lambda frame: [(respond(frame)[0][0], answer(frame[5], count=frame[5]))])
    one = exchange(clock, line)
    heard = 0
    for _ in range(300):
        yield_value.clear()
        with suppress(BadReply):
            one.run(asking_blocks(4, 3, 2), TERMS)
        assert yield_value == [4, 3, 2][: len(yield_value)]
        heard += len(yield_value)
        clock.now += rng.randrange(10_000)
    assert heard > 200


NOISE = bytes((0xFE, 0xF0, 0xF8, 0xFE, 0xFF, 0xF0, 0xE0, 0xFE, 0xF0, 0xF1, 0xF2))


@pytest.mark.parametrize("noise", [NOISE[:2], NOISE])
@pytest.mark.parametrize("every", [1, 2, 3, 7])
@pytest.mark.parametrize("late_ms", [510, 900, 1_000, 1_500, 1_900])
def test_noise_before_a_late_answer_does_not_make_it_the_next_ones(clock, noise, every, late_ms):
    """As many bytes as an answer has are not yet the answer: it was taken for that of the next block of registers."""
    asked = []

    def respond(frame):
        asked.append(frame[3])
        late = [(20, noise), (late_ms, answer(frame[3]))]
        return late if len(asked) % every == 0 else [(20, answer(frame[3]))]

    one = exchange(clock, TimedLine(clock, respond))
    heard = wrong = 0
    for _ in range(12):
        yield_value.clear()
        with suppress(BadReply):
            one.run(asking(10, 20, 30), TERMS)
        got = list(zip(yield_value, (10, 20, 30), strict=False))
        heard, wrong = heard + len(got), wrong + sum(told != at for told, at in got)
        clock.now += 10_000
    assert not wrong
    assert heard or every == 1


@pytest.mark.parametrize("seed", range(8))
def test_answers_that_come_whenever_they_like_are_never_mixed_up(clock, seed):
    """Up to twelve time-outs late: one that came less late once made the exchange forget how late they can be."""
    rng = random.Random(seed)
    one = exchange(clock, TimedLine(clock, lambda frame: [(rng.randint(0, 6_000), answer(frame[3]))]))
    polls, known = 0, False
    while polls < 100:
        known |= one.known.late_ms("probe") / 1000 >= 4.0  # and half as long again is all the six seconds
        yield_value.clear()
        with suppress(BadReply):
            one.run(asking(10, 20, 30), TERMS)
        assert yield_value == [10, 20, 30][: len(yield_value)] or not known
        clock.now += 5_000
        polls += known


def test_what_was_late_once_does_not_cost_the_retries_of_another_day(clock):
    lateness = iter([8_000, *[20] * 10])
    _, respond = counting(lambda _: next(lateness))
    line = TimedLine(clock, respond)
    one = exchange(clock, line)
    with pytest.raises(BadReply):
        one.run(asking(0), Terms(device="probe", timeout_s=2.0))
    one.run(asking(0), TERMS)
    assert one.known.late_ms("probe") / 1000 == 8.0
    clock.now += REMEMBERED_MS
    lost = iter([[], [(20, answer(7))]])
    one.attach(TimedLine(clock, lambda _: next(lost)))
    assert values(one.run(asking(0), TERMS))[-1] == 7, "asked again within its budget"
    assert one.known.late_ms("probe") / 1000 == 0


def test_after_a_late_answer_the_next_ask_does_not_wait_any_longer(clock):
    _, respond = counting(lambda n: 600 if n == 1 else 10)
    line = TimedLine(clock, respond)
    exchange(clock, line).run(asking(0), TERMS)
    assert [at for at, _ in line.sent] == [1_000, 1_000 + 600 + TERMS.settle_ms]


def test_what_one_device_owes_is_heard_out_before_another_is_asked(clock):
    def respond(frame):
        return [(1_000, answer(111, address=1))] if frame[0] == 1 else [(10, answer(222, address=2))]

    def other():
        request = rtu.request(2, 3, 0, 1)
        yield_value.append(int.from_bytes((yield Ask(request, find=partial(rtu.find, request)))))
        return []

    line = TimedLine(clock, respond)
    one = exchange(clock, line)
    with pytest.raises(BadReply):
        one.run(asking(0), Terms(device="slow"))
    one.run(other(), Terms(device="well"))
    assert yield_value == [222]
    assert line.sent[1][0] >= line.sent[0][0] + 1_000


def test_only_the_ask_that_failed_is_asked_again(clock):
    frames = []

    def respond(frame):
        frames.append(frame)
        n = len(frames)
        return [(10, answer(n) if n != 2 else answer(n)[:-1] + b"\0")]

    got = values(exchange(clock, TimedLine(clock, respond)).run(asking(0, 1, 2), TERMS))
    assert [int.from_bytes(frame[2:4]) for frame in frames] == [0, 1, 1, 2]
    assert got == [1, 3, 4]


def test_a_refusal_is_an_answer_and_not_asked_again(clock):
    refusal = bytes((1, 0x83, 2))
    line = TimedLine(clock, lambda _: [(10, refusal + rtu.crc16(refusal))])
    with pytest.raises(BadReply, match="illegal data address"):
        exchange(clock, line).run(asking(0), TERMS)
    assert len(line.sent) == 1


def test_a_dead_device_costs_its_tries_and_what_it_owes_and_no_more_than_its_budget(clock):
    line = TimedLine(clock)
    one = exchange(clock, line)
    with pytest.raises(BadReply, match="did not answer"):
        one.run(asking(0), TERMS)
    assert len(line.sent) == 3
    with pytest.raises(BadReply):
        one.run(asking(0), Terms(device="probe", retries=5, budget_s=3.0))
    assert clock.now - line.sent[3][0] <= 3_000 + 500


@pytest.mark.parametrize("noise", [b"\x00", b"\xfe\x80\x06" * 40, b"$GPGSV,1,1,00*79\r\n"])
def test_a_talker_that_never_says_what_is_wanted_ends_with_the_budget(clock, noise):
    """Before, one such device starved the watchdog and outlasted an ordered stop by 45 s."""

    def listening():
        while True:
            yield Ask(until=b"\n", check=lambda line: None)

    line = TimedLine(clock, talk=[(n * 20, noise) for n in range(5_000)])
    began = clock.now
    with pytest.raises(BadReply):
        exchange(clock, line, byte_s=10 / 4800).run(listening(), Terms(device="gnss", timeout_s=3.0, budget_s=9.0))
    assert clock.now - began <= 9_100


def test_a_talker_that_leaves_no_time_to_ask_again_is_not_called_silent(clock):
    """The second question went out when the time was over: "look at its power", where a foreign device talks on."""

    def refused(reply):
        raise BadReply("garbled", f"{reply!r} is no answer")

    line = TimedLine(clock, talk=[(n * 20, b"$GPGSV,1,1,00*79\r\n") for n in range(5_000)])
    with pytest.raises(BadReply, match="is no answer"):
        exchange(clock, line).run(
            iter_of(Ask(b"R\r", until=b"\n", check=refused)), Terms(device="probe", retries=2, budget_s=3.0)
        )


def test_a_check_that_stumbles_over_a_late_answer_harms_nobody(clock):
    """It ended the thread of the bus, after the poll had its outcome: its neighbours lost seconds each time."""
    line = TimedLine(clock, lambda _: [(700, b"\n")])
    one = exchange(clock, line)
    with pytest.raises(BadReply, match="no answer"):
        one.run(iter_of(Ask(b"R\r", until=b"\n", check=lambda reply: reply[3])), Terms(device="probe"))
    one.hear_out()
    line.due.clear()
    line._respond = lambda _: [(10, answer(7))]
    assert values(one.run(asking(0), TERMS)) == [7]


def test_a_driver_that_asks_on_after_its_time_is_a_defect_and_named(clock):
    def deaf():
        while True:
            try:
                yield Ask(until=b"\n")
            except BadReply:
                yield_value.append(1)

    with pytest.raises(RuntimeError, match="driver of gnss asks on"):
        exchange(clock, TimedLine(clock)).run(deaf(), Terms(device="gnss", timeout_s=1.0, budget_s=3.0))
    assert len(yield_value) <= DEAF_ASKS + 4


def test_wrong_speed_foreign_protocol_and_silence_are_told_apart(clock):
    def words(talk):
        def listening():
            yield Ask(until=b"\n")
            return []

        with pytest.raises(BadReply) as error:
            exchange(clock, TimedLine(clock, talk=talk)).run(listening(), Terms(timeout_s=2.0))
        return f"{error.value.kind}: {error.value}"

    assert words([]) == "silence: nothing came"
    assert words([(10, b"$GPGGA,12")]) == "short: the line fell silent within '$GPGGA,12'"
    assert words([(10, b"\xf8\x80\x00")]).startswith("short: 3 bytes came, none ends an answer: is the speed right?")
    assert re.match(
        r"garbled: \d+ bytes came, none ends an answer: is the speed right\?", words([(5, b"\xfe" * 9_999)])
    )

    line = TimedLine(clock, lambda _: [(10, b"\xf8\x00\xf8\xe0\xfe")])
    with pytest.raises(BadReply, match=r"5 bytes came, none begins an answer of slave 1: is the speed right\?"):
        exchange(clock, line).run(asking(0), Terms())


@pytest.mark.parametrize("said", [1, 0, -5, 10**30])
def test_a_find_that_neither_answers_nor_refuses_is_a_defect_and_named(clock, said):
    """It turned in a circle for ever, on a whole core, once the poll's time was over."""
    line = TimedLine(clock, lambda _: [(10, b"x")])
    one = exchange(clock, line)
    with pytest.raises(RuntimeError, match="must answer or refuse"):
        one.run(iter_of(Ask(b"?", find=lambda came, quiet: said)), TERMS)


def test_more_bytes_than_any_answer_has_end_the_ask(clock):
    line = TimedLine(clock, lambda _: [(10, b"x" * 3 * LONGEST)])

    def asks():
        yield Ask(b"?", until=b"\n")
        return []

    with pytest.raises(BadReply, match="none ends an answer") as error:
        exchange(clock, line).run(asks(), Terms(retries=0))
    assert len(error.value.came) <= LONGEST + 2_000


@pytest.mark.parametrize(
    ("pieces", "due", "after_ms"),
    [
        ([(20, b"+CESQ: 8\r\nOK\r\n")], b"+CESQ: 8\r\nOK\r\n", 220),  # nRF91: no empty line before OK
        ([(20, b"8\r\nOK\r\n"), (170, b"0\r\n\r\nOK\r\n")], b"8\r\nOK\r\n0\r\n\r\nOK\r\n", 170),
        ([(20, b"8\r\n\r\nOK\r\n"), (21, b"RING\r\n")], b"8\r\n\r\nOK\r\n", 20),
    ],
)
def test_an_ending_that_counts_at_rest_costs_a_moment_and_not_the_patience(clock, pieces, due, after_ms):
    def asks():
        yield_value.append((yield Ask(b"AT\r", until=RESULT, at_rest=AT_REST)))
        return []

    began_ms = clock.now
    exchange(clock, TimedLine(clock, lambda _: pieces)).run(asks(), Terms(timeout_s=3.0))
    assert yield_value == [due]
    assert clock.now - began_ms == after_ms


@pytest.mark.parametrize("until", [b"\r\n", re.compile(rb"[\r\n](OK|ERROR)\r\n")])
def test_echo_belongs_to_the_line_whatever_is_spoken(clock, until):
    """A half-duplex adapter repeats every frame; text protocols see the answer alone too."""

    def asks():
        yield_value.append((yield Ask(b"T?\r\n", until=until)))
        yield_value.append((yield Ask(b"?", size=4)))
        return []

    def respond(frame):
        echo = [(1, frame[:1]), (2, frame[1:])] if frame[1:] else [(1, frame)]
        return [*echo, (20, b"\r\nOK\r\n" if frame[1:] else b"abcd")]

    one = exchange(clock, TimedLine(clock, respond))
    one.run(asks(), TERMS)
    assert yield_value == [b"\r\n" if until == b"\r\n" else b"\r\nOK\r\n", b"abcd"]
    assert one.echo.heard is True


@pytest.mark.parametrize("echo", [b"\xa0", None], ids=["behind a glitch", "damaged"])
def test_a_disturbed_echo_neither_passes_for_an_answer_nor_hides_that_the_line_echoes(clock, echo):
    """A dead siren was taken for one that wails: its coil is confirmed by the very words that were sent."""
    coil = rtu.write_coil(1, 0, on=True)

    def respond(frame):
        first = frame[1:] if echo is None else echo + frame  # its first bits are lost while the direction is switched
        return [(1, first if len(line.sent) == 1 else frame)] + ([(20, answer(7))] if frame[1] == 3 else [])

    line = TimedLine(clock, respond)
    one = exchange(clock, line)
    if echo is None:
        one.run(asking(0), TERMS)
    refused = order(one, coil, Terms())
    one.serve()
    assert isinstance(refused.exception(0), BadReply)


def test_an_answer_that_comes_late_does_not_hide_that_the_line_echoes(clock):
    """Heard out, it comes without the echo before it; from then on a coil's echo was its confirmation."""
    coil = rtu.write_coil(1, 0, on=True)
    line = TimedLine(clock, lambda frame: [(1, frame)] + [(900, answer(7))] * (frame[1] == 3))
    one = exchange(clock, line)
    with pytest.raises(BadReply):
        one.run(asking(0), Terms())
    refused = order(one, coil, Terms())
    one.serve()
    assert isinstance(refused.exception(0), BadReply)


def test_noise_of_an_answers_length_is_not_yet_a_damaged_answer(clock):
    """Its check refused it, and the line was believed quiet: the true answer became that to the next question."""

    def checked(reply):
        if reply[:1] != b">":
            raise BadReply("checksum", f"{reply!r}")

    def asks(frame):
        yield_value.append((yield Ask(frame, size=4, check=checked)))
        return []

    def respond(frame):
        return [(20, b"\xfe" * 4), (650, b">%b\r" % frame)] if len(line.sent) == 1 else [(300, b">%b\r" % frame)]

    line = TimedLine(clock, respond)
    one = exchange(clock, line)
    with pytest.raises(BadReply):
        one.run(asks(b"#A"), Terms())
    one.run(asks(b"#B"), Terms())
    assert yield_value == [b">#B\r"]


def order(one, frame, terms=TERMS):
    return one.orders.give(Ask(frame, find=partial(rtu.find, frame)), terms)


@pytest.mark.parametrize("echoes", [True, False])
def test_an_order_goes_before_the_next_ask_and_its_echo_is_no_answer(clock, echoes):
    """A coil is confirmed by its own words, so an adapter's echo must not pass for the confirmation."""
    coil = rtu.write_coil(1, 0, on=True)
    broken = []

    def respond(frame):
        echo = [(1, frame)] if echoes else []
        if frame[1] == 5:
            return echo if broken else [*echo, (20, frame)]
        return [*echo, (20, answer(7))]

    line = TimedLine(clock, respond)
    one = exchange(clock, line)
    one.run(asking(0), TERMS)
    done = order(one, coil)
    one.run(asking(0, 1), TERMS)
    assert [frame[1] for _, frame in line.sent] == [3, 5, 3, 3]
    assert done.result(0)
    broken.append(1)
    failed = order(one, coil)
    one.serve()
    assert isinstance(failed.exception(0), BadReply)
    assert failed.exception(0).reason in {Reason.SILENCE, Reason.SHORT}


def test_an_order_on_a_line_that_has_not_shown_whether_it_echoes_is_not_believed(clock):
    coil = rtu.write_coil(1, 0, on=True)
    line = TimedLine(clock, lambda frame: [(1, frame)])
    unknown, told = exchange(clock, line), exchange(clock, line, echo=False)
    refused, believed = order(unknown, coil, Terms()), order(told, coil, Terms())
    unknown.serve()
    told.serve()
    assert isinstance(refused.exception(0), BadReply)
    assert believed.result(0)


def test_another_adapter_may_echo_where_the_last_one_did_not(clock):
    """Else the echo of a coil would pass for the siren's own word: the siren may be dead."""
    coil = rtu.write_coil(1, 0, on=True)
    one = exchange(clock, TimedLine(clock, lambda _: [(10, answer(7))]))
    one.run(asking(0), TERMS)
    one.attach(TimedLine(clock, lambda frame: [(1, frame)]))
    failed = order(one, coil, Terms())
    one.serve()
    assert isinstance(failed.exception(0), BadReply)


def test_an_adapter_that_echoes_now_and_then_is_one_that_echoes(clock):
    """What it did at first proved it for ever: the next echo of a coil was a dead siren's word."""
    coil = rtu.write_coil(1, 0, on=True)
    echoes = []

    def respond(frame):
        said = [(1, frame)] if echoes else []
        return said if frame[1] == 5 else [*said, (20, answer(7))]

    one = exchange(clock, TimedLine(clock, respond))
    one.run(asking(0), TERMS)
    assert one.echo.heard is False
    echoes.append(1)
    assert values(one.run(asking(0), TERMS)) == [7, 7]
    failed = order(one, coil)
    one.serve()
    assert isinstance(failed.exception(0), BadReply)


def test_the_time_of_an_order_is_not_taken_from_who_is_asked_after_it(clock):
    """A probe that nobody had asked was called silent, because a dead siren beside it had had its time."""
    line = TimedLine(clock, lambda frame: [(10, answer(7))] if frame != b"on" else [])
    one = exchange(clock, line)
    terms = Terms(timeout_s=0.3, retries=2, budget_s=1.8)
    one.known._slowest["siren"] = 3_000, clock.now
    one.orders.give(Ask(b"on", size=2), Terms(device="siren", timeout_s=0.3, budget_s=1.8))
    assert values(one.run(asking(0), terms)) == [7]
    for _ in range(9):
        one.orders.give(Ask(b"on", size=2), terms)
    began = clock.now
    with suppress(BadReply):
        one.run(asking(*range(9)), terms)
    assert clock.now - began <= 3 * 1_800 + 20_000, "and a turn ends when the bus has promised it"


def test_an_order_that_stumbles_costs_only_itself(clock):
    line = TimedLine(clock, lambda _: [(10, answer(7))])
    one = exchange(clock, line)
    lame = one.orders.give(Ask(b"on", size=2, check=lambda _: 1 // 0), TERMS)
    assert values(one.run(asking(0), TERMS)) == [7]
    assert isinstance(lame.exception(0), ZeroDivisionError)


def test_orders_take_turns_with_asks_so_that_a_turn_ends(clock):
    """Twenty orders to a dead siren would hold the bus for minutes, and look like a thread that hangs."""
    line = TimedLine(clock, lambda frame: [(10, answer(7))] if frame != b"on" else [])
    one = exchange(clock, line)
    given = [one.orders.give(Ask(b"on", size=2), Terms(timeout_s=0.1, budget_s=1.0)) for _ in range(20)]
    assert values(one.run(asking(0, 1), TERMS)) == [7, 7]
    assert [done.done() for done in given] == [True] * 2 + [False] * 18
    one.orders.refuse(Stopped())
    assert all(done.done() for done in given)


def test_an_order_interrupts_a_poll_between_two_asks(clock):
    coil = rtu.write_coil(1, 0, on=True)
    line = TimedLine(clock, lambda frame: [(10, frame if frame[1] == 5 else answer(7))])
    one = exchange(clock, line, echo=False)
    line.on_read = lambda: None if one.__dict__.get("given") else one.__dict__.update(given=order(one, coil))
    one.run(asking(0, 1, 2), TERMS)
    assert [frame[1] for _, frame in line.sent] == [3, 5, 3, 3]


@pytest.mark.parametrize("retries", [0, 2])
def test_an_order_waits_for_nothing_that_a_dead_device_owes_and_that_is_heard_out_all_the_same(clock, retries):
    """In a fire the probes beside a siren die: it waited 4 s for what they might still say."""
    coil = rtu.write_coil(8, 0, on=True)
    line = TimedLine(clock, lambda frame: [(10, frame)] if frame[0] == 8 else [])
    one = exchange(clock, line, echo=False)
    given: list[int] = []

    def listening() -> None:
        if not given and clock.now > 1_600:  # the time-out of the first try is over: what it owes is listened for
            given.append(clock.now)
            order(one, coil)

    line.on_read = listening
    with suppress(BadReply):
        one.run(asking(0), Terms(device="probe", timeout_s=0.5, retries=retries, budget_s=10.0))
    one.hear_out()
    sent = next(at for at, frame in line.sent if frame == coil)
    assert sent - given[0] <= 200
    tries = [at for at, frame in line.sent if frame[0] == 1]
    assert len(tries) == retries + 1
    for before, after in zip(tries, [*tries[1:], clock.now], strict=True):
        assert after - before >= 2_000, "as long as it may be late, nobody else is asked for a value"


def test_a_stop_breaks_off_at_the_next_silence_and_a_finish_lets_the_last_answer_come(clock):
    line = TimedLine(clock)
    one = exchange(clock, line)
    line.on_read = one.stop
    with pytest.raises(Stopped):
        one.run(asking(0), Terms(timeout_s=30.0))
    _, respond = counting(lambda _: 400)
    line = TimedLine(clock, respond)
    one = exchange(clock, line)
    line.on_read = one.finish
    assert values(one.run(asking(0), TERMS)) == [1]
    line = TimedLine(clock)
    one = exchange(clock, line)
    line.on_read = one.finish
    with pytest.raises(BadReply):
        one.run(asking(0), TERMS)
    assert len(line.sent) == 1, "nothing is asked again once the gateway stops"


def test_what_waited_before_a_request_is_dropped_and_what_came_beyond_an_answer_is_kept(clock):
    def asks():
        yield_value.append((yield Ask(b"?", 5)))
        yield_value.append((yield Ask(until=b"d")))
        yield_value.append((yield Ask(b"!", until=b"e")))
        return []

    line = TimedLine(clock, lambda f: [(5, b"right and more")] if f == b"?" else [(5, b"here")], talk=[(0, b"stale")])
    exchange(clock, line).run(asks(), TERMS)
    assert yield_value == [b"right", b" and", b"he"]


def test_silence_is_kept_before_each_frame_where_a_slave_needs_it(clock):
    _, respond = counting()
    line = TimedLine(clock, respond)
    exchange(clock, line, quiet_s=0.05).run(asking(0, 1), Terms(settle_ms=0))
    first, second = (at for at, _ in line.sent)
    assert second - first == 10 + 50


def test_a_reply_says_when_it_was_heard(clock):
    def asks():
        early = yield Ask(until=b"\n")
        late = yield Ask(until=b"\n")
        yield_value.extend([early.heard_ms, late.heard_ms])
        return []

    line = TimedLine(clock, talk=[(100, b"RMC\n"), (1_900, b"GGA\n")])
    heard = exchange(clock, line).run(asks(), Terms(timeout_s=3.0))
    assert yield_value == [1_100, 2_900]
    assert heard.mono_ms == 2_900


def lines_of(count):
    """A driver that listens for so many lines; its values are texts, each with when it was heard."""
    told = []
    for _ in range(count):
        line = yield Ask(until=b"\n")
        told.append(Value("line", "", line.decode().strip(), heard_ms=line.heard_ms))
    return told


@pytest.mark.parametrize("at", [0, 1])
def test_what_lay_on_the_line_while_the_machine_stood_still_is_not_taken_for_new(clock, at):
    """A process stopped, a card that held all threads: a receiver's sentence of then would date now, seconds wrong."""
    line = TimedLine(clock, talk=[(500 + 1_000 * n, b"%d\n" % n) for n in range(20)])
    read, reads = line.read, []

    def stand(size, patience_s):
        reads.append(size)
        if len(reads) == at + 1:
            clock.now += 8_300
        return read(size, patience_s)

    line.read = stand
    heard = exchange(clock, line).run(lines_of(3), Terms(device="probe", timeout_s=3.0, budget_s=10.0))
    assert len(heard.values) == 3, "the poll has its time all the same"
    for value in heard.values:
        assert abs(value.heard_ms - (1_500 + 1_000 * int(value.value))) <= 100


def test_an_answer_that_lay_there_while_the_machine_stood_still_is_dated_before_that(clock):
    line = TimedLine(clock, lambda _: [(50, answer(7))])
    read = line.read

    def stand(size, patience_s):
        clock.now += 9_000
        return read(size, patience_s)

    line.read = stand
    heard = exchange(clock, line).run(asking(0), TERMS)
    assert values(heard) == [7]
    assert heard.mono_ms <= 1_000 + 1_000 * TERMS.timeout_s
