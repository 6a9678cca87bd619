"""`gocche siren stop` and `gocche siren test`: asked of the agent that runs here, without any network."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Literal, cast

from edge.clock import SystemClock
from edge.siren.asks import Ask, Asks
from edge.status import status_file
from gocche.words import LANGUAGES, both, said

if TYPE_CHECKING:
    from pathlib import Path

    from edge.siren.asks import Told

ANSWERS_S = 6.0
LOOK_S = 0.05


def asked(folder: Path, act: str, name: str) -> int:
    """Have the agent of a data folder do it, and print what came of it; return 1 where it did not."""
    clock, place = SystemClock(), Asks(status_file(folder).parent)
    ask = Ask(f"{os.getpid()}-{clock.mono_ms()}", cast("Literal['stop', 'test']", act), name)
    try:
        place.ask(ask)
    except OSError as error:
        print(both("siren", "refused", why=error), file=sys.stderr)
        return 1
    told, end_ms = None, clock.mono_ms() + round(1000 * ANSWERS_S)
    while told is None and clock.mono_ms() < end_ms:
        clock.wait(threading.Event(), LOOK_S)
        told = place.heard(ask)
    if told is None:
        place.withdraw()
        print(both("siren", "nobody", folder=folder), file=sys.stderr)
        return 1
    if not told.done:
        print(both("siren", "unknown" if name else "none", name=name), file=sys.stderr)
        return 1
    for language in LANGUAGES:
        print(*_lines(told, language), sep="\n")
    return 0 if not {"failed", "sounds"} & set(told.done.values()) else 1


def _lines(told: Told, language: str) -> list[str]:
    return [
        said("siren", how, language, name=name, after=told.after_ms.get(name, 0)) for name, how in told.done.items()
    ]
