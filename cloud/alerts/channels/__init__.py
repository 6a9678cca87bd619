"""What a way to tell people promises: one way, one file with a struct `CONFIG` and a class `CHANNEL`.

Each is proved by tests/contracts/test_channels.py. A channel sends and says what went wrong; the outbox decides when
to try again.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any, Protocol

import msgspec


class Message(msgspec.Struct, frozen=True):
    """One message to one person. `id` is stable over every try, so that a repeat can be recognised."""

    id: str
    at_ms: int
    to: str
    subject: str
    text: str
    line: str  # the same in one key=value line


class Retry(Exception):
    """Not accepted now; ask again after `after_s` at the earliest. `everybody` when no message would get through."""

    def __init__(self, words: str, after_s: float = 0.0, *, everybody: bool = False) -> None:
        super().__init__(words)
        self.after_s = after_s
        self.everybody = everybody


class GiveUp(Exception):
    """This message will never be accepted; its words say why."""


class Channel(Protocol):
    """A way to tell people."""

    def send(self, message: Message) -> None:
        """Return when the other side has accepted the message. Raises Retry or GiveUp, and nothing else."""


def channels() -> list[str]:
    """Return the names of the channels in this folder, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def open_channel(name: str, table: dict[str, Any]) -> Channel:
    """Return a channel with its table of cloud.toml. Raises msgspec.ValidationError for a wrong key or value."""
    module = importlib.import_module(f"{__name__}.{name}")
    channel: Channel = module.CHANNEL(msgspec.convert(table, type=module.CONFIG))
    return channel
