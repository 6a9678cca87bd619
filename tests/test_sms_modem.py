"""SMS by an own modem: on a pseudo-terminal, a modem reads it with another programme's decoder."""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from at import pdu, talk
from cloud.alerts.channels import (
    GiveUp,
    Listening,
    Message,
    Receipt,
    Reply,
    Retry,
    open_channel,
    open_channels,
    sms_modem,
)
from cloud.alerts.modem import desk, dialogue, mail, ready
from cloud.clock import SystemClock
from cloud.config import ConfigError
from tests.modem import OWN_PLACES, TestModem, deliver, length, report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TO = "+84912345678"
SHORT = "CHAY RUNG? Suoi Giang SG-07, khoi PM2.5 412. Tra loi: 1 4711 nhan viec, 2 4711 bao gia."
MESSAGE = Message(
    id="ab12.1",
    at_ms=1_764_000_000_000,
    to=TO,
    subject="[gocche] NGHI CÓ KHÓI / Suspected smoke: cây 7K3MQ2",
    text="Nghi có khói.\nỞ đâu: cây 7K3MQ2, Suối Giàng\n" + "dài " * 100,
    level="life",
    short=SHORT,
)
WITHIN_S = 20.0


@pytest.fixture
def modem(tmp_path: Path) -> Iterator[TestModem]:
    with TestModem(tmp_path) as one:
        yield one


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The patience of the field, shortened: nothing here takes as long as a network."""
    monkeypatch.setattr(sms_modem, "SWEEP_S", 0.3)
    monkeypatch.setattr(sms_modem, "STOP_S", 0.02)
    monkeypatch.setattr(desk, "LINGER_S", 0.5)
    monkeypatch.setattr(dialogue, "QUIET_S", 0.05)
    monkeypatch.setattr(ready, "AWAKE", 2)


def channel_to(modem: TestModem, **more: Any) -> sms_modem.CHANNEL:
    channel = open_channel({"kind": "sms_modem", "port": str(modem.port), "deadline_s": 10.0} | more)
    assert isinstance(channel, sms_modem.CHANNEL)
    assert isinstance(channel, Listening)
    return channel


def until(true: Callable[[], object]) -> None:
    end_s = time.monotonic() + WITHIN_S
    while not true():
        assert time.monotonic() < end_s, "it does not come"
        time.sleep(0.01)


@contextlib.contextmanager
def hearing(channel: sms_modem.CHANNEL, hear: Callable[[Reply | Receipt], None] | None = None) -> Iterator[list[Any]]:
    """Listen as the office does: again after each Retry."""
    heard: list[Any] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            with contextlib.suppress(Retry):
                channel.listen(hear or heard.append, stop)
            stop.wait(0.02)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield heard
    finally:
        stop.set()
        thread.join(WITHIN_S)
        assert not thread.is_alive()


# --- out


def test_the_first_message_is_one_part_without_accents(modem: TestModem) -> None:
    channel_to(modem).send(MESSAGE)
    ((to, text, read),) = modem.sent
    assert (to, text, read["dcs"]["encoding"], read["header"]["udhi"]) == (TO, SHORT, "gsm", False)
    assert (read["header"]["srr"], read["vp"]) == (True, 143)


@pytest.mark.parametrize(
    ("more", "short", "parts", "encoding"),
    [
        ({}, "", 1, "gsm"),
        ({}, "Cháy rừng “Suối Giàng” " * 20, 1, "gsm"),
        ({"says": "plain"}, SHORT, 3, "gsm"),
        ({"says": "plain", "parts": 1}, SHORT, 1, "gsm"),
        ({"says": "full", "parts": 10}, SHORT, 7, "ucs2"),
        ({"says": "full", "parts": 2}, SHORT, 2, "ucs2"),
    ],
)
def test_what_is_said(modem: TestModem, more: dict[str, Any], short: str, parts: int, encoding: str) -> None:
    channel_to(modem, report=False, **more).send(msgspec.structs.replace(MESSAGE, short=short))
    assert len(modem.sent) == parts
    assert {read["dcs"]["encoding"] for _, _, read in modem.sent} == {encoding}
    assert not any(read["header"]["srr"] for _, _, read in modem.sent)
    if more.get("parts") == 10:
        assert "".join(modem.texts) == MESSAGE.text
    if encoding == "gsm":
        assert all(ord(letter) < 128 for text in modem.texts if len(modem.texts) == 1 for letter in text)


@pytest.mark.parametrize("written", ["0912 345 678", "84912345678", "+84.912.345.678"])
def test_a_number_goes_out_in_one_spelling(modem: TestModem, written: str) -> None:
    channel_to(modem).send(msgspec.structs.replace(MESSAGE, to=written))
    assert [to for to, _, _ in modem.sent] == [TO]


def test_what_is_no_number_costs_only_itself_and_is_not_repeated(modem: TestModem) -> None:
    with pytest.raises(GiveUp, match="write it as") as caught:
        channel_to(modem).send(msgspec.structs.replace(MESSAGE, to="0912 345"))
    assert "0912 345 " not in str(caught.value)
    assert modem.commands == []


@pytest.mark.parametrize(
    ("answer", "outcome", "everybody", "words"),
    [
        ("+CMS ERROR: 1", GiveUp, False, "nobody has this number"),
        ("+CMS ERROR: 304", GiveUp, False, "does not understand"),
        ("+CMS ERROR: 27", Retry, False, "out of order"),
        ("+CMS ERROR: 208", Retry, False, "an error"),
        ("+CMS ERROR: 38", Retry, True, "network is out of order"),
        ("+CMS ERROR: 50", Retry, True, "paid up"),
        ("+CMS ERROR: 330", Retry, True, "set smsc"),
        ("+CMS ERROR: 331", Retry, True, "no network"),
        ("+CMS ERROR: 322", Retry, True, "memory is full"),
        ("+CMS ERROR: 999", Retry, True, "an error"),
        ("+CME ERROR: 13", Retry, True, "the SIM failed"),
        ("+CMS ERROR: SIM not inserted", Retry, True, "SIM not inserted"),
        ("ERROR", Retry, False, "ERROR"),
    ],
)
def test_the_networks_answer_decides(
    modem: TestModem, answer: str, outcome: type[Exception], everybody: bool, words: str
) -> None:
    modem.refuse = [answer]
    channel = channel_to(modem)
    with pytest.raises(outcome, match=words) as caught:
        channel.send(MESSAGE)
    assert getattr(caught.value, "everybody", False) is everybody
    assert TO[-6:] not in str(caught.value)
    channel.send(MESSAGE)
    assert modem.texts == [SHORT]


def test_parts_that_have_left_are_not_sent_again(modem: TestModem) -> None:
    modem.refuse = ["", "", "+CMS ERROR: 41"]
    channel = channel_to(modem, says="full", parts=10)
    with pytest.raises(Retry, match="fails for now"):
        channel.send(MESSAGE)
    assert len(modem.sent) == 2
    channel.send(MESSAGE)
    assert "".join(modem.texts) == MESSAGE.text
    headers = [read["user_data"]["header"]["elements"][0]["data"] for _, _, read in modem.sent]
    assert [each["part_number"] for each in headers] == list(range(1, 8))
    assert len({each["reference"] for each in headers}) == 1


def test_a_letter_that_leaves_late_is_not_sent_a_second_time(modem: TestModem) -> None:
    modem.take_s = 1.2
    channel = channel_to(modem, deadline_s=0.8)
    channel._desk.ask(lambda _: None, 5.0)  # it is ready
    with pytest.raises(Retry, match=r"no answer to AT\+CMGS within 0\.8 s") as caught:
        channel.send(MESSAGE)
    assert caught.value.everybody
    channel.send(MESSAGE)
    assert modem.texts == [SHORT]
    modem.take_s = 0.0
    channel.send(MESSAGE)
    assert modem.texts == [SHORT, SHORT], "who sends it again after that, means it"


def test_in_text_mode_nothing_leaves(modem: TestModem) -> None:
    channel = channel_to(modem)
    channel.send(MESSAGE)
    modem.pdu_mode = False  # another programme, or a modem that began anew without a word
    channel.send(MESSAGE)
    assert modem.texts == [SHORT, SHORT]


@pytest.mark.parametrize("echo", [True, False])
@pytest.mark.parametrize(
    "middle",
    [
        b"",
        b"\r\n+CREG: 1\r\n",
        b'\r\n+CMTI: "SM",3\r\n',
        b'\r\nRING\r\n\r\n+CLIP: "0912",129\r\n',
        b"\r\n+CDS: 25\r\n06290B914819325476F862117241338200621172413382000000\r\n",
        b"\r\n+CMT: ,23\r\n" + deliver(TO, "1").encode() + b"\r\n",
    ],
)
def test_whatever_comes_in_the_middle_of_answers(modem: TestModem, middle: bytes, echo: bool) -> None:
    channel = channel_to(modem)
    channel.check()
    modem.echo, modem.pieces = echo, True
    modem.chatter = [middle] * 4
    channel.send(MESSAGE)
    assert modem.texts == [SHORT]


def test_words_right_behind_the_prompt(modem: TestModem) -> None:
    channel = channel_to(modem)
    channel.check()
    answer = modem._answer
    modem._answer = lambda words: (answer(words), modem._write(b"\r\n+CREG: 1\r\n"))  # type: ignore[method-assign]
    channel.send(MESSAGE)
    assert modem.texts == [SHORT]


def test_an_ok_that_names_no_message_is_no_acceptance(modem: TestModem) -> None:
    modem.refuse = ["OK"]
    channel = channel_to(modem)
    with pytest.raises(Retry, match=r"OK, without \+CMGS"):
        channel.send(MESSAGE)
    channel.send(MESSAGE)
    assert modem.texts == [SHORT]


class Told:
    """A line on which everything is said that a modem would say, in pieces that a test chooses."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces, self.written = list(pieces), b""

    def write(self, octets: bytes) -> None:
        self.written += octets

    def read(self, _patience_s: float) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


