"""How late a step of a chain is told through restarts and clocks that are set, and how soon an answer stops it."""

from __future__ import annotations

import importlib.util
import random
import time
from typing import TYPE_CHECKING, Any

import pytest

from cloud.alerts.channels import Named, open_channels, zalo
from cloud.alerts.journal import reading
from cloud.alerts.listing import events
from cloud.clock import SystemClock
from cloud.inbox import Asker
from cloud.registry import Contact
from tests.contracts.test_channels import dumb, strange
from tests.dutyroom import DutyWorld
from tests.modem import TestModem
from tests.rules.garden import SMOKE, Bench, Post, mail_table, registry, until
from tests.test_alerts_again import FAR, nodes
from tests.test_alerts_chain import CHAIN, FIRE, PEOPLE, Desk
from tests.test_alerts_life import Kept, unhurried

if TYPE_CHECKING:
    from pathlib import Path

CHAINS, LATE_S = 24, 5.0
DUE_S = {"hamlet": 180.0, "commune": 480.0, "ranger": 900.0, "province": 1_800.0}
STOPS_S = 10.0


class Chains(Desk):
    """Fires far from each other, whose chains nobody answers; time is counted by the clock that nobody sets."""

    def __init__(self, folder: Path) -> None:
        self.kept = Kept()
        self.lit_s = dict[int, float]()  # incident: when it was suspected
        self.told_s = dict[tuple[int, str], float]()  # incident and rung: when
        super().__init__(folder, [SMOKE], None, registry=nodes({f"n{n:02}": FAR * n for n in range(CHAINS)}), **CHAIN)
        unhurried(self.alerts)
        self.step()

    def _channels(self) -> list[Named]:
        return [Named("email", "email", self.kept)]

    def light(self, number: int) -> None:
        """Let a node have burnt for as long as its rule wants."""
        now_s = (self.clock.utc_ms() - self.at(0)) / 1000
        self.send([(now_s - 300 + at_s, value) for at_s, value in FIRE], gateway=f"sg-n{number:02}")
        self.lit_s[self.alerts.incidents()[0].id] = self.clock.monotonic()

    def second(self) -> None:
        self.clock.advance(1)
        self.alerts.listening(True)
        self.step()
        rungs = {mail: rung for rung, mail in PEOPLE.items()}
        if self.kept.got:
            self.kept.got.clear()
            with reading(self.path) as db:
                query = "SELECT incident, person FROM letter JOIN about ON letter.id = letter WHERE said = 'unanswered'"
                for incident, person in db.execute(query):
                    self.told_s.setdefault((incident, rungs[person]), self.clock.monotonic())


