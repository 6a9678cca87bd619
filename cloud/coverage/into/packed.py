"""A ZIP that somebody brings: its members as streams, none of which may swell, and what is damaged as a BadSample.

A member is called by its number: its name may be somebody's.
"""

from __future__ import annotations

import errno
import struct
import zipfile
import zlib
from contextlib import contextmanager
from functools import partial
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from cloud.coverage.sample import BadSample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_INFLATED: Final = 1024 * 2**20  # in all: text of this kind becomes 10 to 20 times smaller
MAX_FILES: Final = 128  # open at once
MAX_LISTED: Final = 2**18  # bytes of the list of members, which is read and kept whole: some thousand of them
_PACKED = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED = 1
# What the standard library raises for a damaged ZIP; ValueError and OverflowError are of offsets that cannot be.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    IndexError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)


class Part(NamedTuple):
    """A member: its number, what people call it, how it is opened; `share` bytes of the file are one of its own."""

    number: int
    place: str
    open: Callable[[], IO[bytes]]
    share: float


class _Pieces:
    """A file of which no large piece is read at once. The list of a ZIP of 50 MB may name a million members."""

    def __init__(self, file: IO[bytes]) -> None:
        self.seek, self.tell, self.seekable, self._file = file.seek, file.tell, file.seekable, file

    def read(self, size: int = -1) -> bytes:
        """Return what is read. Raises BadSample for a piece that is too large."""
        piece = self._file.read(size if 0 <= size <= MAX_LISTED else MAX_LISTED + 1)
        if len(piece) > MAX_LISTED:
            raise BadSample("size", "list of files")
        return piece


def is_zip(file: IO[bytes]) -> bool:
    """Tell whether a file is a ZIP by its first bytes; it stands at its start after."""
    start = file.read(2)
    file.seek(0)
    return start == b"PK"


def parts(file: IO[bytes], suffix: str) -> list[Part]:
    """Return the members; opening one that is of another form raises BadSample. Raises BadSample for no ZIP of ours."""
    with damage():
        whole = zipfile.ZipFile(_Pieces(file))
        infos = [info for info in whole.infolist() if not info.filename.endswith("/")]
    if len(infos) > MAX_FILES or sum(info.file_size for info in infos) > MAX_INFLATED:
        raise BadSample("size", f"{len(infos)} files")
    found = []
    for n, info in enumerate(infos, 1):
        ours = info.filename.lower().endswith(suffix) and info.compress_type in _PACKED
        opened = partial(whole.open, info) if ours and not info.flag_bits & _ENCRYPTED else _of_no_form
        found.append(Part(n, f"file {n} ", opened, info.compress_size / max(info.file_size, 1)))
    return found


@contextmanager
def damage() -> Iterator[None]:
    """Make a BadSample of what the standard library raises for a damaged ZIP; a disk's own faults go on."""
    try:
        yield
    except BadSample:
        raise
    except OSError as fault:
        if fault.errno != errno.EINVAL:  # a place in the file that cannot be
            raise
        raise BadSample("zip") from None
    except _DAMAGED:
        raise BadSample("zip") from None


def _of_no_form() -> IO[bytes]:
    raise BadSample("format")
