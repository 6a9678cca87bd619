"""Cells as paths: what is drawn covers what the cells cover, once, without holes, whatever they are."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

import h3.api.basic_int as h3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.pages.hexes import Corner, Grid, Ring, drawn, outlines
from cloud.registry.map import flat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cloud.registry.map import Point

PLACE = (21.706, 103.99)


def near(origin: Point, metres_a_unit: float) -> Callable[[Point], tuple[float, float]]:
    def at(place: Point) -> tuple[float, float]:
        east, north = flat(place, origin)
        return east / metres_a_unit, -north / metres_a_unit

    return at


def area(rings: Iterable[Ring]) -> int:
    """Twice the area: whole for whole corners."""
    return sum(x1 * y2 - x2 * y1 for ring in rings for (x1, y1), (x2, y2) in pairwise([*ring, ring[0]]))


def read(path: str) -> list[Ring]:
    """As SVG defines it: after `m` come lines, and after `z` one stands where the ring began."""
    rings, at = [], (0, 0)
    for part in filter(None, path.split("z")):
        assert part[0] == "m"
        numbers = [int(one) for one in re.findall(r"-?\d+", part)]
        ring: Ring = []
        for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
            at = at[0] + dx, at[1] + dy
            ring.append(at)
        rings.append(ring)
        at = ring[0]
    return rings


def inside(rings: list[Ring], x: float, y: float) -> bool:
    """By the rule of SVG that fills what winds around a point at all."""
    winds = 0
    for ring in rings:
        for (x1, y1), (x2, y2) in pairwise([*ring, ring[0]]):
            if (y1 > y) != (y2 > y) and x1 + (x2 - x1) * (y - y1) / (y2 - y1) > x:
                winds += 1 if y2 > y1 else -1
    return winds != 0


@given(st.data(), st.sampled_from([(8, 40.0), (9, 14.0), (8, 13.0)]), st.integers(0, 5))
def test_classes_cover_what_their_cells_cover_and_nothing_twice(
    data: st.DataObject, scale: tuple[int, float], k: int
) -> None:
    res, metres = scale
    cells = sorted(h3.grid_disk(h3.latlng_to_cell(*PLACE, res), k))
    classes = data.draw(st.lists(st.integers(0, 3), min_size=len(cells), max_size=len(cells)))
    at = near(PLACE, metres)
    grid = Grid(at)
    of = {kind: [cell for cell, own in zip(cells, classes, strict=True) if own == kind] for kind in range(4)}
    paths = {kind: read(grid.path(own)) for kind, own in of.items()}
    for cell, kind in zip(cells, classes, strict=True):
        x, y = at(h3.cell_to_latlng(cell))
        assert [one for one, rings in paths.items() if inside(rings, x, y)] == [kind]
    own = {kind: sum(area([grid.ring(cell)]) for cell in cells_of) for kind, cells_of in of.items()}
    assert {kind: area(rings) for kind, rings in paths.items()} == own, "no hole, no overlap"
    whole = read(grid.path(cells))
    assert len(whole) == 1, "all cells of a disk have one outline"
    assert sum(own.values()) == area(whole)
    square_m = sum(h3.cell_area(cell, "m^2") for cell in cells)
    assert abs(area(whole)) / 2 * metres**2 == pytest.approx(square_m, rel=0.03)


def test_a_hole_stays_one_and_islands_are_apart() -> None:
    middle = h3.latlng_to_cell(*PLACE, 8)
    grid = Grid(near(PLACE, 20.0))
    rings = read(grid.path(set(h3.grid_disk(middle, 1)) - {middle}))
    assert len(rings) == 2
    assert not inside(rings, *near(PLACE, 20.0)(h3.cell_to_latlng(middle)))
    assert len(read(grid.path([middle, *h3.grid_ring(middle, 2)[:1]]))) == 2


@pytest.mark.parametrize("cell", [h3.get_pentagons(8)[3], next(iter(h3.grid_disk(h3.get_pentagons(9)[0], 1)))])
def test_around_a_pentagon_too(cell: int) -> None:
    at = near(h3.cell_to_latlng(cell), 10.0)
    grid = Grid(at)
    disk = h3.grid_disk(cell, 2)
    whole = read(grid.path(disk))
    assert len(whole) == 1
    assert area(whole) == sum(area([grid.ring(one)]) for one in disk)


def test_nothing_is_drawn_of_nothing_and_a_cell_too_small_to_see_is_left_out() -> None:
    assert Grid(near(PLACE, 1.0)).path([]) == ""
    assert Grid(near(PLACE, 1e6)).path([h3.latlng_to_cell(*PLACE, 9)]) == ""


UNITS = st.integers(-999, 999)


@given(st.lists(st.lists(st.tuples(UNITS, UNITS), min_size=3, max_size=9), max_size=5))
def test_what_is_written_is_read_again(rings: list[list[Corner]]) -> None:
    assert read(drawn(rings)) == rings
    assert "," not in drawn(rings)


def test_sides_that_cancel_leave_no_ring() -> None:
    square = [(0, 0), (5, 0), (5, 5), (0, 5)]
    assert outlines([square, square[::-1]]) == []