def told(whole: bytes, cuts: list[int]) -> dialogue.Dialogue:
    places = [0, *sorted(cut % (len(whole) + 1) for cut in cuts), len(whole)]
    pieces = [whole[a:b] for a, b in itertools.pairwise(places) if a < b]
    modem = dialogue.Dialogue(Told(*pieces), SystemClock())  # type: ignore[arg-type]
    modem.limit(SystemClock().monotonic() + 0.5, 0.5)
    return modem


LISTED = (
    b'AT+CMGL=4\r\r\n+CMGL: 1,1,,%d\r\n%s\r\n+CMTI: "SM",7\r\n+CMGL: 2,0,,%d\r\n+CDS: %d\r\n%s\r\n%s\r\n'
    b"\r\n+CREG: 1\r\n\r\nOK\r\n"
) % (
    length(deliver(TO, "1")), deliver(TO, "1").encode(), length(deliver(TO, "Ắ")),
    length(report(9, TO, 0)), report(9, TO, 0).encode(), deliver(TO, "Ắ").encode(),
)  # fmt: skip


@given(st.lists(st.integers(0, 600), max_size=40))
def test_an_answer_means_the_same_in_whatever_pieces_it_comes(cuts: list[int]) -> None:
    modem = told(LISTED, cuts)
    assert [(one.fields[0], one.line) for one in modem.messages("AT+CMGL=4")] == [
        ("1", deliver(TO, "1")),
        ("2", deliver(TO, "Ắ")),
    ]
    assert [one.line for one in modem.direct] == [report(9, TO, 0)]


