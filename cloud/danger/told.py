"""Words about danger that the garden chooses itself: measures of each level, who is responsible, what forest a zone is.

They stand in measures.toml here; a `danger.toml` in the garden's folder takes the place of what it names.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from settings import text
from settings.expected import convert
from settings.finding import File

NAME = "danger.toml"
_TABLES = ("bulletin", "level", "forest")


class Measures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be done at a level, a sentence a line."""

    vi: tuple[str, ...] = ()
    en: tuple[str, ...] = ()


class Forest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What forest a zone is."""

    vi: str = ""
    en: str = ""


class Responsible(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who answers for the bulletin."""

    responsible_vi: str = ""
    responsible_en: str = ""


class Levels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The measures of each level."""

    I: Measures = Measures()  # noqa: E741 - the name on the sign
    II: Measures = Measures()
    III: Measures = Measures()
    IV: Measures = Measures()
    V: Measures = Measures()


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of them."""

    bulletin: Responsible = Responsible()
    level: Levels = Levels()
    forest: dict[str, Forest] = {}


def load(folder: Path | None = None) -> Told:
    """Return the words, with those of a garden's folder in their place. Raises ConfigError with file, table and key."""
    ours = Path(str(resources.files(__package__).joinpath("measures.toml")))
    tables = _tables(ours)
    theirs = folder / NAME if folder is not None else None
    if theirs is not None and theirs.is_file():
        own = _tables(theirs)
        convert(_file(theirs), "", own, Told)  # by itself, so that what is wrong is said of this file
        for name, table in own.items():
            tables[name] = tables.get(name, {}) | table
    return convert(_file(ours), "", tables, Told)


def _file(path: Path) -> File:
    return File(path, ("settings", "cloud.config"), "gocche-cloud", _TABLES, ())


def _tables(path: Path) -> dict[str, Any]:
    file = _file(path)
    return dict(text.tables(file, text.read(file)))
