"""Each letter says what to do first, whom to call and where to look: of many incidents, and of what is no fire."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from cloud.alerts import words
from cloud.alerts.rules.detect import grounds, reasons
from cloud.rooms.cap_course import courses
from tests.dutyroom import DutyWorld, plain
from tests.rules.garden import SILENT, Post
from tests.test_alerts_again import FAR, nodes
from tests.test_alerts_chain import FIRE, Desk, opened
from tests.test_alerts_detection import CLEAN, Scene
from tests.test_alerts_detection import SMOKE as SMOKE_AND_CO
from tests.test_alerts_rain import RAIN, pour
from tests.test_alerts_rain import garden as rainy
from tests.test_alerts_route import incident

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.alerts.incident import Incident

HUSH = words.Hush("Suối Giàng", "Suoi Giang", "18:00", "Trực xã", "đốt nương")
HEAT: dict[str, Any] = {
    "name": "heat",
    "kind": "limit",
    "quantity": "air_temperature",
    "over": 50.0,
    "clear_below": 40.0,
}
HEAT |= {"persist_s": 180, "clear_s": 300, "role": "fire-watch"}


def text(*incidents: Incident, lang: str = "vi", **more: Any) -> str:
    """Return the first half of a letter: in the reader's own language."""
    items = [words.Item(one, None, "onset" if one.going else "end", **more) for one in incidents]
    return words.text(items, lang, ways=words.Ways("https://staff.example/i/1", "4821")).split("———")[0]


def test_a_letter_about_several_fires_says_where_each_is_and_once_for_all_what_to_do_and_whom_to_call() -> None:
    some = [
        incident(1, stage="suspected", lat=21.1, lon=104.1),
        incident(2, stage="probable", lat=21.2, lon=104.2),
        incident(3, ended=True, stage="closed", lat=21.3, lon=104.3),
    ]
    said = text(*some, silences=(HUSH,))
    for one, stage in zip(some, ("nghi ngờ", "rất có thể", "đã đóng"), strict=True):
        (its,) = [line for line in said.splitlines() if f"sự việc số {one.id}" in line]
        assert f"geo:{one.lat:.5f},{one.lon:.5f}" in its
        assert stage in its
    assert said.count("Làm gì trước:") == said.count("Gọi ai:") == said.count("https://") == 1
    todo, call = said.splitlines()[1:3]
    assert todo.startswith("Làm gì trước: gọi tổ trực đến ngay"), "of the highest stage, before a list that may be cut"
    assert call.startswith("Gọi ai: 114")
    assert "Đang có lệnh tắt báo: Suối Giàng đến 18:00 (Trực xã: đốt nương)" in said
    assert "Làm gì trước" not in text(*(replace(one, closed_ms=1, stage="closed") for one in some)), "nothing is left"


def test_who_is_told_of_a_fire_that_people_report_is_not_offered_a_sensor_fault() -> None:
    reported = incident(1, stage="suspected", lat=21.1, lon=104.1, basis="people")
    assert "4821 = tôi nhận" in text(reported)
    assert "lỗi cảm biến" not in text(reported)
    assert "lỗi cảm biến" in text(reported, incident(2, stage="suspected", lat=21.2, lon=104.2))


@pytest.mark.parametrize(
    ("kind", "grade", "basis", "todo", "call"),
    [
        ("sum", "life", "readings", "households below slopes", "112"),
        ("absence", "service", "silence", "still call", "network operator"),
        ("absence", "upkeep", "absence", "SIM card", "operator of this system"),
        ("sensor", "life", "dead", "SIM card", "operator of this system"),
        ("limit", "upkeep", "readings", "SIM card", "operator of this system"),
    ],
)
@pytest.mark.parametrize("n", [1, 2])
def test_what_is_no_fire_says_what_to_do_and_whom_to_call_too(
    kind: str, grade: str, basis: str, todo: str, call: str, n: int
) -> None:
    one = incident(1, kind=kind, grade=grade, basis=basis, may_burn=False)
    said = {line.partition(": ")[0]: line for line in text(*[one] * n, lang="en").splitlines()}
    assert todo in said["What to do first"]
    assert call in said["Whom to call"]
    assert ("What to do first" in text(replace(one, ended_ms=1, closed_ms=1), lang="en")) is False, "an end needs none"
    assert ("What to do first" in text(replace(one, late=True), lang="en")) is False, "it is not happening now"
    for part in ("todo", "call"):
        assert words._of("vi", part, words._pressing(one))


