"""Smoke is told whatever the server's own clock says: 1970, hours ahead, put right while it burns or after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rules.garden import SMOKE, START_MS, Bench, batch
from wire.codec import FUTURE_MS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MINUTE_MS = 60_000
HOUR_S, DAY_S, YEAR_S = 3_600, 86_400, 31_557_600
SINCE_1970_S = START_MS // 1000
DATED = pytest.mark.parametrize("dated", ["rightly", "by the server", "not at all"])
AHEAD = pytest.mark.parametrize("ahead_s", [120, 540, 660, 840, 1_000, 1_200, 7 * HOUR_S, DAY_S, 30 * YEAR_S])


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, [SMOKE], None)
    made.step()
    yield made
    made.close()


def _minutes(bench: Bench, n: int, value: float, dated: str, wrong_s: float) -> None:
    """Let a gateway tell a value each minute; its boot was dated rightly, by the server, or not at all."""
    undated = dated == "not at all"
    offset_ms = START_MS - 900_000 + (round(1000 * wrong_s) if dated == "by the server" else 0)
    for _ in range(n):
        bench.clock.advance(60)
        mono_ms = round(1000 * (bench.clock.monotonic() - 100))
        bench.alerts.lives("sg-01", "b0", mono_ms)
        reading = (mono_ms if undated else offset_ms + mono_ms, value)
        made = batch(bench.seq, [reading], offset_ms=offset_ms, undated=undated)
        bench.seq += 1
        bench.alerts.offer(made, bench.clock.utc_ms())
        bench.step()


@DATED
@pytest.mark.parametrize("behind_s", [SINCE_1970_S, SINCE_1970_S - 60, SINCE_1970_S - DAY_S, 30 * YEAR_S, 7 * YEAR_S])
def test_smoke_is_told_while_the_clock_says_1970_and_lasts_when_it_is_put_right(
    bench: Bench, behind_s: float, dated: str
) -> None:
    bench.clock.step(-behind_s)
    _minutes(bench, 3, 5.0, dated, -behind_s)
    _minutes(bench, 6, 300.0, dated, -behind_s)
    (incident,) = bench.alerts.incidents()
    assert (incident.state, incident.undated) == ("open", dated != "by the server")
    bench.clock.step(behind_s)
    _minutes(bench, 6, 300.0, dated, -behind_s)
    assert [one.state for one in bench.alerts.incidents()] == ["open"]
    _minutes(bench, 20, 5.0, dated, -behind_s)
    (incident,) = bench.alerts.incidents()
    assert incident.ended_ms is not None
    assert abs(bench.clock.utc_ms() - incident.ended_ms - 14 * MINUTE_MS) <= 2 * MINUTE_MS
    assert [event for event in bench.events() if event in ("opened", "ended")] == ["opened", "ended"]


@DATED
@AHEAD
@pytest.mark.parametrize("restarted", [False, True])
def test_what_burns_while_a_clock_that_was_ahead_is_put_right_burns_on(
    bench: Bench, ahead_s: float, dated: str, restarted: bool
) -> None:
    bench.clock.step(ahead_s)
    _minutes(bench, 3, 5.0, dated, ahead_s)
    _minutes(bench, 6, 300.0, dated, ahead_s)
    bench.clock.step(-ahead_s)
    if restarted:
        bench.restart()
    _minutes(bench, 8, 300.0, dated, ahead_s)
    assert [one.state for one in bench.alerts.incidents()] == ["open"]
    _minutes(bench, 20, 5.0, dated, ahead_s)
    (incident,) = bench.alerts.incidents()
    assert incident.ended_ms is not None
    believed_ms = round(1000 * ahead_s) if dated == "by the server" and 1000 * ahead_s <= FUTURE_MS else 0
    assert abs(bench.clock.utc_ms() + believed_ms - incident.ended_ms - 14 * MINUTE_MS) <= 2 * MINUTE_MS
    assert [event for event in bench.events() if event in ("opened", "ended")] == ["opened", "ended"]


@DATED
@AHEAD
def test_smoke_that_was_over_while_the_clock_was_ahead_hides_no_other(bench: Bench, ahead_s: float, dated: str) -> None:
    bench.clock.step(ahead_s)
    _minutes(bench, 6, 300.0, dated, ahead_s)
    _minutes(bench, 30, 5.0, dated, ahead_s)
    bench.clock.step(-ahead_s)
    assert [one.state for one in bench.alerts.incidents()] == ["ended"]
    _minutes(bench, 5, 300.0, dated, ahead_s)
    assert bench.alerts.incidents()[0].state == "open"


@DATED
@AHEAD
def test_what_ends_soon_after_the_clock_is_put_right_ends_and_no_other_waits(
    bench: Bench, ahead_s: float, dated: str
) -> None:
    bench.clock.step(ahead_s)
    _minutes(bench, 20, 5.0, dated, ahead_s)
    _minutes(bench, 6, 300.0, dated, ahead_s)
    bench.clock.step(-ahead_s)
    _minutes(bench, 2, 300.0, dated, ahead_s)
    _minutes(bench, 10, 5.0, dated, ahead_s)
    assert [one.state for one in bench.alerts.incidents()] == ["ended"]
    _minutes(bench, 20, 5.0, dated, ahead_s)
    assert [one.state for one in bench.alerts.incidents()] == ["ended"]
    _minutes(bench, 5, 300.0, dated, ahead_s)
    assert [one.state for one in bench.alerts.incidents()] == ["open", "ended"]


@DATED
@AHEAD
def test_smoke_that_comes_as_the_clock_is_put_right_does_not_wait(bench: Bench, ahead_s: float, dated: str) -> None:
    bench.clock.step(ahead_s)
    _minutes(bench, 20, 5.0, dated, ahead_s)
    bench.clock.step(-ahead_s)
    _minutes(bench, 5, 300.0, dated, ahead_s)
    assert [one.state for one in bench.alerts.incidents()] == ["open"]


@DATED
@pytest.mark.parametrize("behind_s", [660, 7 * HOUR_S, DAY_S, 30 * YEAR_S, SINCE_1970_S - 60])
def test_a_clock_that_falls_behind_leaves_history_as_it_was_and_tells_nobody_of_it_again(
    bench: Bench, behind_s: float, dated: str
) -> None:
    for _ in range(3):
        _minutes(bench, 5, 300.0, dated, 0)
        _minutes(bench, 30, 5.0, dated, 0)
    history = bench.alerts.incidents()
    assert [one.state for one in history] == ["ended"] * 3
    bench.clock.step(-behind_s)
    bench.restart()
    _minutes(bench, 5, 300.0, dated, 0)
    _minutes(bench, 30, 5.0, dated, 0)
    assert [one.state for one in bench.alerts.incidents()] == ["ended"] * 4
    bench.clock.step(behind_s)
    bench.restart()
    _minutes(bench, 5, 5.0, dated, 0)
    after = bench.alerts.incidents()
    assert [(one.since_ms, one.ended_ms) for one in after[1:]] == [(one.since_ms, one.ended_ms) for one in history]
    assert len(after) == 4


@DATED
@pytest.mark.parametrize("back_min", [20, 30, 40, 50, 60, 70])
def test_smoke_at_the_clock_time_of_an_older_fire_is_told_as_its_own(bench: Bench, back_min: int, dated: str) -> None:
    """The clock falls back to about when it burned: that fire was ended by readings newer than all that come."""
    _minutes(bench, 20, 5.0, dated, 0)
    _minutes(bench, 10, 300.0, dated, 0)
    _minutes(bench, 30, 5.0, dated, 0)
    (old,) = bench.alerts.incidents()
    bench.clock.step(-60 * back_min)
    bench.restart()
    told = [one.id for one in bench.alerts.incidents()]
    _minutes(bench, 5, 300.0, dated, -60 * back_min)
    new = [one for one in bench.alerts.incidents() if one.id not in told]
    assert [one.state for one in new] == ["open"]
    assert old.id in told
