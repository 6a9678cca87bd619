"""What the gateway says of itself on the wire: the whole status when it changes, and a small beat each minute between.

The whole status goes at every connection, at once when an urgent value cannot be made safe and each minute while that
lasts, and on any other change as far as an allowance of bytes reaches: a probe that flaps does not eat a thin link.
Belongs to the thread that sends. Times are monotonic milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from edge.due import Due
from edge.send.allowance import Allowance
from edge.status import encoded, news
from wire import beat, topics

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.board import Board
    from wire.batch import Status

BEAT_S = 60.0
LOOK_S = 2.0
WHOLE_MS = 6 * 3_600_000  # said again although nothing changed: a last will that came late must not stand for ever
DAY_BYTES, MOST_BYTES = 30_000, 8_000  # for statuses that only say a change
HEAD_BYTES = 6  # of MQTT, beside the topic


class Sender(Protocol):
    """What is needed of an uplink."""

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, waits: bool = False) -> bool:
        """Hand a message over, which may be overtaken where it `waits`; tell whether it was taken."""
        ...

    @property
    def idle(self) -> bool:
        """Whether the broker has confirmed all that was handed over."""
        ...


class Heartbeat:
    """`status` returns the status as it is now.

    `asked` is told when a message went whose answer tells the time, and what moment it says of itself.
    """

    def __init__(
        self,
        uplink: Sender,
        gateway: str,
        board: Board,
        status: Callable[[], Status],
        asked: Callable[[int, int], None],
    ) -> None:
        self._uplink, self._board, self._status, self._asked = uplink, board, status, asked
        self._whole_topic, self._beat_topic = topics.status(gateway), topics.beat(gateway)
        self._beat_due, self._look_due = Due(BEAT_S), Due(LOOK_S)
        self._allowance = Allowance(DAY_BYTES, MOST_BYTES)
        self._said: Status | None = None  # the last whole one on this connection
        self._news: Status | None = None  # and what of it was news
        self._alarm_ms = 0  # the newest class change that it said

    def connected(self) -> None:
        """A new connection begins with the whole status: its answer tells the time."""
        self._said = None
        self._look_due.hurry()

    def send(self, now: int) -> None:
        """Say what is due."""
        if not (self._look_due.comes(now) or now >= self._beat_due.at_ms or self._alarmed()):
            return
        status, must = self._status(), self._must(now)
        if (must or self._changed(status)) and self._whole(status, now, must=must):
            return
        if now >= self._beat_due.at_ms:
            said = beat.beat_of(status)
            self._publish(self._beat_topic, beat.encode(said), now, said.mono_s * 1000 if said.asks else None)

    def due_ms(self) -> int:
        """Return when something is to be said next."""
        return self._beat_due.at_ms

    def _must(self, now: int) -> bool:
        if self._said is None or now - self._said.mono_ms >= WHOLE_MS or self._alarmed():
            return True
        return bool(self._board.keeping.urgent) and now >= self._beat_due.at_ms

    def _alarmed(self) -> bool:
        return bool(self._board.keeping.urgent) and self._board.keeping.alarm_ms != self._alarm_ms

    def _changed(self, status: Status) -> bool:
        return self._said is not None and news(status) != self._news

    def _whole(self, status: Status, now: int, *, must: bool) -> bool:
        """Send the whole status as far as the allowance reaches, or where it must be; tell whether it went out."""
        payload = encoded(status)
        size = len(payload) + len(self._whole_topic) + HEAD_BYTES
        if not (must or self._allowance.affords(size, now)):
            return False
        if not self._publish(self._whole_topic, payload, now, status.mono_ms):
            return False
        if not must:
            self._allowance.spend(size)
        self._said, self._news, self._alarm_ms = status, news(status), self._board.keeping.alarm_ms
        return True

    def _publish(self, topic: str, payload: bytes, now: int, asks: int | None) -> bool:
        if not self._uplink.publish(topic, payload, retain=topic == self._whole_topic):
            self._beat_due.put_off(now, LOOK_S)
            return False
        self._beat_due.rest(now)
        if asks is not None:
            self._asked(now, asks)
        return True