@given(st.integers(0, len(LISTED) - 1), st.binary(min_size=0, max_size=3))
def test_what_a_disturbed_line_lost_or_won_makes_no_other_message(place: int, noise: bytes) -> None:
    modem = told(LISTED[:place] + noise + LISTED[place + 1 :], [])
    with contextlib.suppress(dialogue.Silent, talk.Refused):
        modem.messages("AT+CMGL=4")
    wanted = {deliver(TO, "1"), deliver(TO, "Ắ"), report(9, TO, 0)}
    for one in (*modem._came, *modem.direct):
        try:
            found = pdu.read(one.line, one.length)
        except ValueError:
            continue
        # no sum guards a line: what is as long as it was, and is a message, is believed
        assert one.line in wanted or len(one.line) in {len(each) for each in wanted}, found


def test_a_modem_that_never_says_ok_holds_up_nothing(modem: TestModem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialogue, "ANSWER_S", 0.3)
    channel = channel_to(modem)
    say = modem._say
    modem._say = lambda words, after_s=0.0: say(words.replace(b"\r\nOK\r\n", b""), after_s)  # type: ignore[method-assign]
    began = time.monotonic()
    channel.send(MESSAGE)
    assert time.monotonic() - began < 5.0
    assert modem.texts == [SHORT]


