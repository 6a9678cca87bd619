"""The CAP feed of the staff room: what the journal holds, for whoever shows the key, from suspicion to closing."""

from __future__ import annotations

import hashlib
import random
import sqlite3
import subprocess
import sys
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest
from capvalidator import check_schema

from cloud.alerts.incident import CLOSINGS
from cloud.cap.book import NAME as BOOK
from cloud.cap.book import Book
from cloud.cap.course import LASTS_MS
from cloud.cap.judge import NAMESPACE, check
from cloud.clock import hanoi, midnight_ms
from cloud.config import ConfigError, load
from cloud.danger.book import NAME as DANGER
from cloud.danger.book import Book as Danger
from cloud.danger.course import Carried, Day, Inputs
from cloud.registry.kinds import DangerTable
from cloud.rooms.cap import Given, warnings_of
from cloud.rooms.cap_course import courses
from cloud.staff.app import build
from tests.rules.garden import SMOKE, START_MS, HandClock, bound, registry
from tests.staffroom import URL, StaffWorld
from tests.test_alerts_chain import CALM, CHAIN, FIRE, Desk, roster
from tests.test_alerts_rain import RAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.config import CloudConfig

KEY = "a-key-that-nobody-guesses-0123456789"
PAGES = "https://che.example"
CAP, ATOM = f"{{{NAMESPACE}}}", "{http://www.w3.org/2005/Atom}"
SAID = """
[data]
path = "{folder}"
[cap]
key_file = "{folder}/cap-key"
sender = "canhbao@htx.example"
name_vi = "HTX chè"
name_en = "Tea cooperative"
contact = "0216 3 111 222"
"""
TABLE = DangerTable(decision="QĐ 1/2026", place="zone", code="suoi-giang", valid_from=hanoi(START_MS).date(),
                    up_to_1=1_000, up_to_2=2_500, up_to_3=5_000, up_to_4=10_000)  # fmt: skip


