"""Fonts that have Vietnamese, for what is printed here as PDF: the first that this machine has."""

from __future__ import annotations

from pathlib import Path

FONTS = (
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
)  # Debian's fonts-dejavu-core, fonts-noto-core


def font() -> str:
    """Return the path of one, "" where there is none."""
    return next((path for path in FONTS if Path(path).is_file()), "")


def bold(path: str) -> str:
    """Return the path of a font's bold brother; the font itself where it has none."""
    known = path.replace("-Regular.ttf", ".ttf").replace(".ttf", "-Bold.ttf")
    return known if Path(known).is_file() else path
