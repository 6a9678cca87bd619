"""The detector over the stream: readings of a node in order of time, its claim to incidents, its silence to an alarm.

What a node remembers is kept in the journal, in the transaction that notes which readings it rests on: a kill loses and
doubles nothing. Readings that are older than a node's newest (a backlog is sent newest first) go to what the node was
before the gap, by their own time: over 15 minutes old they open a *late* incident and wake nobody. A clock that is put
back takes the nodes with it, and back again when it is put right: they go on with what they have learned.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from cloud.alerts.decide.claims import Claims
from cloud.alerts.decide.evidence import unpacked
from cloud.alerts.decide.nodes import Key, Nodes
from cloud.alerts.decide.pace import patient_ms
from cloud.alerts.decide.progress import Watched
from cloud.alerts.rules.detect import RULE
from detect.claim import PROBABLE, SUSPECTED, Reason
from detect.node import as_neighbour, silent, step
from detect.state import FIELDS, Node, Sample
from wire.codec import FUTURE_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cloud.alerts.decide.desk import Desk
    from cloud.alerts.decide.evidence import Evidence
    from cloud.alerts.decide.progress import Progress
    from cloud.alerts.journal import Journal
    from cloud.alerts.rules import Rule
    from cloud.store.intervals import Intervals
    from detect.state import Neighbour

CLAIM: Final = "smoke_claim"  # what an edge claims
READ = FIELDS | {CLAIM: CLAIM}
SMOKE = frozenset({"pm2_5", "co"})  # whose silence counts …
HEAT: Final = "air_temperature"  # … and of what has neither of them
OWNED_MS = 900_000  # after so long without its value another channel of the same place may stand in
GAP_MS = 180_000  # what comes after is remembered apart from what was before


class Said(NamedTuple):
    """What one reading says of a node."""

    utc_ms: int
    seq: int
    channel: str
    values: dict[str, float]


class Detection:
    """One rule of this kind, within the caller's transaction. `at_ms` is listening time, `now_ms` UTC.

    `danger` is the level I-V (1-5) of an area, as zone:code; None where nobody knows it.
    """

    reads, notes = frozenset(READ), SMOKE | {HEAT}

    def __init__(
        self,
        rule: RULE,
        journal: Journal,
        progress: Progress,
        desk: Desk,
        late_ms: int,
        danger: Callable[[str], int | None],
    ) -> None:
        self._rule, self._progress, self._desk, self._late_ms = rule, progress, desk, late_ms
        self._claims = Claims(rule, journal, desk, late_ms)
        self._danger = danger
        self._nodes = Nodes(rule, desk.registry)
        self._neighbours: dict[Key, Neighbour | None] = {}
        self._older: dict[Key, Node] = {}  # by the older batch of a backlog that is judged just now

    def take(self, evidence: Evidence, done: Intervals, now_ms: int) -> None:
        """Judge what a gateway says of its nodes; a number that was met before is passed over."""
        self._older.clear()
        for key, said in self._sorted(evidence, done, now_ms).items():
            said.sort(key=lambda one: (one.utc_ms, one.seq))
            before = self._progress.node(self._rule.name, *key) or Watched(said[0].channel)
            after = self._by_this_clock(key, before, said, evidence, now_ms)
            for one in said:
                after = self._fed(key, after, one, evidence, now_ms)
            if after is not before:
                after = self._claims.look_after(after, now_ms)
                self._save(key, after, before)

    def tick(self, at_ms: int, now_ms: int) -> None:
        """Look for silence where smoke or heat went before."""
        for key in self._progress.smoking(self._rule.name, now_ms - self._rule.silence.forget_ms):
            before = self._progress.node(self._rule.name, *key)
            if before is None or "silent" in before.live.claim.faults:
                continue
            silence_ms = self._silence_ms(key, before, at_ms, now_ms)
            if not silence_ms:
                continue
            until_ms = max(now_ms, before.live.said_ms + silence_ms)  # the clock may have been put back
            live, _ = silent(before.live, until_ms, danger=self._danger(self._nodes.area(key)))
            if live.claim.level == PROBABLE > before.live.claim.level:
                self._save(
                    key, self._claims.decided(key[0], replace(before, live=live), live.claim, now_ms, now_ms), before
                )

    def _sorted(self, evidence: Evidence, done: Intervals, now_ms: int) -> dict[Key, list[Said]]:
        """Return what is new, a reading each, by node."""
        maintained, gateway = self._desk.registry.now.maintained, evidence.gateway
        rows: dict[tuple[str, int, int], dict[str, float]] = {}
        for (channel, quantity), points in _points(evidence):
            periods = maintained.get((gateway, channel))
            for utc_ms, seq, value in points:
                if (seq in done and not evidence.unstored) or (periods and periods.hold(utc_ms)):
                    continue
                rows.setdefault((channel, utc_ms, seq), {})[READ[quantity]] = value
        found: dict[Key, list[Said]] = defaultdict(list)
        for (channel, utc_ms, seq), values in rows.items():
            found[self._nodes.of(gateway, channel, now_ms)].append(Said(utc_ms, seq, channel, values))
        return found

    def _by_this_clock(self, key: Key, node: Watched, said: list[Said], evidence: Evidence, now_ms: int) -> Watched:
        """Return a node at times of this clock, whatever dated it: its newest came just before what comes now.

        By how much a clock was put back nobody knows, but all of what was dated by it keeps its distances.
        """
        newest_ms, pace_ms = max(node.live.said_ms, node.edge_ms), node.live.pace_ms
        young = next((one.utc_ms for one in said if one.utc_ms >= now_ms - self._late_ms), now_ms)
        if newest_ms > now_ms + FUTURE_MS:
            return self._moved(key, node, young - pace_ms - newest_ms, now_ms)
        if not node.moved_ms:
            return node
        if 0 <= young - newest_ms - node.moved_ms <= self._late_ms:
            return self._moved(key, node, node.moved_ms, now_ms)
        return node if evidence.undated else replace(node, moved_ms=0)  # dates agree with the clock: it is right

    def _moved(self, key: Key, node: Watched, by_ms: int, now_ms: int) -> Watched:
        self._neighbours.pop(key, None)
        self._claims.redate(node, by_ms, now_ms)
        return node.moved(by_ms)

    def _fed(self, key: Key, node: Watched, said: Said, evidence: Evidence, now_ms: int) -> Watched:
        """Return a node after one reading, its incident begun or raised by it."""
        values, sources = said.values, node.sources
        if CLAIM in values:
            return self._edge(key, node, said, now_ms, unstored=evidence.unstored)
        for field in values:
            if (owner := sources.get(field)) != said.channel:
                if owner is not None and said.utc_ms - heard_ms(node.live, field) <= OWNED_MS:
                    return node  # a second sensor of one place: its rule names the nodes
                sources = sources | {field: said.channel}
        if "pm2_5" in values and node.channel != said.channel and not node.incident:
            node = replace(node, channel=said.channel)
        node = node if sources is node.sources else replace(node, sources=sources)
        sample = Sample(said.utc_ms, **values)
        if evidence.unstored and said.utc_ms <= node.live.said_ms:
            return node  # told again each minute
        near = [one for other in self._nodes.near(key) if (one := self._neighbour(other)) is not None]
        live, claim = step(node.live, sample, near, self._danger(self._nodes.area(key)))
        if live is node.live:
            return self._late(key, node, sample, now_ms) if said.utc_ms < live.said_ms else node
        is_gap = node.live.said_ms and said.utc_ms - node.live.said_ms > GAP_MS
        back, base = (node.live, node.live) if is_gap else (node.back, node.base)
        rises = claim.level > node.live.claim.level and claim.level >= SUSPECTED
        node = replace(node, live=live, back=back, base=base)
        self._neighbours[key] = as_neighbour(live)
        return (
            self._claims.decided(key[0], node, claim, said.utc_ms, now_ms, unstored=evidence.unstored)
            if rises
            else node
        )

    def _edge(self, key: Key, node: Watched, said: Said, now_ms: int, *, unstored: bool) -> Watched:
        """Take what the edge itself claims: it has the same detector, and heard its sensors when nobody else did."""
        if said.utc_ms < node.edge_ms:
            return node
        level, late_ms = int(said.values[CLAIM]), now_ms - self._late_ms
        rises, goes_on = level > node.level, min(level, node.edge) >= SUSPECTED
        since_ms = node.edge_since_ms if goes_on else said.utc_ms
        if node.edge_ms < late_ms <= said.utc_ms:  # a backlog has come to now: what was known late goes on
            rises |= not self._claims.answered(key[0], replace(node, edge_since_ms=since_ms), said.utc_ms)
        node = replace(node, edge=level, edge_ms=said.utc_ms, edge_since_ms=since_ms)
        if not rises or level < SUSPECTED:
            return node
        own = node.live.claim
        why = (Reason("edge", {"level": float(level)}), *own.reasons)
        claim = replace(own, level=level, first_ms=own.first_ms or said.utc_ms, reasons=why)
        return self._claims.decided(key[0], node, claim, said.utc_ms, now_ms, unstored=unstored)

    def _late(self, key: Key, node: Watched, sample: Sample, now_ms: int) -> Watched:
        """Judge what is older than the newest by what the node was before it.

        A backlog comes newest first: each further batch of it is judged by what the node was before the gap, too.
        """
        danger = self._danger(self._nodes.area(key))
        before = node.back or Node()
        back, claim = step(before, sample, (), danger)
        if back is not before:
            node = replace(node, back=back)
        else:
            before = self._older.get(key) or node.base or Node()
            older, claim = step(before, sample, (), danger)
            if older is before:
                return node
            self._older[key] = older
        rises = claim.level > before.claim.level and claim.level >= SUSPECTED
        return self._claims.decided(key[0], node, claim, sample.utc_ms, now_ms) if rises else node

    def _silence_ms(self, key: Key, node: Watched, at_ms: int, now_ms: int) -> int:
        """Return for how long its smoke sensors, or without any its thermometer, bring nothing while alerts listen.

        0 where that is no longer than usual.
        """
        silences = []
        fitted = [(quantity, channel) for quantity in SMOKE if (channel := node.sources.get(quantity))]
        if not fitted and (channel := node.sources.get(READ[HEAT])):
            fitted = [(HEAT, channel)]
        for quantity, channel in fitted:
            sensor = self._progress.sensor(key[0], channel, quantity)
            after_ms = self._rule.silence.after_ms
            if sensor is None or at_ms - sensor.heard_at < patient_ms(after_ms, sensor):
                return 0
            if self._desk.rests(key[0], channel, now_ms, after_ms):
                return 0
            silences.append(at_ms - sensor.heard_at)
        return min(silences, default=0)

    def _neighbour(self, key: Key) -> Neighbour | None:
        if key not in self._neighbours:
            kept = self._progress.node(self._rule.name, *key)
            self._neighbours[key] = as_neighbour(kept.live) if kept else None
        return self._neighbours[key]

    def _save(self, key: Key, after: Watched, before: Watched) -> None:
        stirs = after.level >= SUSPECTED or after.smoke_ms != before.smoke_ms or after.incident != before.incident
        self._progress.save_node(self._rule.name, *key, after, urgent=stirs)


def detections(
    rules: Iterable[Rule],
    journal: Journal,
    progress: Progress,
    desk: Desk,
    late_ms: int,
    danger: Callable[[str], int | None],
) -> list[Detection]:
    """Return what runs the rules of this kind."""
    return [Detection(rule, journal, progress, desk, late_ms, danger) for rule in rules if isinstance(rule, RULE)]


def heard_ms(node: Node, field: str) -> int:
    """Return when a node's value last came."""
    own = {"pm2_5": node.pm.value_ms, "co": node.co.value_ms, "temp": node.t.value_ms, "rh": node.rh_ms}
    return own.get(field, node.supply_ms)


def _points(evidence: Evidence) -> Iterator[tuple[tuple[str, str], list[tuple[int, int, float]]]]:
    for key, points in evidence.points.items():
        if key[1] in READ:
            yield key, points
    for key, stretches in evidence.packed.items():
        if key[1] in READ:
            yield key, unpacked(stretches)
