"""What must fit together across tables: buses, their ports and speeds, the sensors on them."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any

import msgspec

from edge import drivers
from edge.config.tables import MODEM_MANAGER, NET, OLDER, Bus, NodeTable, Sensor, SensorTable, SpoolConfig
from settings.expected import convert, placed
from settings.finding import ConfigError, File, shown, suggestion, unknown
from wire.quantities import QUANTITIES
from wire.topics import CHANNEL

BAUDS = (
    300, 600, 1_200, 1_800, 2_400, 4_800, 9_600, 14_400, 19_200, 28_800, 38_400, 57_600, 76_800, 115_200, 128_000,
    230_400, 250_000, 256_000, 460_800, 500_000, 576_000, 921_600,
)  # fmt: skip
FORMATS = tuple(f"{bits}{parity}{stop}" for bits in "78" for parity in "NEO" for stop in "12")


def sensor(file: File, number: int, table: object, buses: list[str] | None) -> Sensor:
    """Return one checked sensor: the shared keys by their struct, the others by its driver's. Raises ConfigError.

    `buses` are the names of those that there are; None where not all are known.
    """
    if not isinstance(table, dict):
        raise ConfigError(file, f"[[sensor]] {number}", "not_a_table", value=shown(table), head="[[sensor]]")
    place = f"[[sensor]] {number}" + (f" ({table['channel']})" if isinstance(table.get("channel"), str) else "")
    shared = {field.name for field in msgspec.structs.fields(SensorTable)}
    common = {key: value for key, value in table.items() if key in shared}
    name = table.get("driver")
    if isinstance(name, str) and name not in drivers.names():
        raise placed(file, place, unknown("driver", name, drivers.names()))
    if name is None:
        raise ConfigError(file, f"{place} driver", "no_driver", known=", ".join(drivers.names()))
    checked = convert(file, place, common, SensorTable)
    _named(file, place, checked, buses)
    driver = drivers.load(checked.driver)
    own = {key: value for key, value in table.items() if key not in shared}
    known = {field.name for field in msgspec.structs.fields(driver.config)}
    for key in own:
        if key not in known:
            raise ConfigError(file, f"{place} {key}", "unknown_key", **suggestion(key, known | shared))
    config = convert(file, place, own, driver.config)
    return Sensor(checked, driver, config, _mapped(file, place, driver, config))


def _named(file: File, place: str, table: SensorTable, buses: list[str] | None) -> None:
    if not CHANNEL.fullmatch(table.channel):
        raise ConfigError(file, f"{place} channel", "channel", value=shown(table.channel))
    if buses is not None and table.bus not in buses:
        raise ConfigError(file, f"{place} bus", "unknown_bus", value=shown(table.bus), **suggestion(table.bus, buses))


def _mapped(file: File, place: str, driver: Any, config: Any) -> dict[str, str]:
    try:
        quantities: dict[str, str] = driver.quantities(config)
        driver.habits_of(config)
    except (ValueError, KeyError, OSError) as error:
        raise placed(file, place, error) from error
    for name, quantity in quantities.items():
        if quantity not in QUANTITIES:
            facts = suggestion(quantity, QUANTITIES)
            raise ConfigError(file, place, "unknown_quantity", name=name, value=shown(quantity), **facts)
    return quantities


def check_buses(file: File, buses: list[Bus], sensors: list[Sensor]) -> None:
    """Refuse two buses of one name or port, a speed or format that no port has, a bus without sensors."""
    ports: dict[str, str] = {}
    captures: dict[str, str] = {}
    names: set[str] = set()
    for number, bus in enumerate(buses, 1):
        place = f"[[bus]] {number}"
        if bus.name in names:
            raise ConfigError(file, f"{place} name", "name_taken", value=shown(bus.name))
        names.add(bus.name)
        _check_port(file, place, bus)
        device = _device(bus.port)
        if device in ports:
            facts = {"value": shown(bus.port), "other": shown(ports[device])}
            raise ConfigError(file, f"{place} port", "port_taken", **facts)
        ports[device] = bus.name
        _check_capture(file, f"{place} capture", bus.capture)
        for name in _written(bus):
            if captures.setdefault(name, bus.name) != bus.name:
                facts = {"value": shown(bus.capture), "other": shown(captures[name])}
                raise ConfigError(file, f"{place} capture", "capture_taken", **facts)
        own = [sensor for sensor in sensors if sensor.table.bus == bus.name]
        if not own:
            raise ConfigError(file, f"{place} name", "bus_without_sensor", value=shown(bus.name))
        _check_speakers(file, f"{place} port", bus, own)


def _check_speakers(file: File, place: str, bus: Bus, sensors: list[Sensor]) -> None:
    """Refuse a driver on a port that it does not work on: AT commands say nothing to ModemManager."""
    scheme = next((one for one in ("replay:", *_EXAMPLES) if bus.port.startswith(one)), "")
    for sensor in sensors if scheme != "replay:" else ():
        if sensor.driver.port != scheme:
            better = shown(_EXAMPLES.get(sensor.driver.port, "/dev/serial/by-id/…"))
            facts = {"value": shown(bus.port), "driver": sensor.driver.name, "channel": sensor.table.channel}
            raise ConfigError(file, place, "port_of_driver", better=better, **facts)


_EXAMPLES = {"mmcli:": "mmcli:any", "net:": "net:broker"}


def _check_port(file: File, place: str, bus: Bus) -> None:
    for scheme, form in (("mmcli:", MODEM_MANAGER), ("net:", NET)):
        named = bus.port.partition("%")[0] == "net:broker"
        if bus.port.startswith(scheme) and not named and not form.fullmatch(bus.port):
            facts = {"value": shown(bus.port), "better": shown(_EXAMPLES[scheme])}
            raise ConfigError(file, f"{place} port", "port_name", **facts)
    if re.fullmatch(r"tty\w+|COM\d+|dev/.+", bus.port):
        better = {"t": f"/dev/{bus.port}", "d": f"/{bus.port}"}.get(bus.port[0], "/dev/serial/by-id/…")
        raise ConfigError(file, f"{place} port", "port_name", value=shown(bus.port), better=shown(better))
    if stat.S_ISDIR(mode_of(bus.port)) and Path(bus.port).is_absolute():
        raise ConfigError(
            file, f"{place} port", "port_name", value=shown(bus.port), better=shown("/dev/serial/by-id/…")
        )
    if bus.baud and bus.baud not in BAUDS:
        near = min(BAUDS, key=lambda one: abs(one - bus.baud))
        allowed = ", ".join(map(str, BAUDS))
        raise ConfigError(file, f"{place} baud", "baud", value=bus.baud, near=near, allowed=allowed)
    if bus.format and not re.fullmatch(r"[5-8][NEO](1|1\.5|2)", bus.format):
        raise ConfigError(file, f"{place} format", "format", value=shown(bus.format), allowed=", ".join(FORMATS))


def _check_capture(file: File, place: str, name: str) -> None:
    """Refuse what no file can be made of; a relative name lies in the data folder, which is not known here."""
    there = Path(name)
    no_name = there.name in {"", ".."} or name.endswith("/")
    if name and (no_name or (there.is_absolute() and not stat.S_ISREG(mode_of(name) or stat.S_IFREG))):
        raise ConfigError(file, place, "capture", value=shown(name))


def check_captures(file: File, buses: list[Bus], spool: SpoolConfig) -> None:
    """Refuse a capture in a file of the spool: its log is empty after a start, and would be taken for a new file."""
    own = Path(spool.path)
    for number, bus in enumerate(buses, 1):
        name = Path(bus.capture).name
        if name.startswith(own.name) or name in {f"{own.stem}.lock", f"{own.stem}.ballast"}:
            raise ConfigError(file, f"[[bus]] {number} capture", "capture_spool", value=shown(bus.capture))


def _device(port: str) -> str:
    """Return what a port's name stands for in the end, as far as we may look."""
    try:
        return os.path.realpath(port) if port.startswith("/") else str(Path(port))
    except OSError:
        return port


