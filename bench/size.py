"""Bytes a value on the wire, beside ThingsBoard's JSON for the same values.

Payload only: the topic, MQTT, TLS and TCP cost both the same per message, about 100 to 150 bytes. Ours carries what the
JSON cannot say (sequence numbers, the reason of each absent value, clock source, CRC). An hour of polls is cut every
1, 6 and 60 rows; a value is one that is present.
"""

from __future__ import annotations

import zlib
from statistics import median
from typing import TYPE_CHECKING

from bench import field, report

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "bytes"
TITLE = "Bytes a value on the wire"
ROWS = (1, 6, 60)
SPAN_MS = 3_600_000
SEEDS = (1, 2, 3)

SCENES: dict[str, Callable[[int], list[field.Probe]]] = {
    "5 probes": field.five,
    "5 probes, 5 % absent": lambda seed: field.five(seed, absent=0.05),
    "20 sensors, 3 cadences": field.twenty,
    "20 sensors, 3 cadences, 5 % absent": lambda seed: field.twenty(seed, absent=0.05),
}


def run(*, quick: bool = False) -> str:
    """Return the table."""
    rows = []
    for scene, probes in SCENES.items():
        for every in ROWS:
            seen = [_sizes(probes(seed), every) for seed in SEEDS[: 1 if quick else None]]
            ours, squeezed, plain = (median(size[at] for size in seen) for at in range(3))
            rows.append(
                (
                    *(scene, every, report.figure(ours), report.figure(plain), report.times(plain / ours)),
                    *(report.figure(squeezed), report.times(squeezed / ours)),
                )
            )
    head = ("scene", "rows", "gocche", "ThingsBoard JSON", "JSON/gocche", "JSON + zlib", "JSON + zlib/gocche")
    return report.table(head, rows)


def _sizes(probes: list[field.Probe], every: int) -> tuple[float, float, float]:
    """Return bytes a value: ours, the peer's through zlib, and the peer's as it is."""
    ours = squeezed = plain = values = 0
    for start in range(0, SPAN_MS, every * field.EVERY_MS):
        readings = list(field.polled(probes, start, start + every * field.EVERY_MS))
        for batch in field.batches(readings):
            said = field.thingsboard(batch)
            ours += len(field.packed(batch, first=1 + start // 1_000))
            squeezed += len(zlib.compress(said, 6))
            plain += len(said)
            values += sum(len(reading.values) for reading in batch)
    return ours / values, squeezed / values, plain / values
