"""The coverage room on real files: gateways from the store, files from the inbox, sheets, whatever dies or fails."""

from __future__ import annotations

import io
import os
import re
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import h3.api.basic_int as h3
import pytest
from msgspec.structs import replace

from cloud.access import book as accounts
from cloud.access import heard
from cloud.coverage import book, gateways, reasons, sheets, uploads
from cloud.coverage.book import Book
from cloud.coverage.brought import Desk
from cloud.coverage.gateways import Gateways
from cloud.coverage.keeper import Keeper, Page
from cloud.coverage.months import HEX, hex_of, month_ms
from cloud.coverage.phones import Phones
from cloud.coverage.sample import LIMITED, NONE, SERVED, Heard, Sample
from cloud.coverage.scale import Scale
from cloud.coverage.seam import Put
from cloud.coverage.uploads import FOLDER, Uploads
from cloud.inbox import Asker, Inbox
from cloud.registry import Registry
from cloud.registry.kinds import Binding, Commune, Hamlet, Maintenance, Province
from cloud.store import Retry, open_store
from tests import sentinels
from tests.build import batch
from tests.rules.garden import HandClock
from tests.servers import influx_table
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cloud.registry.kinds import Record

BEGIN_MS = 1_795_752_000_000  # 2026-11-27 11:00 in Vietnam, the beginning of ten minutes
MINUTE_MS, DAY_MS = 60_000, 86_400_000
HUNG = date(2025, 1, 1)
PLACE = (21.6206, 104.5801)
HAMLET = (
    Province(code="p01", name="Lào Cai", valid_from=HUNG),
    Commune(code="x01", name="Xã", province="p01", valid_from=HUNG),
    Hamlet(code="h01", name="Thôn", commune="x01", lat=PLACE[0], lon=PLACE[1], valid_from=HUNG),
)
HUNG_UP = Binding(gateway="sg-01", channel="modem", place="hamlet", code="h01", valid_from=HUNG)
SERVICE = {
    "registration": 1,
    "radio": 3,
    "plmn": 452_004,
    "lte_rsrp": -101.5,
    "lte_sinr": 4,
    "tac": 12,
    "cell": 777,
    "pci": 7,
}
SEARCHING: dict[str, Any] = {"registration": 2, "radio": 0}


class World:
    """A store with an ingester's hand, and the room's parts around one book, stepped by hand."""

    def __init__(self, folder: Path, *records: Record) -> None:
        self.folder, self.clock = folder, HandClock(BEGIN_MS + 3_600_000)
        (folder / FOLDER).mkdir(exist_ok=True)
        self.store = open_store({"path": str(folder / "store.db")}, writer=True)
        self.store.setup()
        self.first = 1
        self.bind(HUNG_UP, *records)
        self.begin()

    def bind(self, *records: Record) -> None:
        kinds: dict[str, list[Record]] = {}
        for one in (*HAMLET, *records):
            kinds.setdefault(type(one).__name__.lower(), []).append(one)
        self.current = SimpleNamespace(now=Registry(kinds))

    def begin(self) -> None:
        """Start the room's parts, again after `die`."""
        self.book = Book(self.folder / book.NAME)
        self.heard = heard.Book(self.folder / heard.NAME)
        self.inbox = Inbox(self.folder, uploads.ROOM, self.clock)
        self.phones = Phones(accounts.Known(self.folder / accounts.NAME), self.heard, self.clock)
        self.files = Uploads(self.book, self.inbox, self.folder, self.clock)
        self.keeper = Keeper(self.book, self.phones, self.files, Scale(), lambda: [PLACE], self.clock)
        self.gateways = Gateways(self.store, self.current, self.keeper, self.clock)

    def die(self) -> None:
        """Let go of everything as a process that is killed does: nothing is finished."""
        self.files.close()
        self.book.close()
        self.heard.close()
        self.inbox.close()

    def close(self) -> None:
        self.die()
        self.store.close()

    def tell(self, rows: Sequence[dict[str, dict[str, Any]]], at_ms: int = BEGIN_MS, step_ms: int = 10_000) -> None:
        """Store what the gateway says, one row each step."""
        for start in range(0, len(rows), 60):
            some = rows[start : start + 60]
            whole = batch(first=self.first, start_ms=at_ms + start * step_ms, step_ms=step_ms, rows=some)
            self.first += sum(map(len, some))
            assert self.store.commit([whole], self.clock.utc_ms()) == [[]]
            self.clock.advance(0.01)

    def look(self) -> list[Sample]:
        """Let gateways be read and kept, and return what is kept by time."""
        self.clock.advance(gateways.EVERY_S + 1)
        self.keeper.step()
        while self.gateways.step():
            self.keeper.step()
        self.keeper.step()
        return list(self.book.samples(0, 2**62))

    def run(self) -> None:
        """Step until nothing is left to do, and what failed was tried again some times."""
        idle = 0
        while idle < 4:
            idle = 0 if self.keeper.step() else idle + 1
            self.clock.advance(2 * idle)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def modem(*said: dict[str, Any]) -> list[dict[str, dict[str, Any]]]:
    return [{"modem": one} for one in said]


