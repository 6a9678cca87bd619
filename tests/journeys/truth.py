"""Holds each reading against what its device said: right, absent for a reason, or WRONG.

What no master can tell on such a line is counted apart, by name; the limits stand in docs/decisions/0010 and in the
drivers: an answer without a sum that is disturbed, two flipped bits that a sum does not show, an older answer to the
same question in place of one that was destroyed, a smoke sensor that counts nothing and whose plug is loose.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from wire.quantities import QUANTITIES
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.journeys.mischief import FarDevice
    from tests.journeys.models import Values

ALTERING = {"glitch", "1-bit", "3-bits", "cut", "bad-echo", "right-length", "noise", "other-speed"}
DELAYING = {"again", "glued", "late-0.5", "late-1.5", "late-3"}
WINDOW_MS = 30_000  # longer than any poll takes
TALK_MS = 15_000  # how old a sentence may be that is heard: a talker goes on while another poll listens already
NAMED = {  # what a whole reading is absent for where nothing but this fault was at work
    **{fault: {"SILENCE"} for fault in ("silent", "unpowered", "late-1.5", "late-3")},
    **{fault: {"PORT_LOST"} for fault in ("gone", "full")},
    **{fault: {"CHECKSUM", "GARBLED"} for fault in ("1-bit", "3-bits")},
    **{fault: {"SHORT", "GARBLED", "SILENCE"} for fault in ("cut", "right-length")},
    "wrong-slave": {"WRONG_DEVICE"},
    "other-question": {"GARBLED", "SILENCE"},
    "other-speed": {"GARBLED"},
}
LAST = 3  # answers of before that may be said once more


class Truth:
    """Of one device, on a line with others `beside`. Readings are given in the order of their times.

    Where the time is the machine's own (`real`), an answer that is to come late or twice may come later than that, and
    no master knows it from that to the same question asked anew: whole and older, it is counted apart, too.
    """

    def __init__(self, device: FarDevice, beside: Iterable[FarDevice] = (), *, real: bool = False) -> None:
        self._device, self._line, self._real = device, {device, *beside}, real
        self.ok = self.partly = self.absent = 0
        self.wrong: list[str] = []
        self.limits: Counter[str] = Counter()
        self.whys: Counter[tuple[str, str]] = Counter()
        self._since_ms, self._from = 0, 0

    @property
    def readings(self) -> int:
        """How many were judged."""
        return self.ok + self.partly + self.absent + len(self.wrong) + self.limits.total()

    @property
    def named(self) -> tuple[int, int]:
        """How many readings were absent under one fault alone, and how many of them told another reason than its own.

        Whose fan spins up again has a reason of its own, whatever stopped it.
        """
        known = Reason.__members__.keys() - {Reason.WARMING_UP.name}
        absent = {key: n for key, n in self.whys.items() if key[0] in NAMED and key[1] in known}
        return sum(absent.values()), sum(n for (fault, words), n in absent.items() if words not in NAMED[fault])

    def judge(self, mono_ms: int, values: dict[str, int], reasons: dict[str, int]) -> None:
        """Judge the next reading, its values scaled."""
        faults = set().union(*(one.met(self._since_ms, mono_ms) for one in self._line))
        strange = values.items() - self._said(mono_ms)
        words = ", ".join(sorted({Reason(reason).name for reason in reasons.values()}))
        if strange:
            words = self._limit(dict(strange), faults)
            if words:
                self.limits[words] += 1
            else:
                self.wrong.append(f"{self._device.channel} at {mono_ms}: {sorted(strange)} under {sorted(faults)}")
                words = "WRONG"
        elif not values:
            self.absent += 1
        elif reasons:
            self.partly += 1
            words = f"some: {words}"
        else:
            self.ok += 1
            words = "ok"
        self.whys[" + ".join(sorted(faults)) or "well", words] += 1
        self._since_ms = mono_ms

    def _said(self, mono_ms: int) -> set[tuple[str, int]]:
        """Return what was said since the reading before, and forget what no reading can be of any more."""
        said, told = set(self._device.model.always.items()), self._device.said
        asked_ms = max(self._since_ms, mono_ms - WINDOW_MS)
        since_ms = mono_ms - TALK_MS if self._device.model.pace_s else asked_ms
        while self._from + LAST < len(told) and told[self._from + LAST].at_ms < since_ms:
            self._from += 1
        for one in told[self._from :]:
            if one.at_ms > mono_ms:
                break
            said |= scaled(one.values) if one.at_ms >= since_ms else set()
        return said

    def _limit(self, strange: dict[str, int], faults: set[str]) -> str:
        """Return by what name a wrong value is known that no master can tell; "" for what must not be."""
        family = self._device.model.family
        if family == "modem_at" and ALTERING.intersection(faults):
            return "no sum"
        if family in {"nmea0183", "plantower_pms"} and "3-bits" in faults:
            return "weak sum"
        told = self._device.said[max(self._from - LAST, 0) :]
        delayed = ("glued" in faults and len(faults) > 1) or (self._real and DELAYING.intersection(faults))
        if delayed and any(strange.items() <= scaled(one.values) for one in told):
            return "older"
        if "waking" in faults and "particles_0_3" not in strange:
            return "woke"
        return ""


class Row(msgspec.Struct):
    """A family's line in the table."""

    polls: int = 0
    ok: int = 0
    partly: int = 0
    absent: int = 0
    wrong: int = 0
    limits: Counter[str] = msgspec.field(default_factory=Counter)

    def add(self, truth: Truth) -> None:
        """Add what became of one device's readings."""
        self.polls += truth.readings
        self.ok += truth.ok
        self.partly += truth.partly
        self.absent += truth.absent
        self.wrong += len(truth.wrong)
        self.limits += truth.limits


def table(truths: list[tuple[str, Truth]]) -> list[str]:
    """Return the table by family, with what no master can tell and its rate."""
    rows: dict[str, Row] = {}
    for family, truth in truths:
        rows.setdefault(family, Row()).add(truth)
    lines = [
        f"{'driver':14} {'polls':>8} {'ok':>8} {'some':>8} {'absent':>8} {'WRONG':>6}   beyond what a line can tell"
    ]
    for family, row in rows.items():
        beyond = ", ".join(f"{n} {name} (1 in {row.polls // n})" for name, n in sorted(row.limits.items()))
        lines.append(f"{family:14}{row.polls:9}{row.ok:9}{row.partly:9}{row.absent:9}{row.wrong:9}   {beyond}")
    return lines


def scaled(values: Values) -> set[tuple[str, int]]:
    """Return what a device told, as it is stored."""
    return {(name, QUANTITIES[name].scale(value)) for name, value in values.items() if name in QUANTITIES}
