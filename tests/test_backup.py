"""A server's files copied while it writes, lost, and put back: nothing is unknown, and nothing is overwritten."""

from __future__ import annotations

import errno
import shutil
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from cloud.alerts.journal import Journal
from cloud.alerts.tell import link
from cloud.clock import SystemClock
from cloud.config import load
from cloud.coverage.book import Book as Coverage
from cloud.ingest.quarantine import Quarantine
from cloud.registry.book import Book
from cloud.rooms import store_of
from cloud.store import each_row
from edge.keep.spool import Spool
from gocche.backup import DATA, MANIFEST, backup, restore
from gocche.words import Refused
from tests.build import batch, soil
from tests.contracts.test_samples import NOW_MS
from tests.contracts.test_samples import WALK as HEARD
from tests.servers import until

SAMPLE = Path(__file__).parents[1] / "config" / "cloud.toml"
BOUND_S = 20.0
FILES = {"store.db", "quarantine.db", "registry.db", "coverage.db"}


def settings(folder: Path):
    """Return the sample's configuration with its data in a folder."""
    config = load(SAMPLE)
    return replace(config, data=replace(config.data, path=str(folder)), store={"engine": "sqlite"})


class Writing:
    """A store that goes on taking batches, as ingest's does."""

    def __init__(self, config) -> None:
        self._store = store_of(config, writer=True)
        self._store.setup()
        self.n, self._stop = 0, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._store.commit([batch(first=self.n * 3 + 1, rows=soil(3))], SystemClock().utc_ms())
            self.n += 1

    def __enter__(self):
        self._thread.start()
        until(lambda: self.n > 5, BOUND_S, "some batches are stored")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(BOUND_S)
        self._store.close()


def rows(config) -> list:
    store = store_of(config, writer=False)
    try:
        return list(each_row(store))
    finally:
        store.close()


@pytest.fixture
def copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    config = settings(tmp_path / "live")
    photos = tmp_path / "live" / "photos"
    photos.mkdir(parents=True)
    for name in ("0011-360.webp", "0011-360.jpg", ".0011-720.jpg.new"):  # the last is half written
        (photos / name).write_bytes(name.encode())
    Quarantine(tmp_path / "live" / "quarantine.db").close()
    Book(tmp_path / "live" / "registry.db", writer=True).close()
    samples = Coverage(tmp_path / "live" / "coverage.db")
    samples.put([HEARD], NOW_MS)  # and stays open: what is committed lies in its log
    Spool(tmp_path / "live" / "spool.db", 1 << 20).close()  # as under `gocche up`: its numbers must never come twice
    with Writing(config) as writing:
        before = writing.n
        assert backup(config, SAMPLE, tmp_path / "copy") == 0
        assert {path.name for path in (tmp_path / "copy" / DATA).iterdir()} == FILES | {"photos"}
        assert before <= len(rows(settings(tmp_path / "copy" / DATA)))
    samples.close()
    told = capsys.readouterr().out
    assert told.index("copied store.db") < told.index("copied quarantine.db")  # may know more, never less
    assert "không rõ 0" in told
    return tmp_path / "copy"


def test_what_was_copied_while_it_was_written_comes_back_whole(tmp_path: Path, copied: Path) -> None:
    lost = settings(tmp_path / "new" / "data")
    assert restore(lost, copied) == 0
    assert rows(lost) == rows(settings(copied / DATA))
    assert {path.name for path in (tmp_path / "new" / "data").glob("*.db")} == FILES
    samples = Coverage(tmp_path / "new" / "data" / "coverage.db")
    assert list(samples.samples(0, 2**62)) == [HEARD]
    samples.close()
    photos = tmp_path / "new" / "data" / "photos"
    assert {path.name: path.read_bytes() for path in photos.iterdir()} == {
        name: name.encode() for name in ("0011-360.webp", "0011-360.jpg")
    }
    with Writing(lost):
        pass  # and goes on from there


def test_nothing_is_overwritten(tmp_path: Path, copied: Path) -> None:
    with pytest.raises(Refused, match="has something in it"):
        backup(settings(tmp_path / "live"), SAMPLE, copied)
    with pytest.raises(Refused, match="will not be overwritten"):
        restore(settings(tmp_path / "live"), copied)


def test_a_log_that_was_left_behind_is_not_written_into_what_is_restored(tmp_path: Path, copied: Path) -> None:
    """Somebody took a damaged store.db away, and nothing else."""
    config = settings(tmp_path / "new")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "store.db-wal").write_bytes(b"what was committed since")
    with pytest.raises(Refused, match=r"store.db-wal is there already"):
        restore(config, copied)
    assert not (tmp_path / "new" / "store.db").exists()


def test_a_restore_that_was_broken_off_goes_on(tmp_path: Path, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy, done = shutil.copyfile, list[Path]()

    def full(source: Path, target: Path) -> None:
        if done:
            target.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        done.append(copy(source, target))

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        restore(settings(tmp_path / "new"), copied)
    monkeypatch.setattr(shutil, "copyfile", copy)
    assert restore(settings(tmp_path / "new"), copied) == 0
    assert rows(settings(tmp_path / "new")) == rows(settings(copied / DATA))


def test_half_a_backup_and_a_damaged_one_are_refused_before_anything_is_written(tmp_path: Path, copied: Path) -> None:
    new = settings(tmp_path / "new")
    file = copied / DATA / "store.db"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"?")
    with pytest.raises(Refused, match=r"store.db is not what was backed up"):
        restore(new, copied)
    file.unlink()
    with pytest.raises(Refused, match=r"store.db is not what was backed up"):
        restore(new, copied)
    (copied / MANIFEST).unlink()
    with pytest.raises(Refused, match="no whole backup"):
        restore(new, copied)
    assert not (tmp_path / "new").exists()


def test_a_folder_without_a_server_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="holds no file of the server"):
        backup(settings(tmp_path), SAMPLE, tmp_path / "copy")
    assert not (tmp_path / "copy").exists(), "the next try finds no folder that has something in it"


def test_the_journal_of_alerts_comes_along(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "alerts.db")
    journal.db.execute("INSERT OR REPLACE INTO meta VALUES ('cursor', 7)")
    config = replace(settings(tmp_path), store={"engine": "influx", "database": "gocche"})
    assert backup(config, SAMPLE, tmp_path / "copy") == 0, "the readings are InfluxDB's to copy"
    journal.close()
    again = Journal(tmp_path / "copy" / DATA / "alerts.db")
    assert again.db.execute("SELECT value FROM meta WHERE key = 'cursor'").fetchone() == ("7",)
    again.close()


def test_after_a_restore_no_link_of_before_opens_another_letter(tmp_path: Path, copied: Path) -> None:
    data = tmp_path / "new"
    data.mkdir()
    key = link.key_of(data)
    shown = link.token(key, 57, 0)
    assert restore(settings(data), copied) == 0
    assert link.letter_of(link.key_of(data), shown, 0) is None
