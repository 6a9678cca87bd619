"""Wires the simulated garden: one thread owns one port with all that hangs on it, the caller's thread watches control.

Each thread plugs its port in and pulls it out as the control file says, moves bytes, and logs what went out. An error
in one of them ends the whole garden: a simulator that half works would lie to a test.
"""

from __future__ import annotations

import sys
from threading import Event, Thread
from typing import TYPE_CHECKING, NamedTuple

from cloud.clock import SystemClock
from gocche.garden import PORTS, RELAYS, nature, talkers
from gocche.garden.line import Line
from gocche.garden.modbus import READ_HOLDING, READ_INPUT, SOIL, XM9505, XY_MD02, Bus, Slave
from gocche.garden.modem import Modem
from gocche.garden.relay import Relay
from gocche.garden.served import Served
from gocche.garden.stage import Control

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.clock import Clock
    from gocche.garden.device import Answer, Device

LOOK_S = 0.1  # how soon a thread sees `stop`, and a changed control file
QUIET_S = 0.01  # a pause that ends a Modbus frame: above 3.5 characters at 4,800 baud (8 ms)
WATCH_S = 0.2


class Shared(NamedTuple):
    """What all keepers have in common."""

    control: Control
    served: Served
    clock: Clock
    pace_s: float
    stop: Event


def open_shared(log: Path | None, control: Path | None, pace_s: float, stop: Event, clock: Clock | None) -> Shared:
    """Open the log and read the control file. Raises OSError where the log cannot be written."""
    clock = clock or SystemClock()
    names = [name for port, channels in PORTS.items() for name in (port, *channels)]
    watched = Control(control, [*names, *RELAYS], lambda words: print(words, file=sys.stderr, flush=True), clock)
    watched.poll()
    return Shared(watched, Served(log, clock), clock, pace_s, stop)


def keep(ports: Path, devices: dict[str, Device], shared: Shared) -> None:
    """Run one thread for each port until `stop` is set; raise what stopped one of them before that."""
    ports.mkdir(parents=True, exist_ok=True)
    keepers = [Keeper(port, Line(ports / port), device, shared) for port, device in devices.items()]
    threads = [Thread(target=keeper.run, name=f"port {keeper.port}") for keeper in keepers]
    try:
        for thread in threads:
            thread.start()
        while not shared.clock.wait(shared.stop, WATCH_S):
            shared.control.poll()
    finally:
        shared.stop.set()
        for thread in threads:
            thread.join()
        shared.served.close()
    for error in (keeper.failed for keeper in keepers if keeper.failed):
        raise error


def devices(seed: int, shared: Shared, *, unique: bool) -> dict[str, Device]:
    """Return the ports with what hangs on them."""
    served, clock = shared.served, shared.clock

    def of(kind: type[nature.Draw], channel: str) -> nature.Draw:
        return kind(f"{seed}/{channel}", unique=unique)

    slaves = [
        Slave("soil-1", 1, READ_HOLDING, SOIL, of(nature.Soil, "soil-1")),
        Slave("soil-2", 2, READ_HOLDING, SOIL, of(nature.Soil, "soil-2")),
        Slave("air-1", 3, READ_INPUT, XY_MD02, of(nature.Air, "air-1")),
        Slave("rain-1", 4, READ_HOLDING, XM9505, of(nature.Rain, "rain-1")),
    ]
    modem = PORTS["modem"][0]
    return {
        "rs485": Bus("rs485", slaves, served, clock, [Relay(name, 8) for name in RELAYS]),
        "weather": talkers.WeatherStation("weather", "weather-1", of(nature.Weather, "weather-1"), served, clock),
        "gnss": talkers.Receiver("gnss", "gnss-1", of(nature.Place, "gnss-1"), served, clock),
        "smoke": talkers.ParticleSensor("smoke", "smoke-1", of(nature.Dust, "smoke-1"), served, clock),
        "co": talkers.GasModule("co", "co-1", of(nature.Gas, "co-1"), served, clock),
        "modem": Modem("modem", modem, of(nature.Signal, modem), served, clock),
    }


class Keeper:
    """Owns one port: plugs it, moves bytes between the line and its device, logs what went out."""

    def __init__(self, port: str, line: Line, device: Device, shared: Shared) -> None:
        self.port = port
        self.failed: Exception | None = None
        self._line = line
        self._device = device
        self._shared = shared

    def run(self) -> None:
        """Serve until `stop`; an error is kept in `failed` and stops the garden."""
        try:
            self._serve()
        except Exception as error:  # noqa: BLE001 - the one runner of this thread: run() raises it again
            self.failed = error
            self._shared.stop.set()
        finally:
            self._line.unplug()

    def _serve(self) -> None:
        control, _, clock, pace_s, stop = self._shared
        due = clock.monotonic()
        while not stop.is_set():
            stage = control.stage
            if stage.of(self.port).get("unplugged"):
                self._line.unplug()
                clock.wait(stop, LOOK_S)
                continue
            self._line.plug()
            wait_s = min(max(due - clock.monotonic(), QUIET_S), LOOK_S)
            self._send(self._device.hear(self._line.receive(wait_s), stage))
            if clock.monotonic() >= due:
                self._send(self._device.speak(stage))
                due = clock.monotonic() + (stage.pace_s or pace_s)

    def _send(self, answers: list[Answer]) -> None:
        for answer in answers:
            garbled = bool(self._shared.control.stage.of(self.port, answer.device).get("garbled"))
            frame = _garbled(answer.frame) if garbled else answer.frame
            if self._line.send(frame) and answer.values and not garbled:
                self._shared.served.record(answer.device, answer.n, answer.values, answer.to)


def _garbled(frame: bytes) -> bytes:
    middle = len(frame) // 2
    return frame[:middle] + bytes([frame[middle] ^ 0x01]) + frame[middle + 1 :]
