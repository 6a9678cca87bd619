"""A spool's bad days: files lost or half renamed, damaged pages, salvage that is killed, and its sums over all that."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from edge.clock import Anchor
from edge.keep.spool import Spool, SpoolFull, quota, repair, salvage, schema
from tests.edge.test_spool import ANCHOR, BOOT, MIB, NEXT_BOOT, UTC, everything, noise, open_spool, ram_path, some
from wire.batch import Source
from wire.codec import GAP

__all__ = ["ram_path"]


class PowerCut(BaseException):
    """The power fails here."""


def unplugged(spool):
    """Return the folder of a copy of a spool's files as they lie on the card now, nothing tidied."""
    copy = spool._file._path.parent.with_name("unplugged")
    copy.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{spool._file._path}{suffix}", copy)
    return copy


@pytest.mark.parametrize("left", ["empty", "missing"])
def test_what_the_log_has_comes_back_when_the_file_beside_it_is_lost(tmp_path, left):
    (tmp_path / "card").mkdir()
    spool = open_spool(tmp_path / "card")
    for i in range(6):
        spool.append(some(100, 100 * i), BOOT)
        spool.cut()
    spool.append(some(20, 600), BOOT)
    copy = unplugged(spool)
    if left == "empty":
        (copy / "spool.db").write_bytes(b"")
    else:
        (copy / "spool.db").unlink()
    again = open_spool(copy)
    assert again.epoch == spool.epoch
    assert "brought back" in again.notes[0]
    again.cut()
    values, declared = everything(again)
    assert values == {(spool.epoch, i + 1): i for i in range(620)}
    assert not declared


@pytest.mark.parametrize("where", ["head", "first page", "names of tables", "end"])
def test_a_file_that_does_not_say_any_more_what_tables_it_has_is_taken_over_all_the_same(ram_path, where):
    """The first page is written most often. Of a file without it, whole otherwise, nothing was read, nor declared."""
    spool = open_spool(ram_path)
    for i in range(60):
        spool.append(some(10, 10 * i), BOOT)
        spool.cut()
    spool.append(some(5, 600), BOOT)
    spool.close()
    file = ram_path / "spool.db"
    raw = bytearray(file.read_bytes())
    page = 1024 * (max(schema.pages()) - 1)
    at, n = {"head": (0, 100), "first page": (0, 1024), "names of tables": (page, 1024), "end": (len(raw) - 2048, 0)}[
        where
    ]
    raw[at : at + n] = bytes(n)
    file.write_bytes(raw if n else raw[:at])
    again = open_spool(ram_path)
    assert "set aside" in again.notes[0]
    again.cut()
    values, declared = everything(again)
    assert len(values) + len(declared) == 605
    assert len(values) == 605 or where == "end"
    assert len(values) > 400


@pytest.mark.parametrize("which", [0, 1, -1, slice(None)], ids=["first", "middle", "last", "all"])
@pytest.mark.parametrize("freed", [0, 25])
def test_what_a_damaged_page_took_of_an_earlier_epoch_is_declared(ram_path, which, freed):
    """At its edges too; what the cloud has of it is not."""
    spool = open_spool(ram_path)
    for i in range(60):
        spool.append(some(10, 10 * i), BOOT)
        spool.cut()
    earlier = spool.epoch
    for _ in range(2):  # it is known of all epochs before, not of the last alone
        spool.begin(anew=True)
        spool.append(some(20), BOOT)
    for i in range(freed):
        assert spool.free((earlier, 10 * i + 1, 10))
    spool.close()
    file = ram_path / "spool.db"
    raw = bytearray(file.read_bytes())
    leaves = sorted(
        (at for at in range(0, len(raw), 1024) if raw[at] == 0x0D and raw.count(earlier.encode(), at, at + 1024) > 2),
        key=lambda at: sqlite_rowid(raw, at),
    )
    for at in leaves[which] if isinstance(which, slice) else [leaves[which]]:
        raw[at : at + 1024] = bytes(1024)
    file.write_bytes(raw)
    again = open_spool(ram_path)
    values, declared = everything(again)
    mine = {key for key in values.keys() | declared if key[0] == earlier}
    assert mine == {(earlier, seq) for seq in range(10 * freed + 1, 601)}
    assert any(epoch == earlier for epoch, _ in declared)


