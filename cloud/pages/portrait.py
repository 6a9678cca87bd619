"""A drawn portrait of a tree: an old Shan tea tree before mountains, the same for the same code for ever.

It stands where no photo is, and the page says that it is drawn: no two trees of a garden look alike, and none looks
like a photo. Plain shapes with their own colours, so it needs no style sheet and is some 4 kB on the wire.
"""

from __future__ import annotations

import math
from functools import lru_cache
from random import Random
from typing import NamedTuple

WIDTH, HEIGHT = 800, 500
_GROUND = 420
_SKIES = (  # above, at the horizon, far hills, near hills, leaf in shade, leaf, leaf in light
    ("#b9cfd3", "#f3e6cf", "#9db5b2", "#6f9186", "#2f5a45", "#43785a", "#6d9f6d"),
    ("#c9d6cf", "#f7efdc", "#a9bfae", "#7b9d83", "#33583a", "#4c7d4a", "#82a862"),
    ("#a9bdd0", "#e9d9d4", "#8fa3b6", "#647f8e", "#274d45", "#3b6d5c", "#64957a"),
    ("#d8d3c4", "#f6e3c2", "#b9bfa8", "#8a9d7c", "#3c5a34", "#587e44", "#8fa95b"),
    ("#bfc9d6", "#eceff0", "#a4b4c0", "#788f98", "#2c5148", "#42725f", "#719a80"),
)
_BARK, _BARK_LIGHT, _MOSS = "#5d5346", "#857a68", "#7f9a52"


class _Limb(NamedTuple):
    x: float
    y: float
    angle: float
    length: float
    width: float
    order: int


@lru_cache(maxsize=64)  # a portrait is 20 kB
def portrait(code: str) -> str:
    """Return the portrait of the tree with this code, as an SVG document."""
    random = Random(f"portrait {code}")
    sky, horizon, far, near, *leaves = random.choice(_SKIES)
    limbs, tips = _grown(random)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">',
        f'<defs><linearGradient id="s" x1="0" y1="0" x2="0" y2="1"><stop stop-color="{sky}"/>',
        f'<stop offset="1" stop-color="{horizon}"/></linearGradient></defs>',
        f'<path fill="url(#s)" d="M0 0h{WIDTH}v{HEIGHT}H0z"/>',
        _sun(random),
        _ridge(random, 235, 70, far, 0.55),
        _mist(random, 265),
        _ridge(random, 300, 55, far, 1),
        _mist(random, 325),
        _ridge(random, 355, 35, near, 1),
        _meadow(random, leaves[1]),
        _leafage(random, tips, leaves[0], 24, 27, 10),
        _wood(limbs),
        _moss(random, limbs),
        _leafage(random, tips, leaves[1], 21, 19, 0),
        _leafage(random, tips, leaves[2], 12, 14, -13),
        _buds(random, tips),
        _grass(random, leaves[0]),
        "</svg>",
    ]
    return "".join(parts)


def _grown(random: Random) -> tuple[list[_Limb], list[tuple[float, float]]]:
    """Return the limbs of a tree, thickest first, and where its leaves hang."""
    lean, root = random.uniform(-0.16, 0.16), WIDTH / 2 + random.uniform(-60, 60)
    stems = random.choice((1, 2, 2, 3))
    waiting = [
        _Limb(root + at * 16, _GROUND + 12, lean + at * 0.34, random.uniform(92, 118), 46 / math.sqrt(stems), 0)
        for at in ([0.0], [-0.7, 0.7], [-1.0, 0.0, 1.0])[stems - 1]
    ]
    limbs, tips = [], list[tuple[float, float]]()
    while waiting:
        limb = waiting.pop(0)
        limbs.append(limb)
        x, y = _end(limb)
        if limb.order >= 2:
            tips.append((x, y))
        if limb.order == 4:
            continue
        for side in random.choice(((-1, 1), (-1, 1), (-1, 0.15, 1))):
            angle = limb.angle * 0.8 + side * random.uniform(0.35, 0.72)
            length = limb.length * random.uniform(0.62, 0.82)
            waiting.append(_Limb(x, y, max(-1.75, min(1.75, angle)), length, limb.width * 0.62, limb.order + 1))
    return limbs, tips


def _end(limb: _Limb) -> tuple[float, float]:
    return limb.x + math.sin(limb.angle) * limb.length, limb.y - math.cos(limb.angle) * limb.length


def _wood(limbs: list[_Limb]) -> str:
    """Return trunk and branches: one stroke a width, lit from one side."""
    strokes: dict[float, list[str]] = {}
    for limb in limbs:
        x, y = _end(limb)
        bend = limb.length * 0.14 * (1 if limb.order % 2 else -1)
        middle = (limb.x + x) / 2 + bend * math.cos(limb.angle), (limb.y + y) / 2 + bend * math.sin(limb.angle)
        strokes.setdefault(limb.width, []).append(
            f"M{limb.x:.0f} {limb.y:.0f}Q{middle[0]:.0f} {middle[1]:.0f} {x:.0f} {y:.0f}"
        )
    wood = "".join(f'<path stroke-width="{width:.1f}" d="{"".join(own)}"/>' for width, own in strokes.items())
    lit = "".join(
        f'<path stroke-width="{width / 5:.1f}" d="{"".join(own)}"/>' for width, own in strokes.items() if width > 9
    )
    return (
        f'<ellipse cx="{limbs[0].x:.0f}" cy="{_GROUND + 22}" rx="92" ry="9" opacity=".22"/>'
        f'<g fill="none" stroke="{_BARK}" stroke-linecap="round">{wood}'
        f'<g stroke="{_BARK_LIGHT}" transform="translate(-4 -1)">{lit}</g></g>'
    )


