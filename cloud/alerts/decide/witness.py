"""What was noticed of a gateway before it fell silent, and what it shows when it is back: evidence for `causes`.

What alerts heard themselves is all that counts: last values of mains, supply and modems, an order to stop, the boot and
its age, and readings that arrive later. The course of a supply, boots and orders are in memory: after a restart of
alerts less is known, and less is claimed.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec.structs import replace

from cloud.alerts.causes import EDGE_DBM, Cause, Reason, falling, read, told, written
from cloud.alerts.journal import selected
from cloud.alerts.places import communes, way_outs
from cloud.clock import HOUR_MS, hanoi
from wire.quantities import IN_SERVICE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from cloud.alerts.decide.desk import Desk
    from cloud.alerts.decide.evidence import Evidence
    from cloud.alerts.decide.progress import Presence, Progress, Sensor
    from cloud.alerts.incident import Incident
    from cloud.alerts.journal import Journal
    from cloud.alerts.rules import Rule
    from cloud.alerts.spans import Point
    from cloud.registry import Registry

SUPPLY, MAINS, SERVICE, RSRP = "supply_voltage", "mains", "registration", ("lte_rsrp", "nr_ss_rsrp")
NOTES = frozenset({SUPPLY, MAINS, SERVICE, *RSRP, "radio"})  # the last one for the report of the week
KEPT = 200  # values of a supply
RECENT_MS = HOUR_MS  # older than that before the silence, a value says nothing of its cause
TOGETHER_MS, UNHEARD_MS = 600_000, 90_000  # how near in time others fall silent, and for how long they are by then
# by the index of series: a backlog asks with each of its batches
SILENCES = (
    "rule IN (SELECT value FROM json_each(?)) AND gateway = ? AND (ended_ms IS NULL OR ended_ms >= ?) ORDER BY +id"
)
_LOW = "gateway = ? AND quantity = ? AND ended_ms IS NULL AND NOT late ORDER BY id"
BEAT_MS = 90_000  # a gateway is heard each minute: what it measured so shortly after its last word shows nothing
BACK_MS = (
    900_000  # for so long before it is heard again it may measure and have no network, where its boot is not known
)


class _Silent(NamedTuple):
    """A gateway that is not heard: since when, where, and since when it had no mains; 0 where that is not known."""

    gateway: str
    heard_ms: int
    commune: str
    dark_ms: int


class Witness:
    """Works within the caller's transaction, but `lives` and `stopped`: from any thread."""

    notes = NOTES

    def __init__(self, rules: Sequence[Rule], journal: Journal, progress: Progress, desk: Desk) -> None:
        self._journal, self._progress, self._desk = journal, progress, desk
        of_silence = [rule.name for rule in rules if rule.silence.of in ("gateway", "way_out")]
        self._of_silence = msgspec.json.encode(of_silence).decode()
        self._supply: dict[tuple[str, str], deque[tuple[int, float]]] = defaultdict(lambda: deque(maxlen=KEPT))
        self._boots: dict[str, tuple[str, int, int]] = {}  # boot, when it began and when it said so
        self._stopped: dict[str, int] = {}
        self._silent: tuple[int, list[_Silent]] = -1, []
        self._communes: tuple[Registry | None, date | None, dict[str, str]] = None, None, {}

    def lives(self, gateway: str, boot: str, mono_ms: int, now_ms: int) -> None:
        """Note which boot of a gateway lives, and how old it says that it is."""
        self._boots[gateway] = boot, now_ms - mono_ms, now_ms

    def stopped(self, gateway: str, arrival_ms: int) -> None:
        """Note that a gateway says that it was told to stop."""
        self._stopped[gateway] = arrival_ms

    def noted(self, gateway: str, channel: str, quantity: str, points: list[Point]) -> None:
        """Note the course of a supply."""
        if quantity == SUPPLY:
            kept = self._supply[gateway, channel]
            kept.extend((ms, value) for ms, _, value in points if not kept or ms > kept[-1][0])

    def before(self, presence: Presence, at_ms: int, now_ms: int) -> Cause:
        """Return what speaks for a cause of a silence that has just been found. `at_ms` is listening time."""
        gateway, heard_ms = presence.gateway, presence.heard_ms
        stopped_ms = self._stopped.get(gateway, 0)
        reasons = [Reason("stopped", stopped_ms)] if stopped_ms >= heard_ms - 5_000 else []
        sensors = self._recent(gateway, heard_ms)
        reasons += [*self._of_power(gateway, sensors), *self._of_link(gateway, sensors, now_ms)]
        reasons += self._around(presence, at_ms, now_ms)
        return Cause(tuple({one.why: one for one in reasons}.values()), self._boots.get(gateway, ("",))[0])

    def after(self, incident: Incident, presence: Presence) -> Incident:
        """Return an incident with what the boot of a gateway that is back shows."""
        boot, began_ms, said_ms = self._boots.get(presence.gateway, ("", 0, 0))
        cause = read(incident.cause)
        if not incident.cause or said_ms < presence.back_ms:
            return incident
        same = boot == cause.boot if cause.boot else began_ms <= incident.since_ms
        reason = Reason("same_boot" if same else "restarted", began_ms)
        return replace(incident, cause=written(cause.joined(reason)))

    def weigh(self, evidence: Evidence, now_ms: int) -> None:
        """Write into the incidents of a gateway that it lived while it was silent, where its readings show that."""
        if evidence.undated or evidence.unstored:
            return
        times = [ms for points in evidence.points.values() for ms, *_ in points]
        times += [ms for own in evidence.packed.values() for one in own for ms in (one.first_ms, one.last_ms)]
        oldest_ms = min(times, default=now_ms)
        if oldest_ms >= now_ms - BEAT_MS:  # as nearly always
            return
        for incident in selected(self._journal.db, SILENCES, self._of_silence, evidence.gateway, oldest_ms):
            until_ms = self._lived_until(incident, now_ms)
            lived = {ms for ms in times if incident.since_ms + BEAT_MS <= ms <= until_ms}
            if lived and incident.cause:
                self._lived(incident, lived, now_ms)

    def _lived_until(self, incident: Incident, now_ms: int) -> int:
        """Return until when its readings are those of a gateway that was not heard, and not of one that comes back.

        After a start of the machine it measures for minutes before its modem has a network.
        """
        until_ms = incident.until_ms or now_ms
        boot, began_ms, _ = self._boots.get(incident.gateway, ("", 0, 0))
        if not boot:
            return until_ms - BACK_MS
        return min(until_ms, began_ms - BEAT_MS) if began_ms > incident.since_ms else until_ms

    def _lived(self, incident: Incident, lived: set[int], now_ms: int) -> None:
        cause = read(incident.cause)
        first_min = (min(lived) - incident.since_ms) / 60_000
        known = next((one for one in cause.reasons if one.why == "lived"), Reason("lived", value=first_min))
        more = {"n": known.n + len(lived), "at_ms": max(known.at_ms, *lived), "value": min(known.value, first_min)}
        after = replace(incident, cause=written(cause.joined(replace(known, **more))))
        if known.n and read(after.cause).certain == cause.certain:
            self._journal.save(after)
        else:
            self._desk.note(after, "cause", told(after.cause, "en"), now_ms, vi=told(after.cause, "vi"))

    def _recent(self, gateway: str, heard_ms: int) -> list[Sensor]:
        """Return the sensors whose last value is of shortly before the gateway was heard last."""
        found = [self._progress.sensor(gateway, channel, of) for channel, of in self._progress.sensors_of(gateway)]
        return [one for one in found if one is not None and one.value_ms >= heard_ms - RECENT_MS]

    def _of_power(self, gateway: str, sensors: list[Sensor]) -> list[Reason]:
        found = [Reason("mains", one.changed_ms) for one in sensors if one.quantity == MAINS and one.value == 0]
        low = [one for one in selected(self._journal.db, _LOW, gateway, SUPPLY) if one.kind == "limit"]
        for one in sensors:
            if one.quantity != SUPPLY or one.value is None:
                continue
            if begun := next((other for other in low if other.channel == one.channel), None):
                found.append(Reason("low", begun.since_ms, one.value))
            elif fell := falling(list(self._supply[gateway, one.channel])):
                found.append(Reason("falling", one.value_ms, fell[1], fell[0]))
        return found

    def _of_link(self, gateway: str, sensors: list[Sensor], now_ms: int) -> list[Reason]:
        """Return what its own way out said of itself; what another modem hears says nothing of its link."""
        own = way_outs(self._desk.registry.now, gateway, hanoi(now_ms).date())
        mine = [one for one in sensors if one.channel in own and one.value is not None]
        lost = [one for one in mine if one.quantity == SERVICE and int(one.value or 0) not in IN_SERVICE]
        edge = [one for one in mine if one.quantity in RSRP and (one.value or 0.0) <= EDGE_DBM]
        return [Reason("service", one.changed_ms) for one in lost] + [
            Reason("edge", one.value_ms, one.value or 0.0) for one in edge
        ]

    def _around(self, presence: Presence, at_ms: int, now_ms: int) -> list[Reason]:
        """Return that others of the commune fall silent at the same time, and that some of them had no mains."""
        commune = self._commune(presence.gateway, hanoi(now_ms).date())
        others = [
            one
            for one in self._unheard(at_ms, now_ms)
            if one.gateway != presence.gateway
            and commune == one.commune != ""
            and abs(one.heard_ms - presence.heard_ms) <= TOGETHER_MS
        ]
        dark = [one.dark_ms for one in others if one.dark_ms]
        found = [Reason("near_mains", min(dark), n=len(dark))] if dark else []
        return found + ([Reason("together", presence.heard_ms, n=len(others))] if others else [])

    def _unheard(self, at_ms: int, now_ms: int) -> list[_Silent]:
        """Return the gateways that are not heard now; looked for once for all that fall silent together."""
        if self._silent[0] != at_ms:
            day, found = hanoi(now_ms).date(), []
            for one in self._progress.unheard_since(at_ms - UNHEARD_MS):
                sensors = self._recent(one.gateway, one.heard_ms)
                dark = [sensor.changed_ms for sensor in sensors if sensor.quantity == MAINS and sensor.value == 0]
                found.append(_Silent(one.gateway, one.heard_ms, self._commune(one.gateway, day), min(dark, default=0)))
            self._silent = at_ms, found
        return self._silent[1]

    def _commune(self, gateway: str, day: date) -> str:
        """Return the commune that a gateway stands in by what is bound to it; "" where that is not known."""
        registry = self._desk.registry.now
        if self._communes[0] is not registry or self._communes[1] != day:
            self._communes = registry, day, communes(registry, day)
        return self._communes[2].get(gateway, "")
