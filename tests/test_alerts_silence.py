"""Silence: of a gateway, of a gateway whose modem is its only way out, and what later evidence makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.rules.garden import SIGNAL, SILENT, SMOKE, Bench, Post, registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY_S = 86_400
MODEM: dict[str, Any] = {"quantity": "registration", "channel": "modem-1"}


@pytest.fixture
def bench(tmp_path: Path, post: Post) -> Iterator[Bench]:
    made = Bench(tmp_path, [SMOKE, SILENT, SIGNAL], post.port)
    yield made
    made.close()


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[Bench]:
    """What is decided, and not told."""
    made = Bench(tmp_path, [SMOKE, SILENT, SIGNAL], None, tells=False)
    yield made
    made.close()


@pytest.fixture
def lone(tmp_path: Path, post: Post) -> Iterator[Bench]:
    """A gateway whose modem is its way out."""
    made = Bench(tmp_path, [SMOKE, SILENT, SIGNAL], post.port, registry=registry(way_out=True))
    made.alerts.listening(True)
    yield made
    made.close()


def test_a_silent_gateway_is_told_to_the_operator_once(bench: Bench, post: Post) -> None:
    bench.alerts.listening(True)
    bench.send([(0, 10)])
    bench.idle(295)
    assert post.mails == []
    bench.idle(5)
    bench.idle(600)
    assert post.subjects("op@example.vn") == [
        "[gocche] TRẠM IM LẶNG / Gateway silent: cây 7K3MQ2, Suối Giàng",
    ]
    assert post.mails[0][1].get_content().startswith("Gateway silent.")  # this contact reads English
    back_ms = bench.clock.utc_ms()
    bench.hear(600)
    assert len(post.mails) == 1, "it has to be heard for a while"
    bench.hear(30)
    assert len(post.mails) == 2
    assert bench.alerts.incidents()[0].state == "ended"
    assert bench.alerts.incidents()[0].until_ms == back_ms


def test_a_gateway_heard_now_and_then_is_one_incident(quiet: Bench) -> None:
    quiet.alerts.listening(True)
    for _ in range(40):
        quiet.alerts.heard("sg-01", quiet.clock.utc_ms())
        quiet.idle(360, 30)
    assert [incident.state for incident in quiet.alerts.incidents()] == ["open"]
    assert [one.tell for one in quiet.alerts._journal.intents(0)] == ["onset"]


def test_a_gateway_that_was_taken_down_is_not_silent_for_ever(quiet: Bench) -> None:
    quiet.alerts.listening(True)
    quiet.alerts.heard("sg-01", quiet.clock.utc_ms())
    quiet.idle(600, 60)
    quiet.pretend_to_have_listened(30 * DAY_S)
    quiet.idle(60)
    (incident,) = quiet.alerts.incidents()
    assert (incident.state, [one.tell for one in quiet.alerts._journal.intents(0)]) == (
        "ended",
        ["onset", "end_unknown"],
    )
    quiet.idle(600, 60)
    assert len(quiet.alerts.incidents()) == 1


def test_silence_survives_restarts_and_ordered_restarts_repeat_nothing(bench: Bench, post: Post) -> None:
    bench.alerts.listening(True)
    bench.send([(0, 10)])
    bench.idle(200)
    bench.restart()
    bench.alerts.listening(True)
    bench.idle(90)
    assert post.mails == []
    bench.idle(15)
    assert len(post.mails) == 1
    bench.restart()
    bench.alerts.listening(True)
    bench.idle(700)
    assert len(post.mails) == 1


def test_nobody_is_silent_while_nobody_listens(bench: Bench, post: Post) -> None:
    bench.alerts.listening(True)
    bench.send([(0, 10)])
    bench.idle(100)
    bench.alerts.listening(False)
    bench.idle(3_600)
    assert bench.alerts.incidents() == []
    bench.alerts.listening(True)
    bench.idle(205)
    assert len(post.mails) == 1


def test_a_way_out_falls_silent_as_the_hamlets_signal(lone: Bench, post: Post) -> None:
    lone.live([(0, 1), (30, 1)], **MODEM)
    lone.idle(900)
    (incident,) = lone.alerts.incidents()
    assert (incident.rule, incident.basis, incident.channel) == ("signal", "silence", "modem-1")
    assert [who for who, _ in post.mails] == ["my@example.vn"]
    assert "trạm im lặng; modem này là đường liên lạc duy nhất của trạm" in post.mails[0][1].get_content()


def test_later_evidence_agrees_without_a_second_alert(lone: Bench, post: Post) -> None:
    lone.live([(0, 1), (30, 1)], **MODEM)
    lone.idle(1_770)  # back at 1800 s
    lone.send([(1_795, 1)], **MODEM)
    lone.hear(90)
    lone.send([(60.0 * n, 2.0) for n in range(1, 12)], **MODEM)  # older than 15 min
    lone.send([(60.0 * n, 2.0) for n in range(12, 29)], **MODEM)  # some of them younger
    lone.live([(1_930, 1), (1_990, 1)], **MODEM)
    lone.idle(10)
    (incident,) = lone.alerts.incidents()
    assert (incident.basis, incident.state, incident.since_ms) == ("both", "ended", lone.at(60))
    assert [event for event in lone.events() if event != "told"] == ["opened", "ended", "evidence", "cause"]
    assert len(post.mails) == 2  # lost, back


def test_later_evidence_corrects_a_wrong_conclusion(lone: Bench, post: Post) -> None:
    lone.live([(0, 1)], **MODEM)
    lone.idle(1_200)
    lone.send([(1_195, 1)], **MODEM)
    lone.hear(90)
    lone.send([(60.0 * n, 1.0) for n in range(1, 19)], **MODEM)
    (incident,) = lone.alerts.incidents()
    assert incident.basis == "refuted"
    assert any("the modem had service while the gateway was silent" in words for words in lone.words())
    assert len(post.mails) == 2


def test_a_short_outage_known_afterwards_is_one_message(lone: Bench, post: Post) -> None:
    lone.live([(0, 1), (30, 1)], **MODEM)
    lone.idle(250)  # below after_s
    lone.clock.advance(20)  # 300 s
    lone.send([(295, 1)], **MODEM)
    lone.send([(60, 2), (90, 2), (120, 2), (180, 2), (240, 1)], **MODEM)
    lone.live([(310, 1)], **MODEM)
    lone.idle(30)
    assert post.subjects() == ["[gocche] ĐÃ QUA: mất sóng / Now over: no mobile service: Háng Tày, xã Chế Tạo, Lào Cai"]
    assert "từ 12:21:00 ngày 23/11/2025 đến 12:24:00 ngày 23/11/2025" in post.mails[0][1].get_content()


def test_signal_lost_by_readings_and_then_silence_is_one_alert(lone: Bench, post: Post) -> None:
    lone.live([(0, 1), (30, 2), (60, 2), (90, 2)], **MODEM)
    lone.idle(900)
    assert len(lone.alerts.incidents()) == 1
    assert len(post.mails) == 1