def test_each_thing_that_is_pressing_has_words_in_both_languages() -> None:
    for lang in ("vi", "en"):
        for part in ("todo", "call"):
            assert all(words._of(lang, part, key) for key in words.PRESSING if (part, key) != ("call", "under-control"))


def test_heavy_rain_is_told_with_what_to_do_and_its_link(tmp_path: Path, post: Post) -> None:
    bench = Desk(tmp_path, [RAIN], post.port, registry=rainy())
    bench.alerts._office._paper._door = lambda letter: f"https://staff.example/i/{letter}"
    bench.alerts.listening(True)
    pour(bench, 0, 120, 5.0, 800.0)
    said = post.mails[0][1].get_content()
    for line in ("Làm gì trước: đến báo ngay các hộ dưới sườn dốc", "Gọi ai: trực xã", "https://staff.example/i/1"):
        assert line in said
    bench.close()


def test_the_link_of_what_is_no_fire_shows_it_and_asks_for_nothing(tmp_path: Path, post: Post) -> None:
    world = DutyWorld(tmp_path, post.port, rules=[SILENT])
    world.bench.alerts._office._paper._door = lambda letter: f"https://staff.example/i/{letter}"
    for number in range(60):
        world.bench.alerts.heard(f"gw-{number:02d}", world.clock.utc_ms())
    world.bench.idle(310, 5)
    said = post.mails[0][1].get_content()
    assert "Mở xem: https://staff.example/i/1" in said
    assert "Gọi ai: người vận hành" in said
    path, before = world.letter(), world.bench.alerts.incidents()
    browser = world.visitor()
    page = browser.get(path)
    assert page.status_code == 200
    assert "<form" not in page.text.split("<main")[1].split("</main")[0]
    shown = plain(page.text)
    assert shown.casefold().count("trạm im lặng") == 50
    assert "và 10 sự việc nữa" in shown
    assert "không cần trả lời" in shown
    assert world.bench.alerts.incidents() == before
    world.close()


def test_a_letter_names_what_is_silenced_as_people_do_until_when_and_how_many_more(tmp_path: Path, post: Post) -> None:
    with opened(tmp_path, post) as desk:
        until_ms = desk.clock.utc_ms() + 3_600_000
        scopes = ["zone:suoi-giang", "gateway:sg-09", "channel:sg-09/air-1", "tree:7K3MQ2", "zone:nowhere"]
        for scope in [*scopes, "gateway:sg-10", "gateway:sg-11"]:
            assert desk.ask("silence", scope=scope, words="đốt nương", until_ms=until_ms)["ok"]
        desk.live(FIRE)
        with desk.alerts._journal.transaction():
            desk.alerts._desk.raise_to(desk.head, "probable", "60 °C twice", desk.clock.utc_ms())
        desk.step()
        desk.idle(2, 1)
        said = post.mails[0][1].get_content()
        until = words.clock(until_ms, desk.clock.utc_ms())
        assert f"Đang có lệnh tắt báo: Suối Giàng đến {until} (Trực hamlet: đốt nương); trạm sg-09 đến" in said
        assert "thiết bị sg-09/air-1" in said
        assert "và 2 lệnh nữa" in said
        assert "and 2 more" in said
        assert "zone:suoi-giang" not in said


def hot(desk: Desk, *degrees: float) -> None:
    begin_s = (desk.clock.utc_ms() - desk.at(0)) / 1000
    desk.live([(begin_s + 60 * n, one) for n, one in enumerate(degrees)], quantity="air_temperature")