def test_a_reading_of_a_modem_is_a_sample_at_the_hamlet_where_it_hangs(world: World) -> None:
    world.tell(modem(SERVICE | {"rtt": 80, "loss": 25}))
    assert world.look() == [
        Sample(
            time_ms=BEGIN_MS, lat=PLACE[0], lon=PLACE[1], source="gateway", by="sg-01", service=SERVED, plmn=452_004,
            radio=3, lte=Heard(rsrp_dbm=-101.5, sinr_db=4, tac=12, cell=777, pci=7), rtt_ms=80, loss=0.25,
        )
    ]  # fmt: skip


def test_what_a_probe_says_of_the_way_goes_with_the_modem_of_its_ten_minutes(world: World) -> None:
    rows = [{"modem": SERVICE} for _ in range(180)]
    rows[70] |= {"way": {"rtt": 80, "loss": 20}}
    world.tell(rows)
    assert [(one.rtt_ms, one.loss) for one in world.look()] == [(None, None), (80, 0.2), (None, None)]


def test_of_two_modems_nobody_knows_by_which_a_probe_went(world: World) -> None:
    world.bind(HUNG_UP, replace(HUNG_UP, channel="modem-2"))
    world.tell([{"modem": SERVICE, "modem-2": SERVICE, "way": {"rtt": 80, "loss": 20}}])
    assert {one.rtt_ms for one in world.look()} == {None}


