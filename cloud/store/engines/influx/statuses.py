"""What gateways say of themselves, in the measurement `status`."""

from __future__ import annotations

from typing import Any

import msgspec

from cloud.store import Retry
from cloud.store.engines.influx.lines import quoted, tagged
from cloud.store.engines.influx.server import BodyRefused, Server
from cloud.store.keys import MS_NS
from cloud.store.statuses import StatusRow
from wire.batch import Status


def write(server: Server, gateway: str, status: Status, arrival_ms: int) -> None:
    """Keep a heartbeat: its figures as fields for panels, all of it as the text `body`."""
    body = msgspec.json.encode(status).decode()
    fields = (
        f"acquired={status.acquired},cut={status.cut},spooled={status.spooled},dropped={status.dropped},"
        f"oldest_s={float(status.oldest_s):.3f},online={int(status.state == 'online')},"
        f"state={quoted(status.state)},body={quoted(body)}"
    )
    try:
        server.write(f"status,{tagged(gateway, epoch=status.epoch)} {fields} {arrival_ms * MS_NS}")
    except BodyRefused as error:
        raise Retry(f"InfluxDB refuses a status: {error}", 60.0) from error


def newest(server: Server) -> list[StatusRow]:
    """Return the newest status of every (gateway, epoch), with the highest `acquired` ever told in it."""
    newest, highest = server.rows(
        'SELECT last("body") FROM status GROUP BY gateway, epoch',
        'SELECT max("acquired") FROM status GROUP BY gateway, epoch',
    )
    acquired = {(tags["gateway"], tags["epoch"]): int(row["max"]) for tags, row in highest}

    def made(found: tuple[dict[str, str], dict[str, Any]]) -> StatusRow:
        tags, row = found
        status = msgspec.json.decode(row["last"], type=Status)
        top = max(status.acquired, acquired.get((tags["gateway"], tags["epoch"]), 0))
        return StatusRow(tags["gateway"], row["time"] // MS_NS, msgspec.structs.replace(status, acquired=top))

    out = server.unreadable.each("status", newest, made)
    return sorted(out, key=lambda found: (found.gateway, found.arrival_ms))
