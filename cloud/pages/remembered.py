"""What costs something, asked for by anybody: asked once for all, kept for a while, and never waited for in vain.

A page needs answers of others: the store, the list of incidents, a page made a moment ago. Whoever gives them may be
slow, or hang. So an answer is asked for by one visitor on behalf of all who come meanwhile; nobody waits longer than
a moment for it; once a wait was in vain nobody waits as long again, whatever he asks of the same source, until an
answer has come; a fault is not asked again at once; and an answer that could not be renewed is given with its age, so
that the page can say how old it is.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from cloud.store import Retry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cloud.clock import Clock

log = logging.getLogger(__name__)
K = TypeVar("K")
V = TypeVar("V")
LONG_S = 5.0  # a day or a year is looked up for the first time within that, even while a server begins


class Known(NamedTuple, Generic[V]):
    """An answer. `stale` says that a newer one was asked for and did not come."""

    value: V
    age_s: float
    stale: bool


class Source:
    """Who answers questions of several kinds, the store for one: a wait for one of them in vain is one for all."""

    def __init__(self) -> None:
        self.vain_s = 0.0  # the longest wait in vain since it answered last
        self._since_s = inf  # when somebody first waited in vain since; for ever, where a question failed

    def coming(self, now_s: float) -> bool:
        """Tell whether what it has not answered yet may still come: nobody waits for long, and no question failed."""
        return now_s - self._since_s < LONG_S

    def answered(self) -> None:
        """It does."""
        self.vain_s, self._since_s = 0.0, inf

    def waited(self, vain_s: float, now_s: float) -> None:
        """Somebody waited so long in vain."""
        self.vain_s, self._since_s = max(vain_s, self.vain_s), min(self._since_s, now_s)

    def failed(self) -> None:
        """A question came back without an answer."""
        self._since_s = -inf


class Remembered(Generic[K, V]):
    """Answers by key. All of it runs in one event loop; what may block is handed in through `aside`.

    An answer younger than `keep_s` is given as it is; one up to twice as old too, while a new one is asked for behind
    the visitor's back. An older one is waited for, `patience_s` at most (None: until it comes). After a fault nothing
    is asked for `rest_s`. `at_once` questions are under way at most, the others wait for their turn; `most` answers
    are kept, or where they have a `size` so much of it, and only those that are `worth` it.
    """

    def __init__(
        self,
        ask: Callable[[K], Awaitable[V]],
        clock: Clock,
        keep_s: float,
        *,
        patience_s: float | None,
        rest_s: float = 0.0,
        worth: Callable[[V], bool] = lambda _: True,
        at_once: int = 1,
        most: int = 5_000,
        size: Callable[[V], int] = lambda _: 1,
        source: Source | None = None,
    ) -> None:
        self._ask, self._clock, self._worth = ask, clock, worth
        self._keep_s, self._rest_s, self._patience_s = keep_s, rest_s, patience_s
        self._most, self._size, self._source = most, size, source or Source()
        self._turn = asyncio.Semaphore(at_once)
        self._kept: dict[K, tuple[V, float]] = {}
        self._held = 0  # their sizes together
        self._flights: dict[K, asyncio.Task[Known[V] | None]] = {}
        self._why = ""  # the last wait or question was in vain
        self._fails = False  # the last question was
        self._rest_until_s = float("-inf")

    async def get(self, key: K, patience_s: float = 0.0) -> Known[V]:
        """Return the answer, as fresh as it can be had at once. Raises Retry where there never was one.

        `patience_s` is for who asked for much and waits longer than a visitor of a page.
        """
        if key in self._kept:
            value, asked_s = self._kept[key]
            age_s = self._clock.monotonic() - asked_s
            if age_s < self._keep_s:
                return Known(value, age_s, stale=False)
            flight = self._asked(key)
            if age_s < 2 * self._keep_s and not self._why:
                return Known(value, age_s, stale=False)
            return await self._came(flight, patience_s) or Known(value, age_s, stale=True)
        fresh = await self._came(self._asked(key), patience_s)
        if fresh is None:
            raise Retry(self._why or "it answers nobody", max(0.0, self._rest_until_s - self._clock.monotonic()))
        return fresh

    async def known(self, key: K, patience_s: float = 0.0) -> Known[V] | None:
        """Return what `get` does; None where it raises Retry."""
        try:
            return await self.get(key, patience_s)
        except Retry:
            return None

    def fresh(self, key: K) -> V | None:
        """Return an answer that nobody needs to be asked for; None where there is none."""
        value, asked_s = self._kept.get(key, (None, 0.0))
        return value if self._clock.monotonic() - asked_s < self._keep_s else None

    def _asked(self, key: K) -> asyncio.Task[Known[V] | None] | None:
        """Return the question that is under way, begun here if need be; None while there is none to be asked."""
        if self._resting():
            return None
        if key not in self._flights:
            self._flights[key] = asyncio.get_running_loop().create_task(self._fly(key))
        return self._flights[key]

    async def _came(self, flight: asyncio.Task[Known[V] | None] | None, patience_s: float) -> Known[V] | None:
        """Wait for an answer, unless somebody already waited as long in vain. None when it did not come."""
        longest_s = inf if self._patience_s is None else max(self._patience_s, patience_s)
        if flight is None or self._fails or longest_s <= self._source.vain_s:
            return None
        await asyncio.wait([flight], timeout=None if longest_s == inf else longest_s)
        if flight.done():
            return flight.result()
        self._source.waited(longest_s, self._clock.monotonic())
        self._why = f"no answer within {longest_s:g} s"
        return None

    async def _fly(self, key: K) -> Known[V] | None:
        try:
            async with self._turn:
                if self._resting():  # those before us were told why
                    return None
                value = await self._ask(key)
        except Retry as error:
            self._failed(str(error))
        except Exception as error:
            log.exception("question stumbled key=%r", key)
            self._failed(f"{type(error).__name__}: {error}")
        else:
            self._why, self._fails = "", False
            self._source.answered()
            self._keep(key, value)
            return Known(value, 0.0, stale=False)
        finally:
            del self._flights[key]
        return None

    def _keep(self, key: K, value: V) -> None:
        if key in self._kept:
            self._held -= self._size(self._kept.pop(key)[0])
        if not self._worth(value):
            return
        self._held += self._size(value)
        if self._held > self._most:
            self._kept.clear()
            self._held = self._size(value)
        self._kept[key] = value, self._clock.monotonic()

    def _failed(self, why: str) -> None:
        self._why, self._fails = why, True
        self._source.failed()
        self._rest_until_s = self._clock.monotonic() + self._rest_s

    def _resting(self) -> bool:
        return self._clock.monotonic() < self._rest_until_s


def aside(name: str, ask: Callable[[K], V]) -> Callable[[K], Awaitable[V]]:
    """Return `ask` as something to await: each call in a daemon thread, which a stop of the room does not wait for."""

    async def asked(key: K) -> V:
        answer: concurrent.futures.Future[V] = concurrent.futures.Future()

        def work() -> None:
            with suppress(concurrent.futures.InvalidStateError):  # nobody waits any more: the room has stopped
                try:
                    answer.set_result(ask(key))
                except Exception as error:  # noqa: BLE001 - it is raised again where it is awaited
                    answer.set_exception(error)

        threading.Thread(target=work, name=name, daemon=True).start()
        return await asyncio.wrap_future(answer)

    return asked
