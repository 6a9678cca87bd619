"""What a sheet or a photo really says, beside what was minted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pypdfium2
import zxingcpp
from PIL import Image, UnidentifiedImageError

from cloud.labels import BadLabel
from cloud.registry import codes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DPI = 150
MOST_PAGES = 500
MOST_PIXELS = 60_000_000  # a photo of the largest phones; Pillow refuses what is above twice that


@dataclass
class Found:
    """Codes as they were read, in their order; `foreign` are symbols that are none of ours."""

    codes: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    @property
    def twice(self) -> list[str]:
        """Codes that were read more than once."""
        return sorted({code for code in self.codes if self.codes.count(code) > 1})


def verify(path: Path, public_url: str) -> Found:
    """Decode every symbol of a PDF or a picture. Raises BadLabel for a file that is neither."""
    found = Found()
    begin = f"{public_url.rstrip('/')}/T/".upper()
    for picture in _pictures(path):
        for symbol in zxingcpp.read_barcodes(picture):
            text = symbol.text.upper()
            code = codes.normalise(text.removeprefix(begin)) if text.startswith(begin) else None
            (found.foreign if code is None else found.codes).append(symbol.text if code is None else code)
    return found


def _pictures(path: Path) -> Iterator[Image.Image]:
    if path.suffix.lower() == ".pdf":
        yield from _pages(path)
        return
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    try:
        with Image.open(path) as picture:
            yield picture.convert("L")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise BadLabel("no_picture", path=path, why=str(error)) from error


def _pages(path: Path) -> Iterator[Image.Image]:
    try:
        document = pypdfium2.PdfDocument(path)
    except (OSError, pypdfium2.PdfiumError) as error:
        raise BadLabel("no_picture", path=path, why=str(error)) from error
    try:
        if len(document) > MOST_PAGES:
            raise BadLabel("pages", path=path, pages=len(document), limit=MOST_PAGES)
        for page in document:
            yield page.render(scale=DPI / 72, grayscale=True).to_pil()
    finally:
        document.close()
