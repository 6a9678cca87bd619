"""Rows from elsewhere into the registry: judged one by one and as a whole, written all or not at all."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING

import msgspec

from cloud.registry import Registry
from cloud.registry.book import Book
from cloud.registry.cells import Bad
from cloud.registry.draft import Rejected
from cloud.registry.kinds import KIND_OF, KINDS, Record, key_of, spoken
from cloud.registry.rows import read_all
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
    made, origin = _records(rows, found)
    while True:
        try:
            return _write(book, made, found, who, what, at_ms, dry=dry or (bool(found) and not partial))
        except Rejected as rejected:
            for record, bad in rejected.faults:
                row = origin.pop(id(record))
                found.append(problem(row.file, row.line, bad))
            made = [record for record in made if id(record) in origin]


def _records(rows: Iterable[Row], found: list[Problem]) -> tuple[list[Record], dict[int, Row]]:
    """Return the records in the order in which tables refer to each other, and by its id the row of each.

    Of two with one key the first counts.
    """
    made: list[Record] = []
    origin: dict[int, Row] = {}
    order = {kind: place for place, kind in enumerate(KINDS)}
    seen: dict[str, set[tuple[object, ...]]] = {kind: set() for kind in KINDS}
    in_order = sorted(rows, key=lambda row: order[row.kind])
    for (kind, names), group in groupby(in_order, lambda row: (row.kind, row.names)):
        table, known = list(group), seen[kind]
        for row, record in zip(table, read_all(KINDS[kind], names, [row.texts for row in table]), strict=True):
            if isinstance(record, Bad):
                found.append(problem(row.file, row.line, record))
            elif (key := key_of(record)) in known:
                found.append(problem(row.file, row.line, Bad("twice", key=spoken(key))))
            else:
                known.add(key)
                made.append(record)
                origin[id(record)] = row
    return made, origin


def _write(
    book: Book,
    records: list[Record],
    found: list[Problem],
    who: str,
    what: str,
    at_ms: int,
    *,
    dry: bool,
) -> Report:
    given = Counter(KIND_OF[type(record)] for record in records)
    with book.writing(who, what, at_ms, dry=dry) as draft:
        had = {kind: draft.count(kind) for kind in given}
        draft.put(records)
        new = Counter(kind for kind, _, before, _ in draft.changes if before is None)
        changed = Counter(kind for kind, _, before, _ in draft.changes if before is not None)
    same = given - new - changed
    return Report(
        new=dict(new),
        changed=dict(changed),
        same=dict(same),
        absent={kind: left for kind in given if (left := had[kind] - same[kind] - changed[kind])},
        problems=sorted(found, key=lambda one: (one.file, one.line)),
        written=not dry,
    )


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
