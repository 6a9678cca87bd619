"""What channels hear is laid into the inbox, durably, and only then is their network told that it was taken."""

from __future__ import annotations

import logging
import math
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
WELL_S = 90.0  # longer than any question to a network lasts


class Ears:
    """A thread for each channel that can hear. `deaf` may be asked from any thread."""

    def __init__(self, channels: Sequence[Named], asker: Asker, clock: Clock) -> None:
        self._asker, self._clock = asker, clock
        self._hearing = {one.name: one.channel for one in channels if isinstance(one.channel, Listening)}
        self._why = dict.fromkeys(self._hearing, "")
        self._began_s = dict.fromkeys(self._hearing, math.inf)  # when it began to listen, where it does

    @property
    def loops(self) -> dict[str, Callable[[threading.Event], None]]:
        """Return what runs in a thread for each, by name."""
        return {f"hear-{name}": partial(self._run, name, channel) for name, channel in self._hearing.items()}

    @property
    def deaf(self) -> dict[str, str]:
        """Why nobody's answers come by some channels: a fault, since which none has listened for `WELL_S`."""
        now_s = self._clock.monotonic()
        return {name: why for name, why in self._why.items() if why and now_s - self._began_s[name] < WELL_S}

    def _run(self, name: str, channel: Listening, stop: threading.Event) -> None:
        """Listen until stopped. A fault is logged when it is new, and costs a pause."""
        fails = 0
        while not stop.is_set():
            began_s = self._began_s[name] = self._clock.monotonic()
            try:
                channel.listen(partial(lay_down, name, self._asker), stop)
                self._why[name], fails, pause_s = "", 0, 0.0
            except Retry as fault:
                if self._clock.monotonic() - began_s > LONGEST_S:  # it heard well for long
                    self._why[name], fails = "", 0
                if str(fault) != self._why[name]:
                    LOG.error("channel-deaf channel=%s why=%r", name, str(fault))  # noqa: TRY400 - words say it all
                self._why[name], fails = str(fault), fails + 1
                longest_s = random.uniform(0, min(LONGEST_S, FIRST_S * 2.0 ** min(fails, 16)))
                pause_s = max(min(fault.after_s, LONGEST_S), longest_s)  # whatever it asks for: somebody may answer
            except Exception as error:
                LOG.exception("channel-failed channel=%s", name)
                self._why[name], pause_s = f"{type(error).__name__}: {error}", LONGEST_S
            self._began_s[name] = math.inf
            if not stop.is_set():
                self._clock.wait(stop, pause_s)


def lay_down(channel: str, asker: Asker, one: Reply | Receipt) -> None:
    """Lay what a channel heard into the inbox, durably. Raises Retry."""
    kind = "reply" if isinstance(one, Reply) else "receipt"
    try:
        asker.ask(kind, {"channel": channel, kind: msgspec.to_builtins(one)})
    except NotNow as fault:
        raise Retry(f"what was heard cannot be kept: {fault}") from fault
