"""Brings reports of fire to the alerts' room: at once, and again until it has them. A row each, which lasts.

What is kept is told whatever dies in between: a report is noted as told only when the question lies in the inbox of the
alerts' room, and the same question is answered there once. More of the same fire is told some seconds apart, as a
number: a crowd that reports one fire is one question, and then one more.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cloud.store import Retry

if TYPE_CHECKING:
    import threading

    from cloud.clock import Clock
    from cloud.inbox import Asker
    from cloud.reports.door import Door
    from cloud.reports.read import Kept

log = logging.getLogger(__name__)
IDLE_S, AGAIN_S = 1.0, 10.0  # how often it looks by itself; between two words about one fire
FORGET_S = 3_600.0  # how often what is old is erased


class Telling:
    """The loop."""

    def __init__(self, door: Door, asker: Asker, clock: Clock) -> None:
        self._door, self._asker, self._clock = door, asker, clock
        self._told_s: dict[int, float] = {}  # when each report was told last
        self._forget_s = clock.monotonic()
        self.why = ""  # what keeps alerts from knowing

    def run(self, stop: threading.Event) -> None:
        """Tell until stopped, in the caller's thread."""
        while not stop.is_set():
            self._door.untold.clear()
            try:
                self.step()
            except Exception as error:
                self.why = f"{type(error).__name__}: {error}"
                log.exception("reports-not-told")
            self._clock.wait(self._door.untold, IDLE_S)

    def step(self) -> None:
        """Tell once what is to be told now, and erase what is old."""
        try:
            for one in self._door.untold_fires():
                self._tell(one)
            if self._clock.monotonic() >= self._forget_s:
                self._forget_s = self._clock.monotonic() + FORGET_S
                self._door.forget()
        except Retry as fault:
            if not self.why:
                log.error("reports-not-told why=%r", str(fault))  # noqa: TRY400 - the words say it all
            self.why = str(fault)
            return
        if self.why:
            log.info("reports-told-again")
        self.why = ""

    def _tell(self, one: Kept) -> None:
        now_s = self._clock.monotonic()
        if now_s - self._told_s.get(one.id, now_s - AGAIN_S) < AGAIN_S:
            return
        self._asker.ask("act", act_of(one))
        self._door.told(one.id, one.n)
        self._told_s = {number: at_s for number, at_s in self._told_s.items() if now_s - at_s < AGAIN_S}
        self._told_s[one.id] = now_s


def act_of(one: Kept) -> dict[str, object]:
    """Return what the alerts' room is asked: to open or to go on with the incident of a report. No words of anybody."""
    at = {} if one.lat is None or one.lon is None else {"lat": one.lat, "lon": one.lon}
    about = {"number": one.n, "to": f"report-{one.id}", "place": one.place, "since_ms": one.got_ms}
    return {"key": f"report.{one.code}.{one.n}", "act": "report", "who": "people", "by": "page"} | about | at
