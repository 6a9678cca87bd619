"""The bulletin on one A4 page, to be hung up: the level, or P, is read from across a square."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from reportlab.lib.colors import HexColor, black, white
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.lib.utils import simpleSplit
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from cloud.danger.levels import ROMAN
from cloud.danger.sign import INNER, RED, edge, spoke
from cloud.fonts import bold, font

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.danger.bulletin import Bulletin

LARGE_PT, LARGE_LEAST_PT = 64.0, 50.0  # of the level, or P; 48 are promised
LEAST_PT = 8.0
PLAIN, BOLD = "danger", "danger-bold"
_MARGIN = 18 * mm
_RADIUS = 34 * mm


class NoFont(Exception):
    """This machine has no font with Vietnamese letters: install fonts-dejavu-core."""


def draw(bulletin: Bulletin, number: int | None) -> bytes:
    """Return the page as PDF, always the same bytes for the same bulletin. Raises NoFont."""
    if not (path := font()):
        raise NoFont("no font with Vietnamese letters: apt install fonts-dejavu-core")
    pdfmetrics.registerFont(TTFont(PLAIN, path))
    pdfmetrics.registerFont(TTFont(BOLD, bold(path)))
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=1)
    canvas.setTitle(f"{bulletin.title} · {bulletin.issued}")
    width, height = A4
    y = height - _MARGIN - 20
    y = _lines(canvas, (bulletin.title.upper(),), (_MARGIN, y), BOLD, 20)
    y = _lines(canvas, (bulletin.issued,), (_MARGIN, y), PLAIN, 13) - 8
    sign = y - _RADIUS - 4 * mm
    beside = width - 2 * _MARGIN - 12 * mm  # what large print and sign share
    size = LARGE_PT * (beside - 2 * _RADIUS) / pdfmetrics.stringWidth(bulletin.large, BOLD, LARGE_PT)
    size = min(max(size, LARGE_LEAST_PT), LARGE_PT)
    room = max(beside - 2 * _RADIUS, pdfmetrics.stringWidth(bulletin.large, BOLD, size))
    radius = (beside - room) / 2  # the sign is the one that gives way
    _sign(canvas, (width - _MARGIN - radius - 3 * mm, sign), radius, number)
    canvas.setFont(BOLD, size)
    canvas.drawString(_MARGIN, sign + _RADIUS / 2, bulletin.large)
    _lines(canvas, (bulletin.beside,), (_MARGIN, sign + _RADIUS / 2 - 24), BOLD, 16, room)
    y = sign - 14 * mm
    points = 13.0
    while points > LEAST_PT and y - _height(bulletin, points) < _MARGIN:
        points -= 0.5
    for heading, sentences in bulletin.sections:
        y = _lines(canvas, (heading,), (_MARGIN, y), BOLD, points + 1) - 1
        y = _lines(canvas, sentences, (_MARGIN, y), PLAIN, points) - points * 0.7
    _lines(canvas, bulletin.foot, (_MARGIN, y - 2), BOLD, points - 1)
    canvas.save()
    return out.getvalue()


def _height(bulletin: Bulletin, points: float) -> float:
    """Return how much of the page the sections take at a size of letters."""
    width = A4[0] - 2 * _MARGIN
    total = 0.0
    for heading, sentences in bulletin.sections:
        lines = sum(len(simpleSplit(one, PLAIN, points, width)) for one in sentences)
        total += (points + 1) * 1.35 + 1 + lines * points * 1.35 + points * 0.7
        assert heading
    return total + sum(len(simpleSplit(one, BOLD, points - 1, width)) for one in bulletin.foot) * points * 1.35


def _lines(
    canvas: Canvas, texts: Sequence[str], at: tuple[float, float], face: str, size: float, width: float = 0.0
) -> float:
    """Write texts below each other, broken where they are too long; return where the next one stands."""
    x, y = at
    canvas.setFont(face, size)
    canvas.setFillColor(black)
    for text in texts:
        for line in simpleSplit(text, face, size, width or A4[0] - 2 * _MARGIN):
            canvas.drawString(x, y, line)
            y -= size * 1.35
    return y


def _sign(canvas: Canvas, middle: tuple[float, float], radius: float, number: int | None) -> None:
    x, y = middle
    canvas.setStrokeColor(HexColor(RED))
    canvas.setFillColor(white)
    canvas.setLineWidth(5)
    canvas.wedge(x - radius, y - radius, x + radius, y + radius, 0, 180, stroke=1, fill=1)
    inner = radius * INNER
    canvas.setLineWidth(1.5)
    canvas.arc(x - inner, y - inner, x + inner, y + inner, 0, 180)
    for n in range(1, len(ROMAN)):
        ex, ey = edge(n)
        canvas.line(x + ex * inner, y + ey * inner, x + ex * radius, y + ey * radius)
    canvas.setFillColor(black)
    canvas.setFont(BOLD, 15 * radius / _RADIUS)
    for n, roman in enumerate(ROMAN, 1):
        sx, sy = spoke(n)
        beside = radius * (1 + INNER) / 2
        canvas.drawCentredString(x + sx * beside, y + sy * beside - 5 * radius / _RADIUS, roman)
    if number is not None:
        sx, sy = spoke(number)
        arrow = canvas.beginPath()
        arrow.moveTo(x - sy * 5, y + sx * 5)
        arrow.lineTo(x + sx * (inner - 6), y + sy * (inner - 6))
        arrow.lineTo(x + sy * 5, y - sx * 5)
        arrow.close()
        canvas.drawPath(arrow, stroke=0, fill=1)
    canvas.circle(x, y, 6, stroke=0, fill=1)
