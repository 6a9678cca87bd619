"""What people say of fire, and no sensor: what is allowed, what smokes every day, the level that rangers published.

What is expected mutes a push, never the record. A published level stands beside ours, and is never mixed with it.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, ClassVar

from cloud.registry.cells import CODE, Bad, Choice, Clock, Day, Moment, Ref, Whole
from cloud.registry.record import Code, Lat, Line, Lon, Record, Since, Till, ends_within

LONGEST_PERMIT = timedelta(days=7)
LONGEST_LEVEL = timedelta(days=31)
DAY_MIN = 1440
LEVELS = ("I", "II", "III", "IV", "V")


class BurnPermit(Record, frozen=True, kw_only=True):
    """Somebody may burn a field at a place for a time, a week at most. Who it is stays among officers."""

    private: ClassVar = True
    code: Code
    holder: Line
    lat: Lat
    lon: Lon
    radius_m: Annotated[int, Whole(1, 5_000)] = 300
    starts: Annotated[datetime, Moment()]
    ends: Annotated[datetime, Moment()]
    note: Line = ""

    def check(self) -> None:
        """Raise Bad for a place abroad, and for an end that does not follow or is further away than a week."""
        super().check()
        ends_within(self.starts, self.ends, LONGEST_PERMIT)


class KnownSource(Record, frozen=True, kw_only=True):
    """Something that smokes at the same hours of the day: a kiln, the kitchens of a hamlet."""

    key: ClassVar = ("code", "valid_from")
    code: Code
    name_vi: Line
    name_en: Line
    lat: Lat
    lon: Lon
    radius_m: Annotated[int, Whole(1, 1_000)] = 100
    clock_from: Annotated[int, Clock()]
    clock_to: Annotated[int, Clock()]
    valid_from: Since
    valid_to: Till = None

    def smokes(self, minute: int) -> bool:
        """Tell whether it does at a minute of the day; its hours may pass midnight, their end is not included."""
        return (minute - self.clock_from) % DAY_MIN < (self.clock_to - self.clock_from) % DAY_MIN

    def check(self) -> None:
        """Raise Bad for hours that end where they begin: nobody knows whether that is all day or never."""
        super().check()
        if self.clock_from == self.clock_to:
            raise Bad("no_hours", column="clock_to", value=Clock().write(self.clock_to))


class OfficialLevel(Record, frozen=True, kw_only=True):
    """The level of fire danger that the forest rangers, FireWatch or a province published for a place and some days.

    `source` says in words where it was read. It has an end from the beginning, a month away at most: what nobody renews
    is no level of today any more.
    """

    key: ClassVar = ("place", "code", "valid_from")
    place: Annotated[str, Choice(("zone", "commune", "province"))]
    code: Annotated[str, Ref("place", CODE, of_column=True)]
    level: Annotated[str, Choice(LEVELS)]
    source: Line
    valid_from: Since
    valid_to: Annotated[date, Day()]

    @property
    def number(self) -> int:
        """Return the level as 1 to 5."""
        return LEVELS.index(self.level) + 1

    def check(self) -> None:
        """Raise Bad for an end that does not follow, or is further away than a month."""
        super().check()
        if self.valid_to - self.valid_from > LONGEST_LEVEL:
            raise Bad("endless", column="valid_to", value=self.valid_to, days=LONGEST_LEVEL.days)
