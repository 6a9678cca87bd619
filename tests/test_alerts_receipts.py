"""What the page of an incident is given of each letter: accepted, delivered, failed after all, or never known."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from cloud.alerts.channels import open_channels
from cloud.alerts.journal import reading
from cloud.alerts.watching import Watching
from cloud.inbox import Asker
from cloud.registry import Contact
from cloud.rooms.hooks import Hooks
from tests import told
from tests.modem import TestModem
from tests.rules.garden import SMOKE, Bench, Hook, registry, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloud.alerts.channels import Named

FIRE = [(60.0 * n, 80.0) for n in range(6)]
NUMBER = "+84912345678"


class Room(Bench):
    """A bench that tells one person by these channels, the first before the others."""

    def __init__(self, folder: Path, tables: list[dict[str, Any]]) -> None:
        self.named: list[Named] = open_channels(tables)
        contact = Contact("Lử", "fire-watch", "", addresses={one.name: NUMBER for one in self.named})
        super().__init__(folder, [SMOKE], None, registry=registry(contacts=[contact]))

    def _channels(self) -> list[Named]:
        return self.named

    def shown(self) -> dict[str, tuple[str, str]]:
        """Return (state, receipt) of the letters, by channel: what the page is given."""
        self.step()
        story = Watching(self.path).story(1, 100)
        return {one.channel: (one.state, one.receipt) for one in story.letters} if story else {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        stop = threading.Event()
        ear = threading.Thread(target=self.alerts.loops["hear-sms"], args=(stop,))
        ear.start()
        try:
            yield
        finally:
            stop.set()
            ear.join(20.0)
            assert not ear.is_alive()


@pytest.fixture
def modem(tmp_path: Path) -> Iterator[TestModem]:
    with TestModem(tmp_path) as one:
        yield one


@contextmanager
def by_modem(folder: Path, modem: TestModem, **more: Any) -> Iterator[Room]:
    sms = {"kind": "sms_modem", "name": "sms", "port": str(modem.port), "deadline_s": 10.0}
    with Hook() as hook:
        room = Room(folder, [sms | more, {"kind": "webhook", "url": hook.url}])
        try:
            yield room
        finally:
            room.close()


@pytest.mark.parametrize(
    ("statuses", "sms", "others"),
    [
        ((0,), ("told", "delivered: the telephone has it"), False),
        ((None,), ("told", ""), False),
        ((0x30,), ("told", ""), False),
        ((0x46,), ("given up", "failed: it was not reached in time (status 70)"), True),
        ((0, 0, 0x46, 0), ("given up", "failed: it was not reached in time (status 70)"), True),
        ((0x46, 0, 0, 0), ("given up", "failed: it was not reached in time (status 70)"), True),
        ((0, 0, 0, 0), ("told", "delivered: the telephone has it"), False),
        ((0, None, 0, 0), ("told", ""), False),
    ],
)
def test_what_a_modem_says_of_a_letter_of_one_part_or_four(
    tmp_path: Path, modem: TestModem, statuses: tuple[int | None, ...], sms: tuple[str, str], others: bool
) -> None:
    """One part that fails makes the letter fail, whatever the others do; then another way is taken."""
    reports, send = list(statuses), modem._send

    def each(text: str, announced: int) -> None:
        modem.arrive = reports.pop(0)
        send(text, announced)

    modem._send = each  # type: ignore[method-assign]
    with by_modem(tmp_path, modem, **({} if len(statuses) == 1 else {"says": "plain"})) as room:
        room.live(FIRE)
        assert len(modem.sent) == len(statuses)
        with room.listening():
            until(lambda: room.shown()["sms"] == sms and not modem._due)
            room.step()
        assert room.shown()["sms"] == sms
        assert ("webhook" in room.shown()) is others


def test_a_failure_that_is_known_before_the_letter_was_noted_as_accepted_is_no_delivery(
    tmp_path: Path, modem: TestModem
) -> None:
    """The modem accepted it after the deadline, and its report came before the letter was tried again."""
    room = Room(tmp_path, [{"kind": "sms_modem", "name": "sms", "port": str(modem.port), "deadline_s": 10.0}])
    try:
        modem.registered = "2"
        room.live(FIRE)
        with reading(room.path) as db:
            (name,) = db.execute("SELECT name FROM letter").fetchone()
        asker = Asker(tmp_path, "alerts", room.clock)
        asker.ask("receipt", {"channel": "sms", "receipt": {"message": name, "ok": False, "words": "not reached"}})
        asker.close()
        modem.registered = "1"
        room.idle(90, 5)
        assert room.shown()["sms"] == ("given up", "failed: not reached")
    finally:
        room.close()


def test_what_a_phone_posts_of_a_letter(tmp_path: Path) -> None:
    for name, secret in (("password", told.PASSWORD), ("secret", told.SECRET)):
        (tmp_path / name).write_text(secret)
    with told.Phone() as phone, Hook() as hook:
        files = {"password_file": str(tmp_path / "password"), "secret_file": str(tmp_path / "secret")}
        url = f"http://127.0.0.1:{phone.port}/messages"
        sms = {"kind": "sms_http", "name": "sms", "url": url, "user": told.USER} | files
        room = Room(tmp_path, [sms, {"kind": "webhook", "url": hook.url}])
        asker = Asker(tmp_path, "alerts", room.clock)
        hooks = Hooks(lambda: room.named, asker)
        try:
            room.live(FIRE)
            assert room.shown() == {"sms": ("told", "")}, "accepted: nobody knows more"
            (sent,) = phone.got
            assert hooks.posted("sms", *phone.posts("sms:delivered", {"messageId": sent["id"]})) == "taken"
            assert room.shown() == {"sms": ("told", "delivered")}
            room.idle(3_600, 600)
            assert (
                hooks.posted("sms", *phone.posts("sms:failed", {"messageId": sent["id"], "reason": "no credit"}))
                == "taken"
            )
            assert room.shown()["sms"] == ("given up", "failed: no credit")
        finally:
            asker.close()
            room.close()
