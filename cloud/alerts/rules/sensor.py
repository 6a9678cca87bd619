"""A sensor no longer guards although its gateway lives: it brings no value, or the same value for ever.

`after_s` without a value, counted only while alerts listened and its gateway was heard all the time: a poll that fails
for a reason is no value either. `stuck_s` of one and the same value say as little; how long is too long depends on the
quantity (clean air at night may well be 3 µg/m³ for hours), so there is a day by default, and none for quantities that
are codes: but one that somebody has to bring about, as the weekly test of a siren, may be missed. It ends when values
come and change again for `clear_s`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from cloud.alerts.rules import DAY_MS, STAKES, Name, Silence, What, check_what, longer_than_a_beat, quantity_for
from cloud.alerts.spans import MIDDLE, Patience
from settings.finding import Unfit

SomeSeconds = Annotated[float, msgspec.Meta(ge=1, le=30 * 86_400)]
FORGET_MS = 30 * DAY_MS  # a sensor that brings nothing for so long was taken down
STUCK_S = 86_400.0
CODE_S = 7 * 86_400.0  # the shortest time in which a code that stays can mean anything


class CONFIG(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One `[[rule]]` with kind = "sensor"; times in seconds."""

    name: Annotated[Name, msgspec.Meta(description="a name for this rule, in mails and the journal")]
    kind: Annotated[Literal["sensor"], msgspec.Meta(description="which kind of rule")]
    quantity: Annotated[str, msgspec.Meta(description="the quantity whose sensors are guarded")]
    after_s: Annotated[
        SomeSeconds, msgspec.Meta(description="without a value for so long while its gateway lives; above its pace")
    ] = 1_800.0
    stuck_s: Annotated[
        Annotated[float, msgspec.Meta(ge=0, le=30 * 86_400)] | None,
        msgspec.Meta(
            description="the same value for so long; 0 never; by default a day; of codes never, or a week and more"
        ),
    ] = None
    clear_s: Annotated[SomeSeconds, msgspec.Meta(description="how long values must come again before it ends")] = 600.0
    role: Annotated[
        Literal["fire-watch", "commune", "telecom", "operator"],
        msgspec.Meta(description="whom it tells: the contacts of this role"),
    ] = "operator"
    what_vi: Annotated[What, msgspec.Meta(description="what is said, in Vietnamese")] = "mất canh đo"
    what_en: Annotated[What, msgspec.Meta(description="what is said, in English")] = "protection off"


class RULE:
    """A sensor that guards no longer. Raises Unfit for a quantity that cannot stick."""

    kind = "sensor"
    window_ms, zones = 0, ()
    may_burn = False
    grade = STAKES["operator"]  # whoever is told: nothing burns, somebody has to go and look

    def __init__(self, config: CONFIG) -> None:
        codes = quantity_for(config.quantity).codes is not None
        if codes and 0 < (config.stuck_s or 0) < CODE_S:
            facts = {"quantity": config.quantity, "least": f"{CODE_S:g}"}
            raise Unfit("stuck_s", "code_that_stays", value=f"{config.stuck_s:g}", **facts)
        check_what(what_vi=config.what_vi, what_en=config.what_en)
        longer_than_a_beat(after_s=config.after_s, **({"stuck_s": config.stuck_s} if config.stuck_s else {}))
        stuck_s = config.stuck_s if config.stuck_s is not None else STUCK_S * (not codes)
        self.name, self.role, self.quantity = config.name, config.role, config.quantity
        self.what = {"vi": config.what_vi, "en": config.what_en}
        self._config, self._stuck_s, self._codes = config, stuck_s, codes
        self.silence = Silence("sensor", round(config.after_s * 1000), FORGET_MS, round(stuck_s * 1000))
        self.patience = Patience(persist_ms=0, clear_ms=round(config.clear_s * 1000), gap_ms=0)

    def mark(self, value: float) -> int:  # noqa: ARG002 - no value is bad: none is
        """Every value is as good as another."""
        return MIDDLE

    def section(self, basis: str) -> str:
        """A sensor that brings nothing is worded differently from one that always brings the same."""
        same = "idle" if self._codes else "stuck"
        return same if basis == "stuck" else "dead"

    def facts(self) -> dict[str, float | str]:
        """Return the times."""
        config = self._config
        return {
            "after_s": config.after_s,
            "stuck_s": self._stuck_s,
            "stuck_d": self._stuck_s / 86_400,
            "clear_s": config.clear_s,
            "unit": "",
        }
