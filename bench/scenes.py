"""Scenes played to the detector and, beside it, to the plain rules that it has to beat; the 12 supplied ones read."""

from __future__ import annotations

import csv
import json
from collections import defaultdict, deque
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.plume import START_MS, Scene
from detect.claim import PROBABLE, SUSPECTED
from detect.node import as_neighbour, silent, step
from detect.state import Node, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from detect.claim import Claim

SUPPLIED = Path(__file__).parent.parent / "tests" / "detect" / "scenarios"
RIVALS = ("T ≥ 60 °C", "ΔT/ΔRH", "PM > 71.22", "CO > 2 ppm")


class Found(NamedTuple):
    """When a rule first spoke, in seconds of the scene, by rule; None for never."""

    first_s: dict[str, float | None]

    def after_onset(self, rule: str, scene: Scene) -> float | None:
        """Return minutes from the onset of the fire to the first word of a rule; None for none or an earlier one."""
        at_s = self.first_s[rule]
        return None if at_s is None or scene.onset_s is None or at_s < scene.onset_s else (at_s - scene.onset_s) / 60

    def false(self, rule: str, scene: Scene) -> bool:
        """Tell whether a rule spoke before or without a fire."""
        at_s = self.first_s[rule]
        return at_s is not None and (scene.onset_s is None or at_s < scene.onset_s)


def supplied() -> dict[str, Scene]:
    """Return the 12 scenarios of the manifest: three nodes, one sample a minute."""
    told = json.loads((SUPPLIED / "manifest.json").read_text(encoding="utf-8"))["scenarios"]
    return {name: _read(name, about) for name, about in told.items()}


def _read(name: str, about: dict[str, object]) -> Scene:
    rows: dict[int, dict[str, Sample]] = defaultdict(dict)
    with (SUPPLIED / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            minute = int(row["minute"])
            values = (row[key] for key in ("pm25_ugm3", "co_ppm", "t_c", "rh_pct", "batt_v"))
            rows[minute][row["node"]] = Sample(START_MS + minute * 60_000, *(float(v) if v else None for v in values))
    minutes, onset = int(str(about["minutes"])), about.get("onset_min")
    steps = [(START_MS + minute * 60_000, rows.get(minute, {})) for minute in range(minutes)]
    lost = str(about.get("node_lost", ""))
    gone = max(minute for minute in rows if lost in rows[minute]) * 60.0 if lost else None
    return Scene(name, steps, int(str(onset)) * 60.0 if onset is not None else None, lost, gone)


def claims(scene: Scene, danger: int | None, nodes: str = "ABC") -> Iterator[tuple[int, str, Claim]]:
    """Yield each claim as it is made: (UTC ms, node, claim), nodes knowing of each other."""
    states = dict.fromkeys(nodes, Node())
    for utc_ms, said in scene.steps:
        near = {node: as_neighbour(state) for node, state in states.items()}
        for node in nodes:
            sample = said.get(node)
            if sample is None:
                states[node], claim = silent(states[node], utc_ms, danger=danger)
            else:
                others = [one for name, one in near.items() if one and name != node]
                states[node], claim = step(states[node], sample, others, danger)
                near[node] = as_neighbour(states[node])
            yield utc_ms, node, claim


def play(scene: Scene, danger: int | None, nodes: str = "ABC") -> Found:
    """Return when each rule first spoke."""
    first: dict[str, float | None] = dict.fromkeys(("suspected", "probable", *RIVALS))
    for utc_ms, _, claim in claims(scene, danger, nodes):
        for name, level in (("suspected", SUSPECTED), ("probable", PROBABLE)):
            if claim.level >= level and first[name] is None:
                first[name] = (utc_ms - START_MS) / 1000
    return Found(first | _rivals(scene, nodes))


def _rivals(scene: Scene, nodes: str) -> dict[str, float]:
    """Return when the plain rules first spoke."""
    found: dict[str, float] = {}
    past: dict[str, deque[Sample]] = {node: deque() for node in nodes}
    for utc_ms, said in scene.steps:
        for node in nodes:
            sample = said.get(node)
            if sample is None:
                continue
            own = past[node]
            while own and utc_ms - own[0].utc_ms > 600_000:
                own.popleft()
            for rule, speaks in zip(RIVALS, _speaks(sample, own), strict=True):
                if speaks:
                    found.setdefault(rule, (utc_ms - START_MS) / 1000)
            own.append(sample)
    return found


def _speaks(sample: Sample, past: Sequence[Sample]) -> tuple[bool, bool, bool, bool]:
    temp, rh = sample.temp or 0.0, sample.rh or 0.0
    jump = bool(past) and (temp - (past[0].temp or 0.0) >= 5.0 or rh - (past[0].rh or 0.0) <= -15.0)
    return temp >= 60.0, jump, (sample.pm2_5 or 0.0) > 71.22, (sample.co or 0.0) > 2.0
