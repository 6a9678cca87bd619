"""The machine's clocks and the dates that devices tell: what is not surely a date is none."""

from __future__ import annotations

import ctypes
import logging

import pytest

from edge.clock import BUILT_MS, SystemClock, device_date, machine
from edge.clock.anchor import DRIFT_PPM, Anchor
from edge.clock.machine import ends_in_2038, ntp_error_ms, timex_of
from wire.batch import Source

DAY_MS = 86_400_000
WIDE = ctypes.sizeof(ctypes.c_long) == 8


@pytest.fixture
def rtc(tmp_path, monkeypatch):
    """The folder of one battery clock."""
    folder = tmp_path / "rtc" / "rtc0"
    folder.mkdir(parents=True)
    monkeypatch.setattr(machine, "RTC_FOLDER", folder.parent)
    return folder / "since_epoch"


@pytest.fixture
def clock(monkeypatch):
    """The real clock whose wall a test sets: `wall(ms)` is what it shows at the beginning of the boot."""
    clock = SystemClock()
    monkeypatch.setattr(clock, "_ntp_error_ms", lambda: None)

    class Time:
        CLOCK_BOOTTIME = machine.time.CLOCK_BOOTTIME
        clock_gettime_ns = staticmethod(machine.time.clock_gettime_ns)
        offset_ms = BUILT_MS + 300 * DAY_MS

        @classmethod
        def time_ns(cls) -> int:
            return cls.offset_ms * 1_000_000 + cls.clock_gettime_ns(cls.CLOCK_BOOTTIME)

    monkeypatch.setattr(machine, "time", Time)
    clock.wall = Time
    return clock


def test_the_machine_has_two_layouts_of_timex():
    assert timex_of(ctypes.c_int32).status.offset == 20
    assert timex_of(ctypes.c_int32).maxerror.offset == 12
    assert ctypes.sizeof(timex_of(ctypes.c_int32)) >= 128, "the kernel writes all of it"
    if WIDE:  # a 32-bit machine packs eight bytes elsewhere
        assert timex_of(ctypes.c_int64).status.offset == 40
        assert timex_of(ctypes.c_int64).maxerror.offset == 24
        assert ctypes.sizeof(timex_of(ctypes.c_int64)) >= 208


def test_the_kernel_is_really_asked():
    timex = timex_of(ctypes.c_long)()
    state = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    if state < 0:
        pytest.skip("this machine forbids adjtimex")
    assert 0 <= state <= 5
    assert 0 <= timex.maxerror <= 16_000_000, "read where it does not stand"


@pytest.mark.parametrize(
    ("state", "status", "maxerror_us", "error_ms"),
    [
        pytest.param(0, 0x2001, 250_000, 350, id="timesyncd"),
        pytest.param(5, 0x2040, 17_288, 118, id="chrony without rtcsync keeps STA_UNSYNC"),
        pytest.param(5, 0x40, 16_000_000, None, id="nobody synchronises"),
        pytest.param(0, 0x2001, 16_000_000, None, id="nobody has for nine hours"),
        pytest.param(1, 0x2011, 0, 1_100, id="a leap second comes today"),
        pytest.param(3, 0x2011, 0, None, id="the leap second passes"),
        pytest.param(4, 0x2011, 0, None, id="it has just passed"),
    ],
)
def test_the_kernels_own_account_of_its_error(state, status, maxerror_us, error_ms):
    assert ntp_error_ms(state, status, maxerror_us) == error_ms


def test_where_the_call_is_forbidden_timesyncd_is_asked(tmp_path, monkeypatch):
    clock = SystemClock()
    monkeypatch.setattr(machine, "TIMESYNCD", tmp_path / "synchronized")
    monkeypatch.setattr(clock, "_libc", type("Libc", (), {"adjtimex": staticmethod(lambda _: -1)}))
    assert clock.anchor() is None
    (tmp_path / "synchronized").touch()
    assert clock.anchor().source is Source.NTP
    assert clock.anchor().uncertainty_ms >= 1_000


def test_a_battery_clock_is_one_that_was_read_and_agrees_with_the_wall(clock, rtc):
    assert clock.rtc() is None, "none: what fake-hwclock saved is no clock"
    rtc.write_text("")
    assert clock.rtc() is None, "there is a chip without a battery"
    utc_ms = clock.wall.time_ns() // 1_000_000
    rtc.write_text(f"{utc_ms // 1000}\n")
    read = clock.rtc()
    assert read.source is Source.RTC
    assert abs(read.offset_ms - clock.wall.offset_ms) <= read.uncertainty_ms
    rtc.write_text("86400\n")
    assert clock.rtc() is None, "the chip began at 1970, the wall clock is what timesyncd saved three days ago"
    rtc.write_text(f"{utc_ms // 1000 + 7 * 3600}\n")
    assert clock.rtc() is None, "the chip runs on local time"


