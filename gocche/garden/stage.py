"""The control file: what a test or a demonstration wants the simulated garden to suffer, re-read while it runs.

    {"smoke": {"pm2_5": 300}, "modem": {"service": false}, "soil-1": {"silent": true}, "rs485": {"unplugged": true},
     "weather": {"garbled": true}, "gnss": {"fix": false}, "siren-1": {"button": true}, "air": "smoke", "pace": 0.2}

A key is a port or a channel (what the port says holds for all of its channels); a word is a fault or the name of a
quantity, which then has that value. `air` is what all sensors breathe (scene.py: clear, smoke, cooking, haze, fog); it
begins when the file first says so. `pace` is the period of talkers in seconds. Write it beside and rename it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from gocche.garden.scene import KINDS, Added, Kind, added
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from cloud.clock import Clock

Told = dict[str, bool | float | str]
FAULTS: dict[str, type] = {
    "silent": bool,  # does not answer, does not speak
    "unplugged": bool,  # of a port: the adapter is gone
    "garbled": bool,  # one bit of every frame is wrong
    "service": bool,  # of the modem: false is no network
    "radio": str,  # of the modem: lte | sa
    "fix": bool,  # of the GNSS receiver: false is no position
    "button": bool,  # of the siren: somebody presses the button that stops it
}


class Stage(msgspec.Struct, frozen=True):
    """What holds now."""

    told: dict[str, Told] = {}
    pace_s: float | None = None
    air: Kind = "clear"
    air_since_s: float = 0.0  # UTC

    def of(self, *names: str) -> Told:
        """Return what is told under any of these names; the later ones win."""
        return {word: value for name in names for word, value in self.told.get(name, {}).items()}

    def added(self, utc_s: float) -> Added:
        """Return what is in the air beside the weather."""
        return added(self.air, utc_s - self.air_since_s, utc_s)


class Control:
    """Follows the control file. `stage` is replaced whole, so other threads may read it at any time."""

    def __init__(self, path: Path | None, names: Iterable[str], say: Callable[[str], None], clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._names = frozenset(names)
        self._say = say
        self._seen = b""
        self.stage = Stage()

    def poll(self) -> None:
        """Take over a changed file. A file that cannot be used is told once and changes nothing."""
        content = self._content()
        if content == self._seen:
            return
        self._seen = content
        try:
            new = parse(content, self._names) if content else Stage()
        except ValueError as error:
            self._say(f"control file {self._path}: {error}; what held before goes on")
            return
        same = new.air == self.stage.air
        self.stage = replace(new, air_since_s=self.stage.air_since_s if same else self._clock.utc_ms() / 1000)

    def _content(self) -> bytes:
        try:
            return self._path.read_bytes() if self._path else b""
        except FileNotFoundError:
            return b""


def parse(content: bytes, names: frozenset[str]) -> Stage:
    """Return what a control file says. Raises ValueError naming the place and what is allowed there."""
    told = json.loads(content)
    if not isinstance(told, dict):
        raise ValueError("must be one JSON object")  # noqa: TRY004 - a bad file is one kind of error, whatever is bad
    pace = told.pop("pace", None)
    if pace is not None and not (isinstance(pace, int | float) and 0.01 <= pace <= 3600):
        raise ValueError(f"pace {pace!r} must be seconds from 0.01 to 3600")
    air = told.pop("air", "clear")
    if air not in KINDS:
        raise ValueError(f"air {air!r} is none of {', '.join(KINDS)}")
    for name, words in told.items():
        if name not in names:
            raise ValueError(f"{name!r} is none of {', '.join(sorted(names))}, air, pace")
        _check(name, words)
    return Stage(told, pace, air)


def _check(name: str, words: object) -> None:
    if not isinstance(words, dict):
        raise ValueError(f"{name} must be an object of faults and quantities")  # noqa: TRY004 - as above
    for word, value in words.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        right = isinstance(value, FAULTS[word]) if word in FAULTS else word in QUANTITIES and number
        if not right:
            raise ValueError(
                f"{name}.{word} = {value!r}: allowed are {', '.join(FAULTS)} (true or false; radio: lte, sa) "
                "and quantities with a number"
            )
