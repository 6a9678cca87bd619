"""Modbus RTU as the master sees it: build a read request or set a coil, find the answer in what came back.

Source: Modbus over Serial Line V1.02 §2.5.1 (framing, CRC-16 polynomial A001, low byte first) and Modbus Application
Protocol V1.1b3 §6.1 to §6.5, §7. Own code instead of a library: glitches before the answer are everyday here, and the
libraries fail on them. An answer is found by its expected length, never by a gap, because USB adapters hold bytes back
for up to 16 ms.

What cannot be told apart here: a late answer of the same slave to an earlier request of the same length. The exchange
hears out what is owed after every time-out, and profiles have no two blocks of one length. It also takes a half-duplex
adapter's echo away.
"""

from __future__ import annotations

import struct

from edge.driver import BadReply

REQUEST_SIZE = 8
READ_COILS, READ_INPUTS, _WRITE_COIL = 1, 2, 5
_BITS = (READ_COILS, READ_INPUTS)
SHORTEST = 5  # an exception: address, function, code, CRC
_EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge",
    6: "server device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}


def _table() -> tuple[int, ...]:
    rows = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
        rows.append(crc)
    return tuple(rows)


_CRC = _table()


def crc16(data: bytes) -> bytes:
    """Return the CRC-16/MODBUS of the data as it goes over the line, low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def request(address: int, function: int, at: int, count: int) -> bytes:
    """Return the request for `count` registers, coils or inputs from `at` (counted from 0, as on the wire)."""
    head = struct.pack(">BBHH", address, function, at, count)
    return head + crc16(head)


def write_coil(address: int, coil: int, *, on: bool) -> bytes:
    """Return the request that sets one coil (function 5): a relay, a siren. The answer is the request itself.

    So an adapter's echo looks like the answer: whoever gives such an order must know whether the line echoes.
    """
    return _coil(address, coil, 0xFF00 if on else 0)


def flash_coil(address: int, coil: int, tenths: int) -> bytes:
    """Return the request that sets a coil for so many tenths of a second, after which the board itself lets it go.

    It is Waveshare's, not the standard's ("flash on" in the protocol of its Modbus RTU relays): coils from 0x0200 on,
    and the time where the standard has on and off.
    """
    return _coil(address, 0x0200 + coil, tenths)


def _coil(address: int, coil: int, value: int) -> bytes:
    head = struct.pack(">BBHH", address, _WRITE_COIL, coil, value)
    return head + crc16(head)


def find(asked: bytes, came: bytes, quiet: bool) -> bytes | int:
    """Return the data of the first whole answer to `asked`, or how many more bytes it needs at least.

    With `quiet` (the line fell silent) there is always an answer or a BadReply. Bytes before the answer (a glitch) are
    skipped only where address, function and length match and the CRC is right. Raises BadReply:
    silence, short, crc, address (somebody else's valid frame), exception:N, garbled (valid, but no answer to this; or
    behind somebody else's question to the same slave, whose answer it may be).
    """
    needs, damaged = [], False
    for start in range(len(came)):
        frame = came[start:]
        length = _length(frame, asked)
        if length is None:
            continue
        if len(frame) < length:
            needs.append(length - len(frame))
        elif crc16(frame[: length - 2]) == frame[length - 2 : length]:
            _alone(came[:start], asked)
            if damaged:  # that was the answer: what stands behind it may be an older one, said once more
                raise BadReply("crc", f"a damaged answer, and another behind it: {came.hex(' ')}")
            return _data(frame[:length])
        else:
            damaged = True
    if quiet or len(came) > REQUEST_SIZE + 2 * answer_size(asked) + 32:
        raise _verdict(came, asked)
    if damaged and not needs:
        raise _verdict(came, asked)
    return min(needs, default=SHORTEST)


def answer_size(asked: bytes) -> int:
    """Return the length of the answer in bytes: a write is answered with itself, a read with what was asked for."""
    return REQUEST_SIZE if asked[1] == _WRITE_COIL else SHORTEST + _content(asked)


def _content(asked: bytes) -> int:
    """Return how many bytes a read brings: two a register, one for eight coils or inputs."""
    return (asked[5] + 7) // 8 if asked[1] in _BITS else 2 * asked[5]


def _length(frame: bytes, asked: bytes) -> int | None:
    """Return how long a frame that begins like this is (at least), or None when it cannot be an answer."""
    if frame[0] != asked[0]:
        return None
    if len(frame) == 1 or frame[1] == asked[1] | 0x80:
        return SHORTEST
    if asked[1] == _WRITE_COIL:
        return answer_size(asked) if frame[:6] == asked[: min(len(frame), 6)] else None
    if frame[1] != asked[1] or (len(frame) > 2 and frame[2] != _content(asked)):
        return None
    return answer_size(asked)


def _alone(before: bytes, asked: bytes) -> None:
    """Raise BadReply where another question to this slave stands before an answer: a second master's, a late echo."""
    for start in range(len(before) - REQUEST_SIZE + 1):
        other = before[start : start + REQUEST_SIZE]
        if other[:2] == asked[:2] and other != asked and crc16(other[:-2]) == other[-2:]:
            words = f"another master asks slave {asked[0]}, too, or an echo is late: {other.hex(' ')}"
            raise BadReply("garbled", words, before)


def _data(frame: bytes) -> bytes:
    if frame[1] & 0x80:
        code = frame[2]
        words = _EXCEPTIONS.get(code, "not in the standard")
        raise BadReply(f"exception:{code}", f"slave {frame[0]} refuses function {frame[1] & 0x7F}: {code} ({words})")
    return frame[3:-2]


def _verdict(came: bytes, asked: bytes) -> BadReply:
    full = answer_size(asked)
    if not came:
        return BadReply("silence", f"slave {asked[0]} did not answer")
    for start in range(len(came) - SHORTEST + 1):
        other = _valid(came[start:])
        if other and other[0] != asked[0]:
            return BadReply("address", f"slave {other[0]} answered where slave {asked[0]} was asked")
        if other:
            return BadReply("garbled", f"slave {asked[0]} answered another question: {other.hex(' ')}", other)
    frame, length = _begun(came, asked)
    if not frame:
        words = f"{len(came)} bytes came, none begins an answer of slave {asked[0]}: is the speed right?"
        return BadReply("garbled" if len(came) >= full else "short", f"{words} {came[:40].hex(' ')}", came)
    if len(frame) < length:
        return BadReply("short", f"{len(came)} of {full} bytes came: {came.hex(' ')}")
    right = crc16(frame[: length - 2])
    return BadReply("crc", f"CRC should be {right.hex(' ')} in {frame[:length].hex(' ')}")


def _begun(came: bytes, asked: bytes) -> tuple[bytes, int]:
    """Return the bytes from where an answer may have begun, and its length."""
    for start in range(len(came)):
        length = _length(came[start:], asked)
        if length is not None:
            return came[start:], length
    return b"", answer_size(asked)


def _valid(frame: bytes) -> bytes | None:
    """Return the answer or exception, of any slave, that begins here with a right CRC."""
    if frame[1] & 0x7F not in {*_BITS, 3, 4, _WRITE_COIL}:
        return None
    length = REQUEST_SIZE if frame[1] == _WRITE_COIL else SHORTEST + frame[2]
    length = SHORTEST if frame[1] & 0x80 else length
    whole = frame[:length]
    return whole if len(whole) == length and crc16(whole[:-2]) == whole[-2:] else None
