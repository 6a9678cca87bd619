"""Which clock dates a boot: on real spool files, through restarts of the agent and of the machine."""

from __future__ import annotations

import datetime as dt
from functools import reduce
from operator import xor

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.board import Board
from edge.clock import Anchor
from edge.clock.dating import Dating
from edge.config import Bus, Sensor, SensorTable
from edge.drivers import nmea0183
from edge.keep.spool import Spool
from edge.sense.lines import SimulatedLine
from edge.sense.sampler import Sampler
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
        return self.dating.anchor.source.name.lower() if self.dating.anchor else "none"

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


class Talker(SimulatedLine):
    """A receiver that says these sentences, each so many milliseconds after the one before."""

    def __init__(self, clock, *sentences):
        super().__init__(lambda _: b"")
        self.clock, self.sentences = clock, list(sentences)

    def drain(self):
        self._incoming.clear()

    def read(self, size, patience_s):
        if not self._incoming and self.sentences:
            after_ms, body = self.sentences.pop(0)
            self.clock.now += after_ms
            self._incoming += f"${body}*{reduce(xor, body.encode()):02X}\r\n".encode()
        return super().read(size, patience_s)


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


def test_a_damaged_date_of_a_boot_is_none(gateway):
    gateway.hear(Source.NTP)
    gateway.spool._db.execute("UPDATE boot SET offset_ms = offset_ms + 4096")
    assert gateway.start().dating.anchor is None


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
        gateway.hear(source, UTC + days * DAY_MS)  # a device is asked twice
        assert gateway.hear(source, UTC + days * DAY_MS) == source.name.lower()
    for worse in order[:-1]:
        assert gateway.hear(worse, UTC, 1) == "ntp", "whatever it claims"


def test_a_clock_that_contradicts_itself_is_heard_twice(gateway):
    gateway.hear(Source.GNSS)
    gateway.hear(Source.GNSS)
    gateway.hear(Source.GNSS, UTC + DAY_MS)  # one garbled sentence
    gateway.hear(Source.GNSS)
    gateway.hear(Source.GNSS, UTC + 2 * DAY_MS)
    assert gateway.dating.anchor.offset_ms == UTC
    gateway.hear(Source.GNSS, UTC + 2 * DAY_MS)
    assert gateway.dating.anchor.offset_ms == UTC + 2 * DAY_MS


def test_one_sentence_dates_no_boot(gateway):
    """A date is for ever: one that was damaged and looked right would have dated all that was read since the start."""
    confirmed(gateway)
    gateway.reboot("b1").rtc(UTC + DAY_MS)
    gateway.look()
    assert gateway.hear(Source.GNSS, UTC + 300 * DAY_MS, 4_500) == "rtc"
    gateway.reboot("b2")
    assert gateway.hear(Source.GNSS, UTC + 300 * DAY_MS, 4_500) == "none"
    assert gateway.hear(Source.GNSS, UTC + 2 * DAY_MS, 4_500) == "none"
    assert gateway.hear(Source.GNSS, UTC + 2 * DAY_MS, 4_500) == "gnss"
    assert gateway.dating.anchor.offset_ms == UTC + 2 * DAY_MS


def test_a_date_that_was_believed_in_this_boot_is_recalled_at_once(gateway):
    gateway.dating.recall(Anchor(UTC, Source.GNSS, 4_500, gateway.clock.now), gateway.clock.now)
    assert gateway.dating.anchor.source is Source.GNSS


@pytest.mark.parametrize("known", [Source.ACK, Source.MODEM])
def test_one_sentence_that_lay_in_a_receiver_undoes_no_date(gateway, known):
    """A port opened again brings what was said when it was closed: a date two hours old was believed to 4.5 s."""
    for _ in range(2):
        gateway.hear(known, UTC, 4_600)
    gateway.start()
    assert gateway.hear(Source.GNSS, UTC - 2 * HOUR_MS, 4_500) == known.name.lower()
    assert gateway.read().offset_ms == UTC
    gateway.clock.now += 10_000
    assert gateway.hear(Source.GNSS, UTC, 4_500) == "gnss"
    assert gateway.dating.anchor.offset_ms == UTC


