"""How a channel is: since when it is well or not, in words, and how often it was not. Bounded, whatever a device says.

What comes over a wire may be anything, and it ends on the board, in the status and on somebody's screen: so each word
is cut, made printable, and counted under one of few names.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from edge.board import Channel

if TYPE_CHECKING:
    from edge.board import Board

WORDS, KIND, TEXT = 200, 24, 64  # characters
KINDS, TEXTS = 16, 24


class Health:
    """One channel's line on the board, where a thread before this one left it. Belongs to the thread of its bus."""

    def __init__(self, board: Board, channel: str) -> None:
        self._board, self._channel = board, channel
        line = board.channels.setdefault(channel, Channel())
        self._texts, self._bad = line.texts, dict(line.bad)
        self._said: dict[str, str] = {}  # in the poll that goes on
        self._places: set[str] = set()  # where the driver stumbled since it was well last
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

    def well(self, now: int) -> int | None:
        """The poll brought values; return for how long there had been none, None where there was no break."""
        lost, self.lost_ms = self.lost_ms, None
        self._last_ok_ms, self.why, self.failures = now, "", 0
        self._texts = self._said  # what a device says no more is not said of it any more
        self._places.clear()
        self._tell()
        return None if lost is None else now - lost

    def failed(self, words: str, now: int, stumbled: BaseException | None = None) -> bool:
        """The poll brought none; tell whether that is news: the first, or the driver stumbled where it had not."""
        first, self.why = self.lost_ms is None, printable(words, WORDS)
        places = set() if stumbled is None else {_place(stumbled)}
        news = first or not places <= self._places
        self._places |= places
        self.failures += 1
        if first:
            self.lost_ms = now
        self._tell()
        return news

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
