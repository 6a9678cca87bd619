"""Kills agent, broker, cloud and database again and again while values flow, then accounts for every single one.

    python tests/journeys/harness.py --engine sqlite|influx1|influx2 --broker embedded|mosquitto --seed N --seconds S

Each victim is killed with -9 at random moments, and at the worst ones: the cloud when the store has a batch and its
acknowledgement does not get out, and when one has just got out; the database when it has written and not answered; the
broker when it has taken a batch; the agent when an acknowledgement arrives that it has not acted on. The broker's
folder is wiped once. Then all runs undisturbed until the spool is empty, and what the devices say they served is
looked for in the store.

It prints one line and exits 0 where nothing is missing, twice, or of another time:

    acquired=… stored=… stored_twice=0 resent=… dropped_declared=… quarantined=… unknown=0 kills=… cut_by_kill=…

`acquired` is what the agent had committed. `cut_by_kill` are answers that a device gave within `commit_s` before the
agent was killed: the contract calls that what a power cut may cost. They never were acquired.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import msgspec

from cloud.rooms import ROOMS
from cloud.store import Retry
from tests.journeys import accounting
from tests.journeys.observer import Observer
from tests.journeys.proxy import Proxy
from tests.journeys.world import GATEWAY, World

if TYPE_CHECKING:
    from cloud.store import Store

COMMIT_S = 0.2
PACE_S = 0.05  # talkers; the asked are asked as often as the configuration allows
EVERY_S = {"*": 0.05, "modem-hang-tay": 0.5}
UP_S, DOWN_S = (1.5, 4.0), (0.1, 1.0)  # how long a victim lives, and stays dead
TRAP_S = 6.0  # how long to wait for the worst moment before killing at any
LOOK_S = 0.01


class Tally(msgspec.Struct):
    """What was done to the victims."""

    kills: Counter[str] = msgspec.field(default_factory=Counter)
    placed: Counter[str] = msgspec.field(default_factory=Counter)
    outages: list[accounting.Outage] = msgspec.field(default_factory=list)
    wiped: int = 0


class Trap:
    """Waits for one worst moment of a victim. `arm` sets it, `sprung` tells that the moment is now (or was just)."""

    def arm(self) -> None:
        """Begin to wait."""

    def sprung(self) -> bool:
        """Tell whether the moment has come."""
        raise NotImplementedError

    def disarm(self) -> None:
        """Let everything flow again."""


class Seen(Trap):
    """Kills at once when the observer sees a batch ("up") or an acknowledgement ("ack") pass."""

    def __init__(self, observer: Observer, event: str, victim: Victim) -> None:
        self._listeners, self._victim = observer.listeners[event], victim
        self._hit = False

    def arm(self) -> None:
        self._hit = False
        self._listeners.append(self._strike)

    def _strike(self) -> None:
        if not self._hit:
            self._hit = True
            self._victim.strike()

    def sprung(self) -> bool:
        return self._hit

    def disarm(self) -> None:
        if self._strike in self._listeners:
            self._listeners.remove(self._strike)


class Swallowed(Trap):
    """Lets nothing of one direction through, and waits until the store has more batches than before."""

    def __init__(self, proxy: Proxy, direction: str, store: Store) -> None:
        self._proxy, self._direction, self._store = proxy, direction, store
        self._before, self._next_look = 0, 0.0

    def arm(self) -> None:
        self._before = self._batches()
        self._proxy.swallow(self._direction)

    def sprung(self) -> bool:
        if time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + 0.05  # a look is a query
        return self._before >= 0 and self._batches() > self._before

    def disarm(self) -> None:
        self._proxy.heal()

    def _batches(self) -> int:
        try:
            return len(self._store.ledger())
        except Retry:  # the database is dead just now: this trap will not spring
            return -1


class Victim:
    """One part that is killed: when next, whether at a worst moment, and when it comes back."""

    def __init__(self, world: World, name: str, random_of: random.Random, tally: Tally) -> None:
        self._part, self._world, self._random, self._tally = world.parts[name], world, random_of, tally
        self.name = name
        self.traps: list[Trap] = []
        self._trap: Trap | None = None  # the one that is armed
        self._armed_until = 0.0
        self._due = time.monotonic() + random_of.uniform(*UP_S)
        self._back = 0.0
        self._killed_ms = 0
        self._turn = 0

    def strike(self) -> None:
        """Kill it now; may be called from any thread."""
        pid = self._pid()
        if pid:
            self._killed_ms = _now_ms()  # first: the other thread must not see it dead of nobody
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _pid(self) -> int | None:
        return self._part.process.pid if self._part.process else None

    def turn(self) -> None:
        """Do what is due: arm the trap, kill, start again."""
        now = time.monotonic()
        if self._back:
            if now >= self._back:
                self.come_back()
        elif self._trap:
            if self._trap.sprung():
                self._tally.placed[self.name] += 1
                self._kill(now)
            elif now >= self._armed_until:
                self._kill(now)
        elif now >= self._due:
            self._due = now + self._random.uniform(*UP_S)
            self._turn += 1
            if self._turn % 3 == 0 or not self.traps:
                self._kill(now)
            else:  # its traps in turn
                self._trap = self.traps[self._turn % len(self.traps)]
                self._armed_until = now + TRAP_S
                self._trap.arm()

    def _kill(self, now: float) -> None:
        if not self._part.runs and not self._killed_ms:
            raise RuntimeError(f"{self.name} ended by itself:\n{self._part.said()}")
        self.strike()
        self._part.kill()
        self._tally.kills[self.name] += 1
        self._disarm()
        if self.name == "broker" and not self._tally.wiped:
            self._world.wipe_broker()
            self._tally.wiped = 1
        self._back = now + self._random.uniform(*DOWN_S)

    def _disarm(self) -> None:
        if self._trap:
            self._trap.disarm()
            self._trap = None

    def come_back(self) -> None:
        """Start it, if it is dead."""
        if self._back:
            self._part.start()
            if self.name == "agent":
                self._tally.outages.append(accounting.Outage(self._killed_ms, _now_ms()))
            self._back, self._killed_ms = 0.0, 0
            self._due = time.monotonic() + self._random.uniform(*UP_S)

    def spare(self) -> None:
        """Harm it no more: disarm, and start it where it is dead."""
        self._disarm()
        if self._killed_ms and not self._back:  # struck by its trap and not yet buried
            self._kill(time.monotonic())
        self.come_back()


class Room(Victim):
    """One room of the server, killed alone: it is the supervisor that starts it again."""

    def __init__(self, world: World, name: str, random_of: random.Random, tally: Tally) -> None:
        super().__init__(world, "cloud", random_of, tally)
        self.name = name

    def _pid(self) -> int | None:
        rooms: dict[str, Any] = self._world.health().get("rooms", {})
        return rooms.get(self.name, {}).get("pid")

    def _kill(self, now: float) -> None:
        self.strike()
        self._tally.kills[self.name] += bool(self._killed_ms)
        self._disarm()
        self._killed_ms, self._due = 0, now + self._random.uniform(*UP_S)

    def come_back(self) -> None:
        """Nothing is to be done for it."""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def run(folder: Path, engine: str, broker: str, seed: int, seconds: float) -> tuple[str, list[str]]:
    """Make one run; return its line and what is wrong with it."""
    dice = random.Random(f"{engine}/{broker}/{seed}")
    tally = Tally()
    with ExitStack() as stack:
        world = stack.enter_context(World(folder, engine=engine, broker=broker, seed=seed))
        proxy = stack.enter_context(Proxy(world.broker_port))
        world.to_broker = proxy.port
        if world.database:
            to_database = stack.enter_context(Proxy(world.database.port))
            world.to_database = to_database.port
        world.write_devices(EVERY_S, commit_s=COMMIT_S)
        world.write_cloud()
        world.tell(pace=PACE_S)
        observer = stack.enter_context(Observer(world.broker_port))
        world.start()
        store = world.store()
        names = [name for name in ("agent", "broker", "cloud", "influxd") if name in world.parts]
        victims = {name: Victim(world, name, random.Random(dice.random()), tally) for name in names}
        victims |= {name: Room(world, name, random.Random(dice.random()), tally) for name in ROOMS}
        victims["agent"].traps = [Seen(observer, "ack", victims["agent"])]
        victims["broker"].traps = [Seen(observer, "up", victims["broker"])]
        for name in ("cloud", "ingest"):
            victims[name].traps = [Swallowed(proxy, "up", store), Seen(observer, "ack", victims[name])]
        if world.database:
            victims["influxd"].traps = [Swallowed(to_database, "down", store)]
        _torment(list(victims.values()), seconds)
        for name in names:
            world.parts[name].wait_ready()
        status = world.drain()
        for name in ("devices", "cloud"):
            world.parts[name].end()
        result = accounting.compare(world.log, store, GATEWAY, outages=tally.outages, commit_s=COMMIT_S)
        line, faults = _judge(world, status, result, observer, tally)
        store.close()
    return line, faults


def _torment(victims: list[Victim], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for victim in victims:
            victim.turn()
        time.sleep(LOOK_S)
    for victim in victims:
        victim.spare()


def _judge(
    world: World, status: dict[str, Any], result: accounting.Sum, observer: Observer, tally: Tally
) -> tuple[str, list[str]]:
    accounts = world.audit()
    total = {
        name: sum(account[name] for account in accounts)
        for name in ("acquired", "stored", "quarantined", "declared", "spooled", "unknown")
    }
    faults = list(result.faults)
    if len(accounts) != 1 or total["acquired"] != status["acquired"] or status["spooled"]:
        faults.append(
            f"the agent says {status['acquired']} acquired, {status['spooled']} spooled; the audit {accounts}"
        )
    if status["dropped"]:
        faults.append(f"the agent says that it dropped {status['dropped']}")
    if total["unknown"] or total["spooled"] or total["stored"] != total["acquired"]:
        faults.append(f"the sum does not come out: {total}")
    kills = ",".join(f"{name}:{n}" for name, n in sorted(tally.kills.items()))
    placed = ",".join(f"{name}:{n}" for name, n in sorted(tally.placed.items()))
    line = (
        f"acquired={total['acquired']} stored={total['stored']} stored_twice={result.stored_twice}"
        f" resent={observer.resent} dropped_declared={max(total['declared'], status['dropped'])}"
        f" quarantined={total['quarantined']} unknown={total['unknown']}"
        f" kills={sum(tally.kills.values())}({kills}) placed={sum(tally.placed.values())}({placed})"
        f" wiped={tally.wiped} cut_by_kill={result.cut_by_kill} cut_within_ms={result.cut_within_ms}"
        f" served={result.served} found={result.found} skew_ms={result.skew_ms} faults={len(faults)}"
    )
    return line, faults


def main() -> int:
    """Make one run in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("sqlite", "influx1", "influx2"), default="sqlite")
    parser.add_argument("--broker", choices=("embedded", "mosquitto"), default="embedded")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--keep", type=Path, help="folder to work in and leave behind")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gocche-kills-") as temporary:
        folder = options.keep or Path(temporary)
        line, faults = run(folder, options.engine, options.broker, options.seed, options.seconds)
    print(f"{options.engine} {options.broker} seed={options.seed}: {line}", flush=True)
    for fault in faults[:20]:
        print(f"  {fault}", file=sys.stderr)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
