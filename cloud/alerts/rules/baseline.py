"""A fixed modem hears clearly less than it usually does at its place: RSRP, RSRQ or SINR against its own history.

Each hour's median is set beside the same quarter of the day in the last `days`, without the last one
(cloud/alerts/usual.py). It counts from `drop` dB below that on, and from `spreads` spreads of what is usual where that
is more. It opens after `persist_h` such hours in a row and ends after `clear_h` hours that are less than half as much
below. Before `least_days` of its own history nothing is usual, and nothing is told. What stays worse for some three
weeks has become usual, and is told as over. A binding that begins anew begins its history anew: elsewhere something
else is usual.

That the radio access or the cell changed in that time is said with it: 4G instead of 5G is another level, not a fault.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from cloud.alerts.rules import DAY_MS, Name, Silence, What, check_what, quantity_for, signal_grade
from cloud.alerts.spans import BAD, GOOD, MIDDLE, Patience
from cloud.alerts.usual import Terms
from cloud.clock import HOUR_MS
from settings.finding import Unfit, shown

FORGET_MS = 7 * DAY_MS  # without a reading: nobody will know any more
LEVELS = ("dBm", "dB")  # the less of it, the worse


class CONFIG(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One `[[rule]]` with kind = "baseline": a level that is worse than usual where it is measured."""

    name: Annotated[Name, msgspec.Meta(description="a name for this rule, in mails and the journal")]
    kind: Annotated[Literal["baseline"], msgspec.Meta(description="which kind of rule")]
    quantity: Annotated[str, msgspec.Meta(description="the level that it watches, in dBm or dB")]
    drop: Annotated[float, msgspec.Meta(description="so much below what is usual counts, in dB", ge=3, le=60)] = 10.0
    spreads: Annotated[
        float, msgspec.Meta(description="and so many of its usual spreads, where that is more", ge=1, le=20)
    ] = 4.0
    days: Annotated[int, msgspec.Meta(description="over how long something is usual", ge=14, le=60)] = 28
    least_days: Annotated[
        int, msgspec.Meta(description="of how many days it must be known before anything is", ge=5, le=60)
    ] = 10
    persist_h: Annotated[
        int, msgspec.Meta(description="how many hours it must last before anybody is told", ge=2, le=72)
    ] = 6
    clear_h: Annotated[int, msgspec.Meta(description="how many hours it must be well before it ends", ge=2, le=72)] = 6
    role: Annotated[
        Literal["fire-watch", "commune", "telecom", "operator"],
        msgspec.Meta(description="whom it tells: the contacts of this role"),
    ] = "telecom"
    what_vi: Annotated[What, msgspec.Meta(description="what is said, in Vietnamese")] = "sóng yếu hơn thường lệ"
    what_en: Annotated[What, msgspec.Meta(description="what is said, in English")] = "signal weaker than usual"


class RULE:
    """A level against its own history. Raises Unfit for what is no level, and for a history that is never enough."""

    kind = "baseline"
    zones = ()

    def __init__(self, config: CONFIG) -> None:
        self._row = quantity_for(config.quantity)
        if self._row.unit not in LEVELS:
            raise Unfit("quantity", "no_level", value=shown(config.quantity))
        if config.least_days >= config.days:
            raise Unfit("least_days", "never_enough", value=str(config.least_days), days=str(config.days))
        check_what(what_vi=config.what_vi, what_en=config.what_en)
        self.name, self.role, self.quantity = config.name, config.role, config.quantity
        self.grade, self.may_burn = signal_grade(config.role), False
        self.what = {"vi": config.what_vi, "en": config.what_en}
        self._config = config
        self.terms = Terms(config.drop, config.spreads, config.days, config.least_days)
        self.window_ms = config.days * DAY_MS
        self.patience = Patience(
            persist_ms=(config.persist_h - 1) * HOUR_MS,  # from the end of the first hour to that of the last
            clear_ms=(config.clear_h - 1) * HOUR_MS,
            gap_ms=3 * HOUR_MS,
        )
        self.silence = Silence("incident", FORGET_MS, FORGET_MS)  # a modem that says nothing is no news of its level

    def mark(self, value: float) -> int:
        """BAD from the drop on, GOOD below half of it; a value is how much worse than usual an hour was."""
        if value >= self.terms.drop:
            return BAD
        return GOOD if value < self.terms.drop / 2 else MIDDLE

    def section(self, basis: str) -> str:  # noqa: ARG002 - it rests on readings only
        """One wording."""
        return "worse"

    def facts(self) -> dict[str, float | str]:
        """Return what it asks."""
        config = self._config
        return {
            "drop": config.drop,
            "days": config.days,
            "persist_h": config.persist_h,
            "clear_h": config.clear_h,
            "unit": "dB",
        }
