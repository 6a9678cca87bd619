"""What keeps a suspicion from being told: a silence, a permit to burn, smoke that is known. Never the record.

Nothing of it keeps from being told what became probable, what a person confirmed, and air of 60 °C and more: those are
told whatever was silenced. A silence has an author, a reason and an end, a day away at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cloud.alerts import words
from cloud.alerts.places import area_of
from cloud.clock import DAY_MS, HANOI_MS, hanoi
from cloud.registry.fire import DAY_MIN
from cloud.registry.map import distance_m
from cloud.registry.periods import valid_on
from detect.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.alerts.incident import Incident
    from cloud.alerts.journal import Journal
    from cloud.registry import Current

LONGEST_MS = DAY_MS
MINUTE_MS = 60_000
EVERYWHERE = "*"
HOT_C = Limits().t_hot


class Mute(msgspec.Struct, frozen=True):
    """Why a suspicion is not told, and until when."""

    vi: str
    en: str
    until_ms: int


class Mutes:
    """Looks them up; everything within the caller's transaction."""

    def __init__(self, journal: Journal, registry: Current) -> None:
        self._journal, self._registry = journal, registry

    def of(self, incident: Incident, now_ms: int) -> Mute | None:
        """Return what keeps a new suspicion from being told, the one that lasts longest; exercises are never kept."""
        if incident.exercise or incident.stage != "suspected":
            return None
        if any(map(is_hot, (incident, *self._journal.parts(incident.id)))):
            return None
        found = [*self._silences(incident, now_ms), *self._permits(incident, now_ms), *self._sources(incident, now_ms)]
        return max(found, key=lambda mute: mute.until_ms, default=None)

    def put(self, scope: str, author: str, reason: str, now_ms: int, until_ms: int) -> int:
        """Write a silence down and return its number."""
        row = (scope, author, reason, now_ms, until_ms)
        new = "INSERT INTO silence (scope, author, reason, from_ms, until_ms) VALUES (?, ?, ?, ?, ?)"
        return int(self._journal.db.execute(new, row).lastrowid or 0)

    def lift(self, number: int, who: str, now_ms: int) -> bool:
        """End a silence; tell whether there was one in force. Who it kept from being told of something is told now."""
        query = "UPDATE silence SET until_ms = ?, ended_by = ? WHERE id = ? AND until_ms > ?"
        if not self._journal.db.execute(query, (now_ms, who, number, now_ms)).rowcount:
            return False
        self._journal.db.execute("UPDATE step SET due_ms = ? WHERE rung < 0", (now_ms,))  # each is looked at again
        return True

    def _silences(self, incident: Incident, now_ms: int) -> Iterator[Mute]:
        registry = self._registry.now
        own = {
            EVERYWHERE,
            incident.place,
            area_of(registry, incident.place, incident.gateway),
            f"gateway:{incident.gateway}",
            f"channel:{incident.gateway}/{incident.channel}",
        }
        for number, scope, author, reason, until_ms in self._journal.silences(now_ms):
            if scope in own and until_ms <= now_ms + LONGEST_MS:  # further away only by a clock that was put back
                who = next((one.name for one in registry.contacts if one.code == author), author)
                why = " ".join(reason.split())
                yield Mute(*words.muted("silence", n=number, who=who, why=why), until_ms)

    def _permits(self, incident: Incident, now_ms: int) -> Iterator[Mute]:
        for permit in self._registry.now.permits:
            start_ms, end_ms = (round(1000 * at.timestamp()) for at in (permit.starts, permit.ends))
            if start_ms <= now_ms < end_ms and _covers(permit.lat, permit.lon, permit.radius_m, incident):
                yield Mute(*words.muted("permit", code=permit.code), min(end_ms, now_ms + LONGEST_MS))

    def _sources(self, incident: Incident, now_ms: int) -> Iterator[Mute]:
        today = hanoi(now_ms).date()
        minute = (now_ms + HANOI_MS) // MINUTE_MS % DAY_MIN
        for source in self._registry.now.sources:
            if not valid_on(source, today) or not _covers(source.lat, source.lon, source.radius_m, incident):
                continue
            if source.smokes(minute):
                left = (source.clock_to - minute) % DAY_MIN
                yield Mute(*words.muted("source", code=source.code), now_ms + left * MINUTE_MS)


def is_hot(incident: Incident) -> bool:
    """Tell whether a thermometer shows, or has shown, what neither a kitchen nor the sun does: 60 °C and more."""
    measured = (incident.value, incident.peak) if incident.quantity == "air_temperature" else ()
    return any(value is not None and value >= HOT_C for value in measured)


def _covers(lat: float, lon: float, radius_m: float, incident: Incident) -> bool:
    if incident.lat is None or incident.lon is None:
        return False
    return distance_m((lat, lon), (incident.lat, incident.lon)) <= radius_m
