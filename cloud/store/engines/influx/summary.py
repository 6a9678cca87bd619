"""What the ledger adds up to, in the measurements `tally` and `mark`: one point each, written over and over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloud.store import Retry
from cloud.store.engines.influx.lines import quoted, tagged
from cloud.store.engines.influx.server import BodyRefused, Server
from cloud.store.summary import Mark, Tallied

if TYPE_CHECKING:
    from collections.abc import Sequence

AT_NS = 7_258_118_400_000_000_000  # 2200-01-01: the same line is the same point, and no retention reaches it
TALLIES = 500  # in one body
PART = 30_000  # characters of one field, which may have 64 KiB


def keep(server: Server, tallies: Sequence[Tallied], mark: Mark) -> None:
    """Keep the tallies, and when all are kept the mark."""
    lines = [f"tally,{tagged(one.gateway, epoch=one.epoch)} {_fields(one.text)} {AT_NS}" for one in tallies]
    bodies = ["\n".join(lines[at : at + TALLIES]) for at in range(0, len(lines), TALLIES)]
    try:
        for body in [*bodies, f"mark until_ms={mark.until_ms}i,expired_ms={mark.expired_ms}i {AT_NS}"]:
            server.write(body)
    except BodyRefused as error:
        raise Retry(f"InfluxDB refuses the summary of the ledger: {error}", 60.0) from error


def read(server: Server) -> tuple[Mark, list[Tallied]]:
    """Return how far the summary goes, read first, and what was kept of each epoch."""
    marks, kept = server.rows("SELECT until_ms, expired_ms FROM mark", "SELECT * FROM tally GROUP BY gateway, epoch")
    mark = max((Mark(int(row["until_ms"]), int(row["expired_ms"])) for _, row in marks), default=Mark(), key=_until)
    return mark, [Tallied(tags["gateway"], tags["epoch"], _text(row)) for tags, row in kept]


def _fields(text: str) -> str:
    """Return a text in as many fields as it needs; how many says which of them are not from a longer one before."""
    parts = [text[at : at + PART] for at in range(0, len(text), PART)]
    return ",".join([f"parts={len(parts)}i", *(f"text{at}={quoted(part)}" for at, part in enumerate(parts))])


def _text(row: dict[str, Any]) -> str:
    return "".join(row[f"text{at}"] for at in range(int(row["parts"])))


def _until(mark: Mark) -> int:
    return mark.until_ms
