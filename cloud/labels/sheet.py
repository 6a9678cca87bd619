"""Tags on paper or film: A4 with a grid, or one label a page for a label printer. All lengths are millimetres."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.pdfgen.canvas import Canvas

from cloud.fonts import FONTS
from cloud.labels import BadLabel
from cloud.labels.address import address
from cloud.labels.symbol import QUIET, Symbol, fits
from cloud.registry import codes

if TYPE_CHECKING:
    from collections.abc import Sequence

A4 = 210.0, 297.0
LETTERS_MM = 5.0  # a code is read by people where no camera reads the symbol
LINE_MM = 2.6


@dataclass(frozen=True)
class Form:
    """How labels lie: `across` × `down` cells of a page, a symbol of `symbol_mm` in each. Raises BadLabel."""

    page: tuple[float, float] = A4
    across: int = 3
    down: int = 4
    symbol_mm: float = 40.0
    margin: float = 8.0

    def __post_init__(self) -> None:
        """Refuse a symbol that does not fit its cell, or that nobody reads."""
        fits(self.symbol_mm)
        width, height = self.cell
        need = self.symbol_mm * (1 + 2 * QUIET / 25)  # 25 modules: the larger quiet zone of the two
        below = LETTERS_MM + 2 * LINE_MM + 4
        if width < need or height < need + below:
            facts = {"width": f"{width:.0f}", "height": f"{height:.0f}"}
            raise BadLabel("cell", **facts, needs=f"{need:.0f} × {need + below:.0f}")

    @property
    def cell(self) -> tuple[float, float]:
        """Width and height of one label."""
        return (self.page[0] - 2 * self.margin) / self.across, (self.page[1] - 2 * self.margin) / self.down


def draw(
    path: Path,
    tags: Sequence[str],
    public_url: str,
    lines: tuple[str, str],
    form: Form,
    *,
    skip: int = 0,
    font: str = "",
) -> int:
    """Write a PDF with a label for each code, leaving out the first `skip` cells of a sheet begun before; return pages.

    `lines` stand below each code, Vietnamese and English. Raises BadLabel, OSError.
    """
    pdfmetrics.registerFont(_font(font))
    canvas = Canvas(str(path), pagesize=(form.page[0] * mm, form.page[1] * mm), pageCompression=1)
    canvas.setTitle(f"{len(tags)} · {public_url}")
    cells = form.across * form.down
    for number, code in enumerate(tags, skip):
        if number > skip and number % cells == 0:
            canvas.showPage()
        across, down = number % cells % form.across, number % cells // form.across
        width, height = form.cell
        left = form.margin + across * width
        bottom = form.page[1] - form.margin - (down + 1) * height
        _label(canvas, (left, bottom), code, Symbol(address(public_url, code)), lines, form)
    canvas.save()
    return -(-(len(tags) + skip) // cells)


def _label(
    canvas: Canvas, corner: tuple[float, float], code: str, symbol: Symbol, lines: tuple[str, str], form: Form
) -> None:
    (left, bottom), (width, height) = corner, form.cell
    _crop_marks(canvas, left, bottom, width, height)
    size = len(symbol.modules)
    module = form.symbol_mm / size
    x = left + (width - form.symbol_mm) / 2
    top = bottom + height - QUIET * module - 1
    canvas.setFillGray(0)
    for row, column, length in symbol.runs():
        y = top - (row + 1) * module
        canvas.rect((x + column * module) * mm, y * mm, length * module * mm, module * mm, stroke=0, fill=1)
    middle = (left + width / 2) * mm
    y = top - form.symbol_mm - QUIET * module - LETTERS_MM * 0.75
    canvas.setFont(FONT, LETTERS_MM * mm * 1.37)  # capitals of this font are 0.73 of its size
    canvas.drawCentredString(middle, y * mm, codes.shown(code))
    canvas.setFont(FONT, LINE_MM * mm * 1.2)
    for line in lines:
        y -= LINE_MM * 1.45
        canvas.drawCentredString(middle, y * mm, line)


def _crop_marks(canvas: Canvas, left: float, bottom: float, width: float, height: float) -> None:
    canvas.setStrokeGray(0.6)
    canvas.setLineWidth(0.1 * mm)
    for x in (left, left + width):
        for y in (bottom, bottom + height):
            canvas.line((x - 2) * mm, y * mm, (x + 2) * mm, y * mm)
            canvas.line(x * mm, (y - 2) * mm, x * mm, (y + 2) * mm)


FONT = "label"


def _font(path: str) -> TTFont:
    for name in (path,) if path else FONTS:
        if Path(name).is_file():
            try:
                return TTFont(FONT, name)
            except (TTFError, OSError) as error:
                raise BadLabel("font", path=name, why=str(error)) from error
    raise BadLabel("no_font", known=", ".join((path,) if path else FONTS))
