"""Files of the map and of samples, as others read them: right by their own rules, and nobody's device in them."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import unicodedata
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import h3.api.basic_int as h3
import msgspec
import pytest

from cloud.coverage.book import NAME, Book
from cloud.coverage.into.phone import Door
from cloud.coverage.out import csv as table
from cloud.coverage.out import geojson, mls, nrrecord
from cloud.coverage.sample import NONE, SERVED, Heard, Sample
from cloud.coverage.seam import STATES, Judged
from cloud.coverage.shelf import Sheet
from gocche.__main__ import main
from tests import sentinels

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NOW_MS = sentinels.NOW_MS
CELL = int(h3.latlng_to_cell(21.6206, 104.5801, 8))
RING = [int(cell) for cell in h3.grid_disk(CELL, 1)]
CELLS = [
    Judged(cell, state, moments, 2, NOW_MS, dbm)
    for cell, state, moments, dbm in zip(
        RING,
        ["good", "none", "weak", "unmeasured", "fair", "uncertain", "served"],
        [30, 40, 3, 900, 2, 3, 5],  # the fifth has too few
        [-88.25, None, -118.0, None, -99.0, None, None],
        strict=True,
    )
]
TOLD = {cell for cell, judged in zip(RING, CELLS, strict=True) if judged.state not in {"unmeasured", "fair"}}


def sheet(month: int = 0, cells: Sequence[Judged] = CELLS, layer: str = "phone") -> Sheet:
    return Sheet(layer, 0, month, 8, NOW_MS, list(cells))


def collection(*sheets: Sheet) -> Any:
    return json.loads(b"".join(geojson.write(sheets[0], sheets[1:])))


def test_geojson_has_a_closed_ring_counterclockwise_around_each_measured_cell() -> None:
    found = collection(sheet())
    assert {key: found[key] for key in found if key != "features"} == {
        "type": "FeatureCollection", "layer": "phone", "network": 0, "month": 0, "made": "2026-11-27T11:15:30+07:00",
    }  # fmt: skip
    assert {h3.str_to_int(one["id"]) for one in found["features"]} == TOLD
    for one in found["features"]:
        [ring] = one["geometry"]["coordinates"]
        assert (len(ring), ring[0]) == (7, ring[-1])
        assert sum((b[0] - a[0]) * (b[1] + a[1]) for a, b in pairwise(ring)) < 0  # RFC 7946 §3.1.6
        lat, lon = h3.cell_to_latlng(h3.str_to_int(one["id"]))
        assert all(abs(x - lon) < 0.01 and abs(y - lat) < 0.01 for x, y in ring)
        assert one["properties"]["moments"] >= 3
    first = next(one for one in found["features"] if h3.str_to_int(one["id"]) == CELL)
    assert first["properties"] == {
        "state": "good", "vi": "tốt", "en": "good", "moments": 30, "days": 2, "last": "2026-11-27", "rsrp_dbm": -88.2,
    }  # fmt: skip


def test_geojson_has_the_months_of_a_cell() -> None:
    later = sheet(202611, [Judged(CELL, "none", 9, 1, NOW_MS)])
    earlier = sheet(202605, [Judged(CELL, "weak", 9, 1, NOW_MS), Judged(RING[1], "good", 2, 1, NOW_MS)])
    by_cell = {one["id"]: one["properties"].get("months") for one in collection(sheet(), later, earlier)["features"]}
    assert by_cell[h3.int_to_str(CELL)] == {"2026-05": "weak", "2026-11": "none"}
    assert by_cell[h3.int_to_str(RING[1])] is None  # two moments are nobody's business


def test_what_is_invented_is_marked_in_each_form_and_in_no_list_of_radio_cells() -> None:
    assert json.loads(b"".join(geojson.write(sheet(), invented=True)))["invented"]
    rows = list(csv.DictReader(io.StringIO(b"".join(table.write([sheet()], invented=True)).decode("utf-8-sig"))))
    assert {row["invented"] for row in rows} == {"yes"}
    trial = samples(5, nr=NR, plmn=1_001)
    assert b"".join(mls.write(trial)).decode().splitlines() == [mls.COLUMNS]
    assert b"".join(nrrecord.write(trial)) == b""


def test_an_empty_map_is_a_map() -> None:
    assert collection(sheet(cells=[]))["features"] == []


def test_the_table_opens_in_a_spreadsheet_and_no_cell_of_it_is_a_formula() -> None:
    content = b"".join(table.write([sheet(), sheet(202611, layer="5g")]))
    assert content.startswith(b"\xef\xbb\xbf")
    text = content.decode("utf-8-sig")
    assert text == unicodedata.normalize("NFC", text)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 2 * len(TOLD)
    assert {row["cell"] for row in rows} == {h3.int_to_str(cell) for cell in TOLD}
    assert {(row["layer"], row["month"], row["network"]) for row in rows} == {
        ("phone", "now", "all"), ("5g", "2026-11", "all"),
    }  # fmt: skip
    assert {row["tinh_trang"] for row in rows if row["state"] == "none"} == {"không có sóng", "chưa có 5G"}
    for row in rows:
        for value in row.values():
            assert not value.startswith(("=", "+", "@", "\t", "\r"))
            assert not value.startswith("-") or float(value) < 0
    assert {row["state"] for row in rows} < set(STATES)


LTE = Heard(rsrp_dbm=-100.0, tac=12101, cell=27447297, pci=101, arfcn=1300)
NR = Heard(rsrp_dbm=-99.5, rsrq_db=-12.0, tac=12101, cell=6871947673, pci=500, arfcn=630000)


def samples(n: int, **more: Any) -> list[Sample]:
    told: dict[str, Any] = {"source": "phone", "by": "hang-tay", "service": SERVED, "plmn": 452_004, "lte": LTE} | more
    return [
        Sample(time_ms=sentinels.TIME_MS + second * 1000, lat=21.6 + second * 1e-4, lon=104.58, **told)
        for second in range(n)
    ]


def test_mls_has_a_line_for_each_radio_cell() -> None:
    few, dead = samples(2, lte=msgspec.structs.replace(LTE, cell=5)), samples(5, service=NONE)
    nameless = samples(5, lte=msgspec.structs.replace(LTE, cell=None)) + samples(5, plmn=0)
    louder = samples(2, lte=msgspec.structs.replace(LTE, rsrp_dbm=-80.0))
    found = b"".join(mls.write(samples(3) + few + dead + nameless + louder + samples(3, lte=None, nr=NR))).decode()
    # by hand: five places at 21.6000, .6001, .6002, .6000, .6001 → 21.60008; the farthest 0.00012° = 13 m away
    assert found.splitlines() == [
        mls.COLUMNS,
        "LTE,452,4,12101,27447297,101,104.580000,21.600080,13,5,1,1795749330,1795749332,-92",
        "NR,452,4,12101,6871947673,500,104.580000,21.600100,11,3,1,1795749330,1795749332,-100",
    ]


def test_nrrecord_goes_out_and_comes_in_again_as_the_same_sample() -> None:
    lines = b"".join(nrrecord.write(samples(4, nr=NR, lte=None) + samples(2))).splitlines()
    assert len(lines) == 4
    assert sorted(json.loads(lines[0])["data"]) == [
        "deviceTime", "groupNumber", "latitude", "longitude", "mcc", "mnc", "narfcn", "nci", "pci", "recordNumber",
        "servingCell", "ssRsrp", "ssRsrq", "tac",
    ]  # fmt: skip
    door = Door()
    for line in lines:
        door.hear("hang-tay", "nr_message", line, NOW_MS)
    assert [sample.key for sample in door.rest(NOW_MS)] == [sample.key for sample in samples(4, nr=NR, lte=None)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a data folder with samples that came through the door, sheets of the map, and its cloud.toml."""
    door, folder = Door(), tmp_path / "data"
    folder.mkdir()
    for n in range(5):
        for kind, fields in (("LteRecord", sentinels.LTE), ("NrRecord", sentinels.NR)):
            payload = sentinels.message(kind, **fields | {"groupNumber": n})
            door.hear("hang-tay", sentinels.STREAM[kind], payload, NOW_MS)
    book = Book(folder / NAME)
    assert book.put(door.rest(NOW_MS), NOW_MS).new == 1  # of one moment all five
    assert book.put(samples(5, nr=NR), NOW_MS).new == 5
    book.close()
    with sqlite3.connect(folder / NAME) as db:
        for month in (0, 202611):
            row = ("phone", 0, month, 8, NOW_MS, msgspec.msgpack.encode(CELLS))
            db.execute("INSERT INTO sheet VALUES (?, ?, ?, ?, ?, ?)", row)
    db.close()
    (folder / "cloud.toml").write_text(f'[data]\npath = "{folder}"\n')
    return folder


