"""What the ledger adds up to, in the measurements `tally` and `mark`: points written over and over.

One point for each epoch, in one series for each gateway and each ingester: an epoch is no tag, as a gateway has a new
one at each boot, and what several ingesters keep stands side by side, so that none writes over what another knows.
"""

from __future__ import annotations

import zlib
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from cloud.store import Retry
from cloud.store.engines.influx.lines import escaped, quoted, tagged
from cloud.store.engines.influx.places import AT_NS
from cloud.store.engines.influx.server import BodyRefused, Server
from cloud.store.summary import Mark, Tallied
from cloud.store.unreadable import ROTTEN

if TYPE_CHECKING:
    from collections.abc import Sequence

SPAN_NS = 10**14  # where epochs lie, each by its own digits: a day
PAGES = 4  # in which they are read, for a reply has its bound
TALLIES = 500  # in one body
PART = 30_000  # characters of one field, which may have 64 KiB


def keep(server: Server, tallies: Sequence[Tallied], mark: Mark, by: str) -> None:
    """Keep the tallies, and when all are kept the mark."""
    lines = [f"tally,{tagged(one.gateway, by=by)} {_fields(one)} {_at_ns(one.epoch)}" for one in tallies]
    bodies = ["\n".join(lines[at : at + TALLIES]) for at in range(0, len(lines), TALLIES)]
    try:
        for body in [*bodies, f"mark,by={escaped(by)} until_ms={mark.until_ms}i,expired_ms={mark.expired_ms}i {AT_NS}"]:
            server.write(body)
    except BodyRefused as error:
        raise Retry(f"InfluxDB refuses the summary of the ledger: {error}", 60.0) from error


def read(server: Server) -> tuple[Mark, list[Tallied]]:
    """Return how far the summary goes, read first, and what was kept of each epoch, by whoever kept it."""
    (marks,) = server.rows("SELECT until_ms, expired_ms FROM mark")
    mark = Mark(
        max((int(row["until_ms"]) for _, row in marks), default=0),
        max((int(row["expired_ms"]) for _, row in marks), default=0),
    )
    edges = [AT_NS + SPAN_NS * page // PAGES for page in range(PAGES + 1)]
    found: list[Tallied] = []
    for low, high in pairwise(edges):
        where = f"WHERE time >= {low} AND time < {high}"
        (kept,) = server.rows(f'SELECT * FROM tally {where} GROUP BY gateway, epoch, "by"')  # noqa: S608 - integers
        found += [Tallied(tags["gateway"], row.get("of") or tags["epoch"], _text(row)) for tags, row in kept]
    return mark, found


def _at_ns(epoch: str) -> int:
    return AT_NS + (zlib.crc32(epoch.encode()) * 2**32 + zlib.crc32(epoch[::-1].encode())) % SPAN_NS


def _fields(one: Tallied) -> str:
    """Return a text in as many fields as it needs; how many says which of them are not from a longer one before."""
    parts = [one.text[at : at + PART] for at in range(0, len(one.text), PART)]
    texts = [f"text{at}={quoted(part)}" for at, part in enumerate(parts)]
    return ",".join([f"of={quoted(one.epoch)}", f"parts={len(parts)}i", *texts])


def _text(row: dict[str, Any]) -> str:
    """Return the text, "" for what is none: then the ledger is read."""
    try:
        return "".join(row[f"text{at}"] for at in range(int(row["parts"])))
    except ROTTEN:
        return ""
