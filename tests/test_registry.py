"""The registry: what a spreadsheet may hold, and how each classic mistake is told."""

from __future__ import annotations

import shutil
import unicodedata
from datetime import date
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.registry import codes
from cloud.registry.alphabet import order
from cloud.registry.people import RUNGS
from cloud.registry.sheets import SheetError
from cloud.registry.transfer import load
from tests.visitors import GARDEN

if TYPE_CHECKING:
    from pathlib import Path

FIVE = st.text(codes.ALPHABET, min_size=5, max_size=5)
TREES = "code,label_no,name_vi,name_en,zone,lat,lon,alt_m,age_low,age_high,age_method_vi,age_method_en,girth_cm\n"
GOOD = "7K3MQP,1,Cây,Tree,z01,21.62,104.58,1352,250,350,ước tính,estimate,210\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(GARDEN, tmp_path / "garden")


def without(folder: Path, *names: str) -> None:
    """Take the rows of some files away, so that only what a test wrote is judged."""
    for name in names:
        lines = (folder / name).read_text("utf-8").splitlines()
        header = next(line for line in lines if not line.startswith("#"))
        (folder / name).write_text(header + "\n", "utf-8")


def alone(folder: Path) -> None:
    without(folder, "bindings.csv")
    without(folder, "lot_inputs.csv")
    shutil.rmtree(folder / "stories")


# The check character, by hand for 7K3MQ (values 7 19 3 20 23; from the right doubled, not, doubled, …):
# 46→15, 20, 6, 19, 14: sum 74; 74 + 22 = 96 = 3 · 32, and 22 is P.
def test_check_character_by_hand() -> None:
    assert codes.check_char("7K3MQ") == "P"


@given(FIVE, st.integers(0, 5), st.sampled_from(codes.ALPHABET))
def test_every_single_slip_is_caught(five: str, place: int, letter: str) -> None:
    code = five + codes.check_char(five)
    slipped = code[:place] + letter + code[place + 1 :]
    assert (codes.normalise(slipped) == code) == (slipped == code)


@given(FIVE)
def test_a_code_is_read_as_people_write_it(five: str) -> None:
    code = five + codes.check_char(five)
    for written in (code.lower(), codes.shown(code), f" {code} ", code.replace("0", "o").replace("1", "l")):
        assert codes.normalise(written) == code
    assert codes.normalise(code.replace("1", "I").replace("0", "O")) == code


@pytest.mark.parametrize(
    "text", ["", "7K3MQ", "7K3MQPP", "7K3MQU", "7K3MQ９", "７K3MQP", "-" * 99, "../../etc", "7K3MQ\n"]
)
def test_what_is_no_code(text: str) -> None:
    assert codes.normalise(text) is None


def test_the_shipped_garden_is_whole() -> None:
    garden = load(GARDEN)
    assert garden.problems == []
    assert len(garden.trees) >= 5
    assert all(zone.outline for zone in garden.zones.values()), "so that a tree outside its zone is told"
    assert {(code, lang) for code in garden.trees for lang in ("vi", "en")} == set(garden.stories)
    assert [binding.channel for binding in garden.bound_to("tree", "7K3MQP", date(2026, 1, 1))] == ["soil-1"]
    hamlets = [garden.hamlet(code, date(2026, 1, 1)) for code in garden.hamlets]
    assert {hamlet.name for hamlet in hamlets if hamlet} == {"Háng Tày", "Kể Cả", "Pú Vá"}
    assert all(hamlet and hamlet.households is None for hamlet in hamlets)
    assert {contact.role for contact in garden.contacts} == {"fire-watch", "commune", "telecom", "operator", ""}
    assert {one.rung for one in garden.duties} == set(RUNGS)
    assert (len(garden.permits), len(garden.sources)) == (1, 1)
    assert all(contact.email.endswith("@example.org") for contact in garden.contacts)


