"""`python -m cloud.staff.figures.report_writer FOLDER NAME MEMORY SECONDS`: a report as PDF, zone by zone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from xml.sax.saxutils import escape

import msgspec
from reportlab.graphics.shapes import Drawing, Line, PolyLine, Rect, String
from reportlab.lib import colors, pagesizes, styles, units
from reportlab.pdfbase import pdfmetrics, ttfonts
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Table

from cloud.fonts import bold, font
from cloud.staff.aside.uploads import bounded
from cloud.staff.figures.picture import strokes
from cloud.staff.figures.report import Chart, Part, Report

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = styles.ParagraphStyle("text", fontName="text", fontSize=8.5, leading=11.5)
STRONG = styles.ParagraphStyle("strong", TEXT, fontName="bold")
TITLE = styles.ParagraphStyle(
    "title", fontName="bold", fontSize=16, leading=21, spaceAfter=4, textColor=colors.HexColor("#2c5d45")
)
HEAD = styles.ParagraphStyle("head", fontName="bold", fontSize=11, leading=15, spaceBefore=9, spaceAfter=3)
SMALL = styles.ParagraphStyle("small", TEXT, fontSize=7, leading=9)
TEA, BAND, PAPER, INK = (colors.HexColor(one) for one in ("#2c5d45", "#abbeb5", "#f6f4ea", "#555555"))
IN_A_ROW, CHART, TALL = 3, 58 * units.mm, 17 * units.mm
BARE: Any = [("LEFTPADDING", (0, 0), (-1, -1), 0), ("VALIGN", (0, 0), (-1, -1), "BOTTOM")]
WIDTHS = [66 * units.mm, 21 * units.mm, 34 * units.mm, 34 * units.mm, 31 * units.mm]
LINES: Any = [
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LINEBELOW", (0, 0), (-1, -1), 0.4, colors.HexColor("#dcd8c6")),
    ("BACKGROUND", (0, 0), (-1, 0), colors.HexColor("#dfe8df")),
    ("LEFTPADDING", (0, 0), (-1, -1), 3),
    ("RIGHTPADDING", (0, 0), (-1, -1), 3),
]


def main(folder: str, name: str, memory: str, seconds: str) -> None:
    """Write the answer beside what was given."""
    bounded(int(memory), int(seconds))
    report = msgspec.msgpack.decode((Path(folder) / name).read_bytes(), type=Report)
    pdfmetrics.registerFont(ttfonts.TTFont("text", font()))
    pdfmetrics.registerFont(ttfonts.TTFont("bold", bold(font())))
    paper = SimpleDocTemplate(
        str(Path(folder) / "answer"), pagesize=pagesizes.A4, leftMargin=12 * units.mm, rightMargin=12 * units.mm,
        topMargin=14 * units.mm, bottomMargin=16 * units.mm, title=report.title,
    )  # fmt: skip

    def foot(canvas: Any, page: Any) -> None:
        canvas.setFont("text", 7.5)
        canvas.drawString(12 * units.mm, 9 * units.mm, f"{report.title} · {report.made}")
        canvas.drawRightString(pagesizes.A4[0] - 12 * units.mm, 9 * units.mm, str(page.page))

    paper.build(list(_story(report)), onFirstPage=foot, onLaterPages=foot)


def _story(report: Report) -> Iterator[Any]:
    for number, part in enumerate(report.parts):
        if number:
            yield PageBreak()
        yield Paragraph(escape(report.title), TEXT)
        yield from _part(report, part)
    if not report.parts:
        yield Paragraph(escape(report.title), TITLE)
    if report.without:
        yield Paragraph(escape(report.without), HEAD)


def _part(report: Report, part: Part) -> Iterator[Any]:
    yield Paragraph(escape(part.title), TITLE)
    for note in part.notes:
        yield Paragraph(escape(note), STRONG)
    if part.rows:
        yield Paragraph(escape(report.heads[0]), HEAD)
        cells = [[Paragraph(escape(name), STRONG) for name in report.names]]
        cells += [[Paragraph(escape(cell), TEXT) for cell in row] for row in part.rows]
        yield Table(cells, colWidths=WIDTHS, style=LINES, repeatRows=1)
    if part.charts:
        yield Paragraph(escape(report.heads[1]), HEAD)
        yield Paragraph(escape(report.legend), TEXT)
        charts: list[Any] = [_chart(one, report.days) for one in part.charts]
        charts += [""] * (-len(charts) % IN_A_ROW)
        rows = [charts[at : at + IN_A_ROW] for at in range(0, len(charts), IN_A_ROW)]
        yield Table(rows, colWidths=[CHART + 2 * units.mm] * IN_A_ROW, style=BARE)
    for head, lines in zip(report.heads[2:], (part.alarms, part.changes), strict=True):
        yield Paragraph(escape(head), HEAD)
        for line in lines:
            yield Paragraph(escape(line), TEXT)


def _chart(one: Chart, days: tuple[str, str]) -> list[Any]:
    """Return a chart under its name: what stands at the top and at the bottom is at its left."""
    frame = Drawing(CHART, TALL + 3 * units.mm)
    edge, bottom = 11 * units.mm, 3 * units.mm
    drawn = strokes(one.drawn, CHART - edge, TALL, 1)
    paper: Any = {"fillColor": PAPER, "strokeColor": PAPER}  # which its types know as words alone
    frame.add(Rect(edge, bottom, CHART - edge, TALL, **paper))
    for x, start, end in drawn.bars:
        at = edge + x, bottom + TALL - start, edge + x, bottom + TALL - end
        frame.add(Line(*at, strokeColor=BAND, strokeWidth=drawn.width))
    for points in drawn.lines:
        path = [place for x, y in points for place in (edge + x, bottom + TALL - y)]
        frame.add(PolyLine(path if len(points) > 1 else [*path, path[0] + 0.5, path[1]], strokeColor=TEA))
    _label(frame, one.high, edge - 2, bottom + TALL - 6, right=True)
    _label(frame, one.low, edge - 2, bottom, right=True)
    _label(frame, days[0], edge, 0, right=False)
    _label(frame, days[1], CHART, 0, right=True)
    return [Paragraph(escape(one.title), SMALL), frame]


def _label(frame: Drawing, words: str, x: float, y: float, *, right: bool) -> None:
    anchor: Literal["start", "end"] = "end" if right else "start"
    frame.add(String(x, y, words, fontName="text", fontSize=6.5, textAnchor=anchor, fillColor=INK))


if __name__ == "__main__":
    main(*sys.argv[1:])