class World:
    """A journal that an alerts room writes, and the staff room that gives it out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "cap-key").write_text(f"{KEY}\n")
        (folder / "cloud.toml").write_text(SAID.format(folder=folder))
        rows = roster()
        kinds = {kind: list(own) for kind, own in rows._records.items()}
        kinds["binding"] += [
            bound("sg-02", "smoke-1", "tree", "7K3MQ2"),
            bound("sg-01", "rain-1", "zone", "suoi-giang"),
        ]
        registry = type(rows)(kinds)
        rules = [SMOKE, RAIN]
        self.desk = Desk(folder, rules, None, registry=registry, tells=False, **CHAIN)
        self.desk.alerts.listening(True)
        self.clock = self.desk.clock
        self.staff = StaffWorld(folder)
        config = load(folder / "cloud.toml")
        self.law = registry
        self._gates = [self.staff.gate]
        self.given: dict[str, bytes] = {}  # every message that was ever read
        self.restart(config)

    def restart(self, config: CloudConfig) -> None:
        """Have the staff room begin anew, with a configuration."""
        self.app, gate = build(self.staff.staff, warnings_of(config, URL, self.clock, lambda: self.law, PAGES))
        self._gates.append(gate)

    def get(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=URL, headers=headers) as client:
                return await client.request(method, path)

        return self.staff.loop.run_until_complete(ask())

    def feed(self) -> list[ET.Element]:
        """Follow the feed as a reader does: return the messages that its links lead to, each judged by the XSD."""
        answer = self.get(f"/cap/feed.atom?key={KEY}")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("application/atom+xml")
        found = []
        for entry in ET.fromstring(answer.content).findall(f"{ATOM}entry"):
            address = urlsplit(entry.find(f"{ATOM}link").get("href"))
            message = self.get(f"{address.path}?{address.query}")
            assert message.status_code == 200
            assert message.headers["content-type"].startswith("application/cap+xml")
            assert check(message.content) == []
            assert check_schema(message.content).passed
            found.append(ET.fromstring(message.content))
            name = found[-1].findtext(f"{CAP}identifier")
            assert name == entry.findtext(f"{ATOM}id")
            assert self.given.setdefault(name, message.content) == message.content
        return found

    def same_bytes(self) -> None:
        """Read every message again that was ever read."""
        for name, xml in self.given.items():
            assert self.get(f"/cap/{name}.xml?key={KEY}").content == xml

    def close(self) -> None:
        self.same_bytes()
        self.desk.close()
        self.staff.close()
        for gate in self._gates:
            gate.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def said(message: ET.Element) -> tuple[str, str, str]:
    info = message.find(f"{CAP}info")
    return message.findtext(f"{CAP}msgType"), info.findtext(f"{CAP}certainty"), info.findtext(f"{CAP}responseType")


def references(message: ET.Element) -> list[str]:
    return [one.split(",")[1] for one in (message.findtext(f"{CAP}references") or "").split()]


def test_a_fire_is_told_from_suspicion_to_all_clear_each_message_about_those_before(world):
    assert world.feed() == []
    world.desk.live(FIRE)
    (first,) = world.feed()
    assert said(first) == ("Alert", "Possible", "Assess")
    assert first.findtext(f"{CAP}scope") == "Restricted"
    vi, en = first.findall(f"{CAP}info")
    assert "80 " in vi.findtext(f"{CAP}description"), "what was measured"
    for info, who in ((vi, "HTX chè"), (en, "Tea cooperative")):
        assert info.findtext(f"{CAP}senderName") == who
        assert info.findtext(f"{CAP}web") == f"{URL}/truc/1"
        assert info.findtext(f"{CAP}contact") == "0216 3 111 222"
    names = [first.findtext(f"{CAP}identifier")]
    for act, more, wanted in (
        ("confirm", {}, ("Update", "Observed", "Execute")),
        ("control", {}, ("Update", "Observed", "Monitor")),
        ("close", {"closed_as": "real"}, ("Update", "Observed", "AllClear")),
    ):
        world.clock.advance(60)
        assert world.desk.ask(act, incident=1, **more)["ok"]
        (message,) = world.feed()
        assert said(message) == wanted
        assert references(message) == names
        names.append(message.findtext(f"{CAP}identifier"))
    world.clock.advance(LASTS_MS / 1000 + 1)
    assert world.feed() == []


def test_what_was_no_fire_is_called_off(world):
    world.desk.live(FIRE)
    world.feed()
    assert world.desk.ask("close", incident=1, closed_as="cooking")["ok"]
    (message,) = world.feed()
    assert said(message) == ("Cancel", "Unlikely", "AllClear")
    assert len(references(message)) == 1


def test_a_suspicion_that_ends_by_itself_is_closed_as_unknown_and_lives_again_where_it_smokes_again(world):
    world.desk.live(FIRE)
    world.feed()
    world.desk.live(CALM)
    (message,) = world.feed()
    assert said(message) == ("Update", "Unknown", "AllClear")
    world.desk.live([(900.0 + 60.0 * n, 90.0) for n in range(6)])
    (again,) = world.feed()
    assert said(again) == ("Update", "Possible", "Assess")
    assert references(again)[-1] == message.findtext(f"{CAP}identifier")


def test_what_was_read_stays_as_it_was_whatever_is_changed_and_a_change_is_an_update(world):
    world.desk.live(FIRE)
    (first,) = world.feed()
    assert world.desk.ask("relabel", incident=1, place_vi="Đồi sau trường", place_en="Hill behind the school")["ok"]
    world.same_bytes()
    (second,) = world.feed()
    assert said(second)[0] == "Update"
    assert references(second) == [first.findtext(f"{CAP}identifier")]
    assert second.find(f"{CAP}info/{CAP}area").findtext(f"{CAP}areaDesc") == "Đồi sau trường"
    changed = SAID.format(folder=world.folder).replace("canhbao@htx", "moi@htx").replace("HTX chè", "Xã")
    (world.folder / "cloud.toml").write_text(changed)
    world.law = registry()
    world.restart(load(world.folder / "cloud.toml"))
    world.same_bytes()
    assert len(world.feed()) == 1
    world.same_bytes()
    assert world.desk.ask("confirm", incident=1)["ok"]
    (third,) = world.feed()
    assert third.findtext(f"{CAP}sender") == "moi@htx.example"
    stamped = [(one.findtext(f"{CAP}sender"), one.findtext(f"{CAP}identifier"), one.findtext(f"{CAP}sent"))
               for one in (first, second)]  # fmt: skip
    assert third.findtext(f"{CAP}references") == " ".join(map(",".join, stamped)), "each under who said it"
    world.clock.advance(400 * 86_400)
    world.same_bytes()


def test_what_is_merged_is_cancelled_and_the_other_has_its_stage_and_what_is_split_off_is_a_new_alert(world):
    world.desk.live(FIRE)
    world.desk.send([(at_s, value) for at_s, value in FIRE], gateway="sg-02")
    assert [one.part_of for one in world.desk.alerts.incidents()] == [1, None]
    world.feed()
    part, head = world.desk.alerts.incidents()
    assert world.desk.ask("split", incident=head.id, parts=[part.id])["ok"]
    own = {message.findtext(f"{CAP}incidents"): message for message in world.feed()}
    assert said(own["2"]) == ("Alert", "Possible", "Assess")
    assert world.desk.ask("confirm", incident=2)["ok"]
    assert world.desk.ask("merge", incident=2, into=1)["ok"]
    own = {message.findtext(f"{CAP}incidents"): message for message in world.feed()}
    own["2"] = own.pop("2 1")  # it and the one that tells it now
    assert said(own["2"]) == ("Cancel", "Unknown", "None")
    assert "sự việc số 1" in own["2"].find(f"{CAP}info").findtext(f"{CAP}instruction")
    assert said(own["1"]) == ("Update", "Observed", "Execute"), "a person has seen it, whichever of them"
    assert world.desk.ask("split", incident=1, parts=[2])["ok"]
    own = {message.findtext(f"{CAP}incidents"): message for message in world.feed()}
    assert said(own["2"]) == ("Alert", "Observed", "Execute")
    assert references(own["2"]) == []


def test_what_was_called_off_and_burns_after_all_is_a_new_alert(world):
    world.desk.live(FIRE)
    world.feed()
    assert world.desk.ask("close", incident=1, closed_as="cooking")["ok"]
    world.feed()
    world.clock.advance(600)
    assert world.desk.ask("confirm", incident=1)["ok"]
    (message,) = world.feed()
    assert said(message) == ("Alert", "Observed", "Execute")


def test_a_sensor_that_fell_silent_is_no_fire(world):
    world.desk.live(FIRE)
    with world.desk.alerts._journal.transaction() as db:
        db.execute("UPDATE incident SET basis = 'dead'")
    assert world.feed() == []


def test_who_has_read_the_same_is_not_sent_it_again_and_who_asks_for_the_head_gets_the_head(world):
    world.desk.live(FIRE)
    address = f"/cap/feed.atom?key={KEY}"
    first = world.get(address)
    for known in (first.headers["etag"], f'"x", W/{first.headers["etag"]}', "*"):
        again = world.get(address, **{"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    head = world.get(address, "HEAD")
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", first.headers["etag"])
    assert int(head.headers["content-length"]) == len(first.content)
    world.clock.advance(1_800)
    assert world.get(address).content == first.content, "nothing has changed"
    assert world.desk.ask("confirm", incident=1)["ok"]
    assert world.get(address, **{"If-None-Match": first.headers["etag"]}).status_code == 200
    name = next(iter(world.given), "") or world.feed()[0].findtext(f"{CAP}identifier")
    message = world.get(f"/cap/{name}.xml?key={KEY}")
    assert "immutable" in message.headers["cache-control"]
    tag = {"If-None-Match": message.headers["etag"]}
    assert world.get(f"/cap/{name}.xml?key={KEY}", **tag).status_code == 304
    assert world.get(f"/cap/{name}.xml", **tag).status_code == 404, "who has no key is told nothing"


def test_the_time_of_the_feed_only_grows(world):
    def updated() -> str:
        return ET.fromstring(world.get(f"/cap/feed.atom?key={KEY}").content).findtext(f"{ATOM}updated")

    times = [updated()]
    world.clock.advance(300)
    assert updated() == times[0], "an empty list stays what it was"
    world.desk.live(FIRE)
    times.append(updated())
    assert world.desk.ask("close", incident=1, closed_as="cooking")["ok"]
    times.append(updated())
    world.clock.step(-86_400)
    times.append(updated())
    world.clock.step(86_400)
    world.clock.advance(LASTS_MS / 1000 + 60)
    times.append(updated())
    assert times == sorted(times)
    assert len(set(times)) == 4, "it left the list, which is a change too"


def test_a_damaged_book_is_set_aside_and_what_burns_is_told_anew(world, caplog):
    world.desk.live(FIRE)
    (first,) = world.feed()
    world.given.clear()
    (world.folder / BOOK).write_bytes(b"no database at all, but long enough to look like one" * 100)
    world.clock.advance(60)
    (second,) = world.feed()
    assert said(second)[0] == "Alert"
    assert second.findtext(f"{CAP}identifier") != first.findtext(f"{CAP}identifier")
    assert "book-damaged" in caplog.text


def torn(path: Path) -> None:
    """Damage every page but the first: the file can be opened, and its rows cannot be read."""
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))


def a_row(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE message SET alert = x'00'")
    db.close()


@pytest.mark.parametrize("damage", [torn, a_row])
def test_a_damaged_page_is_mended_by_who_reads_and_one_file_is_set_aside(world, damage):
    world.desk.live(FIRE)
    world.feed()
    world.given.clear()
    damage(world.folder / BOOK)
    (second,) = world.feed()
    assert said(second)[0] == "Alert"
    world.given.clear()
    torn(world.folder / BOOK)
    given = Given(load(world.folder / "cloud.toml"), URL, PAGES, world.clock, lambda: world.law)
    with ThreadPoolExecutor(8) as readers:
        asked = [readers.submit(given.xml, "gocche:1") for _ in range(8)] + [readers.submit(given.in_force)]
        assert len(asked[-1].result(20).alerts) == 1
        assert [one.result(20) for one in asked[:-1]] == [None] * 8
    assert len(list(world.folder.glob(f"{BOOK}.damaged-?"))) == 2


@pytest.mark.parametrize("ill", ["torn", "newer"])
def test_where_the_book_of_danger_cannot_be_read_fires_are_told_and_danger_stays(world, ill, caplog):
    danger_of(world, 12_000, TABLE)
    world.clock.advance(2 * 3_600)
    world.desk.live([(at_s + 2 * 3_600, value) for at_s, value in FIRE])
    assert len(world.feed()) == 2
    path = world.folder / DANGER
    if ill == "torn":
        path.write_bytes(b"no database at all, but long enough to look like one" * 100)
    else:
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
    for _ in range(3):
        world.clock.advance(60)
        assert len(world.feed()) == 2
    assert caplog.text.count("cap-danger-unread") == 1
    assert not list(world.folder.glob("*.damaged-?"))


def test_a_book_of_a_newer_gocche_is_no_fault_of_ours(world):
    world.desk.live(FIRE)
    with sqlite3.connect(world.folder / BOOK) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    for path in ("feed.atom", "gocche:1.xml"):
        answer = world.get(f"/cap/{path}?key={KEY}")
        assert (answer.status_code, answer.text) == (503, "warnings cannot be read now\n")


def test_danger_whose_table_is_over_is_withdrawn_and_not_called_lower(world):
    danger_of(world, 12_000, TABLE)
    world.clock.advance(2 * 3_600)
    assert said(world.feed()[0])[0] == "Alert"
    danger_of(world, 12_000)
    (over,) = world.feed()
    assert said(over) == ("Cancel", "Unknown", "Monitor")
    words = ET.tostring(over, encoding="unicode")
    assert "chưa có bảng cấp của tỉnh; nguy cơ có thể vẫn cao" in words
    assert "xuống dưới cấp IV" not in words
    danger_of(world, 12_000, TABLE)
    assert said(world.feed()[0])[0] == "Alert"
    danger_of(world, 400, TABLE)
    assert said(world.feed()[0]) == ("Cancel", "Unlikely", "None")


def test_without_a_disk_to_keep_them_on_nothing_is_given_out(world):
    world.desk.live(FIRE)
    (world.folder / BOOK).mkdir()
    answer = world.get(f"/cap/feed.atom?key={KEY}")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")


PUBLISHES = """
import hashlib, sys
from pathlib import Path
from cloud.cap.book import Book
from cloud.cap.course import Course, Sender, Step, notice
begin, n = int(sys.argv[2]), 0
sender = Sender("a@b.example", {"vi": "a", "en": "a"}, "r")
while True:
    book, now_ms = Book(Path(sys.argv[1])), begin + n * 60_000
    one = Course(1, 0, 0, {"vi": f"Đồi {n}", "en": f"Hill {n}"}, Step(begin, "confirmed"))
    for alert in book.publish([notice(one, sender)], now_ms).alerts:
        digest = hashlib.sha256(book.xml(alert.identifier)).hexdigest()
        print(alert.identifier, digest, *(one.identifier for one in alert.references), flush=True)
    book.close()
    n += 1
