"""What is to be said now of an incident, or of a day's danger, as a CAP message; and what follows what was said. Pure.

`notice` and `danger_notice` say what would be told now; `following` makes a message of it where that is news: of what
nobody was told yet an Alert, then each other state an Update of what is in force, a closing as no fire a Cancel, after
a real one an Update that gives the all-clear. A message lasts two hours, so that a server that died leaves no fire
burning in other people's systems for ever; while nothing changes, it is told again every hour. What was said is kept
(`book`) and never made anew: no word of a message changes once somebody may have read it.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec.structs import replace

from cloud.cap.message import Alert, Area, Meaning, Text
from cloud.clock import hanoi

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

LASTS_MS = 2 * 3_600_000
AGAIN_MS = 3_600_000
LEAST_KM = 0.5  # of the circle: a sensor's place is known better than that of what it smells
LANGUAGES = {"vi-VN": "vi", "en-US": "en"}
Stage = Literal["suspected", "probable", "confirmed", "under-control", "closed"]
ClosedAs = Literal["", "real", "permitted", "cooking", "sensor-fault", "drill", "unknown", "merged"]
FALSE = frozenset({"permitted", "cooking", "sensor-fault", "drill"})
WITHDRAWN = FALSE | {"merged"}  # nothing of it is so, or another message tells it

# evidence: CAP 1.2 §3.2.2; how sure is how sure, and only what a person has seen is Observed.
MEANINGS = {
    "suspected": Meaning("Immediate", "Severe", "Possible", "Assess"),
    "probable": Meaning("Immediate", "Severe", "Likely", "Prepare"),
    "confirmed": Meaning("Immediate", "Extreme", "Observed", "Execute"),
    "under-control": Meaning("Expected", "Moderate", "Observed", "Monitor"),
    "rain": Meaning("Expected", "Severe", "Observed", "Prepare"),
    "closed": Meaning("Past", "Minor", "Unlikely", "AllClear"),
    "closed real": Meaning("Past", "Minor", "Observed", "AllClear"),
    "closed unknown": Meaning("Past", "Minor", "Unknown", "AllClear"),
    "closed merged": Meaning("Past", "Minor", "Unknown", "None"),
    "closed rain": Meaning("Past", "Minor", "Observed", "AllClear"),
    "danger IV": Meaning("Expected", "Moderate", "Likely", "Avoid"),
    "danger V": Meaning("Expected", "Severe", "Likely", "Avoid"),
    "danger": Meaning("Past", "Minor", "Unlikely", "None"),
    "danger lapsed": Meaning("Unknown", "Unknown", "Unknown", "Monitor"),
}


class Sender(msgspec.Struct, frozen=True):
    """Who warns. `sender` is unique in the world, as an e-mail address is; names and restriction by language."""

    sender: str
    name: dict[str, str]
    restriction: str
    contact: str = ""


class Step(msgspec.Struct, frozen=True):
    """From when on an incident is in a stage; `measured` is what is known of it, by language."""

    at_ms: int
    stage: Stage
    closed_as: ClosedAs = ""
    measured: dict[str, str] = {}


class Course(msgspec.Struct, frozen=True):
    """An incident as it is now. `opened_ms` is when its journal begins, which names it beside another journal's."""

    number: int
    opened_ms: int
    since_ms: int
    place: dict[str, str]
    step: Step
    lat: float | None = None
    lon: float | None = None
    radius_km: float = LEAST_KM
    exercise: bool = False
    rain: bool = False
    into: int = 0  # the incident that tells it now
    web: str = ""


class Danger(msgspec.Struct, frozen=True):
    """The level of a zone's day: P, and the decision of the province by whose table it is that level.

    Without a level it is one that needs no warning any more or, where it `lapsed`, one that nobody may name: no table
    of the province is in force, and the danger may still be as high.
    """

    zone: str
    place: dict[str, str]
    level: Literal["IV", "V", ""]
    issued_ms: int
    until_ms: int
    p: float
    decision: str
    area: Area = Area()
    exercise: bool = False
    web: str = ""
    lapsed: bool = False


