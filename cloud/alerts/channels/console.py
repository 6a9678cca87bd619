"""Letters on this machine's own log, for who tries gocche and has no mail server: they are shown, and nobody is told.

`make run` has it. Everybody needs an address for it in people.csv (console:anything). Tested by reading what it writes.
"""

from __future__ import annotations

import logging
from typing import Annotated, Literal

import msgspec

from cloud.alerts.channels import ChannelConfig, Message

LOG = logging.getLogger("gocche.letter")


class CONFIG(ChannelConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[[channel]]` with kind = "console": for trials; no person reads it."""

    kind: Annotated[Literal["console"], msgspec.Meta(description="which kind of channel")]


class CHANNEL:
    """The log."""

    def __init__(self, config: CONFIG) -> None:
        self._config = config

    @property
    def deadline_s(self) -> float:
        """It takes no time."""
        return self._config.deadline_s

    def send(self, message: Message) -> None:
        """Write the letter, a line of it a line of the log."""
        for line in (f"to {message.to}: {message.subject}", *message.text.splitlines(), message.short):
            LOG.warning("%s", line)

    def check(self) -> None:
        """There is nothing that could be ill."""