"""


def test_whatever_is_killed_what_somebody_has_read_stays_and_is_what_is_referred_to(tmp_path):
    path, read, lost = tmp_path / BOOK, {}, set()
    for round_ in range(4):
        began_ms = START_MS + round_ * 3_600_000
        child = subprocess.Popen([sys.executable, "-c", PUBLISHES, str(path), str(began_ms)], stdout=subprocess.PIPE,
                                 text=True, cwd=Path(__file__).parents[1])  # fmt: skip
        try:
            lines = list(islice(child.stdout, 7 + 5 * round_))
        finally:
            child.kill()
            lines += [line for line in child.communicate()[0].splitlines(keepends=True) if line.endswith("\n")]
        for name, digest, *others in map(str.split, lines):
            assert read.setdefault(name, digest) == digest
            lost |= set(others) - set(read)
        assert len(lost) <= round_, "but for one a kill, which was kept and not given out any more"
        book = Book(path)
        for name, digest in read.items():
            assert hashlib.sha256(book.xml(name)).hexdigest() == digest
        book.close()
    assert len(read) > 40


ACTS = ("confirm", "control", "close", "relabel", "merge", "split", "drill")


def test_a_whole_life_of_incidents_is_valid_and_each_message_refers_to_what_was_given_out(world):
    """Smoke at two nodes, rain, people who do anything in any order, and a reader who comes when they like."""
    chance, given, chains = random.Random(9), {}, {}

    def read() -> None:
        for message in world.feed():
            name = message.findtext(f"{CAP}identifier")
            if name in given:
                continue
            kind, about = message.findtext(f"{CAP}msgType"), references(message)
            assert all(one in given for one in about), "it was given out"
            for one in (message.findtext(f"{CAP}references") or "").split():
                assert one.endswith(given[one.split(",")[1]])
            chain = chains.setdefault(message.findtext(f"{CAP}incidents").split()[0], [])
            assert (kind == "Alert") == (not chain or chain[-1][1] == "Cancel")
            assert kind == "Alert" or chain[-1][0] in about
            chain.append((name, kind))
            given[name] = message.findtext(f"{CAP}sent")

    at_s = 0.0
    for _ in range(60):
        what = chance.random()
        if what < 0.5:
            value, gateway = chance.choice((80.0, 5.0)), chance.choice(("sg-01", "sg-02"))
            world.desk.live([(at_s + 60.0 * n, value) for n in range(8)], gateway=gateway)
            at_s += 480.0
        else:
            known = [one.id for one in world.desk.alerts.incidents()] or [1]
            act = chance.choice(ACTS)
            more = {"incident": chance.choice(known)} if act != "drill" else {"place": "zone:suoi-giang"}
            more |= {"close": {"closed_as": chance.choice(CLOSINGS)}, "merge": {"into": chance.choice(known)},
                     "split": {"parts": [chance.choice(known)]},
                     "relabel": {"place_vi": f"Đồi {chance.random()}"}}.get(act, {})  # fmt: skip
            world.desk.ask(act, **more)
        if chance.random() < 0.6:
            read()
        if chance.random() < 0.2:
            pause_s = chance.choice((600, 4_000, 9_000))
            world.desk.idle(pause_s, 300)
            at_s += pause_s
        if chance.random() < 0.1:
            world.desk.restart()
    read()
    world.same_bytes()
    assert len(given) > 15
    assert {kind for chain in chains.values() for _, kind in chain} == {"Alert", "Update", "Cancel"}


def test_several_sensors_of_one_fire_are_one_warning(world):
    world.desk.live(FIRE)
    world.desk.send([(at_s, value) for at_s, value in FIRE], gateway="sg-02")
    assert len(world.desk.alerts.incidents()) == 2
    assert len(world.feed()) == 1


def test_a_drill_is_an_exercise_in_every_word(world):
    world.desk.step()
    assert world.desk.ask("drill", place="zone:suoi-giang")["ok"]
    (message,) = world.feed()
    assert message.findtext(f"{CAP}status") == "Exercise"
    assert world.desk.ask("confirm", incident=1)["ok"]
    (message,) = world.feed()
    assert (message.findtext(f"{CAP}status"), said(message)[0]) == ("Exercise", "Update")
    for info in message.findall(f"{CAP}info"):
        for name in ("event", "headline", "description"):
            assert info.findtext(f"{CAP}{name}").startswith(("DIỄN TẬP", "EXERCISE"))
    assert world.desk.ask("close", incident=1, closed_as="drill")["ok"]
    (message,) = world.feed()
    assert (message.findtext(f"{CAP}status"), said(message)[0]) == ("Exercise", "Cancel")


def test_a_fire_that_burns_on_is_told_again_before_its_message_expires(world):
    world.desk.live(FIRE)
    assert world.desk.ask("confirm", incident=1)["ok"]
    names = set()
    for _ in range(40):
        world.clock.advance(600)
        (message,) = world.feed()
        assert said(message)[1] == "Observed"
        names.add(message.findtext(f"{CAP}identifier"))
    assert 6 <= len(names) <= 8


def test_heavy_rain_is_a_warning_of_the_weather_and_no_part_of_a_fire(world):
    world.desk.live(FIRE)
    readings = [(600.0 + n * 300.0, 8.0 * n) for n in range(11)]
    world.desk.live(readings, quantity="rain_total", channel="rain-1")
    found = {message.find(f"{CAP}info").findtext(f"{CAP}category"): message for message in world.feed()}
    assert set(found) == {"Fire", "Met"}
    assert said(found["Met"]) == ("Alert", "Observed", "Prepare")
    assert "ít nhất" in found["Met"].find(f"{CAP}info").findtext(f"{CAP}description")
    assert len(world.desk.alerts._journal.going()) == 1, "rain is no fire that people have to answer"
    assert "Chưa có người xem" not in ET.tostring(found["Met"], encoding="unicode")


def test_what_a_permit_mutes_is_no_warning(world):
    world.desk.live(FIRE)
    with world.desk.alerts._journal.transaction() as db:
        db.execute("UPDATE incident SET muted = 'a permit'")
    assert world.feed() == []


def danger_of(world, p, table=None, on=None):
    """A day of the zone in the book of danger, and the province's table that may hold on it."""
    on = on or hanoi(START_MS).date()
    own = Danger(world.folder / DANGER)
    after = Carried(p=p, p_since=on, settled=True)
    own.put([Day("suoi-giang", on, Inputs(lat=21.6), 5.0, Carried(), after, has_p=True)])
    own.close()
    rows = {kind: list(one) for kind, one in world.law._records.items()}
    world.law = type(world.law)(rows | {"danger_table": [table] if table else []})


