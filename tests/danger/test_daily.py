"""The bulletin of the day: made once at 14:00, kept as it was said, and sent to who chose it, after everything else."""

from __future__ import annotations

import random
import sqlite3
import threading
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from at.alphabet import septets
from cloud.alerts.channels import open_channels
from cloud.clock import DAY_MS, hanoi, midnight_ms
from cloud.danger.book import NAME as DANGER
from cloud.danger.book import Book
from cloud.danger.course import Carried, Day, Inputs
from cloud.danger.daily import PATIENCE_S, Daily
from cloud.danger.issued import NAME, of_day
from cloud.danger.letter import letter
from cloud.registry import Registry
from cloud.registry.fire import OfficialLevel
from cloud.registry.kinds import Commune, DangerTable, Duty, Person, Province, Zone
from tests.rules.garden import SMOKE, Bench, HandClock, Hook, Post, batch, mail_table, registry, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloud.alerts.channels import Named

FIRST = date(2026, 1, 1)
HOUR_MS = 3_600_000
BOUNDS: dict[str, Any] = {"up_to_1": 1_000.0, "up_to_2": 2_500.0, "up_to_3": 5_000.0, "up_to_4": 10_000.0}
LAW = DangerTable(decision="1/2025", place="province", code="v01", valid_from=date(2025, 1, 1), **BOUNDS)
MAIL = Person(code="lu", name="Lử", email="lu@example.vn", ways={"danger": ("email",)})


def day(p: float, on: date, zone: str = "z01", *, has_p: bool = True) -> Day:
    after = Carried(p=p, p_since=FIRST - timedelta(20), settled=True, p_missing=0 if has_p else 1)
    inputs = Inputs(lat=21.6, one_temp_c=31.0, one_rh_pct=38.0, one_rain_mm=0.0) if has_p else Inputs(lat=21.6)
    return Day(zone, on, inputs, 5.0, Carried(), after, has_p=has_p)


def zone(code: str, name: str, commune: str = "c01") -> Zone:
    return Zone(code=code, name_vi=name, name_en=name, lat=21.6, lon=104.6, commune=commune)


def garden(*people: Person, duties: tuple[Duty, ...] = (), law: bool = True) -> Registry:
    communes = [Commune(code=code, name=code, province="v01", valid_from=date(2025, 1, 1)) for code in ("c01", "c02")]
    rows: dict[str, Any] = {"zone": [zone("z01", "Suối Giàng"), zone("z02", "Chế Tạo", "c02")], "commune": communes,
                            "province": [Province(code="v01", name="Lào Cai", valid_from=date(2025, 1, 1))],
                            "danger_table": [LAW] * law, "person": list(people), "duty": list(duties)}  # fmt: skip
    return Registry({**registry()._records, **rows})


class World:
    """A folder with books of danger, and the loop that makes bulletins, which may begin anew at any time."""

    def __init__(self, folder: Path, current: Registry | None = None) -> None:
        self.folder, self.current = folder, current or garden()
        self.clock = HandClock(midnight_ms(FIRST))
        self.book = Book(folder / DANGER)
        self.daily = self.begin()

    def begin(self) -> Daily:
        return Daily(self.folder, self.folder, self.current, self.clock)

    def restart(self) -> None:
        self.daily.close()
        self.daily = self.begin()

    def at(self, on: date, hour: float) -> None:
        self.clock.advance(max(0.0, (midnight_ms(on) + hour * HOUR_MS - self.clock.utc_ms()) / 1000))

    def look(self, on: date, hour: float) -> bool:
        self.at(on, hour)
        return self.daily.look()

    def told(self, on: date) -> dict[str, int | None]:
        found = of_day(self.folder / NAME, on)
        return {code: one.level for code, one in found.said.items()} if found else {}

    def close(self) -> None:
        self.daily.close()
        self.book.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


class Room(Bench):
    """An alerts room beside a world: what is made there is sent from here."""

    def __init__(self, world: World, channels: list[Named], **settings: Any) -> None:
        self.named = channels
        super().__init__(world.folder, [SMOKE], None, registry=world.current, clock=world.clock, **settings)

    def _channels(self) -> list[Named]:
        return self.named


def mail(port: int) -> list[Named]:
    return open_channels([mail_table(port)])


def hooked(hook: Hook, *names: str) -> list[Named]:
    return open_channels([{"kind": "webhook", "name": name, "url": hook.url, "deadline_s": 40.0} for name in names])


