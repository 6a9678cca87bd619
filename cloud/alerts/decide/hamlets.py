"""A hamlet loses service when all modems that hear there do: one incident of the hamlet, however many they are.

Of one modem its own incident is the hamlet's. Where a hamlet has more, each loss is written down and told to nobody;
when every one of which anything is known is without service, the hamlet's own incident begins, with the others as its
parts, and it ends when the first of them has service again. A modem that says nothing (a failed poll, a busy port, a
gateway that is silent for another reason) is neither with nor without: it is not counted. All this is read off the
journal and the bindings of today at each look, so neither a restart nor a changed binding leaves anything behind.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cloud.alerts import words
from cloud.alerts.decide.pace import patient_ms
from cloud.alerts.incident import Basis, Change, span_of
from cloud.alerts.journal import selected
from cloud.alerts.places import named_place
from cloud.alerts.spans import GOOD, Span, scan
from cloud.clock import hanoi

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from cloud.alerts.decide.desk import Desk
    from cloud.alerts.decide.progress import Progress
    from cloud.alerts.incident import Incident
    from cloud.alerts.journal import Journal
    from cloud.alerts.rules import Rule
    from cloud.registry import Current, Registry

Modem = tuple[str, str]  # gateway and channel
HAMLET = "hamlet"
_OF_HAMLETS = f"ended_ms IS NULL AND gateway >= '{HAMLET}:' AND gateway < '{HAMLET};'"
_OPEN = "ended_ms IS NULL AND NOT late AND +rule = ? ORDER BY id"  # few are open, and most of a rule's are not


class Modems:
    """Which modems hear in a hamlet, within the caller's transaction."""

    def __init__(self, progress: Progress, registry: Current) -> None:
        self._progress, self._registry = progress, registry
        self._bound: tuple[Registry | None, date | None, dict[str, list[Modem]]] = None, None, {}

    def heard_in(self, hamlet: str, quantity: str, now_ms: int) -> list[Modem]:
        """Return the modems that hang in a hamlet today and have ever said something of their service."""
        registry, day = self._registry.now, hanoi(now_ms).date()
        if self._bound[0] is not registry or self._bound[1] != day:
            self._bound = registry, day, _bound(registry, day)
        bound = self._bound[2].get(hamlet, ())
        return [one for one in bound if self._progress.sensor(*one, quantity) is not None]

    def shared(self, incident: Incident, now_ms: int) -> bool:
        """Tell whether an incident of a modem is told as its hamlet's, because another one hears there, too."""
        return bool(self.beside(incident, now_ms))

    def beside(self, incident: Incident, now_ms: int) -> list[Modem]:
        """Return the other modems that hear in the hamlet of a modem's lost service."""
        kind, _, code = incident.place.partition(":")
        if incident.kind != "absence" or not incident.quantity or kind != HAMLET or incident.gateway == incident.place:
            return []
        mine = (incident.gateway, incident.channel)
        return [one for one in self.heard_in(code, incident.quantity, now_ms) if one != mine]


