"""Random lives of incidents: sensors, people, silences, restarts and clocks in any order; what must hold, holds.

Places are a village of three trees within a kilometre and a half, and two further away. A channel keeps what it is
given; everything else is the alerts room as it runs, with its journal and its inbox.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from cloud.alerts.channels import Message, Named
from cloud.alerts.incident import CLOSINGS
from cloud.alerts.journal import read_incidents, reading
from cloud.inbox import Asker
from tests.rules.garden import SMOKE
from tests.test_alerts_again import nodes
from tests.test_alerts_chain import CHAIN, Desk

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.registry import Registry

SEEDS, STEPS = range(8), 90
SPOTS = {"T1": 0.0, "T2": 0.006, "T3": 0.012, "T4": 0.06, "T5": 0.12}  # degrees north of the first: 0.012 is 1.3 km
RULE = SMOKE | {"persist_s": 60, "clear_s": 60}
ACTS = (
    "acknowledge",
    "comment",
    "assign",
    "escalate",
    "confirm",
    "control",
    "relabel",
    *("close", "merge", "split") * 2,
)
CLOSED = ("false", "closed")
ONCE = ("onset", "probable", "confirmed", "controlled", "false", "closed")
ANEW = {
    "confirmed": (*CLOSED, "controlled"),  # it burns again
    "controlled": (*CLOSED, "confirmed"),
    "false": ("confirmed",),
    "closed": ("confirmed",),
}


def unhurried(alerts: Any) -> None:
    """Let a journal not wait for the disk: what is tried is what it decides, not what a power cut leaves of it."""
    alerts._journal.db.execute("PRAGMA synchronous=OFF")


class Kept:
    """A channel that keeps what it is given."""

    deadline_s = 5.0

    def __init__(self) -> None:
        self.got: list[Message] = []

    def send(self, message: Message) -> None:
        self.got.append(message)

    def check(self) -> None:
        pass


class Life(Desk):
    """A room with five nodes, and people who do anything."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.kept, self.dice = Kept(), random.Random(seed)
        super().__init__(folder, [RULE], None, registry=village(), **(CHAIN | {"quiet_s": 1_800.0 * (seed % 2)}))
        self.smoke = dict.fromkeys(SPOTS, False)
        self.held = {name: list[tuple[float, float]]() for name in SPOTS}
        self.holds = ""
        self.journal = list[Any]()
        self.seen = dict[int, tuple[str, str]]()
        self.closed = dict[int, int]()  # by a person → the newest event then
        self.said = list[str]()
        unhurried(self.alerts)
        self.alerts.listening(True)
        self.step()

    def _channels(self) -> list[Named]:
        return [Named("email", "email", self.kept)]

    def one(self) -> None:
        """Let one thing happen, and time pass."""
        weights = {
            self.turn: 6,
            self.act: 8,
            self.reply: 2,
            self.silence: 1,
            self.raised: 1,
            self.again: 1,
            self.hold: 2,
        }
        weights |= {self.jump: 1, self.restarted: 1, self.gone: 1}
        does = self.dice.choices(list(weights), list(weights.values()))[0]
        self.said.append(f"{does.__name__} {does()}")
        for _ in range(self.dice.choice((1, 1, 2, 4, 20))):
            self.minute()
        with reading(self.path) as db:
            whole = db.execute("SELECT * FROM journal ORDER BY id").fetchall()
        assert whole == self.journal, "the journal is append-only"

    def minute(self) -> None:
        """A minute of every node: what one holds back comes later, the newest first."""
        self.clock.advance(60)
        at_s = (self.clock.utc_ms() - self.at(0)) / 1000
        for name, burns in self.smoke.items():
            self.held[name].append((at_s, 90.0 if burns else 5.0))
            if name != self.holds:
                self.bring(name)
        self.step()
        self.look()

    def bring(self, name: str) -> None:
        while self.held[name]:
            self.send(self.held[name][-3:], gateway=f"sg-{name}", step=False)
            del self.held[name][-3:]

    def hold(self) -> str:
        """A node's link is gone for a while, or one that was gone is back."""
        self.holds = "" if self.holds else self.dice.choice(list(SPOTS))
        return self.holds

    def turn(self) -> str:
        name = self.dice.choice(list(SPOTS))
        self.smoke[name] = not self.smoke[name]
        return name

    def act(self) -> Any:
        number = self.dice.randint(1, max(1, len(self.seen)))
        what = self.dice.choice(ACTS)
        more: dict[str, Any] = {"incident": number, "words": "x", "to": "d2", "place_vi": "Nương"}
        if what == "close":
            more["closed_as"] = self.dice.choice(CLOSINGS)
        if what == "merge":
            more["into"] = self.dice.randint(1, max(1, len(self.seen)))
        if what == "split":
            own = [one.id for one in self.incidents() if one.part_of == self.by_number(number).head] or [1]
            more["parts"] = self.dice.sample(own, self.dice.randint(1, min(2, len(own))))
        return what, more, self.ask(what, f"d{self.dice.randint(0, 3)}", **more)

    def reply(self) -> Any:
        with reading(self.path) as db:
            letters = db.execute(
                "SELECT code, address FROM letter WHERE code != '' ORDER BY id DESC LIMIT 9"
            ).fetchall()
        if not letters:
            return None
        code, address = self.dice.choice(letters)
        key = f"k{self.dice.randint(0, 30)}"
        if self.dice.random() < 0.4:
            before = self.state()
            outcome = super().reply(f"{code} bếp", "stranger@example.vn", f"s{key}")
            assert self.state() == before, "a stranger's reply changes nothing"
            return outcome
        return super().reply(f"{code} {self.dice.choice(['1', 'bếp', 'cháy thật', 'đang đi'])}", address, key)

    def silence(self) -> Any:
        until_ms = self.clock.utc_ms() + self.dice.randint(60, 3_000) * 1000
        scope = self.dice.choice(["*", "tree:T1", "gateway:sg-T4"])
        return self.ask("silence", scope=scope, words="x", until_ms=until_ms)

    def raised(self) -> Any:
        live = [one for one in self.incidents() if one.lives and one.open]
        if not live:
            return None
        one = self.dice.choice(live)
        with self.alerts._journal.transaction():
            self.alerts._desk.raise_to(one, "probable", "60 °C", self.clock.utc_ms())
        return one.id

    def again(self) -> Any:
        """A question that was answered is taken once more, as after a crash."""
        asker = Asker(self.path.parent, "alerts", self.clock)
        before = self.state()
        try:
            with asker._file().changing() as db:
                db.execute("UPDATE question SET done_ms = NULL WHERE kind = 'act'")
            self.alerts._answering.serve()
        finally:
            asker.close()
        assert self.state() == before, "what was done is not done again"

    def jump(self) -> Any:
        by_s = self.dice.choice((-3_600.0, -90.0, 90.0, 3_600.0))
        self.clock.step(by_s)
        return by_s

    def restarted(self) -> None:
        self.restart()
        unhurried(self.alerts)
        self.alerts.listening(True)

    def gone(self) -> None:
        """A quiet hour."""
        self.smoke = dict.fromkeys(SPOTS, False)
        for _ in range(60):
            self.minute()

    def incidents(self) -> list[Any]:
        return read_incidents(self.path, 10_000)

    def by_number(self, number: int) -> Any:
        return next((one for one in self.incidents() if one.id == number), self.incidents()[-1] if self.seen else _NONE)

    def state(self) -> Any:
        with reading(self.path) as db:
            rows = db.execute("SELECT * FROM step ORDER BY incident").fetchall()
        return [repr(one) for one in self.incidents()], rows, len(self.kept.got)

    def look(self) -> None:
        """Check what must hold at any time."""
        found = {one.id: one for one in self.incidents()}
        with reading(self.path) as db:
            last = self.journal[-1][0] if self.journal else 0
            self.journal += db.execute("SELECT * FROM journal WHERE id > ? ORDER BY id", (last,)).fetchall()
            steps = dict(db.execute("SELECT incident, rung FROM step").fetchall())
            told = db.execute(
                "SELECT person, incident, said, told_event FROM about JOIN letter ON letter.id = letter"
                " WHERE state = 'told' ORDER BY told_event, letter.id"
            ).fetchall()
            waits = {
                n
                for (n,) in db.execute("SELECT incident FROM about JOIN letter ON id = letter WHERE state = 'waiting'")
            }
            waits |= {n for (n,) in db.execute("SELECT incident FROM intent")}
        journal = self.journal
        series = {number: (one.gateway, one.channel) for number, one in found.items()}
        assert self.seen.items() <= series.items(), "every series stays"
        self.seen = series
        for one in found.values():
            head = found[one.head]
            assert head.part_of is None, f"part {one.id} points to part {head.id}"
            assert one.part_of != one.id
            if one.lives and one.open:
                assert head.going or head.closed_by, f"{one.id} goes on, and its head {head.id} is closed by itself"
            if one.closed_by and one.id not in self.closed and one.part_of is None:
                self.closed[one.id] = journal[-1][0]
            if one.going:  # somebody says that it burns after all
                self.closed.pop(one.id, None)
        blind = {number for _, _, number, event, *_ in journal if event == "blind"}
        split = {number for _, _, number, event, *_ in journal if event == "split"}  # known to who has done it
        heads = [one for one in found.values() if one.lives and one.part_of is None]
        for head in heads:
            if not head.going:
                continue
            own = [one for one in found.values() if one.head == head.id]
            assert head.id in steps or head.stage == "under-control", f"nobody would be asked about {head.id}"
            if head.id not in split and (not head.muted or head.stage != "suspected"):
                assert head.id in waits or any(n == head.id for _, n, *_ in told), f"nobody was told of {head.id}"
            if head.stage == "suspected":
                assert any(one.open for one in own) or head.id in blind, f"{head.id} is over and not closed"
            elif head.id not in split:
                assert any(n == head.id and said != "onset" for _, n, said, _ in told), f"{head.id} not as it is"
        for number in steps:
            assert found[number].part_of is None, f"the part {number} asks for itself"
        self._check_told(told, found)
        health = self.alerts.health()
        assert (health["faults"], health["acts_fault"]) == (0, "")

    def _check_told(self, told: list[Any], found: dict[int, Any]) -> None:
        knows: dict[tuple[str, int], list[str]] = {}
        for person, number, said, event in told:
            before = knows.setdefault((person, number), [])
            if said in ONCE:
                over = ("end", "end_unknown", *ANEW.get(said, CLOSED))  # from there on anew
                since = before[max((at for at, one in enumerate(before) if one in over), default=-1) + 1 :]
                assert said not in since, f"{person} is told {said!r} of {number} twice: {before}"
            before.append(said)
            if number in self.closed and event > self.closed[number]:
                assert said in CLOSED, f"{number} was closed by a person, and says {said!r}"


_NONE = type("none", (), {"head": 0})


def village() -> Registry:
    return nodes(SPOTS)


@pytest.mark.parametrize("seed", [*SEEDS[:1], *(pytest.param(one, marks=pytest.mark.journey) for one in SEEDS[1:])])
def test_whatever_happens_incidents_keep_their_promises(tmp_path: Path, seed: int) -> None:
    life = Life(tmp_path, seed)
    try:
        for _ in range(STEPS):
            life.one()
    except AssertionError as wrong:
        wrong.add_note("\n".join(life.said[-12:]))
        raise
    finally:
        life.close()
