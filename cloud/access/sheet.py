"""Invitations on paper: an A4 page for each telephone, its symbol large, and what to do in both languages."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from reportlab.lib.units import mm
from reportlab.lib.utils import simpleSplit
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from cloud.access import NotInvited, words
from cloud.fonts import bold, font
from settings.words import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cloud.access.invitation import Invitation

WIDTH, HEIGHT, MARGIN = 210.0, 297.0, 18.0
SYMBOL_MM = 85.0
TITLE, TEXT, LINE_MM = 20, 9.5, 4.2  # points, points
FONT, BOLD = "invitation", "invitation-bold"


def draw(path: Path, invitations: Sequence[Invitation]) -> None:
    """Write a PDF that only its owner reads. Raises NotInvited without a font that has Vietnamese, OSError."""
    found = font()
    if not found:
        raise NotInvited("no_font")
    pdfmetrics.registerFont(TTFont(FONT, found))
    pdfmetrics.registerFont(TTFont(BOLD, bold(found)))
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    path.chmod(0o600)
    canvas = Canvas(str(path), pagesize=(WIDTH * mm, HEIGHT * mm), pageCompression=1)
    for one in invitations:
        _page(canvas, one)
        canvas.showPage()
    canvas.save()


def _page(canvas: Canvas, one: Invitation) -> None:
    y = HEIGHT - MARGIN - 6
    for language, size in zip(LANGUAGES, (TITLE, TEXT + 3), strict=True):
        face, text = BOLD if language == "vi" else FONT, words.title(one, language)
        fits = (WIDTH - 2 * MARGIN) * mm / pdfmetrics.stringWidth(text, face, size)
        canvas.setFont(face, size * min(fits, 1.0))
        canvas.drawCentredString(WIDTH / 2 * mm, y * mm, text)
        y -= 8
    y -= SYMBOL_MM + 2
    _symbol(canvas, one, y)
    canvas.setFont(BOLD, TEXT)
    y -= 6
    canvas.drawCentredString(WIDTH / 2 * mm, y * mm, one.user)
    for language in LANGUAGES:
        y -= 5
        for line in words.steps(one, language):
            y = _paragraph(canvas, line, y)


def _symbol(canvas: Canvas, one: Invitation, bottom: float) -> None:
    rows = [bytes(row) for row in one.symbol.matrix]
    module, left = SYMBOL_MM / len(rows), (WIDTH - SYMBOL_MM) / 2
    canvas.setFillGray(0)
    for number, row in enumerate(rows):
        y = bottom + SYMBOL_MM - (number + 1) * module
        for column, dark in enumerate(row):
            if dark:
                canvas.rect((left + column * module) * mm, y * mm, module * mm * 1.01, module * mm * 1.01, 0, 1)


def _paragraph(canvas: Canvas, text: str, y: float) -> float:
    canvas.setFont(FONT, TEXT)
    for line in simpleSplit(text, FONT, TEXT, (WIDTH - 2 * MARGIN) * mm):
        y -= LINE_MM
        canvas.drawString(MARGIN * mm, y * mm, line)
    return y - 1
