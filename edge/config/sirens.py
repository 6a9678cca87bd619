"""What must fit together of a siren: where its relay is, and what it listens to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge import drivers
from edge.config.tables import Sensor, SensorTable, Siren, SirenTable, Trigger, When
from edge.drivers import relay
from settings.expected import convert
from settings.finding import ConfigError, shown, suggestion
from wire.topics import CHANNEL

if TYPE_CHECKING:
    from collections.abc import Collection

    from settings.finding import File

CLAIM, LEVELS = "smoke_claim", {"suspected": 2, "probable": 3}


def siren(file: File, number: int, table: object, buses: list[str] | None) -> Siren:
    """Return one checked siren; whether what it listens to is there, `check_triggers` tells. Raises ConfigError."""
    if not isinstance(table, dict):
        raise ConfigError(file, f"[[siren]] {number}", "not_a_table", value=shown(table), head="[[siren]]")
    place = f"[[siren]] {number}" + (f" ({table['name']})" if isinstance(table.get("name"), str) else "")
    checked = convert(file, place, table, SirenTable)
    if not CHANNEL.fullmatch(checked.name):
        raise ConfigError(file, f"{place} name", "channel", value=shown(checked.name))
    if bool(checked.bus) == bool(checked.gpio):
        raise ConfigError(file, f"{place} bus", "siren_twice" if checked.bus else "siren_nowhere")
    if checked.bus and buses is not None and checked.bus not in buses:
        raise ConfigError(
            file, f"{place} bus", "unknown_bus", value=shown(checked.bus), **suggestion(checked.bus, buses)
        )
    triggers = tuple(_trigger(file, f"{place} when[{at}]", when) for at, when in enumerate(checked.when))
    return Siren(checked, triggers, _relay(checked, place) if checked.bus else None)


def _trigger(file: File, place: str, when: When) -> Trigger:
    plain = when.channel and when.quantity and when.at_least is not None
    if bool(when.node) == bool(plain) or (when.node and (when.channel or when.quantity)):
        raise ConfigError(file, place, "siren_when")
    if when.node:
        return Trigger(when.node, CLAIM, LEVELS[when.level], 1, graded=True)
    assert when.at_least is not None, "else it is not plain"
    return Trigger(when.channel, when.quantity, when.at_least, when.samples, graded=False)


def _relay(table: SirenTable, place: str) -> Sensor:
    """Return the board as a sensor of its bus: it is looked at like one, and ill like one."""
    config = relay.Config(address=table.address, coil=table.coil, stop_input=table.stop_input)
    shared = SensorTable(
        channel=table.name,
        bus=table.bus,
        driver="relay",
        every_s=table.check_s,
        timeout_s=table.timeout_s,
        retries=0,
    )
    return Sensor(shared, drivers.load("relay"), config, relay.quantities(config), place)


def check_triggers(file: File, sirens: list[Siren], sensors: list[Sensor], nodes: Collection[str] = ()) -> None:
    """Refuse a siren that listens to what is not there, or has another's name."""
    measured = {one.table.channel: sorted(set(one.quantities.values())) for one in sensors}
    names: set[str] = set(measured)
    for number, one in enumerate(sirens, 1):
        place = f"[[siren]] {number} ({one.table.name})"
        if one.table.name in names:
            raise ConfigError(file, f"{place} name", "name_taken", value=shown(one.table.name))
        names.add(one.table.name)
        for at, trigger in enumerate(one.triggers):
            _there(file, f"{place} when[{at}]", trigger, measured, nodes)


def _there(file: File, place: str, trigger: Trigger, measured: dict[str, list[str]], nodes: Collection[str]) -> None:
    channel = trigger.channel
    if trigger.graded:
        if channel not in nodes:
            raise ConfigError(file, f"{place} node", "siren_node", value=shown(channel), **suggestion(channel, nodes))
        return
    if channel not in measured:
        facts = suggestion(channel, measured)
        raise ConfigError(file, f"{place} channel", "siren_channel", value=shown(channel), **facts)
    if trigger.quantity not in measured[channel]:
        facts = {"channel": channel, "known": ", ".join(measured[channel])}
        raise ConfigError(file, f"{place} quantity", "siren_quantity", value=shown(trigger.quantity), **facts)
