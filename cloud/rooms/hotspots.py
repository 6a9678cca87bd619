"""How FIRMS is asked (one GET within a deadline, its key in no word that is told), and what the world is shown."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

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


def fetching(config: Hotspots, deadline_s: float = DEADLINE_S) -> Callable[[str], bytes]:
    """Return what fetches a list behind the address of a configuration. That raises OSError or NoHotspots."""
    peer = Peer(config.url, deadline_s)

    def fetch(path: str) -> bytes:
        try:
            key = held(config.key_file)
            answer = peer.ask("GET", f"/{key}{path}", hide=(key,), most=LARGEST)
        except Retry as fault:
            raise OSError(str(fault)) from fault
        if answer.status != 200:
            raise NoHotspots("refused", said=answer.words)
        return answer.said.encode()

    return fetch


def seen(path: Path, zones: Collection[Zone], now_ms: int) -> Seen:
    """Return the fires of the last days near the zones, for the pages. Raises the store's Retry."""
    places = {zone.code: (zone.lat, zone.lon) for zone in zones}
    try:
        asked_ms = max([one.ok_ms for one in book.asked(path)], default=0)
        found = fires(book.since(path, now_ms - SHOWN_MS, *_band(zones)))
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
    return Seen(asked_ms, rows[:MOST])


def _band(zones: Collection[Zone]) -> tuple[float, float]:
    """Return the latitudes within which something may be near."""
    lats = [zone.lat for zone in zones] or [0.0]
    return min(lats) - NEAR_KM / 100, max(lats) + NEAR_KM / 100
