"""What a row of any table is: columns read off a struct, a key, and the cells that many tables share."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, ClassVar

import msgspec

from cloud.registry.cells import (
    CODE,
    LATITUDE,
    LONGITUDE,
    Bad,
    Day,
    Flag,
    Moment,
    Ref,
    Text,
    TreeCode,
    in_vietnam,
)

Code = Annotated[str, CODE]
Line = Annotated[str, Text()]
Lat = Annotated[float, LATITUDE]
Lon = Annotated[float, LONGITUDE]
Since = Annotated[date, Day()]
Till = Annotated[date | None, Day()]
OfTree = Annotated[str, Ref("tree", TreeCode())]
Publish = Annotated[bool, Flag()]
Consents = Annotated[tuple[str, ...], Ref("consent", CODE, many=True)]


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A row of a table. It refers to nothing that could refer to it, so the collector need not walk 40,000 of them."""

    key: ClassVar[tuple[str, ...]] = ("code",)
    private: ClassVar[bool] = False  # not even opened by the room that the world looks at
    tells: ClassVar[tuple[str, ...]] = ()  # columns that the world reads, and that may name somebody
    by_consent: ClassVar[frozenset[str]] = frozenset()  # to what they have consented who are named or seen there

    def check(self) -> None:
        """Raise Bad where the cells, each right by itself, cannot be right together."""
        if (start := getattr(self, "valid_from", None)) and (end := getattr(self, "valid_to", None)) and end <= start:
            raise Bad("reversed", column="valid_to", value=end, start=start)
        if (lat := getattr(self, "lat", None)) is not None and (lon := getattr(self, "lon", None)) is not None:
            in_vietnam(lat, lon)


def ends_within(starts: datetime, ends: datetime, longest: timedelta) -> None:
    """Raise Bad for an end that does not follow its start, or is further away: what nobody ends ends by itself."""
    told = Moment()
    if ends <= starts:
        raise Bad("reversed", column="ends", value=told.write(ends), start=told.write(starts))
    if ends - starts > longest:
        raise Bad("endless", column="ends", value=told.write(ends), days=longest.days)
