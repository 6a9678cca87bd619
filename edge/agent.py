"""The agent: wiring and signals only. Samplers put readings into the keeper; the keeper and the uplink do the rest."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from edge import words
from edge.board import Board
from edge.clock.dating import Dating
from edge.keep.inbox import Inbox
from edge.keep.keeper import Keeper
from edge.keep.places import Places
from edge.keep.spool import SpoolFull
from edge.keep.stock import waiting
from edge.send.carrier import Ends
from edge.send.courier import Courier
from edge.send.heartbeat import Heartbeat
from edge.send.uplink import Uplink
from edge.sense.lines import opener
from edge.sense.nodes import Nodes
from edge.sense.overseer import Overseer
from edge.sense.sampler import Sampler
from edge.sense.survey import Survey
from edge.siren.watch import Sirens
from edge.status import Own, StatusFile, compose, encoded, status_file
from edge.threads import NO_THREAD, Pulse, join, share_heap, started
from wire import VERSION
from wire.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

    from edge.clock import Anchor, Clock
    from edge.config import Bus, Config
    from edge.driver import Ask, Reply
    from edge.keep.spool import Spool
    from edge.sense.terms import OpenLine
    from wire.batch import Status

log = logging.getLogger(__name__)
LOOK_S = 5.0
HANGS_S = 15.0  # without a turn of the keeper: the card hangs, and systemd would kill us after 60
LAST_POLL_S = 1.5  # for a poll that goes on when the stop comes
LAST_SIREN_S = 0.8  # for a siren to be silenced, before the buses end
LAST_KEEP_S = 1.5  # for a card that does not get on when the stop comes
STEP_S = 0.25


class Agent:
    """One gateway. `run` returns after `stop` is set and everything held has been kept, or declared lost."""

    def __init__(self, config: Config, folder: Path, clock: Clock) -> None:
        self._config, self._clock, self._board = config, clock, Board()
        share_heap()  # before the first thread, the card's
        words.learn()
        spool, gateway = config.spool, config.gateway.id
        self._own = Own(clock.boot, spool.commit_s, spool.batch_s, VERSION, config.hash)
        self._file = StatusFile(status_file(folder))
        memory = status_file(folder).with_name("memory.db")
        last = self._file.read()  # of an earlier run of this boot
        said = {} if last is None else {last.epoch: last.acquired}
        self._places = Places(folder / spool.path, spool.quota_mib * 1024 * 1024, memory, clock.boot, gateway, said)
        self._spool = self._places.opened(clock.mono_ms())
        self._inbox = Inbox(clock, spool.commit_s)
        self._uplink = Uplink(
            config.broker,
            gateway,
            Ends(
                lambda: encoded(replace(self._status("offline"), channels={})),
                self._inbox.acknowledged,
                self._inbox.linked,
            ),
            self._board,
            clock,
        )
        lost = 0 if last is None else last.unkept
        beyond = waiting(last) if last is not None and self._places.away else {}
        self._keeper = self._keeper_of(self._spool, lost, beyond)
        ended = self._board.captures
        lines = {
            bus.name: opener(bus, folder, clock, partial(ended.__setitem__, bus.name), lambda: self._board.link.up)
            for bus in (one.towards(config.broker) for one in config.buses)
        }
        self._nodes = Nodes(config.nodes, self._put, clock, status_file(folder).parent)
        self._survey = Survey(status_file(folder).parent, clock)
        makers = [(bus.name, partial(self._sampler, bus, lines[bus.name])) for bus in config.buses]
        self._overseer = Overseer(dict(makers), clock)
        self._sirens = Sirens(
            config.sirens, self._ordered, self._inbox.put, self._board, clock, status_file(folder).parent
        )

    def run(self, stop: threading.Event, notify: Callable[[str], object] = lambda _: None) -> bool:
        """Run until `stop`, which ends within five seconds; tell whether it was that, or only a new process helps.

        `notify` is told READY=1, WATCHDOG=1 while all makes progress, and STOPPING=1 (sd_notify(3)).
        """
        no_more = threading.Event()  # the keeper goes on until the last poll has handed over what it read
        keeper, pulse = self._begin(no_more)
        self._uplink.start()  # before many buses: where threads are short, what the others read must go out
        self._overseer.start()
        self._sirens.start()
        notify("READY=1")
        log.info("agent started gateway=%s epoch=%s", self._config.gateway.id, self._spool.epoch)
        self._file.write(self._status("online"))
        turns, stuck = self._keeper.turns, ""
        while not stuck and not self._clock.wait(stop, LOOK_S):
            self._file.write(self._status("online"))
            self._nodes.look()
            self._survey.look(self._overseer.hurry)
            stuck = self._overseer.look() or self._uplink.look() or self._keeper.broken
            stuck = stuck or self._sirens.look(LOOK_S)
            stuck = stuck or self._places.look(self._clock.mono_ms(), LOOK_S, self._keeper.full_ms)
            if keeper.ident is None:
                stuck = f"{NO_THREAD} for the keeper"
            if pulse.stopped(LOOK_S) and not stuck:
                if self._places.away or not self._turn_to_memory():
                    stuck = "the keeper hangs"
                    break
                keeper, pulse = self._begin(no_more)
            if self._keeper.turns != turns:
                turns = self._keeper.turns
                notify("READY=1\nWATCHDOG=1")  # the first may have found systemd deaf; said again it means nothing
        notify("STOPPING=1")
        if stuck:
            log.error("agent ends for a new start why=%r", stuck)
        self._sirens.stop(LAST_SIREN_S)
        self._overseer.stop(LAST_POLL_S)
        self._nodes.write()
        no_more.set()
        self._inbox.wake()
        last = Pulse(keeper, LAST_KEEP_S)
        while not (pulse.paused or last.stopped(STEP_S)) and keeper.is_alive():
            join(keeper, STEP_S)
        if keeper.ident is None or (keeper.is_alive() and not self._places.away and self._turn_to_memory()):
            self._keeper.finish()
            self._spool.close()
        stopped = self._status("stopped")
        self._uplink.stop(encoded(stopped))
        self._file.write(stopped)
        return not stuck

    def _begin(self, no_more: threading.Event) -> tuple[threading.Thread, Pulse]:
        keeper, spool = self._keeper, self._spool

        def keep() -> None:
            keeper.run(no_more)
            spool.close()  # which writes to the card, too

        thread = started(keep, "keeper")
        return thread, Pulse(thread, HANGS_S, lambda: keeper.turns)

    def _turn_to_memory(self) -> bool:
        """The card hangs, and the keeper with it: let another take over what is not safe; tell whether one can."""
        readings, lost = self._keeper.abandon()
        before, hung, dated = waiting(self._board.keeping), self._spool, self._board.dated.anchor
        spool = self._places.flee(self._clock.mono_ms(), hung.epoch, hung.acquired)
        if spool is None:
            self._board.keeping = replace(self._board.keeping, unkept=lost + len(readings))
            return False
        self._spool, self._keeper = spool, self._keeper_of(spool, lost, before, dated)
        for reading in readings:
            self._inbox.put(reading)
        self._inbox.linked(self._board.link.up)
        return True

    def _keeper_of(self, spool: Spool, lost: int, beyond: dict[str, int], dated: Anchor | None = None) -> Keeper:
        for note in spool.notes:
            log.error("spool note=%r", str(note))
        config, gateway, clock, board = self._config.spool, self._config.gateway.id, self._clock, self._board
        dating = Dating(clock, spool.dates, board, _pace_s(self._config))
        known, judged = (dated, None) if dated else spool.other.told_of(clock.boot)
        with suppress(SpoolFull):
            if judged is not None:
                spool.dates.adopt(judged)
            if known is not None:
                dating.recall(known, clock.mono_ms())
        heartbeat = Heartbeat(self._uplink, gateway, board, partial(self._status, "online"), dating.asked)
        way_out = Courier(spool, self._uplink, heartbeat, board, clock.boot, gateway, config.resend_s)
        refuge = self._places.refuge
        return Keeper(self._inbox, spool, way_out, dating, config, clock, board, lost, refuge, beyond)

    def _status(self, state: str) -> Status:
        return compose(self._board, self._own, self._clock.mono_ms(), state)

    def _sampler(self, bus: Bus, opened: Callable[[], OpenLine]) -> Sampler:
        own = [sensor for sensor in self._config.sensors if sensor.table.bus == bus.name]
        return Sampler(bus, own, opened, self._nodes.see, self._board, self._clock)

    def _put(self, item: Reading | Anchor) -> None:
        """Take what is read and claimed: the sirens hear it first, the keeper has all but what their own relays say."""
        if isinstance(item, Reading):
            if self._sirens.see(item):
                return
            self._survey.see(item)
        self._inbox.put(item)

    def _ordered(self, bus: str, channel: str, ask: Ask) -> Future[Reply]:
        return self._overseer.sampler(bus).order(channel, ask)

    def silence(self) -> None:
        """Stop all sirens that sound. May be called from a signal's handler."""
        self._sirens.silence()


def _pace_s(config: Config) -> float:
    """Return within what time a reading is kept, while any device is well."""
    return config.spool.commit_s + min((sensor.table.every_s for sensor in config.sensors), default=0.0)
