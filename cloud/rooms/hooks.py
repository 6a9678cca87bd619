"""What networks post about our channels: judged at the door, and laid into the alerts' inbox before it is told "taken".

What shows no right secret takes no place there, so that no flood of it pushes out who answers that it burns.
"""

from __future__ import annotations

import logging
from threading import Lock
from typing import TYPE_CHECKING

from cloud.alerts.channels import Hooked, Refused
from cloud.alerts.channels import Retry as NotNow
from cloud.alerts.tell.hearing import lay_down
from cloud.config import ConfigError
from cloud.store import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cloud.alerts.channels import Named
    from cloud.inbox import Asker
    from cloud.staff.duty.seen import Judged

LOG = logging.getLogger(__name__)
AGAIN_S = 10.0


class Hooks:
    """The channels that are posted to, opened at the first post: pages start also where a channel cannot.

    From any thread.
    """

    def __init__(self, channels: Callable[[], Sequence[Named]], asker: Asker) -> None:
        self._channels, self._asker = channels, asker
        self._hooked: dict[str, Hooked] | None = None
        self._opening = Lock()  # of two first posts at once one opens them

    def posted(self, name: str, headers: Mapping[str, str], body: bytes) -> Judged:
        """Return what a post is; it is durable where it was taken. Raises Retry where that cannot be now."""
        channel = self._opened().get(name)
        if channel is None:
            return "unknown"
        try:
            for one in channel.posted(headers, body):
                lay_down(name, self._asker, one)
        except Refused as refused:
            LOG.debug("posted-refused channel=%s why=%r", name, str(refused))
            return "refused"
        except NotNow as fault:
            raise Retry(str(fault), AGAIN_S) from fault
        except (ValueError, RecursionError) as error:
            LOG.warning("posted-unfit channel=%s why=%r", name, str(error))
            return "unfit"
        return "taken"

    def _opened(self) -> dict[str, Hooked]:
        with self._opening:
            if self._hooked is None:
                try:
                    opened = self._channels()
                except ConfigError as error:
                    raise Retry(str(error), AGAIN_S) from error
                self._hooked = {one.name: one.channel for one in opened if isinstance(one.channel, Hooked)}
            return self._hooked
