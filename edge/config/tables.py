"""What may stand in devices.toml: one struct a table. Sample, reference and refusals are made from these."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

import msgspec

from edge.driver import Driver, DriverConfig, Habits
from settings import credentials

MODEM_MANAGER = re.compile(r"mmcli:(any|\d{1,9}|/org/freedesktop/ModemManager1/Modem/\d{1,9})")
NET = re.compile(
    r"net:(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})(?:%(?P<interface>[A-Za-z0-9_.-]{1,15}))?"
)
OLDER = ".1"  # what the older half of a capture is called beyond its name


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Gateway(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who this gateway is: `[gateway]`."""

    id: Annotated[str, msgspec.Meta(description="3 to 32 of a-z, 0-9 and -; unique in the whole network")]


class Broker(credentials.Broker, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the broker is and how we show who we are: `[broker]`. Production: TLS and one certificate a gateway."""

    keepalive_s: Annotated[int, msgspec.Meta(ge=5, le=300, description="longest silence on the connection")] = 30
    spread_s: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            le=600,
            description="after a power cut a random part of this is waited before the first connection: "
            "a province that comes back must not arrive in one second",
        ),
    ] = 30.0


class SpoolConfig(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How readings are kept until the cloud has them: `[spool]`."""

    path: Annotated[str, msgspec.Meta(description="the spool file, in the data folder; ends in .db", min_length=1)] = (
        "spool.db"
    )
    quota_mib: Annotated[
        int, msgspec.Meta(ge=1, le=65_536, description="room for readings; beyond, the oldest are dropped and declared")
    ] = 256
    commit_s: Annotated[
        float, msgspec.Meta(ge=0, le=600, description="what a power cut may cost; 120 spares the SD card")
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
            description="stable name, /dev/serial/by-id/… or by-path; replay:FILE plays a recorded talk; mmcli:any is "
            "the modem that ModemManager holds; net:broker the way to the server",
            min_length=1,
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

    def towards(self, broker: Broker) -> Self:
        """Return the bus with the broker's place where its port is the way to the broker."""
        name, _, interface = self.port.partition("%")
        if name != "net:broker":
            return self
        host = f"[{broker.host}]" if ":" in broker.host else broker.host
        port = f"net:{host}:{broker.port}" + (f"%{interface}" if interface else "")
        return msgspec.structs.replace(self, port=port)


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
        msgspec.Meta(
            description="not trusted so long after the port is opened or a silence ends; else what its driver needs"
        ),
    ] = None


class NodeTable(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sensors that watch one place for fire: `[[node]]`. The gateway itself says what they claim together."""

    channel: Annotated[
        str,
        msgspec.Meta(
            description="the name of its claim in all data, 1 to 32 of a-z, 0-9 and -; two nodes of a gateway hang 50 "
            "m and more apart, or the same smoke is two witnesses"
        ),
    ]
    pm: Annotated[str, msgspec.Meta(description="the channel that measures pm2_5")]
    co: Annotated[str, msgspec.Meta(description="the channel that measures co; without it no smoke is claimed")] = ""
    air: Annotated[str, msgspec.Meta(description="the channel that measures air_temperature and air_humidity")] = ""
    supply: Annotated[str, msgspec.Meta(description="the channel that measures supply_voltage")] = ""

    @property
    def channels(self) -> list[str]:
        """Which channels it rests on."""
        return [one for one in (self.pm, self.co, self.air, self.supply) if one]


class When(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What makes a siren sound: the detector's claim of a node, or for who has no node a plain limit."""

    node: Annotated[str, msgspec.Meta(description="a [[node]]; its claim is heard, whatever the network does")] = ""
    level: Annotated[
        Literal["suspected", "probable"], msgspec.Meta(description="of a node: from which claim on it sounds")
    ] = "probable"
    channel: Annotated[str, msgspec.Meta(description="without a node: a [[sensor]] …")] = ""
    quantity: Annotated[str, msgspec.Meta(description="… and what of it is watched")] = ""
    at_least: Annotated[
        float | None, msgspec.Meta(description="the limit, in the unit of docs/reference/quantities.md")
    ] = None
    samples: Annotated[
        int, msgspec.Meta(ge=1, le=60, description="so many readings in a row at the limit, before it sounds")
    ] = 3


class SirenTable(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A siren at this gateway: `[[siren]]`. A relay on a bus (`bus`, `address`, `coil`) or at a GPIO line."""

    name: Annotated[str, msgspec.Meta(description="its name in all data, 1 to 32 of a-z, 0-9 and -")]
    when: Annotated[
        tuple[When, ...],
        msgspec.Meta(
            min_length=1, description='one is enough: [{ node = "node-1" }], or [{ channel, quantity, at_least }]'
        ),
    ]
    bus: Annotated[str, msgspec.Meta(description="the bus of its relay board; best one of its own")] = ""
    address: Annotated[int, msgspec.Meta(ge=1, le=247, description="slave address of the board")] = 1
    coil: Annotated[int, msgspec.Meta(ge=0, le=255, description="which relay of it, counted from 0")] = 0
    stop_input: Annotated[
        Annotated[int, msgspec.Meta(ge=0, le=255)] | None,
        msgspec.Meta(description="input of the board with the button that stops it, counted from 0"),
    ] = None
    timed: Annotated[
        bool,
        msgspec.Meta(
            description='the board knows "flash on" (Waveshare): told anew every 2 s it sounds, and lets go by itself '
            "5 s after the gateway has died"
        ),
    ] = False
    gpio: Annotated[
        str, msgspec.Meta(description="instead of a bus: the chip, /dev/gpiochip0 (UNTESTED on hardware)")
    ] = ""
    line: Annotated[int, msgspec.Meta(ge=0, le=1023, description="of the chip: the line of the relay")] = 0
    active_low: Annotated[bool, msgspec.Meta(description="of the chip: the relay pulls where the line is low")] = False
    stop_line: Annotated[
        Annotated[int, msgspec.Meta(ge=0, le=1023)] | None,
        msgspec.Meta(description="of the chip: the line with the button, pressed to ground"),
    ] = None
    most_s: Annotated[float, msgspec.Meta(ge=5, le=180, description="it sounds no longer than that at a time")] = 180.0
    pause_s: Annotated[
        float, msgspec.Meta(ge=60, le=3_600, description="then it is silent so long, and sounds again if need be")
    ] = 300.0
    stopped_s: Annotated[
        float,
        msgspec.Meta(ge=60, le=3_600, description="who stopped it hears it no more so long, unless it gets worse"),
    ] = 1_800.0
    check_s: Annotated[float, msgspec.Meta(ge=0.2, le=60, description="how often relay and button are looked at")] = 1.0
    timeout_s: Annotated[
        Annotated[float, msgspec.Meta(gt=0, le=5)] | None,
        msgspec.Meta(
            description="silence that ends the wait for its board, which may be slow behind a radio link; else 0.5"
        ),
    ] = None


class Trigger(msgspec.Struct, frozen=True):
    """What `when` comes to: a quantity of a channel from a number on, so many readings in a row."""

    channel: str
    quantity: str
    at_least: float
    samples: int
    graded: bool  # the number itself says how bad it is

    def level_of(self, value: float) -> int:
        """Return how bad a value at the limit is: what is worse sounds through a pause."""
        return int(value) if self.graded else 1


class Siren(msgspec.Struct, frozen=True):
    """One checked siren; `relay` is its board as a sensor of its bus, None at a GPIO line."""

    table: SirenTable
    triggers: tuple[Trigger, ...]
    relay: Sensor | None = None


class Sensor(msgspec.Struct, frozen=True):
    """One checked sensor: the shared keys, its driver, and the driver's own configuration."""

    table: SensorTable
    driver: Driver
    config: DriverConfig
    quantities: dict[str, str]  # the driver's value name → quantity
    place: str = ""  # in the file, where it is no [[sensor]]

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
    sensors: list[Sensor]  # and the relays of sirens
    hash: str
    nodes: list[NodeTable] = []
    sirens: list[Siren] = []
