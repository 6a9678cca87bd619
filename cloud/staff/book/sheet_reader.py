"""`python -m cloud.staff.book.sheet_reader FOLDER NAME MEMORY SECONDS`: an uploaded table's rows, or why it is none."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from cloud.registry.sheets import Problem, Row, SheetError
from cloud.registry.transfer import read_any
from cloud.staff.aside.uploads import bounded


class Sheet(msgspec.Struct, frozen=True):
    """What a file holds. `vi` and `en` say why it is no table of ours, where it is none."""

    rows: list[Row] = []
    problems: list[Problem] = []
    vi: str = ""
    en: str = ""


def main(folder: str, name: str, memory: str, seconds: str) -> None:
    """Write the answer beside the file."""
    if name.endswith(".xlsx"):
        from cloud.registry.sheets import workbook  # noqa: F401, PLC0415 - before the limits: its size is ours

    os.chdir(folder)  # so that sentences name the file, not our folder
    bounded(int(memory), int(seconds))
    try:
        rows, problems = read_any(Path() if name.endswith(".csv") else Path(name))
        answer = Sheet(rows, problems)
    except SheetError as error:
        answer = Sheet(vi=error.told("vi"), en=error.told("en"))
    Path("answer").write_bytes(msgspec.json.encode(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
