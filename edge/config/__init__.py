"""devices.toml → frozen structs. Whatever is wrong stops the start, with a sentence naming the place and the remedy.

The structs (tables.py) are the only list of options: sample, reference and refusals are made from them. Each sensor
table is checked by its own driver's struct, looked up by name. The sentences are data, in two languages (words.toml).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from edge.config import checks
from edge.config.doubts import doubted
from edge.config.sirens import check_triggers
from edge.config.sirens import siren as checked_siren
from edge.config.tables import (
    Broker,
    Bus,
    Config,
    Gateway,
    NodeTable,
    Sensor,
    SensorTable,
    Siren,
    SirenTable,
    SpoolConfig,
    Trigger,
    When,
)  # fmt: skip
from settings import credentials, text
from settings.expected import convert
from settings.finding import ConfigError, File, Finding, Mistakes, shown
from wire.topics import GATEWAY

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

_T = TypeVar("_T")

__all__ = [
    "Broker", "Bus", "Config", "ConfigError", "Finding", "Gateway", "NodeTable", "Sensor", "SensorTable", "Siren",
    "SirenTable", "SpoolConfig", "Trigger", "When", "advice", "devices_toml", "load",
]  # fmt: skip


def devices_toml(path: Path) -> File:
    """Return the file as what it is, for whoever has something to say about it."""
    return File(
        path,
        ("settings", __package__),
        "gocche-agent",
        ("gateway", "broker", "spool"),
        ("bus", "sensor", "node", "siren"),
    )


def advice(path: Path, config: Config, now: datetime | None = None) -> list[Finding]:
    """Return what should be looked at; dates of certificates only where `now` is known."""
    return doubted(devices_toml(path), config, now)


def load(path: Path, *, running: bool = True) -> Config:
    """Read and check devices.toml, and the files that it names. Raises ConfigError and nothing else.

    Each part is looked at whatever is wrong with the others: the error has what else there is.

    Without `running` the credentials that systemd gives to the service alone may be absent.
    """
    file, wrong = devices_toml(path), Mistakes()
    raw = text.read(file)
    tables = text.tables(file, raw)
    gateway = wrong.tried(_gateway, file, tables)
    broker = wrong.tried(_broker, file, tables, running=running)
    spool = wrong.tried(_spool, file, tables)
    lines = wrong.tried(_each, file, tables, "bus") or []
    buses = _all(wrong.tried(convert, file, f"[[bus]] {number}", table, Bus) for number, table in lines)
    names = [said for _, table in lines if isinstance(table, dict) and isinstance(said := table.get("name"), str)]
    known = names if len(names) == len(lines) else None  # else a sensor may hang on one whose name is wrong
    found = wrong.tried(_each, file, tables, "sensor") or [] if lines else []
    sensors = _all(wrong.tried(checks.sensor, file, number, table, known) for number, table in found)
    nodes = _all(
        wrong.tried(convert, file, f"[[node]] {number}", table, NodeTable)
        for number, table in wrong.tried(text.each, file, tables, "node") or []
    )
    sirens = _all(
        wrong.tried(checked_siren, file, number, table, known)
        for number, table in wrong.tried(text.each, file, tables, "siren") or []
    )
    wrong.end()
    wrong.tried(checks.check_nodes, file, nodes, sensors)
    wrong.tried(check_triggers, file, sirens, sensors, [node.channel for node in nodes])
    sensors += [siren.relay for siren in sirens if siren.relay is not None]
    wrong.tried(checks.check_buses, file, buses, sensors)
    wrong.tried(checks.check_sensors, file, sensors)
    wrong.end()
    sped = _all(wrong.tried(checks.with_usual_speed, file, number, bus, sensors) for number, bus in enumerate(buses, 1))
    assert gateway, "else there was an end"
    assert broker
    assert spool
    wrong.tried(checks.check_captures, file, buses, spool)
    wrong.end()
    return Config(gateway, broker, spool, sped, sensors, fingerprint(raw), nodes, sirens)


def fingerprint(raw: bytes) -> str:
    """Return what tells one devices.toml from another: the agent says it of the one that it started with."""
    return hashlib.sha256(raw).hexdigest()[:12]


def _gateway(file: File, tables: dict[str, Any]) -> Gateway:
    gateway = convert(file, "[gateway]", text.one(file, tables, "gateway"), Gateway)
    if not GATEWAY.fullmatch(gateway.id):
        raise ConfigError(file, "[gateway] id", "gateway_id", value=shown(gateway.id))
    return gateway


def _broker(file: File, tables: dict[str, Any], *, running: bool) -> Broker:
    broker = convert(file, "[broker]", text.beside(file, text.one(file, tables, "broker")), Broker)
    credentials.check(file, broker, running=running)
    return broker


def _spool(file: File, tables: dict[str, Any]) -> SpoolConfig:
    spool = convert(file, "[spool]", text.one(file, tables, "spool"), SpoolConfig)
    if Path(spool.path).suffix != ".db":  # it lies beside others of its name: .lock, .ballast
        raise ConfigError(file, "[spool] path", "spool_path", value=shown(spool.path))
    return spool


def _each(file: File, tables: dict[str, Any], name: str) -> list[tuple[int, object]]:
    found = text.each(file, tables, name)
    if not found:
        raise ConfigError(file, f"[[{name}]]", "there_is_none", head=f"[[{name}]]")
    return found


def _all(parts: Iterable[_T | None]) -> list[_T]:
    """Return the parts that could be read."""
    return [part for part in parts if part is not None]
