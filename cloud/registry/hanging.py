"""What hangs where, changed in the field: a sensor is hung up, takes another's place, or was written down wrongly.

Readings know their gateway and channel alone, so none of them changes. What hung somewhere until a day goes on saying
so: the place's history is that of all that ever hung there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from cloud.registry.cells import Bad
from cloud.registry.kinds import Binding, Tree, key_of
from cloud.registry.map import distance_m
from cloud.registry.periods import valid_on

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

UNSURE_M = 15.0  # how exactly a tree's place is known where nobody says: a telephone under leaves
Sensor = tuple[str, str]  # gateway, channel
Place = tuple[str, str]  # tree | zone | hamlet, code


class Hanging(NamedTuple):
    """Rows to write and keys of rows to take away; `rests_on` are the keys of all that was looked at."""

    put: list[Binding]
    gone: list[tuple[Any, ...]]
    rests_on: list[tuple[Any, ...]]


def hung(
    bindings: Iterable[Binding], sensor: Sensor, place: Place, day: date, *, instead: Sensor | None, device: str
) -> Hanging:
    """Return what changes when a sensor hangs at a place from a day on, and no longer where it hung before.

    `instead` is the sensor that it replaces there. `device` is the thing that was bought; blank: the one that it was.
    """
    valid = [one for one in bindings if valid_on(one, day)]
    own = [one for one in valid if (one.gateway, one.channel) == sensor]
    gone = [one for one in valid if (one.gateway, one.channel) == instead and (one.place, one.code) == place]
    rests_on = [key_of(one) for one in [*own, *gone]]
    if [(one.place, one.code) for one in own] == [place] and device in ("", own[0].device) and not gone:
        return Hanging([], [], rests_on)
    known = {one.device for one in own if one.device}
    new = Binding(
        gateway=sensor[0],
        channel=sensor[1],
        place=place[0],
        code=place[1],
        valid_from=day,
        device=device or (known.pop() if len(known) == 1 else ""),
        way_out=any(one.way_out for one in own),
    )
    ended = [one for one in [*own, *gone] if key_of(one) != key_of(new)]
    return Hanging(
        [*(replace(one, valid_to=day) for one in ended if one.valid_from < day), new],
        [key_of(one) for one in ended if one.valid_from == day],
        rests_on,
    )


def corrected(bindings: Iterable[Binding], sensor: Sensor, place: Place, day: date) -> Hanging:
    """Return what changes when a sensor has hung at another place than the row of a day says, all of its time.

    Raises Bad where no row, or more than one, could be meant.
    """
    own = [one for one in bindings if (one.gateway, one.channel) == sensor and valid_on(one, day)]
    meant = [one for one in own if one.place == place[0]] or own
    if len(meant) != 1:
        raise Bad("which_binding", sensor="/".join(sensor), n=len(meant))
    (wrong,) = meant
    if (wrong.place, wrong.code) == place:
        return Hanging([], [], [key_of(wrong)])
    right = replace(wrong, place=place[0], code=place[1], distance_m=0.0, height_m=None)
    return Hanging([right], [key_of(wrong)], [key_of(wrong)])


def stretched_m(one: Binding, here: Tree, other: Binding, there: Tree) -> float:
    """Return how many metres too far from each other two trees are for one sensor, as far from each as its rows say.

    0: it can hang between them.
    """
    unsure = sum(UNSURE_M if tree.accuracy_m is None else tree.accuracy_m for tree in (here, there))
    apart = distance_m((here.lat, here.lon), (there.lat, there.lon))
    return max(0.0, apart - one.distance_m - other.distance_m - unsure)
