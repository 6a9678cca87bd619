"""A fixed modem that hears less than it usually does at its place is told; what is usual is its own."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from bench.valleys import FIRST_H, YEAR_H, Fault, course
from cloud.alerts.rules import open_rules
from cloud.alerts.rules.baseline import RULE
from cloud.alerts.spans import Tracker, scan
from cloud.alerts.usual import Hour, Terms, usual
from cloud.clock import HOUR_MS, hanoi
from cloud.registry import Registry
from cloud.registry.kinds import Commune, Hamlet, Maintenance, Person, Province
from tests.rules.garden import DAY, START_MS, Bench, Post, batch, bound

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date
    from pathlib import Path

    from cloud.alerts.spans import Span

WEAK: dict[str, Any] = {"name": "weak", "kind": "baseline", "quantity": "lte_rsrp"}
DAYS_H = 14 * 24
RADIO_4G, RADIO_5G = 3.0, 4.0


def garden(moved: date | None = None, rests: Sequence[Maintenance] = ()) -> Registry:
    """Return a modem at Háng Tày, which may have come from Pú Vá on some day."""
    hung = [bound("sg-01", "modem-1", "hamlet", "h01", moved or DAY)]
    if moved:
        old = bound("sg-01", "modem-1", "hamlet", "h02")
        hung.insert(0, type(old)(**{name: getattr(old, name) for name in old.__struct_fields__} | {"valid_to": moved}))
    names = {"h01": "Háng Tày", "h02": "Pú Vá"}
    return Registry(
        {
            "province": [Province(code="v01", name="Lào Cai", valid_from=DAY)],
            "commune": [Commune(code="c01", name="xã Chế Tạo", province="v01", valid_from=DAY)],
            "hamlet": [
                Hamlet(code=code, name=name, commune="c01", lat=21.7, lon=104.1, valid_from=DAY)
                for code, name in names.items()
            ],
            "person": [Person(code="p1", name="Giàng Thị Mỷ", roles=("telecom",), email="my@example.vn")],
            "binding": hung,
            "maintenance": list(rests),
        }
    )


class Mast(Bench):
    """A modem that says its level each ten minutes."""

    def hours(self, count: int, level: float, *, arrives: bool = True, radio: float | None = None) -> None:
        for _ in range(count):
            points = [(self.clock.utc_ms() + 600_000 * n, level + (n % 3 - 1)) for n in range(6)]
            self.clock.advance(3_600)
            if arrives:
                self.say(points, radio)

    def say(self, points: list[tuple[int, float]], radio: float | None = None) -> None:
        told = [("lte_rsrp", points)] + ([("radio", [(points[0][0], radio)])] if radio is not None else [])
        for quantity, own in told:
            made = batch(self.seq, list(own), quantity=quantity, channel="modem-1")
            self.seq += len(own)
            self.alerts.offer(made, self.clock.utc_ms())
            self.step()


def opened(folder: Path, post: Post | None, **more: Any) -> Mast:
    port = post.port if post else None
    made = Mast(folder, [WEAK], port, **({"registry": garden(), "signal_night": "", "late_s": 7_200.0} | more))
    made.alerts.listening(True)
    return made


@pytest.fixture
def mast(tmp_path: Path, post: Post) -> Iterator[Mast]:
    made = opened(tmp_path, post)
    yield made
    made.close()


def test_weaker_than_usual_for_hours_is_told_with_what_was_usual_and_its_end(mast: Mast, post: Post) -> None:
    mast.hours(DAYS_H, -95, radio=RADIO_5G)
    assert post.mails == []
    mast.hours(9, -112, radio=RADIO_4G)
    assert post.subjects() == [
        "[gocche] SÓNG YẾU HƠN THƯỜNG LỆ / Signal weaker than usual: Háng Tày, xã Chế Tạo, Lào Cai"
    ]
    said = post.mails[0][1].get_content()
    assert "4G RSRP: kém hơn thường lệ 17 dB" in said
    assert "thường lệ -95, giờ qua -112" in said
    assert "chuyển sang mạng 4G" in said
    assert "on LTE since" in said
    assert "cháy" not in said.lower()
    (one,) = mast.alerts.incidents()
    assert (one.kind, one.grade, one.place) == ("baseline", "service", "hamlet:h01")
    mast.hours(9, -95, radio=RADIO_5G)
    assert [one[:14] for one in post.subjects()[1:]] == ["[gocche] ĐÃ HẾ"]


def test_a_restart_costs_the_hour_that_is_going_on_and_tells_nothing_twice(mast: Mast, post: Post) -> None:
    for _ in range(14):
        mast.hours(24, -95)
        mast.restart()
        mast.alerts.listening(True)
    for _ in range(3):
        mast.hours(4, -112)
        mast.restart()
        mast.alerts.listening(True)
    assert len(post.mails) == 1


def test_a_backlog_of_worse_hours_is_history_and_wakes_nobody(mast: Mast, post: Post) -> None:
    mast.hours(DAYS_H, -95)
    since_ms = mast.clock.utc_ms()
    mast.hours(48, -112, arrives=False)  # no link for two days
    mast.hours(2, -95)
    for hour in reversed(range(48)):  # the newest are sent first
        mast.say([(since_ms + hour * HOUR_MS + 600_000 * n, -112.0) for n in range(6)])
        mast.clock.advance(40)
    mast.hours(8, -95)
    assert post.mails == []
    late = [one for one in mast.alerts.incidents() if one.late]
    assert late, "it is written down"
    assert all(one.late for one in mast.alerts.incidents())
    assert min(one.since_ms for one in late) <= since_ms + 2 * HOUR_MS


@pytest.mark.journey  # seconds of a core
def test_at_another_place_something_else_is_usual(tmp_path: Path, post: Post) -> None:
    mast = opened(tmp_path, post)
    mast.hours(DAYS_H, -80)
    mast.registry = garden(hanoi(mast.clock.utc_ms()).date() + timedelta(days=1))
    mast.hours(24, -80)
    mast.restart()
    mast.alerts.listening(True)
    mast.hours(5 * 24, -110)
    assert post.mails == []
    mast.hours(8 * 24, -110)
    mast.hours(10, -125)
    assert len(post.mails) == 1, "what is usual there is learned within ten days and more"
    mast.close()


def test_no_data_is_not_worse(mast: Mast, post: Post) -> None:
    mast.hours(DAYS_H, -95)
    mast.hours(72, -95, arrives=False)
    mast.hours(10, -95)
    assert (post.mails, mast.alerts.incidents()) == ([], [])


def test_a_clock_that_is_days_ahead_for_an_hour_leaves_what_is_usual(mast: Mast, post: Post) -> None:
    mast.hours(DAYS_H, -95)
    mast.say([(mast.clock.utc_ms() + 40 * 24 * HOUR_MS + 60_000 * n, -130.0) for n in range(6)])
    mast.hours(10, -95)
    assert post.mails == []
    mast.hours(9, -112)
    assert len(post.mails) == 1


@pytest.mark.journey  # seconds of a core
def test_a_server_whose_clock_was_weeks_ahead_learns_anew_what_is_usual(mast: Mast, post: Post) -> None:
    """By its clock it has dated gateways, too: what it took for known lay in a time that is still to come."""
    mast.hours(DAYS_H, -95)
    mast.clock.step(40 * 86_400)
    mast.hours(3, -95)
    mast.clock.step(-40 * 86_400)
    mast.hours(DAYS_H, -95)
    mast.hours(9, -112)
    assert len(post.mails) == 1


def test_a_morning_is_of_one_day_though_that_of_utc_ends_in_it() -> None:
    terms = Terms(drop=10, spreads=4, days=28, least_days=5)
    mornings = [Hour(24 * day + hour, -95.0, None, live=True) for day in range(5) for hour in range(23, 29)]
    assert usual(mornings[:-6], 24 * 6 + 23, terms) is None
    assert usual(mornings, 24 * 6 + 23, terms) == (-95.0, 1.0)


def test_what_is_measured_under_maintenance_is_neither_worse_nor_usual(mast: Mast, post: Post) -> None:
    mast.hours(DAYS_H, -95)
    now = hanoi(mast.clock.utc_ms()).replace(microsecond=0)
    ends = now + timedelta(hours=24)
    mast.registry = garden(rests=[Maintenance(gateway="sg-01", channel="modem-1", starts=now, ends=ends)])
    mast.restart()
    mast.alerts.listening(True)
    mast.hours(24, -125)  # its antenna lies on a bench
    mast.hours(9, -95)
    assert (post.mails, mast.alerts.incidents(), mast.alerts.health()["rules_failed"]) == ([], [], {})


def _rule() -> RULE:
    (rule,) = open_rules([WEAK])
    assert isinstance(rule, RULE)
    return rule


def _spans(seed: int, faults: tuple[Fault, ...] = (), hours: int = YEAR_H) -> list[Span]:
    rule = _rule()
    points = [(one.end_ms, 0, one.worse) for one in course(seed, rule.terms, faults, hours) if one.worse is not None]
    return scan(Tracker(), points, rule.mark, rule.patience)[1]


@pytest.mark.parametrize(("db", "within_h"), [(12, 24), (20, 10)])
def test_a_known_fault_is_found_within_hours_and_its_end_too(db: int, within_h: int) -> None:
    """Six hours are asked for; a modem that always trembles needs longer for 12 dB."""
    for seed in range(3):
        (span,) = _spans(seed, (Fault(600, 96, db),), 720)
        found_h = [(ms or 0) // HOUR_MS - FIRST_H for ms in (span.opened_ms, span.ended_ms)]
        assert found_h[0] - 600 in range(6, within_h), seed
        assert found_h[1] - 696 in range(6, 10), seed


def test_what_comes_over_a_fortnight_is_found_although_it_shifts_what_is_usual() -> None:
    (span,) = _spans(1, (Fault(800, 700, 20, over_h=14 * 24),), 1_500)
    assert 0 < span.opened_ms // HOUR_MS - FIRST_H - 800 < 14 * 24


def test_start_is_no_hour() -> None:
    assert START_MS % HOUR_MS, "the tests' own hours do not begin with the clock's"


@pytest.mark.journey
def test_ten_years_of_modems_without_a_false_alarm() -> None:
    """Ten modems for a year, with rain, leaves and stray values, and no fault."""
    found = [span for seed in range(10) for span in _spans(seed)]
    print(f"false alarms in 10 modem-years: {len(found)}")
    assert not found
