"""The spool: safe when append returns, cut once, declared when lost — with kills, full disks and damaged files."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import tracemalloc
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from edge.board import Board
from edge.clock import BUILT_MS, Anchor
from edge.clock.dating import Dating
from edge.keep.spool import Spool, SpoolFull, repair, schema
from edge.keep.spool.repair import SET_ASIDE_AFTER
from tests.edge.clock import HandClock
from wire.batch import Batch, Gap, Source
from wire.codec import decode_message
from wire.reading import Reading

ROOT = Path(__file__).parents[2]
BOOT, NEXT_BOOT = "b1" * 8, "b2" * 8
UTC = 1_790_000_000_000
ANCHOR = Anchor(UTC, Source.NTP, 100)
MIB = 1024 * 1024


@pytest.fixture
def ram_path(tmp_path):
    """A folder where flushing costs nothing: for what is about numbers and not about the disk."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def some(n, start=0):
    return [Reading("soil-1", 1_000 + 10 * i, {"soil_ec": i % 20_000}, {}) for i in range(start, start + n)]


def open_spool(tmp_path, quota=4 * MIB):
    return Spool(tmp_path / "spool.db", quota)


def everything(spool):
    """Return ({seq: soil_ec} of what would arrive, set of seq declared) by decoding the very packets."""
    values, declared = {}, set()
    spool.dates.anchor(BOOT, ANCHOR)  # what is undated waits
    while spool.dates.go_on():
        pass
    for number in spool.waiting(100_000):
        spool.get(number)  # what fails its CRC is declared now, under a new id
    for number in spool.waiting(100_000):
        message = decode_message("sg-01", spool.get(number).packet(), 2 * UTC)
        if isinstance(message, Gap):
            declared |= {(message.epoch, seq) for seq in range(message.first, message.first + message.n)}
        else:
            values |= {(message.epoch, r.seq): r.values["soil_ec"] for r in message.readings()}
    return values, declared


def test_what_was_appended_comes_out_once_under_its_number(tmp_path):
    spool = open_spool(tmp_path)
    assert spool.append(some(700), BOOT) == 1
    assert spool.append(some(3, 700), BOOT) == 701
    assert [kept.identity[1:] for kept in spool.cut()] == [(1, 500), (501, 203)]
    assert spool.cut() == []
    values, _ = everything(spool)
    assert values == {(spool.epoch, i + 1): i for i in range(703)}


def test_what_was_safe_before_there_was_no_memory_to_say_so_is_kept_once(tmp_path, monkeypatch):
    """The keeper holds what it does not know to be safe, and brings it again with what came since."""
    spool = open_spool(tmp_path)
    spool.append(some(3), BOOT)
    commit = spool._file.transaction

    @contextmanager
    def committed_and_then_no_memory():
        with commit():
            yield
        raise MemoryError

    monkeypatch.setattr(spool._file, "transaction", committed_and_then_no_memory)
    with pytest.raises(MemoryError):
        spool.append(some(4, 3), BOOT)
    monkeypatch.undo()
    spool.append(some(6, 3), BOOT)
    assert (spool.acquired, spool.uncut) == (9, 9)
    spool.cut()
    assert everything(spool) == ({(spool.epoch, i + 1): i for i in range(9)}, set())


def test_a_transaction_that_could_not_even_be_rolled_back_is_not_gone_on_with(tmp_path):
    """Without memory the way back fails too: what was kept from then on was safe in words alone, until a kill."""
    spool = open_spool(tmp_path)
    db = spool._db
    db.set_trace_callback(lambda sql: "INTO fresh" in sql and db.set_progress_handler(lambda: True, 1))
    with pytest.raises(sqlite3.OperationalError):
        spool.append(some(1), BOOT)
    assert db.in_transaction
    db.set_trace_callback(None)
    db.set_progress_handler(None, 0)
    assert spool.append(some(3, 1), BOOT) == 1
    shutil.copytree(tmp_path, tmp_path / "killed")
    assert open_spool(tmp_path / "killed").acquired == 3


