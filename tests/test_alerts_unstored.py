"""Smoke that a gateway with a full disk could not keep: told at once all the same, once, and never as a reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rules.garden import EPOCH, SIGNAL, SMOKE, Bench, Post
from wire.batch import Status, Unstored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRE = [(60.0 * n, 80.0 + n) for n in range(6)]  # over from 0 s; certain at 180 s
CALM = [(360.0 + 60.0 * n, 10.0) for n in range(6)]
ONSET = "[gocche] NGHI CÓ KHÓI / Suspected smoke: cây 7K3MQ2, Suối Giàng"
END = "[gocche] ĐÃ HẾT: nghi có khói / Ended: suspected smoke: cây 7K3MQ2, Suối Giàng"


@pytest.fixture
def bench(tmp_path: Path, post: Post) -> Iterator[Bench]:
    made = Bench(tmp_path, [SMOKE, SIGNAL], post.port)
    yield made
    made.close()


def tell(bench: Bench, readings: list[tuple[float, float]], *, dated: bool = True, **kind: str) -> None:
    """Say each value in a status at its own time, as a gateway does that cannot keep it."""
    for at_s, value in readings:
        bench.clock.advance(max(0.0, (bench.at(at_s) - bench.clock.utc_ms()) / 1000))
        mono_ms = round(1000 * at_s) + 7_000
        told = Unstored(**({"channel": "smoke-1", "quantity": "pm2_5", "value": value, "mono_ms": mono_ms} | kind))  # type: ignore[arg-type]
        if dated:
            told = Unstored(told.channel, told.quantity, told.value, mono_ms, bench.at(at_s))
        status = Status(v=1, state="online", epoch=EPOCH, mono_ms=mono_ms, urgent=[told])
        for _ in range(2):  # whatever is said twice counts once
            bench.alerts.unstored("sg-01", status, bench.clock.utc_ms())
        bench.step()


@pytest.mark.parametrize("dated", [True, False])
def test_it_is_told_at_once_and_not_again_when_it_is_stored(bench: Bench, post: Post, dated: bool) -> None:
    tell(bench, FIRE, dated=dated)
    assert post.subjects() == [ONSET]
    text = post.mails[0][1].get_content()
    assert "trạm chỉ báo, số đo chưa được lưu ở đâu cả" in text
    assert "it was told, and is stored nowhere yet" in text
    (incident,) = bench.alerts.incidents()
    assert (incident.basis, incident.undated) == ("unstored", not dated)
    assert list(bench.store.ledger()) == [], "it is no reading"

    bench.send(FIRE)  # there is room again: what was told is stored
    (incident,) = bench.alerts.incidents()
    assert (incident.basis, incident.state) == ("readings", "open")
    bench.live(CALM)
    assert post.subjects() == [ONSET, END]
    assert len(bench.alerts.incidents()) == 1


def test_its_end_is_told_too_and_the_readings_that_come_afterwards_change_nothing(bench: Bench, post: Post) -> None:
    tell(bench, FIRE + CALM)
    assert post.subjects() == [ONSET, END]
    bench.send(FIRE + CALM)
    bench.restart()
    bench.send([(760.0, 10.0)])
    assert post.subjects() == [ONSET, END]
    assert len(bench.alerts.incidents()) == 1


def test_readings_that_come_much_later_find_the_incident_that_was_told(bench: Bench, post: Post) -> None:
    tell(bench, FIRE + CALM)
    bench.idle(3600)
    bench.send(FIRE + CALM)
    assert post.subjects() == [ONSET, END]
    assert len(bench.alerts.incidents()) == 1


def test_what_was_stored_first_goes_on_as_the_same_incident(bench: Bench, post: Post) -> None:
    bench.live(FIRE[:5])
    tell(bench, [*FIRE[5:], *CALM])
    assert post.subjects() == [ONSET, END]
    assert len(bench.alerts.incidents()) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"quantity": "unknown_thing"},
        {"quantity": "air_temperature"},
        {"channel": "Smoke/1"},
        {"value": 1e9},
        {"value": float("nan")},
    ],
)
def test_what_cannot_be_believed_is_passed_over(bench: Bench, post: Post, wrong: dict[str, str]) -> None:
    tell(bench, FIRE, dated=False, **wrong)
    assert post.subjects() == []
    assert bench.alerts.health()["faults"] == 0


def test_a_modem_without_service_is_worded_as_what_the_modem_says(bench: Bench, post: Post) -> None:
    kind = {"channel": "modem-1", "quantity": "registration"}
    tell(bench, [(0.0, 1.0)], **kind)
    tell(bench, [(60.0 * n, 2.0) for n in range(1, 5)], **kind)
    (incident,) = bench.alerts.incidents()
    assert incident.basis == "unstored"
    text = post.mails[0][1].get_content()
    assert "no service for 60 s after having had it" in text
