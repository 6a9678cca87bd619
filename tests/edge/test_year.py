"""A year of boots in a garden, simulated: whatever date a reading got, the truth lies within what it claims.

The world knows the true time; the gateway only its spool, a crystal, a battery clock that is dying, NTP now and then,
acknowledgements that were long on their way, and a receiver that is wrong in the ways in which receivers are.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from edge.board import Board
from edge.clock import BUILT_MS, Anchor, device_date
from edge.clock.dating import Dating
from edge.keep.spool import Spool
from tests.edge.clock import HandClock
from wire.batch import Ack, Source
from wire.reading import Reading

S, MIN, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
BEGIN = BUILT_MS + 300 * DAY
PACE_S = 60.0
BUDGET_S = 60  # a year


class BatteryClock:
    """A chip with a crystal of its own. Its battery holds for half a year; then every power cut is a lottery."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.ppm = chance, chance.uniform(-60, 60)
        self.error_ms, self.at, self.readable = chance.uniform(-2 * S, 2 * S), BEGIN, True

    def run(self, now: int) -> None:
        self.error_ms += (now - self.at) * self.ppm / 1e6
        self.at = now

    def outage(self, until: int) -> None:
        if until - BEGIN < 180 * DAY or self.chance.random() < 0.3:
            self.run(until)
            return
        fate = self.chance.choice(["still", "still", "2000", "unreadable", "ahead"])
        lost = {
            "still": self.at - until,
            "2000": BUILT_MS - 26 * 365 * DAY - until,
            "unreadable": 0,
            "ahead": 60 * DAY,
        }[fate]
        self.error_ms = self.error_ms + lost if fate in {"still", "ahead"} else lost
        self.readable, self.at = fate != "unreadable", until

    def set(self, now: int) -> None:
        """The kernel writes NTP's time into it."""
        self.error_ms, self.at, self.readable = self.chance.uniform(-S / 2, S / 2), now, True


