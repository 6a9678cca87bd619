"""What gateways say of themselves: checked before it is believed, kept for the audit, watched for two under one id.

A gateway says its whole status when it changes and a beat each minute between; older ones say the whole each minute.
Both become the same row: the last whole status, with the newest figures.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

import msgspec

from cloud.store import StatusRow
from wire import beat, codec
from wire.batch import Status

if TYPE_CHECKING:
    from cloud.ingest.audit import Books
    from cloud.store import Store
    from cloud.stream.connection import Arrival

log = logging.getLogger(__name__)
MAX_BYTES = codec.MAX_INFLATED
MAX_CHANNELS = 256
LIVES = 8  # of one gateway that are remembered
_ID = re.compile(r"(?:[0-9a-f]{16})?")


def read(payload: bytes) -> Status:
    """Return the status in a payload. Raises ValueError, with what is wrong, for one that cannot be believed."""
    if len(payload) > MAX_BYTES:
        raise ValueError(f"status of {len(payload)} bytes, more than {MAX_BYTES}")
    status = msgspec.json.decode(payload, type=Status)
    for name in ("epoch", "boot"):
        if not _ID.fullmatch(getattr(status, name)):
            raise ValueError(f"{name} {getattr(status, name)[:40]!r} is not 16 hexadecimal digits")
    for name in ("acquired", "cut", "spooled", "dropped"):
        if not 0 <= getattr(status, name) < codec.MAX_SEQ:
            raise ValueError(f"{name} {str(getattr(status, name))[:40]} is no count")
    for epoch, n in status.earlier.items():
        if not _ID.fullmatch(epoch) or not 0 <= n < codec.MAX_SEQ:
            raise ValueError(f"earlier {epoch[:40]!r} = {n} is no epoch and count")
    if status.mono_ms < 0:
        raise ValueError(f"mono_ms {status.mono_ms} is no time of a boot")
    return status


class Statuses:
    """Belongs to the ingester's thread; `clones` may be asked from any."""

    def __init__(self, store: Store, books: Books) -> None:
        self._store, self._books = store, books
        self._lives: dict[str, list[str]] = {}
        self._whole: dict[str, Status] = {}  # the last whole status of each gateway, for its beats
        self._newest: dict[str, tuple[str, int]] = {}  # boot, and when in it the newest word was said

    def take(self, arrival: Arrival, status: Status) -> int:
        """Keep a status; return how many of its channels were too many. Raises the store's Retry.

        Of a retained one, said long ago, only the high-water counts: nobody can have acquired less since.
        """
        beyond = max(len(status.channels) - MAX_CHANNELS, 0)
        if beyond:
            kept = dict(list(status.channels.items())[:MAX_CHANNELS])
            status = msgspec.structs.replace(status, channels=kept)
        if arrival.retained:
            self._books.high(arrival.gateway, status.epoch, status.acquired)
            if status.state != "offline":
                self._whole.setdefault(arrival.gateway, status)
            return 0
        if self._write(arrival, status) and status.state != "offline":
            self._whole[arrival.gateway] = status
        return beyond

    def take_beat(self, arrival: Arrival, said: beat.Beat) -> None:
        """Keep the figures of a beat, joined to what the gateway said before. Raises the store's Retry."""
        if arrival.retained:  # nobody who keeps to the protocol sends one
            self._books.high(arrival.gateway, said.epoch.hex(), said.acquired)
            return
        self._write(arrival, said.onto(self._whole.get(arrival.gateway)))

    def _write(self, arrival: Arrival, status: Status) -> bool:
        """Keep what a gateway says now; tell whether it was news. What waited somewhere comes too late to be that.

        A last will was written when the gateway connected, so it is always older than what came before it.
        """
        self._books.high(arrival.gateway, status.epoch, status.acquired)
        if status.state != "offline":
            boot, mono_ms = self._newest.get(arrival.gateway, ("", 0))
            if status.boot == boot and 0 < status.mono_ms < mono_ms - mono_ms % 1000:
                return False
            self._newest[arrival.gateway] = (status.boot, status.mono_ms)
        self._watch(arrival.gateway, status)
        self._books.status(StatusRow(arrival.gateway, arrival.arrival_ms, status))
        self._store.write_status(arrival.gateway, status, arrival.arrival_ms)
        return True

    def clones(self) -> set[str]:
        """Return the gateways of which a boot or an epoch came back after another one spoke."""
        return {gateway for gateway, seen in self._lives.copy().items() if len(seen) != len(set(seen))}

    def _watch(self, gateway: str, status: Status) -> None:
        """Two copies of one SD card share the epoch, so the boot counts too."""
        seen = self._lives.setdefault(gateway, [])
        life = f"{status.epoch}/{status.boot}"
        if status.state == "online" and (not seen or seen[-1] != life):
            if life in seen:
                log.error("two gateways under one id gateway=%s epochs=%s", gateway, sorted(set(seen)))
            self._lives[gateway] = [*seen, life][-LIVES:]
