"""One piece of work in the field, as a telephone asks for it: a tag for a tree, a sensor for its place, a photo."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple

from cloud.clock import hanoi
from cloud.registry import codes
from cloud.registry.kinds import PLACES, Photo
from cloud.staff.aside.uploads import PHOTO
from cloud.staff.told.files import code_of
from cloud.staff.told.photos import LICENCES, made_anew
from cloud.staff.words import Speaker
from wire import topics

if TYPE_CHECKING:
    from cloud.registry.hanging import Place, Sensor
    from cloud.staff.aside.uploads import Pictures
    from cloud.staff.visit import Visit

OLDEST_S = 90 * 86_400  # what waited longer is looked at by somebody before it is written
_ID = re.compile(r"[0-9a-f]{32}")
_WHOLE = re.compile(r"[0-9]{1,15}")
_SOURCE = re.compile(f"{topics.GATEWAY.pattern}/{topics.CHANNEL.pattern}")


class Refused(Exception):
    """It cannot be written as it is: a word of `field` with its facts."""

    def __init__(self, word: str, **facts: object) -> None:
        super().__init__(word)
        self.word, self.facts = word, facts


class Work(NamedTuple):
    """What is asked for. `seen` is the newest change that it knew of, `day` when it was done."""

    id: str
    seen: int
    day: date
    tag: str  # the code that was typed or read; "" where it is about a sensor
    place: Place
    sensor: Sensor
    how: str  # hang | correct
    instead: Sensor | None
    device: str

    @property
    def what(self) -> str:
        """Return what is bound: a tag's code, or a sensor."""
        return (codes.normalise(self.tag) or self.tag[:12]) if self.tag else " ".join(self.sensor)

    @property
    def act(self) -> str:
        """Return how the act that writes it begins: known by its number, so that it is written once."""
        return f"field {self.id} "


def read(visit: Visit) -> Work:
    """Return what was sent. Raises Refused."""
    given = visit.given
    if not (_ID.fullmatch(given("id")) and _WHOLE.fullmatch(given("seen")) and _WHOLE.fullmatch(given("ago"))):
        raise Refused("no_form")
    seen, ago_s = int(given("seen")), int(given("ago"))
    if ago_s > OLDEST_S:
        raise Refused("too_old", days=OLDEST_S // 86_400)
    kind, _, code = given("place").partition(":")
    of_tag = given("what") == "tag"
    if kind not in (("tree",) if of_tag else PLACES) or not code:
        raise Refused("choose_tree" if of_tag else "choose_place")
    if not of_tag and not _SOURCE.fullmatch(given("sensor")):
        raise Refused("choose_sensor")
    return Work(
        given("id"),
        seen,
        (hanoi(visit.s.now_ms) - timedelta(seconds=ago_s)).date(),
        given("tag").strip() if of_tag else "",
        (kind, code),
        _source(given("sensor")) if not of_tag else ("", ""),
        "correct" if given("how") == "correct" else "hang",
        _source(given("instead")) if _SOURCE.fullmatch(given("instead")) else None,
        given("device"),
    )


def photo(visit: Visit, asked: Work) -> tuple[Photo, Pictures] | None:
    """Return what the registry says of the photo that came along, and its pictures made anew, not yet written.

    None where there is nothing to write: no photo, or one that came before. Raises Refused.
    """
    upload = visit.upload
    if upload is None or not upload.body:
        return None
    if asked.place[0] != "tree":
        raise Refused("photo_of_tree")
    if len(upload.body) > PHOTO.size:
        raise Refused("photo_large", megabytes=f"{PHOTO.size / 1e6:.0f}")
    code = code_of(upload.body)
    with visit.staff.shelf.book() as book:
        if book.held("photo", (code,)) is not None:
            return None  # to make it anew takes seconds
    pictures = made_anew(upload.body)
    if pictures.why:
        raise Refused("photo_bad", why=visit.s.say(f"photo.{pictures.why}"))
    day = f"{asked.day:%d/%m/%Y}"
    vi, en = (Speaker(lang, 0).say("field.alt", tree=asked.place[1], day=day) for lang in ("vi", "en"))
    made = Photo(
        code=code,
        tree=asked.place[1],
        alt_vi=vi,
        alt_en=en,
        author=visit.somebody.name,
        licence=LICENCES[0],
        taken_on=asked.day,
    )
    return made, pictures


def _source(text: str) -> Sensor:
    gateway, _, channel = text.partition("/")
    return gateway, channel