def test_batches_keep_to_boots_and_to_two_thousand_values(tmp_path):
    spool = open_spool(tmp_path)
    wide = [Reading("a", i, {f"pm{k}": 1 for k in (1, 10)} | {"co": 1, "co2": 1, "noise": 1}, {}) for i in range(450)]
    spool.append(wide, BOOT)
    spool.append(some(2), NEXT_BOOT)
    assert [(kept.identity[1:], kept.boot) for kept in spool.cut()] == [
        ((1, 400), BOOT), ((401, 50), BOOT), ((451, 2), NEXT_BOOT),
    ]  # fmt: skip


def test_only_the_exact_identity_frees(tmp_path):
    spool = open_spool(tmp_path)
    spool.append(some(10), BOOT)
    spool.cut()
    assert not spool.free((spool.epoch, 1, 9))
    assert not spool.free(("ff" * 8, 1, 10))
    assert spool.spooled()[0] == 10
    assert spool.free((spool.epoch, 1, 10))
    assert spool.spooled()[0] == 0


def test_the_newest_freed_first_is_not_taken_for_lost(tmp_path):
    spool = open_spool(tmp_path)
    for start in (0, 50):
        spool.append(some(50, start), BOOT)
        spool.cut()
    assert spool.free((spool.epoch, 51, 50))  # the newest goes out first, and its answer may come first
    spool.append(some(50, 100), BOOT)
    spool.close()
    spool = open_spool(tmp_path)
    assert [kept.identity[1:] for kept in spool.cut()] == [(101, 50)]
    assert spool.dropped == 0
    spool.dates.anchor(BOOT, ANCHOR)
    values, declared = everything(spool)
    assert {seq for _, seq in values} == {*range(1, 51), *range(101, 151)}
    assert not declared


def test_a_gap_declared_while_readings_are_uncut_is_declared_once(tmp_path):
    spool = open_spool(tmp_path)
    spool.append(some(10), BOOT)
    spool.declare(5, "no-room")
    spool.append(some(3, 10), BOOT)
    spool.free((spool.epoch, 11, 5))  # answered before the next cut
    spool.cut()
    assert (spool.acquired, spool.dropped) == (18, 5)
    spool.dates.anchor(BOOT, ANCHOR)
    values, declared = everything(spool)
    assert {seq for _, seq in values} == {*range(1, 11), *range(16, 19)}
    assert not declared


def test_a_date_once_given_never_changes(tmp_path):
    spool = open_spool(tmp_path)
    spool.append(some(5), BOOT)
    (before,) = spool.cut()
    assert before.offset_ms is None
    spool.dates.anchor(BOOT, ANCHOR)
    spool.dates.anchor(BOOT, Anchor(UTC + 5_000, Source.NTP, 10))
    spool.append(some(5), BOOT)
    (after,) = spool.cut()
    assert spool.get(before.id).offset_ms == UTC
    assert after.offset_ms == UTC + 5_000


def test_who_died_undated_is_dated_before_anything_newer_is_freed_however_much_is_still_to_be_dated(
    ram_path, monkeypatch
):
    monkeypatch.setattr("edge.keep.spool.dates.AT_ONCE", 2)
    spool, clock = open_spool(ram_path), HandClock("c3" * 8)
    for boot, hours in ((BOOT, 9), (NEXT_BOOT, 1)):
        for hour in range(hours):
            spool.append([Reading("soil-1", hour * 3_600_000, {"soil_ec": 5}, {})], boot)
            spool.cut()
    assert spool.dates.anchor(BOOT, ANCHOR) == 2
    dating = Dating(clock, spool.dates, Board())
    dating.hear(Anchor(UTC + 12 * 3_600_000, Source.NTP, 100, clock.now), clock.now)
    dating.look(clock.now)
    died = spool.dates.of(NEXT_BOOT)
    assert died.source is Source.BOUNDED
    assert abs(died.offset_ms - (UTC + 9 * 3_600_000)) <= died.uncertainty_ms