def test_a_letter_goes_before_what_else_waits(modem: TestModem) -> None:
    channel = channel_to(modem)
    order: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def slow(_: object) -> None:
        begun.set()
        go_on.wait(WITHIN_S)

    jobs = [threading.Thread(target=channel._desk.ask, args=(slow, WITHIN_S))]
    jobs[0].start()
    assert begun.wait(WITHIN_S)
    for name in ("sweep", "letter"):
        work = lambda _, name=name: order.append(name)  # noqa: E731
        job = threading.Thread(target=channel._desk.ask, args=(work, WITHIN_S), kwargs={"urgent": name == "letter"})
        job.start()
        jobs.append(job)
        until(lambda: len(channel._desk._jobs) == len(jobs) - 1)
    go_on.set()
    for job in jobs:
        job.join(WITHIN_S)
    assert order == ["letter", "sweep"]


# --- what may be wrong


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({"hung": True}, "no answer to AT within 1 s"),
        ({"garbled": True}, "is baud right"),
        ({"has_sim": False}, "no SIM is in the modem"),
        ({"pin": "1234"}, "take the PIN off it, or name pin_file"),
        ({"pin": "1234", "tries": 0}, "SIM PUK"),
        ({"registered": "2"}, "it looks for a network"),
        ({"registered": "3"}, "the network refuses it"),
        ({"registered": "0"}, "does not look"),
    ],
)
def test_what_is_wrong_is_said_and_passes(modem: TestModem, what: dict[str, Any], words: str) -> None:
    before = {name: getattr(modem, name) for name in what}
    for name, value in what.items():
        setattr(modem, name, value)
    channel = channel_to(modem)
    with pytest.raises(Retry, match=words) as caught:
        channel.check()
    assert caught.value.everybody
    for name, value in before.items():
        setattr(modem, name, value)
    channel.check()
    channel.send(MESSAGE)
    assert modem.texts == [SHORT]


