"""The board "Vườn chè": now, soil, air, weather, signal and gateway health, top to bottom as staff ask for them."""

from __future__ import annotations

from typing import Any

from cloud.panels import looks
from cloud.panels.frame import dashboard
from cloud.panels.missing import missing_now, of_section
from cloud.panels.parts import (
    CHOSEN_GATEWAY,
    IN_COLOUR,
    Column,
    Panel,
    arranged,
    ask,
    by_name,
    gateway_lines,
    labels,
    lines,
    newest,
    now,
    panel,
    plain,
    states,
    target,
    words_of,
)

UID = "gocche-vuon-che"
STATES = {
    "type": "value",
    "options": {
        "online": {"text": "đang nối · online", "color": "green", "index": 0},
        "stopped": {"text": "đã tắt đúng cách · stopped", "color": "orange", "index": 1},
        "offline": {"text": "mất liên lạc · offline", "color": "red", "index": 2},
    },
}


def board() -> dict[str, Any]:
    """Return the dashboard as Grafana's classic JSON; the same call gives the same board."""
    about = "Đất, không khí, thời tiết, sóng và trạm của vườn chè · Soil, air, weather, signal and gateways"
    return dashboard(UID, "Vườn chè", about, sections())


def sections() -> list[tuple[str, list[Panel]]]:
    """Return the rows of the board: the title of each, and its panels in reading order."""
    return [
        ("Bây giờ (trong 1 giờ qua) · Now (within the last hour)", _now()),
        ("Đất · Soil", _soil()),
        ("Không khí và khói · Air and smoke", _air()),
        ("Thời tiết · Weather", _weather()),
        ("Sóng · Signal", _signal()),
        ("Trạm đo · Gateways", _gateways()),
    ]


def _now() -> list[Panel]:
    hour = ("Số mới nhất trong một giờ qua của từng cảm biến.", "Newest value of each sensor within the last hour.")
    smoke = (
        "Trên 55 µg/m³: nghi có khói; chỉ con người mới xác nhận được cháy.",
        "Above 55 µg/m³ smoke is suspected; only a person confirms a fire.",
    )
    return [
        now("soil_moisture", hour, (4, 5)),
        now("air_temperature", hour, (6, 5)),
        now("air_humidity", hour, (5, 5)),
        now("pm2_5", smoke, (4, 5)),
        now("registration", hour, (5, 5)),
    ]


def _soil() -> list[Panel]:
    moisture = (
        "Dưới 15 %: khô hạn, cần xem cây. 15–20 %: hơi khô.",
        "Below 15 %: dry, look after the tree. 15–20 %: rather dry.",
    )
    table = (
        "Lần đo mới nhất của từng đầu dò; các số trong một hàng được đo cùng lúc.",
        "Newest reading of each probe; the numbers in one row were measured together.",
    )
    columns = [
        Column("soil_moisture"),
        Column("soil_moisture", verdict=True),
        Column("soil_temperature"),
        Column("soil_ec"),
        Column("soil_ph"),
    ]
    return [
        newest(columns, ("Đất: số đo mới nhất", "Soil: newest readings"), table, (24, 5)),
        lines(["soil_moisture"], ("Độ ẩm đất", "Soil moisture"), moisture, (24, 9)),
        plain("soil_temperature", (12, 8)),
        plain("soil_ec", (12, 8)),
        missing_now(of_section("soil"), "Đất", "Soil"),
    ]


def _air() -> list[Panel]:
    temperature = (
        "Dưới 5 °C: chè có thể bị sương giá. Từ 35 °C: nắng nóng.",
        "Below 5 °C: tea may suffer frost. From 35 °C: hot.",
    )
    humidity = ("Dưới 40 %: không khí hanh khô, dễ cháy.", "Below 40 %: dry air, fire spreads easily.")
    smoke = (
        "Bụi mịn tăng nhanh có thể là khói: từ 55 µg/m³ nghi có khói, từ 150 µg/m³ rất cao. Không xác nhận cháy.",
        "A quick rise may be smoke: from 55 µg/m³ suspected, from 150 µg/m³ very high. This panel confirms no fire.",
    )
    columns = [Column("pm2_5"), Column("pm2_5", verdict=True)]
    return [
        lines(["air_temperature"], ("Nhiệt độ không khí", "Air temperature"), temperature, (12, 9)),
        lines(["air_humidity"], ("Độ ẩm không khí", "Air humidity"), humidity, (12, 9)),
        lines(["pm2_5", "pm10"], ("Bụi mịn PM2,5 và PM10", "PM2.5 and PM10"), smoke, (12, 8)),
        newest(columns, ("Khói: số đo mới nhất", "Smoke: newest readings"), smoke, (12, 8)),
        missing_now(of_section("air"), "Không khí", "Air"),
    ]


def _weather() -> list[Panel]:
    table = (
        "Lần đo mới nhất của trạm thời tiết; các số trong một hàng được đo cùng lúc.",
        "Newest reading of each weather station; the numbers in one row were measured together.",
    )
    wind = (
        "Hướng gió thổi đến, tính từ hướng bắc: 90° là gió đông, 180° là gió nam.",
        "Where the wind comes from, from north: 90° is an east wind, 180° a south wind.",
    )
    columns = ("wind_speed", "wind_direction", "air_pressure", "dew_point")
    direction = lines(["wind_direction"], ("Hướng gió", "Wind direction"), wind, (12, 8))
    direction["fieldConfig"]["defaults"] |= {"min": 0, "max": 360}
    # A mean of directions is wrong across north, and a line between 350° and 10° would cross the south.
    direction["fieldConfig"]["defaults"]["custom"] |= {"drawStyle": "points", "pointSize": 5}
    direction["targets"][0]["query"] = direction["targets"][0]["query"].replace("mean(", "last(")
    return [
        newest([Column(q) for q in columns], ("Thời tiết mới nhất", "Newest weather"), table, (24, 5)),
        plain("wind_speed", (12, 8)),
        direction,
        plain("air_pressure", (12, 8)),
        plain("dew_point", (12, 8)),
        missing_now(of_section("weather"), "Thời tiết", "Weather"),
    ]


