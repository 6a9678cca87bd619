"""Stories as they are told aloud: an MP3 of a tree in a language, heard by the world when somebody else says so."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.responses import Response

from cloud.registry.cells import Bad
from cloud.registry.draft import Rejected
from cloud.registry.pictures import HEARD, SOUND
from cloud.staff.fields import blank, fields, judged, typed
from cloud.staff.photos import code_of, keep
from cloud.staff.uploads import VOICE, Unreadable, read_aside

if TYPE_CHECKING:
    from cloud.staff.visit import Visit

log = logging.getLogger(__name__)
READER = "cloud.staff.voice_reader"
_ASKED = ("tree", "lang", "speaker", "recorded_on", "consents")  # when it is sent; the rest later


def new(visit: Visit) -> Response:
    """Choose a recording and say who tells what."""
    return _form(visit, blank("voice") | {"tree": visit.asked("cay")})


def send(visit: Visit) -> Response:
    """Take a recording: its tags are cut off aside, it is kept, and named in the registry; or nothing is."""
    texts = typed(visit, "voice") | {"published": "no", "remark": ""}
    upload = visit.upload
    if upload is None or not upload.body:
        return _form(visit, texts, why="voice.no_file")
    if len(upload.body) > VOICE.size:
        return visit.told("too_long", status=413, limit=f"{VOICE.size / 1e6:.1f}")
    texts["code"] = code_of(upload.body)
    record, bads = judged("voice", texts)
    if record is None:
        return _form(visit, texts, bads=bads)
    try:
        sound = read_aside(READER, "voice", upload.body, VOICE)
    except Unreadable:
        log.exception("voice not read")
        sound = b""
    if not sound:
        return _form(visit, texts, why="voice.no_voice")
    kept = keep(visit.staff.photos, {f"{texts['code']}.mp3": sound})
    try:
        with visit.staff.shelf.act(visit.who, f"voice {texts['code']}") as draft:
            draft.put([record], 0)
    except (Bad, Rejected) as error:
        if isinstance(error, Bad):
            return _form(visit, texts, why="voice.known")
        for path in kept:
            path.unlink(missing_ok=True)
        return _form(visit, texts, bads=[bad for _, bad in error.faults])
    return visit.go("/bang/voices/dong", k=texts["code"], xong="saved")


def sound(visit: Visit) -> Response:
    """One recording, for staff."""
    named = HEARD.fullmatch(visit.parts["name"])
    path = visit.staff.photos / named[0] if named else None
    if path is None or not path.is_file():
        return visit.told("missing", status=404)
    return Response(path.read_bytes(), media_type=SOUND)


def _form(visit: Visit, texts: dict[str, str], *, why: str = "", bads: list[Bad] | None = None) -> Response:
    faults = {bad.column: visit.s.why(bad) for bad in bads or ()}
    return visit.page(
        "voice.html",
        status=422 if why or bads else 200,
        fields=[one for one in fields(visit, "voice", texts, faults=faults) if one.name in _ASKED],
        why=visit.s.say(why) if why else "",
        others=[words for column, words in faults.items() if column not in _ASKED],
        megabytes=f"{VOICE.size / 1e6:.0f}",
    )
