"""registry.db: all or nothing, judged as a whole, told who and when, taken back; and the tables around it."""

from __future__ import annotations

import json
import resource
import sqlite3
from contextlib import closing
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from cloud.config import load as load_config
from cloud.registry import codes
from cloud.registry.book import Book
from cloud.registry.cells import Bad, Moment
from cloud.registry.draft import Rejected
from cloud.registry.kinds import (
    KINDS,
    Binding,
    Calibration,
    Commune,
    Maintenance,
    Person,
    Province,
    Record,
    Tag,
    Tree,
    Zone,
)
from cloud.registry.live import Live, known
from cloud.registry.map import away_m, distance_m
from cloud.registry.mint import mint
from cloud.registry.rows import read, write
from cloud.registry.scale import AS_TOLD
from cloud.registry.sheets import STEMS, SheetError, comma, geojson, workbook
from cloud.registry.trail import difference
from cloud.registry.transfer import bring, load, read_any
from cloud.rooms.check import check
from cloud.staff.shelf import Shelf
from settings.words import Taken
from tests.rules.garden import HandClock

if TYPE_CHECKING:
    from collections.abc import Iterator

BEFORE = Path(__file__).parent / "data" / "garden-before"
ZONE = Zone(code="z01", name_vi="Đồi", name_en="Hill", lat=21.62, lon=104.58)
TREE = Tree(
    code="7K3MQP",
    name_vi="Cây",
    name_en="Tree",
    zone="z01",
    lat=21.6201,
    lon=104.5801,
    alt_m=1352,
    age_low=250,
    age_high=350,
    age_method_vi="ước tính",
    age_method_en="estimate",
)
OLD = date(2025, 1, 1)
NEW = date(2025, 7, 1)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    with Book(tmp_path / "registry.db", writer=True) as made:
        with made.writing("lan", "planting", 1_000) as draft:
            draft.put([ZONE, TREE])
        yield made


def changed(record: Any, **facts: Any) -> Any:
    return read(type(record), write(record) | {name: str(fact) for name, fact in facts.items()})


def refused(book: Book, *records: Record, gone: tuple[str, tuple[Any, ...]] | None = None) -> str:
    """Return why an act was refused, and see that it left nothing behind."""
    before = {kind: book.rows(kind) for kind in KINDS}, book.acts(9)

    def act() -> None:
        with book.writing("lan", "x", 2_000) as draft:
            draft.put(records)
            if gone:
                draft.remove(*gone)

    with pytest.raises(Rejected) as caught:
        act()
    assert ({kind: book.rows(kind) for kind in KINDS}, book.acts(9)) == before
    return str(caught.value)


def test_what_was_done_is_told_with_before_and_after_and_taken_back(book: Book) -> None:
    renamed = changed(TREE, name_en="Old tree", girth_cm=210)
    with book.writing("minh", "measured", 2_000) as draft:
        assert draft.put([renamed, ZONE]) == 1, "what is the same already changes nothing"
    act, planting = book.acts(9)
    assert (act.who, act.what, act.at_ms, act.changes) == ("minh", "measured", 2_000, 1)
    [change] = book.changes(act.id)
    assert (change.before, change.after) == (TREE, renamed)
    assert difference(change) == "name_en: Tree → Old tree, girth_cm: — → 210"
    book.undo(act.id, "lan", 3_000)
    assert book.rows("tree") == [TREE]
    assert book.acts(1)[0].undoes == act.id
    with pytest.raises(Bad, match="tree 7K3MQP was changed by lan"):
        book.undo(act.id, "lan", 4_000)  # the undoing is a change of the same row
    book.undo(book.acts(1)[0].id, "lan", 4_000)
    assert book.rows("tree") == [renamed]
    assert book.acts(9, before=act.id) == [planting]


def test_an_act_that_came_back_to_where_it_began_is_undone_to_there(book: Book) -> None:
    with book.writing("minh", "to and fro", 2_000) as draft:
        draft.put([changed(TREE, alt_m=1353)])
        draft.put([TREE])
    book.undo(book.acts(1)[0].id, "lan", 3_000)
    assert book.rows("tree") == [TREE]


