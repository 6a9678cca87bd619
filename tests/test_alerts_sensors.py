"""Smoke whose sensor falls silent, sensors that guard no longer, and sensors slower than their rule."""

from __future__ import annotations

import sqlite3
import tomllib
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloud.alerts.decide.pace import refuse
from cloud.alerts.rules import open_rules
from cloud.alerts.words import Item, text
from cloud.config import ConfigError
from tests.rules.garden import SILENT, SMOKE, Bench

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRE = [(60.0 * n, 80.0) for n in range(6)]
DAY_S = 86_400
GUARD: dict[str, Any] = {"name": "guard", "kind": "sensor", "quantity": "pm2_5", "after_s": 1_800}
LATER = (
    "above",
    "may_burn",
    "cause",
    *("grade", "stage", "part_of", "closed_ms", "closed_as", "closed_by", "acked_ms", "acked_by"),
    *("assignee", "exercise", "muted", "claim"),
)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, [SMOKE, SILENT, GUARD], None, tells=False)
    made.alerts.listening(True)
    yield made
    made.close()


def told(bench: Bench) -> list[tuple[str, str]]:
    rules = {incident.id: incident.rule for incident in bench.alerts.incidents()}
    return [(rules[one.incident], one.tell) for one in bench.alerts._journal.intents(0)]


def test_smoke_whose_node_falls_silent_is_told_as_such_and_ended_as_unknown(bench: Bench) -> None:
    bench.live(FIRE)
    bench.idle(1_200)
    assert told(bench) == [("smoke", "onset"), ("silent", "onset"), ("smoke", "silent")]
    smoke = bench.alerts.incidents()[-1]
    assert (smoke.state, smoke.silent_ms) == ("open", bench.at(300))
    bench.restart()
    bench.alerts.listening(True)
    bench.idle(DAY_S, 600)
    smoke = bench.alerts.incidents()[-1]
    assert (smoke.state, smoke.until_ms) == ("ended", bench.at(300)), "the last reading that shows it"
    assert [one for one in told(bench) if one[1] != "unanswered"][3:] == [("smoke", "end_unknown")]


def test_smoke_that_is_seen_again_goes_on_as_the_same_incident(bench: Bench) -> None:
    bench.live(FIRE)
    bench.idle(1_200)
    bench.live([(1_600.0, 90.0), (1_660.0, 90.0)])
    smoke = bench.alerts.incidents()[-1]
    assert (smoke.state, smoke.silent_ms, smoke.value) == ("open", None, 90.0)
    bench.live([(1_720.0 + 60 * n, 10.0) for n in range(6)])
    assert [tell for rule, tell in told(bench) if rule == "smoke"] == ["onset", "silent"], "only a person ends it"
    assert (bench.alerts.incidents()[-1].stage, bench.alerts.incidents()[-1].going) == ("probable", True)


def test_smoke_is_not_called_silent_while_nobody_listens(bench: Bench) -> None:
    bench.live(FIRE)
    bench.alerts.listening(False)
    bench.idle(2 * DAY_S, 600)
    assert {tell for _, tell in told(bench)} == {"onset", "unanswered"}


def test_a_sensor_that_dies_beside_others_is_told_while_its_gateway_lives(bench: Bench) -> None:
    bench.live([(0.0, 5.0), (60.0, 6.0)])
    for n in range(2, 40):
        bench.live([(60.0 * n, 20.0)], quantity="air_temperature", channel="air-1")
    assert told(bench) == [("guard", "onset")]
    (incident,) = bench.alerts.incidents()
    assert (incident.basis, incident.since_ms, incident.channel) == ("dead", bench.at(60), "smoke-1")
    bench.restart()
    bench.alerts.listening(True)
    for n in range(40, 60):
        bench.live([(60.0 * n, 20.0)], quantity="air_temperature", channel="air-1")
    assert told(bench) == [("guard", "onset")]
    bench.live([(3_600.0 + 60 * n, 5.0 + n % 3) for n in range(12)])
    assert told(bench) == [("guard", "onset"), ("guard", "end")]


