"""The RS-485 bus: two soil probes, an air probe, a rain gauge, a relay; pymodbus is an independent Modbus RTU slave.

pymodbus frames, checks, decodes and encodes; its SimDevice calls an action for each request, where the values of this
very moment are drawn. Its serial server is not used, for two reasons (3.16.1): it can only open a named port, and a
request for an absent slave of a SimDevice list ends in exception 4 even with `ignore_missing_devices`, where a real
bus is silent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from pymodbus.constants import ExcCodes
from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU
from pymodbus.simulator import DataType, SimData, SimDevice
from pymodbus.simulator.simcore import SimCore

from gocche.garden.device import Answer, overridden
from gocche.garden.nature import Draw
from gocche.garden.scene import breathed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cloud.clock import Clock
    from gocche.garden.relay import Relay
    from gocche.garden.served import Served
    from gocche.garden.stage import Stage

READ_HOLDING, READ_INPUT = 3, 4
# register: (quantity, factor), as the makers print it
SOIL = {
    0: ("soil_moisture", 0.1),
    1: ("soil_temperature", 0.1),
    2: ("soil_ec", 1),
    3: ("soil_ph", 0.1),
    4: ("soil_nitrogen", 1),
    5: ("soil_phosphorus", 1),
    6: ("soil_potassium", 1),
}
XM9505 = {0: ("rain_total", 0.1)}
XY_MD02 = {1: ("air_temperature", 0.1), 2: ("air_humidity", 0.1)}


class Slave(msgspec.Struct, frozen=True):
    """One probe on the bus: its address, what it answers to, and where its values come from."""

    channel: str
    address: int
    function: int
    registers: dict[int, tuple[str, float]]
    draw: Draw


class Bus:
    """All slaves of one bus. Absent addresses, damaged requests and silent slaves get no answer, as in the field."""

    def __init__(
        self, port: str, slaves: list[Slave], served: Served, clock: Clock, relays: Sequence[Relay] = ()
    ) -> None:
        self._port = port
        self._relays = {relay.address: relay for relay in relays}
        self._slaves = {slave.address: slave for slave in slaves}
        self._served = served
        self._clock = clock
        self._heard = b""
        self._stage: Stage | None = None
        self._drawn: tuple[int, dict[str, float]] = (0, {})
        self._framer = FramerRTU(DecodePDU(True))
        self._core = SimCore([_device(slave, self._answering(slave)) for slave in slaves])

    def hear(self, data: bytes, stage: Stage) -> list[Answer]:
        """Return the answer to a request once it is whole; a pause forgets half a request."""
        self._heard = self._heard + data if data else b""
        self._stage = stage
        return list(self._answers())

    def speak(self, stage: Stage) -> list[Answer]:  # noqa: ARG002 - the protocol's
        """Return nothing: a slave speaks when it is spoken to."""
        return []

    def _answers(self) -> Iterator[Answer]:
        try:
            used, request = self._framer.handleFrame(self._heard, 0, 0)
        except ModbusException:  # a request that pymodbus does not know
            self._heard = b""
            return
        self._heard = self._heard[used:]
        if request and (relay := self._relays.get(request.dev_id)):
            if (said := relay.hear(request, self._stage)) is not None:
                yield Answer(self._framer.buildFrame(said), relay.channel)
            return
        slave = self._slaves.get(request.dev_id) if request else None
        if slave is None or self._told(slave).get("silent"):
            return
        self._drawn = (0, {})
        response = _now(request.datastore_update(self._core, slave.address))
        response.dev_id = slave.address
        n, values = self._drawn
        yield Answer(self._framer.buildFrame(response), slave.channel, n, values)

    def _told(self, slave: Slave) -> dict[str, bool | float | str]:
        return self._stage.of(self._port, slave.channel) if self._stage else {}

    def _answering(self, slave: Slave) -> Callable[..., Any]:
        async def action(
            function: int, start: int, address: int, count: int, registers: list[int], written: list[int] | None
        ) -> ExcCodes | None:
            if function != slave.function or written is not None:
                return ExcCodes.ILLEGAL_FUNCTION
            n = self._served.count(slave.channel)
            now_s = self._clock.utc_ms() / 1000
            felt = slave.draw(n, now_s)
            values = overridden(breathed(felt, self._stage.added(now_s)) if self._stage else felt, self._told(slave))
            asked = {at: slave.registers[at] for at in range(address, address + count) if at in slave.registers}
            for at, (quantity, factor) in asked.items():
                registers[at - start] = round(values[quantity] / factor) & 0xFFFF
            self._drawn = n, {quantity: values[quantity] for quantity, _ in asked.values()}
            return None

        return action


def _device(slave: Slave, action: Callable[..., Any]) -> SimDevice:
    first, last = min(slave.registers), max(slave.registers)
    block = SimData(first, count=last - first + 1, datatype=DataType.REGISTERS, readonly=True)
    return SimDevice(id=slave.address, simdata=[block], action=action)


def _now(update: Any) -> Any:
    """Return the result of a pymodbus coroutine that never waits, without an event loop of our own."""
    try:
        update.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("pymodbus waited for something: its simulator has changed")
