"""How the records of a kind lie in SQL: numbers and texts as they are, the rest as its cell writes it.

All statements about kinds are made here, from the names of structs and their fields, never from what people type.
"""

from __future__ import annotations

import logging
from functools import cache
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, get_type_hints

from cloud.registry.cells import Bad
from cloud.registry.kinds import KIND_OF, KINDS, Record
from cloud.registry.rows import Column, columns, refs

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)
RENAMED = {("photo", "consents"): "consent"}  # columns of before: one consent became several


class Table:
    """The statements and the conversions of one kind."""

    def __init__(self, struct: type[Record]) -> None:
        self._struct, self._columns = struct, columns(struct)
        self.kind = KIND_OF[struct]
        self._names = tuple(column.name for column in self._columns)
        self._values = attrgetter(*self._names)
        hints = get_type_hints(struct)
        self._written = tuple(
            (place, column)
            for place, column in enumerate(self._columns)
            if hints[column.name] not in (str, int, float, int | None, float | None)
        )
        written = {column.name: column.cell for _, column in self._written}
        self._key_cells = tuple(written.get(name) for name in struct.key)
        names, self.key = _listed(self._names), _listed(struct.key)
        self._identity = tuple(name for name in struct.key if name != "valid_from")
        self.key_at = itemgetter(*map(self._names.index, struct.key))  # of a row, as it lies
        select = f'SELECT {names} FROM "{self.kind}"'
        self.any = select
        self.count = f'SELECT count(*) FROM "{self.kind}"'
        self.all = f"{select} ORDER BY {self.key}"
        self.one = f"{select} WHERE {_equal(struct.key)}"
        self.beside = f"{select} WHERE {_equal(struct.key[:2])}"  # whose keys begin with the same two parts
        self.put = f'INSERT OR REPLACE INTO "{self.kind}" ({names}) VALUES ({", ".join("?" * len(self._names))})'
        self.remove = f'DELETE FROM "{self.kind}" WHERE {_equal(struct.key)}'
        self.known = f'SELECT 1 FROM "{self.kind}" WHERE code = ? LIMIT 1'
        self.codes = f'SELECT DISTINCT code FROM "{self.kind}" LIMIT ?'
        self.periods = f'SELECT valid_from, valid_to FROM "{self.kind}" WHERE {_equal(self._identity)} ORDER BY 1'

    def found(self, known: set[str]) -> Iterator[str]:
        """Yield what makes the table, or adds the columns that it does not know yet."""
        if known:
            for column in self._columns:
                before = RENAMED.get((self.kind, column.name))
                if column.name not in known and before in known:
                    yield f'ALTER TABLE "{self.kind}" RENAME COLUMN "{before}" TO "{column.name}"'
                elif column.name not in known:
                    yield f'ALTER TABLE "{self.kind}" ADD COLUMN {self._declared(column)}'
            return
        made = ", ".join(map(self._declared, self._columns))
        yield f'CREATE TABLE "{self.kind}" ({made}, PRIMARY KEY ({self.key})) STRICT'
        for name, _ in refs(self._struct):
            yield f'CREATE INDEX "{self.kind}_by_{name}" ON "{self.kind}" ("{name}")'

    def bridged(self, known: set[str]) -> str | None:
        """Return what lets a reader see the table of an earlier gocche as one of ours; None where it is one."""
        if known.issuperset(self._names):
            return None
        cells = [self._seen(column, known) for column in self._columns]
        rows = f'FROM main."{self.kind}"' if known else "WHERE 0"
        return f'CREATE TEMP VIEW "{self.kind}" AS SELECT {", ".join(cells)} {rows}'

    def record(self, row: tuple[Any, ...]) -> Record:
        """Return the record of a row of `all` or `one`."""
        values: list[Any] = list(row)
        for place, column in self._written:
            text = values[place]
            values[place] = column.cell.read(column.name, text) if text else column.default
        return self._struct(**dict(zip(self._names, values, strict=True)))

    def readable(self, row: tuple[Any, ...]) -> Record | None:
        """Return the record of a row; one that cannot be read is told and left out: no room is lost with it."""
        try:
            return self.record(row)
        except Bad as bad:
            log.warning("registry-row-unread kind=%s code=%r column=%s why=%s", self.kind, row[0], bad.column, bad.name)
            return None

    def row(self, record: Record) -> tuple[Any, ...]:
        """Return what `put` takes."""
        values = list(self._values(record))
        for place, column in self._written:
            if values[place] is not None:
                values[place] = column.cell.write(values[place])
        return tuple(values)

    def of(self, key: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return a key as it lies in the table."""
        pairs = zip(self._key_cells, key, strict=True)
        return tuple(part if cell is None else cell.write(part) for cell, part in pairs)

    def identity(self, record: Record) -> tuple[Any, ...]:
        """Return what a record with a period is about: its key without the first day."""
        return tuple(getattr(record, name) for name in self._identity)

    def users(self, of_kind: str) -> Iterator[tuple[str, bool]]:
        """Yield what finds a row that refers to a code of a kind: (query, whether it also asks for the kind)."""
        for name, ref in refs(self._struct):
            equal = f"instr(' ' || \"{name}\" || ' ', ' ' || ? || ' ')" if ref.many else f'"{name}" = ?'
            query = f'SELECT {self.key} FROM "{self.kind}" WHERE {equal}'
            if ref.of_column:
                yield f'{query} AND "{ref.kind}" = ? LIMIT 1', True
            elif ref.kind == of_kind:
                yield f"{query} LIMIT 1", False

    def _declared(self, column: Column) -> str:
        """Return how SQL declares a column; one that comes later has the struct's default in the rows before it."""
        kept = self._default(column)
        return f'"{column.name}" {column.cell.sql}' + ("" if kept == "NULL" else f" DEFAULT {kept}")

    def _seen(self, column: Column, known: set[str]) -> str:
        """Return how a column is selected from a table that has those `known`."""
        before = RENAMED.get((self.kind, column.name), "")
        there = next((name for name in (column.name, before) if name in known), None)
        found = self._default(column) if there is None else f'"{there}"'
        return f'{found} AS "{column.name}"'

    def _default(self, column: Column) -> str:
        """Return the struct's default as SQL has it."""
        kept = column.default
        if kept is not None and any(column is one for _, one in self._written):
            kept = column.cell.write(kept)
        return "NULL" if kept is None else repr(kept)


@cache
def table(kind: str) -> Table:
    """Return the table of a kind."""
    return Table(KINDS[kind])


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _equal(names: tuple[str, ...]) -> str:
    return " AND ".join(f'"{name}" = ?' for name in names)
