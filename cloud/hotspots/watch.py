"""Asks FIRMS from time to time: each source on its own, later and later where it does not answer.

How a question is put over the network is the caller's (`fetch`): it ends by a deadline, whatever the other side does.
"""

from __future__ import annotations

import logging
import random
import sqlite3
from typing import TYPE_CHECKING

from cloud.hotspots import NoHotspots
from cloud.hotspots.book import Book
from cloud.hotspots.firms import read
from disk.form import gone
from settings.words import Refused

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from cloud.clock import Clock
    from cloud.config import Hotspots

log = logging.getLogger(__name__)
AGAIN_S, LONGEST_S = 300.0, 6 * 3_600.0  # after one that failed, and at most
LATE_MS = 24 * 3_600_000  # without an answer: somebody should look
MARGIN = 0.3  # degrees around the places: some 30 km


class Asking:
    """The loop. `fetch` returns what stands behind an address; it raises OSError, or NoHotspots for a refusal."""

    def __init__(
        self,
        path: Path,
        config: Hotspots,
        places: Callable[[], Iterable[tuple[float, float]]],
        fetch: Callable[[str], bytes],
        clock: Clock,
    ) -> None:
        self._path, self._config, self._places, self._fetch, self._clock = path, config, places, fetch, clock
        self._failures = dict.fromkeys(config.sources, 0)
        self._due = dict.fromkeys(config.sources, 0.0)
        self._began_ms = clock.utc_ms()
        self._ok_ms = 0
        self.fault = ""

    def run(self, stop: threading.Event) -> None:
        """Ask until stopped, in the caller's thread."""
        while not stop.is_set():
            wait_s = AGAIN_S
            try:
                wait_s = self.step()
            except (sqlite3.Error, OSError, Refused) as error:
                self.fault = f"{self._path.name}: {error}"
                log.warning("hotspots-book-failed why=%r", str(error))
            except Exception as error:
                self.fault = f"{type(error).__name__}: {error}"
                log.exception("hotspots-failed")
            self._clock.wait(stop, wait_s)

    def step(self) -> float:
        """Ask the sources that are due; return how long nothing is. Raises sqlite3.Error, OSError, Taken.

        A book with a damaged page is begun anew, as one that cannot be opened is.
        """
        area = self._area()
        if not area:
            self.fault = "no zone has a place: write area in [hotspots]"
            return AGAIN_S
        try:
            self._ask_due(area)
        except sqlite3.Error as error:
            if not gone(self._path, error):
                raise
            self._ask_due(area)
        return max(1.0, min(self._due.values()) - self._clock.monotonic())

    def _ask_due(self, area: str) -> None:
        book = Book(self._path)
        try:
            for source in self._config.sources:
                if self._clock.monotonic() >= self._due[source]:
                    self._ask(book, source, area)
        finally:
            book.close()

    @property
    def why(self) -> str:
        """What an operator must know: that nothing has come for a day, and why; empty while all is well."""
        heard_ms = self._ok_ms or self._began_ms
        return self.fault if self._clock.utc_ms() - heard_ms > LATE_MS else ""

    def _ask(self, book: Book, source: str, area: str) -> None:
        now_ms = self._clock.utc_ms()
        try:
            listed = read(self._fetch(f"/{source}/{area}/{self._config.days}"), now_ms)
        except (OSError, NoHotspots) as error:
            self._failed(book, source, str(error), now_ms)
            return
        new = book.put(source, listed.hotspots, now_ms)
        if self._failures[source]:
            log.info("hotspots-back source=%s", source)
        for fault in listed.faults[:3]:
            log.warning("hotspot-refused source=%s line=%d why=%r", source, fault.line, fault.words)
        if new:
            log.info("hotspots source=%s new=%d refused=%d", source, new, len(listed.faults))
        self._failures[source], self._ok_ms, self.fault = 0, now_ms, ""
        self._due[source] = self._clock.monotonic() + self._config.every_s

    def _failed(self, book: Book, source: str, why: str, now_ms: int) -> None:
        self.fault = f"{source}: {why}"
        if not self._failures[source]:
            log.warning("hotspots-lost source=%s why=%r", source, why)
        self._failures[source] += 1
        book.failed(source, why, now_ms)
        wait_s = min(AGAIN_S * 2 ** (self._failures[source] - 1), LONGEST_S)
        self._due[source] = self._clock.monotonic() + wait_s * random.uniform(0.5, 1.0)

    def _area(self) -> str:
        """Return west,south,east,north; empty where nobody knows."""
        if self._config.area:
            return ",".join(f"{edge:g}" for edge in self._config.area)
        points = list(self._places())
        if not points:
            return ""
        lats, lons = [lat for lat, _ in points], [lon for _, lon in points]
        edges = (min(lons) - MARGIN, min(lats) - MARGIN, max(lons) + MARGIN, max(lats) + MARGIN)
        return ",".join(f"{edge:.2f}" for edge in edges)
