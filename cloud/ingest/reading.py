"""From bytes to what may be committed: batches, gap records, and what is kept in quarantine before it is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cloud.ingest.quarantine import Unstorable, Who
from cloud.store import Packed, Refusal, Retry
from wire import codec
from wire.batch import Batch, Gap, Identity, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cloud.ingest.ahead import Ahead
    from cloud.ingest.answers import Answers
    from cloud.ingest.complaints import Complaints
    from cloud.ingest.quarantine import Quarantine
    from cloud.stream.connection import Arrival

NOBODY: Identity = ("", 0, 0)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """What is to be committed, the packet that it came in, and the words of its answer."""

    what: Batch | Gap | Refusal | Packed
    payload: bytes
    words: str = ""

    @property
    def identity(self) -> Identity:
        """The key under which it is acknowledged."""
        return self.what.epoch, self.what.first, self.what.n

    @property
    def who(self) -> Who:
        """The key under which it is told from those of all gateways."""
        return self.what.gateway, *self.identity

    def refused(self, reason: str) -> Entry:
        """Return what is committed in its stead once its packet lies in quarantine."""
        return Entry(Refusal(*self.who, reason), self.payload, reason)


class Reader:
    """Belongs to the ingester's thread. Whatever a packet holds costs only that packet. `pack` is the store's."""

    def __init__(
        self,
        quarantine: Quarantine,
        answers: Answers,
        complaints: Complaints,
        ahead: Ahead,
        pack: Callable[[Batch, int], Batch | Packed],
    ) -> None:
        self._quarantine, self._answers, self._complaints = quarantine, answers, complaints
        self._ahead, self._pack = ahead, pack

    def read(self, arrivals: Iterable[Arrival], now_ms: int) -> list[Entry]:
        """Return what is to be committed; of all others the answer, if any, is already noted."""
        entries: list[Entry] = []
        bad: list[tuple[Entry | None, Unstorable]] = []
        for arrival in arrivals:
            found = self._one(arrival, now_ms)
            if isinstance(found, Entry):
                entries.append(found)
            elif found is not None:
                bad.append(found)
        self._ahead.in_time(entry.what.gateway for entry in entries)
        if bad:
            entries += self.keep(bad)
        return entries

    def keep(self, bad: Sequence[tuple[Entry | None, Unstorable]]) -> list[Entry]:
        """Keep packets durably, in one transaction; return those whose ledger row may now say so.

        The others are answered `later`; damaged bytes have no entry, and nothing hangs on them.
        """
        try:
            kept = self._quarantine.keep([item for _, item in bad])
            error = Retry("" if all(kept) else self._quarantine.full(), 60)
        except Retry as refusal:
            kept, error = [False] * len(bad), refusal
        for (entry, _), done in zip(bad, kept, strict=True):
            if entry is None:
                self._complaints.counts["damaged, not kept"] += not done
            elif done:
                self._complaints.well("quarantine")
            else:
                self._complaints.counts["later"] += 1
                self._complaints.ill("quarantine", str(error))
                self._answers.later(entry.what.gateway, entry.identity, error)
        return [entry for (entry, _), done in zip(bad, kept, strict=True) if entry is not None and done]

    def _one(self, arrival: Arrival, now_ms: int) -> Entry | tuple[Entry | None, Unstorable] | None:
        """Return an entry, or what must be kept first, or nothing: then it is answered."""
        gateway, payload = arrival.gateway, arrival.payload
        try:
            message = codec.decode_message(gateway, payload, arrival.arrival_ms)
            if isinstance(message, Gap):
                return Entry(message, payload)
            if message.offset_ms is not None:
                return Entry(self._pack(message, now_ms), payload)
        except codec.Rejected as error:
            reason = str(error)
            self._complaints.count("rejected", gateway, reason)
            if isinstance(error, codec.Early):
                self._ahead.early(gateway, error.by_ms)
                self._complaints.alarm(self._ahead.whose or f"batches of the future gateway={gateway}", reason)
            else:
                why = f"{reason}; gocche quarantine"
                self._complaints.alarm(f"batches that this version cannot store gateway={gateway}", why)
            refusal = Refusal(gateway, *error.identity, reason)
            return Entry(refusal, payload, reason), Unstorable(gateway, error.identity, reason, payload, now_ms)
        except codec.Damaged as error:
            self._complaints.count("damaged", gateway, str(error))
            return None, Unstorable(gateway, NOBODY, str(error), payload, arrival.arrival_ms)
        except Exception as error:  # noqa: BLE001 - logged by count: a defect of our decoder costs this packet only
            reason = f"the decoder stumbled: {type(error).__name__}: {error}"
            self._complaints.count("decoder stumbled", gateway, reason)
            return None, Unstorable(gateway, NOBODY, reason, payload, arrival.arrival_ms)
        self._complaints.counts["undated"] += 1
        self._answers.say(gateway, message.identity, Verdict.UNDATED)
        return None
