"""The words of the pages: Vietnamese or English, one at a time, and a link to the other.

Strings are data (`words/*.toml`); the names of quantities and codes come from `wire.quantities`. Which language:
`?lang=` before Accept-Language before Vietnamese, and never where the visitor seems to come from.
"""

from __future__ import annotations

import tomllib
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from cloud.clock import hanoi
from settings.words import why_absent

if TYPE_CHECKING:
    from wire.quantities import Quantity

LANGS = ("vi", "en")
_FOLDER = Path(__file__).parent / "words"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MINUTE, _HOUR, _DAY = 60_000, 3_600_000, 86_400_000


@cache
def catalogue(lang: str) -> dict[str, str]:
    """Return the strings of a language by `table.key`."""
    tables = tomllib.loads((_FOLDER / f"{lang}.toml").read_text("utf-8"))
    return {f"{table}.{key}": words for table, keys in tables.items() for key, words in keys.items()}


def choose(asked: str | None, accept: str) -> str:
    """Return the language of a visitor, from `?lang=` and the Accept-Language header (RFC 9110 §12.5.4)."""
    if asked in LANGS:
        return str(asked)
    wanted: list[tuple[float, str]] = []
    for part in accept[:200].split(","):
        tag, _, weight = part.partition(";")
        lang = tag.strip().lower().partition("-")[0]
        if lang in LANGS:
            wanted.append((_weight(weight), lang))
    best, first = max(wanted, key=lambda pair: pair[0], default=(0.0, "vi"))
    return first if best > 0 else "vi"


def _weight(text: str) -> float:
    try:
        return float(text.strip().removeprefix("q=") or 1)
    except ValueError:
        return 0.0


class Speaker:
    """Says things in one language. `now_ms` is the time of the visit; `still` that the page is read at another one."""

    def __init__(self, lang: str, now_ms: int, *, still: bool = False) -> None:
        self.lang, self.still = lang, still
        self.other = "en" if lang == "vi" else "vi"
        self.now_ms = now_ms

    def say(self, key: str, **parts: object) -> str:
        """Return the words in the language. Raises KeyError for a key that is in no catalogue."""
        return catalogue(self.lang)[key].format(**parts)

    def one(self, vi: str, en: str) -> str:
        """Return the text of the language."""
        return vi if self.lang == "vi" else en

    def absent(self, reason: int) -> str:
        """Return why there is no value."""
        return why_absent(reason, self.lang)

    def decimal(self, text: str) -> str:
        """Return a decimal text with the language's own comma or point."""
        whole, _, part = text.partition(".")
        sign, digits = ("−", whole[1:]) if whole.startswith("-") else ("", whole)
        grouped = f"{int(digits):,}".replace(",", "." if self.lang == "vi" else ",")
        mark = "," if self.lang == "vi" else "."
        return f"{sign}{grouped}{mark}{part}" if part else f"{sign}{grouped}"

    def figure(self, quantity: Quantity, value: float) -> str:
        """Return a value as people read it, as fine as all of its quantity, without its unit; codes as their words."""
        if quantity.codes is not None:
            vi, en = quantity.codes.get(int(value), (str(int(value)),) * 2)
            return self.one(vi, en)
        return self.decimal(f"{round(value, quantity.shown) + 0.0:.{quantity.shown}f}")  # no minus before a nought

    def unit(self, quantity: Quantity) -> str:
        """Return the unit as people write it."""
        return catalogue(self.lang).get(f"unit.{quantity.unit}", quantity.unit)

    def age(self, time_ms: int) -> str:
        """Return how long ago that was, in the language."""
        key, n = self._age(time_ms)
        return self.say(key, n=n)

    def aged(self, time_ms: int) -> Markup:
        """Return `age` as something that the page's script keeps true; in a page that is kept, the time itself."""
        if self.still:
            return self.when(time_ms)
        return Markup('<span data-t="{}">{}</span>').format(time_ms, self.age(time_ms))

    def told(self, key: str, time_ms: int) -> Markup:
        """Return a sentence that says how long ago something was as {age}."""
        return escape(catalogue(self.lang)[key]).format(age=self.aged(time_ms))

    def _age(self, time_ms: int) -> tuple[str, int]:
        past = self.now_ms - time_ms
        for name, unit in (("days", _DAY), ("hours", _HOUR), ("minutes", _MINUTE)):
            if past >= unit:
                return f"age.{name}", past // unit
        return "age.now", 0

    def when(self, time_ms: int) -> Markup:
        """Return a `<time>` of Vietnam, its date only where it is not today."""
        then, today = hanoi(time_ms), hanoi(self.now_ms)
        text = f"{then:%H:%M}"
        if then.date() != today.date() or self.still:
            text = f"{text}, {self.day(then.date(), year=then.year != today.year or self.still)}"
        return Markup('<time datetime="{}">{}</time>').format(iso(time_ms), text)

    def as_of(self) -> Markup:
        """Return a `<time>` of the visit, its day and year in full: what paper and a page without script go by."""
        then = hanoi(self.now_ms)
        return Markup('<time datetime="{:%Y-%m-%dT%H:%M%z}">{:%H:%M}, {}</time>').format(
            then, then, self.day(then.date())
        )

    def clock(self, time_ms: int) -> str:
        """Return the time of the day in Vietnam."""
        return f"{hanoi(time_ms):%H:%M}"

    def day(self, on: date, *, year: bool = True) -> str:
        """Return a day as people write it."""
        if self.lang == "vi":
            return f"{on:%d/%m}{f'/{on.year}' if year else ''}"
        return f"{on.day} {_MONTHS[on.month - 1]}{f' {on.year}' if year else ''}"

    def month(self, first: date, days: int) -> str:
        """Return the month that lies so many days after a day."""
        on = first + timedelta(days)
        return f"{on.month}/{on.year}" if self.lang == "vi" else f"{_MONTHS[on.month - 1]} {on.year}"

    def day_of(self, time_ms: int) -> Markup:
        """Return a `<time>` that is a day of Vietnam."""
        then = hanoi(time_ms)
        return Markup('<time datetime="{}">{}</time>').format(iso(time_ms), self.day(then.date()))

    def in_month(self, month: int) -> str:
        """Return a month (year·100 + month) as people write it."""
        said = self.month(date(month // 100, month % 100, 1), 0)
        return f"tháng {said}" if self.lang == "vi" else said


def iso(time_ms: int) -> str:
    """Return ISO 8601 with Vietnam's offset, to the millisecond."""
    return hanoi(time_ms).isoformat(timespec="milliseconds")