def test_it_is_made_once_at_two_and_kept_as_it_was_said(world: World) -> None:
    world.book.put([day(6_000, FIRST), day(400, FIRST, "z02")])
    assert [world.look(FIRST, hour) for hour in (13.9, 14.0, 14.01, 15.0, 19.9, 23.0)] == [
        False, True, False, False, False, False
    ]  # fmt: skip
    world.book.put([day(20_000, FIRST)])  # late data
    world.restart()
    assert not world.look(FIRST, 23.5)
    issue = of_day(world.folder / NAME, FIRST)
    assert issue is not None
    assert {code: one.level for code, one in issue.said.items()} == {"z01": 4, "z02": 1}
    first = issue.said["z01"]
    assert first.vi.issued == "Suối Giàng, ngày 01/01/2026, 14 giờ"
    assert "CẤP IV – nguy hiểm" in first.vi.text()
    assert "Level IV, dangerous" in first.en.text()
    assert "mười bốn giờ" in first.aloud
    assert world.daily.health() == {"bulletin_ms": midnight_ms(FIRST) + 14 * HOUR_MS, "bulletin_missed": [],
                                    "bulletin_fault": ""}  # fmt: skip


def test_a_server_that_was_down_makes_it_until_evening_and_says_when(world: World) -> None:
    for n, (back, made) in enumerate(((16.34, True), (20.0, False), (14.0, True))):
        on = FIRST + timedelta(n)
        world.restart()
        world.book.put([day(6_000, on), day(400, on, "z02")])
        assert world.look(on, back) is made
    found = of_day(world.folder / NAME, FIRST)
    assert found is not None
    assert found.said["z01"].vi.issued.endswith("16 giờ 20")
    assert "mười sáu giờ hai mươi phút" in found.said["z01"].aloud
    assert world.daily.health()["bulletin_missed"] == [(FIRST + timedelta(1)).isoformat()]
    for n in range(3, 12):
        on = FIRST + timedelta(n)
        world.book.put([day(6_000, on), day(400, on, "z02")])
        world.look(on, 14.2)
    assert world.daily.health()["bulletin_missed"] == [], "of the last week"


def test_numbers_that_are_still_computed_are_waited_for_and_where_they_do_not_come_it_says_so(world: World) -> None:
    world.book.put([day(6_000, FIRST), day(400, FIRST, "z02")])
    on = FIRST + timedelta(1)
    assert not world.look(on, 14.0)
    world.book.put([day(7_000, on)])
    assert not world.look(on, 14.1)
    assert world.look(on, 14.0 + (PATIENCE_S + 1) / 3600)
    issue = of_day(world.folder / NAME, on)
    assert issue is not None
    assert (issue.said["z01"].level, issue.said["z02"].level) == (4, None)
    text = issue.said["z02"].vi.text()
    assert "P = 400 – chưa tính được cho hôm nay" in text
    assert "Số đo mới nhất là của ngày 01/01/2026" in text
    assert "Lúc 13 giờ" not in text


def test_a_rotten_row_costs_its_zone_alone_and_is_said(world: World) -> None:
    world.book.put([day(6_000, FIRST), day(400, FIRST, "z02")])
    world.book._db.execute("UPDATE day SET row = x'00' WHERE zone = 'z02'")
    world.at(FIRST, 14.0)
    stop = threading.Event()
    world.clock.wait = lambda event, _: event.set() or True  # type: ignore[method-assign,func-returns-value]
    world.daily.run(stop)
    assert world.told(FIRST) == {"z01": 4}
    assert "zone z02" in world.daily.health()["bulletin_fault"]


def test_without_law_or_weather_no_level_is_named(tmp_path: Path) -> None:
    world = World(tmp_path, garden(law=False))
    assert not world.look(FIRST, 14.0), "nothing is measured"
    assert world.daily.missed == []
    world.book.put([day(6_000, FIRST)])
    assert world.look(FIRST, 14.5)
    issue = of_day(tmp_path / NAME, FIRST)
    assert issue is not None
    said = letter(issue, [], None, "vi", "https://goc.che.example/nguy-co")
    assert "- Suối Giàng: P = 6.000 – chưa có bảng cấp của tỉnh\n" in said.text
    assert "https://goc.che.example/nguy-co" in said.text
    assert said.subject == "[gocche] Nguy cơ cháy rừng 01/01: chưa nêu cấp"
    assert "Suối Giàng P=6.000" in said.short
    world.close()


