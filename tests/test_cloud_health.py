"""What the ingest room says a person should look at, until it is dealt with; and what makes it ill."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from cloud.clock import SystemClock
from cloud.config import load
from cloud.rooms.ingest import Ingest
from cloud.stream.connection import Arrival
from tests.build import EPOCH, START_MS, packet, soil
from tests.rules.garden import HandClock
from wire import codec

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLE = Path(__file__).parents[1] / "config" / "cloud.toml"


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Ingest]:
    config = load(SAMPLE)
    made = Ingest(
        msgspec.structs.replace(config, data=msgspec.structs.replace(config.data, path=str(tmp_path))), SystemClock()
    )
    made._store.setup()
    yield made
    made.stop()
    made.close()


def up(room: Ingest, payload: bytes) -> None:
    room._ingester.step([Arrival("sg-01", "up", payload, SystemClock().utc_ms(), retained=False)])


def test_a_copied_spool_is_to_be_looked_at(room: Ingest) -> None:
    up(room, packet(rows=soil(3)))
    assert room.health()["look_at"] == []
    up(room, packet(rows=soil(3), start_ms=START_MS + 600_000))
    room._bookkeeper.step()  # the ledger tells, at the next turn of the books
    assert room.health()["look_at"] == ["clones"]


def test_what_is_quarantined_is_to_be_looked_at_until_it_is_stored(room: Ingest) -> None:
    envelope = msgspec.msgpack.decode(codec._open(packet(rows=soil(3))))
    envelope[0] = 2
    up(room, codec._seal(msgspec.msgpack.encode(envelope)))
    assert room.health()["look_at"] == ["quarantined"]
    (case,) = room._quarantine.cases()
    assert case.epoch == EPOCH
    room._quarantine.release([case.id])
    assert room.health()["look_at"] == []
    up(room, b"damaged")
    assert room.health()["look_at"] == [], "anybody can send that"


def test_without_a_broker_it_is_ill(room: Ingest) -> None:
    assert room.health()["why"] == "broker: not connected yet"


def test_a_store_that_hangs_is_told_within_seconds_and_since_when(tmp_path: Path) -> None:
    """It looked well for 20 s: its health asked the store too, and waited as long."""
    config, clock, stop = load(SAMPLE), HandClock(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as hung:
        table = {"engine": "influx", "url": f"http://127.0.0.1:{hung.getsockname()[1]}"}
        data = msgspec.structs.replace(config.data, path=str(tmp_path))
        room = Ingest(msgspec.structs.replace(config, data=data, store=table), clock)
        loops = [threading.Thread(target=room.loops[name], args=(stop,)) for name in ("ingest", "store")]
        for loop in loops:
            loop.start()
        asked = [hung.accept()[0] for _ in loops]
        assert "under way" not in room.health()["why"]
        clock.advance(4)
        assert "the store does not answer: its preparation has been under way for 4 s" in room.health()["why"]
        room._ingester.prepared.set()
        clock.advance(4)
        assert "a write has been under way for 8 s" in room.health()["why"]
        stop.set()
        for connection in asked:
            connection.close()
    for loop in loops:
        loop.join(10)
        assert not loop.is_alive()
    room.close()
