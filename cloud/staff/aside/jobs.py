"""Work that may take longer than a page: done aside, a few at once, with how far it is; what does not move is told so.

Each job is a thread that dies with the process, so a store that hangs holds up neither a page nor the end of the room.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from cloud.clock import Clock

AT_ONCE = 3
KEPT, KEEP_S = 8, 600.0  # of those that are done: who has read a table fetches its file
FRESH_S = 60.0  # who asks the same again so soon is given the same
STILL_S = 10.0  # without a step forward: whoever is asked does not answer


class Busy(Exception):
    """As much is being done as may be at once."""


class Job:
    """One piece of work. `number` is its own, so that a file is made of the very table that was shown."""

    def __init__(self, number: int, clock: Clock) -> None:
        self.number, self._clock = number, clock
        self.done = self.total = 0
        self.begun = self._moved = clock.monotonic()
        self.answer: Any = None
        self.error: Exception | None = None
        self.over = threading.Event()

    def step(self, done: int, total: int) -> None:
        """Say how far it is."""
        self.done, self.total, self._moved = done, total, self._clock.monotonic()

    @property
    def stuck(self) -> bool:
        """Tell whether it has not moved for so long that nobody should wait for it."""
        return not self.over.is_set() and self._clock.monotonic() - self._moved > STILL_S

    def run(self, work: Callable[[Job], Any]) -> None:
        """Do it. What fails is for whoever asks."""
        try:
            self.answer = work(self)
        except Exception as error:  # noqa: BLE001 - a thread of its own: whoever asks is told, and decides
            self.error = error
        self.over.set()


class Jobs:
    """Begins work and finds it again, from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock, self._last = clock, threading.Lock(), 0
        self._jobs: OrderedDict[tuple[Hashable, int], Job] = OrderedDict()

    def get(self, key: Hashable, number: int, work: Callable[[Job], Any]) -> Job:
        """Return the job of that number, or one for the same that is fresh, or a new one. Raises Busy."""
        with self._lock:
            self._forget()
            job = self._jobs.get((key, number)) or self._fresh(key)
            if job is not None:
                return job
            if sum(not one.over.is_set() for one in self._jobs.values()) >= AT_ONCE:
                raise Busy
            self._last += 1
            job = self._jobs[key, self._last] = Job(self._last, self._clock)
        threading.Thread(target=job.run, args=(work,), name=f"job-{job.number}", daemon=True).start()
        return job

    def _fresh(self, key: Hashable) -> Job | None:
        now = self._clock.monotonic()
        own = [job for (of, _), job in self._jobs.items() if of == key and job.error is None]
        return next((job for job in reversed(own) if not job.over.is_set() or now - job.begun < FRESH_S), None)

    def _forget(self) -> None:
        now = self._clock.monotonic()
        over = [at for at, job in self._jobs.items() if job.over.is_set()]
        for place, at in enumerate(over):
            if len(over) - place > KEPT or now - self._jobs[at].begun > KEEP_S or self._jobs[at].error:
                del self._jobs[at]