def test_heat_of_sixty_degrees_is_told_whatever_is_silenced_at_once_or_once_it_is_so_hot(
    tmp_path: Path, post: Post
) -> None:
    desk = Desk(tmp_path, [HEAT], post.port, registry=nodes({"a": 0.0}))
    desk.step()
    assert desk.ask("silence", scope="*", words="đốt nương", until_ms=desk.clock.utc_ms() + 36_000_000)["ok"]
    desk.live([(60.0 * n, 55.0) for n in range(6)], quantity="air_temperature")
    assert (desk.head.stage, bool(desk.head.muted), post.mails) == ("suspected", True, [])
    hot(desk, 59.9, 59.9)
    desk.idle(10, 1)
    assert post.mails == []
    hot(desk, 60.0)
    desk.idle(10, 1)
    assert (desk.head.stage, desk.head.muted) == ("suspected", "")
    assert "unmuted" in desk.events()
    assert len(post.mails) == 1
    desk.close()


def test_heat_that_joins_smoke_which_is_muted_is_told_by_it(tmp_path: Path, post: Post) -> None:
    smoke = {"name": "smoke", "kind": "limit", "quantity": "pm2_5", "over": 55.0, "clear_below": 35.0}
    smoke |= {"persist_s": 180, "clear_s": 300}
    desk = Desk(tmp_path, [smoke, HEAT], post.port, registry=nodes({"a": 0.0, "b": FAR}))
    desk.step()
    assert desk.ask("silence", scope="*", words="đốt nương", until_ms=desk.clock.utc_ms() + 36_000_000)["ok"]
    desk.live(FIRE, gateway="sg-a")
    begin_s = (desk.clock.utc_ms() - desk.at(0)) / 1000
    desk.live([(begin_s + 60 * n, 64.0) for n in range(6)], quantity="air_temperature", gateway="sg-a")
    desk.idle(10, 1)
    head = desk.alerts.incidents()[-1]
    assert [one.part_of for one in desk.alerts.incidents()] == [head.id, None]
    assert head.muted == ""
    assert len(post.mails) == 1
    desk.live(FIRE, gateway="sg-b")
    assert len(post.mails) == 1, "smoke elsewhere is muted as before"
    desk.close()


def test_the_letter_of_a_claim_says_its_radius_the_age_of_its_ordinary_and_whence_its_limits_are(
    tmp_path: Path, post: Post
) -> None:
    scene = Scene(tmp_path, post.port)
    scene.minutes(60, CLEAN)
    scene.minutes(6, SMOKE_AND_CO)
    said = post.mails[0][1].get_content()
    assert "Máy dựa vào đâu: nguồn khói trong vòng chừng " in said
    assert "m; máy học không khí thường ngày lần cuối " in said
    assert "phút trước đó; ngưỡng đặt theo dữ liệu mô phỏng, chưa đốt thử tại chỗ" in said
    assert "What the claim rests on: its source is within some " in said
    assert "synthetic data" in said
    scene.bench.close()


def test_the_circle_of_a_warning_is_as_wide_as_its_claim_says_and_half_a_kilometre_at_least(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.minutes(60, CLEAN)
    scene.minutes(8, CLEAN | {"pm2_5": 85.0, "co": 3.0})
    (one,) = scene.bench.alerts.incidents()
    radius_m = json.loads(one.claim)["radius_m"]
    assert radius_m > 500
    (told,) = courses(scene.bench.path, scene.bench.clock.utc_ms())
    assert told.radius_km == radius_m / 1000
    scene.minutes(4, CLEAN | {"pm2_5": 900.0, "co": 20.0})
    (one,) = scene.bench.alerts.incidents()
    assert json.loads(one.claim)["radius_m"] < 500
    (told,) = courses(scene.bench.path, scene.bench.clock.utc_ms())
    assert told.radius_km == 0.5
    scene.bench.close()


def test_what_an_edge_claims_is_said_in_words() -> None:
    for level, vi, en in ((2, "nghi có cháy", "a fire is suspected"), (3, "rất có thể là cháy", "a fire is probable")):
        claim = json.dumps({"reasons": [["edge", {"level": float(level)}]], "radius_m": None, "baseline_ms": None})
        assert reasons(claim, "vi") == [f"trạm tại chỗ tự báo: {vi}"]
        assert reasons(claim, "en") == [f"the gateway itself claims: {en}"]
        assert grounds(claim, "vi").startswith("chưa rõ nguồn khói cách bao xa; máy chưa học xong")
        assert grounds(claim, "en").startswith("it is not known how far off its source is; the node does not know yet")
