"""The telephones of teams, heard: who may speak, how much at once, and what of it becomes samples.

The stream's thread only queues. The coverage room takes a turn every second: each message is judged by the accounts of
that moment, so what is revoked is refused with the very next one, whatever the broker still lets through. Nothing of
it reaches ingest.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from cloud.access.heard import Heard
from cloud.coverage.into.phone import MAX_BYTES, Door

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloud.access import heard
    from cloud.access.book import Known
    from cloud.clock import Clock
    from cloud.coverage.sample import Sample
    from cloud.coverage.seam import Put
    from cloud.stream.connection import Arrival

log = logging.getLogger(__name__)
MOST_QUEUED = 20_000  # messages, of 16 KiB at most: the room does not follow, or its disk takes nothing
MOST_PENDING = 50_000  # samples that wait for the disk
AT_ONCE = 4_000  # messages of a turn
COMMIT_S = 3.0
NOTE_S = 30.0  # between two notes of who was heard
PER_S, BURST = 20.0, 400.0  # messages of one account
MOST_BUCKETS = 5_000  # accounts; more names than that only a broker without an access list lets through


class Phones:
    """What telephones say. `arrived` belongs to the stream's thread, all else to the room's."""

    def __init__(self, known: Known, book: heard.Book, clock: Clock) -> None:
        self._known, self._book, self._clock = known, book, clock
        self._queue: deque[Arrival] = deque()
        self._buckets: dict[str, _Bucket] = {}
        self._counting = threading.Lock()
        self._turned_away: dict[str, Counter[str]] = {}  # before the queue, since the last note
        self._speakers: dict[str, _Speaker] = {}
        self._pending: list[Sample] = []
        self._committed_s = self._noted_s = clock.monotonic()
        self.refused: Counter[str] = Counter()  # since the start, by reason; of nobody that is known, too
        self.kept = Counter[str]()  # samples, as Put counts them

    def arrived(self, arrival: Arrival) -> None:
        """Queue a message, or count it: who shouts takes no place in the queue from others."""
        bucket = self._buckets.get(arrival.gateway)
        if bucket is None:
            if len(self._buckets) >= MOST_BUCKETS:
                self._buckets.clear()
            bucket = self._buckets[arrival.gateway] = _Bucket(self._clock.monotonic())
        if not bucket.may(self._clock.monotonic()):
            self._refuse("rate", arrival.gateway)
        elif len(arrival.payload) > MAX_BYTES:
            self._refuse("size", arrival.gateway)
        elif len(self._queue) >= MOST_QUEUED:
            self._refuse("full", arrival.gateway)
        else:
            self._queue.append(arrival)

    def turn(self, put: Callable[[Sequence[Sample], int], Put], *, last: bool = False) -> None:
        """Take what has come, and have samples kept every few seconds; at the `last` turn all of it.

        Raises the store's Retry for what a disk refuses now: samples wait for the next turn, and messages in the queue.
        """
        now_ms, now_s = self._clock.utc_ms(), self._clock.monotonic()
        while self._queue and len(self._pending) < MOST_PENDING:
            for _ in range(min(AT_ONCE, len(self._queue))):
                self._hear(self._queue.popleft(), now_ms)
            if not last:
                break
        for speaker in self._speakers.values():
            self._take(speaker, speaker.door.rest(now_ms) if last else speaker.door.due(now_ms))
        if self._pending and (last or now_s - self._committed_s >= COMMIT_S):
            done = put(self._pending, now_ms)
            self.kept.update(done._asdict())
            self._pending = []
        if not self._pending:
            self._committed_s = now_s
        if last or now_s - self._noted_s >= NOTE_S:
            self._tell(now_s)

    @property
    def more(self) -> bool:
        """Tell whether messages wait that the next turn should take at once."""
        return len(self._queue) >= AT_ONCE

    def health(self) -> dict[str, Any]:
        """Return what an operator may want to know."""
        told = {"queued": len(self._queue), "pending": len(self._pending), "refused": dict(self.refused)}
        return told | {"kept": dict(self.kept), "accounts": self._known.why}

    def _hear(self, arrival: Arrival, now_ms: int) -> None:
        user = arrival.gateway
        team = self._known.team_of(user, now_ms)
        if team is None:
            self._refuse("account", user)
            self._speakers.pop(user, None)  # of one that was revoked nothing is left to be told
            return
        speaker = self._speakers.get(user)
        if speaker is None:
            speaker = self._speakers[user] = _Speaker()
        speaker.last_ms = arrival.arrival_ms
        speaker.messages += 1
        if arrival.retained:
            self._refuse("retained", user, speaker)
        else:
            self._take(speaker, speaker.door.hear(team, arrival.kind, arrival.payload, now_ms))

    def _take(self, speaker: _Speaker, samples: Sequence[Sample]) -> None:
        speaker.samples += len(samples)
        self._pending += samples
        new = speaker.door.counted - speaker.counted
        if new:
            speaker.counted += new
            speaker.refused += new
            with self._counting:
                self.refused += new

    def _refuse(self, why: str, user: str, speaker: _Speaker | None = None) -> None:
        """Count it, and say the first, second, fourth …: whoever may publish could fill the log otherwise."""
        with self._counting:
            self.refused[why] += 1
            n = self.refused[why]
            if speaker is None and len(self._turned_away) < MOST_BUCKETS:
                self._turned_away.setdefault(user, Counter())[why] += 1
        if speaker is not None:
            speaker.refused[why] += 1
        if n & (n - 1) == 0:
            log.warning("telephone refused why=%s account=%r n=%s", why, user, n)

    def _tell(self, now_s: float) -> None:
        """Note who was heard. Where the disk refuses it the sum waits: samples are worth more than their number."""
        self._noted_s = now_s
        with self._counting:
            away, self._turned_away = self._turned_away, {}
        for user, reasons in away.items():
            if user in self._speakers:  # others are no accounts: they are counted, and not by name
                self._speakers[user].refused += reasons
        news = {user: one for user, one in self._speakers.items() if one.messages or one.refused}
        try:
            self._book.add([one.heard(user) for user, one in news.items()])
        except sqlite3.Error as error:
            log.warning("telephones not noted why=%r", str(error))
            return
        for one in news.values():
            one.told()


class _Speaker:
    """One account since it was noted last."""

    def __init__(self) -> None:
        self.door = Door()
        self.counted: Counter[str] = Counter()  # of the door, as far as it is accounted for
        self.last_ms = self.messages = self.samples = 0
        self.refused: Counter[str] = Counter()

    def heard(self, user: str) -> Heard:
        """Return what there is to note."""
        return Heard(user, self.last_ms, self.messages, self.samples, dict(self.refused))

    def told(self) -> None:
        """Begin anew once it is noted."""
        self.messages = self.samples = 0
        self.refused.clear()


class _Bucket:
    """What one account may say: so much at once, and so much a second."""

    __slots__ = ("_filled_s", "_tokens")

    def __init__(self, now_s: float) -> None:
        self._tokens, self._filled_s = BURST, now_s

    def may(self, now_s: float) -> bool:
        """Take a message from it; tell whether there was one left."""
        self._tokens = min(BURST, self._tokens + (now_s - self._filled_s) * PER_S)
        self._filled_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