def test_a_province_is_a_name_with_dates() -> None:
    garden = load(GARDEN)
    for day, province in (
        (date(2025, 6, 30), "Yên Bái"),
        (date(2025, 7, 1), "Lào Cai"),
        (date(2030, 1, 1), "Lào Cai"),
        (date(1990, 1, 1), "Lào Cai"),  # before all that is known of it, it is called as it is now
    ):
        hamlet = garden.hamlet("h01", day)
        assert hamlet is not None
        assert (hamlet.commune, hamlet.province) == ("Chế Tạo", province)
    assert garden.hamlet("h99", date(2026, 1, 1)) is None


TREE_MISTAKES = [
    ("decimal comma", '7K3MQP,1,Cây,Tree,z01,"21,62",104.58,1352,250,350,a,b,', "21.62"),
    ("degrees and minutes", "7K3MQP,1,Cây,Tree,z01,21°37'12,104.58,1352,250,350,a,b,", "decimal degrees"),
    ("words for a number", "7K3MQP,1,Cây,Tree,z01,21.62,104.58,cao,250,350,a,b,", "'cao' is not a number"),
    ("thousands", "7K3MQP,1,Cây,Tree,z01,21.62,104.58,1.352,250,350,a,b,", "write 1352; if it is a decimal part"),
    ("thousands of years", "7K3MQP,1,Cây,Tree,z01,21.62,104.58,1352,250,1.000,a,b,", "write 1000"),
    ("not finite", "7K3MQP,1,Cây,Tree,z01,21.62,104.58,nan,250,350,a,b,", "must be from -10 to 3200"),
    ("lat and lon swapped", "7K3MQP,1,Cây,Tree,z01,104.5795,21.62,1352,250,350,a,b,", "lat 104.5795 and lon 21.62 are"),
    ("metres of VN-2000", "7K3MQP,1,Cây,Tree,z01,2391512.5,456321,1352,250,350,a,b,", "lat 2391512.5, lon 456321 look"),
    ("outside Vietnam", "7K3MQP,1,Cây,Tree,z01,48.85,2.35,35,250,350,a,b,", "outside Vietnam"),
    ("in another zone", "7K3MQP,1,Cây,Tree,z01,21.6188,104.5846,1352,250,350,a,b,", "outside zone z01, 298 m away"),
    ("unknown zone", "7K3MQP,1,Cây,Tree,z77,21.62,104.58,1352,250,350,a,b,", "not in table zone; there are: z01, z02"),
    ("age reversed", "7K3MQP,1,Cây,Tree,z01,21.62,104.58,1352,350,250,a,b,", "age_low 350 is above age_high 250"),
    ("age as a fraction", "7K3MQP,1,Cây,Tree,z01,21.62,104.58,1352,250.5,350,a,b,", "whole number"),
    ("bad check character", "7K3MQ2,1,Cây,Tree,z01,21.62,104.58,1352,250,350,a,b,", "7K3MQP was meant"),
    ("not a code", "CAY-SO-01,1,Cây,Tree,z01,21.62,104.58,1352,250,350,a,b,", "must be 6 characters"),
    ("duplicate code", GOOD + "7k3-mqp,2,Cây,Tree,z01,21.62,104.58,1352,250,350,a,b,", "same as a row above: 7K3MQP"),
    ("no name", "7K3MQP,1,,Tree,z01,21.62,104.58,1352,250,350,a,b,", "name_vi is blank"),
    ("too many cells", "7K3MQP,1,Cây, cao,Tree,z01,21.62,104.58,1352,250,350,a,b,", "double quotes"),
    ("too few cells", "7K3MQP,1,Cây", "3 cells instead of 13"),
]


