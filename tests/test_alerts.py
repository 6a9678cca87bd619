"""Alerts from readings to mails: once, in any order of arrival, never lost, never as if late were now."""

from __future__ import annotations

import random
import sqlite3
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from cloud.alerts.decide.catchup import ROWS_A_PAGE
from cloud.alerts.journal import Journal
from cloud.alerts.listing import events
from cloud.alerts.wiring import build
from cloud.clock import SystemClock
from cloud.config import ConfigError, load
from cloud.registry import Contact
from cloud.store import Refusal
from tests.rules.garden import (
    EPOCH,
    SIGNAL,
    SILENT,
    SMOKE,
    START_MS,
    Bench,
    HandClock,
    Post,
    batch,
    registry,
    until,
)
from wire.batch import Gap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloud.config import CloudConfig

FIRE = [(60.0 * n, 80.0 + n) for n in range(6)]  # over from 0 s; certain at 180 s
CALM = [(360.0 + 60.0 * n, 10.0) for n in range(6)]  # good from 360 s; over at 660 s


@pytest.fixture
def bench(tmp_path: Path, post: Post) -> Iterator[Bench]:
    made = Bench(tmp_path, [SMOKE, SILENT, SIGNAL], post.port)
    yield made
    made.close()


def test_smoke_is_told_once_and_its_end_once(bench: Bench, post: Post) -> None:
    bench.live(FIRE[:3])
    assert bench.alerts.incidents() == []
    bench.live(FIRE[3:])
    assert post.subjects() == ["[gocche] NGHI CÓ KHÓI / Suspected smoke: cây 7K3MQ2, Suối Giàng"]
    bench.live(CALM)
    assert post.subjects()[1:] == ["[gocche] ĐÃ HẾT: nghi có khói / Ended: suspected smoke: cây 7K3MQ2, Suối Giàng"]
    assert {who for who, _ in post.mails} == {"lu@example.vn"}
    (incident,) = bench.alerts.incidents()
    assert (incident.since_ms, incident.opened_ms) == (bench.at(0), bench.at(180))
    assert (incident.until_ms, incident.ended_ms, incident.state) == (bench.at(360), bench.at(660), "ended")
    assert [e for e in bench.events() if e != "told"] == ["opened", "ended"]
    assert bench.events().count("told") == 2


def test_the_mail_says_what_where_since_when_how_sure(bench: Bench, post: Post) -> None:
    bench.live(FIRE[:5])
    text = "\n".join(post.mails[0][1].get_content().splitlines())
    vietnamese, english = text.split("\n———\n")
    assert "Nghi có khói." in vietnamese
    assert "Ở đâu: cây 7K3MQ2, Suối Giàng" in vietnamese
    assert "21.61234, 104.61234 — geo:21.61234,104.61234" in vietnamese
    assert "Từ lúc: 12:20:00 ngày 23/11/2025 (giờ Việt Nam)" in vietnamese
    assert "Bụi mịn PM2,5 83 µg/m³, cao nhất 83 µg/m³; giới hạn 55 µg/m³" in vietnamese
    assert "Thiết bị: sg-01/smoke-1" in vietnamese
    assert "dưới 35 µg/m³ liên tục 300 giây" in vietnamese
    assert "How sure: A suspicion from one device." in english
    assert "What ends it: below 35 µg/m³ for 300 s" in english
    assert "confirmed" not in text
    assert "xác nhận" not in text


@pytest.mark.parametrize("seed", range(6))
def test_order_of_arrival_does_not_matter(tmp_path: Path, post: Post, seed: int) -> None:
    bench = Bench(tmp_path, [SMOKE], post.port)
    bench.clock.advance(661)
    batches = [batch(1 + 3 * n, [(bench.at(t), v) for t, v in (FIRE + CALM)[3 * n : 3 * n + 3]]) for n in range(4)]
    for made in random.Random(seed).sample(batches, 4):
        bench.alerts.offer(made, bench.clock.utc_ms())
        bench.step()
    told = [incident for incident in bench.alerts.incidents() if incident.ended_ms != incident.opened_ms]
    assert len(told) == 1
    assert (told[0].since_ms, told[0].until_ms) == (bench.at(0), bench.at(360))
    bench.close()


