"""Absence of gateways: nothing of one is heard for too long, in listening time.

A gateway whose modem is its own way out is judged by the rule for service instead: its silence opens the signal
incident of that hamlet, and there is no second one for the gateway. An incident ends when the gateway was heard again
for as long as its rule asks, without another such silence: one that is heard now and then does not come and go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from cloud.alerts.causes import told, written
from cloud.alerts.decide.progress import Presence
from cloud.alerts.incident import Basis, Change, span_of
from cloud.alerts.places import way_outs
from cloud.alerts.rules import DAY_MS
from cloud.alerts.spans import Span
from cloud.clock import hanoi

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.alerts.decide.desk import Desk
    from cloud.alerts.decide.hamlets import Modems
    from cloud.alerts.decide.progress import Progress
    from cloud.alerts.decide.witness import Witness
    from cloud.alerts.journal import Journal
    from cloud.alerts.rules import Rule

UNBROKEN_MS = 300_000  # pauses below this do not interrupt a gateway's presence, where no rule says otherwise


class Silence:
    """Judges gateways, within the caller's transaction. `at_ms` is listening time, `now_ms` UTC."""

    def __init__(
        self,
        rules: Sequence[Rule],
        journal: Journal,
        progress: Progress,
        desk: Desk,
        modems: Modems,
        witness: Witness,
    ) -> None:
        self._rules = [rule for rule in rules if rule.silence.of in ("gateway", "way_out")]
        self._by_name = {rule.name: rule for rule in self._rules}
        self._of_way_out = [rule for rule in self._rules if rule.silence.of == "way_out"]
        self.unbroken_ms = min([rule.silence.after_ms for rule in self._rules], default=UNBROKEN_MS)
        self._forget_ms = max([rule.silence.forget_ms for rule in self._rules], default=30 * DAY_MS)
        self._journal, self._progress, self._desk = journal, progress, desk
        self._modems, self._witness = modems, witness

    def heard(self, gateway: str, arrival_ms: int, at_ms: int, now_ms: int) -> None:
        """Note that something of a gateway arrived, perhaps known only some time later; end what is over by that."""
        heard_at = at_ms - max(0, now_ms - arrival_ms)
        before = self._progress.presence(gateway)
        if before is None:
            after = Presence(gateway, arrival_ms, arrival_ms, heard_at, heard_at)
        else:
            heard_at = max(heard_at, before.heard_at)
            after = replace(before, heard_ms=min(now_ms, max(before.heard_ms, arrival_ms)), heard_at=heard_at)
            if heard_at - before.heard_at >= self.unbroken_ms:
                after = replace(after, back_ms=after.heard_ms, back_at=heard_at)
        self._progress.save_presence(after)
        self._end(after, now_ms)

    def tick(self, at_ms: int, now_ms: int) -> None:
        """Open what is silent for too long, and give up what nobody waits for any more."""
        for rule in self._rules:
            told = self._journal.open_keys(rule.name)
            for presence in self._progress.unheard_since(at_ms - rule.silence.after_ms):
                self._judge(rule, presence, told, at_ms, now_ms)
        for presence in self._progress.unheard_since(at_ms - self._forget_ms):
            for incident in self._journal.open_silences(presence.gateway):
                self._desk.lose(incident, now_ms)
            self._progress.forget_presence(presence.gateway)

    def _judge(self, rule: Rule, presence: Presence, told: set[tuple[str, str]], at_ms: int, now_ms: int) -> None:
        gateway = presence.gateway
        if rule.silence.of == "gateway" and (gateway, "") in told:
            return
        modems = way_outs(self._desk.registry.now, gateway, hanoi(now_ms).date())
        if rule.silence.of == "way_out":
            for channel in modems:
                rests = self._desk.rests(gateway, channel, now_ms, rule.silence.after_ms)
                if (gateway, channel) not in told and not rests:
                    self._open(rule, presence, channel, "silence", at_ms, now_ms)
        elif not any(self._is_told(one, gateway, channel, now_ms) for one in self._of_way_out for channel in modems):
            self._open(rule, presence, "", "absence", at_ms, now_ms)

    def _is_told(self, rule: Rule, gateway: str, channel: str, now_ms: int) -> bool:
        """Tell whether a gateway's silence is told as lost service of its way out, or is expected there.

        Where another gateway has a modem in the hamlet, the loss of one is told to nobody: then this is told itself.
        """
        draft = self._desk.draft(rule, gateway, channel, now_ms, now_ms)
        others = {other for other, _ in self._modems.beside(draft, now_ms)} - {gateway}
        return not others or self._desk.rests(gateway, channel, now_ms, rule.silence.after_ms)

    def _open(self, rule: Rule, presence: Presence, channel: str, basis: Basis, at_ms: int, now_ms: int) -> None:
        incident = self._desk.draft(rule, presence.gateway, channel, presence.heard_ms, now_ms)
        cause = self._witness.before(presence, at_ms, now_ms)
        incident = replace(incident, cause=written(cause))
        span = Span(
            since_ms=presence.heard_ms,
            opened_ms=now_ms,
            until_ms=None,
            ended_ms=None,
            bad_ms=now_ms,
            value=None,
            peak=None,
        )
        words = f"nothing was heard for {(at_ms - presence.heard_at) / 1000:g} s of listening"
        self._desk.write(Change("opened", span, words=words, tell="onset", basis=basis), incident, now_ms)

    def _end(self, presence: Presence, now_ms: int) -> None:
        for incident in self._journal.open_silences(presence.gateway):
            rule = self._by_name.get(incident.rule)
            if rule is not None and presence.heard_at - presence.back_at < rule.patience.clear_ms:
                continue
            span = replace(span_of(incident), until_ms=incident.until_ms or presence.back_ms, ended_ms=now_ms)
            change = Change("ended", span, incident.id, "the gateway was heard again", "end", incident.basis)
            known = self._witness.after(incident, presence)
            if known.cause != incident.cause:
                self._desk.note(known, "cause", told(known.cause, "en"), now_ms, vi=told(known.cause, "vi"))
            self._desk.write(change, known, now_ms)
