"""A workbook (XLSX) with a sheet for each table: what people who keep no files want to have and to give."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

from openpyxl import Workbook, load_workbook
from openpyxl.styles import Font
from openpyxl.utils.exceptions import InvalidFileException

from cloud.registry.kinds import KINDS
from cloud.registry.rows import columns, write
from cloud.registry.sheets import KIND_OF_STEM, STEMS, Row, SheetError, as_typed, bare, guarded, header
from settings.words import because

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from cloud.registry.kinds import Record

LARGEST = 64 * 2**20  # bytes that a workbook may unpack to: 40,000 trees take 20 MB; a bomb takes more


def read(path: Path) -> list[Row]:
    """Return the rows of a workbook's sheets. Sheets that are no table of ours are refused, not passed over.

    Raises SheetError.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(part.file_size for part in packed.infolist())
        if size > LARGEST:
            raise SheetError("too_large", path=path, size=size // 2**20, limit=LARGEST // 2**20)
        book = load_workbook(path, read_only=True, data_only=False)
    except (OSError, zipfile.BadZipFile, InvalidFileException, KeyError, ValueError) as error:
        if isinstance(error, SheetError):
            raise
        raise SheetError("no_workbook", path=path, **because(error)) from error
    try:
        return [row for sheet in book.worksheets for row in _sheet(path, sheet)]
    finally:
        book.close()


def write_workbook(path: Path, records: Mapping[str, Iterable[Record]]) -> None:
    """Write every kind's table as a sheet: numbers are numbers, everything else text. Raises OSError."""
    book = Workbook(write_only=True)
    for kind, of_kind in records.items():
        sheet = book.create_sheet(STEMS[kind])
        sheet.freeze_panes = "A2"
        of = columns(KINDS[kind])
        sheet.append([_bold(sheet, column.name) for column in of])
        for record in of_kind:
            cells = guarded(kind, write(record))
            sheet.append([_typed(column.cell.sql, cells[column.name]) for column in of])
    new = path.with_name(f".{path.name}.new")
    book.save(new)
    new.replace(path)


def _sheet(path: Path, sheet: Any) -> Iterator[Row]:
    kind = KIND_OF_STEM.get(sheet.title)
    if kind is None:
        raise SheetError("no_such_sheet", path=path, sheet=sheet.title, known=", ".join(KIND_OF_STEM))
    rows = sheet.iter_rows(values_only=True)
    names = ["" if cell is None else str(cell).strip() for cell in next(rows, ())]
    while names and not names[-1]:  # what a spreadsheet leaves behind at the right
        names.pop()
    header(kind, names, path=f"{path}[{sheet.title}]", line=1)
    known = {column.name: column.cell for column in columns(KINDS[kind])}
    of = [known[name] for name in names]
    for line, values in enumerate(rows, 2):
        cells = list(map(as_typed, values, of))
        if any(cell.strip() for cell in cells):
            cells += [""] * (len(names) - len(cells))
            yield Row(kind, f"{path.name}[{sheet.title}]", line, tuple(names), tuple(map(bare, cells)))


def _typed(sql: str, text: str) -> float | int | str | None:
    if not text:
        return None
    if sql == "TEXT" or ":" in text:
        return text
    return int(text) if sql == "INTEGER" else float(text)


def _bold(sheet: Any, text: str) -> Any:
    from openpyxl.cell import WriteOnlyCell  # noqa: PLC0415 - openpyxl imports in a circle at module level

    cell = WriteOnlyCell(sheet, text)
    cell.font = Font(bold=True)
    return cell
