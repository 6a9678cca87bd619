"""One courier a channel: a thread that carries one message at a time, and what is known of the channel's health.

A channel keeps its own deadline; one that does not come back by then (a name server that hangs, say) is left behind
with its thread, and a new thread goes on. Waiting is measured by the monotonic clock: a clock that is put right stops
nothing.
"""

from __future__ import annotations

import logging
import math
import queue
import random
import threading
from typing import TYPE_CHECKING

import msgspec

from cloud.alerts.channels import GiveUp, Message, Named, Retry
from cloud.alerts.tell.outbox import Row
from cloud.alerts.tell.route import DANGER, LIFE

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloud.clock import Clock

LOG = logging.getLogger(__name__)
GRACE_S = 2.0  # beyond a channel's own deadline
LEFT_BEHIND = 3  # threads that may hang at once; with more, the channel waits until one comes back
# Back-off of a channel that takes nothing, full jitter up to 2, 4, 8 … s: a letter about life asks again within a
# minute, a mere check leaves alone for longer a server that bans whoever fails to log in too often.
FIRST_S, LIFE_S, CALM_S, CHECK_AGAIN_S = 2.0, 60.0, 300.0, 900.0
CHECK_S = 900.0  # how often an idle channel is tried without a message


class Job(msgspec.Struct, frozen=True, eq=False):
    """What a courier carries: a letter, or nothing but a look whether the channel would take one."""

    row: Row | None
    message: Message | None


class Outcome(msgspec.Struct, frozen=True):
    """What became of a job. `failure` is None when the other side has accepted it."""

    courier: Courier
    job: Job
    failure: Retry | GiveUp | None


class GaveWay(Retry):
    """It was laid aside for what is about life: nothing has failed, and it was no try."""


class Courier:
    """Carries for one channel. Its methods are called by the post office's thread alone."""

    def __init__(self, named: Named, clock: Clock, tell: Callable[[Outcome], None]) -> None:
        self.name, self.kind = named.name, named.kind
        self._channel, self._clock, self._tell = named.channel, clock, tell
        self.why = ""  # what keeps every message from getting through; empty when well
        self.well_once = False
        self._fails = 0
        self._life_s = self._calm_s = 0.0  # until when it is left alone by letters about life, by others
        self._check_s = 0.0  # tried at the start
        self._job: Job | None = None
        self._began_s = 0.0
        self._left: dict[Job, threading.Thread] = {}
        self._jobs: queue.SimpleQueue[Job | None] | None = None
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether something is being carried."""
        return self._job is not None

    @property
    def carries(self) -> Row | None:
        """The letter that is being carried."""
        return self._job.row if self._job else None

    @property
    def carries_for_s(self) -> float:
        """For how long it has carried what it carries."""
        return self._clock.monotonic() - self._began_s

    def takes(self, level: int) -> bool:
        """Tell whether a letter of this level may be given to it now; no bulletin, while something else hangs."""
        if level >= DANGER and self._left:
            return False
        closed_s = self._life_s if level == LIFE else self._calm_s
        return not self.busy and self._clock.monotonic() >= closed_s and len(self._left) <= LEFT_BEHIND

    @property
    def wants_check(self) -> bool:
        """Whether it is to be tried without a message: at the start, after a fault, and four times an hour."""
        return self.takes(LIFE) and self._clock.monotonic() >= self._check_s

    def give(self, job: Job) -> None:
        """Let it carry this; the outcome is told, from its own thread."""
        if self._jobs is None or self._thread is None:
            self._jobs = queue.SimpleQueue()
            self._thread = threading.Thread(
                target=self._work, args=(self._jobs,), name=f"channel-{self.name}", daemon=True
            )
            self._thread.start()
        self._job, self._began_s = job, self._clock.monotonic()
        self._jobs.put(job)

    def overdue(self) -> Outcome | None:
        """Leave behind a thread that did not come back in time, and say what became of its job."""
        took_s = self._clock.monotonic() - self._began_s
        if self._job is None or took_s < self._channel.deadline_s + GRACE_S:
            return None
        return self._left_behind(self._job, Retry(f"it has not come back for {took_s:.0f} s", everybody=True))

    def give_way(self) -> Outcome | None:
        """Leave to the thread that carries it what is a bulletin, or is written back, for what is about life.

        It is heard of, or tried again.
        """
        if self._job is None or self._job.row is None or not (self._job.row.level >= DANGER or self._job.row.says):
            return None
        if len(self._left) >= LEFT_BEHIND or self._clock.monotonic() < self._life_s:
            return None  # what is about life could not be given to it all the same
        after_s = self._channel.deadline_s + GRACE_S
        return self._left_behind(self._job, GaveWay("it gave way to what is about life", after_s))

    def _left_behind(self, job: Job, failure: Retry) -> Outcome | None:
        """Go on without a thread and what it carries; it ends when it comes back."""
        if self._jobs is None or self._thread is None:
            return None
        self._left[job] = self._thread
        self._jobs.put(None)
        self._jobs = self._thread = None
        return Outcome(self, job, failure)

    def take_back(self, outcome: Outcome) -> bool:
        """Note an outcome; tell whether it is news, and not what somebody left behind says of a failure."""
        behind = outcome.job in self._left and outcome.job is not self._job
        if behind:
            del self._left[outcome.job]
            return outcome.failure is None
        self._job = None
        if not isinstance(outcome.failure, GaveWay):  # which says nothing of the channel
            self._judge(outcome.failure)
        return True

    def close(self, within_s: float) -> None:
        """Let the thread end; what it carries now may take so long."""
        if self._jobs is not None and self._thread is not None:
            self._jobs.put(None)
            self._thread.join(within_s)
        self._jobs = self._thread = None

    def _judge(self, failure: Retry | GiveUp | None) -> None:
        now_s = self._clock.monotonic()
        if isinstance(failure, Retry) and failure.everybody:
            if not self.why:
                LOG.error("channel-ill channel=%s why=%r", self.name, str(failure))
            self.why = str(failure)
            grown_s, dice = FIRST_S * 2.0 ** min(self._fails, 16), random.random()
            self._life_s, self._calm_s, self._check_s = (
                now_s + max(min(failure.after_s, most_s), dice * min(longest_s, grown_s))
                for longest_s, most_s in ((LIFE_S, LIFE_S), (CALM_S, math.inf), (CHECK_AGAIN_S, math.inf))
            )
            self._fails += 1
            return
        if self.why:
            LOG.warning("channel-well channel=%s", self.name)
        self.why, self.well_once, self._fails = "", True, 0
        self._life_s = self._calm_s = 0.0
        self._check_s = now_s + CHECK_S

    def _work(self, jobs: queue.SimpleQueue[Job | None]) -> None:
        while (job := jobs.get()) is not None:
            self._tell(Outcome(self, job, self._carry(job)))

    def _carry(self, job: Job) -> Retry | GiveUp | None:
        try:
            if job.message is None:
                self._channel.check()
            else:
                self._channel.send(job.message)
        except (Retry, GiveUp) as failure:
            return _discreet(failure, job)
        except Exception as error:
            LOG.exception("channel-failed channel=%s", self.name)
            return Retry(f"{type(error).__name__}: {error}", everybody=True)
        return None


def _discreet(failure: Retry | GiveUp, job: Job) -> Retry | GiveUp:
    """Take the address out of what a server says, which likes to repeat it: these words stand on the log."""
    if job.message is not None:
        failure.args = (str(failure).replace(job.message.to, "…"),)
    return failure
