"""Hamlets by the cells around them: covered, without service, undecided, not measured; and what changed between months.

Households have no positions of their own here, so a hamlet's cells are those whose middle lies within some distance of
the hamlet's point: who shows them says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import h3.api.basic_int as h3
import msgspec

from cloud.coverage.judge import since
from cloud.coverage.seam import COVERED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cloud.coverage.seam import Judged

NEAR_M = 1_000.0  # about as far as houses of a hamlet lie from its middle
_UNKNOWN = frozenset({"unmeasured"})
States = dict[int, str]  # cell → state


class Around(msgspec.Struct, frozen=True):
    """The cells around a hamlet: `covered + uncovered + uncertain + unmeasured` are all of them.

    `last_ms` is the newest moment in any of them, None where nobody was. `since_month` is the oldest month (year·100 +
    month) since which one of those without service has been without it, by the maps of months.
    """

    covered: int
    uncovered: int
    uncertain: int
    unmeasured: int
    last_ms: int | None = None
    since_month: int | None = None


class Change(msgspec.Struct, frozen=True):
    """What a month knows otherwise than an earlier one, in cells."""

    gained: int  # were without service, and have it
    lost: int  # had service, and are without
    found: int  # were not decided, and have service or are without
    gone: int  # were decided, and nobody measured them enough this time


def near(lat: float, lon: float, radius_m: float, res: int) -> list[int]:
    """Return the cells of a resolution whose middle is within a distance of a point; the point's own at least."""
    middle = h3.latlng_to_cell(lat, lon, res)
    rings = int(radius_m / (h3.average_hexagon_edge_length(res, "m") * 1.5)) + 1
    found = [
        cell
        for cell in h3.grid_disk(middle, rings)
        if h3.great_circle_distance(h3.cell_to_latlng(cell), (lat, lon), "m") <= radius_m
    ]
    return found or [middle]


def around(own: Sequence[int], cells: Mapping[int, Judged], months: Sequence[tuple[int, States]] = ()) -> Around:
    """Return what is known of a hamlet's `own` cells; `months` are maps with their month, in any order."""
    judged = [cells[cell] for cell in own if cell in cells]
    dead = [one.cell for one in judged if one.state == "none"]
    began = [since([(month, of[cell]) for month, of in months if cell in of]) for cell in dead]
    covered = sum(one.state in COVERED for one in judged)
    uncertain = sum(one.state == "uncertain" for one in judged)
    return Around(
        covered=covered,
        uncovered=len(dead),
        uncertain=uncertain,
        unmeasured=len(own) - covered - len(dead) - uncertain,
        last_ms=max((one.last_ms for one in judged if one.moments), default=None),
        since_month=min(filter(None, began), default=None),
    )


def states(cells: Iterable[Judged]) -> States:
    """Return what is decided of cells, or undecided; what nobody measured enough is left out."""
    return {one.cell: one.state for one in cells if one.state not in _UNKNOWN}


def change(before: States, after: States) -> Change:
    """Return what changed from one map to another of the same layer and network."""
    gained = lost = found = gone = 0
    for cell in before.keys() | after.keys():
        old, new = _decided(before.get(cell)), _decided(after.get(cell))
        gained += (old, new) == (False, True)
        lost += (old, new) == (True, False)
        found += old is None and new is not None
        gone += old is not None and new is None
    return Change(gained, lost, found, gone)


def _decided(state: str | None) -> bool | None:
    return True if state in COVERED else False if state == "none" else None