def test_one_goes_back_step_by_step(book: Book) -> None:
    """A row changed twice and then once more by another: each step is taken back after the one that followed it."""
    for number, alt_m in enumerate((1353, 1354)):
        with book.writing("minh", "measured", 2_000 + number) as draft:
            draft.put([changed(TREE, alt_m=alt_m)])
    second, first, _ = [act.id for act in book.acts(9)]
    with pytest.raises(Bad, match="tree 7K3MQP was changed by minh"):
        book.undo(first, "lan", 3_000)
    book.undo(second, "lan", 4_000)
    book.undo(first, "lan", 5_000)
    assert book.rows("tree") == [TREE]
    with book.writing("minh", "measured", 6_000) as draft:
        draft.put([changed(TREE, alt_m=1355)])
    with pytest.raises(Bad, match="tree 7K3MQP was changed by minh"):
        book.undo(book.acts(2)[1].id, "lan", 7_000)


def test_undoing_what_others_build_on_is_refused(book: Book) -> None:
    with book.writing("minh", "second tree", 2_000) as draft:
        draft.put([changed(TREE, code="4TN8WJ")])
    with pytest.raises(Rejected, match="zone z01 is still referred to by tree 4TN8WJ"):
        book.undo(1, "lan", 3_000)
    assert len(book.rows("tree")) == 2


def test_the_second_of_two_editors_is_told_what_changed(book: Book) -> None:
    mine = book.held("tree", ("7K3MQP",))
    assert mine is not None
    with book.writing("minh", "edit", 2_000) as draft:
        draft.put([changed(TREE, alt_m=1353)], seen=mine.seen)
    with (
        pytest.raises(Bad, match=r"changed by minh at .*: alt_m: 1352 → 1353"),
        book.writing("lan", "e", 3_000) as draft,
    ):
        draft.put([changed(TREE, alt_m=1351)], seen=mine.seen)
    with pytest.raises(Bad, match="changed by minh"), book.writing("lan", "e", 3_000) as draft:
        draft.remove("tree", ("7K3MQP",), seen=mine.seen)
    assert book.rows("tree") == [changed(TREE, alt_m=1353)]


def test_an_act_is_all_or_nothing_and_judged_as_a_whole(book: Book) -> None:
    assert "'z09' is not in table zone; there are: z01" in refused(
        book, changed(TREE, alt_m=1), changed(TREE, zone="z09")
    )
    assert "zone z01 is still referred to by tree 7K3MQP" in refused(book, gone=("zone", ("z01",)))
    with book.writing("lan", "both go", 2_000) as draft:
        draft.remove("zone", ("z01",))
        draft.remove("tree", ("7K3MQP",))
    assert book.rows("zone") == book.rows("tree") == []


def test_of_what_is_true_for_a_time_one_thing_is_true_at_a_time(book: Book) -> None:
    hung = Binding(gateway="sg-01", channel="soil-1", place="tree", code="7K3MQP", valid_from=OLD)
    with book.writing("lan", "hung", 2_000) as draft:
        draft.put([hung])
    later = Binding(gateway="sg-01", channel="soil-1", place="tree", code="7K3MQP", valid_from=NEW)
    assert "overlaps the row from 2025-01-01 on" in refused(book, later)
    with book.writing("lan", "probe replaced", 3_000) as draft:
        draft.put([changed(hung, valid_to=NEW), later])
    assert [one.valid_from for one in book.rows("binding") if isinstance(one, Binding)] == [OLD, NEW]
    assert "'h77' is not in table hamlet" in refused(
        book, Binding(gateway="sg-01", channel="m", place="hamlet", code="h77", valid_from=OLD)
    )
    assert "tree 7K3MQP is still referred to by binding" in refused(book, gone=("tree", ("7K3MQP",)))


