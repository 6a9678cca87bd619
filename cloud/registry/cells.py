"""What a cell may hold: read from the words that people type, and written back as the same words.

The cooperative keeps its tables in a spreadsheet, so the classic mistakes of spreadsheets are told apart (a decimal
comma, degrees and minutes, metres instead of degrees). A cell is declared once, on the field of its struct; tables,
forms, the database and the sentences of refusal are made from it.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Protocol

from cloud.clock import HANOI
from cloud.registry import codes
from settings.words import Refused
from wire import topics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_DECIMAL_COMMA = re.compile(r"([+-]?\d+),(\d+)")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:[.,]\d{3})+")  # 1.352 and 1,352: somebody reads each as 1352
DEGREES = 7  # decimals of a place on the earth: a centimetre, and never thousands
_CHANNEL = re.compile(r"[a-z0-9-]+")  # a name of cloud.toml
_MAIL = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\"]+\.[^@\s,;<>\"]+")


def _is_plain(text: str) -> bool:
    return "\ufffd" not in text and unicodedata.is_normalized("NFC", text)


class Bad(Refused):
    """A cell or a row that cannot be right: words.toml says why and what to do."""

    def __init__(self, name: str, /, **facts: Any) -> None:
        self.name, self.facts = name, facts
        self.column: str = facts.get("column", "")
        self.value: str = str(facts.get("value", ""))
        super().__init__("cloud.registry", "row", name, **facts)


class Cell(Protocol):
    """One kind of cell. A blank cell never reaches `read`: the struct's default stands for it."""

    @property
    def sql(self) -> str: ...  # noqa: D102 - SQLite's type of its column

    def read(self, column: str, text: str) -> Any:
        """Return the value of a trimmed text that is not blank. Raises Bad."""

    def write(self, value: Any) -> str:
        """Return the text that `read` makes the same value of."""


@dataclass(frozen=True)
class Text:
    """A line of text; `long` for a story, which has a file of its own beside the table."""

    limit: int = 300
    long: bool = False
    sql: str = "TEXT"

    def read(self, column: str, text: str) -> str:
        """Return it in NFC, as keyboards of one kind spell it."""
        if text.isprintable() and len(text) <= self.limit and (text.isascii() or _is_plain(text)):
            return text
        text = unicodedata.normalize("NFC", text)
        if "\ufffd" in text:
            raise Bad("encoding", column=column, value=text)
        if len(text) > self.limit:
            raise Bad("too_long", column=column, value=text[:20], length=len(text), limit=self.limit)
        if not self.long and not text.isprintable():
            raise Bad("not_one_line", column=column, value=ascii(text))
        return text

    def all_stand(self, texts: Sequence[str]) -> bool:
        """Return whether surely all are as `read` would return them. Of some that do it is not sure."""
        together = " ".join(texts)
        return together.isprintable() and _is_plain(together) and max(map(len, texts), default=0) <= self.limit

    def write(self, value: str) -> str:
        """Return the text."""
        return value


@dataclass(frozen=True)
class Pattern:
    """A name that machines use, too: `rule` says its letters in the sentence of refusal."""

    pattern: re.Pattern[str]
    sql: str = "TEXT"

    def read(self, column: str, text: str) -> str:
        """Return the name."""
        if not self.pattern.fullmatch(text):
            raise Bad("name", column=column, value=text, rule=self.pattern.pattern)
        return text

    def write(self, value: str) -> str:
        """Return the name."""
        return value


@dataclass(frozen=True)
class TreeCode:
    """The code on a tag (cloud.registry.codes), however it is typed."""

    sql: str = "TEXT"

    def read(self, column: str, text: str) -> str:
        """Return the code; of a slip, Bad says which check character would have been right."""
        code = codes.normalise(text)
        if code is not None:
            return code
        spelled = codes.spelled(text)
        if spelled is None:
            raise Bad("no_code", column=column, value=text, length=codes.LENGTH, alphabet=codes.ALPHABET)
        right = spelled[:-1] + codes.check_char(spelled[:-1])
        raise Bad("check_character", column=column, value=text, right=right)

    def write(self, value: str) -> str:
        """Return the code."""
        return value


@dataclass(frozen=True)
class Number:
    """A finite number from `low` to `high`, as exactly as anybody measures it: a spreadsheet keeps 15 digits."""

    low: float
    high: float
    decimals: int = 6
    sql: str = "REAL"

    def read(self, column: str, text: str) -> float:
        """Return the number."""
        if self.decimals < DEGREES and _THOUSANDS.fullmatch(text):
            raise Bad("thousands", column=column, value=text, right=text.replace(".", "").replace(",", ""))
        try:
            number = float(text)
        except ValueError:
            raise _not_a_number(column, text) from None
        if "_" in text or not text.isascii():  # Python's own liberties
            raise _not_a_number(column, text)
        if not (math.isfinite(number) and self.low <= number <= self.high):
            raise Bad("limits", column=column, value=text, low=f"{self.low:g}", high=f"{self.high:g}")
        return round(number, self.decimals)

    def write(self, value: float) -> str:
        """Return the shortest text of the same number that `read` takes, without the exponent or zero nobody types."""
        return repr(value) if self.decimals == DEGREES and value != int(value) else written(value)


