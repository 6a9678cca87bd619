"""Follows docs/add-a-sensor.md step by step in a copy of the tree: the page fails here when it no longer works."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gocche.new_driver import new_driver

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "add-a-sensor.md").read_text(encoding="utf-8")
NEEDED = ("edge", "wire", "tests/drivers", "tests/test_drivers.py", "pyproject.toml")
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in NEEDED:
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, target)
    return tmp_path


def case_tests(tree: Path) -> tuple[bool, str]:
    """Run the case tests in the copy."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        "test_case or proof or profile or units",
    ]
    ran = subprocess.run(
        [*command, "tests/test_drivers.py"], cwd=tree, capture_output=True, text=True, check=False, timeout=100
    )
    return ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-2000:]


def follow(page: str, tree: Path) -> list[str]:
    """Do what the page says, in its order; return what was done."""
    done, skeleton = [], set()
    for kind, path, text in BLOCK.findall(page):
        if kind == "sh" and text.startswith("gocche new-driver "):
            skeleton = set(new_driver(text.split()[2], tree))
            done.append("new-driver")
        elif kind == "sh":
            assert text.strip() == ".venv/bin/pytest tests/test_drivers.py"
            passed, words = case_tests(tree)
            assert passed, words
            done.append("pytest")
        else:
            assert path, f"a block of {kind} names no file"
            target = tree / path
            assert not target.exists() or target in skeleton, f"{path} would edit an existing file"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            done.append(path)
    return done


def test_the_page_works_as_it_stands(tree: Path) -> None:
    done = follow(PAGE, tree)
    assert done.count("pytest") == 2
    assert "edge/profiles/rs-ws-n01.toml" in done[: done.index("pytest")]
    assert "edge/drivers/mhz19.py" in done[done.index("new-driver") :]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("scale = 0.1", "scale = 0.01"),
        ("tests/drivers/modbus/air_rs_ws_n01/expected.json", "tests/drivers/modbus/air_rs_ws_n01/expected.txt"),
    ],
)
def test_the_page_fails_when_it_drifts(old: str, new: str, tree: Path) -> None:
    with pytest.raises(AssertionError, match="air_rs_ws_n01"):
        follow(PAGE.replace(old, new, 1), tree)


def test_the_page_names_only_what_exists() -> None:
    named = set(re.findall(r"`((?:edge|tests|wire|docs)/[\w./-]+)`", PAGE))
    written = {path for _, path, _ in BLOCK.findall(PAGE)}
    assert {name for name in named if not (ROOT / name).exists()} <= written


def test_a_skeleton_passes_at_once_and_is_clean(tree: Path) -> None:
    files = new_driver("kettle", tree)
    assert files[0] == tree / "edge/drivers/kettle.py"
    passed, words = case_tests(tree)
    assert passed, words
    for check in (["-m", "ruff", "check"], ["-m", "ruff", "format", "--check"]):
        ran = subprocess.run(
            [sys.executable, *check, files[0]], cwd=tree, capture_output=True, text=True, check=False, timeout=60
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_skeleton_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "edge" / "drivers").mkdir(parents=True)
    (tmp_path / "edge" / "drivers" / "kettle.py").write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match=r"kettle\.py is already there"):
        new_driver("kettle", tmp_path)
    assert not (tmp_path / "tests").exists()
    for name in ("Kettle", "k", "two words", "class", "../x"):
        with pytest.raises(ValueError, match="cannot name a driver"):
            new_driver(name, tmp_path)
