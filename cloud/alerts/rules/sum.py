"""So much has risen within some hours: heavy rain from the running total of a gauge.

A running total says nothing by itself, so what is judged is what fell in the `hours` before each reading, by the
readings' own times (`cloud/alerts/rainfall.py`). It opens with the first sum that is over `over`: it is a sum over time
already. It ends after `clear_s` of sums below `clear_below` that are known: a gap in the readings is never no rain, and
a sum across one is told as the least that fell, as every sum is.

Thresholds are data, each with its `source`, which stands in the letter. `zones` names the zones for which they hold; a
rule without holds wherever no other of the same quantity and hours names the zone. To begin with (sample cloud.toml):
100 mm in 24 h, from which Decision 18/2021/QĐ-TTg, article 46, counts the risk of flash floods and landslides; 70 mm in
3 h, what the national bulletins call of great intensity (18 May 2025). For one hour no official figure was found.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from cloud.alerts.rules import DAY_MS, STAKES, Name, Silence, What, check_what, quantity_for
from cloud.alerts.spans import BAD, GOOD, MIDDLE, Patience
from settings.finding import Unfit, shown

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
SomeSeconds = Annotated[float, msgspec.Meta(ge=1, le=86_400)]
Millimetres = Annotated[float, msgspec.Meta(gt=0, le=5_000)]
RUNNING = ("rain_total",)  # quantities that are running totals


class CONFIG(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One `[[rule]]` with kind = "sum". Values are in the quantity's unit, times in seconds."""

    name: Annotated[Name, msgspec.Meta(description="a name for this rule, in mails and the journal")]
    kind: Annotated[Literal["sum"], msgspec.Meta(description="which kind of rule")]
    quantity: Annotated[str, msgspec.Meta(description="the running total that it watches")] = "rain_total"
    hours: Annotated[float, msgspec.Meta(description="over how many hours it is summed", ge=0.25, le=72)]
    over: Annotated[Millimetres, msgspec.Meta(description="a sum above this counts")]
    clear_below: Annotated[Millimetres, msgspec.Meta(description="below this it may end")]
    source: Annotated[
        str,
        msgspec.Meta(
            description="where this threshold comes from: it stands in the letter", min_length=1, max_length=160
        ),
    ]
    zones: Annotated[
        tuple[str, ...], msgspec.Meta(description="codes of the zones for which it holds; all others when left out")
    ] = ()
    clear_s: Annotated[Seconds, msgspec.Meta(description="how long it must be well before it ends")] = 1_800.0
    gap_s: Annotated[
        SomeSeconds, msgspec.Meta(description="readings further apart leave a gap: what fell in it is not known")
    ] = 900.0
    silent_s: Annotated[
        SomeSeconds, msgspec.Meta(description="silence of its gauge while it lasts, before that is told")
    ] = 1_800.0
    role: Annotated[
        Literal["commune", "fire-watch", "telecom", "operator"],
        msgspec.Meta(description="whom it tells: the contacts of this role"),
    ] = "commune"
    what_vi: Annotated[What, msgspec.Meta(description="what is said, in Vietnamese")] = "mưa lớn"
    what_en: Annotated[What, msgspec.Meta(description="what is said, in English")] = "heavy rain"


class RULE:
    """A sum over a sliding window, with hysteresis. Raises Unfit for what cannot work."""

    kind = "sum"

    def __init__(self, config: CONFIG) -> None:
        self._row = quantity_for(config.quantity)
        if config.quantity not in RUNNING:
            raise Unfit("quantity", "no_running_total", value=shown(config.quantity))
        if config.clear_below > config.over:
            raise Unfit("clear_below", "clears_above", value=f"{config.clear_below:g}", limit=f"{config.over:g}")
        check_what(what_vi=config.what_vi, what_en=config.what_en)
        self._config = config
        self.name, self.role, self.quantity = config.name, config.role, config.quantity
        self.grade, self.may_burn = STAKES[self.role], False
        self.what = {"vi": config.what_vi, "en": config.what_en}
        self.window_ms, self.zones = round(config.hours * 3_600_000), config.zones
        self.patience = Patience(persist_ms=0, clear_ms=round(config.clear_s * 1000), gap_ms=round(config.gap_s * 1000))
        self.silence = Silence("incident", round(config.silent_s * 1000), DAY_MS)

    def mark(self, value: float) -> int:
        """Return what a sum is: BAD over the threshold, GOOD below the one that clears."""
        if value > self._config.over:
            return BAD
        return GOOD if value < self._config.clear_below else MIDDLE

    def section(self, basis: str) -> str:  # noqa: ARG002 - a sum rests on readings only
        """One wording."""
        return "rain"

    def facts(self) -> dict[str, float | str]:
        """Return the thresholds, where they come from, and the times."""
        config = self._config
        return {
            "limit": config.over,
            "clear": config.clear_below,
            "hours": config.hours,
            "threshold_source": config.source,
            "clear_s": config.clear_s,
            "unit": self._row.unit,
        }