def test_a_sensor_that_was_taken_down_is_not_missed_for_ever(bench: Bench) -> None:
    bench.live([(0.0, 5.0), (60.0, 6.0)])
    bench.hear(2_100)
    bench.pretend_to_have_listened(30 * DAY_S)
    bench.hear(60)
    assert told(bench) == [("guard", "onset"), ("guard", "end_unknown")]
    bench.hear(2_100)
    assert len(bench.alerts.incidents()) == 1


def test_an_incident_whose_rule_is_gone_does_not_stay_open(bench: Bench) -> None:
    bench.live(FIRE)
    bench.rules = [SILENT]
    bench.restart()
    bench.alerts.listening(True)
    bench.idle(10)
    (incident,) = bench.alerts.incidents()
    assert not incident.open
    assert any("its rule does not stand in cloud.toml any more" in words for words in bench.words())


def test_smoke_is_seen_by_a_sensor_that_is_slower_than_the_rule_allows(bench: Bench) -> None:
    """Read each 600 s, and the rule's gap is 300 s: the gap is widened, and that is said."""
    bench.live([(600.0 * n, 5.0) for n in range(6)])
    assert bench.alerts.health()["rules_slow"] == {"smoke: sg-01/smoke-1": 600.0}
    bench.live([(3_600 + 600.0 * n, 400.0) for n in range(3)])
    assert [incident.rule for incident in bench.alerts.incidents() if incident.open] == ["smoke"]
    bench.hear(1_000)
    assert [tell for _, tell in told(bench)] == ["onset"], "its next reading is not due for long"
    bench.live([(5_900 + 10.0 * n, 400.0) for n in range(9)])
    assert bench.alerts.health()["rules_slow"] == {}


def test_a_rule_slower_than_a_sensor_is_refused_when_it_is_written_and_not_in_the_night(bench: Bench) -> None:
    bench.live([(600.0 * n, 5.0) for n in range(6)])

    def start(*tables: dict[str, Any]) -> None:
        refuse(bench.path, open_rules(tables), tables, bench.clock.utc_ms())

    start(SMOKE, SILENT, GUARD)  # as they were, and the sensor has become slow since
    with pytest.raises(ConfigError) as caught:
        start(SMOKE | {"gap_s": 500}, SILENT)
    assert str(caught.value) == (
        "cloud.toml: [[rule]] 1 (smoke) gap_s: 500 is shorter than the pace of sg-01/smoke-1, a reading each 600 s:"
        " no two of them would add up; write gap_s = 1500 or more"
    )
    with pytest.raises(ConfigError, match=r"2 \(haze\) gap_s: 60"):
        start(SMOKE, SMOKE | {"name": "haze", "over": 100.0, "gap_s": 60})
    start(SMOKE | {"gap_s": 1_500})
    bench.clock.advance(8 * DAY_S)  # the sensor was taken down
    start(SMOKE | {"gap_s": 500})


def test_a_journal_of_an_earlier_gocche_refuses_no_rule_and_keeps_no_room_from_starting(bench: Bench) -> None:
    bench.live(FIRE)
    bench.close()
    with closing(sqlite3.connect(bench.path)) as db:  # as it was before sensors had a pace
        tables = "DROP TABLE node; DROP TABLE step; DROP TABLE silence; DROP TABLE act; DROP TABLE report;"
        indexes = (
            "incident_going",
            "incident_parts",
            "letter_code",
            "letter_name",
            "letter_undelivered",
            "letter_person",
            "journal_incident",
        )
        columns = [f"incident DROP COLUMN {name}" for name in LATER]
        columns += ["intent DROP COLUMN rung", "letter DROP COLUMN code", "letter DROP COLUMN receipt"]
        columns += ["letter DROP COLUMN says"]
        gone = [f"DROP INDEX {name};" for name in indexes] + [f"ALTER TABLE {name};" for name in columns]
        db.executescript(tables + "".join(gone))
        db.executescript("ALTER TABLE sensor DROP COLUMN intervals; PRAGMA user_version = 6;")
    refuse(bench.path, open_rules([SMOKE, GUARD]), [SMOKE, GUARD], bench.clock.utc_ms())
    bench.restart()
    bench.step()
    assert [incident.rule for incident in bench.alerts.incidents()] == ["smoke"]