class Garden:
    """The truth, and one gateway in it."""

    def __init__(self, folder, seed: int) -> None:
        self.chance = random.Random(seed)
        self.folder, self.utc = folder, BEGIN
        self.battery = BatteryClock(self.chance)
        self.truth: dict[tuple[str, int], int] = {}
        self.boots = 0

    # --- a boot

    def boot(self, *, last: bool = False) -> None:
        chance = self.chance
        outage = chance.choice(
            [chance.uniform(20 * S, 20 * MIN), chance.uniform(HOUR, 12 * HOUR), chance.expovariate(1 / DAY)]
        )
        self.utc += round(outage)
        self.battery.outage(self.utc)
        self.began, self.ppm, self.boots = self.utc, chance.uniform(-60, 60), self.boots + 1
        self.clock = HandClock(f"{self.boots:016x}", 0)
        self.wall_error = self.battery.error_ms if self.battery.readable else None  # None: what was saved before
        self.synced_at = None
        self.restart()
        lasts = round(chance.choice([chance.uniform(2 * MIN, HOUR), chance.uniform(HOUR, 2 * DAY)]))
        ntp, link, gnss = chance.random() < 0.15 or last, chance.random() < 0.3, chance.random() < 0.25
        steps = [(chance.randrange(20 * S, lasts), self.restart) for _ in range(chance.randrange(2))]
        steps += [(chance.randrange(lasts), self.read) for _ in range(3)]
        steps += [(chance.randrange(lasts), self.look) for _ in range(3)]
        steps += [(chance.randrange(lasts), self.answer) for _ in range(4 * link)]
        steps += [(chance.randrange(lasts), self.receive) for _ in range(4 * gnss)]
        steps += [(15 * S, self.look), (lasts - chance.randrange(round(PACE_S * S)), self.read), (lasts, self.look)]
        if ntp:
            from_ms = chance.choice([0, chance.randrange(lasts)])  # before the agent looks at all, or late
            if chance.random() < 0.5:  # the agent began before that
                self.to(self.began)
                self.clock.kept()
            steps += [(from_ms, self.sync), *((from_ms + n * 11 * S, self.look) for n in range(3))]
            steps += [(from_ms + chance.choice([0, 11 * MIN]), self.write_rtc)]
        for at, step in sorted(steps, key=lambda pair: pair[0]):
            self.to(self.began + at)
            step()
        self.spool.close()

    def to(self, utc: int) -> None:
        self.utc = max(self.utc, utc)
        self.clock.now = round((self.utc - self.began) * (1 + self.ppm / 1e6))
        self.battery.run(self.utc)
        synced = self.synced_at is not None
        offset = self.utc - self.clock.now
        error = round(self.chance.uniform(-100, 100))
        self.clock.own = Anchor(offset + error, Source.NTP, 100, self.clock.now) if synced else None
        rtc_error = self.battery.error_ms
        wall_error = 0 if synced else self.wall_error
        agrees = wall_error is not None and abs(rtc_error - wall_error) < 2 * S
        true = self.utc + rtc_error
        whole = int(true // S * S + S // 2)  # it tells whole seconds
        readable = self.battery.readable and true >= BUILT_MS
        self.clock.chip = Anchor(whole - self.clock.now, Source.RTC, S, self.clock.now) if readable else None
        self.clock.battery = self.clock.chip if agrees else None

    # --- what happens in it

    def restart(self) -> None:
        if self.boots and getattr(self, "spool", None):
            self.spool.close()
        self.spool = Spool(self.folder / "spool.db", 1 << 26, "own")
        self.spool._db.execute("PRAGMA synchronous = OFF")  # no power is cut here
        self.dating = Dating(self.clock, self.spool.dates, Board(), PACE_S)

    def read(self) -> None:
        now = self.clock.now
        self.truth[self.clock.boot, now] = self.utc
        self.spool.append([Reading("soil-1", now, {"soil_ec": 5}, {})], self.clock.boot)
        self.spool.cut()

    def look(self) -> None:
        if self.dating.due.comes(self.clock.now):
            self.dating.look(self.clock.now)

    def answer(self) -> None:
        sent = self.clock.now
        self.dating.linked()
        self.dating.asked(sent, sent)
        trip = round(self.chance.expovariate(1 / 2_000))
        stamped = self.utc + round(trip * self.chance.random()) + round(self.chance.uniform(-90, 90))
        self.to(self.utc + trip)
        self.dating.answered(Ack(1, stamped, []), self.clock.now, None)

    def receive(self) -> None:
        """Hear a receiver's date: late, without the leap seconds of the last years, or plainly wrong."""
        shown = datetime.fromtimestamp(self.utc / 1000, UTC) + timedelta(seconds=self.chance.choice([0, 0, 3]))
        shown -= timedelta(seconds=self.chance.uniform(0.1, 1.2))
        texts = [shown.isoformat()] * 4
        texts += [(shown - timedelta(weeks=1024)).isoformat(), "1980-01-06T00:00:12+00:00", "2027-02-30T04:00:00Z"]
        anchor = device_date(self.chance.choice(texts), self.clock.now, Source.GNSS)
        if anchor is not None:
            self.dating.hear(anchor, self.clock.now)

    def sync(self) -> None:
        self.synced_at = self.utc
        self.to(self.utc)
        self.look()

    def write_rtc(self) -> None:
        self.battery.set(self.utc)
        self.to(self.utc)


@pytest.mark.journey
@pytest.mark.parametrize("seed", range(6))
def test_a_year_of_boots(tmp_path, seed, capsys):
    began = time.monotonic()
    sources = the_truth_lies_within_what_is_claimed(tmp_path, seed)
    with capsys.disabled():
        said = ", ".join(f"{source.name.lower()} {n}" for source, n in sorted(sources.items()))
        print(f"\nyear {seed}: {said}; {time.monotonic() - began:.0f} s of a budget of {BUDGET_S} s", end="")


def the_truth_lies_within_what_is_claimed(folder, seed):
    """Live a year and judge every reading of it; return how many each clock dated."""
    garden = Garden(folder, seed)
    while garden.utc < BEGIN + 365 * DAY:
        garden.boot()
    garden.boot(last=True)
    spool = Spool(folder / "spool.db", 1 << 26, "own")
    sources, dated = Counter(), set()
    for number in spool.waiting(10_000):
        batch = spool.get(number)
        true_ms = garden.truth[batch.boot, batch.first_ms]
        assert abs(batch.first_ms + batch.offset_ms - true_ms) <= batch.uncertainty_ms, batch
        dated.add((batch.boot, batch.first_ms))
        sources[Source(batch.source)] += 1
    spool.close()
    assert dated == garden.truth.keys(), "not one is left undated"
    assert min(sources[source] for source in (Source.NTP, Source.GNSS, Source.ACK, Source.RTC, Source.BOUNDED)) >= 20
    return sources