def test_one_sample_each_ten_minutes_and_one_for_each_change(world: World) -> None:
    hour = [SERVICE] * 360
    hour[100:130] = [SEARCHING] * 30
    world.tell(modem(*hour))
    kept = world.look()
    assert [(one.time_ms - BEGIN_MS) // 10_000 for one in kept] == [0, 60, 100, 120, 130, 180, 240, 300]
    assert [one.service for one in kept] == [SERVED, SERVED, NONE, NONE, SERVED, SERVED, SERVED, SERVED]
    assert {one.plmn for one in kept} == {452_004}, "who finds no network has looked for that of its SIM"
    assert world.look() == kept


def test_what_comes_late_and_out_of_order_makes_the_same_samples(world: World, tmp_path: Path) -> None:
    hours = [SERVICE] * 300 + [SEARCHING] * 120 + [SERVICE] * 300
    world.clock.advance(DAY_MS / 1000)
    world.tell(modem(*hours))
    expected = world.look()
    (tmp_path / "late").mkdir()
    late = World(tmp_path / "late")
    late.clock.advance(DAY_MS / 1000)
    for part in (4, 0, 2, 5, 1, 3):
        late.tell(modem(*hours[part * 120 : part * 120 + 120]), BEGIN_MS + part * 120 * 10_000)
        found = late.look()
    assert found == expected
    late.close()


@pytest.mark.influx
@pytest.mark.parametrize("server", ["influxd1", "influxd2"])
def test_samples_are_the_same_on_every_engine(server: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    rows = modem(*[SERVICE] * 100, *[SEARCHING] * 50, *[SERVICE | {"rtt": 40, "loss": 10}] * 50)
    rows = [
        row | {"gnss": {"lat": 21.7 + n // 20 * 0.0001, "lon": 104.6, "fix_quality": 1}} for n, row in enumerate(rows)
    ]
    found = []
    for name in ("sqlite", "influx"):
        (tmp_path / name).mkdir()
        world = World(tmp_path / name)
        if name == "influx":
            world.store.close()
            world.store = open_store(influx_table(request.getfixturevalue(server), tmp_path), writer=True)
            world.store.setup()
            world.die()
            world.begin()
        world.tell(rows)
        found.append(world.look())
        world.close()
    assert found[0] == found[1]
    assert len(found[0]) > 3


def test_a_failed_poll_maintenance_and_an_unknown_registration_are_no_samples(tmp_path: Path) -> None:
    since, until = (datetime.fromtimestamp((BEGIN_MS + n * MINUTE_MS) / 1000, UTC) for n in (20, 30))
    rests = Maintenance(gateway="sg-01", channel="modem", starts=since, ends=until)
    world = World(tmp_path, rests)
    world.tell(modem({"registration": Reason.PORT_BUSY, "radio": Reason.PORT_BUSY}))
    world.tell(modem({"registration": 4}), BEGIN_MS + 10 * MINUTE_MS)
    world.tell(modem(SEARCHING), BEGIN_MS + 25 * MINUTE_MS)
    assert world.look() == []
    assert world.gateways.counts == {"registration unknown": 1}
    world.tell(modem({"registration": 8}, {"registration": 3}), BEGIN_MS + 40 * MINUTE_MS)
    assert [(one.service, one.plmn) for one in world.look()] == [(LIMITED, 0), (LIMITED, 0)]
    world.close()


def test_a_modem_that_hangs_nowhere_has_no_place_until_it_has_a_fix(world: World) -> None:
    world.bind(Binding(gateway="sg-01", channel="other", place="hamlet", code="h01", valid_from=HUNG))
    world.gateways = Gateways(world.store, world.current, world.keeper, world.clock)
    fix = {"lat": 21.7, "lon": 104.6, "alt": 900, "fix_quality": 1, "hdop": 1.5}
    world.tell([{"gnss": fix}, {"modem": SERVICE}])
    assert [(one.lat, one.lon, one.alt_m, one.accuracy_m) for one in world.look()] == [(21.7, 104.6, 900, 7.5)]
    world.tell(modem(SEARCHING), BEGIN_MS + 20 * MINUTE_MS)
    assert len(world.look()) == 1
    assert world.gateways.counts["no place"] >= 1


def test_who_walks_with_a_gateway_samples_the_way(world: World) -> None:
    way = [{"modem": SERVICE, "gnss": {"lat": 21.7 + n * 0.0001, "lon": 104.6, "fix_quality": 1}} for n in range(120)]
    world.tell(way)
    assert len({one.spot for one in world.look()}) > 20
    still = [
        {"modem": SERVICE, "gnss": {"lat": 21.7 + n % 2 * 0.0001, "lon": 104.6, "fix_quality": 1}} for n in range(120)
    ]
    world.tell(still, BEGIN_MS + 40 * MINUTE_MS)
    assert len([one for one in world.look() if one.time_ms >= BEGIN_MS + 40 * MINUTE_MS]) == 2


def test_a_walk_whose_batches_are_read_one_by_one_has_each_moment_once(world: World) -> None:
    rows: list[dict[str, dict[str, Any]]] = []
    for n in range(90):  # each twenty seconds a modem, last of its batch; the next batch begins with a nearer fix
        for second in range(20):
            fix = {"lat": 21.62 + (n * 20 + second) * 1.2e-5, "lon": 104.58, "fix_quality": 1}
            other = {"air": {"air_temperature": 20.0}}
            rows.append({"modem": SERVICE} if second == 19 else {"gnss": fix} if second in {0, 10} else other)
    for start in range(0, len(rows), 60):
        world.tell(rows[start : start + 60], BEGIN_MS + 2_000 + start * 1_000, 1_000)
        kept = world.look()
    times = [one.time_ms for one in kept]
    assert len(times) == len(set(times)) == 90


def test_a_modem_at_its_hamlet_whose_receiver_comes_and_goes_does_not_walk(world: World) -> None:
    """Its fixes lie two kilometres from the hamlet's point, where it is said to be without them."""
    rows: list[dict[str, dict[str, Any]]] = modem(*[SERVICE] * 240)
    for row in rows[::24]:
        row["gnss"] = {"lat": PLACE[0] + 0.02, "lon": PLACE[1], "fix_quality": 1}
    world.tell(rows)
    assert len(world.look()) == 4


def test_the_cursor_stands_or_falls_with_the_samples(world: World) -> None:
    world.tell(modem(*[SERVICE] * 200))
    world.clock.advance(gateways.EVERY_S + 1)
    world.keeper.step()
    world.gateways.step()  # handed over, and killed before it is kept
    world.die()
    world.begin()
    assert len(world.look()) == 4
    world.die()
    world.begin()
    world.look()
    assert world.keeper.counts["new"] == 0


def test_a_damaged_book_is_begun_anew_with_what_the_store_has(world: World) -> None:
    world.tell(modem(*[SERVICE] * 400))
    kept = world.look()
    world.die()
    path = world.folder / book.NAME
    for log in ("-wal", "-shm"):
        path.with_name(path.name + log).unlink(missing_ok=True)
    path.write_bytes(b"SQLite format 3\0" + bytes(50_000))
    world.begin()
    assert world.look() == kept
    assert path.with_name(f"{path.name}.damaged-1").exists()


def test_a_store_that_is_away_is_said_and_read_when_it_is_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.tell(modem(SERVICE))

    def away(*_: object) -> None:
        raise Retry("out of reach", 5)

    stop = threading.Event()
    turns = iter(range(10))
    with monkeypatch.context() as patch:
        patch.setattr(type(world.store), "ledger", away)
        patch.setattr(world.clock, "wait", lambda *_: stop.set() if next(turns) >= 3 else None)
        world.keeper.step()
        world.gateways.run(stop)
        assert "out of reach" in world.gateways.fault
    assert len(world.look()) == 1


def test_a_clock_of_before_2020_is_waited_for(world: World) -> None:
    world.tell(modem(SERVICE))
    right_ms = world.clock.utc_ms()
    world.clock.step(-right_ms / 1000)
    world.keeper.step()
    assert "1970" in world.keeper.fault
    world.clock.step(right_ms / 1000)
    assert len(world.look()) == 1


def test_a_modem_that_is_new_at_an_old_gateway_is_heard_from_its_first_word(world: World) -> None:
    world.tell([{"soil": {"soil_moisture": 30.0}}])
    assert world.look() == []
    world.tell(modem(SERVICE), BEGIN_MS + 10 * MINUTE_MS)
    assert len(world.look()) == 1


def test_a_clock_that_was_years_ahead_hides_nothing_that_comes_after(world: World) -> None:
    world.tell(modem(SERVICE))
    assert len(world.look()) == 1
    world.clock.step(3_650 * 86_400)
    world.tell(modem(SERVICE), BEGIN_MS + 10 * MINUTE_MS)
    assert len(world.look()) == 2
    world.clock.step(-3_650 * 86_400)
    for n in (2, 3):
        world.tell(modem(SERVICE), BEGIN_MS + n * 10 * MINUTE_MS)
        assert len(world.look()) == n + 1
    assert world.keeper.read_to_ms
    assert world.keeper.read_to_ms <= world.clock.utc_ms()


def test_a_modem_that_is_new_after_a_clock_was_ahead_is_heard(world: World) -> None:
    world.clock.step(365 * 86_400)
    world.tell([{"soil": {"soil_moisture": 30.0}}])
    assert world.look() == []
    world.clock.step(-365 * 86_400)
    world.tell(modem(SERVICE), BEGIN_MS + 10 * MINUTE_MS)
    assert len(world.look()) == 1


@pytest.mark.parametrize("back_s", [30, 90, 150, 200, 260, 590, 3_600])
def test_a_clock_that_is_set_back_by_minutes_loses_nothing_that_comes_in_them(world: World, back_s: float) -> None:
    world.tell(modem(SERVICE))
    assert len(world.look()) == 1
    world.tell([{"soil": {"soil_moisture": 30.0}}])
    world.look()  # up to here
    world.clock.step(-back_s)
    world.tell(modem(SERVICE), BEGIN_MS + 10 * MINUTE_MS)
    assert len(world.look()) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give something to somebody else")
def test_a_folder_that_a_command_of_roots_has_made_is_the_servers(tmp_path: Path) -> None:
    """`sudo gocche coverage import` before the room has ever run: it must read there what is brought later."""
    os.chown(tmp_path, 12_345, 12_345)
    with pytest.raises(Retry, match="never run"):
        Desk(tmp_path, HandClock(BEGIN_MS)).bring(io.BytesIO(b"a survey"), "hang-tay")
    made = (tmp_path / FOLDER).stat()
    assert (made.st_uid, made.st_gid, list((tmp_path / FOLDER).iterdir())) == (12_345, 12_345, [])


def test_what_cannot_be_kept_costs_itself(world: World) -> None:
    good = [
        Sample(time_ms=BEGIN_MS + n, lat=21.6, lon=104.5, source="phone", by="hang-tay", service=NONE) for n in range(9)
    ]
    poison = replace(good[0], time_ms=BEGIN_MS + 77, plmn=2**70)
    assert world.keeper.put([*good[:4], poison, *good[4:]], world.clock.utc_ms()) == Put(9, 0, 0)
    assert world.keeper.counts["poisoned"] == 1
    assert len(list(world.book.samples(0, 2**62))) == 9


def survey(n: int, begin_ms: int = BEGIN_MS) -> bytes:
    """Return a file of the survey app with a moment each 5 s, going north, with one row that is damaged."""
    lines = [
        "# CSV Version=0.4.0",
        "deviceSerialNumber,deviceTime,latitude,longitude,altitude,accuracy,groupNumber,mcc,mnc,tac,eci,earfcn,pci,rsrp,rsrq,snr,servingCell",
    ]
    for number in range(n):
        at = datetime.fromtimestamp((begin_ms + 5_000 * number) / 1000, UTC).isoformat(timespec="milliseconds")
        place, cell = f"{21.6 + number / 20_000:.6f},104.58,900,5", "452,4,12,777,1300,7,-101.5,-11,4,true"
        lines.append(f"{sentinels.SERIAL},{at},{place},{number},{cell}")
    lines.insert(5, lines[4].replace("21.6", "north"))
    return ("\n".join(lines) + "\n").encode()


def bring(world: World, name: str, body: bytes, team: str = "hang-tay") -> int:
    (world.folder / FOLDER / name).write_bytes(body)
    return Asker(world.folder, uploads.ROOM, world.clock).ask("import", {"file": name, "team": team})


def outcome(world: World, number: int) -> dict[str, Any] | None:
    return Asker(world.folder, uploads.ROOM, world.clock).outcome(number)


def test_a_file_becomes_samples_with_its_progress_and_what_became_of_it(world: World) -> None:
    number = bring(world, "a.csv", survey(500))
    world.run()
    told = outcome(world, number)
    assert told is not None
    assert (told["new"], told["known"], told["late"], sum(told["refused"].values())) == (500, 0, 0, 1)
    (upload,) = book.uploads(world.folder / book.NAME)
    assert (upload.team, upload.new, upload.read, upload.why) == ("hang-tay", 500, upload.size, "")
    assert upload.done_ms
    assert list((world.folder / FOLDER).iterdir()) == []
    again = bring(world, "b.csv", survey(510))
    world.run()
    told = outcome(world, again)
    assert told
    assert (told["new"], told["known"]) == (10, 500)
    assert book.effort(world.folder / book.NAME, 0) == [
        ("hang-tay", 202611, len({one.spot and hex_of(one.spot) for one in world.book.samples(0, 2**62)}))
    ]
    world.die()
    assert sentinels.leaks(world.folder) == []
    world.begin()


@pytest.mark.parametrize("body", [b"", sentinels.table("GnssRecord", [{"groupNumber": n} for n in range(20_000)])])
def test_a_file_that_gives_nothing_for_long_is_read_in_pieces_too(world: World, body: bytes) -> None:
    content = body or survey(10) + b"\n" * 20_000
    number = bring(world, "long.csv", content)
    steps, told = 0, list[int]()
    while world.keeper.step():
        steps += 1
        told += [one.read for one in book.uploads(world.folder / book.NAME)]
    assert steps > 5, "telephones would wait for all of it"
    assert told == sorted(told)
    found = outcome(world, number)
    assert found is not None
    assert found["new"] == (0 if body else 10)
    (upload,) = book.uploads(world.folder / book.NAME)
    assert upload.read == upload.size


def test_who_dies_amid_a_file_reads_it_again_and_counts_each_sample_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "AT_ONCE", 50)
    number = bring(world, "a.csv", survey(400))
    for steps in (1, 3, 2):
        for _ in range(steps):
            world.keeper.step()
        assert outcome(world, number) is None
        world.die()
        world.begin()
    world.run()
    told = outcome(world, number)
    assert told
    assert (told["new"], told["known"], sum(told["refused"].values())) == (400, 0, 1)
    assert len(list(world.book.samples(0, 2**62))) == 400


def test_who_dies_after_the_last_piece_and_before_the_answer_still_answers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = bring(world, "a.csv", survey(30))

    def dies(*_: object) -> None:
        raise Retry("killed here", 1)

    with monkeypatch.context() as patch:
        patch.setattr(Inbox, "done", dies)
        world.run()
    world.die()
    world.begin()
    world.run()
    told = outcome(world, number)
    assert told
    assert told["new"] == 30


def test_a_copy_that_was_broken_off_is_let_go_a_day_later(world: World) -> None:
    old, new = (world.folder / FOLDER / f"{name}.part" for name in ("old", "new"))
    for path, age_s in ((old, 90_000), (new, 60)):
        path.write_bytes(b"half")
        at_s = world.clock.utc_ms() / 1000 - age_s
        os.utime(path, (at_s, at_s))
    world.keeper.step()
    assert [old.exists(), new.exists()] == [False, True]


def test_two_files_at_once_are_both_read(world: World) -> None:
    numbers = [
        bring(world, f"{n}.csv", survey(50, BEGIN_MS - n * DAY_MS), team)
        for n, team in enumerate(["hang-tay", "pu-va"])
    ]
    world.run()
    assert [outcome(world, number)["new"] for number in numbers] == [50, 50]  # type: ignore[index]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"file": "../store.db", "team": "hang-tay"}, "which file"),
        ({"file": "a.csv", "team": "Hang Tay"}, "which file"),
        ({"file": "gone.csv", "team": "hang-tay"}, "No such file"),
        ({}, "which file"),
    ],
)
def test_a_question_that_names_no_file_is_answered(world: World, body: dict[str, Any], why: str) -> None:
    number = Asker(world.folder, uploads.ROOM, world.clock).ask("import", body)
    world.run()
    told = outcome(world, number)
    assert told
    assert why in told["error"]


def test_noise_is_refused_and_costs_no_other_file(world: World) -> None:
    numbers = [
        bring(world, "noise.csv", bytes(range(256)) * 400),
        bring(world, "geo.json", b'{"items": [' + b"[" * 9_000),
    ]
    good = bring(world, "good.csv", survey(20))
    world.run()
    for number in numbers:
        told = outcome(world, number)
        assert told
        assert (told["new"], told["refused"] != {} or "error" in told) == (0, True)
    assert outcome(world, good)["new"] == 20  # type: ignore[index]


def test_a_full_disk_amid_a_file_loses_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "AT_ONCE", 50)
    number = bring(world, "a.csv", survey(300))
    world.keeper.step()
    with world.book.using() as db:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages + 1}")
    for _ in range(20):
        world.keeper.step()
        world.clock.advance(6)
    assert "full" in world.keeper.fault
    other = replace(walk()[0], lat=21.7)
    world.keeper.hand_over(Page([other], 0, 1))
    with world.book.using() as db:
        db.execute("PRAGMA max_page_count = 1000000")
    world.run()
    told = outcome(world, number)
    assert told
    assert (told["new"], told["known"], world.keeper.fault) == (300, 0, "")
    assert other in world.book.samples(0, 2**62)


