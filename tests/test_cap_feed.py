"""The CAP feed of the staff room: what the journal holds, for whoever shows the key, from suspicion to closing."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest
from capvalidator import check_schema

from cloud.cap.course import LASTS_MS
from cloud.cap.judge import NAMESPACE, check
from cloud.clock import hanoi, midnight_ms
from cloud.config import ConfigError, load
from cloud.danger.book import NAME as DANGER
from cloud.danger.book import Book as Danger
from cloud.danger.course import Carried, Day, Inputs
from cloud.registry.kinds import DangerTable
from cloud.rooms.cap import courses, warnings_of
from cloud.staff.app import build
from tests.rules.garden import SMOKE, START_MS, HandClock, bound, registry
from tests.staffroom import URL, StaffWorld
from tests.test_alerts_chain import CALM, CHAIN, FIRE, Desk, roster
from tests.test_alerts_rain import RAIN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "a-key-that-nobody-guesses-0123456789"
CAP, ATOM = f"{{{NAMESPACE}}}", "{http://www.w3.org/2005/Atom}"
SAID = """
[data]
path = "{folder}"
[cap]
key_file = "{folder}/cap-key"
sender = "canhbao@htx.example"
name_vi = "HTX chè"
name_en = "Tea cooperative"
"""


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
        self.app, gate = build(self.staff.staff, warnings_of(config, URL, self.clock, lambda: self.law))
        self._gates = [self.staff.gate, gate]

    def get(self, path: str, **headers: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=URL, headers=headers) as client:
                return await client.get(path)

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
            assert found[-1].findtext(f"{CAP}identifier") == entry.findtext(f"{ATOM}id")
        return found

    def close(self) -> None:
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
    assert "80 " in first.find(f"{CAP}info").findtext(f"{CAP}description"), "what was measured"
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
    for name in names:  # every message stays at its address while anybody may refer to it
        answer = world.get(f"/cap/{name}.xml?key={KEY}")
        assert ET.fromstring(answer.content).findtext(f"{CAP}identifier") == name
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
    world.desk.live(CALM)
    (message,) = world.feed()
    assert said(message) == ("Update", "Unknown", "AllClear")
    name = message.findtext(f"{CAP}identifier")
    assert world.get(f"/cap/{name}.xml?key={KEY}").status_code == 200


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
    table = DangerTable(decision="QĐ 1/2026", place="zone", code="suoi-giang", valid_from=hanoi(START_MS).date(),
                        up_to_1=1_000, up_to_2=2_500, up_to_3=5_000, up_to_4=10_000)  # fmt: skip
    danger_of(world, 12_000)
    world.clock.advance(2 * 3_600)
    assert world.feed() == [], "no level without law"
    for p, wanted in ((4_000, []), (5_001, ["Moderate"]), (10_001, ["Severe"])):
        danger_of(world, p, table)
        found = world.feed()
        assert [one.find(f"{CAP}info").findtext(f"{CAP}severity") for one in found] == wanted
    assert said(found[0]) == ("Alert", "Likely", "Avoid")
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
    assert answer.headers["cache-control"] == "no-store"


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
