"""Who shares one spool's numbers: batches that came under an identity that stands for other readings.

Judged from the ledger, by whoever follows it, so that of two ingesters each finds what only both together were sent.
Nearly every row that comes again is the same row, read again, or a batch whose acknowledgement was lost; only where
this process cannot tell, the ledger is asked for that one identity.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING

from cloud.store import TWICE
from cloud.store.keys import same_span

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloud.store import Ledger, LedgerRow

RECENT = 50_000  # identities: what a follower reads again, at 200 batches a second
DOUBTS, AT_ONCE = 100, 50  # of one epoch, and epochs, asked for in one turn; of a copied card more will come

_Who = tuple[str, str, int, int]
_Span = tuple[int, int]


class Clones:
    """May be written and read from any thread."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._recent: OrderedDict[_Who, _Span] = OrderedDict()
        self._doubts: dict[tuple[str, str], set[int]] = {}
        self._found: set[_Who] = set()

    def row(self, row: LedgerRow, *, news: bool) -> None:
        """Take a ledger row; `news` when no row before told of these readings. (0, 0) is a span not known."""
        who, span = (row.gateway, row.epoch, row.first, row.n), (row.start_ns, row.end_ns)
        if row.verdict != "stored":
            return
        with self._turn:
            before = self._recent.get(who)
            if row.words == TWICE:
                self._found.add(who)
            elif before and before != (0, 0):
                if span != (0, 0) and not same_span(before, span):
                    self._found.add(who)
            else:
                if not news and before is None:
                    self._doubts.setdefault(who[:2], set()).add(row.first)
                self._recent[who] = span
                if len(self._recent) > RECENT:
                    self._recent.popitem(last=False)

    def judge(self, store: Ledger, turn: Callable[[], object] = lambda: None) -> None:
        """Ask the ledger where a row alone does not tell. Raises Retry; the rest is asked at the next turn."""
        for key in list(self._doubts)[:AT_ONCE]:
            turn()
            with self._turn:
                firsts = sorted(self._doubts[key])[:DOUBTS]
            rows = store.rows_of(*key, firsts)
            with self._turn:
                self._doubts.pop(key)
                self._found |= {(*key, row.first, row.n) for row in rows if row.words == TWICE}

    def found(self) -> dict[str, int]:
        """Return by gateway under how many identities other readings came as well."""
        with self._turn:
            return dict(Counter(gateway for gateway, *_ in self._found))