def test_ones_in_the_names_of_tables_wedge_no_start_wherever_they_are(ram_path):
    """Of some SQLite says that there is no memory, at each start again."""
    spool = open_spool(ram_path)
    for i in range(10):
        spool.append(some(10, 10 * i), BOOT)
        spool.cut()
    spool.close()
    whole = (ram_path / "spool.db").read_bytes()
    pages = (schema.PAGE_BYTES * (page - 1) for page in schema.pages())
    for at in (at + step for at in pages for step in range(5, schema.PAGE_BYTES - 64, 64)):
        folder = ram_path / str(at)
        folder.mkdir()
        (folder / "spool.db").write_bytes(whole[:at] + b"\xff" * 64 + whole[at + 64 :])
        again = open_spool(folder)
        values, declared = everything(again)
        assert len(values) + len(declared) == 100, at
        again.close()


def sqlite_rowid(raw, at):
    """Return the first row's number on a leaf of a table: after the varint of its length, below 128 bytes by two."""
    cell = at + int.from_bytes(raw[at + 8 : at + 10])
    cell += 2 if raw[cell] & 0x80 else 1
    number = 0
    while raw[cell] & 0x80:
        number, cell = number << 7 | raw[cell] & 0x7F, cell + 1
    return number << 7 | raw[cell]


def test_a_lost_file_whose_log_is_rubbish_is_damage_and_not_a_new_spool(tmp_path):
    (tmp_path / "spool.db-wal").write_bytes(random.Random(1).randbytes(9_000))
    spool = open_spool(tmp_path)
    assert "set aside as spool.damaged-1" in spool.notes[1]
    assert spool.append(some(1), BOOT) == 1


def test_a_power_cut_between_the_renames_of_a_repair_orphans_nothing(tmp_path, monkeypatch):
    """Whichever rename is the last that happened, the next start finds all that was committed."""
    for survive in (0, 1, 2):
        (tmp_path / f"{survive}/card").mkdir(parents=True)
        spool = Spool(tmp_path / f"{survive}/card/spool.db", 4 * MIB, "one machine")
        for i in range(6):
            spool.append(some(100, 100 * i), BOOT)
            spool.cut()
        folder = unplugged(spool)  # most of it lies in the WAL
        renames = iter(range(survive))
        rename = Path.rename

        def until_the_cut(self, target, renames=renames, rename=rename):
            if next(renames, None) is None:
                raise PowerCut
            return rename(self, target)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "rename", until_the_cut)
            with contextlib.suppress(PowerCut):
                repair.set_aside(folder / "spool.db")
        again = Spool(folder / "spool.db", 4 * MIB, "another machine")
        values, declared = everything(again)
        assert values == {(spool.epoch, i + 1): i for i in range(600)}, survive
        assert not declared
        assert sorted(p.name for p in folder.glob("*damaged*") if not p.name.endswith(("wal", "shm"))) == [
            "spool.damaged-1"
        ]


def test_a_salvage_that_is_killed_goes_on_where_it_was(tmp_path, monkeypatch):
    spool = Spool(tmp_path / "spool.db", 64 * MIB, "one machine")
    with spool._file.transaction():
        for i in range(1_000):
            spool.append(some(3, 3 * i), BOOT)
            spool.cut()
    spool.append(some(2, 3_000), BOOT)
    spool.close()
    taken = []

    def killed_in_the_middle(self, need_bytes=0):
        taken.append(self._file.one("SELECT readings FROM taken_over"))
        if len(taken) == 4:
            raise PowerCut

    with monkeypatch.context() as patched:
        patched.setattr(quota.Quota, "enforce", killed_in_the_middle)
        with pytest.raises(PowerCut):
            Spool(tmp_path / "spool.db", 64 * MIB, "another machine")
    assert taken == [None, 600, 1_200, 1_800]
    read = []
    rows_of = salvage._rows
    monkeypatch.setattr(salvage, "_rows", lambda *a: (read.append(row) or row for row in rows_of(*a)))
    again = Spool(tmp_path / "spool.db", 64 * MIB, "another machine")
    assert again.notes == ["salvaged 3002 readings of spool.damaged-1, declared 0 as damaged"]
    assert len(read) == 400 + 1, "600 batches were taken over before; then the uncut"
    values, declared = everything(again)
    assert values == {(spool.epoch, i + 1): i % 20_000 for i in range(3_002)}
    assert not declared


