"""What others know of a place, which alerts only ask: the danger of its day, and what a satellite saw beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cloud.danger.book import NAME as DANGER
from cloud.danger.now import Now
from cloud.hotspots.book import NAME as HOTSPOTS
from cloud.hotspots.lookout import Lookout

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloud.clock import Clock
    from cloud.hotspots.lookout import Sight
    from cloud.registry import Current


class Around(NamedTuple):
    """Both answer at once, from a book that others write, and nothing where it is doubtful.

    `danger` is the level, 1 to 5, of an area as zone:code; `sky` what was seen beside (lat, lon), now in UTC ms.
    """

    danger: Callable[[str], int | None] = lambda _: None
    sky: Callable[[float, float, int], Sight | None] = lambda *_: None


NOTHING = Around()  # where nobody keeps such books


def around(folder: Path, registry: Current, clock: Clock, lookout: Lookout | None = None) -> Around:
    """Return what answers from the books of a data folder; a lookout may be given by who says how it is."""
    return Around(Now(folder / DANGER, registry, clock).level, (lookout or Lookout(folder / HOTSPOTS)).near)
