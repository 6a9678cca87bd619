"""How FIRMS is asked (one GET within a deadline, its key in no word that is told), and what the world is shown."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import quote

from cloud import store
from cloud.alerts.channels import Retry
from cloud.alerts.tell.http import Peer, held
from cloud.hotspots import NoHotspots, book
from cloud.hotspots.fires import fires, nearest
from cloud.hotspots.firms import LARGEST
from cloud.pages.hotspots import NEAR_KM, FireRow, Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from cloud.config import Hotspots
    from cloud.registry.kinds import Zone

DEADLINE_S = 60.0
SHOWN_MS = 7 * 86_400_000
MOST = 200  # fires on a page
PIXELS = 20_000  # that are gathered for it


def fetching(config: Hotspots, deadline_s: float = DEADLINE_S) -> Callable[[str], bytes]:
    """Return what fetches a list behind the address of a configuration. That raises OSError or NoHotspots."""
    peer = Peer(config.url, deadline_s)

    def fetch(path: str) -> bytes:
        try:
            key = held(config.key_file)
            if not key:
                raise OSError(f"{config.key_file}: holds no key")
            quoted = quote(key, safe="")  # whatever a file holds stays one part of the address
            answer = peer.ask("GET", f"/{quoted}{path}", hide=(key, quoted), most=LARGEST + 1)
        except Retry as fault:
            raise OSError(str(fault)) from fault
        if answer.status != 200:
            raise NoHotspots("refused", said=answer.words)
        if answer.cut:
            raise OSError(f"{peer.host}: the list broke off before its end; a question has {deadline_s:g} s")
        return answer.said.encode()

    return fetch


def seen(path: Path, zones: Collection[Zone], now_ms: int) -> Seen:
    """Return the fires of the last days near the zones, for the pages. Raises the store's Retry."""
    places = {zone.code: (zone.lat, zone.lon) for zone in zones}
    try:
        asked_ms = max([one.ok_ms for one in book.asked(path)], default=0)
        found = fires(book.since(path, now_ms - SHOWN_MS, _box(zones), most=PIXELS))
    except sqlite3.Error as error:
        raise store.Retry(f"{path.name}: {error}", 5) from error
    by_code, rows = {zone.code: zone for zone in zones}, []
    for fire in found:
        at = fire.at
        close = nearest(at.lat, at.lon, places)
        if close is None or close.km > NEAR_KM:
            continue
        zone = by_code[close.place]
        rows.append(
            FireRow(
                at.lat,
                at.lon,
                fire.first_ms,
                fire.last_ms,
                fire.confidence,
                len(fire.hotspots),
                fire.satellites,
                zone.code,
                zone.name_vi,
                zone.name_en,
                close.km,
            )
        )
    return Seen(asked_ms, rows[:MOST], len(rows[MOST:]))


def _box(zones: Collection[Zone]) -> book.Box:
    """Return within what something may be near."""
    boxes = [book.around_point(zone.lat, zone.lon, NEAR_KM) for zone in zones] or [book.Box(0, 0, 0, 0)]
    souths, norths, wests, easts = zip(*boxes, strict=True)
    return book.Box(min(souths), max(norths), min(wests), max(easts))
