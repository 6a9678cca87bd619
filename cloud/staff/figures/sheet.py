"""A table as a sheet of cells, the same for the page, CSV and XLSX: what the columns are, what is missing, the rows.

Raw readings have one column a line, hours and days three; each line's last column says why a figure is not there.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any

import msgspec

from cloud.clock import hanoi
from cloud.registry.sheets import GUARDED
from cloud.staff.figures.question import DAY, HOUR, RAIN, RAW
from cloud.staff.figures.table import AHEAD, KNOWN, MAINTAINED, NOT_HERE, NOTHING, THERE, UNASKED
from cloud.staff.words import UNITS
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloud.staff.figures.table import Column, Table
    from cloud.staff.words import Speaker

Cell = str | float | int | None
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f]")  # no cell of a workbook can hold them
_WHY = {
    NOTHING: "data.nothing",
    UNASKED: "data.unasked",
    AHEAD: "data.ahead",
    NOT_HERE: "data.not_here",
    MAINTAINED: "data.maintained",
}

STEP_WORDS = {RAW: "data.step_goc", HOUR: "data.step_gio", DAY: "data.step_ngay"}
_FACTS = (
    "place", "source", "quantity", "due", "found", "complete", "made_up", "mean", "low", "low_at", "high", "high_at",
    "why",
)  # fmt: skip


class Sheet(msgspec.Struct, frozen=True):
    """What a file holds: who made it of what (`about`), and columns of one length under their names."""

    about: list[list[Cell]]
    names: list[str]
    columns: list[list[Cell]]


def sheet(table: Table, s: Speaker, places: Mapping[tuple[str, str], str], public_url: str) -> Sheet:
    """Return a table as cells that no spreadsheet takes for a formula; numbers stay numbers."""
    columns: list[list[Cell]] = [list(map(iso, table.times))]
    for column in table.columns:
        known = [why in KNOWN for why in column.whys]
        whys = {why: text(told(why, s)) or None for why in set(column.whys)}
        parts = (column.values,) if _single(column, table) else (column.values, column.lows, column.highs)
        columns += [[value if there else None for value, there in zip(part, known, strict=True)] for part in parts]
        columns.append([whys[why] for why in column.whys])
    return Sheet(list(_about(table, s, places, public_url)), _names(table, s, places), columns)


def written(made: Sheet) -> bytes:
    """Return the CSV: remarks first, each in a line that begins with `#`, then a header and a line a time."""
    out = io.StringIO(newline="")
    lines = csv.writer(out, lineterminator="\r\n")
    lines.writerows(["#", *row] for row in made.about)
    lines.writerow(made.names)
    lines.writerows(zip(*made.columns, strict=True))
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def told(why: int, s: Speaker) -> str:
    """Return why a figure is absent, or no weather; "" where it is there."""
    return "" if why == THERE else s.say(_WHY[why]) if why in _WHY else s.absent(why)


def unit(quantity: str) -> str:
    """Return a unit as people write it."""
    found = QUANTITIES[quantity].unit
    return UNITS.get(found, found)


def called(column: Column, s: Speaker, step: str) -> str:
    """Return what a column's quantity is called, with its unit and whether it is calibrated.

    A running total of rain is what fell, by hours and days.
    """
    quantity = column.line.quantity
    row = QUANTITIES[quantity]
    name = s.say("data.rain") if quantity == RAIN and step != RAW else s.one(row.vi, row.en)
    name = f"{name} ({unit(quantity)})" if unit(quantity) else name
    return f"{name}, {s.say('data.calibrated')}" if column.calibrated else name


def iso(time_ms: int) -> str:
    """Return a time of Vietnam with its offset: to the second, finer only where it is."""
    return hanoi(time_ms).isoformat(timespec="milliseconds" if time_ms % 1000 else "seconds")


def text(words: str) -> str:
    """Return a text as a cell that is no formula."""
    clean = _CONTROL.sub(" ", words)
    return f"'{clean}" if clean.startswith(GUARDED) else clean


def _single(column: Column, table: Table) -> bool:
    return table.question.step == RAW or column.line.quantity == RAIN


def _names(table: Table, s: Speaker, places: Mapping[tuple[str, str], str]) -> list[str]:
    names = [s.say("data.time")]
    for column in table.columns:
        line = column.line
        name = f"{places.get(line.place, line.place[1])} · {called(column, s, table.question.step)}"
        parts = ["value"] if _single(column, table) else ["mean", "low", "high"]
        names += [f"{name} · {line.source} · {s.say(f'data.{part}')}" for part in [*parts, "why"]]
    return [text(name) for name in names]


def _about(table: Table, s: Speaker, places: Mapping[tuple[str, str], str], public_url: str) -> Any:
    asked = table.question
    yield [text(s.say("data.file", site=public_url or s.say("site.name")))]
    yield [s.say("data.made"), iso(table.made_ms)]
    yield [s.say("data.span"), asked.first.isoformat(), asked.last.isoformat(), s.say(STEP_WORDS[asked.step])]
    if table.invented:
        yield [s.say("data.invented")]
    yield [s.say(f"data.{name}") for name in _FACTS]
    for column in table.columns:
        line = column.line
        why = "; ".join(f"{told(code, s)}: {n}" for code, n in column.reasons)
        yield [
            text(places.get(line.place, line.place[1])),
            text(line.source),
            called(column, s, asked.step),
            column.due,
            column.found,
            column.complete,
            column.invented,
            column.mean,
            *_edge(column.lowest, column.lows, table),
            *_edge(column.highest, column.highs, table),
            text(why),
        ]


def _edge(at: int | None, own: Any, table: Table) -> list[Cell]:
    return [None, None] if at is None else [own[at], iso(table.times[at])]
