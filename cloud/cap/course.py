"""What becomes of an incident, or of a day's danger, as CAP messages. Pure: the same course gives the same messages.

Each step of an incident is a message: the first an Alert, the next ones an Update of what is in force, a closing as no
fire a Cancel, after a real one an Update that gives the all-clear. A message lasts two hours, so that a server that
died leaves no fire burning in other people's systems for ever; while a step lasts, it is told again every hour. Nothing
is kept of all that: the number and the time of every message follow from the steps, which the journal keeps.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec.structs import replace

from cloud.cap.message import Alert, Area, Meaning, Reference, Text
from cloud.clock import hanoi

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LASTS_MS = 2 * 3_600_000
AGAIN_MS = 3_600_000
LANGUAGES = {"vi-VN": "vi", "en-US": "en"}
Stage = Literal["suspected", "probable", "confirmed", "under-control", "closed", "rain"]
ClosedAs = Literal["", "real", "permitted", "cooking", "sensor-fault", "drill", "unknown", "rain", "merged"]
FALSE = frozenset({"permitted", "cooking", "sensor-fault", "drill"})
WITHDRAWN = FALSE | {"merged"}  # nothing is said by it any more

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
}


class Sender(msgspec.Struct, frozen=True):
    """Who warns. `sender` is unique in the world, as an e-mail address is; names and restriction by language."""

    sender: str
    name: dict[str, str]
    restriction: str


class Step(msgspec.Struct, frozen=True):
    """From when on an incident is in a stage; `measured` is what was known of it then, by language.

    `id` names the step for ever, wherever it stands among others: the number of its row in the journal.
    """

    at_ms: int
    stage: Stage
    closed_as: ClosedAs = ""
    measured: dict[str, str] = {}
    id: int = 0


class Course(msgspec.Struct, frozen=True):
    """An incident and all its steps, in the order in which they were taken: steps are added, never changed."""

    number: int
    place: dict[str, str]
    steps: tuple[Step, ...]
    lat: float | None = None
    lon: float | None = None
    radius_km: float = 0.5
    exercise: bool = False
    web: str = ""


class Danger(msgspec.Struct, frozen=True):
    """The level of a zone's day: P, and the decision of the province by whose table it is that level."""

    zone: str
    place: dict[str, str]
    level: Literal["IV", "V"]
    issued_ms: int
    until_ms: int
    p: float
    decision: str
    area: Area = Area()
    exercise: bool = False
    web: str = ""


class _Slot(msgspec.Struct, frozen=True):
    """One message to be: which step, how often it was told before, and when it is sent."""

    step: int
    again: int
    sent_ms: int


def messages(course: Course, sender: Sender, now_ms: int) -> list[Alert]:
    """Return the messages of an incident until now, oldest first."""
    slots = _slots(course, now_ms)
    return [_message(course, sender, slots, at) for at in range(len(slots))]


def newest(course: Course, sender: Sender, now_ms: int) -> Alert | None:
    """Return the message that is in force now; None where none is any more."""
    slots = _slots(course, now_ms)
    if not slots or slots[-1].sent_ms + LASTS_MS <= now_ms:
        return None
    return _message(course, sender, slots, len(slots) - 1)


def measured(quantity: dict[str, str], value: float, unit: str, *, rain: bool = False) -> dict[str, str]:
    """Return what was measured, by language, as a step tells it: `quantity` by language, `rain` for a sum of it."""
    told = {}
    for lang in LANGUAGES.values():
        number = f"{value:g}".replace(".", ",") if lang == "vi" else f"{value:g}"
        words = _words(lang, "measured")["rain" if rain else "value"]
        told[lang] = words.format(quantity=quantity[lang], value=number, unit=unit)
    return told


def danger(day: Danger, sender: Sender) -> Alert:
    """Return the warning of a zone's danger. Its identifier tells zone, level and time."""
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
    at = hanoi(day.issued_ms)
    return Alert(
        identifier=f"gocche:danger-{at:%Y%m%dT%H%M%S}-{day.zone}-{day.level}",
        sender=sender.sender,
        sent_ms=day.issued_ms,
        meaning=MEANINGS[f"danger {day.level}"],
        texts=_texts("danger", fields, sender, exercise=day.exercise),
        status="Exercise" if day.exercise else "Actual",
        restriction=sender.restriction,
        effective_ms=day.issued_ms,
        expires_ms=day.until_ms,
        area=day.area,
        web=day.web,
        note=_words("vi", "exercise")["note"] if day.exercise else "",
    )


