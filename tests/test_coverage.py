"""Signal by hamlet: weak, none, stale and not measured are four different things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from cloud.coverage.hamlets import Coverage, HamletRow, hamlets
from cloud.coverage.scale import Scale
from cloud.stream.latest import Latest
from tests.rules.garden import bound
from tests.visitors import MODEM, NOW_MS, World
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY_S = 86_400


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


MODEM_OF = "sg-01", "modem-hang-tay"


def coverage(world: World) -> Coverage:
    return Coverage(world.registry, world.latest, world.store, world.clock)


def row(world: World, past: Any = None) -> HamletRow:
    rows = hamlets(world.registry, world.latest, world.clock.now_ms, Scale(), past or {})
    assert [one.name for one in rows] == ["Háng Tày", "Kể Cả", "Pú Vá"]
    assert {one.state for one in rows[1:]} == {"unmeasured"}
    return rows[0]


# By hand from the limits: LTE good from -95, fair from -105; NR good from -100, fair from -110; SINR < 0 is weak.
LEVELS = [
    ({"radio": 3, "lte_rsrp": -95.0, "lte_sinr": 5.0}, "good", -95.0),
    ({"radio": 3, "lte_rsrp": -96.0, "lte_sinr": 5.0}, "fair", -96.0),
    ({"radio": 3, "lte_rsrp": -105.0}, "fair", -105.0),
    ({"radio": 3, "lte_rsrp": -106.0}, "weak", -106.0),
    ({"radio": 3, "lte_rsrp": -118.0}, "weak", -118.0),
    ({"radio": 3, "lte_rsrp": -80.0, "lte_sinr": -0.5}, "weak", -80.0),
    ({"radio": 5, "nr_ss_rsrp": -100.0, "nr_ss_sinr": 3.0}, "good", -100.0),
    ({"radio": 5, "nr_ss_rsrp": -110.0}, "fair", -110.0),
    ({"radio": 5, "nr_ss_rsrp": -111.0}, "weak", -111.0),
    ({"radio": 4, "nr_ss_rsrp": -115.0, "lte_rsrp": -90.0}, "good", -90.0),
    ({"radio": 4, "nr_ss_rsrp": -98.0, "lte_rsrp": -104.0}, "good", -98.0),
    ({"radio": 1, "rssi": -81.0}, "served", None),
    ({}, "served", None),
]


@pytest.mark.parametrize(("sample", "state", "rsrp"), LEVELS)
@pytest.mark.parametrize("registration", [1, 5])
def test_level_of_a_hamlet_in_service(
    world: World, sample: dict[str, float], state: str, rsrp: float | None, registration: int
) -> None:
    world.tell({"modem-hang-tay": {"registration": registration} | sample})
    found = row(world)
    assert (found.state, found.rsrp_dbm, found.last_service_ms) == (state, rsrp, NOW_MS - 60_000)
    assert (found.commune, found.province, found.households) == ("Chế Tạo", "Lào Cai", None)


@pytest.mark.parametrize("registration", [0, 2, 3, 4, 6, 8])
def test_a_modem_without_service_is_none_and_remembers_its_last_signal(world: World, registration: int) -> None:
    world.tell({"modem-hang-tay": MODEM}, age_s=3 * DAY_S)
    world.tell({"modem-hang-tay": {"registration": registration}})
    found = row(world, coverage(world).search())
    assert (found.state, found.registration, found.rsrp_dbm) == ("none", registration, None)
    assert found.last_service_ms == NOW_MS - 3 * DAY_S * 1_000
    assert found.searched


def test_strength_of_an_earlier_sample_is_not_the_level_of_now(world: World) -> None:
    world.tell({"modem-hang-tay": {"registration": 1, "radio": 5, "nr_ss_rsrp": -70.0}}, age_s=600)
    world.tell({"modem-hang-tay": {"registration": 1, "radio": 3, "lte_rsrp": -112.0}})
    found = row(world)
    assert (found.state, found.rsrp_dbm) == ("weak", -112.0)


def test_a_silent_modem_is_stale_never_a_dead_zone(world: World) -> None:
    world.tell({"modem-hang-tay": MODEM}, age_s=901)
    world.tell({"modem-hang-tay": {"registration": Reason.SILENCE}}, age_s=5)
    found = row(world)
    assert (found.state, found.time_ms) == ("stale", NOW_MS - 901_000)
    assert found.last_service_ms == NOW_MS - 901_000


def test_a_sample_at_the_limit_is_still_now(world: World) -> None:
    world.tell({"modem-hang-tay": MODEM}, age_s=900)
    assert row(world).state == "fair"


def test_a_modem_that_never_told_its_registration_has_no_data_and_says_why(world: World) -> None:
    world.tell({"modem-hang-tay": {"registration": Reason.PORT_LOST}})
    silent = HamletRow("h01", "Háng Tày", "Chế Tạo", "Lào Cai", None, "stale", way_out=row(world).way_out)
    assert row(world) == msgspec.structs.replace(silent, reason=Reason.PORT_LOST)
    world.latest = Latest()
    assert row(world) == silent, "a modem hangs there, and nothing has come from it"


def test_no_service_in_all_the_days_searched(world: World) -> None:
    world.tell({"modem-hang-tay": MODEM}, age_s=31 * DAY_S)
    world.tell({"modem-hang-tay": {"registration": 2}})
    found = row(world, coverage(world).search())
    assert (found.last_service_ms, found.searched) == (None, True)


def test_a_store_that_does_not_answer_is_not_thirty_days_without_signal(world: World) -> None:
    world.tell({"modem-hang-tay": {"registration": 2}})
    found = coverage(world).rows(None)[0]
    assert (found.state, found.last_service_ms, found.searched) == ("none", None, False)


def test_the_past_is_searched_by_one_question(world: World) -> None:
    asked = []
    last_held = world.store.last_held
    world.store.last_held = lambda *of: asked.append(of[0]) or last_held(*of)  # type: ignore[method-assign]
    assert coverage(world).search() == {MODEM_OF: None}
    world.tell({"modem-hang-tay": MODEM}, age_s=1_000)
    assert coverage(world).search() == {MODEM_OF: NOW_MS - 1_000_000}
    assert asked == [[MODEM_OF]] * 2


def test_of_two_modems_the_better_fresh_one_speaks(world: World) -> None:
    bindings = world.registry.bindings
    bindings.append(bound("sg-02", "modem", "hamlet", "h01", bindings[0].valid_from, way_out=True))
    world.tell({"modem-hang-tay": {"registration": 1, "radio": 3, "lte_rsrp": -115.0}})
    world.tell({"modem": {"registration": 1, "radio": 3, "lte_rsrp": -90.0}}, gateway="sg-02")
    found = row(world)
    assert (found.state, found.way_out) == ("good", True)


def test_limits_are_configured_and_checked() -> None:
    import msgspec

    assert msgspec.convert({"lte_good_dbm": -90}, Scale).lte_good_dbm == -90
    with pytest.raises(msgspec.ValidationError, match="lte_great"):
        msgspec.convert({"lte_great": -80}, Scale)
