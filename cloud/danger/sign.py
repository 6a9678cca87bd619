"""The sign of fire danger: a half disc, white with a red rim, an arrow that turns to I, II, III, IV or V.

Decree 156/2018/NĐ-CP, article 46.1, and form 04 of its appendix III: outer and inner measure 2.5 and 1.8 m; no level
has a colour there. Without a level there is no arrow.
"""

from __future__ import annotations

import math

from markupsafe import Markup

from cloud.danger.levels import ROMAN

INNER = 1.8 / 2.5
RED = "#c8102e"
_R, _PAD = 100, 8


def spoke(number: int) -> tuple[float, float]:
    """Return where the middle of a level's field lies from the middle of the disc: x to the right, y upwards."""
    angle = math.pi * (1 - (number - 0.5) / len(ROMAN))
    return math.cos(angle), math.sin(angle)


def edge(number: int) -> tuple[float, float]:
    """Return where the line lies between a level's field and the next one."""
    angle = math.pi * (1 - number / len(ROMAN))
    return math.cos(angle), math.sin(angle)


def svg(number: int | None, label: str) -> Markup:
    """Return the sign as SVG; `label` is what who listens hears."""
    middle, base = _R + _PAD, _R + _PAD
    inner = _R * INNER

    def at(unit: tuple[float, float], radius: float) -> str:
        return f"{middle + unit[0] * radius:.1f} {base - unit[1] * radius:.1f}"

    rim = f"M{middle - _R} {base}A{_R} {_R} 0 0 1 {middle + _R} {base}Z"
    ring = f"M{middle - inner:.1f} {base}A{inner:.1f} {inner:.1f} 0 0 1 {middle + inner:.1f} {base}"
    lines = "".join(f"M{at(edge(n), inner)}L{at(edge(n), _R)}" for n in range(1, len(ROMAN)))
    names = "".join(
        '<text x="{}" y="{}" dy=".36em">{}</text>'.format(*at(spoke(n), _R * (1 + INNER) / 2).split(), roman)
        for n, roman in enumerate(ROMAN, 1)
    )
    arrow = ""
    if number is not None:
        x, y = spoke(number)
        tip, left, right = at((x, y), inner - 5), at((-y, x), 5.5), at((y, -x), 5.5)
        arrow = f'<path fill="#1b1b1b" d="M{left}L{tip}L{right}Z"/>'
    # geometry and Roman numerals of our own; the label is escaped
    return Markup(
        '<svg class="sign" viewBox="0 0 {w} {h}" role="img" aria-label="{label}"><path fill="#fff" stroke="{red}" '
        'stroke-width="7" stroke-linejoin="round" d="{rim}"/><path fill="none" stroke="{red}" stroke-width="2" '
        'd="{ring}{lines}"/>{names}{arrow}<circle cx="{m}" cy="{b}" r="7" fill="#1b1b1b"/></svg>'
    ).format(
        w=2 * (_R + _PAD), h=_R + _PAD + 9, label=label, red=RED, rim=rim, ring=ring, lines=lines,
        names=Markup(names), arrow=Markup(arrow), m=middle, b=base,  # noqa: S704
    )  # fmt: skip
