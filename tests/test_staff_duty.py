"""The duty pages: what is open is seen and answered, nothing is answered by looking, and what failed is said."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import pytest

from cloud.alerts import incident, site
from cloud.alerts.channels import open_channels
from cloud.alerts.engine import BACK_S
from cloud.alerts.intent import Tell
from cloud.alerts.journal import reading
from cloud.alerts.tell.paper import BUDGET, HELD
from cloud.alerts.ways import LATE_TEST
from cloud.clock import SystemClock
from cloud.inbox import Inbox, path_of
from cloud.registry.fire import BurnPermit
from cloud.registry.kinds import key_of
from cloud.registry.rows import read
from cloud.rooms.duty import MOST_LINES, MOST_OPEN
from cloud.rooms.hooks import Hooks
from cloud.staff.duty import letters, seen
from cloud.staff.duty.board import MOST
from cloud.staff.duty.inputs import PATIENCE_S
from cloud.staff.words import Speaker
from tests import told
from tests.dutyroom import FIRE, DutyWorld, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.alerts.channels import Named
    from tests.rules.garden import Post
    from tests.staffroom import Browser


@pytest.fixture
def world(tmp_path: Path, post: Post) -> Iterator[DutyWorld]:
    made = DutyWorld(tmp_path, post.port)
    yield made
    made.close()


@pytest.fixture
def burning(world: DutyWorld) -> DutyWorld:
    """Smoke for five minutes, told, and answered by nobody."""
    world.smoke()
    world.look()
    assert world.head.lives
    return world


def act(browser: Browser, name: str, **fields: Any) -> Any:
    return browser.post("/truc/viec", act=name, **fields)


# --- the board


def test_the_board_says_what_where_since_when_how_much_how_sure_and_who_is_next(burning: DutyWorld) -> None:
    page = burning.visitor("viewer").get("/truc").text
    said = plain(page)
    for words in (
        "NGHI CHÁY", "Khu vườn mẫu Suối Giàng – đồi trên", "số 1",
        "ngưỡng 55 µg/m³", "Máy nghi, chưa ai xác nhận", "CHƯA AI NHẬN", "Không ai nhận thì báo tổ đội thôn lúc",
    ):  # fmt: skip
        assert words in said, words
    assert re.search(r"Bụi mịn PM2,5: \d+ µg/m³.* ngưỡng 55 µg/m³", said)
    assert "<form" not in page.partition('id="board"')[2].partition("</div>\n<p class")[0], "a viewer only looks"
    assert 'class="fire s-suspected"' in page, "and it is on the map"
    assert "TÔI NHẬN VIỆC NÀY" in plain(burning.visitor("officer").get("/truc").text)


def test_one_tap_has_it_and_the_chain_waits(burning: DutyWorld) -> None:
    officer = burning.visitor("officer")
    answer = act(officer, "acknowledge", incident="1", back="0")
    assert (answer.status_code, answer.headers["location"]) == (303, "/truc?xong=acted")
    assert (burning.head.acked_by, burning.head.stage) == ("officer", "suspected")
    said = plain(officer.get("/truc").text)
    assert "Tên officer đã nhận việc" in said
    assert "Chưa đóng thì hỏi lại" in said
    assert "TÔI NHẬN VIỆC NÀY" not in said
    assert "acknowledged" in burning.events()


def test_who_may_not_act_does_not_and_a_form_of_nobody_does_nothing(burning: DutyWorld) -> None:
    for role in ("viewer", "editor", "moderator"):
        assert act(burning.visitor(role), "acknowledge", incident="1").status_code == 403
    officer = burning.visitor("officer")
    for fields in ({"act": "dance", "incident": "1"}, {"act": "acknowledge"}, {"act": "close", "incident": "1"},
                   {"act": "close", "incident": "1", "closed_as": "fun"}, {"act": "silence", "minutes": "99999"},
                   {"act": "drill", "incident": "1"}):  # fmt: skip
        assert officer.post("/truc/viec", **fields).status_code == 422, fields
    assert officer.post("/truc/viec", act="acknowledge", incident="1", token="").status_code == 403
    assert burning.head.acked_ms is None


def test_a_form_that_is_sent_twice_is_done_once_and_other_words_are_another(burning: DutyWorld) -> None:
    officer = burning.visitor("officer")

    def sent(act_: str, words: str, key: str) -> int:
        return int(act(officer, act_, incident="1", words=words, key=key).status_code)

    assert [sent("acknowledge", "", "suspected 7") for _ in range(3)] == [303] * 3
    assert burning.events().count("acknowledged") == 1
    assert [sent("comment", "tới nơi", "k") for _ in range(2)] == [303, 303]
    assert [sent("comment", "thấy lửa", "k"), sent("comment", "tới nơi", "l")] == [303, 303]
    assert burning.events().count("comment") == 3
    assert sent("comment", "", "m") == sent("comment", "", "m") == 409
    page = officer.get("/truc/1").text
    keys = set(re.findall(r'name="key" value="([^"]+)"', page))
    assert len(keys) == 1
    assert keys.isdisjoint(re.findall(r'name="key" value="([^"]+)"', officer.get("/truc/1").text))


def test_who_is_refused_finds_the_way_back_to_the_incident(burning: DutyWorld) -> None:
    officer, other = burning.visitor("officer"), burning.visitor("admin")
    act(other, "close", incident="1", closed_as="cooking")
    late = act(officer, "control", incident="1", back="1")
    assert (late.status_code, 'href="/truc/1"' in late.text, "đã đóng" in late.text) == (409, True, True)
    path = burning.letter()
    late = burning.visitor().post(path, act="acknowledge", incident="1", token="")
    assert (late.status_code, f'href="{path}"' in late.text) == (409, True)


def test_what_is_no_fire_offers_no_acts_of_fires(burning: DutyWorld) -> None:
    journal = burning.bench.alerts._journal
    with journal.transaction():
        rain = journal.save(
            msgspec.structs.replace(burning.head, id=0, kind="sum", may_burn=False, what_vi="Mưa rất to")
        )
    officer = burning.visitor("officer")
    page = officer.get(f"/truc/{rain.id}").text
    assert "Không phải cháy" in page
    offered = set(re.findall(r'name="act" value="(\w+)"', page))
    assert offered == {"acknowledge", "comment", "assign", "silence", "relabel"}
    people = re.findall(r'<option value="(\w+)"', page.partition('id="to"')[2].partition("</select>")[0])
    assert people
    for code in people:
        assert act(officer, "assign", incident=str(rain.id), to=code).status_code == 303, code


def test_which_channel_failed_its_weekly_test_stands_on_the_board(tmp_path: Path, post: Post) -> None:
    world = DutyWorld(tmp_path, post.port, self_test="mon 09:00")

    def board() -> str:
        return plain(world.visitor("officer").get("/truc").text)

    def until_s(seconds: float, every_s: float) -> None:
        for _ in range(round(seconds / every_s)):
            world.clock.advance(every_s)
            world.bench.step()

    assert "Kênh báo tin email chưa thử lần nào" in board()
    until_s(23 * 3_600, 600)
    assert "email thử 09:" in board()
    for who in {who for who, _ in post.mails}:
        post.refuse = {**post.refuse, who: "550 no such user"}
    until_s(7 * 86_400, 1_800)
    said = board()
    assert re.search(r"email thử hằng tuần không tới, từ [\d:]+(, [\d/]+)? : 550 no such user", said), said
    assert said.index("thử hằng tuần không tới") < said.index("Trạm canh khói"), "what fails stands above"
    world.clock.room = None
    world.clock.advance(9 * 86_400)
    assert "550 no such user" in board()
    world.close()


def test_the_words_of_ours_in_a_letters_row_are_vietnamese() -> None:
    speaker = Speaker("vi", 0)
    for words in (HELD, BUDGET, LATE_TEST):
        assert speaker.word("letter", words) != words, words


def test_an_act_that_cannot_be_is_refused_in_words_and_changes_nothing(burning: DutyWorld) -> None:
    officer = burning.visitor("officer")
    answer = act(officer, "acknowledge", incident="77")
    assert (answer.status_code, "Không có sự việc này." in answer.text) == (409, True)
    told = act(officer, "acknowledge", incident="77", **{"as": "json"})
    assert told.json() == {"ok": False, "words": "Chưa ghi được. Không có sự việc này."}
    assert act(officer, "comment", incident="1", words="  ").status_code == 409


def test_the_boards_state_is_sent_once_and_a_raised_stage_rings_again(burning: DutyWorld) -> None:
    officer = burning.visitor("officer")
    first = officer.get("/truc/bang.json")
    assert first.json()["rings"] == [[1, "suspected", False]]
    assert "NGHI CHÁY" in first.json()["html"]
    tag = first.headers["etag"]
    again = officer.ask("GET", "/truc/bang.json", headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert int(first.headers["content-length"]) < 4_000, "on a telephone with a bad signal"
    assert officer.ask("GET", "/truc/bang.json", headers={"Accept-Encoding": "identity"}).json() == first.json()
    act(officer, "acknowledge", incident="1")
    changed = officer.ask("GET", "/truc/bang.json", headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json()["rings"]) == (200, [])
    with burning.bench.alerts._journal.transaction():
        burning.bench.alerts._desk.raise_to(burning.head, "probable", "two nodes", burning.clock.utc_ms())
    assert officer.get("/truc/bang.json").json()["rings"] == [[1, "probable", False]]


def test_a_quiet_board_says_since_when_and_what_watches(world: DutyWorld) -> None:
    said = plain(world.visitor("viewer").get("/truc").text)
    assert "Chưa từng có báo cháy." in said
    assert "Đang gom số liệu lần đầu" in said
    world.look()
    assert "Không trạm nào đo khói" in plain(world.visitor("viewer").get("/truc").text)
    world.smoke([(0.0, 5.0)])
    world.look()
    said = plain(world.visitor("viewer").get("/truc").text)
    assert "0 trên 1 trạm đang canh." in said
    assert "thiếu Khí CO" in said
    world.smoke([(60.0, 0.4)], quantity="co", channel="co-1")
    world.look()
    assert "1 trên 1 trạm đang canh." in plain(world.visitor("viewer").get("/truc").text)
    world.clock.advance(7 * 60)
    said = plain(world.visitor("viewer").get("/truc").text)
    assert "0 trên 1 trạm đang canh." in said
    assert "không thấy gì" in said


def test_a_sensor_that_is_stuck_brings_values_and_sees_nothing_and_the_board_says_so(tmp_path: Path) -> None:
    rule = {"name": "fire", "kind": "detect", "what_vi": "Nghi có khói", "what_en": "Suspected smoke"}
    world = DutyWorld(tmp_path, rules=[rule])
    try:
        for n in range(20):
            world.smoke([(60.0 * n, 20.0)])  # to the last digit
            world.smoke([(60.0 * n + 1, 0.3 + n % 3 / 10)], quantity="co", channel="co-1")
        world.clock.advance(21)
        world.bench.step()
        world.look()
        said = plain(world.visitor("viewer").get("/truc").text)
        assert "0 trên 1 trạm đang canh." in said
        assert "số PM2,5 đứng yên" in said
    finally:
        world.close()


def test_no_number_of_other_incidents_pushes_a_fire_off_the_board(burning: DutyWorld) -> None:
    journal = burning.bench.alerts._journal
    with journal.transaction():
        for _ in range(MOST_OPEN + 20):
            journal.save(msgspec.structs.replace(burning.head, id=0, grade="upkeep", what_vi="Ắc quy sắp cạn"))
    assert burning.desk.going()[0].grade == "life"
    assert "NGHI CHÁY" in plain(burning.visitor("viewer").get("/truc").text)


def test_more_fires_than_cards_are_counted(burning: DutyWorld) -> None:
    journal = burning.bench.alerts._journal
    with journal.transaction():
        for _ in range(MOST + 5):
            journal.save(msgspec.structs.replace(burning.head, id=0))
    said = plain(burning.visitor("viewer").get("/truc").text)
    assert f"Đang mở: {MOST + 6}" in said
    assert "và 6 báo cháy nữa đang mở" in said


def test_without_the_alerts_room_the_board_says_so_and_a_tap_is_kept_but_not_called_done(burning: DutyWorld) -> None:
    officer = burning.visitor("officer")
    burning.clock.room = None
    burning.bench.alerts.close()
    assert "PHÒNG BÁO ĐỘNG KHÔNG CHẠY." in plain(officer.get("/truc").text)
    answer = act(officer, "acknowledge", incident="1")
    assert answer.headers["location"] == "/truc?xong=asked"
    assert "chưa trả lời" in plain(officer.get("/truc?xong=asked").text)
    inbox = Inbox(burning.folder, "alerts", burning.clock)
    [question] = inbox.take(9)
    assert (question.kind, question.body["act"], question.body["who"]) == ("act", "acknowledge", "officer")
    inbox.close()


def test_a_room_that_hangs_or_has_lost_its_broker_is_said_after_a_minute(burning: DutyWorld) -> None:
    viewer = burning.visitor("viewer")

    def said(seconds: int) -> bool:
        for _ in range(seconds // 5):
            burning.clock.advance(5)
            burning.bench.step()
            page = plain(viewer.get("/truc").text)
        return "KHÔNG NGHE ĐƯỢC TRẠM NÀO" in page

    assert not said(120)
    burning.bench.alerts.listening(False)
    assert said(70)
    burning.bench.alerts.listening(True)
    assert not said(10)
    burning.clock.room = None
    viewer.get("/truc")
    burning.clock.advance(70)
    assert "KHÔNG NGHE ĐƯỢC TRẠM NÀO" in plain(viewer.get("/truc").text), "it is not even asked to work"


def test_where_nothing_can_be_kept_a_tap_is_said_not_to_have_arrived(burning: DutyWorld) -> None:
    officer = burning.visitor("officer")
    burning.clock.room = None
    burning.bench.alerts.close()
    burning.desk.close()
    path = path_of(burning.folder, "alerts")
    path.unlink()
    burning.staff.duty._asker._db = None
    answer = act(officer, "acknowledge", incident="1")
    assert (answer.status_code, "CHƯA GHI ĐƯỢC" in answer.text) == (503, True)
    told = act(officer, "acknowledge", incident="1", **{"as": "json"})
    assert (told.status_code, told.json()["ok"]) == (503, False)


# --- one incident


def test_an_incident_is_led_from_suspicion_to_its_closing_and_its_page_tells_who_did_what(
    burning: DutyWorld, post: Post
) -> None:
    officer = burning.visitor("officer")
    page = plain(officer.get("/truc/1").text)
    for words in ("Diễn biến", "Máy bắt đầu nghi", "Đã báo ai", "kênh đã nhận", "sg-01/smoke-1", "Bụi mịn PM2,5 ·"):
        assert words in page, words
    for name, fields in (
        ("acknowledge", {}), ("comment", {"words": "thấy khói trắng"}), ("assign", {"to": "su"}),
        ("relabel", {"place_vi": "Đồi sau trường", "place_en": "Hill behind the school"}), ("confirm", {}),
        ("control", {}), ("close", {"closed_as": "real", "words": "đã dập"}),
    ):  # fmt: skip
        answer = act(officer, name, incident="1", back="1", **fields)
        assert (answer.status_code, answer.headers.get("location")) == (303, "/truc/1?xong=acted"), (name, answer.text)
    page = plain(officer.get("/truc/1").text)
    for words in ("Đã nhận việc · Tên officer (trang trực)", "thấy khói trắng", "(trang trực) · Sùng A Sử",
                  "Đổi tên nơi", "Người xác nhận: cháy", "Đã khống chế", "Đóng · Tên officer (trang trực) · cháy thật",
                  "đã dập", "Đồi sau trường"):  # fmt: skip
        assert words in page, words
    assert "TÔI NHẬN VIỆC NÀY" not in page
    assert "su@example.vn" not in officer.get("/truc/1").text, "addresses stand in the table of people alone"
    english = burning.visitor("officer")
    english.post("/ngon-ngu", onward="/")
    assert "Confirmed by a person" in plain(english.get("/truc/1").text)
    past = plain(officer.get("/truc/lich-su?la=real").text)
    assert "Đồi sau trường · Đã đóng: cháy thật" in past
    assert "Không có." in plain(officer.get("/truc/lich-su?la=cooking").text)
    board = plain(english.get("/truc").text)
    assert "All quiet" in board
    assert "Just closed Hill behind the school · a real fire" in board


def test_what_was_closed_by_mistake_is_opened_again_from_its_page(burning: DutyWorld) -> None:
    officer, viewer = burning.visitor("officer"), burning.visitor("viewer")
    assert "Mở lại" not in plain(officer.get("/truc/1").text)
    act(officer, "close", incident="1", closed_as="cooking", back="1")
    page = officer.get("/truc/1").text
    assert 'value="reopen"' in page
    assert 'value="confirm"' in page
    assert "<form" not in viewer.get("/truc/1").text.partition("</header>")[2].partition("<footer")[0]
    assert act(viewer, "reopen", incident="1").status_code == 403
    assert act(officer, "comment", incident="1", words="bấm nhầm", back="1").status_code == 303
    assert act(officer, "reopen", incident="1", words="còn khói", back="1").status_code == 303
    assert burning.head.stage == "suspected"
    page = plain(officer.get("/truc/1").text)
    assert "Mở lại · Tên officer (trang trực) còn khói" in page
    assert "NGHI CHÁY" in plain(officer.get("/truc/1/phat-lai").text).partition("Mở lại · Tên officer")[2]
    act(officer, "close", incident="1", closed_as="cooking")
    assert act(officer, "confirm", incident="1", back="1").status_code == 303
    assert burning.head.stage == "confirmed"
    act(officer, "close", incident="1", closed_as="real")
    burning.clock.room = None
    burning.clock.advance(90_000)
    assert "Mở lại: " not in plain(officer.get("/truc/1").text)


def test_the_history_is_asked_by_day_place_closing_and_exercise(burning: DutyWorld) -> None:
    officer, journal = burning.visitor("officer"), burning.bench.alerts._journal
    act(officer, "close", incident="1", closed_as="cooking")
    burning.desk.act({"act": "drill", "who": "officer", "by": "cli", "place": "zone:z01"})
    long_ago = {"since_ms": burning.head.since_ms - 40 * 86_400_000, "opened_ms": 0}
    with journal.transaction():
        for _ in range(90):
            journal.save(msgspec.structs.replace(journal.incident(1), id=0, closed_as="permitted", **long_ago))

    def found(query: str) -> list[str]:
        page = officer.get(f"/truc/lich-su?{query}")
        assert page.status_code == 200
        return re.findall(r'<li><a href="/truc/(\d+)"', page.text)

    assert found("la=cooking") == ["1"]
    assert found("tap=yes") == found("la=open") == ["2"]
    assert found("tu=2025-11-23") == ["2", "1"]
    assert found("tu=2025-11-23&den=2025-11-22") == []
    assert found("tu=2025-11-23&den=2025-11-23&tap=no") == ["1"]
    assert found("noi=zone:z02") == []
    assert len(found("tu=not-a-day&den=1&tap=x&la=y&truoc=z")) == 40
    page, seen = officer.get("/truc/lich-su?la=permitted&den=2025-10-31").text, []
    while onward := re.search(r'href="(/truc/lich-su\?[^"]*truoc=\d+)"', page):
        seen += re.findall(r'<li><a href="/truc/(\d+)"', page)
        page = officer.get(onward[1].replace("&amp;", "&")).text
    seen += re.findall(r'<li><a href="/truc/(\d+)"', page)
    assert seen == [str(number) for number in range(92, 2, -1)], "each once, whatever the page"


def test_what_was_just_closed_stands_on_the_board_however_many_came_after_it(burning: DutyWorld) -> None:
    journal = burning.bench.alerts._journal
    with journal.transaction():
        for _ in range(9):
            journal.save(msgspec.structs.replace(burning.head, id=0, exercise=True))
    officer = burning.visitor("officer")
    act(officer, "close", incident="1", closed_as="cooking")
    assert "Mới đóng Khu vườn mẫu Suối Giàng – đồi trên · khói bếp" in plain(officer.get("/truc").text)


def test_silences_are_made_shown_and_ended_here(burning: DutyWorld) -> None:
    officer = burning.visitor("officer")
    fields = {"incident": "1", "back": "1", "scope": "zone:z01", "minutes": "60"}
    assert act(officer, "silence", **fields).status_code == 409, "a reason is needed"
    assert act(officer, "silence", words="đốt nương", **fields).status_code == 303
    said = plain(officer.get("/truc").text)
    assert "Khu vườn mẫu Suối Giàng – đồi trên tắt báo đến" in said
    assert "Tên officer: đốt nương" in said
    [silence] = burning.desk.silences()
    assert act(burning.visitor("viewer"), "unsilence", number=str(silence.number)).status_code == 403
    assert act(officer, "unsilence", number=str(silence.number), back="0").status_code == 303
    assert burning.desk.silences() == []
    longest = act(officer, "silence", words="cả ngày", **fields | {"minutes": "1430"})
    assert longest.status_code == 303, "a day, and the way there"


def test_two_of_one_fire_are_merged_and_a_part_is_split_off_again(burning: DutyWorld) -> None:
    officer = burning.visitor("officer")
    burning.smoke([(600 + at_s, value) for at_s, value in FIRE], gateway="sg-02")  # at no place: nobody knows how near
    into, other = (one.number for one in burning.desk.going())
    assert act(officer, "merge", incident=str(other), into=str(into)).status_code == 303
    assert [(one.number, one.parts) for one in burning.desk.going()] == [(into, (other,))]
    assert f"Đây là một phần của sự việc số {into}." in plain(officer.get(f"/truc/{other}").text)
    said = plain(officer.get(f"/truc/{into}").text)
    assert "1 cảm biến khác cùng thấy" in said
    assert "sg-02/smoke-1" in said
    assert act(officer, "split", incident=str(into), parts=["99"]).status_code == 409
    assert act(officer, "split", incident=str(into), parts=[str(other)]).status_code == 303
    assert {one.number for one in burning.desk.going()} == {into, other}
    assert act(officer, "escalate", incident=str(into), back="0").status_code == 303
    assert "escalate" in burning.events(into)


def test_no_page_of_duty_names_an_address_that_a_network_refused(world: DutyWorld, post: Post) -> None:
    """A mail server that refuses a reader names them, and not everybody who looks on may read addresses."""
    readers = ("su@example.vn", "fire-watch@example.org", "hamlet-team@example.org")
    post.refuse = {one: f"550 5.1.1 <{one}>: no such user" for one in readers}
    world.smoke()
    for role in ("viewer", "officer"):
        browser = world.visitor(role)
        for _ in ("vi", "en"):
            said = "".join(browser.get(path).text for path in ("/truc", "/truc/1", "/truc/1/phat-lai", "/truc/lich-su"))
            assert "no such user" in said
            assert "@example" not in said
            browser.post("/ngon-ngu", onward="/")
    assert "@example" not in world.visitor().get(world.letter()).text


def test_the_journal_of_one_incident_is_found_without_reading_all_others(burning: DutyWorld) -> None:
    with reading(burning.folder / "alerts.db") as db:
        plan = db.execute("EXPLAIN QUERY PLAN SELECT at_ms FROM journal WHERE incident = 1 ORDER BY id").fetchall()
    assert "USING INDEX journal_incident" in str(plan)


def test_a_journal_that_is_too_long_says_how_many_lines_are_not_shown(burning: DutyWorld) -> None:
    journal = burning.bench.alerts._journal
    with journal.transaction():
        for number in range(MOST_LINES):
            journal.event(burning.clock.utc_ms(), 1, "evidence", str(number))
    for path in ("/truc/1", "/truc/1/phat-lai"):
        assert re.search(r"\d dòng cũ hơn không hiện ở đây", plain(burning.visitor("viewer").get(path).text))


def test_replay_tells_each_step_with_what_was_known_and_measured(burning: DutyWorld) -> None:
    officer = burning.visitor("officer")
    act(officer, "acknowledge", incident="1")
    page = officer.get("/truc/1/phat-lai").text
    assert "Đã nhận việc" in plain(page)
    assert "NGHI CHÁY · Bụi mịn PM2,5 105 µg/m³" in plain(page)
    assert page.count("<li data-at=") >= 3


def test_what_people_write_runs_nowhere(burning: DutyWorld) -> None:
    officer, evil = burning.visitor("officer"), "<script>alert(1)</script>"
    act(officer, "comment", incident="1", words=evil)
    act(officer, "relabel", incident="1", place_vi=evil, place_en=evil)
    act(officer, "silence", incident="1", scope="zone:z01", minutes="30", words=evil)
    for path in ("/truc", "/truc/bang.json", "/truc/1", "/truc/1/phat-lai", "/truc/lich-su", burning.letter()):
        text = officer.get(path).text
        assert "&lt;script&gt;alert" in text, path
        assert "<script>alert" not in text, path


def test_a_store_that_hangs_costs_the_charts_and_not_the_page(burning: DutyWorld) -> None:
    """Its answer is waited for a moment by the machine's own clock; the thread that asked dies with the process."""
    hangs, over = burning.bench.store.each_series, threading.Event()
    burning.bench.store.each_series = lambda *_: over.wait(60) and iter(())
    page = plain(burning.visitor("officer").get("/truc/1").text)
    assert "Kho số đo không trả lời" in page
    assert "Diễn biến" in page
    assert "TÔI NHẬN VIỆC NÀY" in page
    burning.clock.advance(3)
    began_s = SystemClock().monotonic()
    assert "Kho số đo không trả lời" in plain(burning.visitor("viewer").get("/truc/1").text)
    assert SystemClock().monotonic() - began_s < PATIENCE_S / 2, "who comes later does not wait for it anew"
    over.set()
    burning.bench.store.each_series = hangs


