"""A record as the fields of a form: made from the cells of its kind, so that a new column is a new field.

What is wrong with a field stands beside it, in the registry's own sentences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cloud.registry.alphabet import order
from cloud.registry.cells import (
    Addresses,
    Bad,
    Choice,
    Clock,
    Day,
    Flag,
    Mail,
    Moment,
    Number,
    Outline,
    Ref,
    Several,
    Text,
    Whole,
)
from cloud.registry.kinds import KINDS, PLACES, Consent, Record
from cloud.registry.rows import columns, read

if TYPE_CHECKING:
    from cloud.registry.cells import Cell
    from cloud.registry.rows import Column
    from cloud.staff.visit import Visit

SELECT, SUGGEST = 40, 400  # options up to which a list is shown whole, or proposed while one types
YES_NO = ("yes", "no")


class Field(NamedTuple):
    """One column. `shape` is the kind of input; `options` are (value, words); `now` is what somebody else wrote."""

    name: str
    label: str
    hint: str
    shape: str
    value: str
    needed: bool
    fixed: bool
    options: list[tuple[str, str]]
    why: str
    now: str


def fields(
    visit: Visit,
    kind: str,
    texts: dict[str, str],
    *,
    faults: dict[str, str] | None = None,
    theirs: dict[str, str] | None = None,
    fixed: bool = False,
) -> list[Field]:
    """Return the fields of a kind. `texts` is what stands in them; with `fixed` the key cannot be changed."""
    struct, s = KINDS[kind], visit.s
    found = []
    for column in columns(struct):
        shape, options = _shape(visit, struct, column)
        value, now = texts.get(column.name, ""), (theirs or {}).get(column.name, "")
        found.append(
            Field(
                column.name,
                s.label(kind, column.name),
                s.hint(kind, column.name),
                shape,
                value,
                column.needed,
                fixed and column.name in struct.key,
                options,
                (faults or {}).get(column.name, ""),
                (now or "—") if theirs is not None and now != value else "",
            )
        )
    return found


def blank(kind: str) -> dict[str, str]:
    """Return what stands in the fields of a new record: the defaults of its kind."""
    texts = {}
    for column in columns(KINDS[kind]):
        told = column.default not in (None, "", (), {})
        texts[column.name] = column.cell.write(column.default) if told else ""
    return texts


def typed(visit: Visit, kind: str) -> dict[str, str]:
    """Return what was typed into the fields of a kind."""
    texts = {}
    for column in columns(KINDS[kind]):
        values = visit.form.get(column.name, [])
        several = isinstance(column.cell, Several) or (isinstance(column.cell, Ref) and column.cell.many)
        text = " ".join(values) if several else "".join(values[:1])
        texts[column.name] = _pointed(text) if isinstance(column.cell, Number | Whole) else text
    return texts


def judged(kind: str, texts: dict[str, str]) -> tuple[Record | None, list[Bad]]:
    """Return the record that was typed, or everything that is wrong with its cells: not only the first."""
    bads = []
    for column in columns(KINDS[kind]):
        text = texts.get(column.name, "").strip()
        if not text and column.needed:
            bads.append(Bad("blank", column=column.name))
        elif text and not isinstance(column.cell, Ref):
            try:
                column.cell.read(column.name, text)
            except Bad as bad:
                bads.append(bad)
    if bads:
        return None, bads
    try:
        return read(KINDS[kind], texts), []
    except Bad as bad:
        return None, [bad]


def _pointed(text: str) -> str:
    """Return a number with a point: the keys of a Vietnamese telephone have only the comma, as people write it."""
    return text.replace(",", ".") if text.count(",") == 1 and "." not in text else text


def _shape(visit: Visit, struct: type[Record], column: Column) -> tuple[str, list[tuple[str, str]]]:
    """Return the kind of input of a column, and what may be chosen."""
    cell, s = column.cell, visit.s
    if isinstance(cell, Ref) and cell.many:
        options = consents_for(visit, struct)
        return "ticks" if len(options) <= SELECT else "line", options
    if isinstance(cell, Ref):
        return _of_another(visit, cell, needed=column.needed)
    if isinstance(cell, Flag):
        return "select", [(word, s.word(column.name, word)) for word in YES_NO]
    if isinstance(cell, Choice):
        words = cell.words if column.needed or column.default else ("", *cell.words)
        return "select", [(word, s.word(column.name, word) if word else "—") for word in words]
    if isinstance(cell, Several):
        return "ticks", [(word, s.word(column.name, word)) for word in cell.words]
    return _SHAPES.get(type(cell), "line") if not (isinstance(cell, Text) and cell.long) else "area", []


_SHAPES: dict[type[Cell], str] = {
    Number: "decimal",
    Whole: "whole",
    Day: "date",
    Moment: "datetime-local",
    Clock: "time",
    Mail: "email",
    Outline: "area",
    Addresses: "line",
}


def consents_for(visit: Visit, struct: type[Record]) -> list[tuple[str, str]]:
    """Return the consents that a record may rest on: (code, its person and what to, and whether it is over)."""
    s, today, options = visit.s, visit.staff.shelf.today, []
    for one in visit.staff.shelf.rows("consent"):
        if isinstance(one, Consent) and one.what in struct.by_consent:
            person = visit.staff.shelf.person(one.person)
            over = "" if one.in_force(today) else f" ({s.say('table.consent_over')})"
            options.append((one.code, f"{person.name if person else one.person} · {s.word('what', one.what)}{over}"))
    return sorted(options, key=lambda option: order(option[1]))


def _of_another(visit: Visit, cell: Ref, *, needed: bool) -> tuple[str, list[tuple[str, str]]]:
    kinds = PLACES if cell.of_column else (cell.kind,)
    options: dict[str, str] = {}
    for kind in kinds:
        for record in visit.staff.shelf.rows(kind):
            code = str(getattr(record, "code", ""))
            options[code] = f"{code} · {name}" if (name := visit.s.name(record)) else code
            if len(options) > SUGGEST:
                return "line", []
    if len(options) > SELECT or cell.of_column:
        return "suggest", sorted(options.items())
    none = [] if needed else [("", "—")]
    return "select", none + sorted(options.items())
