"""A CSV table that people keep by hand: each cell that cannot be right is named with its value, rule and remedy.

The cooperative edits these files in a spreadsheet, so the marks of spreadsheets are understood (a byte order mark,
semicolons, decomposed accents) and their classic mistakes are told apart (a decimal comma, degrees and minutes, metres
instead of degrees). A row costs only itself; a wrong header costs the file, because then no cell can be trusted.
Lines that begin with `#` are remarks. Words are in Vietnamese, then English.
"""

from __future__ import annotations

import csv
import io
import math
import unicodedata
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar

from settings.words import Refused, because

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

T = TypeVar("T")
MAX_TEXT = 300  # characters of a cell; longer texts are stories and have files of their own


class TableError(Refused, ValueError):
    """The table as a whole cannot be read: the file is missing, or its header is not ours."""

    def __init__(self, name: str, **facts: Any) -> None:
        super().__init__("cloud.config", "registry", name, **facts)


class Bad(Exception):
    """One row cannot be used; the words say why and what to do, in Vietnamese and English."""

    def __init__(self, vi: str, en: str) -> None:
        super().__init__(f"{vi} / {en}")


class Row:
    """The cells of one row by their column; every getter raises `Bad` with the column and the value in its words."""

    def __init__(self, cells: dict[str, str]) -> None:
        self._cells = cells

    def text(self, column: str) -> str:
        """Return a cell that must not be blank."""
        text = self.blank_or_text(column)
        if not text:
            raise Bad(f"cột {column} để trống — hãy điền", f"column {column} is blank: fill it in")
        return text

    def blank_or_text(self, column: str) -> str:
        """Return a cell, trimmed; blank where the column is left out."""
        text = self._cells.get(column, "").strip()
        if "\ufffd" in text:
            raise Bad(
                f"cột {column}: {text!r} sai bảng mã — lưu tệp dạng CSV UTF-8",
                f"column {column}: {text!r} is not UTF-8: save the file as CSV UTF-8",
            )
        if len(text) > MAX_TEXT:
            raise Bad(
                f"cột {column} dài {len(text)} ký tự, nhiều nhất {MAX_TEXT}",
                f"column {column} has {len(text)} characters, at most {MAX_TEXT} fit",
            )
        return text

    def number(self, column: str, low: float, high: float) -> float:
        """Return a finite number from `low` to `high`."""
        text = self.text(column)
        try:
            number = float(text)
        except ValueError:
            raise _not_a_number(column, text) from None
        if not math.isfinite(number) or not low <= number <= high:
            raise Bad(
                f"cột {column}: {text} phải từ {low:g} đến {high:g}",
                f"column {column}: {text} must be from {low:g} to {high:g}",
            )
        return number

    def number_or_none(self, column: str, low: float, high: float) -> float | None:
        """Return a number, or None where the cell is blank."""
        return self.number(column, low, high) if self.blank_or_text(column) else None

    def whole(self, column: str, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`."""
        number = self.number(column, low, high)
        if number != int(number):
            raise Bad(
                f"cột {column}: {self.text(column)} phải là số nguyên",
                f"column {column}: {self.text(column)} must be a whole number",
            )
        return int(number)

    def whole_or_none(self, column: str, low: int, high: int) -> int | None:
        """Return a whole number, or None where the cell is blank."""
        return self.whole(column, low, high) if self.blank_or_text(column) else None

    def day(self, column: str) -> date:
        """Return a day written as 2025-07-01."""
        text = self.text(column)
        try:
            return date.fromisoformat(text)
        except ValueError:
            raise Bad(
                f"cột {column}: '{text}' không phải ngày — viết năm-tháng-ngày: 2025-07-01",
                f"column {column}: '{text}' is no date: write year-month-day, 2025-07-01",
            ) from None

    def period(self) -> tuple[date, date | None]:
        """Return `valid_from` and `valid_to` (not included; None for "still"). They must not be reversed."""
        start = self.day("valid_from")
        end = self.day("valid_to") if self.blank_or_text("valid_to") else None
        if end is not None and end <= start:
            raise Bad(
                f"cột valid_to: {end} không sau valid_from {start} — hai ngày bị đảo?",
                f"column valid_to: {end} is not after valid_from {start}: are the two reversed?",
            )
        return start, end

    def choice(self, column: str, allowed: tuple[str, ...]) -> str:
        """Return a cell that is one of the allowed words."""
        text = self.text(column)
        if text not in allowed:
            words = ", ".join(allowed)
            raise Bad(
                f"cột {column}: '{text}' không có trong: {words}",
                f"column {column}: '{text}' is none of: {words}",
            )
        return text

    def flag(self, column: str) -> bool:
        """Return True for yes, False for no or blank."""
        return bool(self.blank_or_text(column)) and self.choice(column, ("yes", "no")) == "yes"


def rows(
    path: Path,
    columns: tuple[str, ...],
    build: Callable[[Row], T],
    bad: Callable[[str, int, str], None],
    optional: tuple[str, ...] = (),
) -> Iterator[T]:
    """Yield what `build` makes of each row; a row that raises `Bad` goes to `bad(file, line, words)` instead.

    Raises TableError when the file is missing, or a column is missing, unknown or doubled.
    """
    records = _records(path)
    line, header = next(records, (1, []))
    _check_header(path, line, header, columns, optional)
    for line, cells in records:
        try:
            yield build(_row(header, cells))
        except Bad as error:
            bad(path.name, line, str(error))


def _row(header: list[str], cells: list[str]) -> Row:
    if len(cells) != len(header):
        raise Bad(
            f"có {len(cells)} ô, cần {len(header)} — dấu phẩy trong chữ phải nằm trong ngoặc kép",
            f"{len(cells)} cells instead of {len(header)}: a comma inside a text needs double quotes around it",
        )
    return Row(dict(zip(header, cells, strict=True)))


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells) of each record that is neither blank nor a remark."""
    try:
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise TableError("unreadable", path=path, **because(error)) from error
    text = unicodedata.normalize("NFC", text)
    head = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    delimiter = ";" if ";" in head and "," not in head else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells) and not cells[0].startswith("#"):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise TableError("not_csv", path=path, line=line, **because(error)) from error


def _check_header(
    path: Path, line: int, header: list[str], columns: tuple[str, ...], optional: tuple[str, ...]
) -> None:
    header[:] = [name.strip() for name in header]
    known = (*columns, *optional)
    unknown = [name for name in header if name not in known]
    missing = [name for name in columns if name not in header]
    if unknown or missing or len(set(header)) != len(header):
        kind, which = ("unknown", unknown) if unknown else ("missing", missing) if missing else ("twice", [])
        facts = {"which": ", ".join(map(repr, which)), "known": ", ".join(known)}
        raise TableError(f"column_{kind}", path=path, line=line, **facts)


def _not_a_number(column: str, text: str) -> Bad:
    whole, comma, part = text.partition(",")
    if comma and part.isdigit() and whole.lstrip("-").isdigit():
        return Bad(
            f"cột {column}: '{text}' — dùng dấu chấm thập phân: {whole}.{part}",
            f"column {column}: '{text}' has a decimal comma: write {whole}.{part}",
        )
    if any(mark in text for mark in "°'′″"):
        return Bad(
            f"cột {column}: '{text}' — viết độ thập phân, ví dụ 21.6201",
            f"column {column}: '{text}' is in degrees and minutes: write decimal degrees, like 21.6201",
        )
    return Bad(f"cột {column}: '{text}' không phải là số", f"column {column}: '{text}' is not a number")
