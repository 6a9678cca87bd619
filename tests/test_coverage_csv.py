"""Files of the survey app: the same samples as by MQTT, dead zones from proven gaps, damage that costs itself."""

from __future__ import annotations

import io
import tracemalloc
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from cloud.coverage.into import csv, packed
from cloud.coverage.into.phone import Door
from cloud.coverage.sample import LIMITED, NONE, SERVED, BadSample, Sample
from tests import sentinels
from tests.sentinels import LTE, NOW_MS, NR, STREAM, message, table, zipped

START = datetime(2026, 11, 27, 1, 0, tzinfo=UTC)
HANOI = timezone(timedelta(hours=7))
OUT = [{"domain": "CS"}, {"domain": "PS"}]
IN = [{"domain": "PS", "accessNetworkTechnology": "LTE"}]


def at(second: float) -> dict[str, Any]:
    """Return the time and place of a walk at a second: a metre and a half each."""
    time = (START + timedelta(seconds=second)).astimezone(HANOI).isoformat(timespec="milliseconds")
    return {"deviceTime": time, "latitude": 21.6 + second * 1.35e-5 + 5e-7, "longitude": 104.58 + second * 3.3e-7}


def cells(*seconds: float, **fields: Any) -> list[dict[str, Any]]:
    return [LTE | at(second) | {"groupNumber": int(second), "rsrp": -95.0 - second % 13} | fields for second in seconds]


def fixes(*seconds: float) -> list[dict[str, Any]]:
    return [at(second) | {"groupNumber": int(second)} for second in seconds]


def states(*told: tuple[float, list[Any] | None]) -> list[dict[str, Any]]:
    return [
        at(second) | {"simState": "READY", "simOperator": "45204", "networkRegistrationInfo": infos}
        for second, infos in told
    ]


def read(content: bytes, **more: Any) -> tuple[list[Sample], Counter[str]]:
    samples, refused = [], Counter[str]()
    for one in csv.read(io.BytesIO(content), "hang-tay", NOW_MS, **more):
        if isinstance(one, BadSample):
            refused[one.reason] += 1
            assert sentinels.leaks(str(one)) == []
        elif one is not None:
            samples.append(one)
    return samples, refused


WALK = [*range(0, 300, 5), *range(900, 1_200, 5)]


def walk(**more: Any) -> dict[str, list[dict[str, Any]]]:
    """Return the records of a walk: 4G, with 5G at its end, ten minutes of nothing between, and a state in service."""
    anchors = cells(*WALK)
    halves = [NR | at(second + 0.002) | {"groupNumber": second} for second in range(1_000, 1_100, 5)]
    neighbours = [record | {"servingCell": False, "pci": 7, "eci": None, "rsrp": -120.0} for record in anchors[::3]]
    return {
        "LteRecord": sorted(anchors + neighbours, key=lambda record: record["deviceTime"]),
        "NrRecord": halves,
        "GnssRecord": fixes(*range(0, 1_200, 8)),
    } | more


def files(records: dict[str, list[dict[str, Any]]], **more: Any) -> bytes:
    return zipped(**{kind: table(kind, rows, **more) for kind, rows in records.items()})


def by_mqtt(records: dict[str, list[dict[str, Any]]]) -> list[Sample]:
    door, samples = Door(), []
    everything = [(record["deviceTime"], kind, record) for kind, rows in records.items() for record in rows]
    for n, (_, kind, record) in enumerate(sorted(everything, key=lambda row: row[:2])):
        samples += door.hear("hang-tay", STREAM[kind], message(kind, **record), NOW_MS + n)
    assert not door.counted
    return samples + door.rest(NOW_MS)


@pytest.mark.parametrize("comma", [False, True])
def test_the_same_walk_by_mqtt_and_from_its_files_has_the_same_keys(*, comma: bool) -> None:
    by_file, refused = read(files(walk(), comma=comma))
    heard = by_mqtt(walk())
    assert len(heard) == len(WALK)
    assert {sample.key for sample in heard} == {sample.key for sample in by_file if sample.service == SERVED}
    assert {sample.radio for sample in heard} == {3, 4}
    assert not refused


def test_a_gap_within_a_recording_that_ran_on_is_a_dead_zone() -> None:
    passed: Counter[str] = Counter()
    samples, refused = read(files(walk()), passed=passed)
    dead = [sample for sample in samples if sample.service == NONE]
    assert not refused
    # rows each 5 s: nothing is claimed within 15 s of one, and the fixes are 8 s apart
    assert [sample.time_ms for sample in dead] == [
        int((START + timedelta(seconds=second)).timestamp() * 1000) for second in range(312, 885, 8)
    ]
    assert {(sample.plmn, sample.radio, sample.lte, sample.nr) for sample in dead} == {(452_004, 0, None, None)}
    assert passed["neighbour"] == 40


def none_of(records: dict[str, list[dict[str, Any]]]) -> int:
    samples, _ = read(files(records))
    return sum(sample.service != SERVED for sample in samples)


