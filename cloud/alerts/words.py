"""An incident in the words that people read: subject, text in two languages, and one line for the console.

Words are data (words.toml, rules/<kind>.toml): Vietnamese first with English below, the other way round for a contact
who reads English.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud.clock import hanoi
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from cloud.alerts.incident import Incident
    from cloud.alerts.rules import Rule

_HERE = Path(__file__).parent
Fields = dict[str, str]


def subject(incident: Incident, tell: str) -> str:
    """Return the subject of a message: what and where, in both languages."""
    fields = {
        "what_vi": incident.what_vi,
        "WHAT_vi": incident.what_vi.upper(),
        "what_en": incident.what_en,
        "What_en": _capital(incident.what_en),
        "place": incident.place_vi,
    }
    return " ".join(_table(_HERE / "words.toml")["subject"][tell].format_map(fields).split())


def text(incident: Incident, rule: Rule | None, tell: str, lang: str) -> str:
    """Return the text of a message; the contact's own language stands first."""
    order = ("en", "vi") if lang == "en" else ("vi", "en")
    return "\n\n———\n\n".join(_part(incident, rule, tell, language) for language in order) + "\n"


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


def _part(incident: Incident, rule: Rule | None, tell: str, lang: str) -> str:
    words = _table(_HERE / "words.toml")[lang]
    fields = _fields(incident, lang, words["time"])
    if rule is not None:
        fields |= _rule_fields(incident, rule, lang, fields)
    if tell == "onset":
        fields["until"] = ""
    elif tell in ("end", "was", "late_end"):
        fields["clears"] = ""
    lines = [words[tell].format_map(fields)]
    lines += [template.format_map(fields) for template in words["lines"] if _complete(template, fields)]
    return "\n".join(lines)


def _fields(incident: Incident, lang: str, time_format: str) -> Fields:
    what = incident.what_vi if lang == "vi" else incident.what_en
    until_ms = incident.until_ms or incident.ended_ms
    coordinates = ""
    if incident.lat is not None and incident.lon is not None:
        place = f"{incident.lat:.5f},{incident.lon:.5f}"
        coordinates = f"{place.replace(',', ', ')} — geo:{place}"  # RFC 5870
    return {
        "what": what,
        "What": _capital(what),
        "place": incident.place_vi if lang == "vi" else incident.place_en,
        "coordinates": coordinates,
        "since": hanoi(incident.since_ms).strftime(time_format),
        "until": "" if until_ms is None else hanoi(until_ms).strftime(time_format),
        "rule": incident.rule,
        "source": _source(incident),
        "number": str(incident.id),
        "undated": _table(_HERE / "words.toml")[lang]["undated"] if incident.undated else "",
        "unstored": _table(_HERE / "words.toml")[lang]["unstored"] if incident.basis == "unstored" else "",
        "measured": "",
        "condition": "",
        "sure": "",
        "clears": "",
    }


def _rule_fields(incident: Incident, rule: Rule, lang: str, known: Fields) -> Fields:
    fields = dict(known)
    for key, fact in rule.facts().items():
        fields[key] = _units().get(fact, fact) if isinstance(fact, str) else _number(fact, lang)
    for key, value in (("value", incident.value), ("peak", incident.peak)):
        fields[key] = "" if value is None else _number(value, lang)
    row = QUANTITIES.get(incident.quantity)
    fields["quantity"] = "" if row is None else (row.vi if lang == "vi" else row.en)
    fields["code"] = ""
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


def _source(incident: Incident) -> str:
    return f"{incident.gateway}/{incident.channel}" if incident.channel else incident.gateway


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _iso(utc_ms: int | None) -> str:
    return "" if utc_ms is None else hanoi(utc_ms).isoformat(timespec="seconds")


def _quoted(value: str) -> str:
    plain = "".join(char if char.isprintable() else " " for char in value)
    return '"' + plain.replace('"', "'") + '"' if " " in plain or "=" in plain else plain


def _units() -> dict[str, str]:
    units: dict[str, str] = _table(_HERE / "words.toml")["units"]
    return units


@cache
def _table(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
