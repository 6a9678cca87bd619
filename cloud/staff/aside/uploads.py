"""What may be sent up, of which kind how much, and the child process that reads it: bounded in memory and in time.

A file from elsewhere is the one thing here that nobody of us wrote. Whatever it does to its reader, it does it to a
process that can be ended, that holds no database and no session.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import msgspec

MIB = 2**20


class Limit(NamedTuple):
    """Of one kind of file: the bytes that are taken, and what its reader may use."""

    size: int
    memory: int
    seconds: int


LIMITS = {
    ".csv": Limit(5_000_000, 512 * MIB, 20),
    ".xlsx": Limit(5_000_000, 768 * MIB, 40),
    ".geojson": Limit(5_000_000, 512 * MIB, 20),
    ".json": Limit(5_000_000, 512 * MIB, 20),
}  # by the ending of the name
PHOTO = Limit(8_000_000, 768 * MIB, 20)  # JPEG, PNG, WebP: whatever it is called
VOICE = Limit(2_000_000, 512 * MIB, 20)  # MP3: whatever it is called
ANSWER = 64 * MIB  # of what a reader may write
FORM = 20_000  # bytes of a form around a file
LARGEST = max(limit.size for limit in LIMITS.values()) + FORM
LARGEST_PHOTO = PHOTO.size + FORM
LARGEST_VOICE = VOICE.size + FORM


class Pictures(msgspec.Struct, frozen=True):
    """The pictures of a photo by "size.ending"; or `why` there are none: no_photo, many_pixels, small."""

    made: dict[str, bytes] = {}
    why: str = ""


class Unreadable(Exception):
    """The reader did not come to an end within its limits."""


def read_aside(module: str, name: str, body: bytes, limit: Limit) -> bytes:
    """Return what a module of ours makes of a file, in a process of its own. Raises Unreadable, OSError.

    The module is run with the limits and the file's name; it finds the file in its folder and writes `answer` there.
    """
    with tempfile.TemporaryDirectory(prefix="gocche-upload-") as folder:
        (Path(folder) / name).write_bytes(body)
        words = [sys.executable, "-m", module, folder, name, str(limit.memory), str(limit.seconds)]
        try:
            ran = subprocess.run(words, capture_output=True, timeout=2 * limit.seconds, check=False)  # noqa: S603 - our own
        except subprocess.TimeoutExpired as error:
            raise Unreadable(f"{module}: {name}: not done within {2 * limit.seconds} s") from error
        answer = Path(folder) / "answer"
        if ran.returncode or not answer.exists():
            raise Unreadable(f"{module}: {name}: status {ran.returncode}: {ran.stderr[-500:].decode(errors='replace')}")
        return answer.read_bytes()


def bounded(memory: int, seconds: int) -> None:
    """Bind this process: what takes more is ended by the kernel, and it writes no large file and starts nobody."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (ANSWER, ANSWER))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
