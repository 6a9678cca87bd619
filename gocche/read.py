"""`gocche read`: one poll of one sensor, now, without the agent, and the talk on the line that it took.

It is the very poll of the agent (its sampler, its exchange, its line), so what is seen here is what the field does.
"""

from __future__ import annotations

from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from msgspec.structs import replace

from edge.board import Board
from edge.clock import SystemClock
from edge.config import ConfigError, checks, devices_toml, load
from edge.sense.lines import opener
from edge.sense.sampler import NO_VALUE, Sampler
from edge.status import memory
from gocche.trouble import readable, remedy
from gocche.words import LANGUAGES, Refused, said, words
from settings.words import why_absent
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.config import Bus, Config, Sensor
    from wire.reading import Reading


def read(file: Path, folder: Path, where: list[str], profile: str | None) -> int:
    """Poll `[CHANNEL]`, `[BUS, CHANNEL]` or `[BUS, ADDRESS]` once and print it; return 0 when there are values.

    Raises ConfigError, and Refused where there is no such sensor.
    """
    config = load(file, running=False)
    bus, sensor = chosen(file, config, where, profile)
    line = f"{bus.port}, {bus.baud} {bus.format}, {sensor.driver.name} {getattr(sensor.config, 'profile', '')}"
    print(f"# {sensor.table.channel}: {line.strip()}")
    board = Board()
    with TemporaryDirectory(prefix="gocche-read-", dir=memory()) as scratch:
        talk = memory() / scratch / "wire.txt"
        opened = opener(replace(bus.towards(config.broker), capture=str(talk)), folder, clock := SystemClock())
        sampler = Sampler(bus, [sensor], opened, lambda _: None, board, clock)
        try:
            reading = sampler.poll(sensor)
        finally:
            sampler.close()
            print(talk.read_text("utf-8") if talk.exists() else "", end="")  # after Ctrl-C, too
    again = " ".join([*where, "--profile", profile] if profile else where)
    how = board.channels[sensor.table.channel]
    for language in LANGUAGES:
        print()
        print(*_lines(reading, sensor, how.why, how.texts, again, language), sep="\n")
    return 0 if reading.values and not how.why else 1


def chosen(file: Path, config: Config, where: list[str], profile: str | None) -> tuple[Bus, Sensor]:
    """Return the bus and the sensor that the words mean. Its warm-up is passed over: who asks, looks."""
    named = {bus.name: bus for bus in config.buses}
    if len(where) > 2:
        raise Refused("read", "too_many", name=" ".join(where))
    if len(where) == 2 and where[0] not in named:
        raise Refused("read", "no_bus", name=where[0], known=", ".join(named))
    own = [one for one in config.sensors if len(where) == 1 or one.table.bus == where[0]]
    wanted = where[-1]
    for one in own:
        address = str(getattr(one.config, "address", ""))
        if one.table.channel == wanted or (len(where) == 2 and address == wanted):
            if profile is None:
                return named[one.table.bus], replace(one, table=replace(one.table, warmup_s=0.0))
            if not address:
                raise Refused("read", "no_address", name=wanted, driver=one.table.driver)
            return named[one.table.bus], _asked(file, config, where, one.table.bus, int(address), profile)
    if len(where) == 2 and wanted.isdecimal() and profile:
        return named[where[0]], _asked(file, config, where, where[0], int(wanted), profile)
    known = ", ".join(f"{one.table.channel} ({_seat(one)})" for one in own)
    raise Refused("read", "no_sensor", name=" ".join(where), known=known)


def _asked(file: Path, config: Config, where: list[str], bus: str, address: int, profile: str) -> Sensor:
    """Return a Modbus probe that devices.toml does not name, or names with another profile."""
    table = {"channel": "asked", "bus": bus, "driver": "modbus", "address": address, "profile": profile}
    try:
        return checks.sensor(devices_toml(file), 0, table, [one.name for one in config.buses])
    except ConfigError as error:
        wrong = error.finding
        asked = replace(wrong.file, path=type(file)(f"gocche read {' '.join(where)}"))
        raise ConfigError(asked, wrong.place.rpartition(" ")[2], wrong.kind, **wrong.facts) from error


def _seat(sensor: Sensor) -> str:
    address = getattr(sensor.config, "address", None)
    return sensor.table.bus if address is None else f"{sensor.table.bus} {address}"


def _lines(
    reading: Reading, sensor: Sensor, why: str, texts: dict[str, str], again: str, language: str
) -> Iterator[str]:
    if why:
        if not reading.values:
            yield said("read", "nothing", language, why=readable(why, language))
        yield remedy(why, again, language)
        if not (reading.values or why.startswith(NO_VALUE)):
            return
    for name in sensor.quantities.values():
        row = QUANTITIES[name]
        symbol = words()["symbol"].get(row.unit, row.unit)
        label = f"{row.vi if language == 'vi' else row.en} ({name})"
        if name in reading.values:
            number = reading.values[name] / 10**row.decimals
            value = f"{number:.{max(row.decimals, 0)}f} {symbol}".rstrip()
            if row.codes and number in row.codes:
                value += f" ({row.codes[int(number)][LANGUAGES.index(language)]})"
        else:
            value = "— " + why_absent(reading.reasons[name], language)
            if name in reading.raw:
                value += f" [{reading.raw[name] / 10**row.decimals:g} {symbol}]"
        yield f"{label:<44} {value}"
    yield from (f"{name:<44} {text}" for name, text in texts.items())
    warmup_s = sensor.driver.habits_of(sensor.config).warmup_s
    if warmup_s:
        yield said("read", "warm_up", language, warmup_s=f"{warmup_s:g}")
