"""The daily bulletin, in the form of Decision 18/2021/QĐ-TTg, articles 26 and 27: for paper, pages, loudspeakers.

Title, past course, area and forest, level, time, who is responsible. Pure: what it says follows from its arguments
alone. How it is sent is not its business; it never goes by the channels that tell of smoke.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from cloud.danger import aloud
from cloud.danger.levels import ROMAN
from cloud.danger.told import Measures
from settings.words import said

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cloud.danger.course import Day
    from cloud.danger.levels import Verdict
    from cloud.danger.told import Told
    from cloud.registry.fire import OfficialLevel
    from cloud.registry.kinds import Zone

WEEK = 7
LEAP = 2024  # a year that has every day
_DAY = re.compile(r"(?:ngày )?\b(\d{1,2})/(\d{1,2})(?:/(\d{4}))?\b")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
           "December")  # fmt: skip


class Bulletin(msgspec.Struct, frozen=True):
    """A bulletin in one language. `large` is what is read from across a square: the level, or P."""

    lang: str
    title: str
    issued: str
    large: str
    beside: str  # the name of the level, or why there is none
    sections: tuple[tuple[str, tuple[str, ...]], ...]
    foot: tuple[str, ...]

    def text(self) -> str:
        """Return it as plain text."""
        lines = [self.title, self.issued, "", f"{self.large} – {self.beside}"]
        for heading, sentences in self.sections:
            lines += ["", heading, *sentences]
        return "\n".join([*lines, "", *self.foot]) + "\n"


def bulletin(
    zone: Zone,
    days: Sequence[Day],
    verdict: Verdict,
    told: Told,
    lang: str,
    official: OfficialLevel | None = None,
    issued: datetime | None = None,
) -> Bulletin:
    """Return the bulletin of the newest of a zone's days, the oldest first. `verdict` is that day's.

    `official` is what the forest rangers published for it. It was `issued` at 14:00 of that day, or at another time of
    Vietnam.
    """
    return _Writer(zone, days, verdict, told, lang, official, issued, spoken=False).bulletin()


def loudspeaker(
    zone: Zone,
    days: Sequence[Day],
    verdict: Verdict,
    told: Told,
    lang: str,
    official: OfficialLevel | None = None,
    issued: datetime | None = None,
) -> str:
    """Return the same to be read aloud: short sentences, the level said twice, in Vietnamese without a digit."""
    return _Writer(zone, days, verdict, told, lang, official, issued, spoken=True).aloud()


def worst(verdict: Verdict, official: OfficialLevel | None) -> int:
    """Return the higher of our level and the published one, 0 where there is none."""
    return max(verdict.level.number if verdict.level else 0, official.number if official else 0)


def todo(told: Told, level: int) -> Measures:
    """Return the measures of a level; none for 0."""
    found: Measures = getattr(told.level, ROMAN[level - 1]) if level else Measures()
    return found


def written(hour: int, minute: int, lang: str) -> str:
    """Return a time of the day."""
    return (f"{hour} giờ" + (f" {minute:02}" if minute else "")) if lang == "vi" else f"{hour}:{minute:02}"


class _Writer:
    def __init__(
        self,
        zone: Zone,
        days: Sequence[Day],
        verdict: Verdict,
        told: Told,
        lang: str,
        official: OfficialLevel | None,
        issued: datetime | None,
        *,
        spoken: bool,
    ) -> None:
        self._official = official
        self._on = days[-1].day if issued is None else issued.date()
        self._at = (14, 0) if issued is None else (issued.hour, issued.minute)
        self._days, self._day, self._verdict, self._told = days, days[-1], verdict, told
        self._lang, self._spoken = lang, spoken
        self._zone = zone
        self._place = zone.name_vi if lang == "vi" else zone.name_en

    def bulletin(self) -> Bulletin:
        level = self._verdict.level
        p = "–" if self._day.after.p_since is None else self._number(self._day.after.p)
        roman = level.roman if level else ""
        large = f"{'CẤP' if self._lang == 'vi' else 'LEVEL'} {roman}" if level else f"P = {p}"
        beside = self._of("level", roman) if level else self._of("why", self._verdict.why)
        if level and level.at_least:
            beside = self._say("at_least_so", name=beside)
        sections = [(self._say("past"), self._past()), (self._say("area"), (self._area(),))]
        sections.append((self._say("level"), self._level()))
        if self._official:
            sections.append((self._say("official"), self._published()))
        sections.append((self._say("time"), (self._say("until", day=self._date(self._day.day)),)))
        if measures := self._measures():
            sections.append((self._say("measures"), measures))
        sections.append((self._say("responsible"), (self._responsible(),)))
        return Bulletin(
            self._lang,
            self._say("title"),
            self._say("issued", place=self._place, day=self._date(self._on), time=self._time()),
            large,
            beside,
            tuple(sections),
            tuple(filter(None, (self._sample(), self._say("own")))),
        )

    def aloud(self) -> str:
        issued = self._say("issued", place=self._place, day=self._date(self._on), time=self._time())
        lines = [
            self._say("listen"),
            f"{self._say('title')}. {issued}.",
            *self._level(),
            *self._published(),
            *self._past(),
            *self._measures(),
            self._say("until_aloud", day=self._date(self._day.day)),
            self._say("own"),
            self._sample(),
        ]
        return "\n".join(filter(None, lines)) + "\n"

    def _past(self) -> tuple[str, ...]:
        day, sentences = self._day, []
        known = [one.inputs.one_rain_mm for one in self._days[-WEEK:] if one.inputs.one_rain_mm is not None]
        if known:
            rain = round(sum(known), 1)
            facts = {"days": self._number(len(known)), "rain": self._number(rain, 1)}
            sentences.append(self._say("rain" if rain else "no_rain", **facts))
        if day.after.p_since is not None:
            key = "since" if day.after.settled else "since_start"
            sentences.append(self._say(key, day=self._date(day.after.p_since)))
        if day.has_p and day.day == self._on:
            facts = {
                "temp": self._number(day.inputs.one_temp_c or 0.0, 1),
                "rh": self._number(day.inputs.one_rh_pct or 0),
            }
            sentences.append(self._say("today_aloud" if self._spoken else "today", **facts))
        elif last := next((one for one in reversed(self._days) if one.has_p), None):
            sentences.append(self._say("old", day=self._date(last.day)))
        return tuple(sentences)

    def _area(self) -> str:
        forest = self._told.forest.get(self._zone.code)
        own = "" if forest is None else forest.vi if self._lang == "vi" else forest.en
        return self._say("forest", place=self._place, forest=own) if own else self._say("place_only", place=self._place)

    def _level(self) -> tuple[str, ...]:
        level, tail = self._verdict.level, "_aloud" if self._spoken else ""
        p = self._number(self._day.after.p)
        if self._verdict.why == "no_p":
            why = self._of("why", "no_p")
            return (f"{why[:1].upper()}{why[1:]}.",)
        if level is None:
            return (self._say(f"no_level{tail}", p=p, why=self._of("why", self._verdict.why)),)
        facts = {"roman": level.roman, "name": self._of("level", level.roman), "p": p}
        spoken = self._of("aloud", level.roman)
        sentences = [self._say(f"is_level{tail}", spoken=spoken[:1].upper() + spoken[1:], **facts)]
        if level.at_least:
            sentences.append(self._say("at_least"))
        area = f", {level.table.area}" if level.table.area else ""
        facts = {"decision": level.table.decision, "area": area, "day": self._date(level.table.valid_from)}
        law = self._say(f"law{tail}", **facts)
        sentences.append(_read(law) if self._spoken and self._lang == "vi" else law)
        return tuple(sentences)

    def _published(self) -> tuple[str, ...]:
        """Return what the forest rangers published, with where it was read: beside ours, never instead of it."""
        one = self._official
        if one is None:
            return ()
        facts = {"name": self._of("level", one.level), "source": one.source, "roman": one.level}
        dates = {"start": self._date(one.valid_from), "end": self._date(one.valid_to - timedelta(1))}
        if not self._spoken:
            return (self._say("is_official", **facts, **dates),)
        said_ = self._say("is_official_aloud", spoken=self._of("aloud", one.level), **facts, **dates)
        return (_read(said_) if self._lang == "vi" else said_,)

    def _measures(self) -> tuple[str, ...]:
        """Return what to do at the higher of both levels."""
        found = todo(self._told, worst(self._verdict, self._official))
        return found.vi if self._lang == "vi" else found.en

    def _responsible(self) -> str:
        who = self._told.bulletin
        return (who.responsible_vi if self._lang == "vi" else who.responsible_en) or self._say("nobody")

    def _sample(self) -> str:
        return self._say("sample") if "invented" in self._day.inputs.flags else ""

    def _say(self, name: str, /, **facts: Any) -> str:
        return self._of("bulletin", name, **facts)

    def _of(self, part: str, name: str, /, **facts: Any) -> str:
        return said("cloud.danger", part, name, self._lang, **facts)

    def _number(self, value: float, decimals: int = 0) -> str:
        if self._lang == "vi" and self._spoken:
            return aloud.number(value, decimals)
        text = f"{value:.{decimals}f}".removesuffix(".0")
        if self._spoken:
            return text
        whole, _, part = text.partition(".")
        grouped = f"{int(whole):,}".replace(",", "." if self._lang == "vi" else ",")
        return grouped + (f"{',' if self._lang == 'vi' else '.'}{part}" if part else "")

    def _time(self) -> str:
        hour, minute = self._at
        if self._lang == "vi" and self._spoken:
            return f"{aloud.number(hour)} giờ" + (f" {aloud.number(minute)} phút" if minute else "")
        return written(hour, minute, self._lang)

    def _date(self, on: date) -> str:
        if self._lang != "vi":
            return f"{on.day} {_MONTHS[on.month - 1]} {on.year}"
        return aloud.day(on) if self._spoken else f"ngày {on:%d/%m/%Y}"


def _read(law: str) -> str:
    """Return a sentence that names a decision (33/2022/QĐ-UBND) or a day (26/11) as it is read aloud."""
    law = re.sub(r"(\d+)/(\d{4})/(?:QĐ-)?UBND\b", r"quyết định số \1 năm \2 của Ủy ban nhân dân", law)
    law = re.sub(r"(\d+)/(\d{4})/QĐ\b", r"quyết định số \1 năm \2", law)
    law = _DAY.sub(_read_day, law)
    law = re.sub(r"\d{1,9}", lambda found: f" {aloud.number(int(found[0]))} ", law.replace("/", " "))
    return re.sub(r" +(?=[ ,.])", "", law).strip()


def _read_day(found: re.Match[str]) -> str:
    """Return a day as it is read aloud; what is no day stays."""
    number, month, year = found.groups()
    try:
        return aloud.day(date(int(year or LEAP), int(month), int(number)), year=bool(year))
    except ValueError:
        return found[0]
