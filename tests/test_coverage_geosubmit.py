"""Geosubmit: towers that serve at a moment, with 5G; other people's devices refused; read in pieces of any size."""

from __future__ import annotations

import io
import json
from collections import Counter
from typing import Any

import pytest

from cloud.coverage.into import file, geosubmit
from cloud.coverage.sample import SERVED, BadSample, Heard, Sample
from tests import sentinels
from tests.sentinels import NOW_MS, TIME_MS

POSITION = {"latitude": 21.6206, "longitude": 104.5801, "accuracy": 8.0, "altitude": 1352.5, "age": 900}
TOWER: dict[str, Any] = {
    "radioType": "lte", "mobileCountryCode": 452, "mobileNetworkCode": 4, "locationAreaCode": 12101, "cellId": 27447297,
    "primaryScramblingCode": 101, "signalStrength": -101, "serving": 1, "age": 40, "asu": 39, "timingAdvance": 2,
}  # fmt: skip
NR = TOWER | {"radioType": "nr", "cellId": 6871947673, "primaryScramblingCode": 500, "signalStrength": -99}


def item(*towers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"timestamp": TIME_MS, "position": POSITION, "cellTowers": list(towers)} | more


def read(content: bytes, **more: Any) -> tuple[list[Sample], Counter[str]]:
    samples, refused = [], Counter[str]()
    for one in file.read(io.BytesIO(content), "hang-tay", NOW_MS, **more):
        if isinstance(one, BadSample):
            refused[one.reason] += 1
        elif one is not None:
            samples.append(one)
    return samples, refused


def body(*items: Any) -> bytes:
    return json.dumps({"items": items}).encode()


def test_the_towers_that_serve_are_one_sample() -> None:
    passed: Counter[str] = Counter()
    found = read(body(item(TOWER, NR, TOWER | {"serving": 0, "cellId": 5})), passed=passed)
    lte = Heard(rsrp_dbm=-101, tac=12101, cell=27447297, pci=101)
    nr = Heard(rsrp_dbm=-99, tac=12101, cell=6871947673, pci=500)
    sample = Sample(
        time_ms=TIME_MS, lat=21.6206, lon=104.5801, accuracy_m=8.0, alt_m=1352.5, source="phone", by="hang-tay",
        service=SERVED, plmn=452_004, radio=4, lte=lte, nr=nr, nr_looked=True,
    )  # fmt: skip
    assert found == ([sample], Counter())
    assert passed["neighbour"] == 1


@pytest.mark.parametrize(
    ("tower", "radio", "rssi"),
    [
        (TOWER | {"radioType": "gsm", "signalStrength": -95}, 1, -95.0),
        (TOWER | {"radioType": "wcdma", "signalStrength": -101}, 2, -101.0),
        (TOWER | {"serving": True}, 3, None),
        (NR, 5, None),
    ],
)
def test_every_radio(tower: dict[str, Any], radio: int, rssi: float | None) -> None:
    [sample], refused = read(body(item(tower)))
    assert (sample.radio, sample.rssi_dbm, refused) == (radio, rssi, Counter())


def test_5g_was_looked_for_from_where_the_file_shows_it() -> None:
    samples, _ = read(body(item(TOWER), item(NR | {"serving": 0}, TOWER), item(TOWER), item(NR, TOWER)))
    assert [sample.nr_looked for sample in samples] == [False, False, True, True]  # the second heard 5G beside


def test_other_peoples_devices_are_refused_and_an_item_without_towers_is_no_dead_zone() -> None:
    passed: Counter[str] = Counter()
    wifi = [{"macAddress": "00:11:22:33:44:55", "ssid": sentinels.DEVICE}]
    found = read(
        body(item(wifiAccessPoints=wifi, bluetoothBeacons=wifi), item(TOWER, wifiAccessPoints=[])), passed=passed
    )
    assert found[1] == {"wifi": 1, "bluetooth": 1}
    assert len(found[0]) == 1
    assert passed["no cell"] == 1


REFUSED = [
    (item(TOWER | {"radioType": "cdma"}), "radioType"),
    (item(TOWER | {"signalStrength": 99}), "range"),
    (item(TOWER | {"cellId": 1 << 28}), "range"),
    (item(TOWER | {"age": 31_000}), "old cell"),
    (item(TOWER, position=POSITION | {"age": 31_000}), "old place"),
    (item(TOWER, position={}), "no fix"),
    (item(TOWER, position=POSITION | {"accuracy": 600}), "accuracy"),
    (item(TOWER, timestamp=None), "time"),
    (item(TOWER, timestamp=TIME_MS // 1000), "range"),
    (item(TOWER, timestamp=NOW_MS + 3_600_000), "time"),
    (item(TOWER, cellTowers={}), "json"),
    (item(*[TOWER] * 65), "size"),
]


@pytest.mark.parametrize(("one", "reason"), REFUSED)
def test_what_cannot_be_costs_its_item_only(one: dict[str, Any], reason: str) -> None:
    samples, refused = read(body(item(NR), one, item(TOWER)))
    assert (len(samples), refused) == (2, {reason: 1})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"items":[{"timestamp":1}', "cut off"),
        (b'{"items":[{"timestamp":"', "cut off"),
        (b'{"items":[}', "json"),
        (b"{" + b'"a":[' * 40, "json"),
        (b'{"results":[{"timestamp":1}]}', "json"),
        (b'{"items":[{"a":"' + b"x" * 400_000, "size"),
    ],
)
def test_a_body_that_is_none_is_told(content: bytes, reason: str) -> None:
    assert read(content)[1][reason] == 1


@pytest.mark.parametrize("chunk", [1, 2, 7, 64, 1_000])
def test_pieces_of_any_size_give_the_same(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = r"a \" } ] { [ \\"
    content = json.dumps(
        {"about": [{"items": [1]}], odd: odd, "items": [item(TOWER | {"note": odd, odd: {"items": [{}]}}), item(NR)]}
    ).encode()
    whole = read(content)
    assert (len(whole[0]), whole[1]) == (2, Counter())
    monkeypatch.setattr(geosubmit, "_CHUNK", chunk)
    assert read(content) == whole
    assert read(json.dumps([item(TOWER), item(NR)], indent=1).encode())[0] == read(body(item(TOWER), item(NR)))[0]


def test_progress_goes_to_the_size() -> None:
    said: list[int] = []
    content = body(*[item(TOWER)] * 1_000)
    samples, _ = read(content, progress=said.append)
    assert len(samples) == 1_000
    assert said == sorted(said)
    assert said[-1] == len(content)
