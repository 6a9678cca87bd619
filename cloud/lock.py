"""A file that one process holds while it lives: whoever comes second is told who was first."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from settings.words import Taken

if TYPE_CHECKING:
    from pathlib import Path


def take_lock(path: Path, part: str) -> int:
    """Return the open lock file of `path`; closing it, or dying, lets go.

    Raises Taken, naming the other process in the words `in_use` of a part of cloud/words.toml, when it is held.
    """
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        other = os.pread(lock, 20, 0).decode(errors="replace").strip()
        os.close(lock)
        who = f"process {other}" if other else "another process"
        raise Taken("cloud", part, "in_use", path=path, who=who) from None
    with suppress(OSError):  # the name is a courtesy: a full disk must not cost the lock
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def is_held(path: Path) -> bool:
    """Tell whether some process holds the lock of `path`."""
    try:
        lock = os.open(f"{path}.lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
