"""The detector over the stream: the claims that the package makes, through kills, gaps, late data, silence, edges."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from bench import scenes
from cloud.alerts.rules.detect import reasons
from cloud.clock import SystemClock
from cloud.inbox import Asker
from cloud.registry import Contact, Registry
from cloud.registry.kinds import Tree
from detect.claim import PROBABLE, SUSPECTED
from tests import build
from tests.rules.garden import START_MS, Bench, Post, batch, bound, person, registry, serving
from tests.servers import free_port

if TYPE_CHECKING:
    from pathlib import Path

RULE: dict[str, Any] = {"name": "fire", "kind": "detect", "what_vi": "Nghi có khói", "what_en": "Suspected smoke"}
CLEAN = {"pm2_5": 20.0, "co": 0.3, "air_temperature": 20.0, "air_humidity": 70.0}
SMOKE = CLEAN | {"pm2_5": 220.0, "co": 2.6}
EXERCISE: dict[str, Any] = {"act": "exercise", "who": "chu", "by": "cli", "scope": "sg-01"}
CLOSED: dict[str, Any] = {"act": "close", "who": "chu", "by": "page", "closed_as": "drill"}
CHANNELS = {"pm2_5": "smoke-1", "co": "co-1", "air_temperature": "air-1", "air_humidity": "air-1"}


def garden(*, second: bool = True) -> Registry:
    """Return a garden with one node at each of two trees, 280 m apart, and a third node far off."""
    known = registry()
    trees = list(known.trees.values())
    trees += [_tree("2222222", 21.61434, 104.61434), _tree("3333333", 21.9, 104.9)]
    bindings = [
        bound(gateway, channel, "tree", code)
        for gateway, code in (("sg-01", trees[0].code), ("sg-02", "2222222"), ("sg-03", "3333333"))
        for channel in ("smoke-1", "co-1", "air-1", "node-1")
        if second or gateway == "sg-01"
    ]
    people = [person(0, Contact("Thào A Lử", "fire-watch", "lu@example.vn"))]
    return Registry({"zone": list(known.zones.values()), "tree": trees, "person": people, "binding": bindings})


def _tree(code: str, lat: float, lon: float) -> Tree:
    return Tree(
        code=code, name_vi=code, name_en=code, zone="suoi-giang", lat=lat, lon=lon, alt_m=1_400,
        age_low=1, age_high=2, age_method_vi="", age_method_en="",
    )  # fmt: skip


class Scene:
    """Nodes that speak each minute to one alerts room."""

    def __init__(self, folder: Path, port: int | None = None, **settings: Any) -> None:
        self.bench = Bench(folder, [RULE], port, registry=settings.pop("registry", None) or garden(), **settings)
        self.bench.alerts.listening(True)
        self.at_s, self._n = 0.0, 0
        self.offset_ms, self.undated = START_MS - 900_000, False  # of the one boot of all gateways

    def readings(self, at_s: float, values: dict[str, float], gateway: str = "sg-01") -> list[Any]:
        """Return batches of one minute of a node, a channel each, trembling a little as real ones do."""
        self._n += 1
        made = []
        for channel in dict.fromkeys(CHANNELS[quantity] for quantity in values):
            for quantity, value in values.items():
                if CHANNELS[quantity] == channel:
                    step = {"pm2_5": 1.0, "co": 0.1, "air_temperature": 0.1, "air_humidity": 0.5}[quantity]
                    step *= 80 if value > 100 else 1  # smoke comes in puffs
                    told = round(value + step * (self._n * 7 % 5 % 3 - 1), 1)
                    made.append(self.one(at_s, quantity, told, channel, gateway))
        return made

    def one(self, at_s: float, quantity: str, value: float, channel: str, gateway: str = "sg-01") -> Any:
        said = [(self.bench.at(at_s) - self.offset_ms * self.undated, value)]
        own = {"offset_ms": self.offset_ms, "undated": self.undated}
        made = batch(self.bench.seq, said, quantity=quantity, channel=channel, gateway=gateway, **own)
        self.bench.seq += 1
        return made

    def minutes(self, count: float, values: dict[str, float], *others: str, each_s: float = 60.0) -> None:
        """Let time pass, and nodes speak."""
        until_s = self.at_s + 60 * count
        while self.at_s < until_s:
            for gateway in ("sg-01", *others):
                for made in self.readings(self.at_s, values if gateway == "sg-01" else CLEAN, gateway):
                    self.bench.alerts.offer(made, self.bench.clock.utc_ms())
            self.bench.step()
            self.at_s += each_s
            self.bench.clock.advance(each_s)

    def offer(self, batches: list[Any]) -> None:
        for made in batches:
            self.bench.alerts.offer(made, self.bench.clock.utc_ms())
        self.bench.step()

    @property
    def told(self) -> list[tuple[str, bool, bool]]:
        """Return (stage, open, late) of each incident, oldest first."""
        return [(one.stage, one.open, one.late) for one in reversed(self.bench.alerts.incidents())]


def test_smoke_opens_one_incident_that_says_why_and_lasting_smoke_raises_it(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.minutes(60, CLEAN)
    scene.minutes(5, SMOKE)
    assert scene.told == [("suspected", True, False)]
    (incident,) = scene.bench.alerts.incidents()
    assert (incident.channel, incident.quantity, incident.place) == ("smoke-1", "pm2_5", "tree:7K3MQ2")
    assert incident.since_ms <= START_MS + 62 * 60_000
    claim = json.loads(incident.claim)
    assert (claim["level"], claim["radius_from"]) == (SUSPECTED, "plume-10min")
    for lang in ("vi", "en"):
        (why, danger) = reasons(incident.claim, lang)
        assert "CO" in why
        assert danger
    scene.minutes(30, SMOKE)
    assert scene.told == [("probable", True, False)]
    assert scene.bench.events().count("probable") == 1


def test_pm_alone_opens_nothing(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    alone = {key: value for key, value in CLEAN.items() if key != "co"}
    scene.minutes(60, alone)
    scene.minutes(60, alone | {"pm2_5": 900.0})
    assert scene.told == []


def test_smoke_that_is_over_ends_by_itself_after_an_hour_and_once(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.minutes(60, CLEAN)
    scene.minutes(6, SMOKE)
    scene.minutes(55, CLEAN)
    assert scene.told == [("suspected", True, False)]
    scene.minutes(60, CLEAN)
    assert scene.told == [("closed", False, False)]
    assert scene.bench.events().count("ended") == 1


def test_silence_after_smoke_is_probable_within_six_minutes(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.minutes(60, CLEAN)
    scene.minutes(4, SMOKE)
    last_ms = scene.bench.clock.utc_ms() - 60_000
    assert scene.told == [("suspected", True, False)]
    while scene.told[0][0] != "probable":
        assert scene.bench.clock.utc_ms() < last_ms + 360_000
        scene.bench.alerts.heard("sg-01", scene.bench.clock.utc_ms())  # the gateway itself may live
        scene.bench.idle(5)
    scene.bench.idle(3_600)
    assert scene.told == [("probable", True, False)]


def test_silence_counts_only_while_alerts_listen(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.minutes(60, CLEAN)
    scene.minutes(4, SMOKE)
    scene.bench.alerts.listening(False)
    scene.bench.idle(1_800)
    assert scene.told == [("suspected", True, False)]


def test_a_silence_without_smoke_is_no_alarm_here(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.minutes(60, CLEAN)
    scene.bench.idle(1_800)
    assert scene.told == []


def test_haze_over_all_nodes_is_told_by_the_nodes_nearby(tmp_path: Path) -> None:
    near = garden()
    extra = [_tree("4444444", 21.6160, 104.6160)]
    bindings = [*near.bindings, *(bound("sg-04", one, "tree", "4444444") for one in ("smoke-1", "co-1", "air-1"))]
    wide = Registry({"zone": list(near.zones.values()), "tree": [*near.trees.values(), *extra], "binding": bindings})
    scene = Scene(tmp_path, registry=wide)
    scene.minutes(60, CLEAN, "sg-02", "sg-04")
    haze = CLEAN | {"pm2_5": 160.0, "co": 1.5}
    for _ in range(60):
        for gateway in ("sg-01", "sg-02", "sg-04"):
            scene.offer(scene.readings(scene.at_s, haze, gateway))
        scene.at_s += 60
        scene.bench.clock.advance(60)
    assert len(scene.told) <= 1  # whoever speaks first hears the others a minute later
    assert all(stage == "suspected" for stage, *_ in scene.told)


def test_smoke_at_two_nodes_nearby_is_one_probable_incident_with_a_part(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.minutes(60, CLEAN, "sg-02", "sg-03")
    for _ in range(6):
        for gateway in ("sg-01", "sg-02"):
            scene.offer(scene.readings(scene.at_s, SMOKE, gateway))
        scene.at_s += 60
        scene.bench.clock.advance(60)
    heads = [one for one in scene.bench.alerts.incidents() if one.part_of is None]
    assert [one.stage for one in heads] == ["probable"]
    assert len(scene.bench.alerts.incidents()) == 2


def test_what_the_edge_claims_opens_and_raises_the_same_incident(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.minutes(60, CLEAN)
    scene.offer([scene.one(scene.at_s, "smoke_claim", 2.0, "node-1")])
    assert scene.told == [("suspected", True, False)]
    (incident,) = scene.bench.alerts.incidents()
    assert incident.channel == "smoke-1"
    assert reasons(incident.claim, "en")[0] == "the gateway itself claims: a fire is suspected"
    assert reasons(incident.claim, "vi")[0] == "trạm tại chỗ tự báo: nghi có cháy"
    scene.minutes(5, SMOKE)
    assert scene.told == [("suspected", True, False)]
    scene.offer([scene.one(scene.at_s, "smoke_claim", 3.0, "node-1")])
    assert scene.told == [("probable", True, False)]


def test_a_backlog_of_smoke_opens_a_late_incident_and_wakes_nobody(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.minutes(60, CLEAN)
    values = [SMOKE if 10 <= minute < 20 else CLEAN for minute in range(60)]
    backlog = [scene.readings(scene.at_s + 60 * minute, one) for minute, one in enumerate(values)]
    scene.at_s += 3_600
    scene.bench.clock.advance(3_600)
    scene.minutes(1, CLEAN)  # the newest is sent first
    for made in backlog:
        scene.offer(made)
    (incident,) = scene.bench.alerts.incidents()
    assert (incident.late, incident.open) == (True, True)
    assert abs(incident.since_ms - (START_MS + 71 * 60_000)) < 180_000
    scene.minutes(40, CLEAN)
    assert scene.told == [("closed", False, True)]


def test_smoke_within_a_short_gap_is_told_as_now(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.minutes(60, CLEAN)
    backlog = [scene.readings(scene.at_s + 60 * minute, SMOKE) for minute in range(7)]
    scene.at_s += 420
    scene.bench.clock.advance(420)
    scene.minutes(1, CLEAN)
    for made in backlog:
        scene.offer(made)
    assert scene.told == [("suspected", True, False)]


@pytest.mark.parametrize("name", ["fire_60m_upwind", "fire_destroys_node", "cooking_smoke", "fog", "stuck_pm_high"])
def test_a_supplied_scenario_is_judged_as_by_the_package(tmp_path: Path, name: str) -> None:
    """One node alone, so that nobody's neighbours matter: the levels and their minutes are the package's own."""
    supplied = scenes.supplied()[name]
    steps = supplied.steps[300:520]
    expected: dict[int, int] = {}
    for utc_ms, _, claim in scenes.claims(
        supplied._replace(steps=steps), None, "A" if name != "stuck_pm_high" else "B"
    ):
        expected.setdefault(claim.level, utc_ms)
    node = "A" if name != "stuck_pm_high" else "B"
    scene = Scene(tmp_path, registry=garden(second=False))
    first_ms = steps[0][0]
    found: dict[str, int] = {}
    for utc_ms, said in steps:
        at_s = (utc_ms - first_ms) / 1000
        scene.bench.clock.advance(max(0.0, (scene.bench.at(at_s) - scene.bench.clock.utc_ms()) / 1000))
        if (sample := said.get(node)) is not None:
            values = {"pm2_5": sample.pm2_5, "co": sample.co, "air_temperature": sample.temp, "air_humidity": sample.rh}
            hot = values["air_temperature"] > 80  # no such air temperature can arrive
            for quantity, value in values.items():
                if not (hot and quantity == "air_temperature"):
                    made = scene.one(at_s, quantity, value, CHANNELS[quantity])
                    scene.bench.alerts.offer(made, scene.bench.clock.utc_ms())
        scene.bench.step()
        for stage, *_ in scene.told:
            found.setdefault(stage, utc_ms)
    for level, stage in ((SUSPECTED, "suspected"), (PROBABLE, "probable")):
        assert (level in expected) == (stage in found or (stage == "suspected" and bool(found)))
    if SUSPECTED in expected:
        assert found["suspected"] == expected[SUSPECTED]


@pytest.mark.parametrize("seed", range(6))
def test_kills_and_repeats_change_no_claim(tmp_path: Path, seed: int) -> None:
    """A room that is killed at random, and is given everything again, writes the incidents of one that was not."""
    rng = random.Random(seed)
    whole = Scene(tmp_path / "whole")
    torn = Scene(tmp_path / "torn")
    sent: list[Any] = []
    for minute in range(110):
        values = SMOKE if 60 <= minute < 66 or 75 <= minute < 100 else CLEAN
        said = whole.readings(whole.at_s, values)
        torn.bench.seq = whole.bench.seq
        for scene in (whole, torn):
            scene.offer(said)
            scene.at_s += 60
        sent += said
        if rng.random() < 0.15:  # dies without a word: what was not written is gone, and the ledger brings it again
            torn.bench.alerts._progress._kept = ()
            torn.bench.alerts.close()
            torn.bench.alerts = torn.bench._build()
            torn.bench.alerts.listening(True)
            for made in sent[-60:]:
                torn.bench.alerts.offer(made, torn.bench.clock.utc_ms())
            torn.bench.step()
        for scene in (whole, torn):
            scene.bench.clock.advance(60)
    assert whole.told == torn.told == [("probable", True, False)]
    (one,), (other,) = whole.bench.alerts.incidents(), torn.bench.alerts.incidents()
    assert (one.since_ms, one.opened_ms, one.claim) == (other.since_ms, other.opened_ms, other.claim)
    assert whole.bench.events() == torn.bench.events()


def test_people_are_told_why(tmp_path: Path) -> None:
    post = Post(free_port())
    with serving(post):
        scene = Scene(tmp_path, post.port)
        scene.minutes(60, CLEAN)
        scene.minutes(5, SMOKE)
        body = str(post.mails[0][1].get_content())
        assert "khói: PM2,5" in body
        assert "smoke: PM2.5" in body
        assert "{" not in body
        scene.bench.close()


def test_one_hot_reading_of_a_thermometer_that_is_asked_rarely_is_no_silence(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.minutes(60, {"air_temperature": 30.0}, each_s=600.0)
    scene.minutes(10, {"air_temperature": 61.0}, each_s=600.0)  # in the sun
    for _ in range(20):
        scene.bench.clock.advance(30)
        scene.bench.step()
    assert scene.told == []


@pytest.mark.parametrize("late_min", [1, 3])
def test_a_channel_that_always_comes_minutes_after_the_other_is_heard(tmp_path: Path, late_min: int) -> None:
    """What is urgent is sent at once, what is calm waits for its batch."""
    scene = Scene(tmp_path)
    waiting: list[Any] = []
    for minute in range(66 + late_min):
        values = SMOKE if minute >= 60 else CLEAN
        pm, co, *others = scene.readings(scene.at_s, values)
        waiting.append(co)
        scene.offer([pm, *others, *([waiting.pop(0)] if len(waiting) > late_min else [])])
        scene.at_s += 60
        scene.bench.clock.advance(60)
    assert scene.told == [("suspected", True, False)]


def test_a_sensor_that_was_replaced_is_not_silent_in_the_next_smoke(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = garden()
    rows = {
        "zone": list(known.zones.values()),
        "tree": list(known.trees.values()),
        "binding": [bound("sg-01", channel, "tree", "7K3MQ2") for channel in ("smoke-1", "smoke-2", "co-1", "air-1")],
    }
    scene = Scene(tmp_path, registry=Registry(rows))
    scene.minutes(60, CLEAN)
    monkeypatch.setitem(CHANNELS, "pm2_5", "smoke-2")
    scene.minutes(65, CLEAN)
    scene.minutes(6, SMOKE)
    assert scene.told == [("suspected", True, False)]
    assert [one.channel for one in scene.bench.alerts.incidents()] == ["smoke-2"]


@pytest.mark.parametrize(("late_min", "is_late"), [(2, False), (5 * 1_440, True)])
def test_smoke_is_found_in_every_batch_of_a_backlog_that_comes_newest_first(
    tmp_path: Path, late_min: int, *, is_late: bool
) -> None:
    scene = Scene(tmp_path)
    scene.minutes(60, CLEAN)
    times = [scene.at_s + 60 * minute for minute in range(12)]
    batches = []
    for some in (times[:4], times[4:8], times[8:]):  # smoke is in the oldest
        rows = [
            {
                "smoke-1": {"pm2_5": (220.0 if at_s < times[4] else 20.0) + at_s // 60 % 3},
                "co-1": {"co": (2.6 if at_s < times[4] else 0.3) + at_s // 60 % 2 / 10},
            }
            for at_s in some
        ]
        made = build.batch(
            start_ms=scene.bench.at(some[0]), step_ms=60_000, rows=rows, first=scene.bench.seq,
            now_ms=scene.bench.at(some[-1]) + 1_000, uptime_ms=600_000, gateway="sg-01",
        )  # fmt: skip
        scene.bench.seq += made.n
        batches.append(made)
    scene.at_s += 60 * (12 + late_min)
    scene.bench.clock.advance(60 * (12 + late_min))
    scene.minutes(1, CLEAN)
    for made in reversed(batches):
        scene.offer([made])
    assert [(stage, late) for stage, _, late in scene.told] == [("suspected", is_late)]


def test_nodes_at_one_spot_neither_take_a_plume_for_haze_nor_a_stove_for_two_witnesses(tmp_path: Path) -> None:
    """Two gateways at one tree, and a third at the next one, 15 m off: the same smoke is at all of them."""
    known = garden()
    first = next(iter(known.trees.values()))
    next_to_it = _tree("4444444", (first.lat or 0.0) + 15 / 111_000, first.lon or 0.0)
    where = {"sg-01": first.code, "sg-02": first.code, "sg-03": next_to_it.code}
    scene = Scene(
        tmp_path,
        registry=Registry(
            {
                "zone": list(known.zones.values()),
                "tree": [first, next_to_it],
                "binding": [
                    bound(one, name, "tree", code) for one, code in where.items() for name in set(CHANNELS.values())
                ],
            }
        ),
    )
    for values, minutes in ((CLEAN, 60), (SMOKE, 12)):
        for _ in range(minutes):
            scene.offer([made for gateway in where for made in scene.readings(scene.at_s, values, gateway)])
            scene.at_s += 60
            scene.bench.clock.advance(60)
    assert {stage for stage, *_ in scene.told} == {"suspected"}
    scene.bench.close()


HOUR_S = 3_600
DATED = pytest.mark.parametrize("undated", [False, True])


@pytest.mark.parametrize(("restarted", "undated"), [(False, False), (True, True)])
@pytest.mark.parametrize("by_s", [-1 * HOUR_S, -300 * HOUR_S])
def test_a_servers_clock_that_is_put_back_costs_a_node_nothing_that_it_has_learned(
    tmp_path: Path, by_s: float, *, restarted: bool, undated: bool
) -> None:
    """Back by hours, or days, and right again: the gateway's own dates are right, or it has none, all the while."""
    scene = Scene(tmp_path)
    scene.undated = undated
    scene.minutes(70, CLEAN)
    scene.bench.clock.step(by_s)
    if restarted:
        scene.bench.restart()
        scene.bench.alerts.listening(True)
    scene.minutes(1, CLEAN)
    scene.minutes(4, SMOKE)
    assert scene.told == [("suspected", True, False)]
    (incident,) = scene.bench.alerts.incidents()
    assert abs(scene.bench.clock.utc_ms() - incident.since_ms - 3 * 60_000) <= 120_000
    scene.bench.clock.step(-by_s)
    scene.minutes(6, SMOKE)
    (incident,) = scene.bench.alerts.incidents()
    assert abs(scene.bench.clock.utc_ms() - incident.since_ms - 9 * 60_000) <= 240_000, "by the clock of now"
    scene.minutes(130, CLEAN)
    assert scene.told == [("closed", False, False)]
    scene.minutes(4, SMOKE)
    assert scene.told == [("closed", False, False), ("suspected", True, False)]
    scene.bench.close()


