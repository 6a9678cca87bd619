"""One key=value line on the log for every message: what an operator sees without any mail server."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from cloud.alerts.channels import Message

LOG = logging.getLogger("gocche.alerts")


class CONFIG(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to choose."""


class CHANNEL:
    """The process's own log, at WARNING: an incident is something that a person must see."""

    def __init__(self, config: CONFIG) -> None:
        self._config = config

    def send(self, message: Message) -> None:
        """Write the line. Control characters were taken out when it was made."""
        LOG.warning("%s", message.line)
