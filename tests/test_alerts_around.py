"""What becomes of a suspicion by what else is known: who can still be seen, a satellite, the danger of the day."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest

from cloud.alerts.around import Around
from cloud.alerts.decide.above import Above
from cloud.alerts.tell.paper import UNSAID
from cloud.hotspots.book import Book
from cloud.hotspots.firms import Hotspot
from cloud.hotspots.lookout import Lookout
from cloud.registry.kinds import Zone
from tests.rules.garden import Post, bound
from tests.test_alerts_chain import CALM, FIRE, Desk, opened, roster, told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TREE = (21.61234, 104.61234)
SILENT_S = 900  # of a limit rule


@pytest.fixture
def two(tmp_path: Path, post: Post) -> Iterator[Desk]:
    """Two nodes at one tree that saw smoke together; that of sg-02 is over, that of sg-01 goes on."""
    whole = roster()
    whole.bindings[:] = [bound(f"sg-{n:02d}", "smoke-1", "tree", "7K3MQ2") for n in (1, 2)]
    with opened(tmp_path, post, registry=whole) as desk:
        desk.alerts.listening(True)
        for at_s, value in FIRE + CALM:
            desk.live([(at_s, value)], gateway="sg-02")
            desk.live([(at_s, 80.0)], gateway="sg-01")
        assert [one.open for one in reversed(desk.alerts.incidents())] == [False, True]
        yield desk


def listen(desk: Desk, seconds: float, *gateways: str, value: float = 5.0) -> None:
    """Let time pass in which these gateways bring a value each minute."""
    for _ in range(round(seconds / 60)):
        desk.clock.advance(60)
        at_s = (desk.clock.utc_ms() - desk.at(0)) / 1000
        for gateway in gateways:
            desk.send([(at_s, value)], gateway=gateway)
        desk.step()


def test_a_suspicion_closes_by_itself_while_all_that_saw_it_is_heard(two: Desk) -> None:
    listen(two, 900, "sg-01", "sg-02")
    assert [one.stage for one in two.alerts.incidents()] == ["closed", "closed"]


def test_what_fell_silent_after_it_was_calm_keeps_a_suspicion_open_until_it_is_heard(two: Desk) -> None:
    listen(two, SILENT_S + 60, "sg-01", value=80.0)
    listen(two, 1_200, "sg-01")
    head = two.alerts.incidents()[-1]
    assert (head.stage, head.going) == ("suspected", True)
    assert "blind" in two.events()
    assert "end" not in [tell for _, tell in told_tells(two)]
    listen(two, 120, "sg-01", "sg-02")
    assert two.alerts.incidents()[-1].stage == "closed"


def test_what_nobody_hears_for_a_day_is_closed_as_no_longer_known(two: Desk) -> None:
    listen(two, SILENT_S + 60, "sg-01", value=80.0)
    listen(two, 1_200, "sg-01")
    for _ in range(24):
        two.pretend_to_have_listened(3_600)
        listen(two, 60, "sg-01")
    head = two.alerts.incidents()[-1]
    assert (head.stage, head.closed_as) == ("closed", "unknown")
    assert "closed: nobody knows any more what became of it" in two.words(head.id)
    two.idle(14_400, 60)
    assert "end_unknown" in [tell for _, tell in told_tells(two)]


def test_a_clock_that_is_put_back_closes_nothing_that_waits_for_a_sensor(two: Desk) -> None:
    listen(two, SILENT_S + 60, "sg-01", value=80.0)
    listen(two, 1_200, "sg-01")
    two.clock.step(-3_600)
    listen(two, 60, "sg-01")
    assert two.alerts.incidents()[-1].going
    assert "end_unknown" not in [tell for _, tell in told_tells(two)]


def told_tells(desk: Desk) -> list[tuple[str, str]]:
    """Return (person, what was said) of the letters, in their order."""
    query = "SELECT person, said FROM letter JOIN about ON letter = id WHERE said != '' ORDER BY id"
    return list(desk.alerts._journal.db.execute(query))


@pytest.fixture
def desk_of_fire(tmp_path: Path, post: Post) -> Iterator[Desk]:
    with opened(tmp_path, post) as desk:
        desk.live(FIRE)
        yield desk


def hotspot(desk: Desk, **more: object) -> Hotspot:
    own = {"lat": TREE[0] + 0.01, "lon": TREE[1], "seen_ms": desk.clock.utc_ms() - 7_200_000, "satellite": "N20"}
    return msgspec.convert(own | {"instrument": "VIIRS", "confidence": "nominal"} | more, Hotspot)


@pytest.fixture
def seen(tmp_path: Path, post: Post) -> Iterator[tuple[Desk, Book]]:
    book = Book(tmp_path / "hotspots.db")
    try:
        with opened(tmp_path, post, around=Around(sky=Lookout(tmp_path / "hotspots.db").near)) as desk:
            desk.alerts.listening(True)
            yield desk, book
    finally:
        book.close()


def test_a_hotspot_beside_a_suspicion_makes_it_probable_and_the_letter_says_so(
    seen: tuple[Desk, Book], post: Post
) -> None:
    desk, book = seen
    desk.live(FIRE)
    desk.idle(30)
    assert desk.head.stage == "suspected"
    book.put("file", [hotspot(desk)], desk.clock.utc_ms())
    desk.idle(70)
    assert desk.head.stage == "probable"
    assert ("hamlet", "RẤT CÓ THỂ LÀ CHÁY") in told(post)
    letter = next(mail for _, mail in post.mails if "RẤT CÓ THỂ" in str(mail["Subject"]))
    assert "Vệ tinh cũng thấy: điểm nóng cách 1,1 km lúc 10:25" in re.sub(r"\s+", " ", letter.get_content())
    assert desk.events().count("hotspot") == 1


def test_a_book_that_cannot_be_read_raises_nothing_keeps_nobody_waiting_and_is_counted(
    tmp_path: Path, post: Post
) -> None:
    (tmp_path / "hotspots.db").write_bytes(b"no database at all, but long enough to look like one" * 100)
    lookout = Lookout(tmp_path / "hotspots.db")
    with opened(tmp_path, post, around=Around(sky=lookout.near)) as desk:
        desk.alerts.listening(True)
        desk.live(FIRE)
        desk.idle(130)
        assert (desk.head.stage, desk.alerts.health()["fault"]) == ("suspected", "")
        assert ("hamlet", "NGHI CÓ KHÓI") in told(post)
        assert lookout.failed > 0
        assert "not a database" in lookout.why


@pytest.mark.parametrize(
    "other", [{"lat": TREE[0] + 0.04}, {"confidence": "low"}, {"seen_ms": 1_763_875_200_000 - 86_400_000}]
)
def test_one_far_away_old_or_unsure_raises_nothing(seen: tuple[Desk, Book], other: dict[str, object]) -> None:
    desk, book = seen
    book.put("file", [hotspot(desk, **other)], desk.clock.utc_ms())
    desk.live(FIRE)
    desk.idle(130)
    assert desk.head.stage == "suspected"


def test_a_satellite_raises_neither_what_is_muted_nor_an_exercise(seen: tuple[Desk, Book]) -> None:
    desk, book = seen
    book.put("file", [hotspot(desk)], desk.clock.utc_ms())
    until_ms = desk.clock.utc_ms() + 3_600_000
    assert desk.ask("silence", scope="*", words="đốt nương", until_ms=until_ms)["ok"]
    desk.live(FIRE)
    desk.idle(130)
    assert (desk.head.stage, bool(desk.head.muted)) == ("suspected", True), "it sees a permitted burn as well"


def test_a_journal_that_began_anew_is_asked_about_from_its_first_suspicion(desk_of_fire: Desk) -> None:
    asked: list[int] = []

    def sky(_lat: float, _lon: float, now_ms: int) -> None:
        asked.append(now_ms)

    above = Above(desk_of_fire.alerts._journal, desk_of_fire.alerts._answering._gatherer.raise_to, sky)
    for at_ms, now_ms in ((10_000_000, 1), (10_000_005, 2), (5_000, 3), (10_000, 4), (70_000, 5)):
        above.look(at_ms, now_ms)
    assert asked == [1, 3, 5], "once a minute of listening, which begins anew with a journal"


@contextmanager
def many(folder: Path, post: Post, level: int | None) -> Iterator[Desk]:
    """Six suspicions that nobody answers, in six places, where two an hour are told."""
    whole = roster()
    zones = [
        Zone(code=f"z{n}", name_vi=f"Đồi {n}", name_en=f"Hill {n}", lat=21.0 + n / 10, lon=104.6) for n in range(6)
    ]
    whole._records["zone"] = [*whole._records["zone"], *zones]  # type: ignore[index]
    whole.bindings[:] = [bound(f"sg-{n:02d}", "smoke-1", "zone", f"z{n}") for n in range(6)]
    with opened(folder, post, registry=whole, budget=2, around=Around(danger=lambda _: level)) as desk:
        for at_s, value in FIRE:
            desk.clock.advance(60)
            for n in range(6):
                desk.send([(at_s + 60, value)], gateway=f"sg-{n:02d}", step=n == 5)
        desk.idle(60, 5)
        yield desk


@pytest.mark.parametrize(("level", "at_once"), [(None, 2), (4, 2), (5, 6)])
def test_where_the_danger_of_the_day_is_extreme_no_suspicion_waits(
    tmp_path: Path, post: Post, level: int | None, at_once: int
) -> None:
    with many(tmp_path, post, level):
        assert [words for _, words in told(post)].count("NGHI CÓ KHÓI") == at_once


def test_each_step_is_told_but_who_was_told_of_many_is_not_told_the_same_again_and_again(
    tmp_path: Path, post: Post
) -> None:
    with many(tmp_path, post, None) as desk:
        desk.idle(1_800, 10)
        first = [one for one in told(post) if one[1] == "CHƯA AI TRẢ LỜI"]
        assert {who: first.count((who, "CHƯA AI TRẢ LỜI")) for who, _ in first} == {
            "hamlet": 6,
            "commune": 6,
            "ranger": 6,
            "province": 6,
        }  # fmt: skip - of each incident each step, at its time
        desk.idle(3_600, 20)
        again = told(post)[len(first) :]
        assert len([one for one in again if one[1] == "CHƯA AI TRẢ LỜI"]) < 24
        unsaid = "SELECT count(*) FROM letter WHERE state = 'overtaken' AND words = ?"
        assert desk.alerts._journal.db.execute(unsaid, (UNSAID,)).fetchone()[0] > 24