@pytest.mark.parametrize("proven", [Source.ACK, Source.GNSS])
def test_a_receiver_that_jumps_for_a_while_does_not_undo_what_was_confirmed_for_longer(gateway, proven):
    """Some say yesterday's date for a moment after midnight: one sentence outranked a month of acknowledgements."""
    for _ in range(60):
        gateway.hear(proven)
        gateway.hear(Source.GNSS, uncertainty_ms=4_500)
        gateway.clock.now += 60_000
    for _ in range(3):
        gateway.hear(Source.GNSS, UTC - DAY_MS, 4_500)
        gateway.clock.now += 10_000
    assert gateway.dating.anchor.offset_ms == UTC
    gateway.hear(Source.GNSS, UTC, 4_500)
    for _ in range(62):
        gateway.hear(Source.GNSS, UTC - DAY_MS, 4_500)
        gateway.clock.now += 10_000
    assert gateway.dating.anchor.offset_ms == UTC - DAY_MS, "it says so for ten minutes: the other was wrong"


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
    gateway.dating.asked(now, now)
    gateway.dating.asked(now + 5_000, now + 5_000)
    gateway.dating.answered(Ack(1, UTC + now + 8_000, []), now + 8_000, None)
    assert gateway.dating.anchor == Anchor(UTC, Source.ACK, 8_100, now + 8_000)


def test_of_answers_on_a_slow_way_none_is_taken_for_that_of_a_later_question(gateway):
    """Ten seconds on the way back each, and asked every eight: one claimed to be two seconds off, and was ten."""
    began = gateway.clock.now
    sent = [(began + n * 8_000, "asked") for n in range(9)]
    for at, what in sorted(sent + [(at + 10_000, "answered") for at, _ in sent]):
        gateway.clock.now = at
        if what == "asked":
            gateway.dating.asked(at, at)
        else:
            gateway.dating.answered(Ack(1, UTC + at - 10_000, []), at, None)
            anchor = gateway.dating.anchor
            assert abs(anchor.offset_ms - UTC) <= anchor.off_ms(at)


def test_an_answer_that_says_what_it_answers_is_as_far_off_as_that_is_old(gateway):
    """Seventy seconds on the way back: without that word the second passed for the answer to what was asked last."""
    began, dating = gateway.clock.now, gateway.dating
    for asked in (0, 60_000):
        dating.asked(began + asked, began + asked - 20)
    dating.answered(Ack(1, UTC + began, [], began - 20), began + 70_000, None)
    assert dating.anchor is None, "more than a minute dates nothing"
    dating.asked(began + 109_000, began + 109_000)
    dating.answered(Ack(1, UTC + began + 60_000, [], began + 59_980), began + 110_000, None)
    assert dating.anchor == Anchor(UTC - 50_000, Source.ACK, 50_100, began + 110_000)


@pytest.mark.parametrize("again", ["twice", "of another connection", "of another life"])
def test_an_answer_to_what_nobody_asks_any_more_dates_nothing(gateway, again):
    now, dating = gateway.clock.now, gateway.dating
    dating.asked(now, now)
    if again == "twice":
        dating.answered(Ack(1, 0, [], now), now, None)  # an absurd time: it dates nothing
    elif again == "of another connection":
        dating.linked()
    dating.asked(now + 59_000, now + 59_000)
    dating.answered(Ack(1, UTC + now, [], 7 if again == "of another life" else now), now + 59_500, None)
    assert dating.anchor is None, "it would be wrong by a minute, and claim half a second"


def test_after_the_cloud_was_away_its_second_answer_dates(gateway):
    for minute in range(60):
        gateway.dating.asked(gateway.clock.now + minute * 60_000, 0)
    for minute in (60, 61):
        at = gateway.clock.now + minute * 60_000
        gateway.dating.asked(at, at)
        gateway.dating.answered(Ack(1, UTC + at, []), at + 200, None)
    assert gateway.dating.anchor.uncertainty_ms == 300


@pytest.mark.parametrize("utc_ms", [0, UTC + 20 * 366 * 86_400_000, 2**63 - 1, 2**64 - 1])
def test_a_server_whose_clock_is_decades_off_dates_nothing(gateway, utc_ms):
    now = gateway.clock.mono_ms()
    gateway.dating.answered(Ack(1, utc_ms, []), now, 100)
    assert gateway.dating.anchor is None


