"""Winsen MH-Z19 and MH-Z19B carbon dioxide modules on their UART (9600 8N1, 3.3 V).

Source: Winsen MH-Z19 user's manual v1.0 and MH-Z19B v1.6: command 86, answer `FF 86 hh ll …`. The fifth byte of an
MH-Z19B is its own temperature above -40 °C: not in any manual, so it is shown in the talk and never stored.
Limits: automatic baseline correction drifts where the air is never fresh, and CO2 adds little to the detection of smoke
outdoors. Its first three minutes after power-up lie, which is for the warm-up.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from edge.driver import Ask, Driver, DriverConfig, Habits, Value
from edge.framing import winsen
from edge.plausible import judged, ranges

if TYPE_CHECKING:
    from edge.driver import Io

_GAS = 0x86
_READ = winsen.command(_GAS)
_QUANTITIES = {"co2": "co2"}


class Config(DriverConfig, frozen=True, kw_only=True):
    """An MH-Z19B has no settings."""


def poll(_config: Config) -> Io:
    """Ask for the gas concentration."""
    frame = yield Ask(_READ, winsen.SIZE, find=partial(winsen.find, frozenset({_GAS})))
    values = [Value("co2", "ppm", int.from_bytes(frame[2:4]))]
    return judged([*values, Value("temp_internal", "Cel", frame[4] - 40)], ranges(_QUANTITIES))


def quantities(_config: Config) -> dict[str, str]:
    """Return which value is which quantity."""
    return _QUANTITIES


DRIVER = Driver("mhz19b", "Winsen MH-Z19B CO2 module", Config, poll, quantities, Habits(warmup_s=180.0))
