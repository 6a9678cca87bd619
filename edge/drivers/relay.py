"""A Modbus RTU relay board: what one of its coils does, and whether the button at one of its inputs is pressed.

Source: Modbus Application Protocol V1.1b3 §6.1 and §6.2 (functions 1 and 2), as the boards are sold (Waveshare Modbus
RTU Relay, the ZTS and Eletechsup ones; 9600 8N1, address 1). It reads and never switches: who switches is the siren
(`edge/siren/`), by function 5. Limits: a coil says what the board wants of its relay; whether a contact is welded or
the siren's wire is cut, it does not know.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from edge.driver import Ask, Driver, DriverConfig, Habits, Value
from edge.framing import rtu

if TYPE_CHECKING:
    from edge.driver import Io


class Config(DriverConfig, frozen=True, kw_only=True):
    """Where the relay is."""

    address: Annotated[int, Meta(ge=1, le=247, description="slave address; most boards are shipped as 1")] = 1
    coil: Annotated[int, Meta(ge=0, le=0xFF, description="which relay, counted from 0")] = 0
    stop_input: Annotated[
        Annotated[int, Meta(ge=0, le=0xFF)] | None,
        Meta(description="input with the button that stops the siren, counted from 0"),
    ] = None


def poll(config: Config) -> Io:
    """Read the coil, then the input where there is one."""
    values = [Value("coil", "1", (yield _ask(config, rtu.READ_COILS, config.coil))[0] & 1)]
    if config.stop_input is not None:
        values.append(Value("button", "1", (yield _ask(config, rtu.READ_INPUTS, config.stop_input))[0] & 1))
    return values


def read_back(config: Config) -> Ask:
    """Return the question what the coil does."""
    return _ask(config, rtu.READ_COILS, config.coil)


def _ask(config: Config, function: int, at: int) -> Ask:
    request = rtu.request(config.address, function, at, 1)
    return Ask(request, size=rtu.answer_size(request), find=partial(rtu.find, request))


def quantities(config: Config) -> dict[str, str]:
    """Return which value is which quantity."""
    return {"coil": "siren"} | ({} if config.stop_input is None else {"button": "siren_button"})


DRIVER = Driver("relay", "Modbus RTU relay board", Config, poll, quantities, Habits(timeout_s=0.3, settle_ms=50))
