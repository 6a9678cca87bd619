"""Incidents in the words that people read: a letter in two languages about one or many, and one line for the log.

Words are data (words.toml, rules/<kind>.toml): Vietnamese first with English below, the other way round for a contact
who reads English.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from at.alphabet import fit, septets
from cloud.alerts import causes
from cloud.alerts.incident import Incident
from cloud.alerts.rules import Rule
from cloud.alerts.rules.detect import grounds, reasons
from cloud.clock import hanoi
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Whatever can be told, the most pressing first: a letter with several begins with it.
TELLS = (
    "confirmed",
    "probable",
    "silent",
    "unanswered",
    "onset",
    "again",
    "assigned",
    "reopened",
    "controlled",
    "false",
    "closed",
    "end_unknown",
    "end",
    "was",
    "test",
    "late",
    "late_end",
)
LISTED = 50  # incidents of one kind in one letter
FLAPS = 3  # times in a day from which a letter says how often it came
SILENCES = 5  # that a letter names
SMS_WHAT = 40  # of it for what is suspected: place, time, coordinates and code must find room behind
SMS = 160  # septets of one part (3GPP TS 23.040)
TOLD_LATE_S = 300.0  # from which a letter says that it could not be told earlier
_HERE = Path(__file__).parent
Fields = dict[str, str]


# What there is advice about, the most pressing first: a letter with several gives that of the first.
PRESSING = ("confirmed", "probable", "suspected", "under-control", "rain", "life", "service", "upkeep")


class Hush(msgspec.Struct, frozen=True):
    """A silence in force: what it is about in both languages, until when, and whose it is and why."""

    vi: str
    en: str
    until: str
    who: str
    why: str


class Item(msgspec.Struct, frozen=True):
    """What a letter says (`tell`) of one incident as it is now; `times` is how often that came in the last day.

    `parts` are the devices that see it too, `silences` what is silenced now.
    """

    incident: Incident
    rule: Rule | None
    tell: str
    times: int = 1
    parts: tuple[str, ...] = ()
    silences: tuple[Hush, ...] = ()


class Ways(msgspec.Struct, frozen=True):
    """How its reader can answer: the link of a letter and its code; empty where there is none."""

    link: str = ""
    code: str = ""


def subject(items: Sequence[Item]) -> str:
    """Return the subject of a letter: what and where, in both languages; the first item leads."""
    first, words = items[0].incident, _table(_HERE / "words.toml")["subject"]
    what_vi, what_en = _what(first, "vi"), _what(first, "en")
    fields = {
        "what_vi": what_vi,
        "WHAT_vi": what_vi.upper(),
        "what_en": what_en,
        "What_en": _capital(what_en),
        "place": first.place_vi,
        "n": str(len(items) - 1),
        "closed_vi": _of("vi", "closed_as", first.closed_as),
        "closed_en": _of("en", "closed_as", first.closed_as),
    }
    if len(items) > 1:
        fields["place"] = words["more"].format_map(fields)
    told = " ".join(words[items[0].tell].format_map(fields).split())
    return words["exercise"].format(subject=told) if first.exercise else told


def short(items: Sequence[Item], code: str) -> str:
    """Return what one SMS says: unaccented, in GSM-7, within one part, with the code to answer by."""
    words, item = _table(_HERE / "words.toml")["short"], items[0]
    incident = item.incident
    told = "notice" if item.tell == "onset" and not incident.lives else item.tell
    fields = {
        "what": words["what"][told].format(what=fit(_what(incident, "vi"), SMS_WHAT)),
        "exercise": words["exercise"] if incident.exercise else "",
        "at": words["at"].format(time=hanoi(incident.since_ms).strftime("%Hh%M %d/%m")),
        "coordinates": "" if incident.lat is None else f"{incident.lat:.4f},{incident.lon:.4f}.",
        "code": code,
    }
    line_ = words["line"] if code else words["line"].partition(" Tra loi")[0]
    rest = fit(line_.format_map(fields | {"place": ""}))
    return fit(line_.format_map(fields | {"place": fit(incident.place_vi, max(0, SMS - len(septets(rest))))}))


def shown(event: str, number: int, place: tuple[str, str], *, exercise: bool) -> tuple[str, str]:
    """Return what a board shows of a step of an incident at a place (vi, en), and of its stage, in both languages."""
    words = _table(_HERE / "words.toml")["board"]
    stage = words["both"].format(**words["stage"][event])
    parts = {}
    for lang, name in zip(("vi", "en"), place, strict=True):
        text_ = words["text"][lang].format(number=number, place=name, stage=words["stage"][event][lang])
        parts[lang] = words["exercise"][lang].format(text=text_) if exercise else text_
    return words["both"].format(**parts), stage


def written_back(kind: str, lang: str, fields: Mapping[str, Fields], *, exercise: bool) -> tuple[str, str, str]:
    """Return (first line, second, SMS) of what is said to somebody who has answered, their own language first.

    `fields` are those of each language. The SMS is in their language alone, one part of letters of GSM-7.
    """
    table = _table(_HERE / "words.toml")["written_back"]
    other = "vi" if lang == "en" else "en"

    def said(language: str, place: str | None = None) -> str:
        own = fields[language] if place is None else fields[language] | {"place": place}
        line_ = table[language][kind].format_map(own)
        return str(table[language]["exercise"].format(said=line_) if exercise else line_)

    room = max(0, SMS - len(septets(fit(said(lang, "")))))
    brief = fit(said(lang, fit(fields[lang].get("place", ""), room)))
    return " ".join(said(lang).split()), " ".join(said(other).split()), " ".join(brief.split())


def clock(at_ms: int, now_ms: int) -> str:
    """Return a time of Vietnam in few letters, with its day where that is not today."""
    at = hanoi(at_ms)
    return at.strftime("%H:%M" if at.date() == hanoi(now_ms).date() else "%H:%M %d/%m")


def closing(closed_as: str, lang: str) -> str:
    """Return as what something was closed, in words."""
    return _of(lang, "closed_as", closed_as)


def refusal(why: str) -> dict[str, str]:
    """Return why an act could not be done, in both languages."""
    found: dict[str, str] = _table(_HERE / "words.toml")["refusal"][why]
    return found


def muted(by: str, /, **facts: object) -> tuple[str, str]:
    """Return why nobody is told of a suspicion, in Vietnamese and in English."""
    told: dict[str, str] = _table(_HERE / "words.toml")["muted"][by]
    return told["vi"].format(**facts), told["en"].format(**facts)


def text(items: Sequence[Item], lang: str, late_s: float = 0.0, *, held: bool = False, ways: Ways | None = None) -> str:
    """Return the text of a letter; the reader's own language stands first.

    It waited for `late_s`, or was `held` until quiet hours were over.
    """
    parts = []
    for language in ("en", "vi") if lang == "en" else ("vi", "en"):
        words = _table(_HERE / "words.toml")[language]
        lines = _one(items[0], language, ways) if len(items) == 1 else _many(items, language, ways)
        if items[0].incident.exercise:
            lines.insert(0, words["exercise"])
        if late_s >= TOLD_LATE_S:
            lines.append(words["delayed"].format(minutes=round(late_s / 60)))
        if held:
            lines.append(words["held"])
        parts.append("\n".join(lines))
    return "\n\n———\n\n".join(parts) + "\n"


def bare(items: Sequence[Item]) -> tuple[str, str]:
    """Return subject and text without any words of a rule, for when those cannot be used."""
    first = items[0].incident
    text_ = "\n".join(line(item.incident, item.tell) for item in items[:LISTED])
    return f"[gocche] {first.what_vi} / {first.what_en} ({len(items)})", f"{text_}\n"


def line(incident: Incident, tell: str) -> str:
    """Return one key=value line; foreign text is quoted."""
    facts: dict[str, object] = {
        "event": tell,
        "incident": incident.id,
        "rule": incident.rule,
        "what": incident.what_en,
        "place": incident.place_vi,
        "device": _source(incident),
        "since": _iso(incident.since_ms),
        "until": _iso(incident.until_ms or incident.ended_ms),
        "value": "" if incident.value is None else f"{incident.value:g}",
        "late": "yes" if incident.late else "no",
        "undated": "yes" if incident.undated else "",
        "unstored": "yes" if incident.basis == "unstored" else "",
    }
    return "alert " + " ".join(f"{key}={_quoted(str(value))}" for key, value in facts.items() if value != "")


def _one(item: Item, lang: str, ways: Ways | None) -> list[str]:
    words, fields = _table(_HERE / "words.toml")[lang], _filled(item, lang) | _answering(lang, ways, [item])
    tell = "silent_other" if item.tell == "silent" and not item.incident.lives else item.tell  # nothing burns
    lines = [words[tell].format_map(fields)]
    return lines + [template.format_map(fields) for template in words["lines"] if _complete(template, fields)]


def _many(items: Sequence[Item], lang: str, ways: Ways | None) -> list[str]:
    """Return a part for each thing to say, in the order of the items; the longest lists are cut, and say so."""
    words, lines = _table(_HERE / "words.toml")[lang], []
    for tell in dict.fromkeys(item.tell for item in items):
        same = [item for item in items if item.tell == tell]
        what = same[0].incident.what_vi if lang == "vi" else same[0].incident.what_en
        lines.append(words["many"][tell].format(what=what, What=_capital(what), n=len(same)))
        for item in same[:LISTED]:
            fields = _filled(item, lang)
            facts = [template.format_map(fields) for template in words["facts"] if _complete(template, fields)]
            lines.append(f"- {'; '.join(facts)}")
        if len(same) > LISTED:
            lines.append(words["rest"].format(n=len(same) - LISTED))
        lines.append("")
    fields = _answering(lang, ways, items) | _advice(items, lang) | {"silences": _silences(items[0].silences, lang)}
    for_all = [template for template in words["lines"] if set(re.findall(r"{(\w+)}", template)) <= fields.keys()]
    told = [(template, template.format_map(fields)) for template in for_all if _complete(template, fields)]
    first = [
        line_ for template, line_ in told if "{todo}" in template or "{call}" in template
    ]  # a long list may be cut
    return [lines[0], *first, *lines[1:-1], *(line_ for _, line_ in told if line_ not in first)]


def _answering(lang: str, ways: Ways | None, items: Sequence[Item]) -> Fields:
    """Return how to answer, or where to look: of what is no fire nobody is asked whether it burns."""
    reply = _table(_HERE / "words.toml")[lang]["reply"]
    lives = [item.incident for item in items if item.incident.lives]
    form = reply["notice" if not lives else "code" if any(one.basis != "people" for one in lives) else "people"]
    code = form.format(code=ways.code) if ways and ways.code else ""
    link = ways.link if ways else ""
    return {"link": link if code else "", "page": "" if code else link, "code": code}


def _filled(item: Item, lang: str) -> Fields:
    incident, rule = item.incident, item.rule
    words = _table(_HERE / "words.toml")[lang]
    fields = _fields(incident, lang, words["time"])
    if rule is not None:
        fields |= _rule_fields(incident, rule, lang, fields)
    if item.tell in ("onset", "silent"):
        fields["until"] = ""
    elif item.tell in ("end", "end_unknown", "was", "late_end"):
        fields["clears"] = ""
    silent_ms = incident.silent_ms if item.tell in ("silent", "end_unknown") else None
    fields["silent"] = "" if silent_ms is None else hanoi(silent_ms).strftime(words["time"])
    fields["flaps"] = words["flaps"].format(n=item.times) if item.times >= FLAPS else ""
    fields["parts"], fields["silences"] = ", ".join(item.parts), _silences(item.silences, lang)
    return (
        fields
        | {"stage": "", "acked": "", "above": ""}
        | _of_life(incident, lang, words["time"])
        | _advice([item], lang)
    )


def _advice(items: Sequence[Item], lang: str) -> Fields:
    """Return what to do first and whom to call, by the most pressing of what goes on; nothing of what is over."""
    about = min(filter(None, (_pressing(item.incident) for item in items)), key=PRESSING.index, default="")
    return {part: _of(lang, part, about) for part in ("todo", "call")}


def _pressing(incident: Incident) -> str:
    """Return by what an incident is pressing, one of PRESSING; "" of what is over."""
    if not incident.going or incident.late:
        return ""
    if incident.lives:
        return incident.stage
    if incident.basis in ("absence", "dead", "stuck"):  # a device of ours, whoever is told
        return "service" if incident.grade == "service" else "upkeep"
    return "rain" if incident.kind == "sum" else incident.grade


def _silences(silences: Sequence[Hush], lang: str) -> str:
    words = _table(_HERE / "words.toml")[lang]["silence"]
    named = [
        words["one"].format(place=one.vi if lang == "vi" else one.en, until=one.until, who=one.who, why=one.why)
        for one in silences[:SILENCES]
    ]
    more = [words["more"].format(n=len(silences) - SILENCES)] if len(silences) > SILENCES else []
    return "; ".join(named + more)


def _of_life(incident: Incident, lang: str, time_format: str) -> Fields:
    """Return what only somebody who may have to run needs to know."""
    if not incident.lives:
        return {}
    above = ""
    if incident.above:
        seen = msgspec.json.decode(incident.above)
        fields = {"satellite": seen["satellite"], "km": _number(round(seen["km"], 1), lang)}
        fields["time"] = hanoi(seen["seen_ms"]).strftime(time_format)
        above = _table(_HERE / "words.toml")[lang]["above"].format_map(fields)
    acked = incident.acked_ms is not None and f"{incident.acked_by}, {hanoi(incident.acked_ms).strftime(time_format)}"
    return {"stage": _of(lang, "stage", incident.stage), "acked": acked or "", "above": above}


def _of(lang: str, part: str, key: str) -> str:
    return str(_table(_HERE / "words.toml")[lang][part].get(key, ""))


def _fields(incident: Incident, lang: str, time_format: str) -> Fields:
    what = _what(incident, lang)
    until_ms = incident.until_ms or incident.ended_ms
    coordinates = ""
    if incident.lat is not None and incident.lon is not None:
        place = f"{incident.lat:.5f},{incident.lon:.5f}"
        coordinates = f"{place.replace(',', ', ')} — geo:{place}"  # RFC 5870
    return {
        "what": what,
        "What": _capital(what),
        "closed": _of(lang, "closed_as", incident.closed_as),
        "place": incident.place_vi if lang == "vi" else incident.place_en,
        "coordinates": coordinates,
        "since": hanoi(incident.since_ms).strftime(time_format),
        "until": "" if until_ms is None else hanoi(until_ms).strftime(time_format),
        "rule": incident.rule,
        "source": _source(incident),
        "number": str(incident.id),
        "undated": _table(_HERE / "words.toml")[lang]["undated"] if incident.undated else "",
        "unstored": _table(_HERE / "words.toml")[lang]["unstored"] if incident.basis == "unstored" else "",
        "measured": "" if incident.basis != "people" else _reported(incident, lang),
        "condition": "",
        "sure": "",
        "clears": "",
        "grounds": "",
        "cause": causes.told(incident.cause, lang),
    }


def _rule_fields(incident: Incident, rule: Rule, lang: str, known: Fields) -> Fields:
    fields = dict(known)
    for key, fact in rule.facts().items():
        fields[key] = units().get(fact, fact) if isinstance(fact, str) else _number(fact, lang)
    for key, value in (("value", incident.value), ("peak", incident.peak)):
        fields[key] = "" if value is None else _number(value, lang)
    row = QUANTITIES.get(incident.quantity)
    fields["quantity"] = "" if row is None else (row.vi if lang == "vi" else row.en)
    fields["code"], fields["reasons"] = "", "; ".join(reasons(incident.claim, lang))
    fields["grounds"] = grounds(incident.claim, lang)
    if row is not None and row.codes is not None and incident.value is not None:
        vi, en = row.codes.get(int(incident.value), (fields["value"], fields["value"]))
        fields["code"] = vi if lang == "vi" else en
    section = _table(_HERE / "rules" / f"{rule.kind}.toml")[lang][rule.section(incident.basis)]
    return {key: template.format_map(fields) for key, template in section.items() if _complete(template, fields)}


def _complete(template: str, fields: Fields) -> bool:
    """Tell whether every field of a line has something to say; a unit may be empty."""
    return all(value for key, value in fields.items() if f"{{{key}}}" in template and key != "unit")


def _number(value: float, lang: str) -> str:
    text_ = f"{value:g}"
    return text_.replace(".", ",") if lang == "vi" else text_


def _what(incident: Incident, lang: str) -> str:
    """Return what is suspected; of what people report, that nobody of the duty has confirmed it, while that is so."""
    what = incident.what_vi if lang == "vi" else incident.what_en
    unsure = incident.basis == "people" and incident.stage == "suspected"
    return str(_table(_HERE / "words.toml")[lang]["unconfirmed"].format(what=what)) if unsure else what


def _reported(incident: Incident, lang: str) -> str:
    return str(_table(_HERE / "words.toml")[lang]["reported"].format(n=int(incident.value or 1)))


def _source(incident: Incident) -> str:
    if not incident.gateway or incident.gateway == incident.place:  # people, an exercise; of a hamlet its parts tell
        return ""
    return f"{incident.gateway}/{incident.channel}" if incident.channel else incident.gateway


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _iso(utc_ms: int | None) -> str:
    return "" if utc_ms is None else hanoi(utc_ms).isoformat(timespec="seconds")


def _quoted(value: str) -> str:
    plain = "".join(char if char.isprintable() else " " for char in value)
    return '"' + plain.replace('"', "'") + '"' if " " in plain or "=" in plain else plain


def units() -> dict[str, str]:
    """Return how units are written for people."""
    units: dict[str, str] = _table(_HERE / "words.toml")["units"]
    return units


@cache
def _table(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
