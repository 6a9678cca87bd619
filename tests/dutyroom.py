"""The duty pages over a real journal: the alerts' room judges, tells and does what people ask, in the same thread.

Its clock serves the room whenever somebody waits, so a page that asks for an act is answered as in life, without sleep.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cloud.alerts.tell import link
from cloud.registry import Registry
from cloud.registry.book import Book
from cloud.registry.kinds import KIND_OF, KINDS, Person
from cloud.rooms.duty import DutyDesk
from cloud.staff.day.today import Gatherer
from tests.rules.garden import SMOKE, START_MS, Bench, HandClock, batch
from tests.staffroom import URL, StaffWorld, _registry

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence
    from pathlib import Path

    from cloud.alerts.incident import Incident
    from cloud.registry.kinds import Record
    from cloud.staff.shelf import Shelf

SU = Person(code="su", name="Sùng A Sử", email="su@example.vn", roles=("fire-watch",))
FIRE = [(60.0 * n, 80.0 + 5 * n) for n in range(6)]


class Serving(HandClock):
    """Time in which the alerts' room works while somebody waits."""

    room: Any = None

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if self.room is not None:
            self.room.step()
        return super().wait(event, seconds)


class DutyWorld(StaffWorld):
    """A staff's room and an alerts' room with one registry, one store and one clock."""

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        url: str = URL,
        rows: list[Record] | None = None,
        clock: Any = None,
        rules: Sequence[dict[str, Any]] = (SMOKE,),
        **settings: Any,
    ) -> None:
        self._rules = list(rules)
        self._more, clock = [SU, *(rows or [])], clock or Serving(START_MS)
        with Book(_registry(), writer=False) as book:
            read = {kind: book.rows(kind) for kind in KINDS}
        for one in self._more:
            read[KIND_OF[type(one)]].append(one)
        table = {"engine": "sqlite", "path": str(folder / "store.db")}
        self.bench = Bench(folder, self._rules, port, registry=Registry(read), clock=clock, store=table, **settings)
        self.bench.alerts.listening(True)
        self.bench.step()
        if isinstance(clock, Serving):
            clock.room = self.bench
        super().__init__(folder, url, self.bench.store, ways=[("email", "email")], duty=self._desk, clock=clock)

    def _desk(self, shelf: Shelf) -> DutyDesk:
        with shelf.act("test", "people") as draft:
            draft.put(self._more)
        self.desk = DutyDesk(self.folder, shelf, self._rules, self.clock)
        return self.desk

    def smoke(self, readings: list[tuple[float, float]] | None = None, **kind: Any) -> None:
        """Let a sensor measure smoke: stored, and judged by the alerts' room."""
        for at_s, value in readings or FIRE:
            self.clock.advance(max(0.0, (self.bench.at(at_s) - self.clock.utc_ms()) / 1000))
            made = batch(self.bench.seq, [(self.bench.at(at_s), value)], **kind)
            self.bench.store.commit([made], self.clock.utc_ms())
            self.bench.send([(at_s, value)], **kind)

    def look(self) -> None:
        """Let the morning's look be gathered."""
        gatherer = Gatherer(self.shelf, self.bench.store, list, self.clock)
        gatherer.look()
        assert gatherer.why == ""
        self.today = gatherer.now

    @property
    def head(self) -> Incident:
        return next(one for one in self.bench.alerts.incidents() if one.part_of is None)

    def events(self, number: int | None = None) -> list[str]:
        return self.bench.events(number or self.head.id)

    def letter(self, letter: int = 1) -> str:
        """Return the path of a letter's link."""
        return f"/i/{link.token(link.key_of(self.folder), letter, self.clock.utc_ms())}"

    def close(self) -> None:
        self.bench.close()
        self.desk.close()
        super().close()


def plain(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())
