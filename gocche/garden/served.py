"""The log of what was served: one JSON line for every answer, sentence and frame that left the simulator.

    {"t_ms": 1763874000123, "device": "soil-1", "n": 17, "to": "", "values": {"soil_moisture": 30.2, …}}

Values carry the names, units and decimals of `wire.quantities`, as the store should have them. `n` counts what the
device drew; it goes on after a restart on the same log, which keeps unique runs unique. A line is written after its
bytes: what is in the log was sent.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.clock import Clock


class Served:
    """The log, and the counter of each device. Each device is counted by the one thread that owns its port."""

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self._clock = clock
        self._next = dict(_left_off(path)) if path and path.exists() else {}
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) if path else -1
        if path and path.stat().st_size:
            os.write(self._file, b"\n")  # ends a line that a kill may have torn; empty lines mean nothing

    def count(self, device: str) -> int:
        """Return 0, 1, 2 …: the number of the device's next draw."""
        n = self._next.get(device, 0)
        self._next[device] = n + 1
        return n

    def record(self, device: str, n: int, values: dict[str, float], to: str) -> None:
        """Append one line, in one write."""
        if self._file < 0:
            return
        rounded = {name: round(value, QUANTITIES[name].decimals) for name, value in values.items()}
        line = {"t_ms": self._clock.utc_ms(), "device": device, "n": n, "to": to, "values": rounded}
        os.write(self._file, json.dumps(line, ensure_ascii=False).encode() + b"\n")

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _left_off(path: Path) -> list[tuple[str, int]]:
    """Return (device, next number) for each line, in order; a torn line is passed over."""
    found = []
    with path.open("rb") as lines:
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            found.append((entry["device"], entry["n"] + 1))
    return found
