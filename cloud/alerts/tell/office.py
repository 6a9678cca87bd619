"""The post office: a thread that turns intents into letters and has couriers carry them, the most urgent first.

It never waits for a channel, and judging never waits for it: what it needs it reads from the journal, by a connection
of its own. A letter with nothing new is not sent. What one channel does not deliver goes to the next one of the same
person.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

from cloud.alerts import ways
from cloud.alerts.tell.clerk import Clerk
from cloud.alerts.tell.deliver import Courier, Job, Outcome
from cloud.alerts.tell.outbox import Outbox
from cloud.alerts.tell.paper import BUDGET, Paper
from cloud.alerts.tell.resting import Resting
from cloud.alerts.tell.route import LEVELS, LIFE
from cloud.alerts.tell.sorting import Sorter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from cloud.alerts.channels import Named
    from cloud.alerts.journal import Journal
    from cloud.alerts.rules import Rule
    from cloud.alerts.tell.outbox import Row
    from cloud.alerts.tell.readers import Readers
    from cloud.clock import Clock
    from cloud.registry import Current

LOG = logging.getLogger(__name__)
IDLE_S = 1.0
LONGEST_PAUSE_S = 60.0
END_S = 2.0  # for what is being carried when the server ends
# Then another channel is asked, too.
STAND_IN_S = {"life": 8.0, "service": 900.0, "upkeep": 900.0, "danger": 3_600.0, "report": 3_600.0}
PATIENCE_S = 5.0  # with a channel that tells somebody something, before another one tells them the same
UNTOLD_S = 45.0  # from which an undelivered letter about life makes the alerts ill


class Office:
    """Composes and hands out. `run` works in the caller's thread; `health` and `wake` may be called from any."""

    def __init__(
        self,
        journal: Journal,
        channels: Sequence[Named],
        readers: Readers,
        registry: Current,
        rules: Mapping[str, Rule],
        clock: Clock,
        *,
        lifetime_s: float,
        mail_late: bool,
        budget: int,
        door: Callable[[int], str],
        folder: Path,
        pages: str,
        danger: Callable[[str], int | None],
        night: tuple[int, int] | None = None,
    ) -> None:
        self._journal, self._outbox = journal, Outbox(journal)
        self._clock = clock
        self._wake = threading.Event()
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._couriers = {one.name: Courier(one, clock, self._told) for one in channels}
        self._readers = readers
        self._resting = Resting(journal, self._outbox, self._readers, registry, clock, budget, danger, night, rules)
        self._retries = self._resting.retries
        self._clerk = Clerk(
            journal, self._outbox, self._readers, lambda: self._sorter.others, self._retries, clock, self._wake.set
        )
        self._apart = self._clerk.apart
        self._sorter = Sorter(
            journal,
            self._outbox,
            registry,
            rules,
            self._readers,
            clock,
            reaches=bool(channels),
            lifetime_s=lifetime_s,
            mail_late=mail_late,
            folder=folder,
            pages=pages,
            apart=self._apart,
        )
        self._paper = Paper(
            journal, self._outbox, rules, clock, door, readers.name_of, readers.scope_of, self._sorter.composers
        )
        self._untold: set[int] = set()  # letters about life that wait too long
        self.faults = 0

    def run(self, stop: threading.Event) -> None:
        """Work until stopped. A fault is logged and costs a pause, never the thread."""
        pause_s = IDLE_S
        while not stop.is_set():
            try:
                self.step()
                pause_s = IDLE_S
                self._clock.wait(self._wake, IDLE_S)
            except Exception:
                self.faults += 1
                LOG.exception("post-failed pause_s=%g", pause_s)
                self._clock.wait(stop, pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        self.close()

    def step(self) -> None:
        """Do once all that is due, and again at once in memory where the journal's file takes nothing."""
        self._wake.clear()
        if not self._journal.ready:  # the alerts' own thread opens and migrates it
            return
        try:
            self._tell()
        except (sqlite3.Error, OSError) as fault:
            if not self._journal.leave_file(fault):
                raise
            self._tell()

    def _tell(self) -> None:
        """Write down what came back; route, stand in, hand out."""
        self._settle_all()
        for row in self._outbox.undelivered():
            with self._clerk.alone(row):
                self._clerk.give_up(row, "it was accepted, and then not delivered")
        self._sorter.sort()
        rows = self._outbox.waiting()
        self._retries.meet(rows)
        rows = self._awake(rows)
        self._stand_in(rows)
        self._hand_out(rows)
        self._complain(rows)
        with self._apart("channels"):
            reached = {name for reader, _ in self._readers.now for name, _ in reader.addresses}
            ways.note(self._journal, self._couriers.values(), reached, self._clock.utc_ms())

    def wake(self) -> None:
        """Say that there may be something to do."""
        self._wake.set()

    def wait(self, seconds: float) -> bool:
        """Wait for something to do, by the machine's own clock; tell whether there is."""
        return self._wake.wait(seconds)

    @property
    def busy(self) -> bool:
        """Whether anything is being carried."""
        return any(courier.busy for courier in self._couriers.values())

    def health(self) -> dict[str, Any]:
        """Return what keeps each channel from delivering, and how many letters about life nobody has got."""
        channels = {
            one.name: {"kind": one.kind, "why": one.why, "tried": one.well_once or bool(one.why)}
            for one in self._couriers.values()
        }
        return {
            "channels": channels,
            "channels_ill": sorted(name for name, how in channels.items() if how["why"]),
            "untold": len(self._untold),
            "roles_unreached": self._sorter.roles_unreached,
            "contacts_unreached": self._sorter.contacts_unreached,
            "post_faults": self.faults + self._apart.faults,
            "bulletin_unreached": self._sorter.bulletins.unreached,
            "bulletin_unread": self._sorter.bulletins.unread,
            "report_unreached": self._sorter.reports.unreached,
        }

    def close(self) -> None:
        """Wait a little for what is being carried, and let go of the journal. May be called twice."""
        for courier in self._couriers.values():
            courier.close(END_S)
        if self._journal.ready:
            self._settle_all()
        self._journal.close()

    def _told(self, outcome: Outcome) -> None:
        self._outcomes.put(outcome)
        self._wake.set()

    def _settle_all(self) -> None:
        """Write down what came back; what cannot be written down now stays to be."""
        while not self._outcomes.empty():
            self._take_back(self._outcomes.get())
        for courier in self._couriers.values():
            if late := courier.overdue():
                self._take_back(late)
        self._clerk.write_down()

    def _take_back(self, outcome: Outcome) -> None:
        if outcome.courier.take_back(outcome) and outcome.job.row is not None:
            self._clerk.take_back(outcome.job.row, outcome.failure)

    def _awake(self, rows: list[Row]) -> list[Row]:
        """Return what may leave now; one of which that cannot be found out leaves, and the others as they should."""
        awake: list[Row] = []
        self._apart.each(
            "resting", lambda some: awake.extend(self._resting.awake(some)), rows, lambda row, _: awake.append(row)
        )
        return awake

    def _stand_in(self, rows: Sequence[Row]) -> None:
        """Give what is not delivered to the next channel of the same person as well."""
        slow = []
        for row in rows:
            courier = self._couriers.get(row.channel)
            with self._clerk.alone(row):
                if courier is None:
                    self._clerk.give_up(row, f"there is no channel {row.channel!r} in cloud.toml any more")
                elif self._retries.waited_s(row) >= STAND_IN_S[LEVELS[row.level]] or (
                    row.level == LIFE and (courier.why or row.words not in ("", BUDGET))
                ):
                    slow.append(row)
        self._apart.each("standing in", self._clerk.ask_another, slow)

    def _hand_out(self, rows: Sequence[Row]) -> None:
        """Give each free courier its most urgent letter; letters of one level reach a person in their order."""
        waits: set[tuple[str, str, int]] = set()
        for row in rows:
            lane = (row.channel, row.person, row.level)
            courier = self._couriers.get(row.channel)
            if courier is None or lane in waits:
                continue
            if row.level == LIFE and self._retries.due(row) and (aside := courier.give_way()):
                self._take_back(aside)
            if not courier.takes(row.level) or not self._retries.due(row) or self._flies(row):
                waits.add(lane)
                continue
            message = None
            with self._clerk.alone(row), self._retries.put_off(row):
                message = self._paper.compose(row, self._retries.waited_s(row))
                if not message:
                    self._wake.set()  # the next one may have something to say
            if message:
                courier.give(Job(row, message))
        for courier in self._couriers.values():
            if courier.wants_check:
                courier.give(Job(None, None))

    def _flies(self, row: Row) -> bool:
        """Tell whether its reader is just being told the same by another channel, which has not taken long yet."""
        near = [one.carries for one in self._couriers.values() if one.carries and one.carries_for_s < PATIENCE_S]
        near = [other for other in near if not (other.alone or row.alone)]
        incidents = {number for number, _ in self._outbox.about(row)} if near else set()
        return any(
            other.person == row.person and not incidents.isdisjoint(number for number, _ in self._outbox.about(other))
            for other in near
        )

    def _complain(self, rows: Sequence[Row]) -> None:
        """Log once, keep for the health, and tell others, what about life is not told in time."""
        late = {row.id: row for row in rows if row.level == LIFE and self._retries.waited_s(row) > UNTOLD_S}
        new = [row for number, row in late.items() if number not in self._untold]
        for row in new:
            LOG.error("untold letter=%d for_s=%g why=%r", row.id, UNTOLD_S, row.words)
        self._apart.each("asking others", self._clerk.ask_others, new)
        self._untold = set(late)
