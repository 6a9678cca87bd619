"""What gateways say of themselves: the figures of each minute in `status`, and what each said last in `newest`.

Both have one series a gateway. The epoch is no tag: a gateway has a new one at each boot. `newest` is one point that is
written over: to look for it in years of `status` takes the database too long, and a whole status takes ten times the
room of its figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from cloud.store import Retry
from cloud.store.engines.influx.lines import quoted, tagged
from cloud.store.engines.influx.places import AT_NS
from cloud.store.engines.influx.server import BodyRefused, Server
from cloud.store.keys import MS_NS
from cloud.store.statuses import RECENT_MS, StatusRow
from wire.batch import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

Row = tuple[dict[str, str], dict[str, Any]]


def write(server: Server, gateway: str, status: Status, arrival_ms: int) -> None:
    """Keep a heartbeat: its figures for panels, and all of it. A last will takes no place but its own."""
    figures = (
        f"acquired={status.acquired},cut={status.cut},spooled={status.spooled},dropped={status.dropped},"
        f"oldest_s={float(status.oldest_s):.3f},online={int(status.state == 'online')},"
        f"state={quoted(status.state)},life={quoted(f'{status.epoch}/{status.boot}')}"
    )
    kind = "will" if status.state == "offline" else "said"
    whole = f"{kind}={quoted(msgspec.json.encode(status).decode())},{kind}_ms={arrival_ms}i"
    tags = tagged(gateway)
    try:
        server.write(f"status,{tags} {figures} {arrival_ms * MS_NS}\nnewest,{tags} {whole} {AT_NS}")
    except BodyRefused as error:
        raise Retry(f"InfluxDB refuses a status: {error}", 60.0) from error


def newest(server: Server) -> list[StatusRow]:
    """Return what each gateway said last, and the last figures of epochs that ended just before the newest word of all.

    `acquired` is the highest told in the epoch: of a gateway that is offline by its last will, what it said before.
    """
    (kept,) = server.rows("SELECT * FROM newest GROUP BY gateway")
    whole = server.unreadable.each("status", _parted(kept), _whole)
    since_ns = (max((row.arrival_ms for row in whole), default=0) - RECENT_MS) * MS_NS
    (lately,) = server.rows(f"SELECT * FROM status WHERE time >= {since_ns} GROUP BY gateway")  # noqa: S608 - an integer
    highest: dict[tuple[str, str], int] = {}
    last: dict[tuple[str, str], StatusRow] = {}
    for row in [*server.unreadable.each("status", lately, _figures), *sorted(whole, key=lambda row: row.arrival_ms)]:
        key = (row.gateway, row.status.epoch)
        highest[key] = max(highest.get(key, 0), row.status.acquired)
        if key not in last or row.arrival_ms >= last[key].arrival_ms:
            last[key] = row
    found = (msgspec.structs.replace(row, status=_with(row.status, highest[key])) for key, row in last.items())
    return sorted(found, key=lambda row: (row.gateway, row.arrival_ms))


def _with(status: Status, acquired: int) -> Status:
    return msgspec.structs.replace(status, acquired=acquired)


def _parted(kept: list[Row]) -> Iterator[tuple[str, int, str]]:
    for tags, row in kept:
        for kind in ("said", "will"):
            if row.get(kind) is not None:
                yield tags["gateway"], row[f"{kind}_ms"], row[kind]


def _whole(told: tuple[str, int, str]) -> StatusRow:
    gateway, arrival_ms, body = told
    return StatusRow(gateway, arrival_ms, msgspec.json.decode(body, type=Status))


def _figures(found: Row) -> StatusRow:
    tags, row = found
    epoch, boot = str(row["life"]).split("/")
    acquired, cut, spooled, dropped = (int(row[name]) for name in ("acquired", "cut", "spooled", "dropped"))
    status = Status(1, row["state"], boot, epoch, 0, acquired, cut, spooled, row["oldest_s"], dropped)
    return StatusRow(tags["gateway"], row["time"] // MS_NS, status)
