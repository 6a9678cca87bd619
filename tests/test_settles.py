"""Durable, then visible: a database that shows a write later than it acknowledged it, and who follows the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from cloud.ingest.audit import Books
from cloud.ingest.bookkeeper import FOLLOW_S, Bookkeeper
from cloud.store import LedgerRow, StatusRow, open_store
from tests.build import EPOCH, soil
from tests.build import START_MS as MADE_MS
from tests.build import batch as made_of
from tests.in_front import InFront
from tests.rules.garden import SMOKE, Bench, HandClock, Post, batch, serving
from tests.servers import free_port, influx_table
from wire.batch import Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.influx
SETTLE_S = 10.0
DAY_MS = 86_400_000


@pytest.fixture(params=["influxd1", "influxd2"])
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture
def front(server: Any) -> Iterator[InFront]:
    with InFront(server.url) as made:
        yield made


def test_alerts_judge_once_what_is_seen_late_and_in_pieces(server: Any, front: InFront, tmp_path: Path) -> None:
    """A ledger row may be seen before its readings: taken then, they would never be judged."""
    table = influx_table(server, tmp_path, settle_s=SETTLE_S) | {"url": front.url}
    with serving(Post(free_port())) as post:
        bench = Bench(tmp_path, [SMOKE], post.port, store=table)
        bench.step()
        bench.clock.advance(301)
        front.held = True
        bench.store.commit([batch(1, [(bench.at(60.0 * n), 80.0 + n) for n in range(6)])], bench.clock.utc_ms())
        bench.idle(65, 65)
        front.settle(only="batch,")
        bench.idle(65, 65)
        assert bench.alerts.incidents() == []
        front.settle()
        bench.idle(195, 65)
        assert len(bench.alerts.incidents()) == len(post.mails) == 1
        bench.close()


class Process:
    """One ingester of several: its store, and the books that it keeps of the ledger."""

    def __init__(self, table: dict[str, Any], clock: HandClock, name: str = "one") -> None:
        self.store = open_store(table, writer=True)
        self.store.setup()
        self.books, self._clock = Books(trails=True), clock
        self.keeper = Bookkeeper(self.store, self.books, clock, name)
        self.keeper.open()

    def commit(self, whole: Any) -> None:
        """Store as the ingester does, which tells the books."""
        at_ms = self._clock.utc_ms()
        self.store.commit([whole], at_ms)
        self.books.row(LedgerRow(whole.gateway, *whole.identity, "stored", at_ms))


@pytest.mark.parametrize("later_s", [0, 30, 86_400])
def test_two_ingesters_find_an_identity_that_both_together_were_given_twice(
    server: Any, tmp_path: Path, later_s: int
) -> None:
    clock = HandClock()
    clock.advance((MADE_MS + DAY_MS - clock.utc_ms()) / 1000)
    table = influx_table(server, tmp_path)
    one, other = Process(table, clock), Process(table, clock)
    good = [made_of(first=1 + 3 * n, start_ms=MADE_MS + 60_000 * n, rows=soil(3)) for n in range(3)]
    for whole in good:
        one.commit(whole)
    turn(clock, later_s, one, other)
    one.commit(good[0])  # asked again, because its acknowledgement was lost
    other.commit(made_of(first=4, start_ms=MADE_MS + 3_600_000, rows=soil(3, base=80)))
    turn(clock, FOLLOW_S, one, other)
    turn(clock, FOLLOW_S, one, other)
    assert one.books.clones.found() == other.books.clones.found() == {"sg-01": 1}
    assert len(one.store.series("sg-01", "soil-1", "soil_moisture", 0, 2**62)) == 12
    one.store.close()
    other.store.close()


def test_what_one_ingester_keeps_hides_nothing_that_another_knew(server: Any, tmp_path: Path) -> None:
    """One could not reach the database for a while, and on its return keeps what it knew before."""
    clock = HandClock()
    clock.advance((MADE_MS + DAY_MS - clock.utc_ms()) / 1000)
    table = influx_table(server, tmp_path)
    one, other = Process(table, clock), Process(table, clock, "other")
    one.commit(made_of(rows=soil(3)))
    turn(clock, FOLLOW_S, one, other)
    other.commit(made_of(first=4, start_ms=MADE_MS + 60_000, rows=soil(3)))
    turn(clock, 600, other)
    one.books.high("sg-01", EPOCH, 6)
    one.keeper.keep()
    turn(clock, 600, other)
    after = Process(table, clock)
    (account,) = after.books.accounts()
    assert (account.acquired, account.stored, account.unknown) == (6, 6, 0)
    for process in (one, other, after):
        process.store.close()


def test_an_ingester_that_was_away_asks_the_ledger(server: Any, tmp_path: Path) -> None:
    """It knows from the summary that these numbers are stored, and not which readings stood under them."""
    clock = HandClock()
    clock.advance((MADE_MS + DAY_MS - clock.utc_ms()) / 1000)
    table = influx_table(server, tmp_path)
    before = Process(table, clock)
    good = [made_of(first=1 + 3 * n, start_ms=MADE_MS + 60_000 * n, rows=soil(3)) for n in range(3)]
    for whole in good:
        before.commit(whole)
    turn(clock, 3_600, before)
    before.keeper.keep()
    after = Process(table, clock)
    after.commit(good[0])
    after.commit(made_of(first=4, start_ms=MADE_MS + 3_600_000, rows=soil(3, base=80)))
    turn(clock, FOLLOW_S, after)
    assert after.books.clones.found() == {"sg-01": 1}
    before.store.close()
    after.store.close()


def test_what_another_ingester_has_just_stored_is_not_unknown_and_what_is_lost_is(
    server: Any, front: InFront, tmp_path: Path
) -> None:
    """Each hears every status at once, and of the other's rows when it follows the ledger and they are seen."""
    clock = HandClock()
    clock.advance((MADE_MS + DAY_MS - clock.utc_ms()) / 1000)
    table = influx_table(server, tmp_path, settle_s=SETTLE_S) | {"url": front.url}
    one, other = Process(table, clock), Process(table, clock, "other")
    said = Status(v=1, state="online", boot="b0" * 8, epoch=EPOCH, acquired=6, cut=6, spooled=0)
    front.held = True
    other.commit(made_of(rows=soil(3)))
    other.commit(made_of(first=4, start_ms=MADE_MS + 60_000, rows=soil(3)))
    for seconds in (0, FOLLOW_S, FOLLOW_S, FOLLOW_S):
        one.books.status(StatusRow("sg-01", clock.utc_ms(), said))
        assert one.books.total() | {"stored": 0, "spooled": 0} == dict.fromkeys(one.books.total(), 0) | {"acquired": 6}
        turn(clock, seconds, one)
        front.settle()
    assert one.books.total()["stored"] == 6
    one.books.status(StatusRow("sg-01", clock.utc_ms(), replace(said, acquired=9, cut=9)))
    for _ in range(3):
        turn(clock, FOLLOW_S, one)
    assert one.books.total()["unknown"] == 3
    one.store.close()
    other.store.close()


def turn(clock: HandClock, seconds: float, *processes: Process) -> None:
    clock.advance(seconds)
    for process in processes:
        process.keeper.step()


def test_the_books_count_once_what_is_seen_late(server: Any, front: InFront, tmp_path: Path) -> None:
    clock = HandClock()
    clock.advance((MADE_MS + DAY_MS - clock.utc_ms()) / 1000)
    table = influx_table(server, tmp_path, settle_s=SETTLE_S)
    writer, reader = Process(table | {"url": front.url}, clock), Process(table, clock)
    front.held = True
    writer.commit(made_of(rows=soil(3)))
    turn(clock, FOLLOW_S, reader)
    assert reader.books.accounts() == []
    front.settle()
    for _ in range(4):
        turn(clock, FOLLOW_S, reader)
        (account,) = reader.books.accounts()
        assert (account.stored, account.unknown) == (3, 0)
    assert reader.books.clones.found() == {}
    writer.store.close()
    reader.store.close()