NO_DEAD_ZONE = {
    "only places were recorded": {"GnssRecord": fixes(*range(0, 1_200, 8))},
    "nothing came after": walk(LteRecord=cells(*range(0, 300, 5)), NrRecord=[]),
    "nothing came before": walk(LteRecord=cells(*range(900, 1_200, 5)), NrRecord=[]),
    "too few rows to know an interval": walk(LteRecord=cells(0, 5, 900, 905), NrRecord=[]),
    "a slow recording": walk(LteRecord=cells(*range(0, 1_200, 60)), NrRecord=[]),
    "a neighbour was heard all along": walk(
        LteRecord=cells(*range(0, 300, 5))
        + cells(*range(300, 900, 5), servingCell=False)
        + cells(*range(900, 1_200, 5))
    ),
    "the telephone was in service": walk(PhoneState=states((0, IN))),
    "aeroplane mode": walk(PhoneState=states((0, IN), (300, None), (890, IN))),
    "a radio that is switched off where it hears well": walk(
        LteRecord=cells(*range(0, 300, 5), rsrp=-94.0) + cells(*range(900, 1_200, 5), rsrp=-80.0), NrRecord=[]
    ),
    "an old place again and again": walk(
        GnssRecord=[record | {"latitude": 21.7, "longitude": 104.6} for record in fixes(*range(0, 1_200, 8))]
    ),
    "another telephone's places": walk(
        GnssRecord=[record | {"deviceSerialNumber": "another"} for record in fixes(*range(0, 1_200, 8))]
    ),
    "another mission's rows": walk(
        LteRecord=cells(*range(0, 300, 5)) + cells(*range(900, 1_200, 5), missionId="another")
    ),
}


@pytest.mark.parametrize("why", NO_DEAD_ZONE)
def test_what_is_not_proven_is_not_measured(why: str) -> None:
    assert none_of(NO_DEAD_ZONE[why]) == 0


def test_a_recording_that_was_stopped_and_started_again_has_no_dead_zone_unless_the_telephone_says_so() -> None:
    before, after = cells(*range(0, 300, 5)), cells(*range(900, 1_200, 5))
    parts = {"GnssRecord": table("GnssRecord", fixes(*range(0, 1_200, 8)))}
    parts |= {"lte-1": table("LteRecord", before), "lte-2": table("LteRecord", after)}
    assert [sample for sample in read(zipped(**parts))[0] if sample.service != SERVED] == []
    parts["state"] = table("PhoneState", states((0, IN), (310, OUT), (895, IN)))
    dead = [sample for sample in read(zipped(**parts))[0] if sample.service == NONE]
    assert len(dead) > 60
    limited = [OUT[0], OUT[1] | {"cellIdentityLte": {"mcc": 452, "mnc": 1}}]
    parts["state"] = table("PhoneState", states((0, IN), (310, limited), (895, IN)))
    assert len([sample for sample in read(zipped(**parts))[0] if sample.service == LIMITED]) == len(dead)


def lte(*seconds: float) -> bytes:
    return table("LteRecord", cells(*seconds))


def swapped(content: bytes) -> bytes:
    """Return the file with its columns in reverse."""
    version, *rows = content.decode().splitlines()
    return "\r\n".join([version, *(",".join(row.split(",")[::-1]) for row in rows), ""]).encode()


@pytest.mark.parametrize(
    "content",
    [
        lte(0, 5),
        b"\xef\xbb\xbf" + lte(0, 5),
        lte(0, 5).replace(b"\r\n", b"\n"),
        lte(0, 5).split(b"\r\n", 1)[1],  # older apps wrote no version
        b"sep=,\r\n" + lte(0, 5).split(b"\r\n", 1)[1],
        swapped(lte(0, 5)),
        table("LteRecord", cells(0, 5), comma=True),
        table("LteRecord", cells(0, 5), version="0.9.3"),
        lte(0, 5).replace(b",", b";"),
    ],
)
def test_however_it_is_written_it_says_the_same(content: bytes) -> None:
    assert read(content) == read(lte(0, 5))
    assert len(read(content)[0]) == 2


def bad_line(content: bytes) -> str:
    [bad] = [one for one in csv.read(io.BytesIO(content), "hang-tay", NOW_MS) if isinstance(one, BadSample)]
    return str(bad)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lte(0, 5)[:-20], "cut off: lte line 4"),
        (lte(0, 5)[:-2], "cut off: lte line 4"),
        (lte(0, 5).replace(b",-100.0,", b",-10o.0,"), "number: lte line 4 rsrp"),
        (lte(0, 5).replace(b",-100.0,", b",-1000,"), "range: lte line 4 rsrp"),
        (lte(0, 5).replace(b",-100.0,", b",-100.0,,"), "columns: lte line 4"),
        (lte(0, 5).replace(b",-100.0,", b",\xff\xfe,"), "encoding: lte line 4"),
        (lte(0, 5).replace(b",-100.0,", b',"-100.0,'), "quotes: lte line 4"),
        (lte(0, 5).replace(b",-100.0,", b"," + b"x" * 70_000 + b","), "columns: lte line 4"),
        (table("LteRecord", cells(0), version="1.0.0"), "version: line 1"),
        (b"", "header"),
        (b"\xff\xfea\x00b\x00", "encoding: line 1"),
        (b"hello\r\n", "header: line 1"),
        (lte(0).replace(b"servingCell,", b""), "header: line 2"),
        (table("WifiBeaconRecord", [{"bssid": "00:11:22:33:44:55"}]), "wifi: wifi line 3"),
        (zipped(lte=lte(0, 5)[:-20]), "cut off: file 1 lte line 4"),
        (zipped(lte=lte(0, 5)).replace(b".csv", b".gpk"), "format: file 1"),
        (zipped(lte=lte(0, 5))[:-30], "zip"),
        (b"PK\x03\x04nonsense", "zip"),
    ],
)
def test_damage_is_told_with_its_place_and_reason(content: bytes, said: str) -> None:
    assert bad_line(content) == said


