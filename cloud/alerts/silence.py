"""Absence of gateways: time counts only while alerts themselves were listening, in ticks that survive a restart.

A gateway whose modem is its own way out is judged by the rule for service instead: its silence opens the signal
incident of that hamlet, and there is no second one for the gateway.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cloud.alerts.incident import Change, span_of
from cloud.alerts.places import way_outs
from cloud.alerts.rules.absence import Presence, heard, is_silent, listened
from cloud.alerts.spans import Span
from cloud.clock import hanoi

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.alerts.desk import Desk
    from cloud.alerts.journal import Journal
    from cloud.alerts.progress import Progress
    from cloud.alerts.rules import Rule
    from cloud.clock import Clock


class Silence:
    """Who was heard, and who was not for too long. `hear` and `listening` may be called from any thread."""

    def __init__(
        self,
        rules: Sequence[Rule],
        journal: Journal,
        progress: Progress,
        desk: Desk,
        *,
        clock: Clock,
        tick_s: float,
    ) -> None:
        self._rules = [rule for rule in rules if rule.silence_ms]
        self._serves_way_out = any(rule.of_way_out for rule in self._rules)
        self._journal = journal
        self._progress = progress
        self._desk = desk
        self._clock = clock
        self._tick_s = tick_s
        self._last_s: float | None = None
        self._lock = threading.Lock()
        self._heard: dict[str, int] = {}
        self._since_s: float | None = None  # since when we listen without having counted it
        self._listened_s = 0.0

    @property
    def connected(self) -> bool:
        """Whether alerts listen now."""
        return self._since_s is not None

    def hear(self, gateway: str, arrival_ms: int) -> None:
        """Note that something from the gateway itself arrived."""
        with self._lock:
            self._heard[gateway] = max(arrival_ms, self._heard.get(gateway, 0))

    def listening(self, *, connected: bool) -> None:
        """Note that the stream was joined or lost."""
        with self._lock:
            self._count()
            self._since_s = self._clock.monotonic() if connected else None

    def tick(self) -> None:
        """Count the time since the last tick, open what is silent too long, end what was heard again."""
        news, counted_ms = self._collect()
        if not news and counted_ms is None:
            return
        now_ms = self._clock.utc_ms()
        with self._journal.transaction():
            presences = self._progress.presences()
            for gateway in presences.keys() | news.keys():
                before = presences.get(gateway) or Presence(gateway, news.get(gateway, 0))
                after = listened(before, counted_ms or 0)
                if gateway in news:
                    after = heard(after, news[gateway], now_ms)
                    self._end(after, now_ms)
                self._progress.save_presence(after)
                for rule in self._rules:
                    self._judge(rule, after, now_ms)

    def _collect(self) -> tuple[dict[str, int], int | None]:
        """Return what was heard, and the milliseconds of listening to count; None where no tick is due."""
        now_s = self._clock.monotonic()
        with self._lock:
            news, self._heard = self._heard, {}
            if self._last_s is not None and now_s - self._last_s < self._tick_s:
                return news, None
            self._count()
            counted_ms, self._listened_s, self._last_s = round(1000 * self._listened_s), 0.0, now_s
        return news, counted_ms

    def _count(self) -> None:
        if self._since_s is not None:
            now_s = self._clock.monotonic()
            self._listened_s += now_s - self._since_s
            self._since_s = now_s

    def _judge(self, rule: Rule, presence: Presence, now_ms: int) -> None:
        if not is_silent(presence, rule.silence_ms):
            return
        modems = way_outs(self._desk.registry, presence.gateway, hanoi(now_ms).date())
        if rule.of_way_out:
            for channel in modems:
                self._open(rule, presence, channel, "silence", now_ms)
        elif not (modems and self._serves_way_out):
            self._open(rule, presence, "", "absence", now_ms)

    def _open(self, rule: Rule, presence: Presence, channel: str, basis: str, now_ms: int) -> None:
        known = self._journal.known(rule.name, presence.gateway, channel, presence.heard_ms)
        if any(incident.open and not incident.late for incident in known):
            return
        incident = self._desk.draft(rule, presence.gateway, channel, presence.heard_ms, now_ms)
        span = Span(
            since_ms=presence.heard_ms,
            opened_ms=now_ms,
            until_ms=None,
            ended_ms=None,
            bad_ms=now_ms,
            value=None,
            peak=None,
        )
        words = f"nothing was heard for {presence.silent_ms / 1000:g} s of listening"
        self._desk.write(Change("opened", span, words=words, tell="onset", basis=basis), incident, now_ms)

    def _end(self, presence: Presence, now_ms: int) -> None:
        for incident in self._journal.open_silences(presence.gateway):
            until_ms = incident.until_ms or presence.heard_ms
            span = replace(span_of(incident), until_ms=until_ms, ended_ms=now_ms)
            change = Change("ended", span, incident.id, "the gateway was heard again", "end", incident.basis)
            self._desk.write(change, incident, now_ms)