class Notice(msgspec.Struct, frozen=True):
    """What is to be said now of a subject, as a message without name, kind and references.

    `state` is what makes it news. `ends`: nothing more is to be said of it; `withdrawn`: it is not so, or no more ours.
    """

    subject: str
    state: str
    alert: Alert
    ends: bool = False
    withdrawn: bool = False
    again_ms: int | None = None  # so long after a message the same is said again


class Said(msgspec.Struct, frozen=True):
    """A message that was given out, and which state of its subject it told."""

    state: str
    alert: Alert
    ends: bool = False
    withdrawn: bool = False


def following(told: Notice, before: Sequence[Said], now_ms: int) -> Said | None:
    """Return what is said now, after what was said of the subject before, oldest first; None where it is no news.

    What ends before anybody was told of it is never told. A message about nothing that is in force is an Alert: the
    first, and one after all was called off. Sent is now, in whole seconds, and later than everything before.
    """
    last = before[-1] if before else None
    over = last is None or last.withdrawn
    if over and told.ends:
        return None
    if last and last.state == told.state and not _is_due(told, last, now_ms):
        return None
    sent_ms = max(now_ms, last.alert.sent_ms + 1_000 if last else 0) // 1_000 * 1_000
    lasts_ms = told.alert.expires_ms or sent_ms + LASTS_MS
    alert = replace(
        told.alert,
        identifier=f"gocche:{told.subject}-{hanoi(sent_ms):%Y%m%dT%H%M%S}",
        kind="Alert" if over else "Cancel" if told.withdrawn else "Update",
        references=() if over else tuple(one.alert.reference for one in _in_force(before, sent_ms)),
        sent_ms=sent_ms,
        effective_ms=max(told.alert.effective_ms or 0, sent_ms),
        expires_ms=max(lasts_ms, sent_ms + 60_000),
    )
    return Said(told.state, alert, told.ends, told.withdrawn)


def _is_due(told: Notice, last: Said, now_ms: int) -> bool:
    return not told.ends and told.again_ms is not None and now_ms - last.alert.sent_ms >= told.again_ms


def _in_force(before: Sequence[Said], sent_ms: int) -> list[Said]:
    """Return which earlier messages a message takes the place of: those that last, at least the one before it."""
    found: list[Said] = []
    for one in reversed(before):
        lasts = (one.alert.expires_ms or 0) > sent_ms
        if (found and not lasts) or one.withdrawn:
            break
        found.append(one)
    return found[::-1]


def notice(course: Course, sender: Sender) -> Notice:
    """Return what is to be said of an incident."""
    step = course.step
    alert = Alert(
        identifier="",
        sender=sender.sender,
        sent_ms=0,
        meaning=_meaning(course),
        texts=_texts(_section(course), _fields(course), sender, exercise=course.exercise),
        status="Exercise" if course.exercise else "Actual",
        restriction=sender.restriction,
        categories=("Met",) if course.rain else ("Fire",),
        incident=f"{course.number} {course.into}" if course.into else str(course.number),
        onset_ms=course.since_ms,
        area=_area(course),
        web=course.web,
        note=_words("vi", "exercise")["note"] if course.exercise else "",
    )
    ends = step.stage == "closed"
    spot = str((course.lat, course.lon))  # how far around it changes with each minute's smoke, and is no news
    state = "|".join((step.stage, step.closed_as, *course.place.values(), spot))
    subject = f"{hanoi(course.opened_ms):%Y%m%dT%H%M%S}-{course.number}"
    withdrawn = ends and step.closed_as in WITHDRAWN
    return Notice(subject, state, alert, ends=ends, withdrawn=withdrawn, again_ms=AGAIN_MS)


def measured(quantity: dict[str, str], value: float, unit: str, *, rain: bool = False) -> dict[str, str]:
    """Return what was measured, by language, as a step tells it: `quantity` by language, `rain` for a sum of it."""
    told = {}
    for lang in LANGUAGES.values():
        number = f"{value:g}".replace(".", ",") if lang == "vi" else f"{value:g}"
        words = _words(lang, "measured")["rain" if rain else "value"]
        told[lang] = words.format(quantity=quantity[lang], value=number, unit=unit)
    return told