def test_a_file_that_the_disk_refuses_keeps_no_other_waiting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = bring(world, "a.csv", survey(30)), bring(world, "b.csv", survey(30))

    def refuses(file: Any, *_: object) -> Iterator[Sample]:
        if file.name.endswith("a.csv"):
            raise OSError(5, "Input/output error")
        yield walk()[0]

    monkeypatch.setattr(uploads, "read", refuses)
    world.run()
    assert "Input/output error" in outcome(world, bad)["error"]  # type: ignore[index]
    assert outcome(world, good)["new"] == 1  # type: ignore[index]


def test_a_book_that_is_damaged_amid_everything_begins_anew_and_has_all_again(world: World) -> None:
    world.tell(modem(*[SERVICE] * 400))
    expected = world.look()
    number = bring(world, "a.csv", survey(6_000, BEGIN_MS - DAY_MS))
    for _ in range(3):
        world.keeper.step()
    path = world.folder / book.NAME
    with world.book.using() as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.execute("PRAGMA cache_size = 1")
        db.execute("PRAGMA shrink_memory")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    world.run()
    kept = world.look()
    assert path.with_name(f"{path.name}.damaged-1").exists()
    assert [one for one in kept if one.source == "gateway"] == expected
    assert len([one for one in kept if one.source == "phone"]) == 6_000
    assert outcome(world, number)["new"] == 6_000  # type: ignore[index]


