"""The uplink's thread: waits its turn, connects, carries, and begins again, for ever.

Each wait has full jitter: a province that comes back after a power cut, or loses its broker, must not arrive in one
second. Nothing that the broker says frees a reading: a PUBACK means that a message was taken, not that it was stored
(killed brokers lost what they had acknowledged in every setting tried).
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from edge.send import causes
from edge.send.causes import Ended
from edge.send.session import Session

if TYPE_CHECKING:
    from edge.clock import Clock
    from edge.config import Broker
    from edge.send.logbook import Logbook

log = logging.getLogger(__name__)
LONGEST_WAIT_S = 60.0
YOUNG_MS = 600_000  # a machine that has run for less came back from a power cut, and its neighbours with it
OPEN_MS = 120_000  # names, addresses, TLS and two answers, each at its slowest
TURN_MS = 30_000  # for one turn of a connection
FAREWELL_S = 1.5


class Ends(msgspec.Struct, frozen=True):
    """What the gateway gives its uplink.

    `will()` is the retained status that the broker publishes when the gateway vanishes, asked for before every attempt
    to connect. `on_ack(payload)` and `on_link(up)` are called from the uplink's thread and must only queue.
    """

    will: Callable[[], bytes]
    on_ack: Callable[[bytes], None]
    on_link: Callable[[bool], None]


class Carrier:
    """One life of that thread. `ends_ms` is when its present turn ends at the latest."""

    def __init__(self, broker: Broker, gateway: str, ends: Ends, logbook: Logbook, clock: Clock) -> None:
        self._broker, self._gateway, self._ends = broker, gateway, ends
        self._logbook, self._clock = logbook, clock
        self._stop = threading.Event()
        self._farewell: bytes | None = None
        self._session: Session | None = None
        self._up = False
        self.ends_ms = clock.mono_ms() + OPEN_MS

    # --- from other threads

    def put(self, topic: str, payload: bytes, *, retain: bool, waits: bool) -> bool:
        """Hand a message over; tell whether it was taken. Without a connection it is not."""
        session = self._session
        return self._up and session is not None and session.put(topic, payload, retain=retain, waits=waits)

    @property
    def idle(self) -> bool:
        """Whether the broker has confirmed all that was handed over."""
        session = self._session
        return session is None or session.idle

    def stop(self, farewell: bytes) -> float:
        """End soon, with a last retained status where there is a connection; return how long that may take, in s."""
        self._farewell = farewell
        self._stop.set()
        session = self._session
        if session is not None and self._up:
            session.wake()
            return FAREWELL_S
        if session is not None:
            session.abort()
        return 0.0

    def abort(self) -> None:
        """End now; whatever comes of it later is not heard any more."""
        self._stop.set()
        session, self._up = self._session, False
        if session is not None:
            session.abort()

    # --- the thread

    def run(self) -> None:
        """Connect and carry until told to stop."""
        while not self._stop.is_set():
            wait_s = self.pause_s()
            self._promise(OPEN_MS + round(wait_s * 1000))
            if self._clock.wait(self._stop, wait_s):
                return
            try:
                self._carry()
            except Ended as end:
                self._tell(end)
            except Exception as error:
                if (short := causes.shortage(error)) is None:
                    log.exception("uplink stumbled")
                self._tell(short or Ended("faulty", f"{type(error).__name__}: {error}"))

    def pause_s(self) -> float:
        """Return how long to wait before the next attempt: any time up to a ceiling that grows with what failed."""
        failures = self._logbook.failures
        if failures:
            return random.uniform(0.1, min(LONGEST_WAIT_S, 2.0 ** min(failures, 6)))
        spread_s = self._broker.spread_s
        return random.uniform(0, spread_s if self._clock.mono_ms() < YOUNG_MS else min(spread_s, 1.0))

    def _carry(self) -> None:
        self._promise(OPEN_MS)
        session = self._session = Session(self._broker, self._gateway, self._heard, self._clock)
        try:
            if self._stop.is_set():  # before it could be broken off
                return
            session.open(self._logbook.failures, self._ends.will())
            self._logbook.opened(deaf=session.deaf)
            self._up = not self._stop.is_set()
            self._ends.on_link(True)
            while not self._stop.is_set():
                self._promise(TURN_MS)
                session.turn()
                self._logbook.goes_on(deaf=session.deaf)
            if self._farewell is not None:
                session.farewell(self._farewell, FAREWELL_S)
        finally:
            session.close()
            if self._up:
                self._up = False
                self._ends.on_link(False)

    def _promise(self, within_ms: int) -> None:
        self.ends_ms = self._clock.mono_ms() + within_ms

    def _heard(self, payload: bytes) -> None:
        if not self._stop.is_set():
            self._ends.on_ack(payload)

    def _tell(self, end: Ended) -> None:
        if not self._stop.is_set():
            self._logbook.ended(end)