def _slots(course: Course, now_ms: int) -> list[_Slot]:
    """Return what was sent until now. What was closed before anybody was told of it was never told."""
    slots: list[_Slot] = []
    steps = course.steps
    for at, step in enumerate(steps):
        if step.stage == "closed" and not slots:
            continue
        until_ms = min(now_ms + 1, steps[at + 1].at_ms) if at + 1 < len(steps) else now_ms + 1
        slots.append(_Slot(at, 0, step.at_ms))
        if step.stage != "closed":
            times = range(step.at_ms + AGAIN_MS, until_ms, AGAIN_MS)
            slots += [_Slot(at, again, sent_ms) for again, sent_ms in enumerate(times, 1)]
    return slots


def _message(course: Course, sender: Sender, slots: Sequence[_Slot], at: int) -> Alert:
    slot = slots[at]
    step = course.steps[slot.step]
    kind = _kind(course, slots, at)
    earlier = [] if kind == "Alert" else _in_force(course, slots[:at], slot.sent_ms)
    return Alert(
        identifier=_identifier(course, slots, at),
        sender=sender.sender,
        sent_ms=slot.sent_ms,
        meaning=_meaning(step),
        texts=_texts(_section(step), _fields(course, step), sender, exercise=course.exercise),
        status="Exercise" if course.exercise else "Actual",
        kind=kind,
        references=tuple(
            Reference(sender.sender, _identifier(course, slots, one), slots[one].sent_ms) for one in earlier
        ),
        restriction=sender.restriction,
        categories=("Met",) if "rain" in (step.stage, step.closed_as) else ("Fire",),
        incident=str(course.number),
        effective_ms=slot.sent_ms,
        onset_ms=course.steps[0].at_ms,
        expires_ms=slot.sent_ms + LASTS_MS,
        area=_area(course),
        web=course.web,
        note=_words("vi", "exercise")["note"] if course.exercise else "",
    )


def _kind(course: Course, slots: Sequence[_Slot], at: int) -> Literal["Alert", "Update", "Cancel"]:
    """A message about nothing that is in force is an Alert: the first, and one after all was called off."""
    if at == 0 or _is_withdrawn(course.steps[slots[at - 1].step]):
        return "Alert"
    return "Cancel" if _is_withdrawn(course.steps[slots[at].step]) else "Update"


def _in_force(course: Course, before: Sequence[_Slot], sent_ms: int) -> list[int]:
    """Return which earlier messages a message takes the place of: those that last, at least the one before it."""
    found: list[int] = []
    for at in range(len(before) - 1, -1, -1):
        lasts = before[at].sent_ms + LASTS_MS > sent_ms
        if (found and not lasts) or _is_withdrawn(course.steps[before[at].step]):
            break
        found.append(at)
    return found[::-1]


def _is_withdrawn(step: Step) -> bool:
    return step.stage == "closed" and step.closed_as in WITHDRAWN


def _identifier(course: Course, slots: Sequence[_Slot], at: int) -> str:
    """Return a name that stays: a URI, as Atom wants. The beginning is in it: a restored journal counts anew."""
    slot = slots[at]
    again = f".{slot.again}" if slot.again else ""
    step = course.steps[slot.step].id or slot.step + 1
    return f"gocche:{hanoi(course.steps[0].at_ms):%Y%m%dT%H%M%S}-{course.number}-{step}{again}"


def _meaning(step: Step) -> Meaning:
    return MEANINGS.get(f"{step.stage} {step.closed_as}", MEANINGS[step.stage])


def _section(step: Step) -> str:
    return f"closed-{step.closed_as or 'unknown'}" if step.stage == "closed" else step.stage


def _area(course: Course) -> Area:
    if course.lat is None or course.lon is None:
        return Area()
    return Area(circles=((course.lat, course.lon, course.radius_km),))


def _fields(course: Course, step: Step) -> dict[str, dict[str, str]]:
    return {
        lang: {
            "place": course.place[lang],
            "since": _time(course.steps[0].at_ms, lang),
            "at": _time(step.at_ms, lang),
            "measured": step.measured.get(lang, ""),
            "number": str(course.number),
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
