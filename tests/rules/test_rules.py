"""Every case folder of every rule kind is judged rightly, whatever order its readings arrive in."""

from __future__ import annotations

import csv
import json
import random
import tomllib
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from cloud.alerts.rainfall import joined, sums
from cloud.alerts.rules import Rule, kinds, open_rules
from cloud.alerts.rules.baseline import RULE as Baseline  # noqa: N811 - a class
from cloud.alerts.spans import BAD, Lane, Point, Span, Tracker, add, scan, settle, stirs
from cloud.alerts.usual import ENOUGH, Hour, hour_of, judged
from cloud.config import ConfigError
from cloud.registry.periods import NEVER
from tests.rules.garden import START_MS, Bench
from tests.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloud.store.totals import Run

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/*/rule.toml"))


def _name(case: Path) -> str:
    return f"{case.parent.name}/{case.name}"


def _rule(case: Path) -> dict[str, Any]:
    return tomllib.loads((case / "rule.toml").read_text(encoding="utf-8"))


def _rows(case: Path) -> list[dict[str, str]]:
    with (case / "readings.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _seconds(span: Any) -> dict[str, float | None]:
    times = {"since": span.since_ms, "opened": span.opened_ms, "until": span.until_ms, "ended": span.ended_ms}
    return {f"{key}_s": None if ms is None else (ms - START_MS) / 1000 for key, ms in times.items()}


def _expected(case: Path) -> list[dict[str, float | None]]:
    expected: list[dict[str, float | None]] = json.loads((case / "expected.json").read_text(encoding="utf-8"))
    return expected


READING_CASES = [c for c in CASES if (c / "expected.json").exists() and "value" in _rows(c)[0]]
SILENCE_CASES = [c for c in CASES if (c / "expected.json").exists() and "what" in _rows(c)[0]]
NODE_CASES = [c for c in CASES if (c / "expected.json").exists() and "pm2_5" in _rows(c)[0]]
LEVEL_CASES = [c for c in CASES if (c / "expected.json").exists() and "level" in _rows(c)[0]]
ERROR_CASES = [c for c in CASES if (c / "error.txt").exists()]


def test_every_kind_has_cases_that_fire_and_cases_that_do_not() -> None:
    for kind in kinds():
        results = [
            _expected(c) for c in READING_CASES + SILENCE_CASES + NODE_CASES + LEVEL_CASES if c.parent.name == kind
        ]
        assert any(results), f"{kind}: no case in which it fires"
        assert not all(results), f"{kind}: no case in which it stays quiet"


def test_every_case_is_judged() -> None:
    assert sorted(READING_CASES + SILENCE_CASES + NODE_CASES + LEVEL_CASES + ERROR_CASES) == CASES


def _spans(rule: Rule, points: Iterable[Point]) -> list[Span]:
    return scan(Tracker(), points, rule.mark, rule.patience)[1]


def _summed(rule: Rule, points: Iterable[Point]) -> list[Span]:
    """Return the spans of a running total, of which each reading came alone, in this order."""
    runs: list[Run] = []
    for point in points:
        runs = joined(runs, [point], rule.patience.gap_ms)
    found = sums(runs, rule.window_ms, rule.patience.gap_ms, NEVER, 0, 2**62)
    return _spans(rule, [(one.at_ms, 0, one.mm) for one in found if one.known or rule.mark(one.mm) == BAD])


@pytest.mark.parametrize("case", READING_CASES, ids=_name)
def test_readings(case: Path) -> None:
    (rule,) = open_rules([_rule(case)])
    points = [(START_MS + round(1000 * float(r["at_s"])), n, float(r["value"])) for n, r in enumerate(_rows(case))]
    if rule.window_ms:
        for seed in (None, *range(20)):
            order = points if seed is None else random.Random(seed).sample(points, len(points))
            assert [_seconds(span) for span in _summed(rule, order)] == _expected(case)
        return
    assert [_seconds(span) for span in _spans(rule, points)] == _expected(case)
    for seed in range(20):  # one by one in any order, judged again after each
        lane, shuffled = Lane(), random.Random(seed).sample(points, len(points))
        for point in shuffled:
            lane = add(lane, [point])
        assert [_seconds(span) for span in _spans(rule, lane.points)] == _expected(case)


@pytest.mark.parametrize("case", [case for case in READING_CASES if case.parent.name != "sum"], ids=_name)
def test_folding_the_window_changes_nothing(case: Path) -> None:
    (rule,) = open_rules([_rule(case)])
    lane, last = Lane(), None
    for n, row in enumerate(_rows(case)):
        utc_ms = START_MS + round(1000 * float(row["at_s"]))
        lane = _with(rule, lane, (utc_ms, n, float(row["value"])))
        lane = settle(lane, utc_ms - 120_000, rule.mark, rule.patience)
        last = scan(lane.base, lane.points, rule.mark, rule.patience)[1]
    still = [span for span in _expected(case) if span["ended_s"] is None]
    assert [_seconds(span) for span in last or [] if span.ended_ms is None] == still


@pytest.mark.parametrize("seed", range(40))
def test_a_calm_lane_has_nothing_to_scan(seed: int) -> None:
    """What is not scanned because nothing in it is bad would have given nothing."""
    (rule,) = open_rules([_rule(HERE / "limit" / "normal_day")])
    chance, lane, skipped = random.Random(seed), Lane(), 0
    for n in range(300):
        utc_ms = START_MS + 20_000 * n - chance.choice((0, 0, 0, 60_000))
        point = (utc_ms, n, chance.choice((5.0, 45.0, 80.0)) if n // 60 % 2 else 5.0)
        lane = _with(rule, lane, point)
        if not lane.stirred:
            skipped += 1
            assert _spans_of(rule, lane) == []
        lane = settle(lane, utc_ms - 300_000, rule.mark, rule.patience)
    assert 50 < skipped < 250


def _with(rule: Rule, lane: Lane, point: Point) -> Lane:
    lane = add(lane, [point])
    return replace(lane, stirred=lane.stirred or stirs([point], rule.mark))


def _spans_of(rule: Rule, lane: Lane) -> list[Span]:
    return scan(lane.base, lane.points, rule.mark, rule.patience)[1]


@pytest.mark.parametrize("case", SILENCE_CASES, ids=_name)
def test_silence(case: Path, tmp_path: Path) -> None:
    bench = Bench(tmp_path, [_rule(case)], free_port())
    now_s = 0.0
    for row in _rows(case):
        while now_s < float(row["at_s"]):
            bench.clock.advance(5.0)
            now_s += 5.0
            if now_s < float(row["at_s"]):
                bench.step()
        what, _, value = row["what"].partition(" ")
        if what == "heard":
            bench.alerts.heard("sg-01", bench.clock.utc_ms())
        elif what == "reading":
            rule = bench.rules[0]
            bench.send([(now_s, float(value) if value else None)], quantity=rule["quantity"], channel="probe-1")
        elif row["what"] in ("listening", "deaf"):
            bench.step()
            bench.alerts.listening(row["what"] == "listening")
        bench.step()
    assert [_seconds(incident) for incident in bench.alerts.incidents()] == _expected(case)
    bench.close()


@pytest.mark.parametrize("case", NODE_CASES, ids=_name)
def test_nodes(case: Path, tmp_path: Path) -> None:
    """A row is a stretch of time in which a node says so much, trembling by a step of its sensors."""
    bench = Bench(tmp_path, [_rule(case)], None)
    for row in _rows(case):
        for at_s in range(int(row["from_s"]), int(row["to_s"]), int(row["every_s"])):
            bench.clock.advance(max(0.0, (bench.at(at_s) - bench.clock.utc_ms()) / 1000))
            for number, quantity in enumerate(("pm2_5", "co", "air_temperature", "air_humidity")):
                if row[quantity]:
                    size = 0.1 if quantity != "pm2_5" else 80.0 if float(row[quantity]) > 100 else 1.0  # smoke puffs
                    step = size * (at_s // 60 % 3 - 1)
                    told = [(at_s, round(float(row[quantity]) + step, 1))]
                    bench.send(told, quantity=quantity, channel=f"probe-{number}", step=False)
            bench.step()
    found = [_seconds(incident) | {"stage": incident.stage} for incident in bench.alerts.incidents()]
    bench.close()
    assert found == _expected(case)


@pytest.mark.parametrize("case", LEVEL_CASES, ids=_name)
def test_levels(case: Path) -> None:
    """A row is a stretch of hours with a level that trembles; each hour is judged by those before it."""
    (rule,) = open_rules([_rule(case)])
    assert isinstance(rule, Baseline)
    by_hour = defaultdict[int, list[float]](list)
    for row in _rows(case):
        times = range(int(row["from_h"]) * 3_600, int(row["to_h"]) * 3_600, int(row["every_s"]))
        for n, at_s in enumerate(times):
            by_hour[hour_of(START_MS + 1_000 * at_s)].append(float(row["level"]) + float(row["swing"]) * (n % 3 - 1))
    hours: list[Hour] = []
    for at, levels in sorted(by_hour.items()):
        if len(levels) >= ENOUGH:
            hours.append(judged(hours, at, median(levels), rule.terms, live=True))
    points = [(one.end_ms, 0, one.worse) for one in hours if one.worse is not None]
    assert [_seconds(span) for span in _spans(rule, points)] == _expected(case)


@pytest.mark.parametrize("case", ERROR_CASES, ids=_name)
def test_wrong_rules_are_refused_with_their_remedy(case: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        open_rules([_rule(case)])
    expected = (case / "error.txt").read_text(encoding="utf-8").strip()
    assert str(caught.value).startswith(f"cloud.toml: {expected}")
    assert caught.value.told("vi") != str(caught.value)


def test_two_rules_of_one_name_are_refused() -> None:
    table = _rule(HERE / "limit" / "normal_day")
    with pytest.raises(ConfigError, match=r"\[\[rule\]\] 2 \(smoke\) name: \"smoke\" is taken; give each its own"):
        open_rules([table, table])


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r'kind: "limt" is no kind; did you mean "limit"\? there are: absence, baseline, detect'
    ):
        open_rules([{"name": "x", "kind": "limt"}])