@dataclass(frozen=True)
class Whole:
    """A whole number from `low` to `high`."""

    low: int
    high: int
    sql: str = "INTEGER"

    def read(self, column: str, text: str) -> int:
        """Return the number."""
        number = Number(self.low, self.high).read(column, text)
        if number != int(number):
            raise Bad("whole", column=column, value=text)
        return int(number)

    def write(self, value: int) -> str:
        """Return its digits."""
        return str(value)


@dataclass(frozen=True)
class Day:
    """A day, written as 2025-07-01."""

    sql: str = "TEXT"

    def read(self, column: str, text: str) -> date:
        """Return the day."""
        try:
            return date.fromisoformat(text)
        except ValueError:
            raise Bad("no_day", column=column, value=text) from None

    def write(self, value: date) -> str:
        """Return it as ISO 8601 has it."""
        return value.isoformat()


@dataclass(frozen=True)
class Moment:
    """A minute of Vietnam's time, written as 2026-07-01T17:30; another offset may stand behind it."""

    sql: str = "TEXT"

    def read(self, column: str, text: str) -> datetime:
        """Return the minute, with its offset."""
        try:
            read = datetime.fromisoformat(text)
        except ValueError:
            raise Bad("no_moment", column=column, value=text) from None
        there = read.replace(tzinfo=HANOI) if read.tzinfo is None else read.astimezone(HANOI)
        return there.replace(second=0, microsecond=0)

    def write(self, value: datetime) -> str:
        """Return it as ISO 8601 has it, without the offset that is always the same."""
        return value.astimezone(HANOI).replace(tzinfo=None).isoformat(timespec="minutes")


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]
    sql: str = "TEXT"

    def read(self, column: str, text: str) -> str:
        """Return the word."""
        if text not in self.words:
            raise Bad("none_of", column=column, value=text, known=", ".join(self.words))
        return text

    def write(self, value: str) -> str:
        """Return the word."""
        return value


@dataclass(frozen=True)
class Several:
    """Some of a few words, each once, in their own order, with blanks between."""

    words: tuple[str, ...]
    sql: str = "TEXT"

    def read(self, column: str, text: str) -> tuple[str, ...]:
        """Return the words."""
        found = text.split()
        for word in found:
            Choice(self.words).read(column, word)
        return tuple(word for word in self.words if word in found)

    def write(self, value: Iterable[str]) -> str:
        """Return them in one cell."""
        return " ".join(value)


@dataclass(frozen=True)
class Flag:
    """Yes or no."""

    sql: str = "TEXT"

    def read(self, column: str, text: str) -> bool:
        """Return whether it says yes."""
        return Choice(("yes", "no")).read(column, text) == "yes"

    def write(self, value: bool) -> str:
        """Return yes or no."""
        return "yes" if value else "no"


@dataclass(frozen=True)
class Mail:
    """One e-mail address."""

    sql: str = "TEXT"

    def read(self, column: str, text: str) -> str:
        """Return the address."""
        if not _MAIL.fullmatch(text):
            raise Bad("no_mail", column=column, value=text)
        return text

    def write(self, value: str) -> str:
        """Return the address."""
        return value


@dataclass(frozen=True)
class Addresses:
    """Addresses by channel of cloud.toml, written as `sms:+84912345678 zalo:4711`."""

    sql: str = "TEXT"

    def read(self, column: str, text: str) -> dict[str, str]:
        """Return the addresses by channel."""
        found: dict[str, str] = {}
        for word in text.split():
            channel, colon, address = word.partition(":")
            if not (channel and colon and address) or channel in found:
                raise Bad("no_address", column=column, value=word)
            found[channel] = address
        return found

    def write(self, value: Mapping[str, str]) -> str:
        """Return them in one cell."""
        return " ".join(f"{channel}:{address}" for channel, address in sorted(value.items()))


