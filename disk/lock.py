"""A file that one process holds while it lives: whoever comes second is told who was first."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from settings.words import Taken, said

if TYPE_CHECKING:
    from pathlib import Path


def lock_of(path: Path) -> Path:
    """Return the lock file that stands beside a file."""
    return path.with_name(f"{path.name}.lock")


def take_lock(lock_file: Path, package: str, part: str, /, **facts: Any) -> int:
    """Return the open lock file; closing it, or dying, lets go.

    Raises Taken when it is held: `in_use` of a part of a package's words.toml, with these facts and `who` holds it.
    Raises OSError where the file cannot be made.
    """
    lock = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(lock, 20, 0).decode(errors="replace").strip()
        os.close(lock)
        raise Taken(package, part, "in_use", who=_who("en", pid), who_vi=_who("vi", pid), **facts) from None
    with suppress(OSError):  # the name is a courtesy: a full disk must not cost the lock
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _who(language: str, pid: str) -> str:
    return said("settings", "lock", "process" if pid else "unnamed", language, pid=pid)


def is_held(lock_file: Path) -> bool:
    """Tell whether some process holds the lock."""
    try:
        lock = os.open(lock_file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
