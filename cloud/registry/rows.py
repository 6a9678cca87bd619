"""A row of a table as texts, and back: what a cell, a column and a row may say is read off the record's struct."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

from cloud.registry.cells import Bad, Cell, Day, Moment, Ref, Text, TreeCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cloud.registry.kinds import Record

_PROSE = frozenset({"text", "standing"})  # no cell of a spreadsheet
FORMULAS = frozenset("=@")  # no cell begins so, but of a story: a spreadsheet would run it
FIRST_YEAR = 1800
_TREE_CODE = TreeCode()


class Column(msgspec.Struct, frozen=True):
    """A field of a record: its cell, and what stands for a blank one; `needed` where nothing does."""

    name: str
    cell: Cell
    needed: bool
    default: Any = None


@cache
def columns(struct: type[Record]) -> tuple[Column, ...]:
    """Return the columns of a table in the order of the struct."""
    hints = get_type_hints(struct, include_extras=True)
    return tuple(
        Column(field.name, hints[field.name].__metadata__[0], needed=field.required, default=_default(field))
        for field in msgspec.structs.fields(struct)
    )


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.required:
        return None
    return field.default_factory() if field.default is msgspec.NODEFAULT else field.default


@cache
def refs(struct: type[Record]) -> tuple[tuple[str, Ref], ...]:
    """Return (column, reference) of each column that names a row of another table."""
    return tuple((column.name, column.cell) for column in columns(struct) if isinstance(column.cell, Ref))


def _stand(column: Column, texts: Sequence[str]) -> bool:
    """Return whether surely all texts of a column are its values."""
    return (
        isinstance(column.cell, Text)
        and ("" not in texts or column.default == "")
        and FORMULAS.isdisjoint([text[:1] for text in texts])
        and all(map(str.__eq__, map(str.strip, texts), texts))
        and column.cell.all_stand(texts)
    )


class _Reading(dict[str, Any]):
    """What the texts of a column mean: a value, what stands for a blank one, or the Bad that it is. Each is read once.

    A blank cell that is needed is None, as no value of such a column is.
    """

    def __init__(self, name: str, cell: Cell, blank: Any) -> None:
        self._name, self._cell, self._blank = name, cell, blank
        self.bad = False  # whether one of them is

    def __missing__(self, text: str) -> Any:
        bare = text.strip()
        try:
            value = self._read(bare) if bare else self._blank
        except Bad as bad:
            self.bad, value = True, bad
        self[text] = value
        return value

    def _read(self, text: str) -> Any:
        if text[0] in FORMULAS and self._name not in _PROSE:
            raise Bad("formula", column=self._name, value=text)
        return self._cell.read(self._name, text)


@cache
def _of_place(struct: type[Record]) -> tuple[tuple[str, str], ...]:
    """Return (column, column that says of which kind) of each code that may be a tree's."""
    return tuple((name, cell.kind) for name, cell in refs(struct) if cell.of_column)


def read(struct: type[Record], cells: Mapping[str, str]) -> Record:
    """Return the record of a row of texts; a column that is left out is blank. Raises Bad."""
    (record,) = read_all(struct, tuple(cells), [tuple(cells.values())])
    if isinstance(record, Bad):
        raise record
    return record


def read_all(struct: type[Record], names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Record | Bad]:
    """Return of each row of texts its record, or what is wrong with it first. The rows have a text for each name.

    They are read column by column, for in most columns the same texts come again and again.
    """
    values, faults = _values(struct, names, rows)
    for column in columns(struct):
        if column.needed and None in (told := values.get(column.name, [None] * len(rows))):
            blank = Bad("blank", column=column.name)
            for place, value in enumerate(told):
                if value is None:
                    faults.setdefault(place, blank)
    for column in columns(struct):  # a column that nobody filled need not be told to each record
        if column.name in values and values[column.name].count(column.default) == len(rows):
            del values[column.name]
    made: list[Record | Bad] = []
    for place, row in enumerate(zip(*values.values(), strict=True) if values else [()] * len(rows)):
        if (fault := faults.get(place)) is not None:
            made.append(fault)
            continue
        record = struct(**dict(zip(values, row, strict=True)))
        try:
            _check_years(record)
            record.check()
        except Bad as bad:
            made.append(bad)
        else:
            made.append(record)
    return made


def _check_years(record: Record) -> None:
    """Raise Bad for a year before there was a garden: people type 26, and their browser makes 0026 of it."""
    for name in _days(type(record)):
        if (day := getattr(record, name)) is not None and day.year < FIRST_YEAR:
            raise Bad("year", column=name, value=f"{day.year:04}", first=FIRST_YEAR, meant=2000 + day.year % 100)


@cache
def _days(struct: type[Record]) -> tuple[str, ...]:
    return tuple(column.name for column in columns(struct) if isinstance(column.cell, Day | Moment))


def read_key(struct: type[Record], texts: Sequence[str]) -> tuple[Any, ...]:
    """Return the key that texts spell, as `key_of` has it. Raises Bad."""
    values, faults = _values(struct, struct.key[: len(texts)], [texts[: len(struct.key)]])
    if faults:
        raise faults[0]
    missing = next((name for name in struct.key if values.get(name, [None])[0] is None), "")
    if missing or len(texts) != len(struct.key):
        raise Bad("blank", column=missing or struct.key[-1])
    return tuple(values[name][0] for name in struct.key)


def _values(
    struct: type[Record], names: Sequence[str], rows: Sequence[Sequence[str]]
) -> tuple[dict[str, list[Any]], dict[int, Bad]]:
    """Return the values of each column that the struct knows, and by its place each row that has a bad cell."""
    texts = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {}
    known, places = {column.name: column for column in columns(struct)}, dict(_of_place(struct))
    found: dict[str, list[Any]] = {}
    faults: dict[int, Bad] = {}
    for name in filter(known.__contains__, texts):
        column = known[name]
        if _stand(column, texts[name]):
            found[name] = list(texts[name])
            continue
        reading = _Reading(name, column.cell, column.default)
        values = found[name] = list(map(reading.__getitem__, texts[name]))
        if (of := texts.get(places.get(name, ""))) is not None:
            # people write a tree's code in small letters and with dashes, as no other code
            codes = _Reading(name, _TREE_CODE, column.default)
            for place, kind in enumerate(of):
                if kind.strip() == "tree":
                    values[place] = codes[texts[name][place]]
            reading.bad |= codes.bad
        if reading.bad:
            for place, value in enumerate(values):
                if isinstance(value, Bad):
                    faults.setdefault(place, value)
    return found, faults


def write(record: Record) -> dict[str, str]:
    """Return the texts that `read` makes the same record of; blank where a column has its default of nothing."""
    told = {}
    for column in columns(type(record)):
        value = getattr(record, column.name)
        told[column.name] = column.cell.write(value) if _says(value) else ""
    return told


def _says(value: Any) -> bool:
    return value is not None and value not in ("", (), {})


def references(record: Record) -> list[tuple[str, str, str]]:
    """Return (column, kind, code) of each row that a record refers to."""
    return [
        (name, getattr(record, cell.kind) if cell.of_column else cell.kind, code)
        for name, cell in refs(type(record))
        if (value := getattr(record, name))
        for code in (value if cell.many else (value,))
    ]