def danger_subject(zone: str, day: date) -> str:
    """Return the name of what is said of a zone's danger on a day."""
    return f"danger-{day:%Y%m%d}-{zone}"


def danger_notice(day: Danger, sender: Sender) -> Notice:
    """Return what is to be said of a zone's danger; P alone is no news, another level or another law is."""
    fields = {
        lang: {
            "place": day.place[lang],
            "p": f"{day.p:,.0f}".replace(",", "." if lang == "vi" else ","),
            "decision": day.decision,
            "level": day.level,
            "until": _time(day.until_ms, lang),
        }
        for lang in LANGUAGES.values()
    }
    section = "danger" if day.level else "danger-withdrawn" if day.lapsed else "danger-over"
    alert = Alert(
        identifier="",
        sender=sender.sender,
        sent_ms=0,
        meaning=MEANINGS[f"danger {day.level or 'lapsed' * day.lapsed}".strip()],
        texts=_texts(section, fields, sender, exercise=day.exercise),
        status="Exercise" if day.exercise else "Actual",
        restriction=sender.restriction,
        effective_ms=day.issued_ms,
        expires_ms=day.until_ms if day.level else None,
        area=day.area,
        web=day.web,
        note=_words("vi", "exercise")["note"] if day.exercise else "",
    )
    over = not day.level
    subject = danger_subject(day.zone, hanoi(day.issued_ms).date())
    return Notice(subject, f"{day.level}|{day.decision}" if day.level else "", alert, ends=over, withdrawn=over)


def _meaning(course: Course) -> Meaning:
    step = course.step
    if course.rain:  # it ends when it is over: people can neither close nor merge it
        return MEANINGS["rain" if step.stage != "closed" else "closed rain"]
    return MEANINGS.get(f"{step.stage} {step.closed_as}", MEANINGS[step.stage])


def _section(course: Course) -> str:
    step = course.step
    if step.stage != "closed":
        return "rain" if course.rain else step.stage
    return "closed-rain" if course.rain else f"closed-{step.closed_as or 'unknown'}"


def _area(course: Course) -> Area:
    if course.lat is None or course.lon is None:
        return Area()
    return Area(circles=((course.lat, course.lon, course.radius_km),))


def _fields(course: Course) -> dict[str, dict[str, str]]:
    return {
        lang: {
            "place": course.place[lang].strip() or _words(lang, "unknown")["place"],
            "since": _time(course.since_ms, lang),
            "at": _time(course.step.at_ms, lang),
            "measured": course.step.measured.get(lang, ""),
            "number": str(course.number),
            "into": str(course.into),
        }
        for lang in LANGUAGES.values()
    }


def _texts(section: str, fields: Mapping[str, dict[str, str]], sender: Sender, *, exercise: bool) -> dict[str, Text]:
    texts = {}
    for language, lang in LANGUAGES.items():
        words, given = _words(lang, section), fields[lang]
        text = Text(
            event=words["event"].format_map(given),
            headline=words["headline"].format_map(given),
            description=" ".join(words["description"].format_map(given).split()),
            instruction=words["instruction"].format_map(given),
            area=given["place"],
            sender_name=sender.name.get(lang, ""),
            contact=sender.contact,
        )
        texts[language] = _marked(text, _words(lang, "exercise")) if exercise else text
    return texts


def _marked(text: Text, words: Mapping[str, str]) -> Text:
    """Return a text that nobody can take for true: event, headline and instruction begin with the word."""
    mark = words["mark"]
    return replace(
        text,
        event=f"{mark}: {text.event}",
        headline=f"{mark}: {text.headline}",
        description=f"{mark}: {text.description}",
        instruction=words["instruction"],
    )


def _time(utc_ms: int, lang: str) -> str:
    return hanoi(utc_ms).strftime(_words(lang, "time")["form"])


def _words(lang: str, section: str) -> dict[str, str]:
    return _tables()[lang][section]


@cache
def _tables() -> dict[str, dict[str, dict[str, str]]]:
    return tomllib.loads((Path(__file__).parent / "words.toml").read_text("utf-8"))