def test_danger_is_a_warning_at_levels_four_and_five_by_the_provinces_table_alone(world):
    table = TABLE
    danger_of(world, 12_000)
    world.clock.advance(2 * 3_600)
    assert world.feed() == [], "no level without law"
    for p, wanted in ((4_000, []), (5_001, ["Moderate"]), (10_001, ["Severe"])):
        danger_of(world, p, table)
        found = world.feed()
        assert [one.find(f"{CAP}info").findtext(f"{CAP}severity") for one in found] == wanted
    assert said(found[0]) == ("Update", "Likely", "Avoid")
    assert len(references(found[0])) == 1, "the level that it takes the place of"
    assert found[0].find(f"{CAP}info").findtext(f"{CAP}web") == f"{PAGES}/nguy-co/suoi-giang"
    assert "QĐ 1/2026" in found[0].find(f"{CAP}info").findtext(f"{CAP}description")
    issued_ms = midnight_ms(hanoi(START_MS).date()) + 14 * 3_600_000
    world.clock.step((issued_ms + 24 * 3_600_000 - 60_000 - world.clock.utc_ms()) / 1000)
    danger_of(world, 500, table, on=hanoi(START_MS).date() + timedelta(1))  # the next day's is known at half past one
    assert len(world.feed()) == 1, "from 14:00 until 14:00 of the next day, without a hole"
    world.clock.advance(60)
    assert world.feed() == [], "it was of yesterday"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/cap/feed.atom", {}),
        ("/cap/feed.atom?key=", {}),
        (f"/cap/feed.atom?key={KEY[:-1]}", {}),
        (f"/cap/feed.atom?key={KEY}x", {}),
        ("/cap/feed.atom?key=ế", {}),
        ("/cap/feed.atom", {"Authorization": "Bearer wrong"}),
        ("/cap/feed.atom", {"Authorization": f"Basic {KEY}"}),
        ("/cap/gocche:20251123T122000-1-1.xml", {}),
        (f"/cap/gocche:20251123T122000-77-1.xml?key={KEY}", {}),
        (f"/cap/..%2f..%2fcap-key.xml?key={KEY}", {}),
        (f"/cap/1-{'9' * 400}-1.xml?key={KEY}", {}),
    ],
)
def test_without_the_key_there_is_nothing_here(world, path, headers):
    world.desk.live(FIRE)
    answer, nowhere = world.get(path, **headers), world.get("/nowhere")
    assert answer.status_code == 404
    assert answer.text == nowhere.text
    assert KEY not in answer.text