@pytest.mark.parametrize("another", [False, True], ids=["removed", "an older copy in its place"])
def test_a_book_that_is_taken_away_while_it_is_in_use_is_not_written_into(world: World, *, another: bool) -> None:
    world.tell(modem(*[SERVICE] * 400))
    expected = world.look()
    path = world.folder / book.NAME
    with closing(sqlite3.connect(path)) as db, closing(sqlite3.connect(world.folder / "older")) as copy:
        db.backup(copy)
    number = bring(world, "a.csv", survey(6_000, BEGIN_MS - DAY_MS))
    for _ in range(2):
        world.keeper.step()
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    if another:
        (world.folder / "older").rename(path)
    world.run()
    world.look()
    world.die()  # what is there for others is what counts
    world.begin()
    kept = list(world.book.samples(0, 2**62))
    assert [one for one in kept if one.source == "gateway"] == expected
    assert len([one for one in kept if one.source == "phone"]) == 6_000
    assert outcome(world, number)["new"] == 6_000  # type: ignore[index]


def walk(plmn: int = 452_004, lat: float = 21.6206, n: int = 60, begin_ms: int = BEGIN_MS, **of: Any) -> list[Sample]:
    one = Sample(
        time_ms=0, lat=lat, lon=104.5801, source="phone", by="hang-tay", plmn=plmn, service=SERVED,
        lte=Heard(rsrp_dbm=-90.0),
    )  # fmt: skip
    one = replace(one, **of)
    return [replace(one, time_ms=begin_ms + 10_000 * number, lat=lat + number * 0.0001) for number in range(n)]


