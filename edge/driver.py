"""What a driver is: a generator that says which bytes to send and what answer it needs, and returns values.

A driver never opens a port, waits, retries, logs or looks at a clock: the exchange does. One sensor model (or one
protocol that many models speak alike) is one file in `edge/drivers/`, and its case folders in `tests/drivers/` are
its proof. See docs/add-a-sensor.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator

import msgspec

from wire.reading import Reason

Io = Generator["Ask", "Reply", "list[Value]"]
Check = Callable[[bytes], object]
Find = Callable[[bytes, bool], bytes | int]


class Reply(bytes):
    """A whole answer, and when its last byte was heard (monotonic ms of the boot)."""

    heard_ms: int = 0


class Ask(msgspec.Struct, frozen=True):
    """Send `frame` (may be empty: listen only), then read until the answer is whole.

    Whole are `size` bytes; or what comes up to and including `until`, which may be a compiled pattern where several
    endings are possible (AT result codes), and `at_rest` one that counts only after 0.2 s of silence; or what `find`
    says. `check(reply)` raises BadReply where a whole answer is
    not true (its checksum). `find(came, quiet)` is for frames that must be looked for: it returns the answer, or how
    many bytes it needs at least, or raises BadReply; when `quiet`, nothing more comes. `size` beside it is how long an
    undisturbed answer is: the line is read once for so much, not piece by piece. `longest`: more bytes are no answer.

    What the driver gets at the `yield` is whole and checked. Before that the exchange asks again after silence or
    damage; when that does not help it raises the BadReply at the `yield`, where a driver may catch it and go on.
    Bytes beyond the answer are kept for the next Ask of the same poll that only listens.
    """

    frame: bytes = b""
    size: int = 0
    until: bytes | re.Pattern[bytes] | None = None
    at_rest: re.Pattern[bytes] | None = None
    check: Check | None = None
    find: Find | None = None
    longest: int = 4096  # a line at the wrong speed never brings the ending; the longest AT answer is far shorter


class Value(msgspec.Struct, frozen=True):
    """One value under the driver's own name and unit. Without a number it carries the reason instead.

    A number that is out of range stands beside its reason, for staff to look at; `raw` is what the device said where
    the value is not that very number (a sensor at the end of its scale, see `edge/plausible.py`). A text (operator,
    firmware, serial number) is told in the gateway's status, never stored as a reading. The text `time` is the device's
    own date (ISO 8601 with offset); it counts from `heard_ms`.
    """

    name: str
    unit: str
    value: float | str | None
    reason: Reason | None = None
    heard_ms: int | None = None
    raw: float | None = None


class BadReply(Exception):
    """The answer cannot be used. `kind` is short and stable (crc, short, address, exception:2, cme:13 …).

    `came` is what the line brought instead, where that is no answer at all: the true one may still be on its way.
    """

    def __init__(self, kind: str, words: str, came: bytes = b"") -> None:
        super().__init__(words)
        self.kind, self.came = kind, came

    @property
    def reason(self) -> Reason:
        """The reason code that the reading carries when no retry helps."""
        return REASONS.get(self.kind.partition(":")[0], Reason.GARBLED)


REASONS = {  # by the first word of a `kind`
    "silence": Reason.SILENCE,
    "short": Reason.SHORT,
    "crc": Reason.CHECKSUM,
    "checksum": Reason.CHECKSUM,
    "address": Reason.WRONG_DEVICE,
    "implausible": Reason.WRONG_DEVICE,
    "exception": Reason.REFUSED,
    "cme": Reason.REFUSED,
    "error": Reason.REFUSED,
    "garbled": Reason.GARBLED,
    "budget": Reason.NO_BUDGET,
    "no_fix": Reason.NO_FIX,
}


class DriverConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a sensor of this driver may say in devices.toml beyond the keys that all sensors share.

    Fields are typed, bounded by `msgspec.Meta` and described there: sample, schema and reference are made from them.
    """


class Habits(msgspec.Struct, frozen=True, kw_only=True):
    """What a device needs of its line and of patience; devices.toml may say otherwise, and seldom has to.

    For `warmup_s` its values are not to be trusted: after the port is opened, after it was not heard, and from when all
    of `asleep` (names of its values) are 0, by which alone a plug that was loose between two polls shows. As long as
    they are, no 0 of it is a value: beyond the warm-up it is out of range.
    """

    baud: int = 9600
    format: str = "8N1"
    timeout_s: float = 0.5  # silence after which an answer, or the next piece of one, is not waited for any more
    warmup_s: float = 0.0
    asleep: tuple[str, ...] = ()
    settle_ms: int = 200  # silence before it is asked again after a fault
    seldom_s: float = 0.0  # what costs money or patience: asked no more often, and not at once after a start


class Driver(msgspec.Struct, frozen=True):
    """One driver as `edge/drivers/<name>.py` offers it under the name DRIVER.

    `poll(config)` is the generator; `quantities(config)` maps each of its numeric value names to a name in
    `wire.quantities`, in that quantity's unit: the channel's readings carry exactly these, each with a value or a
    reason. `habits` may be a function of the configuration where they depend on the very model; so may `checksum`:
    whether a sum guards every answer. Where none does, a disturbed line can bring another value that looks true, and
    the reference says so; where one does, the case tests flip bits and no other value may come of it.

    `port` is how the port's name begins on which it works where that is no serial one (`mmcli:`, `net:`).
    """

    name: str
    title: str
    config: type[DriverConfig]
    poll: Callable[..., Io]
    quantities: Callable[..., dict[str, str]]
    habits: Habits | Callable[..., Habits] = Habits()
    checksum: bool | Callable[..., bool] = True
    port: str = ""

    def habits_of(self, config: DriverConfig) -> Habits:
        """Return what this very device needs."""
        return self.habits if isinstance(self.habits, Habits) else self.habits(config)

    def guarded(self, config: DriverConfig) -> bool:
        """Tell whether a sum guards every answer of this very device."""
        return self.checksum if isinstance(self.checksum, bool) else self.checksum(config)
