"""The panel "Why values are missing": which quantity of which sensor has no value now, and why.

A quantity is missing now when its latest reading within the hour carries a reason instead of a value. InfluxQL joins no
measurements and answers `last()` of several fields with a column of nulls for every field of the weekly shard, under
one time that is nobody's. So each quantity is asked for alone, in `missing` and in `reading`, and the answers come as
rows of one shape: reason (0 where there is a value), number of the quantity, time. Grafana keeps the newest row of each
quantity and drops those that have a value.
"""

from __future__ import annotations

from typing import Any

from cloud.panels import looks
from cloud.panels.parts import CHOSEN, Panel, arranged, by_name, labels, panel, target
from wire.quantities import QUANTITIES

NUMBERS = {name: number for number, name in enumerate(QUANTITIES)}  # InfluxQL selects numbers, not words
KEYS = ("gateway", "channel", "quantity")
NEWEST = ("Time", "reason")


def missing_now(size: tuple[int, int]) -> Panel:
    """Return the table of the quantities that have no value now, each under its own sensor, newest first."""
    about = (
        "Đại lượng nào hiện không có số (theo lần đo mới nhất trong một giờ qua), và vì sao. Thiếu không phải là 0.",
        "Which quantities have no value now (by the newest reading of the last hour), and why. Missing is not zero.",
    )
    made = panel("table", ("Vì sao thiếu số đo (1 giờ qua)", "Why values are missing (last hour)"), about, size)
    made["targets"] = [target(question(), form="table")]
    made |= {"timeFrom": "1h", "hideTimeOverride": True}
    made["transformations"] = _newest_without_value()
    defaults = {"unit": "none", "thresholds": looks.thresholds(""), "noValue": "không thiếu gì · nothing is missing"}
    made["fieldConfig"] = {"defaults": defaults, "overrides": _columns()}
    made["options"] = {"showHeader": True, "cellHeight": "sm"}
    return made


def question() -> str:
    """Return the InfluxQL: one subquery a quantity and measurement; time, tags and grouping reach all of them."""
    sources = [source for name in QUANTITIES for source in (_without_value(name), _with_value(name))]
    return f'SELECT reason, quantity FROM {", ".join(sources)} WHERE {CHOSEN} GROUP BY "gateway", "channel"'  # noqa: S608


def _without_value(name: str) -> str:
    shape = f'last("{name}") AS reason, "{name}" * 0 + {NUMBERS[name]} AS quantity'
    return f'(SELECT {shape} FROM "missing")'  # noqa: S608 - names are ours


def _with_value(name: str) -> str:
    shape = f'last("{name}") * 0 AS reason, last("{name}") * 0 + {NUMBERS[name]} AS quantity'
    return f'(SELECT {shape} FROM "reading")'  # noqa: S608 - names are ours


def _newest_without_value() -> list[dict[str, Any]]:
    grouped = {key: {"operation": "groupby", "aggregations": []} for key in KEYS}
    newest = {field: {"operation": "aggregate", "aggregations": ["first"]} for field in NEWEST}
    absent = {"fieldName": "reason (first)", "config": {"id": "greater", "options": {"value": 0}}}
    return [
        {"id": "sortBy", "options": {"sort": [{"field": "Time", "desc": True}]}},
        {"id": "groupBy", "options": {"fields": grouped | newest}},
        {"id": "filterByValue", "options": {"type": "include", "match": "all", "filters": [absent]}},
        arranged([*KEYS, "reason (first)", "Time (first)"]),
    ]


def _columns() -> list[dict[str, Any]]:
    words = {NUMBERS[name]: (row.vi, row.en) for name, row in QUANTITIES.items()}
    quantity: dict[str, Any] = {"displayName": "Đại lượng · Quantity", "mappings": [looks.codes(words)]}
    reason: dict[str, Any] = {"displayName": "Lý do · Reason", "mappings": [looks.codes(looks.REASONS)]}
    gateway, channel, time = labels()
    measured = by_name("Time (first)", {each["id"]: each["value"] for each in time["properties"]})
    left = {"custom.align": "left"}
    return [
        gateway,
        channel,
        by_name("quantity", quantity | left),
        by_name("reason (first)", reason | left),
        measured,
    ]
