"""`gocche quarantine --retry`: what was kept is stored under its old identity, or stays with a true sentence."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from cloud.clock import SystemClock
from cloud.config import load
from cloud.inbox import Inbox
from cloud.ingest.quarantine import Unstorable
from cloud.store import open_store
from cloud.stream.connection import Arrival
from gocche import audit
from tests.build import EPOCH, SOIL, START_MS, packet, soil
from tests.servers import until
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


@contextmanager
def serving(room: Room, folder: Path, store: object = None) -> Iterator[None]:
    """Let ingest run, with its inbox, while the body asks it."""
    inbox = Inbox(folder, "ingest", SystemClock())
    room.clock.monotonic = SystemClock().monotonic  # type: ignore[method-assign]
    ingester = room.ingests_into(store or room.store, room.quarantine, inbox)
    stop = threading.Event()
    thread = threading.Thread(target=ingester.run, args=(stop,), name="ingest")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)
        inbox.close()


def retry(config: CloudConfig, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert audit.quarantine(config, retry=True, patience_s=20) == 0
    return [line.rpartition(" · ")[2] for line in capsys.readouterr().out.splitlines() if line.startswith("  →")]


def left(config: CloudConfig, capsys: pytest.CaptureFixture[str]) -> int:
    assert audit.quarantine(config, retry=False) == 0
    return sum("gateway=" in line for line in capsys.readouterr().out.splitlines())


def test_a_batch_that_broke_the_store_and_one_with_refused_readings_are_stored_later(
    room: Room, config: CloudConfig, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    room.ingests_into(Picky(room.store), room.quarantine)
    room.take(packet(first=1, rows=soil(3)), packet(first=100, rows=soil(3), start_ms=START_MS + 60_000))
    assert left(config, capsys) == 2
    with serving(room, tmp_path):
        assert retry(config, capsys) == ["stored", "stored"]
        assert left(config, capsys) == 0
    (account,) = room.books.accounts()
    assert (account.stored, account.quarantined, account.unknown) == (6, 0, 96)
    store = open_store({"path": str(tmp_path / "store.db")}, writer=False)
    assert [(row.first, row.verdict) for row in store.ledger()] == [(1, "stored"), (100, "stored")]
    assert len(store.series("sg-01", "soil-1", "soil_moisture", 0, 2**62)) == 6
    store.close()


def test_a_case_is_let_go_only_when_all_of_it_is_stored(
    room: Room,
    config: CloudConfig,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    picky = Picky(room.store)
    room.ingests_into(picky, room.quarantine)
    room.take(packet(first=1, rows=soil(3)), packet(first=100, rows=soil(3)))
    picky.setup = room.store.setup  # type: ignore[attr-defined]
    with serving(room, tmp_path, picky):
        said = retry(config, capsys)
    assert sorted(said) == [
        "still breaks the store: ZeroDivisionError: a fault of ours",
        "the database still refuses 1 of 3 readings: type conflict",
    ]
    assert left(config, capsys) == 2


def test_what_cannot_be_stored_says_why_and_stays(
    room: Room, config: CloudConfig, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    envelope = msgspec.msgpack.decode(codec._open(packet(rows=soil(1))))
    envelope[1] = 7
    room.take(codec._seal(msgspec.msgpack.encode(envelope)), b"damaged")
    undated = packet(first=9, rows=[{"soil-1": SOIL}], dated=False, start_ms=START_MS)
    room.quarantine.keep(
        [
            Unstorable("sg-01", (EPOCH, 5, 1), "type conflict", b"reading,gateway=sg-01 x=1", NOW),
            Unstorable("sg-01", (EPOCH, 9, 1), "store failed on it", undated, NOW),
        ]
    )
    with serving(room, tmp_path):
        said = retry(config, capsys)
    assert sorted(said) == [
        "damaged on the way, for a person to read: CRC-32 of 7 bytes is wrong",
        "kept as text by an earlier version: for a person to read",
        "still refused: kind 7 is unknown here",
        "undated: only its gateway can date it and send it again",
    ]
    assert left(config, capsys) == 4


def test_a_request_waits_for_a_server_that_does_not_run(
    room: Room, config: CloudConfig, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    room.quarantine.keep([Unstorable("sg-01", (EPOCH, 1, 3), "strange once", packet(rows=soil(3)), NOW)])
    assert audit.quarantine(config, retry=True, patience_s=20) == 1
    assert "has never run with this data folder" in capsys.readouterr().err
    with serving(room, tmp_path):
        pass
    assert audit.quarantine(config, retry=True, patience_s=20) == 1
    assert "done as soon as it runs" in capsys.readouterr().err
    assert left(config, capsys) == 1
    with serving(room, tmp_path):
        until(lambda: not room.quarantine.cases(), 10, "the request of before is done")


def test_fresh_messages_are_stored_between_the_slices_of_a_long_request(
    room: Room, config: CloudConfig, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    old = [
        Unstorable(
            "sg-02", (EPOCH, n, 1), "strange once", packet(first=n, rows=soil(1), start_ms=START_MS + 1_000 * n), NOW
        )
        for n in range(1, 201)
    ]
    room.quarantine.keep(old)
    order: list[int] = []
    begin = room.store.begin

    def noted(entries: Any, at: int) -> Any:
        order.append(entries[0].first)
        if len(order) == 21:  # some are tried
            room.ingester.offer(Arrival("sg-01", "up", packet(first=9_000, rows=soil(1)), NOW, retained=False))
        return begin(entries, at)

    room.store.begin = noted  # type: ignore[method-assign]
    with serving(room, tmp_path):
        assert audit.quarantine(config, retry=True, patience_s=20) == 0
    assert 20 < order.index(9_000) < 100, "it waited for a slice and not for the rest"
    assert capsys.readouterr().out.count("→") == 200
    assert room.quarantine.cases() == []


def test_a_store_that_takes_nothing_ends_the_request_in_words(
    room: Room, config: CloudConfig, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    room.quarantine.keep([Unstorable("sg-01", (EPOCH, 1, 3), "strange once", packet(rows=soil(3)), NOW)])
    db = room.store._writer._db
    db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
    room.quarantine.keep([Unstorable("sg-01", (EPOCH, 9, 300), "big", packet(first=9, rows=soil(300)), NOW)])
    with serving(room, tmp_path):
        assert audit.quarantine(config, retry=True, patience_s=20) == 1
    assert "make space on its disk" in capsys.readouterr().err
    assert 1 <= left(config, capsys) <= 2