def test_no_step_is_late_whatever_happens_to_server_and_clock(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dice, chains, restarts, jumps = random.Random(9), Chains(tmp_path), 0, 0
    try:
        while len(chains.told_s) < CHAINS * len(DUE_S):
            if len(chains.lit_s) < CHAINS and dice.random() < 0.05:
                chains.light(len(chains.lit_s))
            if dice.random() < 0.01:
                chains.restart()
                unhurried(chains.alerts)
                restarts += 1
            if dice.random() < 0.01:
                chains.clock.step(dice.choice((-86_400.0, -3_600.0, -70.0, 70.0, 3_600.0, 86_400.0)))
                jumps += 1
            chains.second()
            assert chains.clock.monotonic() < 10_000, "a chain does not come to its end"
    finally:
        chains.close()
    late_s = [told_s - chains.lit_s[one] - DUE_S[rung] for (one, rung), told_s in chains.told_s.items()]
    with capsys.disabled():
        print(
            f"\n{len(late_s)} steps of {CHAINS} chains, {restarts} restarts, {jumps} clocks set:"
            f" {min(late_s):+.0f} to {max(late_s):+.0f} s after their time (limit {LATE_S:g} s)"
        )
    assert len(late_s) == CHAINS * len(DUE_S)
    assert max(late_s) <= LATE_S
    assert min(late_s) >= -1


@pytest.mark.parametrize("way", ["page", "link", "reply"])
@pytest.mark.journey
def test_an_answer_stops_the_chain(tmp_path: Path, post: Post, way: str, capsys: pytest.CaptureFixture[str]) -> None:
    world = DutyWorld(tmp_path, post.port, clock=SystemClock())
    world.bench._settings |= CHAIN | {"again_s": 4.0}
    world.bench.restart()
    asker = Asker(tmp_path, "alerts", SystemClock())
    try:
        with world.bench.running():
            until(asker.attended)
            asker.ask("act", {"act": "drill", "place": "zone:suoi-giang", "who": "op", "by": "cli"})
            until(lambda: _letters(world))
            [(letter, code, address), *_] = _letters(world)
            began = time.monotonic()
            if way == "page":
                world.visitor("officer").post("/truc/viec", act="acknowledge", incident="1", back="0")
            elif way == "link":
                world.visitor().post(world.letter(letter), act="acknowledge", incident="1", token="")
            else:
                body = {"channel": "email", "reply": {"sender": address, "text": f"{code} 1", "key": "k"}}
                asker.ask("reply", body)
            until(lambda: "acknowledged" in world.events(1))
            took_s = time.monotonic() - began
            until(lambda: time.monotonic() > began + 6)  # beyond the time of the next step
            rows = [event for _, event, *_ in events(world.bench.path, 1)]
    finally:
        asker.close()
        world.close()
    with capsys.disabled():
        print(f"\nan answer by {way} stops the chain after {took_s:.2f} s (limit {STOPS_S:g} s)")
    assert took_s <= STOPS_S
    assert "escalated" not in rows[rows.index("acknowledged") :]


def _letters(world: DutyWorld) -> list[tuple[int, str, str]]:
    with reading(world.bench.path) as db:
        query = "SELECT id, code, address FROM letter WHERE state = 'told' AND code != '' ORDER BY id"
        return list(db.execute(query))


def test_channels_that_hang_all_at_once_delay_no_other(
    tmp_path: Path, post: Post, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each kind has a peer that takes the connection, or the commands, and says nothing: one of mail alone is well."""
    monkeypatch.setattr(zalo, "GRACE_S", 0.5)
    with strange(dumb) as dumb_port, TestModem(tmp_path) as modem:
        modem.hung = True
        bench = Hanging(tmp_path, dumb_port, str(modem.port), post.port)
        asker = Asker(tmp_path, "alerts", SystemClock())
        try:
            bench.alerts.step()
            with bench.running():
                began = time.monotonic()
                for _ in range(3):
                    asker.ask("act", {"act": "drill", "place": "zone:suoi-giang", "who": "op", "by": "cli"})
                until(lambda: len(post.mails) == 3)
                took_s = time.monotonic() - began
                carry = {name for name, one in bench.alerts._office._couriers.items() if one.busy or one.why}
        finally:
            asker.close()
            bench.close()
    with capsys.disabled():
        print(f"\nbeside {len(carry)} channels that hang, three letters leave by another within {took_s:.2f} s")
    assert carry == {one["kind"] for one in bench.hung}
    assert took_s < 5.0
    assert {who for who, _ in post.mails} == {"b@example.vn"}


class Hanging(Bench):
    """Everybody is told by a channel of their own, which hangs; one is told by mail."""

    def __init__(self, folder: Path, port: int, modem: str, mail: int) -> None:
        for name, secret in (("secret", "x"), ("url", f"json://127.0.0.1:{port}/{{to}}")):
            (folder / name).write_text(secret, encoding="ascii")
        url, secret = f"http://127.0.0.1:{port}/", str(folder / "secret")
        self.hung: list[dict[str, Any]] = [
            {"kind": "webhook", "url": url, "deadline_s": 3.0},
            {"kind": "zalo", "url": url, "token_file": secret, "poll_s": 1, "deadline_s": 3.0},
            {"kind": "sms_http", "url": url, "deadline_s": 3.0},
            {"kind": "sms_modem", "port": modem, "deadline_s": 3.0},
        ]
        if importlib.util.find_spec("apprise"):
            self.hung.append({"kind": "apprise", "url_file": str(folder / "url"), "deadline_s": 3.0})
        self.hung.append(mail_table(port) | {"name": "email", "deadline_s": 3.0})
        self._well = mail_table(mail) | {"name": "well"}
        told = [
            Contact(one["kind"], "fire-watch", addresses={one["kind"]: "+84912345678"})
            for one in self.hung
            if one["kind"] != "email"
        ]
        told += [
            Contact("H", "fire-watch", "h@example.vn"),
            Contact("B", "fire-watch", addresses={"well": "b@example.vn"}),
        ]
        super().__init__(folder, [SMOKE], None, registry=registry(contacts=told), clock=SystemClock())

    def _channels(self) -> list[Named]:
        return open_channels([*self.hung, self._well])
