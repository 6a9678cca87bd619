"""The sum that must come out: acquired = stored + quarantined + declared + expired + still in the spool + unknown.

Acquired is the edge's committed high-water sequence number, per gateway and epoch, as its status and its batches tell
it. Expired was stored and retention removed it. Unknown must be 0: it is what the edge once had and nobody can account
for.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from cloud.ingest.clones import Clones
from cloud.ingest.tally import Tally
from cloud.store.intervals import Intervals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloud.store import LedgerRow, StatusRow

Key = tuple[str, str]  # gateway and epoch
SUMMED = ("acquired", "stored", "quarantined", "declared", "expired", "spooled", "unknown")


class Account(msgspec.Struct, frozen=True):
    """The sum of one epoch of one gateway. `live` is the epoch that the gateway writes now."""

    gateway: str
    epoch: str
    acquired: int
    stored: int
    quarantined: int
    declared: int
    expired: int
    spooled: int
    unknown: int
    live: bool


class Books:
    """Adds up ledger rows and statuses as they come; the same rows in any order and number give the same sum.

    With `trails` somebody else writes the ledger as well, or what is written is seen later: what a gateway says that it
    holds no more is believed turns later (`followed`), when the rows of it are known. Else what another ingester has
    just stored would be unknown. May be written and read from any thread.
    """

    def __init__(self, *, trails: bool = False) -> None:
        self.clones = Clones()
        self._trails = trails
        self._heard: dict[str, StatusRow] = {}  # the newest of each gateway, where that trails …
        self._before: list[tuple[float, list[StatusRow]]] = []  # … and as it was at the turns before
        self._turn = threading.Lock()
        self._tallies: dict[Key, Tally] = {}
        self._first: dict[str, str] = {}  # the gateway under which an epoch was heard of first
        self._shared: dict[str, set[str]] = {}  # all of them, where they are more than one: its id was changed
        self._changed: set[Key] = set()  # since the summary was kept
        self._accounts: dict[Key, Account] = {}
        self._stale: set[Key] = set()  # whose account has changed since it was made, with all that share its epoch
        self._sum: Counter[str] = Counter()
        self._spooled: dict[Key, tuple[int, int]] = {}  # high-water and spooled, as the last status says
        self._live: dict[str, tuple[int, str]] = {}
        self._earlier: dict[str, tuple[int, dict[str, int]]] = {}  # what waits of epochs before, by the newest status

    def row(self, row: LedgerRow) -> None:
        """Take one ledger row. Its tally is to be kept even where it says nothing new.

        Of several ingesters one that sees less may have kept an older tally over ours: as long as the summary's mark
        has not passed this row, the row is read again, and with it the tally is kept again before the mark passes it.
        """
        key = (row.gateway, row.epoch)
        with self._turn:
            news = self._tally(key).row(row)
            self._changed.add(key)
            if news:
                self._stale.add(key)
        self.clones.row(row, news=news)

    def expire(self, rows: Iterable[LedgerRow], until_ms: int) -> None:
        """Count as expired what retention has removed: these rows, and what came late and is older than `until_ms`."""
        with self._turn:
            for row in rows:
                self._tally((row.gateway, row.epoch)).expire(row)
                self._note((row.gateway, row.epoch))
            for key, tally in self._tallies.items():
                if tally.expire_late(until_ms):
                    self._note(key)

    def high(self, gateway: str, epoch: str, acquired: int) -> None:
        """Take a high-water sequence number, whoever says it and however late: it can only rise."""
        if epoch and acquired:
            with self._turn:
                tally = self._tally((gateway, epoch))
                if acquired > tally.high:
                    tally.high = acquired
                    self._note((gateway, epoch))

    def status(self, row: StatusRow) -> None:
        """Take one status. A last will was written when the gateway connected: it does not say what is spooled now.

        Its epoch stays the live one, though: who is out of reach has lost nothing yet.
        """
        key = (row.gateway, row.status.epoch)
        if not row.status.epoch:
            return
        self.high(*key, row.status.acquired)
        if not self._trails:
            self._believe(row)
            return
        with self._turn:
            self._tally(key)
            self._heard[row.gateway] = row
            self._stale.add(key)

    def followed(self, began_s: float, settle_s: float) -> None:
        """Believe what was heard so long before this turn began that the ledger, followed since, showed all of it."""
        with self._turn:
            seen = [heard for at_s, heard in self._before if at_s <= began_s - settle_s]
            self._before = [*self._before[len(seen) :], (began_s, list(self._heard.values()))]
        for heard in seen:
            for row in heard:
                self._believe(row)

    def _believe(self, row: StatusRow) -> None:
        key = (row.gateway, row.status.epoch)
        with self._turn:
            before = self._live.get(row.gateway, (0, ""))
            self._live[row.gateway] = max(before, (row.arrival_ms, row.status.epoch))
            self._stale |= {key, (row.gateway, before[1])}
            if row.status.state != "offline":
                self._tally(key)
                self._spooled[key] = (row.status.acquired, row.status.spooled)
                at_ms, earlier = self._earlier.get(row.gateway, (0, {}))
                if row.arrival_ms >= at_ms:
                    self._earlier[row.gateway] = (row.arrival_ms, row.status.earlier)
                    self._stale |= {(row.gateway, epoch) for epoch in (*earlier, *row.status.earlier)}

    def add(self, gateway: str, epoch: str, text: str) -> None:
        """Add a tally that was kept. Raises msgspec.DecodeError for what is none."""
        with self._turn:
            self._tally((gateway, epoch)).add(text)
            self._stale.add((gateway, epoch))

    def changed(self) -> list[tuple[str, str, str]]:
        """Return gateway, epoch and text of each tally that changed since this was last asked."""
        with self._turn:
            changed, self._changed = self._changed, set()
            return [(*key, self._tallies[key].text()) for key in sorted(changed)]

    def unkept(self, changed: Iterable[tuple[str, str, str]]) -> None:
        """Take back what `changed` returned: it was not kept."""
        with self._turn:
            self._changed |= {(gateway, epoch) for gateway, epoch, _ in changed}

    def accounts(self) -> list[Account]:
        """Return the sum of every epoch, by gateway."""
        with self._turn:
            self._bring_up()
            return [self._accounts[key] for key in sorted(self._accounts)]

    def total(self) -> dict[str, int]:
        """Return the sum of all epochs. Costs what has changed since it was asked last, however many there are."""
        with self._turn:
            self._bring_up()
            return {name: self._sum[name] for name in SUMMED}

    def _bring_up(self) -> None:
        stale = {(gateway, epoch) for own, epoch in self._stale for gateway in (own, *self._shared.get(epoch, ()))}
        for key in stale & self._tallies.keys():
            made = self._account(*key)
            old = self._accounts.get(key)
            self._accounts[key] = made
            for name in SUMMED:
                self._sum[name] += getattr(made, name) - (getattr(old, name) if old else 0)
        self._stale.clear()

    def _tally(self, key: Key) -> Tally:
        if key not in self._tallies:
            self._tallies[key] = Tally()
            if (first := self._first.setdefault(key[1], key[0])) != key[0]:
                self._shared.setdefault(key[1], {first}).add(key[0])
            self._stale.add(key)
        return self._tallies[key]

    def _note(self, key: Key) -> None:
        self._changed.add(key)
        self._stale.add(key)

    def _account(self, gateway: str, epoch: str) -> Account:
        key = (gateway, epoch)
        tally = self._tallies[key]
        stored, expired, refused = tally.stored, len(tally.expired), tally.refused
        quarantined = tally.quarantined.minus(stored)
        declared = tally.declared.minus(stored).minus(quarantined)
        missing = tally.high - len(stored) - len(quarantined) - len(declared)
        others = self._shared.get(epoch, set()) - {gateway}
        heard = self._heard.get(gateway)
        speaks = epoch == self._live.get(gateway, (0, ""))[1] or (heard is not None and epoch == heard.status.epoch)
        live = speaks and not others  # else it speaks under another id by now
        elsewhere = 0
        if live:
            spooled = self._on_its_way(key, [*stored, *quarantined, *declared], missing)
        else:
            elsewhere = _elsewhere(tally, [self._tallies[other, epoch] for other in others])
            missing -= elsewhere
            waiting = sum(self._earlier.get(each, (0, {}))[1].get(epoch, 0) for each in (gateway, *others))
            spooled = min(missing, waiting)
        return Account(
            gateway,
            epoch,
            tally.high,
            len(stored) - refused - expired,
            len(quarantined) + refused,
            len(declared) + elsewhere,
            expired,
            spooled,
            missing - spooled,
            live,
        )

    def _on_its_way(self, key: Key, told: list[tuple[int, int]], missing: int) -> int:
        """Return how much of what is missing a live gateway can still bring.

        Up to the sequence number of its last status it holds no more than that status says; what lies above was
        acquired since, and the next status will tell.
        """
        until, held = self._spooled.get(key, (0, 0))
        below = until - sum(min(end, until + 1) - start for start, end in told if start <= until)
        return missing - max(below - held, 0)


def _elsewhere(tally: Tally, others: Iterable[Tally]) -> int:
    """Return how much of what is missing under one id came to its end under others that the gateway was given."""
    ended = Intervals()
    for other in others:
        for start, end in other.ended():
            ended.add(start, min(end, tally.high + 1))
    return len(ended.minus(tally.stored).minus(tally.quarantined).minus(tally.declared))


def books(rows: Iterable[LedgerRow], statuses: Iterable[StatusRow], into: Books | None = None) -> Books:
    """Return the books of a whole store, or add it to existing ones."""
    made = into or Books()
    for row in rows:
        made.row(row)
    for status in statuses:
        made.status(status)
    return made
