r"""The talk on a line as text: `wire.txt` of a test case, what `capture =` writes, and what `replay:FILE` plays.

One line is one direction: `> 01 03 00 00` is what we sent, `< 01 03 02` what came back, in hex or as quoted text
(`< "\r\nOK\r\n"`, escapes as in Python). Successive `<` lines are one stream of bytes; an empty `<` is silence, so
a time-out. `#` begins a comment line. Text instead of a binary log, because a person must read it in a bug report.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Way = Literal["send", "recv"]
_MARKS: dict[str, Way] = {">": "send", "<": "recv"}
_PRINTABLE = frozenset(range(0x20, 0x7F)) | {0x0D, 0x0A}


class TranscriptError(AssertionError):
    """What was sent is not what the transcript says should be sent now."""


def parse(text: str) -> list[tuple[Way, bytes]]:
    """Return who said what, in order. Raises ValueError naming the line that is neither hex nor quoted text."""
    talk: list[tuple[Way, bytes]] = []
    for number, line in enumerate(text.splitlines(), 1):
        said = line.strip()
        if not said or said.startswith("#"):
            continue
        way = _MARKS.get(said[0])
        if way is None:
            raise ValueError(f'line {number}: {said!r} must begin with ">" (sent), "<" (came back) or "#"')
        try:
            talk.append((way, _bytes(said[1:].strip())))
        except (ValueError, SyntaxError) as error:
            raise ValueError(f"line {number}: {said!r} is neither hex nor quoted text: {error}") from error
    return talk


def written(talk: Iterable[tuple[Way, bytes]]) -> str:
    """Return the text that `parse` reads back as the same talk; what is all ASCII is quoted, the rest is hex."""
    return "".join(
        f"{'>' if way == 'send' else '<'} {_text(data)}".rstrip() + "\n" for way, data in talk if data or way == "recv"
    )


class Replay:
    """The far end of a recorded talk, usable as a line: answers as the transcript, and checks what is sent."""

    def __init__(self, talk: Iterable[tuple[Way, bytes]]) -> None:
        self._talk = list(talk)
        self._next = 0
        self._rest = b""

    @property
    def finished(self) -> bool:
        """Tell whether everything was said; what is left over of a begun `<` line does not count."""
        return self._next == len(self._talk)

    def write(self, frame: bytes) -> None:
        """Take what is sent. Raises TranscriptError when the transcript has something else at this place."""
        if not frame:
            return
        way, data = self._talk[self._next] if not self.finished else ("recv", b"")
        if way != "send" or data != frame:
            due = f"{'sent' if way == 'send' else 'read'} {_text(data) or 'nothing more'}"
            raise TranscriptError(f"sent {_text(frame)}, where the transcript has {due}")
        self._next += 1

    def read(self, size: int, _patience_s: float = 0.0) -> bytes:
        """Return up to `size` bytes of the next answer; none for silence, at the end, or while a request is due."""
        if not self._rest and self._answer_is_next():
            self._rest = self._talk[self._next][1]
            self._next += 1
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def drain(self) -> None:
        """Forget the rest of a begun answer."""
        self._rest = b""

    def _answer_is_next(self) -> bool:
        return not self.finished and self._talk[self._next][0] == "recv"


def _bytes(said: str) -> bytes:
    if not said.startswith('"'):
        return bytes.fromhex(said)
    data = ast.literal_eval("b" + said)
    if not isinstance(data, bytes):
        raise ValueError("more than one text")  # noqa: TRY004 — the caller names the line for ValueError
    return data


def _text(data: bytes) -> str:
    if not data or not _PRINTABLE.issuperset(data):
        return data.hex(" ")
    escaped = data.decode("ascii").replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r").replace("\n", "\\n")
    return f'"{escaped}"'
