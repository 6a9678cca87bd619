"""`gocche survey`: a walk with this gateway, shown on the terminal as it goes, with the terminal's bell for a sound.

Readings go their usual way, whatever becomes of this command: it only asks the agent to look more often, and shows.
A bell needs no loudspeaker at the gateway: it rings in whatever terminal is looked at, a telephone by SSH too.
"""

from __future__ import annotations

import sys
import threading
from datetime import datetime
from typing import TYPE_CHECKING

from cloud.coverage.scale import Scale
from edge.clock import SystemClock
from edge.sense import survey as asking
from edge.sense.walk import ENOUGH, Walk
from edge.status import status_file
from gocche.words import LANGUAGES, both, said
from wire.quantities import IN_SERVICE, RADIO

if TYPE_CHECKING:
    from pathlib import Path

    from edge.sense.survey import Moment

LOOK_S = 0.5
BEGINS_MS = 90_000  # without a moment by then, nobody is heard


def survey(folder: Path, minutes: float, every_s: float, *, quiet: bool) -> int:
    """Walk until the minutes are over or Ctrl-C; return 0 where a moment was heard, 1 where nobody was."""
    clock, place, walk = SystemClock(), status_file(folder).parent, Walk()
    began_ms = clock.mono_ms()
    end_ms = began_ms + round(60_000 * minutes)
    if not status_file(folder).exists():
        print(both("survey", "nobody", folder=folder), file=sys.stderr)
        return 1
    print(both("survey", "begins", every=f"{every_s:g}", enough=ENOUGH))
    try:
        while (now := clock.mono_ms()) < end_ms:
            asking.go_on(place, clock, every_s, end_ms)
            for moment in asking.heard(place, clock.boot, began_ms):
                sound = walk.take(moment)
                if sound is not None:
                    print(_line(moment, walk) + ("" if quiet else sound), flush=True)
            if not walk.heard and now - began_ms > BEGINS_MS:
                break
            clock.wait(threading.Event(), LOOK_S)
    except OSError as error:
        print(both("survey", "refused", why=error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
    finally:
        asking.end(place)
    kind = "ends" if walk.placed else "nowhere" if walk.heard else "nobody"
    print(
        both("survey", kind, heard=walk.heard, placed=walk.placed, cells=len(walk.cells), done=walk.done, folder=folder)
    )
    return 0 if walk.placed else 1


def _line(moment: Moment, walk: Walk) -> str:
    at = datetime.now().astimezone()  # noqa: TID251 - what a person's watch says
    facts = {"cells": len(walk.cells), "done": walk.done, "heard": walk.heard}
    here = (
        both_of("survey", "no_fix")
        if moment.lat is None or moment.lon is None
        else f"{moment.lat:.5f}, {moment.lon:.5f}"
    )
    counted = both_of("survey", "counted", **facts)
    return f"{at:%H:%M:%S}  {_heard(moment):<44}  {here:<20}  {counted}"


def _heard(moment: Moment) -> str:
    """Return what the modem hears, and the class that the map would give it."""
    if moment.lost:
        return both_of("survey", "no_data")
    if moment.values.get("registration") not in IN_SERVICE:
        return both_of("survey", "no_signal")
    scale, radio = Scale(), int(moment.values.get("radio", 0))
    for kind, level, noise in (("nr", "nr_ss_rsrp", "nr_ss_sinr"), ("lte", "lte_rsrp", "lte_sinr")):
        if (dbm := moment.values.get(level)) is not None:
            how = scale.level("nr" if kind == "nr" else "lte", dbm, moment.values.get(noise))
            return f"{RADIO[radio][1]} {dbm:.0f} dBm {both_of('survey', how)}"
    return f"{RADIO[radio][1]} {both_of('survey', 'served')}"


def both_of(part: str, name: str, **facts: object) -> str:
    """Return a few words in both languages on one line."""
    return " · ".join(said(part, name, language, **facts) for language in LANGUAGES)
