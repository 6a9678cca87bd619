"""Records of one moment become one sample, the same whether they come one by one as they happen or from files.

An app tells the cells of one scan apart, under one group number, milliseconds after each other: the 4G anchor and the
5G half of one connection are two records. A moment is closed when its time is over. Only cells that serve make a
sample: a neighbour is heard, but nobody can call over it.

All is bounded: so many recordings are remembered, so many moments are open, and the oldest goes first.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import TYPE_CHECKING

from cloud.coverage.into.record import CELLULAR, OLD_PLACE_MS, Place, Record
from cloud.coverage.sample import NONE, SERVED, BadSample, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

JOIN_MS = 3_000  # records of one scan are milliseconds apart, and one by MQTT may be late by a round or two
_RECORDINGS = 1_024
_OPEN = 4_096
_RADIO = {"gsm": 1, "umts": 2, "lte": 3, "nr": 5}  # wire.quantities.RADIO
_NSA = 4


class _Recording:
    """What is remembered of one mission of one device: whether it hears 5G, and its last fix."""

    __slots__ = ("fix", "fix_ms", "nr")

    def __init__(self) -> None:
        self.nr = False
        self.fix: Place | None = None
        self.fix_ms = 0


class Joiner:
    """Joins records to samples. `passed` counts records that are no samples and no faults, by what they are."""

    def __init__(self) -> None:
        self.passed: Counter[str] = Counter()
        self._recordings: OrderedDict[tuple[str, bytes], _Recording] = OrderedDict()
        self._open: OrderedDict[tuple[str, bytes, int], list[Record]] = OrderedDict()
        self._opened: dict[tuple[str, bytes, int], int] = {}

    def add(self, by: str, record: Record, at_ms: int) -> Iterator[Sample | BadSample]:
        """Take a record of the gateway or team `by`; give what is complete at `at_ms`, the time of its coming."""
        recording = self._recording(by, record.origin)
        recording.nr |= record.nr
        for quantity in record.odd:
            self.passed[f"left out {quantity}"] += 1
        older_ms = recording.fix_ms - record.time_ms  # by far: the telephone's clock was ahead, and is set
        if record.place is not None and not 0 < older_ms <= OLD_PLACE_MS:
            recording.fix, recording.fix_ms = record.place, record.time_ms
        if record.kind in CELLULAR:
            if not (record.serving or record.second):
                self.passed["neighbour"] += 1
            if record.serving or record.second or record.nr:
                yield from self._collect(by, record, at_ms)
        elif record.kind == "state":
            yield from self._state(by, record, recording)
        else:
            self.passed["fix" if record.place else "no fix"] += 1
        yield from self.due(at_ms)

    def due(self, at_ms: int) -> Iterator[Sample | BadSample]:
        """Give the moments that are over at `at_ms`, or whose time a clock that was set has made meaningless."""
        while self._open:
            oldest = next(iter(self._open))
            if abs(at_ms - self._opened[oldest]) <= JOIN_MS and len(self._open) <= _OPEN:
                return
            yield from self._close(oldest)

    def rest(self) -> Iterator[Sample | BadSample]:
        """Give every moment that is still open."""
        while self._open:
            yield from self._close(next(iter(self._open)))

    def _recording(self, by: str, origin: bytes) -> _Recording:
        key = by, origin
        found = self._recordings.setdefault(key, _Recording())
        self._recordings.move_to_end(key)
        while len(self._recordings) > _RECORDINGS:
            self._recordings.popitem(last=False)
        return found

    def _collect(self, by: str, record: Record, at_ms: int) -> Iterator[Sample | BadSample]:
        key = by, record.origin, -record.time_ms if record.group is None else record.group
        records = self._open.get(key)
        if records is not None and abs(records[0].time_ms - record.time_ms) > JOIN_MS:
            yield from self._close(key)
            records = None
        if records is None:
            self._open[key], self._opened[key] = [record], at_ms
        elif record not in records:  # said twice
            records.append(record)

    def _close(self, key: tuple[str, bytes, int]) -> Iterator[Sample | BadSample]:
        records = self._open.pop(key)
        del self._opened[key]
        if not any(record.serving or record.second for record in records):
            return
        by, origin, _ = key
        recording = self._recordings.get((by, origin))
        try:
            yield moment(by, records, nr_looked=recording is not None and recording.nr)
        except BadSample as bad:
            yield bad

    def _state(self, by: str, record: Record, recording: _Recording) -> Iterator[Sample | BadSample]:
        if record.radio_off or record.service is None or record.service == SERVED:
            self.passed["radio off" if record.radio_off else "state"] += 1
            return
        if recording.fix is None or abs(record.time_ms - recording.fix_ms) > OLD_PLACE_MS:
            yield BadSample("no fix")
            return
        yield out_of_service(by, record.time_ms, recording.fix, record.service, record.plmn, nr_looked=recording.nr)


def out_of_service(by: str, time_ms: int, place: Place, service: int, plmn: int, *, nr_looked: bool) -> Sample:
    """Return the sample of a place where a telephone found nobody, or somebody's network for emergencies only."""
    return Sample(
        time_ms=time_ms,
        lat=place.lat,
        lon=place.lon,
        accuracy_m=place.accuracy_m,
        alt_m=place.alt_m,
        source="phone",
        by=by,
        service=service,
        plmn=plmn,
        radio=0 if service == NONE else None,
        nr_looked=nr_looked,
    )


def moment(by: str, records: list[Record], *, nr_looked: bool) -> Sample:
    """Return the sample of records of one moment. Raises BadSample where no cell serves, or nobody knows where.

    Of several cells of one radio the strongest that serves speaks. 5G that was heard and did not serve is no strength,
    but not its absence either: a telephone joins it when it has data to send, and older apps do not tell a second cell
    from a neighbour. So such a moment says nothing of 5G, whatever `nr_looked` says of the device.
    """
    if not any(record.serving for record in records):
        raise BadSample("no serving cell")
    best: dict[str, Record] = {}
    for record in records:
        if record.serving or (record.second and record.kind == "nr"):  # a second 4G cell adds speed, not coverage
            other = best.get(record.kind)
            best[record.kind] = record if other is None else max(other, record, key=_strength)
    first = min(best.values(), key=lambda record: (record.time_ms, record.place[:2] if record.place else ()))
    place = next((record.place for record in (first, *best.values()) if record.place), None)
    if place is None:
        raise BadSample("no fix")
    lte, nr = best.get("lte"), best.get("nr")
    beside = nr is None and any(record.nr for record in records)
    plmns = [best[kind].plmn for kind in ("lte", "nr", "umts", "gsm") if kind in best]
    slow = None if lte or nr else best.get("umts") or best["gsm"]
    return Sample(
        time_ms=first.time_ms,
        lat=place.lat,
        lon=place.lon,
        accuracy_m=place.accuracy_m,
        alt_m=place.alt_m,
        source="phone",
        by=by,
        service=SERVED,
        plmn=next((plmn for plmn in plmns if plmn), 0),
        radio=_NSA if lte and nr else max(_RADIO[kind] for kind in best),
        lte=lte.heard if lte else None,
        nr=nr.heard if nr else None,
        nr_looked=nr_looked and not beside,
        rssi_dbm=slow.rssi_dbm if slow else None,
    )


def _strength(record: Record) -> tuple[float, int]:
    heard = record.heard
    if heard is None:
        return record.rssi_dbm if record.rssi_dbm is not None else -999.0, 0
    return heard.rsrp_dbm if heard.rsrp_dbm is not None else -999.0, heard.cell or 0
