"""How long a store keeps what, as every engine's `[store]` has it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from settings.finding import Unfit

DAY_MS = 86_400_000


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The keys that all engines share."""

    keep_days: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=36_500)] | None,
        msgspec.Meta(description="how long single readings are kept; their hours stay. Not given: for ever"),
    ] = None
    ledger_days: Annotated[
        Annotated[int, msgspec.Meta(ge=2, le=73_000)] | None,
        msgspec.Meta(description="how long it is kept what became of each batch. Not given: twice keep_days"),
    ] = None

    def __post_init__(self) -> None:
        """Raise Unfit where the ledger would go before the readings that it tells of."""
        if self.ledger_days is not None and (self.keep_days is None or self.ledger_days <= self.keep_days):
            raise Unfit("ledger_days", "ledger_short", days=self.ledger_days, keep=self.keep_days or "-")

    @property
    def keep_ms(self) -> int:
        """How long readings are kept, 0 for ever."""
        return (self.keep_days or 0) * DAY_MS

    @property
    def ledger_ms(self) -> int:
        """How long the ledger is kept, 0 for ever."""
        return (self.ledger_days or 2 * (self.keep_days or 0)) * DAY_MS
