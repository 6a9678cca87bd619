"""The cases of the quarantine tried again when somebody asks for it, a slice between two groups of fresh messages.

Ingest does it itself: it alone writes the store and the quarantine. Who asks (`gocche quarantine --retry`) leaves a row
in its inbox and finds there what became of each case. Asking twice, or dying half-way, is harmless: a case is let go
only when all of its readings are stored, under the identity that they came with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloud.store import LedgerRow, Retry
from wire import codec
from wire.batch import Batch, Gap

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloud.clock import Clock
    from cloud.inbox import Inbox, Question
    from cloud.ingest.complaints import Complaints
    from cloud.ingest.quarantine import Case, Quarantine
    from cloud.store import Ledger

RETRY = "retry"  # the kind of question
SLICE = 16  # cases between two groups of messages
LOOK_S = 1.0  # between two looks into the inbox
TOLD = 1_000  # cases whose fate is told one by one; the others are counted

Fate = tuple[str, dict[str, str]]  # a word of [quarantine] in gocche/words.toml, and its facts


class Retrial:
    """Belongs to the ingester's thread."""

    def __init__(
        self,
        inbox: Inbox | None,
        store: Ledger,
        quarantine: Quarantine,
        complaints: Complaints,
        clock: Clock,
        on_row: Callable[[LedgerRow], None],
    ) -> None:
        self._inbox, self._store, self._quarantine = inbox, store, quarantine
        self._complaints, self._clock, self._on_row = complaints, clock, on_row
        self._looked_s = float("-inf")
        self._question: Question | None = None
        self._after = self._stored = 0
        self._left: dict[str, Fate] = {}
        self._more = 0

    @property
    def busy(self) -> bool:
        """Whether there is more to do at once."""
        return self._question is not None

    def turn(self) -> None:
        """Do a little of what was asked for, if anything was. Where that cannot be now, it is done again later."""
        if self._inbox is None:
            return
        try:
            self._turn(self._inbox)
        except Retry as error:
            self._question = None
            self._complaints.count("inbox", "-", str(error))

    def _turn(self, inbox: Inbox) -> None:
        if self._question is None:
            self._look(inbox)
        if self._question is not None:
            self._slice(inbox, self._question)

    def _look(self, inbox: Inbox) -> None:
        now_s = self._clock.monotonic()
        if now_s - self._looked_s < LOOK_S:
            return
        self._looked_s = now_s
        for question in inbox.take():
            if question.kind == RETRY:
                self._question = question
                self._after = self._stored = self._more = 0
                self._left = {}
            else:
                inbox.done(question.id, {"error": f"ingest does not know what {question.kind[:40]!r} is"})

    def _slice(self, inbox: Inbox, question: Question) -> None:
        """Try some cases; when there are no more, or the store takes nothing, say what became of all."""
        stopped = ""
        cases = self._quarantine.cases(self._after, SLICE)
        stored = []
        try:
            for case in cases:
                fate, facts = self._try(case)
                self._after = case.id
                if fate == "stored":
                    stored.append(case.id)
                elif len(self._left) < TOLD:
                    self._left[str(case.id)] = fate, facts
                else:
                    self._more += 1
        except Retry as error:
            stopped = str(error)
        if stored:
            self._quarantine.release(stored)
            self._complaints.well("quarantine")
            self._stored += len(stored)
        if stopped or not cases:
            self._question = None
            inbox.done(question.id, self._outcome(stopped))

    def _outcome(self, stopped: str) -> dict[str, Any]:
        return {
            "after": self._after,
            "stored": self._stored,
            "left": self._left,
            "more": self._more,
            "stopped": stopped,
        }

    def _try(self, case: Case) -> Fate:
        """Store a case; return "stored" when all of it is, else what stands against it. Raises Retry."""
        try:
            message = codec.decode_message(case.gateway, self._quarantine.payload(case.id), self._clock.utc_ms())
            if isinstance(message, Batch) and message.offset_ms is None:
                return "undated", {}
            arrival_ms = self._clock.utc_ms()
            (refused,) = self._store.commit([message], arrival_ms)
        except Retry:
            raise
        except codec.Damaged as error:
            return ("text", {}) if case.epoch else ("damaged", {"why": str(error)})
        except codec.Rejected as error:
            return "refused", {"why": str(error)}
        except Exception as error:  # noqa: BLE001 - told to who asked: one that breaks the store must not cost the others
            return "breaks", {"kind": type(error).__name__, "why": str(error)}
        if refused:
            return "partly", {"count": str(len(refused)), "n": str(message.n), "why": refused[0].reason}
        verdict = "declared" if isinstance(message, Gap) else "stored"
        self._on_row(LedgerRow(case.gateway, *message.identity, verdict, arrival_ms))
        return "stored", {}