@pytest.mark.parametrize(
    ("row", "words"), [case[1:] for case in TREE_MISTAKES], ids=[case[0] for case in TREE_MISTAKES]
)
def test_a_bad_tree_costs_only_itself(folder: Path, row: str, words: str) -> None:
    alone(folder)
    other = "4TN8WJ,2,Cây,Tree,z01,21.62,104.58,1352,250,350,ước tính,estimate,\n"
    (folder / "trees.csv").write_text(f"# remark\n{TREES}{other}{row}\n", "utf-8")
    garden = load(folder)
    assert "4TN8WJ" in garden.trees
    [problem] = garden.problems
    assert problem.file == "trees.csv"
    assert problem.line == 3 + row.count("\n") + 1
    assert words in problem.words
    assert " / " in problem.words  # Vietnamese, then English


BINDING_MISTAKES = [
    ("unknown tree", "sg-01,soil-1,tree,9XJ6DC,2025-07-01,,2,no", "'9XJ6DC' is not in table tree"),
    ("unknown zone", "sg-01,soil-1,zone,z99,2025-07-01,,2,no", "'z99' is not in table zone"),
    ("unknown hamlet", "sg-01,soil-1,hamlet,h99,2025-07-01,,2,no", "'h99' is not in table hamlet"),
    ("unknown kind of place", "sg-01,soil-1,house,h01,2025-07-01,,2,no", "'house' is none of: tree, zone, hamlet"),
    ("a date as people say it", "sg-01,soil-1,tree,7K3MQP,01/07/2025,,2,no", "year-month-day"),
    ("reversed dates", "sg-01,soil-1,tree,7K3MQP,2025-07-01,2025-06-01,2,no", "reversed"),
    ("a topic in a name", "sg/01,soil-1,tree,7K3MQP,2025-07-01,,2,no", "gateway: 'sg/01'"),
    ("a channel in capitals", "sg-01,Soil 1,tree,7K3MQP,2025-07-01,,2,no", "channel: 'Soil 1'"),
    ("a negative distance", "sg-01,soil-1,tree,7K3MQP,2025-07-01,,-2,no", "must be from 0"),
    ("maybe", "sg-01,soil-1,tree,7K3MQP,2025-07-01,,2,maybe", "none of: yes, no"),
]


@pytest.mark.parametrize(
    ("row", "words"), [case[1:] for case in BINDING_MISTAKES], ids=[case[0] for case in BINDING_MISTAKES]
)
def test_a_bad_binding_costs_only_itself(folder: Path, row: str, words: str) -> None:
    alone(folder)
    (folder / "trees.csv").write_text(TREES + GOOD, "utf-8")
    header = "gateway,channel,place,code,valid_from,valid_to,distance_m,way_out\n"
    good = "sg-01,soil-1,tree,7k3-mqp,2025-07-01,2026-07-01,2,yes\n"
    (folder / "bindings.csv").write_text(f"{header}{good}{row}\n", "utf-8")
    garden = load(folder)
    [problem] = garden.problems
    assert (problem.file, problem.line) == ("bindings.csv", 3)
    assert words in problem.words
    [hung] = garden.bindings
    assert (hung.code, hung.distance_m, hung.way_out) == ("7K3MQP", 2, True)
    assert garden.bound_to("tree", "7K3MQP", date(2026, 6, 30)) == [hung]
    assert garden.bound_to("tree", "7K3MQP", date(2026, 7, 1)) == []


def test_contacts_are_judged(folder: Path) -> None:
    rows = "name,role,email\nA,operator,a@example.org\nB,operator,b.example.org\nC,king,c@example.org\n"
    without(folder, "duties.csv")
    (folder / "people.csv").unlink()
    (folder / "contacts.csv").write_text(rows, "utf-8")
    garden = load(folder)
    assert [(contact.name, contact.lang) for contact in garden.contacts] == [("A", "vi")]
    assert [problem.line for problem in garden.problems] == [3, 4]