@DATED
def test_what_a_clock_that_was_ahead_has_dated_is_no_later_than_what_comes(tmp_path: Path, *, undated: bool) -> None:
    scene = Scene(tmp_path)
    scene.undated = undated
    scene.bench.alerts.lives("sg-01", "b0", 900_000)
    scene.bench.clock.step(3 * HOUR_S)
    scene.minutes(70, CLEAN)
    scene.bench.clock.step(-3 * HOUR_S)
    scene.minutes(1, CLEAN)
    scene.minutes(4, SMOKE)
    assert scene.told == [("suspected", True, False)]
    scene.minutes(130, CLEAN)
    assert scene.told == [("closed", False, False)]
    scene.bench.close()


def test_a_node_that_burns_while_the_clock_is_put_back_is_told(tmp_path: Path) -> None:
    """It has smelled smoke for a minute only, so nothing is open whose silence would be told anyway."""
    scene = Scene(tmp_path)
    scene.minutes(60, CLEAN)
    scene.minutes(2, SMOKE)
    assert scene.told == []
    scene.bench.clock.step(-3 * HOUR_S)
    scene.bench.idle(330)
    assert scene.told == [("probable", True, False)]
    scene.bench.close()


def test_no_node_is_called_silent_because_a_clock_leapt(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.minutes(60, CLEAN)
    scene.minutes(4, SMOKE)
    for by_s in (HOUR_S, -HOUR_S, 5 * HOUR_S, -5 * HOUR_S):
        scene.bench.clock.step(by_s)
        scene.bench.idle(5)
        scene.minutes(1, SMOKE)
    assert scene.told == [("suspected", True, False)]
    scene.bench.close()


def test_a_thermometer_alone_that_is_hot_to_the_last_is_probable_and_a_spike_before_its_supply_failed_is_not(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)
    scene.minutes(60, {"air_temperature": 31.0})
    scene.minutes(1, {"air_temperature": 66.0})
    scene.minutes(1, {"air_temperature": 30.0})
    scene.bench.idle(600)
    assert scene.told == []
    scene.at_s += 600
    scene.minutes(60, {"air_temperature": 31.0})
    scene.minutes(1, {"air_temperature": 48.0})
    scene.minutes(1, {"air_temperature": 66.0})
    scene.bench.idle(360)
    assert scene.told == [("probable", True, False)]
    (incident,) = scene.bench.alerts.incidents()
    assert "silent for" in " ".join(reasons(incident.claim, "en"))
    scene.bench.close()


def test_what_is_staged_again_is_another_exercise_and_smoke_after_an_exercise_is_told_as_true(tmp_path: Path) -> None:
    scene, asker = Scene(tmp_path), Asker(tmp_path, "alerts", SystemClock())

    def staged() -> None:
        asker.ask("act", EXERCISE | {"until_ms": scene.bench.clock.utc_ms() + 600_000})
        scene.minutes(4, SMOKE)
        asker.ask("act", CLOSED | {"incident": scene.bench.alerts.incidents()[0].id})
        scene.minutes(2, CLEAN)

    scene.minutes(60, CLEAN)
    staged()
    staged()
    scene.minutes(4, SMOKE)
    told = [(one.exercise, one.stage, one.open) for one in reversed(scene.bench.alerts.incidents())]
    assert told == [(True, "closed", False), (True, "closed", False), (False, "suspected", True)]
    asker.close()


def days_without_link(scene: Scene, minutes: int, smoke: range, claims: dict[range, int]) -> None:
    """What a gateway sends when its link comes back: the newest minute first, then the rest from the oldest on.

    Where its sensors died in the smoke (`claims` goes on to the end) they say nothing after it.
    """
    made: list[list[Any]] = []
    for minute in range(minutes):
        at_s = scene.at_s + 60 * minute
        burnt = minute >= smoke.stop and [*claims][-1].stop == minutes
        batches = [] if burnt else scene.readings(at_s, SMOKE if minute in smoke else CLEAN)
        level = next((level for times, level in claims.items() if minute in times), 0)
        if minute % 10 == 3:
            batches.append(scene.one(at_s, "smoke_claim", level, "node-1"))
        made.append(batches)
    scene.at_s += 60 * minutes
    scene.bench.clock.advance(60 * minutes)
    for batches in (made[-1], *made[:-1]):
        scene.offer(batches)


@pytest.mark.journey
def test_smoke_of_three_days_without_link_is_known_late_and_rings_no_bell(tmp_path: Path) -> None:
    scene = Scene(tmp_path, tells=False)
    scene.minutes(60, CLEAN)
    days_without_link(scene, 3 * 1_440, range(60, 100), {range(63, 90): 2, range(90, 130): 3})
    assert scene.told == [("suspected", True, True)]
    assert {one.tell for one in scene.bench.alerts._journal.intents(0)} == {"late"}
    scene.bench.close()


def test_a_node_that_burnt_in_an_hour_without_link_rings_when_that_is_back(tmp_path: Path) -> None:
    """What its gateway claimed long ago was only known late; that it still claims it is of now."""
    scene = Scene(tmp_path)
    scene.minutes(60, CLEAN)
    days_without_link(scene, 120, range(60, 70), {range(63, 73): 2, range(73, 120): 3})
    assert scene.told == [("suspected", True, True), ("probable", True, False)]
    assert scene.bench.events(2).count("opened") == 1
    for _ in range(2):
        scene.offer([scene.one(scene.at_s, "smoke_claim", 3, "node-1")])
        scene.at_s += 600
        scene.bench.clock.advance(600)
    assert len(scene.told) == 2
    scene.bench.close()


@pytest.mark.parametrize("closed", [False, True])
def test_what_was_cooked_in_the_morning_does_not_mute_a_node_that_burns_without_link(
    tmp_path: Path, *, closed: bool
) -> None:
    scene, asker = Scene(tmp_path), Asker(tmp_path, "alerts", SystemClock())
    scene.minutes(60, CLEAN)
    scene.minutes(6, SMOKE)
    if closed:
        asker.ask("act", CLOSED | {"incident": 1, "closed_as": "cooking"})
    scene.minutes(120, CLEAN)
    assert [one.open for one in scene.bench.alerts.incidents()] == [False]
    days_without_link(scene, 120, range(60, 70), {range(63, 73): 2, range(73, 120): 3})
    assert scene.told == [("closed", False, False), ("suspected", True, True), ("probable", True, False)]
    asker.close()
    scene.bench.close()


def test_what_an_officer_has_closed_while_it_is_seen_rings_no_second_time_after_a_cut_link(tmp_path: Path) -> None:
    scene, asker = Scene(tmp_path), Asker(tmp_path, "alerts", SystemClock())
    scene.minutes(60, CLEAN)
    scene.offer([scene.one(scene.at_s, "smoke_claim", 3.0, "node-1")])
    assert scene.told == [("probable", True, False)]
    asker.ask("act", CLOSED | {"incident": 1, "closed_as": "permitted"})
    scene.minutes(1, CLEAN)
    days_without_link(scene, 25, range(0), {range(26): 3})
    assert scene.told == [("closed", True, False)]
    asker.close()
    scene.bench.close()