def test_the_pin_is_entered_once(modem: TestModem, tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("4321\n")
    modem.pin, modem.counts_tries = "1234", False
    channel = channel_to(modem, pin_file=str(tmp_path / "pin"))
    with pytest.raises(Retry, match="the PIN is wrong"):
        channel.check()
    for _ in range(3):
        with pytest.raises(Retry, match="not entered again"):
            channel.check()
    assert modem.tries == 2
    modem.counts_tries = True
    until(lambda: channel._desk._thread is None)  # a port has one owner
    with pytest.raises(Retry, match="2 tries left"):
        channel_to(modem, pin_file=str(tmp_path / "pin")).check()
    assert modem.tries == 2, "the third wrong one locks the SIM"


def test_the_right_pin_opens_the_sim(modem: TestModem, tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("1234\n")
    modem.pin = "1234"
    channel = channel_to(modem, pin_file=str(tmp_path / "pin"))
    with pytest.raises(Retry, match="has just taken its PIN") as caught:
        channel.send(MESSAGE)
    assert caught.value.after_s == 3.0
    channel.send(MESSAGE)
    assert modem.texts == [SHORT]


def test_unplugged_and_back(modem: TestModem) -> None:
    channel = channel_to(modem)
    channel.send(MESSAGE)
    modem.unplug()
    with pytest.raises(Retry) as caught:
        channel.send(MESSAGE)
    assert caught.value.everybody
    modem.plug()
    channel.send(MESSAGE)
    assert len(modem.sent) == 2


def test_unplugged_in_the_middle_of_a_letter(modem: TestModem) -> None:
    modem.take_s = 30.0
    channel = channel_to(modem, deadline_s=20.0)
    failures: list[Exception] = []

    def send() -> None:
        try:
            channel.send(MESSAGE)
        except Retry as failure:
            failures.append(failure)

    thread = threading.Thread(target=send)
    thread.start()
    until(lambda: any(one.startswith("AT+CMGS") for one in modem.commands) and modem.sent)
    modem.unplug()
    thread.join(WITHIN_S)
    assert len(failures) == 1, "at once, not at its deadline"


def test_a_modem_that_begins_anew_is_told_all_again(modem: TestModem) -> None:
    channel = channel_to(modem)
    with hearing(channel) as heard:
        channel.check()
        until(lambda: modem.cnmi[1])
        modem.begin_anew()
        until(lambda: modem.cnmi[1] and not modem.echo)
        modem.receive(deliver(TO, "1 4711"))
        until(lambda: heard)


def test_a_modem_that_begins_anew_in_the_middle_of_a_letter_has_not_sent_it(modem: TestModem) -> None:
    modem.take_s = 30.0
    channel = channel_to(modem, deadline_s=20.0)
    failures: list[Exception] = []

    def send() -> None:
        with pytest.raises(Retry, match="it began anew") as caught:
            channel.send(MESSAGE)
        failures.append(caught.value)

    thread = threading.Thread(target=send)
    thread.start()
    until(lambda: modem.sent)
    modem._due.clear()
    modem.sent.clear()  # it had not left
    modem.take_s = 0.0
    modem.begin_anew()
    thread.join(WITHIN_S)
    assert len(failures) == 1
    channel.send(MESSAGE)
    assert modem.texts == [SHORT]


@pytest.mark.journey
@pytest.mark.parametrize("seed", range(6))
def test_whatever_befalls_the_modem_every_letter_arrives_and_hardly_one_twice(modem: TestModem, seed: int) -> None:
    """Unplugged, begun anew, hung, out of its network, refusing, slow: each letter is tried until it is accepted."""
    dice = random.Random(seed)
    channel, faults, done = channel_to(modem, deadline_s=1.5, report=False), 0, threading.Event()

    def befall() -> None:
        nonlocal faults
        while not done.wait(dice.uniform(0.0, 0.1)):
            what = dice.randrange(6)
            if what == 0:
                modem.unplug()
                faults += 1
                done.wait(dice.uniform(0.0, 0.2))
                modem.plug()
            elif what == 1:
                modem.begin_anew()
                faults += 1
            elif what == 2:
                modem.hung = True
                done.wait(dice.uniform(0.0, 1.0))
                modem.hung = False
                faults += 1
            elif what == 3:
                modem.refuse = [dice.choice(["+CMS ERROR: 38", "ERROR", "+CMS ERROR: 500", "OK"])]
            elif what == 4:
                modem.take_s = dice.choice([0.0, 0.05, 0.1, 2.0])
            else:
                modem.registered = dice.choice(["1", "1", "2"])
                modem.chatter = [b"\r\n+CREG: 2\r\n", b"\r\nRING\r\n"]
        modem.take_s, modem.registered, modem.hung = 0.0, "1", False

    thread = threading.Thread(target=befall)
    thread.start()
    names: list[str] = []
    end_s = time.monotonic() + 40.0
    try:
        while faults < 15 and time.monotonic() < end_s:
            names.append(f"{len(names)}")
            letter = msgspec.structs.replace(MESSAGE, id=f"{names[-1]}.1", short=names[-1])
            while time.monotonic() < end_s + 40.0:
                try:
                    channel.send(letter)
                except Retry:
                    continue
                break
            done.wait(0.01)
    finally:
        done.set()
        thread.join(WITHIN_S)
    assert faults >= 10
    assert sorted(set(modem.texts), key=int) == names, "0 lost"
    assert len(modem.texts) - len(names) <= faults, "twice only where a modem was lost with a letter in the air"


def test_who_answers_is_heard_as_soon_as_a_modem_is_back(modem: TestModem, caplog: pytest.LogCaptureFixture) -> None:
    channel, stop, heard = channel_to(modem), threading.Event(), []
    modem.unplug()
    listener = threading.Thread(target=channel.listen, args=(heard.append, stop))
    listener.start()
    until(lambda: "channel-deaf channel=sms_modem" in caplog.text)
    modem.receive(deliver(TO, "1"))
    modem.plug()
    until(lambda: heard)
    stop.set()
    listener.join(WITHIN_S)
    assert not listener.is_alive()
    assert caplog.text.count("channel-deaf") == caplog.text.count("channel-hears") == 1


def test_the_thread_and_the_port_go_when_nobody_wants_them(modem: TestModem) -> None:
    channel = channel_to(modem)
    channel.check()
    thread = channel._desk._thread
    assert thread is not None
    assert thread.name == "modem-sms_modem"
    thread.join(WITHIN_S)
    assert not thread.is_alive()
    assert channel._desk._modem is None
    channel.check()


# --- in


def test_a_receipt_says_that_the_telephone_has_it(modem: TestModem) -> None:
    channel = channel_to(modem)
    with hearing(channel) as heard:
        channel.send(MESSAGE)
        until(lambda: heard)
    assert heard == [Receipt(MESSAGE.id, True, "the telephone has it")]


def test_of_several_parts_the_last_makes_the_receipt_and_a_failed_one_at_once(modem: TestModem) -> None:
    channel = channel_to(modem, says="plain")
    with hearing(channel) as heard:
        channel.send(MESSAGE)
        until(lambda: heard)
        modem.arrive = 0x46
        channel.send(msgspec.structs.replace(MESSAGE, id="cd34.1"))
        until(lambda: len(heard) == 2)
        modem.arrive = 0x30  # the network still tries
        channel.send(msgspec.structs.replace(MESSAGE, id="ef56.1", short="x"))
    assert [(one.message, one.ok) for one in heard] == [("ab12.1", True), ("cd34.1", False)]
    assert heard[1].words == "it was not reached in time (status 70)"


def test_replies_come_with_their_sender_and_leave_the_sim(modem: TestModem) -> None:
    channel = channel_to(modem)
    with hearing(channel) as heard:
        until(lambda: modem.cnmi[1])
        modem.receive(deliver(TO, "1 4711"))
        modem.receive(deliver("0912345678", "Đã nhận việc, tôi đi ngay"))
        modem.receive(deliver("VIETTEL", "Quang cao"))
        until(lambda: len(heard) == 3 and not modem.sim)
    assert [(one.sender, one.text) for one in heard] == [
        (TO, "1 4711"),
        (TO, "Đã nhận việc, tôi đi ngay"),
        ("VIETTEL", "Quang cao"),
    ]
    assert len({one.key for one in heard}) == 3


def test_what_came_while_we_were_down_is_heard_and_a_full_sim_takes_messages_again(modem: TestModem) -> None:
    for number in range(OWN_PLACES + 3):
        modem.receive(deliver(TO, f"{number}"))
    modem.me[4] = "0", deliver(TO, "in the modem's own memory")
    modem.sim[OWN_PLACES] = "3", modem.sim[OWN_PLACES][1]  # somebody's own draft
    assert len(modem.waiting) == 3
    with hearing(channel_to(modem)) as heard:
        until(lambda: len(heard) == OWN_PLACES + 3 and len(modem.sim) == 1 and not modem.me)
    assert sorted(one.text for one in heard)[:3] == ["0", "1", "10"]


def test_nothing_leaves_the_sim_before_it_is_safe(modem: TestModem) -> None:
    modem.receive(deliver(TO, "1 4711"))
    channel, safe, tries = channel_to(modem), threading.Event(), []

    def hear(one: Reply | Receipt) -> None:
        tries.append(one)
        if not safe.is_set():
            raise Retry("the journal takes nothing")

    with hearing(channel, hear):
        until(lambda: len(tries) > 2)
        assert modem.sim
        safe.set()
        until(lambda: not modem.sim)
    assert len({one.key for one in tries}) == 1, "the same twice is one"


def test_parts_of_a_reply_wait_for_each_other(modem: TestModem, monkeypatch: pytest.MonkeyPatch) -> None:
    with hearing(channel_to(modem)) as heard:
        modem.receive(deliver(TO, "hai", part=(9, 2, 2)))
        modem.receive(deliver(TO, "Ắ và ", part=(7, 2, 1)))
        modem.receive(deliver(TO, "một và ", part=(9, 2, 1)))
        until(lambda: heard and len(modem.sim) == 1)
        assert [one.text for one in heard] == ["một và hai"]
        monkeypatch.setattr(mail, "PARTS_S", 0.2)
        until(lambda: len(heard) == 2 and not modem.sim)
    assert heard[1].text == f"Ắ và {mail.GAP}"


@pytest.mark.parametrize(
    "pdu",
    [
        deliver(TO, "1 4711")[:-4],
        deliver(TO, "1 4711").replace("0006", "0007"),
        "0" * 30,
        deliver(TO, "Ắ").replace("08621172", "04621172"),
    ],
)
def test_what_cannot_be_read_is_removed_and_said_and_is_no_reply(
    modem: TestModem, pdu: str, caplog: pytest.LogCaptureFixture
) -> None:
    modem.receive(pdu)
    with hearing(channel_to(modem)) as heard:
        until(lambda: not modem.sim)
        modem.receive(deliver(TO, "2"))
        until(lambda: heard)
    assert [one.text for one in heard] == ["2"]
    assert "sms-" in caplog.text
    assert TO[-6:] not in caplog.text


def test_another_message_in_the_same_place_is_not_removed(modem: TestModem) -> None:
    channel = channel_to(modem)
    modem.receive(deliver(TO, "1"))

    def hear(_: Reply | Receipt) -> None:
        if modem.sim[1][1] == deliver(TO, "1"):
            modem.sim[1] = "0", deliver(TO, "2")  # ModemManager took ours away, and another came
        else:
            texts.append("2")

    texts: list[str] = []
    with hearing(channel, hear):
        until(lambda: texts and not modem.sim)


def test_a_reply_that_a_line_disturbed_is_read_again(modem: TestModem) -> None:
    """Nothing else would tell: `2` is as good a message as `1`."""
    one, two = deliver(TO, "1"), deliver(TO, "2")
    modem.receive(one)
    obey, disturbed = modem._obey, ["CMGL", "CMGL"]

    def disturbing(command: str) -> list[str]:
        said = obey(command)
        if disturbed and disturbed[0] in command and one in said:
            del disturbed[0]
            return [two if line == one else line for line in said]
        return said

    modem._obey = disturbing  # type: ignore[method-assign]
    with hearing(channel_to(modem)) as heard:
        until(lambda: heard and not modem.sim)
    assert [each.text for each in heard] == ["1"]
    assert not disturbed


def test_a_report_that_is_stored_is_heard_too(modem: TestModem) -> None:
    channel = channel_to(modem)
    modem.arrive = None
    channel.send(MESSAGE)
    modem.receive(report(41, TO, 0))
    with hearing(channel) as heard:
        until(lambda: heard and not modem.sim)
    assert heard == [Receipt(MESSAGE.id, True, "the telephone has it")]


def test_sending_and_listening_share_the_line(modem: TestModem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sms_modem, "SWEEP_S", 0.02)
    channel = channel_to(modem)
    with hearing(channel) as heard:
        for number in range(20):
            modem.receive(deliver(TO, f"{number}"))
            modem.chatter += [b"\r\n+CREG: 1\r\n", b"", b'\r\n+CMTI: "SM",1\r\n']
            channel.send(msgspec.structs.replace(MESSAGE, id=f"{number}.1", short=f"{number}"))
        until(lambda: len(heard) == 40 and not modem.sim)
    assert modem.texts == [f"{number}" for number in range(20)]
    assert {one.text for one in heard if isinstance(one, Reply)} == set(modem.texts)
    assert {one.message for one in heard if isinstance(one, Receipt)} == {f"{number}.1" for number in range(20)}


# --- cloud.toml


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"port": "ttyUSB2"}, "port"),
        ({"baud": 50}, "baud"),
        ({"smsc": "0912345678"}, "smsc"),
        ({"pin_file": "/nowhere/pin"}, "pin_file"),
        ({"says": "loud"}, "says"),
        ({"country": "+84"}, "country"),
    ],
)
def test_bad_values_name_their_key(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=rf"\[\[channel\]\] 1 \(sms_modem\) {words}"):
        open_channels([{"kind": "sms_modem", "port": "/dev/ttyUSB2"} | keys])


def test_a_port_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Retry, match="file: it is no serial port"):
        open_channel({"kind": "sms_modem", "port": str(tmp_path / "file")}).check()
    with pytest.raises(Retry, match=r"^/nowhere/ttyUSB9: could not open port: No such file or directory"):
        open_channel({"kind": "sms_modem", "port": "/nowhere/ttyUSB9"}).check()
