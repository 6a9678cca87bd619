"""A relay at a line of a GPIO chip, by the kernel's own character device: UNTESTED on hardware.

That is said wherever it is offered. Only the sizes and numbers of the interface were checked, by the kernel's header.

Source: Linux `include/uapi/linux/gpio.h`, interface v2 (since 5.10): GPIO_V2_GET_LINE_IOCTL gives a descriptor for a
line that is ours until it is closed; GPIO_V2_LINE_SET_VALUES_IOCTL sets it, _GET_VALUES_ reads it. When the process
dies the kernel lets the line go, and what it does then is the chip's affair: a Raspberry Pi makes it an input, so the
relay wants a resistor that holds it off.
"""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import suppress

INPUT, OUTPUT, ACTIVE_LOW = 1 << 2, 1 << 3, 1 << 1  # enum gpio_v2_line_flag
_PULL_UP = 1 << 8
_LINES, _NAME, _ATTRS = 64, 32, 10  # GPIO_V2_LINES_MAX, GPIO_MAX_NAME_SIZE, GPIO_V2_LINE_NUM_ATTRS_MAX
_CONFIG = struct.Struct(f"=QI20x{_ATTRS * 24}s")  # flags, num_attrs, padding, attrs
_REQUEST = struct.Struct(f"={_LINES}I{_NAME}s{_CONFIG.size}sII20xi")  # offsets, consumer, config, lines, buffer, fd
_VALUES = struct.Struct("=QQ")  # bits, mask


def _iowr(number: int, size: int) -> int:
    return 3 << 30 | size << 16 | 0xB4 << 8 | number


GET_LINE = _iowr(0x07, _REQUEST.size)
GET_VALUES, SET_VALUES = _iowr(0x0E, _VALUES.size), _iowr(0x0F, _VALUES.size)


class Line:
    """One line, opened when it is driven first and after each fault. `button` reads another one of the same chip."""

    def __init__(self, chip: str, line: int, *, active_low: bool, button: int | None = None) -> None:
        self._chip, self._line, self._flags, self._at = chip, line, ACTIVE_LOW if active_low else 0, button
        self.seen: bool | None = None
        self.seen_ms = 0
        self.fault = "not asked yet"
        self._out = self._in = -1

    @property
    def rests(self) -> bool:
        """Whether it is silent."""
        return self.seen is False

    def drive(self, on: bool, now: int) -> None:
        """Set the line, and read what it does."""
        try:
            if self._out < 0:
                self._out = _opened(self._chip, self._line, OUTPUT | self._flags)
            if self.seen is not on:
                fcntl.ioctl(self._out, SET_VALUES, _VALUES.pack(int(on), 1))
            self.seen, self.seen_ms, self.fault = bool(_read(self._out)), now, ""
        except OSError as error:
            self.close()
            self.fault = f"{self._chip} line {self._line}: {error.strerror or error}"

    def button(self) -> bool | None:
        """Return whether the button is pressed; None where there is none, or it cannot be read."""
        if self._at is None:
            return None
        try:
            if self._in < 0:
                self._in = _opened(self._chip, self._at, INPUT | ACTIVE_LOW | _PULL_UP)
            return bool(_read(self._in))
        except OSError:
            self._close("_in")
            return None

    def close(self) -> None:
        """Let go of the lines. May be called twice."""
        self.seen = None
        self._close("_out")
        self._close("_in")

    def _close(self, name: str) -> None:
        descriptor = getattr(self, name)
        setattr(self, name, -1)
        if descriptor >= 0:
            with suppress(OSError):
                os.close(descriptor)


def request(line: int, flags: int) -> bytes:
    """Return a struct gpio_v2_line_request for one line, off at first where it is an output."""
    config = _CONFIG.pack(flags, 0, b"")
    return _REQUEST.pack(line, *[0] * (_LINES - 1), b"gocche siren", config, 1, 0, 0)


def _opened(chip: str, line: int, flags: int) -> int:
    device = os.open(chip, os.O_RDWR | os.O_CLOEXEC)
    try:
        answer = fcntl.ioctl(device, GET_LINE, request(line, flags))
    finally:
        os.close(device)
    descriptor: int = _REQUEST.unpack(answer)[-1]
    return descriptor


def _read(descriptor: int) -> int:
    bits: int = _VALUES.unpack(fcntl.ioctl(descriptor, GET_VALUES, _VALUES.pack(0, 1)))[0]
    return bits & 1
