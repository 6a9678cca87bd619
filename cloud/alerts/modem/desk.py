"""The one thread that owns a modem's line: work is given to it, and what comes unasked is heard between two works.

A letter goes before whatever else waits. The thread begins with the first work and ends, port and all, when there was
none for a while. After a silence the port is opened anew: nothing that comes late is taken for an answer to the next.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from typing import TYPE_CHECKING, TypeVar

from at import talk
from cloud.alerts.channels import GiveUp, Retry
from cloud.alerts.modem.causes import judged
from cloud.alerts.modem.dialogue import Dialogue, Silent
from cloud.alerts.modem.line import Line, PortLost

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloud.clock import Clock

LOG = logging.getLogger(__name__)
LINGER_S = 60.0  # without any work; longer than a listener's pause between two
_T = TypeVar("_T")


class _Job:
    """Some work, until when it is wanted, and what kept it from being done."""

    def __init__(self, work: Callable[[Dialogue], None], until_s: float, deadline_s: float) -> None:
        self.work, self.until_s, self.deadline_s = work, until_s, deadline_s
        self.over = threading.Event()
        self.failure: Exception | None = None


class Desk:
    """Work for one modem. `ask` may be called from any thread, and never takes longer than it says."""

    def __init__(self, name: str, port: str, baud: int, prepare: Callable[[Dialogue], None], clock: Clock) -> None:
        self._name, self._port, self._baud = name, port, baud
        self._prepare, self._clock = prepare, clock
        self._lock = threading.Lock()
        self._order = itertools.count()
        self._jobs: list[tuple[int, int, _Job]] = []
        self._thread: threading.Thread | None = None
        self._modem: Dialogue | None = None
        self.news = threading.Event()  # something came that `ask` can fetch

    def ask(self, work: Callable[[Dialogue], _T], deadline_s: float, *, urgent: bool = False) -> _T:
        """Have the thread do this and return what it returns. Raises Retry, and what the work raises."""
        results: list[_T] = []
        job = _Job(lambda modem: results.append(work(modem)), self._clock.monotonic() + deadline_s, deadline_s)
        with self._lock:
            heapq.heappush(self._jobs, (not urgent, next(self._order), job))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"modem-{self._name}"[:15], daemon=True)
                self._thread.start()
            elif self._modem is not None:
                self._modem.line.wake()
        if not job.over.wait(deadline_s + 0.1):  # its own words come first, where it has any
            raise Retry(f"{self._port}: no end of it within {deadline_s:g} s", everybody=True)
        if job.failure is not None:
            raise job.failure
        return results[0]

    def _run(self) -> None:
        idle_s = self._clock.monotonic()
        while True:
            job = self._next()
            if job is not None:
                self._do(job)
                idle_s = self._clock.monotonic()
            elif self._modem is None or self._clock.monotonic() - idle_s > LINGER_S:
                if self._ended():
                    return
            else:
                self._listen(self._modem)

    def _next(self) -> _Job | None:
        with self._lock:
            return heapq.heappop(self._jobs)[2] if self._jobs else None

    def _ended(self) -> bool:
        """Let go of the port, unless there is work by now."""
        with self._lock:
            if self._jobs:
                return False
            self._thread = None
            self._close()
            return True

    def _do(self, job: _Job) -> None:
        try:
            job.work(self._served(job))
        except (Retry, GiveUp) as failure:
            job.failure = failure
        except talk.Refused as refused:
            job.failure = Retry(str(judged(refused)), everybody=True)
        except (Silent, PortLost) as lost:
            where = "" if isinstance(lost, PortLost) else f"{self._port}: "
            job.failure = Retry(f"{where}{lost}", everybody=True)
            if isinstance(lost, PortLost) or self._modem is None or not self._modem.in_air:
                self._lose()
        except Exception as error:  # of the work: whoever asked is told, and the line serves the others
            LOG.exception("modem-work-failed modem=%s", self._name)
            job.failure = error
        finally:
            self._tell()
            job.over.set()

    def _served(self, job: _Job) -> Dialogue:
        """Return the modem, told what it must be told. Raises Silent also where the time is over before it begins."""
        if self._clock.monotonic() >= job.until_s:
            raise Silent("what was asked before", job.deadline_s)
        if self._modem is None:
            line = Line(self._port, self._baud)
            with self._lock:
                self._modem = Dialogue(line, self._clock)
        modem = self._modem
        modem.limit(job.until_s, job.deadline_s)
        modem.settle()
        if not modem.ready:
            self._prepare(modem)
        return modem

    def _listen(self, modem: Dialogue) -> None:
        try:
            modem.idle(LINGER_S)
        except PortLost:
            self._lose()
        self._tell()

    def _tell(self) -> None:
        if self._modem is not None and self._modem.stored:
            self.news.set()

    def _lose(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._modem is not None:
            self._modem.line.close()
            self._modem = None
