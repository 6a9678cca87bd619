"""A SIM that ends is told to the operator once, however seldom its operator is asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloud.alerts.decide.pace import refuse
from cloud.alerts.rules import open_rules
from cloud.config import load
from tests.rules.garden import Bench, Post

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLE = Path(__file__).parent.parent / "config" / "cloud.toml"
DAY_S = 86_400


def _rules() -> list[dict[str, Any]]:
    return [rule for rule in load(SAMPLE).rules if str(rule["name"]).startswith("sim-")]


@pytest.fixture
def bench(tmp_path: Path, post: Post) -> Iterator[Bench]:
    made = Bench(tmp_path, _rules(), post.port)
    made.alerts.listening(True)
    yield made
    made.close()


def days(bench: Bench, quantity: str, values: list[float]) -> None:
    """Let a SIM be asked once a day, a little later each time, while its gateway is heard."""
    for value in values:
        bench.idle(DAY_S + 7, 3_600)
        at_s = (bench.clock.utc_ms() - bench.at(0)) / 1000
        bench.send([(at_s, value)], quantity=quantity, channel="sim-1")


def test_the_sample_warns_of_expiry_money_and_data(bench: Bench, post: Post) -> None:
    assert {rule["quantity"] for rule in _rules()} == {"sim_days_left", "sim_balance", "sim_data_left"}
    days(bench, "sim_days_left", [12, 11, 10, 9, 8, 7, 6, 5, 4])
    assert [subject[:42] for subject in post.subjects()] == ["[gocche] SIM CỦA TRẠM SẮP HẾT HẠN / A gate"]
    (one,) = bench.alerts.incidents()
    assert (one.grade, one.open, one.value) == ("upkeep", True, 4)
    days(bench, "sim_days_left", [180])
    assert len(post.mails) == 2
    assert not bench.alerts.incidents()[0].open


def test_money_and_data_are_told_apart(bench: Bench, post: Post) -> None:
    days(bench, "sim_balance", [50_000, 19_000])
    days(bench, "sim_data_left", [1_000, 150])
    assert {one.rule for one in bench.alerts.incidents()} == {"sim-money", "sim-data"}
    assert all("cháy" not in mail.get_content().lower() for _, mail in post.mails)


def test_a_sim_that_is_asked_once_a_day_refuses_no_rule_at_start(bench: Bench) -> None:
    days(bench, "sim_days_left", [120, 119, 118, 117, 116, 115])
    bench.alerts.close()
    changed = [rule | {"under": 15.0} if rule["name"] == "sim-expires" else rule for rule in _rules()]
    refuse(bench.path, open_rules(changed), changed, bench.clock.utc_ms())
