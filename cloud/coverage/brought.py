"""Handing a file to the coverage room: copied into its folder under a name that says nothing, then asked for.

What a file was called, and what else may tell who carried the telephone, stays where it came from.
"""

from __future__ import annotations

import os
import secrets
import shutil
from typing import IO, TYPE_CHECKING

from cloud.coverage.book import NAME, Upload, uploads
from cloud.coverage.shelf import UNREADABLE
from cloud.coverage.uploads import FOLDER, KIND, MOST_BYTES, PART, ROOM
from cloud.inbox import Asker
from disk.flush import flush

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.clock import Clock

_PIECE = 1_048_576


class TooLarge(Exception):
    """A file of more than `MOST_BYTES`: a telephone keeps several, or it can be cut between two lines."""


class Desk:
    """Hands files over, and tells what became of them. From any thread."""

    def __init__(self, data: Path, clock: Clock) -> None:
        self._data, self._asker = data, Asker(data, ROOM, clock)

    @property
    def attended(self) -> bool:
        """Whether the room runs on this machine now; it reads what waits at its next start too."""
        return self._asker.attended()

    def bring(self, file: IO[bytes], team: str) -> tuple[int, str]:
        """Return the number of the question about a copy of a file, and the copy's name.

        Raises TooLarge, OSError for what the disk refuses, Retry where the room has never run or too much waits: then
        no copy is left.
        """
        folder = self._data / FOLDER
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
            _given(folder)
        path = folder / secrets.token_hex(12)
        part = path.with_suffix(PART)
        try:
            _copied(file, part)
            flush(part)
            part.rename(path)
            flush(folder)
            return self._asker.ask(KIND, {"file": path.name, "team": team}), path.name
        except BaseException:
            part.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            raise

    def outcome(self, question: int) -> dict[str, object] | None:
        """Return what became of a file, None while it waits or is read. Raises Retry, LookupError."""
        return self._asker.outcome(question)

    def progress(self, name: str = "") -> list[Upload]:
        """Return how far files are read, or one of a name, the newest first; nothing where that cannot be read now."""
        try:
            return [one for one in uploads(self._data / NAME) if name in ("", one.file)]
        except UNREADABLE:
            return []

    def close(self) -> None:
        """Close files. May be called twice."""
        self._asker.close()


def _copied(file: IO[bytes], path: Path) -> None:
    """Write a new file with what another has left."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as copy:
        while piece := file.read(_PIECE):
            copy.write(piece)
            if copy.tell() > MOST_BYTES:
                raise TooLarge
    _given(path)


def _given(path: Path) -> None:
    """Give what root has made to the owner of the folder that it lies in: the room must read it, and let it go."""
    if os.geteuid() == 0:
        shutil.chown(path, path.parent.stat().st_uid, path.parent.stat().st_gid)