class Hamlets:
    """Begins and ends the incidents of hamlets with several modems. `at_ms` is listening time, `now_ms` UTC."""

    def __init__(self, rules: Sequence[Rule], journal: Journal, progress: Progress, modems: Modems, desk: Desk) -> None:
        self._rules = [rule for rule in rules if rule.silence.of == "way_out"]
        self._journal, self._progress, self._modems, self._desk = journal, progress, modems, desk

    def tick(self, at_ms: int, now_ms: int) -> None:
        """Look at each hamlet of which a modem is without service, or which was told to be."""
        for rule in self._rules:
            lost, told = defaultdict[str, list["Incident"]](list), dict[str, "Incident"]()
            for one in selected(self._journal.db, _OPEN, rule.name):
                kind, _, code = one.place.partition(":")
                if one.gateway == one.place:
                    told[code] = one
                elif kind == HAMLET:
                    lost[code].append(one)
            for code in lost.keys() | told.keys():
                if code in told or any(one.muted for one in lost[code]):
                    self._look(rule, code, lost[code], told.get(code), at_ms, now_ms)
        names = {rule.name for rule in self._rules}
        for one in selected(self._journal.db, _OF_HAMLETS):
            if one.rule not in names:
                self._desk.lose(one, now_ms, "its rule does not stand in cloud.toml any more")

    def _look(
        self, rule: Rule, code: str, lost: list[Incident], told: Incident | None, at_ms: int, now_ms: int
    ) -> None:
        without = {(one.gateway, one.channel) for one in lost}
        heard = [
            one
            for one in self._modems.heard_in(code, rule.quantity, now_ms)
            if self._is_heard(rule, one, at_ms, now_ms)
        ]
        served = [one for one in heard if one not in without and self._serves(rule, one)]
        if told is None and lost and not served:
            self._begin(rule, code, lost, now_ms)
        elif told is not None and served:
            self._end(told, lost, served, now_ms)
        elif told is not None and not lost and not heard:
            self._desk.lose(told, now_ms, "none of its modems is heard any more")

    def _is_heard(self, rule: Rule, modem: Modem, at_ms: int, now_ms: int) -> bool:
        sensor = self._progress.sensor(*modem, rule.quantity)
        if sensor is None or self._desk.rests(*modem, now_ms):
            return False
        return at_ms - sensor.heard_at < patient_ms(rule.silence.after_ms, sensor)

    def _serves(self, rule: Rule, modem: Modem) -> bool:
        """Tell whether one that is heard has service, or may have lost it just now; one that never had any has none."""
        lane = self._progress.series(rule.name, *modem).unpacked().live
        tracker, _ = scan(lane.base, lane.points, rule.mark, rule.patience)
        sensor = self._progress.sensor(*modem, rule.quantity)
        inside = sensor is not None and sensor.value is not None and rule.mark(sensor.value) == GOOD
        return inside or tracker.phase == "rising"

    def _begin(self, rule: Rule, code: str, lost: list[Incident], now_ms: int) -> None:
        last = max(lost, key=lambda one: one.since_ms)
        span = Span(last.since_ms, now_ms, None, None, now_ms, None, None)
        at = named_place(self._desk.registry.now, f"{HAMLET}:{code}", hanoi(now_ms).date())
        where = {"place": at.key, "place_vi": at.vi, "place_en": at.en, "lat": at.lat, "lon": at.lon}
        draft = self._desk.draft(rule, last.gateway, last.channel, last.since_ms, now_ms)
        draft = replace(draft, gateway=at.key, channel="", **where)
        basis: Basis = "silence" if all(one.basis == "silence" for one in lost) else "modems"
        change = Change("opened", span, words=_named(lost), tell="onset", basis=basis)
        head = self._desk.write(change, draft, now_ms)
        for one in lost:
            self._journal.save(replace(one, part_of=head.id))

    def _end(self, told: Incident, lost: list[Incident], served: list[Modem], now_ms: int) -> None:
        until_ms = min(filter(None, (self._since_ms(told, one) for one in served)), default=now_ms)
        span = replace(span_of(told), until_ms=until_ms, ended_ms=now_ms)
        gateway, channel = served[0]
        words_ = f"{gateway}/{channel} has service again"
        self._desk.write(Change("ended", span, told.id, words_, "end", told.basis), told, now_ms)
        for one in lost:
            self._journal.save(replace(one, part_of=None))

    def _since_ms(self, told: Incident, modem: Modem) -> int | None:
        known = self._journal.known(told.rule, *modem, told.since_ms)
        return max((one.until_ms for one in known if one.until_ms and not one.late), default=None)


def muted() -> str:
    """Return why the loss of one modem is told to nobody, as incidents keep it."""
    return "\n".join(words.muted("modems"))


def _named(lost: Sequence[Incident]) -> str:
    return f"no modem of the hamlet has service: {', '.join(f'{one.gateway}/{one.channel}' for one in lost)}"


def _bound(registry: Registry, on: date) -> dict[str, list[Modem]]:
    """Return what hangs in each hamlet on a day."""
    found = defaultdict[str, list[Modem]](list)
    for gateway, channel in sorted({(b.gateway, b.channel) for b in registry.bindings if b.place == HAMLET}):
        for one in registry.places_of(gateway, channel, on):
            if one.place == HAMLET:
                found[one.code].append((gateway, channel))
    return found