def mode_of(name: str) -> int:
    """Return a file's mode; 0 where there is none, or none that we may look at: the service may not, below /home."""
    try:
        return Path(name).stat().st_mode
    except OSError:
        return 0


def _written(bus: Bus) -> list[str]:
    """Return the files that a capture writes: at half of its limit the older one gets `.1`."""
    return [str(Path(bus.capture + end)) for end in ("", OLDER)] if bus.capture else []


def check_sensors(file: File, sensors: list[Sensor]) -> None:
    """Refuse two sensors of one channel, and two that are one device."""
    channels: set[str] = set()
    seats: dict[tuple[str, object], str] = {}
    for number, one in enumerate(sensors, 1):
        name, bus = one.table.channel, one.table.bus
        place = one.place or f"[[sensor]] {number} ({name})"
        if name in channels:
            raise ConfigError(file, f"{place} channel", "name_taken", value=shown(name))
        channels.add(name)
        address = getattr(one.config, "address", None)
        seat = (bus, msgspec.json.encode(one.config) if address is None else address)
        if seat in seats:
            facts = {"value": address, "bus": shown(bus), "other": shown(seats[seat])}
            raise ConfigError(file, f"{place} address", "same_device" if address is None else "seat_taken", **facts)
        seats[seat] = name


_NEEDS = {"pm": ("pm2_5",), "co": ("co",), "air": ("air_temperature", "air_humidity"), "supply": ("supply_voltage",)}


