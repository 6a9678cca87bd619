"""Visitors in a closed loop: wrk of Debian, on connections that are kept; and what it costs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECTIONS = 32
LOWEST = 19
_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


class Visits(msgspec.Struct, frozen=True):
    """What one run showed: requests a second, the 99th percentile in ms, and the generator's CPU in cores."""

    rate: float
    p99_ms: float
    generator: float


def missing() -> str:
    """Return why there are no visitors, "" where there are."""
    return "" if shutil.which("wrk") else "wrk absent: apt-get install wrk"


class Flood:
    """Visitors of one address for `seconds`, from the start until `end` is asked for. `nice` as nice(1) has it."""

    def __init__(self, url: str, seconds: float, headers: Mapping[str, str] | None = None, nice: int = 0) -> None:
        self._seconds = seconds
        said = [word for name, value in (headers or {}).items() for word in ("-H", f"{name}: {value}")]
        command = [
            "nice",
            f"-n{nice}",
            "wrk",
            "-t1",
            f"-c{CONNECTIONS}",
            f"-d{seconds:g}s",
            "--timeout",
            "60s",
            "--latency",
            *said,
            url,
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def end(self) -> Visits:
        """Wait until they have gone. Raises AssertionError for a visit that was not answered with 2xx or 3xx."""
        assert self._process.stdout is not None
        told = self._process.stdout.read()
        self._process.stdout.close()
        _, status, used = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        assert not status, told
        assert "Non-2xx" not in told, told
        assert "Socket errors" not in told, told
        return parsed(told, (used.ru_utime + used.ru_stime) / self._seconds)


def parsed(told: str, generator: float) -> Visits:
    """Return what wrk's words say."""
    rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", told)[0])
    amount, unit = re.findall(r"99%\s+([\d.]+)(us|ms|s|m)", told)[0]
    return Visits(rate, float(amount) * _MS[unit], generator)


def visited(url: str, seconds: float, headers: Mapping[str, str] | None = None) -> Visits:
    """Return what visitors of one address see within so many seconds."""
    return Flood(url, seconds, headers).end()
