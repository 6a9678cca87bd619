"""The board "Cháy rừng": what detectors claim and what from, the danger of each day, and incidents across all courses.

A claim is the detector's, at the gateway; the panels beneath show what it saw. Whether it burns, a person says, on the
duty page. Danger and incidents are copies that the server makes for boards (cloud/rooms/boards.py).
"""

from __future__ import annotations

from typing import Any

from cloud.danger.levels import AT_LEAST, ROMAN
from cloud.panels import looks
from cloud.panels.frame import choice, dashboard
from cloud.panels.missing import missing_now
from cloud.panels.parts import (
    IN_COLOUR,
    OUTAGE_MS,
    SOURCE,
    Panel,
    arranged,
    ask,
    by_name,
    lines,
    now,
    panel,
    plain,
    states,
    target,
)

UID = "gocche-chay-rung"
SEEN = ("smoke_claim", "siren", "pm2_5", "co", "air_temperature", "air_humidity", "supply_voltage", "wind_speed")
CLAIM = (
    "Nhận định của bộ dò ở trạm, từ bụi mịn, khí CO, nhiệt và độ ẩm. Chỉ con người xác nhận cháy, ở trang trực.",
    "What the detector at the gateway claims of smoke and heat. Only a person confirms a fire, on the duty page.",
)
SIREN = (
    "Còi ở trạm tự báo nó đang làm gì. Chỗ trống là không biết.",
    "What the siren at the gateway says that it does. A blank means: not known.",
)
TOLD = {  # how Grafana takes an annotation out of rows
    "query": 'SELECT "text", "stage" FROM "incident" WHERE $timeFilter AND "gateway" =~ /^$gateway$/',
    "textColumn": "text",
    "tagsColumn": "stage",
}
INCIDENTS = {
    "name": "Sự việc · Incidents",
    "datasource": SOURCE,
    "enable": True,
    "hide": False,
    "iconColor": "red",
    "target": TOLD | {"refId": "incidents", "fromAnnotations": True, "rawQuery": True},
    **TOLD,  # where Grafana looked before version 9
}
ZONE = choice("zone", "Khu · Zone", 'SHOW TAG VALUES FROM "danger" WITH KEY = "zone"')
OF_ZONES = '$timeFilter AND "zone" =~ /^$zone$/'
COLOURS = ("green", "blue", "yellow", "orange", "red")  # of the levels
INDICES = {"p": "P", "fwi": "FWI", "ffmc_peak": "FFMC"}


def fire() -> dict[str, Any]:
    """Return the dashboard as Grafana's classic JSON; the same call gives the same board."""
    about = "Nhận định khói, còi, sự việc và nguy cơ cháy · Smoke claims, sirens, incidents and fire danger"
    return dashboard(UID, "Cháy rừng", about, sections(), choices=[ZONE], marks=[INCIDENTS])


def sections() -> list[tuple[str, list[Panel]]]:
    """Return the rows of the board: the title of each, and its panels in reading order."""
    return [
        ("Bây giờ (trong 1 giờ qua) · Now (within the last hour)", _now()),
        (
            "Nhận định và còi · Claims and sirens",
            [_course("smoke_claim", CLAIM), _course("siren", SIREN)],
        ),
        ("Bộ dò thấy gì · What the detectors see", _seen()),
        ("Thời tiết cháy · Fire weather", _weather()),
        ("Nguy cơ cháy (30 ngày) · Fire danger (30 days)", _danger()),
    ]


def _now() -> list[Panel]:
    hour = ("Số mới nhất trong một giờ qua của từng cảm biến.", "Newest value of each sensor within the last hour.")
    return [
        now("smoke_claim", CLAIM, (12, 5)),
        now("siren", SIREN, (12, 5)),
        now("pm2_5", hour, (8, 5)),
        now("co", hour, (8, 5)),
        now("air_humidity", hour, (8, 5)),
    ]


def _course(quantity: str, about: tuple[str, str]) -> Panel:
    return states(quantity, about, (24, 7))


def _seen() -> list[Panel]:
    dust = (
        "Đường gạch: 55 và 150 µg/m³, từ đó trạm gửi gấp. Sương và bếp cũng làm bụi tăng; nhận định là của bộ dò.",
        "Dashed: 55 and 150 µg/m³, from where the gateway hurries. Fog and kitchens raise it too; the detector judges.",
    )
    gas = (
        "Đường gạch: 2 và 20 ppm, từ đó trạm gửi gấp. CO cùng tăng với bụi mịn là dấu hiệu của khói.",
        "Dashed: 2 and 20 ppm, from where the gateway hurries. CO that rises with particles is a sign of smoke.",
    )
    return [
        lines(["pm2_5"], ("Bụi mịn PM2,5", "PM2.5"), dust, (8, 9)),
        lines(["co"], ("Khí CO", "Carbon monoxide"), gas, (8, 9)),
        plain("supply_voltage", (8, 9)),
        missing_now(SEEN, "Cháy rừng", "Fire"),
    ]