@pytest.mark.parametrize("slices", range(5))
def test_boots_that_died_undated_are_dated_rightly_however_late_they_are_taken_over(tmp_path, monkeypatch, slices):
    """A full disk cuts a salvage off, and what lies in it comes after the rows of later boots."""
    monkeypatch.setattr(salvage, "AT_ONCE", 2)
    path, day_ms = tmp_path / "spool.db", 86_400_000
    boots = {f"{n:016x}": UTC + 10 * n * day_ms for n in range(1, 6)}  # and when each began
    first, second, third, fourth, fifth = boots
    enforce, left = quota.Quota.enforce, [999]

    def full(self, need_bytes=0, *floor):
        left[0] -= not need_bytes
        if left[0] < 0:
            raise SpoolFull
        enforce(self, need_bytes, *floor)

    monkeypatch.setattr(quota.Quota, "enforce", full)
    for boot, machine, room, dated in (
        (first, "one", 999, False), (second, "one", 999, False), (third, "another", slices, True),
        (fourth, "another", slices, False), (fifth, "another", 999, True),
    ):  # fmt: skip
        left[0] = room
        spool = Spool(path, 4 * MIB, machine, boot)
        left[0] = 999
        for _ in range(4):
            spool.append(some(2), boot)
            newest = spool.cut()[-1]
        if dated:
            spool.dates.anchor(boot, Anchor(boots[boot], Source.NTP, 100))
            spool.dates.bound(boot, boots[boot] + 100)
            while spool.dates.go_on():
                pass
            spool.free(newest.identity)
        if boot != fifth:
            spool.close()
    found = [spool.get(number) for number in spool.waiting(99)]
    assert {one.boot for one in found if one.boot} >= {first, second, third, fourth, fifth}
    for one in found:
        if one.boot in boots:
            assert abs(one.offset_ms - boots[one.boot]) <= one.uncertainty_ms


def test_what_a_damaged_file_had_not_cut_is_dated_as_the_rest_of_its_boot(tmp_path):
    for machine, boot in (("one", BOOT), ("another", NEXT_BOOT)):
        spool = Spool(tmp_path / "spool.db", 4 * MIB, machine, boot)
        spool.dates.anchor(boot, ANCHOR)
        spool.append(some(3), boot)
        spool.cut()
        spool.append(some(3), boot)
        if boot == BOOT:
            spool.close()
    spool.dates.bound(NEXT_BOOT, UTC + 10**9)
    found = [spool.get(number) for number in spool.waiting(9)]
    assert [(one.boot, one.offset_ms, one.source) for one in found] == [
        (BOOT, UTC, Source.NTP), (BOOT, UTC, Source.NTP), (NEXT_BOOT, UTC, Source.NTP),
    ]  # fmt: skip


def test_a_damaged_file_without_a_whole_batch_is_taken_over_once_too(tmp_path):
    spool = Spool(tmp_path / "spool.db", 4 * MIB, "one machine")
    spool.append(some(5), BOOT)
    spool.close()
    spool = Spool(tmp_path / "spool.db", 4 * MIB, "another machine")
    assert "salvaged 5 readings" in spool.notes[-1]
    assert spool.free(spool.get(1).identity)
    spool.close()
    again = Spool(tmp_path / "spool.db", 4 * MIB, "another machine")
    assert again.notes == []
    assert again.earlier() == {}