def test_a_sensor_is_at_two_trees_only_where_it_can_reach_both(book: Book) -> None:
    far, near = (
        changed(TREE, code="4TN8WJ", lat=21.6219),
        changed(TREE, code="C0HV26", lat=21.6203),
    )  # 200 m and 22 m away
    own = Binding(gateway="sg-01", channel="soil-1", place="tree", code=TREE.code, valid_from=OLD, distance_m=2)
    with book.writing("lan", "hung", 2_000) as draft:
        draft.put([far, near, own, changed(own, place="zone", code="z01")])
    moved = changed(own, code=far.code, valid_from=NEW)
    assert "sg-01/soil-1 also hangs at tree 7K3MQP since 2025-01-01, 166 m farther" in refused(book, moved)
    with book.writing("lan", "between two, and then elsewhere", 3_000) as draft:
        draft.put([changed(own, code=near.code, distance_m=20)])
        draft.put([changed(own, valid_to=NEW), changed(own, code=near.code, distance_m=20, valid_to=NEW), moved])
    assert "also hangs at tree 4TN8WJ" in refused(book, changed(own, valid_to=""))


def test_no_act_leaves_nobody_who_lets_others_in(book: Book) -> None:
    lan = Person(code="lan", name="Lan", access="admin")
    with book.writing("gocche", "first sign-in", 2_000) as draft:
        draft.put([lan, Person(code="minh", name="Minh", access="editor")])
    why = "lan is the last admin"
    assert why in refused(book, changed(lan, access="viewer"))
    assert why in refused(book, gone=("person", ("lan",)))
    with pytest.raises(Rejected, match=why):
        book.undo(book.acts(1)[0].id, "lan", 3_000)
    with book.writing("lan", "a successor, in one act", 4_000) as draft:
        draft.put([changed(lan, access=""), Person(code="minh", name="Minh", access="admin")])
    assert [one.code for one in book.rows("person") if isinstance(one, Person) and one.access == "admin"] == ["minh"]


def test_a_renamed_commune_is_a_row_more_and_is_missed_only_when_the_last_goes(book: Book) -> None:
    with book.writing("lan", "names", 2_000) as draft:
        draft.put([Province(code="v01", name="Yên Bái", valid_from=OLD, valid_to=NEW)])
        draft.put([Province(code="v01", name="Lào Cai", valid_from=NEW)])
        draft.put([Commune(code="c01", name="Chế Tạo", province="v01", valid_from=OLD)])
    with book.writing("lan", "one goes", 3_000) as draft:
        draft.remove("province", ("v01", OLD))
    assert "province v01 is still referred to by commune c01" in refused(book, gone=("province", ("v01", NEW)))


def test_a_tree_stands_inside_its_zone_as_exactly_as_it_was_measured(book: Book) -> None:
    square = "21.619 104.579; 21.619 104.581; 21.621 104.581; 21.621 104.579"
    with book.writing("lan", "outline", 2_000) as draft:
        draft.put([changed(ZONE, outline=square)])
    assert "is outside zone z01, 111 m away" in refused(book, changed(TREE, lat=21.622))
    with book.writing("lan", "by phone", 3_000) as draft:
        draft.put([changed(TREE, lat=21.622, accuracy_m=150)])


def test_distances_are_those_of_the_ground() -> None:
    # By hand: a degree of a great circle of 6,371.009 km is 111,195 m; of longitude at 60° N half of that.
    assert distance_m((0, 0), (1, 0)) == pytest.approx(111_195)
    assert distance_m((60, 10), (60, 11)) == pytest.approx(55_597.5)
    square = [(21.0, 104.0), (21.0, 104.1), (21.1, 104.1), (21.1, 104.0)]
    assert away_m(21.05, 104.05, square) == 0
    assert away_m(21.2, 104.05, square) == pytest.approx(11_119.5)


FAULTS = [
    (Tag, {"code": "7K3MQP", "state": "bound"}, "a bound tag has a tree"),
    (Tag, {"code": "7K3MQP", "state": "blank", "tree": "7K3MQP"}, "a bound tag has a tree"),
    (Person, {"code": "p1", "name": "Lan", "roles": "operator"}, "has a role, but no e-mail"),
    (Person, {"code": "p1", "name": "Lan", "roles": "king", "email": "a@b.vn"}, "'king' is none of"),
    (Person, {"code": "p1", "name": "Lan", "quiet_from": "21:30"}, "one of the two quiet times"),
    (Person, {"code": "p1", "name": "Lan", "quiet_from": "25:00", "quiet_to": "06:00"}, "no time of the day"),
    (Person, {"code": "p1", "name": "Lan", "addresses": "sms:1 sms:2"}, "each channel once"),
    (Zone, write(ZONE) | {"outline": "21.6 104.5; 21.7 104.6"}, "at least three"),
    (Zone, write(ZONE) | {"name_vi": "a\nb"}, "one line"),
    (Zone, write(ZONE) | {"name_vi": "x" * 301}, "301 characters, at most 300"),
    (
        Calibration,
        {
            "gateway": "sg-01",
            "channel": "soil-1",
            "quantity": "soil_moisture",
            "valid_from": "2025-01-01",
            "reads_low": "3",
        },
        "must both stand",
    ),
]