def test_weeks_without_a_date_are_dated_in_small_steps_that_outlive_a_restart(ram_path):
    spool = open_spool(ram_path)
    for boot in (BOOT, NEXT_BOOT):
        with spool._file.transaction():
            for i in range(250):
                spool.append(some(3, 3 * i), boot)
                spool.cut()
    log = ram_path / "spool.db-wal"
    spool._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert spool.dates.anchor(NEXT_BOOT, ANCHOR) == 100
    assert spool.dates.bound(NEXT_BOOT, UTC) == 1, "who died undated before is dated, and first"
    assert log.stat().st_size < 200 * 1024, "and nothing writes the whole spool anew"
    spool.close()
    spool = open_spool(ram_path)
    assert [spool.dates.go_on() for _ in range(5)] == [100, 100, 100, 0, 0]
    batches = [spool.get(number) for number in spool.waiting(1_000)]
    dates = {(batch.boot, batch.offset_ms, batch.source) for batch in batches}
    assert len(batches) == 500
    assert len(dates) == 2, "one for each boot"
    assert {boot: source for boot, _, source in dates} == {BOOT: Source.BOUNDED, NEXT_BOOT: Source.NTP}


def test_a_boot_that_died_undated_is_bounded_by_its_neighbours(tmp_path):
    spool = open_spool(tmp_path)
    for boot, start in ((BOOT, 0), ("dead" * 4, 10), (NEXT_BOOT, 20)):
        spool.append(some(10, start), boot)
        spool.cut()
        if boot == BOOT:
            spool.dates.anchor(BOOT, ANCHOR)  # its last reading is at UTC + 1090
    spool.dates.anchor(NEXT_BOOT, Anchor(UTC + 600_000, Source.ACK, 100))
    assert spool.dates.bound(NEXT_BOOT, UTC + 600_000) == 1
    _, dead, _ = (decode_message("sg-01", spool.get(n).packet(), 2 * UTC) for n in spool.waiting(9))
    assert dead.source is Source.BOUNDED
    times = [reading.utc_ms for reading in dead.readings()]
    assert UTC + 1_090 <= times[0] < times[-1] <= UTC + 600_000
    assert (times[-1] - times[0]) == 90
    assert dead.uncertainty_ms >= (600_000 - 1_090 - 90) // 2


def test_boots_that_died_undated_share_the_room_and_never_lie_in_the_future(tmp_path):
    spool = open_spool(tmp_path)
    hour = 3_600_000
    for number, (boot, span) in enumerate({BOOT: 90, "d1" * 8: hour, "d2" * 8: 20 * hour, NEXT_BOOT: 90}.items()):
        spool.append([Reading("soil-1", ms, {"soil_ec": number}, {}) for ms in (1_000, 1_000 + span)], boot)
        spool.cut()
        if boot == BOOT:
            spool.dates.anchor(BOOT, ANCHOR)
    now = UTC + 22 * hour
    spool.dates.anchor(NEXT_BOOT, Anchor(now, Source.ACK, 100))
    assert spool.dates.bound(NEXT_BOOT, now) == 2
    assert spool.dates.bound(NEXT_BOOT, now) == 0
    _, one, two, _ = (decode_message("sg-01", spool.get(n).packet(), now) for n in spool.waiting(9))
    times = [reading.utc_ms for batch in (one, two) for reading in batch.readings()]
    assert times == sorted(times)
    assert UTC + 1_090 <= times[0] < times[-1] <= now
    assert one.uncertainty_ms >= (now - UTC - 1_090 - 21 * hour) // 2


def test_a_gateway_that_never_knew_the_time_says_how_little_it_knows(tmp_path):
    spool = open_spool(tmp_path)
    for boot in ("d1" * 8, "d2" * 8):
        spool.append(some(2), boot)
        spool.cut()
    spool.dates.anchor(NEXT_BOOT, ANCHOR)
    assert spool.dates.bound(NEXT_BOOT, UTC) == 2
    for number in spool.waiting(9):
        batch = decode_message("sg-01", spool.get(number).packet(), UTC)
        assert batch.uncertainty_ms >= (UTC - BUILT_MS) // 2 - 1_000


