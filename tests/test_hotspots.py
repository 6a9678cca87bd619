"""Hotspots of satellites: reference data within its tolerance, damaged files, one fire of many pixels, a slow FIRMS."""

from __future__ import annotations

import json
import random
import re
import sqlite3
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from msgspec.structs import replace

from cloud.clock import SystemClock
from cloud.config import Hotspots
from cloud.hotspots import NoHotspots, book
from cloud.hotspots.book import Book
from cloud.hotspots.fires import TOGETHER_KM, TOGETHER_MS, distance_km, fires, nearest
from cloud.hotspots.firms import LARGEST, Hotspot, read
from cloud.hotspots.lookout import Lookout
from cloud.hotspots.watch import AGAIN_S, LATE_MS, LONGEST_S, Asking
from cloud.pages.app import build
from cloud.rooms.hotspots import fetching, seen
from gocche.__main__ import main
from tests.rules.garden import HandClock
from tests.visitors import Visitor, World

DATA = Path(__file__).parent / "data" / "fire"
EXPECTED = json.loads((DATA / "firms_expected.json").read_text("utf-8"))
VIIRS, MODIS = ((DATA / f"firms_{name}.csv").read_bytes() for name in ("viirs", "modis"))
SITES = {code: tuple(point) for code, point in EXPECTED["sites"].items()}
NOW_MS = 1_773_500_400_000  # 2026-03-14 15:00 UTC
LATER_MS = NOW_MS + 86_400_000
HEAD = VIIRS.splitlines()[0]
ROW = VIIRS.splitlines()[1]
ONE = Hotspot(21.6, 104.5, NOW_MS - 3_600_000, "N20", "VIIRS", "nominal", 4.0, day=True)


def iso(text):
    from datetime import datetime

    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(("body", "kind"), [(VIIRS, "viirs"), (MODIS, "modis")])
def test_every_row_of_the_reference_is_read_placed_and_timed(body, kind):
    listed = read(body, LATER_MS)
    assert listed.faults == ()
    assert len(listed.hotspots) == len(EXPECTED[kind])
    for one, wanted in zip(listed.hotspots, EXPECTED[kind], strict=True):
        found = nearest(one.lat, one.lon, SITES)
        assert found.place == wanted["nearest"]
        assert found.km == pytest.approx(wanted["km"], abs=0.01)
        assert one.confidence == wanted["confidence_class"]
        if "time_utc" in wanted:
            assert one.seen_ms == iso(wanted["time_utc"])
            assert (found.km <= 3.0) == wanted["within_3km"]


def test_times_of_modis_have_no_leading_zeros():
    assert {hotspot.seen_ms for hotspot in read(MODIS, LATER_MS).hotspots} == {
        iso(f"2026-03-14T{clock}:00Z") for clock in ("00:07", "15:03", "03:25")
    }


@pytest.mark.parametrize("body", EXPECTED["not_csv_bodies"], ids=range(5))
def test_what_is_no_list_is_said_and_a_head_alone_is_a_list_without_fires(body):
    if body.startswith("latitude"):
        assert read(body.encode(), NOW_MS).hotspots == ()
        return
    with pytest.raises(NoHotspots, match="no list of hotspots") as caught:
        read(body.encode(), NOW_MS)
    assert body[:20] in str(caught.value)
    assert caught.value.told("vi") != str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"21.64515", b"91.2", "latitude is '91.2'"),
        (b"21.64515", b"", "latitude is ''"),
        (b"21.64515", b"nan", "latitude is 'nan'"),
        (b"104.53468", b"1e400", "longitude"),
        (b"2026-03-14", b"14/03/2026", "acq_date"),
        (b"2026-03-14", b"2031-03-14", "not yet"),
        (b"2026-03-14", b"1970-01-01", "before there were such satellites"),
        (b",42,", b",2460,", "acq_date and acq_time"),
        (b",42,", b",-5,", "acq_time is '-5'"),
        (b",42,", b",4\xd9\xa2,", "acq_time"),
        (b",h,", b",x,", "confidence is 'x'"),
        (b",h,", b",95,", "confidence is '95'"),
        (b"16.70", b"-1", "frp"),
        (b"VIIRS", b"AVHRR", "instrument"),
        (b",N20,", b",,", "satellite is empty"),
        (b",D", b"", "cells"),
        (b"16.70,D", b"16", "cells"),
    ],
)
def test_a_row_that_cannot_be_true_costs_itself_and_is_said(old, new, why):
    assert old in ROW
    listed = read(b"\n".join([HEAD, ROW.replace(old, new, 1), *VIIRS.splitlines()[2:5]]), LATER_MS)
    assert len(listed.hotspots) == 3
    (fault,) = listed.faults
    assert fault.line == 2
    assert why in fault.words