def test_newest_first_is_corrected_without_a_second_mail(bench: Bench, post: Post) -> None:
    bench.clock.advance(480)
    bench.send([(60.0 * n, 80) for n in range(4, 9)])  # 240 … 480 s, certain at 420 s
    assert len(post.mails) == 1
    bench.send([(60.0 * n, 90) for n in range(4)])
    (incident,) = bench.alerts.incidents()
    assert (incident.since_ms, incident.opened_ms, incident.peak) == (bench.at(0), bench.at(180), 90)
    assert "corrected" in bench.events()
    assert len(post.mails) == 1


def test_a_dip_that_arrives_later_takes_the_alert_back(bench: Bench, post: Post) -> None:
    bench.clock.advance(240)
    bench.send([(0, 80), (60, 80), (180, 80), (200, 80)])
    assert len(post.mails) == 1
    bench.send([(120, 10)])
    (incident,) = bench.alerts.incidents()
    assert incident.state == "ended"
    assert "ended: readings that arrived later show that it did not last long enough" in bench.words()
    assert len(post.mails) == 2


def test_stream_and_ledger_are_judged_once(bench: Bench, post: Post) -> None:
    bench.clock.advance(300)
    made = bench.send([(60.0 * n, 80) for n in range(6)])
    for _ in range(3):
        bench.alerts.offer(made, bench.clock.utc_ms())
        bench.store.commit([made], bench.clock.utc_ms())
        bench.idle(65, 65)
    assert len(bench.alerts.incidents()) == 1
    assert len(post.mails) == 1


def test_the_ledger_brings_what_the_stream_did_not(tmp_path: Path, post: Post) -> None:
    bench = Bench(tmp_path, [SMOKE], post.port, queue=1)
    bench.step()
    bench.clock.advance(301)
    first, second = (batch(1 + 3 * n, [(bench.at(t), v) for t, v in FIRE[3 * n : 3 * n + 3]]) for n in range(2))
    for made in (first, second):
        bench.alerts.offer(made, bench.clock.utc_ms())
    bench.store.commit([first, second], bench.clock.utc_ms())
    bench.step()
    assert bench.alerts.health()["overflowed"] == 1
    bench.idle(60, 60)
    assert len(bench.alerts.incidents()) == 1
    assert len(post.mails) == 1
    bench.close()


