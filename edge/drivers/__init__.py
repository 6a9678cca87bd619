"""One file per sensor model or shared protocol; found by name, so that adding one edits nothing."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.driver import Driver


@cache
def names() -> tuple[str, ...]:
    """Return the name of every driver in this folder, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def load(name: str) -> Driver:
    """Return the driver called `name`. Raises KeyError when there is none."""
    if name not in names():
        raise KeyError(name)
    driver: Driver = importlib.import_module(f"{__name__}.{name}").DRIVER
    return driver