def test_columns_may_stand_in_another_order_with_others_beside_them_and_a_mark_of_excel_before():
    rows = [line.decode().split(",") for line in VIIRS.splitlines()]
    turned = "\r\n".join(",".join(["x", *row[::-1]]) for row in rows)
    assert read(b"\xef\xbb\xbf" + turned.encode(), LATER_MS).hotspots == read(VIIRS, LATER_MS).hotspots


def test_damaged_files_never_become_hotspots_that_were_not_there_nor_raise_anything_else():
    rng, whole = random.Random(2), set(read(VIIRS, LATER_MS).hotspots)
    for _ in range(2_000):
        body = bytearray(VIIRS)
        what = rng.randrange(3)
        if what == 0:
            body = body[: rng.randrange(len(body))]
        elif what == 1:
            body[rng.randrange(len(body))] = rng.choice(b'"\x00\xff,\n;')
        else:
            at = rng.randrange(len(body))
            del body[at : at + rng.randrange(1, 200)]
        try:
            found = set(read(bytes(body), LATER_MS).hotspots)
        except NoHotspots:
            continue
        if what == 0:
            odd = found - whole
            assert len(odd) <= 1, "only the row that the file ends in"
        for one in found:
            assert -90 <= one.lat <= 90
            assert one.seen_ms <= LATER_MS + 3_600_000


# --- one fire


def test_the_same_fire_from_three_satellites_is_one():
    seen = [
        ONE,
        replace(ONE, satellite="N", lat=21.603, seen_ms=ONE.seen_ms + 3_000_000, confidence="high"),
        replace(ONE, satellite="Terra", instrument="MODIS", lat=21.598, seen_ms=ONE.seen_ms + 10_000_000),
    ]
    far = replace(ONE, lat=21.7)
    later = replace(ONE, seen_ms=ONE.seen_ms + 10_000_000 + TOGETHER_MS + 1)
    for seed in range(10):
        own = random.Random(seed).sample([*seen, far, later, ONE], 6)
        found = fires(own)
        assert sorted(len(fire.hotspots) for fire in found) == [1, 1, 3]
        (one,) = [fire for fire in found if len(fire.hotspots) == 3]
        assert one.satellites == ("N", "N20", "Terra")
        assert (one.first_ms, one.last_ms) == (ONE.seen_ms, ONE.seen_ms + 10_000_000)
        assert one.confidence == "high"
        assert one.at.satellite == "Terra"


@pytest.mark.parametrize("lat", [0.0, 21.6, -33.0, 64.0, 89.5])
def test_neighbours_are_found_wherever_they_lie(lat):
    """Against all pairs: the squares in which neighbours are looked for lose none."""
    rng = random.Random(round(lat))
    own = [
        replace(ONE, lat=lat + rng.uniform(-0.04, 0.04), lon=104.5 + rng.uniform(-0.08, 0.08), satellite=str(n))
        for n in range(150)
    ]
    grouped = {one: number for number, fire in enumerate(fires(own)) for one in fire.hotspots}
    assert len(grouped) == 150
    for one in own:
        for other in own:
            if distance_km(one.lat, one.lon, other.lat, other.lon) <= TOGETHER_KM:
                assert grouped[one] == grouped[other]


def test_ten_thousand_pixels_are_gathered_within_seconds():
    rng, clock = random.Random(1), SystemClock()
    own = [replace(ONE, lat=21 + rng.random(), lon=104 + rng.random(), satellite=str(n % 3)) for n in range(10_000)]
    began = clock.monotonic()
    assert sum(len(fire.hotspots) for fire in fires(own)) == len(set(own))
    assert clock.monotonic() - began < 10


# --- the book