def test_two_damaged_pages_cost_only_what_lies_in_them(tmp_path):
    spool = Spool(tmp_path / "spool.db", 64 * MIB, "one machine")
    with spool._file.transaction():
        for i in range(600):
            spool.append(noise(30, 30 * i), BOOT)
            spool.cut()
    spool.close()
    db = sqlite3.connect(tmp_path / "spool.db")
    sql = "SELECT pageno FROM dbstat WHERE name = 'batch' AND pagetype = 'leaf' ORDER BY pageno"
    leaves = [page for (page,) in db.execute(sql)]
    db.close()
    with (tmp_path / "spool.db").open("r+b") as file:
        for page in (leaves[len(leaves) // 4], leaves[len(leaves) // 2]):
            file.seek((page - 1) * schema.PAGE_BYTES)
            file.write(bytes(schema.PAGE_BYTES))
    again = Spool(tmp_path / "spool.db", 64 * MIB, "one machine")
    values, declared = everything(again)
    assert values.keys() | declared == {(spool.epoch, seq) for seq in range(1, 18_001)}
    assert 0 < len(declared) <= 2 * 30 * 12, "a page holds a few batches"


def test_a_damaged_row_that_another_index_does_not_know_wedges_no_start(tmp_path):
    """A bit in the header of a dated row makes it undated; the index of those has no entry to delete with it."""
    spool = open_spool(tmp_path)
    spool.dates.anchor(BOOT, ANCHOR)
    for i in range(3):
        spool.append(some(10, 10 * i), BOOT)
        spool.cut()
    spool.close()
    schema_of = "SELECT type, name, tbl_name, rootpage, sql FROM sqlite_schema WHERE name = 'undated'"
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db")) as db, db:
        undated = db.execute(schema_of).fetchone()
        db.execute("PRAGMA writable_schema = ON")
        db.execute("DELETE FROM sqlite_schema WHERE name = 'undated'")
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db")) as db, db:
        db.execute("UPDATE batch SET offset_ms = NULL WHERE id = 2")
        db.execute("PRAGMA writable_schema = ON")
        db.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", undated)
    spool = open_spool(tmp_path)
    values, declared = everything(spool)
    assert values == {(spool.epoch, i + 1): i for i in range(30) if not 10 <= i < 20}
    assert declared == {(spool.epoch, i + 1) for i in range(10, 20)}
    assert spool._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_bit_that_gives_two_rows_one_identity_wedges_no_start(tmp_path):
    """No index can be written anew while both are there."""
    spool = open_spool(tmp_path)
    for i in range(6):
        spool.append(some(10, 10 * i), BOOT)
        spool.cut()
    old = spool.epoch
    spool.close()
    file, leaf = tmp_path / "spool.db", 0x0D
    raw = bytearray(file.read_bytes())
    pages = [at for at in range(0, len(raw), schema.PAGE_BYTES) if raw[at] == leaf]
    (place,) = [
        found for at in pages if (found := raw.find(old.encode() + bytes((31, 10)), at, at + schema.PAGE_BYTES)) >= 0
    ]
    raw[place + len(old)] ^= 31 ^ 41
    file.write_bytes(raw)
    spool = open_spool(tmp_path)
    values, declared = everything(spool)
    assert values == {(old, i + 1): i for i in range(60) if not 30 <= i < 40}
    assert declared == {(old, i + 1) for i in range(30, 40)}


def test_damage_that_shows_only_when_a_file_is_worked_with_sets_it_aside(tmp_path, monkeypatch):
    spool = open_spool(tmp_path)
    spool.append(some(10), BOOT)
    spool.cut()
    old = spool.epoch
    spool.close()
    fits = repair.fit_indexes

    def shows(file):
        monkeypatch.setattr(repair, "fit_indexes", fits)
        file.db.execute("INSERT INTO batch SELECT * FROM batch")

    monkeypatch.setattr(repair, "fit_indexes", shows)
    spool = open_spool(tmp_path)
    assert "UNIQUE constraint failed" in spool.notes[0].told("en")
    assert (tmp_path / "spool.damaged-1").exists()
    values, declared = everything(spool)
    assert (values, declared) == ({(old, i + 1): i for i in range(10)}, set())


def test_a_damaged_file_set_aside_counts_and_goes_before_any_reading(tmp_path):
    spool = Spool(tmp_path / "spool.db", MIB, "one machine")
    with spool._file.transaction():
        for i in range(600):
            spool.append(noise(100, 100 * i), BOOT)
            spool.cut()
    spool.close()
    again = Spool(tmp_path / "spool.db", MIB, "another machine")
    size = (tmp_path / "spool.damaged-1").stat().st_size
    held = again.earlier()[spool.epoch]
    assert again._quota.used_bytes > 2 * size * 0.9, "it is held against the quota"
    dropped = again.dropped
    for i in range(600):
        again.append(noise(100, 100 * i), NEXT_BOOT)
        again.cut()
        if not (tmp_path / "spool.damaged-1").exists():
            break
    assert "spool.damaged-1 was removed: the quota is needed for readings" in again.notes
    assert again.dropped == dropped
    assert again.earlier()[spool.epoch] == held == 60_000


def test_running_sums_are_what_the_table_says(ram_path):
    """Whatever happens in between: frees, set-asides, drops, gaps, another boot."""
    dice = random.Random(3)
    spool = Spool(ram_path / "spool.db", 48 * 1024, "this", BOOT)
    for step in range(400):
        spool.append(noise(dice.randint(1, 60), step), BOOT)
        if dice.random() < 0.7:
            spool.cut(urgent=dice.random() < 0.1)
        if dice.random() < 0.2:
            spool.declare(dice.randint(1, 5), "no-room")
        spool.dates.anchor(BOOT, ANCHOR)
        for number in spool.waiting(3) if dice.random() < 0.4 else ():
            spool.free(spool.get(number).identity)
        if dice.random() < 0.1:
            for number in spool.waiting(1):
                for _ in range(repair.SET_ASIDE_AFTER):
                    spool.refused(number)
        if step % 100 == 99:
            spool.close()
            spool = Spool(ram_path / "spool.db", 48 * 1024, "this", f"{step:016x}")
        told = dict(spool._db.execute("SELECT epoch, sum(n) FROM batch WHERE aside = 0 GROUP BY epoch").fetchall())
        assert spool._file.held == told, step


def test_a_disk_that_is_full_of_the_spool_itself_does_not_wedge_it(ram_path):
    """The disk has less room than the quota: the oldest goes, declared, and the newest is kept."""
    spool = open_spool(ram_path, 64 * MIB)
    with spool._file.transaction():
        for i in range(1_000):
            spool.append(noise(300, 300 * i), BOOT)
            spool.cut()
    pages = spool._file.one("PRAGMA page_count")
    assert pages * schema.PAGE_BYTES > MIB, "a spool that is small is not why a disk is full"
    spool._db.execute(f"PRAGMA max_page_count = {pages}")
    for i in range(1_000, 1_050):
        spool.append(noise(300, 300 * i), BOOT)
        spool.cut()
    held = spool._db.execute("SELECT kind, first, n FROM batch ORDER BY first").fetchall()
    assert [(kind, first) for kind, first, _ in held if kind == GAP] == [(GAP, 1)]
    assert 0 < held[0][2] == spool.dropped < 157_500
    assert sum(n for *_, n in held) == spool.acquired == 315_000


def test_where_earlier_epochs_begin_is_kept_while_they_drain_at_a_price_that_does_not_grow_with_their_number(tmp_path):
    chance, spool = random.Random(7), None
    for boot in range(8):
        spool = Spool(tmp_path / "spool.db", MIB, own="m", boot=f"{boot:016x}")
        for at in range(6):
            spool.append(some(3, 10 * at), f"{boot:016x}")
            spool.cut()
        if boot < 7:
            spool.close()
    rows = spool._db.execute("SELECT epoch, first, n FROM batch").fetchall()
    for identity in chance.sample(rows, len(rows)):
        asked = []
        spool._db.set_trace_callback(asked.append)
        assert spool.free(identity)
        spool._db.set_trace_callback(None)
        assert sum("min(first)" in sql for sql in asked) <= 1
        kept = spool._file.meta("ended")
        spool._file.note_ends()
        assert kept == spool._file.meta("ended")
    assert kept == ""
    spool.close()
