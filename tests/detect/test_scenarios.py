"""The 12 supplied scenarios (synthetic, truth in manifest.json), at each danger level: what is found, what is not."""

from __future__ import annotations

import json

import pytest

from bench import plume, scenes
from detect.claim import PROBABLE, SUSPECTED
from detect.limits import LIMITS, at_danger

TRUTH = json.loads((scenes.SUPPLIED / "manifest.json").read_text(encoding="utf-8"))["scenarios"]
SCENES = scenes.supplied()
DANGERS = (None, 1, 3, 4, 5)


def minute(utc_ms):
    return (utc_ms - plume.START_MS) / 60_000


@pytest.mark.parametrize("danger", DANGERS)
@pytest.mark.parametrize("name", TRUTH)
def test_a_scenario_is_judged_as_its_manifest_says(name, danger):
    about, scene = TRUTH[name], SCENES[name]
    levels, faults = {}, {}
    for utc_ms, node, claim in scenes.claims(scene, danger):
        for level in range(1, claim.level + 1):
            levels.setdefault(level, (minute(utc_ms), node))
        for fault in claim.faults:
            faults.setdefault((node, fault), minute(utc_ms))
        assert claim.reasons if claim.level else not claim.reasons
        assert (claim.radius_m is not None) == (claim.level >= SUSPECTED)
    if about["fire"]:
        onset = about["onset_min"]
        assert onset < levels[SUSPECTED][0] <= onset + 15
        assert levels[SUSPECTED][1] in about.get("nodes", "A")
        assert onset < levels[PROBABLE][0] <= onset + 45
    else:
        assert max(levels, default=0) <= (SUSPECTED if about.get("allowed_max") == "suspected" else 1)
    node, fault = about.get("fault", ("", ""))
    expected = {"pm25": {(node, "pm-stuck")}, "power": {(node, "power")}, "silent": {(node, "silent")}}.get(
        fault, set()
    )
    if name == "fire_destroys_node":
        expected = {("A", "silent")}
    assert {one for one in faults if one[1] != "silent" or name != "brown_out"} == expected


def test_a_node_that_burns_is_probable_within_six_minutes_and_stays_so():
    scene = SCENES["fire_destroys_node"]
    said = [(minute(ms), claim) for ms, node, claim in scenes.claims(scene, 1) if node == "A"]
    after = [(at, claim) for at, claim in said if at >= scene.burnt_s / 60 + 6]
    assert len(after) > 100
    assert {claim.level for _, claim in after} == {PROBABLE}
    assert after[0][1].reasons[0].key == "silent-after-heat"
    assert after[0][1].faults == ("silent",)


@pytest.mark.parametrize("name", ["stuck_pm_high", "node_silent_only"])
def test_a_fault_is_said_in_time(name):
    node, _ = TRUTH[name]["fault"]
    first = next(minute(ms) for ms, one, claim in scenes.claims(SCENES[name], 1) if one == node and claim.faults)
    assert first <= {"stuck_pm_high": 300 + 20, "node_silent_only": 350 + 6}[name]


@pytest.mark.journey  # seconds of a core
def test_generated_fires_that_nobody_tuned_on_are_found_and_a_bad_day_is_none():
    """A slice of what `python -m bench detection` prints: the same seeds, fewer of them."""
    fires = [plume.fire(seed, 30, 100) for seed in range(90_000, 90_020)]
    found = [scenes.play(scene, 1).after_onset("suspected", scene) for scene in fires]
    assert sum(at is not None and at <= 15 for at in found) >= 16
    for kind in plume.CALM_KINDS:
        day = plume.calm_day(kind, 90_000)
        assert scenes.play(day, None).first_s["suspected"] is None, kind


def test_a_node_that_fire_reaches_is_never_silent_without_a_claim():
    for seed in range(90_000, 90_010):
        scene = plume.fire(seed, 20, 40, burns=True)
        assert scene.burnt_s is not None
        late_ms = plume.START_MS + (scene.burnt_s + 360) * 1000
        assert all(
            claim.level == PROBABLE for ms, node, claim in scenes.claims(scene, 1) if node == "A" and ms >= late_ms
        )


def test_no_danger_makes_the_detector_deafer_than_its_default():
    fields = ("pm_excess", "co_excess", "sum_up", "few", "many", "pm_strong", "co_strong", "t_hot")
    for danger in DANGERS:
        for field in fields:
            assert getattr(at_danger(danger), field) <= getattr(LIMITS, field)
        assert at_danger(danger).many_ms >= LIMITS.many_ms
    assert at_danger(None).pm_excess < LIMITS.pm_excess
