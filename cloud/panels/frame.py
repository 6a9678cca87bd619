"""What every board has: the choices above it, its panels laid out in 24 columns, and Grafana's frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloud.panels.parts import SOURCE, Panel

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SCHEMA_VERSION = 38  # classic JSON; newer Grafanas migrate it when they load it
COLUMNS = 24


def dashboard(
    uid: str,
    title: str,
    about: str,
    rows: Iterable[tuple[str, list[Panel]]],
    *,
    choices: Sequence[dict[str, Any]] = (),
    marks: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Return a dashboard as Grafana's classic JSON: `rows` are the title of each section and its panels.

    `choices` stand beside those that every board has, `marks` are what is drawn across its courses (annotations).
    """
    return {
        "uid": uid,
        "title": title,
        "description": about,
        "tags": ["gocche"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "Asia/Ho_Chi_Minh",
        "time": {"from": "now-24h", "to": "now"},
        "refresh": "1m",
        "timepicker": {"refresh_intervals": ["30s", "1m", "5m", "30m"]},
        "templating": {"list": [*variables(), *choices]},
        "annotations": {"list": list(marks)},
        "links": [],
        "panels": laid_out(rows),
    }


def variables() -> list[dict[str, Any]]:
    """Return the two choices above every board: which gateways, and which of their channels."""
    return [
        choice("gateway", "Trạm · Gateway", 'SHOW TAG VALUES FROM "reading" WITH KEY = "gateway"'),
        choice(
            "channel",
            "Cảm biến · Sensor",
            'SHOW TAG VALUES FROM "reading" WITH KEY = "channel" WHERE "gateway" =~ /^$gateway$/',
        ),
    ]


def laid_out(rows: Iterable[tuple[str, list[Panel]]]) -> list[Panel]:
    """Return all panels with ids from 1 and places: left to right, a new line where the 24 columns are full."""
    placed: list[Panel] = []
    top = 0
    for words, panels in rows:
        placed.append({"type": "row", "title": words, "collapsed": False, "panels": [], "id": len(placed) + 1})
        placed[-1]["gridPos"] = {"x": 0, "y": top, "w": COLUMNS, "h": 1}
        top += 1
        left = tallest = 0
        for each in panels:
            size = each["gridPos"]
            if left + size["w"] > COLUMNS:
                top, left, tallest = top + tallest, 0, 0
            placed.append(each | {"id": len(placed) + 1, "gridPos": size | {"x": left, "y": top}})
            left, tallest = left + size["w"], max(tallest, size["h"])
        top += tallest
    return placed


def choice(name: str, label: str, query: str) -> dict[str, Any]:
    """Return a choice above a board, of what a query finds: several, or all."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": query,
        "definition": query,
        "refresh": 2,  # when the time range changes: a new sensor appears without a reload
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "options": [],
    }