@dataclass(frozen=True)
class Ways:
    """Which channels tell somebody of which kind of news, dearest first: `life:sms zalo; upkeep:email; danger:`.

    A kind that is not named goes by all; one with nothing behind it is not wanted, which of `kept` nobody may say.
    """

    kinds: tuple[str, ...]
    kept: str
    sql: str = "TEXT"

    def read(self, column: str, text: str) -> dict[str, tuple[str, ...]]:
        """Return the channels by kind."""
        found: dict[str, tuple[str, ...]] = {}
        for part in filter(None, map(str.strip, text.split(";"))):
            kind, colon, rest = part.partition(":")
            channels = tuple(dict.fromkeys(rest.split()))
            if not colon or kind in found or not all(map(_CHANNEL.fullmatch, channels)):
                raise Bad("no_way", column=column, value=part)
            found[Choice(self.kinds).read(column, kind)] = channels
        if found.get(self.kept) == ():
            raise Bad("way_kept", column=column, value=text, kind=self.kept)
        return found

    def write(self, value: Mapping[str, Sequence[str]]) -> str:
        """Return them in one cell."""
        return "; ".join(f"{kind}:{' '.join(value[kind])}" for kind in self.kinds if kind in value)


@dataclass(frozen=True)
class Outline:
    """A polygon on the map: `lat lon; lat lon; …`, WGS 84 degrees, at least three corners, not closed."""

    sql: str = "TEXT"

    def read(self, column: str, text: str) -> tuple[tuple[float, float], ...]:
        """Return the corners as (lat, lon)."""
        corners = []
        for pair in text.split(";"):
            parts = pair.split()
            if len(parts) != 2:
                raise Bad("no_outline", column=column, value=pair.strip())
            corners.append((LATITUDE.read(column, parts[0]), LONGITUDE.read(column, parts[1])))
        if len(corners) < 3:
            raise Bad("no_outline", column=column, value=text)
        return tuple(corners)

    def write(self, value: Iterable[tuple[float, float]]) -> str:
        """Return the corners in one cell."""
        return "; ".join(f"{lat!r} {lon!r}" for lat, lon in value)


@dataclass(frozen=True)
class Clock:
    """A time of the day in Vietnam, written as 21:30; kept as minutes since midnight."""

    sql: str = "INTEGER"

    def read(self, column: str, text: str) -> int:
        """Return the minutes since midnight."""
        found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text)
        if not found:
            raise Bad("no_clock", column=column, value=text)
        return int(found[1]) * 60 + int(found[2])

    def write(self, value: int) -> str:
        """Return it as a clock shows it."""
        return f"{value // 60:02}:{value % 60:02}"


@dataclass(frozen=True)
class Ref:
    """The code of a row of another table, which must be there; `kind` may be the name of the column that says which.

    With `many` it is a tuple of such codes, in one cell with blanks between.
    """

    kind: str
    cell: Cell
    of_column: bool = False
    many: bool = False
    sql: str = "TEXT"

    def read(self, column: str, text: str) -> Any:
        """Return the code, or the codes."""
        if self.many:
            return tuple(dict.fromkeys(self.cell.read(column, word) for word in text.split()))
        return self.cell.read(column, text)

    def write(self, value: Any) -> str:
        """Return the code, or the codes."""
        return " ".join(map(self.cell.write, value)) if self.many else self.cell.write(value)


CODE = Pattern(topics.CHANNEL)
GATEWAY = Pattern(topics.GATEWAY)
LATITUDE = LONGITUDE = Number(-1e8, 1e8, decimals=DEGREES)  # judged as a pair: see `in_vietnam`
LAT, LON = (8.0, 24.0), (102.0, 110.0)  # Vietnam's mainland and near islands, WGS 84


def in_vietnam(lat: float, lon: float) -> None:
    """Raise Bad for a position outside Vietnam, with swapped columns and metres told apart."""
    if LAT[0] <= lat <= LAT[1] and LON[0] <= lon <= LON[1]:
        return
    typed = {"lat": LATITUDE.write(lat), "lon": LONGITUDE.write(lon)}
    facts: dict[str, Any] = {"column": "lat", "value": typed["lat"]} | typed
    if LAT[0] <= lon <= LAT[1] and LON[0] <= lat <= LON[1]:
        raise Bad("swapped", **facts)
    if abs(lat) > 1000 or abs(lon) > 1000:
        raise Bad("metres", **facts)
    raise Bad("abroad", **facts, south=LAT[0], north=LAT[1], west=LON[0], east=LON[1])


def written(value: float) -> str:
    """Return a number as it stands in a cell: nobody takes 1.3520 for thousands."""
    text = shortest(value)
    return text + "0" if _THOUSANDS.fullmatch(text) else text


def shortest(value: float) -> str:
    """Return the fewest digits of a number, without the exponent or zero that nobody types."""
    return repr(value).removesuffix(".0") if abs(value) < 1e15 else f"{value:.0f}"


def _not_a_number(column: str, text: str) -> Bad:
    if comma := _DECIMAL_COMMA.fullmatch(text):
        return Bad("decimal_comma", column=column, value=text, right=f"{comma[1]}.{comma[2]}")
    if any(mark in text for mark in "°'′″"):
        return Bad("degrees", column=column, value=text)
    return Bad("no_number", column=column, value=text)
