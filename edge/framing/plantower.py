"""Plantower frames: `42 4D`, length, 16-bit words, sum of all bytes before it. Big-endian throughout.

Source: Plantower PMS5003 series data manual v2.3, appendix I. The two header bytes also occur inside data, so every
place where a frame could begin is tried; a false start costs at most one frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.driver import BadReply

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = b"\x42\x4d"
_PLAUSIBLE_LENGTHS = (20, 28, 36)


def find(length: int, came: bytes, quiet: bool) -> bytes | int:
    """Return the data of the first valid frame of this `length`, or how many more bytes it needs at least.

    `length` is what the frame itself states (words and checksum). With `quiet` (the line fell silent, or enough was
    read) there is always a frame or a BadReply: silence, short, checksum, address (frames of another model).
    """
    whole = 4 + length
    head = HEADER + length.to_bytes(2)
    needs, damaged = [], b""
    for start in _starts(came, head):
        frame = came[start : start + whole]
        if len(frame) < whole:
            needs.append(whole - len(frame))
        elif _valid(frame):
            return frame[4:-2]
        else:
            damaged = frame
    if quiet:
        raise _verdict(came, length, damaged)
    return min(needs, default=whole)


def _starts(came: bytes, head: bytes) -> Iterator[int]:
    """Yield where a frame begins, or may at the very end: not byte by byte, as a wrong speed brings thousands."""
    start = came.find(head)
    while start >= 0:
        yield start
        start = came.find(head, start + 1)
    for start in range(max(len(came) - len(head) + 1, 0), len(came)):
        if head.startswith(came[start:]):
            yield start


def _valid(frame: bytes) -> bool:
    return sum(frame[:-2]) & 0xFFFF == int.from_bytes(frame[-2:])


def _verdict(came: bytes, length: int, damaged: bytes) -> BadReply:
    for other in _PLAUSIBLE_LENGTHS:
        start = came.find(HEADER + other.to_bytes(2))
        if other != length and 0 <= start <= len(came) - 4 - other and _valid(came[start : start + 4 + other]):
            return BadReply("address", f"frames of length {other} come, this model's have {length}: another model?")
    if damaged:
        told, right = int.from_bytes(damaged[-2:]), sum(damaged[:-2]) & 0xFFFF
        return BadReply("checksum", f"checksum {told:04x}, should be {right:04x}: {damaged.hex(' ')}")
    if not came:
        return BadReply("silence", "nothing came: is the sensor awake?")
    if len(came) >= 2 * (4 + length):  # two frames long, and no frame within
        words = f"{len(came)} bytes came, none forms a frame: is the speed right, is it in active mode?"
        return BadReply("garbled", f"{words} {came[-40:].hex(' ')}")
    return BadReply("short", f"{len(came)} bytes without a whole frame: {came.hex(' ')}")
