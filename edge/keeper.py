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
from edge.courier import Courier
from edge.spool import Kept, SpoolFull
from wire import codec
from wire.batch import Ack, Source, Status
from wire.quantities import QUANTITIES
from wire.reading import Reading

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from edge.clock import Clock
    from edge.config import SpoolConfig
    from edge.courier import Sender
    from edge.spool import Spool

log = logging.getLogger(__name__)
RAM_READINGS = 5_000  # what is held while the disk takes nothing
HEARTBEAT_S = 60.0
LOOK_MS = 2_000
MAX_TRIP_MS = 5_000


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
        self._inbox: queue.SimpleQueue[Reading | bytes | Link | Anchor] = queue.SimpleQueue()
        self._held: list[Reading] = []
        self._lost_in_ram = 0
        self._bands: dict[tuple[str, str], int] = {}
        self._urgent = False
        self._birth_ms: int | None = None
        self._anchor: Anchor | None = None
        self._why = ""
        self._next_commit = self._next_cut = self._next_beat = self._next_date = clock.mono_ms()
        self._courier = Courier(spool, gateway, config.resend_s)
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
        self._inbox.put(payload)

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
        self._tried(lambda: self._courier.send(now))
        if now >= self._next_beat:
            self._beat(now)
        if now >= self._next_look:
            self._next_look = now + LOOK_MS
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
        anchor = self._anchor or Anchor(0, Source.NONE, 0)
        return self._fill(
            Status(
                v=1,
                state=state,
                boot=self._clock.boot,
                epoch=self._spool.epoch,
                acquired=self._spool.acquired,
                cut=self._spool.acquired - self._spool.uncut,
                spooled=readings,
                oldest_s=self._age_s(oldest),
                dropped=self._spool.dropped + self._lost_in_ram,
                commit_s=self._config.commit_s,
                batch_s=self._config.batch_s,
                clock={"source": anchor.source.name.lower(), "uncertainty_ms": anchor.uncertainty_ms},
                why="; ".join(filter(None, (*self._spool.notes, self._why, self._courier.why(self._clock.mono_ms())))),
            )
        )

    def _age_s(self, oldest: Kept | None) -> float:
        now = self._clock.mono_ms()
        if oldest is None:
            return 0.0
        if oldest.boot == self._clock.boot:
            return (now - oldest.first_ms) / 1000
        if oldest.offset_ms is None or self._anchor is None:
            return 0.0  # another boot, undated: nobody knows yet
        return (now + self._anchor.offset_ms - oldest.first_ms - oldest.offset_ms) / 1000

    # --- what comes in

    def _take(self, item: Reading | bytes | Link | Anchor) -> None:
        match item:
            case Reading():
                self._hold(item)
            case bytes():
                self._answer(item)
            case Anchor():
                self._settle(item)
            case Link():
                self._courier.linked(item.up)
                log.info("uplink %s", "up" if item.up else "down")
                if item.up:
                    self._next_beat = 0

    def _hold(self, reading: Reading) -> None:
        if not self._held:
            self._next_commit = self._clock.mono_ms() + round(self._config.commit_s * 1000)
        self._held.append(reading)
        for name, scaled in reading.values.items():
            urgency = QUANTITIES[name].urgency
            if urgency is not None:
                band = urgency.band(QUANTITIES[name].unscale(scaled))
                self._urgent |= self._bands.get((reading.channel, name), band) != band
                self._bands[reading.channel, name] = band
        if len(self._held) > RAM_READINGS:
            del self._held[0]
            self._lost_in_ram += 1

    def _answer(self, payload: bytes) -> None:
        try:
            ack = codec.decode_ack(payload)
        except codec.Damaged as error:
            log.warning("acknowledgement unreadable why=%r", str(error))
            return
        now = self._clock.mono_ms()
        self._settle(self._ack_anchor(ack, now))
        for item in ack.items:
            self._tried(lambda item=item: self._courier.answered(item, now))  # type: ignore[misc]

    def _ack_anchor(self, ack: Ack, now: int) -> Anchor:
        """Date the boot by the cloud's clock, as far off as the answer may have been on its way."""
        trip: float = MAX_TRIP_MS
        if not ack.items and self._birth_ms is not None:
            trip, self._birth_ms = now - self._birth_ms, None
        return Anchor(ack.utc_ms - now, Source.ACK, round(min(trip, MAX_TRIP_MS)) + 100)

    def _tried(self, change: Callable[[], object]) -> bool:
        """Change the spool; where it has no room say so, give it the ballast, and return False."""
        try:
            change()
        except SpoolFull as error:
            self._spool.relieve()
            self._why_changed(f"spool takes nothing: {error}; free room on the disk")
            return False
        return True

    # --- what is due

    def _commit(self, now: int) -> None:
        if not self._tried(self._keep):
            self._next_commit = now + 1_000
            return
        self._held.clear()
        self._why_changed("")

    def _keep(self) -> None:
        if self._lost_in_ram:
            self._spool.declare(self._lost_in_ram, "no-room")
            self._lost_in_ram = 0
        self._spool.append(self._held, self._clock.boot)

    def _cut(self, now: int) -> None:
        self._next_cut = now + round(self._config.batch_s * 1000)
        batches: list[Kept] = []
        if not self._tried(lambda: batches.extend(self._spool.cut(urgent=self._urgent))):
            return
        self._urgent = False
        dropped = self._spool.enforce_quota()
        if dropped:
            log.warning("spool over its quota; oldest readings dropped and declared n=%s", dropped)
        for kept in batches[-1:]:  # the newest, once, without waiting for room in the window
            self._courier.launch(kept, now)

    def _date(self, now: int) -> None:
        if now >= self._next_date:
            self._next_date = now + 10_000
            self._settle(self._clock.anchor())

    def _settle(self, anchor: Anchor | None) -> None:
        """Date this boot. What was cut keeps its date; a better or plainly different one counts for what comes."""
        if anchor is None or (self._anchor is not None and not _better(anchor, self._anchor)):
            return
        if self._tried(lambda: self._spool.anchor(self._clock.boot, anchor)):
            bounded = self._spool.bound(self._clock.boot, anchor.offset_ms)
            self._anchor = anchor
            log.info(
                "boot dated source=%s uncertainty_ms=%s bounded_boots=%s",
                anchor.source.name.lower(),
                anchor.uncertainty_ms,
                bounded,
            )

    def _beat(self, now: int) -> None:
        self._next_beat = now + round(HEARTBEAT_S * 1000)
        if self._courier.tell(msgspec.json.encode(self.status("online"))):
            self._birth_ms = now

    def _pause_s(self) -> float:
        now = self._clock.mono_ms()
        due = [self._next_cut, now + 1_000]
        if self._held:
            due.append(self._next_commit)
        if self._courier.up:
            due += [self._next_beat, *self._courier.due_ms()]
        return max(min(due) - now, 1) / 1000

    def _why_changed(self, why: str) -> None:
        if why != self._why:
            log.warning("state why=%r", why or "well again")
            self._why = why


def _better(anchor: Anchor, known: Anchor) -> bool:
    sharper = anchor.uncertainty_ms < known.uncertainty_ms and anchor.source != known.source
    apart = abs(anchor.offset_ms - known.offset_ms) > anchor.uncertainty_ms + known.uncertainty_ms
    return sharper or apart
