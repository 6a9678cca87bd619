"""How people are told and have a say, put together: the desk with its chain and mutes, the counter, the office."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloud.alerts.counter import ROOM, Counter
from cloud.alerts.decide.acts import Acts
from cloud.alerts.decide.desk import Desk
from cloud.alerts.decide.gather import Gatherer
from cloud.alerts.decide.mutes import Mutes
from cloud.alerts.decide.selftest import SelfTest
from cloud.alerts.decide.steps import Steps
from cloud.alerts.tell.hearing import Ears
from cloud.alerts.tell.office import Office
from cloud.alerts.tell.outbox import Outbox
from cloud.alerts.tell.readers import Readers
from cloud.inbox import Asker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from cloud.alerts.around import Around
    from cloud.alerts.channels import Named
    from cloud.alerts.decide.alive import Alive
    from cloud.alerts.decide.hamlets import Modems
    from cloud.alerts.journal import Journal
    from cloud.alerts.rules import Rule
    from cloud.alerts.settings import AlertsConfig
    from cloud.clock import Clock
    from cloud.registry import Current


class Answering:
    """Works in the thread that judges; `ears` run in threads of their own."""

    def __init__(
        self,
        folder: Path,
        journal: Journal,
        alive: Alive,
        modems: Modems,
        registry: Current,
        rules: Mapping[str, Rule],
        channels: Sequence[Named],
        config: AlertsConfig,
        clock: Clock,
        door: Callable[[int], str],
        around: Around,
        pages: str,
    ) -> None:
        self.office = Office(
            journal.beside(),
            channels,
            Readers(registry, channels),
            registry,
            rules,
            clock,
            lifetime_s=config.give_up_s,
            mail_late=config.mail_late,
            budget=config.budget,
            door=door,
            folder=folder,
            pages=pages,
            danger=around.danger,
            night=config.night,
        )
        self._journal, self._rules = journal, rules
        mutes = Mutes(journal, registry)
        self._steps = Steps(config, journal, registry, mutes, clock)
        gatherer = self._gatherer = Gatherer(journal, registry, self._steps, mutes, alive, around.sky, config.quiet_s)
        self.desk = Desk(journal, registry, rules, gatherer, modems)
        self._self_test = SelfTest(config.self_test, journal, self.desk, clock)
        acts = self._acts = Acts(journal, self.desk, gatherer, self._steps, mutes)
        readers = Readers(registry, channels)
        self._counter = Counter(folder, journal, acts, Outbox(journal), readers, channels, clock)
        self.ears = Ears(channels, Asker(folder, ROOM, clock), clock)

    def begin(self, now_ms: int) -> None:
        """Have asked about what goes on and was opened before there was a chain, within the caller's transaction."""
        self._journal.grade({name: rule.grade for name, rule in self._rules.items()})
        self._steps.adopt(now_ms)

    def serve(self) -> bool:
        """Do what people have asked, and have told what nobody has answered in time; tell whether more waits."""
        more = self._counter.serve()
        self._steps.tick()
        self._self_test.tick()
        return more

    def look_again(self, at_ms: int, now_ms: int) -> None:
        """Close what is over by now, and raise what was seen from above, too, within the caller's transaction."""
        self._gatherer.look_again(at_ms, now_ms)
        self._acts.look_again(now_ms)

    def health(self) -> dict[str, Any]:
        """Return what keeps people's acts from coming in, how many came by reply, and what could not be told."""
        own = {"acts_fault": self._counter.why, "channels_deaf": self.ears.deaf}
        return own | self._counter.counts | self.office.health()

    def close(self) -> None:
        """Let go of the inbox. May be called twice."""
        self._counter.close()
