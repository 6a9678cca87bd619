"""What comes later than single readings are kept: into the measurement `late`, for the sake of its hours.

The hours it belongs to were counted for good, and the database lets nobody add to a number. So the values themselves
are kept, for ever, beside the hours: the same value is the same point, whoever sends it how often. Only the ledger
knows whether a batch came once before, in time, and is in its hours already; beyond the ledger nothing is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.store.engines.influx import ledger
from cloud.store.engines.influx.lines import lines
from cloud.store.keys import HOUR_MS
from cloud.store.ledger import LATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cloud.store.engines.influx.config import InfluxConfig
    from cloud.store.engines.influx.server import Server
    from wire.batch import Batch

GRACE_MS = 2 * HOUR_MS  # the database lets go by its own clock, and an hour is counted when it is over


def kept_from_ms(config: InfluxConfig, arrival_ms: int) -> int:
    """Return from which full hour on readings that come now are kept one by one, 0 where all are."""
    return (arrival_ms - config.keep_ms) // HOUR_MS * HOUR_MS + GRACE_MS if config.keep_ms else 0


def late_lines(server: Server, config: InfluxConfig, batches: Iterable[Batch], arrival_ms: int) -> list[str]:
    """Return the lines of `late` that some batches bring for the first time. Asks the ledger for what it knows."""
    until_ms = kept_from_ms(config, arrival_ms)
    late: dict[tuple[str, str], list[Batch]] = {}
    for batch in batches:
        late.setdefault((batch.gateway, batch.epoch), []).append(batch)
    since_ms = arrival_ms - config.ledger_ms + HOUR_MS
    out: list[str] = []
    for (gateway, epoch), own in late.items():
        rows = ledger.rows_of(server, gateway, epoch, [batch.first for batch in own])
        known = {(row.first, row.n) for row in rows if row.verdict == "stored" and row.words != LATE}
        for batch in own:
            if (batch.first, batch.n) not in known:
                out += _lines(batch, since_ms, until_ms)
    return out


def _lines(batch: Batch, since_ms: int, until_ms: int) -> Iterator[str]:
    for block in batch.blocks:
        own = block.picked([since_ms <= ms < until_ms for ms in block.times_ms])
        for _, line in lines(batch.gateway, own, own.stored_ns()):
            if line.startswith("reading,"):
                yield f"late{line.removeprefix('reading')}"
