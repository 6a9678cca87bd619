"""A tea garden without hardware: simulated devices that speak their real protocols on real pseudo-terminals.

    ports/rs485     soil-1, soil-2 (Modbus RTU addresses 1, 2), air-1 (XY-MD02, 3), rain-1 (XM9505, 4), and the
                    relay of siren-1 (8): pymodbus decodes and encodes
    ports/weather   weather-1: an NMEA 0183 weather station
    ports/gnss      gnss-1: a GNSS receiver in Suối Giàng
    ports/smoke     smoke-1: a Plantower PMS5003 …
    ports/co        co-1: … and a Winsen ZE07-CO beside it: with air-1 they are one fire node
    ports/modem     modem-hang-tay: a Quectel modem that answers AT commands, and sim-hang-tay: what its operator
                    answers to USSD codes

They are written apart from the drivers, after the same manuals, so that a mistake in one is not repeated in the other:
nothing here imports `edge`. Whatever is served is logged, so a journey can look for every value in the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from threading import Event

    from cloud.clock import Clock

PORTS = {
    "rs485": ("soil-1", "soil-2", "air-1", "rain-1"),
    "weather": ("weather-1",),
    "gnss": ("gnss-1",),
    "smoke": ("smoke-1",),
    "co": ("co-1",),
    "modem": ("modem-hang-tay", "sim-hang-tay"),
}
RELAYS = ("siren-1",)  # what is told, and tells nothing of its own


def run(
    ports: Path,
    log: Path | None = None,
    control: Path | None = None,
    seed: int = 0,
    *,
    stop: Event,
    unique: bool = False,
    pace_s: float = 1.0,
    clock: Clock | None = None,
) -> None:
    """Keep the garden's devices on pseudo-terminals under `ports` until `stop` is set.

    The names in `ports` appear when the devices answer and are gone afterwards. What is served goes to `log`
    (served.py); `control` is followed (stage.py). `seed` fixes the walks; `unique` makes every answer of a device
    differ from all others; talkers speak every `pace_s` seconds. Raises OSError where the folder or the log cannot be
    written.
    """
    from gocche.garden import park

    shared = park.open_shared(log, control, pace_s, stop, clock)
    park.keep(ports, park.devices(seed, shared, unique=unique), shared)