def test_a_list_that_is_read_twice_is_kept_once_and_found_near_a_point(tmp_path):
    path = tmp_path / book.NAME
    assert book.since(path, 0) == []
    assert book.near(path, 21.6, 104.5, 5.0, 0) == []
    own = Book(path)
    assert own.put("a", read(VIIRS, LATER_MS).hotspots, LATER_MS) == 24
    assert own.put("b", read(VIIRS, LATER_MS).hotspots, LATER_MS) == 0
    own.close()
    assert len(book.since(path, 0)) == 24
    assert set(book.since(path, 0)) == set(read(VIIRS, LATER_MS).hotspots)
    within = [row for row in EXPECTED["viirs"] if row["nearest"] == "SG-07" and row["within_3km"]]
    found = book.near(path, *SITES["SG-07"], 3.0, 0)
    assert [round(km, 2) for km, _ in found] == sorted(round(row["km"], 2) for row in within)
    assert book.near(path, *SITES["SG-07"], 3.0, LATER_MS) == []


def test_old_hotspots_are_forgotten_and_a_damaged_book_is_said(tmp_path):
    path = tmp_path / book.NAME
    own = Book(path)
    own.put("a", [ONE], NOW_MS)
    own.put("a", [replace(ONE, seen_ms=NOW_MS + 400 * 86_400_000)], NOW_MS + 400 * 86_400_000)
    own.close()
    assert len(book.since(path, 0)) == 1
    path.write_bytes(b"no database at all, but long enough to look like one" * 100)
    with pytest.raises(sqlite3.Error):
        book.since(path, 0)


# --- asking


