"""The kinds of panel that the board is made of, and the InfluxQL each of them asks.

All queries are raw InfluxQL, the one language that InfluxDB 1.x, 2.x and 3 share. A line breaks where nothing came for
an hour (`fill(null)` and `spanNulls`): a straight line across an outage would be an invented value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from cloud.panels import looks
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCE = {"type": "influxdb", "uid": "gocche"}
OUTAGE_MS = 3_600_000
CHOSEN = '$timeFilter AND "gateway" =~ /^$gateway$/ AND "channel" =~ /^$channel$/'
CHOSEN_GATEWAY = '$timeFilter AND "gateway" =~ /^$gateway$/'
HEARD = f"{CHOSEN_GATEWAY} AND \"state\" != 'offline'"  # a last will knows no figures
PER_CHANNEL = 'time($__interval), "gateway", "channel"'
IN_COLOUR = {"type": "color-text"}
SERIES = "$tag_gateway · $tag_channel"

Panel = dict[str, Any]


class Column(msgspec.Struct, frozen=True):
    """One column of a table of newest readings. `verdict` shows the words of the level in place of the number."""

    quantity: str
    verdict: bool = False

    @property
    def name(self) -> str:
        """The name under which the query returns it."""
        return f"{self.quantity}_verdict" if self.verdict else self.quantity


def ask(what: str, measurement: str, where: str, group: str, fill: str = "") -> str:
    """Return one InfluxQL query; the names in it are ours, the variables are filled in by Grafana."""
    words = ["SELECT", what, f'FROM "{measurement}"', "WHERE", where, "GROUP BY", group, fill]
    return " ".join(word for word in words if word)


def target(query: str, *, alias: str = "", form: str = "time_series", ref: str = "A") -> dict[str, Any]:
    """Return one raw InfluxQL target of the data source `gocche`."""
    words = {"refId": ref, "datasource": SOURCE, "rawQuery": True, "query": query, "resultFormat": form}
    return words | ({"alias": alias} if alias else {})


def panel(kind: str, titles: tuple[str, str], about: tuple[str, str], size: tuple[int, int]) -> Panel:
    """Return a panel without targets or looks; `size` is (columns of 24, rows)."""
    return {
        "type": kind,
        "title": looks.both(*titles),
        "description": "\n\n".join(about),
        "datasource": SOURCE,
        "gridPos": {"w": size[0], "h": size[1]},
        "targets": [],
        "fieldConfig": {"defaults": {}, "overrides": []},
        "options": {},
    }


def now(quantity: str, about: tuple[str, str], size: tuple[int, int]) -> Panel:
    """Return the newest value of each channel within the last hour, with its trend: what is older is not "now"."""
    made = panel("stat", (QUANTITIES[quantity].vi, QUANTITIES[quantity].en), about, size)
    query = ask(f'last("{quantity}")', "reading", CHOSEN, PER_CHANNEL, "fill(none)")
    made["targets"] = [target(query, alias=SERIES)]
    made |= {"timeFrom": "1h", "hideTimeOverride": True}
    made["fieldConfig"]["defaults"] = looks.field_look(quantity) | {"noValue": "chưa có số trong 1 giờ qua"}
    made["options"] = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "none",
        "textMode": "value_and_name",
        "text": {"titleSize": 14, "valueSize": 24},  # else Grafana shrinks words until they cannot be read
        "justifyMode": "center",
        "orientation": "horizontal",
    }
    return made


def lines(quantities: Sequence[str], titles: tuple[str, str], about: tuple[str, str], size: tuple[int, int]) -> Panel:
    """Return the course of one or several quantities (of one unit) per channel, with their levels as dashed lines.

    Each quantity is a query of its own: in one query a channel that lacks one of them would get a line of nulls.
    """
    made = panel("timeseries", titles, about, size)
    made["targets"] = [
        target(
            ask(f'mean("{q}")', "reading", CHOSEN, PER_CHANNEL, "fill(null)"),
            alias=SERIES if len(quantities) == 1 else f"{SERIES} · {QUANTITIES[q].en}",
            ref=q,
        )
        for q in quantities
    ]
    made["fieldConfig"]["defaults"] = looks.field_look(quantities[0]) | {"custom": _line(quantities[0])}
    made["options"] = _legend()
    return made


def plain(quantity: str, size: tuple[int, int]) -> Panel:
    """Return the course of a quantity that needs no more words than its name."""
    row = QUANTITIES[quantity]
    about = (f"{row.vi} theo thời gian, trung bình mỗi khoảng.", f"{row.en} over time, mean of each interval.")
    return lines([quantity], (row.vi, row.en), about, size)


def gateway_lines(
    field: str, unit: str, titles: tuple[str, str], about: tuple[str, str], size: tuple[int, int]
) -> Panel:
    """Return the course of one field of the heartbeats per gateway."""
    made = panel("timeseries", titles, about, size)
    query = ask(f'max("{field}")', "status", HEARD, 'time($__interval), "gateway"', "fill(null)")
    made["targets"] = [target(query, alias="$tag_gateway")]
    defaults = {"unit": unit, "decimals": 0, "min": 0, "thresholds": looks.thresholds(field)}
    made["fieldConfig"]["defaults"] = defaults | {"custom": _line(field)}
    made["options"] = _legend()
    return made


def states(quantity: str, about: tuple[str, str], size: tuple[int, int]) -> Panel:
    """Return the course of a coded quantity as bars that carry the words of the code."""
    made = panel("state-timeline", (QUANTITIES[quantity].vi, QUANTITIES[quantity].en), about, size)
    query = ask(f'last("{quantity}")', "reading", CHOSEN, PER_CHANNEL, "fill(null)")
    made["targets"] = [target(query, alias=SERIES)]
    custom = {"fillOpacity": 80, "lineWidth": 0, "spanNulls": OUTAGE_MS}
    # By levels, which codes have none of, Grafana draws no legend; so it lists the words, which a narrow bar cuts off.
    look = looks.field_look(quantity) | {"color": {"mode": "palette-classic"}}
    made["fieldConfig"]["defaults"] = look | {"custom": custom}
    made["options"] = {"mergeValues": True, "showValue": "auto", "alignValue": "center", "rowHeight": 0.8}
    made["options"]["legend"] = {"displayMode": "list", "placement": "bottom", "showLegend": True}
    return made


def newest(columns: Sequence[Column], titles: tuple[str, str], about: tuple[str, str], size: tuple[int, int]) -> Panel:
    """Return a table with the newest reading of each channel that has the first column's quantity, and its age.

    One row is one reading: every number in it was measured at the time that stands beside it.
    """
    made = panel("table", titles, about, size)
    pivot, *others = columns
    chosen = [f'last("{pivot.quantity}") AS "{pivot.name}"', *(f'"{c.quantity}" AS "{c.name}"' for c in others)]
    query = ask(", ".join(chosen), "reading", CHOSEN, '"gateway", "channel"')
    made["targets"] = [target(query, form="table")]
    made["fieldConfig"]["defaults"] = {"unit": "none", "noValue": "–", "thresholds": looks.thresholds("")}
    made["fieldConfig"]["overrides"] = [*labels(), *(_column(column) for column in columns)]
    order = ["gateway", "channel", *(column.name for column in columns), "Time"]
    made["transformations"] = [arranged(order)]
    made["options"] = {"showHeader": True, "cellHeight": "sm"}
    return made


def labels() -> list[dict[str, Any]]:
    """Return the looks of the columns that every table has: gateway, channel and age."""
    return [
        by_name("gateway", {"displayName": "Trạm · Gateway", "custom.width": 135}),
        by_name("channel", {"displayName": "Cảm biến · Sensor", "custom.width": 150}),
        by_name("Time", {"displayName": "Đo lúc · Measured", "unit": "dateTimeFromNow", "custom.width": 140}),
    ]


def by_name(name: str, properties: dict[str, Any]) -> dict[str, Any]:
    """Return an override of the field with that name."""
    listed = [{"id": key, "value": value} for key, value in properties.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": listed}


def words_of(name: str) -> dict[str, Any]:
    """Return the properties of a column that shows a level's words, in the level's colour, instead of the number."""
    words = {"displayName": "Đánh giá · Verdict", "mappings": looks.verdicts(name)}
    return words | {"custom.cellOptions": IN_COLOUR, "custom.align": "left"}


def arranged(order: Sequence[str]) -> dict[str, Any]:
    """Return the transformation that puts the columns into this order."""
    return {"id": "organize", "options": {"indexByName": {name: index for index, name in enumerate(order)}}}


def _column(column: Column) -> dict[str, Any]:
    if column.verdict:
        return by_name(column.name, words_of(column.quantity))
    look = looks.field_look(column.quantity)
    coloured = {"custom.cellOptions": IN_COLOUR, "custom.align": "left"} if "mappings" in look else {}
    words = looks.title(column.quantity)
    return by_name(column.name, {"displayName": words, "custom.minWidth": 7 * len(words) + 24} | look | coloured)


def _line(name: str) -> dict[str, Any]:
    return {
        "drawStyle": "line",
        "lineWidth": 2,
        "fillOpacity": 0,
        "showPoints": "auto",
        "spanNulls": OUTAGE_MS,
        "thresholdsStyle": {"mode": "dashed" if name in looks.LEVELS else "off"},
    }


def _legend() -> dict[str, Any]:
    legend = {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["min", "max", "lastNotNull"]}
    return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
