"""InfluxQL's words: names and strings escaped, a range of one series, the numbers of a row."""

from __future__ import annotations

from typing import Any


def floats(fields: dict[str, Any]) -> dict[str, float]:
    """Return the fields of a row that have a value."""
    return {name: float(value) for name, value in fields.items() if value is not None and name != "time"}


def where_of(gateway: str, channel: str, start_ns: int, end_ns: int) -> str:
    """Return the WHERE of one channel within [start, end)."""
    series = f"gateway = {quote(gateway)} AND channel = {quote(channel)}"
    return f"WHERE {series} AND time >= {start_ns} AND time < {end_ns}"


def quote(text: str) -> str:
    r"""Return an InfluxQL string: `\` and `'` escaped."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def name(text: str) -> str:
    r"""Return an InfluxQL identifier: `\` and `"` escaped."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