class Firms(BaseHTTPRequestHandler):
    """Plays the area API: it answers what the test says, a list, an error in plain text, or nothing for long."""

    def do_GET(self):
        server = self.server
        server.asked.append(self.path)
        body, status = server.answers.pop(0) if server.answers else (VIIRS, 200)
        if body is None:
            server.go_on.wait(20)
            return
        if callable(body):
            body(self)
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def firms():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Firms)
    server.daemon_threads, server.asked, server.answers, server.go_on = True, [], [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.go_on.set()
        server.shutdown()
        server.server_close()


def watching(tmp_path, server, clock, sources=("VIIRS_SNPP_NRT",), deadline_s=5.0):
    key = tmp_path / "map-key"
    key.write_text("0123456789abcdef\n")
    config = Hotspots(key_file=str(key), url=f"http://127.0.0.1:{server.server_port}/api/area/csv", sources=sources)
    return Asking(
        tmp_path / book.NAME, config, lambda: [(21.6, 104.5), (21.8, 104.1)], fetching(config, deadline_s), clock
    )


def test_each_source_is_asked_with_the_key_around_the_zones(tmp_path):
    clock = HandClock(LATER_MS)
    with firms() as server:
        watch = watching(tmp_path, server, clock, ("VIIRS_SNPP_NRT", "MODIS_NRT"))
        wait_s = watch.step()
        assert server.asked == [
            f"/api/area/csv/0123456789abcdef/{source}/103.80,21.30,104.80,22.10/2"
            for source in ("VIIRS_SNPP_NRT", "MODIS_NRT")
        ]
        assert wait_s == 1_800.0
        assert watch.step() == 1_800.0, "nothing is due yet"
        assert len(server.asked) == 2
    assert len(book.since(tmp_path / book.NAME, 0)) == 24
    assert [one.ok_ms for one in book.asked(tmp_path / book.NAME)] == [LATER_MS, LATER_MS]
    assert watch.why == ""


def test_a_damaged_book_is_set_aside_and_begun_anew_by_who_asks(tmp_path, caplog):
    (tmp_path / book.NAME).write_bytes(b"no database at all, but long enough to look like one" * 100)
    with firms() as server:
        watch = watching(tmp_path, server, HandClock(LATER_MS))
        watch.step()
    assert len(book.since(tmp_path / book.NAME, 0)) == 24
    assert (tmp_path / f"{book.NAME}.damaged-1").exists()
    assert "book-damaged" in caplog.text


def test_a_damaged_page_of_the_book_is_mended_by_who_asks(tmp_path):
    path = tmp_path / book.NAME
    own = Book(path)
    own.put("a", [ONE], NOW_MS)
    own.close()
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    with firms() as server:
        watch = watching(tmp_path, server, HandClock(LATER_MS))
        watch.step()
    assert len(book.since(path, 0)) == 24
    assert (tmp_path / f"{book.NAME}.damaged-1").exists()


def test_a_refusal_is_said_without_the_key_and_asked_again_later_and_later(tmp_path, caplog):
    clock = HandClock(LATER_MS)
    with firms() as server:
        watch = watching(tmp_path, server, clock)
        server.answers = [(b"Invalid MAP_KEY.", 200), (b"no such thing as 0123456789abcdef", 404), (b"", 500)] * 5
        waits = []
        for _ in range(12):
            waits.append(watch.step())
            clock.advance(waits[-1])
        assert all(AGAIN_S / 2 <= wait <= LONGEST_S for wait in waits)
        assert waits[-1] > 10 * waits[0]
        assert clock.utc_ms() - LATER_MS > LATE_MS / 3
        clock.advance(LATE_MS / 1000)
        assert "VIIRS_SNPP_NRT" in watch.why
        server.answers = []
        watch.step()
        assert watch.why == ""
    told = caplog.text + str(book.asked(tmp_path / book.NAME)) + watch.fault
    assert "0123456789abcdef" not in told
    assert caplog.text.count("hotspots-lost") == 1, "a change of state is logged, not each try"


def test_a_server_that_hangs_ends_by_the_deadline(tmp_path):
    clock, real = HandClock(LATER_MS), SystemClock()
    with firms() as server:
        watch = watching(tmp_path, server, clock, deadline_s=0.5)
        server.answers = [(None, 200)]
        began = real.monotonic()
        watch.step()
        assert real.monotonic() - began < 5
        assert "no answer within 0.5 s" in watch.fault


def says(*lines):
    """Return an answer word for word, then the connection is closed."""

    def answer(handler):
        handler.wfile.write(b"".join(lines))
        handler.close_connection = True

    return answer


def drips(head):
    """Return an answer that says its list a byte at a time, for as long as anybody listens."""

    def answer(handler):
        handler.wfile.write(head)
        for n in range(2_000):
            handler.wfile.write(VIIRS[n : n + 1])
            if handler.server.go_on.wait(0.01):
                return

    return answer


OK = b"HTTP/1.0 200 OK\r\n"
SLOW = "broke off|no answer within 0.5 s"  # where the deadline meets it: before the first line on a busy machine
HALF = VIIRS[: VIIRS.index(b"\n", 1_200) + 1]  # whole rows, fewer of them


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (drips(OK + b"\r\n"), SLOW),
        (drips(OK + b"Content-Length: 4000\r\n\r\n"), SLOW),
        (drips(b"HTTP/1.0 200 OK\r\nX-Slow: "), SLOW),
        (drips(b"HTTP/1.0 2"), "no answer within 0.5 s"),
        (says(OK, b"Content-Length: 4000\r\n\r\n", HALF), "broke off"),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n", HALF), "IncompleteRead"),
        (says(OK, b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08", b"\0" * 10_000), "no list of hotspots"),
        (says(b"HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1:1/0123456789abcdef\r\n\r\n"), "302 Found"),
        (says(b"HTTP/1.0 400 Bad\r\n\r\nInvalid MAP_KEY. 0123456789abcdef"), "Invalid MAP_KEY"),
        (says(OK, b"\r\n<!DOCTYPE html><html><title>Down</title>"), "no list of hotspots"),
        (says(b"\x15\x03\x01 is no HTTP\r\n"), "is no HTTP"),
        (says(), "without response"),
    ],
)
def test_a_list_that_is_not_whole_or_is_none_is_said_never_kept_in_part_and_the_key_is_in_no_word(
    tmp_path, caplog, answer, why
):
    with firms() as server:
        watch = watching(tmp_path, server, HandClock(LATER_MS), deadline_s=0.5)
        server.answers = [(answer, 200)]
        watch.step()
        assert re.search(why, watch.fault), watch.fault
        assert "0123456789abcdef" not in caplog.text + watch.fault + str(book.asked(tmp_path / book.NAME))
        assert book.since(tmp_path / book.NAME, 0) == []
        assert [one.ok_ms for one in book.asked(tmp_path / book.NAME)] == [0]
        assert len(server.asked) == 1, "what moved is mended in cloud.toml"


def test_a_list_without_end_is_refused_whole_not_cut(tmp_path):
    with firms() as server:
        watch = watching(tmp_path, server, HandClock(LATER_MS), deadline_s=30.0)
        server.answers = [(says(OK, b"\r\n", VIIRS, (ROW + b"\n") * 200_000), 200)]
        watch.step()
        assert f"at most {LARGEST}" in watch.fault
    assert book.since(tmp_path / book.NAME, 0) == []


@pytest.mark.parametrize(
    "key", ["# firms\n0123456789abcdef", "0123456789abcdef 2", "../0123456789abcdef", "\ufeff0123456789abcdef"]
)
def test_whatever_a_key_file_holds_is_one_part_of_the_address_and_in_no_word(tmp_path, caplog, key):
    with firms() as server:
        watch = watching(tmp_path, server, HandClock(LATER_MS))
        (tmp_path / "map-key").write_text(key, "utf-8")
        server.answers = [(f"no such thing as {key}".encode(), 404)]
        watch.step()
        assert server.asked[0].count("/") == 7
        assert "0123456789abcdef" not in caplog.text + watch.fault + str(book.asked(tmp_path / book.NAME))
        (tmp_path / "map-key").write_text("\n")
        clock_free = watching(tmp_path, server, HandClock(LATER_MS))
        (tmp_path / "map-key").write_text("\n")
        clock_free.step()
        assert "map-key: holds no key" in clock_free.fault
        assert len(server.asked) == 1


def test_a_key_that_cannot_be_read_is_said_with_its_file(tmp_path):
    with firms() as server:
        watch = watching(tmp_path, server, HandClock(LATER_MS))
        (tmp_path / "map-key").unlink()
        watch.step()
        assert "map-key" in watch.fault
        assert server.asked == []


# --- what an incident is told of it


def test_the_nearest_that_counts_is_seen_by_its_age_its_distance_and_how_sure_it_is(tmp_path):
    path = tmp_path / book.NAME
    lookout = Lookout(path)
    assert lookout.near(21.6, 104.5, NOW_MS) is None
    assert (lookout.failed, lookout.why) == (0, ""), "a garden without hotspots lacks nothing"
    own = Book(path)

    def there(km, hours, confidence="nominal", **more):
        own.put("a", [replace(ONE, lat=21.6 + km / 111.2, seen_ms=NOW_MS - round(hours * 3_600_000),
                              confidence=confidence, **more)], NOW_MS)  # fmt: skip
        return lookout.near(21.6, 104.5, NOW_MS)

    assert there(3.1, 1) is None
    assert there(1.0, 12.1) is None
    assert there(0.5, 1, "low") is None
    found = there(2.9, 11.9, satellite="N21")
    assert (found.km, found.satellite, found.seen_ms) == (2.9, "N21", NOW_MS - round(11.9 * 3_600_000))
    assert there(2.0, 4, "high").km == 2.0
    assert there(2.5, 1).km == 2.0, "the nearest"
    own.close()


def test_a_book_that_is_held_damaged_or_newer_raises_nothing_waits_for_nothing_and_is_counted(tmp_path, caplog):
    path, real = tmp_path / book.NAME, SystemClock()
    Book(path).close()
    lookout = Lookout(path)
    held = sqlite3.connect(path, isolation_level=None)
    held.execute("PRAGMA locking_mode = EXCLUSIVE")
    held.execute("BEGIN EXCLUSIVE")
    held.execute("DELETE FROM asked")
    began = real.monotonic()
    for _ in range(50):
        assert lookout.near(21.6, 104.5, NOW_MS) is None
    assert real.monotonic() - began < 2.0
    assert lookout.failed == 50
    assert "locked" in lookout.why
    assert caplog.text.count("hotspots-unreadable") == 1
    held.close()
    caplog.set_level("INFO")
    lookout.near(21.6, 104.5, NOW_MS)
    assert lookout.why == ""
    assert "hotspots-readable failed=50" in caplog.text
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    assert lookout.near(21.6, 104.5, NOW_MS) is None
    assert "99" in lookout.still()
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 1")
    newer.close()
    assert lookout.still() == "", "no suspicion is waited for until it is said that it can be read"
    assert lookout.failed == 51, "nobody asked it in vain"
    for name in ("", "-wal", "-shm"):
        path.with_name(path.name + name).unlink(missing_ok=True)
    path.write_bytes(b"no database at all, but long enough to look like one" * 100)
    assert lookout.near(21.6, 104.5, NOW_MS) is None
    assert "not a database" in lookout.why
    path.unlink()
    path.mkdir()
    assert lookout.near(21.6, 104.5, NOW_MS) is None
    assert lookout.failed == 53


# --- the command


def test_a_file_is_brought_in_and_told_with_how_late_it_is(tmp_path, capsys):
    sample = Path(__file__).parents[1] / "config"
    source = tmp_path / "viirs.csv"
    source.write_bytes(VIIRS + b"91,104.5,338.92,0.63,0.74,2026-03-14,42,N20,VIIRS,h,2.0NRT,289.38,16.70,D\n")
    words = ["--config", str(sample), "--data", str(tmp_path)]
    assert main(["hotspots", "import", str(source), *words]) == 1
    told = capsys.readouterr()
    assert "24" in told.out
    assert "không phải cảnh báo trực tiếp" in told.out
    assert "not a live alert" in told.out
    assert "26" in told.err, "the line of the row that is none"
    assert len(book.since(tmp_path / book.NAME, 0)) == 24
    (asked,) = book.asked(tmp_path / book.NAME)
    assert asked.ok_ms == max(one.seen_ms for one in book.since(tmp_path / book.NAME, 0)), "it knows nothing of later"
    source.write_text("Invalid MAP_KEY.")
    assert main(["hotspots", "import", str(source), *words]) == 2
    assert "Invalid MAP_KEY." in capsys.readouterr().err
    assert main(["hotspots", "import", str(tmp_path / "none.csv"), *words]) in (1, 2)


# --- the page


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.store.close()


def zones(world):
    return world.registry.zones.values()


def client(world, **changed):
    return Visitor(build(world.garden(**changed)))


@pytest.fixture
def asking(tmp_path, world):
    own = Book(tmp_path / book.NAME)
    yield own, lambda: client(world, hotspots=lambda: seen(tmp_path / book.NAME, zones(world), world.clock.utc_ms()))
    own.close()


def test_the_page_shows_fires_with_their_age_and_that_they_are_late(world, asking):
    own, visitor = asking
    now_ms = world.clock.utc_ms()
    for lang, unasked, late, none in (
        ("vi", "chưa nhận danh sách", "9 giờ trước, không phải lúc này", "Không thấy không có nghĩa là không có cháy"),
        ("en", "has been given no list", "9 h ago, not now", "does not mean that nothing burns"),
    ):
        page = visitor().get(f"/diem-nong?lang={lang}")
        assert page.status_code == 200
        assert unasked in page.text
        own.put("a", [], now_ms - 60_000)
        assert none in visitor().get(f"/diem-nong?lang={lang}").text
        there = replace(ONE, seen_ms=now_ms - 9 * 3_600_000 - 1, lat=21.62, lon=104.58)
        own.put("a", [there, replace(there, satellite="N", lat=21.621), replace(there, lat=40.0)], now_ms - 60_000)
        page = visitor().get(f"/diem-nong?lang={lang}").text
        assert late in re.sub("<[^>]+>", "", page)
        assert "21.6210" in page or "21.6200" in page
        assert "40.0000" not in page, "what is far away is another garden's"
        assert "<svg" in page
        assert "NASA FIRMS" in page
        own._db.execute("DELETE FROM hotspot")
        own._db.execute("DELETE FROM asked")


def test_machines_read_the_same_and_that_it_is_never_live(world, asking):
    own, visitor = asking
    now_ms = world.clock.utc_ms()
    own.put("a", [replace(ONE, seen_ms=now_ms - 9 * 3_600_000, lat=21.62, lon=104.58)], now_ms)
    told = visitor().get("/diem-nong.json").json()
    assert told["live"] is False
    (fire,) = told["fires"]
    assert fire["place"] in {zone.code for zone in zones(world)}
    assert fire["km"] < 5


def test_what_finds_no_room_on_the_page_is_counted(world, asking):
    own, visitor = asking
    now_ms = world.clock.utc_ms()
    many = [
        replace(ONE, seen_ms=now_ms - n * 60_000, lat=21.4 + (n % 20) / 50, lon=104.4 + n // 20 / 50)
        for n in range(210)
    ]
    own.put("a", many, now_ms)
    assert "10 đám nữa" in visitor().get("/diem-nong").text
    assert "10 more, seen earlier" in visitor().get("/diem-nong?lang=en").text
    told = visitor().get("/diem-nong.json").json()
    assert (len(told["fires"]), told["left_out"]) == (200, 10)


def test_a_book_that_cannot_be_read_is_said(world, tmp_path):
    (tmp_path / book.NAME).write_bytes(b"no database, but long enough to look like one for a while" * 50)
    page = client(world, hotspots=lambda: seen(tmp_path / book.NAME, zones(world), 0)).get("/diem-nong?lang=en")
    assert page.status_code == 503
    assert "cannot be read" in page.text
