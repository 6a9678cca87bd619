"""What each part of the gateway says of itself: one plain board, each writes its own line, the status is read off it.

A line is a frozen value that its one writer replaces whole, so that readers in other threads need no lock. Times are
monotonic milliseconds: what is said to people (how long ago) is worked out when it is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edge.clock import Anchor
from wire.batch import Source, Unstored

if TYPE_CHECKING:
    from settings.words import Sentence


class Channel(msgspec.Struct, frozen=True):
    """How a channel is. Written by the sampler of its bus."""

    last_ok_ms: int | None = None
    why: str = "not asked yet"  # "" while it is well
    since_ms: int | None = None  # when `why` began
    texts: dict[str, str] = {}  # what the device calls itself: model, firmware, operator
    polls: int = 0
    bad: dict[str, int] = {}  # kind of fault → how often


class Keeping(msgspec.Struct, frozen=True):
    """What lies in the spool, and what it did not take. Written by the keeper."""

    epoch: str = ""
    acquired: int = 0  # high-water sequence number
    cut: int = 0
    spooled: int = 0
    earlier: dict[str, int] = {}  # what still waits of earlier epochs
    oldest_ms: int | None = None  # when the oldest batch began; None where nothing waits or nobody can know
    dropped: int = 0  # readings declared lost, or about to be
    unkept: int = 0  # of these, those that have no sequence number yet
    why: str = ""
    why_vi: str = ""
    urgent: tuple[Unstored, ...] = ()  # urgent values that are not safe while the spool takes nothing
    alarm_ms: int = 0  # when one of them changed its class last


class Dated(msgspec.Struct, frozen=True):
    """Which clock dates this boot. Written by `edge.clock.dating`."""

    anchor: Anchor | None = None  # None while nobody knows the time
    rtc: str = ""  # why a battery clock that is there dates nothing

    @property
    def given(self) -> bool:
        """Whether batches get the date: at its word no battery clock is believed."""
        return self.anchor is not None and self.anchor.source is not Source.RTC

    @property
    def offset_ms(self) -> int | None:
        """UTC minus monotonic."""
        return None if self.anchor is None else self.anchor.offset_ms

    def words(self, now_ms: int) -> dict[str, int | str]:
        """Return what the status says of it."""
        if self.anchor is None:
            said: dict[str, int | str] = {"source": "none", "uncertainty_ms": 0}
        else:
            said = {"source": self.anchor.source.name.lower(), "uncertainty_ms": self.anchor.off_ms(now_ms)}
        return said | ({"rtc": self.rtc} if self.rtc else {})


class Link(msgspec.Struct, frozen=True):
    """How the connection to the broker is. Written by the uplink."""

    up: bool = False
    since_ms: int | None = None  # since when it is up, or down
    cause: str = "starting"  # a row of send/causes.toml, "" while all is well; causes.said() has it in Vietnamese, too
    detail: str = ""  # what the system said
    why: str = "not connected yet"  # both in English, and what to do; "" while all is well


class Sending(msgspec.Struct, frozen=True):
    """What keeps batches from being sent although the link is up. Written by the courier."""

    why: str = ""
    why_vi: str = ""
    until_ms: int = 0


class Board:
    """The lines. Whoever is named above writes; anybody reads."""

    def __init__(self) -> None:
        self.channels: dict[str, Channel] = {}
        self.keeping = Keeping()
        self.dated = Dated()
        self.link = Link()
        self.sending = Sending()
        self.captures: dict[str, Sentence] = {}  # bus → why its talk is written down no more. Written by its capture
        self.sirens: dict[str, Sentence] = {}  # siren → what is wrong with it. Written by the thread of the sirens
