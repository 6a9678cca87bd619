"""A week in words: one text in each language, and an SMS; kept word for word when it is told."""

from __future__ import annotations

import logging
import zlib
from typing import TYPE_CHECKING, Any

import msgspec

from cloud.alerts import causes
from cloud.alerts.week.facts import Week
from cloud.clock import hanoi
from settings.words import said
from wire.quantities import QUANTITIES, RADIO

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from cloud.alerts.week.facts import HamletWeek, Happened, Sim

LOG = logging.getLogger(__name__)
LANGUAGES = ("vi", "en")
LISTED = 20  # incidents
NAMED = 12  # hamlets in a line
RADIO_4G = 3


class Text(msgspec.Struct, frozen=True):
    """A commune's week in one language."""

    subject: str
    text: str
    sms: str


class Kept(msgspec.Struct, frozen=True):
    """What is kept of a commune's week: the words that were told, and what they were made of."""

    vi: Text
    en: Text
    week: Week

    def of(self, lang: str) -> Text:
        """Return it in a language."""
        return self.en if lang == "en" else self.vi


def written(week: Week, link: str = "") -> Kept:
    """Return a week in words."""
    made = {lang: _Writer(week, lang).text(link) for lang in LANGUAGES}
    return Kept(made["vi"], made["en"], week)


def letter(kept: Sequence[Kept], lang: str) -> Text:
    """Return the letter of several communes to somebody: their language first, the other below."""
    order = ("en", "vi") if lang == "en" else ("vi", "en")
    text = "\n\n———\n\n".join("\n\n".join(one.of(each).text for one in kept) for each in order)
    if len(kept) == 1:
        return Text(kept[0].of(lang).subject, text + "\n", kept[0].of("vi").sms)
    subject = _say("subject_many", lang, week=kept[0].week.label, n=len(kept))
    return Text(subject, text + "\n", " ".join(one.of("vi").sms for one in kept))