def test_the_history_of_a_zone_has_what_its_trees_saw(world: DutyWorld) -> None:
    world.smoke(channel="soil-1")
    assert world.head.place == "tree:7K3MQP"
    viewer = world.visitor("viewer")
    assert "cây 7K3MQP" in plain(viewer.get("/truc/lich-su?noi=zone:z01").text)
    assert "cây 7K3MQP" in plain(viewer.get("/truc/lich-su?noi=tree:7K3MQP").text)
    assert "Không có." in plain(viewer.get("/truc/lich-su?noi=zone:z02").text)


@pytest.mark.parametrize("path", ["/truc/77", "/truc/x", "/truc/77/phat-lai", "/truc/999999999999999999"])
def test_what_there_is_not_is_said(world: DutyWorld, path: str) -> None:
    assert world.visitor("officer").get(path).status_code == 404


def test_a_permitted_burn_is_on_the_board_and_says_why_nobody_was_told(tmp_path: Path, post: Post) -> None:
    fields = {"code": "b1", "holder": "Sử", "lat": "21.6206", "lon": "104.5801", "starts": "2025-11-23T08:00",
              "ends": "2025-11-23T17:00"}  # fmt: skip
    world = DutyWorld(tmp_path, post.port, rows=[read(BurnPermit, fields)])
    world.smoke()
    said = plain(world.visitor("officer").get("/truc").text)
    assert "NGHI CHÁY" in said
    assert "Chưa báo ai: giấy phép đốt b1" in said
    officer = world.visitor("officer")
    page = plain(officer.get("/truc/1").text)
    assert "giấy phép hay nguồn đã biết) giấy phép đốt b1" in page
    assert "permit" not in page
    officer.post("/ngon-ngu", onward="/")
    assert "Nobody was told: permit to burn b1" in plain(officer.get("/truc").text)
    assert "Chưa báo ai cho tới" in said
    assert post.mails == []
    world.close()


