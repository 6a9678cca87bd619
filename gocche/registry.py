"""`gocche registry`: the garden's tables in and out, who changed what, and how to take it back.

It may run while the server does: rooms see what was written within seconds.
"""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.clock import SystemClock, hanoi
from cloud.registry import pictures
from cloud.registry.book import NAME, PHOTOS, Book
from cloud.registry.draft import Rejected
from cloud.registry.kinds import KINDS, Tree, spoken
from cloud.registry.sheets import STEMS, SheetError, comma, geojson
from cloud.registry.trail import difference
from cloud.registry.transfer import bring, read_any
from gocche.words import Refused, both

if TYPE_CHECKING:
    from cloud.config import CloudConfig
    from cloud.registry.transfer import Report

SHOWN = 50  # acts of a log
FOUND = 1  # exit status


def bring_in(config: CloudConfig, path: Path, *, partial: bool, dry: bool) -> int:
    """Bring a folder, a workbook or a GeoJSON file into the registry; return 0, or 1 where rows were left out.

    Raises SheetError for a table that is none; sqlite3.Error, OSError for what the disk refuses.
    """
    rows, problems = read_any(path)
    with _book_to_fill(Path(config.data.path), dry=dry) as book:
        report = bring(
            book,
            rows,
            problems,
            who=who(),
            what=f"import {path}",
            at_ms=SystemClock().utc_ms(),
            partial=partial,
            dry=dry,
        )
    _print(report, path)
    return FOUND if report.problems else 0


def take_out(config: CloudConfig, path: Path) -> int:
    """Write the registry as a folder of CSV files, a workbook (.xlsx) or its trees as GeoJSON, by the path's name."""
    with book_of(config, writer=False) as book:
        if path.suffix == ".xlsx":
            from cloud.registry.sheets import workbook

            workbook.write_workbook(path, {kind: book.rows(kind) for kind in KINDS})
        elif path.suffix in {".geojson", ".json"}:
            geojson.write_trees(path, [one for one in book.rows("tree") if isinstance(one, Tree)])
        elif path.suffix and not path.is_dir():
            raise SheetError("no_such_form", path=path)
        else:
            comma.write_folder(path, {kind: book.rows(kind) for kind in KINDS})
    print(both("registry", "exported", path=path))
    return 0


def log(config: CloudConfig, act: int | None) -> int:
    """Print who changed what, newest first; or every change of one act."""
    with book_of(config, writer=False) as book:
        if act is None:
            for one in book.acts(SHOWN):
                when = hanoi(one.at_ms).strftime("%Y-%m-%d %H:%M")
                print(f"{one.id}\t{when}\t{one.who}\t{one.what}\t{one.changes}")
            return 0
        changes = book.changes(act)
        if not changes:
            raise Refused("registry", "no_act", act=act)
        for change in changes:
            print(f"{change.kind} {spoken(change.key)}: {difference(change)}")
    return 0


def undo(config: CloudConfig, act: int) -> int:
    """Take an act back. Raises Refused, or Bad where somebody has changed one of its rows since."""
    with book_of(config, writer=True) as book:
        changes = book.changes(act)
        if not changes:
            raise Refused("registry", "no_act", act=act)
        photos, folder = [one for one in changes if one.kind in pictures.KINDS], Path(config.data.path) / PHOTOS
        if any(one.after is None and not pictures.of(folder, one.key[0]) for one in photos):
            raise Refused("registry", "erased", act=act)
        try:
            book.undo(act, who(), SystemClock().utc_ms())
            pictures.sweep(folder, [one.key[0] for one in photos], book)
        except Rejected as rejected:
            raise rejected.faults[0][1] from rejected
    print(both("registry", "undone", act=act))
    return 0


def book_of(config: CloudConfig, *, writer: bool) -> Book:
    """Open the registry of a configuration. Raises Refused where there is none yet."""
    path = Path(config.data.path) / NAME
    if not path.exists():
        raise Refused("registry", "none", path=path)
    return Book(path, writer=writer)


def _book_to_fill(data: Path, *, dry: bool) -> Book:
    """Open the registry, or make it: as the owner of its folder would, though root does it. A trial makes none."""
    path = data / NAME
    if path.exists() or dry:
        return Book(path if path.exists() else None, writer=True)
    owned(path)
    return Book(path, writer=True)


def owned(path: Path) -> None:
    """Make a file of the server's, and its folder, as the owner of that would though root does it; leave one alone."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    if os.geteuid() == 0:
        os.chown(path, path.parent.stat().st_uid, path.parent.stat().st_gid)


def who() -> str:
    """Return who acts, as the registry keeps it."""
    return f"{getpass.getuser()} (gocche)"


def _print(report: Report, path: Path) -> None:
    for one in report.problems:
        print(f"! {one.file}:{one.line}: {one.vi}\n  {one.en}")
    for kind in KINDS:
        counted = [counts.get(kind, 0) for counts in (report.new, report.changed, report.same, report.absent)]
        if any(counted):
            new, changed, same, absent = counted
            print(both("registry", "counted", table=STEMS[kind], new=new, changed=changed, same=same, absent=absent))
    outcome = "written" if report.written else "not_written" if report.problems else "tried"
    print(both("registry", outcome, path=path, problems=len(report.problems)))