def check_nodes(file: File, nodes: list[NodeTable], sensors: list[Sensor]) -> None:
    """Refuse a node whose channels are not there, do not measure what it needs, or belong to another."""
    measured = {one.table.channel: set(one.quantities.values()) for one in sensors}
    taken: dict[str, str] = {}
    for number, node in enumerate(nodes, 1):
        place = f"[[node]] {number} ({node.channel})"
        if not CHANNEL.fullmatch(node.channel):
            raise ConfigError(file, f"{place} channel", "channel", value=shown(node.channel))
        if node.channel in measured or node.channel in taken.values():
            raise ConfigError(file, f"{place} channel", "name_taken", value=shown(node.channel))
        for key, needs in _NEEDS.items():
            channel = getattr(node, key)
            if not channel and key != "pm":
                continue
            if channel not in measured:
                facts = suggestion(channel, measured)
                raise ConfigError(file, f"{place} {key}", "node_channel", value=shown(channel), **facts)
            if not measured[channel].intersection(needs):
                facts = {"value": shown(channel), "needs": ", ".join(needs)}
                raise ConfigError(file, f"{place} {key}", "node_quantity", **facts)
            if taken.setdefault(channel, node.channel) != node.channel:
                facts = {"value": shown(channel), "other": shown(taken[channel])}
                raise ConfigError(file, f"{place} {key}", "node_taken", **facts)


def with_usual_speed(file: File, number: int, bus: Bus, sensors: list[Sensor]) -> Bus:
    """Return the bus with what it leaves out: the speed and format that its sensors are shipped with."""
    own = [sensor for sensor in sensors if sensor.table.bus == bus.name]
    usual = {(habits.baud, habits.format) for habits in (sensor.habits for sensor in own)}
    for at, key in enumerate(("baud", "format")):
        wanted = {one[at] for one in usual}
        if not getattr(bus, key) and len(wanted) > 1:
            spelled = ", ".join(str(one) for one in sorted(wanted, key=str))
            raise ConfigError(file, f"[[bus]] {number} {key}", "speeds_differ", bus=shown(bus.name), value=spelled)
    baud, form = min(usual)
    return msgspec.structs.replace(bus, baud=bus.baud or baud, format=bus.format or form)
