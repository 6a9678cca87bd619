"""What comes back, is muted, merged, split, far away, or timed by a clock that was set: who is told, and once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from cloud.alerts.journal import reading
from cloud.registry import Registry
from tests.rules.garden import UNASKED, Post, bound
from tests.test_alerts_chain import CALM, FIRE, Desk, opened, roster, told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

QUIET_S = 1_800.0
NEAR, FAR = 0.001, 0.1  # degrees: a hundred metres, eleven kilometres
SEEN, OVER, UNANSWERED = "NGHI CÓ KHÓI", "ĐÃ HẾT", "CHƯA AI TRẢ LỜI"


def nodes(north: Mapping[str, float]) -> Registry:
    """Return a garden with a node `sg-CODE` at each of these trees, so many degrees north of the first."""
    whole = roster()
    first = whole.trees["7K3MQ2"]
    kinds = {kind: list(rows) for kind, rows in whole._records.items()}
    kinds["tree"] = [first, *(replace(first, code=code, lat=first.lat + far) for code, far in north.items())]
    kinds["binding"] = [bound(f"sg-{code}", "smoke-1", "tree", code) for code in north]
    return Registry(kinds)


@pytest.fixture
def desk(tmp_path: Path, post: Post) -> Iterator[Desk]:
    with opened(tmp_path, post) as made:
        yield made


def now_s(desk: Desk) -> float:
    return (desk.clock.utc_ms() - desk.at(0)) / 1000


@pytest.mark.journey  # seconds of a core
def test_a_node_that_comes_and_goes_a_hundred_times_is_one_incident_and_two_letters(
    tmp_path: Path, post: Post, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(tmp_path, post, **(UNASKED | {"quiet_s": QUIET_S})) as desk:
        for _ in range(100):
            began_s = now_s(desk) + 60
            desk.live([(began_s + 60 * n, 90.0 if n < 5 else 5.0) for n in range(13)])
        assert told(post) == [("hamlet", SEEN)]
        over_ms = desk.head.closed_ms
        assert over_ms is not None
        desk.idle((over_ms - desk.clock.utc_ms()) / 1000 + QUIET_S - 10, 5)
        assert told(post) == [("hamlet", SEEN)]
        desk.idle(20, 5)
        assert told(post) == [("hamlet", SEEN), ("hamlet", OVER)]
        desk.idle(6 * 3_600, 60)
        assert len(post.mails) == 2
        assert [one.head for one in desk.alerts.incidents()] == [1] * 100
    with capsys.disabled():
        print(f"\na node that flaps 100 times: {len(post.mails)} letters (limit 3)")


def test_what_comes_back_goes_on_with_its_chain_where_it_rested(tmp_path: Path, post: Post) -> None:
    with opened(tmp_path, post, quiet_s=QUIET_S) as desk:
        desk.live(FIRE)  # suspected at 180 s
        desk.live([(at_s - 80, value) for at_s, value in CALM])  # over at 640 s, the commune is due at 660 s
        desk.idle(100, 5)
        assert told(post) == [("hamlet", SEEN), ("hamlet", UNANSWERED)]
        assert not desk.head.going
        again_s = now_s(desk)
        desk.idle(300, 5)
        assert len(post.mails) == 2, "nobody has to answer for what is over"
        desk.live([(again_s + 300 + 60 * n, 90.0) for n in range(5)])
        desk.idle(10, 1)
        assert desk.head.going
        assert told(post)[2:] == [("commune", UNANSWERED)], "it was due meanwhile"
        desk.ask("close", incident=2, closed_as="cooking")
        desk.live([(again_s + 600 + 60 * n, 5.0) for n in range(9)])
        desk.live([(now_s(desk) + 60 * n, 90.0) for n in range(1, 6)])
        assert told(post)[-1] == ("hamlet", SEEN), "what a person has closed is not the same again"
        assert desk.alerts.incidents()[0].part_of is None


def test_what_was_over_before_anybody_was_told_of_it_and_comes_back_is_told(tmp_path: Path, post: Post) -> None:
    with opened(tmp_path, post, **(UNASKED | {"quiet_s": QUIET_S})) as desk:
        for at_s, value in (*FIRE, *CALM):  # judged before the post has looked once
            desk.clock.advance(max(0.0, at_s - now_s(desk)))
            desk.send([(at_s, value)], step=False)
            desk.alerts.step()
        assert not desk.head.going
        desk.live([(now_s(desk) + 60 * n, 90.0) for n in range(1, 6)])
        assert desk.head.going
        assert told(post) == [("hamlet", SEEN)]


def test_smoke_again_after_its_end_was_told_is_told(tmp_path: Path, post: Post) -> None:
    with opened(tmp_path, post, **(UNASKED | {"quiet_s": QUIET_S})) as desk:
        desk.live(FIRE)
        desk.live(CALM)
        desk.idle(QUIET_S + 60, 10)
        desk.live([(now_s(desk) + 60 * n, 90.0) for n in range(1, 6)])
        assert told(post) == [("hamlet", SEEN), ("hamlet", OVER), ("hamlet", SEEN)]


def test_a_part_that_late_readings_open_again_opens_its_head(tmp_path: Path, post: Post) -> None:
    with opened(tmp_path, post, registry=nodes({"a": 0.0, "b": NEAR}), **UNASKED) as desk:
        desk.live(FIRE, gateway="sg-a")
        desk.live([(at_s + 360, value) for at_s, value in FIRE], gateway="sg-b")
        for gateway in ("sg-a", "sg-b"):
            desk.send([(680 + 60.0 * n, 5.0) for n in range(8)], gateway=gateway, step=False)
        desk.clock.advance(500)
        desk.step()
        assert told(post) == [("hamlet", SEEN), ("hamlet", OVER)]
        began_s = now_s(desk)
        desk.send([(690 + 60.0 * n, 90.0) for n in range(7)], gateway="sg-b", step=False)
        desk.live([(began_s + 60 * n, 90.0) for n in range(6)], gateway="sg-b")
        assert desk.head.going
        assert told(post)[2:] == [("hamlet", "LẠI")]


def test_what_was_muted_to_its_end_is_not_told(desk: Desk, post: Post) -> None:
    desk.ask("silence", scope="*", words="x", until_ms=desk.clock.utc_ms() + 7_200_000)
    desk.live(FIRE)
    desk.live(CALM)
    desk.idle(7_200, 60)
    assert post.mails == []
    assert desk.events()[:3] == ["opened", "muted", "ended"]


def test_smoke_merged_into_what_is_muted_is_not_muted(tmp_path: Path, post: Post) -> None:
    with opened(tmp_path, post, registry=nodes({"a": 0.0, "b": FAR})) as desk:
        desk.ask("silence", scope="tree:b", words="x", until_ms=desk.clock.utc_ms() + 36_000_000)
        for gateway in ("sg-a", "sg-b"):
            desk.send(FIRE, gateway=gateway, step=False)
        desk.clock.advance(310)
        desk.step()
        assert [bool(one.muted) for one in desk.alerts.incidents()] == [True, False]
        with desk.alerts._journal.transaction():
            desk.alerts._desk.raise_to(desk.head, "probable", "60 °C", desk.clock.utc_ms())
        desk.ask("merge", incident=1, into=2)
        desk.idle(500, 5)
        assert ("commune", UNANSWERED) in told(post)


def test_what_a_split_leaves_over_is_over(tmp_path: Path, post: Post) -> None:
    with opened(tmp_path, post, registry=nodes({"a": 0.0, "b": NEAR})) as desk:
        desk.live(FIRE, gateway="sg-a")
        desk.live([(at_s + 360, value) for at_s, value in FIRE], gateway="sg-b")
        desk.send([(660 + 60.0 * n, 5.0) for n in range(8)], gateway="sg-a", step=False)
        desk.clock.advance(500)
        desk.step()
        assert [(one.going, one.open) for one in desk.alerts.incidents()] == [(True, True), (True, False)]
        assert desk.ask("split", incident=1, parts=[2])["ok"]
        assert [(one.going, one.open) for one in desk.alerts.incidents()] == [(True, True), (False, False)]


def test_what_is_split_off_goes_on_where_any_of_it_does(tmp_path: Path, post: Post) -> None:
    with opened(tmp_path, post, registry=nodes({"a": 0.0, "b": NEAR, "c": -NEAR})) as desk:
        for gateway in ("sg-a", "sg-b", "sg-c"):
            desk.send(FIRE, gateway=gateway, step=False)
        desk.clock.advance(310)
        desk.step()
        desk.live(CALM, gateway="sg-b")
        assert [one.open for one in desk.alerts.incidents()] == [True, False, True]
        assert desk.ask("split", incident=1, parts=[2, 3])["ok"]
        assert [(one.going, one.head) for one in desk.alerts.incidents()] == [(True, 2), (True, 2), (True, 1)]


def test_a_second_fire_of_a_zone_is_told_at_once(tmp_path: Path, post: Post) -> None:
    places = {f"n{number}": FAR * number for number in range(6)}
    with opened(tmp_path, post, registry=nodes(places)) as desk:
        for code in places:
            desk.live([(now_s(desk) + 60 * n, 80.0) for n in range(1, 7)], gateway=f"sg-{code}")
        with reading(desk.path) as db:
            query = (
                "SELECT min(done_ms) - min(opened_ms) FROM letter JOIN about ON letter.id = letter"
                " JOIN incident ON incident.id = incident WHERE state = 'told' AND said = 'onset' GROUP BY incident.id"
            )
            waits_ms = [wait for (wait,) in db.execute(query)]
        assert waits_ms == [0] * 6


@pytest.mark.parametrize("back_s", [300.0, 3 * 3_600.0, 30 * 86_400.0])
def test_a_clock_that_is_behind_after_a_restart_delays_no_step(desk: Desk, post: Post, back_s: float) -> None:
    desk.live(FIRE)
    desk.idle(100, 10)
    assert told(post)[-1] == ("hamlet", UNANSWERED)
    desk.alerts.close()
    desk.clock.advance(200)
    desk.clock.step(-back_s)  # no battery: it begins in the past, and is put right when there is a link
    desk.restart()
    desk.idle(10, 1)
    assert told(post)[-1] == ("commune", UNANSWERED)
    desk.clock.step(back_s)
    desk.idle(425, 1)
    assert told(post)[-1] == ("ranger", UNANSWERED), "from then on in its time again"


def test_two_stages_of_one_incident_at_one_time_are_two_letters(desk: Desk, post: Post) -> None:
    desk.live(FIRE)
    with desk.alerts._journal.transaction():
        for tell in ("unanswered", "end"):
            desk.alerts._answering.desk._gatherer._intend(desk.head, tell, desk.clock.utc_ms())
    desk.idle(2, 1)
    assert told(post)[1:] == [("hamlet", UNANSWERED)]


def test_fifty_nodes_within_ten_minutes_are_one_incident_and_a_letter_a_level(
    tmp_path: Path, post: Post, capsys: pytest.CaptureFixture[str]
) -> None:
    village = {f"n{number:02}": 0.0002 * number for number in range(50)}  # a kilometre from end to end
    with opened(tmp_path, post, registry=nodes(village), **UNASKED) as desk:
        for code in village:
            began_s = now_s(desk) + 12
            desk.clock.advance(12)
            desk.send([(began_s - 300 + at_s, value) for at_s, value in FIRE], gateway=f"sg-{code}")
        with desk.alerts._journal.transaction():
            desk.alerts._desk.raise_to(desk.alerts.incidents()[7], "probable", "60 °C", desk.clock.utc_ms())
        desk.step()
        assert {one.head for one in desk.alerts.incidents()} == {1}
        assert told(post) == [("hamlet", SEEN), ("hamlet", "RẤT CÓ THỂ LÀ CHÁY")]
    with capsys.disabled():
        print(f"\n{len(village)} nodes in ten minutes: 1 incident, a letter a person and level")


def test_a_chain_is_not_put_off_by_what_becomes_surer(desk: Desk, post: Post) -> None:
    desk.live(FIRE)
    desk.idle(400, 5)
    with desk.alerts._journal.transaction():
        desk.alerts._desk.raise_to(desk.head, "probable", "60 °C", desk.clock.utc_ms())
    desk.idle(400, 5)
    rungs = [who for who, words in told(post) if words == UNANSWERED]
    assert rungs == ["hamlet", "commune", "ranger"]


@pytest.mark.journey  # seconds of a core
def test_half_an_hour_without_any_link_out_loses_nothing_and_tells_once(tmp_path: Path, post: Post) -> None:
    codes = [f"x{number:02}" for number in range(60)]  # bound to nothing: each is a place of its own
    with opened(tmp_path, post, budget=1_000, **UNASKED) as desk:
        post.refuse = dict.fromkeys(("lu@example.vn", "op@example.vn"), "451 not now")
        for number in range(360):
            desk.clock.advance(5)
            if number % 6 == 0:
                began_s = now_s(desk)
                fire = [(began_s - 300 + at_s, value) for at_s, value in FIRE]
                desk.send(fire, gateway=f"sg-{codes[number // 6]}", step=False)
            desk.step()
            if number % 100 == 99:
                desk.restart()
        assert post.mails == []
        post.refuse.clear()
        desk.idle(180, 5)
        told_ = [who for who, _ in post.mails]
        with reading(desk.path) as db:
            query = (
                "SELECT incident, count(*) FROM about JOIN letter ON id = letter"
                " WHERE said = 'onset' AND person = 'lu@example.vn' GROUP BY incident"
            )
            assert db.execute(query).fetchall() == [(number, 1) for number in range(1, 61)]
        assert told_.count("lu@example.vn") == 60
        assert told_.count("op@example.vn") <= 60, "operators were asked to call, and know it once, too"


def test_smoke_that_began_while_its_gateway_was_cut_off_is_told_once_it_is_known(desk: Desk, post: Post) -> None:
    desk.clock.advance(1_800)
    smoke = [(60.0 * n, 80.0) for n in range(5, 31)]
    for first in range(len(smoke) - 5, -1, -5):  # the newest first
        desk.send(smoke[first : first + 5], step=False)
    desk.step()
    desk.live([(1_860.0, 80.0), (1_920.0, 80.0)])
    assert told(post) == [("hamlet", SEEN)]
