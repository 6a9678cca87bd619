"""Many series read together, channel by channel, in slices: no read transaction outlives a second.

So the log stays short, and of however many series only some channels are in memory at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from cloud.store.engines.sqlite import history

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from cloud.store.engines.sqlite.file import Readers
    from cloud.store.engines.sqlite.history import Where
    from cloud.store.history import Series
    from cloud.store.unreadable import Unreadable

_T = TypeVar("_T")


class Reads(Protocol[_T]):
    """How a slice of one channel is read: `history.series` or `history.hourly`."""

    def __call__(
        self, db: sqlite3.Connection, unreadable: Unreadable, where: Where, quantities: Sequence[str], /
    ) -> dict[str, list[_T]]:
        """Return what some quantities of it have in a slice."""


def each(
    readers: Readers,
    unreadable: Unreadable,
    wanted: Sequence[Series],
    tables: Sequence[str],
    span: tuple[int, int],
    of: Reads[_T],
) -> Iterator[tuple[Series, list[_T]]]:
    """Yield each of many series with what a range holds of it; the parts of a slice follow each other in time."""
    channels: dict[tuple[str, str], list[str]] = {}
    for gateway, channel, quantity in dict.fromkeys(wanted):
        channels.setdefault((gateway, channel), []).append(quantity)
    with readers.read() as db:
        whole = history.whole(db, tables, span)
    counted = tables == history.COUNTED
    most = history.MANY_HOURS if counted else history.SLICE_HOURS
    names = list(channels)
    many = max(1, most // max(1, whole["high"] - whole["low"] + 1))
    for some in (names[at : at + many] for at in range(0, len(names), many)):
        with readers.read() as db:
            own = {name: whole | {"channel": history.number_of(db, *name)} for name in some}
            is_slow = counted and sum(history.uncounted(db, where) for where in own.values()) > history.SLICE_HOURS
        found: dict[Series, list[_T]] = {(*name, quantity): [] for name in some for quantity in channels[name]}
        for part in history.sliced(whole, max(1, (history.SLICE_HOURS if is_slow else most) // len(some))):
            with readers.read() as db:
                for name, where in own.items():
                    for quantity, rows in of(db, unreadable, where | part, channels[name]).items():
                        found[(*name, quantity)] += rows
        yield from found.items()
