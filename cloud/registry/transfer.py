"""Rows from elsewhere into the registry: judged one by one and as a whole, written all or not at all."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from cloud.registry import Registry
from cloud.registry.book import Book
from cloud.registry.cells import Bad
from cloud.registry.draft import Rejected
from cloud.registry.kinds import KIND_OF, KINDS, Record, key_of, read, spoken
from cloud.registry.sheets import Problem, Row, SheetError, comma, geojson, problem

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Report(msgspec.Struct, frozen=True):
    """What an import does, or would do. `absent` are records of the registry that the tables do not have: they stay."""

    new: dict[str, int]
    changed: dict[str, int]
    same: dict[str, int]
    absent: dict[str, int]
    problems: list[Problem]
    written: bool


def bring(
    book: Book,
    rows: Iterable[Row],
    problems: Iterable[Problem],
    *,
    who: str,
    what: str,
    at_ms: int,
    partial: bool = False,
    dry: bool = False,
) -> Report:
    """Bring rows into the registry as one act; with any problem nothing is written, unless `partial` keeps the good.

    `dry` only reports. The same rows a second time change nothing.
    """
    found = list(problems)
    records = _records(rows, found)
    while True:
        try:
            return _write(book, records, found, who, what, at_ms, dry=dry or (bool(found) and not partial))
        except Rejected as rejected:
            for record, bad in rejected.faults:
                _, row = records.pop(id(record))
                found.append(problem(row.file, row.line, bad))


def _records(rows: Iterable[Row], found: list[Problem]) -> dict[int, tuple[Record, Row]]:
    """Return the records in the order in which tables refer to each other; of two with one key the first counts."""
    made: dict[int, tuple[Record, Row]] = {}
    seen: set[tuple[object, ...]] = set()
    order = {kind: place for place, kind in enumerate(KINDS)}
    for row in sorted(rows, key=lambda row: order[row.kind]):
        try:
            record = _judged(row, seen)
        except Bad as bad:
            found.append(problem(row.file, row.line, bad))
        else:
            made[id(record)] = record, row
    return made


def _judged(row: Row, seen: set[tuple[object, ...]]) -> Record:
    record = read(KINDS[row.kind], row.cells)
    key = (row.kind, *key_of(record))
    if key in seen:
        raise Bad("twice", key=spoken(key[1:]))
    seen.add(key)
    return record


def _write(
    book: Book,
    judged: dict[int, tuple[Record, Row]],
    found: list[Problem],
    who: str,
    what: str,
    at_ms: int,
    *,
    dry: bool,
) -> Report:
    records = [record for record, _ in judged.values()]
    with book.writing(who, what, at_ms, dry=dry) as draft:
        counts = _count(records, {kind: draft.whole(kind) for kind in {KIND_OF[type(record)] for record in records}})
        draft.put(records)
    return Report(**counts, problems=sorted(found, key=lambda one: (one.file, one.line)), written=not dry)


def _count(records: Iterable[Record], before: dict[str, dict[tuple[object, ...], Record]]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {"new": {}, "changed": {}, "same": {}, "absent": {}}
    seen: dict[str, int] = {}
    for record in records:
        kind = KIND_OF[type(record)]
        was = before[kind].get(key_of(record))
        what = "new" if was is None else "same" if was == record else "changed"
        counts[what][kind] = counts[what].get(kind, 0) + 1
        seen[kind] = seen.get(kind, 0) + (was is not None)
    counts["absent"] = {kind: left for kind in seen if (left := len(before[kind]) - seen[kind])}
    return counts


def read_any(path: Path) -> tuple[list[Row], list[Problem]]:
    """Return the rows of a folder of CSV files, a workbook or a GeoJSON file, by its name. Raises SheetError."""
    is_file = False
    with suppress(OSError):  # a name that no disk takes is no file
        is_file = path.is_file()
    if not is_file:
        return comma.read(path)
    if path.suffix == ".xlsx":
        from cloud.registry.sheets import workbook  # noqa: PLC0415 - openpyxl takes 0.3 s and 20 MB that few need

        return workbook.read(path), []
    if path.suffix in {".geojson", ".json"}:
        return geojson.read(path), []
    raise SheetError("no_such_form", path=path)


def load(path: Path, kinds: Iterable[str] = tuple(KINDS)) -> Registry:
    """Return the registry that tables would make by themselves, with the problems of their rows. Raises SheetError."""
    rows, problems = read_any(path)
    with Book(None, writer=True) as book:
        report = bring(book, rows, problems, who="", what="", at_ms=0, partial=True)
        return Registry({kind: book.rows(kind) for kind in kinds}, report.problems)