def test_a_mistake_in_the_gardens_words_is_told_and_mended_without_a_restart(world: World) -> None:
    world.book.put([day(6_000, FIRST)])
    (world.folder / "danger.toml").write_text("[level.VI]\n", "utf-8")
    stop = threading.Event()
    world.at(FIRST, 14.0)
    turns = iter(range(5))
    wait = world.clock.wait

    def mended(event: threading.Event, seconds: float) -> bool:
        if next(turns) == 1:
            assert "danger.toml" in world.daily.fault
            (world.folder / "danger.toml").unlink()
        elif world.daily.last_ms:
            event.set()
        return wait(event, seconds)

    world.clock.wait = mended  # type: ignore[method-assign]
    world.daily.run(stop)
    assert world.told(FIRST) == {"z01": 4}
    assert world.daily.fault == ""


@pytest.mark.parametrize("days", [40, pytest.param(365, marks=pytest.mark.journey)])
def test_a_year_has_one_each_day_whatever_becomes_of_server_and_clock(tmp_path: Path, hook: Hook, days: int) -> None:
    person = Person(code="lu", name="Lử", addresses={"zalo": "1"}, ways={"danger": ("zalo",)})
    world = World(tmp_path, garden(person))
    room = Room(world, hooked(hook, "zalo"))
    room.alerts.step()
    dice, ahead = random.Random(9), 0

    def tell() -> None:
        """What the post office does within a second, and the second after a letter came back."""
        office = room.alerts._office
        office.step()
        while office.busy:
            assert office.wait(20.0)
            office.step()

    for n in range(days):
        on = FIRST + timedelta(n)
        kind = dice.choice(("calm", "calm", "calm", "restart", "back", "ahead", "behind", "late"))
        if kind == "ahead":  # a clock without battery wakes days ahead, tells of them, and is put right
            off_s = dice.choice((1, 2, 3)) * DAY_MS / 1000
            world.clock.step(off_s)
            for _ in range(2):
                ahead += world.daily.look()
                world.clock.advance(PATIENCE_S)
            tell()
            world.clock.step(-off_s)
            world.daily.look()
            tell()
            world.look(on - timedelta(1), 23.9)
            tell()
        before = len(hook.got)
        world.book.put([day(30.0 * n, on), day(400, on, "z02")])
        for hour in (17.2, 19.0) if kind == "late" else (13.5, 14.0, 14.1):
            world.look(on, hour)
            if hour != 13.5:
                tell()
            if kind == "restart" and hour == 14.0:
                world.restart()
                room.alerts.close()
                room.alerts = room._build()
                room.alerts.step()
            elif kind == "back":
                world.clock.step(-900.0)
                world.daily.look()
            elif kind == "behind":  # a machine without a battery clock wakes in the past, until it has network
                off_s = dice.choice((1, 2, 9, 40, 300)) * DAY_MS / 1000
                world.clock.step(-off_s)
                for _ in range(2):
                    assert not world.daily.look()
                    world.clock.advance(PATIENCE_S)
                tell()
                world.clock.step(off_s)
        subjects = [message["subject"][:33] for _, message in hook.got[before:]]
        assert subjects == [f"[gocche] Nguy cơ cháy rừng {on:%d/%m}:"], (n, kind)
        assert world.told(on)
    assert ahead > days / 20, "the clock was ahead, and told"
    assert world.daily.missed == []
    room.close()
    world.close()


