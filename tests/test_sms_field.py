"""A modem as other eyes would break it: left in a prompt, SIM out and in, reports and replies out of order."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace
from smspdudecoder.codecs import UCS2
from smspdudecoder.elements import Date, Number

from cloud.alerts.answers import codes, understood
from cloud.alerts.channels import Receipt, Reply, Retry
from cloud.alerts.modem import dialogue
from tests.modem import TestModem, deliver, length, report
from tests.test_sms_modem import MESSAGE, SHORT, TO, channel_to, hearing, modem, short_waits, until

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["modem", "short_waits"]


def wide(sender: str, text: str, reference: int, total: int, number: int) -> str:
    """Return a part of a text in UCS-2 whose reference has 16 bits (23.040 §9.2.3.24.8)."""
    digits = sender.removeprefix("+")
    data = f"060804{reference:04X}{total:02X}{number:02X}" + UCS2.encode(text)
    head = f"07914889200030F044{len(digits):02X}91{Number.encode(digits)}0008"
    return f"{head}{Date.encode(datetime(2026, 11, 27, 7, 32, tzinfo=UTC))}{len(data) // 2:02X}{data}".upper()


@pytest.mark.parametrize("typed", [b"", b"0011000C9148", b"AT\rAT\r"])
def test_a_modem_that_was_left_waiting_for_a_text_sends_nothing_of_it_and_serves_again(
    modem: TestModem, typed: bytes
) -> None:
    """Killed between the prompt and the end of the octets: what comes next would be taken for the text."""
    modem.pdu_mode, modem._awaits, modem._typed = True, 24, typed
    channel_to(modem).send(MESSAGE)
    assert modem.texts == [SHORT]


def test_a_sim_that_was_out_and_is_back_serves_again(modem: TestModem, tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("1234\n")
    channel = channel_to(modem, pin_file=str(tmp_path / "pin"))
    channel.send(MESSAGE)
    modem.has_sim = False
    with pytest.raises(Retry, match="no SIM") as caught:
        channel.send(replace(MESSAGE, id="ab12.2"))
    assert caught.value.everybody
    modem.has_sim, modem.pin = True, "1234"
    for _ in range(4):  # as a courier does: a look, until it is well
        try:
            channel.check()
        except Retry:
            continue
        break
    channel.send(replace(MESSAGE, id="ab12.2"))
    assert len(modem.sent) == 2


def test_a_report_that_comes_before_the_answer_to_its_message_finds_its_letter(modem: TestModem) -> None:
    channel, plain_send = channel_to(modem), modem._send
    modem.arrive = None

    def early(text: str, announced: int) -> None:
        pdu = report(41, TO, 0)
        modem.chatter = [f"\r\n+CDS: {length(pdu)}\r\n{pdu}\r\n".encode()]
        plain_send(text, announced)

    modem._send = early  # type: ignore[method-assign]
    with hearing(channel) as heard:
        channel.send(MESSAGE)
        until(lambda: heard)
    assert heard == [Receipt(MESSAGE.id, ok=True, words="the telephone has it")]


def test_reports_of_messages_that_nobody_knows_are_passed_over(modem: TestModem) -> None:
    channel = channel_to(modem)
    modem.arrive = None
    with hearing(channel) as heard:
        channel.send(MESSAGE)
        for reference, to in ((40, TO), (41, "+84999999999"), (255, TO)):
            pdu = report(reference, to, 0)
            modem._say(f"\r\n+CDS: {length(pdu)}\r\n{pdu}\r\n".encode())
        pdu = report(41, TO, 0x46)
        modem._say(f"\r\n+CDS: {length(pdu)}\r\n{pdu}\r\n".encode())
        until(lambda: heard)
    assert heard == [Receipt(MESSAGE.id, ok=False, words="it was not reached in time (status 70)")]


def test_references_that_begin_anew_belong_to_the_newest_letter(modem: TestModem) -> None:
    channel = channel_to(modem)
    with hearing(channel) as heard:
        for number in range(300):
            channel.send(replace(MESSAGE, id=f"ab12.{number}"))
        until(lambda: len(heard) == 300)
    assert {one.message for one in heard} == {f"ab12.{number}" for number in range(300)}


@pytest.mark.parametrize("status", [0x01, 0x02, 0x10, 0x20, 0x30])
def test_what_the_network_only_passed_on_is_not_called_delivered(modem: TestModem, status: int) -> None:
    """23.040 §9.2.3.15: forwarded without a confirmation, replaced, or still being tried."""
    channel = channel_to(modem)
    modem.arrive = status
    with hearing(channel) as heard:
        channel.send(MESSAGE)
        modem.arrive = 0
        channel.send(replace(MESSAGE, id="ab12.2"))
        until(lambda: heard)
    assert [one.message for one in heard] == ["ab12.2"]


def test_a_reply_in_parts_of_a_wide_reference_in_any_order(modem: TestModem) -> None:
    channel = channel_to(modem)
    with hearing(channel) as heard:
        modem.receive(wide(TO, "y rồi, đang đi", 0x1234, 2, 2))
        modem.receive(wide(TO, "4821 chá", 0x1235, 2, 1))  # of another text
        modem.receive(wide(TO, "4821 chá", 0x1234, 2, 1))
        until(lambda: heard)
    assert [(one.sender, one.text) for one in heard] == [(TO, "4821 cháy rồi, đang đi")]


@pytest.mark.parametrize(
    ("text", "does"),
    [
        ("4821 cháy", "confirm"),
        ("  4821", "acknowledge"),
        ("\n4821\n\n", "acknowledge"),
        ("４８２１", "acknowledge"),
        ("4821\u200b", "acknowledge"),
        ("\ufeff4821 BẾP", "cooking"),
    ],
)
def test_replies_as_telephones_write_them(modem: TestModem, text: str, does: str) -> None:
    channel = channel_to(modem)
    with hearing(channel) as heard:
        modem.receive(deliver(TO, text))
        until(lambda: heard)
    (reply,) = heard
    assert isinstance(reply, Reply)
    assert codes(reply.text) == ["4821"]
    assert understood(reply.text, "4821").does == does


@pytest.mark.parametrize("sender", ["VIETTEL", "199", "+84912345678"])
def test_a_message_that_shows_itself_at_once_and_senders_without_a_number(modem: TestModem, sender: str) -> None:
    channel = channel_to(modem)
    flash = deliver(sender, "4821")
    place = flash.index("0000", 16) if sender == "VIETTEL" else flash.rindex("0000", 0, flash.index("62"))
    with hearing(channel) as heard:
        modem.receive(f"{flash[:place]}0010{flash[place + 4 :]}")
        until(lambda: heard)
    assert [(one.sender, one.text) for one in heard] == [(sender, "4821")]


def test_a_modem_that_goes_while_it_waits_for_the_text_has_sent_nothing(
    modem: TestModem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialogue, "PROMPT_S", 1.0)
    channel, obey = channel_to(modem), modem._obey

    def gone(command: str) -> Any:
        if command.startswith("AT+CMGS"):
            modem.begin_anew()
            return [""]
        return obey(command)

    channel.check()
    modem._obey = gone  # type: ignore[method-assign]
    with pytest.raises(Retry):
        channel.send(MESSAGE)
    modem._obey = obey  # type: ignore[method-assign]
    channel.send(MESSAGE)
    assert modem.texts == [SHORT]
