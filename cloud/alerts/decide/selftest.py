"""Once a week each channel carries one letter that says it is a test: a channel that fails is known before it burns.

The letter takes the way of all others: intent, letter, courier, receipt. Its incident is an exercise, and over at once.
A test that was missed, because the server was down, is made up for as soon as it runs. A clock that is put back by less
than a week repeats none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from cloud.alerts.decide.desk import SELF_TEST
from cloud.alerts.intent import of_grade
from cloud.clock import DAY_MS, HANOI_MS, hanoi

if TYPE_CHECKING:
    from cloud.alerts.decide.desk import Desk
    from cloud.alerts.journal import Journal
    from cloud.clock import Clock

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WEEK_MS = 7 * DAY_MS
MEMORY = "self-test"  # of the journal: when the last one was, or gocche was first here
EARLIEST_MS = 1_577_836_800_000  # 2020: a clock that shows less was never set, and knows no Monday


class SelfTest:
    """Writes within transactions of its own. `when` is a day and a time of Vietnam (mon 09:00), empty for never."""

    def __init__(self, when: str, journal: Journal, desk: Desk, clock: Clock) -> None:
        self._when, self._journal, self._desk, self._clock = when, journal, desk, clock
        self._next_ms = 0

    def tick(self) -> None:
        """Have a test told if it is time."""
        now_ms = self._clock.utc_ms()
        if not self._when or now_ms < EARLIEST_MS or self._next_ms - WEEK_MS <= now_ms < self._next_ms:
            return
        due_ms = last_due_ms(self._when, now_ms)
        with self._journal.transaction():
            last_ms = int(self._journal.meta(MEMORY, "0"))
            if last_ms and last_ms < due_ms:
                self._test(now_ms)
            if not last_ms or last_ms < due_ms or last_ms > now_ms + WEEK_MS:
                self._journal.set_meta(MEMORY, str(now_ms))
        self._next_ms = due_ms + WEEK_MS

    def _test(self, now_ms: int) -> None:
        drill = self._desk.exercise("", now_ms)
        over = replace(
            drill,
            rule=SELF_TEST,
            kind=SELF_TEST,
            what_vi="tự kiểm tra các kênh báo",
            what_en="self-test of the channels",
            grade="upkeep",
            stage="closed",
            until_ms=now_ms,
            ended_ms=now_ms,
            closed_ms=now_ms,
            closed_as="drill",
        )
        incident = self._journal.save(over)
        self._journal.event(now_ms, incident.id, "opened", "the weekly test of every channel", basis="drill")
        self._journal.intend(of_grade("upkeep", incident.id, "test", now_ms))


def last_due_ms(when: str, now_ms: int) -> int:
    """Return the last time, not after now, at which a weekly test was due."""
    day, _, clock = when.partition(" ")
    hour, minute = map(int, clock.split(":"))
    local_ms = now_ms + HANOI_MS
    midnight_ms = local_ms // DAY_MS * DAY_MS
    back = (hanoi(now_ms).weekday() - DAYS.index(day)) % 7
    due_ms = midnight_ms - back * DAY_MS + (hour * 60 + minute) * 60_000
    return (due_ms if due_ms <= local_ms else due_ms - WEEK_MS) - HANOI_MS