def test_what_no_rule_follows_is_written_down_as_ranges_and_never_read_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backlog of 300 gateways beside a smoke: no transaction, no read for any of it, and the smoke goes first."""
    bench.live(FIRE[:3])
    names = [f"gw-{number:03}" for number in range(300)]
    rows = [(bench.at(100 + row), 20.0) for row in range(4)]
    made = [batch(first, rows, quantity="air_humidity", gateway=name) for first in (1, 5, 9) for name in names]
    bench.store.commit(made, bench.clock.utc_ms())
    for one in made:
        bench.alerts.offer(replace(one, held=[]), bench.clock.utc_ms())
    monkeypatch.setattr(bench.store, "batch_readings", lambda row: pytest.fail(f"read again: {row}"))
    bench.live(FIRE[3:4])
    assert len(bench.alerts.incidents()) == 1
    assert [list(bench.alerts._progress.processed(name, EPOCH)) for name in names] == [[(1, 13)]] * 300
    bench.idle(60, 60)
    assert bench.alerts.health()["overflowed"] == 0


@pytest.mark.parametrize("first", [Refusal, Gap])
def test_what_was_refused_or_declared_and_is_stored_after_all_is_judged(
    bench: Bench, post: Post, first: type[Refusal | Gap]
) -> None:
    """Read by the next version (`gocche quarantine --retry`), or sent before the gap record that overtook it."""
    made = batch(1, [(bench.at(at_s), value) for at_s, value in FIRE])
    bench.clock.advance(301)
    bench.store.commit([first("sg-01", made.epoch, made.first, made.n, "why")], bench.clock.utc_ms())
    bench.idle(65, 65)
    assert bench.alerts.incidents() == []
    bench.store.commit([made], bench.clock.utc_ms())
    bench.idle(65, 65)
    assert len(bench.alerts.incidents()) == len(post.mails) == 1
    bench.idle(130, 65)
    assert len(post.mails) == 1


def test_a_long_ledger_is_judged_in_slices_and_the_stream_in_between(tmp_path: Path, post: Post) -> None:
    bench = Bench(tmp_path, [SMOKE], post.port, ledger_s=60.0)
    bench.step()  # a new journal begins now
    bench.clock.advance(86_400)
    for n in range(2 * ROWS_A_PAGE + 1):
        made = batch(1 + n, [(bench.at(60.0 * n), 10.0)])
        bench.store.commit([made], bench.at(60.0 * n))
    bench.step()
    bench.seq = 10_000
    bench.send([((bench.clock.utc_ms() - START_MS) / 1000 - 300 + at_s, value) for at_s, value in FIRE])
    assert len(post.mails) == 1, "the stream did not wait for the ledger"
    assert not bench.alerts._intake.page_taken
    steps = 0
    while bench.alerts._progress.cursor() != bench.at(60.0 * 2 * ROWS_A_PAGE):
        bench.step()
        steps += 1
        assert steps < 20
    seen = list(bench.alerts._progress.processed("sg-01", made.epoch))
    assert seen == [(1, 2 * ROWS_A_PAGE + 2), (10_000, 10_006)]
    bench.close()


def test_late_smoke_is_listed_and_wakes_nobody(bench: Bench, post: Post) -> None:
    bench.clock.advance(7_200)
    bench.send(FIRE[:3])
    bench.send(FIRE[3:])
    (incident,) = bench.alerts.incidents()
    assert (incident.state, incident.since_ms, incident.until_ms) == ("late", bench.at(0), bench.at(300))
    bench.send(CALM)
    (incident,) = bench.alerts.incidents()
    assert (incident.late, incident.until_ms, incident.ended_ms) == (True, bench.at(360), bench.at(660))
    assert [e for e in bench.events() if e != "told"] == ["late", "ended"]
    assert post.mails == []


def test_late_smoke_without_an_end_is_ended_as_unknown(bench: Bench, post: Post) -> None:
    bench.clock.advance(7_200)
    bench.send(FIRE)
    bench.idle(1_000, 100)
    (incident,) = bench.alerts.incidents()
    assert (incident.until_ms, incident.ended_ms) == (bench.at(300), bench.at(300))
    assert any("the end is not known" in words for words in bench.words())
    assert post.mails == []


def test_late_smoke_is_mailed_where_that_is_wanted(tmp_path: Path, post: Post) -> None:
    bench = Bench(tmp_path, [SMOKE], post.port, mail_late=True)
    bench.clock.advance(7_200)
    bench.send(FIRE)
    assert post.subjects() == ["[gocche] BIẾT MUỘN: nghi có khói / Known late: suspected smoke: cây 7K3MQ2, Suối Giàng"]
    bench.close()


def test_late_smoke_that_goes_on_is_one_incident_and_wakes(bench: Bench, post: Post) -> None:
    bench.clock.advance(3_600)
    bench.send([(60.0 * n, 80) for n in range(57, 61)])  # the newest first: fresh, certain
    assert len(post.mails) == 1
    bench.send([(60.0 * n, 80) for n in range(30, 57)])  # older and younger than 15 min
    (incident,) = bench.alerts.incidents()
    assert incident.since_ms == bench.at(1_800)
    assert incident.state == "open"
    assert len(post.mails) == 1


def test_late_smoke_known_first_wakes_when_it_goes_on(bench: Bench, post: Post) -> None:
    bench.clock.advance(3_600)
    bench.send([(60.0 * n, 80) for n in range(30, 45)])
    assert post.mails == []
    bench.send([(60.0 * n, 80) for n in range(45, 61)])
    (incident,) = bench.alerts.incidents()
    assert (incident.state, incident.since_ms) == ("open", bench.at(1_800))
    assert len(post.mails) == 1


def test_short_smoke_known_afterwards_is_one_message(bench: Bench, post: Post) -> None:
    bench.clock.advance(700)
    bench.send(FIRE + CALM)
    assert post.subjects() == ["[gocche] ĐÃ QUA: nghi có khói / Now over: suspected smoke: cây 7K3MQ2, Suối Giàng"]
    assert "từ 12:20:00 ngày 23/11/2025 đến 12:26:00 ngày 23/11/2025" in post.mails[0][1].get_content()


def test_smoke_held_back_is_told_when_its_end_does_not_come(bench: Bench, post: Post) -> None:
    bench.clock.advance(400)
    bench.send([*FIRE, (360, 10)])
    assert post.mails == []
    bench.idle(610, 10)
    assert post.subjects() == ["[gocche] NGHI CÓ KHÓI / Suspected smoke: cây 7K3MQ2, Suối Giàng"]


def test_persistence_goes_on_after_a_restart(bench: Bench, post: Post) -> None:
    bench.live(FIRE[:3])
    bench.restart()
    bench.live(FIRE[3:4])
    (incident,) = bench.alerts.incidents()
    assert (incident.since_ms, incident.opened_ms) == (bench.at(0), bench.at(180))
    assert len(post.mails) == 1


def test_ordered_restarts_repeat_nothing(bench: Bench, post: Post) -> None:
    bench.live(FIRE)
    for _ in range(3):
        bench.restart()
        bench.idle(120, 60)
    bench.live(CALM)
    bench.restart()
    bench.idle(120, 60)
    assert len(post.mails) == 2


def test_undated_readings_are_judged_by_arrival_and_say_so(bench: Bench, post: Post) -> None:
    offset_ms = START_MS  # the boot's own time starts near 1970
    for n in range(4):
        bench.clock.advance(60)
        made = batch(1 + n, [(bench.clock.utc_ms() - offset_ms, 80.0)], undated=True)
        bench.alerts.offer(made, bench.clock.utc_ms())
        bench.step()
    (incident,) = bench.alerts.incidents()
    assert incident.undated
    assert incident.since_ms == bench.at(60)
    assert "Giờ của trạm chưa có" in post.mails[0][1].get_content()
    dated = batch(1, [(bench.at(60 * n + 60), 80.0) for n in range(4)])
    bench.store.commit([dated], bench.clock.utc_ms())
    bench.idle(60, 60)
    assert len(bench.alerts.incidents()) == 1
    assert len(post.mails) == 1


def test_a_sensor_bound_to_nothing_is_not_lost(bench: Bench, post: Post) -> None:
    bench.live([(60.0 * n, 80) for n in range(4)], channel="smoke-9")
    assert bench.alerts.health()["without_place"] == 1
    assert "no place is bound to sg-01/smoke-9" in post.mails[0][1].get_content()


def test_an_incident_nobody_is_told_of_is_visible(tmp_path: Path, post: Post) -> None:
    bench = Bench(tmp_path, [SMOKE], post.port, registry=registry(contacts=[]))
    bench.live(FIRE)
    assert bench.alerts.health()["without_contact"] == 1
    assert any("no contact has the role 'fire-watch'" in words for words in bench.words())
    bench.close()


def test_hamlet_without_service_is_told_to_telecom(bench: Bench, post: Post) -> None:
    signal = {"quantity": "registration", "channel": "modem-1"}
    bench.live([(0, 1), (30, 2), (60, 2), (90, 2)], **signal)
    assert post.subjects("my@example.vn") == ["[gocche] MẤT SÓNG / No mobile service: Háng Tày, xã Chế Tạo, Lào Cai"]
    assert "Tình trạng sóng: đang tìm sóng" in post.mails[0][1].get_content()
    bench.live([(150, 1), (210, 5)], **signal)
    assert len(post.mails) == 2
    assert bench.alerts.incidents()[0].until_ms == bench.at(150)


def test_the_journal_only_grows(bench: Bench) -> None:
    bench.live(FIRE)
    bench.alerts.close()
    db = sqlite3.connect(bench.path)
    for statement in (
        "UPDATE journal SET event = 'nothing'",
        "DELETE FROM journal",
        "INSERT OR REPLACE INTO journal SELECT id, at_ms, incident, 'x', who, what, inputs FROM journal",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            db.execute(statement)
    db.close()
    assert "opened" in [row[1] for row in events(bench.path, 1)]


def test_a_newer_journal_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "alerts.db")
    journal.db.execute("PRAGMA user_version = 99")
    journal.close()
    with pytest.raises(RuntimeError, match="has version 99"):
        Journal(tmp_path / "alerts.db").db.execute("SELECT 1")


def test_a_journal_has_one_writer(bench: Bench) -> None:
    bench.live(FIRE)
    with pytest.raises(RuntimeError, match="already writes the journal of alerts"):
        Journal(bench.path).db.execute("SELECT 1")


def test_an_outage_of_the_database_is_told_and_survived(bench: Bench, post: Post) -> None:
    bench.store.close()
    (bench.path.parent / "store.db").rename(bench.path.parent / "away.db")
    bench.clock.advance(300)
    bench.send(FIRE)
    assert len(post.mails) == 1
    assert bench.alerts.health()["ledger_fault"]
    (bench.path.parent / "away.db").rename(bench.path.parent / "store.db")
    bench.idle(60, 60)
    assert bench.alerts.health()["ledger_fault"] == ""


def test_without_a_channel_it_stands_on_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(tmp_path, [SMOKE], None)
    bench.live(FIRE)
    bench.live(CALM)
    lines = [record.getMessage() for record in caplog.records if record.name == "gocche.alerts"]
    assert [line.split(" ")[1] for line in lines] == ["event=onset", "event=end"]
    assert 'place="cây 7K3MQ2, Suối Giàng"' in lines[0]
    assert bench.alerts.health()["waiting"] == 0
    bench.close()


def test_the_ledger_is_not_read_from_the_beginning_for_ever(bench: Bench) -> None:
    bench.live(FIRE)
    before_ms = bench.clock.utc_ms()
    bench.store.commit([batch(100, [(before_ms, 10.0)])], before_ms)
    bench.idle(60, 60)
    assert bench.alerts.health()["ledger_read_to_ms"] == before_ms
    assert bench.alerts.health()["faults"] == 0


def test_a_ledger_row_from_the_future_hides_nothing(bench: Bench, post: Post) -> None:
    bench.clock.advance(300)
    ahead_ms = bench.clock.utc_ms() + 3_600_000
    bench.store.commit([batch(50, [(bench.clock.utc_ms(), 10.0)], channel="air-1")], ahead_ms)
    bench.idle(60, 60)
    bench.store.commit([batch(1, [(bench.at(t), v) for t, v in FIRE])], bench.clock.utc_ms())
    bench.idle(60, 60)
    assert len(post.mails) == 1


def _config(folder: Path, more: str) -> CloudConfig:
    file = folder / "cloud.toml"
    file.write_text(f'[data]\npath = "{folder}"\n{more}', encoding="utf-8")
    return load(file)


def test_cloud_toml_makes_an_alerts_room(tmp_path: Path, bench: Bench) -> None:
    more = """
