"""What the devices served against what the store holds: each value once, with its own time, and nothing else.

The simulated devices log every answer and no two answers of one device are alike, so a stored row is recognised by
its values alone. A device that is asked (Modbus, AT) must be found whole; a talker is heard now and then, so of it
each stored row must be one that was spoken. Nothing here looks at sequence numbers: the audit does that.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cloud.store import Store

# What tells one answer of a device from all others in a unique run (gocche/garden/nature.py).
KEYS = {
    "soil-1": ("soil_ec", "soil_ph"),
    "soil-2": ("soil_ec", "soil_ph"),
    "air-1": ("air_temperature", "air_humidity"),
    "weather-1": ("wind_direction", "air_pressure"),
    "gnss-1": ("lat", "lon"),
    "smoke-1": ("particles_0_3",),
    "co-1": ("co",),
    "rain-1": ("rain_total",),
    "modem-hang-tay": ("cell",),
}
ASKED = ("soil-1", "soil-2", "air-1", "modem-hang-tay")
Key = tuple[float, ...]


class Answer(msgspec.Struct):
    """One draw of a device: all that it told of one moment, and when the last of it left."""

    device: str
    n: int
    t_ms: int
    values: dict[str, float]


class Row(msgspec.Struct, frozen=True):
    """One stored reading."""

    time_ms: int
    values: dict[str, float]


class Outage(msgspec.Struct, frozen=True):
    """A time without an agent: killed at the first, started again at the second."""

    killed_ms: int
    started_ms: int


class Sum(msgspec.Struct):
    """What the comparison gave; `faults` are sentences about everything that must not be.

    `served` counts the answers of devices that are asked, `found` the stored rows that were recognised.
    """

    served: int = 0
    found: int = 0
    stored_twice: int = 0
    cut_by_kill: int = 0
    cut_within_ms: int = 0
    skew_ms: int = 0
    faults: list[str] = msgspec.field(default_factory=list)


def served(log: Path) -> dict[str, dict[Key, Answer]]:
    """Return what each device served, by its key. Raises ValueError where two answers of a device are alike."""
    draws: dict[tuple[str, int], Answer] = {}
    for line in log.read_text().splitlines():
        if not line:
            continue
        told = json.loads(line)
        answer = draws.setdefault((told["device"], told["n"]), Answer(told["device"], told["n"], 0, {}))
        answer.t_ms = told["t_ms"]
        answer.values |= told["values"]
    found: dict[str, dict[Key, Answer]] = defaultdict(dict)
    for answer in draws.values():
        key = _key(answer.device, answer.values)
        if key is None:
            continue  # a modem that was not asked to the end, or has no service
        if key in found[answer.device]:
            raise ValueError(f"{answer.device} served {key} twice: this run cannot be judged")
        found[answer.device][key] = answer
    return found


def stored(store: Store, gateway: str, device: str, quantities: Iterable[str], span_ms: tuple[int, int]) -> list[Row]:
    """Return every stored reading of a channel, by its stored time: two of them never merge."""
    rows: dict[int, dict[str, float]] = defaultdict(dict)
    start, end = (ms * 1_000_000 for ms in span_ms)
    for quantity in quantities:
        for time_ns, value in store.series(gateway, device, quantity, start, end):
            rows[time_ns][quantity] = value
    return [Row(time_ns // 1_000_000, values) for time_ns, values in sorted(rows.items())]


def compare(
    log: Path,
    store: Store,
    gateway: str,
    *,
    outages: Iterable[Outage] = (),
    commit_s: float = 0.2,
    late_s: float = 2.0,
    devices: Iterable[str] = tuple(KEYS),
) -> Sum:
    """Compare everything. An answer served up to `commit_s` before an agent was killed may be lost, and is counted.

    `late_s` is how far a stored time may lie from the moment when the answer left the device.
    """
    result = Sum()
    told = served(log)
    times = [answer.t_ms for answers in told.values() for answer in answers.values()]
    span = min(times) - 600_000, max(times) + 600_000
    for device in devices:
        answers = told.get(device, {})
        names = dict.fromkeys(name for answer in answers.values() for name in answer.values)
        rows = stored(store, gateway, device, names, span)
        seen = _match(device, answers, rows, round(late_s * 1000), result)
        if device in ASKED:
            _missing([answer for key, answer in answers.items() if key not in seen], list(outages), commit_s, result)
    return result


def _match(device: str, answers: dict[Key, Answer], rows: list[Row], late_ms: int, result: Sum) -> set[Key]:
    seen: set[Key] = set()
    for row in rows:
        key = _key(device, row.values)
        answer = None if key is None else answers.get(key)
        if key is None or answer is None:
            result.faults.append(f"{device} never served what is stored at {row.time_ms}: {row.values}")
            continue
        if key in seen:
            result.stored_twice += 1
            result.faults.append(f"{device} n={answer.n} is stored twice")
        seen.add(key)
        apart = abs(row.time_ms - answer.t_ms)
        result.skew_ms = max(result.skew_ms, apart)
        if apart > late_ms:
            result.faults.append(f"{device} n={answer.n} was served at {answer.t_ms} and is stored at {row.time_ms}")
        _same(device, answer, row, result)
    if device in ASKED:
        result.served += len(answers)
    result.found += len(seen)
    return seen


def _same(device: str, answer: Answer, row: Row, result: Sum) -> None:
    """Every stored value is the served one; of a Modbus slave everything that was served is stored."""
    for name, value in row.values.items():
        if name not in answer.values or abs(value - answer.values[name]) > 0.6 * 10 ** -QUANTITIES[name].decimals:
            result.faults.append(f"{device} n={answer.n} {name}: served {answer.values.get(name)}, stored {value}")
    if device in ASKED[:3] and answer.values.keys() - row.values.keys():
        result.faults.append(f"{device} n={answer.n} lacks {sorted(answer.values.keys() - row.values.keys())}")


def _missing(answers: list[Answer], outages: list[Outage], commit_s: float, result: Sum) -> None:
    window_ms = round(commit_s * 1000) + 500  # a busy machine commits a little later than it should
    for answer in answers:
        near = [outage for outage in outages if outage.killed_ms - window_ms <= answer.t_ms <= outage.started_ms]
        if near:
            result.cut_by_kill += 1
            result.cut_within_ms = max(result.cut_within_ms, near[0].killed_ms - answer.t_ms)
        else:
            result.faults.append(f"{answer.device} n={answer.n} was served at {answer.t_ms} and is not stored")


def _key(device: str, values: dict[str, float]) -> Key | None:
    names = KEYS[device]
    if not all(name in values for name in names):
        return None
    return tuple(round(values[name], QUANTITIES[name].decimals) for name in names)
