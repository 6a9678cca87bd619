"""The board "Cháy rừng": what detectors claim, what they claim it from, and the weather that a fire spreads in.

A claim is the detector's, at the gateway; the panels beneath show what it saw. Whether it burns, a person says, on the
duty page: that and the danger of a day stand in files of the server that Grafana does not read (docs/grafana.md).
"""

from __future__ import annotations

from typing import Any

from cloud.panels.frame import dashboard
from cloud.panels.missing import missing_now
from cloud.panels.parts import Panel, lines, now, plain, states

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


def fire() -> dict[str, Any]:
    """Return the dashboard as Grafana's classic JSON; the same call gives the same board."""
    about = "Nhận định khói, bộ dò thấy gì, còi và thời tiết cháy · Smoke claims, their inputs, sirens and fire weather"
    return dashboard(UID, "Cháy rừng", about, sections())


def sections() -> list[tuple[str, list[Panel]]]:
    """Return the rows of the board: the title of each, and its panels in reading order."""
    return [
        ("Bây giờ (trong 1 giờ qua) · Now (within the last hour)", _now()),
        (
            "Nhận định và còi · Claims and sirens",
            [states("smoke_claim", CLAIM, (24, 6)), states("siren", SIREN, (24, 5))],
        ),
        ("Bộ dò thấy gì · What the detectors see", _seen()),
        ("Thời tiết cháy · Fire weather", _weather()),
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
    return states(quantity, about, (24, 6))


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