def test_sheets_are_made_of_now_and_of_months_for_each_network_and_the_best(world: World) -> None:
    path, now_ms = world.folder / book.NAME, world.clock.utc_ms()
    world.keeper.put(walk(), now_ms)
    world.keeper.put(walk(452_001, service=NONE, lte=None), now_ms)
    world.keeper.put(walk(lat=21.9), now_ms)
    world.run()
    assert book.networks(path) == [452_001, 452_004]
    phone = {key[1:4] for key in book.sheets(path) if key[0] == "phone"}
    assert phone == {(plmn, month, res) for plmn in (0, 452_001, 452_004) for month in (0, 202611) for res in (8, 9)}
    whole = book.sheet(path, "phone", 0, 0, 8)
    assert whole
    assert {hex_of(one.spot) for one in world.book.samples(0, 2**62)} == {one.cell for one in whole.cells}
    assert whole.made_ms == now_ms
    fine = book.sheet(path, "phone", 452_004, 202611, 9)
    assert fine
    assert {h3.cell_to_parent(one.cell, HEX) for one in fine.cells} < {one.cell for one in whole.cells}, (
        "near the hamlet"
    )
    assert {one.state for one in fine.cells} <= {"good", "fair", "uncertain", "unmeasured"}


def test_only_what_changed_is_made_again_and_all_where_the_scale_is_another(world: World, tmp_path: Path) -> None:
    path, now_ms = tmp_path / book.NAME, world.clock.utc_ms()
    world.keeper.put(walk(), now_ms)
    world.keeper.put(walk(lat=21.9), now_ms)
    made = sheets.Sheets(world.book, Scale())
    cells = len({hex_of(one.spot) for one in world.book.samples(0, 2**62)})
    assert [made.make([PLACE], now_ms) for _ in range(3)] == [cells, cells, 0], "now, then its month"
    whole = book.sheet(path, "phone", 0, 0, 8)
    world.keeper.put(walk(lat=22.4, n=3), now_ms)
    assert [made.make([PLACE], now_ms + 1) for _ in range(3)] == [1, 1, 0]
    now = book.sheet(path, "phone", 0, 0, 8)
    assert whole
    assert now
    assert set(whole.cells) < set(now.cells)
    strict = sheets.Sheets(world.book, Scale(lte_good_dbm=-60, lte_fair_dbm=-80))
    assert strict.make([PLACE], now_ms) == cells + 1
    again = book.sheet(path, "phone", 0, 0, 8)
    assert again
    assert {one.state for one in again.cells} <= {"weak", "uncertain", "unmeasured"}


