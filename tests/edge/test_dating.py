"""Which clock dates a boot: on real spool files, through restarts of the agent and of the machine."""

from __future__ import annotations

import pytest

from edge.board import Board
from edge.clock import Anchor
from edge.clock.dating import Dating
from edge.keep.spool import Spool
from tests.edge.clock import HandClock
from wire.batch import Ack, Source
from wire.reading import Reading

UTC = 1_790_000_000_000
DAY_MS = 86_400_000
HOUR_MS = 3_600_000


class Gateway:
    """One gateway: its spool file and its clock, of which `utc` is the truth."""

    def __init__(self, tmp_path, mono_ms=5_000):
        self.path = tmp_path / "spool.db"
        self.clock = HandClock(mono_ms=mono_ms)
        self.spool = None
        self.start()

    def start(self):
        """Start the agent, again within this boot."""
        if self.spool:
            self.spool.close()
        self.spool = Spool(self.path, 1 << 24, "own")
        self.board = Board()
        self.dating = Dating(self.clock, self.spool.dates, self.board)
        return self

    def reboot(self, boot: str):
        self.clock = HandClock(boot * 8)
        return self.start()

    def hear(self, source: Source, offset_ms=UTC, uncertainty_ms=100):
        self.dating.hear(Anchor(offset_ms, source, uncertainty_ms, self.clock.now), self.clock.now)
        return self.dating.anchor.source.name.lower()

    def look(self, later_ms=10_000):
        self.clock.now += later_ms
        if self.dating.due.comes(self.clock.now):
            self.dating.look(self.clock.now)
        return self.status()

    def status(self):
        return self.board.dated.words(self.clock.now)

    def read(self):
        """Take one reading and cut it; return its batch."""
        self.spool.append([Reading("soil-1", self.clock.now, {"soil_ec": 5}, {})], self.clock.boot)
        return self.spool.cut()[0]

    def rtc(self, offset_ms):
        self.clock.battery = Anchor(offset_ms, Source.RTC, 1_000, self.clock.now)


@pytest.fixture
def gateway(tmp_path):
    return Gateway(tmp_path)


def test_after_a_restart_within_the_boot_no_worse_clock_takes_over_and_the_status_says_who_dates(gateway):
    gateway.clock.own = Anchor(UTC, Source.NTP, 100)
    gateway.look()
    gateway.clock.own = None
    gateway.rtc(UTC - 3 * DAY_MS)
    gateway.start()
    assert gateway.status() == {"source": "ntp", "uncertainty_ms": 102}
    assert gateway.look()["source"] == "ntp"
    assert gateway.spool.dates.of(gateway.clock.boot) == Anchor(UTC, Source.NTP, 100)


def test_of_dates_that_agree_the_narrower_counts(gateway):
    assert gateway.hear(Source.ACK, UTC + 9_000, 30_000) == "ack"
    assert gateway.hear(Source.GNSS, UTC + 1_000, 4_500) == "gnss"
    assert gateway.hear(Source.ACK, UTC, 300) == "ack"
    assert gateway.hear(Source.GNSS, UTC, 4_500) == "ack"
    assert gateway.hear(Source.NTP, UTC, 100) == "ntp"
    assert gateway.hear(Source.ACK, UTC, 100) == "ntp"


def test_of_dates_that_contradict_each_other_the_more_trustworthy_counts(gateway):
    order = [Source.RTC, Source.MODEM, Source.ACK, Source.GNSS, Source.NTP]
    for days, source in enumerate(order):
        assert gateway.hear(source, UTC + days * DAY_MS) == source.name.lower()
    for worse in order[:-1]:
        assert gateway.hear(worse, UTC, 1) == "ntp", "whatever it claims"


def test_a_clock_that_contradicts_itself_is_heard_twice(gateway):
    gateway.hear(Source.GNSS)
    gateway.hear(Source.GNSS, UTC + DAY_MS)  # one garbled sentence
    gateway.hear(Source.GNSS)
    gateway.hear(Source.GNSS, UTC + 2 * DAY_MS)
    assert gateway.dating.anchor.offset_ms == UTC
    gateway.hear(Source.GNSS, UTC + 2 * DAY_MS)
    assert gateway.dating.anchor.offset_ms == UTC + 2 * DAY_MS


