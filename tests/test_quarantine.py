"""`gocche quarantine --retry`: what was kept is stored under its old identity, or stays with a true sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from cloud.config import load
from cloud.ingest.quarantine import Kept
from cloud.store import open_store
from gocche import audit
from tests.build import EPOCH, SOIL, START_MS, packet, soil
from tests.test_ingest import NOW, Picky, Room
from wire import codec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloud.config import CloudConfig


@pytest.fixture
def config(tmp_path: Path) -> CloudConfig:
    (tmp_path / "cloud.toml").write_text(f'[data]\npath = "{tmp_path}"\n')
    return load(tmp_path / "cloud.toml")


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.close()


def retry(config: CloudConfig, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert audit.quarantine(config, retry=True) == 0
    return [line.rpartition(" · ")[2] for line in capsys.readouterr().out.splitlines() if line.startswith("  →")]


def left(config: CloudConfig, capsys: pytest.CaptureFixture[str]) -> int:
    assert audit.quarantine(config, retry=False) == 0
    return sum("gateway=" in line for line in capsys.readouterr().out.splitlines())


def test_a_batch_that_broke_the_store_and_one_with_refused_readings_are_stored_later(
    room: Room, config: CloudConfig, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    room.ingests_into(Picky(room.store), room.quarantine)
    room.take(packet(first=1, rows=soil(3)), packet(first=100, rows=soil(3), start_ms=START_MS + 60_000))
    room.close()
    assert left(config, capsys) == 2
    assert retry(config, capsys) == ["stored", "stored"]
    assert left(config, capsys) == 0
    store = open_store({"path": str(tmp_path / "store.db")}, writer=False)
    assert [(row.first, row.verdict) for row in store.ledger()] == [(1, "stored"), (100, "stored")]
    assert len(store.series("sg-01", "soil-1", "soil_moisture", 0, 2**62)) == 6
    store.close()


def test_a_case_is_let_go_only_when_all_of_it_is_stored(
    room: Room,
    config: CloudConfig,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picky = Picky(room.store)
    room.ingests_into(picky, room.quarantine)
    room.take(packet(first=1, rows=soil(3)), packet(first=100, rows=soil(3)))
    monkeypatch.setattr(picky, "setup", lambda: None, raising=False)
    monkeypatch.setattr(picky, "close", lambda: None, raising=False)
    monkeypatch.setattr(audit, "store_of", lambda *_, writer: picky)
    said = retry(config, capsys)
    assert sorted(said) == [
        "still breaks the store: ZeroDivisionError: a fault of ours",
        "the database still refuses 1 of 3 readings: type conflict",
    ]
    assert left(config, capsys) == 2


def test_what_cannot_be_stored_says_why_and_stays(
    room: Room, config: CloudConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    envelope = msgspec.msgpack.decode(codec._open(packet(rows=soil(1))))
    envelope[1] = 7
    room.take(codec._seal(msgspec.msgpack.encode(envelope)), b"damaged")
    undated = packet(first=9, rows=[{"soil-1": SOIL}], dated=False, start_ms=START_MS)
    room.quarantine.keep(
        [
            Kept("sg-01", (EPOCH, 5, 1), "type conflict", b"reading,gateway=sg-01 x=1", NOW),
            Kept("sg-01", (EPOCH, 9, 1), "store failed on it", undated, NOW),
        ]
    )
    room.close()
    assert sorted(retry(config, capsys)) == [
        "damaged on the way, for a person to read: CRC-32 of 7 bytes is wrong",
        "kept as text by an earlier version: for a person to read",
        "still refused: kind 7 is unknown here",
        "undated: only its gateway can date it and send it again",
    ]
    assert left(config, capsys) == 4
