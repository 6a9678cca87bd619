"""A quantity passes a limit and stays there: suspected smoke from PM2.5, frost, dry soil, an empty battery.

`over`: above it counts; it opens after `persist_s` of readings that are all over, counted by the readings' own times,
and ends after `clear_s` of readings that are all below `clear_below`. `under` with `clear_above` is the same the other
way round. Between the two limits it stays as it is, so a value that hovers tells nobody twice.

The value is what the sensor said: a calibration of the registry changes what is shown, and no verdict (decision 0039).

Silence neither opens nor ends anything: a sensor that burns goes silent too. But when nothing is heard of a sensor for
`silent_s` while its incident is open, people are told that nobody sees any more, and after a day, or three times as
long where that is more, the incident is ended as unknown.

For PM2.5, 55 µg/m³ is the limit to begin with: the quantity's own urgency classes begin there (wire/quantities.py), so
its batches are sent at once. Cooking and field burning pass it as well: what it raises is a suspicion, a person looks.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from cloud.alerts.rules import DAY_MS, STAKES, Name, Silence, What, check_what, quantity_for
from cloud.alerts.spans import BAD, GOOD, MIDDLE, Patience
from settings.finding import Unfit

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
SomeSeconds = Annotated[float, msgspec.Meta(ge=1, le=30 * 86_400)]  # a SIM is asked once a day


class CONFIG(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One `[[rule]]` with kind = "limit". Values are in the quantity's unit, times in seconds."""

    name: Annotated[Name, msgspec.Meta(description="a name for this rule, in mails and the journal")]
    kind: Annotated[Literal["limit"], msgspec.Meta(description="which kind of rule")]
    quantity: Annotated[str, msgspec.Meta(description="the quantity that it watches")]
    over: Annotated[float | None, msgspec.Meta(description="above this it counts")] = None
    clear_below: Annotated[float | None, msgspec.Meta(description="with `over`: below this it may end")] = None
    under: Annotated[float | None, msgspec.Meta(description="below this it counts")] = None
    clear_above: Annotated[float | None, msgspec.Meta(description="with `under`: above this it may end")] = None
    persist_s: Annotated[Seconds, msgspec.Meta(description="how long it must last before anybody is told")] = 180.0
    clear_s: Annotated[Seconds, msgspec.Meta(description="how long it must be well before it ends")] = 300.0
    gap_s: Annotated[SomeSeconds, msgspec.Meta(description="readings further apart do not add up")] = 300.0
    silent_s: Annotated[
        SomeSeconds, msgspec.Meta(description="silence of its sensor while it lasts, before that is told")
    ] = 900.0
    role: Annotated[
        Literal["fire-watch", "commune", "telecom", "operator"],
        msgspec.Meta(description="whom it tells: the contacts of this role"),
    ] = "fire-watch"
    what_vi: Annotated[What, msgspec.Meta(description="what is said, in Vietnamese")] = "nghi có khói"
    what_en: Annotated[What, msgspec.Meta(description="what is said, in English")] = "suspected smoke"


class RULE:
    """A limit with persistence and hysteresis. Raises Unfit for limits that cannot work."""

    kind = "limit"
    window_ms, zones = 0, ()

    def __init__(self, config: CONFIG) -> None:
        self._row = quantity_for(config.quantity)
        self._under = config.under is not None
        self._at, self._clear = _limits(config)
        begins, ends = ("under", "clear_above") if self._under else ("over", "clear_below")
        low, high = self._row.low, self._row.high
        for word, limit in ((begins, self._at), (ends, self._clear)):
            # where no value lies beyond the first no incident begins, beyond the second none ends
            if not (low <= limit < high if word in ("over", "clear_above") else low < limit <= high):
                range_ = {"low": f"{low:g}", "high": f"{high:g}", "unit": self._row.unit}
                raise Unfit(word, "limit_outside", value=f"{limit:g}", quantity=config.quantity, **range_)
        check_what(what_vi=config.what_vi, what_en=config.what_en)
        self._config = config
        self.name, self.role, self.quantity = config.name, config.role, config.quantity
        self.grade, self.may_burn = STAKES[self.role], True
        self.what = {"vi": config.what_vi, "en": config.what_en}
        self.patience = Patience(
            persist_ms=round(config.persist_s * 1000),
            clear_ms=round(config.clear_s * 1000),
            gap_ms=round(config.gap_s * 1000),
            downwards=self._under,
        )
        silent_ms = round(config.silent_s * 1000)
        self.silence = Silence("incident", silent_ms, max(DAY_MS, 3 * silent_ms))

    def mark(self, value: float) -> int:
        """BAD beyond the limit, GOOD beyond the clearing limit on the other side."""
        if self._under:
            value, at, clear = -value, -self._at, -self._clear
        else:
            at, clear = self._at, self._clear
        if value > at:
            return BAD
        return GOOD if value < clear else MIDDLE

    def section(self, basis: str) -> str:  # noqa: ARG002 - a limit rests on readings only
        """One wording for each side, one for codes, and one for smoke: what else measures the same must be said."""
        if self._row.codes is not None:
            return "code"
        if self._under:
            return "under"
        return "smoke" if self.grade == "life" else "over"

    def facts(self) -> dict[str, float | str]:
        """Return the limits, times and unit."""
        config = self._config
        return {
            "limit": self._at,
            "clear": self._clear,
            "persist_s": config.persist_s,
            "clear_s": config.clear_s,
            "unit": self._row.unit,
        }


def _limits(config: CONFIG) -> tuple[float, float]:
    """Return the limit and the clearing limit of the side that is given."""
    match (config.over, config.clear_below, config.under, config.clear_above):
        case (float() as over, float() as clear, None, None):
            if clear > over:
                raise Unfit("clear_below", "clears_above", value=f"{clear:g}", limit=f"{over:g}")
            return over, clear
        case (None, None, float() as under, float() as clear):
            if clear < under:
                raise Unfit("clear_above", "clears_below", value=f"{clear:g}", limit=f"{under:g}")
            return under, clear
    raise Unfit("", "one_side")
