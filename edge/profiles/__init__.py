"""Modbus probes as data: one TOML file per model, read into typed structs; a new probe needs no code.

What a profile must say is what vendors differ in: which registers hold which value, in which type, byte order, scale
and offset, which raw numbers mean "no value", which quantity the value is, and what the device needs of its line
(speed, patience, warm-up), so that nobody has to know that in devices.toml. Unknown keys are errors, because a mistyped
`scale` would otherwise be a silently wrong number. Registers are counted from 0, as on the wire.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from itertools import combinations
from math import inf, isfinite
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge.driver import Habits
from edge.plausible import same_unit
from settings.finding import unknown
from wire.quantities import QUANTITIES

Register = Annotated[int, Meta(ge=0, le=0xFFFF)]
Function = Literal[3, 4]
_WIDTH = {"u16": 1, "i16": 1, "sm16": 1, "u32": 2, "i32": 2, "sm32": 2, "f32": 2}
_ORDERS = {1: ("AB", "BA"), 2: ("ABCD", "CDAB", "BADC", "DCBA")}  # how the bytes of a number lie in its registers


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Unknown keys are errors."""


class Block(_Strict, frozen=True):
    """Registers that are read with one request."""

    at: Annotated[Register, Meta(description="first register, counted from 0")]
    count: Annotated[int, Meta(ge=1, le=125, description="how many registers")]
    fc: Annotated[Function, Meta(description="3 holding registers, 4 input registers")] = 3

    def __post_init__(self) -> None:
        """Refuse registers that no device can have. Raises ValueError."""
        if self.at + self.count > 0x10000:
            raise ValueError(f"{self.count} registers from {self.at} end beyond 65535")

    def holds(self, fc: int, at: int, width: int) -> bool:
        """Tell whether this block reads all `width` registers from `at`."""
        return fc == self.fc and self.at <= at and at + width <= self.at + self.count


class Must(_Strict, frozen=True):
    """A register that must hold one of these numbers, or nothing of this device is understood (units, model code)."""

    at: Register
    equal: tuple[int, ...]
    why: str
    fc: Function = 3


class Point(_Strict, frozen=True):
    """One value: `raw * scale + offset`, with as many further decimals as register `decimals_at` says.

    Where firmwares of one model differ, `scale` lists what there is, the usual one first: the one counts that gives a
    number within the range. That decides only where no number is within it by two of them, so others are refused.

    `sm16` and `sm32` are sign and magnitude: the highest bit says minus. `order` tells where the number's bytes lie, A
    being its highest one: "ABCD" as the standard has it, "CDAB" with the low register first, "BADC" and "DCBA" with
    the bytes swapped within the registers.
    """

    name: Annotated[str, Meta(pattern="^[a-z0-9_]+$")]
    unit: str
    at: Register
    type: Literal["u16", "i16", "sm16", "u32", "i32", "sm32", "f32", "text"]
    fc: Function = 3
    order: Literal["", "AB", "BA", "ABCD", "CDAB", "BADC", "DCBA"] = ""
    registers: Annotated[int, Meta(ge=0, le=125)] = 0
    scale: float | tuple[float, ...] = 1.0
    offset: float = 0.0
    decimals_at: Register | None = None
    none: tuple[int, ...] = ()
    range: tuple[float, float] | None = None
    quantity: str | None = None

    def __post_init__(self) -> None:
        """Refuse what contradicts itself. Raises ValueError."""
        if (self.type == "text") != bool(self.registers):
            raise ValueError(f'point "{self.name}": `registers` is needed for type "text" and for no other')
        if self.order and (self.registers or self.order not in _ORDERS[self.width]):
            fitting = "none" if self.registers else " or ".join(f'"{each}"' for each in _ORDERS[self.width])
            raise ValueError(f'point "{self.name}": order "{self.order}" does not fit type "{self.type}": {fitting}')
        if len(set(self.scales)) != len(self.scales) or not self.scales:
            raise ValueError(f'point "{self.name}": `scale` must be a number, or a list of different ones')
        self._finite()
        for raw in self.none:
            if not 0 <= raw < 1 << 16 * self.width:
                near = f"; write {raw % (1 << 16 * self.width):#x}" if raw < 0 else ""
                raise ValueError(f'point "{self.name}": `none` has {raw}, which no register holds{near}')
        if self.quantity is None:
            self._decide()
            return
        quantity = QUANTITIES.get(self.quantity)
        if quantity is None:
            raise ValueError(f'point "{self.name}": quantity "{self.quantity}" is not in wire/quantities.py')
        if not same_unit(self.unit, quantity):
            said = f'unit "{self.unit}" is not {quantity.name}\'s unit "{quantity.unit}"'
            raise ValueError(f'point "{self.name}": {said}; use `scale` to convert')
        self._decide()

    def _finite(self) -> None:
        """Refuse numbers that would make every value the same, or none. Raises ValueError."""
        for scale in self.scales:
            if scale == 0 or not isfinite(scale):
                raise ValueError(
                    f'point "{self.name}": scale {scale:g} makes every value the same; write what the raw number is'
                    " multiplied with, 1.0 or nothing where it is the value"
                )
        if not isfinite(self.offset):
            raise ValueError(f'point "{self.name}": offset {self.offset:g} is no number to add; write one, or nothing')
        if self.range and not self.range[0] < self.range[1]:
            low, high = self.range
            raise ValueError(f'point "{self.name}": no value is within {low:g} to {high:g}; write [lowest, highest]')

    def _decide(self) -> None:
        if len(self.scales) == 1:
            return
        low, high = self.within
        smallest = min(max(a, b) / min(a, b) for a, b in combinations(self.scales, 2))
        if not 0 < low <= high < low * smallest or self.offset:
            told = f"{low:g} to {high:g}"
            raise ValueError(f'point "{self.name}": within {told} several `scale`s can be right; narrow `range`')

    @property
    def scales(self) -> tuple[float, ...]:
        """What a raw number may have to be multiplied with, the usual one first."""
        return self.scale if isinstance(self.scale, tuple) else (self.scale,)

    @property
    def within(self) -> tuple[float, float]:
        """The range of this value, inclusive: its own, else its quantity's, else any."""
        if self.range:
            return self.range
        return (QUANTITIES[self.quantity].low, QUANTITIES[self.quantity].high) if self.quantity else (-inf, inf)

    @property
    def width(self) -> int:
        """How many registers the value takes."""
        return self.registers or _WIDTH[self.type]

    def big_endian(self, data: bytes) -> bytes:
        """Return the registers' bytes with the number's highest byte first."""
        return bytes(data[self.order.index(letter)] for letter in sorted(self.order)) if self.order else data


