"""Why a gateway is silent, as far as there is evidence: power, its link, an order; else unknown, never a guess. Pure.

Before the silence: no mains, a supply that was low or falling, a modem without service or at the edge of what it hears,
an order to stop. At the same time: others of the commune that fall silent, too, which speaks for the grid or the
network, and not for which. After it: a boot that began while it was silent; the same boot all along, so that the
machine had power (its program may have stopped); or readings of the first minutes of silence, which alone make it
certain that it was the link.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from cloud.clock import hanoi
from settings.words import said
from wire.quantities import RADIO

if TYPE_CHECKING:
    from collections.abc import Sequence

Likely = Literal["power", "link", "no_power", "stopped", "worse", "unknown"]
# Each kind of reason, and for what it speaks.
SPEAKS: dict[str, Likely] = {
    "stopped": "stopped",
    "mains": "power",
    "low": "power",
    "falling": "power",
    "near_mains": "power",
    "service": "link",
    "edge": "link",
    "same_boot": "no_power",
    "lived": "unknown",  # alone, later than at its beginning: it may have come back without a link
    "restarted": "power",
    "together": "unknown",
    "usual": "worse",
    "radio": "worse",
    "cell": "worse",
}
EARLY_MIN = 15.0  # what measured so soon after its last word had power and ran, and could not be heard
EDGE_DBM = -118.0  # of RSRP: below it a modem that is still registered hardly gets anything through
FALLING_V, FALLING_MS = 0.5, 2 * 3_600_000
WORDS = "cloud.alerts"


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that speaks for a cause: since when (UTC ms), the figures, and of how many others.

    Of readings of the silence (lived) `at_ms` is the last, `value` how many minutes after its last word the first is.
    """

    why: str
    at_ms: int = 0
    value: float = 0.0
    before: float = 0.0
    n: int = 0


class Cause(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why something is silent; `boot` is the gateway's before it was, "" where nobody knows."""

    reasons: tuple[Reason, ...] = ()
    boot: str = ""

    @property
    def likely(self) -> Likely:
        """Return what the reasons speak for; unknown where they speak for several causes, or for none.

        A machine that ran all along had power, whatever spoke for the contrary; its program may have stopped.
        """
        whys = {one.why for one in self.reasons}
        spoken = {SPEAKS.get(why, "unknown") for why in whys} - {"unknown"}
        if self.certain:
            return "link"
        if "stopped" in spoken:
            return "stopped"
        if "no_power" in spoken:
            return "link" if "link" in spoken else "no_power"
        return spoken.pop() if len(spoken) == 1 else "unknown"

    @property
    def certain(self) -> bool:
        """Whether it is no conclusion any more."""
        return any(one.why == "lived" and one.value <= EARLY_MIN for one in self.reasons)

    def joined(self, one: Reason) -> Cause:
        """Return it with one more reason; of a kind the newest stays, and what is refuted goes."""
        kept = tuple(other for other in self.reasons if other.why != one.why)
        return Cause((*kept, one), self.boot)


def written(cause: Cause) -> str:
    """Return it as an incident keeps it."""
    return msgspec.json.encode(cause).decode()


def read(text: str) -> Cause:
    """Return a cause as an incident keeps it; without reasons where it has none, or cannot be read."""
    try:
        return msgspec.json.decode(text, type=Cause) if text else Cause()
    except msgspec.DecodeError:
        return Cause()


def falling(points: Sequence[tuple[int, float]]) -> tuple[float, float] | None:
    """Return from where to where a supply fell in its last two hours; None where it did not fall clearly.

    `points` are (UTC ms, V) in order of time. Falling is that the end is lowest, and by half a volt below the start.
    """
    late = [one for one in points if points and one[0] >= points[-1][0] - FALLING_MS]
    if len(late) < 3:
        return None
    first, last = late[0][1], late[-1][1]
    return (first, last) if first - last >= FALLING_V and last <= min(volt for _, volt in late) else None


def told(text: str, lang: str, when: str = "%H:%M %d/%m") -> str:
    """Return a cause as people read it: what is likely or known, and the reasons; "" where nobody asked why."""
    if not text:
        return ""
    cause = read(text)
    facts = []
    for one in cause.reasons:
        radio = RADIO.get(int(one.value), ("", "")) if one.why == "radio" else ("", "")
        fields = {"at": hanoi(one.at_ms).strftime(when), "n": one.n, "radio": radio[lang == "en"]}
        fields |= {name: _number(getattr(one, name), lang) for name in ("value", "before")}
        facts.append(said(WORDS, "reason", one.why, lang, **fields))
    head = said(WORDS, "cause", "link_sure" if cause.certain else cause.likely, lang)
    return f"{head}: {'; '.join(facts)}" if facts else f"{head} ({said(WORDS, 'cause', 'nothing', lang)})"


def _number(value: float, lang: str) -> str:
    text = f"{value:.0f}" if value == round(value) else f"{value:g}"
    return text.replace(".", ",") if lang == "vi" else text