def test_a_month_that_was_ahead_of_the_clock_is_on_the_map_once_it_has_come(world: World, tmp_path: Path) -> None:
    path, turn_ms = tmp_path / book.NAME, month_ms(202612)[0]
    made = sheets.Sheets(world.book, Scale())
    world.keeper.put(walk(begin_ms=turn_ms + 60_000), turn_ms - 60_000)  # the server is two minutes slow
    while made.make([PLACE], turn_ms - 60_000):
        pass
    assert book.sheet(path, "phone", 0, 0, 8) is None
    assert made.make([PLACE], turn_ms + MINUTE_MS)
    now, month = (book.sheet(path, "phone", 0, of, 8) for of in (0, 202612))
    assert now
    assert month
    assert [one.cell for one in now.cells] == [one.cell for one in month.cells]
    assert not made.make([PLACE], turn_ms + DAY_MS)


def test_a_sheet_that_rotted_is_made_again_and_a_rotten_spot_costs_its_cell(world: World, tmp_path: Path) -> None:
    path, now_ms = tmp_path / book.NAME, world.clock.utc_ms()
    world.keeper.put([*walk(), *walk(lat=21.9)], now_ms)
    made = sheets.Sheets(world.book, Scale())
    while made.make([PLACE], now_ms):
        pass
    whole = book.sheet(path, "phone", 0, 0, 8)
    assert whole
    with world.book.changing() as db:
        db.execute("UPDATE sheet SET cells = x'c1c1'")
    world.keeper.put(walk(n=1, begin_ms=BEGIN_MS + 1), now_ms)
    while made.make([PLACE], now_ms):
        pass
    again = book.sheet(path, "phone", 0, 0, 8)
    assert again
    assert {one.cell for one in again.cells} == {one.cell for one in whole.cells}
    with world.book.changing() as db:
        db.execute("UPDATE spot SET lte_n = 'rotten' WHERE cell = ?", (walk(lat=21.9)[0].spot,))
    world.keeper.put([*walk(lat=22.2), *walk(lat=21.9, n=1, begin_ms=BEGIN_MS + 2)], now_ms)
    while made.make([PLACE], now_ms):
        pass
    last = book.sheet(path, "phone", 0, 0, 8)
    assert last
    assert {one.cell for one in last.cells} > {one.cell for one in whole.cells}, "the rotten one stays as it was"


def test_sheets_in_pieces_are_the_sheets_at_once(world: World, tmp_path: Path) -> None:
    now_ms = world.clock.utc_ms()
    for month in range(3):
        world.keeper.put(walk(lat=21.5 + month / 50, begin_ms=BEGIN_MS - month * 31 * DAY_MS), now_ms)
    path = tmp_path / book.NAME
    made = sheets.Sheets(world.book, Scale())
    while made.make([PLACE], now_ms):
        pass
    whole = {key: book.sheet(path, *key[:4]) for key in book.sheets(path)}
    anew = sheets.Sheets(world.book, Scale(stale_s=901))
    while anew.make([PLACE], now_ms, at_most=1):
        pass
    assert {key: book.sheet(path, *key[:4]) for key in book.sheets(path)} == whole


def test_every_reason_has_words_in_both_languages() -> None:
    code = "".join(path.read_text("utf-8") for path in Path(reasons.__file__).parent.rglob("*.py"))
    named = set(re.findall(r'BadSample\("([^"]+)"', code)) | {"wifi", "bluetooth", "full", "rate"}
    assert {reason for reason in named if set(reasons.words().get(reason, {})) != {"vi", "en"}} == set()
