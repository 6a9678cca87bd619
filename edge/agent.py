"""The agent: wiring and signals only. Samplers put readings into the keeper; the keeper and the uplink do the rest."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from edge.board import Board
from edge.keep.keeper import Keeper
from edge.keep.spool import Spool
from edge.send.uplink import Uplink
from edge.sense.overseer import Overseer
from edge.sense.ports import open_line
from edge.sense.sampler import Sampler
from edge.systemd import notify
from wire import VERSION

if TYPE_CHECKING:
    from pathlib import Path

    from edge.clock import Clock
    from edge.config import Bus, Config
    from wire.batch import Status

log = logging.getLogger(__name__)
STATUS_EVERY_S = 5.0
STATUS_FILE = "status.json"
LAST_POLL_S = 1.5  # for a poll that goes on when the stop comes


class Agent:
    """One gateway. `run` returns after `stop` is set and everything held has been kept."""

    def __init__(self, config: Config, folder: Path, clock: Clock, *, runtime: Path | None = None) -> None:
        self._config, self._clock = config, clock
        self._board = Board()
        self._status_file = (runtime or folder) / STATUS_FILE
        self._spool = Spool(folder / config.spool.path, config.spool.quota_mib * 1024 * 1024)
        for note in self._spool.notes:
            log.error("spool note=%r", note)
        self._keeper = Keeper(self._spool, config.spool, config.gateway.id, clock, self._fill)
        self._overseer = Overseer({bus.name: partial(self._sampler, bus, folder) for bus in config.buses}, clock)
        self._uplink = Uplink(
            config.broker,
            config.gateway.id,
            lambda: msgspec.json.encode(replace(self._keeper.last_status("offline"), channels={})),
            self._keeper.acknowledged,
            self._keeper.linked,
        )
        self._keeper.attach(self._uplink)

    def run(self, stop: threading.Event) -> bool:
        """Run until `stop`, which ends within five seconds; tell whether it was that, or only a new process helps."""
        no_more = threading.Event()  # the keeper goes on until the last poll has handed over what it read
        keeper = threading.Thread(target=self._keeper.run, args=(no_more,), name="keeper")
        keeper.start()
        self._overseer.start()
        self._uplink.start()
        notify("READY=1")
        log.info("agent started gateway=%s epoch=%s", self._config.gateway.id, self._spool.epoch)
        turns, stuck = self._keeper.turns, ""
        while not stuck and not self._clock.wait(stop, STATUS_EVERY_S):
            self._tell(self._keeper.last_status("online"))
            stuck = self._overseer.look()
            if self._keeper.turns > turns:
                turns = self._keeper.turns
                notify("WATCHDOG=1")
        notify("STOPPING=1")
        if stuck:
            log.error("agent ends for a new start why=%r", stuck)
        self._overseer.stop(LAST_POLL_S)
        no_more.set()
        keeper.join()
        self._uplink.stop(msgspec.json.encode(self._keeper.status("stopped")))
        self._tell(self._keeper.status("stopped"))
        self._spool.close()
        return not stuck

    def _sampler(self, bus: Bus, folder: Path) -> Sampler:
        own = [sensor for sensor in self._config.sensors if sensor.table.bus == bus.name]
        return Sampler(bus, own, partial(open_line, bus, folder), self._keeper.put, self._board, self._clock)

    def _fill(self, status: Status) -> Status:
        now = self._clock.mono_ms()
        channels: dict[str, dict[str, object]] = {
            channel: {
                "last_ok_s": None if line.last_ok_ms is None else (now - line.last_ok_ms) // 1000,
                "why": line.why,
                "texts": line.texts,
                "polls": line.polls,
                "bad": line.bad,
            }
            for channel, line in self._board.channels.items()
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
