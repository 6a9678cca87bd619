"""A quantity stays over a limit: suspected smoke from PM2.5, and whatever else has one number not to be passed.

Over means above `over`; it opens after `persist_s` of readings that are all over, counted by the readings' own times.
It ends after `clear_s` of readings that are all below `clear_below`: between the two it stays as it is, so a value that
hovers at the limit tells nobody twice. Silence neither opens nor ends anything: a sensor that burns goes silent too.

For PM2.5, 55 µg/m³ is the limit to begin with: the quantity's own urgency classes begin there (wire/quantities.py), so
its batches are sent at once. Cooking and field burning pass it as well: what it raises is a suspicion, a person looks.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from cloud.alerts.rules import STAKES, check_what, quantity_for
from cloud.alerts.spans import BAD, GOOD, MIDDLE, Patience

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]


class CONFIG(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One `[[rule]]` with kind = "limit". Values are in the quantity's unit, times in seconds."""

    name: Annotated[str, msgspec.Meta(description="a name for this rule, in mails and the journal")]
    kind: Annotated[Literal["limit"], msgspec.Meta(description="which kind of rule")]
    quantity: Annotated[str, msgspec.Meta(description="the quantity that it watches")]
    over: Annotated[float, msgspec.Meta(description="above this it counts")]
    clear_below: Annotated[float, msgspec.Meta(description="below this it may end")]
    persist_s: Annotated[Seconds, msgspec.Meta(description="how long it must last before anybody is told")] = 180.0
    clear_s: Annotated[Seconds, msgspec.Meta(description="how long it must be well before it ends")] = 300.0
    gap_s: Annotated[Seconds, msgspec.Meta(description="readings further apart do not add up")] = 300.0
    role: Annotated[
        Literal["fire-watch", "telecom", "operator"],
        msgspec.Meta(description="whom it tells: the contacts of this role"),
    ] = "fire-watch"
    what_vi: Annotated[str, msgspec.Meta(description="what is said, in Vietnamese")] = "nghi có khói"
    what_en: Annotated[str, msgspec.Meta(description="what is said, in English")] = "suspected smoke"


class RULE:
    """A limit with persistence and hysteresis. Raises ValueError for limits that cannot work."""

    kind = "limit"
    silence_ms = 0
    of_way_out = False

    def __init__(self, config: CONFIG) -> None:
        self._row = quantity_for(config.quantity)
        if config.clear_below > config.over:
            raise ValueError(f"clear_below = {config.clear_below:g} is above over = {config.over:g}; it must not be")
        if not self._row.plausible(config.over):
            raise ValueError(f"over = {config.over:g} lies outside {self._row.low:g} to {self._row.high:g}")
        check_what(what_vi=config.what_vi, what_en=config.what_en)
        self._config = config
        self.name, self.role, self.quantity = config.name, config.role, config.quantity
        self.grade = STAKES[self.role]
        self.what = {"vi": config.what_vi, "en": config.what_en}
        self.patience = Patience(
            persist_ms=round(config.persist_s * 1000),
            clear_ms=round(config.clear_s * 1000),
            gap_ms=round(config.gap_s * 1000),
        )

    def mark(self, value: float) -> int:
        """BAD above the limit, GOOD below the clearing limit."""
        if value > self._config.over:
            return BAD
        return GOOD if value < self._config.clear_below else MIDDLE

    def section(self, basis: str) -> str:  # noqa: ARG002 - a limit rests on readings only
        """One wording for all."""
        return "limit"

    def facts(self) -> dict[str, float | str]:
        """Return the limits, times and unit."""
        config = self._config
        return {
            "over": config.over,
            "clear_below": config.clear_below,
            "persist_s": config.persist_s,
            "clear_s": config.clear_s,
            "unit": self._row.unit,
        }
