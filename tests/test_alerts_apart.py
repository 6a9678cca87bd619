"""One letter, or one part of the post office, that fails: it is set aside with words, and what burns is told."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from cloud.alerts.tell import bulletins, resting
from cloud.registry import Registry
from cloud.registry.kinds import Person
from tests.danger.test_daily import FIRST, Room, World, day, garden, hooked
from tests.rules.garden import SMOKE, Bench, Hook, Post, registry
from tests.test_alerts_chain import FIRE

if TYPE_CHECKING:
    from pathlib import Path

INTENT = (
    "INSERT INTO intent (at_ms, incident, tell, grade, due_s, fresh_s, rung) VALUES (0, {}, 'onset', '{}', 0, 0, 0)"
)
GUARD = Person(code="lu", name="Lử", addresses={"sms": "+84900"}, roles=("fire-watch",))
BOTH = Person(code="a", name="A", addresses={"zalo": "a", "sms": "+841"}, ways={"danger": ("zalo", "sms")})


def smoke(room: Room) -> None:
    """Let it smoke now."""
    began_s = (room.clock.utc_ms() - room.at(0)) / 1000
    room.live([(began_s + at_s, value) for at_s, value in FIRE])


def posted(world: World) -> None:
    """Make the bulletin of the day, at 14:00."""
    world.book.put([day(6_000, FIRST), day(400, FIRST, "z02")])
    world.look(FIRST, 14.0)


def alarms(hook: Hook) -> list[str]:
    return [message["to"] for _, message in hook.got if message["level"] == "life"]


@pytest.mark.parametrize("answer", [503, 422])  # away, or it refuses for good
def test_a_bulletin_that_its_first_channel_does_not_take_goes_by_the_second_and_smoke_is_told(
    tmp_path: Path, hook: Hook, answer: int
) -> None:
    with Hook() as zalo:
        zalo.answer = answer
        world = World(tmp_path, garden(GUARD, BOTH))
        room = Room(world, [*hooked(zalo, "zalo"), *hooked(hook, "sms")])
        posted(world)
        room.idle(3_610, 10)
        assert [message["to"] for _, message in hook.got] == ["+841"], "the second that they named"
        smoke(room)
        assert alarms(hook) == ["+84900"]
        assert room.alerts.health()["post_faults"] == 0
        room.close()
        world.close()


@pytest.mark.parametrize("part", ["letter", "_zones"])  # when it leaves, or when it is written
def test_smoke_is_told_whatever_fails_about_a_bulletin(
    tmp_path: Path, hook: Hook, part: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(*_: Any) -> Any:
        raise KeyError("a word that is not there")

    world = World(tmp_path, garden(GUARD, BOTH))
    room = Room(world, [*hooked(hook, "zalo"), *hooked(hook, "sms")])
    monkeypatch.setattr(bulletins, part, wrong)
    posted(world)
    room.idle(60, 10)
    smoke(room)
    assert alarms(hook) == ["+84900"]
    health = room.alerts.health()
    assert health["post_faults"] > 0
    assert health["waiting"] == 0
    if part == "letter":
        with closing(sqlite3.connect(room.path)) as db:
            rows = db.execute("SELECT state, words FROM letter WHERE level = 3").fetchall()
        assert [state for state, _ in rows] == ["given up", "given up"], "by the one channel, and the other"
        assert all("a word that is not there" in words for _, words in rows)
    assert sum("post-failed at='the bulletin of the day'" in line for line in caplog.messages) == (part == "_zones")
    room.close()
    world.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE letter SET lang = x'00' WHERE id = 1",
        "UPDATE letter SET level = 9 WHERE id = 1",
        "UPDATE letter SET says = 'no json' WHERE id = 1",
        "UPDATE letter SET level = 3, grp = 'danger' WHERE id = 1",
        "UPDATE about SET incident = 999 WHERE letter = 1",
        "UPDATE letter SET state = 'undelivered', level = 9 WHERE id = 1",
        INTENT.format(999, "life"),
        INTENT.format(1, "lies"),
    ],
)
def test_a_row_that_is_damaged_holds_up_no_other(
    tmp_path: Path, post: Post, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The first letter of two waits, and is damaged while the server is down."""
    people = [Person(code=f"p{n}", name=f"P{n}", email=f"p{n}@example.vn", roles=("fire-watch",)) for n in range(3)]
    bench = Bench(tmp_path, [SMOKE], post.port, registry=Registry({**registry()._records, "person": people}))
    post.refuse = {person.email: "450 busy" for person in people}
    bench.live(FIRE)
    assert post.mails == []
    bench.alerts.close()
    with closing(sqlite3.connect(bench.path)) as db:
        assert db.execute(damage).rowcount == 1
        db.commit()
    post.refuse.clear()
    bench.alerts = bench._build()
    bench.idle(120, 5)
    told = {who for who, _ in post.mails}
    assert told >= {"p1@example.vn", "p2@example.vn"}
    health = bench.alerts.health()
    assert (health["waiting"], health["untold"]) == (0, 0)
    assert sum("post-failed" in line or "letter-damaged" in line for line in caplog.messages) in range(1, 6)
    bench.close()


def test_who_cannot_be_let_rest_is_told(tmp_path: Path, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: Any) -> Any:
        raise ZeroDivisionError

    bench = Bench(tmp_path, [SMOKE], post.port)
    monkeypatch.setattr(resting, "rests_until_ms", wrong)
    bench.live(FIRE)
    assert len(post.mails) == 1
    bench.close()