def test_a_sensor_slower_than_its_guard_is_not_called_dead_between_two_values(bench: Bench) -> None:
    """Its gateway sends each hour, and the guard's patience is half an hour."""
    for _ in range(8):
        bench.hear(3_600, 200)
        bench.send([((bench.clock.utc_ms() - bench.at(0)) / 1000, float(bench.seq))])
    tables = [GUARD | {"after_s": 2_000}]
    assert bench.alerts.health()["rules_slow"]["guard: sg-01/smoke-1"] == 3_600.0
    assert told(bench)[2:] == [], "called dead while its pace was not known, once"
    with pytest.raises(
        ConfigError, match=r"1 \(guard\) after_s: 2000 is shorter than the pace of sg-01/smoke-1, which"
    ):
        refuse(bench.path, open_rules(tables), tables, bench.clock.utc_ms())
    bench.hear(8_800, 200)
    before = len(told(bench))
    bench.hear(600, 200)
    assert told(bench)[before:] == [("guard", "onset")]


def of_the_sample(*names: str) -> list[dict[str, Any]]:
    """Return rules as config/cloud.toml has them."""
    tables = tomllib.loads((Path(__file__).parents[1] / "config" / "cloud.toml").read_text(encoding="utf-8"))["rule"]
    return [table for table in tables if table["name"] in names]


def test_a_siren_that_is_not_tested_for_a_week_and_a_day_is_told_to_the_operator_until_it_is(tmp_path: Path) -> None:
    bench = Bench(tmp_path, of_the_sample("siren-test"), None, tells=False)
    bench.alerts.listening(True)

    def live(days: float, *codes: int) -> None:
        """Codes of one moment, as of a test, and then silence is said each hour."""
        now_s = (bench.clock.utc_ms() - bench.at(0)) / 1000
        for number, code in enumerate(codes):
            bench.live([(now_s + 60 + 2 * number, float(code))], quantity="siren", channel="siren-1")
        hours = range(1, round(24 * days))
        bench.live([(now_s + 3_600 * hour, 0.0) for hour in hours], quantity="siren", channel="siren-1")

    live(6, 0)
    live(7, 4, 0)  # tested in time, twice
    live(7.9, 4, 0)
    assert told(bench) == []
    live(0.3, 0)
    assert told(bench) == [("siren-test", "onset")]
    (incident,) = bench.alerts.incidents()
    assert (incident.grade, incident.rule, incident.what_vi) == ("upkeep", "siren-test", "Quá hạn thử còi hằng tuần")
    said = text([Item(incident, open_rules(of_the_sample(incident.rule))[0], "onset")], "vi")
    assert 'Còi báo cháy: vẫn chỉ "im lặng"' in said
    assert 'always "silent"' in said
    live(0.5, 4, 0)
    assert [one.state for one in bench.alerts.incidents()] == ["ended"]
    live(7, 0)
    now_s = (bench.clock.utc_ms() - bench.at(0)) / 1000
    bench.live(
        [(now_s + 7_200, 0.0)], quantity="siren", channel="siren-1"
    )  # after two hours without link, the newest first
    bench.send([(now_s + 60, 0.0), (now_s + 3_600, 4.0), (now_s + 3_602, 0.0)], quantity="siren", channel="siren-1")
    live(7.5, 0)
    assert [one.state for one in bench.alerts.incidents()] == ["ended"], "it was tested in them"
    bench.close()


def test_a_siren_that_failed_is_told_in_words_of_its_own(tmp_path: Path) -> None:
    bench = Bench(tmp_path, of_the_sample("siren-failed"), None, tells=False)
    bench.live([(600.0, 3.0), (720.0, 3.0)], quantity="siren", channel="siren-1")
    (incident,) = bench.alerts.incidents()
    assert (incident.grade, incident.lives) == ("upkeep", False)
    said = text([Item(incident, open_rules(of_the_sample(incident.rule))[0], "onset")], "vi")
    assert "Còi báo cháy: không hú được hoặc không tắt được" in said
    assert "Siren: cannot sound, or cannot be silenced" in said
    assert "{" not in said
    bench.close()