def test_each_person_has_one_letter_of_what_is_theirs_by_what_they_named(tmp_path: Path, hook: Hook) -> None:
    both = {"zalo": "1", "sms": "+84900"}
    since = date(2025, 1, 1)
    people = (
        Person(code="a", name="A", addresses={"zalo": "a", "sms": "+841"}, ways={"danger": ("zalo",)}),
        Person(code="b", name="B", addresses={"zalo": "b", "sms": "+842"}, ways={"danger": ("sms", "zalo")}),
        Person(code="c", name="C", addresses=both, roles=("fire-watch",)),
        Person(code="d", name="D", addresses=both, roles=("fire-watch",), ways={"danger": ()}),
        Person(code="e", name="E", email="e@example.vn", ways={"danger": ("email",)}),
        Person(
            code="f", name="F", addresses={"zalo": "f"}, roles=("fire-watch", "commune"), ways={"danger": ("zalo",)}
        ),
    )
    duties = (
        Duty(person="a", rung="ranger", commune="c02", valid_from=since),
        Duty(person="b", rung="hamlet", hamlet="hang-tay", valid_from=since),
        Duty(person="f", rung="ranger", zone="z01", valid_from=since, valid_to=date(2025, 6, 1)),
    )
    world = World(tmp_path, garden(*people, duties=duties))
    room = Room(world, hooked(hook, "zalo", "sms"))
    world.book.put([day(6_000, FIRST), day(400, FIRST, "z02")])
    world.look(FIRST, 14.0)
    room.idle(60, 10)
    got = {message["to"]: message for _, message in hook.got}
    assert len(hook.got) == 3
    assert sorted(got) == ["+842", "a", "f"], "by nothing that they did not name"
    assert ("Chế Tạo" in got["a"]["text"], "Suối Giàng" in got["a"]["text"]) == (True, False)
    assert ("Chế Tạo" in got["+842"]["text"], "Suối Giàng" in got["+842"]["text"]) == (False, True)
    assert "Chế Tạo" in got["f"]["text"]
    assert "Suối Giàng" in got["f"]["text"], "a duty that is over is none: all zones"
    assert {message["level"] for message in got.values()} == {"danger"}
    assert {message["incident"] for message in got.values()} == {0}
    assert len(septets(got["+842"]["short"])) <= 160
    assert got["+842"]["short"].startswith("Nguy co chay rung 01/01 14 gio: Suoi Giang cap IV.")
    assert room.alerts.incidents() == []
    health = room.alerts.health()
    assert (health["bulletin_unreached"], health["contacts_unreached"]) == (["E"], [])
    assert (health["open"], health["waiting"], health["given_up"]) == (0, 0, 0)
    with room.alerts._journal.reading() as db:
        told = db.execute("SELECT inputs FROM journal WHERE event = 'told' ORDER BY id").fetchall()
    assert sorted("2026-01-01 z02" in inputs for (inputs,) in told) == [False, False, True], "for good"
    room.close()
    world.close()


def test_what_changed_since_yesterday_stands_first_and_the_whole_bulletins_in_a_mail(
    tmp_path: Path, post: Post
) -> None:
    world = World(tmp_path, garden(MAIL))
    room = Room(world, mail(post.port))
    for n, p in enumerate((400.0, 6_000.0)):
        on = FIRST + timedelta(n)
        world.book.put([day(p, on), day(400, on, "z02")])
        world.look(on, 14.0)
        room.idle(60, 20)
    assert post.subjects("lu@example.vn") == [
        "[gocche] Nguy cơ cháy rừng 01/01: cao nhất cấp I – thấp, trong 2 khu",
        "[gocche] Nguy cơ cháy rừng 02/01: cao nhất cấp IV – nguy hiểm, trong 2 khu",
    ]
    text = post.mails[1][1].get_content().replace("\r\n", "\n")
    first, _, whole = text.partition("\n———\n")
    assert "- Suối Giàng: CẤP IV – nguy hiểm (hôm qua cấp I)\n- Chế Tạo: CẤP I – thấp (như hôm qua)\n" in first
    assert "Việc cần làm ở cấp IV: " in first
    assert "không phải báo cháy" in first
    assert whole.count("Người chịu trách nhiệm") == 2
    assert "Importance" not in post.mails[1][1]
    room.close()
    world.close()


def test_what_the_rangers_published_is_in_the_letter_as_theirs(tmp_path: Path) -> None:
    facts = {"source": "FireWatch 01/01", "valid_from": FIRST, "valid_to": FIRST + timedelta(1)}
    rows = {"official_level": [OfficialLevel(place="commune", code="c02", level="V", **facts)]}
    world = World(tmp_path, Registry({**garden()._records, **rows}))
    world.book.put([day(6_000, FIRST), day(400, FIRST, "z02")])
    world.look(FIRST, 14.0)
    issue = of_day(tmp_path / NAME, FIRST)
    assert issue is not None
    said = letter(issue, [], None, "vi", "")
    assert said.subject.endswith("kiểm lâm công bố cấp V – cực kỳ nguy hiểm")
    lines = said.text.splitlines()
    assert lines[1:4] == [
        "- Chế Tạo: CẤP I – thấp",
        "  Kiểm lâm công bố: cấp V – cực kỳ nguy hiểm (FireWatch 01/01)",
        "- Suối Giàng: CẤP IV – nguy hiểm",
    ]
    assert "Việc cần làm ở cấp V: " in said.text
    assert "Chế Tạo cấp I, kiểm lâm: cấp V" in said.short
    world.close()


