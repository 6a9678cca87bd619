"""A fire that people report reaches the duty at once, as unconfirmed: one letter, however many report it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from cloud.alerts.decide.people import MANY, MOST_AN_HOUR, OVER_MS
from cloud.alerts.journal import read_public
from cloud.alerts.listing import history
from cloud.inbox import Asker
from cloud.registry.fire import BurnPermit
from cloud.reports.book import NAME
from cloud.reports.door import Door
from cloud.reports.report import Place, Report
from cloud.reports.telling import AGAIN_S, Telling
from cloud.rooms.cap_course import courses
from tests.dutyroom import DutyWorld, plain
from tests.rules.garden import START_MS
from tests.test_alerts_chain import Desk, opened, roster, told
from tests.visitors import StandingClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.rules.garden import Post

AT = {"lat": 21.60, "lon": 104.57}


class Village:
    """A form's door, and what brings its fires to the alerts' room, beside that room."""

    def __init__(self, desk: Desk) -> None:
        folder = desk.path.parent
        self.desk, self.door = desk, Door(folder / NAME, desk.clock)
        self.asker = Asker(folder, "alerts", desk.clock)
        self.telling = Telling(self.door, self.asker, desk.clock)
        self._n = 0

    def says(self, lat: float = AT["lat"], lon: float = AT["lon"], place: str = "", **more: Any) -> Any:
        """Report a fire, and let the rooms work once."""
        self._n += 1
        one = Report(key=f"k{self._n}", kind=more.pop("kind", "fire"), lat=lat, lon=lon, text="gọi 0912345678", **more)
        kept = self.door.put(one, Place(place, ""))
        self.works()
        return kept

    def works(self) -> None:
        self.telling.step()
        self.desk.step()

    def close(self) -> None:
        self.door.close()
        self.asker.close()


@pytest.fixture
def desk(tmp_path: Path, post: Post) -> Iterator[Desk]:
    with opened(tmp_path, post) as made:
        yield made


@pytest.fixture
def village(desk: Desk) -> Iterator[Village]:
    made = Village(desk)
    yield made
    made.close()


def test_a_report_is_one_letter_marked_as_unconfirmed_and_more_of_it_is_a_number(
    village: Village, desk: Desk, post: Post
) -> None:
    village.says(place="hamlet:hang-tay")
    village.desk.step()
    assert told(post) == [("hamlet", "NGƯỜI DÂN BÁO CHÁY, CHƯA XÁC NHẬN")]
    letter = str(post.mails[0][1].get_content())
    assert "1 người báo qua trang công khai" in letter
    assert "21.60000" in letter
    assert "unconfirmed" in letter
    assert "Thiết bị:" not in letter
    assert "0912345678" not in letter, "words and numbers of people go into no letter"
    assert (desk.head.stage, desk.head.basis, desk.head.rule) == ("suspected", "people", "report")
    for _ in range(30):
        village.says(AT["lat"] + 0.002)
    desk.clock.advance(AGAIN_S + 1)
    village.works()
    assert len(desk.alerts.incidents()) == 1
    assert desk.head.value == 31
    assert len(told(post)) == 1
    assert all("0912345678" not in row[3] for row in history(desk.path, 1))


def test_only_a_person_confirms_and_what_is_closed_as_false_is_opened_anew_by_the_next_report(
    village: Village, desk: Desk, post: Post
) -> None:
    village.says()
    assert courses(desk.path, desk.clock.utc_ms()) == [], "no warning to other systems before"
    assert desk.ask("confirm", incident=1)["ok"]
    assert told(post)[-1] == ("hamlet", "ĐÃ XÁC NHẬN LÀ CHÁY")
    assert "CHƯA XÁC NHẬN" not in str(post.mails[-1][1]["Subject"])
    assert [one.number for one in courses(desk.path, desk.clock.utc_ms())] == [1]
    assert desk.ask("close", incident=1, closed_as="unknown")["ok"]
    desk.clock.advance(AGAIN_S + 1)
    village.says()
    assert [one.id for one in desk.alerts.incidents() if one.going] == [2]
    assert told(post)[-1] == ("hamlet", "NGƯỜI DÂN BÁO CHÁY, CHƯA XÁC NHẬN")
    assert read_public(desk.path, 10) == [], "nothing is published"


def test_a_flood_of_reports_from_everywhere_is_few_letters(village: Village, desk: Desk, post: Post) -> None:
    for n in range(60):
        village.says(20.0 + 0.05 * n)
    desk.clock.advance(AGAIN_S + 1)
    village.works()
    heads = [one for one in desk.alerts.incidents() if one.part_of is None]
    assert len(heads) == MOST_AN_HOUR + 1
    many = next(one for one in heads if one.channel == MANY)
    assert many.value == 50
    assert "nhiều nơi" in many.place_vi
    assert len(told(post)) <= MOST_AN_HOUR + 1
    desk.clock.advance(OVER_MS / 1000 + 60)
    desk.step()
    desk.idle(OVER_MS / 1000 + 120, 10)
    assert not [one for one in desk.alerts.incidents() if one.open], "what nobody said anything about is forgotten"


def test_a_report_beside_what_is_suspected_already_is_a_part_of_it(village: Village, desk: Desk, post: Post) -> None:
    desk.live([(60.0 * n, 80.0) for n in range(6)])
    smoke = desk.head
    before = len(told(post))
    village.says(smoke.lat, smoke.lon)
    assert [one.part_of for one in desk.alerts.incidents() if one.rule == "report"] == [smoke.id]
    assert len(told(post)) == before
    assert "joined: people report it, too" in desk.words(smoke.id)
    desk.ask("confirm", incident=smoke.id)
    letter = str(post.mails[-1][1].get_content())
    assert "report-" not in letter, "people are no sensor"


def test_a_permitted_burn_mutes_a_report_as_it_mutes_smoke(tmp_path: Path, post: Post) -> None:
    starts = datetime.fromtimestamp(START_MS / 1000, UTC) - timedelta(hours=1)
    permit = BurnPermit(
        code="b1",
        holder="x",
        radius_m=500,
        starts=starts,
        ends=starts + timedelta(hours=8),
        **AT,  # type: ignore[arg-type]
    )
    with opened(tmp_path, post, registry=roster(burn_permit=[permit])) as desk:
        village = Village(desk)
        village.says()
        assert desk.head.muted
        assert told(post) == []
        village.close()


def test_what_is_kept_is_told_whatever_dies_in_between_and_once(village: Village, desk: Desk, post: Post) -> None:
    kept = village.says(kind="signal")
    assert desk.alerts.incidents() == [], "no fire"
    kept = village.door.put(Report(key="f", kind="fire", text="x", **AT), Place("", ""))  # type: ignore[arg-type]
    village.close()  # killed before it was told
    again = Village(desk)
    again.works()
    assert [one.channel for one in desk.alerts.incidents()] == [f"report-{kept.id}"]
    with_same = again.door.untold_fires()
    assert with_same == []
    again.door._written(lambda book: book._db.execute("UPDATE report SET told = 0"))  # killed before that was noted
    third = Village(desk)
    third.works()
    assert len(desk.alerts.incidents()) == 1
    assert len(told(post)) == 1
    again.close()
    third.close()


def test_a_room_of_alerts_that_never_ran_is_said_and_nothing_is_lost(tmp_path: Path, post: Post, caplog: Any) -> None:
    clock = StandingClock()
    door = Door(tmp_path / NAME, clock)
    telling = Telling(door, Asker(tmp_path, "alerts", clock), clock)
    door.put(Report(key="f", kind="fire", text="x"), Place("", ""))
    telling.step()
    assert "never run" in telling.why
    assert len(door.untold_fires()) == 1
    assert "reports-not-told" in caplog.text
    door.close()


def test_the_duty_sees_how_many_report_it_where_and_that_nobody_has_confirmed_it(tmp_path: Path, post: Post) -> None:
    world = DutyWorld(tmp_path, post.port)
    asker = Asker(world.folder, "alerts", world.clock)
    told_of = {"number": 4, "to": "report-7", "place": "hamlet:h01", "since_ms": world.clock.utc_ms()}
    asker.ask("act", {"act": "report", "who": "people", "by": "page", "key": "report.x.4"} | told_of | AT)
    world.bench.step()
    asker.close()
    officer = world.visitor("officer")
    board = plain(officer.get("/truc").text)
    for words in ("người dân báo cháy", "Háng Tày", "4 người báo", "Người dân báo, chưa ai xác nhận"):
        assert words in board, words
    page = officer.get(f"/truc/{world.head.id}")
    assert page.status_code == 200
    assert "4 người báo" in plain(page.text)
    assert officer.get(f"/truc/{world.head.id}/phat-lai").status_code == 200
    tap = {"act": "report", "incident": "0", "to": "report-9", "place": "", "key": "k"}
    assert officer.post("/truc/viec", **tap).status_code in (400, 404, 422), "no act of the duty's pages"
    assert len(world.bench.alerts.incidents()) == 1
    assert world.visitor("officer").post("/truc/viec", act="confirm", incident=str(world.head.id)).status_code == 303
    assert world.head.stage == "confirmed"
    world.close()
