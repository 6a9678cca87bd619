"""How each channel is, and how its weekly test went, as pages of another process read it from the journal."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from cloud.alerts import site
from cloud.alerts.channels import open_channels
from cloud.alerts.watching import Watching
from cloud.alerts.ways import Way
from cloud.registry import Contact
from tests.rules.garden import Hook, Post, mail_table, registry
from tests.test_alerts_chain import FIRE, Desk, opened

if TYPE_CHECKING:
    from pathlib import Path

WEEK_S, DAY_S, HOUR_S = 7 * 86_400, 86_400, 3_600


def way(desk: Desk) -> Way:
    (one,) = Watching(desk.path).channels(desk.clock.utc_ms())
    assert desk.alerts.health()["self_test_failed"] == (["email"] if one.test_why else [])
    return one


def test_a_channel_that_failed_its_test_is_named_with_the_reason_and_since_when(tmp_path: Path, post: Post) -> None:
    with opened(tmp_path, post, self_test="mon 09:00") as desk:  # it is Sunday 12:20 in Vietnam
        assert way(desk) == Way("email", "email", reached=True), "not tested yet: that is said, and is no failure"
        post.refuse = {"op@example.vn": "550 no such user"}
        desk.idle(DAY_S, HOUR_S)
        first = way(desk)
        assert "no such user" in first.test_why
        assert first.test_since_ms == first.tested_ms is not None
        desk.idle(WEEK_S, 6 * HOUR_S)
        second = way(desk)
        assert (second.test_since_ms, second.tested_ms) != (first.test_since_ms, first.tested_ms)
        assert second.test_since_ms == first.test_since_ms, "since the first that failed"
        desk.restart()
        assert way(desk) == second
        post.refuse = {}
        desk.idle(WEEK_S, 6 * HOUR_S)
        assert (way(desk).test_why, way(desk).test_since_ms) == ("", None)


def test_what_ails_a_channel_now_outlasts_a_restart_until_it_is_tried_again(tmp_path: Path, post: Post) -> None:
    with opened(tmp_path, post) as desk:
        post.refuse = {"lu@example.vn": "421 we are closing"}
        desk.live(FIRE)
        ill = way(desk)
        assert "421" in ill.why
        assert ill.since_ms is not None
        began_ms = ill.since_ms
        desk.idle(600, 30)
        desk.restart()
        desk.idle(60, 5)
        assert way(desk).since_ms == began_ms
        post.refuse = {}
        desk.idle(1_200, 30)
        assert (way(desk).why, way(desk).since_ms) == ("", None)


def test_a_test_that_was_missed_is_made_up_for_at_the_start_and_none_comes_twice(tmp_path: Path, post: Post) -> None:
    with opened(tmp_path, post, self_test="mon 09:00") as desk:
        desk.idle(HOUR_S, HOUR_S)
        desk.clock.advance(3 * DAY_S)  # the server is off on Monday
        desk.restart()
        desk.idle(HOUR_S, 600)
        assert len(post.mails) == 1
        for hours in (-70, 70, -100, 100):  # to before Monday 09:00 and back
            desk.clock.step(hours * HOUR_S)
            desk.idle(HOUR_S, HOUR_S)
            desk.restart()
            desk.idle(HOUR_S, HOUR_S)
        assert len(post.mails) == 1
        desk.clock.step(-desk.clock.utc_ms() / 1000 + 100)  # 1970: its battery is empty
        desk.restart()
        desk.idle(HOUR_S, HOUR_S)
        assert len(post.mails) == 1


def test_a_clock_that_was_years_ahead_stops_no_later_test(tmp_path: Path, post: Post) -> None:
    with opened(tmp_path, post, self_test="mon 09:00") as desk:
        desk.idle(HOUR_S, HOUR_S)
        desk.clock.step(200 * WEEK_S)
        desk.idle(HOUR_S, HOUR_S)
        desk.clock.step(-200 * WEEK_S)
        before = len(post.mails)
        desk.idle(DAY_S, HOUR_S)
        assert len(post.mails) == before + 1, "on Monday"


def test_a_channel_that_is_not_in_use_any_more_fails_nobody(tmp_path: Path, post: Post) -> None:
    with opened(tmp_path, post, self_test="mon 09:00") as desk:
        post.refuse = {"op@example.vn": "550 no such user"}
        desk.idle(DAY_S, HOUR_S)
        assert way(desk).test_why
        desk._channels = list  # type: ignore[method-assign]
        desk.restart()
        desk.idle(60, 10)
        assert Watching(desk.path).channels(desk.clock.utc_ms()) == []
        assert desk.alerts.health()["self_test_failed"] == []


def test_a_test_in_quiet_hours_is_late_and_has_not_failed(tmp_path: Path, post: Post) -> None:
    quiet = registry(contacts=[Contact("Op", "operator", "op@example.vn", "en", quiet=(8 * 60, 12 * 60))])
    with opened(tmp_path, post, self_test="mon 09:00", registry=quiet) as desk:
        desk.idle(DAY_S - HOUR_S, HOUR_S)  # Monday 11:20
        assert post.mails == []
        assert (way(desk).test_why, way(desk).tested_ms is not None) == ("", True)
        desk.idle(2 * HOUR_S, HOUR_S)
        assert len(post.mails) == 1


@pytest.mark.parametrize("refused", ["", "email", "webhook"])
def test_each_channel_carries_its_own_test_and_no_other_one_that_failed(
    tmp_path: Path, post: Post, refused: str
) -> None:
    """One operator has an address for both."""
    with Hook() as hook:
        both = Contact("Op", "operator", "op@example.vn", addresses={"webhook": "op"})
        with opened(tmp_path, post, self_test="mon 09:00", registry=registry(contacts=[both])) as desk:
            tables = [mail_table(post.port), {"kind": "webhook", "url": hook.url}]
            desk._channels = lambda: open_channels(tables)  # type: ignore[method-assign]
            desk.restart()
            post.refuse = {"op@example.vn": "450 greylisted, try later"} if refused == "email" else {}
            hook.answer = 503 if refused == "webhook" else 200
            desk.idle(DAY_S, HOUR_S)
            ways = Watching(desk.path).channels(desk.clock.utc_ms())
            assert [one.name for one in ways if one.test_why] == [refused] * bool(refused)
            assert len(post.mails) == (refused != "email")
            assert len(hook.got) == (refused != "webhook")


def test_a_test_that_the_journal_does_not_take_when_it_is_due_is_not_lost_for_a_week(
    tmp_path: Path, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "BUSY_S", 0.05)
    with opened(tmp_path, post, self_test="mon 09:00") as desk:
        desk.idle(HOUR_S, HOUR_S)
        desk.clock.advance(DAY_S)
        due = desk.alerts._answering._self_test
        with closing(sqlite3.connect(desk.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(sqlite3.OperationalError):
                due.tick()
        desk.idle(60, 5)
        assert len(post.mails) == 1
