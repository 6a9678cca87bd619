"""The monthly report's screen, and the report as PDF."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from cloud.clock import hanoi
from cloud.fonts import font
from cloud.registry.kinds import Tree, Zone
from cloud.staff.aside.uploads import MIB, Limit, read_aside
from cloud.staff.book.bindings import bindings, named
from cloud.staff.figures.data import aside
from cloud.staff.figures.picture import svg
from cloud.staff.figures.report import Garden, Report, acts_of, made, month_of, span_of

if TYPE_CHECKING:
    from datetime import date

    from cloud.staff.aside.jobs import Job
    from cloud.staff.visit import Visit

WRITER = Limit(0, 512 * MIB, 60)


def screen(visit: Visit) -> Response:
    """Which month, and its report."""
    first = month_of(visit.asked("thang"), hanoi(visit.s.now_ms).date())
    if not visit.asked("thang"):
        return visit.page("report.html", month=f"{first:%Y-%m}", report=None, number=0)
    found = _report(visit, first)
    if isinstance(found, Response):
        return found
    return visit.page("report.html", month=f"{first:%Y-%m}", report=found.answer, number=found.number, svg=svg)


def as_pdf(visit: Visit) -> Response:
    """The report as PDF, made in a process of its own."""
    if not visit.asked("thang"):
        return visit.go("/bao-cao")
    if find_spec("reportlab") is None or not font():
        return visit.told("no_pdf", status=503)
    first = month_of(visit.asked("thang"), hanoi(visit.s.now_ms).date())
    found = _report(visit, first)
    if isinstance(found, Response):
        return found
    report: Report = found.answer

    def work(_job: Job) -> bytes:
        return read_aside("cloud.staff.figures.report_writer", "report", msgspec.msgpack.encode(report), WRITER)

    pdf = aside(visit, ("pdf", first, found.number, visit.s.lang), 0, work)
    if isinstance(pdf, Response):
        return pdf
    name = f'attachment; filename="gocche-{first:%Y-%m}.pdf"'
    return Response(pdf.answer, headers={"Content-Disposition": name}, media_type="application/pdf")


def _report(visit: Visit, first: date) -> Job | Response:
    text = visit.asked("so")
    number = int(text) if text.isdecimal() and len(text) < 12 else 0
    staff, s, span = visit.staff, visit.s, span_of(first)
    garden = Garden(
        [one for one in staff.shelf.rows("zone") if isinstance(one, Zone)],
        [one for one in staff.shelf.rows("tree") if isinstance(one, Tree)],
        bindings(visit),
        named(visit),
        [],
        staff.alarms(*span),
        staff.shelf.meaning(),
    )

    def work(job: Job) -> Report:
        with staff.shelf.book() as book:  # of a month in which whole tables were brought in, seconds
            acts = acts_of(book, *span)
        return made(staff.store, garden._replace(acts=acts), first, s, job.step)

    return aside(visit, ("report", first, s.lang), number, work)