def test_what_the_detector_claims_stands_on_the_board_and_on_its_page(tmp_path: Path) -> None:
    rule = {"name": "fire", "kind": "detect", "what_vi": "Nghi có khói, cháy", "what_en": "Suspected smoke or fire"}
    world = DutyWorld(tmp_path, rules=[rule])
    for at_s in range(0, 240, 15):
        world.smoke([(float(at_s), 400.0)])
        world.smoke([(float(at_s) + 1, 12.0)], quantity="co", channel="co-1")
    world.look()
    officer = world.visitor("officer")
    board = plain(officer.get("/truc").text)
    assert "khói dày khi chưa biết mức thường ngày: PM2,5 400 µg/m³ (ngưỡng 250) cùng CO 12 ppm" in board
    assert re.search(r"Nguồn khói trong vòng chừng \d+ m\.", board)
    page = plain(officer.get("/truc/1").text)
    assert "Máy chưa học xong không khí thường ngày ở đó." in page
    assert "Ngưỡng của máy đặt theo dữ liệu mô phỏng, chưa đốt thử tại chỗ." in page
    assert "Khí CO · 12,0 ppm – 12,0 ppm · sg-01/co-1" in page
    assert 'class="reach"' in officer.get("/truc").text
    world.close()


# --- the link of a letter


