"""What devices.toml may say and seldom means: told by `gocche check-config` and in the log, never refused.

A gateway that ran must not stand still after an upgrade because we have learned to doubt its settings.
"""

from __future__ import annotations

import math
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edge.config.checks import mode_of
from settings import credentials
from settings.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from edge.config.tables import Bus, Config, Sensor
    from settings.finding import File

STABLE = ("/dev/gocche", "/dev/serial/by-path", "/dev/serial/by-id")  # cheap adapters share one id, so it comes last
_TURN_S = 0.02  # a probe seldom answers faster
_LEAST_ANSWER = 5  # bytes


def doubted(file: File, config: Config, now: datetime | None = None) -> list[Finding]:
    """Return what should be looked at; dates of certificates only where `now` is known."""
    found = list(credentials.advice(file, config.broker, now))
    for number, bus in enumerate(config.buses, 1):
        found += _port(file, number, bus)
        own = [one for one in config.sensors if one.table.bus == bus.name]
        found += [*_fits(file, number, bus, own), *_full(file, number, bus, own)]
    for number, sensor in enumerate(config.sensors, 1):
        said = sensor.table
        if said.timeout_s is not None and said.timeout_s >= said.every_s:
            facts = {"value": f"{said.timeout_s:g}", "every": f"{said.every_s:g}"}
            found.append(Finding(file, f"[[sensor]] {number} ({said.channel}) timeout_s", "patience", facts))
        if getattr(sensor.config, "commands", None) == () and sensor.habits.timeout_s < 0.8 * said.every_s:
            facts = {"value": f"{sensor.habits.timeout_s:g}", "every": f"{said.every_s:g}"}
            found.append(Finding(file, f"[[sensor]] {number} ({said.channel}) commands", "listens", facts))
        if (least_s := getattr(sensor.config, "least_every_s", 0)) > said.every_s:
            facts = {"value": f"{said.every_s:g}", "better": str(math.ceil(least_s))}
            found.append(Finding(file, f"[[sensor]] {number} ({said.channel}) every_s", "too_costly", facts))
        if not sensor.quantities:
            found.append(Finding(file, f"[[sensor]] {number} ({said.channel})", "no_quantity", {}))
        if alike := _alike(sensor):
            found.append(Finding(file, f"[[sensor]] {number} ({said.channel}) read", "alike", {"count": alike}))
    return found


def stable_names(port: str = "") -> list[str]:
    """Return the names on this machine that stay, best first: all, or those of one port."""
    links = [link for folder in STABLE if Path(folder).is_dir() for link in sorted(Path(folder).iterdir())]
    return [str(link) for link in links if not port or os.path.realpath(link) == os.path.realpath(port)]


def _port(file: File, number: int, bus: Bus) -> Iterator[Finding]:
    place = f"[[bus]] {number} port"
    if re.fullmatch(r"/dev/tty(USB|ACM)\d+", bus.port):
        names = stable_names(bus.port) or ["/dev/serial/by-path/…"]
        yield Finding(file, place, "port_by_number", {"value": bus.port, "better": f'port = "{names[0]}"'})
    if bus.port.startswith("/dev/") and not mode_of(bus.port):
        found = ", ".join(stable_names()) or "—"
        yield Finding(file, place, "port_absent", {"value": bus.port, "found": found})


def _fits(file: File, number: int, bus: Bus, sensors: list[Sensor]) -> Iterator[Finding]:
    """Compare what the bus is told with what the sensors on it need."""
    first = min(sensors, key=lambda one: one.table.every_s)
    settle_s = (bus.settle_ms or 0) / 1000
    if settle_s >= first.table.every_s:
        facts = {"value": bus.settle_ms, "every": f"{first.table.every_s:g}", "channel": first.table.channel}
        yield Finding(file, f"[[bus]] {number} settle_ms", "settling", facts)
    more = next((one for one in sensors if one.habits.format[0] > bus.format[0]), None)
    if more is not None:
        facts = {"value": bus.format, "channel": more.table.channel, "usual": more.habits.format}
        yield Finding(file, f"[[bus]] {number} format", "few_bits", facts)


def _alike(sensor: Sensor) -> int:
    """Return how many registers several blocks of one sensor have; 0 where their answers are told apart by length."""
    counts = [(block.fc, block.count) for block in getattr(sensor.config, "read", ())]
    return next((count for fc, count in counts if counts.count((fc, count)) > 1), 0)


def _full(file: File, number: int, bus: Bus, sensors: list[Sensor]) -> Iterator[Finding]:
    """Compare how long the first question of each sensor takes at the least with how often it is to be asked."""
    asked = [(one, _takes_s(bus, one)) for one in sensors]
    share = sum(need_s / one.table.every_s for one, need_s in asked)
    if share > 1:
        need_s, every_s = sum(need_s for _, need_s in asked), min(one.table.every_s for one in sensors)
        facts = {"need": f"{need_s:.2g}", "every": f"{every_s:g}", "better": f"{1.2 * need_s:.2g}"}
        yield Finding(file, f"[[bus]] {number} ({bus.name})", "bus_full", facts)


def _takes_s(bus: Bus, sensor: Sensor) -> float:
    poll = sensor.driver.poll(sensor.config)
    with suppress(StopIteration):
        ask = next(poll)
        poll.close()
        if ask.frame:
            return _TURN_S + bus.quiet_ms / 1000 + 10 * (len(ask.frame) + (ask.size or _LEAST_ANSWER)) / bus.baud
    return 0.0  # a talker is only listened to
