"""One node, sample by sample: restarts, gaps, rates of sampling, what it may not claim."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detect.claim import FAULTS, NONE, PROBABLE, REASONS, SUSPECTED, WATCH, WATCHED, radius_m
from detect.node import as_neighbour, silent, step
from detect.state import VERSION, Neighbour, Node, Sample, dump, load, moved

ROOT = Path(__file__).parents[2]
T0 = 1_767_225_600_000
CLEAN = {"pm2_5": 20.0, "co": 0.3, "temp": 20.0, "rh": 70.0, "supply": 3.9}
SMOKE = {**CLEAN, "pm2_5": 200.0, "co": 2.5}


def said(at_s, values, rng=None, *, puffs=False):
    """Return a sample whose values tremble a little, as real ones do."""
    values = dict(values)
    if rng:
        for key, by in (("pm2_5", 2), ("co", 0.1), ("temp", 0.3)):
            if values.get(key) is not None:
                values[key] = round(max(values[key] + rng.uniform(-by, by), 0), 1)
        if puffs and values["pm2_5"] > 100:
            values["pm2_5"] = round(values["pm2_5"] * rng.uniform(0.5, 1.5))
    return Sample(T0 + round(at_s * 1000), **values)


def fed(parts, *, every_s=60, danger=1, state=None, start_s=0, neighbours=(), puffs=True):
    """Return state and claims after parts of (minutes, values)."""
    rng, state, at_s, claims = Random(7), state or Node(), start_s, []
    for minutes, values in parts:
        until = at_s + minutes * 60
        while at_s < until:
            near = [msgspec.structs.replace(one, utc_ms=T0 + round(at_s * 1000)) for one in neighbours]
            state, claim = step(state, said(at_s, values, rng, puffs=puffs), near, danger)
            claims.append((at_s / 60, claim))
            at_s += every_s
    return state, claims


def first(claims, level):
    return next((at for at, claim in claims if claim.level >= level), None)


@pytest.mark.parametrize("every_s", [2, 5, 30, 60])
def test_smoke_must_last_as_long_however_often_it_is_measured(every_s):
    state, claims = fed([(60, CLEAN), (12, SMOKE)], every_s=every_s)
    assert 61 <= first(claims, SUSPECTED) <= 64
    assert first(claims, PROBABLE) is None
    assert state.claim.reasons[0].key == "smoke-co"
    assert len(state.pm.kept) <= 60


@pytest.mark.parametrize("every_s", [300, 600])
def test_smoke_is_found_by_a_node_that_measures_rarely(every_s):
    _, claims = fed([(900, CLEAN), (60, SMOKE)], every_s=every_s)
    assert 900 < first(claims, SUSPECTED) <= 900 + 3 * every_s / 60
    assert first(claims, PROBABLE) is not None


@pytest.mark.parametrize("every_s", [2, 5, 60])
def test_wood_smoke_of_under_twenty_minutes_at_one_node_is_never_probable(every_s):
    for danger in (None, 1, 5):
        strong = {**CLEAN, "pm2_5": 600.0, "co": 30.0}
        _, claims = fed([(60, CLEAN), (19.9, strong), (60, CLEAN)], every_s=every_s, danger=danger)
        assert first(claims, SUSPECTED) is not None
        assert first(claims, PROBABLE) is None


def test_smoke_that_lasts_at_one_node_is_probable():
    _, claims = fed([(60, CLEAN), (40, SMOKE)])
    assert 80 < first(claims, PROBABLE) <= 85
    assert claims[-1][1].reasons[0].key == "lasting"


def test_what_neither_comes_and_goes_nor_can_be_told_from_haze_by_others_stays_suspected():
    _, claims = fed([(60, CLEAN), (90, SMOKE)], puffs=False)
    assert max(claim.level for _, claim in claims) == SUSPECTED
    calm = [Neighbour(0, 0.0, 0.0), Neighbour(0, 3.0, 0.1)]
    _, claims = fed([(60, CLEAN), (90, SMOKE)], puffs=False, neighbours=calm)
    assert first(claims, PROBABLE) is not None


def test_a_level_is_held_for_half_an_hour_and_then_let_go():
    _, claims = fed([(60, CLEAN), (12, SMOKE), (90, CLEAN)])
    ends = [at for (at, claim), (_, after) in pairwise(claims) if claim.level > after.level]
    assert len(ends) == 1
    assert 100 <= ends[0] <= 120
    assert claims[-1][1].level == NONE
    assert claims[-1][1].first_ms is None


def test_pm_alone_claims_no_smoke_and_says_why():
    alone = {key: value for key, value in CLEAN.items() if key != "co"}
    state, claims = fed([(60, alone), (60, {**alone, "pm2_5": 900.0})])
    assert max(claim.level for _, claim in claims) == WATCH
    assert state.claim.reasons[0].key == "pm-only"
    assert "no-co" in state.claim.faults


def test_a_blind_start_is_not_deaf_to_what_no_haze_reaches():
    thick = {**CLEAN, "pm2_5": 400.0, "co": 20.0}
    state, claims = fed([(0.5, thick)], every_s=5, puffs=False)
    assert first(claims, SUSPECTED) == pytest.approx(10 / 60)
    assert state.claim.reasons[0].key == "strong-at-start"
    assert state.claim.baseline_age_s is None
    haze = {**CLEAN, "pm2_5": 600.0, "co": 5.0}
    _, claims = fed([(44, haze)])
    assert max(claim.level for _, claim in claims) == NONE


def test_one_glitch_is_read_often_by_a_fast_sampler_and_is_still_one():
    state, _ = fed([(60, CLEAN)], every_s=2)
    for at_s, temp in ((3600, 85.0), (3602, 84.0), (3608, 83.0)):
        state, claim = step(state, said(at_s, {**CLEAN, "temp": temp}), (), 1)
        assert claim.level == WATCH
    state, claim = step(state, said(3612, {**CLEAN, "temp": 71.0}), (), 1)
    assert (claim.level, claim.reasons[0].key, claim.radius_m, claim.radius_from) == (PROBABLE, "heat", 30, "at-node")


def test_the_same_heat_again_and_again_is_a_sensor_that_is_stuck():
    state, _ = fed([(60, CLEAN)])
    for minute in range(60, 120):
        state, claim = step(state, said(60 * minute, {**CLEAN, "temp": 65.0}), (), 1)
        assert claim.level <= WATCH
    assert "t-stuck" in claim.faults


def test_sun_and_drought_raise_nothing():
    _, claims = fed([(60, CLEAN), (60, {**CLEAN, "temp": 48.0, "rh": 8.0})])
    assert {claim.level for _, claim in claims} == {NONE}


def test_a_low_supply_is_a_fault_and_what_is_measured_by_it_counts_for_nothing():
    state, claims = fed([(60, CLEAN), (60, {**SMOKE, "temp": 70.0, "supply": 3.2})])
    assert {claim.level for _, claim in claims} == {NONE}
    assert state.claim.faults == ("power",)
    state, _ = fed([(60, {**CLEAN, "supply": 12.6}), (5, {**CLEAN, "supply": 10.1})])
    assert state.claim.faults == ("power",)  # a battery of 12 V is not judged as a cell


def test_fog_alone_is_watched_and_smoke_in_fog_is_found():
    fog = {**CLEAN, "rh": 99.0, "pm2_5": 150.0}
    state, claims = fed([(60, {**CLEAN, "rh": 99.0}), (60, fog)])
    assert max(claim.level for _, claim in claims) == WATCH
    assert state.claim.reasons[0].key == "fog"
    _, claims = fed([(10, {**fog, "pm2_5": 400.0, "co": 3.0})], state=state, start_s=7200)
    assert first(claims, SUSPECTED) is not None


def test_what_lifts_all_nodes_is_haze_and_what_one_has_above_it_is_not():
    haze = {**CLEAN, "pm2_5": 150.0, "co": 1.4}
    near = [Neighbour(0, 110.0, 0.9), Neighbour(0, 120.0, 1.0)]
    _, claims = fed([(60, CLEAN), (30, haze)], neighbours=near)
    assert max(claim.level for _, claim in claims) == NONE
    _, claims = fed([(60, CLEAN), (30, {**haze, "pm2_5": 600.0, "co": 6.0})], neighbours=near)
    assert first(claims, SUSPECTED) is not None
    _, claims = fed([(60, CLEAN), (30, haze)], neighbours=near[:1])  # one neighbour is no region
    assert first(claims, SUSPECTED) is not None


def test_smoke_at_two_nodes_is_probable():
    other = Neighbour(0, 300.0, 3.0, pm_up=True, co_up=True)
    state, _ = fed([(60, CLEAN), (5, SMOKE)], neighbours=[other])
    assert (state.claim.level, state.claim.reasons[0].key) == (PROBABLE, "two-nodes")


def test_silence_is_a_fault_and_after_smoke_an_alarm_until_it_speaks_again():
    calm, _ = fed([(60, CLEAN)])
    last_ms = calm.now_ms
    assert silent(calm, last_ms + 299_000) == (calm, calm.claim)
    state, claim = silent(calm, last_ms + 301_000)
    assert (claim.level, claim.faults) == (NONE, ("silent",))
    state, _ = fed([(60, CLEAN), (5, SMOKE)])
    after, claim = silent(state, state.now_ms + 301_000)
    assert (claim.level, claim.reasons[0].key) == (PROBABLE, "silent-after-smoke")
    after, claim = silent(after, after.now_ms + 86_400_000)
    assert claim.level == PROBABLE
    for at_s in (4_300, 100_000):  # what came late, too
        after, again = step(after, said(at_s, CLEAN), (), 1)
        assert (again.faults, again.level > NONE) == ((), at_s == 4_300)
    _, patient = silent(state, state.now_ms + 301_000, after_ms=1_500_000)  # heard of every ten minutes only
    assert patient.level == SUSPECTED


def test_an_older_sample_changes_nothing():
    state, _ = fed([(60, CLEAN)])
    assert step(state, said(10, SMOKE), (), 1) == (state, state.claim)


def test_ordinary_is_learned_anew_after_hours_without_values_and_says_its_age():
    state, _ = fed([(60, CLEAN)])
    assert state.claim.baseline_age_s <= 60
    state, claims = fed([(60, {**CLEAN, "pm2_5": 150.0, "co": 1.6})], state=state, start_s=6 * 3600)
    assert max(claim.level for _, claim in claims) == NONE
    assert state.claim.baseline_n >= 40


def test_the_radius_is_that_of_the_published_estimate():
    assert [radius_m(pm) for pm in (30_000, 3_150, 940, 257, 31, 5)] == [30, 80, 150, 300, 1_000, 1_000]
    assert all(radius_m(pm) >= radius_m(pm + 50) for pm in range(0, 20_000, 50))


VALUES = st.fixed_dictionaries(
    {
        "pm2_5": st.none() | st.sampled_from([0.0, 18.0, 22.0, 90.0, 400.0, 1000.0]),
        "co": st.none() | st.sampled_from([0.0, 0.3, 0.4, 1.5, 12.0]),
        "temp": st.none() | st.sampled_from([15.0, 20.0, 61.0, 75.0]),
        "rh": st.none() | st.sampled_from([60.0, 97.0, 100.0]),
        "supply": st.none() | st.sampled_from([3.2, 3.9]),
    }
)
STEPS = st.lists(
    st.tuples(st.sampled_from([1, 20, 60, 70, 400, 8_000]), VALUES, st.booleans()), min_size=1, max_size=80
)


@settings(deadline=None, max_examples=150)
@given(steps=STEPS, danger=st.sampled_from([None, 1, 4]), settled=st.booleans())
def test_a_restart_after_any_sample_changes_no_claim(steps, danger, settled):
    kept = restarted = fed([(60, CLEAN)])[0] if settled else Node()
    at_ms = kept.now_ms or T0
    near = [Neighbour(at_ms, 30.0, 0.4, pm_up=True), Neighbour(at_ms, 10.0, None)]
    for pause_s, values, speaks in steps:
        at_ms += pause_s * 1000
        restarted = load(dump(restarted))
        if speaks:
            kept, one = step(kept, Sample(at_ms, **values), near, danger)
            restarted, other = step(restarted, Sample(at_ms, **values), near, danger)
        else:
            (kept, one), (restarted, other) = silent(kept, at_ms), silent(restarted, at_ms)
        assert one == other
        assert one.level in range(4)
        assert as_neighbour(kept) == as_neighbour(restarted)
    assert dump(kept) == dump(restarted)


def test_ten_thousand_replays_of_the_same_samples_make_the_same_claims():
    """Requirement 3 of the evidence: what is stored is judged identically, here at 10,000 points of random lives."""
    rng, replayed = Random(3), 0
    while replayed < 10_000:
        state, at_ms, inputs = Node(), T0, []
        for _ in range(200):
            at_ms += rng.choice([5, 60, 60, 60, 120]) * 1000
            smoke = rng.random() < 0.3
            values = (rng.choice([15.0, 22.0, 300.0 if smoke else 25.0]), rng.choice([0.2, 0.4, 6.0 if smoke else 0.3]))
            inputs.append((Sample(at_ms, *values, 20.0, rng.choice([60.0, 98.0]), 3.9), rng.choice([None, 2, 5])))
        claims, states = [], []
        for sample, danger in inputs:
            state, claim = step(state, sample, (), danger)
            claims.append(claim)
            states.append(dump(state))
        for at in range(1, len(inputs)):
            _, claim = step(load(states[at - 1]), inputs[at][0], (), inputs[at][1])
            assert claim == claims[at]
            replayed += 1


def test_a_state_of_another_version_or_none_is_refused():
    raw = dump(msgspec.structs.replace(Node(), version=VERSION + 1))
    for bad in (raw, b"\x00", b"", b"\xff\xff"):
        with pytest.raises(ValueError, match=r".+"):
            load(bad)


@settings(deadline=None, max_examples=40)
@given(steps=STEPS, shift_ms=st.integers(-1_000_000, 1_000_000).map(lambda seconds: 1000 * seconds))
def test_another_clock_judges_the_same(steps, shift_ms):
    """An edge counts the milliseconds of its boot, the cloud UTC."""
    here, there, at_ms = fed([(60, CLEAN)])[0], fed([(60, CLEAN)], start_s=shift_ms // 1000)[0], 0
    for pause_s, values, _ in steps:
        at_ms += pause_s * 1000
        here, one = step(here, Sample(T0 + 3_540_000 + at_ms, **values), (), None)
        there, other = step(there, Sample(T0 + 3_540_000 + at_ms + shift_ms, **values), (), None)
        assert one.level == other.level
        assert dump(moved(here, shift_ms)) == dump(there)


def test_a_channel_that_another_has_overtaken_is_heard():
    alone = {"temp": 20.0, "rh": 70.0}
    state, claims = Node(), []
    for at_s in range(0, 75 * 60, 60):
        smoke = at_s >= 3_600
        tremble = at_s // 60 % 3
        pm = 20.0 + tremble + 200 * smoke
        co = round(0.3 + 0.1 * tremble + 2 * smoke, 1)
        for sample in (
            Sample(T0 + at_s * 1000 + 900, **alone),
            Sample(T0 + at_s * 1000 + 400, pm2_5=pm),
            Sample(T0 + at_s * 1000, co=co),
        ):
            state, claim = step(state, sample, (), 1)
        claims.append((at_s / 60, claim))
    assert 60 < first(claims, SUSPECTED) <= 63
    again, _ = step(state, Sample(state.said_ms - 1_000, pm2_5=20.0), (), 1)
    assert again == state  # its own channel has said something newer


def test_after_a_pause_who_speaks_first_is_not_silent():
    """After a link that was cut, or a restart, the thermometer may be heard before the smoke sensors."""
    state, _ = fed([(60, CLEAN), (5, SMOKE)])
    state, claim = step(state, said(65 * 60 + 1_200, {"temp": 20.0, "rh": 70.0}), (), 1)
    assert (claim.level, claim.faults) == (SUSPECTED, ("pm-silent", "co-silent"))
    _, claim = silent(state, state.now_ms + 5_000)
    assert (claim.level, claim.faults) == (PROBABLE, ("silent",))  # and if they stay silent, it is an alarm


def test_every_reason_and_fault_has_its_words():
    text = (ROOT / "cloud" / "alerts" / "rules" / "detect.toml").read_text(encoding="utf-8")
    told = tomllib.loads(text)
    choices = tomllib.loads((ROOT / "cloud" / "staff" / "words.toml").read_text(encoding="utf-8"))["choice"]
    for lang in ("vi", "en"):
        assert set(told[lang]["reason"]) == {*REASONS, "edge"}
    assert {f"fault_{fault}" for fault in FAULTS} <= set(choices)
    source = (ROOT / "detect" / "judgement.py").read_text(encoding="utf-8")
    keys = set(re.findall(r'"([a-z]+(?:-[a-z]+)+|strong|heat|fog|lasting|power|silent)"', source))
    assert keys <= {*REASONS, *WATCHED, *FAULTS}


def test_thick_smoke_is_said_with_the_gas_that_was_beside_it_and_once() -> None:
    state, _ = fed([(2, {**CLEAN, "pm2_5": 400.0, "co": 20.0}), (2, CLEAN)], every_s=5, puffs=False)
    assert [one.key for one in state.claim.reasons] == ["strong-at-start"]
    assert state.claim.reasons[0].figures["co"] > 19
