"""What is said of the link: on the board at every moment, in the log once for each change and cause.

It also counts what failed, over all connections: only one that lived long enough proves that all is well. Two gateways
with one id put each other out in turn; each would otherwise be back at once, and fill log and network for ever.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from msgspec.structs import replace

from edge.board import Link
from edge.send.causes import Ended

if TYPE_CHECKING:
    from edge.board import Board
    from edge.clock import Clock

log = logging.getLogger(__name__)
HEALTHY_MS = 30_000
KICKS = 3  # short connections in succession that make it a pattern


class Logbook:
    """Of one gateway. Belongs to the uplink's thread; a new thread takes it over."""

    def __init__(self, board: Board, where: str, clock: Clock) -> None:
        self._board, self._where, self._clock = board, where, clock
        self.failures = 0  # since a connection lived long enough
        self._short = 0
        self._told: set[str] = set()  # causes of this outage
        self._down_ms = self._opened_ms = clock.mono_ms()
        self._up = False
        self._say(Ended("starting"))

    def opened(self, *, deaf: bool) -> None:
        """There is a connection; whether it is a good one shows later, where the last ones were not."""
        self._up, self._opened_ms = True, self._clock.mono_ms()
        if deaf:
            self._say(Ended("subscription"))
        elif self._short:
            self._board.link = replace(self._board.link, up=True, since_ms=self._opened_ms)
        else:
            self._well()

    def goes_on(self, *, deaf: bool) -> None:
        """The connection is still there."""
        if self._clock.mono_ms() - self._opened_ms >= HEALTHY_MS:
            self.failures = self._short = 0
        if self._board.link.cause and not deaf and not self._short:
            self._well()

    def ended(self, end: Ended) -> None:
        """There is no connection, or none any more."""
        now = self._clock.mono_ms()
        self.failures += 1
        if self._up:
            self._short = self._short + 1 if now - self._opened_ms < HEALTHY_MS else 0
            if not self._board.link.cause:
                self._down_ms = now
            if self._short >= KICKS and end.code == "lost":
                end = Ended("kicked", f"each time within {HEALTHY_MS // 1000} s")
        self._up = False
        self._say(end)

    def _say(self, end: Ended) -> None:
        since_ms = self._opened_ms if self._up else self._down_ms
        self._board.link = Link(up=self._up, since_ms=since_ms, cause=end.code, detail=end.detail, why=end.why)
        if end.code not in self._told and end.code != "starting":
            self._told.add(end.code)
            log.warning("uplink ill broker=%s cause=%s why=%r", self._where, end.code, end.why)

    def _well(self) -> None:
        now = self._clock.mono_ms()
        if self._told:
            log.warning("uplink well again broker=%s after_s=%.0f", self._where, (now - self._down_ms) / 1000)
        else:
            log.info("uplink well broker=%s", self._where)
        self._told.clear()
        self._board.link = Link(up=True, since_ms=self._opened_ms, cause="", why="")
