"""The agent: wiring and signals only. Samplers put readings into the keeper; the keeper and the uplink do the rest."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from edge.keep.keeper import Keeper
from edge.keep.spool import Spool
from edge.send.uplink import Uplink
from edge.sense.ports import open_line
from edge.sense.sampler import Sampler
from edge.systemd import notify
from wire import VERSION

if TYPE_CHECKING:
    from pathlib import Path

    from edge.clock import Clock
    from edge.config import Config
    from wire.batch import Status

log = logging.getLogger(__name__)
STATUS_EVERY_S = 5.0
STATUS_FILE = "status.json"


class Agent:
    """One gateway. `run` returns after `stop` is set and everything held has been kept."""

    def __init__(self, config: Config, folder: Path, clock: Clock, *, runtime: Path | None = None) -> None:
        self._config, self._clock = config, clock
        self._status_file = (runtime or folder) / STATUS_FILE
        self._spool = Spool(folder / config.spool.path, config.spool.quota_mib * 1024 * 1024)
        for note in self._spool.notes:
            log.error("spool note=%r", note)
        self._keeper = Keeper(self._spool, config.spool, config.gateway.id, clock, self._fill)
        self._samplers = [
            Sampler(
                bus,
                [sensor for sensor in config.sensors if sensor.table.bus == bus.name],
                lambda bus=bus: open_line(bus, folder),  # type: ignore[misc]
                self._keeper.put,
                clock,
            )
            for bus in config.buses
        ]
        self._uplink = Uplink(
            config.broker,
            config.gateway.id,
            lambda: msgspec.json.encode(replace(self._keeper.last_status("offline"), channels={})),
            self._keeper.acknowledged,
            self._keeper.linked,
        )
        self._keeper.attach(self._uplink)

    def run(self, stop: threading.Event) -> None:
        """Run until `stop`."""
        threads = [
            threading.Thread(target=sampler.run, args=(stop,), name=f"bus-{bus.name}")
            for sampler, bus in zip(self._samplers, self._config.buses, strict=True)
        ]
        no_more = threading.Event()  # the keeper goes on until the last poll has handed over what it read
        keeper = threading.Thread(target=self._keeper.run, args=(no_more,), name="keeper")
        for thread in (keeper, *threads):
            thread.start()
        self._uplink.start()
        notify("READY=1")
        log.info("agent started gateway=%s epoch=%s", self._config.gateway.id, self._spool.epoch)
        turns = self._turns()
        while not self._clock.wait(stop, STATUS_EVERY_S):
            self._tell(self._keeper.last_status("online"))
            now = self._turns()
            if all(new > old for new, old in zip(now, turns, strict=True)):
                turns = now
                notify("WATCHDOG=1")
        notify("STOPPING=1")
        for thread in threads:
            thread.join()
        no_more.set()
        keeper.join()
        self._uplink.stop(msgspec.json.encode(self._keeper.status("stopped")))
        self._tell(self._keeper.status("stopped"))
        self._spool.close()

    def _turns(self) -> list[int]:
        return [self._keeper.turns, *(sampler.turns for sampler in self._samplers)]

    def _fill(self, status: Status) -> Status:
        now = self._clock.mono_ms()
        channels: dict[str, dict[str, object]] = {
            channel: {
                "last_ok_s": None if health.last_ok_ms is None else (now - health.last_ok_ms) // 1000,
                "why": health.why,
                "texts": dict(health.texts),
                "polls": health.polls,
                "bad": dict(health.bad),
            }
            for sampler in self._samplers
            for channel, health in sampler.health.items()
        }
        return replace(status, channels=channels, version=VERSION, config=self._config.hash)

    def _tell(self, status: Status) -> None:
        """Leave the status where `gocche status` finds it without any network."""
        part = self._status_file.with_suffix(".part")
        try:
            part.write_bytes(msgspec.json.encode(status))
            part.replace(self._status_file)
        except OSError as error:
            log.warning("status not-written why=%r", str(error))
