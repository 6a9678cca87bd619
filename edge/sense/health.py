"""How a channel is: since when it is well or not, in words, and how often it was not. Bounded, whatever a device says.

It stands on the board at every moment, and in the log as far as `edge/sense/news.py` has it told. What comes over a
wire may be anything, and it ends in the status and on somebody's screen: so each word is cut, made printable, and
counted under one of few names.
"""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING

from edge.board import Channel
from edge.sense.news import News

if TYPE_CHECKING:
    from edge.board import Board

WORDS, KIND, TEXT = 200, 24, 64  # characters
KINDS, TEXTS, PLACES = 16, 24, 16
DAY_MS = 86_400_000  # a traceback is said again, as the log may have forgotten it


class Health:
    """One channel's line on the board, where a thread before this one left it. Belongs to the thread of its bus."""

    def __init__(self, board: Board, channel: str, bus: str = "") -> None:
        self._board, self._channel, self._news = board, channel, News()
        self._log = logging.getLogger(f"{__name__}.{bus}.{channel}")  # each may say as much as any place in the code
        line = board.channels.setdefault(channel, Channel())
        self._texts, self._bad = line.texts, dict(line.bad)
        self._said: dict[str, str] = {}  # in the poll that goes on
        self._places: dict[str, int] = {}  # where the driver stumbled, and when that was said
        self._polls, self._last_ok_ms = line.polls, line.last_ok_ms
        self.failures = 0  # in a row
        self.lost_ms, self.why = line.since_ms, line.why

    def asked(self) -> None:
        """A poll begins."""
        self._polls += 1
        self._said = {}

    def stumbled(self, kinds: list[str]) -> None:
        """Asks within a poll failed in these ways, whether or not another try helped."""
        for kind in kinds:
            name = printable(kind, KIND)
            name = name if name in self._bad or len(self._bad) < KINDS else "other"
            self._bad[name] = self._bad.get(name, 0) + 1

    def well(self, now: int) -> None:
        """The poll brought values."""
        lost_ms, self.lost_ms = self.lost_ms, None
        self._last_ok_ms, self.why, self.failures = now, "", 0
        self._texts = self._said  # what a device says no more is not said of it any more
        self._tell()
        if lost_ms is not None and self._news.comes("back", now):
            self._log.info("channel=%s back after_s=%s", self._channel, (now - lost_ms) // 1000)
        self._sum("", now)

    def failed(
        self, words: str, now: int, reason: str, *, how: str = "lost", stumbled: BaseException | None = None
    ) -> None:
        """The poll brought none, for a `reason` of few: said where that is news, a new defect with its traceback."""
        first, self.why = self.lost_ms is None, printable(words, WORDS)
        self.failures += 1
        if first:
            self.lost_ms = now
        self._tell()
        news = first and self._news.comes("lost", now)
        if stumbled is not None and self._is_new(stumbled, now):
            self._log.error("channel=%s driver stumbled", self._channel, exc_info=stumbled)
        elif news:
            self._log.warning("channel=%s %s reason=%s why=%r", self._channel, how, reason, self.why)
        self._sum(reason, now)

    def _is_new(self, stumbled: BaseException, now: int) -> bool:
        """Tell whether a driver stumbles where nobody was told of it within a day."""
        self._places = {place: at for place, at in self._places.items() if now - at < DAY_MS}
        new = (place := _place(stumbled)) not in self._places and len(self._places) < PLACES
        if new:
            self._places[place] = now
        return new

    def _sum(self, reason: str, now: int) -> None:
        self._news.count(reason)
        if told := self._news.sum(now):
            how = "well" if self.lost_ms is None else "lost"
            self._log.warning("channel=%s unsteady %s now=%s", self._channel, told, how)

    def text(self, name: str, text: str) -> None:
        """The device said this of itself."""
        if name in self._said or len(self._said) < TEXTS:
            self._said[printable(name, KIND)] = printable(text, TEXT)

    def _tell(self) -> None:
        self._board.channels[self._channel] = Channel(
            self._last_ok_ms, self.why, self.lost_ms, dict(self._texts), self._polls, dict(self._bad)
        )


def _place(error: BaseException) -> str:
    """Return what an error is and where. Its words may differ each time."""
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    return f"{type(error).__name__} in {frame.f_code.co_filename}:{line}"


def printable(words: str, limit: int) -> str:
    """Return words on one line that a terminal can show, cut to `limit` characters."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in words[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
