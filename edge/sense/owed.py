"""What a line still owes: answers that did not come in time; and how late a device's answers come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edge.driver import Ask
from edge.sense.terms import LATE, LONGEST_OWED_MS, Terms
from wire.reading import Reason

if TYPE_CHECKING:
    from edge.driver import BadReply
    from edge.sense.terms import Timer

READ_AHEAD = 512
REMEMBERED_MS = 86_400_000  # what was late once may be so again each day; for ever, it would cost every retry for ever
_CAME = {Reason.CHECKSUM, Reason.GARBLED}  # as many bytes as an answer has, whatever became of them


class Owed(msgspec.Struct):
    """Answers to one ask that did not come in time and may still."""

    ask: Ask
    terms: Terms
    sent_ms: int
    until_ms: int
    answers: int = 1

    @property
    def room(self) -> int:
        """How many bytes are looked through for an answer: a talker's are not looked through again and again."""
        return READ_AHEAD + len(self.ask.frame) + self.ask.size if self.ask.size else self.ask.longest


class Known:
    """What is known of each device of a line: how late its answers were, and what it said last."""

    def __init__(self, timer: Timer) -> None:
        self._timer = timer
        self._slowest: dict[str, tuple[int, int]] = {}  # the latest answer of a day, and when it came
        self._last: dict[str, tuple[Ask, int]] = {}

    def late(self, device: str, late_ms: int) -> None:
        """An answer came so long after its question."""
        if late_ms >= self.late_ms(device):
            self._slowest[device] = late_ms, self._timer.mono_ms()

    def late_ms(self, device: str) -> int:
        """Return how late its answers were within a day."""
        late_ms, heard_ms = self._slowest.get(device, (0, 0))
        return late_ms if self._timer.mono_ms() - heard_ms < REMEMBERED_MS else 0

    def said(self, ask: Ask, terms: Terms) -> None:
        """It has answered."""
        if ask.size:
            self._last[terms.device] = ask, self._timer.mono_ms()

    def owed(self, ask: Ask, terms: Terms, sent_ms: int, error: BadReply) -> Owed | None:
        """After silence, or noise that is no answer, it may come late; a damaged one has come: the line falls quiet."""
        if error.reason == Reason.REFUSED:
            return None
        late_ms = max(round(1000 * LATE * terms.timeout_s), 3 * self.late_ms(terms.device) // 2)
        has_come = error.reason in _CAME and not error.came
        late_ms = 0 if has_come else min(late_ms, LONGEST_OWED_MS)
        answers = int(error.reason in {Reason.SILENCE, *_CAME} and not has_come)
        return Owed(ask, terms, sent_ms, sent_ms + late_ms, answers)

    def may_say_again(self, ask: Ask, terms: Terms) -> bool:
        """Tell whether its last answer, said once more by whoever repeats all on this line, could pass for this one."""
        last, heard_ms = self._last.get(terms.device, (ask, 0))
        alike = last.frame != ask.frame and last.size == ask.size > 0
        return alike and self._timer.mono_ms() - heard_ms < terms.settle_ms
