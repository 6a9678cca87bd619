"""InfluxQL's words: names and strings escaped, a range of one series, the numbers of a row."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from wire.quantities import QUANTITIES
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

_REASONS = frozenset(Reason)


def values(fields: dict[str, Any]) -> dict[str, float]:
    """Return the quantities of a row that have a value.

    What else lies in the measurement is passed over: a foreign program's texts, and the fields of a newer gocche.
    """
    return {name: float(value) for name, value in fields.items() if name in QUANTITIES and is_number(value)}


def reasons(fields: dict[str, Any]) -> dict[str, Reason]:
    """Return the quantities of a row of `missing` with their reasons, codes that are none passed over."""
    return {name: Reason(int(code)) for name, code in values(fields).items() if code in _REASONS}


def is_number(value: object) -> bool:
    """Tell whether a field holds a number; truth is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def where_of(gateway: str, channel: str, start_ns: int, end_ns: int) -> str:
    """Return the WHERE of one channel within [start, end)."""
    return where_any([(gateway, channel)], start_ns, end_ns)


def where_any(channels: Sequence[tuple[str, str]], start_ns: int, end_ns: int) -> str:
    """Return the WHERE of any of some channels within [start, end)."""
    any_of = " OR ".join(
        f"(gateway = {quote(gateway)} AND channel = {quote(channel)})" for gateway, channel in channels
    )
    return f"WHERE ({any_of}) AND time >= {start_ns} AND time < {end_ns}"


def quote(text: str) -> str:
    r"""Return an InfluxQL string: `\` and `'` escaped."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def pattern(text: str) -> str:
    """Return what finds a text in an InfluxQL regular expression."""
    return re.sub(r"([^0-9A-Za-z])", r"\\\1", text)


def field_of(text: str) -> str:
    r"""Return an InfluxQL field of numbers: `\` and `"` escaped; where it was written as text, it is empty."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"::float'
