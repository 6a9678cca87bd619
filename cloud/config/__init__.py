"""cloud.toml → frozen structs. Whatever is wrong stops the start, with a sentence naming the place and the remedy.

The tables that a room, an engine or a rule reads are handed on as they are: each checks its own against its own struct
(settings/expected.py). The sentences are data: settings/words.toml, and what is the server's alone in words.toml here.
"""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cloud.config.tables import ROOMS, SHOWN, Broker, Cap, Coverage, Data, Garden, Health, Hotspots, Http, Staff
from settings import credentials, text
from settings.expected import convert
from settings.finding import ConfigError, File, Finding, shown, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterable

SHORTEST_KEY = 24  # characters that whoever reads the feed shows
LOOPBACK = "127.0.0.1", "::1", "localhost"
__all__ = [
    "CLOUD_TOML",
    "Broker",
    "Cap",
    "CloudConfig",
    "ConfigError",
    "Coverage",
    "Data",
    "Finding",
    "Garden",
    "Health",
    "Hotspots",
    "Http",
    "Staff",
    "load",
]


class CloudConfig(msgspec.Struct, frozen=True):
    """The whole of cloud.toml. `signal`, `store`, `alerts`, `rules`, `channels` are checked by their own structs."""

    data: Data
    broker: Broker
    http: Http
    staff: Staff
    health: Health
    garden: Garden
    hotspots: Hotspots
    cap: Cap
    coverage: Coverage
    signal: dict[str, Any]
    store: dict[str, Any]
    alerts: dict[str, Any]
    rules: list[dict[str, Any]]
    channels: list[dict[str, Any]]
    file: File
    apart: dict[str, dict[str, dict[str, Any]]] = {}  # table → room → how this room shows who it is

    def of_room(self, room: str) -> CloudConfig:
        """Return the configuration as a room has it: with its own accounts, where it has any."""
        broker, store = (self.apart.get(table, {}).get(room) for table in SHOWN)
        made = self
        if broker:
            nobody = dict.fromkeys(SHOWN["broker"], "")
            made = msgspec.structs.replace(made, broker=msgspec.structs.replace(self.broker, **(nobody | broker)))
        if store:
            made = msgspec.structs.replace(made, store=_without(self.store, SHOWN["store"]) | store)
        return made

    def accounts(self) -> list[tuple[str, CloudConfig]]:
        """Return what all rooms have, and what each has that has an account of its own, with ".room" of its tables."""
        apart = [room for room in ROOMS if any(room in rooms for rooms in self.apart.values())]
        return [("", self), *((f".{room}", self.of_room(room)) for room in apart)]

    @property
    def ways(self) -> list[tuple[str, str]]:
        """Name and kind of each channel by which people are told."""
        return [(table.get("name") or table.get("kind", ""), table.get("kind", "")) for table in self.channels]

    @property
    def folder(self) -> Path:
        """Where cloud.toml stands: relative garden paths begin here."""
        return self.file.path.parent


def cloud_toml(path: Path) -> File:
    """Return the file as what it is, for whoever has something to say about it."""
    single = (
        "data",
        "broker",
        "http",
        "staff",
        "health",
        "garden",
        "hotspots",
        "cap",
        "coverage",
        "signal",
        "store",
        "alerts",
    )
    return File(path, ("settings", "cloud.config"), "gocche-cloud", single, ("rule", "channel"), {"mail": "mail_table"})


CLOUD_TOML = cloud_toml(Path("cloud.toml"))  # for tables that came from no file


def load(path: Path, *, running: bool = True, room: str = "") -> CloudConfig:
    """Read and check cloud.toml, and the files that it names. Raises ConfigError and nothing else.

    Without `running` the credentials that systemd gives to the service alone may be absent. Of a `room` that is named
    only its own are read.
    """
    file = cloud_toml(path)
    tables = text.tables(file, text.read(file))
    shared, brokers = _apart(file, "broker", text.one(file, tables, "broker"))
    broker = convert(file, "[broker]", shared, Broker)
    own = {name: {**_without(shared, SHOWN["broker"]), **table} for name, table in brokers.items()}
    accounts = {"": broker} | {name: convert(file, f"[broker.{name}]", own[name], Broker) for name in own}
    for name, account in accounts.items():
        if not room or name == (room if room in accounts else ""):
            credentials.check(file, account, running=running, place=f"[broker.{name}]" if name else "[broker]")
    store, stores = _apart(file, "store", text.one(file, tables, "store"))
    if broker.share and store.get("engine", "sqlite") == "sqlite":
        raise ConfigError(file, "[broker] share", "share_alone", value=shown(broker.share))
    http = convert(file, "[http]", text.one(file, tables, "http"), Http)
    _http(file, http)
    staff = convert(file, "[staff]", text.one(file, tables, "staff"), Staff)
    _staff(file, staff, http)
    health = _health(file, text.beside(file, text.one(file, tables, "health")), running=running, asked=not room)
    _ports(file, http=http, staff=staff, health=health)
    return CloudConfig(
        convert(file, "[data]", text.one(file, tables, "data"), Data),
        broker,
        http,
        staff,
        health,
        convert(file, "[garden]", text.one(file, tables, "garden"), Garden),
        _hotspots(file, text.one(file, tables, "hotspots"), running=running, asked=room not in ("", "alerts")),
        _cap(file, text.one(file, tables, "cap"), running=running, asked=room not in ("", "staff")),
        _coverage(file, text.one(file, tables, "coverage")),
        _table(file, "signal", text.one(file, tables, "signal")),
        store,
        _table(file, "alerts", text.one(file, tables, "alerts")),
        _tables(file, tables, "rule"),
        _tables(file, tables, "channel"),
        file,
        {"broker": brokers, "store": stores},
    )


