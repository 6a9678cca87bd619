"""Views of coverage: what a map may show and how its address says so, and what is shown once it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cloud.coverage.seam import LAYERS, MONTH_NOW

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloud.coverage.around import Around, Change
    from cloud.coverage.walk import Next
    from cloud.pages.coverage_map import Drawn

__all__ = ["FINE", "LAYERS", "MONTH_NOW", "Asked", "Month", "Shown", "View", "view_of"]
FINE = 9  # H3 resolution near a hamlet


class View(NamedTuple):
    """What a map shows: a layer, a network (0: the best of all), a month (0: now)."""

    layer: str = LAYERS[0]
    plmn: int = 0
    month: int = MONTH_NOW

    @property
    def name(self) -> str:
        """Return it as it stands in an address."""
        parts = [self.layer, str(self.plmn), str(self.month)]
        while parts[-1] == "0":
            parts.pop()
        return ".".join(parts)


def view_of(name: str) -> View | None:
    """Return the view of an address; None for what is none, or is another's spelling."""
    layer, *rest = name.split(".")
    if layer not in LAYERS or len(rest) > 2 or not all(one.isascii() and one.isdecimal() for one in rest):
        return None
    if any(len(one) > 6 for one in rest):
        return None
    view = View(layer, *map(int, rest))
    right_month = view.month == MONTH_NOW or (2020 <= view.month // 100 <= 2100 and 1 <= view.month % 100 <= 12)
    return view if view.name == name and right_month else None


class Month(NamedTuple):
    """A month beside others: its map, its cells by class, and what it knows otherwise than the month before it here."""

    month: int
    drawn: Drawn
    counts: dict[str, int]
    change: Change | None


class Shown(NamedTuple):
    """A view made ready.

    `drawn` is None where nothing was surveyed near; `counts` are cells by class, `left_out` those that are too far or
    too many; `hamlets` have the cells around each, `res` the resolution of these. `views` are all that there is.
    """

    view: View
    views: tuple[View, ...]
    made_ms: int = 0
    drawn: Drawn | None = None
    counts: Mapping[str, int] = {}
    left_out: int = 0
    hamlets: Mapping[str, Around] = {}
    res: int = FINE
    change: tuple[int, Change] | None = None  # the month before, and what the view knows otherwise
    beside: tuple[Month, ...] = ()  # months, the oldest first
    networks: tuple[tuple[int, Around], ...] = ()  # of one hamlet
    walks: tuple[Next, ...] = ()  # where to walk next
    invented: bool = False  # a sample: nobody measured it


class Asked(NamedTuple):
    """A question: a view, of one hamlet or of all, with months side by side or without."""

    view: View
    hamlet: str = ""
    months: bool = False
