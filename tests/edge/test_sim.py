"""What an operator tells of a SIM: its files, its numbers, what is never told, and how seldom it is asked."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import drivers, operators
from edge.board import Board
from edge.config import Bus, Sensor, SensorTable
from edge.framing import ussd
from edge.sense.health import Health
from edge.sense.turns import FIRST_MS, Turns
from tests.edge.clock import HandClock

GOOD = """
title = "Any"
source = "a test"
[[ask]]
code = "*101#"
find = [{ value = "balance", pattern = 'TK (?P<n>[0-9.]+)d' }]
"""


@pytest.mark.parametrize("name", operators.names())
def test_each_operator_can_be_read_and_says_where_its_texts_are_from(name: str) -> None:
    assert "UNTESTED on a SIM" in operators.load(name).source


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("(?P<n>[0-9.]+)", "[0-9.]+", "has no group n"),
        ("(?P<n>[0-9.]+)", "(?P<n>[0-9.]+", "missing )"),
        ('"balance"', '"data"', "has no group unit"),
        ('"balance"', '"money"', "'money'"),
        ('"*101#"', '"101"', "code"),
        ('title = "Any"', 'titel = "Any"', "titel"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(old: str, new: str, words: str) -> None:
    assert operators.decode(GOOD.encode(), "any.toml").values == {"balance"}
    with pytest.raises(ValueError, match=r"^any\.toml: ") as error:
        operators.decode(GOOD.replace(old, new, 1).encode(), "any.toml")
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("said", "mb"),
    [("1.5GB", 1536), ("1,5 GB", 1536), ("350 MB", 350), ("512 kB", 0.5), ("2GB", 2048), ("1234567 MB", 1_234_567)],
)
def test_data_is_told_in_mb(said: str, mb: float) -> None:
    find = operators.load("viettel").ask[1].find[0]
    assert ussd.found(f"Data: {said}", find) == mb


@pytest.mark.parametrize("said", ["1.500 MB", "1,500GB", "1.5.5 GB", "12345678 MB"])
def test_what_may_be_two_numbers_is_none(said: str) -> None:
    with pytest.raises(ValueError, match="may be two"):
        ussd.found(f"Data: {said}", operators.load("viettel").ask[1].find[0])


@given(st.integers(0, 999_999_999), st.sampled_from(["", ".", ","]), st.sampled_from(["d", " d", " VND", "dong"]))
def test_money_is_the_same_however_it_is_written(amount: int, sign: str, unit: str) -> None:
    text = f"TK goc: {amount:,}".replace(",", sign) + f"{unit}. HSD 01/12/2026"
    balance, expires = operators.load("viettel").ask[0].find
    assert ussd.found(text, balance) == amount
    assert ussd.found(text, expires) == date(2026, 12, 1)


@given(st.text(max_size=200).map(str.encode), st.sampled_from([None, 15, 17, 72]))
def test_no_text_is_more_than_an_error(text: bytes, coding: int | None) -> None:
    try:
        said = ussd.said(text, coding)
    except ValueError:
        return
    assert said.isprintable()
    for name in operators.names():
        for question in operators.load(name).ask:
            for find in question.find:
                try:
                    ussd.found(said, find)
                except ValueError:
                    continue


@given(
    st.from_regex(r"\A(\+84|0)[35789]\d{8}\Z"), st.sampled_from(["{}", "So {}.", "TB:{} la", "{}{}", "x{}y"]),
    st.sampled_from(["", " ", ".", "-"]),
)  # fmt: skip
def test_no_telephones_number_is_told(number: str, around: str, sign: str) -> None:
    spelled = sign.join((number[:4], number[4:7], number[7:]))
    shown = ussd.masked(around.format(spelled, spelled))
    assert sum(letter.isdigit() for letter in shown) < 4
    assert ussd.masked("HSD 12-12-2026, 16/09/2027") == "HSD 12-12-2026, 16/09/2027"


def turns(every_s: float) -> tuple[Turns, Health, Health, HandClock]:
    clock, board = HandClock(), Board()
    made = []
    for channel, name, often in (("modem-1", "modem_at", 30.0), ("sim-1", "sim_ussd", every_s)):
        driver = drivers.load(name)
        table = SensorTable(channel=channel, bus="m", driver=name, every_s=often)
        made.append(Sensor(table, driver, driver.config(), driver.quantities(driver.config())))
    health = {sensor.table.channel: Health(board, sensor.table.channel) for sensor in made}
    assert Bus(name="m", port="p")
    return Turns(made, health, clock), health["modem-1"], health["sim-1"], clock


def asked(turns_: Turns, clock: HandClock, hours: float) -> list[int]:
    """Return when the SIM was asked, in milliseconds since the start."""
    began, end, times = clock.now, clock.now + round(hours * 3_600_000), []
    while clock.now < end:
        at, number = turns_.first()
        clock.now = max(at, clock.now)
        if number == 1:
            times.append(clock.now - began)
        turns_.asked(number)
    return times


def test_a_sim_is_asked_once_a_day_and_not_at_once_after_a_start() -> None:
    plan, _, _, clock = turns(86_400)
    assert asked(plan, clock, 72) == pytest.approx([FIRST_MS + day * 86_400_000 for day in range(3)], abs=1)


def test_who_forgets_to_say_so_asks_once_an_hour_at_the_most() -> None:
    plan, _, _, clock = turns(10)
    assert len(asked(plan, clock, 24)) == 24


def test_one_that_failed_is_asked_again_within_the_hour_and_not_after_a_day() -> None:
    plan, _, sim, clock = turns(86_400)
    sim.failed("silence: *101#: the network did not answer", clock.now, "silence")
    assert len(asked(plan, clock, 5)) == 5


def test_a_walk_asks_the_modem_and_never_the_operator() -> None:
    plan, _, _, clock = turns(3_600)
    plan.hurry(2.0)
    began, numbers = clock.now, []
    while clock.now < began + 600_000:
        at, number = plan.first()
        clock.now = max(at, clock.now)
        numbers.append(number)
        plan.asked(number)
    assert set(numbers) == {0}
    assert len(numbers) == 301
    plan.hurry(None)
    assert asked(plan, clock, 1)
