"""What the registry keeps: one struct a table. Columns, cells, forms and the database are read off the structs.

Rows that are true for a time have `valid_from` and `valid_to` (not included; none for "still"): a commune renamed, a
probe replaced. Such a row is known by its code and its first day, so a new name is a new row and the old one stays.
Codes mean nothing; names are data.
"""

from __future__ import annotations

import itertools
import re
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar

from cloud.registry.cells import (
    CODE,
    GATEWAY,
    Bad,
    Choice,
    Moment,
    Number,
    Outline,
    Pattern,
    Ref,
    Text,
    TreeCode,
    Whole,
)
from cloud.registry.fire import BurnPermit, KnownSource, OfficialLevel
from cloud.registry.people import LANGUAGES, Consent, Duty, Person
from cloud.registry.record import (
    Code,
    Consents,
    Lat,
    Line,
    Lon,
    OfTree,
    Publish,
    Record,
    Since,
    Till,
    ends_within,
)
from settings.words import words
from wire.quantities import QUANTITIES

TONGUES: dict[str, dict[str, str]] = words("cloud.registry")["language"]  # others in which a story may be told
PLACES = ("tree", "zone", "hamlet")
LONGEST_MAINTENANCE = timedelta(days=7)
STORY_LIMIT = 20_000  # characters: ten pages
_GIAI = re.compile(r"[0-9]{4,12}[0-9A-Z-]{1,18}")  # of what GS1 allows, that which needs no escaping in an address


class Province(Record, frozen=True, kw_only=True):
    """A province under its name of a time."""

    key: ClassVar = ("code", "valid_from")
    code: Code
    name: Line
    valid_from: Since
    valid_to: Till = None


class Commune(Record, frozen=True, kw_only=True):
    """A commune under its name of a time, in the province of that time."""

    key: ClassVar = ("code", "valid_from")
    code: Code
    name: Line
    province: Annotated[str, Ref("province", CODE)]
    valid_from: Since
    valid_to: Till = None


class Hamlet(Record, frozen=True, kw_only=True):
    """A hamlet. `households` is blank while nobody has counted."""

    key: ClassVar = ("code", "valid_from")
    code: Code
    name: Line
    commune: Annotated[str, Ref("commune", CODE)]
    lat: Lat
    lon: Lon
    households: Annotated[int | None, Whole(0, 100_000)] = None
    valid_from: Since
    valid_to: Till = None


class Team(Record, frozen=True, kw_only=True):
    """People of a hamlet who measure coverage, check tags and answer reports together. It has a name, they have none.

    Whatever a team did is kept under its code, so nobody's own doings can be read from it.
    """

    key: ClassVar = ("code", "valid_from")
    code: Code
    name: Line
    hamlet: Annotated[str, Ref("hamlet", CODE)]
    valid_from: Since
    valid_to: Till = None


class Zone(Record, frozen=True, kw_only=True):
    """A part of the garden with its own weather. `outline` is where its trees must stand."""

    code: Code
    name_vi: Line
    name_en: Line
    lat: Lat
    lon: Lon
    commune: Annotated[str, Ref("commune", CODE)] = ""
    outline: Annotated[tuple[tuple[float, float], ...], Outline()] = ()


