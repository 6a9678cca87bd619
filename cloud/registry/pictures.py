"""The pictures of photos, in a folder beside the registry: `CODE-SIZE.ENDING`. Nothing else of what was sent is kept.

Recordings of voices lie there too, as `CODE.mp3`: what is said here of a photo's pictures is true of them.

Where a photo's row goes, its pictures go: what somebody wants erased is on no disk of ours but in backups.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from disk.flush import flush

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cloud.registry.book import Book

SIZES = (360, 720, 1440)  # pixels of the longer side: a list, a telephone, a screen
TYPES = {"webp": "image/webp", "jpg": "image/jpeg"}
NAME = re.compile(rf"([a-z0-9-]+)-({'|'.join(map(str, SIZES))})\.({'|'.join(TYPES)})")  # code, size, ending

SOUND = "audio/mpeg"
HEARD = re.compile(r"([a-z0-9-]+)\.mp3")  # code
KINDS = ("photo", "voice")  # whose rows have files here


def of(folder: Path, code: str) -> list[Path]:
    """Return the files that there are of a photo or a voice."""
    paths = [folder / f"{code}-{size}.{ending}" for size in SIZES for ending in TYPES]
    return [path for path in (*paths, folder / f"{code}.mp3") if path.is_file()]


def erase(folder: Path, code: str) -> int:
    """Take all files of a photo or a voice off the disk; return how many there were. Raises OSError."""
    found = of(folder, code)
    for path in found:
        path.unlink(missing_ok=True)
    if found:
        flush(folder)
    return len(found)


def sweep(folder: Path, codes: Iterable[str], book: Book) -> None:
    """Erase the files of those photos and voices that the registry has no more. Raises OSError."""
    for code in codes:
        if all(book.held(kind, (code,)) is None for kind in KINDS):
            erase(folder, code)