def test_opening_a_link_and_everything_on_its_page_answers_nothing(burning: DutyWorld) -> None:
    """What guards mailboxes opens each link of a letter, then each link of its page, with GET and HEAD."""
    seen, waits = set(), [burning.letter()]
    before = burning.events(), burning.head
    while waits:
        path = waits.pop()
        if path in seen or not path.startswith("/"):
            continue
        seen.add(path)
        for method in ("GET", "HEAD"):
            scanner = burning.visitor("", "198.51.100.7")
            answer = scanner.ask(method, path, headers={"User-Agent": "Mozilla/5.0 SafeLinks"})
            assert answer.status_code < 500, path
            waits += re.findall(r'(?:href|src|action)="([^"]*)"', answer.text)
    assert {burning.letter(), "/style.css", "/"} <= seen
    assert (burning.events(), burning.head) == before
    assert burning.head.acked_ms is None
    page = burning.visitor().get(burning.letter())
    assert (page.status_code, "TÔI NHẬN VIỆC NÀY" in page.text, "Thư này gửi cho" in page.text) == (200, True, True)
    assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "same-origin"


def test_its_button_answers_for_whom_it_was_written_to_without_cookie_or_sign_in(burning: DutyWorld) -> None:
    browser = burning.visitor()
    path = burning.letter()
    answer = browser.post(path, act="acknowledge", incident="1", token="")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{path}?xong=acted")
    with reading(burning.folder / "alerts.db") as db:
        [(mail,)] = db.execute("SELECT person FROM letter WHERE id = 1").fetchall()
    person = burning.shelf.person(burning.head.acked_by)
    assert person is not None
    assert person.email == mail
    assert "(liên kết trong thư)" in plain(browser.get(path).text)
    said = browser.post(path, act="comment", incident="1", words="đang tới nơi", token="")
    assert said.status_code == 303
    assert "đang tới nơi" in plain(browser.get(path).text)
    for fields in ({"act": "acknowledge", "incident": "2"}, {"act": "comment", "incident": "1", "words": " "}):
        assert browser.post(path, token="", **fields).status_code == 422, fields
    close = browser.post(path, act="close", incident="1", closed_as="cooking", token="")
    assert close.status_code == 303
    assert burning.head.closed_ms is None, "a link has it, and says something: no more"