def _apart(file: File, name: str, table: object) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return a table, and what its rooms have apart of it: `[store.pages]` stands within `[store]`."""
    whole = _table(file, name, text.beside(file, table))
    apart = {room: _table(file, f"{name}.{room}", text.beside(file, whole[room])) for room in ROOMS if room in whole}
    for room, own in apart.items():
        for key in own:
            if key not in SHOWN[name]:
                place = f"[{name}.{room}] {key}"
                raise ConfigError(file, place, "unknown_key", **suggestion(key, SHOWN[name], listed=True))
    return _without(whole, ROOMS), apart


def _without(table: dict[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in keys}


def _http(file: File, http: Http) -> None:
    credentials.check_host(file, "[http] host", http.host)
    if http.public_url:
        parts = credentials.web_address(http.public_url)
        if parts is None or parts.query or parts.fragment:
            host = http.public_url.rpartition("//")[2].split("?")[0].split("#")[0]
            better = f"https://{host}" if credentials.web_address(f"https://{host}") else "https://goc.che.example"
            raise ConfigError(file, "[http] public_url", "public_url", value=shown(http.public_url), better=better)


def _staff(file: File, staff: Staff, http: Http) -> None:
    """Refuse an address that would carry passwords in the clear, or share its cookie with the public pages."""
    credentials.check_host(file, "[staff] host", staff.host)
    if not staff.public_url:
        if staff.host not in LOOPBACK:
            known = ", ".join(LOOPBACK)
            raise ConfigError(file, "[staff] host", "staff_open", value=shown(staff.host), known=known)
        return
    parts, pages = credentials.web_address(staff.public_url), credentials.web_address(http.public_url)
    safe = parts is not None and (parts.scheme == "https" or parts.hostname in LOOPBACK)
    if parts is None or not safe or parts.path.strip("/") or parts.query or parts.fragment:
        raise ConfigError(file, "[staff] public_url", "staff_url", value=shown(staff.public_url))
    if pages is not None and pages.hostname == parts.hostname and parts.hostname not in LOOPBACK:
        raise ConfigError(file, "[staff] public_url", "staff_same_host", value=shown(staff.public_url))


def _health(file: File, table: object, *, running: bool, asked: bool) -> Health:
    health = convert(file, "[health]", table, Health)
    credentials.check_host(file, "[health] host", health.host)
    if health.token_file and not asked:
        return health
    if health.token_file:
        credentials.secret(file, "[health] token_file", health.token_file, running=running)
    elif health.host not in LOOPBACK:
        raise ConfigError(file, "[health] host", "health_open", value=shown(health.host), known=", ".join(LOOPBACK))
    return health


def _hotspots(file: File, table: object, *, running: bool, asked: bool) -> Hotspots:
    """Refuse an area that is none. The key is read where the room runs that asks."""
    hotspots = convert(file, "[hotspots]", table, Hotspots)
    if credentials.web_address(hotspots.url) is None:
        raise ConfigError(file, "[hotspots] url", "url", value=shown(hotspots.url))
    if hotspots.area:
        west, south, east, north = hotspots.area if len(hotspots.area) == 4 else (0.0, 0.0, 0.0, 0.0)
        if not (west < east and -90 <= south < north <= 90):
            raise ConfigError(file, "[hotspots] area", "no_area", value=shown(list(hotspots.area)))
    if hotspots.key_file and not asked:
        credentials.secret(file, "[hotspots] key_file", hotspots.key_file, running=running)
    return hotspots


def _cap(file: File, table: object, *, running: bool, asked: bool) -> Cap:
    """Refuse a feed whose sender nobody knows, or whose key could be guessed."""
    cap = convert(file, "[cap]", table, Cap)
    if not cap.key_file:
        return cap
    if not cap.sender:
        raise ConfigError(file, "[cap] sender", "no_sender")
    if not cap.restriction.strip():
        raise ConfigError(file, "[cap] restriction", "no_restriction")
    key = "" if asked else credentials.secret(file, "[cap] key_file", cap.key_file, running=running)
    if 0 < len(key) < SHORTEST_KEY:
        raise ConfigError(file, "[cap] key_file", "short_key", value=shown(cap.key_file), length=f"{len(key)}")
    return cap


def _coverage(file: File, table: object) -> Coverage:
    """Refuse a way in by which passwords of telephones would cross the net in the clear."""
    coverage = convert(file, "[coverage]", table, Coverage)
    credentials.check_host(file, "[coverage] phone_host", coverage.phone_host)
    if coverage.phone_host and not coverage.phone_tls and not _at_home(coverage.phone_host):
        raise ConfigError(file, "[coverage] phone_tls", "phones_open", value=shown(coverage.phone_host))
    return coverage


def _at_home(host: str) -> bool:
    """Tell whether an address is within this machine or this house."""
    with suppress(ValueError):
        return ip_address(host).is_private
    return host in LOOPBACK


def _ports(file: File, **listening: Http | Staff | Health) -> None:
    """Refuse two that would listen at one port: the server would start again and again and never be up."""
    held: dict[int, str] = {}
    for name, one in listening.items():
        if other := held.get(one.port):
            raise ConfigError(file, f"[{name}] port", "port_twice", value=shown(one.port), other=f"[{other}]")
        if one.port:
            held[one.port] = name


def _tables(file: File, tables: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [
        _table(file, f"[{name}]] {number}", text.beside(file, one)) for number, one in text.each(file, tables, name)
    ]


def _table(file: File, name: str, table: object) -> dict[str, Any]:
    if not isinstance(table, dict):
        head = f"[{name}]" if "]" not in name else f"[{name}"
        raise ConfigError(file, head, "not_a_table", value=shown(table), head=head.partition(" ")[0])
    return table
