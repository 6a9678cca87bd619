"""What a device is told beside its polls (a coil, a siren): given by any thread, carried out by the one of its bus."""

from __future__ import annotations

import queue
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from edge.driver import Ask, Reply
    from edge.sense.terms import Terms


class Order(NamedTuple):
    """One ask that somebody waits for. Each is answered: with a reply, or why there is none."""

    ask: Ask
    terms: Terms
    done: Future[Reply]

    def bring(self, reply: Reply) -> None:
        """Answer it, unless whoever gave up its thread has done so."""
        with suppress(InvalidStateError):
            self.done.set_result(reply)

    def fail(self, error: Exception) -> None:
        """Answer it with why there is no reply, unless it is answered."""
        with suppress(InvalidStateError):
            self.done.set_exception(error)


class Orders:
    """Those that wait, oldest first, and the one that is being carried out. May be used from any thread."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._taken: Order | None = None

    def give(self, ask: Ask, terms: Terms) -> Future[Reply]:
        """Have `ask` sent; the future brings what it comes to."""
        done: Future[Reply] = Future()
        self._waiting.put(Order(ask, terms, done))
        return done

    @property
    def waiting(self) -> bool:
        """Tell whether any is to be carried out."""
        return not self._waiting.empty()

    def take(self) -> Order | None:
        """Return the oldest, which must be answered now; None where none waits that was not called off."""
        with suppress(queue.Empty):
            while True:
                order = self._waiting.get_nowait()
                if order.done.set_running_or_notify_cancel():
                    self._taken = order
                    return order
        return None

    def refuse(self, error: Exception) -> None:
        """Give all that wait this answer: nobody will carry them out."""
        while (order := self.take()) is not None:
            order.fail(error)

    def give_up(self, error: Exception) -> None:
        """Give this answer to all, the one too that is being carried out: its thread may never come back."""
        taken = self._taken
        if taken is not None:
            taken.fail(error)
        self.refuse(error)
