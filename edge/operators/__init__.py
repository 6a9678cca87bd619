"""What each operator tells of a SIM when it is asked by USSD, as data: codes and the patterns of their answers.

Operators change their texts without a word. So a text that no pattern fits brings no number, and is shown in the status
for whoever mends the file; and a pattern that fits in two places with two numbers brings none either.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from settings.finding import unknown

GROUPS = {"balance": {"n"}, "data": {"n", "unit"}, "expires": {"day", "month", "year"}, "days": {"n"}}


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Unknown keys are errors."""


class Find(_Strict, frozen=True):
    """One number in an answer: a regular expression with the groups of its kind, over the text without accents.

    `balance` and `days` need `n`; `data` needs `n` and `unit` (kB, MB, GB); `expires` needs `day`, `month` and `year`.
    `thousands` is the sign between thousands where a number of three digits behind it could be a fraction.
    """

    value: Literal["balance", "data", "expires", "days"]
    pattern: Annotated[str, Meta(min_length=1, max_length=300)]
    thousands: Literal["", ".", ","] = ""

    def __post_init__(self) -> None:
        """Refuse a pattern that is none, or lacks a group. Raises ValueError."""
        try:
            groups = set(re.compile(self.pattern).groupindex)
        except re.error as error:
            raise ValueError(f"pattern {self.pattern!r}: {error}") from error
        if missing := GROUPS[self.value] - groups:
            raise ValueError(f"pattern {self.pattern!r} has no group {', '.join(sorted(missing))}")


class Question(_Strict, frozen=True):
    """One code that is dialled, and what its answer may tell."""

    code: Annotated[str, Meta(pattern=r"^[*#][0-9*#]{1,20}#$")]
    find: Annotated[tuple[Find, ...], Meta(min_length=1)]


class Operator(_Strict, frozen=True):
    """One operator: which codes are asked, in this order, and where its texts were seen."""

    title: str
    source: str
    ask: Annotated[tuple[Question, ...], Meta(min_length=1, max_length=4)]

    @property
    def values(self) -> set[str]:
        """What its answers may tell."""
        return {find.value for question in self.ask for find in question.find}


def names() -> list[str]:
    """Return the name of every operator in this folder, sorted."""
    files = (file.name for file in resources.files(__name__).iterdir())
    return sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml"))


@cache
def load(name: str) -> Operator:
    """Return the operator `<name>.toml`. Raises ValueError naming the file and the key that is wrong."""
    if name not in names():
        raise unknown("operator", name, names())
    data = resources.files(__name__).joinpath(f"{name}.toml").read_bytes()
    return decode(data, f"edge/operators/{name}.toml")


def decode(data: bytes, file: str) -> Operator:
    """Return the operator that a TOML text describes. Raises ValueError that begins with `file`."""
    try:
        return msgspec.toml.decode(data, type=Operator)
    except msgspec.DecodeError as error:
        raise ValueError(f"{file}: {error}") from error
