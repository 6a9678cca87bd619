"""The panels "why values are missing": which quantity of which sensor has no value now, why, and what came instead.

A quantity is missing now when its latest reading within the hour carries a reason instead of a value. InfluxQL joins no
measurements and answers `last()` of several fields with a column of nulls for every field of the weekly shard, under
one time that is nobody's. So each quantity is asked for alone, in `missing`, `raw` and `reading`, and the answers come
as rows of one shape: reason (0 where there is a value), raw number, number of the quantity, each with its own time.
Grafana joins reason and raw number by their time, keeps the newest of each quantity and drops those that have a value.
Each panel asks for the quantities of its own section: a query must fit a request line that web servers take.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cloud.panels import looks
from cloud.panels.parts import CHOSEN, Panel, arranged, by_name, labels, panel, target
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Iterable

SECTIONS = {  # of the garden's board: how the names of its quantities begin; the last one takes what no other has
    "soil": "soil_",
    "air": "air_temperature|air_humidity|pm|particles_|formaldehyde|tvoc|co2?$",
    "weather": "dew_point|air_pressure|wind_|rain_|illuminance|noise|water_level",
    "signal": "registration|radio|rssi|lte_|nr_|plmn|tac|cell|pci|earfcn|rtt|loss",
    "gateways": "",
}
NUMBERS = {name: number for number, name in enumerate(QUANTITIES)}  # InfluxQL selects numbers, not words
SHAPES = {  # of the row that each measurement gives for a quantity; one time stands for one reading
    "missing": 'last("{0}") AS reason,"{0}"*0+{1} AS quantity',
    "raw": 'last("{0}") AS raw,"{0}"*0+{1} AS quantity',
    "reading": 'last("{0}")*0 AS reason,last("{0}")*0+{1} AS quantity',
}
KEYS = ("gateway", "channel", "quantity")
REASON, RAW, TIME = "reason (firstNotNull) (first)", "raw (firstNotNull) (first)", "Time (first)"  # after the grouping
NOTHING: dict[str, Any] = {"type": "special", "options": {"match": "null", "result": {"text": "–"}}}


def missing_now(names: Iterable[str], vi: str, en: str) -> Panel:
    """Return the table of those of the quantities that have no value now, each under its own sensor, newest first.

    The title says what an empty table means: Grafana shows "No data" there, and only from 10.4 on the words for it.
    """
    titles = (
        f"{vi}: đang thiếu số nào, vì sao (trống: không thiếu)",
        f"{en}: what is missing now and why (empty: nothing)",
    )
    about = (
        "Lần đo mới nhất trong một giờ qua không có số. Thiếu không phải là 0. Số đọc thô: chỉ để tìm lỗi.",
        "The newest reading of the last hour has no value. Missing is not zero. A raw number is only for repair.",
    )
    made = panel("table", titles, about, (24, 5))
    made["targets"] = [target(question(names), form="table")]
    made |= {"timeFrom": "1h", "hideTimeOverride": True}
    made["transformations"] = _newest_without_value()
    defaults = {"unit": "none", "thresholds": looks.thresholds(""), "noValue": "không thiếu gì · nothing is missing"}
    made["fieldConfig"] = {"defaults": defaults, "overrides": _columns()}
    made["options"] = {"showHeader": True, "cellHeight": "sm"}
    return made


def of_section(section: str) -> list[str]:
    """Return the quantities of a section of the garden's board; every quantity belongs to one."""
    home = {name: next(of for of, begins in SECTIONS.items() if re.match(begins, name)) for name in QUANTITIES}
    return [name for name, of in home.items() if of == section]


def question(names: Iterable[str]) -> str:
    """Return the InfluxQL: one subquery a quantity and measurement; time, tags and grouping reach all of them."""
    sources = ",".join(
        f'(SELECT {shape.format(name, NUMBERS[name])} FROM "{measurement}")'  # noqa: S608 - names and numbers are ours
        for name in names
        for measurement, shape in SHAPES.items()
    )
    return f'SELECT reason, raw, quantity FROM {sources} WHERE {CHOSEN} GROUP BY "gateway", "channel"'  # noqa: S608


def _newest_without_value() -> list[dict[str, Any]]:
    absent = {"fieldName": REASON, "config": {"id": "greater", "options": {"value": 0}}}
    return [
        _grouped((*KEYS, "Time"), ("reason", "raw"), "firstNotNull"),
        {"id": "sortBy", "options": {"sort": [{"field": "Time", "desc": True}]}},
        _grouped(KEYS, ("reason (firstNotNull)", "raw (firstNotNull)", "Time"), "first"),
        {"id": "filterByValue", "options": {"type": "include", "match": "all", "filters": [absent]}},
        arranged([*KEYS, REASON, RAW, TIME]),
    ]


def _grouped(keys: Iterable[str], fields: Iterable[str], how: str) -> dict[str, Any]:
    by: dict[str, Any] = {key: {"operation": "groupby", "aggregations": []} for key in keys}
    return {
        "id": "groupBy",
        "options": {"fields": by | {field: {"operation": "aggregate", "aggregations": [how]} for field in fields}},
    }


def _columns() -> list[dict[str, Any]]:
    words = {NUMBERS[name]: (row.vi, row.en) for name, row in QUANTITIES.items()}
    quantity: dict[str, Any] = {"displayName": "Đại lượng · Quantity", "mappings": [looks.codes(words)]}
    reason: dict[str, Any] = {"displayName": "Lý do · Reason", "mappings": [looks.codes(looks.reasons())]}
    gateway, channel, time = labels()
    left = {"custom.align": "left"}
    return [
        gateway,
        channel,
        by_name("quantity", quantity | left),
        by_name(REASON, reason | left),
        by_name(RAW, {"displayName": "Số đọc thô · Raw number", "mappings": [NOTHING]}),
        by_name(TIME, {each["id"]: each["value"] for each in time["properties"]}),
    ]