class _Writer:
    def __init__(self, week: Week, lang: str) -> None:
        self._week, self._lang = week, lang

    def text(self, link: str) -> Text:
        parts = [self._head(), self._hamlets(), self._happened(), self._map(), self._walks(), self._sims()]
        if link:
            parts.append([self._say("link", link=link)])
        facts = {"week": self._week.label, "commune": self._week.name, "short": self._short()}
        text = "\n\n".join("\n".join(part) for part in parts if part)
        return Text(self._say("subject", **facts), text, self._say("sms", **facts, worst=self._worst()))

    def _head(self) -> list[str]:
        week = self._week
        first, last = hanoi(week.start_ms), hanoi(week.end_ms - 1)
        facts = {"commune": week.name, "week": week.label, "first": f"{first:%d/%m}", "last": f"{last:%d/%m/%Y}"}
        return [self._say("head", **facts), self._say("made", at=f"{hanoi(week.made_ms):%H:%M %d/%m/%Y}")]

    def _short(self) -> str:
        states = [one.state for one in self._week.hamlets]
        for state in ("lost", "silent"):
            if n := states.count(state):
                return self._say(f"short_{state}", n=n)
        if n := states.count("nodata"):
            return self._say("short_silent", n=n)
        return self._say("short_well" if "served" in states else "short_unmeasured")

    def _worst(self) -> str:
        lost = sorted((one for one in self._week.hamlets if one.lost_h), key=lambda one: -one.lost_h)
        return self._say("sms_worst", names=self._names(one.name for one in lost)) if lost else ""

    def _hamlets(self) -> list[str]:
        hamlets = self._week.hamlets
        if not hamlets:
            return [self._say("no_hamlets")]
        lines = [self._say("hamlet", name=one.name, state=self._state(one), hours=self._hours(one)) for one in hamlets]
        served = [one for one in hamlets if one.state == "served" and one.radio is not None]
        gaps = [one.name for one in served if (one.radio or 0) <= RADIO_4G]
        return [
            self._say("hamlets"),
            *lines,
            *([self._say("gaps", names=self._names(gaps))] if gaps else []),
        ]

    def _state(self, one: HamletWeek) -> str:
        at = "" if one.since_ms is None else f"{hanoi(one.since_ms):%H:%M %d/%m}"
        radio = RADIO.get(one.radio or 0, ("", ""))[self._lang == "en"] if one.radio else ""
        facts = {"at": f" ({at})" if at and one.state == "nodata" else at, "radio": f" ({radio})" if radio else ""}
        return said("cloud.alerts.week", "state", one.state, self._lang, **facts)

    def _hours(self, one: HamletWeek) -> str:
        told = [(name, getattr(one, name)) for name in ("lost_h", "silent_h")]
        return "".join(self._say(name, h=self._number(hours)) for name, hours in told if hours)

    def _happened(self) -> list[str]:
        happened = self._week.happened
        if not happened:
            return [self._say("nothing")]
        lines = [self._say("happened", n=len(happened)), *map(self._event, happened[:LISTED])]
        return [*lines, *([self._say("rest", n=len(happened) - LISTED)] if len(happened) > LISTED else [])]

    def _event(self, one: Happened) -> str:
        until = self._say("still") if one.until_ms is None else self._say("until", at=_when(one.until_ms))
        cause = causes.told(one.cause, self._lang)
        what, place = (one.what_vi, one.place_vi) if self._lang == "vi" else (one.what_en, one.place_en)
        facts = {"what": what, "place": place, "since": _when(one.since_ms), "until": until}
        return self._say("event", **facts, cause=f"; {cause}" if cause else "")

    def _map(self) -> list[str]:
        cells = self._week.cells
        if cells is None:
            return [self._say("map_unread", why=self._week.why) if self._week.why else self._say("no_map")]
        lines = [self._say("map", n=cells.measured), *([self._say("invented")] if self._week.invented else [])]
        lines += [
            self._say(name, n=len(names), names=self._names(dict.fromkeys(names)))
            for name, names in (("lost", cells.lost), ("gained", cells.gained))
            if names
        ]
        return [*lines, *([self._say("no_5g", n=cells.no_5g, m=cells.with_5g)] if cells.no_5g else [])]

    def _walks(self) -> list[str]:
        lines = [
            self._say(
                "walk",
                hamlet=one.hamlet,
                m=one.distance_m,
                direction=said("cloud.alerts.week", "direction", str(one.direction), self._lang),
                why=said("cloud.alerts.week", "why", one.why, self._lang),
            )
            for one in self._week.walks
        ]
        return [self._say("walks"), *lines] if lines else []

    def _sims(self) -> list[str]:
        return [self._say("sims"), *map(self._sim, self._week.sims)] if self._week.sims else []

    def _sim(self, one: Sim) -> str:
        row, what = QUANTITIES[one.quantity], one.what_vi if self._lang == "vi" else one.what_en
        figure = row.vi if self._lang == "vi" else row.en
        if one.value is not None:
            figure += f": {self._number(one.value)} {'' if row.unit == 'd' else row.unit}".rstrip()
        return self._say("sim", gateway=one.gateway, what=what, figure=figure)

    def _names(self, names: Iterable[str]) -> str:
        told = list(names)
        return ", ".join(told[:NAMED]) + (" …" if len(told) > NAMED else "")

    def _number(self, value: float) -> str:
        text = f"{value:.0f}" if value == round(value) else f"{value:g}"
        return text.replace(".", ",") if self._lang == "vi" else text

    def _say(self, name: str, /, **facts: Any) -> str:
        return _say(name, self._lang, **facts)


def _say(name: str, lang: str, /, **facts: Any) -> str:
    return said("cloud.alerts.week", "week", name, lang, **facts)


def _when(at_ms: int) -> str:
    return f"{hanoi(at_ms):%H:%M %d/%m}"


def kept_of(db: sqlite3.Connection, week: str, communes: list[str]) -> list[Kept]:
    """Return what was told of a week, of these communes, of all where none is named; what is damaged is left out."""
    found = []
    for commune, row in db.execute("SELECT commune, said FROM report WHERE week = ? ORDER BY commune", (week,)):
        if communes and commune not in communes:
            continue
        try:
            found.append(_kept.decode(zlib.decompress(row)))
        except (zlib.error, msgspec.MsgspecError, TypeError):
            LOG.exception("report-damaged week=%s commune=%s", week, commune)
    return found


def pack(kept: Kept) -> bytes:
    """Return a report as the journal keeps it."""
    return zlib.compress(msgspec.json.encode(kept))


_kept = msgspec.json.Decoder(Kept)
