"""Tables from elsewhere: tried first, with every fault of every row; written when somebody says so, as one act."""

from __future__ import annotations

import logging
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from cloud.registry.kinds import KINDS
from cloud.registry.sheets import KIND_OF_STEM, STEMS, Problem, Row
from cloud.registry.transfer import bring
from cloud.staff.aside.uploads import LIMITS, Unreadable, read_aside
from cloud.staff.book.sheet_reader import Sheet
from cloud.staff.book.tray import Tray, Waiting
from cloud.staff.entrance.access import BRING

if TYPE_CHECKING:
    from starlette.responses import Response

    from cloud.registry.transfer import Report
    from cloud.staff.visit import Upload, Visit

log = logging.getLogger(__name__)
SHOWN = 200  # faults on one page
READER = "cloud.staff.book.sheet_reader"
_COPY = re.compile(r"\s*(\(\d+\)|- ?copy|copy)$", re.IGNORECASE)  # "trees (1).csv", as telephones call it
_ODD = re.compile(r"[^\w.-]+")


TRAY = Tray()


def form(visit: Visit) -> Response:
    """Choose a file."""
    return _form(visit)


def attempt(visit: Visit) -> Response:
    """Read a file and say what writing it would do. Nothing is written."""
    upload = visit.upload
    if upload is None or not upload.body:
        return _form(visit, why="bring.no_file")
    name = _name(upload, visit.given("table"))
    limit = LIMITS.get(PurePosixPath(name).suffix)
    if limit is None or (name.endswith(".csv") and PurePosixPath(name).stem not in KIND_OF_STEM):
        return _form(visit, why="bring.no_form" if limit is None else "bring.which_table")
    if len(upload.body) > limit.size:
        return visit.told("too_long", status=413, limit=visit.s.number(limit.size / 1e6))
    try:
        sheet = msgspec.json.decode(read_aside(READER, name, upload.body, limit), type=Sheet)
    except Unreadable:
        log.exception("upload not read")
        return _form(visit, why="bring.unreadable")
    if sheet.vi:
        return _form(visit, said=visit.s.one(sheet.vi, sheet.en))
    return _tried(visit, TRAY.put(Waiting(visit.somebody.code, name, sheet)))


def write(visit: Visit) -> Response:
    """Write what was tried: all of it, or with `partial` the good rows.

    Not upon what somebody wrote since the trial: what the file would do to that is told first.
    """
    ticket, partial = visit.given("ticket"), visit.given("partial") == "yes"
    waiting = TRAY.get(ticket, visit.somebody.code)
    if waiting is None:
        return _form(visit, why="bring.gone")
    with visit.staff.shelf.book() as book:
        if book.touched({row.kind for row in waiting.sheet.rows}, waiting.seen):
            return _tried(visit, ticket, status=409, why=visit.s.say("bring.meanwhile"))
        report = _bring(visit, waiting, dry=False, partial=partial)
    if not report.written:
        return _tried(visit, ticket, status=409)
    TRAY.drop(ticket)
    return visit.go("/viec", xong="imported", gi=waiting.name)


def _tried(visit: Visit, ticket: str, *, status: int = 200, why: str = "") -> Response:
    waiting = TRAY.get(ticket, visit.somebody.code)
    assert waiting is not None, "it was put there just now"
    foreign = sorted({row.kind for row in waiting.sheet.rows if visit.somebody.access not in BRING[row.kind]})
    if foreign:
        TRAY.drop(ticket)
        tables = ", ".join(visit.s.say(f"kind.{kind}") for kind in foreign)
        return _form(visit, said=visit.s.say("bring.foreign", tables=tables), status=403)
    with visit.staff.shelf.book() as book:
        TRAY.tried(ticket, book.newest)
        report = _bring(visit, waiting, dry=True, partial=True)
    counted = [(kind, *(part.get(kind, 0) for part in (report.new, report.changed, report.same, report.absent)))
               for kind in KINDS]  # fmt: skip
    return visit.page(
        "tried.html",
        status=422 if report.problems and status == 200 else status,
        why=why,
        name=waiting.name,
        counted=[row for row in counted if any(row[1:4])],
        writes=sum(report.new.values()) + sum(report.changed.values()),
        problems=[(one.file, one.line, visit.s.one(one.vi, one.en)) for one in report.problems[:SHOWN]],
        wrong=len(report.problems),
        ticket=ticket,
    )


def _bring(visit: Visit, waiting: Waiting, *, dry: bool, partial: bool) -> Report:
    rows: list[Row] = waiting.sheet.rows
    problems: list[Problem] = waiting.sheet.problems
    with visit.staff.shelf.book() as book:
        visit.staff.shelf.changed()
        return bring(
            book, rows, problems, who=visit.who, what=f"import {waiting.name}", at_ms=visit.staff.clock.utc_ms(),
            partial=partial, dry=dry,
        )  # fmt: skip


def _form(visit: Visit, *, why: str = "", said: str = "", status: int = 422) -> Response:
    told = visit.s.say(why) if why else said
    tables = [(STEMS[kind], visit.s.say(f"kind.{kind}")) for kind in KINDS if visit.somebody.access in BRING[kind]]
    limits = [(ending, f"{limit.size / 1e6:.0f}") for ending, limit in LIMITS.items() if ending != ".json"]
    return visit.page(
        "import.html", status=status if told else 200, why=told, tables=tables,
        limits=limits,
    )  # fmt: skip


def _name(upload: Upload, table: str) -> str:
    """Return what a file is called here: its ending says its form, of a CSV its name or the visitor the table."""
    path = PurePosixPath(upload.name.replace("\\", "/"))
    ending = path.suffix.lower()
    if ending == ".csv":
        stem = table if table in KIND_OF_STEM else _COPY.sub("", path.stem).lower()
        return f"{stem if re.fullmatch('[a-z_]+', stem) else 'x'}.csv"
    if ending not in LIMITS:
        return path.name[:40]
    stem = _ODD.sub("_", path.stem).strip("._")[:40]  # what is wrong is told under the file's own name
    return f"{stem or 'x'}{ending}"
