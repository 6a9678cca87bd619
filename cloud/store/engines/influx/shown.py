"""What the server found, for boards: measurements of their own, in the policy that Grafana asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.store import Retry
from cloud.store.engines.influx.lines import NONE, escaped, quoted
from cloud.store.engines.influx.server import BodyRefused, Server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.store import Shown


def write(server: Server, points: Sequence[Shown]) -> None:
    """Copy points, in one request."""
    if not points:
        return
    try:
        server.write("\n".join(map(_line, points)))
    except BodyRefused as error:
        raise Retry(f"InfluxDB refuses what boards are to show: {error}", 60.0) from error


def _line(point: Shown) -> str:
    tags = "".join(f",{key}={escaped(value or NONE)}" for key, value in sorted(point.tags.items()))
    fields = [f"{name}={float(value)!r}" for name, value in point.figures.items()]
    fields += [f"{name}={quoted(value)}" for name, value in point.words.items()]
    return f"{point.kind}{tags} {','.join(fields)} {point.at_ns}"
