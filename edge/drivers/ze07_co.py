"""Winsen ZE07-CO electrochemical carbon monoxide module on its UART (9600 8N1, 3 V): a fire node's second sense.

Source: Winsen ZE07-CO user's manual v1.2 (2014) and v1.7 (2020), tables 3 to 8. It leaves the factory in *initiative
upload*: each second `FF 04 03 dd hh ll HH LL sum`: gas 04 (CO), unit 03 (ppm), decimals, concentration, full range.
`FF 01 78 41 …` switches it to *question & answer* (`FF 01 78 40 …` back): then it is silent until `FF 01 86 …`, and
says `FF 86 hh ll 00 00 00 00 sum` in tenths of a ppm. With `asked = true` it is asked, and whichever of the two frames
comes is taken: a module that has forgotten its mode goes on being read. This driver never switches the mode.

Impossible values are reasons: another gas or unit, bytes that the manual calls reserved, a number beyond twice the full
range. Up to there it is thick smoke, and the full range stands for it (that the module tells more than its range at all
is believed). Its first three minutes after power-up are for the warm-up.

Limits: as shipped it resolves 0.1 ppm from 0.5 ppm on, so 0 is an everyday value and a plug that was loose between two
polls does not show (one that was not heard does). Alcohol, hydrogen and other gases are taken for CO, five years are
its life, below -10 °C and above 90 %RH nothing is promised. The manual's formula for the answer names bytes 4 and 6 in
one edition, and the two other programs that were read take bytes 2 and 3: only answers on which both agree are values.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta
from msgspec.structs import replace

from edge.driver import Ask, BadReply, Driver, DriverConfig, Habits, Value
from edge.framing import winsen
from edge.plausible import judged, ranges
from wire.reading import Reason

if TYPE_CHECKING:
    from edge.driver import Io

_UPLOAD, _ANSWER = 0x04, 0x86  # the second byte: a gas, or the command that is answered
_PPM = 0x03
_RANGE_PPM = 500.0  # as shipped; an answer does not tell it
_MOST_DECIMALS = 3
_READ = winsen.command(_ANSWER)
_QUANTITIES = {"co": "co"}


class Config(DriverConfig, frozen=True, kw_only=True):
    """How the module speaks."""

    asked: Annotated[
        bool,
        Meta(description="true where it was switched to question & answer mode; else it talks by itself each second"),
    ] = False


def poll(config: Config) -> Io:
    """Listen for one frame, or ask for it, and return its concentration."""
    kinds = frozenset({_UPLOAD, _ANSWER} if config.asked else {_UPLOAD})
    frame = yield Ask(_READ if config.asked else b"", winsen.SIZE, find=partial(winsen.find, kinds))
    co, full = _answered(frame) if frame[1] == _ANSWER else _uploaded(frame)
    return judged([_bounded(co, full), Value("range", "ppm", full)], ranges(_QUANTITIES))


def _uploaded(frame: bytes) -> tuple[float, float]:
    """Return concentration and full range in ppm."""
    _, _, unit, decimals, *_ = frame
    if unit != _PPM or decimals > _MOST_DECIMALS:
        words = f"unit {unit:02x}, due is {_PPM:02x} (ppm)" if unit != _PPM else f"{decimals} decimals"
        raise BadReply("implausible", f"{words} in {frame.hex(' ')}: another model?")
    co, full = (int.from_bytes(frame[at : at + 2]) / 10**decimals for at in (4, 6))
    if full <= 0:
        raise BadReply("implausible", f"a full range of 0 in {frame.hex(' ')}: another model?")
    return co, full


def _answered(frame: bytes) -> tuple[float, float]:
    if any(frame[4:8]):
        raise BadReply("implausible", f"reserved bytes are not 0 in {frame.hex(' ')}: another model? see asked = false")
    return int.from_bytes(frame[2:4]) / 10, _RANGE_PPM


def _bounded(co: float, full: float) -> Value:
    value = Value("co", "ppm", co)
    if co > 2 * full:
        return replace(value, reason=Reason.OUT_OF_RANGE)
    return replace(value, value=full, raw=co) if co > full else value


def quantities(_config: Config) -> dict[str, str]:
    """Return which value is which quantity: the range is told in the talk alone."""
    return _QUANTITIES


DRIVER = Driver(
    "ze07_co",
    "Winsen ZE07-CO carbon monoxide module",
    Config,
    poll,
    quantities,
    Habits(timeout_s=2.5, warmup_s=180.0),
)
