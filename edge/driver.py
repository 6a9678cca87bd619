"""What a driver is: a generator that says which bytes to send and what answer it needs, and returns values.

A driver never opens a port, waits, retries, logs or looks at a clock; the sampler does. One sensor model (or one
protocol that many models speak alike) is one file in `edge/drivers/`, and its case folders in `tests/drivers/` are
its proof. See docs/add-a-sensor.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator

import msgspec

from wire.reading import Reason

Io = Generator["Ask", bytes, "list[Value]"]


class Ask(msgspec.Struct, frozen=True):
    """Send `frame` (may be empty: listen only), then read `size` bytes, or up to and including `until`.

    The reply may be shorter than asked, or empty, when the line stays silent for the sensor's time-out: what that
    means is the driver's to say. Bytes that came beyond `until` are kept for the next Ask of the same poll.
    `until` may be a compiled pattern where several endings are possible (AT result codes).
    """

    frame: bytes
    size: int = 0
    until: bytes | re.Pattern[bytes] | None = None


class Value(msgspec.Struct, frozen=True):
    """One value under the driver's own name and unit. Without a number it carries the reason instead.

    A text (operator, firmware, serial number) is told in the gateway's status, never stored as a reading.
    """

    name: str
    unit: str
    value: float | str | None
    reason: Reason | None = None


class BadReply(Exception):
    """The answer cannot be used. `kind` is short and stable (crc, short, address, exception:2, cme:13 …)."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(words)
        self.kind = kind

    @property
    def reason(self) -> Reason:
        """The reason code that the reading carries when no retry helps."""
        return _REASONS.get(self.kind.partition(":")[0], Reason.GARBLED)


_REASONS = {
    "silence": Reason.SILENCE,
    "short": Reason.SHORT,
    "crc": Reason.CHECKSUM,
    "checksum": Reason.CHECKSUM,
    "address": Reason.WRONG_DEVICE,
    "implausible": Reason.WRONG_DEVICE,
    "exception": Reason.REFUSED,
    "cme": Reason.REFUSED,
    "error": Reason.REFUSED,
}


class DriverConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a sensor of this driver may say in devices.toml beyond the keys that all sensors share.

    Fields are typed, bounded by `msgspec.Meta` and described there: sample, schema and reference are made from them.
    """


class Driver(msgspec.Struct, frozen=True):
    """One driver as `edge/drivers/<name>.py` offers it under the name DRIVER.

    `poll(config)` is the generator; `quantities(config)` maps each of its numeric value names to a name in
    `wire.quantities`, in that quantity's unit: the channel's readings carry exactly these, each with a value or a
    reason. `settles` is False for devices that talk by themselves: no late answer can be mistaken there.
    """

    name: str
    title: str
    config: type[DriverConfig]
    poll: Callable[..., Io]
    quantities: Callable[..., dict[str, str]]
    baud: int = 9600
    format: str = "8N1"
    settles: bool = True
    line: Callable[..., tuple[int, str]] | None = None  # (baud, format) of this very device, where it depends on it
