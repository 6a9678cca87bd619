"""Every byte of a line, for a bug report: bounded in size, and never the reason that a reading is lost.

The newest talk counts. At half of the limit the file becomes `<name>.1` and a new one begins, so that both together
never hold more. A disk that takes nothing ends the capture, said in the log and in the status, and nothing else; one
that hangs is written to by a thread of its own, which alone hangs with it. A file that holds something else (a slip of
the pen: the spool, the configuration) is left alone.
"""

from __future__ import annotations

import errno
import logging
import os
import queue
import stat
import threading
from functools import partial
from typing import TYPE_CHECKING

from edge.config.tables import OLDER
from edge.sense.transcript import Way, written
from edge.threads import started
from edge.words import note

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from settings.words import Sentence

log = logging.getLogger(__name__)
LIMIT_BYTES = 2 * 1024 * 1024
LONGEST_LINE = 4096  # of a file that may be anything
ROOM = 256  # lines that wait for a disk that hangs


class Capture:
    """What passes on one line, as text, whichever thread owns the line now; one for each file, as long as we run."""

    def __init__(
        self, file: Path, limit_bytes: int = LIMIT_BYTES, told: Callable[[Sentence], None] = lambda _: None
    ) -> None:
        self._file, self._limit, self._told = file, limit_bytes, told
        self._came = bytearray()
        self._lines: queue.SimpleQueue[bytes | threading.Event] = queue.SimpleQueue()
        self._missing = 0  # lines that found no room
        self._writer: threading.Thread | None = None
        self._well = True

    def sent(self, frame: bytes) -> None:
        """Note what was sent."""
        self.flush()
        if frame:
            self._note("send", frame)

    def came(self, data: bytes) -> None:
        """Note what came; nothing is a silence."""
        self._came += data
        if not data or len(self._came) > 4096:
            self.flush()
        if not data:
            self._note("recv", b"")

    def flush(self) -> None:
        """Write what came so far as one line."""
        if self._came:
            self._note("recv", bytes(self._came))
            self._came.clear()

    def settle(self, patience_s: float) -> None:
        """Wait until all is written, at most so long."""
        self.flush()
        if self._writer is not None:
            self._lines.put(done := threading.Event())
            done.wait(patience_s)

    def _note(self, way: Way, data: bytes) -> None:
        if not self._well:
            return
        if self._lines.qsize() >= (ROOM // 2 if self._missing else ROOM):
            if not self._missing:
                log.warning("capture pauses file=%s why='the disk takes nothing'", self._file)
            self._missing += 1
            return
        line = written([(way, data)])
        if self._missing:
            line, self._missing = f"# {self._missing} lines are missing: the disk took none\n{line}", 0
        self._lines.put(line.encode())
        if self._writer is None or self._writer.ident is None:
            self._writer = started(self._write_on, "capture")

    # --- of the writer's thread

    def _write_on(self) -> None:
        self._well = _is_ours(self._file)
        if not self._well:
            why = "it holds no talk of a line; give the capture a file of its own"
            log.error("capture refused file=%s why=%r", self._file, why)
            self._told(note("capture_refused", file=self._file))
        while True:
            line = self._lines.get()
            if isinstance(line, threading.Event):
                line.set()
            elif self._well:
                self._try(line)

    def _try(self, line: bytes) -> None:
        try:
            self._write(line)
        except OSError as error:
            self._well = False
            log.warning("capture ended file=%s why=%r", self._file, str(error))
            self._told(note("capture_ended", file=self._file, why=error))

    def _write(self, line: bytes) -> None:
        """Add a line, or raise: half of one would spoil the next, and so the whole talk."""
        with self._file.open("ab", buffering=0) as out:
            end = out.tell()
            if 2 * (end + len(line)) > self._limit:
                self._file.replace(self._file.with_name(self._file.name + OLDER))
            if out.write(line) < len(line):
                out.truncate(end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _is_ours(file: Path) -> bool:
    """Tell whether notes may be added: a pipe could block, and what is no talk must not be spoilt."""
    try:
        if stat.S_ISFIFO(file.stat().st_mode):
            return False
        with file.open("rb") as there:
            said = (line.strip() for line in iter(partial(there.readline, LONGEST_LINE), b""))
            first = next((line for line in said if line and not line.startswith(b"#")), b">")
    except OSError:
        return True  # not there yet, or nothing to look at; else the first note says what is wrong
    return first[:1] in {b">", b"<"}  # a configuration begins with comments, too