@pytest.mark.parametrize(("struct", "cells", "words"), FAULTS)
def test_what_cannot_be_right_together_is_refused(struct: type[Record], cells: dict[str, str], words: str) -> None:
    with pytest.raises(Bad, match=words):
        read(struct, cells)


def test_what_was_done_cannot_be_unsaid(book: Book, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "registry.db") as db:
        for statement in ("DELETE FROM act", "UPDATE change SET after = NULL"):
            with pytest.raises(sqlite3.IntegrityError, match="what was done stays said"):
                db.execute(statement)
    db.close()


def test_a_column_that_comes_later_has_its_default_and_a_newer_form_is_refused(book: Book, tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    book.close()
    with sqlite3.connect(path) as db:
        for column in ("published", "girth_cm", "precision"):
            db.execute(f'ALTER TABLE tree DROP COLUMN "{column}"')
    db.close()
    with Book(path, writer=True) as again:
        assert again.rows("tree") == [TREE]
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(Taken, match="newer gocche"):
        Book(path, writer=False)


def test_a_reader_sees_a_file_of_before_and_all_of_it_once_a_writer_has_brought_it_forward(tmp_path: Path) -> None:
    path, clock = tmp_path / "registry.db", HandClock()
    with Book(path, writer=True) as book, book.writing("lan", "planting", 1) as draft:
        draft.put([ZONE, TREE])
    with closing(sqlite3.connect(path)) as db:
        for column in ("published", "girth_cm", "precision"):
            db.execute(f'ALTER TABLE tree DROP COLUMN "{column}"')
        db.execute('ALTER TABLE photo RENAME COLUMN "consents" TO "consent"')
        db.execute("DROP TABLE calibration")
    assert known(path, BEFORE).trees == {TREE.code: TREE}, "as `gocche up` and `gocche cloud --check` do"
    rooms = [Live(path, BEFORE, clock, private=private) for private in (True, False)]
    for live in rooms:
        assert (live.why, list(live.now.trees)) == ("", [TREE.code]), "from its first look on"
    since = date(2026, 1, 1)
    added = Calibration(gateway="sg-01", channel="soil-1", quantity="soil_ph", valid_from=since, offset=0.5)
    with Book(path, writer=True) as book, book.writing("lan", "calibrated", 2) as draft:
        draft.put([added])
    for live in rooms:
        live.look()
        assert (live.why, list(live.now.trees)) == ("", [TREE.code])
        live.close()
    assert rooms[0].now.scale("sg-01", "soil-1", "soil_ph") != AS_TOLD


def test_the_room_that_makes_it_reads_it_on_a_disk_that_takes_nothing(tmp_path: Path) -> None:
    """Else smoke would be told to whom the tables of the first start name."""
    path = tmp_path / "registry.db"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Book(path, writer=True) as book:
        with book.writing("lan", "planting", 1) as draft:
            draft.put([Person(code="p1", name="Lan", roles=("operator",), email="lan@example.vn")])
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))  # the interpreter ignores SIGXFSZ
        try:
            live = Live(path, BEFORE, HandClock(), private=True, makes=True)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert (live.why, [one.name for one in live.now.contacts]) == ("", ["Lan"])
        live.close()


# --- tables


def all_of(book: Book) -> dict[str, list[Record]]:
    return {kind: book.rows(kind) for kind in KINDS}