def test_the_rangers_level_has_its_own_change_and_at_least_is_said_in_the_subject(tmp_path: Path) -> None:
    facts = {"source": "FireWatch", "valid_from": FIRST + timedelta(1), "valid_to": FIRST + timedelta(9)}
    rows = {"official_level": [OfficialLevel(place="commune", code="c01", level="V", **facts)]}
    world = World(tmp_path, Registry({**garden()._records, **rows}))
    for n in range(3):
        on = FIRST + timedelta(n)
        unsettled = replace(day(6_000, on, "z02"), after=replace(day(6_000, on).after, settled=False))
        world.book.put([day(4_000, on), unsettled])
        world.look(on, 14.0)
    first, second, third = (of_day(tmp_path / NAME, FIRST + timedelta(n)) for n in range(3))
    assert first is not None
    assert second is not None
    assert third is not None
    said = letter(second, [], first, "vi", "")
    assert "Suối Giàng cấp III (như hôm qua), kiểm lâm: cấp V (hôm qua chưa công bố)" in said.short
    assert "  Kiểm lâm công bố: cấp V – cực kỳ nguy hiểm (FireWatch) (hôm qua chưa công bố)" in said.text.splitlines()
    assert "Suối Giàng cấp III (như hôm qua), kiểm lâm: cấp V;" in letter(third, [], second, "vi", "").short
    assert "Chế Tạo ít nhất cấp IV" in said.short
    assert letter(first, [], None, "vi", "").subject.endswith(": cao nhất ít nhất cấp IV – nguy hiểm, trong 2 khu")
    assert letter(first, ["z02"], None, "en", "").subject.endswith(": at least level IV, dangerous, Chế Tạo")
    world.close()


def test_a_bulletin_that_cannot_be_read_waits_and_a_rotten_zone_costs_itself(tmp_path: Path, hook: Hook) -> None:
    person = Person(code="lu", name="Lử", addresses={"zalo": "1"}, ways={"danger": ("zalo",)})
    world = World(tmp_path, garden(person))
    world.book.put([day(6_000, FIRST), day(400, FIRST, "z02")])
    world.look(FIRST, 14.0)
    room = Room(world, hooked(hook, "zalo"), tells=False)
    room.step()
    room.clock.advance(60.0)
    room.alerts._office._sorter.sort()  # it is written, and has not left when the server ends
    room.restart()
    room._tells = True
    path = tmp_path / NAME
    path.rename(tmp_path / "away")
    path.mkdir()  # what cannot be opened
    room.idle(600, 20)
    assert hook.got == []
    assert room.alerts.health()["bulletin_unread"]
    path.rmdir()
    (tmp_path / "away").rename(path)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE said SET row = x'00' WHERE zone = 'z02'")
    db.close()
    room.idle(120, 20)
    (message,) = (message for _, message in hook.got)
    assert ("Suối Giàng" in message["text"], "Chế Tạo" in message["text"]) == (True, False)
    assert room.alerts.health()["bulletin_unread"] == ""
    room.close()
    world.close()


def test_who_was_told_is_not_told_again_by_a_file_that_is_damaged(tmp_path: Path, hook: Hook) -> None:
    person = Person(code="lu", name="Lử", addresses={"zalo": "1"}, ways={"danger": ("zalo",)})
    world = World(tmp_path, garden(person))
    room = Room(world, hooked(hook, "zalo"))
    for n in range(3):
        on = FIRST + timedelta(n)
        world.book.put([day(6_000, on), day(400, on, "z02")])
        world.look(on, 14.0)
        room.idle(60, 20)
        if n == 1:
            world.daily.close()
            (tmp_path / NAME).write_bytes(b"no database" * 1_000)
            room.idle(60, 20)
            assert world.look(on, 15.0), "what was said is lost, and said anew"
            assert (tmp_path / f"{NAME}.damaged-1").exists()
            room.idle(60, 20)
    assert [message["subject"][27:32] for _, message in hook.got] == ["01/01", "02/01", "03/01"]
    room.close()
    world.close()


