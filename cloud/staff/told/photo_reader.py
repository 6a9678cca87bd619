"""`python -m cloud.staff.told.photo_reader FOLDER NAME MEMORY SECONDS`: an uploaded photo as pictures of our making.

Nothing of the file itself goes on: it is decoded, turned upright, brought to sRGB and encoded anew, so that position,
owner and whatever else a camera or a stranger wrote into it stays behind.
"""

from __future__ import annotations

import io
import sys
import warnings
from pathlib import Path

import msgspec
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from cloud.registry.pictures import SIZES
from cloud.staff.aside.uploads import Pictures, bounded

FORMATS = ("JPEG", "PNG", "WEBP")
MOST_PIXELS = 64_000_000  # what a telephone takes; a picture that claims more is not even begun
SMALLEST = 200  # pixels of the shorter side: below it is no photo of a tree
QUALITY = {"webp": 80, "jpg": 82}
_WRITERS = {"webp": "WEBP", "jpg": "JPEG"}


def made_of(body: bytes) -> Pictures:
    """Return the pictures of a photo."""
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        photo = Image.open(io.BytesIO(body), formats=FORMATS)
        if min(photo.size) < SMALLEST:
            return Pictures(why="small")
        photo.draft("RGB", (2 * SIZES[-1], 2 * SIZES[-1]))  # a JPEG is decoded no larger than it is needed
        upright = _srgb(ImageOps.exif_transpose(photo))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return Pictures(why="many_pixels")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError):
        return Pictures(why="no_photo")
    return Pictures({f"{size}.{ending}": _written(upright, size, ending) for size in SIZES for ending in _WRITERS})


def _srgb(photo: Image.Image) -> Image.Image:
    """Return a photo in the colours that every screen knows, without anything beside them."""
    profile = photo.info.get("icc_profile")
    plain = photo.convert("RGB")
    if profile and photo.mode == "RGB":
        try:
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(plain, own, ImageCms.createProfile("sRGB"), outputMode="RGB") or plain
        except (ImageCms.PyCMSError, OSError):
            return plain
    return plain


def _written(photo: Image.Image, size: int, ending: str) -> bytes:
    small = photo.copy()
    small.thumbnail((size, size), Image.Resampling.LANCZOS)
    clean = Image.new("RGB", small.size)
    clean.paste(small)
    told = io.BytesIO()
    clean.save(told, _WRITERS[ending], quality=QUALITY[ending], **({"progressive": True} if ending == "jpg" else {}))
    return told.getvalue()


def main(folder: str, name: str, memory: str, seconds: str) -> None:
    """Write the answer beside the file."""
    bounded(int(memory), int(seconds))
    place = Path(folder)
    place.joinpath("answer").write_bytes(msgspec.msgpack.encode(made_of(place.joinpath(name).read_bytes())))


if __name__ == "__main__":
    main(*sys.argv[1:])
