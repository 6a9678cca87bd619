"""The board "Phủ sóng": the signal of each hamlet now and over time, a map of what was surveyed, and the modems.

Hamlets are copies that the server makes for boards (cloud/rooms/boards.py): what the modems bound to a hamlet said,
judged as on the public page. The map draws hexagons from our own pages and nothing beneath them: a base map would load
tiles from somebody else, who would learn who looks at what.
"""

from __future__ import annotations

from typing import Any

from cloud.coverage import scale
from cloud.coverage.hamlets import RANK
from cloud.panels import looks
from cloud.panels.frame import choice, dashboard
from cloud.panels.missing import missing_now
from cloud.panels.parts import IN_COLOUR, OUTAGE_MS, Panel, arranged, ask, by_name, lines, panel, plain, states, target

UID = "gocche-phu-song"
STATES = RANK[: RANK.index("none") + 1]  # what a modem that answers makes of a hamlet; others are not copied
COLOURS = {"good": "dark-green", "fair": "green", "weak": "yellow", "served": "blue", "none": "red"}
UNSURE = "#8e8e8e"
CHOICE = choice("hamlet", "Bản · Hamlet", 'SHOW TAG VALUES FROM "hamlet" WITH KEY = "hamlet"')
OF_HAMLETS = '$timeFilter AND "hamlet" =~ /^$hamlet$/'
MAP_VI = (
    "Ô lục giác: nơi điện thoại và modem đã đo (xanh: có sóng, vàng: yếu, đỏ: không có sóng, xám: chưa chắc). Ô trống: "
    "chưa đo. Chấm: các bản. Chạm vào ô hay chấm để đọc. Không có bản đồ nền: nền tải từ máy chủ người khác."
)
MAP_EN = (
    "Hexagons: measured by telephones and modems (green: signal, yellow: weak, red: none, grey: uncertain). Blank: not "
    "measured. Dots: hamlets. Touch either to read it. No base map, which would be loaded from somebody else's server."
)
SEEN = ("registration", "lte_rsrp", "nr_ss_rsrp", "rtt", "loss", "sim_days_left")


def coverage(pages: str = "") -> dict[str, Any]:
    """Return the dashboard as Grafana's classic JSON. `pages` is where browsers reach our public pages, for the map."""
    about = "Sóng của từng bản, bản đồ phủ sóng, modem · Signal of each hamlet, map of coverage, modems"
    return dashboard(UID, "Phủ sóng", about, sections(pages.rstrip("/")), choices=[CHOICE])


def sections(pages: str) -> list[tuple[str, list[Panel]]]:
    """Return the rows of the board: the title of each, and its panels in reading order."""
    return [
        ("Các bản bây giờ (trong 1 giờ qua) · Hamlets now (within the last hour)", [_now()]),
        ("Bản đồ · Map", [_map(pages)]),
        ("Các bản theo thời gian · Hamlets over time", [_course(), _strength()]),
        ("Modem và SIM · Modems and SIMs", _modems()),
    ]


def coded(state: str) -> int:
    """Return the code of a state of a hamlet. Raises ValueError for one that boards do not show."""
    return STATES.index(state)


def _words() -> dict[str, Any]:
    table = {coded(state): (scale.name(state, "vi"), scale.name(state, "en")) for state in STATES}
    return looks.codes(table, {coded(state): COLOURS[state] for state in STATES})


def _now() -> Panel:
    about = (
        "Số mới nhất trong một giờ qua của modem ở từng bản. Bản không có ở đây: chưa có modem, hoặc modem im lặng.",
        "Newest word of each hamlet's modem within the last hour. A hamlet that lacks has no modem, or a silent one.",
    )
    made = panel("table", ("Sóng ở từng bản", "Signal by hamlet"), about, (24, 7))
    chosen = 'last("state") AS "state", "rsrp" AS "rsrp", "commune" AS "commune"'
    made["targets"] = [target(ask(chosen, "hamlet", OF_HAMLETS, '"hamlet"'), form="table")]
    made |= {"timeFrom": "1h", "hideTimeOverride": True}
    made["fieldConfig"]["defaults"] = {"unit": "none", "noValue": "–", "thresholds": looks.thresholds("")}
    state = {"displayName": "Sóng · Signal", "mappings": [_words()], "custom.cellOptions": IN_COLOUR}
    made["fieldConfig"]["overrides"] = [
        by_name("hamlet", {"displayName": "Bản · Hamlet", "custom.width": 130}),
        by_name("commune", {"displayName": "Xã · Commune"}),
        by_name("state", state | {"custom.align": "left", "custom.minWidth": 190}),
        by_name("rsrp", {"displayName": "RSRP", "unit": "dBm", "decimals": 0}),
        by_name("Time", {"displayName": "Đo lúc · Measured", "unit": "dateTimeFromNow", "custom.width": 160}),
    ]
    made["transformations"] = [arranged(["hamlet", "state", "rsrp", "Time", "commune"])]  # a phone shows two
    made["options"] = {"showHeader": True, "cellHeight": "sm"}
    return made


