"""`python -m cloud.staff.report_writer FOLDER NAME MEMORY SECONDS`: a report as PDF, each zone on a page of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import msgspec
from reportlab.lib import colors, pagesizes, units
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics, ttfonts
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Table

from cloud.fonts import bold, font
from cloud.staff.report import Part, Report
from cloud.staff.uploads import bounded

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = ParagraphStyle("text", fontName="text", fontSize=8.5, leading=11.5)
STRONG = ParagraphStyle("strong", TEXT, fontName="bold")
TITLE = ParagraphStyle(
    "title", fontName="bold", fontSize=16, leading=21, spaceAfter=4, textColor=colors.HexColor("#2c5d45")
)
HEAD = ParagraphStyle("head", fontName="bold", fontSize=11, leading=15, spaceBefore=9, spaceAfter=3)
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
    for head, lines in zip(report.heads[1:], (part.alarms, part.changes), strict=True):
        yield Paragraph(escape(head), HEAD)
        for line in lines:
            yield Paragraph(escape(line), TEXT)


if __name__ == "__main__":
    main(*sys.argv[1:])