def test_a_receivers_date_counts_from_when_its_sentence_was_heard(gateway):
    """Its poll ended five seconds later: the sentence with the height came last."""
    config = msgspec.convert({"sentences": ["GGA", "RMC"]}, type=nmea0183.Config)
    table = SensorTable(channel="gnss-1", bus="b", driver="nmea0183")
    one = Sensor(table, nmea0183.DRIVER, config, nmea0183.DRIVER.quantities(config))
    shown = dt.datetime.fromtimestamp((UTC + gateway.clock.now) / 1000, dt.UTC)
    line = Talker(
        gateway.clock,
        (0, f"GPRMC,{shown:%H%M%S}.00,A,2130.0,N,10430.0,E,0.0,0.0,{shown:%d%m%y},,,A"),
        *[(1_000, "GPGSV,1,1,00")] * 5,
        (0, "GPGGA,120000,2130.0,N,10430.0,E,1,08,1.0,900,M,0,M,,"),
    )
    got = []
    bus = Bus(name="b", port="p", baud=9600, format="8N1")
    reading = Sampler(bus, [one], lambda: line, got.append, gateway.board, gateway.clock).poll(one)
    (anchor,) = got
    assert reading.values["lat"] == 215_000_000
    assert reading.mono_ms - anchor.heard_ms >= 5_000
    assert abs(anchor.offset_ms - UTC) <= 1_000
    assert anchor.source is Source.GNSS


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
        batch = gateway.read()
        assert batch.offset_ms is None, "it waits for a better clock"
        errors.append(gateway.status()["uncertainty_ms"])
    assert [error // 8_640 for error in errors] == [1, 3, 30], "100 ppm are 8.64 s a day"
    gateway.start()
    assert gateway.look()["source"] == "rtc", "and remembered with the boot"


def test_a_battery_clock_behind_the_newest_reading_dates_nothing(gateway):
    confirmed(gateway)
    gateway.reboot("b1").rtc(UTC - DAY_MS)
    assert gateway.look()["rtc"] == "it is behind the newest reading"
    assert gateway.read().offset_ms is None


def test_a_battery_clock_whose_year_jumped_dates_nothing(gateway):
    """The server refuses what lies in the future, and a date once given never changes."""
    confirmed(gateway)
    gateway.reboot("b1").rtc(UTC + 400 * DAY_MS)
    assert gateway.look()["rtc"] == "the power would have been away for more than a year"
    assert gateway.read().offset_ms is None


def test_a_battery_clock_that_stood_still_dates_nothing(gateway):
    kept = confirmed(gateway)
    cut_ms = UTC + kept.last_ms
    gateway.reboot("b1").rtc(cut_ms + 20_000 - 5_000)  # three days later in truth; the chip went on when power came
    assert gateway.look()["source"] == "none"
    assert "stood still" in gateway.status()["rtc"]
    assert gateway.hear(Source.ACK, UTC + 3 * DAY_MS) == "ack"
    assert "rtc" not in gateway.look()


def test_a_battery_clock_in_doubt_waits_for_a_better_clock(gateway):
    """Each time the power came back the dead chip went on where it stood: to itself it seems to run."""
    confirmed(gateway)
    gateway.reboot("b1").rtc(UTC + 60_000)
    gateway.look()
    gateway.clock.now += DAY_MS  # a day undated: the chip runs as long as there is power
    gateway.read()
    gateway.reboot("b2").rtc(UTC + 60_000 + DAY_MS)
    assert gateway.look()["rtc"] == "it is in doubt until a better clock comes"
    gateway.hear(Source.ACK, UTC + 60_000 + DAY_MS)  # it was right after all
    gateway.look()
    gateway.reboot("b3").rtc(UTC + 3 * DAY_MS)
    assert gateway.look()["source"] == "rtc"


def test_a_battery_clock_that_could_not_be_read_once_is_in_doubt(gateway):
    confirmed(gateway)
    gateway.reboot("b1").look(3 * 60_000)
    gateway.reboot("b2").rtc(UTC + 3 * DAY_MS)
    assert gateway.look()["source"] == "none"


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


# --- until a better clock speaks


@pytest.mark.parametrize("days", [60, -60])
def test_what_a_battery_clock_read_waits_and_a_better_clock_dates_all_of_it(gateway, monkeypatch, days):
    """Confirmed once, months off by now: it was believed, and what was cut kept its date for good."""
    monkeypatch.setattr("edge.keep.spool.dates.AT_ONCE", 2)
    confirmed(gateway)
    gateway.reboot("b1").rtc(UTC + (90 + days) * DAY_MS)
    assert gateway.look()["source"] == "rtc"
    cut = [gateway.read() for _ in range(3)]
    gateway.start()  # again, within this boot
    assert gateway.look()["source"] == "rtc"
    cut += [gateway.read() for _ in range(2)]
    assert [number for number in gateway.spool.waiting(9) if number >= cut[0].id] == [], "they wait"
    assert gateway.spool.dates.newest_ms() >= UTC + (90 + days) * DAY_MS, "and are known to be that late"
    assert gateway.hear(Source.ACK, UTC + 90 * DAY_MS, 8_000) == "ack"
    assert gateway.spool.get(cut[-1].id).offset_ms == UTC + 90 * DAY_MS, "the newest goes first"
    for _ in range(4):
        gateway.look(1)
    assert {gateway.spool.get(one.id).offset_ms for one in cut} == {UTC + 90 * DAY_MS}
    assert gateway.read().source == Source.ACK


def test_a_better_clock_that_agrees_replaces_a_battery_clock_that_claims_less(gateway):
    confirmed(gateway)
    gateway.reboot("b1").rtc(UTC + 30 * DAY_MS)
    gateway.look()
    one = gateway.read()
    assert gateway.hear(Source.ACK, UTC + 30 * DAY_MS, 50_000) == "ack"
    assert gateway.spool.get(one.id).source == Source.ACK


@pytest.mark.parametrize("days", [60, -60])
@pytest.mark.parametrize("killed", [False, True])
def test_who_died_before_a_better_clock_caught_its_battery_clock_is_bounded(gateway, monkeypatch, days, killed):
    kept, died = confirmed(gateway), []
    for number, boot in enumerate(("b1", "b2")):  # nobody tells them the time
        gateway.reboot(boot).rtc(UTC + (90 + number + days) * DAY_MS)
        assert gateway.look()["source"] == "rtc"
        died.append(gateway.read())
    gateway.reboot("b3").rtc(UTC + (92 + days) * DAY_MS)
    gateway.look()
    assert (gateway.status()["source"], gateway.spool.waiting(9)) == ("rtc", [kept.id])
    gateway.hear(Source.ACK, UTC + 92 * DAY_MS)
    if killed:  # the power goes just after it was caught; in the next boot it is right
        with monkeypatch.context() as patched:
            patched.setattr("edge.keep.spool.dates.Dates.bound", lambda *_, **__: 1 // 0)
            with pytest.raises(ZeroDivisionError):
                gateway.look()
        gateway.reboot("b4").rtc(UTC + 93 * DAY_MS)
        gateway.hear(Source.ACK, UTC + 93 * DAY_MS)
    gateway.look()
    gateway.look(1)
    for one, true_ms in zip(died, (UTC + 90 * DAY_MS, UTC + 91 * DAY_MS), strict=True):
        told = gateway.spool.get(one.id)
        assert told.source == Source.BOUNDED
        assert abs(told.offset_ms - true_ms) <= told.uncertainty_ms


def test_who_died_before_a_better_clock_bore_its_battery_clock_out_keeps_its_date(gateway):
    confirmed(gateway)
    gateway.reboot("b1").rtc(UTC + 30 * DAY_MS)
    gateway.look()
    one = gateway.read()
    gateway.reboot("b2").rtc(UTC + 31 * DAY_MS)
    gateway.look()
    assert gateway.spool.get(one.id).offset_ms is None
    for _ in range(2):
        gateway.hear(Source.GNSS, UTC + 31 * DAY_MS, 4_500)
    gateway.look()
    told = gateway.spool.get(one.id)
    assert (told.source, told.offset_ms) == (Source.RTC, UTC + 30 * DAY_MS)
    assert 30 <= told.uncertainty_ms // 8_640 <= 31


@pytest.mark.parametrize("read", [False, True])
def test_who_died_with_a_battery_clock_that_ntp_set_before_anybody_read_it_is_bounded(gateway, read):
    """The kernel sets it as soon as NTP comes: it was taken for right, and dated what died by its five lost hours."""
    confirmed(gateway)
    gateway.reboot("b1").rtc(UTC + 3 * DAY_MS - 5 * HOUR_MS)
    assert gateway.look()["source"] == "rtc"
    one = gateway.read()
    gateway.reboot("b2")
    if read:  # while the machine starts
        gateway.rtc(UTC + 4 * DAY_MS - 5 * HOUR_MS)
        gateway.clock.kept()
    gateway.rtc(UTC + 4 * DAY_MS)
    gateway.clock.own = Anchor(UTC + 4 * DAY_MS, Source.NTP, 100, gateway.clock.now)
    gateway.look()
    told = gateway.spool.get(one.id)
    assert told.source == Source.BOUNDED
    assert abs(told.offset_ms - (UTC + 3 * DAY_MS)) <= told.uncertainty_ms
    assert (gateway.spool.dates.judged().utc_ms == 0) is read


def test_who_died_keeps_the_date_of_a_battery_clock_that_was_right_before_ntp_could_set_it(gateway):
    confirmed(gateway)
    gateway.reboot("b1").rtc(UTC + 3 * DAY_MS)
    gateway.look()
    one = gateway.read()
    gateway.reboot("b2").rtc(UTC + 4 * DAY_MS)
    gateway.clock.kept()
    gateway.clock.own = Anchor(UTC + 4 * DAY_MS, Source.NTP, 100, gateway.clock.now)
    gateway.look()
    assert gateway.spool.get(one.id).source == Source.RTC


def test_a_boot_whose_battery_clock_nobody_can_judge_any_more_is_bounded_where_it_lies_beyond(gateway):
    confirmed(gateway)
    gateway.reboot("b1").rtc(UTC + 90 * DAY_MS)
    gateway.look()
    one = gateway.read()
    gateway.reboot("b2")  # its clock cannot be read, and it is two days after the first
    gateway.hear(Source.ACK, UTC + 2 * DAY_MS)
    gateway.look()
    told = gateway.spool.get(one.id)
    assert (told.source, told.offset_ms + told.uncertainty_ms < UTC + 3 * DAY_MS) == (Source.BOUNDED, True)


# --- whatever happens

RANK = [Source.RTC, Source.MODEM, Source.ACK, Source.GNSS, Source.NTP]
dates = st.builds(
    Anchor,
    offset_ms=st.sampled_from([UTC, UTC + 90, UTC + 5_000, UTC - 60_000, UTC + 3 * DAY_MS]),
    source=st.sampled_from(RANK),
    uncertainty_ms=st.sampled_from([0, 100, 2_000, 30_000]),
)
events = st.lists(st.one_of(dates, st.sampled_from(["restart", "reading", "hour", "week"])), min_size=1, max_size=25)


@settings(max_examples=60, deadline=None)
@given(events)
def test_a_date_never_changes_and_no_worse_one_replaces_a_better(tmp_path_factory, events):
    gateway = Gateway(tmp_path_factory.mktemp("gateway"))
    frozen = {}
    for event in events:
        known, now = gateway.dating.anchor, gateway.clock.now
        if event == "restart":
            gateway.start()
            assert gateway.dating.anchor == known
        elif event == "reading":
            gateway.read()
        elif event in {"hour", "week"}:
            gateway.clock.now += {"hour": HOUR_MS, "week": 7 * DAY_MS}[event]
        else:
            new = msgspec.structs.replace(event, heard_ms=now)
            gateway.dating.hear(new, now)
            taken = gateway.dating.anchor
            assert taken in {known, new}
            if known is not None and taken != known:
                agree = abs(new.offset_ms - known.offset_ms) <= new.off_ms(now) + known.off_ms(now)
                assert (
                    new.off_ms(now) <= known.off_ms(now)
                    if agree and known.source is not Source.RTC
                    else RANK.index(new.source) >= RANK.index(known.source)
                )
        for number in gateway.spool.waiting(99):
            batch = gateway.spool.get(number)
            date = (batch.offset_ms, batch.source, batch.uncertainty_ms)
            assert frozen.setdefault(number, date) == date
    gateway.spool.close()


def test_what_is_freed_before_a_dead_boot_is_bounded_does_not_pass_for_what_lay_before_it(tmp_path):
    reading = Reading("s", 5_000, {"soil_ec": 1}, {})
    dead, living = "a1" * 8, "b2" * 8
    for boot in (dead, living):
        spool = Spool(tmp_path / "spool.db", 1 << 22, "own", boot)
        spool.append([reading], boot)
        newest = spool.cut()[-1]
        if boot == dead:
            spool.close()
    spool.dates.anchor(living, Anchor(UTC + 5 * HOUR_MS, Source.NTP, 100, 5_000))
    assert spool.free(newest.identity), "acknowledged while a full card took no dates"
    spool.dates.bound(living, UTC + 5 * HOUR_MS + 100)
    told = spool.dates.of(dead)
    assert told.offset_ms - told.uncertainty_ms <= UTC <= told.offset_ms + told.uncertainty_ms
    spool.close()
