"""What the ledger adds up to, kept beside it, so that no start reads it from its beginning and it may be pruned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Mark(msgspec.Struct, frozen=True):
    """How far a summary goes.

    Every ledger row that arrived before `until_ms` is in it. What arrived before `expired_ms` counts as expired in it.
    """

    until_ms: int = 0
    expired_ms: int = 0


class Tallied(msgspec.Struct, frozen=True):
    """What one epoch of one gateway adds up to; the store keeps the text and does not read it."""

    gateway: str
    epoch: str
    text: str


class Summaries(Protocol):
    """Where the summary is kept. What it says of an epoch may be newer than its mark, never older."""

    def tidy(self, now_ms: int, turn: Callable[[], object] = lambda: None) -> None:
        """Do what is due beside committing, and call `turn` at each step of it.

        Called each minute, from one thread, by who keeps the books.
        """

    def keep_summary(self, tallies: Sequence[Tallied], mark: Mark, by: str = "-") -> None:
        """Keep what has changed, and then how far it all goes. From any thread of the process that commits.

        An epoch that is not named stays as it was kept last. `by` is who keeps it: where several may write, what others
        kept stays beside it, so that who knows less writes over nothing.
        """

    def summary(self) -> tuple[Mark, list[Tallied]]:
        """Return how far it goes and what was kept of each epoch; `Mark()` and nothing where none was kept.

        Of one epoch there may be several, to be added up.
        """
