"""cloud.toml as a whole, before anything runs: what every room will read of it, and whether what it names is there.

`check` refuses, `doubts` are worth a look, `tried` asks each address with its credential, `yearly` says how fast the
disk will fill. Nothing is written or sent.
"""

from __future__ import annotations

import os
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cloud.alerts import wiring
from cloud.alerts.channels import GiveUp
from cloud.alerts.channels import Retry as NotNow
from cloud.rooms import check_tables, registry_of
from cloud.store import Retry, check_store, open_store
from cloud.stream.connection import Stream
from settings import credentials
from settings.finding import MOST, Finding
from wire import topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from cloud.clock import Clock
    from cloud.config import CloudConfig
    from cloud.registry import Registry

DEADLINE_S = 15.0  # for each address
RETAINED_S = 1.0  # for the first retained status, once the broker has granted the subscription
LATE = "timed out"
# What a year is reckoned with where nothing better is known: a channel tells VALUES values each minute in one batch.
VALUES, A_YEAR_OF_MINUTES, A_YEAR_OF_DAYS = 4, 525_600, 365


class Trial(msgspec.Struct, frozen=True):
    """What came of trying one address: `why` is empty where it took us."""

    part: str  # broker | broker_mute: it grants the subscription and brings no gateway's status | store | channel
    where: str
    why: str


class Yearly(msgspec.Struct, frozen=True):
    """What the store will take on disk in a year."""

    channels: int
    days: int  # what is kept, of a year
    size: float  # bytes
    free: int  # bytes on the data folder's disk


def check(config: CloudConfig, *, running: bool = True) -> None:
    """Refuse what a room would refuse. Without `running` what only the service may read is passed over.

    Raises Refused: ConfigError for the file, SheetError for one of the garden's.
    """
    for place, one in config.accounts():
        check_store(config.file, one.store, running=running, place=f"[store{place}]")
    wiring.check(config, running=running)
    check_tables(config)


def doubts(config: CloudConfig, registry: Registry, now: datetime) -> Iterator[Finding]:
    """Yield what is allowed and seldom meant; of the registry whom no channel reaches."""
    yield from credentials.advice(config.file, config.broker, now)
    places = {"[health]": msgspec.structs.asdict(config.health), "[store]": config.store}
    places |= {f"[{name}]": msgspec.structs.asdict(getattr(config, name)) for name in ("hotspots", "cap")}
    places |= {f"[{name}.{room}]": own for name, rooms in config.apart.items() for room, own in rooms.items()}
    places |= {f"[[channel]] {number}": table for number, table in enumerate(config.channels, 1)}
    for place, table in places.items():
        for key, name in table.items():
            if key.endswith("_file") and name and credentials.later(name):
                yield Finding(config.file, f"{place} {key}", "credential_later", {"value": name})
    if not config.rules:
        yield Finding(config.file, "[[rule]]", "nothing_watched", {})
    if all(kind == "console" for _, kind in config.ways):
        yield Finding(config.file, "[[channel]]", "nobody_told", {})
    elif unreached := registry.unreached(config.ways):
        facts = {"value": ", ".join(f"{one.name} ({one.role or 'duty'})" for one in unreached[:MOST])}
        yield Finding(config.file, "[[channel]]", "unreached", facts | {"known": ", ".join(dict(config.ways))})
    if not config.http.public_url:
        yield Finding(config.file, "[http] public_url", "no_public_url", {})


def tried(config: CloudConfig, clock: Clock) -> Iterator[Trial]:
    """Try the broker, the store and each channel, one after another, each no longer than DEADLINE_S."""
    for place, own in config.accounts():
        broker, heard, who = own.broker, threading.Event(), place and f" ({place[1:]})"
        why = _within(partial(_broker, own, clock, heard))
        yield Trial("broker" if why or heard.is_set() else "broker_mute", f"{broker.host}:{broker.port}{who}", why)
        where = str(own.store.get("url") or Path(own.data.path) / own.store.get("path", "store.db"))
        yield Trial("store", where + who, _within(partial(_store, own)))
    for named in wiring.check(config, running=False)[2]:
        yield Trial("channel", named.name, _within(named.channel.check))


def yearly(config: CloudConfig) -> Yearly:
    """Reckon the store's growth from the channels that the garden binds and what its engine was measured to take."""
    bound = {(one.gateway, one.channel) for one in registry_of(config).bindings}
    days = min(A_YEAR_OF_DAYS, _kept_days(config))
    cost = check_store(config.file, config.store, running=False).COST
    gateways = {gateway for gateway, _ in bound}
    a_minute = cost.a_batch * len(gateways) + (cost.a_reading + VALUES * cost.a_value) * len(bound)
    folder = next(place for place in (Path(config.data.path).absolute() / "x").parents if place.is_dir())
    disk = os.statvfs(folder)
    size = a_minute * A_YEAR_OF_MINUTES * days / A_YEAR_OF_DAYS
    return Yearly(len(bound), days, size, disk.f_bavail * disk.f_frsize)


def _kept_days(config: CloudConfig) -> int:
    return int(config.store.get("keep_days") or A_YEAR_OF_DAYS)


def _within(ask: Callable[[], str | None]) -> str:
    """Ask in a thread that may be left behind: whoever hangs costs DEADLINE_S and no more."""
    said: list[str] = []

    def run() -> None:
        try:
            said.append(ask() or "")
        except (Retry, NotNow, GiveUp, OSError, ValueError) as error:
            said.append(str(error) or type(error).__name__)

    thread = threading.Thread(target=run, name="trial", daemon=True)
    thread.start()
    thread.join(DEADLINE_S)
    return said[0] if said else LATE


def _broker(config: CloudConfig, clock: Clock, heard: threading.Event) -> str:
    """Connect and subscribe as the rooms do; return what the broker has against it. `heard` is set where it brings any.

    Mosquitto grants a subscription that its access list forbids, and then brings nothing: only what comes is a proof.
    """
    share = config.broker.share and "gocche-check"  # a group of our own: nobody's batches are taken from him
    stream = Stream(config.broker, "gocche-check", topics.shared(share), clock, lambda _: heard.set())
    first, ends_s, nobody = stream.why, clock.monotonic() + DEADLINE_S, threading.Event()
    stream.start()
    while not stream.connected and stream.why == first and clock.monotonic() < ends_s:
        clock.wait(nobody, 0.05)
    why = "" if stream.connected else stream.why
    if stream.connected:
        clock.wait(heard, RETAINED_S)
    stream.close()
    return LATE if why == first else why


def _store(config: CloudConfig) -> str:
    """Read what a new server would read; a file that is not there yet only needs a place."""
    if "url" not in config.store:
        folder = Path(config.data.path).absolute()
        if not (folder / config.store.get("path", "store.db")).exists():
            there = next(place for place in (folder / "x").parents if place.is_dir())
            return "" if os.access(there, os.W_OK) else f"{there}: Permission denied"
    store = open_store(config.store, writer=False, folder=Path(config.data.path))
    try:
        store.statuses()
    finally:
        store.close()
    return ""
