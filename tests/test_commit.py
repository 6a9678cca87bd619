"""A store that takes nothing is told from a batch that the store does not take; `later` has an end."""

from __future__ import annotations

import gc
import os
import random
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from cloud.ingest import commit
from cloud.ingest.audit import Books
from cloud.ingest.ingester import Ingester
from cloud.ingest.quarantine import Quarantine
from cloud.store import Retry, open_store
from cloud.stream.connection import Arrival
from settings.words import Refused
from tests.build import EPOCH, START_MS, packet, soil
from tests.servers import free_port, until
from tests.test_exit_codes import ROOT
from tests.test_poison import Portal
from wire import codec
from wire.batch import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = START_MS + 3_600_000
DAY_S = 86_400.0
POISON = 700  # the first number of the batch that the database will not have
STORED, LATER, QUARANTINED = Verdict.STORED, Verdict.LATER, Verdict.QUARANTINED


class Clock:
    """Time that stands until it is moved."""

    now_s = 0.0

    def utc_ms(self) -> int:
        return NOW + round(self.now_s * 1000)

    def monotonic(self) -> float:
        return self.now_s

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.now_s += seconds
        return event.wait(0.001)


def brought(first: int) -> bytes:
    """Return the message of a batch; the poisoned one is known by its values."""
    return packet(first=first, rows=soil(3, base=77.0 if first == POISON else 30.0))


class Bench:
    """An ingester on a database that answers one batch, and what names it, with 500: patience, for ever."""

    def __init__(self, folder: Path, portal: Portal) -> None:
        self.portal, self.folder, self.clock = portal, folder, Clock()
        self.store = open_store({"engine": "influx", "url": portal.url, "timeout_s": 5}, writer=True)
        self.said: list[bytes] = []
        self.start()

    def start(self) -> None:
        """As a new process."""
        self.quarantine = Quarantine(self.folder / "quarantine.db")
        self.ingester = Ingester(
            self.store, self.quarantine, Books(), self.clock, lambda _, payload: self.said.append(payload)
        )

    def take(self, *firsts: int) -> dict[int, int]:
        """Bring batches in one step; return what each was answered."""
        self.said.clear()
        now = self.clock.utc_ms()
        self.ingester.step([Arrival("sg-01", "up", brought(n), now, retained=False) for n in firsts])
        return {item.first: item.code for payload in self.said for item in codec.decode_ack(payload).items}

    def close(self) -> None:
        self.quarantine.close()
        self.store.close()


@pytest.fixture(scope="module")
def portal() -> Iterator[Portal]:
    with Portal() as made:
        yield made


@pytest.fixture
def bench(tmp_path: Path, portal: Portal) -> Iterator[Bench]:
    portal.reply = 500, b'{"error":"shard 17 is not well just now"}'
    portal.sick = b"soil_moisture=77"
    portal.bodies.clear()
    made = Bench(tmp_path, portal)
    yield made
    made.close()


def test_a_batch_that_the_database_will_not_have_takes_nobody_along_and_is_judged_after_a_day(bench: Bench) -> None:
    many = tuple(range(1, 90, 3))
    assert bench.take(1) == {1: STORED}, (
        "else POISON, where it happens to be tried first, passes for a store that is away"
    )
    answers = bench.take(POISON, *many)
    assert answers == dict.fromkeys(many, STORED) | {POISON: LATER}
    assert bench.ingester.health()["suspects"] == 1
    assert bench.ingester.health()["why"] == "", "the store is well"
    for _ in range(3):
        bench.clock.now_s += 7 * 3_600
        assert bench.take(1, POISON, 4) == {1: STORED, POISON: LATER, 4: STORED}
    bench.quarantine.close()
    bench.start()  # a day is not begun anew by a start
    bench.clock.now_s += 4 * 3_600
    assert bench.take(1, POISON) == {1: STORED, POISON: QUARANTINED}
    (case,) = bench.quarantine.cases()
    assert (case.first, case.n, bench.quarantine.payload(case.id)) == (POISON, 3, brought(POISON))
    assert case.reason.startswith("for 1.0 days the store took others and not this: InfluxDB is in trouble, 500: shard")
    assert bench.ingester.health()["suspects"] == 0
    assert bench.quarantine.suspects() == {}
    assert b'row="0000000000000000 700 3 1 ' in bench.portal.bodies[-1], "its ledger row, with the verdict"


