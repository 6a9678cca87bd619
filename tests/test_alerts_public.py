"""What the world sees of incidents: what readings say and is no fire; no suspicion, nor which gateway is down."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest

from cloud.alerts.incident import Basis
from cloud.alerts.journal import Journal, read_incidents, read_public
from cloud.alerts.rules import kinds, open_rules
from cloud.config import load
from cloud.pages.app import build
from cloud.registry.transfer import load as load_tables
from cloud.rooms.pages import garden_of
from cloud.store import open_store
from cloud.stream.latest import Latest
from tests.rules.garden import SIGNAL, SILENT, SMOKE, Bench, HandClock, registry
from tests.test_alerts_detection import SMOKE as SMOKE_AND_CO
from tests.test_alerts_detection import Scene
from tests.test_alerts_rain import RAIN, garden, pour
from tests.test_alerts_route import incident
from tests.test_alerts_sensors import GUARD
from tests.test_alerts_silence import MODEM
from tests.test_alerts_unstored import FIRE, tell
from tests.visitors import Visitor

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLE = Path(__file__).parents[1] / "config"


def seen(bench: Bench) -> list[tuple[str, str]]:
    """Return (rule, basis) of what the world sees."""
    return [(one.rule, one.basis) for one in read_public(bench.path, 100)]


def opened(bench: Bench) -> list[tuple[str, str]]:
    return [(one.rule, one.basis) for one in read_incidents(bench.path, 100)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    rules = [SMOKE, SILENT | {"role": "telecom"}, SIGNAL, GUARD, RAIN]
    made = Bench(tmp_path, rules, None, registry=garden(), tells=False)
    made.alerts.listening(True)
    yield made
    made.close()


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[Bench]:
    """A gateway whose modem is its way out."""
    made = Bench(tmp_path, [SMOKE, SILENT, SIGNAL], None, registry=registry(way_out=True), tells=False)
    made.alerts.listening(True)
    yield made
    made.close()


def test_smoke_is_never_shown(bench: Bench) -> None:
    bench.live([(60.0 * n, 80.0 + n) for n in range(6)])
    assert (opened(bench), seen(bench)) == ([("smoke", "readings")], [])


def test_smoke_that_was_told_and_not_stored_is_never_shown(bench: Bench) -> None:
    tell(bench, FIRE)
    assert (opened(bench), seen(bench)) == ([("smoke", "unstored")], [])


def test_what_the_detector_suspects_and_raises_is_never_shown(tmp_path: Path) -> None:
    scene = Scene(tmp_path, tells=False)
    scene.minutes(60, {"pm2_5": 20.0, "co": 0.3, "air_temperature": 20.0, "air_humidity": 70.0})
    scene.minutes(60, SMOKE_AND_CO)
    assert {one.stage for one in read_incidents(scene.bench.path, 9)} == {"probable"}
    assert seen(scene.bench) == []
    scene.bench.close()


def test_a_gateway_that_is_down_is_never_shown_whoever_is_told(bench: Bench) -> None:
    bench.send([(0, 10)])
    bench.idle(600, 60)
    assert (opened(bench), seen(bench)) == ([("silent", "absence")], [])


def test_a_sensor_that_is_dead_is_never_shown(bench: Bench) -> None:
    bench.live([(60.0 * n, 10.0 + n) for n in range(10)])
    bench.hear(3_600)
    assert (opened(bench), seen(bench)) == ([("guard", "dead")], [])


def test_service_that_the_modem_itself_says_is_lost_is_shown(bench: Bench) -> None:
    bench.live([(0, 1), (30, 2), (60, 2), (90, 2), (120, 2)], **MODEM)
    assert seen(bench) == opened(bench) == [("signal", "readings")]


def test_heavy_rain_is_shown(bench: Bench) -> None:
    pour(bench, 0, 120, 5.0, 800.0)
    assert seen(bench) == opened(bench) == [("rain", "readings")]


def test_lost_service_that_is_only_silence_is_shown_once_the_modems_own_readings_agree(lone: Bench) -> None:
    lone.live([(0, 1), (30, 1)], **MODEM)
    lone.idle(1_770)
    assert (opened(lone), seen(lone)) == ([("signal", "silence")], []), "it tells that the gateway is down"
    lone.send([(1_795, 1)], **MODEM)
    lone.hear(90)
    lone.send([(60.0 * n, 2.0) for n in range(1, 29)], **MODEM)
    lone.live([(1_930, 1), (1_990, 1)], **MODEM)
    lone.idle(10)
    assert seen(lone) == opened(lone) == [("signal", "both")]


def test_lost_service_that_was_none_is_never_shown(lone: Bench) -> None:
    lone.live([(0, 1)], **MODEM)
    lone.idle(1_200)
    lone.send([(1_195, 1)], **MODEM)
    lone.hear(90)
    lone.send([(60.0 * n, 1.0) for n in range(1, 19)], **MODEM)
    assert (opened(lone), seen(lone)) == ([("signal", "refuted")], [])


def test_of_the_samples_rules_the_page_shows_signal_and_rain_by_readings_and_nothing_else(tmp_path: Path) -> None:
    config = load(SAMPLE / "cloud.toml")
    rules = open_rules(config.rules)
    assert {rule.kind for rule in rules} == set(kinds())
    journal = Journal(tmp_path / "alerts.db")
    with journal.transaction():
        for rule in rules:
            for basis in get_args(Basis):
                own: dict[str, Any] = {"rule": rule.name, "kind": rule.kind, "basis": basis, "may_burn": rule.may_burn}
                what = {"what_vi": f"<{rule.name}>", "what_en": f"<{basis}>", "grade": rule.grade}
                journal.save(incident(0, **own, **what))
    journal.close()
    shown = {(one.rule, one.basis) for one in read_public(tmp_path / "alerts.db", 1_000)}
    names = ("no-signal", "weak-4g", "weak-5g", "noisy-4g", "rain-day", "rain-3h", "rain-hour")
    assert shown == {(name, basis) for name in names for basis in ("readings", "unstored", "both", "modems")}

    (tmp_path / "cloud.toml").write_text(f'[data]\npath = "{tmp_path}"\n[garden]\npath = "{SAMPLE / "garden"}"\n')
    store = open_store({"path": str(tmp_path / "store.db")}, writer=True)
    store.setup()
    own_config = load(tmp_path / "cloud.toml")
    world = garden_of(own_config, load_tables(SAMPLE / "garden"), Latest(), store, HandClock())
    page = Visitor(build(world)).get("/canh-bao").text
    for rule in rules:
        assert (f"&lt;{rule.name}&gt;" in page) == (rule.name in names), rule.name
    store.close()
