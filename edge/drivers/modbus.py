"""Modbus RTU slaves by profile: soil probes, air and weather sensors, rain gauges, level transmitters.

One driver for all, because they differ only in data (`edge/profiles/*.toml`). Reads functions 3 and 4, never writes.
Source: Modbus Application Protocol V1.1b3; framing in `edge/framing/rtu.py`. Limits: no coils, no TCP, and a late
answer of the same slave to an equal question cannot be told from the right one (the exchange hears it out).
"""

from __future__ import annotations

import math
import struct
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, NamedTuple

from msgspec import Meta

from edge import profiles
from edge.driver import Ask, BadReply, Driver, DriverConfig, Value
from edge.framing import rtu
from edge.plausible import Range, judged, ranges
from edge.profiles import Block  # noqa: TC001 — msgspec reads the annotation at run time
from wire.reading import Reason

if TYPE_CHECKING:
    from edge.driver import Habits, Io
    from edge.profiles import Must, Point

_FORMATS = {"u16": ">H", "i16": ">h", "sm16": ">H", "u32": ">I", "i32": ">i", "sm32": ">I", "f32": ">f"}
_NUMBER = {kind: struct.Struct(form).unpack for kind, form in _FORMATS.items()}
_MOST_DECIMALS = 6  # a "number of decimals" register beyond that holds something else


class Config(DriverConfig, frozen=True, kw_only=True):
    """A slave on a bus."""

    profile: Annotated[str, Meta(description="the model: a file name in edge/profiles without .toml")]
    address: Annotated[int, Meta(ge=1, le=247, description="slave address; most probes are shipped as 1")] = 1
    read: Annotated[
        tuple[Block, ...],
        Meta(description="registers to read instead of the profile's, e.g. [{ at = 0, count = 4 }] for a 4-in-1 probe"),
    ] = ()

    def __post_init__(self) -> None:
        """Refuse a profile that is not there or is wrong. Raises ValueError naming it."""
        profiles.load(self.profile)


def poll(config: Config) -> Io:
    """Ask for each block of registers and return the values that they hold."""
    plan = _plan(config)
    registers: dict[tuple[int, int], bytes] = {}
    for block, ask in plan.asks:
        data = yield ask
        registers |= {(block.fc, block.at + i): data[2 * i : 2 * i + 2] for i in range(block.count)}
    _check(plan.must, registers)
    return judged([_value(point, registers) for point in plan.points], plan.within)


def quantities(config: Config) -> dict[str, str]:
    """Return which value is which quantity, for the registers that this slave is asked for."""
    profile = profiles.load(config.profile)
    return _mapped(profile.points(config.read or profile.read))


class _Plan(NamedTuple):
    """What is the same in every poll of one slave."""

    asks: tuple[tuple[Block, Ask], ...]
    must: tuple[Must, ...]
    points: tuple[Point, ...]
    within: dict[str, Range]


@cache
def _plan(config: Config) -> _Plan:
    profile = profiles.load(config.profile)
    blocks = config.read or profile.read
    points = profile.points(blocks)
    within = ranges(_mapped(points))
    for point in points:
        if point.range:
            within[point.name] = Range(*point.range, within[point.name].ends if point.quantity else ())
    return _Plan(tuple((block, _ask(config.address, block)) for block in blocks), profile.must, points, within)


def _ask(address: int, block: Block) -> Ask:
    request = rtu.request(address, block.fc, block.at, block.count)
    return Ask(request, size=rtu.answer_size(request), find=partial(rtu.find, request))


def _mapped(points: tuple[Point, ...]) -> dict[str, str]:
    return {point.name: point.quantity for point in points if point.quantity}


def _check(musts: tuple[Must, ...], registers: dict[tuple[int, int], bytes]) -> None:
    for must in musts:
        word = registers.get((must.fc, must.at))
        if word is not None and int.from_bytes(word) not in must.equal:
            known = " or ".join(map(str, must.equal))
            raise BadReply(
                "implausible",
                f"register {must.at} is {int.from_bytes(word)}, must be {known} ({must.why}): wrong device?",
            )


def _value(point: Point, registers: dict[tuple[int, int], bytes]) -> Value:
    data = b"".join([registers[point.fc, point.at + i] for i in range(point.width)])
    if point.type == "text":
        text = data.partition(b"\0")[0].decode("ascii", "replace").strip()
        return Value(point.name, point.unit, text or None, None if text else Reason.NOT_REPORTED)
    raw = point.big_endian(data)
    (number,) = _NUMBER[point.type](raw)
    if int.from_bytes(raw) in point.none or not math.isfinite(number):
        return Value(point.name, point.unit, None, Reason.SENTINEL)
    if point.type.startswith("sm"):
        sign = 1 << (8 * len(raw) - 1)
        number = sign - number if number & sign else number
    shift = 10 ** _decimals(point, registers)
    value, *others = [round(number * scale / shift + point.offset, 9) for scale in point.scales]
    if others:
        low, high = point.within
        value = next((one for one in (value, *others) if low <= one <= high), value)
    return Value(point.name, point.unit, value)


def _decimals(point: Point, registers: dict[tuple[int, int], bytes]) -> int:
    if point.decimals_at is None:
        return 0
    decimals = int.from_bytes(registers[point.fc, point.decimals_at])
    if decimals > _MOST_DECIMALS:
        raise BadReply("implausible", f"register {point.decimals_at} says {decimals} decimals: wrong device?")
    return decimals


def habits(config: Config) -> Habits:
    """Return what the model needs as it is shipped."""
    return profiles.load(config.profile).habits


DRIVER = Driver("modbus", "Modbus RTU slave by profile", Config, poll, quantities, habits)