def test_ntp_that_jumps_back_changes_only_what_is_cut_afterwards(gateway):
    gateway.hear(Source.NTP)
    before = gateway.read()
    gateway.hear(Source.NTP, UTC - 20_000)
    gateway.hear(Source.NTP, UTC - 20_000)
    after = gateway.read()
    assert gateway.spool.get(before.id).offset_ms == UTC
    assert after.offset_ms == UTC - 20_000


def test_a_date_gets_older_and_gives_way_to_a_fresh_one(gateway):
    gateway.hear(Source.NTP)
    gateway.clock.now += 20 * DAY_MS
    status = gateway.status()
    assert status == {"source": "ntp", "uncertainty_ms": 172_900}
    assert gateway.read().uncertainty_ms == 100 + 172_800
    assert gateway.hear(Source.ACK, UTC + 90_000, 400) == "ack"
    assert gateway.read().uncertainty_ms == 400


def test_what_waited_undated_is_as_uncertain_as_the_date_is_far(gateway):
    early = gateway.read()
    gateway.clock.now += 10 * DAY_MS
    late = gateway.read()
    gateway.hear(Source.NTP)
    assert gateway.spool.get(early.id).uncertainty_ms == 100 + 86_400
    assert gateway.spool.get(late.id).uncertainty_ms == 100


def test_an_answer_counts_as_far_off_as_it_may_have_been_on_its_way(gateway):
    now = gateway.clock.now
    gateway.dating.asked(now)
    gateway.dating.asked(now + 5_000)
    gateway.dating.answered(Ack(1, UTC + now + 8_000, []), now + 8_000, None)
    assert gateway.dating.anchor == Anchor(UTC, Source.ACK, 8_100, now + 8_000)


# --- the battery clock


def confirmed(gateway, offset_ms=UTC):
    """Have NTP confirm the battery clock, and cut a reading: the newest date."""
    gateway.rtc(offset_ms)
    gateway.clock.own = Anchor(offset_ms, Source.NTP, 100, gateway.clock.now)
    gateway.look()
    return gateway.read()


def test_a_battery_clock_that_nobody_confirmed_dates_nothing(gateway):
    gateway.rtc(UTC)
    assert gateway.look() == {"source": "none", "uncertainty_ms": 0, "rtc": "no better clock has confirmed it yet"}


def test_a_battery_clock_is_the_less_certain_the_longer_nobody_confirmed_it(gateway):
    confirmed(gateway)
    errors = []
    for days, boot in ((1, "b1"), (3, "b2"), (30, "b3")):
        gateway.reboot(boot)
        gateway.rtc(UTC + days * DAY_MS)
        assert gateway.look()["source"] == "rtc"
        errors.append(gateway.read().uncertainty_ms)
    assert [error // 8_640 for error in errors] == [1, 3, 30], "100 ppm are 8.64 s a day"
    gateway.start()
    assert gateway.look()["source"] == "rtc", "and remembered with the boot"


def test_a_battery_clock_behind_the_newest_reading_dates_nothing(gateway):
    confirmed(gateway)
    gateway.reboot("b1").rtc(UTC - DAY_MS)
    assert gateway.look()["rtc"] == "it is behind the newest reading"
    assert gateway.read().offset_ms is None


def test_a_battery_clock_that_stood_still_dates_nothing(gateway):
    kept = confirmed(gateway)
    cut_ms = UTC + kept.last_ms
    gateway.reboot("b1").rtc(cut_ms + 20_000 - 5_000)  # three days later in truth; the chip went on when power came
    assert gateway.look()["source"] == "none"
    assert "stood still" in gateway.status()["rtc"]
    assert gateway.hear(Source.ACK, UTC + 3 * DAY_MS) == "ack"
    assert "rtc" not in gateway.look()


def test_a_battery_clock_caught_wrong_dates_nothing_until_a_later_boot_shows_it_right(gateway):
    confirmed(gateway)
    gateway.reboot("b1").rtc(UTC + DAY_MS)
    assert gateway.look()["source"] == "rtc"
    gateway.hear(Source.ACK, UTC + 3 * DAY_MS)  # it had lost two days
    gateway.look()
    gateway.rtc(UTC + 3 * DAY_MS)  # the kernel sets it by NTP
    gateway.look(7 * HOUR_MS)
    gateway.reboot("b2").rtc(UTC + 5 * DAY_MS)
    assert gateway.look()["rtc"] == "it was wrong when a better clock came last"
    gateway.hear(Source.ACK, UTC + 5 * DAY_MS)
    gateway.look()
    gateway.reboot("b3").rtc(UTC + 7 * DAY_MS)
    assert gateway.look()["source"] == "rtc"