def test_a_link_that_is_over_cut_or_forged_says_so_and_guessing_is_slowed(burning: DutyWorld) -> None:
    path = burning.letter()
    stranger = burning.visitor("", "198.51.100.7")
    for bad in (path[:-1], path[:-1] + ("A" if path[-1] != "A" else "B"), "/i/x", "/i/1.2.3", "/i/%E1%BA%BF.1.a"):
        assert stranger.get(bad).status_code == 410, bad
        assert "7 ngày" in stranger.get(bad).text
    codes = {stranger.get(f"/i/{n}").status_code for n in range(letters.TRIES["both"] + 2)}
    assert codes == {410, 429}
    assert stranger.get(path).status_code == 200, "a true one is shown all the same"
    assert stranger.post(path, act="acknowledge", incident="1", token="").status_code == 303, "and answered"
    assert burning.head.acked_ms is not None
    burning.clock.advance(8 * 86_400)
    over = burning.visitor("", "203.0.113.9").post(path, act="acknowledge", incident="1", token="", _from="/dang-nhap")
    assert over.status_code == 410


def test_the_link_of_somebody_who_left_shows_nothing_and_answers_nothing(burning: DutyWorld) -> None:
    path = burning.letter()
    with reading(burning.folder / "alerts.db") as db:
        [(mail,)] = db.execute("SELECT person FROM letter WHERE id = 1").fetchall()
    code = next(one.code for one in burning.shelf.rows("person") if getattr(one, "email", "") == mail)
    assert burning.visitor().get(path).status_code == 200
    with burning.shelf.act("test", "left") as draft:
        for duty in burning.shelf.rows("duty"):
            if duty.person == code:
                draft.remove("duty", key_of(duty))
        draft.remove("person", (code,))
    gone = burning.visitor().get(path)
    assert (gone.status_code, "NGHI CHÁY" in gone.text) == (410, False)
    answer = burning.visitor().post(path, act="acknowledge", incident="1", token="", _from="/dang-nhap")
    assert answer.status_code == 410
    assert burning.head.acked_ms is None


