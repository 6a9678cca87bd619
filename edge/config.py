"""devices.toml → frozen structs. Whatever is wrong stops the start, with a sentence naming the place and the remedy.

The structs are the only list of options: sample, reference and these messages are made from them. Each sensor table
is checked by its own driver's struct, looked up by name.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from edge import drivers
from edge.driver import Driver, DriverConfig, Habits
from wire.quantities import QUANTITIES
from wire.topics import CHANNEL, GATEWAY

_S = TypeVar("_S", bound=msgspec.Struct)


class ConfigError(Exception):
    """The configuration cannot be used: nothing is started, exit code 2."""

    def __init__(self, file: Path, place: str, rule: str, remedy: str) -> None:
        super().__init__(f"{file}: {place}: {rule}; {remedy}")


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


_Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]


class Gateway(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who this gateway is: `[gateway]`."""

    id: Annotated[str, msgspec.Meta(description="3 to 32 of a-z, 0-9 and -; unique in the whole network")]


class Broker(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the broker is and how we show who we are: `[broker]`. Production: TLS and one certificate a gateway."""

    host: Annotated[str, msgspec.Meta(description="name or address of the MQTT broker", min_length=1)]
    port: Annotated[_Port, msgspec.Meta(description="1883 plain, 8883 with TLS")] = 1883
    user: Annotated[str, msgspec.Meta(description="user name, where the broker asks for one")] = ""
    password_file: Annotated[str, msgspec.Meta(description="file that holds the password, nothing else")] = ""
    ca_file: Annotated[
        str, msgspec.Meta(description="certificate of the authority that signed the broker's; turns TLS on")
    ] = ""
    cert_file: Annotated[str, msgspec.Meta(description="this gateway's certificate")] = ""
    key_file: Annotated[str, msgspec.Meta(description="this gateway's private key")] = ""
    keepalive_s: Annotated[int, msgspec.Meta(ge=5, le=300, description="longest silence on the connection")] = 30


class SpoolConfig(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How readings are kept until the cloud has them: `[spool]`."""

    path: Annotated[str, msgspec.Meta(description="the spool file, in the data folder")] = "spool.db"
    quota_mib: Annotated[
        int, msgspec.Meta(ge=1, le=65_536, description="room for readings; beyond, the oldest are dropped and declared")
    ] = 256
    commit_s: Annotated[
        float, msgspec.Meta(ge=0, le=600, description="what a power cut may cost; 60 spares the SD card")
    ] = 10.0
    batch_s: Annotated[
        float, msgspec.Meta(ge=0.2, le=3_600, description="how long a batch is gathered; 600 for a thin link")
    ] = 60.0
    resend_s: Annotated[float, msgspec.Meta(ge=0.5, le=600, description="patience before a batch is sent again")] = 5.0


class Bus(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One serial port and everything that hangs on it: `[[bus]]`."""

    name: Annotated[str, msgspec.Meta(description="a name for this file", min_length=1, max_length=32)]
    port: Annotated[
        str,
        msgspec.Meta(
            description="stable name, /dev/serial/by-id/… or by-path; replay:FILE plays a recorded talk", min_length=1
        ),
    ]
    baud: Annotated[
        int,
        msgspec.Meta(
            ge=300, le=921_600, description="bits a second; where it is not given, what its sensors are shipped with"
        ),
    ] = 0
    format: Annotated[str, msgspec.Meta(description="data bits, parity, stop bits: 8N1, 8E1, 7E1 …")] = ""
    settle_ms: Annotated[
        Annotated[int, msgspec.Meta(ge=0, le=5_000)] | None,
        msgspec.Meta(description="silence before a device is asked again after a fault; else what its driver needs"),
    ] = None
    quiet_ms: Annotated[
        float,
        msgspec.Meta(ge=0, le=1_000, description="silence before each frame, for slaves that need more than most"),
    ] = 0.0
    echo: Annotated[
        bool | None,
        msgspec.Meta(description="does the adapter repeat what is sent? where not given, the line shows it"),
    ] = None
    rts_on_send: Annotated[
        Literal["", "high", "low"],
        msgspec.Meta(
            description="RS-485 direction by RTS, where the kernel's driver switches it; most adapters do it alone"
        ),
    ] = ""
    rts_before_ms: Annotated[int, msgspec.Meta(ge=0, le=100, description="RTS is set so long before sending")] = 0
    rts_after_ms: Annotated[int, msgspec.Meta(ge=0, le=100, description="RTS is kept so long after sending")] = 0
    capture: Annotated[str, msgspec.Meta(description="file that records every byte, in the form of a test case")] = ""


class SensorTable(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every sensor says: `[[sensor]]`. Further keys are its driver's."""

    channel: Annotated[str, msgspec.Meta(description="its name in all data, 1 to 32 of a-z, 0-9 and -")]
    bus: Annotated[str, msgspec.Meta(description="the bus it hangs on")]
    driver: Annotated[str, msgspec.Meta(description="what it speaks")]
    every_s: Annotated[float, msgspec.Meta(ge=0.05, le=86_400, description="seconds between polls")] = 10.0
    timeout_s: Annotated[
        Annotated[float, msgspec.Meta(gt=0, le=30)] | None,
        msgspec.Meta(description="silence that ends the wait for an answer; else what its driver needs"),
    ] = None
    retries: Annotated[int, msgspec.Meta(ge=0, le=5, description="further tries of a question within one poll")] = 2
    warmup_s: Annotated[
        Annotated[float, msgspec.Meta(ge=0, le=3_600)] | None,
        msgspec.Meta(description="values are not trusted so long after the port is opened; else what its driver needs"),
    ] = None


class Sensor(msgspec.Struct, frozen=True):
    """One checked sensor: the shared keys, its driver, and the driver's own configuration."""

    table: SensorTable
    driver: Driver
    config: DriverConfig
    quantities: dict[str, str]  # the driver's value name → quantity

    @property
    def habits(self) -> Habits:
        """What its driver needs, and where the table says otherwise, that."""
        said = {key: value for key in ("timeout_s", "warmup_s") if (value := getattr(self.table, key)) is not None}
        return msgspec.structs.replace(self.driver.habits_of(self.config), **said)


class Config(msgspec.Struct, frozen=True):
    """The whole of devices.toml, checked. `hash` tells two configurations apart in the status."""

    gateway: Gateway
    broker: Broker
    spool: SpoolConfig
    buses: list[Bus]
    sensors: list[Sensor]
    hash: str


def load(file: Path) -> Config:
    """Read and check devices.toml. Raises ConfigError naming file, table, field and remedy."""
    try:
        raw = file.read_bytes()
        tables = tomllib.loads(raw.decode("utf-8"))
    except OSError as error:
        raise ConfigError(
            file, "file", f"cannot be read ({error.strerror})", "name an existing file with --config"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(file, "file", f"is not TOML: {error}", "mend the line that it names") from error
    known = ("gateway", "broker", "spool", "bus", "sensor")
    for key in tables:
        if key not in known:
            raise ConfigError(file, key, "unknown table", _suggest(key, known))
    gateway = _convert(file, "[gateway]", tables.get("gateway", {}), Gateway)
    if not GATEWAY.fullmatch(gateway.id):
        raise ConfigError(
            file, "[gateway] id", f"{gateway.id!r} is not 3 to 32 of a-z, 0-9 and -", "write it like sg-01"
        )
    broker = _convert(file, "[broker]", _beside(file, tables.get("broker", {})), Broker)
    _check_broker(file, broker)
    buses = [
        _convert(file, f"[[bus]] {number}", table, Bus) for number, table in enumerate(_list(file, tables, "bus"), 1)
    ]
    sensors = [_sensor(file, number, table, buses) for number, table in enumerate(_list(file, tables, "sensor"), 1)]
    _check_buses(file, buses, sensors)
    _check_sensors(file, sensors)
    return Config(
        gateway,
        broker,
        _convert(file, "[spool]", tables.get("spool", {}), SpoolConfig),
        [_with_usual_speed(file, number, bus, sensors) for number, bus in enumerate(buses, 1)],
        sensors,
        hashlib.sha256(raw).hexdigest()[:12],
    )


def _beside(file: Path, table: dict[str, Any]) -> dict[str, Any]:
    """Return the table with relative names of files taken from the folder of devices.toml."""
    return {
        key: str(file.parent / value) if key.endswith("_file") and isinstance(value, str) and value else value
        for key, value in table.items()
    }


def _list(file: Path, tables: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = tables.get(name, [])
    if not isinstance(found, list) or not found:
        raise ConfigError(file, f"[[{name}]]", "there is none", f"begin at least one with a line [[{name}]]")
    return found


def _suggest(word: str, known: tuple[str, ...] | list[str]) -> str:
    close = difflib.get_close_matches(word, known, 1)
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"


def _convert(file: Path, place: str, table: object, to: type[_S]) -> _S:
    try:
        return msgspec.convert(table, type=to)
    except msgspec.ValidationError as error:
        raise _explained(file, place, table, str(error), to) from error


def _explained(file: Path, place: str, table: object, words: str, to: type[msgspec.Struct]) -> ConfigError:
    fields = [field.name for field in msgspec.structs.fields(to)]
    if unknown := re.search(r"unknown field `(\w+)`", words):
        return ConfigError(file, f"{place} {unknown[1]}", "unknown key", _suggest(unknown[1], fields))
    if missing := re.search(r"missing required field `(\w+)`", words):
        return ConfigError(
            file, f"{place} {missing[1]}", "is missing", f"add {missing[1]} = … ({_described(to, missing[1])})"
        )
    field = match[1] if (match := re.search(r"\$\.(\w+)", words)) else ""
    value = table.get(field) if isinstance(table, dict) else table
    rule = f"{value!r}: {words.split(' - at ', maxsplit=1)[0][:1].lower()}{words.split(' - at ', maxsplit=1)[0][1:]}"
    return ConfigError(
        file,
        f"{place} {field}".strip(),
        rule,
        f"it is: {_described(to, field)}" if field else "see docs/reference/config.md",
    )


def _described(to: type, name: str) -> str:
    for node in msgspec.json.schema(to).get("$defs", {}).values():
        words = node.get("properties", {}).get(name, {}).get("description")
        if words:
            return str(words)
    return "see docs/reference/config.md"


def _check_broker(file: Path, broker: Broker) -> None:
    if bool(broker.cert_file) != bool(broker.key_file):
        have, want = ("cert_file", "key_file") if broker.cert_file else ("key_file", "cert_file")
        raise ConfigError(file, f"[broker] {want}", f"is missing while {have} is given", "give both, or neither")
    if broker.cert_file and not broker.ca_file:
        raise ConfigError(
            file,
            "[broker] ca_file",
            "is missing while cert_file is given",
            "name the authority's certificate: without it there is no TLS",
        )
    if bool(broker.user) != bool(broker.password_file):
        raise ConfigError(
            file, "[broker] password_file", "user and password_file belong together", "give both, or neither"
        )
    for field in ("password_file", "ca_file", "cert_file", "key_file"):
        name = getattr(broker, field)
        if name and not Path(name).is_file():
            raise ConfigError(
                file,
                f"[broker] {field}",
                f"{name!r} is not a file that can be read",
                "write the file, or mend the name",
            )


def _sensor(file: Path, number: int, table: dict[str, Any], buses: list[Bus]) -> Sensor:
    place = f"[[sensor]] {number}" + (f" ({table['channel']})" if isinstance(table.get("channel"), str) else "")
    shared = {field.name for field in msgspec.structs.fields(SensorTable)}
    name = table.get("driver")
    if not isinstance(name, str) or name not in drivers.names():
        raise ConfigError(file, f"{place} driver", f"{name!r} is unknown", _suggest(str(name), drivers.names()))
    driver = drivers.load(name)
    own = {key: value for key, value in table.items() if key not in shared}
    known = [*sorted(shared), *(field.name for field in msgspec.structs.fields(driver.config))]
    for key in own:
        if key not in known:
            raise ConfigError(file, f"{place} {key}", "unknown key", _suggest(key, known))
    common = _convert(file, place, {key: value for key, value in table.items() if key in shared}, SensorTable)
    if not CHANNEL.fullmatch(common.channel):
        raise ConfigError(
            file, f"{place} channel", f"{common.channel!r} is not 1 to 32 of a-z, 0-9 and -", "write it like soil-1"
        )
    if common.bus not in [bus.name for bus in buses]:
        raise ConfigError(
            file, f"{place} bus", f"{common.bus!r} is not a [[bus]]", _suggest(common.bus, [bus.name for bus in buses])
        )
    config = _convert(file, place, own, driver.config)
    try:
        quantities = driver.quantities(config)
    except (ValueError, KeyError, OSError) as error:
        raise ConfigError(
            file, place, str(error).strip("'\""), f"see the driver {name} in docs/reference/drivers.md"
        ) from error
    for value, quantity in quantities.items():
        if quantity not in QUANTITIES:
            raise ConfigError(
                file,
                place,
                f"{value} is mapped to the unknown quantity {quantity!r}",
                _suggest(quantity, list(QUANTITIES)),
            )
    return Sensor(common, driver, config, quantities)


def _check_buses(file: Path, buses: list[Bus], sensors: list[Sensor]) -> None:
    ports: dict[str, str] = {}
    names: set[str] = set()
    for number, bus in enumerate(buses, 1):
        if bus.name in names:
            raise ConfigError(file, f"[[bus]] {number} name", f"{bus.name!r} is taken", "give each bus its own name")
        if bus.port in ports:
            raise ConfigError(
                file,
                f"[[bus]] {number} port",
                f"{bus.port!r} already belongs to bus {ports[bus.port]!r}",
                "put its sensors on that bus",
            )
        if bus.format and not re.fullmatch(r"[5-8][NEO](1|1\.5|2)", bus.format):
            raise ConfigError(
                file,
                f"[[bus]] {number} format",
                f"{bus.format!r} is not data bits, parity, stop bits",
                "write it like 8N1 or 8E1",
            )
        if not any(sensor.table.bus == bus.name for sensor in sensors):
            raise ConfigError(
                file,
                f"[[bus]] {number} name",
                f"no sensor hangs on {bus.name!r}",
                "add a [[sensor]] with this bus, or delete it",
            )
        names.add(bus.name)
        ports[bus.port] = bus.name


def _check_sensors(file: Path, sensors: list[Sensor]) -> None:
    channels: set[str] = set()
    seats: dict[tuple[str, object], str] = {}
    for number, sensor in enumerate(sensors, 1):
        name = sensor.table.channel
        place = f"[[sensor]] {number} ({name})"
        if name in channels:
            raise ConfigError(file, f"{place} channel", f"{name!r} is taken", "give each sensor its own channel")
        channels.add(name)
        seat = (sensor.table.bus, getattr(sensor.config, "address", msgspec.json.encode(sensor.config)))
        if seat in seats:
            what = f"address {seat[1]}" if isinstance(seat[1], int) else "the same device"
            raise ConfigError(
                file,
                f"{place} address",
                f"{what} on bus {seat[0]!r} is already {seats[seat]!r}",
                "give each probe its own address",
            )
        seats[seat] = name


def _with_usual_speed(file: Path, number: int, bus: Bus, sensors: list[Sensor]) -> Bus:
    """Return the bus with what it leaves out: the speed and format that its sensors are shipped with."""
    own = [sensor for sensor in sensors if sensor.table.bus == bus.name]
    usual = {(habits.baud, habits.format) for habits in (sensor.habits for sensor in own)}
    for at, key in enumerate(("baud", "format")):
        wanted = {one[at] for one in usual}
        if not getattr(bus, key) and len(wanted) > 1:
            spelled = ", ".join(str(one) for one in sorted(wanted, key=str))
            rule = f"is missing, and the sensors on {bus.name!r} are shipped with different ones ({spelled})"
            raise ConfigError(file, f"[[bus]] {number} {key}", rule, "set all sensors alike and say it here")
    baud, form = min(usual)
    return msgspec.structs.replace(bus, baud=bus.baud or baud, format=bus.format or form)
