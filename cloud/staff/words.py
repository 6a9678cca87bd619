"""The words of the staff's pages, in one language at a time: `words.toml` beside this file."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from cloud.clock import hanoi
from cloud.registry.cells import Choice, Flag, Several
from cloud.registry.kinds import KINDS, TONGUES, key_of
from cloud.registry.rows import columns
from settings.words import LANGUAGES, why_absent, words
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from cloud.registry.cells import Bad
    from cloud.registry.kinds import Record

# SenML's units as people write them; what is not here is written alike.
UNITS = {"Cel": "°C", "%RH": "%", "ug/m3": "µg/m³", "mg/m3": "mg/m³", "uS/cm": "µS/cm", "deg": "°", "1": ""}
_NUMBER = re.compile(r"^ [0-9a-f]{32} ")  # of what was bound in the field
_AGES = (("days", 86_400_000), ("hours", 3_600_000), ("minutes", 60_000))
_BROWSERS = (("Edg", "Edge"), ("Firefox", "Firefox"), ("CriOS", "Chrome"), ("Chrome", "Chrome"), ("Safari", "Safari"))
_MACHINES = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS", "Mac"),
    ("Linux", "Linux"),
)  # fmt: skip


class Speaker:
    """Says things in one language. `now_ms` is the time of the visit."""

    def __init__(self, lang: str, now_ms: int) -> None:
        self.lang = lang if lang in LANGUAGES else LANGUAGES[0]
        self.other = next(one for one in LANGUAGES if one != self.lang)
        self.now_ms = now_ms

    def say(self, key: str, /, **facts: object) -> str:
        """Return the words of `part.name`. Raises KeyError for what stands in no words.toml."""
        part, _, name = key.partition(".")
        told: str = _words()[part][name][self.lang]
        return told.format(**facts) if facts else told

    def absent(self, reason: int) -> str:
        """Return why there is no value."""
        return why_absent(reason, self.lang)

    def label(self, kind: str, column: str) -> str:
        """Return what a column is called on forms."""
        own = _words()["column"].get(f"{kind}_{column}") or _words()["column"].get(column)
        told: str = own[self.lang] if own else column
        return told

    def word(self, column: str, value: str) -> str:
        """Return a choice as people read it; as it came where it has no words, and what people wrote themselves."""
        if column in _written():
            return value
        if column == "quantity" and value in QUANTITIES:
            return self.one(QUANTITIES[value].vi, QUANTITIES[value].en)
        rows = _words()["choice"]
        told = rows.get(f"{column}_{value}") or rows.get(value)
        return str(told[self.lang]) if told else value

    def hint(self, kind: str, column: str) -> str:
        """Return how a column is filled in, "" where its name says it all."""
        rows = _words()["hint"]
        told = rows.get(f"{kind}_{column}") or rows.get(column)
        return str(told[self.lang]) if told else ""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the columns that hold what a record is called, the first that is filled counts."""
        own = tuple(f"{column}_{lang}" for column in ("name", "product") for lang in (self.lang, self.other))
        return (*own, "name", "model", f"alt_{self.lang}")

    def name(self, record: Record) -> str:
        """Return what people call a record, "" where it has no name."""
        return next((text for column in self.names if (text := getattr(record, column, ""))), "")

    def title(self, record: Record) -> str:
        """Return what a record is called in a list: its name, else its key."""
        return self.name(record) or " · ".join(part for part in map(str, key_of(record)[:2]) if part)

    def act(self, what: str) -> str:
        """Return what was done, as the registry keeps it, as people read it."""
        told = _words()["act_of"]
        for begins, row in told.items():
            if what.startswith(begins.replace("_", " ")):
                rest = _NUMBER.sub("", what.removeprefix(begins.replace("_", " "))).strip(" ,")
                return str(row[self.lang]).format(rest=rest.rpartition("/")[2])
        kind, _, key = what.partition(" ")
        return f"{self.say(f'kind.{kind}')}: {key}" if kind in _words()["kind"] else what

    def tongue(self, lang: str) -> str:
        """Return what a language is called."""
        return TONGUES[lang][self.lang] if lang in TONGUES else self.say(f"story.{lang}")

    def why(self, bad: Bad) -> str:
        """Return why a cell cannot be right."""
        return bad.told(self.lang)

    def one(self, vi: str, en: str) -> str:
        """Return the text of this language; the other where there is none."""
        return (vi or en) if self.lang == "vi" else (en or vi)

    def age(self, time_ms: int) -> str:
        """Return how long ago that was."""
        past = self.now_ms - time_ms
        for name, unit in _AGES:
            if past >= unit:
                return self.say(f"age.{name}", n=past // unit)
        return self.say("age.now")

    def when(self, time_ms: int) -> Markup:
        """Return a `<time>` of Vietnam, to the minute."""
        then = hanoi(time_ms)
        text = f"{then:%H:%M}" if then.date() == hanoi(self.now_ms).date() else f"{then:%H:%M, %d/%m/%Y}"
        return Markup('<time datetime="{}">{}</time>').format(then.isoformat(timespec="seconds"), text)

    def device(self, agent: str) -> str:
        """Return a device as its owner knows it, by what its browser says of itself."""
        found = [next((name for mark, name in marks if mark in agent), "") for marks in (_BROWSERS, _MACHINES)]
        return ", ".join(filter(None, found)) or self.say("me.device")

    def exactly(self, value: float, quantity: str) -> str:
        """Return a value with the decimals of its quantity, and the language's own comma or point."""
        text = f"{value:.{max(QUANTITIES[quantity].decimals, 0)}f}"
        return text.replace(".", ",") if self.lang == "vi" else text

    def moment(self, time_ms: int, step: str) -> Markup:
        """Return a `<time>` of Vietnam as fine as a table's step: goc to the second, gio, ngay."""
        then = hanoi(time_ms)
        form = {"goc": "%d/%m/%Y %H:%M:%S", "gio": "%d/%m/%Y %H:%M", "ngay": "%d/%m/%Y"}[step]
        return Markup('<time datetime="{}">{}</time>').format(then.isoformat(), f"{then:{form}}")

    def number(self, value: float) -> str:
        """Return a number with the language's own comma or point, one decimal."""
        text = f"{value:.1f}"
        return text.replace(".", ",") if self.lang == "vi" else text


def _words() -> dict[str, Any]:
    return words("cloud.staff")


@cache
def _written() -> frozenset[str]:
    """Return the columns that are no choice in any table: somebody's code may well be spelled like a role."""
    every = {
        (one.name, isinstance(one.cell, Choice | Several | Flag)) for kind in KINDS.values() for one in columns(kind)
    }
    return frozenset({name for name, _ in every} - {name for name, chosen in every if chosen})
