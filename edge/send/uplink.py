"""The way to the broker: a pipe, never a place where data rests; watched, and replaced where it hangs.

The thread that carries (carrier.py) promises when each of its turns ends. One that is overdue hangs: in the name
service, in the kernel, or in a callback. Its connection is broken off and a new thread takes over; what the old one
still does is not heard.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from edge.send.carrier import Carrier
from edge.send.causes import Ended
from edge.send.logbook import Logbook
from edge.threads import NO_THREAD, join, started

if TYPE_CHECKING:
    from edge.board import Board
    from edge.clock import Clock
    from edge.config import Broker
    from edge.send.carrier import Ends

log = logging.getLogger(__name__)
LAST_S = 0.5  # for a thread that was broken off at an ordered stop
MOST_GONE = 4  # threads that hang for ever, before only a new process helps


class Uplink:
    """One MQTT 3.1.1 connection of one gateway, made again for ever. Writes the board's `link`."""

    def __init__(self, broker: Broker, gateway: str, ends: Ends, board: Board, clock: Clock) -> None:
        self._broker, self._gateway, self._ends, self._clock = broker, gateway, ends, clock
        self._logbook = Logbook(board, f"{broker.host}:{broker.port}", clock)
        self._carrier: Carrier | None = None
        self._thread = threading.Thread()
        self._gone: list[threading.Thread] = []

    def start(self) -> None:
        """Begin connecting, and go on for ever, in a thread of its own; where there is none `look` tries again."""
        self._carrier = Carrier(self._broker, self._gateway, self._ends, self._logbook, self._clock)
        self._thread = started(self._carrier.run, "uplink")
        if self._thread.ident is None:
            self._logbook.ended(Ended("machine", NO_THREAD))

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, waits: bool = False) -> bool:
        """Hand a message over at QoS 1; tell whether it was taken. Never waits. Without a connection it is refused.

        One that `waits` is overtaken by all that do not, until the kernel has it.
        """
        return self._carrier is not None and self._carrier.put(topic, payload, retain=retain, waits=waits)

    @property
    def idle(self) -> bool:
        """Whether the broker has confirmed all that was handed over: the way is clear."""
        return self._carrier is None or self._carrier.idle

    def look(self) -> str:
        """Replace a thread that hangs; return why only a new process can help, "" while there is no such need.

        Belongs to the main thread, like `start` and `stop`.
        """
        if self._carrier is None or (self._thread.is_alive() and self._clock.mono_ms() <= self._carrier.ends_ms):
            return ""
        self._gone = [thread for thread in (*self._gone, self._thread) if thread.is_alive()]
        if len(self._gone) > MOST_GONE:
            return f"{len(self._gone)} threads of the uplink hang"
        self._carrier.abort()
        self._ends.on_link(False)
        if self._thread.ident is not None:
            self._logbook.ended(Ended("hung"))
        self.start()
        return ""

    def stop(self, farewell: bytes) -> None:
        """Say goodbye with a last retained status and disconnect, within 2.5 s whatever the broker and the name do."""
        if self._carrier is None:
            return
        join(self._thread, self._carrier.stop(farewell) + LAST_S)
        self._carrier.abort()
        join(self._thread, LAST_S)
        if self._thread.is_alive():
            log.warning("uplink does not stop; left behind")
