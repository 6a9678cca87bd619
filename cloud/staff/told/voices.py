"""Stories as they are told aloud: an MP3 of a tree in a language, heard by the world when somebody else says so."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.responses import Response

from cloud.registry.pictures import HEARD, SOUND
from cloud.staff.aside.uploads import VOICE, Unreadable, read_aside
from cloud.staff.told.files import Sending

if TYPE_CHECKING:
    from cloud.staff.visit import Visit

log = logging.getLogger(__name__)
READER = "cloud.staff.told.voice_reader"


def sound(visit: Visit) -> Response:
    """One recording, for staff."""
    named = HEARD.fullmatch(visit.parts["name"])
    path = visit.staff.photos / named[0] if named else None
    if path is None or not path.is_file():
        return visit.told("missing", status=404)
    return Response(path.read_bytes(), media_type=SOUND)


def _made(code: str, body: bytes) -> dict[str, bytes] | str:
    """Its tags are cut off aside."""
    try:
        kept = read_aside(READER, "voice", body, VOICE)
    except Unreadable:
        log.exception("voice not read")
        kept = b""
    return {f"{code}.mp3": kept} if kept else "no_voice"


SENDING = Sending(
    *("voice", "voices", "/giong", "audio/mpeg,.mp3"),
    asked=("tree", "lang", "speaker", "recorded_on", "consents"),
    limit=VOICE,
    made=_made,
    unsaid={"published": "no", "remark": ""},
)
