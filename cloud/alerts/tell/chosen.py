"""What people chose to be told regularly, beside incidents: written once, by channels they named for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from cloud.alerts.tell.route import LEVELS

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.alerts.journal import Journal
    from cloud.alerts.tell.outbox import Outbox
    from cloud.alerts.tell.readers import Readers
    from cloud.clock import Clock
    from cloud.registry import Current

LOOK_S = 10.0  # between two looks whether it is due


class Desk(NamedTuple):
    """What it works with; `folder` is where its book is kept, `pages` the public pages."""

    folder: Path
    journal: Journal
    outbox: Outbox
    readers: Readers
    registry: Current
    clock: Clock
    pages: str


class Chosen:
    """One such thing; works in the post office's thread, within transactions of its own.

    Its own are its `book`, where the public pages have it (`at`), and its `urgency` of `cloud.alerts.tell.route`.
    """

    book: ClassVar[str]
    at: ClassVar[str]
    urgency: ClassVar[int]

    def __init__(self, desk: Desk) -> None:
        self._path, self._journal, self._outbox = desk.folder / self.book, desk.journal, desk.outbox
        self._readers, self._registry, self._clock = desk.readers, desk.registry, desk.clock
        self._page = f"{desk.pages}{self.at}" if desk.pages else ""
        self._look_s = desk.clock.monotonic()

    @property
    def unreached(self) -> list[str]:
        """Who chose it by channels by which nobody can write to them: a name is mistyped, or has no address."""
        found = self._readers.who_chose(LEVELS[self.urgency])
        reached = {code for code, reader in found.items() if reader.by(self.urgency)}
        known = self._registry.now.chose(LEVELS[self.urgency])
        return sorted(one.name for one in known if one.code not in reached)

    def _looks(self) -> bool:
        """Tell whether it is time to look whether something is due."""
        now_s = self._clock.monotonic()
        if now_s < self._look_s:
            return False
        self._look_s = now_s + LOOK_S
        return True
