"""Tables that people keep elsewhere, read and written: a folder of CSV files, a workbook, trees on a map.

A reader yields texts with the place that a person would look for them at; `cloud.registry.transfer` judges them.
"""

from __future__ import annotations

import re
from datetime import datetime, time
from typing import TYPE_CHECKING, Any

import msgspec

from cloud.registry.cells import Day, shortest, written
from cloud.registry.kinds import KINDS
from cloud.registry.rows import columns
from settings.words import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cloud.registry.cells import Bad, Cell

STEMS = {
    "province": "provinces",
    "commune": "communes",
    "hamlet": "hamlets",
    "team": "teams",
    "zone": "zones",
    "tree": "trees",
    "tag": "tags",
    "person": "people",
    "consent": "consents",
    "duty": "duties",
    "burn_permit": "burn_permits",
    "known_source": "known_sources",
    "story": "stories",
    "photo": "photos",
    "voice": "voices",
    "gateway": "gateways",
    "device": "devices",
    "binding": "bindings",
    "calibration": "calibrations",
    "maintenance": "maintenance",
    "danger_table": "danger_tables",
    "official_level": "official_levels",
    "lot": "lots",
    "lot_input": "lot_inputs",
}  # what the table of a kind is called, as a file or as a sheet
KIND_OF_STEM = {stem: kind for kind, stem in STEMS.items()}
GUARDED = ("=", "@", "+", "-", "\t", "\r")  # a text that begins so is written with an apostrophe before it

_NAMES, _LETTERS = 20, 40  # of columns that are none of ours, as far as they are told: a file may be no table at all

_GUARD = re.compile(f"'[{re.escape(''.join(GUARDED))}]")


class Row(msgspec.Struct, frozen=True, gc=False):
    """The texts of one row, as many as its columns have names, and where it stands. A table's rows share the names."""

    kind: str
    file: str
    line: int
    names: tuple[str, ...]
    texts: tuple[str, ...]

    @property
    def cells(self) -> dict[str, str]:
        """Return the texts by their column."""
        return dict(zip(self.names, self.texts, strict=True))

    def having(self, cells: Mapping[str, str], kind: str = "") -> Row:
        """Return another row that stands at the same place."""
        return Row(kind or self.kind, self.file, self.line, tuple(cells), tuple(cells.values()))


class Problem(msgspec.Struct, frozen=True):
    """One row that cannot be used, and what to do about it. The others can."""

    file: str
    line: int
    column: str
    value: str
    vi: str
    en: str

    @property
    def words(self) -> str:
        """Return both languages in one line."""
        return f"{self.vi} / {self.en}"


class SheetError(Refused, ValueError):
    """A table as a whole cannot be read: the file is missing or damaged, or its header is not ours."""

    def __init__(self, name: str, **facts: Any) -> None:
        super().__init__("cloud.registry", "sheet", name, **facts)


def header(kind: str, names: Sequence[str], **place: Any) -> None:
    """Raise SheetError for a header that is not the kind's: then no cell below it can be trusted."""
    known = columns(KINDS[kind])
    unknown = [name for name in names if name not in {column.name for column in known}]
    missing = [column.name for column in known if column.needed and column.name not in names and column.name != "text"]
    twice = list(dict.fromkeys(name for at, name in enumerate(names) if name in names[:at]))
    if unknown or missing or twice:
        fault, which = ("unknown", unknown) if unknown else ("missing", missing) if missing else ("twice", twice)
        said = [repr(name[:_LETTERS] + "…" * (len(name) > _LETTERS)) for name in which[:_NAMES]]
        facts = {
            "which": ", ".join(said) + " …" * (len(which) > _NAMES),
            "known": ", ".join(column.name for column in known),
        }
        raise SheetError(f"column_{fault}", **place, **facts)


def guarded(kind: str, cells: Mapping[str, str]) -> dict[str, str]:
    """Return cells that no spreadsheet takes for a formula: numbers may have a sign, texts get an apostrophe."""
    of = {column.name: column.cell for column in columns(KINDS[kind])}
    return {
        name: f"'{text}" if of[name].sql == "TEXT" and text.startswith(GUARDED) else text
        for name, text in cells.items()
    }


def bare(text: str) -> str:
    """Return what `guarded` was given."""
    return text[1:] if text.startswith("'") and text[1:].startswith(GUARDED) else text


def as_typed(value: Any, cell: Cell) -> str:
    """Return what a workbook or a map holds for a cell as a person would have typed it into a CSV file."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return shortest(value) if cell.sql == "TEXT" else written(value)
    if isinstance(value, datetime):  # a spreadsheet's dates have a time of the day as well, most of them midnight
        bare_day = isinstance(cell, Day) or value.time() == time.min
        return value.date().isoformat() if bare_day else value.isoformat(timespec="minutes")
    return str(value).removesuffix(":00") if isinstance(value, time) else str(value)


def guard_in(text: str) -> bool:
    """Return whether a table has a cell that `guarded` may have changed: most have none."""
    return _GUARD.search(text) is not None


def problem(file: str, line: int, bad: Bad) -> Problem:
    """Return what was wrong with a row."""
    return Problem(file, line, bad.column, bad.value, bad.told("vi"), bad.told("en"))