[[channel]]
kind = "email"
host = "127.0.0.1"
sender = "gocche@example.vn"
[alerts]
late_s = 600.0
[[rule]]
name = "smoke"
kind = "limit"
quantity = "pm2_5"
over = 55.0
clear_below = 35.0
"""
    folder = tmp_path / "room"
    folder.mkdir()
    alerts = build(_config(folder, more), folder, bench.store, registry(), HandClock())
    alerts.step()
    assert (folder / "alerts.db").exists()
    assert list(alerts.health()["channels"]) == ["email"]
    alerts.close()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("[alerts]\nlate = 5\n", r"\[alerts\] late: unknown key; did you mean \"late_s\"\?"),
        (
            '[[rule]]\nname = "x"\nkind = "limt"\n',
            r'\[\[rule\]\] 1 \(x\) kind: "limt" is no kind; did you mean "limit"\?',
        ),
    ],
)
def test_wrong_tables_are_refused_with_their_remedy(tmp_path: Path, bench: Bench, more: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build(_config(tmp_path, more), tmp_path, bench.store, registry(), HandClock())


def test_it_runs_in_threads_of_its_own(tmp_path: Path, post: Post) -> None:
    clock = SystemClock()
    bench = Bench(
        tmp_path,
        [SMOKE],
        post.port,
        clock=clock,
        registry=registry(contacts=[Contact(f"n{n}", "fire-watch", f"n{n}@example.vn") for n in range(20)]),
    )
    now_ms = clock.utc_ms()
    readings = [(now_ms - 240_000 + 60_000 * n, 80.0) for n in range(5)]
    with bench.running():
        bench.alerts.offer(batch(1, readings), now_ms)
        until(lambda: len(post.mails) == 20)
    assert len({who for who, _ in post.mails}) == 20
    assert len({mail["Message-ID"] for _, mail in post.mails}) == 20
    bench.close()
