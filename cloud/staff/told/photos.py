"""Photos of trees: taken with a telephone, made anew in three sizes, shown when somebody says so."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from cloud.registry.pictures import NAME, TYPES
from cloud.staff.aside.uploads import PHOTO, Pictures, Unreadable, read_aside
from cloud.staff.told.files import Sending, keep

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.staff.visit import Visit

log = logging.getLogger(__name__)
READER = "cloud.staff.told.photo_reader"
LICENCES = ("CC BY 4.0", "CC BY-SA 4.0", "CC0 1.0")


def new(visit: Visit) -> Response:
    """Choose a photo and say what it shows."""
    author = visit.somebody.name if visit.staff.shelf.may_be_named(visit.somebody) else ""
    return SENDING.new(visit, author=author, licence=LICENCES[0])


def picture(visit: Visit) -> Response:
    """One picture, for staff."""
    asked = NAME.fullmatch(visit.parts["name"])
    path = visit.staff.photos / asked[0] if asked else None
    if asked is None or path is None or not path.is_file():
        return visit.told("missing", status=404)
    return Response(path.read_bytes(), media_type=TYPES[asked[3]])


def made_anew(body: bytes) -> Pictures:
    """Return the pictures that are made of a photo in a process of its own, or why there are none."""
    try:
        return msgspec.msgpack.decode(read_aside(READER, "photo", body, PHOTO), type=Pictures)
    except Unreadable:
        log.exception("photo not read")
        return Pictures(why="no_photo")


def kept(folder: Path, code: str, pictures: Pictures) -> list[Path]:
    """Write the pictures of a photo, all or none; return those that were not there."""
    return keep(folder, _named(code, pictures))


def _named(code: str, pictures: Pictures) -> dict[str, bytes]:
    return {f"{code}-{name}": body for name, body in pictures.made.items()}


def _made(code: str, body: bytes) -> dict[str, bytes] | str:
    pictures = made_anew(body)
    return pictures.why or _named(code, pictures)


SENDING = Sending(
    *("photo", "photos", "/anh", "image/jpeg,image/png,image/webp"),
    asked=("tree", "alt_vi", "alt_en", "author", "licence", "taken_on", "consents"),
    limit=PHOTO,
    made=_made,
    unsaid={"published": "no"},
    licences=LICENCES,
)
