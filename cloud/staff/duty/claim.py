"""What the detector says of a node, in sentences: why, its radius, how old its ordinary is and whence its limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloud.staff.duty.seen import Seen
    from cloud.staff.visit import Visit


def why(visit: Visit, one: Seen) -> tuple[str, ...]:
    """Return why the detector claims it, each reason with its figures and limits; nothing without a claim."""
    return one.reasons_vi if visit.s.lang == "vi" else one.reasons_en


def sentences(visit: Visit, one: Seen) -> list[str]:
    """Return all that the detector says, one sentence each; nothing without a claim."""
    s, claim, told = visit.s, one.claim, list(why(visit, one))
    if not claim:
        return told
    if one.radius_m is not None:
        told.append(s.say("duty.radius", n=one.radius_m))
    learned, at = claim.get("baseline_ms"), claim.get("utc_ms") or s.now_ms
    told.append(s.say("duty.learned", n=max(0, int(at - learned)) // 60_000) if learned else s.say("duty.unlearned"))
    told.append(s.word("figures", str(claim.get("figures_from") or "")))
    return told + [f"{s.say('duty.cannot')} {s.word('fault', str(fault))}" for fault in claim.get("faults") or ()]
