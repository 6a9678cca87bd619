"""The networks of Vietnam by their number, as people know them; a number without a name is told as a number."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path


def named(plmn: int) -> str:
    """Return what a network (mcc·1000+mnc) is called: Viettel; 452-09 where no name is known, "" of 0."""
    return names().get(plmn, f"{plmn // 1000:03d}-{plmn % 1000:02d}") if plmn else ""


@cache
def names() -> dict[int, str]:
    """Return the names that are known, by the number of their network."""
    table: dict[str, str] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))["network"]
    return {int(mcc) * 1000 + int(mnc): name for key, name in table.items() for mcc, mnc in [key.split("-")]}