def test_the_tables_of_before_become_todays_and_an_export_says_the_same(tmp_path: Path) -> None:
    with Book(tmp_path / "registry.db", writer=True) as book:
        first = bring(book, *read_any(BEFORE), who="start", what="import", at_ms=1)
        assert first.problems == []
        assert first.new == {
            "province": 2, "commune": 2, "hamlet": 3, "zone": 2, "tree": 5, "person": 3, "story": 10, "binding": 7,
        }  # fmt: skip
        comma.write_folder(tmp_path / "out", all_of(book))
        workbook.write_workbook(tmp_path / "out.xlsx", all_of(book))
        geojson.write_trees(tmp_path / "out.geojson", [one for one in book.rows("tree") if isinstance(one, Tree)])
        for name in ("out", "out.xlsx", "out.geojson"):
            again = bring(book, *read_any(tmp_path / name), who="lan", what="again", at_ms=2)
            assert (again.new, again.changed, again.problems, again.absent) == ({}, {}, [], {}), name
        assert len(book.acts(9)) == 1, "what changes nothing is no act"
        told = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.csv")}
        comma.write_folder(tmp_path / "out", all_of(book))
        assert told == {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.csv")}
        assert set(told) == {f"{stem}.csv" for stem in STEMS.values()}


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=20).filter(
    lambda text: text.isprintable() and not text.startswith("#")
)


@settings(max_examples=20)
@given(st.lists(st.tuples(TEXTS, st.floats(8, 24), st.floats(102, 110)), max_size=5))
def test_any_text_and_number_come_back_from_every_form(rows: list[tuple[str, float, float]]) -> None:
    import tempfile

    zones = [
        read(Zone, {"code": f"z{n}", "name_vi": text, "name_en": f"-{text}", "lat": repr(lat), "lon": repr(lon)})
        for n, (text, lat, lon) in enumerate(rows)
        if not text.startswith(("=", "@"))
    ]
    with tempfile.TemporaryDirectory() as folder, Book(None, writer=True) as book:
        with book.writing("x", "y", 1) as draft:
            draft.put(zones)
        for name, save in (("f", comma.write_folder), ("f.xlsx", workbook.write_workbook)):
            save(Path(folder) / name, {"zone": book.rows("zone")})
            report = bring(book, *read_any(Path(folder) / name), who="x", what="z", at_ms=2)
            assert (report.new, report.changed, report.problems) == ({}, {}, []), name


def test_what_a_spreadsheet_makes_of_times_and_serial_numbers_is_read_as_it_was_typed(tmp_path: Path) -> None:
    """Excel makes a time of 17:30, a date with one of 1/7/2026 17:30; one that is lost is hours of wrong weather."""
    book = Workbook()
    for stem, rows in {
        "maintenance": [
            ("gateway", "channel", "starts", "ends"),
            ("sg-01", "air-1", datetime(2026, 7, 1, 17, 30), datetime(2026, 7, 2)),  # noqa: DTZ001 - as Excel has it
        ],
        "people": [("code", "name", "quiet_from", "quiet_to"), ("lan", "Lan", time(21, 30), time(0))],
        "devices": [
            ("code", "model", "serial_no", "bought_on"),
            ("d1", "S", 1.352, datetime(2026, 7, 1, 17, 30)),  # noqa: DTZ001 - as Excel has it
        ],
    }.items():
        sheet = book.create_sheet(stem)
        for row in rows:
            sheet.append(row)
    book.remove(book.worksheets[0])
    book.save(tmp_path / "a.xlsx")
    told = [write(read(KINDS[row.kind], row.cells)) for row in workbook.read(tmp_path / "a.xlsx")]
    assert [told[0]["starts"], told[0]["ends"]] == ["2026-07-01T17:30", "2026-07-02T00:00"]
    assert [told[1]["quiet_from"], told[1]["quiet_to"]] == ["21:30", "00:00"]
    assert [told[2]["serial_no"], told[2]["bought_on"]] == ["1.352", "2026-07-01"]