def test_a_form_from_another_site_does_not_answer(burning: DutyWorld) -> None:
    path = burning.letter()
    answer = burning.visitor().ask(
        "POST", path, data={"act": "acknowledge", "incident": "1"}, headers={"Origin": "https://evil.example"}
    )
    assert answer.status_code == 403
    assert burning.head.acked_ms is None


# --- what networks post


@pytest.fixture
def hooked(burning: DutyWorld, tmp_path: Path) -> DutyWorld:
    """The duty pages, to which a bot of Zalo posts."""
    for name, secret in (("token", told.TOKEN), ("secret", told.SECRET)):
        (tmp_path / name).write_text(secret)
    files = {"token_file": str(tmp_path / "token"), "secret_file": str(tmp_path / "secret")}
    tables: list[dict[str, Any]] = [{"kind": "zalo", "name": "email", "url": "http://127.0.0.1:1"} | files]
    burning.desk._hooks = Hooks(lambda: open_channels(tables), burning.desk._asker)
    return burning


def posts(world: DutyWorld, text: str, key: str, secret: str = told.SECRET, sender: str = "su@example.vn") -> Any:
    update = {"message": {"from": {"id": sender}, "chat": {"id": sender}, "text": text, "message_id": key}}
    body = json.dumps({"ok": True, "result": update}).encode()
    headers = {"X-Bot-Api-Secret-Token": secret, "Content-Type": "application/json"}
    return world.visitor("", "203.0.113.5").ask("POST", "/hook/email", content=body, headers=headers)


