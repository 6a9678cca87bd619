"""Telephones by MQTT: joined by moment, clean of identities, and silence is never a dead zone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cloud.coverage.into.phone import MAX_BYTES, Door
from cloud.coverage.sample import LIMITED, NONE, SERVED, Heard, Sample
from tests import sentinels
from tests.sentinels import LTE, NOW_MS, NR, STREAM, TIME_MS, message

LATER_MS = NOW_MS + 10_000
REGISTERED = {"domain": "PS", "accessNetworkTechnology": "LTE", "cellIdentityLte": {"mcc": 452, "mnc": 4, "eci": 5}}
SEARCHING = [{"domain": "CS"}, {"domain": "PS", "roaming": False}]
HOME: dict[str, Any] = {"simState": "READY", "simOperator": "45204"}


def hear(door: Door, kind: str, **fields: Any) -> list[Sample]:
    return door.hear("hang-tay", STREAM[kind], message(kind, **fields), NOW_MS)


def all_of(door: Door) -> list[Sample]:
    return door.due(LATER_MS)


def test_the_anchor_and_the_5g_half_of_one_scan_are_one_sample() -> None:
    door = Door()
    assert hear(door, "LteRecord", **LTE) == []
    assert hear(door, "NrRecord", **NR, deviceTime="2026-11-27T10:15:30.125+07:00") == []
    assert hear(door, "LteRecord", **LTE | {"servingCell": False, "pci": 9, "eci": 5}) == []
    [sample] = all_of(door)
    assert sample == Sample(
        time_ms=TIME_MS,
        lat=21.6206,
        lon=104.5801,
        source="phone",
        by="hang-tay",
        service=SERVED,
        plmn=452_004,
        accuracy_m=8.0,
        alt_m=1352.5,
        radio=4,
        lte=Heard(rsrp_dbm=-101, rsrq_db=-11, sinr_db=6, tac=12101, cell=27447297, pci=101, arfcn=1300),
        nr=Heard(rsrp_dbm=-99, rsrq_db=-12, sinr_db=5, tac=12101, cell=6871947673, pci=500, arfcn=630000),
        nr_looked=True,
    )
    assert door.passed["neighbour"] == 1
    assert not door.counted


def test_the_second_cell_of_a_connection_counts_where_the_anchor_serves_and_not_alone() -> None:
    door = Door()
    half = NR | {"servingCell": False, "connectionStatus": "SECONDARY_SERVING"}
    hear(door, "LteRecord", **LTE)
    hear(door, "NrRecord", **half)
    hear(door, "NrRecord", **half | {"groupNumber": 8})
    [sample] = all_of(door)
    assert (sample.radio, sample.nr and sample.nr.rsrp_dbm) == (4, -99)
    assert door.counted == {"no serving cell": 1}


def test_5g_that_is_heard_and_does_not_serve_is_neither_there_nor_absent() -> None:
    door = Door()
    hear(door, "NrRecord", **NR)
    hear(door, "LteRecord", **LTE | {"groupNumber": 8})
    for more in ({}, {"connectionStatus": "NEIGHBOR"}):  # older apps do not tell
        hear(door, "NrRecord", **NR | {"groupNumber": 9, "servingCell": False} | more)
    hear(door, "LteRecord", **LTE | {"groupNumber": 9})
    hear(door, "NrRecord", **NR | {"groupNumber": 10, "servingCell": False})
    told = [(sample.lte is not None, sample.nr is not None, sample.nr_looked) for sample in all_of(door)]
    assert told == [(False, True, True), (True, False, True), (True, False, False)]
    assert not door.counted


def test_moments_missions_and_phones_are_not_mixed() -> None:
    door = Door()
    hear(door, "LteRecord", **LTE)
    for other in ({"groupNumber": 8}, {"missionId": "another"}, {"deviceSerialNumber": "another"}):
        hear(door, "NrRecord", **NR | other)
    early = hear(door, "NrRecord", **NR, deviceTime="2026-11-27T10:15:40.123+07:00")  # the number again, much later
    assert sorted(sample.radio or 0 for sample in early + all_of(door)) == [3, 5, 5, 5, 5]


@pytest.mark.parametrize(
    ("kind", "fields", "radio", "strength"),
    [
        ("GsmRecord", {"lac": 7, "ci": 9, "arfcn": 50, "bsic": 3, "signalStrength": -95.0}, 1, -95.0),
        ("UmtsRecord", {"lac": 7, "cid": 9, "uarfcn": 3000, "psc": 3, "rscp": -101.0}, 2, -101.0),
    ],
)
def test_2g_and_3g_have_one_strength(kind: str, fields: dict[str, Any], radio: int, strength: float) -> None:
    door = Door()
    hear(door, kind, groupNumber=1, mcc=452, mnc=2, servingCell=True, **fields)
    [sample] = all_of(door)
    assert (sample.radio, sample.rssi_dbm, sample.plmn, sample.lte, sample.nr) == (radio, strength, 452_002, None, None)


def test_5g_was_looked_for_only_where_this_device_has_shown_that_it_hears_5g() -> None:
    door = Door()
    hear(door, "LteRecord", **LTE)
    assert [sample.nr_looked for sample in all_of(door)] == [False]
    hear(door, "PhoneState", **HOME, networkRegistrationInfo=[REGISTERED | {"accessNetworkTechnology": "NR"}])
    hear(door, "LteRecord", **LTE)
    hear(door, "LteRecord", **LTE, deviceSerialNumber="an old phone of the same team")
    assert sorted(sample.nr_looked for sample in all_of(door)) == [False, True]


STATES = [
    (SEARCHING, NONE),
    ([*SEARCHING, {"domain": "PS", "accessNetworkTechnology": "IWLAN"}], NONE),  # calls over Wi-Fi are no coverage
    ([{"domain": "CS"}, {"domain": "PS", "cellIdentityLte": {"mcc": 452, "mnc": 1}}], LIMITED),
    ([{"domain": "CS", "rejectCause": 11}, {"domain": "PS", "rejectCause": 11}], LIMITED),
]


@pytest.mark.parametrize(("infos", "service"), STATES)
def test_a_phone_that_says_that_it_finds_nobody_and_where_it_is(infos: list[Any], service: int) -> None:
    door = Door()
    [sample] = hear(door, "PhoneState", **HOME, networkRegistrationInfo=infos)
    assert (sample.service, sample.plmn, sample.time_ms, sample.lat) == (service, 452_004, TIME_MS, 21.6206)
    assert sample.lte is sample.nr is sample.rssi_dbm is None


@pytest.mark.parametrize(
    ("infos", "as_what"),
    [
        ([REGISTERED, {"domain": "CS"}], "state"),
        ([{"domain": "PS", "rejectCause": 17, "cellIdentityLte": {}}], "state"),  # an update of place that failed
        (None, "radio off"),  # aeroplane mode
        ([{"domain": "PS", "accessNetworkTechnology": "IWLAN"}], "radio off"),
    ],
)
def test_what_says_nothing_of_the_place_is_no_dead_zone(infos: list[Any] | None, as_what: str) -> None:
    door = Door()
    assert hear(door, "PhoneState", **HOME, networkRegistrationInfo=infos) == []
    assert door.passed == {as_what: 1}


@pytest.mark.parametrize("sim", ["ABSENT", "PIN_REQUIRED", "NOT_READY", None])
def test_a_phone_without_a_working_sim_finds_nobody_anywhere(sim: str | None) -> None:
    door = Door()
    assert hear(door, "PhoneState", simState=sim, networkRegistrationInfo=SEARCHING) == []
    assert door.counted == {"sim": 1}


def test_the_place_of_a_state_may_be_a_fresh_fix_and_not_an_old_one() -> None:
    nowhere = {"latitude": None, "longitude": None}
    told = HOME | nowhere | {"networkRegistrationInfo": SEARCHING}
    door = Door()
    assert hear(door, "PhoneState", **told) == []
    hear(door, "GnssRecord", groupNumber=1)
    [sample] = hear(door, "PhoneState", **told, deviceTime="2026-11-27T10:15:50.000+07:00")
    assert (sample.lat, sample.lon) == (21.6206, 104.5801)
    assert hear(door, "PhoneState", **told, deviceTime="2026-11-27T10:16:20.000+07:00") == []
    assert door.counted == {"no fix": 2}


REFUSED = [
    ({"rsrp": -18.0}, "range"),
    ({"rsrp": -150.0}, "range"),
    ({"rsrp": "NaN"}, "number"),
    ({"rsrp": True}, "number"),
    ({"rsrp": [1]}, "value"),
    ({"rsrp": 1e300}, "number"),
    ({"eci": 1 << 28}, "range"),
    ({"eci": "12.5"}, "range"),
    ({"pci": 504}, "range"),
    ({"mcc": 4520}, "range"),
    ({"groupNumber": -1}, "range"),
    ({"servingCell": "perhaps"}, "value"),
    ({"latitude": 91.0}, "place"),
    ({"latitude": None}, "place"),
    ({"latitude": None, "longitude": None}, "no fix"),
    ({"accuracy": 501}, "accuracy"),
    ({"accuracy": -1}, "range"),
    ({"locationAge": 30_001}, "old place"),
    ({"mockLocation": True}, "mock"),
    ({"deviceTime": None}, "time"),
    ({"deviceTime": "2026-11-27T10:15:30.123"}, "time"),  # no offset: nobody knows of where
    ({"deviceTime": "2026-13-27T10:15:30Z"}, "time"),
    ({"deviceTime": "2019-11-27T10:15:30Z"}, "clock"),
    ({"deviceTime": "2026-11-26T10:15:30Z"}, None),  # a day old and no more
    ({"deviceTime": "2026-11-26T03:15:30Z"}, "clock"),
    ({"deviceTime": "2026-11-28T10:15:30Z"}, "time"),
]


@pytest.mark.parametrize(("fields", "reason"), REFUSED)
def test_what_cannot_be_is_refused_and_counted(fields: dict[str, Any], reason: str | None) -> None:
    door = Door()
    hear(door, "LteRecord", **LTE | fields)
    assert len(all_of(door)) == (reason is None)
    assert door.counted == ({reason: 1} if reason else {})


def test_what_android_says_for_unknown_is_unknown_and_a_quirk_costs_only_its_own_value() -> None:
    door = Door()
    hear(door, "LteRecord", **LTE | {"rsrq": 2147483647, "eci": 268435455, "tac": 65535, "pci": -1, "snr": 180})
    [sample] = all_of(door)
    assert sample.lte == Heard(rsrp_dbm=-101, arfcn=1300)
    assert door.passed == {"left out lte_sinr": 1}


@pytest.mark.parametrize(
    ("stream", "payload", "reason"),
    [
        ("80211_beacon_message", message("WifiBeaconRecord"), "wifi"),
        ("bluetooth_message", message("BluetoothRecord"), "bluetooth"),
        ("cdma_message", message("CdmaRecord"), "stream"),
        ("lte_message", message("NrRecord", **NR), "message"),
        ("lte_message", b"", "json"),
        ("lte_message", b"[]", "json"),
        ("lte_message", b"\xff\xfe{}", "json"),
        ("lte_message", b'{"messageType":"LteRecord","data":{"a":' + b"[" * 8000, "json"),
        ("lte_message", message("LteRecord", **LTE)[:-9], "json"),
        ("lte_message", message("LteRecord", note="x" * MAX_BYTES), "size"),
        ("lte_message", message("LteRecord", **{f"field{n}": n for n in range(100)}), "message"),
    ],
)
def test_what_is_no_message_of_ours_is_refused_and_counted(stream: str, payload: bytes, reason: str) -> None:
    door = Door()
    assert door.hear("hang-tay", stream, payload, NOW_MS) == []
    assert door.counted == {reason: 1}


def test_memory_is_bounded_and_what_makes_room_is_not_lost() -> None:
    door = Door()
    out: list[Sample] = []
    for phone in range(6_000):
        out += hear(door, "LteRecord", **LTE | {"deviceSerialNumber": str(phone)})
    assert len(out) == 6_000 - 4_096
    assert len(door._joiner._recordings) == 1_024
    assert len(out) + len(all_of(door)) == 6_000


def test_nothing_of_a_device_or_subscriber_is_in_what_the_door_keeps_or_gives() -> None:
    door = Door()
    samples = hear(door, "PhoneState", **HOME, networkRegistrationInfo=SEARCHING)
    for kind, fields in (("LteRecord", LTE), ("NrRecord", NR), ("GnssRecord", {}), ("DeviceStatus", {})):
        hear(door, kind, **fields)
    for field in (*LTE, *sentinels.PLACE, "deviceTime"):  # damaged so that an identity stands where a value should
        for identity in (sentinels.IMEI, sentinels.DEVICE, int(sentinels.IMSI)):
            hear(door, "LteRecord", **LTE | {field: identity})
    kept = repr((door._joiner._open, door._joiner._recordings, samples, all_of(door), door.counted, door.passed))
    assert sentinels.leaks(kept) == []
    assert sentinels.leaks(json.dumps(sentinels.IDS)) != []


def test_a_clock_that_was_ahead_and_is_set_leaves_the_place_of_now() -> None:
    door = Door()
    hear(door, "GnssRecord", **sentinels.PLACE | {"deviceTime": "2027-11-27T10:15:20Z", "latitude": 21.7})
    hear(door, "GnssRecord", **sentinels.PLACE | {"deviceTime": "2026-11-27T10:15:20+07:00"})
    said = HOME | {"networkRegistrationInfo": SEARCHING, "deviceTime": "2026-11-27T10:15:30+07:00"}
    [sample] = hear(door, "PhoneState", **said)
    assert (sample.service, sample.lat) == (NONE, 21.6206)
    assert door.counted == {"time": 1}
