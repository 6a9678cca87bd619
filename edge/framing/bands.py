"""Which band a channel number belongs to: modems leave the band out, or say 0 or that of another cell.

Source: 3GPP TS 36.101 table 5.7.3-1 (downlink EARFCN: each lies in one band) and TS 38.104 table 5.4.2.3-1 (downlink
NR-ARFCN: bands overlap, n78 lies within n77 and n38 within n41). So a 5G band that nobody said, or that cannot be, is
only derived where one band alone is left.
"""

from __future__ import annotations

from edge.driver import Value
from wire.reading import Reason

_LTE = (
    (1, 0, 599), (2, 600, 1199), (3, 1200, 1949), (4, 1950, 2399), (5, 2400, 2649), (6, 2650, 2749), (7, 2750, 3449),
    (8, 3450, 3799), (9, 3800, 4149), (10, 4150, 4749), (11, 4750, 4949), (12, 5010, 5179), (13, 5180, 5279),
    (14, 5280, 5379), (17, 5730, 5849), (18, 5850, 5999), (19, 6000, 6149), (20, 6150, 6449), (21, 6450, 6599),
    (22, 6600, 7399), (23, 7500, 7699), (24, 7700, 8039), (25, 8040, 8689), (26, 8690, 9039), (27, 9040, 9209),
    (28, 9210, 9659), (29, 9660, 9769), (30, 9770, 9869), (31, 9870, 9919), (32, 9920, 10359), (33, 36000, 36199),
    (34, 36200, 36349), (35, 36350, 36949), (36, 36950, 37549), (37, 37550, 37749), (38, 37750, 38249),
    (39, 38250, 38649), (40, 38650, 39649), (41, 39650, 41589), (42, 41590, 43589), (43, 43590, 45589),
    (44, 45590, 46589), (45, 46590, 46789), (46, 46790, 54539), (47, 54540, 55239), (48, 55240, 56739),
    (65, 65536, 66435), (66, 66436, 67335), (67, 67336, 67535), (68, 67536, 67835), (69, 67836, 68335),
    (70, 68336, 68585), (71, 68586, 68935), (72, 68936, 68985), (73, 68986, 69035), (74, 69036, 69465),
    (75, 69466, 70315), (76, 70316, 70365), (85, 70366, 70545), (87, 70546, 70595), (88, 70596, 70645),
)  # fmt: skip
_NR = (
    (1, 422000, 434000), (2, 386000, 398000), (3, 361000, 376000), (5, 173800, 178800), (7, 524000, 538000),
    (8, 185000, 192000), (12, 145800, 149200), (14, 151600, 153600), (18, 172000, 175000), (20, 158200, 164200),
    (25, 386000, 399000), (26, 171800, 178800), (28, 151600, 160600), (29, 143400, 145600), (30, 470000, 472000),
    (34, 402000, 405000), (38, 514000, 524000), (39, 376000, 384000), (40, 460000, 480000), (41, 499200, 537999),
    (48, 636667, 646666), (50, 286400, 303400), (51, 285400, 286400), (53, 496700, 499000), (65, 422000, 440000),
    (66, 422000, 440000), (67, 147600, 151600), (70, 399000, 404000), (71, 123400, 130400), (74, 295000, 303600),
    (75, 286400, 303400), (76, 285400, 286400), (77, 620000, 680000), (78, 620000, 653333), (79, 693334, 733333),
    (90, 499200, 538000), (257, 2054166, 2104165), (258, 2016667, 2070832), (260, 2229166, 2279165),
    (261, 2070833, 2084999),
)  # fmt: skip
_TABLES = {"lte_band": (_LTE, "earfcn"), "nr_band": (_NR, "nr_arfcn")}


def banded(values: dict[str, Value]) -> dict[str, Value]:
    """Return the values of one cell with its band: as it was said where its channel lies there, else as it must be."""
    made = {}
    for name, (table, channel) in _TABLES.items():
        if name in values or channel in values:
            made[name] = _band(name, values.get(name), _whole(values.get(channel)), table)
    return values | made


def _band(name: str, said: Value | None, channel: int | None, table: tuple[tuple[int, int, int], ...]) -> Value:
    told = _whole(said)
    if channel is None:
        if told is not None:
            return Value(name, "1", told, None if told > 0 else Reason.SENTINEL)
        return Value(name, "1", None, Reason.NOT_REPORTED if said is None or said.reason is None else said.reason)
    able = {band for band, low, high in table if low <= channel <= high}
    if told in able:
        return Value(name, "1", told)
    if len(able) == 1:
        return Value(name, "1", able.pop())
    if not able and told is not None and told > 0 and told not in {band for band, _, _ in table}:
        return Value(name, "1", told)  # of a newer release than these tables
    return Value(name, "1", told or None, Reason.AMBIGUOUS)


def _whole(value: Value | None) -> int | None:
    usable = value is not None and value.reason is None and isinstance(value.value, int | float)
    return int(value.value) if usable else None  # type: ignore[union-attr, arg-type]
