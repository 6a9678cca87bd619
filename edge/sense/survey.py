"""A walk with the gateway: while a person asks for it, modem and position are asked each few seconds, and shown.

The bus stays its owner's: the walk only has it ask sooner (`Turns.hurry`). What is read goes the way of all readings,
so a walk that is broken off has lost nothing; this keeps no sample, it shows. The two files are in memory beside the
status, as those of the sirens: the command writes that it is still there, the agent what it heard. Who stops saying so
for half a minute, or is killed, has ended the walk.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import msgspec

from edge.status import make_ours, written
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.clock import Clock
    from wire.reading import Reading

ASK, TOLD = "survey-ask.json", "survey.json"
LEASE_MS = 30_000
FIX_MS = 15_000  # an older place is that of where one was: people walk
KEPT = 120  # moments, for a command that looks each second
_SHOWN = ("registration", "radio", "lte_rsrp", "nr_ss_rsrp", "lte_sinr", "nr_ss_sinr")


class Ask(msgspec.Struct, frozen=True):
    """A walk goes on: until then, in milliseconds of this boot, so often."""

    boot: str
    until_ms: int
    every_s: Annotated[float, msgspec.Meta(ge=1, le=60)] = 2.0


class Moment(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a modem said once, and where: numbers in their units; `lost` is why it said nothing."""

    number: int
    mono_ms: int
    values: dict[str, float] = {}
    lat: float | None = None
    lon: float | None = None
    fix_ms: int | None = None  # how old the place is
    lost: bool = False


class Told(msgspec.Struct, frozen=True):
    """What was heard since the walk began: how many moments, the newest of them."""

    boot: str
    moments: list[Moment] = []


def go_on(folder: Path, clock: Clock, every_s: float, end_ms: int) -> None:
    """Say that the walk goes on, at least until half a minute is over. Raises OSError."""
    written(folder / ASK, Ask(clock.boot, min(clock.mono_ms() + LEASE_MS, end_ms), every_s))


def heard(folder: Path, boot: str, since_ms: int) -> list[Moment]:
    """Return what the agent heard since then, oldest first: the newest of it."""
    with suppress(OSError, msgspec.MsgspecError):
        told = msgspec.json.decode((folder / TOLD).read_bytes(), type=Told)
        if told.boot == boot:
            return [moment for moment in told.moments if moment.mono_ms >= since_ms]
    return []


def end(folder: Path) -> None:
    """Say that the walk is over."""
    with suppress(OSError):
        (folder / ASK).unlink(missing_ok=True)


class Survey:
    """The agent's side. `see` may be called from any thread, `look` from one."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder, self._clock = folder, clock
        self._lock = threading.Lock()
        self._pace_s: float | None = None
        self._place: tuple[int, float, float] | None = None
        self._moments: deque[Moment] = deque(maxlen=KEPT)
        self._number = 0

    def look(self, hurry: Callable[[float | None], None]) -> None:
        """Begin, go on with or end a walk, as the command says."""
        ask = self._asked()
        pace_s = ask.every_s if ask else None
        if pace_s is not None or self._pace_s is not None:
            hurry(pace_s)  # each time: a bus may have been begun anew
        with self._lock:
            if pace_s is None:
                self._moments.clear()
                self._place, self._number = None, 0
            self._pace_s = pace_s

    def see(self, reading: Reading) -> None:
        """Take what was read, while a walk goes on."""
        if self._pace_s is None:
            return
        with self._lock:
            values = {name: QUANTITIES[name].unscale(scaled) for name, scaled in reading.values.items()}
            if "lat" in values and "lon" in values:
                self._place = reading.mono_ms, values["lat"], values["lon"]
            if "registration" in values or "registration" in reading.reasons:
                self._number += 1
                self._moments.append(self._moment(reading.mono_ms, values))
                self._tell()

    def _moment(self, mono_ms: int, values: dict[str, float]) -> Moment:
        shown = {name: values[name] for name in _SHOWN if name in values}
        lost = "registration" not in shown
        place = self._place
        if place is None or mono_ms - place[0] > FIX_MS:
            return Moment(self._number, mono_ms, shown, lost=lost)
        return Moment(self._number, mono_ms, shown, place[1], place[2], max(mono_ms - place[0], 0), lost)

    def _tell(self) -> None:
        with suppress(OSError):
            make_ours(self._folder)
            written(self._folder / TOLD, Told(self._clock.boot, list(self._moments)))

    def _asked(self) -> Ask | None:
        with suppress(OSError, msgspec.MsgspecError):
            ask = msgspec.json.decode((self._folder / ASK).read_bytes(), type=Ask)
            now = self._clock.mono_ms()
            if ask.boot == self._clock.boot and now < ask.until_ms <= now + 2 * LEASE_MS:
                return ask
        return None