class Tree(Record, frozen=True, kw_only=True):
    """One old tree. Its age is a range, with the method and source of the estimate: nobody was there.

    `precision` is how many decimals of its degrees the world sees (4: 11 m, enough to find the tree, not to dig at its
    foot in the dark); a tree that is not `published` has a page
    that says so, without its facts. A dead tree keeps its page.
    """

    code: Annotated[str, TreeCode()]
    label_no: Line = ""
    name_vi: Line
    name_en: Line
    zone: Annotated[str, Ref("zone", CODE)]
    lat: Lat
    lon: Lon
    alt_m: Annotated[float, Number(-10, 3200)]  # Fansipan is 3,147 m
    age_low: Annotated[int, Whole(1, 3000)]
    age_high: Annotated[int, Whole(1, 3000)]
    age_method_vi: Line
    age_method_en: Line
    girth_cm: Annotated[float | None, Number(1, 3000)] = None
    accuracy_m: Annotated[float | None, Number(0, 10_000)] = None
    precision: Annotated[int, Whole(1, 6)] = 4
    published: Publish = True
    state: Annotated[str, Choice(("alive", "dead", "fallen"))] = "alive"
    ended_on: Till = None
    giai: Annotated[str, Pattern(_GIAI)] = ""  # GS1's number of this one thing, where there is a prefix of GS1

    @property
    def coarse(self) -> bool:
        """Tell whether the world knows only roughly where it stands, to 100 m or worse: no distance may tell more."""
        return self.precision < 4

    def check(self) -> None:
        """Raise Bad for a range that is upside down."""
        super().check()
        if self.age_low > self.age_high:
            raise Bad("ages", column="age_low", value=self.age_low, high=self.age_high)


class Tag(Record, frozen=True, kw_only=True):
    """A code that was minted: it answers for ever, whatever becomes of the plate. A tree's own code is a tag, too."""

    code: Annotated[str, TreeCode()]
    state: Annotated[str, Choice(("blank", "printed", "bound", "retired"))] = "blank"
    tree: Annotated[str, Ref("tree", TreeCode())] = ""
    batch: Line = ""
    minted_on: Till = None
    bound_on: Till = None
    checked_on: Till = None

    def check(self) -> None:
        """Raise Bad for a tag that is bound to nothing, or blank and bound."""
        if (self.state == "bound") != bool(self.tree) and self.state != "retired":
            raise Bad("tag_state", column="state", value=self.state)


class Story(Record, frozen=True, kw_only=True):
    """What the cooperative tells about a tree, in one language; published once somebody else has read it.

    `text` is what was written last; until it is published, `standing` is what the world reads, if anything. `remark` is
    what whoever gave it back said. `consents` are those of the people whom it names: with one of them gone, the story
    is not shown.
    """

    key: ClassVar = ("tree", "lang")
    tells: ClassVar = ("shown",)
    by_consent: ClassVar = frozenset({"name", "story"})
    tree: OfTree
    lang: Annotated[str, Choice((*LANGUAGES, *TONGUES))]
    status: Annotated[str, Choice(("draft", "review", "published"))] = "published"
    author: Line = ""
    reviewer: Line = ""
    consents: Consents = ()
    remark: Line = ""
    standing: Annotated[str, Text(STORY_LIMIT, long=True)] = ""
    text: Annotated[str, Text(STORY_LIMIT, long=True)]

    @property
    def shown(self) -> str:
        """Return what the world reads, "" where nothing is published."""
        return self.text if self.status == "published" else self.standing


class Photo(Record, frozen=True, kw_only=True):
    """A picture, whose bytes lie beside the database under its code (`cloud.registry.pictures`).

    `consents` are those of the people on it, and of who took it where they are named.
    """

    tells: ClassVar = ("author", "alt_vi", "alt_en")
    by_consent: ClassVar = frozenset({"name", "photo"})
    code: Code
    tree: OfTree
    alt_vi: Line
    alt_en: Line
    author: Line
    licence: Line
    taken_on: Till = None
    consents: Consents = ()
    remark: Line = ""  # why it is not shown, by who looked at it
    published: Publish = False


class Voice(Record, frozen=True, kw_only=True):
    """A story as somebody tells it, in one language; its bytes lie beside the photos under its code.

    Whoever speaks is known by their voice, named or not: without a consent of theirs to it there is no publishing.
    """

    tells: ClassVar = ("speaker",)
    by_consent: ClassVar = frozenset({"name", "voice"})
    code: Code
    tree: OfTree
    lang: Annotated[str, Choice((*LANGUAGES, *TONGUES))]
    speaker: Line = ""
    recorded_on: Till = None
    consents: Consents = ()
    remark: Line = ""  # why it is not heard, by who listened to it
    published: Publish = False


