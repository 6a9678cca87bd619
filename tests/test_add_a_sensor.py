"""Follows docs/add-a-sensor.md to the letter in a copy of the tree: the page fails here when it no longer works."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gocche.new_driver import new_driver
from gocche.words import Refused

pytestmark = [pytest.mark.journey, pytest.mark.usefixtures("budget")]
BUDGET_S = 120
ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "add-a-sensor.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout as `make` leaves it, with what Python has compiled."""
    folder = tmp_path / "gocche"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".*", "img", "dist", "journeys"))
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def ran(tree: Path, script: str) -> None:
    """Run a block of the page as it stands."""
    done = subprocess.run(
        ["/bin/sh", "-eu", "-c", script], cwd=tree, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, f"{script}\n{done.stdout[-3000:]}\n{done.stderr[-2000:]}"


def follow(page: str, tree: Path) -> list[str]:
    """Do what the page says, in its order; return what was done."""
    ours = {path for path in tree.rglob("*") if path.is_file() and ".venv" not in path.parts}
    done = []
    for kind, path, text in BLOCK.findall(page):
        if kind == "sh":
            ran(tree, text)
            done += text.splitlines()
            continue
        assert path, f"a block of {kind} names no file"
        target = tree / path
        assert target not in ours, f"{path} would edit an existing file"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        done.append(path)
    return done


def test_the_page_works_as_it_stands(tree: Path) -> None:
    done = follow(PAGE, tree)
    tested, begun = ".venv/bin/pytest tests/test_drivers.py", ".venv/bin/gocche new-driver mhz19"
    runs = [f"{tested} -k n01", f"{tested} -k mhz19", tested]
    assert [line for line in done if line.startswith(tested)] == runs, (
        "the probe, the fresh skeleton, all with the driver"
    )
    assert done[done.index(begun) + 1] == runs[1]
    assert "edge/profiles/rs-ws-n01.toml" in done[: done.index(runs[0])]
    assert done.index("edge/drivers/mhz19.py") > done.index(begun)


def test_the_page_fails_when_it_drifts(tree: Path) -> None:
    with pytest.raises(AssertionError, match="air_rs_ws_n01"):
        follow(PAGE.partition("## A driver")[0].replace("scale = 0.1", "scale = 0.01", 1), tree)


def test_the_page_names_only_what_exists() -> None:
    named = set(re.findall(r"`((?:edge|tests|wire|docs)/[\w./-]+)`", PAGE))
    written = {path for _, path, _ in BLOCK.findall(PAGE)}
    assert {name for name in named if not (ROOT / name).exists()} <= written


def test_a_skeleton_is_clean_and_says_that_it_has_no_checksum(tree: Path) -> None:
    longest = new_driver("rain_gauge_with_a_tipping_bucke", tree)
    ran(tree, f".venv/bin/ruff check {longest[0]}\n.venv/bin/ruff format --check {longest[0]}")
    files = new_driver("kettle", tree)
    assert files[0] == tree / "edge/drivers/kettle.py"
    ran(tree, f".venv/bin/ruff check {files[0]}\n.venv/bin/ruff format --check {files[0]}")
    text = files[0].read_text(encoding="utf-8")
    assert "checksum=False" in text
    files[0].write_text(re.sub(r"\n    checksum=False.*", "", text), encoding="utf-8")
    with pytest.raises(AssertionError, match="test_a_flipped_bit_never_brings_another_value"):
        ran(tree, ".venv/bin/pytest tests/test_drivers.py -k flipped")  # to claim one that is not checked fails


def test_a_skeleton_overwrites_nothing(tmp_path: Path) -> None:
    for folder in ("edge/drivers", "tests/drivers"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "edge" / "drivers" / "kettle.py").write_text("mine", encoding="utf-8")
    with pytest.raises(Refused, match=r"kettle\.py is already there"):
        new_driver("kettle", tmp_path)
    assert list((tmp_path / "tests" / "drivers").iterdir()) == []
    for name in ("Kettle", "k", "two words", "class", "../x", "match", "json"):
        with pytest.raises(Refused, match="cannot name a driver"):
            new_driver(name, tmp_path)
    with pytest.raises(Refused, match="is not a checkout"):
        new_driver("kettle", tmp_path / "edge")


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("Rain-Bucket", "rain_bucket"),
        ("SHT-31.", "sht_31"),
        ("Đo mưa", "do_mua"),
        ("7003", "mhz19"),
        ("class", "mhz19"),
    ],
)
def test_a_wrong_name_is_answered_with_a_right_one(name: str, better: str, tmp_path: Path) -> None:
    for folder in ("edge/drivers", "tests/drivers"):
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(Refused, match=f"e.g. {better}$"):
        new_driver(name, tmp_path)
