"""Incidents as who is on duty sees them, told by who wires the rooms: these pages know nothing of alerts.

What is read may fail as files do (sqlite3.Error, OSError); what is asked of the alerts' room is durable once it is
asked, and done within a second while that room runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

Judged = Literal["taken", "refused", "unfit", "unknown"]  # of what a network posts
LIFE = "life"
GRADES = (LIFE, "service", "upkeep")  # what is at stake: life, telephones that may not work, something of ours
STAGES = ("suspected", "probable", "confirmed", "under-control", "closed")
CLOSINGS = ("real", "permitted", "cooking", "sensor-fault", "drill", "unknown")
OPEN = "open"  # where a closing is asked for: none yet


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """An incident as it is now. Times are UTC in ms; people are done with it at `closed_ms`.

    `parts` are the numbers of what other sensors see of the same; `next_rung` of the duty list is told at `next_ms`
    while nobody answers (-1: it is kept from being told until then). `limit` is the limit that was crossed, as its
    rule has it; `claim` what the detector says of it, {} without one, and `reasons_vi` why, in sentences; `cause_vi`
    why something is silent, as far as is known. `exercise` marks a drill. What is closed may be opened again while it
    `reopens`; `goes_on` while a sensor shows it. What is no `fire` (heavy rain) ends by itself: nobody confirms or
    closes it.
    """

    number: int
    what_vi: str
    what_en: str
    place: str = ""  # kind:code
    place_vi: str = ""
    place_en: str = ""
    lat: float | None = None
    lon: float | None = None
    gateway: str = ""
    channel: str = ""
    quantity: str = ""
    grade: str = LIFE
    stage: str = "suspected"
    since_ms: int = 0
    opened_ms: int = 0
    until_ms: int | None = None
    ended_ms: int | None = None
    value: float | None = None
    peak: float | None = None
    limit: float | None = None
    late: bool = False
    silent_ms: int | None = None
    acked_ms: int | None = None
    acked_by: str = ""
    assignee: str = ""
    exercise: bool = False
    fire: bool = True
    muted_vi: str = ""
    muted_en: str = ""
    cause_vi: str = ""
    cause_en: str = ""
    closed_ms: int | None = None
    closed_as: str = ""
    closed_by: str = ""
    reopens: bool = False
    goes_on: bool = False
    part_of: int | None = None
    parts: tuple[int, ...] = ()
    claim: dict[str, Any] = {}
    reasons_vi: tuple[str, ...] = ()
    reasons_en: tuple[str, ...] = ()
    next_ms: int | None = None
    next_rung: int = 0

    @property
    def reported(self) -> int:
        """Return how many people report it; 0 of what a sensor shows."""
        return int(self.value or 1) if not self.gateway and self.channel.startswith("report-") else 0

    @property
    def going(self) -> bool:
        """Whether people are not done with it."""
        return self.closed_ms is None

    @property
    def alive(self) -> bool:
        """Whether it is about life and happens now: it wants an answer."""
        return self.grade == LIFE and self.going and not self.late and self.part_of is None

    @property
    def rings(self) -> bool:
        """Whether nobody has answered it yet."""
        return self.alive and self.acked_ms is None and self.stage != "under-control"

    @property
    def radius_m(self) -> int | None:
        """Within how many metres its source may be, where the detector says so."""
        told = self.claim.get("radius_m")
        return int(told) if isinstance(told, (int, float)) else None


class Event(msgspec.Struct, frozen=True):
    """A line of the journal: who did what when. `who` is "" of what nobody did."""

    at_ms: int
    event: str
    who: str = ""
    words: str = ""
    inputs: dict[str, Any] = {}


class Sent(msgspec.Struct, frozen=True):
    """A letter about an incident: to whom by which channel, what became of it, and what its network says of it.

    `state` is waiting, sending, told (accepted), given up or overtaken; `person` a code where it is known.
    """

    at_ms: int
    person: str
    channel: str
    tell: str
    state: str
    done_ms: int | None = None
    words: str = ""
    receipt: str = ""


class Silence(msgspec.Struct, frozen=True):
    """What keeps suspicions of a scope from being told, until a time. `scope` is kind:code, or * for everywhere."""

    number: int
    scope: str
    author: str
    reason: str
    from_ms: int
    until_ms: int


class Channel(msgspec.Struct, frozen=True):
    """A channel by which people are told, as the alerts' room knows it; times are UTC in ms.

    `why` is what keeps every letter from getting through since `since_ms`, "" when well; `reached` whether anybody has
    an address for it. The last weekly test was at `tested_ms`; `test_why` is why it did not get through, and
    `test_since_ms` when that began.
    """

    name: str
    kind: str
    reached: bool
    why: str = ""
    since_ms: int | None = None
    tested_ms: int | None = None
    test_why: str = ""
    test_since_ms: int | None = None

    def missed(self, now_ms: int) -> bool:
        """Whether the test of this week is a day late."""
        return self.tested_ms is not None and now_ms - self.tested_ms > 8 * 86_400_000

    def fails(self, now_ms: int) -> bool:
        """Whether somebody has to look after it."""
        return bool(self.why or self.test_why) or not self.reached or self.missed(now_ms)


class Watch(msgspec.Struct, frozen=True):
    """What ails a node of the detector, of detect.claim.FAULTS, and how long it may say nothing, in ms."""

    faults: tuple[str, ...] = ()
    patient_ms: int = 300_000


class Whole(msgspec.Struct, frozen=True):
    """One incident with all that is known of it; `older` lines of its journal are not among the events."""

    one: Seen
    parts: tuple[Seen, ...] = ()
    events: tuple[Event, ...] = ()
    letters: tuple[Sent, ...] = ()
    older: int = 0


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which incidents of before, of one of GRADES; "" and None for all.

    Those with numbers below one, that began in a time (UTC ms), closed since one, of a closing (OPEN: of none yet), at
    a place, true ones or exercises.
    """

    below: int | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    closed_ms: int | None = None
    closed_as: str = ""
    place: str = ""
    exercise: bool | None = None
    grade: str = LIFE