class Gateway(Record, frozen=True, kw_only=True):
    """A station, as people call it and where it stands."""

    code: Annotated[str, GATEWAY]
    name_vi: Line
    name_en: Line
    zone: Annotated[str, Ref("zone", CODE)] = ""
    hamlet: Annotated[str, Ref("hamlet", CODE)] = ""
    note: Line = ""


class Device(Record, frozen=True, kw_only=True):
    """A thing that was bought: what it is and which one."""

    code: Code
    model: Line
    serial_no: Line = ""
    bought_on: Till = None
    note: Line = ""


class Binding(Record, frozen=True, kw_only=True):
    """A channel hangs at a place from a day on. `distance_m` is from the sensor to the place's own point.

    `way_out` marks a modem that is also its gateway's own link: when it loses service, the gateway falls silent.
    """

    key: ClassVar = ("gateway", "channel", "place", "code", "valid_from")
    gateway: Annotated[str, GATEWAY]
    channel: Code
    place: Annotated[str, Choice(PLACES)]
    code: Annotated[str, Ref("place", CODE, of_column=True)]
    valid_from: Since
    valid_to: Till = None
    distance_m: Annotated[float, Number(0, 100_000)] = 0.0
    height_m: Annotated[float | None, Number(-1000, 1000)] = None  # of the sensor above the place's own point
    above_ground_m: Annotated[float | None, Number(0.5, 50)] = None  # of an anemometer: wind grows with the height
    device: Annotated[str, Ref("device", CODE)] = ""
    way_out: Publish = False


class Calibration(Record, frozen=True, kw_only=True):
    """What a channel's numbers mean: `reads_low` and `reads_high` are what it says at 0 and 100 %; else an offset."""

    key: ClassVar = ("gateway", "channel", "quantity", "valid_from")
    gateway: Annotated[str, GATEWAY]
    channel: Code
    quantity: Annotated[str, Choice(tuple(QUANTITIES))]
    valid_from: Since
    valid_to: Till = None
    reads_low: Annotated[float | None, Number(-1e6, 1e6)] = None
    reads_high: Annotated[float | None, Number(-1e6, 1e6)] = None
    offset: Annotated[float, Number(-1e6, 1e6)] = 0.0
    method_vi: Line = ""
    method_en: Line = ""

    def meant(self, value: float) -> float:
        """Return what a number of the sensor means: per cent of its scale, no less than none and no more than all.

        It is as fine as what is stored of the quantity: what dividing adds nobody measured. An offset leads no number
        out of its quantity's range: fog is 100 %, not 102.
        """
        of = QUANTITIES[self.quantity]
        if self.reads_low is None or self.reads_high is None:
            meant = value + self.offset
            meant = min(of.high, max(of.low, meant)) if of.plausible(value) else meant
        else:
            meant = min(100.0, max(0.0, 100 * (value - self.reads_low) / (self.reads_high - self.reads_low)))
        return round(meant, of.decimals)

    def check(self) -> None:
        """Raise Bad for one end of a scale without the other, or both at one number; for an offset that is none."""
        super().check()
        most = (QUANTITIES[self.quantity].high - QUANTITIES[self.quantity].low) / 2
        if abs(self.offset) > most:
            raise Bad("limits", column="offset", value=self.offset, low=f"{-most:g}", high=f"{most:g}")
        if (self.reads_low is None) != (self.reads_high is None) or (
            self.reads_low is not None and self.reads_low == self.reads_high
        ):
            raise Bad("scale", column="reads_low", value=self.reads_low)


class Maintenance(Record, frozen=True, kw_only=True):
    """A channel is cleaned, mended or tried: what it says meanwhile is kept, but is no weather and wakes nobody.

    It has an end from the beginning, a week away at most: what people forget to switch on again guards no more.
    """

    key: ClassVar = ("gateway", "channel", "starts")
    gateway: Annotated[str, GATEWAY]
    channel: Code
    starts: Annotated[datetime, Moment()]
    ends: Annotated[datetime, Moment()]
    why: Annotated[str, Choice(("cleaning", "calibration", "repair", "trial"))] = "cleaning"
    note: Line = ""

    def check(self) -> None:
        """Raise Bad for an end that does not follow, or is further away than a week."""
        ends_within(self.starts, self.ends, LONGEST_MAINTENANCE)


