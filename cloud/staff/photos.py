"""Photos of trees: taken with a telephone, made anew in three sizes, shown when somebody says so."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from cloud.registry.cells import Bad
from cloud.registry.draft import Rejected
from cloud.registry.pictures import NAME, TYPES
from cloud.staff.fields import blank, fields, judged, typed
from cloud.staff.uploads import PHOTO, Pictures, Unreadable, read_aside
from disk.flush import flush

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cloud.staff.visit import Visit

log = logging.getLogger(__name__)
READER = "cloud.staff.photo_reader"
LICENCES = ("CC BY 4.0", "CC BY-SA 4.0", "CC0 1.0")
_ASKED = ("tree", "alt_vi", "alt_en", "author", "licence", "taken_on", "consents")  # when it is sent; the rest later


def new(visit: Visit) -> Response:
    """Choose a photo and say what it shows."""
    author = visit.somebody.name if visit.staff.shelf.may_be_named(visit.somebody) else ""
    texts = blank("photo") | {"tree": visit.asked("cay"), "author": author, "licence": LICENCES[0]}
    return _form(visit, texts)


def send(visit: Visit) -> Response:
    """Take a photo: it is made anew aside, kept, and named in the registry; or nothing is."""
    texts = typed(visit, "photo") | {"published": "no"}
    upload = visit.upload
    if upload is None or not upload.body:
        return _form(visit, texts, why="photo.no_file")
    if len(upload.body) > PHOTO.size:
        return visit.told("too_long", status=413, limit=f"{PHOTO.size / 1e6:.1f}")
    texts["code"] = code_of(upload.body)
    record, bads = judged("photo", texts)
    if record is None:
        return _form(visit, texts, bads=bads)
    pictures = made_anew(upload.body)
    if pictures.why:
        return _form(visit, texts, why=f"photo.{pictures.why}")
    kept = keep(visit.staff.photos, named(texts["code"], pictures))
    try:
        with visit.staff.shelf.act(visit.who, f"photo {texts['code']}") as draft:
            draft.put([record], 0)
    except (Bad, Rejected) as error:
        if isinstance(error, Bad):
            return _form(visit, texts, why="photo.known")
        for path in kept:
            path.unlink(missing_ok=True)
        return _form(visit, texts, bads=[bad for _, bad in error.faults])
    return visit.go("/bang/photos/dong", k=texts["code"], xong="saved")


def picture(visit: Visit) -> Response:
    """One picture, for staff."""
    asked = NAME.fullmatch(visit.parts["name"])
    path = visit.staff.photos / asked[0] if asked else None
    if asked is None or path is None or not path.is_file():
        return visit.told("missing", status=404)
    return Response(path.read_bytes(), media_type=TYPES[asked[3]])


def code_of(body: bytes) -> str:
    """Return the code of a photo or a voice: the same file is the same one."""
    return hashlib.sha256(body).hexdigest()[:16]


def made_anew(body: bytes) -> Pictures:
    """Return the pictures that are made of a photo in a process of its own, or why there are none."""
    try:
        return msgspec.msgpack.decode(read_aside(READER, "photo", body, PHOTO), type=Pictures)
    except Unreadable:
        log.exception("photo not read")
        return Pictures(why="no_photo")


def named(code: str, pictures: Pictures) -> dict[str, bytes]:
    """Return the pictures of a photo by the names of their files."""
    return {f"{code}-{name}": body for name, body in pictures.made.items()}


def keep(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write all files of a photo or a voice, each whole or not at all; return those that were not there."""
    folder.mkdir(mode=0o700, exist_ok=True)
    made: list[Path] = []
    try:
        for name, body in files.items():
            path = folder / name
            if not path.exists():
                fresh = path.with_name(f".{path.name}.new")
                made.append(fresh)
                fresh.write_bytes(body)
                flush(fresh)
                fresh.replace(path)
                made[-1] = path
        flush(folder)
    except OSError:
        for path in made:
            path.unlink(missing_ok=True)
        raise
    return made


def _form(visit: Visit, texts: dict[str, str], *, why: str = "", bads: list[Bad] | None = None) -> Response:
    faults = {bad.column: visit.s.why(bad) for bad in bads or ()}
    shown = [one for one in fields(visit, "photo", texts, faults=faults) if one.name in _ASKED]
    return visit.page(
        "photo.html",
        status=422 if why or bads else 200,
        fields=shown,
        licences=LICENCES,
        why=visit.s.say(why) if why else "",
        others=[words for column, words in faults.items() if column not in _ASKED],
        megabytes=f"{PHOTO.size / 1e6:.0f}",
    )