def _moss(random: Random, limbs: list[_Limb]) -> str:
    """Return what grows on an old trunk."""
    dots = []
    for limb in [one for one in limbs if one.order < 2]:
        for _ in range(7 - 3 * limb.order):
            along, off = random.random(), random.uniform(-0.32, 0.32) * limb.width
            end = _end(limb)
            x = limb.x + (end[0] - limb.x) * along + off * math.cos(limb.angle)
            y = limb.y + (end[1] - limb.y) * along + off * math.sin(limb.angle)
            dots.append(f"M{x:.0f} {y:.0f}l{random.randint(-1, 3)} {random.randint(1, 6)}")
    return (
        f'<path stroke="{_MOSS}" stroke-width="7" stroke-linecap="round" opacity=".7" d="{"".join(dots)}"/>'
        f'<path stroke="#d9dcc9" stroke-width="4" stroke-linecap="round" opacity=".55" d="{"".join(dots[::4])}"/>'
    )


def _leafage(
    random: Random, tips: list[tuple[float, float]], colour: str, size: float, spread: float, down: int
) -> str:
    """Return leaves about the tips, as strokes of a leaf's shape."""
    strokes = []
    for x, y in tips:
        for _ in range(2):
            left = x + random.gauss(0, spread) - size / 2
            strokes.append(
                f"M{left:.0f} {y + random.gauss(0, spread * 0.6) + down:.0f}l{size * 0.9:.0f} {random.randint(-7, 5)}"
            )
    return (
        f'<path stroke="{colour}" stroke-width="{size * 0.72:.0f}" stroke-linecap="round" opacity=".88"'
        f' d="{"".join(strokes)}"/>'
    )


def _buds(random: Random, tips: list[tuple[float, float]]) -> str:
    """Return the silver buds that Shan tea is picked for."""
    chosen = random.sample(tips, min(len(tips), 26))
    dots = "".join(
        f"M{x + random.gauss(0, 16):.0f} {y - 10 + random.gauss(0, 14):.0f}l{random.choice((-2, 2))} -7"
        for x, y in chosen
    )
    return f'<path stroke="#e4edd2" stroke-width="3.4" stroke-linecap="round" d="{dots}"/>'


def _ridge(random: Random, base: float, height: float, colour: str, opacity: float) -> str:
    phase = [random.uniform(0, math.tau) for _ in range(3)]
    points = [
        (x, base - height * sum(math.sin(x / 800 * math.tau * (n + 0.7) + phase[n]) / (n + 1) for n in range(3)) * 0.6)
        for x in range(0, WIDTH + 1, 40)
    ]
    line = " ".join(f"{x} {y:.0f}" for x, y in points)
    return f'<path fill="{colour}" opacity="{opacity}" d="M0 {HEIGHT}L{line}V{HEIGHT}z"/>'


def _mist(random: Random, y: float) -> str:
    """Return a bank of fog between two ridges."""
    return "".join(
        f'<ellipse cx="{random.randint(0, WIDTH)}" cy="{y + random.randint(-8, 12):.0f}" fill="#fff"'
        f' rx="{random.randint(160, 330)}" ry="{random.randint(9, 20)}" opacity=".{random.randint(26, 44)}"/>'
        for _ in range(3)
    )


def _sun(random: Random) -> str:
    x, y = random.choice((random.randint(90, 230), random.randint(560, 710))), random.randint(70, 130)
    return f'<circle cx="{x}" cy="{y}" r="{random.randint(26, 38)}" fill="#fff6df" opacity=".8"/>'


def _meadow(random: Random, colour: str) -> str:
    left, right = random.randint(-12, 18), random.randint(-12, 18)
    rows = "".join(
        f"M-20 {y + 24 + left}Q{WIDTH / 2:.0f} {y - 6} {WIDTH + 20} {y + 22 + right}"
        for y in range(_GROUND, _GROUND + 68, 17)
    )
    return (
        f'<path fill="{colour}" d="M0 {_GROUND + left}Q{WIDTH / 2:.0f} {_GROUND - 36} {WIDTH} {_GROUND + right}'
        f'V{HEIGHT}H0z"/>'
        f'<path fill="none" stroke="#fff" stroke-width="3" stroke-dasharray="14 9" opacity=".16" d="{rows}"/>'
    )


def _grass(random: Random, colour: str) -> str:
    roots = [(random.randint(0, WIDTH), random.randint(_GROUND + 8, HEIGHT)) for _ in range(90)]
    blades = "".join(f"M{x} {y}l{random.randint(-5, 5)} -{random.randint(7, 15)}" for x, y in roots)
    return f'<path stroke="{colour}" stroke-width="2.5" stroke-linecap="round" opacity=".7" d="{blades}"/>'
