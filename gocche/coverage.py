"""`gocche coverage import`: a survey of a team from a file, read by the coverage room, with how far it is."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.access.fleet import team_called
from cloud.clock import SystemClock, hanoi
from cloud.coverage import reasons
from cloud.coverage.brought import Desk, TooLarge
from cloud.coverage.uploads import MOST_BYTES
from cloud.registry import Registry
from cloud.store import Retry
from gocche.registry import book_of
from gocche.words import Refused, both

if TYPE_CHECKING:
    from typing import Any

    from cloud.config import CloudConfig
    from cloud.coverage.book import Upload

REFUSED = 1  # exit status: some records were
LOOK_S, STILL_S = 0.25, 60.0  # without a step forward: nobody should wait for it
WIDTH = 30


def bring_in(config: CloudConfig, path: Path, typed: str) -> int:
    """Have the room read a file that a team brings; return 0, or 1 where records were refused."""
    clock, data = SystemClock(), Path(config.data.path)
    with book_of(config, writer=False) as registry:
        teams = Registry({"team": registry.rows("team")}).teams(hanoi(clock.utc_ms()).date())
    team = team_called(teams, typed)
    desk = Desk(data, clock)
    try:
        with path.open("rb") as file:
            number, name = desk.bring(file, team.code)
        return _waited(desk, number, name, clock)
    except TooLarge as fault:
        raise Refused("coverage", "large", file=path, limit=MOST_BYTES // 1_000_000) from fault
    except Retry as fault:
        raise Refused("coverage", "no_room", why=fault) from fault
    finally:
        desk.close()


def _waited(desk: Desk, number: int, name: str, clock: SystemClock) -> int:
    """Show how far it is until it is done; where the room does not run, or does not move, say that it waits."""
    shows, seen, moved_s = sys.stderr.isatty(), (-1, -1), clock.monotonic()
    while (told := desk.outcome(number)) is None:
        upload = next(iter(desk.progress(name)), None)
        if upload is not None and (upload.read, upload.records) != seen:  # long parts of a file may hold no record
            seen, moved_s = (upload.read, upload.records), clock.monotonic()
            if shows:
                print(f"\r{_bar(upload)}", end="", file=sys.stderr, flush=True)
        if not desk.attended or clock.monotonic() - moved_s > STILL_S:
            print(both("coverage", "waits"))
            return 0
        clock.wait(threading.Event(), LOOK_S)
    if shows and seen >= (0, 0):
        print(file=sys.stderr)
    return _told(told)


def _bar(upload: Upload) -> str:
    share = min(upload.read / upload.size, 1.0) if upload.size else 1.0
    return f"[{'#' * round(share * WIDTH):{WIDTH}}] {share:4.0%} {upload.records}"


def _told(outcome: dict[str, Any]) -> int:
    if "error" in outcome and "new" not in outcome:
        raise Refused("coverage", "failed", why=outcome["error"])
    print(both("coverage", "kept", new=outcome["new"], known=outcome["known"], late=outcome["late"]))
    refused: dict[str, int] = outcome["refused"]
    for reason, n in sorted(refused.items(), key=lambda one: -one[1]):
        vi, en = reasons.told(reason, "vi"), reasons.told(reason, "en")
        where = outcome.get("first", {}).get(reason) or "-"
        print(both("coverage", "refused", vi=vi, en=en, n=n, where=where))
    if "error" in outcome:
        print(both("coverage", "broke_off", why=outcome["error"]))
    return REFUSED if refused or "error" in outcome else 0