def test_one_that_the_database_takes_after_all_is_no_suspect_any_more(bench: Bench) -> None:
    assert bench.take(POISON, 1)[POISON] == LATER
    bench.portal.sick = b"nothing is sick any more"
    bench.clock.now_s += 30 * DAY_S
    assert bench.take(POISON) == {POISON: STORED}
    assert bench.quarantine.suspects() == {}
    assert bench.quarantine.cases() == []


def test_two_of_them_do_not_hide_behind_each_other(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.portal.sick = b"soil_potassium=99"
    potassium = [{"soil-1": soil(1)[0]["soil-1"] | {"soil_potassium": 99}}]
    now = bench.clock.utc_ms()
    poison = [Arrival("sg-01", "up", packet(first=n, rows=potassium), now, retained=False) for n in (500, 600)]
    well = [Arrival("sg-01", "up", packet(first=n, rows=soil(3)), now, retained=False) for n in range(1, 40, 3)]
    dice = random.Random(7)
    monkeypatch.setattr(commit.random, "sample", dice.sample)
    stored: set[int] = set()
    for _ in range(20):
        bench.said.clear()
        bench.ingester.step([*poison, *(one for n, one in enumerate(well) if 1 + 3 * n not in stored)])
        answers = {item.first: item.code for said in bench.said for item in codec.decode_ack(said).items}
        stored |= {first for first, code in answers.items() if code == STORED}
        assert {answers[500], answers[600]} == {LATER}
    assert stored == set(range(1, 40, 3)), "all the others, within a few turns"
    assert bench.ingester.health()["suspects"] == 2


def test_a_store_that_is_away_is_asked_a_few_times_a_step_and_nobody_is_judged_for_it(bench: Bench) -> None:
    firsts = tuple(range(1, 180, 3))
    assert set(bench.take(*firsts).values()) == {STORED}
    asked: list[int] = []
    begin_of = bench.store.begin

    def away(entries: list[object], arrival_ms: int) -> None:
        asked.append(len(entries))
        raise Retry("InfluxDB does not answer")

    bench.store.begin = away  # type: ignore[method-assign, assignment]
    for _ in range(40):
        bench.clock.now_s += 3_600
        asked.clear()
        assert set(bench.take(*firsts).values()) == {LATER}
        assert len(asked) == 2, "each may take as long as the store's patience"
        assert "does not answer" in bench.ingester.health()["why"]
    bench.store.begin = begin_of  # type: ignore[method-assign]
    assert set(bench.take(*firsts).values()) == {STORED}
    assert bench.quarantine.cases() == []
    assert bench.ingester.health()["suspects"] == 0


def test_what_a_store_does_not_take_leaves_nothing_in_memory(bench: Bench) -> None:
    bench.portal.sick = b""  # it answers everything so
    gc.collect()
    gc.disable()  # as in the room, which looks for rings rarely
    try:
        for _ in range(5):
            assert set(bench.take(1, 4, 7).values()) == {LATER}
        assert not [one for one in gc.get_objects() if isinstance(one, Retry)]
    finally:
        gc.enable()


def test_a_store_that_takes_nothing_is_told_where_batches_come_one_at_a_time(bench: Bench) -> None:
    """Of a garden with few gateways: a disk that was full looked well for a quarter of an hour."""
    assert bench.take(1) == {1: STORED}
    bench.portal.sick = b"soil_moisture"
    assert bench.take(4) == {4: LATER}
    assert bench.ingester.health()["why"] == "", "it may be the batch"
    assert bench.take(4) == {4: LATER}
    assert bench.ingester.health()["why"] == "", "it may still be the batch"
    assert bench.take(7) == {7: LATER}
    assert "not well just now" in bench.ingester.health()["why"]
    bench.portal.sick = b"nothing is sick any more"
    assert bench.take(7) == {7: STORED}
    assert bench.ingester.health()["why"] == ""


def test_a_store_that_hangs_is_asked_for_one_status_a_step(bench: Bench) -> None:
    """Sixty-four gateways beat, each waits for the store's patience: one turn of ten minutes looks stuck."""
    asked: list[str] = []
    kept = bench.store.write_status

    def away(gateway: str, *_: object) -> None:
        asked.append(gateway)
        raise Retry("InfluxDB does not answer")

    bench.store.write_status = away  # type: ignore[method-assign]
    now = bench.clock.utc_ms()
    said = b'{"v":1,"state":"online","epoch":"0123456789abcdef","acquired":3}'
    beats = [Arrival(f"sg-{n:02d}", "status", said, now, retained=False) for n in range(64)]
    for _ in range(3):
        bench.ingester.step(beats)
    assert asked == ["sg-00"] * 3
    bench.store.write_status = lambda gateway, *_: asked.append(gateway)  # type: ignore[method-assign]
    bench.ingester.step(beats)
    assert len(set(asked)) == 64
    bench.store.write_status = kept  # type: ignore[method-assign]


def test_a_type_conflict_is_the_lines_fault_with_whatever_code_it_comes(bench: Bench) -> None:
    """Public report: telegraf #11005."""
    bench.portal.reply = (
        500,
        b'{"error":"input field \\"soil_ec\\" is type float, already exists: field type conflict"}',
    )
    bench.portal.sick = b"soil_moisture=77.01"
    assert bench.take(1, POISON, 4) == {1: STORED, POISON: STORED, 4: STORED}
    (case,) = bench.quarantine.cases()
    assert "the database refuses 1 of 3 readings, first 701" in case.reason
    assert "type conflict" in case.reason


# --- the start


class Sick:
    """A real store of which some questions fail."""

    def __init__(self, store: object, ways: dict[str, Exception]) -> None:
        self._store, self._ways = store, ways

    def __getattr__(self, name: str) -> object:
        if name in self._ways:
            raise self._ways[name]
        return getattr(self._store, name)


@pytest.mark.parametrize("error", [Retry("away"), ValueError("no JSON"), RecursionError("deep")], ids=str)
def test_storing_begins_when_the_store_is_prepared_and_waits_for_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    store = open_store({"path": str(tmp_path / "store.db")}, writer=True)
    ways = {"setup": error, "statuses": error, "ledger": error, "latest": error}
    sick = Sick(store, ways)
    quarantine = Quarantine(tmp_path / "quarantine.db")
    said: list[bytes] = []
    clock = Clock()
    books = Books()
    ingester = Ingester(sick, quarantine, books, clock, lambda _, payload: said.append(payload))  # type: ignore[arg-type]
    stop = threading.Event()
    room = threading.Thread(target=ingester.run, args=(stop,), name="ingest")
    room.start()
    try:
        ingester.offer(Arrival("sg-01", "up", packet(rows=soil(3)), NOW, retained=False))
        until(lambda: clock.now_s > 10, 10, "it goes on asking")
        assert ingester.health()["why"] in {str(error), type(error).__name__}
        assert sum("tried again" in record.message for record in caplog.records) <= 1, "once for each change"
        assert said == []
        del ways["setup"]
        until(lambda: said, 10, "the batch is acknowledged")
        assert ingester.health()["why"] == ""
        with pytest.raises(type(error)):
            ingester.recall()
        assert not ingester.recalled
        ways.clear()
        ingester.recall()
        (account,) = books.accounts()
        assert (account.stored, account.unknown) == (3, 0)
    finally:
        stop.set()
        room.join(10)
        quarantine.close()
        store.close()


def test_a_second_writer_is_not_waited_for(tmp_path: Path) -> None:
    first, second = (open_store({"path": str(tmp_path / "store.db")}, writer=True) for _ in range(2))
    first.setup()
    quarantine = Quarantine(tmp_path / "quarantine.db")
    ingester = Ingester(second, quarantine, Books(), Clock(), lambda *_: None)
    with pytest.raises(Refused, match="exactly one ingester"):
        ingester.prepare()
    for each in (first, second, quarantine):
        each.close()


def test_a_portal_instead_of_the_database_does_not_end_ingest(tmp_path: Path, portal: Portal) -> None:
    """Exit code 2 would leave the server dead: systemd does not start it again."""
    portal.sick, portal.reply = b"", (200, b"<html>log in</html>")
    (tmp_path / "garden").symlink_to(ROOT / "config" / "garden")
    (tmp_path / "cloud.toml").write_text(
        f"[broker]\nport = {free_port()}\n[http]\nport = 0\n[staff]\nport = 0\n[health]\nport = 0\n"
        f'[store]\nengine = "influx"\nurl = "{portal.url}"\n'
    )
    words = ["--config", str(tmp_path / "cloud.toml"), "--data", str(tmp_path / "data")]
    log = tmp_path / "log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "gocche", "cloud", "--room", "ingest", *words], stderr=said, cwd=ROOT, env=os.environ
        )
    try:
        until(lambda: "store takes nothing why=" in log.read_text() or process.poll() is not None, 30, "it says so")
        assert process.poll() is None, log.read_text()
    finally:
        process.terminate()
        process.wait(30)
    assert process.returncode == 0, log.read_text()
    assert EPOCH not in log.read_text()