def test_the_key_may_stand_in_a_header_and_then_in_no_link(world):
    world.desk.live(FIRE)
    answer = world.get("/cap/feed.atom", Authorization=f"Bearer {KEY}")
    assert answer.status_code == 200
    assert KEY not in answer.text
    assert answer.headers["cache-control"] == "private, no-cache"


def test_a_key_that_was_changed_counts_at_once_and_one_that_is_gone_lets_nobody_in(world):
    (world.folder / "cap-key").write_text("another-key-0123456789abcdef")
    assert world.get(f"/cap/feed.atom?key={KEY}").status_code == 404
    assert world.get("/cap/feed.atom?key=another-key-0123456789abcdef").status_code == 200
    (world.folder / "cap-key").write_text("")
    assert world.get("/cap/feed.atom?key=").status_code == 404
    (world.folder / "cap-key").unlink()
    assert world.get("/cap/feed.atom?key=another-key-0123456789abcdef").status_code == 404


def test_without_a_key_in_the_configuration_there_is_no_feed_at_all(tmp_path):
    (tmp_path / "cloud.toml").write_text("[data]\n")
    assert warnings_of(load(tmp_path / "cloud.toml"), URL, HandClock(START_MS), registry) is None


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ('sender = "canhbao@htx.example"', "", "[cap] sender"),
        ('sender = "canhbao@htx.example"', 'sender = "htx suoi"', "[cap] sender"),
        ('name_vi = "HTX chè"', 'restriction = " "', "[cap] restriction"),
        ("cap-key", "none", "[cap] key_file"),
    ],
)
def test_a_feed_that_could_not_be_true_is_refused_at_start(tmp_path, old, new, wanted):
    (tmp_path / "cap-key").write_text(KEY)
    (tmp_path / "cloud.toml").write_text(SAID.format(folder=tmp_path).replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "cloud.toml")
    assert wanted in str(caught.value)


def test_a_key_that_could_be_guessed_is_refused(tmp_path):
    (tmp_path / "cap-key").write_text("secret")
    (tmp_path / "cloud.toml").write_text(SAID.format(folder=tmp_path))
    with pytest.raises(ConfigError, match="holds only 6 characters"):
        load(tmp_path / "cloud.toml")


def test_where_alerts_have_never_run_the_feed_is_empty(tmp_path: Path):
    assert courses(tmp_path / "alerts.db", START_MS) == []
