"""Whatever befalls a line, and however it combines: a value is of its own question, or there is none.

Random faults, any number of them at a time, on lines with three devices of one or several framings, with orders in
between, in simulated time. Each answer carries the number of the request that it was made for, so that one of an
earlier ask, of another block or of another device shows. Every answer comes within the time that a line is heard out.
`tests/journeys/test_bus_faults.py` brings the same faults onto real pseudo-terminals.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable  # noqa: TC003 - a NamedTuple reads it
from functools import partial
from typing import NamedTuple

import pytest

from at import talk
from edge.driver import Ask, BadReply
from edge.framing import rtu
from edge.sense.exchange import Exchange
from edge.sense.terms import LATE, LONGEST_OWED_MS, Terms
from tests.edge.clock import HandClock
from tests.edge.line import TimedLine

TIMEOUT_MS, BUDGET_MS, SETTLE_MS = 500, 10_000, 200
LONGEST_PAUSE_MS = 200  # within an answer
POLLS = 12
LINES, MANY = 25, 500


class Framing(NamedTuple):
    """How a device is asked for a block, how it answers with a number, and where that is found again."""

    ask: Callable[[int, int], Ask]
    answer: Callable[[int, int], bytes]
    number: Callable[[bytes], int]


def _rtu_ask(device: int, block: int) -> Ask:
    request = rtu.request(device, 3, 16 * block, 2)
    return Ask(request, size=rtu.answer_size(request), find=partial(rtu.find, request))


def _rtu_answer(device: int, number: int) -> bytes:
    body = bytes((device, 3, 4)) + number.to_bytes(4)
    return body + rtu.crc16(body)


def _words(form: bytes, **whole: object) -> Callable[[int, int], Ask]:
    return lambda device, block: Ask(form % (device, block), **whole)


def _summed(_device: int, number: int) -> bytes:
    body = b">%08d" % number
    return body + b"%02X\r\n" % (sum(body) & 0xFF)


def _checked(reply: bytes) -> None:
    whole = re.search(rb"(>\d{8})([0-9A-F]{2})\r\n$", reply)
    if whole is None or int(whole[2], 16) != sum(whole[1]) & 0xFF:
        raise BadReply("checksum", f"{reply!r}")


def _at_number(reply: bytes) -> int:
    found = re.search(rb"\+X: (\d{8})\r\n", reply)
    if found is None:  # as every driver of such a device does: noise has eaten of the answer
        raise BadReply("garbled", f"{reply!r}")
    return int(found[1])


FRAMINGS = {
    "rtu": Framing(_rtu_ask, _rtu_answer, int.from_bytes),
    "sized": Framing(_words(b"#%d%d\r", size=13, check=_checked), _summed, lambda reply: int(reply[-12:-4])),
    "ended": Framing(_words(b"%dR%d!", until=b"\r\n", check=_checked), _summed, lambda reply: int(reply[-12:-4])),
    "at": Framing(
        _words(b"AT+X=%d,%d\r", until=talk.RESULT), lambda _, n: b"\r\n+X: %08d\r\n\r\nOK\r\n" % n, _at_number
    ),
}
KINDS = (
    "noise", "noise_of_its_length", "other_device", "late", "lost", "flipped", "cut", "glued", "split", "trailing",
    "echo_disturbed", "again",
)  # fmt: skip
Pieces = list[tuple[int, bytes]]  # how many milliseconds after the question, and the bytes


class Far:
    """Three devices on one line, what befalls it, and who asked what: the far end of a TimedLine."""

    def __init__(self, seed: int, framings: list[str]) -> None:
        self.rng = rng = random.Random(seed)
        self.share = {kind: rng.choice((0, 0, 0.1, 0.3, 0.6)) for kind in KINDS}
        self.framing = {device: rng.choice(framings) for device in (1, 2, 3)}
        self.echoes, self.siren = rng.random() < 0.3, rng.random() < 0.7
        self.asking = (0, 0)  # the device, and the number of the ask
        self.asked: list[int] = []  # by the number of a request, less one: the ask that it belongs to
        self.coils_set = 0
        self._last: dict[int, bytes] = {}

    def respond(self, frame: bytes) -> Pieces:
        """Return what the line brings for a request."""
        device, ask = self.asking
        if frame[1:2] == b"\x05":
            answer = frame if self.siren else b""
            self.coils_set += self.siren
        else:
            self.asked.append(ask)
            answer = FRAMINGS[self.framing[device]].answer(device, len(self.asked))
        echo = [(1, self._echo(frame))] * self.echoes
        return [piece for piece in echo + self._befallen(device, answer) if piece[1]]

    def _hits(self, kind: str) -> bool:
        return self.rng.random() < self.share[kind]

    def _noise(self, most: int) -> bytes:
        return self.rng.randbytes(self.rng.randint(1, most))

    def _echo(self, frame: bytes) -> bytes:
        disturbed = (frame[1:], frame[:-1], self._noise(3) + frame, bytes((frame[0] ^ 4,)) + frame[1:])
        return self.rng.choice(disturbed) if self._hits("echo_disturbed") else frame

    def _befallen(self, device: int, answer: bytes) -> Pieces:
        rng, longest_ms = self.rng, LATE * TIMEOUT_MS - LONGEST_PAUSE_MS
        at_ms = rng.randint(TIMEOUT_MS, longest_ms) if self._hits("late") else rng.randint(5, 60)
        before = [self._noise(3)] * self._hits("noise")
        before += [rng.randbytes(len(answer))] * self._hits("noise_of_its_length")
        before += [_rtu_answer(device % 3 + 1, 0)] * (self.framing[device] == "rtu" and self._hits("other_device"))
        came = [(rng.randrange(1, at_ms), noise) for noise in before]
        return came if self._hits("lost") or not answer else came + self._answered(device, answer, at_ms)

    def _answered(self, device: int, answer: bytes, at_ms: int) -> Pieces:
        rng, whole, last = self.rng, answer, self._last.get(device, b"")
        self._last[device] = answer
        if self._hits("flipped") and self.framing[device] != "at":  # no sum would tell
            whole = (int.from_bytes(whole) ^ 1 << rng.randrange(8 * len(whole))).to_bytes(len(whole))
        if self._hits("cut"):
            whole = whole[: rng.randrange(len(whole))]
        if whole == answer and self._hits("glued"):  # else an older answer came instead, which no line can tell
            return [(at_ms, whole + last)]
        cut, pause_ms = rng.randint(0, len(whole)), rng.choice((2, 16, LONGEST_PAUSE_MS)) * self._hits("split")
        trailing = [(at_ms + pause_ms + rng.randint(0, 150), self._noise(len(answer)))] * self._hits("trailing")
        twice = self.framing[device] == "rtu" and self._hits("again")  # elsewhere nothing tells whose answer it is
        again = [(at_ms + pause_ms * (cut < len(whole)) + rng.randint(1, 150), whole)] * twice
        return [(at_ms, whole[:cut]), (at_ms + pause_ms, whole[cut:]), *trailing, *again]


class Line:
    """One exchange with such a far end; asks at random and holds each value against what was asked."""

    def __init__(self, seed: int, framings: list[str]) -> None:
        self.clock = HandClock(mono_ms=1_000)
        self.far = Far(seed, framings)
        rng = self.far.rng
        told, byte_s, quiet_s = (
            rng.choice((None, None, self.far.echoes)),
            rng.choice((0, 0.001)),
            rng.choice((0, 0.005)),
        )
        self.exchange = Exchange(self.clock, byte_s=byte_s, quiet_s=quiet_s, echo=told)
        self.exchange.attach(TimedLine(self.clock, self.far.respond))
        self.asks = self.answered = 0

    def poll(self, device: int, retries: int) -> bool:
        """Ask one device for all its blocks; tell whether it answered."""
        began_ms = self.clock.now
        try:
            self.exchange.run(self._driver(device), self._terms(device, retries))
        except BadReply:
            return False
        finally:
            most_ms = BUDGET_MS + LONGEST_OWED_MS + TIMEOUT_MS + 20 * SETTLE_MS
            assert self.clock.now - began_ms <= most_ms, "a poll has a budget, and hears out what was owed before it"
        return True

    def order(self, device: int) -> bool:
        """Set a coil, and tell whether it is believed to be set: only its own word may confirm it."""
        coil, before = rtu.write_coil(device, 0, on=bool(self.far.rng.getrandbits(1))), self.far.coils_set
        done = self.exchange.orders.give(Ask(coil, find=partial(rtu.find, coil)), self._terms(device, 1))
        self.exchange.serve()
        believed = done.exception(0) is None
        assert not believed or self.far.coils_set > before, "an echo, or noise, passed for the siren"
        return believed

    def _driver(self, device: int):
        framing = FRAMINGS[self.far.framing[device]]
        for block in range(3):
            self.asks += 1
            self.far.asking = device, self.asks
            number = framing.number((yield framing.ask(device, block)))
            asked = self.far.asked[number - 1] if 0 < number <= len(self.far.asked) else None
            assert asked == self.asks, f"the answer to ask {asked} was taken for that to {self.asks}"
            self.answered += 1
        return []

    def _terms(self, device: int, retries: int) -> Terms:
        return Terms(
            device=f"probe-{device}", timeout_s=TIMEOUT_MS / 1000, retries=retries, budget_s=BUDGET_MS / 1000,
            settle_ms=SETTLE_MS,
        )  # fmt: skip


@pytest.mark.parametrize("lines", [LINES, pytest.param(MANY, marks=pytest.mark.journey)])
@pytest.mark.parametrize("framings", [*([one] for one in FRAMINGS), list(FRAMINGS)], ids=[*FRAMINGS, "mixed"])
def test_a_value_is_of_its_own_question_whatever_befalls_the_line(framings, lines):
    answered = 0
    for seed in range(lines):
        line = Line(seed, framings)
        rng = line.far.rng
        try:
            for _ in range(POLLS):
                line.poll(rng.choice((1, 2, 3)), rng.randint(0, 2))
                if rng.random() < 0.15:
                    line.order(rng.choice((1, 2, 3)))
                if rng.random() < 0.5:
                    line.exchange.hear_out()
                line.clock.now += rng.choice((0, 1, 50, 3_000))
            line.far.share = dict.fromkeys(KINDS, 0)
            line.clock.now += LATE * TIMEOUT_MS  # what was on its way has come
            assert all(line.poll(device, 0) for device in (1, 2, 3)), "a line that is well again is well at once"
            assert line.order(1) or not line.far.siren or framings != ["rtu"], "and an order is believed"
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        answered += line.answered
    assert answered > lines * POLLS / 2
