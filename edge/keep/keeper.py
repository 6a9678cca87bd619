"""The one thread that owns the spool: keeps readings, cuts them, sends what is not acknowledged, frees what is stored.

Everything reaches it through one queue: readings from the samplers, acknowledgements and the state of the link from
the uplink. Whatever the network does, keeping goes on.
"""

from __future__ import annotations

import logging
import queue
from typing import TYPE_CHECKING

import msgspec

from edge.clock import Anchor
from edge.clock.almanac import Almanac
from edge.keep.spool import Kept, SpoolFull
from edge.keep.urgency import Urgency
from edge.send.courier import Courier
from wire import codec
from wire.batch import Source, Status
from wire.reading import Reading

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from edge.clock import Clock
    from edge.config import SpoolConfig
    from edge.keep.spool import Spool
    from edge.send.courier import Sender

log = logging.getLogger(__name__)
RAM_READINGS = 5_000  # what is held while the disk takes nothing
HEARTBEAT_S = 60.0
LOOK_MS = 2_000


class Answer(msgspec.Struct, frozen=True):
    """An acknowledgement as it came, and when."""

    payload: bytes
    mono_ms: int


class Link(msgspec.Struct, frozen=True):
    """The uplink's connection came or went."""

    up: bool


class Keeper:
    """Between the samplers and the uplink. `put`, `acknowledged` and `linked` may be called from any thread."""

    def __init__(
        self,
        spool: Spool,
        config: SpoolConfig,
        gateway: str,
        clock: Clock,
        status: Callable[[Status], Status],
    ) -> None:
        self._spool, self._config, self._gateway, self._clock = spool, config, gateway, clock
        self._fill = status  # adds what only the agent knows: channels, version, configuration
        self._inbox: queue.SimpleQueue[Reading | Answer | Link | Anchor] = queue.SimpleQueue()
        self._held: list[Reading] = []
        self._lost_in_ram = 0
        self._urgency = Urgency()
        self._urgent = False
        self._almanac = Almanac()
        self._faults: dict[str, str] = {}
        self._next_commit = self._next_cut = self._next_beat = self._next_date = clock.mono_ms()
        self._courier = Courier(spool, gateway, clock.boot, config.resend_s)
        self._unreadable = 0
        self.turns = 0  # progress, for the watchdog
        self._last = Status(v=1, state="starting", boot=clock.boot, epoch=spool.epoch)
        self._next_look = 0

    def attach(self, uplink: Sender) -> None:
        """Give the keeper its way out, before `run`."""
        self._courier.attach(uplink)

    # --- from other threads

    def put(self, item: Reading | Anchor) -> None:
        """Hand over a reading (it is safe after the next commit), or a date that a device told."""
        self._inbox.put(item)

    def acknowledged(self, payload: bytes) -> None:
        """Hand over an acknowledgement as it came."""
        self._inbox.put(Answer(payload, self._clock.mono_ms()))

    def linked(self, up: bool) -> None:
        """Tell that the connection came or went."""
        self._inbox.put(Link(up))

    # --- the loop

    def run(self, stop: threading.Event) -> None:
        """Keep, cut, send and free until `stop`; then commit and cut what is held."""
        while not stop.is_set():
            try:
                self.step(self._pause_s())
                self.turns += 1
            except Exception:
                log.exception("keeper stumbled; going on in 1 s")
                self._clock.wait(stop, 1.0)
        self.finish()

    def step(self, patience_s: float) -> None:
        """Take what is in the queue, waiting at most `patience_s` for the first item, then do what is due."""
        try:
            item = self._inbox.get(timeout=max(patience_s, 0.001))
            while True:
                self._take(item)
                item = self._inbox.get_nowait()
        except queue.Empty:
            pass
        now = self._clock.mono_ms()
        if self._held and (self._urgent or now >= self._next_commit):
            self._commit(now)
        if self._urgent or now >= self._next_cut or self._spool.uncut >= codec.MAX_READINGS:
            self._cut(now)
        self._date(now)
        if now >= self._next_beat:  # before anything is sent again: its answer tells the time
            self._tried("status", lambda: self._beat(now))
        self._tried("send", lambda: self._courier.send(now))
        if now >= self._next_look:
            self._next_look = now + LOOK_MS
            self._tried("status", self._look)

    def _look(self) -> None:
        self._last = self.status("online")

    def finish(self) -> None:
        """Commit and cut what is held: an ordered stop leaves nothing in memory."""
        now = self._clock.mono_ms()
        while True:
            try:
                self._take(self._inbox.get_nowait())
            except queue.Empty:
                break
        if self._held:
            self._commit(now)
        self._cut(now)

    def last_status(self, state: str) -> Status:
        """Return the status as it was within the last seconds; may be called from any thread."""
        return msgspec.structs.replace(self._last, state=state)

    def status(self, state: str) -> Status:
        """Return the gateway's status as it is now, for the keeper's own thread or once that has ended."""
        readings, oldest = self._spool.spooled()
        anchor = self._almanac.anchor or Anchor(0, Source.NONE, 0)
        return self._fill(
            Status(
                v=1,
                state=state,
                boot=self._clock.boot,
                epoch=self._spool.epoch,
                acquired=self._spool.acquired,
                cut=self._spool.acquired - self._spool.uncut,
                spooled=readings,
                oldest_s=_age_s(oldest, self._clock, self._almanac.anchor),
                dropped=self._spool.dropped + self._lost_in_ram,
                commit_s=self._config.commit_s,
                batch_s=self._config.batch_s,
                clock={"source": anchor.source.name.lower(), "uncertainty_ms": anchor.uncertainty_ms},
                why=self._why(),
            )
        )

    # --- what comes in

    def _take(self, item: Reading | Answer | Link | Anchor) -> None:
        match item:
            case Reading():
                self._hold(item)
            case Answer():
                self._answer(item)
            case Anchor():
                self._settle(item)
            case Link():
                self._almanac.linked()
                self._tried("spool", lambda: self._courier.linked(item.up, self._clock.mono_ms()))
                log.info("uplink %s", "up" if item.up else "down")
                if item.up:
                    self._next_beat = 0

    def _hold(self, reading: Reading) -> None:
        if not self._held:
            self._next_commit = self._clock.mono_ms() + round(self._config.commit_s * 1000)
        self._held.append(reading)
        self._urgent |= self._urgency.of(reading)
        if len(self._held) > RAM_READINGS:
            del self._held[0]
            self._lost_in_ram += 1

    def _answer(self, answer: Answer) -> None:
        try:
            ack = codec.decode_ack(answer.payload)
        except codec.Damaged as error:
            self._unreadable += 1
            self._fault("answers", f"{self._unreadable} acknowledgements were unreadable, the last: {error}")
            return
        trip_ms = self._courier.trip_ms(ack.items, answer.mono_ms)
        self._settle(self._almanac.answered(ack, answer.mono_ms, trip_ms))
        for item in ack.items:
            self._tried("free", lambda item=item: self._courier.answered(item, answer.mono_ms))  # type: ignore[misc]

    def _tried(self, name: str, change: Callable[[], object]) -> bool:
        """Change the spool; where it has no room say so, give it the ballast, and return False."""
        try:
            change()
        except SpoolFull as error:
            self._spool.relieve()
            self._fault(name, f"spool takes nothing: {error}; free room on the disk")
            return False
        if self._faults.pop(name, None) is not None:
            self._spool.recovered()
            log.warning("well again what=%s", name)
        return True

    def _fault(self, name: str, words: str) -> None:
        if name not in self._faults:
            log.error("fault what=%s why=%r", name, words)
        self._faults[name] = words

    def _why(self) -> str:
        asked = self._courier.why(self._clock.mono_ms())
        return "; ".join(filter(None, (*self._spool.notes, *dict.fromkeys(self._faults.values()), asked)))

    # --- what is due

    def _commit(self, now: int) -> None:
        if not self._tried("commit", self._keep):
            self._next_commit = now + 1_000
            return
        self._held.clear()

    def _keep(self) -> None:
        if self._lost_in_ram:
            self._spool.declare(self._lost_in_ram, "no-room")
            self._lost_in_ram = 0
        self._spool.append(self._held, self._clock.boot)

    def _cut(self, now: int) -> None:
        self._next_cut = now + round(self._config.batch_s * 1000)
        batches: list[Kept] = []
        if not self._tried("cut", lambda: batches.extend(self._spool.cut(urgent=self._urgent))):
            return
        self._urgent &= bool(self._held)  # what the disk would not take is still as urgent
        dropped = self._spool.dropped
        self._tried("quota", self._spool.enforce_quota)
        if self._spool.dropped > dropped:
            log.warning("spool over its quota; oldest dropped and declared n=%s", self._spool.dropped - dropped)
        for kept in batches[-1:]:  # the newest, once, without waiting for room in the window
            self._courier.launch(kept, now)

    def _date(self, now: int) -> None:
        if now < self._next_date:
            return
        self._next_date = now + 10_000
        self._settle(self._clock.anchor())
        if self._almanac.anchor is not None:
            booted_ms = self._almanac.anchor.offset_ms
            self._tried("date", lambda: self._spool.bound(self._clock.boot, booted_ms))

    def _settle(self, anchor: Anchor | None) -> None:
        if anchor is None or not self._almanac.better(anchor):
            return
        if self._tried("date", lambda: self._spool.anchor(self._clock.boot, anchor)):
            self._almanac.take(anchor)
            self._next_date = 0
            log.info("boot dated source=%s uncertainty_ms=%s", anchor.source.name.lower(), anchor.uncertainty_ms)

    def _beat(self, now: int) -> None:
        self._next_beat = now + round(HEARTBEAT_S * 1000)
        if self._courier.tell(msgspec.json.encode(self.status("online"))):
            self._almanac.asked(now)

    def _pause_s(self) -> float:
        now = self._clock.mono_ms()
        due = [self._next_cut, now + 1_000]
        if self._held:
            due.append(self._next_commit)
        if self._courier.up:
            due += [self._next_beat, *self._courier.due_ms()]
        return max(min(due) - now, 1) / 1000


def _age_s(oldest: Kept | None, clock: Clock, anchor: Anchor | None) -> float:
    """Return how long ago the oldest batch began, 0 where nobody can know yet."""
    now = clock.mono_ms()
    if oldest is not None and oldest.boot == clock.boot:
        return (now - oldest.first_ms) / 1000
    if oldest is None or oldest.offset_ms is None or anchor is None:
        return 0.0
    return (now + anchor.offset_ms - oldest.first_ms - oldest.offset_ms) / 1000
