"""One tag as an SVG in millimetres, for who engraves it: layers `cut`, `engrave` and `text`.

What is engraved may come out light or dark. On a plate that is dark by itself (anodised aluminium) engraving the
modules would make a light symbol on dark ground, which most phones do not read: there the background is engraved.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape

from cloud.labels import BadLabel
from cloud.labels.symbol import QUIET, Symbol, fits
from cloud.registry import codes


@dataclass(frozen=True)
class Plate:
    """A plate of `width` × `height` mm with a symbol of `symbol_mm`. Raises BadLabel."""

    width: float = 60.0
    height: float = 80.0
    symbol_mm: float = 40.0
    background: bool = False  # engrave what is light

    def __post_init__(self) -> None:
        """Refuse what nobody reads, or what does not fit."""
        fits(self.symbol_mm)
        need = self.symbol_mm * (1 + 2 * QUIET / 25)
        if self.width < need or self.height < need + 16:
            size = {"width": f"{self.width:g}", "height": f"{self.height:g}"}
            raise BadLabel("cell", **size, needs=f"{need:.0f} × {need + 16:.0f}")


def _box(left: float, top: float, width: float, height: float) -> str:
    return f"M{left:.3f} {top:.3f}h{width:.3f}v{height:.3f}h{-width:.3f}z"


def svg(code: str, symbol: Symbol, lines: tuple[str, str], plate: Plate) -> str:
    """Return the drawing of one plate."""
    size = len(symbol.modules)
    module = plate.symbol_mm / size
    left = (plate.width - plate.symbol_mm) / 2
    top = QUIET * module + 2
    dark = "".join(
        _box(left + column * module, top + row * module, length * module, module)
        for row, column, length in symbol.runs()
    )
    quiet = QUIET * module
    whole = plate.symbol_mm + 2 * quiet
    around = _box(left - quiet, top - quiet, whole, whole)
    engraved = around + dark if plate.background else dark
    middle, below = plate.width / 2, top + plate.symbol_mm + quiet
    texts = "".join(
        f'<text x="{middle:.2f}" y="{y:.2f}" font-size="{height}">{escape(text)}</text>'
        for y, height, text in (
            (below + 4, 6.8, codes.shown(code)),
            (below + 8.5, 3, lines[0]),
            (below + 12, 3, lines[1]),
        )
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{plate.width:g}mm" height="{plate.height:g}mm" '
        f'viewBox="0 0 {plate.width:g} {plate.height:g}"><title>{escape(symbol.url)}</title>'
        f'<g id="cut" fill="none" stroke="#f00" stroke-width="0.1"><rect x="0.05" y="0.05" rx="3" '
        f'width="{plate.width - 0.1:g}" height="{plate.height - 0.1:g}"/></g>'
        f'<g id="engrave"><path fill-rule="evenodd" d="{engraved}"/></g>'
        f'<g id="text" font-family="DejaVu Sans, Noto Sans, sans-serif" text-anchor="middle">{texts}</g></svg>\n'
    )
