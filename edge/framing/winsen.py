"""Winsen frames: nine bytes, `FF`, what it is, six of content, and the two's complement of the sum of bytes 1 to 7.

Source: Winsen ZE07-CO user's manual v1.2 and v1.7, MH-Z19 user's manual v1.0: the same sum in all of them. `FF` also
occurs inside a frame, so every place where one could begin is tried; a false start costs at most one frame.
"""

from __future__ import annotations

from edge.driver import BadReply

SIZE = 9
_START = 0xFF


def command(code: int, *content: int) -> bytes:
    """Return the frame of a command to the module (its address is always 1)."""
    body = bytes((1, code, *content)).ljust(SIZE - 2, b"\0")
    return bytes((_START,)) + body + bytes((_sum(body),))


def find(kinds: frozenset[int], came: bytes, quiet: bool) -> bytes | int:
    """Return the first valid frame whose second byte is one of `kinds`, or how many more bytes it needs at least.

    With `quiet` (the line fell silent, or enough was read) there is always a frame or a BadReply: silence, short,
    checksum, address (valid frames of another kind: another model, or another mode), garbled.
    """
    needs, damaged, other = [], b"", b""
    for start in range(len(came)):
        frame = came[start : start + SIZE]
        if frame[0] != _START or (len(frame) > 1 and frame[1] not in kinds and len(frame) < SIZE):
            continue
        if len(frame) < SIZE:
            needs.append(SIZE - len(frame))
        elif _sum(frame[1:-1]) != frame[-1]:
            damaged = frame if frame[1] in kinds else damaged
        elif frame[1] in kinds:
            return frame
        else:
            other = frame
    if quiet:
        raise _verdict(came, kinds, damaged, other)
    return min(needs, default=SIZE)


def _sum(body: bytes) -> int:
    return -sum(body) & 0xFF


def _verdict(came: bytes, kinds: frozenset[int], damaged: bytes, other: bytes) -> BadReply:
    if not came:
        return BadReply("silence", "nothing came")
    if damaged:
        right = _sum(damaged[1:-1])
        return BadReply("checksum", f"checksum should be {right:02x} in {damaged.hex(' ')}")
    if other:
        wanted = " or ".join(f"{kind:02x}" for kind in sorted(kinds))
        return BadReply("address", f"a frame of kind {other[1]:02x} came, due is {wanted}: {other.hex(' ')}")
    if len(came) >= 2 * SIZE:
        words = f"{len(came)} bytes came, none forms a frame: is the speed right?"
        return BadReply("garbled", f"{words} {came[-40:].hex(' ')}")
    return BadReply("short", f"{len(came)} bytes without a whole frame: {came.hex(' ')}")