class DangerTable(Record, frozen=True, kw_only=True):
    """By which numbers of P a province calls a day one of the five levels of fire danger, and by which decision.

    It holds in a province or, where the decision has zones, in one of ours; ours goes before the province. `up_to_1` to
    `up_to_4` are the highest numbers of levels I to IV; `rain_mm` is the rain of a day that sets P to 0. `area` is what
    the decision calls the part of the province that the numbers are for.
    """

    key: ClassVar = ("place", "code", "valid_from")
    decision: Line
    place: Annotated[str, Choice(("zone", "province"))]
    code: Annotated[str, Ref("place", CODE, of_column=True)]
    area: Line = ""
    valid_from: Since
    valid_to: Till = None
    rain_mm: Annotated[float, Number(0.1, 100)] = 5.0
    up_to_1: Annotated[float, Number(1, 1_000_000)]
    up_to_2: Annotated[float, Number(1, 1_000_000)]
    up_to_3: Annotated[float, Number(1, 1_000_000)]
    up_to_4: Annotated[float, Number(1, 1_000_000)]
    note: Line = ""

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Return the highest numbers of levels I to IV."""
        return self.up_to_1, self.up_to_2, self.up_to_3, self.up_to_4

    def check(self) -> None:
        """Raise Bad for bounds that do not grow."""
        super().check()
        for n, (low, high) in enumerate(itertools.pairwise(self.bounds), 2):
            if high <= low:
                raise Bad("bounds", column=f"up_to_{n}", value=f"{high:g}", before=f"{low:g}")


class Lot(Record, frozen=True, kw_only=True):
    """A lot of tea. `gtin` only where the cooperative has a GS1 prefix; `consents` of whom its name names."""

    tells: ClassVar = ("product_vi", "product_en")
    by_consent: ClassVar = frozenset({"name"})
    code: Code
    product_vi: Line
    product_en: Line
    picked_from: Since
    picked_to: Since
    gtin: Line = ""
    weight_kg: Annotated[float | None, Number(0, 1_000_000)] = None
    consents: Consents = ()
    published: Publish = True

    def check(self) -> None:
        """Raise Bad for a picking that ends before it begins."""
        if self.picked_to < self.picked_from:
            raise Bad("reversed", column="picked_to", value=self.picked_to, start=self.picked_from)


class LotInput(Record, frozen=True, kw_only=True):
    """Leaf of a tree or a zone that went into a lot."""

    key: ClassVar = ("lot", "place", "code")
    lot: Annotated[str, Ref("lot", CODE)]
    place: Annotated[str, Choice(("tree", "zone"))]
    code: Annotated[str, Ref("place", CODE, of_column=True)]
    weight_kg: Annotated[float | None, Number(0, 1_000_000)] = None


KINDS: dict[str, type[Record]] = {
    "province": Province,
    "commune": Commune,
    "hamlet": Hamlet,
    "team": Team,
    "zone": Zone,
    "tree": Tree,
    "tag": Tag,
    "person": Person,
    "consent": Consent,
    "duty": Duty,
    "burn_permit": BurnPermit,
    "known_source": KnownSource,
    "story": Story,
    "photo": Photo,
    "voice": Voice,
    "gateway": Gateway,
    "device": Device,
    "binding": Binding,
    "calibration": Calibration,
    "maintenance": Maintenance,
    "danger_table": DangerTable,
    "official_level": OfficialLevel,
    "lot": Lot,
    "lot_input": LotInput,
}  # in this order a table comes after those that its rows refer to
KIND_OF = {struct: kind for kind, struct in KINDS.items()}


def key_of(record: Record) -> tuple[Any, ...]:
    """Return what a record is known by."""
    of = record.key
    return (getattr(record, of[0]),) if len(of) == 1 else tuple([getattr(record, name) for name in of])


def spoken(key: tuple[Any, ...]) -> str:
    """Return a key as people read it."""
    return " ".join(map(str, key))
