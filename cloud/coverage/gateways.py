"""Samples of what gateways' modems said: every two minutes what the ledger says has come to the store since a cursor.

The ledger alone is asked, not the stream: a map that is minutes old is a map of now, and what was in reach neither of
us nor of the broker comes the same way as what comes at once, days and out of order. Arrivals say which stretch of
time of which gateway to read, an hour of it at once, so neither a month without signal nor a fleet fills the memory.
The cursor is kept together with the samples; where there is none yet, in a new book or one that was damaged, all that
the store has kept is read.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from cloud.clock import hanoi
from cloud.coverage.keeper import Page
from cloud.coverage.modem import BUCKET_MS, PLACED, SAID, WAY, Fixes, Modem, Place, polls_of, samples, with_way
from cloud.store import Retry

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence

    from cloud.clock import Clock
    from cloud.coverage.keeper import Keeper
    from cloud.coverage.sample import Sample
    from cloud.registry import Current, HamletNow, Registry
    from cloud.registry.kinds import Tree, Zone
    from cloud.store import LedgerRow, Store

log = logging.getLogger(__name__)
EVERY_S, AGAIN_S, IDLE_S = 120.0, 5.0, 0.5
# Rows of the ledger may become visible in another order than they arrived, or be dated again by a clock that was set
# back. One that was set back by more than both is seen at the next reading: what was read last lies ahead of now.
OVERLAP_MS, AHEAD_MS = 240_000, 60_000
BACK_MS = 7 * 86_400_000  # how far it is read again where a clock that was ahead has dated what was read last
ROWS = 500  # of the ledger at once: at most some 60,000 samples, of walks without signal
SLICE_MS = 6 * BUCKET_MS
TOLD_AT = 2  # a store that ingest is about to make is no fault
_NS = 1_000_000
WANTED = frozenset((*SAID, *PLACED))


class Gateways:
    """Reads in a thread of its own, for the store may hang. `fault` is why it waits, for any thread."""

    def __init__(self, store: Store, current: Current, keeper: Keeper, clock: Clock) -> None:
        self._store, self._current, self._keeper, self._clock = store, current, keeper, clock
        self._newest: dict[tuple[str, str], dict[str, float]] = {}  # the newest values of each channel
        self._known_ms = 0  # when that was asked
        self._due_s = clock.monotonic()
        self._handed_ms = 0
        self._next_ms: int | None = None  # where this reading of the ledger goes on; None between two of them
        self.counts: Counter[str] = Counter()
        self.fault = ""

    def run(self, stop: threading.Event) -> None:
        """Read until stopped."""
        failures = 0
        while not stop.is_set():
            try:
                busy = self.step(stop)
                failures, self.fault = 0, ""
            except Exception as fault:
                failures += 1
                known = isinstance(fault, Retry)
                self._next_ms = None
                if failures == TOLD_AT or not known:
                    log.warning("coverage-store-waits why=%r", str(fault), exc_info=None if known else fault)
                if failures >= TOLD_AT or not known:
                    self.fault = f"{type(fault).__name__}: {fault}"
                self._clock.wait(stop, AGAIN_S)
                continue
            if not busy:
                self._clock.wait(stop, IDLE_S)

    def step(self, stop: threading.Event | None = None) -> bool:
        """Hand a page over when one is due and the one before is kept; tell whether it did. Raises Retry."""
        if not self._keeper.page_taken or (self._next_ms is None and self._clock.monotonic() < self._due_s):
            return False
        kept_ms, now_ms = self._keeper.read_to_ms or 0, self._clock.utc_ms()
        ahead = kept_ms > now_ms + AHEAD_MS
        cursor = now_ms - BACK_MS if ahead else kept_ms
        if kept_ms != self._handed_ms:  # the book began anew, or we did
            self._next_ms, self._handed_ms = None, kept_ms
        overlap_ms = OVERLAP_MS + round(2_000 * self._store.settle_s)
        rows = self._store.ledger(max(cursor - overlap_ms, 0) if self._next_ms is None else self._next_ms, ROWS)
        self._know(rows, now_ms)
        found: list[Sample] = []
        for gateway, spans in _spans(rows).items():
            for start_ms, end_ms in _slices(spans):
                found += self._read(gateway, start_ms, end_ms, now_ms)
                if stop is not None and stop.is_set():
                    return False
        last_ms = rows[-1].arrival_ms if rows else 0
        more = bool(rows) and last_ms < now_ms  # a row of the future is the last for now
        self._next_ms = last_ms + 1 if more else None
        if not more:
            self._due_s = self._clock.monotonic() + EVERY_S
        if found or last_ms > cursor or ahead:
            self._handed_ms = max(cursor, min(last_ms, now_ms))
            self._keeper.hand_over(Page(found, kept_ms, self._handed_ms))
        return more

    def _know(self, rows: Sequence[LedgerRow], now_ms: int) -> None:
        """Ask which channels there are, where something came since that was asked last."""
        asked_ms = min(self._known_ms, now_ms)  # a clock that was ahead may have been put right since
        if rows and rows[-1].arrival_ms >= asked_ms - OVERLAP_MS:
            newest: defaultdict[tuple[str, str], dict[str, float]] = defaultdict(dict)
            for one in self._store.latest():
                if one.quantity in WANTED:
                    newest[one.gateway, one.channel][one.quantity] = one.value
            self._newest, self._known_ms = dict(newest), now_ms

    def _read(self, gateway: str, start_ms: int, end_ms: int, now_ms: int) -> Iterator[Sample]:
        """Yield the samples of a gateway within [start, end), which begins and ends with a bucket."""
        own = {channel: newest for (of, channel), newest in self._newest.items() if of == gateway}
        modems = [channel for channel, newest in own.items() if "registration" in newest]
        if not modems:
            return
        receivers = [channel for channel, newest in own.items() if "lat" in newest]
        # the way to the server is probed beside the modem; of two modems nobody knows by which it went
        probes = [channel for channel, newest in own.items() if "loss" in newest and len(modems) == 1]
        wanted = {(gateway, channel, name) for channel in modems for name in SAID if name in own[channel]}
        wanted |= {(gateway, channel, name) for channel in receivers for name in PLACED if name in own[channel]}
        wanted |= {(gateway, channel, name) for channel in probes for name in WAY if name in own[channel]}
        since_ms = start_ms - BUCKET_MS
        told: defaultdict[str, dict[str, list[tuple[int, float]]]] = defaultdict(dict)
        for (_, channel, name), points in self._store.each_series(sorted(wanted), since_ms * _NS, end_ms * _NS):
            told[channel][name] = points
        placed = [
            poll
            for channel in receivers
            for poll in polls_of({name: told[channel][name] for name in PLACED if name in told[channel]})
        ]
        fixes, registry = Fixes(placed), self._current.now
        for channel in modems:
            newest, rests = own[channel], registry.maintenance(gateway, channel)
            modem = Modem(gateway, channel, "nr_ss_rsrp" in newest, int(newest.get("plmn", 0)))
            polls = [(ms, poll) for ms, poll in polls_of(told[channel]) if not rests.hold(ms)]
            polls = with_way(polls, [poll for probe in probes for poll in polls_of(told[probe])])

            def place_at(ms: int, channel: str = channel) -> Place | None:
                return fixes.at(ms) or bound(registry, gateway, channel, ms)

            yield from samples(modem, polls, place_at, start_ms, now_ms, self.counts)


def bound(registry: Registry, gateway: str, channel: str, time_ms: int) -> Place | None:
    """Return the place that a channel was bound to at a time, None where it was to none that has a point."""
    day = hanoi(time_ms).date()
    for one in registry.places_of(gateway, channel, day):
        point: HamletNow | Zone | Tree | None
        if one.place == "hamlet":
            point = registry.hamlet(one.code, day)
        else:
            point = (registry.zones if one.place == "zone" else registry.trees).get(one.code)
        if point is not None:
            return Place(point.lat, point.lon, one.distance_m or None)
    return None


def _spans(rows: Sequence[LedgerRow]) -> dict[str, list[tuple[int, int]]]:
    """Return by gateway which stretches of time have come, whole buckets, those that touch as one."""
    found: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for row in rows:
        if row.verdict == "stored" and row.start_ns:
            begin, end = row.start_ns // _NS // BUCKET_MS, row.end_ns // _NS // BUCKET_MS + 1
            found[row.gateway].append((begin * BUCKET_MS, end * BUCKET_MS))
    return {gateway: _joined(sorted(spans)) for gateway, spans in found.items()}


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for begin, end in spans:
        if joined and begin <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((begin, end))
    return joined


def _slices(spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for begin, end in spans:
        for start in range(begin, end, SLICE_MS):
            yield start, min(start + SLICE_MS, end)