def test_what_goes_first_after_an_outage(tmp_path):
    spool = open_spool(tmp_path)
    spool.dates.anchor(BOOT, ANCHOR)
    ids = []
    for number in range(6):
        spool.append(some(5, 5 * number), BOOT)
        ids += [kept.id for kept in spool.cut(urgent=number in {1, 3})]
    assert spool.foremost(BOOT, since_ms=0, limit=8) == [ids[5], ids[3], ids[1]]
    assert spool.foremost(BOOT, since_ms=1_100, limit=8) == [ids[5], ids[3]]
    assert spool.foremost(NEXT_BOOT, since_ms=0, limit=8) == []


def test_a_spool_belongs_to_one_agent(tmp_path):
    spool = open_spool(tmp_path)
    with pytest.raises(RuntimeError, match=rf"in use by process {os.getpid()}; stop that one first .*gocche-agent"):
        open_spool(tmp_path)
    spool.close()
    open_spool(tmp_path).close()


def test_a_locked_file_is_not_damaged(tmp_path):
    spool = open_spool(tmp_path)
    spool.append(some(10), BOOT)
    spool.cut()
    epoch = spool.epoch
    spool.close()
    other = sqlite3.connect(tmp_path / "spool.db", isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        open_spool(tmp_path)
    other.close()
    again = open_spool(tmp_path)
    assert (again.epoch, again.spooled()[0], again.notes) == (epoch, 10, [])


def test_a_copied_card_gives_numbers_of_its_own(tmp_path):
    spool = Spool(tmp_path / "spool.db", 4 * MIB, "machine one")
    spool.append(some(10), BOOT)
    spool.close()
    copy = Spool(tmp_path / "spool.db", 4 * MIB, "machine two")
    assert copy.epoch != spool.epoch
    assert copy.acquired == 0
    assert "another machine" in copy.notes[0]
    values, _ = everything(copy)
    assert {epoch for epoch, _ in values} == {spool.epoch}, "what the card held is sent as what it was"
    copy.append(some(1), BOOT)
    copy.close()
    assert Spool(tmp_path / "spool.db", 4 * MIB, "machine two").epoch == copy.epoch


def test_salvage_that_was_interrupted_is_done_by_the_next_start(tmp_path):
    spool = open_spool(tmp_path)
    for i in range(4):
        spool.append(some(100, 100 * i), BOOT)
        spool.cut()
    spool.close()
    (tmp_path / "spool.db").rename(tmp_path / "spool.damaged-1")  # as a crash between the two steps leaves it
    again = open_spool(tmp_path)
    values, _ = everything(again)
    assert values == {(spool.epoch, i + 1): i for i in range(400)}
    again.close()
    third = open_spool(tmp_path)
    assert not any("salvaged" in note for note in third.notes), "once"


def test_two_damaged_rows_are_both_declared(tmp_path):
    spool = open_spool(tmp_path)
    for i in range(4):
        spool.append(some(50, 50 * i), BOOT)
        spool.cut()
    spool.dates.anchor(BOOT, ANCHOR)
    spool._db.execute("UPDATE batch SET bytes = x'00' WHERE id IN (1, 3)")
    values, declared = everything(spool)
    assert declared == {(spool.epoch, seq) for seq in (*range(1, 51), *range(101, 151))}
    assert len(values) == 100


def bit_flipped_in_an_index(path, dice):
    """Damage what no look at the rows finds: one bit of an index, in the epoch that its entries begin with."""
    raw = bytearray(path.read_bytes())
    leaf = 0x0A
    pages = [at for at in range(0, len(raw), schema.PAGE_BYTES) if raw[at] == leaf and b"epoch" not in raw[at:][:1024]]
    raw[dice.choice(pages[2:]) + schema.PAGE_BYTES - dice.randrange(100, 400)] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize("seed", range(2))
def test_a_bit_flipped_in_an_index_neither_wedges_the_quota_nor_loses_a_reading(ram_path, seed):
    quota = 64 * 1024
    spool = open_spool(ram_path, quota)
    for i in range(200):
        spool.append(noise(30, 30 * i), BOOT)
        spool.cut()
    spool.close()
    bit_flipped_in_an_index(ram_path / "spool.db", random.Random(seed))
    spool = open_spool(ram_path, quota)
    for i in range(200, 600):
        spool.append(noise(30, 30 * i), BOOT)
        spool.cut()
    values, declared = everything(spool)
    assert len(values) + len(declared) >= 600 * 30
    assert (spool.epoch, spool.acquired) in values
    assert spool._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def noise(n, start=0):
    """Return readings that do not deflate to nothing."""
    dice = random.Random(start)
    return [Reading("soil-1", 1_000 + 10 * i, {"soil_ec": dice.randrange(20_000)}, {}) for i in range(start, start + n)]


def test_the_quota_declares_the_oldest_and_keeps_urgent_ones_longest(ram_path):
    quota = 64 * 1024
    spool = open_spool(ram_path, quota)
    for i in range(200):
        spool.append(noise(100, 100 * i), BOOT)
        spool.cut(urgent=i == 0)
        assert spool._quota.used_bytes <= quota + 4 * schema.PAGE_BYTES
    values, declared = everything(spool)
    assert {(spool.epoch, seq) for seq in (*range(1, 101), *range(19_901, 20_001))} <= values.keys()
    assert not values.keys() & declared
    assert len(values) + len(declared) == spool.acquired == 20_000
    assert len(declared) == spool.dropped
    kinds = dict(spool._db.execute("SELECT kind, count(*) FROM batch GROUP BY kind").fetchall())
    assert kinds[2] == 1, "neighbouring gaps of one reason are one record"


def test_what_is_urgent_goes_too_when_nothing_else_is_left(ram_path):
    spool = open_spool(ram_path, 64 * 1024)
    for i in range(300):
        spool.append(noise(100, 100 * i), BOOT)
        spool.cut(urgent=True)
    values, declared = everything(spool)
    assert (spool.epoch, 30_000) in values
    assert len(values) + len(declared) == 30_000
    assert len(values) > 3_000


def test_a_machine_that_starts_again_and_again_without_a_link_still_keeps_the_newest(ram_path):
    """An epoch for each boot, and gap records of two epochs never become one: months of them must not fill the card."""
    quota, acquired = 64 * 1024, 0
    for i in range(200):
        spool = Spool(ram_path / "spool.db", quota, boot=f"{i:016x}")
        spool.append(noise(100, i), f"{i:016x}")
        spool.cut()
        acquired += 100
        spool.close()
    spool = Spool(ram_path / "spool.db", quota, boot="ee" * 8)
    assert spool._quota.used_bytes <= quota
    kinds = dict(spool._db.execute("SELECT kind, sum(n) FROM batch GROUP BY kind").fetchall())
    assert kinds[1] >= 4_000, "most of the room is for readings"
    assert kinds[1] + spool.dropped == acquired, "what was let go of is counted"
    assert spool._db.execute("SELECT count(*) FROM boot").fetchone()[0] <= 101
    assert spool.earlier()


def test_a_quota_that_was_lowered_holds_up_no_start_and_no_reading(ram_path, monkeypatch):
    step, quota = 8 * 1024, 32 * 1024
    monkeypatch.setattr("edge.keep.spool.quota.STEP_BYTES", step)
    spool = open_spool(ram_path)
    with spool._file.transaction():
        for i in range(250):
            spool.append(noise(20, 20 * i), BOOT)
            spool.cut()
    before, size = spool._quota.used_bytes, (ram_path / "spool.db").stat().st_size
    spool.close()
    spool, steps = open_spool(ram_path, quota), 0
    assert before - spool._quota.used_bytes < 2 * step < before - quota
    while spool._quota.used_bytes > quota:
        used, steps = spool._quota.used_bytes, steps + 1
        spool.append(noise(20, spool.acquired), BOOT)
        spool.cut()
        assert step / 2 < used - spool._quota.used_bytes < 4 * step
    spool._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert (ram_path / "spool.db").stat().st_size <= max(size, before)
    values, declared = everything(spool)
    assert len(values) + len(declared) == 20 * (250 + steps)
    assert (spool.epoch, spool.acquired) in values


def test_no_drop_reads_the_table(tmp_path):
    """Steps of SQLite's machine for one drop do not grow with what lies in the spool."""
    taken = {}
    for batches in (300, 1_200):
        spool = Spool(tmp_path / f"{batches}.db", 64 * MIB)
        with spool._file.transaction():
            for i in range(batches):
                spool.append(noise(30, 30 * i), BOOT)
                spool.cut(urgent=i % 3 == 0)
        spool._quota._limit = spool._quota.used_bytes - 1
        spool._quota.enforce()  # finds where the oldest are
        steps = []
        spool._db.set_progress_handler(lambda steps=steps: steps.append(1) and 0, 10)
        dropped = spool.dropped
        spool._quota._limit = spool._quota.used_bytes - 1
        spool._quota.enforce()
        taken[batches] = len(steps) * 10 / ((spool.dropped - dropped) / 30)
    assert taken[1_200] < 1.5 * taken[300] < 1_500


def test_what_is_never_answered_is_set_aside_and_declared(tmp_path):
    spool = open_spool(tmp_path)
    spool.append(some(5), BOOT)
    (kept,) = spool.cut()
    assert not any(spool.refused(kept.id) for _ in range(SET_ASIDE_AFTER - 1))
    assert spool.refused(kept.id)
    (gap,) = spool.waiting(9)
    assert decode_message("sg-01", spool.get(gap).packet(), UTC) == Gap("sg-01", spool.epoch, 1, 5, "set-aside")
    spool.close()
    again = open_spool(tmp_path)  # another start tries again, under the same identity
    values, declared = everything(again)
    assert values == {(again.epoch, i + 1): i for i in range(5)}
    assert not declared


@pytest.mark.parametrize("spare", [0, 1, 5, 11])
def test_a_full_disk_keeps_nothing_half_and_recovers(ram_path, spare):
    spool = open_spool(ram_path)
    spool.append(some(300), BOOT)
    spool.cut()
    pages = spool._db.execute("PRAGMA page_count").fetchone()[0]
    spool._db.execute(f"PRAGMA max_page_count = {pages + spare}")
    kept, refused = 300, 0
    for i in range(60):
        try:
            spool.append(some(500, kept), BOOT)
            kept += 500
            spool.cut()
        except SpoolFull:
            refused += 1
        assert spool.acquired == kept, i
    assert refused, "the disk was meant to be full"
    spool._db.execute(f"PRAGMA max_page_count = {pages + 10_000}")
    spool.append(some(100, kept), BOOT)
    spool.cut()
    spool.dates.anchor(BOOT, ANCHOR)
    values, declared = everything(spool)
    assert values == {(spool.epoch, i + 1): i % 20_000 for i in range(kept + 100)}
    assert not declared


def test_opening_again_goes_on_where_it_was(tmp_path):
    spool = open_spool(tmp_path)
    spool.append(some(20), BOOT)
    epoch = spool.epoch
    spool.close()
    again = open_spool(tmp_path)
    assert (again.epoch, again.acquired, again.uncut) == (epoch, 20, 20)
    assert again.append(some(1), BOOT) == 21


def test_a_file_of_version_1_opens_and_nothing_in_it_is_lost(tmp_path):
    """The file was written by the code of commit b62cbf3.

    1-60 declared over quota, 61-120 urgent and dated, 121-180 set aside, 181-200 declared, 201-260 freed, 261-320 of
    another boot, undated, and 321-327 uncut.
    """
    shutil.copy(ROOT / "tests/data/spool/v1.db", tmp_path / "spool.db")
    spool = Spool(tmp_path / "spool.db", 4 * MIB, "the same machine", NEXT_BOOT)
    assert spool.notes == []
    old = "6dd2eadbaaf13fd4"
    assert spool.earlier() == {old: 267}
    assert spool._file.one("PRAGMA user_version") == schema.VERSION
    assert spool._file.one("PRAGMA page_size") == schema.PAGE_BYTES
    spool.append(some(3, 500), NEXT_BOOT)
    spool.cut()
    spool.dates.anchor(NEXT_BOOT, Anchor(UTC + 100_000, Source.NTP, 100))
    values, declared = everything(spool)
    seqs = {*range(61, 181), *range(261, 328)}
    assert values == {(old, seq): seq - 1 for seq in seqs} | {(spool.epoch, 1 + i): 500 + i for i in range(3)}
    assert declared == {(old, seq) for seq in (*range(1, 61), *range(181, 201))}
    spool.close()
    again = Spool(tmp_path / "spool.db", 4 * MIB, "the same machine", NEXT_BOOT)
    assert again.epoch == spool.epoch
    assert everything(again) == (values, declared)


def test_a_file_of_version_1_is_salvaged_too(tmp_path):
    shutil.copy(ROOT / "tests/data/spool/v1.db", tmp_path / "spool.db")
    spool = Spool(tmp_path / "spool.db", 4 * MIB, "another machine")
    assert spool.notes[1] == "salvaged 267 readings of spool.damaged-1, declared 60 as damaged"
    spool.dates.anchor(NEXT_BOOT, ANCHOR)
    values, declared = everything(spool)
    assert {seq for _, seq in values} == {*range(61, 181), *range(261, 328)}
    freed = set(range(201, 261))  # below what is held nothing says any more that the cloud has it
    assert {seq for _, seq in declared} == {*range(1, 61), *range(181, 201)} | freed


def test_a_newer_file_is_refused_with_the_remedy(tmp_path):
    open_spool(tmp_path).close()
    db = sqlite3.connect(tmp_path / "spool.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(RuntimeError, match="newer gocche"):
        open_spool(tmp_path)


@pytest.mark.parametrize("version", [0, -5])
def test_a_file_whose_version_was_damaged_is_salvaged(tmp_path, version):
    spool = open_spool(tmp_path)
    spool.append(some(5), BOOT)
    spool.cut()
    spool.close()
    db = sqlite3.connect(tmp_path / "spool.db")
    db.execute(f"PRAGMA user_version = {version}")
    db.close()
    again = open_spool(tmp_path)
    assert "its version" in again.notes[0]
    values, declared = everything(again)
    assert values == {(spool.epoch, i + 1): i for i in range(5)}
    assert not declared


WRITER = """
import sys; from pathlib import Path
from edge.keep.spool import Spool; from wire.reading import Reading
spool = Spool(Path(sys.argv[1]), 4 << 20)
while True:
    first = spool.acquired + 1
    seven = [Reading("soil-1", 1000 + seq, {"soil_ec": seq % 20000}, {}) for seq in range(first, first + 7)]
    spool.append(seven, "b1" * 8)
    if first % 5 == 0: spool.cut()
    print(spool.acquired, flush=True)
"""


@pytest.mark.parametrize("seed", range(1))
def test_kill_9_loses_nothing_that_append_had_returned(tmp_path, seed):
    acknowledged = 0
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "spool.db")], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        for _ in range(random.Random(seed).randint(5, 60)):
            acknowledged = int(writer.stdout.readline())
        writer.kill()
        with writer.stdout:  # which has read ahead, perhaps to the middle of a line
            whole, _, _ = writer.stdout.read().rpartition("\n")
        writer.wait(10)
        acknowledged = max([acknowledged, *map(int, whole.splitlines())])
    spool = open_spool(tmp_path)
    assert not spool.notes
    spool.dates.anchor(BOOT, ANCHOR)
    spool.cut()
    values, declared = everything(spool)
    assert not declared
    assert spool.acquired >= acknowledged
    assert values == {(spool.epoch, seq): seq % 20_000 for seq in range(1, spool.acquired + 1)}


