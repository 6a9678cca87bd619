"""What gateways say of themselves: checked before it is believed, kept for the audit, watched for two under one id.

A gateway says its whole status when it changes and a beat each minute between; older ones say the whole each minute.
Both become the same row: the last whole status, with the newest figures. Where several ingesters share the batches each
still hears every status: a beat is joined to the whole one before it, and two of a kind are told by hearing both. Each
keeps and answers it, which is the same row and the same time twice.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import msgspec

from cloud.store import Retry, StatusRow
from wire import beat, status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloud.ingest.answers import Answers
    from cloud.ingest.audit import Books
    from cloud.ingest.complaints import Complaints
    from cloud.store import Statuses as StatusStore
    from cloud.stream.connection import Arrival
    from wire.batch import Status

log = logging.getLogger(__name__)
MAX_CHANNELS = 256
LIVES = 8  # of one gateway that are remembered


class Statuses:
    """Belongs to the ingester's thread; `remember` and `clones` may be called from any."""

    def __init__(self, store: StatusStore, books: Books, answers: Answers, complaints: Complaints) -> None:
        self._store, self._books, self._answers, self._complaints = store, books, answers, complaints
        self._turn = threading.Lock()
        self._lives: dict[str, list[str]] = {}
        self._whole: dict[str, Status] = {}  # the last whole status of each gateway, for its beats
        self._newest: dict[str, tuple[str, int]] = {}  # boot, and when in it the newest word was said
        self._away: Retry | None = None

    def begin(self) -> None:
        """Begin a step: within one a store that did not take a word is not asked again, however many words there are.

        A store that hangs would hold up the batches behind sixty-four of them for ten minutes.
        """
        self._away = None

    def hear(self, arrival: Arrival) -> None:
        """Take what a gateway says of itself; whatever is wrong with it costs only itself."""
        gateway, kind = arrival.gateway, arrival.kind
        try:
            said = beat.decode(arrival.payload) if kind == "beat" else status.decode(arrival.payload)
        except ValueError as error:
            self._complaints.count(f"{kind} unreadable", gateway, str(error))
            return
        if said.asks if isinstance(said, beat.Beat) else said.state == "online":
            self._answers.time(gateway, said.mono_s * 1000 if isinstance(said, beat.Beat) else said.mono_ms)
        try:
            if isinstance(said, beat.Beat):
                self._beat(arrival, said)
            else:
                self._status(arrival, said)
        except Retry as error:
            self._complaints.ill("store", str(error))
        except Exception as error:  # noqa: BLE001 - logged by count, and only this status pays
            self._complaints.count(f"{kind} not kept", gateway, f"{type(error).__name__}: {error}")

    def _status(self, arrival: Arrival, said: Status) -> None:
        """Keep a whole status. Of a retained one, said long ago, only the high-water counts: it can only have risen."""
        beyond = len(said.channels) - MAX_CHANNELS
        if beyond > 0:
            self._complaints.count("status cut", arrival.gateway, f"{beyond} channels more than {MAX_CHANNELS}")
            said = msgspec.structs.replace(said, channels=dict(list(said.channels.items())[:MAX_CHANNELS]))
        if arrival.retained:
            self._books.high(arrival.gateway, said.epoch, said.acquired)
            if said.state != "offline":
                self._whole.setdefault(arrival.gateway, said)
        elif self._write(arrival, said) and said.state != "offline":
            self._whole[arrival.gateway] = said

    def _beat(self, arrival: Arrival, said: beat.Beat) -> None:
        """Keep the figures of a beat, joined to what the gateway said before."""
        if arrival.retained:  # nobody who keeps to the protocol sends one
            self._books.high(arrival.gateway, said.epoch.hex(), said.acquired)
        else:
            self._write(arrival, said.onto(self._whole.get(arrival.gateway)))

    def _write(self, arrival: Arrival, said: Status) -> bool:
        """Keep what a gateway says now; tell whether it was news. What waited somewhere comes too late to be that.

        A last will was written when the gateway connected, so it is always older than what came before it.
        """
        self._books.high(arrival.gateway, said.epoch, said.acquired)
        if said.state != "offline":
            boot, mono_ms = self._newest.get(arrival.gateway, ("", 0))
            if said.boot == boot and 0 < said.mono_ms < mono_ms - mono_ms % 1000:
                return False
            self._newest[arrival.gateway] = (said.boot, said.mono_ms)
        self._watch(arrival.gateway, said)
        self._books.status(StatusRow(arrival.gateway, arrival.arrival_ms, said))
        if self._away is not None:
            raise self._away
        try:
            self._store.write_status(arrival.gateway, said, arrival.arrival_ms)
        except Retry as error:
            self._away = error
            raise
        return True

    def remember(self, rows: Iterable[StatusRow]) -> None:
        """Take what the store knows of who spoke: two under one id are found after a start, by their next words."""
        spoke: dict[str, list[str]] = {}
        for row in sorted(rows, key=lambda row: row.arrival_ms):
            if row.status.state == "online":  # a last will comes after the words of whoever took its place
                spoke.setdefault(row.gateway, []).append(_life(row.status))
        with self._turn:
            for gateway, lives in spoke.items():
                heard = self._lives.get(gateway, [])
                self._lives[gateway] = [*(life for life in lives if life not in heard), *heard][-LIVES:]

    def clones(self) -> set[str]:
        """Return the gateways of which a boot or an epoch came back after another one spoke."""
        with self._turn:
            return {gateway for gateway, seen in self._lives.items() if len(seen) != len(set(seen))}

    def _watch(self, gateway: str, said: Status) -> None:
        """Two copies of one SD card share the epoch, so the boot counts too."""
        life = _life(said)
        with self._turn:
            seen = self._lives.setdefault(gateway, [])
            if said.state == "online" and (not seen or seen[-1] != life):
                if life in seen:
                    log.error("two gateways under one id gateway=%s epochs=%s", gateway, sorted(set(seen)))
                self._lives[gateway] = [*seen, life][-LIVES:]


def _life(said: Status) -> str:
    return f"{said.epoch}/{said.boot}"
