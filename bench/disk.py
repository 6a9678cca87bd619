"""Bytes a value on the database's disk, at rest: what two days of one gateway take once everything is compacted.

Batches of a minute go through the store as the ingester commits them, ledger included; then the servers are left alone
until their files have come to rest. Beside them the same readings as any collector would write them: whole
milliseconds, and nothing that tells whether one is missing. InfluxDB packs a block of 1,000 times by their
differences (docs/decisions/0019-the-time-key.md). SQLite is the file after a checkpoint.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import field, report
from cloud.store import open_store
from cloud.store.engines.influx.lines import SEQ
from cloud.store.engines.influx.parcels import pack
from tests import servers
from wire.batch import MS_NS, Batch
from wire.codec import decode_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

NAME = "disk"
TITLE = "Bytes a value on the database's disk"
LIMIT = 5.0
DAY_MS = 86_400_000
DAYS, QUICK_DAYS = 2, 0.1
BATCH_MS = 60_000
GROUP = 64  # batches a commit
REST_S, PATIENCE_S = 5.0, 240.0
SCENES: dict[str, Callable[[int], list[field.Probe]]] = {
    "5 probes of 6 values": field.five,
    "20 sensors, 3 cadences": field.twenty,
}


class _InfluxD1(servers.InfluxD1):
    """Compacts as soon as nothing is written, not after four hours."""

    def command(self) -> list[str]:
        command = super().command()
        config = Path(command[-1])
        said = 'compact-full-write-cold-duration = "1s"\ncache-snapshot-write-cold-duration = "1s"\n'
        config.write_text(config.read_text().replace("[data]\n", f"[data]\n{said}"))
        return command


class _InfluxD2(servers.InfluxD2):
    """The same."""

    def command(self) -> list[str]:
        return [
            *super().command(),
            "--storage-compact-full-write-cold-duration=1s",
            "--storage-cache-snapshot-write-cold-duration=1s",
        ]


def run(*, quick: bool = False) -> str:
    """Return the table."""
    days = QUICK_DAYS if quick else DAYS
    rows = []
    kinds = [kind for kind in (_InfluxD1, _InfluxD2) if servers.missing(kind.name) is None]
    for scene, probes in SCENES.items():
        values = sum(_values(batch) for batch in _batches(probes(1), days))
        for kind in kinds:
            ours, plain = (_influx(kind, _batches(probes(1), days), ours=ours) / values for ours in (True, False))
            rows.append((scene, kind.name, ours, plain))
        rows.append((scene, "SQLite", _sqlite(_batches(probes(1), days)) / values, None))
    shown = [
        (
            *(scene, engine, report.figure(ours), f"{ours / LIMIT:.2f}×" if plain else "–"),
            *((report.figure(plain), report.times(ours / plain)) if plain else ("–", "–")),
        )
        for scene, engine, ours, plain in rows
    ]
    head = ("scene", "engine", "gocche", f"of {LIMIT:g}", "whole ms, no number", "gocche/it")
    absent = [servers.missing(kind.name) for kind in (_InfluxD1, _InfluxD2) if kind not in kinds]
    return "\n".join(
        [report.table(head, shown), "", *(f"- {why}" for why in absent), f"- {days:g} days of one gateway"]
    )


def _values(batch: Batch) -> int:
    return sum(len(block.seqs) * len(block.columns) for block in batch.blocks)


def _batches(probes: list[field.Probe], days: float) -> Iterator[Batch]:
    first = 1
    for start in range(0, round(days * DAY_MS), BATCH_MS):
        for readings in field.batches(list(field.polled(probes, start, start + BATCH_MS))):
            sent = field.packed(readings, first)
            batch = decode_message("sg-01", sent, field.START_MS + 30 * DAY_MS)
            assert isinstance(batch, Batch)
            yield batch
            first += len(readings)


def _influx(kind: type[_InfluxD1 | _InfluxD2], batches: Iterable[Batch], *, ours: bool) -> int:
    """Return the bytes of the data files, all shards and their indices of series."""
    with tempfile.TemporaryDirectory() as folder, kind(Path(folder) / "server") as server:
        table = servers.influx_table(server, Path(folder))
        store: Any = open_store(table, writer=True)
        store.setup()
        for group in _groups(batches):
            if ours:
                store.commit(group, group[-1].blocks[-1].times_ms[-1])
            else:
                store._server.write("\n".join(_plain(group)))
        store.close()
        return _at_rest(Path(folder) / "server")


def _plain(group: list[Batch]) -> Iterator[str]:
    """Yield the lines that a collector without sequence numbers would write."""
    for batch in group:
        for line in pack(batch).readings.decode().splitlines():
            fields, _, ns = line.rpartition(" ")
            yield f"{fields.partition(f',{SEQ}=')[0]} {int(ns) // MS_NS * MS_NS}"  # few readings carry their number


def _at_rest(folder: Path) -> int:
    """Wait until nothing lies in the write-ahead log and no file changes; return the size of the data files."""
    seen: dict[Path, int] = {}
    since_s = time.monotonic()

    def rests() -> bool:
        nonlocal seen, since_s
        now = {path: path.stat().st_size for path in folder.rglob("*.tsm*")}
        logged = sum(path.stat().st_size for path in folder.rglob("*.wal"))
        if now != seen or not now or logged:
            seen, since_s = now, time.monotonic()
        return time.monotonic() - since_s > REST_S

    servers.until(rests, PATIENCE_S, f"the files of {folder} come to rest")
    return sum(seen.values())


def _sqlite(batches: Iterable[Batch]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        store = open_store({"path": str(path)}, writer=True)
        store.setup()
        for group in _groups(batches):
            store.commit(group, group[-1].blocks[-1].times_ms[-1])
        store.close()
        db = sqlite3.connect(path)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        return path.stat().st_size


def _groups(batches: Iterable[Batch]) -> Iterator[list[Batch]]:
    group: list[Batch] = []
    for batch in batches:
        group.append(batch)
        if len(group) == GROUP:
            yield group
            group = []
    if group:
        yield group
