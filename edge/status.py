"""The status of this gateway, read off the board, and the file where `gocche status` finds it without any network.

The file lies in memory, not on the card: it is written every few seconds for years. What must outlive a power cut is
in the spool.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from edge.board import Sending
from wire.batch import Status
from wire.codec import MAX_PACKET

if TYPE_CHECKING:
    from edge.board import Board, Channel

log = logging.getLogger(__name__)
FILE = "status.json"
AGAIN_MS = 15_000  # as long as nothing changes; a file that is twice as old is of an agent that runs no more
CLOCKS = frozenset({"time", "utc"})  # texts of a device that differ each time
WHY, URGENT = 2_000, 100  # characters, and values, of a status that is too large even without its channels
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own in it, see StatusFile


def status_file(data: Path) -> Path:
    """Return where the agent of a data folder leaves its status: the one rule, for who writes it and who reads it.

    Under systemd the runtime folder of the unit: $RUNTIME_DIRECTORY for the agent, and for who asks from outside
    /run/NAME beside /var/lib/NAME. Else a folder in memory that is named after the data folder.
    """
    given = os.environ.get("RUNTIME_DIRECTORY")
    if given:
        return Path(given) / FILE
    unit = Path("/run") / data.name
    if data.parent == Path("/var/lib") and _is_there(unit):
        return unit / FILE
    name = hashlib.sha256(os.fsencode(os.path.realpath(data))).hexdigest()[:12]
    return memory() / f"gocche-{name}" / FILE


def memory() -> Path:
    """Return the folder for what no card need hold, and a full one cannot."""
    return _MEMORY if _MEMORY.is_dir() else Path(tempfile.gettempdir())


def make_ours(folder: Path) -> None:
    """Make a folder in memory. Raises PermissionError for somebody else's: anybody may make one, and links in it."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.geteuid():
        raise PermissionError(f"{folder} belongs to somebody else; remove it")


def written(file: Path, content: msgspec.Struct) -> None:
    """Write a file whole or not at all. Raises OSError."""
    part = file.with_suffix(".part")
    part.write_bytes(msgspec.json.encode(content))
    part.replace(file)


def _is_there(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except PermissionError:  # of a unit with DynamicUser=, for who is not root: that is said when it is opened
        return True


class Own(msgspec.Struct, frozen=True):
    """What stays as it is while the agent runs."""

    boot: str
    commit_s: float
    batch_s: float
    version: str
    config: str


def compose(board: Board, own: Own, now_ms: int, state: str) -> Status:
    """Return the whole status as the lines of the board stand now. May be called from any thread."""
    ended = [*board.sirens.copy().values(), *board.captures.values()]
    keeping, sending = board.keeping, board.sending if now_ms < board.sending.until_ms else Sending()
    return Status(
        v=1,
        state=state,
        boot=own.boot,
        epoch=keeping.epoch,
        mono_ms=now_ms,
        acquired=keeping.acquired,
        cut=keeping.cut,
        spooled=keeping.spooled,
        earlier=keeping.earlier,
        oldest_s=0.0 if keeping.oldest_ms is None else max(now_ms - keeping.oldest_ms, 0) / 1000,
        dropped=keeping.dropped,
        commit_s=own.commit_s,
        batch_s=own.batch_s,
        clock=board.dated.words(now_ms),
        channels={name: _channel(line) for name, line in board.channels.copy().items()},
        version=own.version,
        config=own.config,
        why="; ".join(filter(None, (keeping.why, sending.why, *ended))),
        why_vi="; ".join(filter(None, (keeping.why_vi, sending.why_vi, *(one.told("vi") for one in ended)))),
        link=msgspec.to_builtins(board.link),
        urgent=list(keeping.urgent),
        unkept=keeping.unkept,
    )


def encoded(status: Status) -> bytes:
    """Return a status as it goes out, never larger than a message may be: a broker puts out whoever sends more.

    What does not fit is left out, the least telling first: what devices call themselves, those that are well, those
    that are ill.
    """
    channels = status.channels
    bare = {
        name: {key: of for key, of in said.items() if key not in {"texts", "bad"}} for name, said in channels.items()
    }
    ill = {name: said for name, said in bare.items() if said["why"]}
    for fewer in (channels, bare, ill, {}):
        payload = msgspec.json.encode(replace(status, channels=fewer))
        if len(payload) <= MAX_PACKET:
            return payload
    why, why_vi = status.why[:WHY], status.why_vi[:WHY]
    return msgspec.json.encode(
        replace(status, channels={}, why=why, why_vi=why_vi, urgent=status.urgent[-URGENT:], link={})
    )


def news(status: Status) -> Status:
    """Return what of a status is worth telling: two that are equal here differ only in counters, ages and figures."""
    return replace(
        status,
        mono_ms=0,
        acquired=0,
        cut=0,
        spooled=0,
        earlier=dict.fromkeys(status.earlier, 0),
        oldest_s=0.0,
        clock={"source": status.clock.get("source", "none")},
        channels={
            name: {"why": str(said["why"]).partition(":")[0], "texts": _lasting(said["texts"])}
            for name, said in status.channels.items()
        },
        urgent=[],
    )


class StatusFile:
    """The file, written by one thread. What stands in its way is logged once per change and costs nothing else.

    A descriptor is kept for it: where the process has no other left, an agent that runs must not look dead.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._spare = _spare()
        self._last: tuple[Status, Status] | None = None  # as it was written, and what of it was news
        self._fault = ""

    def write(self, status: Status) -> None:
        """Write the status where it says something new, or has not been written for a while."""
        told = news(status)
        if self._last and told == self._last[1] and status.mono_ms - self._last[0].mono_ms < AGAIN_MS:
            return
        if self._spare is not None:
            os.close(self._spare)
        try:
            self._write(msgspec.json.encode(status))
        except OSError as error:
            self._say(str(error))
        else:
            self._last = status, told
            self._say("")
        finally:
            self._spare = _spare()

    def read(self) -> Status | None:
        """Return what was written last, by this agent or the one before it; None where nothing can be read."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Status)
        except (OSError, msgspec.DecodeError):
            return None

    def _write(self, content: bytes) -> None:
        make_ours(self._path.parent)
        part = self._path.with_suffix(".part")
        part.write_bytes(content)
        part.replace(self._path)

    def _say(self, fault: str) -> None:
        if fault != self._fault:
            log.warning("status %s", f"not-written why={fault!r}" if fault else "written again")
            self._fault = fault


def _spare() -> int | None:
    """Return a descriptor that is good for nothing but to be let go of, None where there is none."""
    with suppress(OSError):
        return os.open(os.devnull, os.O_RDONLY)
    return None


def _lasting(texts: object) -> dict[str, str]:
    """Return what a device says of itself without its clock: a receiver's runs on from poll to poll."""
    return {name: text for name, text in texts.items() if name not in CLOCKS} if isinstance(texts, dict) else {}


def _channel(line: Channel) -> dict[str, object]:
    return {
        "last_ok_ms": line.last_ok_ms,
        "why": line.why,
        "since_ms": line.since_ms,
        "texts": line.texts,
        "polls": line.polls,
        "bad": line.bad,
    }