def _signal() -> list[Panel]:
    course = (
        "Modem có bắt được mạng không, theo thời gian. Chỗ trống là không đo được.",
        "Whether the modem was registered, over time. A blank means: not measured.",
    )
    table = ("Lần đo sóng mới nhất của từng modem.", "Newest signal reading of each modem.")
    power = (
        "Độ mạnh sóng 4G và 5G. Từ −95 dBm: tốt; −105 đến −95: trung bình; −115 đến −105: yếu; dưới −115: rất yếu.",
        "Signal power of 4G and 5G. From −95 dBm good; −105 to −95 fair; −115 to −105 weak; below −115 very weak.",
    )
    noise = ("Sóng so với nhiễu: càng cao càng tốt.", "Signal against noise: the higher the better.")
    columns = [
        Column("registration"),
        Column("radio"),
        Column("lte_rsrp"),
        Column("lte_rsrp", verdict=True),
        Column("nr_ss_rsrp"),
        Column("nr_ss_rsrp", verdict=True),
    ]
    return [
        states("registration", course, (24, 5)),
        newest(columns, ("Sóng mới nhất", "Newest signal"), table, (24, 5)),
        lines(["lte_rsrp", "nr_ss_rsrp"], ("Độ mạnh sóng RSRP", "Signal power RSRP"), power, (12, 9)),
        lines(["lte_sinr", "nr_ss_sinr"], ("Chất lượng sóng SINR", "Signal quality SINR"), noise, (12, 9)),
        missing_now(of_section("signal"), "Sóng", "Signal"),
    ]


def _gateways() -> list[Panel]:
    waiting = (
        "Số lần đo còn nằm ở trạm, chưa gửi được. Tăng mãi nghĩa là mất đường truyền.",
        "Readings still at the gateway. A steady rise means that the link is down.",
    )
    oldest = (
        "Lần đo cũ nhất đang chờ đã chờ bao lâu. Trên 1 giờ: kiểm tra đường truyền; trên 6 giờ: kiểm tra trạm.",
        "How long the oldest waiting reading has waited. Over 1 hour: check the link; over 6 hours: check the gateway.",
    )
    taken = (
        "Số lần đo mà trạm đã lưu an toàn, cộng dồn. Đường nằm ngang nghĩa là trạm không đo.",
        "Readings that the gateway has made safe, running total. A flat line means that nothing is measured.",
    )
    return [
        _heartbeats(),
        gateway_lines("spooled", "none", ("Đang chờ gửi", "Waiting to be sent"), waiting, (8, 8)),
        gateway_lines("oldest_s", "s", ("Chờ lâu nhất", "Longest wait"), oldest, (8, 8)),
        gateway_lines("acquired", "none", ("Số lần đã đo", "Readings taken"), taken, (8, 8)),
        _position(),
        missing_now(of_section("gateways"), "Trạm", "Gateways"),
    ]


def _heartbeats() -> Panel:
    about = (
        "Nhịp báo gần nhất của từng trạm, mỗi phút một lần. Lâu hơn 5 phút: trạm mất liên lạc.",
        "Newest heartbeat of each gateway, one a minute. Older than 5 minutes: the gateway is out of touch.",
    )
    made = panel("table", ("Tình trạng trạm", "Gateway status"), about, (24, 5))
    columns: dict[str, dict[str, Any]] = {
        "acquired": {"displayName": "Đã đo · Readings taken"},
        "state": {"displayName": "Trạng thái · State", "mappings": [STATES], "custom.cellOptions": IN_COLOUR},
        "spooled": {"displayName": "Đang chờ gửi · Waiting"},
        "oldest_s": {"displayName": "Chờ lâu nhất · Longest wait", "unit": "s"},
        "oldest_s_verdict": words_of("oldest_s"),
        "dropped": {"displayName": "Đã bỏ · Dropped"},
    }
    chosen = ", ".join(f'"{name.removesuffix("_verdict")}" AS "{name}"' for name in list(columns)[1:])
    query = ask(f'last("acquired") AS "acquired", {chosen}', "status", CHOSEN_GATEWAY, '"gateway"')
    made["targets"] = [target(query, form="table")]
    made["fieldConfig"]["defaults"] = {"unit": "none", "decimals": 0, "thresholds": looks.thresholds("")}
    heard = by_name("Time", {"displayName": "Báo lúc · Heard", "unit": "dateTimeFromNow"})
    made["fieldConfig"]["overrides"] = [labels()[0], heard, *(by_name(*item) for item in columns.items())]
    made["transformations"] = [arranged(["gateway", *sorted(columns, key="acquired".__eq__), "Time"])]
    return made


def _position() -> Panel:
    about = (
        "Vị trí trạm theo vệ tinh. Không chia sẻ toạ độ cây quý ra ngoài.",
        "Where the gateway is, by satellite. Do not pass the coordinates of rare trees on.",
    )
    columns = [Column(q) for q in ("lat", "lon", "alt", "fix_quality", "satellites")]
    return newest(columns, ("Vị trí trạm", "Gateway position"), about, (24, 5))