def damaged(path, seed):
    """Damage a copy at random: flipped bits, zeroed pages, a cut-off end."""
    dice = random.Random(seed)
    raw = bytearray(path.read_bytes())
    kind = seed % 3
    if kind == 0:
        for _ in range(dice.randint(1, 4)):
            raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
    elif kind == 1:
        page = dice.randrange(len(raw) // 4096) * 4096
        raw[page : page + 4096] = bytes(4096)
    else:
        del raw[dice.randrange(len(raw) // 2, len(raw)) :]
    path.write_bytes(raw)


@pytest.mark.parametrize("seed", range(18))
def test_a_damaged_file_always_opens_and_never_tells_a_wrong_value(ram_path, seed):
    spool = open_spool(ram_path)
    for i in range(12):
        spool.append(some(100, 100 * i), BOOT)
        spool.cut()
    spool.append(some(30, 1_200), BOOT)
    spool.dates.anchor(BOOT, ANCHOR)
    old = spool.epoch
    spool.close()
    damaged(ram_path / "spool.db", seed)
    again = open_spool(ram_path)
    again.cut()
    again.dates.anchor(BOOT, ANCHOR)
    values, declared = everything(again)
    assert all(value == seq - 1 for (epoch, seq), value in values.items() if epoch == old)
    assert not values.keys() & declared
    if again.epoch == old:
        assert values.keys() | declared == {(old, seq) for seq in range(1, 1_231)}
    if again.epoch != old:  # recovered: the damaged file is kept for a person to look at
        assert list(ram_path.glob("spool.damaged-*"))
        assert again.notes
    assert again.append(some(1), BOOT) == again.acquired
    assert isinstance(decode_message("sg-01", again.get(again.cut()[-1].id).packet(), 2 * UTC), Batch)


def test_a_gateway_that_gets_another_id_leaves_no_number_unknown_and_counts_none_as_dropped(tmp_path):
    spool = Spool(tmp_path / "spool.db", 4 * MIB, "one machine", BOOT)  # an older one told nobody its id
    spool.append(some(5), BOOT)
    spool.cut()
    spool.free((spool.epoch, 1, 5))
    spool.close()
    spool = Spool(tmp_path / "spool.db", 4 * MIB, "one machine", BOOT, gateway="sg-01")
    old = spool.epoch
    assert spool.acquired == 5, "to learn its id is not to change it"
    spool.append(some(3), BOOT)
    spool.cut()
    spool.append(some(2), BOOT)
    spool.close()
    for _ in range(2):
        spool = Spool(tmp_path / "spool.db", 4 * MIB, "one machine", BOOT, gateway="sg-02")
        values, declared = everything(spool)
        assert spool.epoch != old
        assert values.keys() == {(old, seq) for seq in range(6, 11)}
        assert declared == {(old, seq) for seq in range(1, 6)}
        assert (spool.acquired, spool.dropped) == (0, 0)
        spool.close()
    copy = Spool(tmp_path / "spool.db", 4 * MIB, "another machine", BOOT, gateway="sg-03")
    values, declared = everything(copy)
    assert values.keys() | declared == {(old, seq) for seq in range(1, 11)}
    copy.close()


def test_another_id_takes_no_more_memory_for_more_that_waits(ram_path):
    """A spool may have millions of batches, and the unit has 192 MiB."""
    spool = Spool(ram_path / "spool.db", 4 * MIB, "one machine", BOOT, gateway="sg-01")
    spool.append(some(1), BOOT)
    (one,) = spool.cut()
    with spool._file.transaction():
        for first in range(2, 6_000):
            spool._file.insert(msgspec.structs.replace(one, identity=(spool.epoch, first, 1)))
    spool._file.set_meta("epoch", "ee" * 8)
    tracemalloc.start()
    repair.name(spool._file, "sg-02")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000
    spool.close()


def test_of_many_epochs_that_wait_the_status_names_those_that_the_cloud_has_heard_of(tmp_path):
    """The oldest are on their way; of the newest the end went first when there was a link last."""
    epochs = []
    for boot in range(50):
        spool = Spool(tmp_path / "spool.db", 4 * MIB, "one machine", f"{boot:016x}")
        spool.append(some(2), f"{boot:016x}")
        epochs.append(spool.epoch)
        spool.close()
    spool = Spool(tmp_path / "spool.db", 4 * MIB, "one machine", NEXT_BOOT)
    assert list(spool.earlier()) == epochs[:16] + epochs[-16:]
    spool.close()
