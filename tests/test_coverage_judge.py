"""From spots to states: what holds whatever was heard, and single cells by hand."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING, Any

import h3.api.basic_int as h3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.config import ConfigError, load
from cloud.coverage import judge as judging
from cloud.coverage.judge import judge, now, sheet_of, since
from cloud.coverage.scale import Scale, name, rows, scale_of
from cloud.coverage.seam import LAYERS, MONTH_NOW, STATES, Judged, Spot, Strength
from cloud.coverage.walk import walk_next
from cloud.registry import HamletNow
from cloud.rooms.check import check

if TYPE_CHECKING:
    from pathlib import Path

SCALE = Scale()
CELL = h3.latlng_to_cell(21.721, 104.002, 8)
CHILDREN = sorted(h3.cell_to_children(CELL, 11))
NETWORK = 452_004
DAY_MS = 86_400_000


def spot(at: int = 0, dbm: float | None = -90.0, moments: int = 10, month: int = 202610, **more: Any) -> Spot:
    """What a walker heard in the at-th place of the cell; without dBm he had no service."""
    heard = Strength(moments, moments * dbm, moments * dbm * dbm, dbm) if dbm is not None else Strength()
    lost = {} if dbm is not None else {"none": moments, "dead": int(moments >= 3)}
    told = {"plmn": NETWORK, "days": 1 << 3, "last_ms": 1_790_000_000_000, "lte": heard} | lost | more
    return Spot(CHILDREN[at], month, moments=moments, **told)


def along(dbm: float | None, places: int = 8, **more: Any) -> list[Spot]:
    return [spot(at * 40, dbm, **more) for at in range(places)]


# By hand from the limits: eight places on a line through the cell, all alike, each some dB within its level.
@pytest.mark.parametrize(
    ("dbm", "state"), [(-75.0, "good"), (-88.0, "good"), (-99.0, "fair"), (-110.0, "weak"), (None, "none")]
)
def test_what_eight_places_say_alike_holds(dbm: float | None, state: str) -> None:
    found = judge(CELL, along(dbm), "phone", SCALE)
    assert (found.state, found.moments, found.days, found.rsrp_dbm) == (state, 80, 1, dbm)


def test_a_poor_sinr_makes_a_strong_place_weak_and_its_strength_is_told_as_it_was() -> None:
    poor = Strength(10, -800.0, 64_000.0, -80.0, 10, -30.0)
    found = judge(CELL, along(-80.0, lte=poor), "phone", SCALE)
    assert (found.state, found.rsrp_dbm) == ("weak", -80.0)
    fine = Strength(10, -800.0, 64_000.0, -80.0, 10, 30.0)
    assert judge(CELL, along(-80.0, lte=fine), "phone", SCALE).state == "good"


def test_fewer_than_three_moments_are_not_measured() -> None:
    assert judge(CELL, [spot(moments=2)], "phone", SCALE).state == "unmeasured"
    assert judge(CELL, [], "phone", SCALE) == Judged(CELL, "unmeasured", 0, 0, 0)


def test_a_hundred_moments_at_one_place_are_one_place() -> None:
    standing = judge(CELL, [spot(0, None, 100)], "phone", SCALE)
    walked = judge(CELL, [spot(at * 30, None, 10) for at in range(10)], "phone", SCALE)
    assert (standing.state, walked.state) == ("uncertain", "none")


def test_a_day_that_passed_one_place_is_no_second_antenna_for_all_of_the_cell() -> None:
    """Ten places, eight of them without service: one day is not enough, two are; a second day at one place is none."""

    def walked(again: int) -> str:
        """Return what is said when a second day was at the last places, so many."""
        return judge(
            CELL,
            [
                spot(at * 20, None if at < 8 else -112.0, days=1 << 3 | (1 << 9 if at >= 10 - again else 0))
                for at in range(10)
            ],
            "phone",
            SCALE,
        ).state

    assert [walked(again) for again in (0, 1, 10)] == ["uncertain", "uncertain", "none"]


def test_half_with_and_half_without_is_uncertain() -> None:
    assert (
        judge(CELL, along(-112.0, 4) + [spot(at * 40 + 7, None) for at in range(4)], "phone", SCALE).state
        == "uncertain"
    )


def test_service_of_unknown_strength_is_served() -> None:
    assert judge(CELL, [spot(at * 40, None, none=0, dead=0) for at in range(8)], "phone", SCALE).state == "served"


def test_emergency_calls_only_are_no_network_of_ones_own_but_somebodys() -> None:
    limited = along(None, none=0, limited=10)
    assert sheet_of(limited, "phone", NETWORK, 202610, 8, SCALE)[0].state == "none"
    assert sheet_of(limited, "phone", 0, 202610, 8, SCALE)[0].state == "served"
    assert sheet_of(along(None), "phone", 0, 202610, 8, SCALE)[0].state == "none"
    seldom = spot(300, None, 3, none=0, limited=3, plmn=452_001)  # a call would get through at one place of nine
    assert sheet_of([*along(None), seldom], "phone", 0, 202610, 8, SCALE)[0].state == "none"


def test_the_best_of_networks_is_shown() -> None:
    other = along(-85.0, plmn=452_001)
    assert sheet_of(along(None) + other, "phone", 0, 202610, 8, SCALE)[0].state == "good"
    assert sheet_of(along(None) + other, "phone", NETWORK, 202610, 8, SCALE)[0].state == "none"
    some = [spot(3, -112.0, 3, plmn=452_001)]  # too little to be sure of the other
    assert sheet_of(along(None) + some, "phone", 0, 202610, 8, SCALE)[0].state == "uncertain"


def test_a_telephone_that_cannot_hear_5g_says_nothing_about_it() -> None:
    assert judge(CELL, along(-85.0), "5g", SCALE).state == "unmeasured"
    assert judge(CELL, along(-85.0, nr_looked=10), "5g", SCALE).state == "none"
    nr = Strength(10, -930.0, 86_490.0, -93.0)
    assert judge(CELL, along(-85.0, nr_looked=10, nr=nr), "5g", SCALE).state == "good"
    lost = Strength(10, -1_300.0, 169_000.0, -130.0)  # heard, but below what counts as 5G
    assert judge(CELL, along(-85.0, nr_looked=10, nr=lost), "5g", SCALE).state == "none"


def test_now_is_the_newest_month_that_says_enough() -> None:
    old, new = along(None, month=202603), along(-88.0, month=202609)
    assert now(CELL, old + new, "phone", SCALE).state == "good"
    assert now(CELL, [*new, spot(5, None, 3, month=202610)], "phone", SCALE).state == "good"  # too little to change it
    assert now(CELL, new + along(None, month=202610), "phone", SCALE).state == "none"
    assert now(CELL, [*along(-88.0, month=202401), spot(month=202610, moments=2)], "phone", SCALE).state == "unmeasured"


def test_since_when() -> None:
    said = [(202601, "none"), (202602, "uncertain"), (202604, "none"), (202605, "weak"), (202607, "good")]
    assert since(said) == 202605
    assert since(said[:3]) == 202601
    assert since([(202601, "unmeasured")]) is None


spots = st.builds(
    spot,
    at=st.integers(0, len(CHILDREN) - 1),
    dbm=st.none() | st.integers(-128, -60).map(float),
    moments=st.integers(1, 30),
    month=st.sampled_from([202608, 202609, 202610]),
    days=st.integers(1, 2**31 - 1),
)


@given(st.lists(spots, min_size=1, max_size=12), st.randoms(use_true_random=False), st.sampled_from(LAYERS))
def test_the_order_does_not_matter(heard: list[Spot], random: Random, layer: str) -> None:
    mixed = list(heard)
    random.shuffle(mixed)
    assert sheet_of(mixed, layer, 0, MONTH_NOW, 8, SCALE) == sheet_of(heard, layer, 0, MONTH_NOW, 8, SCALE)


@given(st.lists(spots, min_size=1, max_size=8))
def test_a_spot_in_two_pieces_says_the_same(heard: list[Spot]) -> None:
    """A month that is read twice over, from what is compacted and what came since, is the same map."""
    double = [spot(CHILDREN.index(one.cell), one.lte.best if one.lte.n else None, 2 * one.moments, one.month,
                   days=one.days, dead=2 * one.dead) for one in heard]  # fmt: skip
    assert judge(CELL, heard * 2, "phone", SCALE).state == judge(CELL, double, "phone", SCALE).state


@given(st.lists(spots, min_size=1, max_size=12), st.data())
def test_more_service_never_makes_it_worse(heard: list[Spot], data: st.DataObject) -> None:
    """Where one place has more service than before, what was not *none* does not become it."""
    before = judge(CELL, heard, "phone", SCALE)
    at = data.draw(st.integers(0, len(heard) - 1))
    old = heard[at]
    better = spot(
        CHILDREN.index(old.cell), -100.0 if not old.lte.n else old.lte.best + 5, old.moments, old.month, days=old.days
    )
    after = judge(CELL, [*heard[:at], better, *heard[at + 1 :]], "phone", SCALE)
    if before.state != "none":
        assert after.state != "none"


@given(st.lists(spots, min_size=1, max_size=12))
def test_every_state_has_a_name_and_stands_on_its_moments(heard: list[Spot]) -> None:
    found = judge(CELL, heard, "phone", SCALE)
    assert found.state in STATES
    assert found.moments == sum(one.moments for one in heard)
    assert (found.state == "unmeasured") == (found.moments < judging.ENOUGH)


@pytest.mark.parametrize("layer", LAYERS)
def test_every_state_is_explained_by_the_limits_that_are_set(layer: str) -> None:
    told = {row.state: row for row in rows(Scale(nr_good_dbm=-97), layer)}
    assert tuple(told) == STATES
    assert "−97 dBm" in told["good"].limits_vi
    assert "-97" not in told["good"].limits_vi
    assert all("{" not in text for row in told.values() for text in row)
    assert told["none"].en == name("none", "en", layer) == {"phone": "no signal", "5g": "no 5G"}[layer]


def test_levels_are_set_in_cloud_toml_and_refused_out_of_order(tmp_path: Path) -> None:
    file = tmp_path / "cloud.toml"
    file.write_text("[signal]\nlte_good_dbm = -85\n[coverage]\nnear_m = 800\n")
    config = load(file)
    assert (scale_of(config).lte_good_dbm, scale_of(config).lte_fair_dbm, config.coverage.near_m) == (-85, -105, 800)
    file.write_text("[signal]\nlte_fair_dbm = -90\n")
    with pytest.raises(ConfigError, match="lte_good_dbm, lte_fair_dbm, lte_none_dbm") as refused:
        check(load(file))
    assert "[signal] lte_good_dbm" in str(refused.value)
    assert "-95, -90, -120" in str(refused.value)


@pytest.mark.parametrize(
    ("nr", "lte"), [(-80.0, -75.0), (-100.0, -95.0), (-105.0, -100.0), (-120.0, -120.0), (-125.0, -125.0)]
)
def test_two_radios_stand_on_one_axis(nr: float, lte: float) -> None:
    assert SCALE.as_lte(nr) == pytest.approx(lte)


def hamlet(code: str, lat: float, households: int | None) -> HamletNow:
    return HamletNow(code=code, name=code, commune="", province="", lat=lat, lon=104.0, households=households)


def test_who_walks_next_goes_where_most_people_know_least() -> None:
    today = 1_790_000_000_000
    many, few = hamlet("h1", 21.70, 120), hamlet("h2", 21.80, None)
    first = walk_next([], [few, many], today)
    assert (first[0].hamlet, first[0].why, first[0].score, first[0].last_ms) == ("h1", "unmeasured", 1.0, None)
    assert first[0].distance_m < 250
    home = first[0].cell
    fresh = Judged(home, "good", 50, 3, today - 5 * DAY_MS)
    assert home not in [one.cell for one in walk_next([fresh], [few, many], today)]
    doubt = Judged(home, "uncertain", 50, 3, today - 5 * DAY_MS)
    assert next(one for one in walk_next([doubt], [many], today) if one.cell == home).why == "uncertain"
    short = Judged(home, "unmeasured", 2, 1, today - 5 * DAY_MS)
    brief = next(one for one in walk_next([short], [many], today) if one.cell == home)
    assert (brief.why, brief.score, brief.last_ms) == ("few", 1.0, short.last_ms), "somebody was there, too briefly"
    old = Judged(home, "none", 50, 3, today - 300 * DAY_MS)
    found = next(one for one in walk_next([old], [many], today) if one.cell == home)
    assert (found.why, found.last_ms, found.households) == ("old", old.last_ms, 120)
    assert walk_next([], [], today) == []


def test_a_sheet_of_a_hundred_thousand_spots_takes_seconds_at_most() -> None:
    random = Random(1)
    cells = [h3.latlng_to_cell(21.6 + random.random() / 3, 103.9 + random.random() / 3, 11) for _ in range(100_000)]
    made = [
        Spot(cell, 202610, NETWORK, 10, days=2, lte=Strength(10, -1000.0, 100_000.0, -95.0)) for cell in cells
    ]  # fmt: skip
    began = time.process_time()
    sheet_of(made, "phone", 0, MONTH_NOW, 8, SCALE)
    assert time.process_time() - began < 6  # about 1 s where nothing else runs
