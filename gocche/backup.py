"""`gocche backup` and `gocche restore`: the server's own files, copied while it runs, and put back, each time audited.

Each SQLite file is copied by SQLite's own backup, in one read transaction: a copy is one moment of that file, whatever
is written meanwhile. The journal and the quarantine are copied after the store, so they may know a little more than
it, never less. InfluxDB's data is its maker's to copy.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cloud.clock import SystemClock, hanoi
from cloud.registry.book import PHOTOS
from disk.flush import flush
from gocche.audit import audit
from gocche.words import Refused, both
from wire import VERSION

if TYPE_CHECKING:
    from cloud.config import CloudConfig

MANIFEST = "backup.json"
LOGS = "-wal", "-journal"  # of a file that was taken away: SQLite would write it into the one that is put there
LINKS = "link.key"  # signs the links of letters
DATA, SETTINGS, GARDEN = "data", "cloud.toml", "garden"


class Copied(msgspec.Struct, frozen=True):
    """One file of a backup."""

    bytes: int
    sha256: str


NOTHING = Copied(0, hashlib.sha256().hexdigest())


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds; written last, so that a folder without it is none."""

    version: str
    made: str
    engine: str
    files: dict[str, Copied]


def backup(config: CloudConfig, settings: Path, folder: Path) -> int:
    """Copy the server's files, cloud.toml and the garden into a new folder; return 0 when the copy's sum comes out.

    Secrets are not copied. Raises Refused for a folder that has something in it, OSError or sqlite3.Error for what the
    machine refuses: then the folder holds no backup.
    """
    if folder.exists() and any(folder.iterdir()):
        raise Refused("backup", "not_empty", folder=folder)
    names = _databases(config)
    (folder / DATA).mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name in names:
        _copy_database(Path(config.data.path) / name, folder / DATA / name)
        print(both("backup", "copied", name=name, size=_size(folder / DATA / name)))
    shutil.copyfile(settings, folder / SETTINGS)
    if (garden := config.folder / config.garden.path).is_dir():  # read at the first start only, for registry.db
        shutil.copytree(garden, folder / GARDEN)
    if (photos := Path(config.data.path) / PHOTOS).is_dir():
        shutil.copytree(photos, folder / DATA / PHOTOS, ignore=shutil.ignore_patterns(".*"))  # those half written
    engine = str(config.store.get("engine", "sqlite"))
    if engine == "sqlite":
        unknown = audit(
            msgspec.structs.replace(config, data=msgspec.structs.replace(config.data, path=str(folder / DATA))),
            as_json=False,
        )
        for companion in (folder / DATA).glob("*.db-*"):  # of that reading: a copy is whole without them
            companion.unlink()
    else:
        unknown = 0
        print(both("backup", "makers", database=config.store.get("database", "gocche"), folder=folder))
    files = {str(path.relative_to(folder)): _kept(path) for path in _files(folder)}
    _write(folder / MANIFEST, Manifest(VERSION, hanoi(SystemClock().utc_ms()).isoformat(), engine, files))
    print(both("backup", "made", folder=folder, files=len(files)))
    return unknown


def restore(config: CloudConfig, folder: Path) -> int:
    """Put a backup's databases into the data folder of a server that does not run; return 0 when their sum comes out.

    cloud.toml and the garden are not put back: they lie in the backup, for a person to compare. Raises Refused for a
    folder that is no backup or is damaged, and where a file would be overwritten. One that was broken off goes on.
    """
    manifest = _manifest(folder)
    data = Path(config.data.path)
    databases = (name for name in manifest.files if name.startswith(f"{DATA}/") and name.endswith(".db"))
    wanted = {name: data / Path(name).name for name in databases}
    photos = (name for name in manifest.files if name.startswith(f"{DATA}/{PHOTOS}/"))
    wanted |= {name: data / PHOTOS / Path(name).name for name in photos}
    for name, target in wanted.items():
        for there in (target, *(target.with_name(target.name + log) for log in LOGS)):
            if there.exists() and _kept(there) not in {manifest.files[name], NOTHING}:
                raise Refused("restore", "exists", file=there)
        if not (folder / name).is_file() or _kept(folder / name) != manifest.files[name]:
            raise Refused("restore", "damaged", file=folder / name)
    data.mkdir(parents=True, exist_ok=True)
    for name, target in wanted.items():
        target.parent.mkdir(mode=0o700, exist_ok=True)
        new = target.with_suffix(".restoring")
        shutil.copyfile(folder / name, new)
        flush(new)
        new.rename(target)
        (data / LINKS).unlink(missing_ok=True)  # the numbers of letters since the backup are given again
        print(both("backup", "copied", name=target.name, size=_size(target)))
    flush(data)
    print(both("restore", "done", data=data, made=manifest.made))
    return audit(config, as_json=False) if manifest.engine == "sqlite" else 0


def _databases(config: CloudConfig) -> list[str]:
    """Return the names of the server's SQLite files, the store first. A gateway's spool beside them is never copied."""
    found = {path.name for path in Path(config.data.path).glob("*.db")} - {"spool.db"}
    if not found:
        raise Refused("backup", "nothing", data=config.data.path)
    store = str(config.store.get("path", "store.db"))
    return sorted(found, key=lambda name: (name != store, name))


def _copy_database(source: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as old,
        closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new)
        if (told := new.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(f"{source}: {told}")
    flush(target)


def _manifest(folder: Path) -> Manifest:
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise Refused("restore", "no_backup", folder=folder, file=MANIFEST) from error


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _kept(path: Path) -> Copied:
    with path.open("rb") as file:
        return Copied(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def _write(path: Path, manifest: Manifest) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
    flush(path)
    flush(path.parent)


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 2**20:.1f} MiB"
