"""The files of a spool by their names, and what is done where its name stands for another file by now, or for none."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from disk.flush import flush

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

_COMPANIONS = ("-wal", "-shm")
_SPARE_BYTES = 1024 * 1024  # of the disk, beyond a copy


def parts(path: Path) -> list[Path]:
    """Return a file and its companions, the file itself last: while it is not there, nothing is."""
    return [path.with_name(path.name + suffix) for suffix in (*_COMPANIONS, "")]


def damaged(path: Path) -> list[Path]:
    """Return the files that were set aside, oldest first; what a person named otherwise beside them is none of ours."""
    found = {one: one.name.removeprefix(f"{path.stem}.damaged-") for one in path.parent.glob(f"{path.stem}.damaged-*")}
    ours = [one for one, number in found.items() if number.isascii() and number.isdigit() and one.is_file()]
    return sorted(ours, key=lambda one: int(found[one]))


def belong(path: Path) -> None:
    """Give what root makes in somebody's folder to whose it is: a service could never open it again."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        for one in path.parent.glob(f"{path.stem}.*"):
            with suppress(OSError):  # a card that knows no owners
                os.chown(one, owner.st_uid, owner.st_gid, follow_symlinks=False)


def aside(path: Path) -> Path:
    """Return a name that is free for a file that is set aside."""
    names = (path.with_suffix(f".damaged-{number}") for number in range(1, 10_000))
    return next(name for name in names if not any(part.exists() for part in parts(name)))


def node(path: Path) -> tuple[int, int] | None:
    """Return which file a name stands for, None for none. Raises OSError where the disk does not say."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def copied(db: sqlite3.Connection, path: Path, size: int) -> Path:
    """Copy an open file that is at its name no more: SQLite would go on with it, and all of it go with the process.

    It stands where it stood, or set aside where another file does by now: a start takes over either. Raises OSError or
    sqlite3.Error where that cannot be.
    """
    part = path.with_suffix(".copy")
    part.parent.mkdir(parents=True, exist_ok=True)
    part.unlink(missing_ok=True)
    disk = os.statvfs(part.parent)
    if disk.f_bavail * disk.f_frsize < size + _SPARE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(part))
    db.execute("VACUUM INTO ?", (str(part),))
    flush(part)
    there = aside(path) if path.exists() else path
    if there == path:  # a log without its file is this one's
        for companion in parts(path)[:-1]:
            companion.unlink(missing_ok=True)
    part.rename(there)
    belong(path)
    flush(there.parent)
    return there
