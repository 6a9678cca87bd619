"""Files of the app Network Survey: one CSV of each kind of record, or a ZIP of them; read as a stream, joined by time.

Columns go by their names in the header, in any order. A telephone writes numbers as its language does, so in Vietnam
with a decimal comma, and a spreadsheet may have put semicolons between. A row that is damaged is refused with its line
and its field, and costs itself only: a line that breaks off, one of other length than the header, no number for one.
What stands in it is never repeated, as a damaged row may have an identity in any field.
"""

from __future__ import annotations

import csv
import heapq
import re
import secrets
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from cloud.coverage.into import packed
from cloud.coverage.into.gaps import Gaps
from cloud.coverage.into.join import Joiner
from cloud.coverage.into.record import Kind, Record, clean
from cloud.coverage.sample import BadSample, Sample

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Progress = Callable[[int], None]

MAX_BYTES: Final = 64 * 2**20
QUIET_ROWS: Final = 2_000  # as many as give samples in one piece of an upload: a tenth of a second
_MAX_LINE = 65_536
_MAX_COLUMNS = 128
_STEP = 262_144  # bytes between two words of progress
_HEAD_LINES = 10
# What a header has to have to be of a kind, and cells must tell which of them serves.
_KINDS: Final[Mapping[str, frozenset[str]]] = {
    "nr": frozenset({"nci", "ssRsrp", "servingCell"}),
    "lte": frozenset({"eci", "rsrp", "servingCell"}),
    "umts": frozenset({"uarfcn", "psc", "servingCell"}),
    "gsm": frozenset({"bsic", "arfcn", "servingCell"}),
    "gnss": frozenset({"constellation"}),
    "state": frozenset({"networkRegistrationInfo", "simState"}),
    "status": frozenset({"batteryLevelPercent"}),
    "wifi": frozenset({"bssid"}),
    "bluetooth": frozenset({"sourceAddress"}),
}
_NEEDED = frozenset({"deviceTime", "latitude", "longitude"})
_VERSION = re.compile(r"CSV Version=(\d{1,3})\.(\d{1,3})\.(\d{1,3})", re.ASCII)


def read(
    file: IO[bytes], by: str, now_ms: int, progress: Progress | None = None, passed: Counter[str] | None = None
) -> Iterator[Sample | BadSample | None]:
    """Yield the samples of a file that the team `by` brings, and why each other row is none. Raises OSError only.

    None is yielded now and then where much is read that gives neither, so that who waits can do something else.

    `progress` is told the bytes of the file that are done, `passed` counts rows that are neither: neighbours, fixes,
    states of a telephone in service. Memory does not grow with the file.
    """
    joiner, gaps, key = Joiner(), Gaps(), secrets.token_bytes(16)
    told, quiet = _Progress(progress), 0
    for row in heapq.merge(*_tables(file, key, told), key=lambda row: row.time_ms):
        quiet += 1
        if quiet >= QUIET_ROWS:
            quiet = 0
            yield None
        if row.bad is not None:
            yield row.bad
        if row.record is not None:
            yield from _checked(gaps.add(by, row.record, row.table), now_ms)
            yield from _checked(joiner.add(by, row.record, row.time_ms), now_ms)
    gaps.end()
    yield from _checked(joiner.rest(), now_ms)
    told.end()
    if passed is not None:
        passed.update(joiner.passed + gaps.passed)


class _Row(NamedTuple):
    time_ms: int
    table: int
    record: Record | None
    bad: BadSample | None


class _Progress:
    """Adds up what is read of each table, in bytes of the file."""

    def __init__(self, tell: Progress | None) -> None:
        self._tell, self._done, self._said = tell, 0.0, 0

    def add(self, size: float) -> None:
        self._done += size
        if self._tell is not None and self._done - self._said >= _STEP:
            self.end()

    def end(self) -> None:
        self._said = round(self._done)
        if self._tell is not None:
            self._tell(self._said)


def _checked(found: Iterable[Sample | BadSample], now_ms: int) -> Iterator[Sample | BadSample]:
    for one in found:
        try:
            yield one if isinstance(one, BadSample) else one.checked(now_ms)
        except BadSample as bad:
            yield bad


def _tables(file: IO[bytes], key: bytes, told: _Progress) -> list[Iterator[_Row]]:
    if not packed.is_zip(file):
        whole = packed.Part(0, "", lambda: file, 1.0)
        return [_rows(whole, key, told.add, MAX_BYTES)]
    try:
        parts = packed.parts(file, ".csv")
    except BadSample as bad:
        return [iter([_Row(0, 0, None, bad)])]
    return [_in_place(_rows(part, key, _scaled(told, part.share), packed.MAX_INFLATED)) for part in parts]


