"""Who answers by SMS or Zalo is told what became of it: by the same way, at once, once, and not without end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from at.alphabet import plain, septets
from cloud.alerts import words
from cloud.alerts.answers import codes
from cloud.alerts.channels import open_channels
from cloud.alerts.journal import reading
from cloud.alerts.replied import ANSWERS, ASKS
from cloud.alerts.tell import forget
from cloud.alerts.watching import Watching
from cloud.inbox import Asker
from cloud.registry import Contact
from cloud.registry.forget import Known
from tests.modem import TestModem, deliver
from tests.rules.garden import SMOKE, Bench, registry, until
from tests.told import TOKEN, Zalo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloud.alerts.channels import Named

FIRE = [(60.0 * n, 80.0) for n in range(6)]
LU, MY = "+84912345678", "+84912345679"
CHAT = "e4ea2cd5189df1c3a88c"


class Room(Bench):
    """A bench of whose fire watch two have a telephone, and one Zalo."""

    def __init__(self, folder: Path, channels: list[Named], **settings: Any) -> None:
        self.named, self.keys = channels, 0
        contacts = [
            Contact("Thào A Lử", "fire-watch", "", addresses={"sms": "0912345678"}, quiet=(0, 1_439)),
            Contact("Giàng Thị Mỷ", "fire-watch", "", "en", addresses={"sms": MY}),
            Contact("Vàng A Chu", "fire-watch", "", addresses={"zalo": CHAT}),
        ]
        super().__init__(folder, [SMOKE], None, registry=registry(contacts=contacts), **settings)

    def _channels(self) -> list[Named]:
        return self.named

    def reply(self, text: str, sender: str = LU, channel: str = "sms", key: str = "") -> dict[str, Any]:
        self.keys += 1
        asker = Asker(self.path.parent, "alerts", self.clock)
        told = {"sender": sender, "text": text, "key": key or str(self.keys)}
        try:
            number = asker.ask("reply", {"channel": channel, "reply": told})
            self.step()
            return asker.outcome(number) or {}
        finally:
            asker.close()


@pytest.fixture
def modem(tmp_path: Path) -> Iterator[TestModem]:
    with TestModem(tmp_path) as one:
        yield one


@pytest.fixture
def zalo(tmp_path: Path) -> Iterator[Zalo]:
    (tmp_path / "token").write_text(TOKEN)
    with Zalo() as one:
        yield one


@pytest.fixture
def room(tmp_path: Path, modem: TestModem, zalo: Zalo) -> Iterator[Room]:
    tables = [
        {"kind": "sms_modem", "name": "sms", "port": str(modem.port), "deadline_s": 10.0},
        {"kind": "zalo", "url": f"http://127.0.0.1:{zalo.port}", "token_file": str(tmp_path / "token"), "poll_s": 1},
    ]
    made = Room(tmp_path, open_channels(tables))
    made.live(FIRE)
    yield made
    made.close()


def code(modem: TestModem, to: str = LU) -> str:
    return next(text for number, text, _ in modem.sent if number == to).partition("Tra loi ")[2][:4]


def to(modem: TestModem, number: str) -> list[str]:
    return [text for who, text, _ in modem.sent if who == number][1:]


def test_who_answers_by_sms_is_told_that_it_was_taken_and_who_comes_later_that_somebody_has_it(
    room: Room, modem: TestModem
) -> None:
    assert room.reply(code(modem))["ok"]
    assert to(modem, LU) == ["Da ghi: Thao A Lu nhan luc 12:25. cay 7K3MQ2, Suoi Giang"], "in their quiet hours, too"
    assert to(modem, MY) == []
    room.clock.advance(120)
    assert room.reply(code(modem, MY), MY)["ok"]
    assert to(modem, MY) == [
        "Thao A Lu has had it since 12:25; Giang Thi My was added at 12:27. tree 7K3MQ2, Suoi Giang"
    ]
    room.reply(f"{code(modem)} toi dang di xem")
    room.reply(f"{code(modem)} chay")
    room.reply(f"{code(modem)} chay")
    room.reply(f"{code(modem)} phep")
    room.reply(code(modem, MY), MY)
    assert to(modem, LU)[1:] == [
        "Giang Thi My da nhan tu 12:27; da ghi them Thao A Lu luc 12:27. cay 7K3MQ2, Suoi Giang",
        "CHAY DA XAC NHAN. cay 7K3MQ2, Suoi Giang. 12h20 23/11. 21.6123,104.6123. Tra loi " + code_of_last(modem, LU),
        "Da ghi: Thao A Lu xac nhan CHAY luc 12:27; moi nguoi duoc bao. Goi 114. cay 7K3MQ2, Suoi Giang",
        "Chua lam duoc: Su viec da o muc do hoac cao hon. cay 7K3MQ2, Suoi Giang",
        to(modem, LU)[5],
        "Da ghi: Thao A Lu dong luc 12:27: dot co phep; moi nguoi duoc bao. cay 7K3MQ2, Suoi Giang",
    ]
    assert to(modem, MY)[-1] == (
        "This was closed at 12:27: a permitted burn. There is nothing left to do. tree 7K3MQ2, Suoi Giang"
    )


def test_whoever_is_erased_stands_in_no_letter_that_another_was_written_back(room: Room, modem: TestModem) -> None:
    room.reply(code(modem))
    room.reply(code(modem, MY), MY)
    room.alerts.close()
    lu = Known("p0", frozenset({"Thào A Lử"}), frozenset({"sms:0912345678", "0912345678", LU}))
    forget.forget(room.path, lu, ["Thào A Lử (fire-watch)", "0912345678"], "an-1", dry=False)
    with reading(room.path) as db:
        left = db.execute("SELECT person, says FROM letter WHERE says != ''").fetchall()
    assert len(left) == 1, "their own are gone"
    assert "Giàng Thị Mỷ" in left[0][1]
    assert "Lử" not in left[0][1]
    assert "an-1" in left[0][1]


def code_of_last(modem: TestModem, number: str) -> str:
    return next(text for who, text, _ in reversed(modem.sent) if who == number and "CHAY DA" in text).partition(
        "Tra loi "
    )[2]


def test_what_is_said_back_stands_in_the_incident_with_its_receipt_and_is_no_news_of_it(
    room: Room, modem: TestModem
) -> None:
    stop = threading.Event()
    ear = threading.Thread(target=room.alerts.loops["hear-sms"], args=(stop,))
    ear.start()
    try:
        modem.receive(deliver(LU, f"４８ ４ {code(modem)} nhận"))

        def written() -> list[Any]:
            room.step()
            story = Watching(room.path).story(1, 100)
            assert story is not None
            return [one for one in story.letters if one.tell == "answer" and one.receipt]

        until(written)
    finally:
        stop.set()
        ear.join(20.0)
    (back,) = written()
    assert (back.channel, back.state) == ("sms", "told")
    assert back.receipt.startswith("delivered: ")
    assert len(to(modem, LU)) == 1
    room.restart()
    room.idle(900, 60)
    assert len(to(modem, LU)) == 1
    assert len(to(modem, MY)) == 0


def test_an_answer_that_is_not_understood_is_said_to_be_so_to_who_is_known_and_to_nobody_else(
    room: Room, modem: TestModem
) -> None:
    room.reply("toi dang di")
    room.reply("9998" if code(modem) != "9998" else "9997")
    room.reply("4821", "+84987654321")
    room.reply("4821", "VIETTEL")
    assert to(modem, LU) == [
        "Chua hieu. Hay gui 4 so trong tin bao; roi them: bep, phep, hong hoac chay neu can.",
        "Khong co tin bao nao gui cho ban mang 4 so nay. Hay xem lai 4 so trong tin bao roi gui lai.",
    ]
    assert {number for number, _, _ in modem.sent} == {LU, MY}


def test_two_machines_that_answer_each_other_come_to_an_end(room: Room, modem: TestModem) -> None:
    for _ in range(100):
        room.reply("I am driving and will call you back")
        room.clock.advance(5)
    assert len(to(modem, LU)) == ASKS
    for _ in range(100):
        room.reply(f"{code(modem)} I am driving")
        room.clock.advance(5)
    assert len(to(modem, LU)) == ASKS + ANSWERS
    room.clock.advance(3_600)
    room.reply("what?")
    assert [text[:9] for text in to(modem, LU)].count("Chua hieu") == ASKS + 1


def test_what_is_said_back_quotes_no_code(room: Room, modem: TestModem) -> None:
    for what in ("", " bep", " xyz", " chay", " 6"):
        room.reply(f"{code(modem)}{what}")
    backs = [text for text in to(modem, LU) if text.startswith("Da ghi")]
    assert len(backs) >= 4
    assert not any(codes(text) for text in backs), "what comes back as it is answers nothing"


def test_zalo_is_answered_with_accents_and_the_other_language_below(room: Room, zalo: Zalo) -> None:
    room.reply("nhận", CHAT, "zalo")
    chat, said = zalo.got[-1]
    assert chat == CHAT
    assert said == (
        "Đã ghi: Vàng A Chu nhận lúc 12:25. cây 7K3MQ2, Suối Giàng\n\n"
        "Noted: Vàng A Chu has it since 12:25. tree 7K3MQ2, Suoi Giang"
    )


def test_a_channel_that_refuses_what_is_said_back_asks_no_other_and_wakes_nobody(room: Room, modem: TestModem) -> None:
    modem.registered = "2"
    room.reply(code(modem))
    room.idle(1_000, 20)
    modem.registered = "1"
    story = Watching(room.path).story(1, 100)
    assert story is not None
    (back,) = [one for one in story.letters if one.tell == "answer"]
    assert (back.channel, back.state) == ("sms", "given up")
    assert room.alerts.health()["untold"] == 0


def test_life_leaves_before_what_is_said_back(room: Room, modem: TestModem) -> None:
    modem.registered = "2"
    room.reply(code(modem))
    with room.alerts._journal.transaction():
        room.alerts._desk.raise_to(room.alerts.incidents()[0], "probable", "two nodes", room.clock.utc_ms())
    room.step()
    modem.registered = "1"
    room.idle(120, 10)
    after = [text for _, text, _ in modem.sent[2:]]
    assert len(after) == 3
    assert all("RAT CO THE CHAY" in text for text in after[:2])
    assert after[2].startswith("Da ghi")


def test_the_same_reply_twice_is_answered_once_and_a_restart_in_between_makes_it_no_more(
    room: Room, modem: TestModem
) -> None:
    room._tells = False
    room.reply(code(modem), key="same")
    room.reply(code(modem), key="same")
    room.restart()
    room._tells = True
    room.idle(30, 5)
    room.restart()
    room.idle(30, 5)
    assert len(to(modem, LU)) == 1


LONG = {
    "place": "Khu vườn mẫu Suối Giàng – đồi trên, xã Văn Chấn " * 5,
    "who": "Nguyễn Thị Hoàng Phương A",
    "other": "B" * 24,
}


@pytest.mark.parametrize("kind", [*words._table(words._HERE / "words.toml")["written_back"]["vi"]])
@pytest.mark.parametrize("lang", ["vi", "en"])
@pytest.mark.parametrize("exercise", [False, True])
def test_what_is_said_back_is_one_sms_however_long_the_names_are(kind: str, lang: str, exercise: bool) -> None:
    longest = {"at": "12:27 28/11", "since": "12:27 28/11", "said": ""}
    whys = [*words._table(words._HERE / "words.toml")["refusal"]]
    for why in whys if kind == "refused" else whys[:1]:
        fields = {
            own: LONG
            | longest
            | {"closed": words.closing("sensor-fault", own), "why": words.refusal(why)[f"words_{own}"]}
            for own in ("vi", "en")
        }
        one, two, brief = words.written_back(kind, lang, fields, exercise=exercise)
        assert len(septets(brief)) <= 160
        assert plain(brief) == brief
        assert one != two
        if kind not in ("wrong_code", "no_code", "exercise"):
            assert brief.endswith("...") or why == "no_closing", "the place alone is cut"