@pytest.mark.parametrize(
    ("asked", "lines"),
    [
        (["geojson"], 1 + len(TOLD) + 1),
        (["csv"], 1 + 2 * len(TOLD)),
        (["csv", "--month", "2026-11"], 1 + len(TOLD)),
        (["mls"], 3),
        (["nrrecord"], 6),
        (["nrrecord", "--month", "2026-11"], 6),
        (["nrrecord", "--month", "2026-10"], 0),
        (["nrrecord", "--network", "452-01"], 0),
    ],
)
def test_the_command_writes_a_file_that_is_its_owners_and_tells_no_identity(
    data: Path, tmp_path: Path, asked: list[str], lines: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out" / "file"
    path.parent.mkdir()
    assert main(["coverage", "export", "--config", str(data), "--format", *asked, str(path)]) == 0
    assert len(path.read_bytes().splitlines()) == lines
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["file"]
    told = capsys.readouterr().out
    assert sentinels.leaks(path, data, told) == []
    assert ("There is no sample in it" in told) == (lines == 0)


def test_a_sheet_that_is_not_there_is_said_with_those_that_are(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["coverage", "export", "--config", str(data), "--format", "geojson"]
    assert main([*own, "--month", "2026-01", str(tmp_path / "x")]) == 2
    assert "0, 202611" in capsys.readouterr().err
    assert main([*own, "--layer", "5g", str(tmp_path / "x")]) == 2
    assert not (tmp_path / "x").exists()
    assert main([*own, str(tmp_path / "no" / "folder")]) != 0


@pytest.mark.parametrize(
    ("form", "spoil"),
    [
        ("csv", "sheet SET cells = x'c1'"),
        ("mls", "sample SET told = x'c1'"),
        ("csv", "sheet SET cells = x'919601a2fffe01010100'"),
        ("mls", "sample SET told = x'960102c0c0c091a1ff'"),
    ],
)
def test_a_book_that_rotted_is_said_and_no_half_file_stays(
    data: Path, tmp_path: Path, form: str, spoil: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(data / NAME) as db:
        db.execute(f"UPDATE {spoil}")
    db.close()
    assert main(["coverage", "export", "--config", str(data), "--format", form, str(tmp_path / "x")]) == 2
    assert NAME in capsys.readouterr().err
    assert not list(tmp_path.glob("*x*"))