def _course() -> Panel:
    about = (
        "Mỗi bản một hàng. Chỗ trống là không đo được, không phải là mất sóng.",
        "One row each hamlet. A blank means: not measured, and not: no signal.",
    )
    made = panel("state-timeline", ("Có sóng hay không", "Signal or none"), about, (24, 8))
    query = ask('last("state")', "hamlet", OF_HAMLETS, 'time($__interval), "hamlet"', "fill(null)")
    made["targets"] = [target(query, alias="$tag_hamlet")]
    made["interval"] = "10m"  # as often as it is copied
    look = {"unit": "none", "mappings": [_words()], "thresholds": looks.thresholds("")}
    custom = {"fillOpacity": 80, "lineWidth": 0, "spanNulls": OUTAGE_MS}
    made["fieldConfig"]["defaults"] = look | {"color": {"mode": "palette-classic"}, "custom": custom}
    made["options"] = {"mergeValues": True, "showValue": "auto", "alignValue": "center", "rowHeight": 0.8}
    made["options"]["legend"] = {"displayMode": "list", "placement": "bottom", "showLegend": True}
    return made


def _strength() -> Panel:
    about = (
        "Độ mạnh sóng của modem ở từng bản. Từ bao nhiêu dBm là tốt, là yếu: bảng chú giải ở trang phủ sóng.",
        "Strength at the modem of each hamlet. From which dBm it is good or weak says the legend of the coverage page.",
    )
    made = lines(["lte_rsrp"], ("Độ mạnh sóng ở từng bản", "Strength by hamlet"), about, (24, 9))
    query = ask('mean("rsrp")', "hamlet", OF_HAMLETS, 'time($__interval), "hamlet"', "fill(null)")
    made["targets"] = [target(query, alias="$tag_hamlet")]
    made["interval"] = "10m"
    return made


def _modems() -> list[Panel]:
    course = (
        "Modem có bắt được mạng không, theo thời gian. Chỗ trống là không đo được.",
        "Whether the modem was registered, over time. A blank means: not measured.",
    )
    power = ("Độ mạnh sóng 4G và 5G của từng modem.", "Signal power of 4G and 5G of each modem.")
    return [
        states("registration", course, (24, 6)),
        lines(["lte_rsrp", "nr_ss_rsrp"], ("Độ mạnh sóng RSRP", "Signal power RSRP"), power, (12, 9)),
        plain("rtt", (6, 9)),
        plain("loss", (6, 9)),
        plain("sim_data_left", (8, 8)),
        plain("sim_balance", (8, 8)),
        plain("sim_days_left", (8, 8)),
        missing_now(SEEN, "Phủ sóng", "Coverage"),
    ]


def _map(pages: str) -> Panel:
    made = panel("geomap", ("Bản đồ phủ sóng", "Map of coverage"), (MAP_VI, MAP_EN), (24, 16))
    chosen = 'last("state") AS "state", "lat" AS "lat", "lon" AS "lon", "rsrp" AS "rsrp"'
    made["targets"] = [target(ask(chosen, "hamlet", OF_HAMLETS, '"hamlet"'), form="table")]
    made |= {"timeFrom": "30d", "hideTimeOverride": True}
    look = {"unit": "none", "thresholds": looks.thresholds(""), "mappings": [_words()]}
    made["fieldConfig"]["defaults"] = look | {"color": {"mode": "thresholds"}}
    made["fieldConfig"]["overrides"] = [
        by_name(name, {"mappings": [], "unit": unit})
        for name, unit in (("lat", "none"), ("lon", "none"), ("rsrp", "dBm"))
    ]
    made["options"] = {
        "view": {"id": "fit", "allLayers": True, "lat": 21.5, "lon": 104.5, "zoom": 11, "padding": 10},  # the hamlets
        "basemap": _cells(pages, outline=True),
        "layers": [*([_cells(pages)] if pages else []), _dots()],
        "controls": {"showZoom": True, "mouseWheelZoom": True, "showAttribution": False, "showScale": True},
        "tooltip": {"mode": "details"},
    }
    return made


def _cells(pages: str, *, outline: bool = False) -> dict[str, Any]:
    """Return the layer of hexagons; as an outline it stands where Grafana would lay somebody's tiles."""
    return {
        "type": "geojson",
        "name": "nền · ground" if outline else "Đã đo · Surveyed",
        "tooltip": not outline,
        "opacity": 1,
        "config": {
            "src": f"{pages}/phu-song.geojson" if pages else "",
            "style": _style("#00000000" if outline else UNSURE),
            "rules": [] if outline else [_rule(state) for state in STATES],
        },
    }


def _rule(state: str) -> dict[str, Any]:
    check = {"property": "state", "operation": "eq", "value": state}
    return {"style": _style(COLOURS[state]), "check": check}


def _style(colour: str) -> dict[str, Any]:
    return {"color": {"fixed": colour}, "opacity": 0.5, "lineWidth": 1, "size": {"fixed": 5}}


def _dots() -> dict[str, Any]:
    return {
        "type": "markers",
        "name": "Bản · Hamlets",
        "tooltip": True,
        "location": {"mode": "coords", "latitude": "lat", "longitude": "lon"},
        "config": {
            "showLegend": False,
            "style": {
                "size": {"fixed": 8, "min": 2, "max": 15},
                "color": {"fixed": "text"},  # of the page: a level's colour could not be read on a hexagon of the same
                "opacity": 1,
                "symbol": {"fixed": "img/icons/marker/circle.svg", "mode": "fixed"},
                "text": {"field": "hamlet", "fixed": "", "mode": "field"},
                "textConfig": {"fontSize": 12, "offsetX": 0, "offsetY": -14, "textAlign": "center"},
            },
        },
    }
