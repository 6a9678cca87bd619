"""Whether anything is still heard of what an incident rests on: what cannot be seen any more is not over by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.alerts.decide.pace import patient_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloud.alerts.decide.progress import Progress
    from cloud.alerts.incident import Incident
    from cloud.alerts.rules import Rule
    from cloud.registry import Current


class Alive:
    """Asks what alerts have heard, in listening time, within the caller's transaction."""

    def __init__(self, progress: Progress, rules: Mapping[str, Rule], registry: Current) -> None:
        self._progress, self._rules, self._registry = progress, rules, registry

    def heard(self, incident: Incident, now_ms: int) -> bool:
        """Tell whether its sensor, or at least its gateway where that claims by itself, is not silent for too long.

        What is under maintenance, what no rule follows any more and what nobody has ever heard is waited for in vain.
        """
        rule, gateway, channel = self._rules.get(incident.rule), incident.gateway, incident.channel
        if rule is None or not gateway:
            return True
        after_ms = rule.silence.after_ms
        if self._registry.now.maintenance(gateway, channel).touch(now_ms - after_ms, now_ms + 1):
            return True
        at_ms = self._progress.listened_ms()
        if sensor := self._progress.sensor(gateway, channel, incident.quantity):
            return at_ms - sensor.heard_at < patient_ms(after_ms, sensor)
        presence = self._progress.presence(gateway)
        return presence is None or at_ms - presence.heard_at < after_ms