@pytest.mark.parametrize(("mark", "form"), [(";", "utf-8-sig"), ("\t", "utf-16")])
def test_what_spreadsheets_do_to_files_is_understood(folder: Path, mark: str, form: str) -> None:
    alone(folder)
    text = (TREES + GOOD).replace(",", mark).replace("\n", "\r\n")
    (folder / "trees.csv").write_bytes(unicodedata.normalize("NFD", text).encode(form))
    garden = load(folder)
    assert garden.problems == []
    assert garden.trees["7K3MQP"].name_vi == unicodedata.normalize("NFC", "Cây")


def test_a_row_in_another_encoding_costs_only_itself(folder: Path) -> None:
    alone(folder)
    rows = TREES + GOOD + GOOD.replace("7K3MQP", "4TN8WJ").replace("Cây", "@@")
    (folder / "trees.csv").write_bytes(rows.encode().replace(b"@@", "Cây".encode("cp1252")))
    garden = load(folder)
    assert list(garden.trees) == ["7K3MQP"]
    assert "UTF-8" in garden.problems[0].words


def test_a_folder_may_have_some_of_the_tables_but_not_none(folder: Path) -> None:
    for name in ("contacts.csv", "bindings.csv"):
        (folder / name).unlink(missing_ok=True)
    assert load(folder).problems == []
    for path in folder.glob("*.csv"):
        path.unlink()
    with pytest.raises(SheetError, match=r"trees\.csv"):
        load(folder)


def test_a_table_that_is_none_of_ours_is_refused(folder: Path) -> None:
    (folder / "treees.csv").write_text(TREES, "utf-8")
    with pytest.raises(SheetError, match=r"treees\.csv: the registry has no such table"):
        load(folder)


def test_a_garden_of_a_name_that_no_disk_takes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SheetError):
        load(tmp_path / ("a" * 300))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (TREES.replace("girth_cm", "girth"), "unknown column 'girth'"),
        (TREES.replace("lat,", ""), "column 'lat' is missing"),
        (TREES.replace("girth_cm", "code"), "column 'code' stands twice"),
        ("", "column 'code', 'name_vi', .* is missing"),
        ("\0" * 99 + ",x" * 99, "unknown column '(.x00){40}…', ('x', ){18}'x' …; columns are"),
    ],
)
def test_a_wrong_header_stops_the_folder(folder: Path, header: str, words: str) -> None:
    (folder / "trees.csv").write_text(header, "utf-8")
    with pytest.raises(SheetError, match=words) as caught:
        load(folder)
    assert "trees.csv:1" in str(caught.value)


@pytest.mark.parametrize("name", ["7K3MQ2.vi.md", "9XJ6DC.fr.md", "readme.md", "0000000.vi.md"])
def test_a_story_of_nobody_is_told(folder: Path, name: str) -> None:
    (folder / "stories" / name).write_text("x", "utf-8")
    [problem] = load(folder).problems
    assert problem.file == f"stories/{name}"


def test_a_story_that_is_not_utf8_is_told(folder: Path) -> None:
    (folder / "stories" / "7K3MQP.vi.md").write_bytes("cây".encode("cp1252"))
    garden = load(folder)
    assert ("7K3MQP", "vi") not in garden.stories
    assert "UTF-8" in garden.problems[0].words


def test_names_stand_in_the_order_of_the_vietnamese_alphabet() -> None:
    names = [
        "Anh", "Áo", "Ăn", "Âu", "Bản Lìm", "Cây 2", "Cây 10", "Dân", "Đá", "Đồi trên", "Em", "Êm", "Giàng", "Oanh",
        "Ông", "Ơn", "Sườn đông", "Ứng", "Vườn", "Yên",
    ]  # fmt: skip
    assert sorted(set(names), key=order) == names
    tones = ["ma", "má", "mà", "mạ", "mả", "mã", "mai"]
    assert min(tones, key=order) == "ma"
    assert max(tones, key=order) == "mai", "a tone is less than a letter"
    assert order("Đồi") != order("Doi")
