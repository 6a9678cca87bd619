"""Something that was there is gone: a gateway falls silent, or a modem that was registered has no service.

`of = "gateway"`: nothing was heard for `after_s`, counted only while alerts themselves were listening. It ends when the
gateway was heard again for `clear_s` without such a silence: one that is heard every few minutes is one incident.

`of = "service"`: the code of `quantity` left its in-service set (3GPP TS 27.007 <stat>: 1 registered, 5 roaming) for
`persist_s`, having been inside before. Where that modem is the gateway's own way out (`way_out` of its binding), no
reading can arrive while it lasts: then `after_s` of silence opens the same incident, worded as what it is, and the
gateway rule stays quiet, except where the hamlet has a modem of another gateway, too. Evidence that arrives later is
written into that incident's journal. Where a hamlet has more modems than one, each loss is written down, and the
hamlet's is told once all of them are without service (cloud/alerts/decide/hamlets.py).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from cloud.alerts.rules import DAY_MS, Name, Silence, What, check_what, longer_than_a_beat, quantity_for, signal_grade
from cloud.alerts.spans import BAD, GOOD, Patience
from settings.finding import Unfit, shown
from wire.quantities import Groups

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
SilenceSeconds = Annotated[float, msgspec.Meta(ge=1, le=86_400)]


class CONFIG(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One `[[rule]]` with kind = "absence"; times in seconds. `quantity` to `gap_s` are for of = "service"."""

    name: Annotated[Name, msgspec.Meta(description="a name for this rule, in mails and the journal")]
    kind: Annotated[Literal["absence"], msgspec.Meta(description="which kind of rule")]
    of: Annotated[
        Literal["gateway", "service"],
        msgspec.Meta(description="gateway: nothing is heard; service: a modem lost its service"),
    ]
    after_s: Annotated[SilenceSeconds, msgspec.Meta(description="silence of the gateway that counts")] = 300.0
    quantity: Annotated[str, msgspec.Meta(description="the quantity that it watches")] = ""
    persist_s: Annotated[Seconds, msgspec.Meta(description="how long it must last before anybody is told")] = 60.0
    clear_s: Annotated[
        Seconds | None,
        msgspec.Meta(description="how long it must be well before it ends; service: 60, gateway: twice after_s"),
    ] = None
    gap_s: Annotated[SilenceSeconds, msgspec.Meta(description="readings further apart do not add up")] = 300.0
    role: Annotated[
        Literal["", "fire-watch", "commune", "telecom", "operator"],
        msgspec.Meta(description="whom it tells: the contacts of this role"),
    ] = ""
    what_vi: Annotated[What, msgspec.Meta(description="what is said, in Vietnamese")] = ""
    what_en: Annotated[What, msgspec.Meta(description="what is said, in English")] = ""


FORGET_MS = 30 * DAY_MS  # a gateway that is not heard for so long was taken down
_DEFAULTS = {
    "gateway": ("operator", "trạm im lặng", "gateway silent"),
    "service": ("telecom", "mất sóng", "no mobile service"),
}


class RULE:
    """Absence in one of its two shapes. Raises ValueError for keys that do not fit the shape."""

    kind = "absence"
    window_ms, zones = 0, ()

    def __init__(self, config: CONFIG) -> None:
        role, what_vi, what_en = _DEFAULTS[config.of]
        self.name, self.role, self.quantity = config.name, config.role or role, config.quantity
        self.grade, self.may_burn = signal_grade(self.role), False
        self.what = {"vi": config.what_vi or what_vi, "en": config.what_en or what_en}
        check_what(what_vi=config.what_vi, what_en=config.what_en)
        longer_than_a_beat(after_s=config.after_s)
        self._config = config
        self._inside = _inside(config)
        of: Literal["gateway", "way_out"] = "gateway" if config.of == "gateway" else "way_out"
        self.silence = Silence(of, round(config.after_s * 1000), FORGET_MS)
        self._clear_s = {"gateway": 2 * config.after_s, "service": 60.0}[config.of]
        if config.clear_s is not None:
            self._clear_s = config.clear_s
        self.patience = Patience(
            persist_ms=round(config.persist_s * 1000),
            clear_ms=round(self._clear_s * 1000),
            gap_ms=round(config.gap_s * 1000),
            only_lost=True,
        )

    def mark(self, value: float) -> int:
        """GOOD inside the in-service set, BAD outside."""
        return GOOD if int(value) in self._inside else BAD

    def section(self, basis: str) -> str:
        """Silence of a way out is worded differently from readings that say "no service"."""
        if self._config.of == "gateway":
            return "gateway"
        if basis == "modems":
            return "hamlet"
        return "service" if basis in ("readings", "unstored") else "way_out"

    def facts(self) -> dict[str, float | str]:
        """Return the times."""
        config = self._config
        return {"after_s": config.after_s, "persist_s": config.persist_s, "clear_s": self._clear_s, "unit": ""}


def _inside(config: CONFIG) -> frozenset[int]:
    if config.of == "gateway":
        if config.quantity:
            raise Unfit("quantity", "of_gateway", value=shown(config.quantity))
        return frozenset()
    urgency = quantity_for(config.quantity).urgency
    if not isinstance(urgency, Groups):
        raise Unfit("quantity", "no_service_set", value=shown(config.quantity))
    return urgency.inside