def test_what_a_network_posts_is_judged_and_durable_before_it_is_told_taken(
    hooked: DutyWorld, caplog: pytest.LogCaptureFixture
) -> None:
    hooked.clock.room = None
    assert (posts(hooked, "bí mật 4711", "k1").status_code, posts(hooked, "x", "k2", "wrong").status_code) == (200, 403)
    hooked.bench.alerts._answering.close()
    inbox = Inbox(hooked.folder, "alerts", hooked.clock)
    [question] = inbox.take(9)
    inbox.close()
    assert question.kind == "reply"
    assert question.body["channel"] == "email"
    assert question.body["reply"] == {"sender": "su@example.vn", "text": "bí mật 4711", "key": "k1"}
    assert "4711" not in caplog.text


def test_a_post_that_is_unfit_is_logged_once_and_asks_nobody_about_a_secret_that_was_right(
    hooked: DutyWorld, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"X-Bot-Api-Secret-Token": told.SECRET, "Content-Type": "application/json"}
    asked = hooked.visitor("", "203.0.113.5")
    assert asked.ask("POST", "/hook/email", content=b"[[", headers=headers).status_code == 400
    assert caplog.text.count("posted-unfit") == 1
    assert "the secret there" not in caplog.text
    assert posts(hooked, "x", "k", "wrong").status_code == 403
    assert "the secret there" in caplog.text


def test_two_first_posts_open_the_channels_once(hooked: DutyWorld) -> None:
    opened, both = list[int](), threading.Barrier(2, timeout=1.0)

    def channels() -> list[Named]:
        opened.append(1)
        with suppress(threading.BrokenBarrierError):
            both.wait()  # until the other one opens them, too: which it should not
        return []

    hooks = Hooks(channels, hooked.desk._asker)
    with ThreadPoolExecutor(2) as pool:
        assert {one.result(20) for one in [pool.submit(hooks.posted, "x", {}, b"") for _ in range(2)]} == {"unknown"}
    assert len(opened) == 1


@pytest.mark.parametrize(
    ("accepts", "packed"),
    [("gzip, br", True), ("br;q=1, GZIP;q=0.5", True), ("gzip;q=0", False), ("br, gzip; q=0.000", False), ("", False)],
)
def test_what_is_packed_is_asked_for_and_keepers_are_told(burning: DutyWorld, accepts: str, *, packed: bool) -> None:
    for path in ("/style.css", burning.letter()):
        answer = burning.visitor().ask("GET", path, headers={"Accept-Encoding": accepts})
        assert (answer.status_code, answer.headers["vary"]) == (200, "Accept-Encoding"), path
        assert ("content-encoding" in answer.headers) == packed, path


