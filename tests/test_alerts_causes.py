"""Why a gateway is silent: only what there is evidence for, said before, and put right by what it shows afterwards."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from cloud.alerts.causes import Cause, Reason, falling, read, told, written
from cloud.alerts.decide.witness import SILENCES
from cloud.alerts.journal import Journal
from cloud.registry import Registry
from cloud.registry.kinds import Commune, Hamlet, Person, Province
from tests.rules.garden import DAY, SIGNAL, SILENT, Bench, Post, bound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BATTERY: dict[str, Any] = {
    "name": "battery",
    "kind": "limit",
    "quantity": "supply_voltage",
    "under": 11.8,
    "clear_above": 12.4,
    "persist_s": 60,
    "role": "operator",
}
SUPPLY: dict[str, Any] = {"quantity": "supply_voltage", "channel": "supply-1"}
MAINS: dict[str, Any] = {"quantity": "mains", "channel": "ups-1"}
MODEM: dict[str, Any] = {"quantity": "registration", "channel": "modem-1"}


def garden(*, way_out: bool = True) -> Registry:
    """Return two gateways in two hamlets of one commune, and one in another commune."""
    places = (("sg-01", "h01"), ("sg-02", "h02"), ("sg-09", "h09"))
    return Registry(
        {
            "province": [Province(code="v01", name="Lào Cai", valid_from=DAY)],
            "commune": [Commune(code=c, name=f"xã {c}", province="v01", valid_from=DAY) for c in ("c01", "c02")],
            "hamlet": [
                Hamlet(
                    code=code,
                    name=f"Bản {code}",
                    commune="c02" if code == "h09" else "c01",
                    lat=21.7,
                    lon=104.1,
                    valid_from=DAY,
                )
                for _, code in places
            ],
            "person": [
                Person(code="p1", name="Giàng Thị Mỷ", roles=("telecom",), email="my@example.vn"),
                Person(code="p2", name="Op", roles=("operator",), email="op@example.vn", lang="en"),
            ],
            "binding": [bound(gateway, "modem-1", "hamlet", code, way_out=way_out) for gateway, code in places],
        }
    )


@pytest.fixture
def bench(tmp_path: Path, post: Post) -> Iterator[Bench]:
    made = Bench(tmp_path, [SIGNAL, SILENT, BATTERY], post.port, registry=garden())
    made.alerts.listening(True)
    yield made
    made.close()


def cause(bench: Bench, gateway: str = "sg-01") -> tuple[str, list[str]]:
    """What its incident says of why the gateway is silent: what is likely, and by what."""
    (one,) = [one for one in bench.alerts.incidents() if one.gateway == gateway and one.basis != "readings"]
    found = read(one.cause)
    return found.likely, [reason.why for reason in found.reasons]


def fall_silent(bench: Bench, seconds: float = 330) -> None:
    bench.idle(30)  # what was heard is written down
    bench.idle(min(seconds, 330))
    bench.idle(max(0, seconds - 330), 30)


def test_without_evidence_nothing_is_claimed(bench: Bench, post: Post) -> None:
    bench.live([(0, 1)], **MODEM)
    fall_silent(bench)
    assert cause(bench) == ("unknown", [])
    said = post.mails[0][1].get_content()
    assert "Vì sao: chưa rõ (không có dấu hiệu nào trước đó)" in said
    assert "Why: not known (there was no sign before)" in said


def test_mains_gone_before_the_silence_speaks_for_power(bench: Bench, post: Post) -> None:
    bench.live([(0, 1)], **MODEM)
    bench.live([(10, 1), (20, 0), (40, 0)], **MAINS)
    fall_silent(bench)
    assert cause(bench) == ("power", ["mains"])
    assert "Vì sao: nhiều khả năng do mất điện: điện lưới đã mất từ 12:20 23/11" in post.mails[0][1].get_content()


def test_mains_that_were_there_say_nothing(bench: Bench) -> None:
    """Without a battery the very cut keeps it from telling."""
    bench.live([(0, 1), (20, 1)], **MAINS)
    bench.live([(40, 1)], **MODEM)
    fall_silent(bench)
    assert cause(bench) == ("unknown", [])


def test_a_supply_that_was_low_or_falls_speaks_for_power(bench: Bench) -> None:
    bench.live([(0, 1)], **MODEM)
    bench.live([(n * 60.0, 13.0 - n * 0.1) for n in range(8)], **SUPPLY)
    fall_silent(bench)
    assert cause(bench) == ("power", ["falling"])
    bench.hear(120)
    bench.live([((bench.clock.utc_ms() - bench.at(0)) / 1000 + 30.0 * n, 11.4) for n in range(1, 6)], **SUPPLY)
    bench.idle(90)
    assert not [one for one in bench.alerts.incidents() if one.open and one.rule == "signal"]
    fall_silent(bench)
    newest = next(one for one in bench.alerts.incidents() if one.rule == "signal")
    assert [one.why for one in read(newest.cause).reasons] == ["low"]


def test_a_way_out_without_service_speaks_for_the_link_and_another_modem_for_nothing(
    tmp_path: Path, post: Post
) -> None:
    for way_out, expected in ((True, ("link", ["service"])), (False, ("unknown", []))):
        folder = tmp_path / str(way_out)
        folder.mkdir()
        bench = Bench(folder, [SIGNAL | {"persist_s": 3_600}, SILENT], post.port, registry=garden(way_out=way_out))
        bench.alerts.listening(True)
        bench.live([(0, 1), (20, 2), (40, 2)], **MODEM)
        fall_silent(bench)
        assert cause(bench) == expected
        bench.close()


def test_evidence_for_both_is_no_claim(bench: Bench) -> None:
    bench.live([(0, 1), (20, 2)], **MODEM)
    bench.live([(25, 1), (30, 0)], **MAINS)
    fall_silent(bench)
    assert cause(bench) == ("unknown", ["mains", "service"])


def test_a_gateway_that_was_told_to_stop_says_so(bench: Bench) -> None:
    bench.live([(0, 1)], **MODEM)
    bench.alerts.heard("sg-01", bench.clock.utc_ms())
    bench.alerts.stopped("sg-01", bench.clock.utc_ms())
    fall_silent(bench)
    assert cause(bench) == ("stopped", ["stopped"])


def test_neighbours_that_fall_silent_too_speak_for_the_grid_or_the_network_and_not_for_which(bench: Bench) -> None:
    for gateway in ("sg-01", "sg-02", "sg-09"):
        bench.live([(0, 1)], gateway=gateway, **MODEM)
    fall_silent(bench)
    assert cause(bench) == ("unknown", ["together"])
    assert cause(bench, "sg-09") == ("unknown", []), "it lies in another commune"


def test_a_neighbour_that_lost_its_mains_makes_power_likely(bench: Bench) -> None:
    bench.live([(0, 1)], **MODEM)
    bench.live([(10, 1), (20, 0)], gateway="sg-02", **MAINS)
    fall_silent(bench)
    assert cause(bench) == ("power", ["near_mains", "together"])


def test_the_same_boot_shows_that_it_was_not_power_and_its_readings_that_it_was_the_link(
    bench: Bench, post: Post
) -> None:
    bench.alerts.lives("sg-01", "b0", 900_000)
    bench.live([(0, 1), (20, 1)], **MODEM)
    bench.live([(30, 0)], **MAINS)
    fall_silent(bench, 600)
    assert cause(bench) == ("power", ["mains"])
    bench.alerts.heard("sg-01", bench.clock.utc_ms())
    bench.alerts.lives("sg-01", "b0", 1_560_000)
    bench.hear(150)
    assert cause(bench) == ("no_power", ["mains", "same_boot"]), "its program may have stopped: no claim of its link"
    assert "không phải mất điện" in post.mails[-1][1].get_content()
    bench.send([(60.0 * n, 1.0) for n in range(3, 9)], **MODEM)
    assert cause(bench) == ("link", ["mains", "same_boot", "lived"]), "it measured: it could not be heard"
    assert [one for one in bench.words() if one.startswith("cause")]


@pytest.mark.parametrize("restarts", [False, True])
def test_a_boot_that_began_in_the_silence_speaks_for_power_until_its_backlog_disagrees(
    bench: Bench, *, restarts: bool
) -> None:
    bench.alerts.lives("sg-01", "b0", 900_000)
    bench.live([(0, 1)], **MODEM)
    fall_silent(bench, 1_770)
    if restarts:
        bench.restart()
        bench.alerts.listening(True)
    bench.idle(30)
    bench.alerts.heard("sg-01", bench.clock.utc_ms())
    bench.alerts.lives("sg-01", "b1", 60_000)
    bench.hear(150)
    assert cause(bench) == ("power", ["restarted"])
    bench.send([(60.0 * n, 1.0) for n in range(1, 5)], **MODEM)
    assert cause(bench) == ("link", ["restarted", "lived"]), "what measured in the silence had power then"
    bench.send([(60.0 * n, 1.0) for n in range(5, 9)], **MODEM)
    (one,) = [one for one in bench.alerts.incidents() if one.cause]
    assert read(one.cause).reasons[-1].n >= 5
    assert len([word for word in bench.words() if word.startswith("cause")]) == 2, "once by the boot, once by readings"


def test_what_was_measured_before_the_silence_and_arrives_later_shows_nothing(bench: Bench) -> None:
    bench.alerts.lives("sg-01", "b0", 900_000)
    bench.live([(600, 1)], **MODEM)
    fall_silent(bench, 900)
    bench.alerts.heard("sg-01", bench.clock.utc_ms())
    bench.alerts.lives("sg-01", "b1", 30_000)
    bench.hear(150)
    bench.send([(60.0 * n, 1.0) for n in range(10)], **MODEM)
    assert cause(bench) == ("power", ["restarted"])


def test_a_fall_is_one_only_where_the_end_is_lowest() -> None:
    assert falling([(n * 60_000, 13.0 - n * 0.1) for n in range(8)]) == pytest.approx((13.0, 12.3))
    assert falling([(0, 13.0), (60_000, 12.0), (120_000, 12.6)]) is None
    assert falling([(0, 13.0), (60_000, 12.9), (120_000, 12.8)]) is None
    assert falling([(0, 13.0), (60_000, 12.0)]) is None


def test_each_reason_has_words_in_both_languages() -> None:
    from cloud.alerts.causes import SPEAKS

    for why in SPEAKS:
        kept = written(Cause((Reason(why, 1_763_875_200_000, 1.5, 2.5, 3),)))
        assert told(kept, "vi") != told(kept, "en")
    assert told("", "vi") == ""
    assert read("{").likely == "unknown"


def test_what_it_measures_between_its_start_and_its_first_word_shows_nothing(bench: Bench) -> None:
    """Power is back; for five minutes its sensors are read before its modem has a network."""
    bench.alerts.lives("sg-01", "b0", 900_000)
    bench.live([(0, 1)], **MODEM)
    fall_silent(bench, 2_400)
    bench.alerts.heard("sg-01", bench.clock.utc_ms())
    bench.alerts.lives("sg-01", "b1", 310_000)
    back_s = (bench.clock.utc_ms() - bench.at(0)) / 1000
    bench.hear(150)
    bench.send([(back_s - 300 + 30 * n, 1.0) for n in range(10)], **MODEM)
    assert cause(bench) == ("power", ["restarted"])


def test_who_came_back_in_between_without_a_link_is_no_proof_of_what_began_it(bench: Bench) -> None:
    bench.alerts.lives("sg-01", "b0", 900_000)
    bench.live([(0, 1)], **MODEM)
    fall_silent(bench, 7_200)
    bench.alerts.heard("sg-01", bench.clock.utc_ms())
    bench.alerts.lives("sg-01", "b2", 60_000)
    bench.hear(150)
    bench.send([(3_600 + 60.0 * n, 1.0) for n in range(5)], **MODEM)  # of a boot in the middle
    assert cause(bench) == ("power", ["restarted", "lived"])


def test_a_backlog_finds_the_silences_of_its_gateway_without_reading_all_that_ever_was(tmp_path: Path) -> None:
    """Each of its batches asks, and a province has tens of thousands of incidents after some years."""
    with closing(Journal(tmp_path / "alerts.db")) as journal:
        plan = journal.db.execute(f"EXPLAIN QUERY PLAN SELECT * FROM incident WHERE {SILENCES}", ("[]", "sg-01", 0))
        told = " ".join(str(row[3]) for row in plan)
    assert "incident_key (rule=? AND gateway=?)" in told
    assert "SCAN incident" not in told
