"""What the readings say now against what the journal holds: a folder each, at least one a row of the tables."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloud.alerts.decide.compare import LATE, LIVE, View, compare
from cloud.alerts.incident import Incident
from cloud.alerts.spans import Patience, Span

if TYPE_CHECKING:
    from cloud.alerts.incident import Change

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/case.toml"))
START_MS = 1_763_875_200_000
TIMES = ("since", "opened", "until", "ended", "bad")
ABOUT: dict[str, Any] = {
    "rule": "r",
    "kind": "limit",
    "gateway": "g",
    "channel": "c",
    "quantity": "pm2_5",
    "what_vi": "",
    "what_en": "",
    "place": "",
    "place_vi": "",
    "place_en": "",
    "lat": None,
    "lon": None,
}


def _case(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "case.toml").read_text(encoding="utf-8"))


def _ms(row: dict[str, Any]) -> dict[str, Any]:
    times = {f"{name}_ms": START_MS + 1000 * row[f"{name}_s"] for name in TIMES if f"{name}_s" in row}
    return {"until_ms": None, "ended_ms": None, "value": row["peak"], "peak": row["peak"]} | times


def _known(number: int, row: dict[str, Any]) -> Incident:
    return Incident(id=number, **ABOUT, touched_ms=START_MS, **_ms(row), late=row["late"], basis=row["basis"])


def _seconds(ms: int | None) -> int | None:
    return None if ms is None else (ms - START_MS) // 1000


def _told(change: Change) -> dict[str, Any]:
    span = change.span
    times = {f"{name}_s": _seconds(getattr(span, f"{name}_ms")) for name in ("since", "until", "ended")}
    about = {name: getattr(change, name) for name in ("event", "incident", "tell", "basis", "late")}
    return about | times | {"peak": span.peak}


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_case(folder: Path) -> None:
    case = _case(folder)
    patience = Patience(persist_ms=180_000, clear_ms=300_000, gap_ms=300_000, downwards=case.get("downwards", False))
    base_ms = START_MS + 1000 * case.get("base_s", -3_600)
    view = View(case["view"] == "late", base_ms, patience, announce=case.get("announce", False))
    known = [_known(number, row) for number, row in enumerate(case.get("known", ()), 1)]
    spans = [Span(**_ms(row)) for row in case.get("span", ())]
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    assert [_told(change) for change in compare(spans, known, view)] == expected


@pytest.mark.parametrize(("view", "table"), [("live", LIVE), ("late", LATE)])
def test_every_row_of_the_tables_has_a_folder(view: str, table: Any) -> None:
    shown = {
        (row["basis"], row["late"], "ended_s" not in row)
        for case in map(_case, CASES)
        if case["view"] == view and case.get("span")
        for row in case.get("known", ())
    }
    assert set(table) <= shown
