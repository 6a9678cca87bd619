"""Figures of the store as people ask for them: a table, its pictures, and files of exactly what is shown."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from starlette.responses import Response

from cloud.staff.aside.jobs import Busy
from cloud.staff.aside.uploads import MIB, Limit, Unreadable, read_aside
from cloud.staff.book.bindings import bindings, named
from cloud.staff.figures import picture, sheet
from cloud.staff.figures.gather import Source, TooMany
from cloud.staff.figures.question import HOUR, LONGEST, MOST_LINES, STEPS, asked, shows
from cloud.store import Retry
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from cloud.staff.aside.jobs import Job
    from cloud.staff.figures.question import Question
    from cloud.staff.figures.table import Column, Table
    from cloud.staff.visit import Visit

log = logging.getLogger(__name__)
A_PAGE = 100  # times of the table
PATIENCE_S = 0.5  # what takes longer is waited for on a page that says how far it is
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
WRITER = Limit(0, 768 * MIB, 60)  # a year of 13 lines takes a second of one core


class Seen(NamedTuple):
    """A column as the page shows it."""

    column: Column
    place: str
    name: str
    chart: Any
    reasons: list[tuple[str, int]]


def screen(visit: Visit) -> Response:
    """The form, and what was found."""
    places = _places(visit)
    question = asked(visit, places)
    if not visit.asked("tu"):
        return _page(visit, places, question)
    table = _table(visit, question)
    if not isinstance(table, tuple):
        return table
    return _shown(visit, places, question, *table)


def as_csv(visit: Visit) -> Response:
    """The table as CSV."""
    question = asked(visit, _places(visit))
    found = _table(visit, question)
    if not isinstance(found, tuple):
        return found
    body = sheet.written(sheet.sheet(found[0], visit.s, named(visit), visit.staff.public_url))
    return _file(body, "text/csv; charset=utf-8", question, "csv")


def as_xlsx(visit: Visit) -> Response:
    """The table as a workbook, made in a process of its own."""
    question = asked(visit, _places(visit))
    found = _table(visit, question)
    if not isinstance(found, tuple):
        return found
    table, number = found
    s, places, url = visit.s, named(visit), visit.staff.public_url

    def work(_job: Job) -> bytes:
        packed = msgspec.msgpack.encode(sheet.sheet(table, s, places, url))
        return read_aside("cloud.staff.figures.sheet_writer", "sheet", packed, WRITER)

    made = aside(visit, ("xlsx", question, number, s.lang), 0, work)
    return made if isinstance(made, Response) else _file(made.answer, XLSX, question, "xlsx")


def aside(visit: Visit, key: Hashable, number: int, work: Callable[[Job], Any]) -> Job | Response:
    """Return a job that is done, or the page that says how far it is, or why it will not be done."""
    try:
        job = visit.staff.jobs.get(key, number, work)
    except Busy:
        return visit.told("data_busy", status=503)
    if not job.over.wait(PATIENCE_S):
        return visit.told("data_stuck", status=503) if job.stuck else _waits(visit, job)
    if job.error is None:
        return job
    if isinstance(job.error, TooMany):
        return visit.told("data_too_many", status=413, why=visit.s.say(job.error.word, **job.error.facts))
    if isinstance(job.error, Retry):
        return visit.told("data_silent", status=503)
    log.error("job-failed key=%r why=%r", key, str(job.error))
    return visit.told("file_failed" if isinstance(job.error, Unreadable) else "broken", status=500)


def _table(visit: Visit, question: Question) -> tuple[Table, int] | Response:
    """Return the table that was asked for, and the number under which it is kept."""
    if question.fault is not None:
        word, facts = question.fault
        return _page(visit, _places(visit), question, why=visit.s.say(word, **facts), status=422)
    hung, clock, store = bindings(visit), visit.staff.clock, visit.staff.store
    means = visit.staff.shelf.meaning()
    text = visit.asked("so")
    number = int(text) if text.isdecimal() and len(text) < 12 else 0

    def work(job: Job) -> Table:
        return Source(store, means, clock.utc_ms(), job.step).table(question, hung, MOST_LINES)

    made = aside(visit, question, number, work)  # what changed in the registry meanwhile is seen by the next question
    return made if isinstance(made, Response) else (made.answer, made.number)


def _shown(visit: Visit, places: list[tuple[str, str]], question: Question, table: Table, number: int) -> Response:
    s, names = visit.s, named(visit)
    text = visit.asked("trang")
    last = max(0, (len(table.times) - 1) // A_PAGE)
    page = min(int(text), last) if text.isdecimal() and len(text) < 9 else 0
    seen = [
        Seen(
            column,
            names.get(column.line.place, column.line.place[1]),
            sheet.called(column, s, question.step),
            picture.svg(picture.plot(column)),
            [(sheet.told(why, s), n) for why, n in column.reasons],
        )
        for column in table.columns
    ]
    left_out = [name for name in question.quantities if not shows(name, question.step)]
    return _page(
        visit,
        places,
        question,
        table=table,
        seen=seen,
        rows=list(table.rows(page * A_PAGE, (page + 1) * A_PAGE)),
        page=page,
        last=last,
        address=[*((key, value) for key, value in visit.query if key not in {"so", "trang"}), ("so", str(number))],
        left_out=", ".join(s.one(QUANTITIES[name].vi, QUANTITIES[name].en) for name in left_out),
    )


def _page(
    visit: Visit, places: list[tuple[str, str]], question: Question, *, status: int = 200, **found: Any
) -> Response:
    today = visit.staff.today()
    heard = set(today.quantities) if today else set(QUANTITIES)
    s, names = visit.s, named(visit)
    return visit.page(
        "data.html",
        status=status,
        question=question,
        places=[(":".join(place), names.get(place, place[1]), place in question.places) for place in places],
        quantities=[
            (name, s.one(row.vi, row.en), name in question.quantities)
            for name, row in QUANTITIES.items()
            if name in heard or name in question.quantities
        ],
        steps=STEPS,
        longest=LONGEST,
        hour=HOUR,
        sheet=sheet,
        **({"why": "", "table": None} | found),
    )


def _places(visit: Visit) -> list[tuple[str, str]]:
    """Return the places at which something hangs or hung, as people call them."""
    at = {place: at for at, place in enumerate(named(visit))}
    found = {(one.place, one.code) for one in bindings(visit)}
    return sorted(found, key=lambda place: (place[0] != "zone", at.get(place, len(at)), place))


def _waits(visit: Visit, job: Job) -> Response:
    answer = visit.page("waits.html", job=job)
    answer.headers["Refresh"] = "1"
    return answer


def _file(body: bytes, kind: str, question: Question, ending: str) -> Response:
    name = f"gocche-{question.first}-{question.last}.{ending}"
    return Response(body, headers={"Content-Disposition": f'attachment; filename="{name}"'}, media_type=kind)
