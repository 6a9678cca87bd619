"""Smoke or heat at a node, by the detector that edge and cloud share (detect/): suspected, probable, never confirmed.

A node is what one gateway hangs up at one place: its channels that are bound to the same tree, zone or hamlet, or
those that `nodes` names together. It needs PM2.5 *and* CO; one with PM2.5 alone is given no claim (docs/detection.md).
What an edge claims itself (`smoke_claim`) opens and raises the same incident. It ends when nothing bears the claim out
for `clear_s`; of what was probable people say so.

Silence after smoke is no end: after `silent_s` without a value, while alerts listen, it is probable.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from cloud.alerts.rules import DAY_MS, STAKES, Name, Silence, What, check_what, longer_than_a_beat
from cloud.alerts.spans import MIDDLE, Patience
from settings.finding import Unfit, shown
from wire.topics import CHANNEL

GAP_MS = 1_200_000  # sensors that are read more rarely cannot carry a claim
Seconds = Annotated[float, msgspec.Meta(ge=60, le=86_400)]


class CONFIG(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One `[[rule]]` with kind = "detect"; times in seconds."""

    name: Annotated[Name, msgspec.Meta(description="a name for this rule, in mails and the journal")]
    kind: Annotated[Literal["detect"], msgspec.Meta(description="which kind of rule")]
    nodes: Annotated[
        list[list[str]],
        msgspec.Meta(
            description="channels that are one node although they are bound elsewhere, or one of several at a place, "
            'as gateway/channel: [["sg-01/smoke-1", "sg-01/co-1", "sg-01/air-1"]]'
        ),
    ] = []
    near_m: Annotated[
        Annotated[float, msgspec.Meta(ge=0, le=10_000)],
        msgspec.Meta(
            description="nodes so near know of each other: haze is told by them, and smoke at two is probable"
        ),
    ] = 1_500.0
    silent_s: Annotated[
        Seconds, msgspec.Meta(description="silence of its smoke sensors after smoke, before that is told")
    ] = 240.0
    clear_s: Annotated[Seconds, msgspec.Meta(description="how long nothing must bear it out before it ends")] = 3_600.0
    role: Annotated[
        Literal["fire-watch", "operator"],
        msgspec.Meta(description="whom it tells: the contacts of this role"),
    ] = "fire-watch"
    what_vi: Annotated[What, msgspec.Meta(description="what is said, in Vietnamese")] = "nghi có khói"
    what_en: Annotated[What, msgspec.Meta(description="what is said, in English")] = "suspected smoke"


class RULE:
    """The detector over the nodes of a garden. Raises Unfit for nodes that cannot be."""

    kind = "detect"
    quantity = "pm2_5"  # by which its incidents are shown
    window_ms, zones = 0, ()

    def __init__(self, config: CONFIG) -> None:
        check_what(what_vi=config.what_vi, what_en=config.what_en)
        longer_than_a_beat(silent_s=config.silent_s)
        self.name, self.role, self.near_m = config.name, config.role, config.near_m
        self.grade, self.may_burn = STAKES[self.role], True
        self.what = {"vi": config.what_vi, "en": config.what_en}
        self.nodes = _nodes(config.nodes)
        self.clear_ms = round(config.clear_s * 1000)
        self.silence = Silence("incident", round(config.silent_s * 1000), DAY_MS)
        self.patience = Patience(persist_ms=0, clear_ms=self.clear_ms, gap_ms=GAP_MS)
        self._clear_s = config.clear_s

    def mark(self, value: float) -> int:  # noqa: ARG002 - no value alone says anything
        """No value alone is smoke, or none."""
        return MIDDLE

    def section(self, basis: str) -> str:  # noqa: ARG002 - it always rests on a node
        """There is one wording."""
        return "node"

    def facts(self) -> dict[str, float | str]:
        """Return the times."""
        return {"clear_s": self._clear_s, "unit": "ug/m3"}


def _nodes(named: list[list[str]]) -> dict[tuple[str, str], str]:
    """Return the name of the node of each channel that is named: its first channel. Raises Unfit."""
    found: dict[tuple[str, str], str] = {}
    for node in named:
        keys = [(gateway, channel) for gateway, _, channel in (one.partition("/") for one in node)]
        for key, text in zip(keys, node, strict=True):
            whole = all(map(CHANNEL.fullmatch, key)) and key[0] == keys[0][0]
            if not whole or key in found:
                raise Unfit("nodes", "no_node", value=shown(text))
            found[key] = keys[0][1]
    return found


def reasons(claim: str, lang: str) -> list[str]:
    """Return why something is claimed, a sentence each; `claim` is that of an incident, as JSON."""
    if not claim:
        return []
    words, told = _words()[lang], msgspec.json.decode(claim)
    sentences = words["reason"]
    return [
        sentences[key].format_map(_figures(figures, lang) | {"claimed": _claimed(figures, words["claimed"])})
        for key, figures in told["reasons"]
        if key in sentences
    ]


def grounds(claim: str, lang: str) -> str:
    """Return within how many metres a claim's source is, how old its ordinary is and whence its limits; "" of none."""
    if not claim:
        return ""
    words, told = _words()[lang]["grounds"], msgspec.json.decode(claim)
    radius_m, learned_ms = told.get("radius_m"), told.get("baseline_ms")
    said = [words["anywhere"] if radius_m is None else words["within"].format(n=radius_m)]
    if learned_ms:
        said.append(words["learned"].format(n=max(0, told["utc_ms"] - learned_ms) // 60_000))
    else:
        said.append(words["unlearned"])
    return "; ".join([*said, words.get(told.get("figures_from"), "")]).removesuffix("; ")


def _claimed(figures: dict[str, float], words: dict[str, str]) -> str:
    level = f"{figures.get('level', 0.0):g}"
    return words.get(level, level)


def _figures(figures: dict[str, float], lang: str) -> dict[str, str]:
    said = {key: f"{value:.4g}" for key, value in figures.items()}
    return {key: text.replace(".", ",") for key, text in said.items()} if lang == "vi" else said


@cache
def _words() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
