"""Which makers' modems there are: a vendor is a file `at_<vendor>.py` beside this one, found by its name.

So the next one edits nothing. What all of them have in common lies below both sides: `at/talk.py`.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING

from edge import framing

if TYPE_CHECKING:
    from edge.framing.cells import Answer, Vendor


@cache
def vendors() -> tuple[str, ...]:
    """Return the name of every vendor, sorted."""
    found = (module.name for module in pkgutil.iter_modules(framing.__path__))
    return tuple(sorted(name.removeprefix("at_") for name in found if name.startswith("at_")))


def vendor(name: str) -> Vendor:
    """Return what `at_<name>.py` offers."""
    offered: Vendor = importlib.import_module(f"{framing.__name__}.at_{name}").VENDOR
    return offered


@cache
def answers() -> dict[str, Answer]:
    """Return how each answer is read, by its prefix, whoever's modem it is: an installer may ask any command."""
    return {prefix: answer for name in vendors() for prefix, answer in vendor(name).answers.items()}
