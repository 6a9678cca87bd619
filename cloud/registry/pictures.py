"""The pictures of photos, in a folder beside the registry: `CODE-SIZE.ENDING`. Nothing else of what was sent is kept.

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


def of(folder: Path, code: str) -> list[Path]:
    """Return the pictures that there are of a photo."""
    paths = (folder / f"{code}-{size}.{ending}" for size in SIZES for ending in TYPES)
    return [path for path in paths if path.is_file()]


def erase(folder: Path, code: str) -> int:
    """Take all pictures of a photo off the disk; return how many there were. Raises OSError."""
    found = of(folder, code)
    for path in found:
        path.unlink(missing_ok=True)
    if found:
        flush(folder)
    return len(found)


def sweep(folder: Path, codes: Iterable[str], book: Book) -> None:
    """Erase the pictures of those photos that the registry has no more. Raises OSError."""
    for code in codes:
        if book.held("photo", (code,)) is None:
            erase(folder, code)
