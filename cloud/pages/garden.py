"""What the pages are given, and what they ask of the rooms beside them.

Pages do not import alerts: those hand over plain rows, whose shape stands here. What a room leaves in a file of its own
(danger, coverage) is read by that room's functions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from cloud.clock import hanoi
from cloud.coverage.around import NEAR_M
from cloud.coverage.scale import Scale
from cloud.danger.told import Told
from cloud.pages.hotspots import Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date
    from pathlib import Path

    from cloud.clock import Clock
    from cloud.pages.visits import Visits
    from cloud.registry import Current, Registry
    from cloud.reports.door import Door
    from cloud.store import History
    from cloud.stream.latest import Latest


class HamletRow(Protocol):
    """One hamlet of the coverage table (cloud.coverage.hamlets.HamletRow says what each field means)."""

    @property
    def code(self) -> str: ...  # noqa: D102 - the fields are explained where they are made
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def commune(self) -> str: ...  # noqa: D102
    @property
    def province(self) -> str: ...  # noqa: D102
    @property
    def households(self) -> int | None: ...  # noqa: D102
    @property
    def state(self) -> str: ...  # noqa: D102
    @property
    def time_ms(self) -> int | None: ...  # noqa: D102
    @property
    def registration(self) -> int | None: ...  # noqa: D102
    @property
    def radio(self) -> int | None: ...  # noqa: D102
    @property
    def rsrp_dbm(self) -> float | None: ...  # noqa: D102
    @property
    def last_service_ms(self) -> int | None: ...  # noqa: D102
    @property
    def searched(self) -> bool: ...  # noqa: D102
    @property
    def way_out(self) -> bool: ...  # noqa: D102
    @property
    def reason(self) -> int | None: ...  # noqa: D102


class IncidentRow(Protocol):
    """One line of the public list of incidents. Machines suspect; only a person's word is "confirmed"."""

    @property
    def id(self) -> int: ...  # noqa: D102 - the fields are explained where they are made
    @property
    def rule(self) -> str: ...  # noqa: D102
    @property
    def what_vi(self) -> str: ...  # noqa: D102
    @property
    def what_en(self) -> str: ...  # noqa: D102
    @property
    def place_vi(self) -> str: ...  # noqa: D102
    @property
    def place_en(self) -> str: ...  # noqa: D102
    @property
    def state(self) -> str: ...  # noqa: D102 - open | ended | late
    @property
    def since_ms(self) -> int: ...  # noqa: D102
    @property
    def until_ms(self) -> int | None: ...  # noqa: D102


class Coverage(Protocol):
    """The table of hamlets (cloud.coverage.hamlets.Coverage)."""

    def search(self) -> Any:
        """Ask the store what `rows` needs of the past. May hang; raises Retry."""

    def rows(self, found: Any | None) -> Sequence[HamletRow]:
        """Return a row for each hamlet, from memory and from what `search` found; None where it found nothing out."""


@dataclass(frozen=True)
class Garden:
    """Everything that the pages show comes from here.

    `incidents` may hang and may raise the store's Retry. `live_s` is how old a figure may be and still be called now:
    three report intervals of the slowest gateway, 15 min unless it is slower than that. `patience_s` is how long a
    visitor waits for the store or the journal at most: he does not notice it, and a database that is well seldom needs
    it.
    """

    current: Current
    latest: Latest
    store: History
    clock: Clock
    public_url: str
    coverage: Coverage
    incidents: Callable[[], Sequence[IncidentRow]]
    danger: Path | None = None  # the book of fire danger
    danger_told: Told = field(default_factory=Told)  # what the garden says of it: measures, who is responsible
    hotspots: Callable[[], Seen] = lambda: Seen(0, ())  # what satellites saw of late; may raise Retry
    surveyed: Path | None = None  # the book of coverage
    scale: Scale = field(default_factory=Scale)  # the levels of a signal
    near_m: float = NEAR_M  # cells so near to a hamlet's point are those of its households
    visits: Visits | None = None  # who counts how often a tree's page is opened
    photos: Path | None = None  # the folder that they lie in
    staff_url: str = ""  # where a tag that is blank gets its tree
    licence: str = ""  # under which data is given away; "": nobody has said
    reports: Door | None = None  # where people's reports go; None: there is no form
    duty_tel: str = ""  # of the duty, as its owner agreed
    duty_sms: str = ""
    still: bool = False  # kept as files: what was a minute ago then is not when somebody reads it
    live_s: float = 900.0
    patience_s: float = 0.25

    @property
    def today(self) -> date:
        """The day it is in Vietnam."""
        return hanoi(self.clock.utc_ms()).date()

    @property
    def registry(self) -> Registry:
        """Return the registry as it is now: a page that asks it twice keeps the answer."""
        return self.current.now
