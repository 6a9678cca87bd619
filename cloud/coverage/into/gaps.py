"""Dead zones of a file: where a recording of cells ran, and for a while there was nothing to record.

Out of service an app has no cells to write, so a dead zone is a gap between rows. A gap is a dead zone only where it
is sure that somebody looked, so at a fix within it all of these hold:

- The same mission has rows of cells before and after, and the first row after goes on with a file that was begun before
  (an app that is told to stop and to start again begins another file), or the telephone itself says "no service".
- No row of a cell, not even of a neighbour, came within three of the recording's own intervals, before or after: one
  scan that is missing is the telephone's scheduling, three in a row are silence. The interval is the median of what was
  seen; it is no less than 5 s (the app's default) and no more than 40 s, so that three are 15 s to 2 min.
- The telephone's state, where it is recorded, is not "in service" and not "radio off" (aeroplane mode). Where it is
  not recorded, a gap between two good signals is taken for a radio that was switched off: coverage fades at its edges.
- The fix is another than the one before: a place that repeats to the last digit is an old one.

Where only places were recorded nothing is claimed: that is *not measured*. So is what comes after the last row.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from cloud.coverage.into.join import out_of_service
from cloud.coverage.into.record import CELLULAR, Place, Record
from cloud.coverage.sample import LIMITED, NONE, SERVED, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

_INTERVALS = 3
_LEAST_MS, _MOST_MS = 5_000, 40_000
_SEEN = 5  # intervals, before one is known
_GOOD_DBM = -95.0  # as cloud.coverage.scale has it for 4G: who still hears this is at no edge
_ONE_SCAN_MS = 500  # rows of one scan are closer than this
_APART_MS = 3_000  # between two fixes of a dead zone
_RECORDINGS = 64
_WAITING = 4_000  # fixes of one gap: half a day of one each ten seconds


class _Fix(NamedTuple):
    time_ms: int
    place: Place
    service: int | None  # what the telephone's state was: None where it is not recorded


class _Recording:
    """One mission of one device."""

    def __init__(self) -> None:
        self.tables: set[int] = set()
        self.last_ms: int | None = None
        self.dbm: float | None = None  # of the last row that told one
        self.intervals: deque[int] = deque(maxlen=31)
        self.waiting: list[_Fix] = []
        self.place: Place | None = None
        self.service: int | None = None
        self.plmn = 0  # of the SIM, else who served last
        self.home = False
        self.nr = False


class Gaps:
    """Finds dead zones in records of all kinds that come by time. `passed` counts fixes of which nothing is claimed."""

    def __init__(self) -> None:
        self.passed: Counter[str] = Counter()
        self._recordings: OrderedDict[bytes, _Recording] = OrderedDict()

    def add(self, by: str, record: Record, table: int) -> Iterator[Sample]:
        """Take a record of a table; give the samples of the gap that it ends."""
        recording = self._recordings.setdefault(record.origin, _Recording())
        self._recordings.move_to_end(record.origin)
        if len(self._recordings) > _RECORDINGS:
            self.passed["not measured"] += len(self._recordings.popitem(last=False)[1].waiting)
        recording.nr |= record.nr
        if record.kind in CELLULAR:
            yield from self._heard(by, record, table, recording)
        elif record.kind == "state":
            if record.radio_off or record.service is not None:
                recording.service = SERVED if record.radio_off else record.service  # either way: no dead zone
            if record.plmn:
                recording.plmn, recording.home = record.plmn, True
        elif record.place is not None:
            self._fix(record.time_ms, record.place, recording)

    def end(self) -> None:
        """What is still waiting has no row after it."""
        for recording in self._recordings.values():
            self.passed["not measured"] += len(recording.waiting)
            recording.waiting.clear()

    def _fix(self, time_ms: int, place: Place, recording: _Recording) -> None:
        if recording.last_ms is None or place == recording.place:
            return
        waiting = recording.waiting
        if waiting and abs(time_ms - waiting[-1].time_ms) < _APART_MS:
            return
        recording.place = place
        if len(waiting) < _WAITING:
            waiting.append(_Fix(time_ms, place, recording.service))
        else:
            self.passed["not measured"] += 1

    def _heard(self, by: str, record: Record, table: int, recording: _Recording) -> Iterator[Sample]:
        dbm = record.heard.rsrp_dbm if record.heard else record.rssi_dbm
        if recording.waiting:
            ends = recording.dbm, dbm
            faded = not all(end is not None and end >= _GOOD_DBM for end in ends)
            yield from self._gap(by, record.time_ms, recording, proven=faded and table in recording.tables)
        if recording.last_ms is not None:
            interval = record.time_ms - recording.last_ms
            if interval > _ONE_SCAN_MS:
                recording.intervals.append(interval)
        recording.last_ms = record.time_ms
        recording.dbm = dbm if record.serving else recording.dbm
        recording.tables.add(table)
        if record.serving and record.plmn and not recording.home:
            recording.plmn = record.plmn

    def _gap(self, by: str, until_ms: int, recording: _Recording, *, proven: bool) -> Iterator[Sample]:
        fixes, since_ms = recording.waiting, recording.last_ms
        recording.waiting = []
        if since_ms is None or len(recording.intervals) < _SEEN:
            self.passed["not measured"] += len(fixes)
            return
        silence_ms = _INTERVALS * min(max(median(recording.intervals), _LEAST_MS), _MOST_MS)
        for fix in fixes:
            if fix.time_ms - since_ms <= silence_ms or until_ms - fix.time_ms <= silence_ms:
                continue  # a row is near: the fix is of a moment that was measured
            if fix.service == SERVED or (fix.service is None and not proven):
                self.passed["not measured"] += 1
                continue
            service = LIMITED if fix.service == LIMITED else NONE
            yield out_of_service(by, fix.time_ms, fix.place, service, recording.plmn, nr_looked=recording.nr)
