"""The survey on invented ground: one seed is one world, intervals by hand, and the judge holds what it must there."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from bench import survey
from gocche.garden import walkers

if TYPE_CHECKING:
    from pathlib import Path


# By hand: Wilson's interval of 5 of 10 is 23.7 to 76.3 %, of 0 of 10 it is 0 to 27.8 %.
@pytest.mark.parametrize(("k", "n", "said"), [(5, 10, "50.0 % (23.7–76.3)"), (0, 10, "0.0 % (0.0–27.8)"), (0, 0, "–")])
def test_intervals(k: int, n: int, said: str) -> None:
    assert survey.share(k, n) == said


def test_what_is_counted() -> None:
    pairs = [("none", "none"), ("none", "service"), ("service", "none"), ("service", "service"), ("none", "uncertain")]
    opened, right, found, false = (figure.partition(" ")[0] for figure in survey._figures(pairs))
    assert (opened, right, found, false) == ("20.0", "50.0", "50.0", "50.0")


def test_the_best_possible_leaves_open_what_it_is_least_sure_of() -> None:
    alike = [Counter(none=39, weak=1), Counter(weak=21, none=19), Counter(measured=30, weak=10)]
    assert survey._best(alike, survey._class, 1) == ["none", "uncertain", "measured"]
    assert survey._best(alike, survey._service, 0) == ["none", "service", "service"]


@pytest.mark.journey
def test_one_seed_is_one_world_whose_survey_is_judged_as_the_document_says(tmp_path: Path) -> None:
    """One world of the tuning seeds, in a few seconds: loose bounds that a broken judge or generator misses."""
    world, spots, came = survey.surveyed("tune-3", tmp_path)
    assert came == sum(1 for _ in survey.World("tune-3").samples())
    assert 20_000 < came < 60_000
    lost = sum(spot.none + spot.limited for spot in spots) / sum(spot.moments for spot in spots)
    assert 0.05 < lost < 0.7
    cells = survey.seen(world, spots, "phone", 8)
    assert len(cells) > 40
    pairs = [(survey._service(cell.true), survey._service(cell.says["gocche"])) for cell in cells]
    decided = [(true, says) for true, says in pairs if says != "uncertain"]
    assert len(decided) >= 0.7 * len(pairs)
    assert sum(true == says for true, says in decided) >= 0.93 * len(decided)


@pytest.mark.journey
def test_what_another_ground_changes_is_put_back() -> None:
    kept = walkers.DEVICE_DB
    cells, *figures = survey.elsewhere([(walkers, "DEVICE_DB", 7.0)], 1)
    assert int(cells) > 40
    assert len(figures) == 6
    assert kept == walkers.DEVICE_DB


@pytest.mark.journey
def test_a_thin_survey_has_a_fifth_of_the_walks_and_its_own_table() -> None:
    walks = survey.WALKS
    assert walks == survey.THIN_WALKS * 5
    title, _, table = survey._thin(1, 1)
    assert "A fifth of the walks, 1 worlds" in title
    assert "best possible" in table
    assert walks == survey.WALKS
