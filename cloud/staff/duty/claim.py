"""What the detector says of a node, in sentences: why, within which radius, and how old its idea of ordinary is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloud.staff.visit import Visit
    from cloud.staff.words import Speaker


def reasons(visit: Visit, claim: dict[str, Any]) -> list[str]:
    """Return what it says, one sentence each; nothing without a claim."""
    s, told = visit.s, []
    for reason in claim.get("reasons") or ():
        key, figures = _parted(reason)
        words = s.word("seen", key)
        told.append(words.format_map(_Figures(figures, s)) if words != key else key)
    if (radius := claim.get("radius_m")) is not None:
        told.append(s.say("duty.radius", n=radius))
    if claim:
        learned, at = claim.get("baseline_ms"), claim.get("utc_ms") or s.now_ms
        told.append(
            s.say("duty.learned", n=max(0, int(at - learned)) // 60_000) if learned else s.say("duty.unlearned")
        )
    told += [f"{s.say('duty.cannot')} {s.word('fault', str(fault))}" for fault in claim.get("faults") or ()]
    return told


class _Figures(dict[str, str]):
    """Figures as a sentence has them; one that did not come is a dash."""

    def __init__(self, figures: dict[str, float], s: Speaker) -> None:
        super().__init__({key: s.number(value).removesuffix(",0").removesuffix(".0") for key, value in figures.items()})

    def __missing__(self, key: str) -> str:
        return "—"


def _parted(reason: Any) -> tuple[str, dict[str, float]]:
    if isinstance(reason, dict):
        return str(reason.get("key", "")), dict(reason.get("figures") or {})
    key, *figures = reason
    return str(key), dict(figures[0]) if figures else {}
