"""Everything gocche can measure, once: a row gives name, unit, range, codes, urgency and the words people read.

Drivers, checks, pages, panels and `docs/reference/quantities.md` are all made from this table. A name and its meaning
are an API: they are never reused, and a change of unit or decimals is a new name (docs/protocol.md).

SenML units are those of RFC 8428 and RFC 8798; where neither registry has the unit the row says `senml_unit=""` and
the value has no SenML form. `senml = value * senml_factor`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import msgspec

MAX_SCALED = 2**53  # every integer below is exact in a double, in JSON and in line protocol
TABLE_STEPS = 65_536  # up to here a table of valid texts both checks and formats; above it, arithmetic does


class Bands(msgspec.Struct, frozen=True, tag="bands"):
    """Urgent by size: crossing a boundary (in the quantity's unit) changes the class. `calm` is the harmless one."""

    at: tuple[float, ...]
    calm: int = 0

    def band(self, value: float) -> int:
        """Return which of the intervals between the boundaries the value lies in."""
        return sum(value >= boundary for boundary in self.at)


class Groups(msgspec.Struct, frozen=True, tag="groups"):
    """Urgent by meaning: entering or leaving this set of codes changes the class; inside is the harmless one."""

    inside: frozenset[int]
    calm: int = 1

    def band(self, value: float) -> int:
        """Return 1 inside the set, 0 outside."""
        return int(int(value) in self.inside)


class Quantity(msgspec.Struct, frozen=True):
    """One measured quantity. `low` and `high` bound what is plausible, inclusive, in `unit`."""

    name: str
    unit: str
    senml_unit: str
    senml_factor: float
    decimals: int
    low: float
    high: float
    vi: str
    en: str
    codes: Mapping[int, tuple[str, str]] | None = None
    urgency: Bands | Groups | None = None
    trust: str = "ok"  # "low": stored and graphed for staff, never on a public page, never behind an alert

    @property
    def shown(self) -> int:
        """How many decimals people read, at each of its figures: what a sensor resolves, and what a person can use."""
        return _SHOWN.get(self.name, min(max(self.decimals, 0), 1))

    @property
    def steps(self) -> int:
        """How many different values lie within the range."""
        return self.scale(self.high) - self.scale(self.low) + 1

    def scale(self, value: float) -> int:
        """Return the value as an integer of `10**-decimals` units, rounded half to even.

        Raises ValueError for a number that is not finite or not below 2**53 when scaled.
        """
        if not abs(value) <= sys.float_info.max:  # infinite, no number, or an integer that no float can be
            raise ValueError(f"{self.name}: {value} is not a finite number")
        shifted = value * 10.0**self.decimals  # may be infinite where the value is not
        if not -MAX_SCALED < shifted < MAX_SCALED:
            raise ValueError(f"{self.name}: {value} is too large to be kept exactly")
        return round(shifted)

    def unscale(self, scaled: int) -> float:
        """Return the number that a scaled integer stands for."""
        return scaled / 10**self.decimals if self.decimals >= 0 else float(scaled * 10**-self.decimals)

    def plausible(self, value: float) -> bool:
        """Tell whether the value lies within the quantity's range."""
        return self.low <= value <= self.high

    def text(self, scaled: int) -> str:
        """Return the decimal text of a scaled integer: always `decimals` places, never an exponent."""
        if self.decimals <= 0:
            return str(scaled * 10**-self.decimals)
        return f"{scaled / 10**self.decimals:.{self.decimals}f}"


# 3GPP TS 27.007 §7.2 <stat> of AT+CREG/+CEREG/+C5GREG
REGISTRATION = {
    0: ("không đăng ký", "not registered"),
    1: ("có sóng", "registered"),
    2: ("đang tìm sóng", "searching"),
    3: ("bị từ chối", "denied"),
    4: ("không rõ", "unknown"),
    5: ("chuyển vùng", "roaming"),
    6: ("chỉ SMS", "SMS only"),
    7: ("chỉ SMS, chuyển vùng", "SMS only, roaming"),
    8: ("chỉ gọi khẩn cấp", "emergency calls only"),
    9: ("không ưu tiên CSFB", "CSFB not preferred"),
    10: ("không ưu tiên CSFB, chuyển vùng", "CSFB not preferred, roaming"),
}
IN_SERVICE = frozenset({1, 5})
RADIO = {
    0: ("không có", "none"),
    1: ("2G", "2G"),
    2: ("3G", "3G"),
    3: ("4G", "LTE"),
    4: ("5G NSA", "5G NSA"),
    5: ("5G SA", "5G SA"),
}
SIREN = {  # what a siren at a gateway does: the edge says so of itself, nobody orders it from afar
    0: ("im lặng", "silent"),
    1: ("đang hú", "sounding"),
    2: ("đã có người tắt tại chỗ", "stopped on the spot"),
    3: ("không hú được hoặc không tắt được", "cannot sound, or cannot be silenced"),
    4: ("đang thử", "being tested"),
}
YES_NO = {0: ("không", "no"), 1: ("có", "yes")}
CLAIM = {  # levels of detect/: none of them says that a fire is confirmed, only a person does
    0: ("không có gì", "none"),
    1: ("theo dõi", "watch"),
    2: ("nghi có khói", "suspected"),
    3: ("nhiều khả năng cháy", "probable"),
}
FIX = {  # NMEA 0183 GGA field 6
    0: ("không có vị trí", "no fix"),
    1: ("GNSS", "GNSS"),
    2: ("GNSS vi sai", "differential GNSS"),
    3: ("PPS", "PPS"),
    4: ("RTK", "RTK"),
    5: ("RTK động", "float RTK"),
    6: ("ước tính", "estimated"),
    7: ("nhập tay", "manual"),
    8: ("mô phỏng", "simulated"),
}

# Shown with other than 0 or 1 decimals.
_SHOWN = {
    "lat": 5, "lon": 5, "alt": 0, "soil_ph": 2, "wind_direction": 0, "lte_rsrp": 0, "nr_ss_rsrp": 0, "formaldehyde": 3,
    "rtt": 0,
}  # fmt: skip

_Q = Quantity
_ROWS = (
    # soil
    _Q("soil_moisture", "%", "%RH", 1.0, 2, 0, 100, "Độ ẩm đất", "Soil moisture"),
    _Q("soil_temperature", "Cel", "Cel", 1.0, 2, -40, 80, "Nhiệt độ đất", "Soil temperature"),
    _Q("soil_ec", "uS/cm", "S/m", 1e-4, 0, 0, 20_000, "Độ dẫn điện của đất", "Soil conductivity"),
    _Q("soil_ph", "pH", "pH", 1.0, 2, 3, 10, "Độ pH của đất", "Soil pH"),
    _Q("soil_nitrogen", "mg/kg", "", 1.0, 0, 0, 2_999, "Đạm trong đất", "Soil nitrogen", trust="low"),
    _Q("soil_phosphorus", "mg/kg", "", 1.0, 0, 0, 2_999, "Lân trong đất", "Soil phosphorus", trust="low"),
    _Q("soil_potassium", "mg/kg", "", 1.0, 0, 0, 2_999, "Kali trong đất", "Soil potassium", trust="low"),
    # air and weather
    _Q("air_temperature", "Cel", "Cel", 1.0, 2, -40, 80, "Nhiệt độ không khí", "Air temperature"),
    _Q("air_humidity", "%RH", "%RH", 1.0, 1, 0, 100, "Độ ẩm không khí", "Air humidity"),
    _Q("dew_point", "Cel", "Cel", 1.0, 2, -80, 60, "Điểm sương", "Dew point"),
    _Q("air_pressure", "hPa", "Pa", 100.0, 2, 500, 1_100, "Áp suất không khí", "Air pressure"),
    _Q("wind_speed", "m/s", "m/s", 1.0, 2, 0, 90, "Tốc độ gió", "Wind speed"),
    _Q("wind_direction", "deg", "deg", 1.0, 1, 0, 360, "Hướng gió", "Wind direction"),
    _Q(
        "wind_direction_relative", "deg", "deg", 1.0, 1, 0, 360, "Hướng gió so với thiết bị", "Wind direction, relative"
    ),
    _Q("wind_force", "Bft", "", 1.0, 0, 0, 17, "Cấp gió", "Wind force"),
    _Q("rain_total", "mm", "mm", 1.0, 2, 0, 100_000, "Lượng mưa cộng dồn", "Rain, running total"),
    _Q("illuminance", "lx", "lx", 1.0, 0, 0, 250_000, "Độ rọi", "Illuminance"),
    _Q("noise", "dB", "dB", 1.0, 1, 0, 150, "Tiếng ồn", "Noise"),
    _Q("water_level", "cm", "m", 0.01, 2, -1_000, 10_000, "Mực nước", "Water level"),
    # air quality and smoke
    _Q("pm1", "ug/m3", "ug/m3", 1.0, 0, 0, 5_000, "Bụi PM1", "PM1"),
    _Q("pm2_5", "ug/m3", "ug/m3", 1.0, 0, 0, 5_000, "Bụi mịn PM2,5", "PM2.5", urgency=Bands((55.0, 150.0))),
    _Q("pm10", "ug/m3", "ug/m3", 1.0, 0, 0, 5_000, "Bụi PM10", "PM10"),
    _Q("pm1_cf1", "ug/m3", "ug/m3", 1.0, 0, 0, 5_000, "PM1 (CF=1)", "PM1, factory calibration"),
    _Q("pm2_5_cf1", "ug/m3", "ug/m3", 1.0, 0, 0, 5_000, "PM2,5 (CF=1)", "PM2.5, factory calibration"),
    _Q("pm10_cf1", "ug/m3", "ug/m3", 1.0, 0, 0, 5_000, "PM10 (CF=1)", "PM10, factory calibration"),
    _Q("particles_0_3", "/dL", "", 1.0, 0, 0, 65_535, "Hạt > 0,3 µm", "Particles > 0.3 µm"),
    _Q("particles_0_5", "/dL", "", 1.0, 0, 0, 65_535, "Hạt > 0,5 µm", "Particles > 0.5 µm"),
    _Q("particles_1", "/dL", "", 1.0, 0, 0, 65_535, "Hạt > 1 µm", "Particles > 1 µm"),
    _Q("particles_2_5", "/dL", "", 1.0, 0, 0, 65_535, "Hạt > 2,5 µm", "Particles > 2.5 µm"),
    _Q("particles_5", "/dL", "", 1.0, 0, 0, 65_535, "Hạt > 5 µm", "Particles > 5 µm"),
    _Q("particles_10", "/dL", "", 1.0, 0, 0, 65_535, "Hạt > 10 µm", "Particles > 10 µm"),
    _Q("formaldehyde", "mg/m3", "", 1.0, 3, 0, 20, "Formaldehyde", "Formaldehyde"),
    _Q("tvoc", "ppb", "ppb", 1.0, 0, 0, 60_000, "Hợp chất hữu cơ bay hơi", "Volatile organic compounds", trust="low"),
    _Q("co", "ppm", "ppm", 1.0, 1, 0, 1_000, "Khí CO", "Carbon monoxide", urgency=Bands((2.0, 20.0))),
    _Q("co2", "ppm", "ppm", 1.0, 0, 0, 40_000, "Khí CO2", "Carbon dioxide"),
    _Q("smoke_claim", "1", "", 1.0, 0, 0, 3, "Nhận định khói, nhiệt", "Smoke claim", CLAIM, Bands((1.0, 2.0, 3.0))),
    # signal
    _Q("registration", "1", "", 1.0, 0, 0, 10, "Tình trạng sóng", "Registration", REGISTRATION, Groups(IN_SERVICE)),
    _Q("radio", "1", "", 1.0, 0, 0, 5, "Loại mạng", "Radio access", RADIO),
    _Q("rssi", "dBm", "dBm", 1.0, 1, -120, 0, "Cường độ tín hiệu RSSI", "RSSI"),
    _Q("lte_rsrp", "dBm", "dBm", 1.0, 1, -141, -20, "4G RSRP", "LTE RSRP"),
    _Q("lte_rsrq", "dB", "dB", 1.0, 1, -40, 10, "4G RSRQ", "LTE RSRQ"),
    _Q("lte_sinr", "dB", "dB", 1.0, 1, -30, 30, "4G SINR", "LTE SINR"),
    _Q("nr_ss_rsrp", "dBm", "dBm", 1.0, 1, -157, -20, "5G SS-RSRP", "5G SS-RSRP"),
    _Q("nr_ss_rsrq", "dB", "dB", 1.0, 1, -45, 25, "5G SS-RSRQ", "5G SS-RSRQ"),
    _Q("nr_ss_sinr", "dB", "dB", 1.0, 1, -30, 40, "5G SS-SINR", "5G SS-SINR"),
    _Q("plmn", "1", "", 1.0, 0, 1_000, 999_999, "Mã mạng (mcc·1000+mnc)", "Network code (mcc·1000+mnc)"),
    _Q("tac", "1", "", 1.0, 0, 0, 0xFFFFFF, "Mã vùng TAC", "Tracking area"),
    _Q("cell", "1", "", 1.0, 0, 0, 0xFFFFFFFFF, "Mã ô (cell)", "Cell identity"),
    _Q("pci", "1", "", 1.0, 0, 0, 503, "4G PCI", "LTE physical cell"),
    _Q("nr_pci", "1", "", 1.0, 0, 0, 1_007, "5G PCI", "5G physical cell"),
    _Q("earfcn", "1", "", 1.0, 0, 0, 262_143, "4G EARFCN", "LTE channel number"),
    _Q("nr_arfcn", "1", "", 1.0, 0, 0, 3_279_165, "5G ARFCN", "5G channel number"),
    _Q("lte_band", "1", "", 1.0, 0, 1, 255, "4G, số băng tần", "LTE band number"),
    _Q("nr_band", "1", "", 1.0, 0, 1, 1_024, "5G, số băng tần n", "5G band number n"),
    _Q("rtt", "ms", "s", 0.001, 1, 0, 60_000, "Thời gian đi về đến máy chủ", "Round trip to the server"),
    _Q("loss", "%", "/", 0.01, 0, 0, 100, "Tỉ lệ không tới máy chủ", "Share that did not reach the server"),
    # the SIM, as its operator tells
    _Q("sim_balance", "VND", "", 1.0, 0, 0, 1_000_000_000, "Tiền trong SIM", "Money on the SIM"),
    _Q("sim_data_left", "MB", "B", 1e6, 0, 0, 100_000_000, "Dữ liệu còn lại của SIM", "Data left on the SIM"),
    _Q("sim_days_left", "d", "s", 86_400.0, 0, -36_500, 36_500, "SIM còn hạn, ngày", "Days until the SIM expires"),
    # place
    _Q("lat", "deg", "lat", 1.0, 7, -90, 90, "Vĩ độ", "Latitude"),
    _Q("lon", "deg", "lon", 1.0, 7, -180, 180, "Kinh độ", "Longitude"),
    _Q("alt", "m", "m", 1.0, 2, -500, 9_000, "Độ cao", "Altitude"),
    _Q("accuracy", "m", "m", 1.0, 1, 0, 100_000, "Sai số vị trí", "Position uncertainty"),
    _Q("fix_quality", "1", "", 1.0, 0, 0, 8, "Chất lượng vị trí", "Fix quality", FIX),
    _Q("satellites", "1", "count", 1.0, 0, 0, 99, "Số vệ tinh", "Satellites"),
    _Q("hdop", "1", "/", 1.0, 2, 0, 100, "Độ loãng ngang HDOP", "HDOP"),
    _Q("ground_speed", "m/s", "m/s", 1.0, 2, 0, 120, "Tốc độ di chuyển", "Ground speed"),
    _Q("course", "deg", "deg", 1.0, 1, 0, 360, "Hướng di chuyển", "Course"),
    # the gateway itself
    _Q("supply_voltage", "V", "V", 1.0, 2, 0, 60, "Điện áp nguồn", "Supply voltage", urgency=Bands((11.0, 11.8), 2)),
    _Q("mains", "1", "", 1.0, 0, 0, 1, "Có điện lưới", "Mains power", YES_NO, Groups(frozenset({1}))),
    _Q("siren", "1", "", 1.0, 0, 0, 4, "Còi báo cháy", "Siren", SIREN, Bands((1.0, 2.0, 3.0, 4.0))),
    _Q("siren_button", "1", "", 1.0, 0, 0, 1, "Nút tắt còi", "Button that stops the siren", YES_NO),
    _Q("clock_uncertainty", "s", "s", 1.0, 0, 0, 10**9, "Sai số thời gian", "Time uncertainty"),
)

QUANTITIES: dict[str, Quantity] = {row.name: row for row in _ROWS}
