"""What alerts remember of one rule on one channel, and how it is written."""

from __future__ import annotations

import logging

import msgspec
from msgspec.structs import replace

from cloud.alerts.spans import Lane
from cloud.alerts.usual import Hour
from cloud.store.totals import Run

LOG = logging.getLogger(__name__)


class Series(msgspec.Struct, frozen=True):
    """One rule on one channel: its lane of present readings and its lane of late ones.

    At `look_ms` the live lane is judged again although nothing came: a span whose newest readings were already good
    was held back to be told in one message with its end, and the end did not come. Of a running total `runs` is what
    was read, as far as sums need it.
    """

    live: Lane = Lane()
    late: Lane = Lane()
    look_ms: int | None = None
    newest_ms: int = 0
    intervals: list[int] = []  # between its last readings, in ms: its pace
    runs: list[Run] = []
    hours: list[Hour] = []  # of a level that is judged by what is usual

    @property
    def calm(self) -> bool:
        """Whether nothing goes on: nothing is lost if it is judged once more."""
        return self.look_ms is None and self.live.calm and self.late.calm

    def unpacked(self) -> Series:
        """Return the state with points alone, as it is written; the very same where it is so."""
        if not (self.live.packed or self.late.packed):
            return self
        return replace(self, live=self.live.unpacked(), late=self.late.unpacked())


NEW = Series(live=Lane(stirred=False), late=Lane(stirred=False))


def read_series(kept: bytes | str) -> Series | None:
    """Return a state as it was written, as text before version 8; None for one that cannot be read.

    That costs its own past, and no smoke.
    """
    try:
        return msgspec.json.decode(kept, type=Series) if isinstance(kept, str) else _states.decode(kept)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        LOG.error("series-forgotten why=%r", str(fault))  # noqa: TRY400 - no traceback is wanted of what was read
        return None


_states = msgspec.msgpack.Decoder(Series)