@pytest.mark.journey  # seconds of a core
def test_no_flood_of_wrong_posts_costs_a_true_one_its_place(hooked: DutyWorld) -> None:
    hooked.clock.room = None  # nobody takes from the inbox: of its 1,000 places each is one
    wrong = [posts(hooked, "4821", f"w{number}", "wrong").status_code for number in range(2_000)]
    assert set(wrong) == {403, 429}
    assert wrong.count(403) <= letters.WRONG["account"], "as many stand on the log"
    true = [posts(hooked, "4821", f"t{number}").status_code for number in range(900)]
    assert set(true) == {200}


def test_a_channel_that_cannot_be_opened_costs_no_page_and_no_post(hooked: DutyWorld, tmp_path: Path) -> None:
    """Its secret is gone when the pages' room starts anew: the network tries again, and is heard when it is back."""
    (tmp_path / "secret").unlink()
    assert posts(hooked, "4821", "k").status_code == 503
    assert hooked.visitor("officer").get("/truc").status_code == 200
    (tmp_path / "secret").write_text(told.SECRET)
    assert posts(hooked, "4821", "k").status_code == 200


def test_what_is_posted_has_its_limits(hooked: DutyWorld, tmp_path: Path) -> None:
    machine = hooked.visitor("", "203.0.113.5")
    right = {"X-Bot-Api-Secret-Token": told.SECRET}
    assert machine.ask("POST", "/hook/nowhere", content=b"x").status_code == 404
    assert machine.ask("GET", "/hook/email").status_code == 405
    for damaged in (b"x" * letters.LONGEST, b"[" * letters.LONGEST):
        assert machine.ask("POST", "/hook/email", content=damaged, headers=right).status_code == 400
    assert machine.ask("POST", "/hook/email", content=b"x" * (letters.LONGEST + 1)).status_code == 413
    assert machine.ask("POST", "/hook/email", content=b"x", headers={"X-Long": "y" * 9_000}).status_code == 431
    (tmp_path / "secret").unlink()
    assert posts(hooked, "4821", "k").status_code == 503, "ours cannot be read: the network tries again"


def test_an_exercise_is_marked_wherever_it_is_seen(world: DutyWorld) -> None:
    outcome = world.desk.act({"act": "drill", "who": "officer", "by": "cli", "place": "zone:z01"})
    assert outcome.done, outcome
    officer = world.visitor("officer")
    for path in ("/truc", "/truc/1", "/truc/1/phat-lai", "/truc/lich-su", world.letter(1)):
        assert "DIỄN TẬP" in plain(officer.get(path).text), path
    page = plain(officer.get("/truc/1").text)
    assert "Bắt đầu diễn tập · Tên officer (lệnh trên máy chủ)" in page
    assert "Máy bắt đầu nghi" not in page
    assert act(officer, "close", incident="1", closed_as="real").status_code == 409
    assert act(officer, "close", incident="1", closed_as="drill").status_code == 303
    assert "Diễn tập gần nhất" in plain(officer.get("/truc").text)
    with reading(world.folder / "alerts.db") as db:
        assert db.execute("SELECT closed_as FROM incident").fetchall() == [("drill",)]


def test_every_event_of_an_incident_and_every_letter_has_vietnamese_words() -> None:
    """What has none would stand on the page as the code calls it. An event of no incident is on no page."""
    source = "".join(one.read_text(encoding="utf-8") for one in Path("cloud/alerts").rglob("*.py"))
    calls = (
        r"(?:\.event\((?!now_ms, 0,)[^\"()\n]*|_write\([^\"\n]*|\bChange\(|\.note\([^\"\n]*|_event\(row, )\"([a-z-]+)\""
    )
    events = set(re.findall(calls, source.replace('basis="readings"', "basis=readings")))
    assert {"opened", "joined", "closed", "seen", "told", "ended"} <= events
    speaker, tells = Speaker("vi", 0), get_args(Tell)
    assert [one for one in sorted(events) if speaker.word("event", one) == one] == []
    assert [one for one in tells if speaker.word("tell", one) == one] == []


def test_pages_know_the_stages_and_closings_that_alerts_know() -> None:
    """They may not import each other: here they are held together."""
    assert seen.STAGES == incident.STAGES
    assert seen.CLOSINGS == incident.CLOSINGS


def test_a_journal_that_takes_nothing_is_no_calm(world: DutyWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "BUSY_S", 0.05)
    monkeypatch.setattr(site, "AGAIN_S", 0.05)
    world.look()
    assert "Yên:" in plain(world.visitor("officer").get("/truc").text)
    other = sqlite3.connect(world.folder / "alerts.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    world.smoke()
    said = plain(world.visitor("officer").get("/truc").text)
    assert "BẢNG NÀY KHÔNG CẬP NHẬT" in said
    assert "Yên:" not in said
    other.close()
    world.clock.advance(BACK_S)
    world.bench.step()
    said = plain(world.visitor("officer").get("/truc").text)
    assert "BẢNG NÀY KHÔNG CẬP NHẬT" not in said
    assert "CHƯA AI NHẬN" in said