def test_a_damaged_row_costs_itself_only() -> None:
    good, _ = read(lte(0, 10))
    assert read(lte(0, 5, 10).replace(b",-100.0,", b",,,")) == (good, Counter(columns=1))


def test_a_damaged_member_of_a_zip_is_told_and_the_others_are_read() -> None:
    content = bytearray(zipped(lte=lte(*range(0, 500, 5)), gsm=table("GsmRecord", [])))
    content[300] ^= 0xFF
    samples, refused = read(bytes(content))
    assert refused["zip"] == 1
    assert len(samples) < 100


def test_a_zip_that_swells_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "MAX_INFLATED", 10_000)
    assert read(zipped(lte=lte(*range(0, 500, 5)))) == ([], Counter(size=1))
    monkeypatch.setattr(csv, "MAX_BYTES", 10_000)
    assert read(lte(*range(0, 500, 5)))[1] == {"size": 1}


def test_a_zip_that_lists_a_million_files_is_refused_before_its_list_is_read() -> None:
    member = zipped(LteRecord=b"")
    start, end = member.index(b"PK\1\2"), member.index(b"PK\5\6")
    listed = member[start:end] * 20_000
    tail = bytearray(member[end:])
    tail[12:16] = len(listed).to_bytes(4, "little")
    tracemalloc.start()
    try:
        assert read(member[:start] + listed + bytes(tail)) == ([], Counter(size=1))
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()


@pytest.mark.journey  # seconds of a core
def test_a_line_without_an_end_lets_others_speak() -> None:
    whole = zipped(LteRecord=table("LteRecord", cells(0)) + b"x" * (2 * csv.QUIET_ROWS + 2) * csv._MAX_LINE)
    found = list(csv.read(io.BytesIO(whole), "hang-tay", NOW_MS))
    assert found.count(None) >= 2
    assert {one.reason for one in found if isinstance(one, BadSample)} == {"cut off"}


@pytest.mark.parametrize("hours", [1, 24 * 365])
def test_one_damaged_time_makes_no_dead_zone_of_all_that_follows(hours: int) -> None:
    rows = cells(*range(0, 1_200, 5))
    rows[60] |= {"deviceTime": at(300 + hours * 3_600)["deviceTime"]}
    later = io.BytesIO(files({"LteRecord": rows, "GnssRecord": fixes(*range(0, 1_200, 8))}))
    found = [one for one in csv.read(later, "hang-tay", NOW_MS + 7 * 86_400_000) if isinstance(one, Sample)]
    assert len(found) >= 239
    assert {one.service for one in found} == {SERVED}


def test_a_clock_that_was_an_hour_ahead_for_a_while_costs_no_dead_zone_that_the_telephone_tells_of_later() -> None:
    places = fixes(*range(0, 900, 8))
    told = states(*((second, IN if second < 600 else OUT) for second in range(0, 900, 20)))
    for row in (*places[20:30], *told[8:12]):
        row["deviceTime"] = (datetime.fromisoformat(row["deviceTime"]) + timedelta(hours=1)).isoformat()
    later = io.BytesIO(files({"GnssRecord": places, "PhoneState": told}))
    found = [one for one in csv.read(later, "hang-tay", NOW_MS + 7 * 86_400_000) if one is not None]
    assert [one.service for one in found if isinstance(one, Sample)] == [NONE] * 15
    assert len(found) == 15


def test_progress_goes_to_the_size_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv, "_STEP", 1_000)
    plain, packed = lte(*range(0, 500, 5)), files(walk())
    for content, most in ((plain, len(plain)), (packed, len(packed))):
        said: list[int] = []
        read(content, progress=said.append)
        assert said == sorted(said)
        assert len(said) > 3
        assert most * 0.8 < said[-1] <= most


def test_no_identity_of_a_file_is_in_what_is_read_of_it() -> None:
    passed: Counter[str] = Counter()
    content = files(walk(PhoneState=states((0, IN), (310, OUT), (895, IN))))
    assert sentinels.leaks(table("LteRecord", cells(0))) != []
    assert sentinels.leaks(repr((list(csv.read(io.BytesIO(content), "hang-tay", NOW_MS, passed=passed)), passed))) == []
