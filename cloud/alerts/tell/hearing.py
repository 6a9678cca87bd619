"""What channels hear is laid into the inbox, durably, and only then is their network told that it was taken."""

from __future__ import annotations

import logging
import random
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from cloud.alerts.channels import Listening, Reply, Retry
from cloud.store import Retry as NotNow

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from cloud.alerts.channels import Named, Receipt
    from cloud.clock import Clock
    from cloud.inbox import Asker

LOG = logging.getLogger(__name__)
FIRST_S, LONGEST_S = 2.0, 300.0


def ears(channels: Sequence[Named], asker: Asker, clock: Clock) -> dict[str, Callable[[threading.Event], None]]:
    """Return what runs in a thread for each channel that can hear, by name."""
    return {
        f"hear-{one.name}": partial(_run, one, one.channel, asker, clock)
        for one in channels
        if isinstance(one.channel, Listening)
    }


def _run(named: Named, channel: Listening, asker: Asker, clock: Clock, stop: threading.Event) -> None:
    """Listen until stopped. A fault is logged when it is new, and costs a pause."""
    why, fails = "", 0
    while not stop.is_set():
        began_s = clock.monotonic()
        try:
            channel.listen(partial(lay_down, named.name, asker), stop)
            why, fails, pause_s = "", 0, 0.0
        except Retry as fault:
            if clock.monotonic() - began_s > LONGEST_S:  # it heard well for long
                why, fails = "", 0
            if str(fault) != why:
                LOG.error("channel-deaf channel=%s why=%r", named.name, str(fault))  # noqa: TRY400 - words say it all
            why, fails = str(fault), fails + 1
            pause_s = max(fault.after_s, random.uniform(0, min(LONGEST_S, FIRST_S * 2.0 ** min(fails, 16))))
        except Exception:
            LOG.exception("channel-failed channel=%s", named.name)
            pause_s = LONGEST_S
        if not stop.is_set():
            clock.wait(stop, pause_s)


def lay_down(channel: str, asker: Asker, one: Reply | Receipt) -> None:
    """Lay what a channel heard into the inbox, durably. Raises Retry."""
    kind = "reply" if isinstance(one, Reply) else "receipt"
    try:
        asker.ask(kind, {"channel": channel, kind: msgspec.to_builtins(one)})
    except NotNow as fault:
        raise Retry(f"what was heard cannot be kept: {fault}") from fault
