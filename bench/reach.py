"""Twenty people of one level: from the sample that completes a suspicion until each channel has taken its last letter.

The alerts room with its journal on disk, a fire watch of twenty people a channel, and peers that take as long as such
peers do: a mail server, Zalo and a provider a second each, a modem's network four and a half (believed: 3 to 6 s a
message). All channels work at the same time; each carries one letter at a time.
"""

from __future__ import annotations

import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import report
from cloud.alerts.channels import open_channels
from cloud.clock import SystemClock
from cloud.registry import Contact
from tests import told
from tests.modem import TestModem
from tests.rules.garden import SMOKE, START_MS, Bench, Hook, Post, mail_table, registry, serving, until
from tests.servers import free_port

if TYPE_CHECKING:
    from cloud.alerts.channels import Named

NAME = "reach"
TITLE = "Twenty people of one level, from the sample that completes a suspicion to the last of them"
PEOPLE = 20
LIMITS_S = {"email": 60.0, "zalo": 60.0, "webhook": 60.0, "sms": 120.0}
TAKES_S = {"email": 1.0, "zalo": 1.0, "webhook": 1.0, "sms": 4.5}
QUICK = 0.02  # of these, where figures mean little
FIRE = [(-60.0 * minute, 90.0) for minute in range(6, -1, -1)]


class Since(SystemClock):
    """The machine's clock, dated to when the sample's garden is."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()

    def utc_ms(self) -> int:
        """Return a time on the garden's day."""
        return START_MS + round(1000 * (time.monotonic() - self._began_s))


class Room(Bench):
    """The alerts room with these channels."""

    named: list[Named]

    def _channels(self) -> list[Named]:
        return self.named


def run(*, quick: bool = False) -> str:
    """Return the table. Raises AssertionError where somebody is not told."""
    factor = QUICK if quick else 1.0
    takes = {name: factor * seconds for name, seconds in TAKES_S.items()}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gocche-bench-")))
        at: dict[str, list[float]] = {name: [] for name in takes}
        tables = _peers(stack, folder, takes, at)
        room = _room(folder, tables)
        stack.callback(room.close)
        with room.running():
            until(lambda: all(courier.well_once for courier in room.alerts._office._couriers.values()), 60.0)
            began_s = time.monotonic()
            room.send(FIRE, step=False)
            until(lambda: all(len(times) == PEOPLE for times in at.values()), 300.0)
    rows = [
        (
            name,
            f"{takes[name]:g}",
            report.figure(min(times) - began_s),
            report.figure(max(times) - began_s),
            f"{LIMITS_S[name]:g}",
        )
        for name, times in at.items()
    ]
    return report.table((f"{PEOPLE} people by", "its peer takes, s", "first, s", "last, s", "limit, s"), rows)


def _peers(stack: ExitStack, folder: Path, takes: dict[str, float], at: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Have a peer of each kind take letters, slowly, and note when; return the tables of their channels."""

    def slowly(name: str) -> None:
        threading.Event().wait(takes[name])
        at[name].append(time.monotonic())

    class Mails(Post):
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd calls it so
            slowly("email")
            return await super().handle_DATA(server, session, envelope)

    class Chats(told.Zalo):
        def _send(self, asked: dict[str, Any]) -> tuple[int, bytes]:
            self.chats.add(asked["chat_id"])
            slowly("zalo")
            return super()._send(asked)

    class Posts(list[Any]):
        def append(self, got: Any) -> None:
            slowly("webhook")
            super().append(got)

    class Texts(TestModem):
        def _send(self, text: str, announced: int) -> None:
            super()._send(text, announced)
            at["sms"].append(time.monotonic() + self.take_s)

    post = stack.enter_context(serving(Mails(free_port())))
    zalo, hook, modem = (stack.enter_context(one) for one in (Chats(), Hook(), Texts(folder)))
    hook.got, modem.take_s = Posts(), takes["sms"]
    (folder / "token").write_text(told.TOKEN, encoding="ascii")
    return [
        mail_table(post.port) | {"deadline_s": 20.0},
        {"kind": "zalo", "url": f"http://127.0.0.1:{zalo.port}", "token_file": str(folder / "token"), "poll_s": 1},
        {"kind": "webhook", "url": hook.url},
        {"kind": "sms_modem", "name": "sms", "port": str(modem.port)},
    ]


def _room(folder: Path, tables: list[dict[str, Any]]) -> Room:
    contacts = [
        Contact(f"{name} {number}", "fire-watch", *_address(name, number))
        for name in TAKES_S
        for number in range(PEOPLE)
    ]
    Room.named = open_channels(tables)
    return Room(folder, [SMOKE], None, clock=Since(), registry=registry(contacts=contacts))


def _address(name: str, number: int) -> tuple[Any, ...]:
    """Return what a Contact has beyond its role: mail, language, addresses."""
    if name == "email":
        return (f"p{number}@example.vn",)
    return "", "vi", {name: f"+8491234{5_000 + number}" if name == "sms" else f"{name}-{number}"}
