"""Whatever channels, clock and restarts do: in the end everybody has been told what is so, and nothing twice."""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from cloud.alerts.channels import GiveUp, Message, Named, Retry
from cloud.alerts.intent import of_grade
from cloud.alerts.journal import Journal, reading
from cloud.alerts.rules import open_rules
from cloud.alerts.tell.office import Office
from cloud.alerts.tell.readers import Readers
from cloud.alerts.tell.route import ENDS
from cloud.registry import Contact
from tests.rules.garden import SILENT, SMOKE, HandClock, registry
from tests.test_alerts_route import incident

if TYPE_CHECKING:
    from pathlib import Path

PEOPLE = [
    Contact("Lử", "fire-watch", "lu@example.vn", addresses={"sms": "+841"}),
    Contact("Mỷ", "fire-watch", "my@example.vn"),
    Contact("Op", "operator", "op@example.vn", addresses={"sms": "+842"}),
]
RULES = open_rules([SMOKE, SILENT])
GATEWAYS, STEPS, STEP_S = 4, 150, 45.0


class Whim:
    """A channel that takes a message or not, as the dice say while `moody`."""

    deadline_s = 1.0

    def __init__(self, dice: random.Random) -> None:
        self._dice, self.moody, self.took = dice, True, list[Message]()

    def send(self, message: Message) -> None:
        mood = self._dice.random() if self.moody else 1.0
        if mood < 0.25:
            raise Retry("away", everybody=True)
        if mood < 0.4:
            raise Retry("busy")
        if mood < 0.5:
            raise GiveUp("no such user")
        self.took.append(message)

    def check(self) -> None:
        pass


class World:
    """A journal whose incidents come and go as the dice say, and the post office that tells of them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        self.clock, self.path = HandClock(), folder / "alerts.db"
        self.ways = [Whim(self.dice), Whim(self.dice)]
        self.journal = Journal(self.path)
        self.journal.db.execute("SELECT 1")
        self.newest: dict[tuple[str, str], int] = {}
        self.office = self._open()

    def _open(self) -> Office:
        named = [Named("email", "email", self.ways[0]), Named("sms", "webhook", self.ways[1])]
        rules = {rule.name: rule for rule in RULES}
        garden = registry(contacts=PEOPLE)
        beside = self.journal.beside()
        return Office(
            beside, named, Readers(garden, named), garden, rules, self.clock, lifetime_s=3_600.0, mail_late=False,
            budget=99, door=lambda _: "", folder=self.path.parent, pages="", danger=lambda _: None
        )  # fmt: skip

    def restart(self) -> None:
        self.office.close()
        self.office = self._open()

    def settle(self) -> None:
        for _ in range(1_000):
            self.office.step()
            if not self.office.busy and not self.office._wake.is_set():
                return
            assert self.office.wait(10)
        raise AssertionError("it does not come to rest")

    def change(self) -> None:
        """Let one rule on one gateway begin, end, come again or fall silent."""
        rule, gateway = self.dice.choice(RULES), f"sg-{self.dice.randrange(GATEWAYS)}"
        now_ms, number = self.clock.utc_ms(), self.newest.get((rule.name, gateway), 0)
        one = self.journal.incident(number) if number else None
        with self.journal.transaction():
            if one is None or (not one.open and self.dice.random() < 0.8):
                new = incident(0, rule=rule.name, kind=rule.kind, gateway=gateway, opened_ms=now_ms, place="")
                tell, one = "onset", self.journal.save(new)
                self.newest[rule.name, gateway] = one.id
            elif not one.open:
                tell, one = "again", self.journal.save(replace(one, ended_ms=None, closed_ms=None))
            else:
                tell = self.dice.choice(["end", "end", "end", "silent", "end_unknown"])
                if tell != "silent":
                    self.journal.save(replace(one, ended_ms=now_ms, until_ms=now_ms, closed_ms=now_ms))
            self.journal.intend(of_grade(rule.grade, one.id, tell, now_ms))  # type: ignore[arg-type]

    def told(self) -> dict[str, list[tuple[int, str]]]:
        """Return (incident, said) by person, in the order in which it was accepted."""
        query = "SELECT person, incident, said FROM letter JOIN about ON letter = letter.id WHERE state = 'told'"
        found: dict[str, list[tuple[int, str]]] = defaultdict(list)
        with reading(self.path) as db:
            for person, number, said in db.execute(f"{query} AND said != '' ORDER BY told_event"):
                found[person].append((number, said))
        return found


@pytest.mark.parametrize("seed", range(2))
def test_everybody_knows_in_the_end_what_is_so(tmp_path: Path, seed: int) -> None:
    world = World(tmp_path, seed)
    for _ in range(STEPS):
        world.clock.advance(world.dice.uniform(1.0, 2 * STEP_S))
        for _ in range(world.dice.choice([0, 0, 1, 1, 3])):
            world.change()
        if world.dice.random() < 0.02:
            world.clock._utc_ms += world.dice.choice([-86_400_000, 86_400_000, 30 * 86_400_000, -3_600_000])
        if world.dice.random() < 0.03:
            world.restart()
        world.settle()
    for way in world.ways:
        way.moody = False
    for _ in range(2):  # whoever was given up is told by what comes next
        for rule, gateway in list(world.newest):
            turn(world, rule, gateway)
        for _ in range(40):
            world.clock.advance(600.0)
            world.settle()
    world.office.close()
    told = world.told()
    for (rule, gateway), number in world.newest.items():
        now = world.journal.incident(number)
        role = next(one.role for one in RULES if one.name == rule)
        for person in (contact.email for contact in PEOPLE if contact.role == role):
            knows = [said for about, said in told[person] if about == number]
            assert (knows[-1] not in ENDS) is now.open, (rule, gateway, person, knows, now.open)
    for person, lines in told.items():
        by_incident: dict[int, list[str]] = defaultdict(list)
        for number, said in lines:
            by_incident[number].append(said)
        for number, saids in by_incident.items():
            assert all(a != b for a, b in pairwise(saids)), (person, number, saids)
    with reading(world.path) as db:
        assert db.execute("SELECT count(*) FROM intent").fetchone()[0] == 0
        assert db.execute("SELECT count(*) FROM letter WHERE state IN ('waiting', 'sending')").fetchone()[0] == 0
    ids = [message.id for way in world.ways for message in way.took]
    assert len(ids) == len(set(ids)), "no letter twice"
    world.journal.close()


def turn(world: World, rule: str, gateway: str) -> None:
    """Begin what is over, end what goes on."""
    number, now_ms = world.newest[rule, gateway], world.clock.utc_ms()
    one = world.journal.incident(number)
    opened = next(each for each in RULES if each.name == rule)
    with world.journal.transaction():
        if one.open:
            world.journal.save(replace(one, ended_ms=now_ms, until_ms=now_ms, closed_ms=now_ms))
            world.journal.intend(of_grade(opened.grade, number, "end", now_ms))
        else:
            world.journal.save(replace(one, ended_ms=None, closed_ms=None))
            world.journal.intend(of_grade(opened.grade, number, "again", now_ms))