def _scaled(told: _Progress, share: float) -> Callable[[float], None]:
    return lambda size: told.add(size * share)


def _in_place(rows: Iterable[_Row]) -> Iterator[_Row]:
    """Let a row whose time is later than that of the next one come with the next: a table is written in order.

    A damaged time that held its table back would make a silence of cells, and so dead zones, out of all that follows.
    """
    held: _Row | None = None
    for row in rows:
        if held is not None:
            yield held if held.time_ms <= row.time_ms else held._replace(time_ms=row.time_ms)
        held = row
    if held is not None:
        yield held


def _rows(part: packed.Part, key: bytes, add: Callable[[float], None], limit: int) -> Iterator[_Row]:
    """Yield a table's rows; one that is bad has the time of the row before it."""
    last_ms, at = 0, part.place.strip()
    try:
        with packed.damage():
            stream = part.open()
            head = _head(stream, part.place, add)
        for n, line in _lines(stream, head.lines, add, limit):
            if not line:
                yield _Row(last_ms, part.number, None, None)
                continue
            at = f"{part.place}{head.kind} line {n}"
            try:
                record = _record(head, line, key)
                last_ms = record.time_ms
                yield _Row(last_ms, part.number, record, None)
            except BadSample as bad:
                yield _Row(last_ms, part.number, None, BadSample(bad.reason, f"{at} {bad.value}".strip()))
    except BadSample as bad:
        yield _Row(last_ms, part.number, None, BadSample(bad.reason, bad.value or at))


class _Head(NamedTuple):
    kind: str
    columns: Mapping[str, int]
    separator: str
    lines: int


def _head(stream: IO[bytes], place: str, add: Callable[[float], None]) -> _Head:
    """Return what the header says. Raises BadSample for a file that is none of ours."""
    for n in range(1, _HEAD_LINES + 1):
        raw = stream.readline(_MAX_LINE)
        add(len(raw))
        try:
            line = raw.decode("utf-8-sig" if n == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise BadSample("encoding", f"{place}line {n}") from None
        if not raw or not line.strip():
            if raw:
                continue
            break
        if line.startswith(("#", '"#')) or "CSV Version" in line[:30]:
            version = _VERSION.search(line)
            if "Version" in line and (version is None or version[1] != "0"):
                raise BadSample("version", f"{place}line {n}")
            continue
        if line.startswith("sep="):
            continue
        return _columns(line, n, place)
    raise BadSample("header", place.strip())


def _columns(line: str, n: int, place: str) -> _Head:
    separator = max(",;\t", key=line.count)
    names = [name.strip().strip('"') for name in line.split(separator)]
    kind = next((kind for kind, wanted in _KINDS.items() if wanted <= set(names)), None)
    if kind is None or len(names) > _MAX_COLUMNS:
        raise BadSample("header", f"{place}line {n}")
    if kind not in {"wifi", "bluetooth"} and (len(set(names)) < len(names) or not set(names) >= _NEEDED):
        raise BadSample("header", f"{place}{kind} line {n}")
    return _Head(kind, {name: column for column, name in enumerate(names)}, separator, n)


def _lines(stream: IO[bytes], done: int, add: Callable[[float], None], limit: int) -> Iterator[tuple[int, bytes]]:
    size, n = 0, done
    with packed.damage():
        while raw := stream.readline(_MAX_LINE):
            n += 1
            while len(raw) == _MAX_LINE and not raw.endswith(b"\n"):  # too long for a row: passed over to its end
                add(len(raw))
                size += len(raw)
                yield n, b""
                raw = stream.readline(_MAX_LINE) or b"\n"
            add(len(raw))
            size += len(raw)
            if size > limit:
                raise BadSample("size", f"line {n}")
            yield n, raw if raw.strip() else b""


def _record(head: _Head, raw: bytes, key: bytes) -> Record:
    if head.kind in {"wifi", "bluetooth"}:
        raise BadSample(head.kind)
    if not raw.endswith(b"\n"):
        raise BadSample("cut off")  # its last number may have lost digits
    try:
        row = next(csv.reader([raw.decode()], delimiter=head.separator, strict=True))
    except UnicodeDecodeError:
        raise BadSample("encoding") from None
    except csv.Error:
        raise BadSample("quotes") from None
    if len(row) != len(head.columns):
        raise BadSample("columns")
    columns = head.columns

    def get(field: str) -> str | None:
        column = columns.get(field)
        return None if column is None else row[column]

    kind: Kind = head.kind  # type: ignore[assignment]
    return clean(kind, get, key)
