"""What the detector finds, and what it calls fire that is none, beside four plain rules in the same run.

All of it is synthetic. The limits of `detect/limits.py` were looked at with the supplied scenarios and the seeds from
1,000 on; the seeds from 90,000 on are a test that nothing was chosen by.
"""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

from bench import plume, scenes
from bench.report import figure, table
from detect.claim import PROBABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bench.plume import Scene

NAME = "detection"
TITLE = "Detection of smoke: found, minutes, false alarms (synthetic)"
RULES = ("suspected", "probable", *scenes.RIVALS)
TUNED, TEST = 1_000, 90_000
UNKNOWN = None  # the danger level of a garden without a table: what most will run with


def run(*, quick: bool = False) -> str:
    """Return the tables."""
    count = 6 if quick else 100
    parts = [
        "The 12 supplied scenarios, danger unknown: minutes after the onset, **!** where there was no fire (yet):\n",
        _supplied(),
        f"\nFires of seeds nobody tuned on, {count} each, found and the median of minutes; one sample a minute:\n",
        _fires(count),
        "\nThe same rules by seeds that were looked at while tuning, by danger level, and by sampling:\n",
        _variants(max(count // 4, 3)),
        f"\nDays without fire, {'few' if quick else '1,023 node-days of three nodes'}: days with a false alarm:\n",
        _calm(2 if quick else 31),
        "\n" + _wood(5 if quick else 60),
        "\n" + _burnt(4 if quick else 60),
        "\n" + _speed(),
    ]
    return "\n".join(parts)


def _supplied() -> str:
    rows = []
    for name, scene in scenes.supplied().items():
        found = scenes.play(scene, UNKNOWN)
        cells = []
        for rule in RULES:
            after = found.after_onset(rule, scene)
            cells.append("!" if found.false(rule, scene) else "–" if after is None else f"{after:.0f}")
        rows.append([name, *cells])
    return table(["scenario", *RULES], rows)


_KINDS: dict[str, Callable[[int], Scene]] = {
    "30–100 m, three nodes": lambda seed: plume.fire(seed, 30, 100),
    "30–100 m, a node alone": lambda seed: plume.fire(seed, 30, 100, nodes="A"),
    "100–200 m": lambda seed: plume.fire(seed, 100, 200),
    "200–300 m": lambda seed: plume.fire(seed, 200, 300),
}


def _fires(count: int) -> str:
    rows = []
    for name, made in _KINDS.items():
        rows.append([name, *_row(map(made, range(TEST, TEST + count)), UNKNOWN)])
    return table(["fire", *RULES, "suspected ≤ 15 min"], rows)


def _variants(count: int) -> str:
    rows = []
    for name, seed, danger, every_s in (
        ("tuned seeds", TUNED, None, 60),
        ("test seeds, danger I–III", TEST, 1, 60),
        ("test seeds, danger V", TEST, 5, 60),
        ("test seeds, each 30 s", TEST, None, 30),
        ("test seeds, each 5 s", TEST, None, 5),
    ):
        made = (plume.fire(one, 30, 100, every_s=every_s) for one in range(seed, seed + count))
        rows.append([f"30–100 m, {name}", *_row(made, danger)])
    return table(["fire", *RULES, "suspected ≤ 15 min"], rows)


def _row(made: Iterable[Scene], danger: int | None) -> list[str]:
    found: dict[str, list[float | None]] = {rule: [] for rule in RULES}
    for scene in made:
        nodes = "".join(sorted({node for _, said in scene.steps[:1] for node in said}))
        one = scenes.play(scene, danger, nodes)
        for rule in RULES:
            found[rule].append(one.after_onset(rule, scene))
    first = found["suspected"]
    early = sum(at is not None and at <= 15 for at in first)
    return [*(_found(found[rule]) for rule in RULES), f"{100 * early / len(first):.0f} %"]


def _found(minutes: Sequence[float | None]) -> str:
    known = [at for at in minutes if at is not None]
    return f"{len(known)} of {len(minutes)}" + (f", {median(known):.1f}" if known else "")


def _calm(days: int) -> str:
    rows = []
    kinds = [(kind, "ABC") for kind in plume.CALM_KINDS] + [("haze", "A"), ("haze-fast", "A"), ("fog", "A")]
    for kind, nodes in kinds:
        made = (plume.calm_day(kind, TEST + seed, nodes=nodes) for seed in range(days))
        found = [scenes.play(one, UNKNOWN, nodes) for one in made]
        name = f"{kind}, {days} days" + ("" if len(nodes) > 1 else ", a node alone")
        rows.append([name, *(sum(one.first_s[rule] is not None for one in found) for rule in RULES)])
    return table(["day", *RULES], rows)


def _wood(count: int) -> str:
    said = []
    for minutes in (10, 19, 40):
        one = [scenes.play(plume.cooking(TEST + seed, minutes, nodes="A"), 5, "A") for seed in range(count)]
        suspected, probable = (sum(found.first_s[rule] is not None for found in one) for rule in RULES[:2])
        said.append(f"{minutes} minutes: {suspected} suspected, {probable} probable")
    return f"Wood smoke 8–25 m from one node at danger V, {count} each: {'; '.join(said)}."


def _burnt(count: int) -> str:
    """A node that fire reaches: claimed as probable six minutes after its last word at the latest."""
    burnt = kept = before = 0
    for seed in range(TEST, TEST + count):
        scene = plume.fire(seed, 20, 60, burns=True)
        if scene.burnt_s is None:
            continue  # the fire did not come so far
        last_ms = plume.START_MS + 1000 * scene.burnt_s
        own = [(ms, claim.level) for ms, node, claim in scenes.claims(scene, UNKNOWN) if node == "A"]
        burnt += 1
        kept += all(level == PROBABLE for ms, level in own if ms >= last_ms + 360_000)
        before += any(level == PROBABLE for ms, level in own if ms < last_ms)
    return (
        f"A node that the fire burns ({burnt}): probable from 6 minutes after its last word on: {kept}; "
        f"already before it burnt: {before}."
    )


def _speed() -> str:
    scene = plume.calm_day("plain", TEST, hours=8.0)
    samples = sum(len(said) for _, said in scene.steps)
    begun = time.thread_time()
    for _ in scenes.claims(scene, UNKNOWN):
        pass
    rate = samples / (time.thread_time() - begun)
    return f"{figure(rate)} samples a second of one core ({figure(1e6 / rate)} µs each), neighbours included."