class Quiet(msgspec.Struct, frozen=True):
    """What is worth knowing where nothing is open: None where it never was."""

    closed_ms: int | None = None
    drill_ms: int | None = None


class Linked(msgspec.Struct, frozen=True):
    """What the link of a letter leads to: its incidents, and the code of whom it was written to."""

    incidents: tuple[int, ...]
    person: str


class Outcome(msgspec.Struct, frozen=True):
    """What became of an act. `done` is None while the alerts' room has not answered: it will do it when it runs."""

    done: bool | None
    vi: str = ""
    en: str = ""
    number: int = 0


class Desk(Protocol):
    """What the alerts' room has written, and the one way in for what people do."""

    @property
    def ill(self) -> str:
        """What keeps fires from being seen: "" where nothing does.

        unattended: the alerts' room does not run; elsewhere: it cannot write its journal; deaf: it hears nobody.
        """

    def going(self) -> list[Seen]:
        """Return the heads with which people are not done, those about life first."""

    def silences(self) -> list[Silence]:
        """Return the silences in force."""

    def channels(self) -> list[Channel]:
        """Return by which channels people are told, and how each is."""

    def nodes(self) -> Mapping[tuple[str, str], Watch]:
        """Return what ails nodes of the detector, by gateway and place (or channel, where a rule names it)."""

    def quiet(self) -> Quiet:
        """Return when the last one was closed, and the last drill was."""

    def whole(self, number: int) -> Whole | None:
        """Return one incident; of a part's number the part itself, None where there is none."""

    def past(self, wanted: Wanted, limit: int) -> list[Seen]:
        """Return heads of a grade, newest first."""

    def act(self, body: Mapping[str, Any]) -> Outcome:
        """Ask for an act and wait a moment for what becomes of it. Raises cloud.store.Retry where it is not durable."""

    def posted(self, channel: str, headers: Mapping[str, str], body: bytes) -> Judged:
        """Hand over what a network posted; it is durable where it was taken. Raises cloud.store.Retry."""

    def link(self, token: str) -> Linked | None:
        """Return what the link of a letter leads to; None for one that is over, cut or forged."""


class Nobody:
    """A desk at which nothing is: where there is no alerts' room, and in tests of all else."""

    ill = "unattended"

    def going(self) -> list[Seen]:
        """Return nothing."""
        return []

    def silences(self) -> list[Silence]:
        """Return nothing."""
        return []

    def channels(self) -> list[Channel]:
        """Return nothing."""
        return []

    def nodes(self) -> dict[tuple[str, str], Watch]:
        """Return nothing."""
        return {}

    def quiet(self) -> Quiet:
        """Return that nothing ever was."""
        return Quiet()

    def whole(self, _number: int) -> Whole | None:
        """Return that there is none."""
        return None

    def past(self, _wanted: Wanted, _limit: int) -> list[Seen]:
        """Return nothing."""
        return []

    def act(self, _body: Mapping[str, Any]) -> Outcome:
        """Refuse it."""
        return Outcome(done=False)

    def posted(self, _channel: str, _headers: Mapping[str, str], _body: bytes) -> Judged:
        """Know no channel."""
        return "unknown"

    def link(self, _token: str) -> Linked | None:
        """Return that it leads nowhere."""
        return None
