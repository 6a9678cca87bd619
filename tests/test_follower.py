"""What alerts and pages hear beside ingest: the gateway's own words, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from cloud.stream.connection import Arrival
from cloud.stream.follower import Follower
from tests.build import EPOCH, SOIL, START_MS, packet, soil
from wire import beat
from wire.batch import Status, Unstored

if TYPE_CHECKING:
    from wire.excerpt import Excerpt

BEAT = beat.encode(beat.beat_of(Status(v=1, state="online", boot="b0" * 8, epoch=EPOCH)))
ONLINE = msgspec.json.encode(Status(v=1, state="online", epoch=EPOCH))
SPACED = msgspec.json.format(ONLINE, indent=2)
WILL = msgspec.json.encode(Status(v=1, state="offline", epoch=EPOCH))
TRICK = msgspec.json.encode({"v": 1, "state": "offline", "channels": {"c": {"state": "online"}}})


class Told:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.batches: list[Excerpt] = []
        self.who: list[tuple[str, int]] = []
        self.boots: list[tuple[str, int]] = []
        self.values: list[Unstored] = []
        self.ended: list[str] = []

    def follows(self, quantity: str) -> bool:
        return quantity != "soil_ec"

    def offer(self, batch: Excerpt, arrival_ms: int) -> None:
        self.batches.append(batch)
        self.who.append((batch.gateway, arrival_ms))

    def heard(self, gateway: str, arrival_ms: int) -> None:
        self.who.append((gateway, arrival_ms))

    def lives(self, gateway: str, boot: str, mono_ms: int) -> None:
        self.boots.append((boot, mono_ms))

    def stopped(self, gateway: str, arrival_ms: int) -> None:
        self.ended.append(gateway)

    def unstored(self, gateway: str, status: Status, arrival_ms: int) -> None:
        self.values += status.urgent


@pytest.mark.parametrize(
    ("payload", "retained", "heard"),
    [
        (ONLINE, False, True),
        (SPACED, False, True),
        (ONLINE, True, False),
        (WILL, False, False),
        (TRICK, False, False),
        (b'{"state":"online"', False, False),
        (b'"state":"online"', False, False),
    ],
)
def test_a_gateway_is_heard_when_it_says_itself_that_it_lives(payload: bytes, *, retained: bool, heard: bool) -> None:
    told = Told()
    follower = Follower(told)
    follower.step(Arrival("sg-01", "status", payload, START_MS, retained))
    assert told.who == [("sg-01", START_MS)] * heard


def test_an_order_to_stop_is_passed_on_and_is_no_sign_of_life() -> None:
    told = Told()
    stopped = msgspec.json.encode(Status(v=1, state="stopped", epoch=EPOCH))
    for retained in (False, True):
        Follower(told).step(Arrival("sg-01", "status", stopped, START_MS, retained))
    assert (told.ended, told.who) == (["sg-01"], [])


def test_a_batch_is_passed_on_and_damaged_bytes_are_not() -> None:
    told = Told()
    follower = Follower(told)
    for payload in (packet(rows=soil(2)), b"damaged"):
        follower.step(Arrival("sg-01", "up", payload, START_MS, False))
    assert [batch.n for batch in told.batches] == [2]
    followed = {("soil-1", quantity) for quantity in SOIL} - {("soil-1", "soil_ec")}
    assert set(told.batches[0].unpacked()) == followed, "what nobody follows is not decoded"
    assert told.who == [("sg-01", START_MS)]


@pytest.mark.parametrize(
    ("payload", "retained", "heard"),
    [(BEAT, False, True), (BEAT, True, False), (BEAT[:-1] + b"x", False, False), (b"", False, False)],
)
def test_a_beat_is_a_sign_of_life_unless_it_was_kept_or_damaged(payload: bytes, *, retained: bool, heard: bool) -> None:
    told = Told()
    follower = Follower(told)
    follower.step(Arrival("sg-01", "beat", payload, START_MS, retained))
    assert told.who == [("sg-01", START_MS)] * heard


def test_what_a_gateway_could_not_keep_is_passed_on_while_it_is_said_now() -> None:
    told = Told()
    follower = Follower(told)
    smoke = Unstored("smoke-1", "pm2_5", 300.0, 5)
    for retained, state in ((True, "online"), (False, "offline"), (False, "online")):
        payload = msgspec.json.encode(Status(v=1, state=state, epoch=EPOCH, urgent=[smoke]))
        follower.step(Arrival("sg-01", "status", payload, START_MS, retained))
    assert told.values == [smoke]


def test_a_batch_from_the_future_is_passed_on_because_our_clock_may_be_slow() -> None:
    told = Told()
    Follower(told).step(Arrival("sg-01", "up", packet(rows=soil(2)), START_MS - 11 * 60_000, False))
    assert [batch.n for batch in told.batches] == [2]


def test_a_boot_says_how_old_it_is() -> None:
    told = Told()
    old = Status(v=1, state="online", boot="b0" * 8, epoch=EPOCH, mono_ms=60_000)
    for kind, payload in (("beat", beat.encode(beat.beat_of(old))), ("status", msgspec.json.encode(old))):
        Follower(told).step(Arrival("sg-01", kind, payload, START_MS, False))
    assert told.boots == [("b0" * 8, 60_000)] * 2