class Profile(_Strict, frozen=True):
    """One model: what it is, what is read by default, and every value that is known of it."""

    title: str
    source: str
    read: Annotated[tuple[Block, ...], Meta(min_length=1)]
    point: Annotated[tuple[Point, ...], Meta(min_length=1)]
    must: tuple[Must, ...] = ()
    baud: Annotated[int, Meta(ge=300, le=921_600)] = 9600
    format: Annotated[str, Meta(pattern="^[5-8][NEO](1|1\\.5|2)$")] = "8N1"
    timeout_s: Annotated[float, Meta(gt=0, le=10, description="silence after which no answer comes any more")] = 0.5
    warmup_s: Annotated[float, Meta(ge=0, le=3600, description="how long its values lie after power-up")] = 0.0
    settle_ms: Annotated[int, Meta(ge=0, le=5000, description="silence that it needs after a fault")] = 200
    notes: str = ""

    def __post_init__(self) -> None:
        """Refuse two points of one name or quantity. Raises ValueError."""
        for key in ("name", "quantity"):
            said = [getattr(point, key) for point in self.point if getattr(point, key)]
            twice = {each for each in said if said.count(each) > 1}
            if twice:
                raise ValueError(f"two points have the {key} {', '.join(sorted(twice))}")
        self._wasted()

    def _wasted(self) -> None:
        """Refuse a check that is never made, and blocks whose answers are told apart by nothing. Raises ValueError."""
        for must in self.must:
            if not any(block.holds(must.fc, must.at, 1) for block in self.read):
                raise ValueError(
                    f"must {must.at} (function {must.fc}) is not read, so it would never be checked; have a block of"
                    " `read` hold it, or take it out"
                )
            if not must.equal:
                raise ValueError(f"must {must.at}: `equal` is empty, so no device would do; list the numbers that do")
        sizes = [(block.fc, block.count) for block in self.read]
        for fc, count in sizes:
            if sizes.count((fc, count)) > 1:  # an answer in RTU does not say what it answers, but how long it is
                raise ValueError(
                    f"two blocks of `read` have {count} registers (function {fc}), so a late answer of one could pass"
                    " for the other's; read one register more in one of them"
                )

    @property
    def habits(self) -> Habits:
        """What the device needs of its line, as it is shipped."""
        return Habits(
            baud=self.baud,
            format=self.format,
            timeout_s=self.timeout_s,
            warmup_s=self.warmup_s,
            settle_ms=self.settle_ms,
        )

    def points(self, blocks: tuple[Block, ...]) -> tuple[Point, ...]:
        """Return the points whose registers these blocks read, in the profile's order."""
        return tuple(point for point in self.point if _read(point, blocks))


def _read(point: Point, blocks: tuple[Block, ...]) -> bool:
    held = any(block.holds(point.fc, point.at, point.width) for block in blocks)
    scaled = point.decimals_at is None or any(block.holds(point.fc, point.decimals_at, 1) for block in blocks)
    return held and scaled


def names() -> list[str]:
    """Return the name of every profile in this folder, sorted."""
    files = (file.name for file in resources.files(__name__).iterdir())
    return sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml"))


@cache
def load(name: str) -> Profile:
    """Return the profile `<name>.toml`. Raises ValueError naming the file and the key that is wrong."""
    if name not in names():
        raise unknown("profile", name, names())
    data = resources.files(__name__).joinpath(f"{name}.toml").read_bytes()
    return decode(data, f"edge/profiles/{name}.toml")


def decode(data: bytes, file: str) -> Profile:
    """Return the profile that a TOML text describes. Raises ValueError that begins with `file`."""
    try:
        return msgspec.toml.decode(data, type=Profile)
    except msgspec.DecodeError as error:
        raise ValueError(f"{file}: {error}") from error