def _weather() -> list[Panel]:
    humidity = ("Dưới 40 %: không khí hanh khô, dễ cháy.", "Below 40 %: dry air, fire spreads easily.")
    return [
        plain("air_temperature", (8, 8)),
        lines(["air_humidity"], ("Độ ẩm không khí", "Air humidity"), humidity, (8, 8)),
        plain("wind_speed", (8, 8)),
    ]


def _danger() -> list[Panel]:
    p = (
        "Chỉ số P, cộng dồn từ ngày mưa. Cấp I–V chỉ đọc được qua bảng của tỉnh.",
        "Index P, summed since rain. It is read as a level I to V only by the table of the province.",
    )
    fwi = ("Chỉ số FWI của Canada, tính lúc trưa.", "The Canadian Fire Weather Index, computed at noon.")
    ffmc = (
        "FFMC theo giờ, cao nhất trong buổi chiều: vật cháy mịn khô đến đâu. Trên 90: rất dễ bắt lửa.",
        "Hourly FFMC, the highest of the afternoon: how dry fine fuel is. Above 90 it catches fire very easily.",
    )
    return [
        _newest_days(),
        _days("p", ("Chỉ số P", "Index P"), p),
        _days("fwi", ("FWI mỗi ngày", "FWI of each day"), fwi),
        _days("ffmc_peak", ("FFMC cao nhất buổi chiều", "Highest FFMC of the afternoon"), ffmc),
    ]


def _days(field: str, titles: tuple[str, str], about: tuple[str, str]) -> Panel:
    """Return the course of one figure of danger; a day without it is a gap."""
    made = panel("timeseries", titles, about, (8, 9))
    group = 'time(1d), "zone" fill(null)'
    made["targets"] = [
        target(ask(f'last("{field}")', "danger", OF_ZONES, group, "tz('Asia/Ho_Chi_Minh')"), alias="$tag_zone")
    ]
    made |= {"timeFrom": "30d", "hideTimeOverride": True}
    custom = {"drawStyle": "line", "lineWidth": 2, "fillOpacity": 0, "showPoints": "always", "spanNulls": OUTAGE_MS}
    defaults = {"unit": "none", "decimals": 0 if field == "p" else 1, "thresholds": looks.thresholds("")}
    made["fieldConfig"]["defaults"] = defaults | {"color": {"mode": "palette-classic"}, "custom": custom}
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
    made["options"] = {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    return made


def _newest_days() -> Panel:
    about = (
        "Ngày mới nhất của từng khu. Không có bảng của tỉnh hay thiếu số đo thì không có cấp.",
        "The newest day of each zone. Without the province's table or weather there is no level.",
    )
    made = panel("table", ("Nguy cơ cháy: ngày mới nhất", "Fire danger: newest day"), about, (24, 6))
    chosen = ", ".join(['last("level") AS "level"', '"name"', *(f'"{name}"' for name in INDICES)])
    made["targets"] = [target(ask(chosen, "danger", OF_ZONES, '"zone"'), form="table")]
    made |= {"timeFrom": "30d", "hideTimeOverride": True}
    made["fieldConfig"]["defaults"] = {
        "unit": "none",
        "decimals": 1,
        "noValue": "–",
        "thresholds": looks.thresholds(""),
    }
    level = {"displayName": "Cấp · Level", "mappings": [_levels()], "custom.cellOptions": IN_COLOUR}
    made["fieldConfig"]["overrides"] = [
        by_name("zone", {"displayName": "Khu · Zone"}),
        by_name("name", {"displayName": "Tên · Name"}),
        by_name("level", level | {"custom.align": "left", "custom.minWidth": 240}),
        by_name("p", {"displayName": "P", "decimals": 0}),
        by_name("fwi", {"displayName": "FWI"}),
        by_name("ffmc_peak", {"displayName": "FFMC cao nhất · highest"}),
        by_name("Time", {"displayName": "Của lúc · As of", "unit": "dateTimeFromNow"}),
    ]
    made["transformations"] = [arranged(["zone", "name", "level", *INDICES, "Time"])]
    made["options"] = {"showHeader": True, "cellHeight": "sm"}
    return made


def _levels() -> dict[str, Any]:
    """Return the words of a coded level (`cloud.danger.levels.coded`)."""
    table = {0: ("không có cấp", "no level")}
    table |= {number: (f"cấp {roman}", f"level {roman}") for number, roman in enumerate(ROMAN, 1)}
    table |= {
        number + AT_LEAST: (f"ít nhất cấp {roman}", f"at least level {roman}") for number, roman in enumerate(ROMAN, 1)
    }
    colours = dict(enumerate(COLOURS, 1))
    return looks.codes(table, colours | {number + AT_LEAST: colour for number, colour in colours.items()})
