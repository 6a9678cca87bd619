"""What a way to tell people promises, and how the `[[channel]]` tables of cloud.toml become channels: one kind a file.

A kind is `cloud/alerts/channels/<kind>.py` with a frozen struct `CONFIG` (its keys) and a class `CHANNEL`, and is
proved by tests/contracts/test_channels.py. A channel sends and says what went wrong; when to try again, or which other
channel to ask, is decided in office.py.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Annotated, Any, Protocol, runtime_checkable

import msgspec

from cloud.config import CLOUD_TOML, ConfigError
from settings import credentials
from settings.expected import chosen, convert, placed
from settings.finding import File, shown

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Mapping


class Message(msgspec.Struct, frozen=True):
    """One message to one address. `id` is stable over every try, so that a repeat can be recognised.

    `short` is what an SMS says: unaccented Vietnamese, at most 160 septets of GSM-7, with the code to answer by.
    `more` is what only a mail has room for, below its text.
    `link` is the signed address of its incident; `exercise` marks a drill; `incident` is its number, 0 without one;
    `stage`, `place`, `lat` and `lon` are what is known of it, for programs that read the message.
    """

    id: str
    at_ms: int
    to: str
    subject: str
    text: str
    level: str = "comfort"  # life | service | upkeep | danger
    short: str = ""
    link: str = ""
    exercise: bool = False
    incident: int = 0
    stage: str = ""
    place: str = ""
    lat: float | None = None
    lon: float | None = None
    more: str = ""


class Reply(msgspec.Struct, frozen=True):
    """What somebody wrote back."""

    sender: str  # as in people.csv: a number with +84…, or the id of a chat
    text: str
    key: str  # unique for this reply at its channel: the same twice is one


class Receipt(msgspec.Struct, frozen=True):
    """What the network says about a message that it had accepted."""

    message: str  # Message.id
    ok: bool
    words: str


class Retry(Exception):
    """Not accepted now; ask again after `after_s` at the earliest. `everybody` when no message would get through."""

    def __init__(self, words: str, after_s: float = 0.0, *, everybody: bool = False) -> None:
        super().__init__(words)
        self.after_s = after_s
        self.everybody = everybody


class GiveUp(Exception):
    """This message will never be accepted; its words say why."""


class Refused(Exception):
    """What was posted to us does not show the secret that it should."""


class Channel(Protocol):
    """A way to tell people. Its calls end by `deadline_s`, whatever the other side does; words name no address."""

    @property
    def deadline_s(self) -> float:
        """The longest that a call may take."""

    def send(self, message: Message) -> None:
        """Return when the other side has accepted the message. Raises Retry or GiveUp, and nothing else."""

    def check(self) -> None:
        """Return when a message would probably be taken; credentials are read and shown. Raises Retry."""


@runtime_checkable
class Listening(Protocol):
    """A channel that asks its network for answers."""

    def listen(self, hear: Callable[[Reply | Receipt], None], stop: threading.Event) -> None:
        """Hear replies and receipts until stopped; in a thread of its own, called again with back-off after Retry.

        `hear` returns when what it was given is durable: only then is the network told that it was taken.
        """


@runtime_checkable
class Hooked(Protocol):
    """A channel whose network posts its answers to us."""

    def posted(self, headers: Mapping[str, str], body: bytes) -> list[Reply | Receipt]:
        """Return what a POST brings.

        Raises Refused (wrong secret), ValueError (not what is documented) or Retry (our own secret cannot be read).
        """


class ChannelConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every `[[channel]]` may say. The first that somebody has an address for tells; the next ones stand in."""

    kind: Annotated[str, msgspec.Meta(description="which kind of channel")]
    name: Annotated[
        str,
        msgspec.Meta(
            description="a name for it, as in the addresses of people.csv; the kind when left out",
            pattern="^[a-z0-9-]*$",
        ),
    ] = ""
    deadline_s: Annotated[
        float,
        msgspec.Meta(description="the longest that one message may take, start to end", gt=0, le=45),
    ] = 20.0


class Named(msgspec.Struct, frozen=True):
    """A channel of cloud.toml."""

    name: str
    kind: str
    channel: Channel


def channels() -> list[str]:
    """Return the kinds in this folder, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def open_channels(tables: Iterable[dict[str, Any]], file: File = CLOUD_TOML, *, running: bool = True) -> list[Named]:
    """Return the channels that the tables of a file describe, in their order. Raises ConfigError.

    Without `running` the secrets that systemd gives to the service alone may be absent.
    """
    opened: list[Named] = []
    for number, table in enumerate(tables, 1):
        kind = chosen(file, f"[[channel]] {number}", table, "kind", channels())
        name = table.get("name") or kind
        place = f"[[channel]] {number}" + (f" ({name})" if isinstance(name, str) else "")
        one = Named(name, kind, open_channel(table, file, place))
        if one.name in [other.name for other in opened]:
            raise ConfigError(file, f"{place} name", "name_taken", value=shown(one.name))
        opened.append(one)
        credentials.check_files(file, place, table, running=running)
    return opened


def open_channel(table: dict[str, Any], file: File = CLOUD_TOML, place: str = "[[channel]]") -> Channel:
    """Return the channel of one table with a known kind. Raises ConfigError."""
    module = importlib.import_module(f"{__name__}.{table['kind']}")
    config = convert(file, place, table, module.CONFIG)
    if hasattr(config, "host"):
        credentials.check_host(file, f"{place} host", config.host)
    if hasattr(config, "user"):
        credentials.check_pair(file, place, config, "user", "password_file")
    try:
        channel: Channel = module.CHANNEL(config)
    except ValueError as error:
        raise placed(file, place, error) from error
    return channel