def test_what_a_battery_clock_kept_is_read_before_ntp_can_set_it(clock, rtc, monkeypatch):
    assert clock.kept() is None
    lost_ms = 5 * 3_600_000
    rtc.write_text(f"{(clock.wall.time_ns() // 1_000_000 - lost_ms) // 1000}\n")
    kept = clock.kept()
    assert abs(kept.offset_ms - (clock.wall.offset_ms - lost_ms)) <= kept.uncertainty_ms, "whatever the wall clock says"
    monkeypatch.setattr(clock, "_ntp_error_ms", lambda: 100)
    rtc.write_text(f"{clock.wall.time_ns() // 10**9}\n")
    assert clock.kept() == kept, "the kernel has set it by now"


@pytest.mark.parametrize("offset_ms", [0, BUILT_MS + 40 * 365 * DAY_MS])
def test_a_wall_clock_before_the_program_was_written_or_decades_after_is_none(clock, rtc, monkeypatch, offset_ms):
    clock.wall.offset_ms = offset_ms
    with monkeypatch.context() as synchronised:
        synchronised.setattr(clock, "_ntp_error_ms", lambda: 100)
        assert clock.anchor() is None
    rtc.write_text(str(clock.wall.time_ns() // 10**9))
    assert clock.rtc() is None


def test_a_step_between_two_readings_is_no_date(clock, monkeypatch):
    monkeypatch.setattr(clock, "_ntp_error_ms", lambda: 100)
    assert clock.anchor().offset_ms == clock.wall.offset_ms
    ticks = iter(range(0, 10_000, 100))  # the process was stopped for 0.1 s in the middle
    monkeypatch.setattr(clock, "mono_ms", lambda: next(ticks))
    assert clock.anchor() is None


def test_years_after_2038(clock, monkeypatch):
    monkeypatch.setattr(clock, "_ntp_error_ms", lambda: 100)
    clock.wall.offset_ms = 2**31 * 1000 + DAY_MS
    assert clock.anchor().offset_ms == 2**31 * 1000 + DAY_MS
    assert device_date("2038-01-20T00:00:00Z", 0, Source.GNSS).offset_ms == 2_147_558_400_000


def test_a_system_that_ends_in_2038_is_told_in_words(caplog, monkeypatch):
    def narrow(seconds, zone):
        raise OverflowError("timestamp out of range for platform time_t")

    assert ends_in_2038(narrow)
    assert not (WIDE and ends_in_2038())
    monkeypatch.setattr(machine, "ends_in_2038", lambda: True)
    with caplog.at_level(logging.WARNING):
        SystemClock()
    assert "install a 64-bit" in caplog.text


def test_a_devices_date_counts_from_when_it_was_heard():
    anchor = device_date("2026-11-26T03:00:00.500Z", 60_000, Source.GNSS)
    assert anchor.offset_ms + 60_000 == 1_795_662_000_500
    assert anchor.off_ms(60_000) == anchor.uncertainty_ms
    assert device_date("2026-11-26T10:00:00.500+07:00", 60_000, Source.MODEM).offset_ms == anchor.offset_ms


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-02-30T00:00:00Z", "no such day"),
        ("2026-12-31T23:59:60Z", "a leap second has no milliseconds"),
        ("2007-04-12T03:00:00Z", "1024 weeks ago: the receiver's weeks have rolled over"),
        ("1980-01-06T00:00:00Z", "a receiver that has heard nothing"),
        ("2046-07-12T03:00:00Z", "1024 weeks ahead"),
        ("2079-12-31T00:00:00Z", "two digits, wrong century"),
        ("2026-11-26T03:00:00", "in whose time?"),
        ("rubbish", "no date"),
        ("", "no date"),
    ],
)
def test_what_is_no_date(text, why):
    assert device_date(text, 0, Source.GNSS) is None, why


def test_uncertainty_grows_with_the_distance_in_both_directions():
    anchor = Anchor(BUILT_MS, Source.NTP, 100, heard_ms=10 * DAY_MS)
    assert anchor.off_ms(10 * DAY_MS) == 100
    assert anchor.off_ms(11 * DAY_MS) == anchor.off_ms(9 * DAY_MS) == 100 + DAY_MS * DRIFT_PPM // 1_000_000
    assert anchor.off_ms(9 * DAY_MS, 10 * DAY_MS, 12 * DAY_MS) == anchor.off_ms(12 * DAY_MS)
