"""`gocche registry`, as it is typed: what it prints, and what it leaves behind."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cloud.clock import SystemClock
from cloud.registry.book import NAME, Book
from cloud.registry.live import Live, found, known
from gocche.__main__ import main

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "config" / "garden"


@pytest.fixture
def gocche(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def run(*words: str) -> tuple[int, str]:
        where = ["--config", str(ROOT / "config" / "cloud.toml"), "--data", str(tmp_path / "data")]
        status = main(["registry", *words, *where])
        told = capsys.readouterr()
        return status, told.out + told.err

    return run


def test_tables_go_in_out_and_back(gocche, tmp_path: Path) -> None:
    assert gocche("check", str(SAMPLE))[0] == 0
    assert not (tmp_path / "data").exists(), "a trial makes no registry"
    status, told = gocche("import", str(SAMPLE))
    assert status == 0
    assert "trees: 5 mới" in told
    assert "trees: 5 new, 0 changed" in told
    for name in ("garden", "garden.xlsx", "trees.geojson"):
        assert gocche("export", str(tmp_path / name))[0] == 0
        status, told = gocche("import", str(tmp_path / name))
        assert (status, "trees: 0 new, 0 changed, 5 the same" in told) == (0, True)
    trees = tmp_path / "garden" / "trees.csv"
    good = trees.read_text("utf-8")
    trees.write_text(good.replace(",1352,", ",352.1250,", 1), "utf-8")  # with three digits it could be thousands
    assert gocche("import", str(trees.parent))[0] == 0
    for name in ("garden", "garden.xlsx", "trees.geojson"):
        assert gocche("export", str(tmp_path / name))[0] == 0
        status, told = gocche("import", str(tmp_path / name))
        assert (status, "trees: 0 new, 0 changed, 5 the same" in told) == (0, True), name
    assert ",352.1250," in trees.read_text("utf-8")
    assert gocche("undo", "2")[0] == 0
    trees.write_text(good.replace("Cây mẫu số 1", "Cây Tổ").replace("104.5835", '"104,5835"'), "utf-8")
    status, told = gocche("import", str(trees.parent))
    assert status == 1
    assert "trees.csv:4: cột lon: '104,5835' — dùng dấu chấm thập phân: 104.5835" in told
    assert "nothing was written" in told
    assert gocche("import", str(trees.parent), "--partial")[0] == 1
    assert "name_vi: Cây mẫu số 1 → Cây Tổ" in gocche("log", "4")[1]
    assert "took" not in gocche("undo", "4")[1]
    status, told = gocche("undo", "4")
    assert status == 2
    assert "tree 7K3MQP was changed by" in told
    assert len(gocche("log")[1].splitlines()) == 5
    for words in (("undo", "77"), ("export", str(tmp_path / "x.pdf")), ("import", str(tmp_path / "nowhere"))):
        assert gocche(*words)[0] == 2


def test_the_first_start_takes_a_folder_over_once_and_never_writes_to_it(tmp_path: Path, caplog) -> None:
    folder = tmp_path / "garden"
    folder.mkdir()
    (folder / "zones.csv").write_text("code,name_vi,name_en,lat,lon\nz1,a,b,21.6,104.5\nz2,a,b,48.8,2.3\n", "utf-8")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    for _ in range(2):
        found(tmp_path / NAME, folder, SystemClock())
    assert [
        one.getMessage() for one in caplog.records if "left_out" in one.getMessage() or "left-out" in one.getMessage()
    ]
    with Book(tmp_path / NAME, writer=False) as book:
        assert [zone.code for zone in book.rows("zone")] == ["z1"]
        assert len(book.acts(9)) == 1
    (folder / "zones.csv").write_text("code,name_vi,name_en,lat,lon\nz1,other,b,21.6,104.5\n", "utf-8")
    found(tmp_path / NAME, folder, SystemClock())
    with Book(tmp_path / NAME, writer=False) as book:
        assert [zone.name_vi for zone in book.rows("zone")] == ["a"]
    assert before.keys() == set(folder.iterdir())
    shutil.rmtree(folder)
    found(tmp_path / NAME, folder, SystemClock())  # it is not looked at any more
    assert list(known(tmp_path / NAME, folder).zones) == ["z1"]


def test_a_registry_that_is_still_empty_says_what_its_tables_say(tmp_path: Path) -> None:
    Book(tmp_path / NAME, writer=True).close()
    assert len(known(tmp_path / NAME, SAMPLE).trees) == 5


def test_a_disk_that_takes_nothing_keeps_no_room_from_what_the_tables_say(tmp_path: Path, caplog) -> None:
    (tmp_path / NAME).mkdir()  # SQLite can neither open nor make it
    live = Live(tmp_path / NAME, SAMPLE, SystemClock(), private=True, makes=True)
    assert [one.role for one in live.now.contacts] == ["fire-watch", "telecom", "operator", "", "commune", "", ""]
    assert NAME in live.why
    assert any(NAME in one.getMessage() for one in caplog.records)
    (tmp_path / NAME).rmdir()
    assert live.look(), "it is made as soon as the disk takes it"
    assert live.why == ""
    assert len(live.now.trees) == 5
