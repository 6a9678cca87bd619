"""Cells of H3 as paths of SVG: a path for all cells of one class, from corners that neighbours share.

Where two cells of a class meet, neither draws the side between them, so a path is the outline of an area, and weighs
little. A corner has one name in H3, and is rounded to whole units once: neighbours of different classes meet without a
gap and without an overlap, and what all paths cover together is what all cells cover.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import h3.api.basic_int as h3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cloud.registry.map import Point

Corner = tuple[int, int]
Ring = list[Corner]


class Grid:
    """The corners of cells in the units of one picture; `at` says where a place is drawn."""

    def __init__(self, at: Callable[[Point], tuple[float, float]]) -> None:
        self._at = at
        self._corners: dict[int, Corner] = {}

    def ring(self, cell: int) -> Ring:
        """Return the corners of a cell, one after the other."""
        return [self._corners.get(one) or self._new(one) for one in h3.cell_to_vertexes(cell)]

    def path(self, cells: Iterable[int]) -> str:
        """Return the path (its `d`) around all these cells; nothing for none."""
        return drawn(outlines(map(self.ring, cells)))

    def _new(self, corner: int) -> Corner:
        x, y = self._at(h3.vertex_to_latlng(corner))
        self._corners[corner] = made = round(x), round(y)
        return made


def outlines(rings: Iterable[Sequence[Corner]]) -> list[Ring]:
    """Return the rings around areas that touch; a hole in one is a ring that turns the other way."""
    ahead: defaultdict[Corner, list[Corner]] = defaultdict(list)
    for ring in rings:
        for start, end in zip(ring, [*ring[1:], ring[0]], strict=True):
            if start in (back := ahead.get(end, ())):
                back.remove(start)  # type: ignore[union-attr]  # the neighbour draws it the other way: between two cells
            elif start != end:
                ahead[start].append(end)
    found = []
    for first in sorted(ahead):
        while ahead[first]:
            ring, at = [first], ahead[first].pop()
            while at != first:
                ring.append(at)
                at = ahead[at].pop()
            found.append(ring)
    return found


def drawn(rings: Iterable[Sequence[Corner]]) -> str:
    """Return rings as a path of relative whole numbers, each from where the one before began."""
    said, (x, y) = [], (0, 0)
    for ring in rings:
        said.append(f"m{_step(ring[0][0] - x, ring[0][1] - y)}")
        x, y = at = ring[0]
        for corner in ring[1:]:
            step = _step(corner[0] - at[0], corner[1] - at[1])
            said.append(step if step[0] == "-" else f" {step}")
            at = corner
        said.append("z")
    return "".join(said)


def _step(x: int, y: int) -> str:
    return f"{x}{y}" if y < 0 else f"{x} {y}"