def test_a_bad_row_stops_an_import_unless_the_good_ones_are_wanted(tmp_path: Path) -> None:
    comma.write_folder(tmp_path, {"zone": [ZONE], "tree": [TREE, changed(TREE, code="4TN8WJ", zone="z77")]})
    with (tmp_path / "trees.csv").open("a", encoding="utf-8") as file:
        file.write("9XJ6DC,=1+1,a,b,z01,21.6,104.5,1,2,3,x,y,,,4,yes,alive,,\n")
    with Book(tmp_path / "registry.db", writer=True) as book:
        for partial, dry in ((False, False), (True, True)):
            report = bring(book, *read_any(tmp_path), who="lan", what="i", at_ms=1, partial=partial, dry=dry)
            assert not report.written
            assert book.empty
        report = bring(book, *read_any(tmp_path), who="lan", what="i", at_ms=1, partial=True)
        assert report.written
        assert [(one.line, one.column, one.value) for one in report.problems] == [
            (3, "zone", "z77"),
            (4, "label_no", "=1+1"),
        ]
        assert all(one.vi and one.en and one.vi != one.en for one in report.problems)
        assert book.rows("tree") == [TREE]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.xlsx", b"no zip", "is no workbook"),
        ("a.geojson", b"[" * 100_000, "is no GeoJSON"),
        ("a.geojson", b"{}", "is no GeoJSON"),
        ("a.geojson", json.dumps({"features": [{"geometry": None}]}).encode(), "feature 1 is no point"),
        ("a.pdf", b"", "is of no form"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SheetError, match=words):
        read_any(tmp_path / name)


def test_a_workbook_that_unpacks_to_too_much_is_refused_unread(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED) as bomb, bomb.open("x", "w") as part:
        for _ in range(65):
            part.write(bytes(2**20))
    with pytest.raises(SheetError, match="unpacks to 65 MB, at most 64"):
        read_any(tmp_path / "bomb.xlsx")


# --- rooms


def test_a_row_that_nobody_can_read_is_left_out_and_the_rooms_live(tmp_path: Path, caplog) -> None:
    """An earlier gocche wrote the year 0026 of a maintenance as 26, which it could not read itself."""
    path = tmp_path / "registry.db"
    with Book(path, writer=True) as book, book.writing("lan", "planting", 1) as draft:
        draft.put([ZONE, TREE, Person(code="p1", name="Lan", roles=("operator",), email="lan@example.vn")])
        row = {"gateway": "sg-01", "channel": "air-1", "ends": "2026-11-27T10:00"}
        draft.put([read(Maintenance, row | {"starts": "2026-11-27T09:00"})])
    with sqlite3.connect(path) as db:
        db.execute("UPDATE maintenance SET starts = '26-11-27T09:00'")
    db.close()
    for private in (True, False):
        live = Live(path, BEFORE, HandClock(), private=private)
        assert (live.why, list(live.now.trees)) == ("", ["7K3MQP"])
        assert [one.name for one in live.now.contacts] == ["Lan"] * private
        live.close()
    shelf = Shelf(path, HandClock())
    assert (shelf.rows("maintenance"), shelf.maintained(), len(shelf.rows("tree"))) == ([], {}, 1)
    shelf.close()
    assert "registry-row-unread kind=maintenance code='sg-01' column=starts" in caplog.text
    with Book(path, writer=True) as book:
        with book.writing("lan", "renamed", 2) as draft:
            draft.put([changed(TREE, name_en="Old tree")])
        assert book.rows("maintenance") == []


@pytest.mark.parametrize("starts", ["0026-11-27T09:00", "0001-01-01T00:00", "1799-12-31T23:59"])
def test_a_year_of_two_digits_is_asked_back_and_what_is_written_can_be_read(starts: str) -> None:
    row = {"gateway": "sg-01", "channel": "air-1", "starts": starts, "ends": "2026-11-27T10:00"}
    with pytest.raises(Bad, match="write all four digits"):
        read(Maintenance, row)
    assert Moment().write(Moment().read("starts", starts)) == starts
    with pytest.raises(Bad, match="write all four digits"):
        read(Province, {"code": "v1", "name": "x", "valid_from": starts[:10]})


def test_an_offset_leads_no_number_out_of_its_range() -> None:
    row = {"gateway": "sg-01", "channel": "air-1", "quantity": "air_humidity", "valid_from": "2026-01-01"}
    damp = read(Calibration, row | {"offset": "2.5"})
    assert isinstance(damp, Calibration)
    assert [damp.meant(value) for value in (60.0, 99.0)] == [62.5, 100.0]
    for offset in ("1000000", "-51"):
        with pytest.raises(Bad, match="must be from -50 to 50"):
            read(Calibration, row | {"offset": offset})


