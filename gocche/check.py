"""`gocche cloud --check`: whether cloud.toml can be used, how fast the disk fills, and with `--try` who answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cloud.clock import SystemClock
from cloud.rooms import registry_of
from cloud.rooms.check import VALUES, check, doubts, tried, yearly
from gocche.words import both
from settings.words import because

if TYPE_CHECKING:
    from cloud.config import CloudConfig


_UNITS = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def check_cloud(config: CloudConfig, *, tried_too: bool) -> int:
    """Print what is to be known before the server starts; return 0, or 1 where something that was tried is ill.

    Raises Refused for what the server would refuse.
    """
    check(config, running=False)
    registry = registry_of(config)
    now = datetime.now(UTC)  # noqa: TID251 - the dates of certificates are wall-clock time
    for finding in doubts(config, registry, now):
        print(f"! {finding.told('vi')}\n  {finding.told('en')}")
    for problem in registry.problems:
        print(f"! {problem.file}:{problem.line}: {problem.words}")
    year = yearly(config)
    facts = {"rules": len(config.rules), "told": len(config.channels), "trees": len(registry.trees)}
    engine = config.store.get("engine", "sqlite")
    print(both("cloud_check", "well", file=config.file, engine=engine, channels=year.channels, **facts))
    reckoned = {"size": _size(year.size), "free": _size(year.free), "values": VALUES, "days": year.days}
    print(both("cloud_check", "disk", channels=year.channels, **reckoned))
    if year.size > year.free:
        print(both("cloud_check", "disk_short"))
    return _tried(config) if tried_too else 0


def _tried(config: CloudConfig) -> int:
    ill = False
    for trial in tried(config, SystemClock()):
        ill |= bool(trial.why)
        name = f"{trial.part}_ill" if trial.why else trial.part
        print(both("cloud_check", name, where=trial.where, **because(trial.why)), flush=True)
    return int(ill)


def _size(count: float) -> str:
    unit, size = next((unit, size) for unit, size in _UNITS if count >= size or unit == "kB")
    return f"{count / size:.2g} {unit}" if count < 100 * size else f"{count / size:.0f} {unit}"
