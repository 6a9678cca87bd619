"""The levels of a signal: from which strength a place counts as good, fair or weak, and who says so.

Public scales disagree. AOSP calls NR fair from -90 dBm by default, and from -118 by the override that most phones
carry; operators call LTE good from -95 and hold -105 for the limit of data outdoors; router makers say -90 and -100. So
these are settings with their source beside them, and the raw dBm are kept: who changes a limit gets a map of all months
by it. This is the one copy: the table of hamlets, the map, its legend and alerts ask here.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import msgspec

from settings.expected import convert
from settings.finding import Unfit

if TYPE_CHECKING:
    from cloud.config import CloudConfig

Radio = Literal["lte", "nr"]
LEVELS = ("good", "fair", "weak")  # of what has service, best first
_Dbm = Annotated[float, msgspec.Meta(ge=-157, le=-20)]


class Scale(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[signal]`: from which RSRP (dBm) on a level holds. Below fair a place with service is weak; without, it is none.

    `..._none_dbm` is the strength about which telephones lose the network. It classes no sample, for whoever has
    service has it; the judge takes it for what moments without service would have shown. NR below it is no 5G.
    """

    lte_good_dbm: Annotated[_Dbm, msgspec.Meta(description="4G is good from this RSRP (dBm) on")] = -95
    lte_fair_dbm: Annotated[_Dbm, msgspec.Meta(description="4G is fair from this RSRP (dBm) on, weak below it")] = -105
    lte_none_dbm: Annotated[_Dbm, msgspec.Meta(description="about here telephones lose 4G")] = -120
    nr_good_dbm: Annotated[_Dbm, msgspec.Meta(description="5G is good from this SS-RSRP (dBm) on")] = -100
    nr_fair_dbm: Annotated[
        _Dbm, msgspec.Meta(description="5G is fair from this SS-RSRP (dBm) on, weak below it")
    ] = -110
    nr_none_dbm: Annotated[_Dbm, msgspec.Meta(description="below this SS-RSRP (dBm) there is no 5G")] = -120
    poor_sinr_db: Annotated[
        float, msgspec.Meta(ge=-30, le=30, description="below this SINR (dB) nothing is better than weak")
    ] = 0
    stale_s: Annotated[
        float, msgspec.Meta(ge=60, le=604_800, description="a modem's word is of now for so many seconds")
    ] = 900

    def __post_init__(self) -> None:
        """Raise Unfit where levels are not in their order."""
        for radio in ("lte", "nr"):
            good, fair, none = self.limits(radio)
            if not good > fair > none:
                names = ", ".join(f"{radio}_{level}_dbm" for level in ("good", "fair", "none"))
                raise Unfit(f"{radio}_good_dbm", "levels", names=names, value=f"{good:g}, {fair:g}, {none:g}")

    def limits(self, radio: Radio) -> tuple[float, float, float]:
        """Return from where on a radio is good and fair, and where it is lost (dBm)."""
        if radio == "lte":
            return self.lte_good_dbm, self.lte_fair_dbm, self.lte_none_dbm
        return self.nr_good_dbm, self.nr_fair_dbm, self.nr_none_dbm

    def level(self, radio: Radio, rsrp_dbm: float, sinr_db: float | None = None) -> str:
        """Return good, fair or weak for what was heard with service."""
        good, fair, _ = self.limits(radio)
        if rsrp_dbm < fair or (sinr_db is not None and sinr_db < self.poor_sinr_db):
            return "weak"
        return "good" if rsrp_dbm >= good else "fair"

    def as_lte(self, nr_dbm: float) -> float:
        """Return the strength of LTE that is as good as this one of NR: levels of two radios on one axis."""
        good, fair, none = self.limits("nr")
        lte_good, lte_fair, lte_none = self.limits("lte")
        if nr_dbm >= good:
            return lte_good + nr_dbm - good
        if nr_dbm < none:
            return lte_none + nr_dbm - none
        low, high, lte_low, lte_high = (
            (fair, good, lte_fair, lte_good) if nr_dbm >= fair else (none, fair, lte_none, lte_fair)
        )
        return lte_low + (nr_dbm - low) / (high - low) * (lte_high - lte_low)


def scale_of(config: CloudConfig) -> Scale:
    """Return the levels as cloud.toml sets them. Raises ConfigError."""
    return convert(config.file, "[signal]", config.signal, Scale)


class Row(NamedTuple):
    """One state as it is explained to people: its name and its limits in both languages, and where they come from."""

    state: str
    vi: str
    en: str
    limits_vi: str
    limits_en: str
    source_vi: str
    source_en: str


def rows(scale: Scale, layer: str) -> list[Row]:
    """Return every state of a layer of `seam.LAYERS`, best first, with its limits as they are set."""
    words = _words()
    fields = {field: f"{getattr(scale, field):g}".replace("-", "−") for field in scale.__struct_fields__}
    told = []
    for state in words["state"]:
        limits = words["limits"][layer].get(state) or words["limits"]["any"][state]
        source = words["source"].get(state, {"vi": "", "en": ""})
        told.append(
            Row(
                state,
                name(state, "vi", layer),
                name(state, "en", layer),
                limits["vi"].format_map(fields),
                limits["en"].format_map(fields),
                source["vi"],
                source["en"],
            )
        )
    return told


def name(state: str, lang: str, layer: str = "phone") -> str:
    """Return a state in words. Raises KeyError for what is none."""
    words = _words()
    return str((words["gap"][layer] if state == "none" else words["state"][state])[lang])


@cache
def _words() -> dict[str, dict[str, Any]]:
    return tomllib.loads((Path(__file__).parent / "words.toml").read_text("utf-8"))
