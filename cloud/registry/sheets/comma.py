"""A folder of CSV files as a spreadsheet leaves them, and as git likes them: sorted, one line a row, nothing by chance.

The marks of spreadsheets are understood: a byte order mark, semicolons, decomposed accents. Lines that begin with `#`
are remarks. The text of a story is a file of its own, `stories/<CODE>.<lang>.md`.
"""

from __future__ import annotations

import codecs
import csv
import io
import unicodedata
from contextlib import suppress
from typing import TYPE_CHECKING

from cloud.registry import codes
from cloud.registry.cells import Bad
from cloud.registry.kinds import KINDS, LANGUAGES, TONGUES
from cloud.registry.rows import columns, write
from cloud.registry.sheets import (
    KIND_OF_STEM,
    STEMS,
    Problem,
    Row,
    SheetError,
    bare,
    guard_in,
    guarded,
    header,
    problem,
)
from cloud.registry.sheets import before as old_form
from settings.words import because

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from cloud.registry.kinds import Record

STORIES = "stories"


def read(folder: Path) -> tuple[list[Row], list[Problem]]:
    """Return the rows of a folder's tables, and those that are no rows. Tables that are not there say nothing.

    Raises SheetError where a file cannot be read as a table of ours, or where the folder has none.
    """
    rows: list[Row] = []
    found: list[Problem] = []
    paths: list[Path] = []
    with suppress(OSError):  # a name that no disk takes has none
        paths = sorted(folder.glob("*.csv"))
    if not paths:
        raise SheetError("no_tables", path=folder, known=", ".join(f"{stem}.csv" for stem in KIND_OF_STEM))
    for path in paths:
        line, names, records = _table(path)
        if old_form.is_old(path.stem, names):
            old_form.header(path, line, names)
            rows += old_form.rows(path, list(_rows("", path, names, records, found)))
        elif path.stem in KIND_OF_STEM:
            kind = KIND_OF_STEM[path.stem]
            header(kind, names, path=path, line=line)
            rows += _rows(kind, path, names, records, found)
        else:
            raise SheetError("no_such_table", path=path, known=", ".join(f"{stem}.csv" for stem in KIND_OF_STEM))
    return _with_texts(folder, rows, found), found


def write_folder(folder: Path, records: Mapping[str, Iterable[Record]]) -> None:
    """Write every kind's table, sorted by key; a story's text beside its table. Raises OSError."""
    (folder / STORIES).mkdir(parents=True, exist_ok=True)
    for kind, of_kind in records.items():
        kept = list(of_kind)
        for cells in map(write, kept if kind == "story" else ()):
            _replace(folder / STORIES / f"{cells['tree']}.{cells['lang']}.md", cells["text"] + "\n")
        _replace(folder / f"{STEMS[kind]}.csv", text_of(kind, kept))


def text_of(kind: str, records: Iterable[Record]) -> str:
    """Return a table as it stands in its file; the text of a story has one of its own."""
    names = [column.name for column in columns(KINDS[kind]) if (kind, column.name) != ("story", "text")]
    told = io.StringIO(newline="")
    writer = csv.DictWriter(told, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(guarded(kind, write(record)) for record in records)
    return told.getvalue()


def _replace(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, "utf-8", newline="")
    new.replace(path)


def _table(path: Path) -> tuple[int, list[str], Iterator[tuple[int, list[str]]]]:
    """Return the header's line, its columns, and the records after it."""
    records = _records(path)
    line, names = next(records, (1, []))
    return line, [name.strip() for name in names], records


def _rows(
    kind: str, path: Path, names: Sequence[str], records: Iterable[tuple[int, list[str]]], found: list[Problem]
) -> Iterator[Row]:
    name, shared = path.name, tuple(names)
    for line, cells in records:
        if len(cells) != len(names):
            found.append(problem(name, line, Bad("cells", count=len(cells), needed=len(names))))
        else:
            yield Row(kind, name, line, shared, tuple(cells))


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells) of each record that is neither blank nor a remark."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SheetError("unreadable", path=path, **because(error)) from error
    wide = raw[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}  # a spreadsheet's "Unicode text", with tabs
    text = unicodedata.normalize("NFC", raw.decode("utf-16" if wide else "utf-8-sig", errors="replace"))
    head = next((line for line in io.StringIO(text) if line.strip() and not line.startswith("#")), "")
    delimiter = next((mark for mark in ",;\t" if mark in head), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    line, is_guarded = 1, guard_in(text)
    try:
        for cells in reader:
            if ((cells and cells[0].strip()) or any(cell.strip() for cell in cells)) and cells[0][:1] != "#":
                yield line, list(map(bare, cells)) if is_guarded else cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise SheetError("not_csv", path=path, line=line, **because(error)) from error


def _with_texts(folder: Path, rows: list[Row], found: list[Problem]) -> list[Row]:
    """Return the rows with the stories' texts; a text that has no row is a published story."""
    texts = dict(_texts(folder, found))
    others = [row for row in rows if row.kind != "story"]
    told = []
    for row in rows:
        if row.kind == "story":
            cells = row.cells
            key = codes.normalise(cells["tree"]) or cells["tree"], cells["lang"]
            told.append(row.having(cells | {"text": texts.pop(key, "")}))
    told += [
        Row("story", f"{STORIES}/{tree}.{lang}.md", 1, ("tree", "lang", "text"), (tree, lang, text))
        for (tree, lang), text in texts.items()
    ]
    return others + told


def _texts(folder: Path, found: list[Problem]) -> Iterator[tuple[tuple[str, str], str]]:
    for path in sorted((folder / STORIES).glob("*.md")):
        code, _, lang = path.stem.partition(".")
        tree = codes.normalise(code)
        bad = Bad("story_name", value=path.name) if tree is None or lang not in (*LANGUAGES, *TONGUES) else None
        text = ""
        try:
            text = path.read_text("utf-8-sig")
        except (UnicodeDecodeError, OSError):
            bad = bad or Bad("encoding", column="text", value=path.name)
        if bad is not None or tree is None:
            found += [problem(f"{STORIES}/{path.name}", 1, bad)] if bad else []
        else:
            yield (tree, lang), unicodedata.normalize("NFC", text).strip()
