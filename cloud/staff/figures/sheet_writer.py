"""`python -m cloud.staff.figures.sheet_writer FOLDER NAME MEMORY SECONDS`: a sheet as a workbook, within limits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

from cloud.staff.aside.uploads import bounded
from cloud.staff.figures.sheet import Sheet

TIME_WIDTH = 27  # characters of the first column, which holds times


def main(folder: str, name: str, memory: str, seconds: str) -> None:
    """Write the answer beside what was given."""
    bounded(int(memory), int(seconds))
    made = msgspec.msgpack.decode((Path(folder) / name).read_bytes(), type=Sheet)
    book = Workbook(write_only=True)
    figures, about = book.create_sheet("so-lieu"), book.create_sheet("nguon")
    figures.freeze_panes = "B2"
    figures.column_dimensions["A"].width = TIME_WIDTH
    figures.append([_bold(figures, one) for one in made.names])
    for figure_row in zip(*made.columns, strict=True):
        figures.append(figure_row)
    for about_row in made.about:
        about.append(about_row)
    book.save(Path(folder) / "answer")


def _bold(sheet: Any, text: str) -> Any:
    cell = WriteOnlyCell(sheet, text)
    cell.font = Font(bold=True)
    return cell


if __name__ == "__main__":
    main(*sys.argv[1:])