def test_a_damaged_page_of_bulletins_is_mended_at_once_and_that_of_danger_costs_none(world: World) -> None:
    for n in range(2):
        on = FIRST + timedelta(n)
        world.book.put([day(6_000, on), day(400, on, "z02")])
        world.look(on, 14.0)
    world.daily.close()
    path = world.folder / NAME
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    assert world.daily.look(), "it is told anew"
    assert (world.folder / f"{NAME}.damaged-1").exists()
    world.book.close()
    (world.folder / DANGER).write_bytes(b"no database" * 1_000)
    world.at(FIRST + timedelta(2), 14.0)
    with pytest.raises(sqlite3.DatabaseError):
        world.daily.look()
    assert not (world.folder / f"{NAME}.damaged-2").exists()


def test_a_letter_that_did_not_leave_is_overtaken_by_that_of_the_next_day(tmp_path: Path, post: Post) -> None:
    world = World(tmp_path, garden(MAIL))
    room = Room(world, mail(post.port))
    post.refuse["lu@example.vn"] = "451 not now"
    for n in range(2):
        on = FIRST + timedelta(n)
        world.book.put([day(6_000, on), day(400, on, "z02")])
        world.look(on, 14.0)
        room.idle(600, 60)
    del post.refuse["lu@example.vn"]
    room.restart()
    room.idle(600, 60)
    assert [subject[:33] for subject in post.subjects()] == ["[gocche] Nguy cơ cháy rừng 02/01:"]
    room.close()
    world.close()


def test_smoke_does_not_wait_behind_bulletins_that_hang(tmp_path: Path, hook: Hook) -> None:
    people = [Person(code=f"p{n}", name=f"P{n}", addresses={"zalo": f"p{n}"}, ways={"danger": ("zalo",)})
              for n in range(20)]  # fmt: skip
    guard = Person(code="lu", name="Lử", addresses={"zalo": "lu"}, roles=("fire-watch",))
    world = World(tmp_path, garden(guard, *people))
    room = Room(world, hooked(hook, "zalo"))
    world.book.put([day(6_000, FIRST), day(400, FIRST, "z02")])
    world.look(FIRST, 14.0)
    hook.waits.clear()
    office = room.alerts._office
    room.alerts.step()
    office.step()
    assert office.busy, "a bulletin hangs"
    began = room.clock.utc_ms()
    room.alerts.offer(batch(1, [(began - 60_000 * n, 80.0) for n in range(5, -1, -1)]), began)
    room.alerts.step()
    office.step()
    carried = [courier.carries for courier in office._couriers.values()]
    assert [row.level for row in carried if row] == [0], "the thread that hangs is left behind"
    hook.waits.set()
    until(lambda: _worked(room, office) and len(hook.got) >= len(people) + 1)
    room.idle(60, 10)
    assert hanoi(began).hour == 14
    told = [message["to"] for _, message in hook.got]
    assert sorted(told) == sorted({"lu", *(one.code for one in people)}), "each once, the one that hung, too"
    with room.alerts._journal.reading() as db:
        assert db.execute("SELECT what FROM journal WHERE event = 'tell-failed'").fetchall() == [], "giving way"
    room.close()
    world.close()


def test_bulletins_leave_a_channel_that_hangs_to_what_is_about_life(tmp_path: Path, hook: Hook) -> None:
    people = [Person(code=f"p{n}", name=f"P{n}", addresses={"zalo": f"p{n}"}, ways={"danger": ("zalo",)})
              for n in range(9)]  # fmt: skip
    world = World(tmp_path, garden(*people))
    room = Room(world, hooked(hook, "zalo"))
    world.book.put([day(6_000, FIRST), day(400, FIRST, "z02")])
    world.look(FIRST, 14.0)
    hook.waits.clear()
    office = room.alerts._office
    room.alerts.step()
    (courier,) = office._couriers.values()
    gave_way = 0
    for _ in range(9):
        office.step()
        if outcome := courier.give_way():
            gave_way += 1
            courier.take_back(outcome)
    assert gave_way == 1
    assert courier.carries is None, "what hangs holds one thread, and no other bulletin the next one"
    hook.waits.set()
    room.close()
    world.close()


def _worked(room: Room, office: Any) -> bool:
    office.step()
    return not room.alerts.health()["untold"]
