"""devices.toml → frozen structs. Whatever is wrong stops the start, with a sentence naming the place and the remedy.

The structs (tables.py) are the only list of options: sample, reference and refusals are made from them. Each sensor
table is checked by its own driver's struct, looked up by name. The sentences are data, in two languages (words.toml).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from edge.config import checks, credentials, text
from edge.config.doubts import advice
from edge.config.expected import convert
from edge.config.finding import ConfigError, Finding, shown, suggestion
from edge.config.tables import Broker, Bus, Config, Gateway, Sensor, SensorTable, SpoolConfig
from wire.topics import GATEWAY

__all__ = [
    "Broker", "Bus", "Config", "ConfigError", "Finding", "Gateway", "Sensor", "SensorTable", "SpoolConfig", "advice",
    "load",
]  # fmt: skip
_TABLES = ("gateway", "broker", "spool", "bus", "sensor")


def load(file: Path, *, running: bool = True) -> Config:
    """Read and check devices.toml, and the files that it names. Raises ConfigError and nothing else.

    Without `running` the credentials that systemd gives to the service alone may be absent.
    """
    raw = text.read(file)
    tables = text.tables(file, raw)
    for key in tables:
        if key not in _TABLES:
            raise ConfigError(file, key, "unknown_table", **suggestion(key, _TABLES))
    gateway = convert(file, "[gateway]", tables.get("gateway", {}), Gateway)
    if not GATEWAY.fullmatch(gateway.id):
        raise ConfigError(file, "[gateway] id", "gateway_id", value=shown(gateway.id))
    broker = convert(file, "[broker]", _beside(file, tables.get("broker", {})), Broker)
    checks.check_host(file, broker.host)
    credentials.check(file, broker, running=running)
    spool = convert(file, "[spool]", tables.get("spool", {}), SpoolConfig)
    if Path(spool.path).suffix != ".db":  # it lies beside others of its name: .lock, .ballast
        raise ConfigError(file, "[spool] path", "spool_path", value=shown(spool.path))
    buses = [convert(file, f"[[bus]] {number}", table, Bus) for number, table in _each(file, tables, "bus")]
    sensors = [checks.sensor(file, number, table, buses) for number, table in _each(file, tables, "sensor")]
    checks.check_buses(file, buses, sensors)
    checks.check_sensors(file, sensors)
    sped = [checks.with_usual_speed(file, number, bus, sensors) for number, bus in enumerate(buses, 1)]
    return Config(gateway, broker, spool, sped, sensors, hashlib.sha256(raw).hexdigest()[:12])


def _beside(file: Path, table: object) -> object:
    """Return the table with relative names of files taken from the folder of devices.toml."""
    if not isinstance(table, dict):
        return table
    return {
        key: str(file.parent / value) if key.endswith("_file") and isinstance(value, str) and value else value
        for key, value in table.items()
    }


def _each(file: Path, tables: dict[str, Any], name: str) -> list[tuple[int, object]]:
    found = tables.get(name, [])
    if not isinstance(found, list):
        raise ConfigError(file, name, "not_a_table" if not isinstance(found, dict) else "single_table",
                          value=shown(found), head=f"[[{name}]]")  # fmt: skip
    if not found:
        raise ConfigError(file, f"[[{name}]]", "there_is_none", head=f"[[{name}]]")
    return list(enumerate(found, 1))