def test_a_room_sees_a_change_at_its_next_look_and_keeps_what_it_read_when_the_file_is_ill(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    seen, public = (Live(path, BEFORE, HandClock(), private=private) for private in (True, False))
    for live in (seen, public):
        assert "not made yet" in live.why
        assert len(live.now.trees) == 5, "while there is none, what its tables say"
    assert (len(seen.now.contacts), len(public.now.contacts)) == (3, 0)
    sqlite3.connect(path).close()
    path.touch()  # another process is just making it
    seen.look()
    assert "not made yet" in seen.why
    with Book(path, writer=True) as book:
        seen.look()
        assert "not made yet" in seen.why, "its tables are there, and nothing in them"
        with book.writing("lan", "planting", 1) as draft:
            draft.put([ZONE, TREE, Person(code="p1", name="Lan", roles=("operator",), email="lan@example.vn")])
        for live in (seen, public):
            live.look()
            assert live.why == ""
            assert list(live.now.trees) == ["7K3MQP"]
        assert [one.name for one in seen.now.contacts] == ["Lan"]
        assert public.now.contacts == [], "the room that the world looks at does not even read people"
        before = seen.now
        seen.look()
        assert seen.now is before
        with book.writing("lan", "renamed", 2) as draft:
            draft.put([changed(TREE, name_en="Old tree")])
        seen.look()
        assert seen.now.trees["7K3MQP"].name_en == "Old tree"
    for live in (seen, public):
        live.close()
    for damaged in tmp_path.iterdir():
        damaged.write_bytes(b"damage" * 1000)
    seen.look()
    assert "registry.db" in seen.why
    assert seen.now.trees["7K3MQP"].name_en == "Old tree"


@pytest.mark.parametrize("ill", ["damaged", "newer"])
def test_a_room_begins_although_the_registry_cannot_be_read_and_the_world_is_shown_nothing_old(
    tmp_path: Path, ill: str
) -> None:
    """A damaged registry ended the whole server: no reading was stored and no smoke told."""
    path = tmp_path / "registry.db"
    if ill == "damaged":
        path.write_bytes(b"damage" * 1000)
    else:
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA user_version = 99")
    alerts, public = (Live(path, BEFORE, HandClock(), private=one, makes=one) for one in (True, False))
    assert "registry.db" in alerts.why
    assert "registry.db" in public.why
    assert len(alerts.now.contacts) == 3, "those of the tables are better than nobody"
    assert not public.now.trees, "what has been taken back since is not shown again"
    folder = str(tmp_path)
    config = load_config(Path(__file__).parents[1] / "config" / "cloud.toml")
    check(msgspec.structs.replace(config, data=msgspec.structs.replace(config.data, path=folder)))


def test_a_code_whose_row_was_taken_away_is_neither_forgotten_nor_minted_again(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with book.writing("lan", "a tag, and both away", 2_000) as draft:
        draft.put([Tag(code="000000", batch="x")])
    with book.writing("lan", "away", 3_000) as draft:
        draft.remove("tag", ("000000",))
        draft.remove("tree", ("7K3MQP",))
    live = Live(tmp_path / "registry.db", BEFORE, HandClock(), private=False)
    states = {code: live.now.state(code) for code in ("000000", "7K3MQP", "4TN8WJ")}
    assert states == {"000000": "retired", "7K3MQP": "retired", "4TN8WJ": "unknown"}
    live.close()
    letters = iter("00000" + "00001")
    monkeypatch.setattr("cloud.registry.mint.secrets.choice", lambda _: next(letters))
    assert [one.code[:5] for one in mint(book, 1, "y", NEW, who="lan", at_ms=4_000)] == ["00001"]
    book.undo(3, "lan", 5_000)
    assert book.gone == frozenset()


def test_a_code_is_minted_once_in_the_alphabet() -> None:
    assert codes.normalise(codes.shown("7K3MQP")) == "7K3MQP"
    assert load(BEFORE).trees.keys() >= {"7K3MQP"}
