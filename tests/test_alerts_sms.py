"""From smoke at a sensor to a telephone and back: the alerts room, its outbox, and a modem on a pseudo-terminal."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from at import alphabet
from cloud.alerts.channels import Listening, Named, Receipt, Reply, open_channels
from cloud.alerts.tell.readers import Readers
from cloud.registry import Contact
from tests.modem import TestModem, deliver
from tests.rules.garden import SMOKE, Bench, registry, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NUMBER = "+84912345678"
FIRE = [(60.0 * n, 80.0) for n in range(6)]
CALM = [(360.0 + 60.0 * n, 10.0) for n in range(6)]
LU = Contact("Lử", "fire-watch", "", addresses={"sms": "0912 345 678".replace(" ", "")})


class Room(Bench):
    """A bench that tells by a modem."""

    def __init__(self, folder: Path, channels: list[Named]) -> None:
        self.named = channels
        super().__init__(folder, [SMOKE], None, registry=registry(contacts=[LU]))

    def _channels(self) -> list[Named]:
        return self.named


@pytest.fixture
def modem(tmp_path: Path) -> Iterator[TestModem]:
    with TestModem(tmp_path) as one:
        yield one


@pytest.fixture
def named(modem: TestModem) -> list[Named]:
    return open_channels([{"kind": "sms_modem", "name": "sms", "port": str(modem.port), "deadline_s": 10.0}])


@pytest.fixture
def room(tmp_path: Path, named: list[Named]) -> Iterator[Room]:
    made = Room(tmp_path, named)
    yield made
    made.close()


def test_smoke_reaches_a_telephone_in_one_message_and_its_answer_is_heard(
    modem: TestModem, named: list[Named], room: Room
) -> None:
    channel, heard, stop = named[0].channel, [], threading.Event()
    assert isinstance(channel, Listening)
    listener = threading.Thread(target=channel.listen, args=(heard.append, stop))
    listener.start()
    try:
        room.live(FIRE)
        ((to, text, read),) = modem.sent
        assert to == NUMBER
        assert read["dcs"]["encoding"] == "gsm"
        assert len(alphabet.septets(text)) <= 160
        assert alphabet.plain(text) == text
        assert "7K3MQ2" in text
        modem.receive(deliver(NUMBER, "1"))
        until(lambda: len(heard) == 2)
        assert any(isinstance(one, Receipt) and one.ok for one in heard)
        (reply,) = [one for one in heard if isinstance(one, Reply)]
        assert (reply.sender, reply.text) == (NUMBER, "1")
        until(lambda: not modem.sim)
        room.live(CALM)
        assert len(modem.sent) == 2
    finally:
        stop.set()
        listener.join(20.0)
    assert not listener.is_alive()
    assert room.events().count("told") == 2


@pytest.mark.parametrize("written", ["0912345678", "+84912345678", "84912345678", "0912.345.678"])
def test_whoever_answers_is_known_however_the_registry_spells_their_number(written: str, named: list[Named]) -> None:
    garden = registry(contacts=[Contact("Lử", "fire-watch", "", addresses={"sms": written})])
    readers = Readers(garden, named)
    assert [one.person for one in readers.at("sms", NUMBER)] == ["Lử (fire-watch)"]
    assert readers.at("sms", "+84987654321") == readers.at("zalo", NUMBER) == readers.at("sms", "VIETTEL") == []


def test_smoke_waits_for_a_modem_that_is_away_and_is_told_once(modem: TestModem, room: Room) -> None:
    modem.unplug()
    room.live(FIRE)
    assert modem.sent == []
    modem.plug()
    room.idle(180.0)
    assert len(modem.sent) == 1
    room.restart()
    room.idle(60.0)
    assert len(modem.sent) == 1
