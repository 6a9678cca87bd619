"""Waiting for a store without holding up anybody: what a room knows of the past is filled beside its work."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cloud.store import Retry

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from cloud.clock import Clock

log = logging.getLogger(__name__)
AGAIN_S = 2.0


def insist(what: Callable[[], None], clock: Clock, stop: threading.Event) -> None:
    """Do something that needs the store, again until it succeeds or `stop` is set. Belongs to a thread of its own."""
    said = ""
    while not stop.is_set():
        try:
            what()
            break
        except Exception as error:
            if not isinstance(error, Retry) and said != repr(error):
                log.exception("what the store knows cannot be read; tried again")
            said = repr(error)
            clock.wait(stop, AGAIN_S)
