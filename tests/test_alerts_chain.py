"""An incident about life from the first suspicion to its closing: who is told, who answers, what mutes it."""

from __future__ import annotations

import random
import re
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from msgspec.structs import replace

from at.alphabet import septets
from cloud.alerts import words
from cloud.alerts.answers import codes, understood
from cloud.alerts.decide.acts import Act
from cloud.alerts.decide.selftest import last_due_ms
from cloud.alerts.incident import CLOSINGS
from cloud.alerts.journal import reading
from cloud.alerts.tell import link
from cloud.clock import hanoi
from cloud.inbox import Asker
from cloud.registry import Contact, Registry
from cloud.registry.fire import BurnPermit, KnownSource
from cloud.registry.kinds import Zone
from cloud.registry.people import Duty, Person
from tests.rules.garden import DAY, SMOKE, Bench, Post, bound, registry
from tests.test_alerts_route import incident

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS = Path(words.__file__).with_name("words.toml")
CHAIN = {"again_s": 180.0, "commune_s": 480.0, "ranger_s": 900.0, "province_s": 1_800.0, "repeat_s": 600.0}
FIRE = [(60.0 * n, 80.0) for n in range(6)]
CALM = [(420.0 + 60.0 * n, 5.0) for n in range(8)]
PEOPLE = {"hamlet": "lu@example.vn", "commune": "xa@example.vn", "ranger": "kl@example.vn", "province": "t@example.vn"}


def roster(**more: list[Any]) -> Registry:
    """Return the garden with somebody on each rung, and others without duty who have other roles."""
    people = [
        Person(code=f"d{n}", name=f"Trực {rung}", email=mail, roles=("fire-watch",) if n == 0 else ())
        for n, (rung, mail) in enumerate(PEOPLE.items())
    ]
    duties = [Duty(person=f"d{n}", rung=rung, valid_from=DAY) for n, rung in enumerate(PEOPLE)]
    whole = registry(contacts=[Contact("Op", "operator", "op@example.vn", "en")])
    kinds = {kind: list(rows) for kind, rows in whole._records.items()}
    kinds["person"] += people
    return Registry(kinds | {"duty": duties} | more)


class Desk(Bench):
    """A bench whose people act as pages do: through the inbox."""

    def ask(self, act: str, who: str = "d0", **more: Any) -> dict[str, Any]:
        """Ask, let the room serve, and return what became of it."""
        asker = Asker(self.path.parent, "alerts", self.clock)
        try:
            number = asker.ask("act", {"act": act, "who": who, "by": "page"} | more)
            self.step()
            outcome = asker.outcome(number)
            assert outcome is not None
            return outcome
        finally:
            asker.close()

    def reply(self, text: str, sender: str, key: str = "k") -> dict[str, Any]:
        asker = Asker(self.path.parent, "alerts", self.clock)
        body = {"channel": "email", "reply": {"sender": sender, "text": text, "key": key}}
        try:
            number = asker.ask("reply", body)
            self.step()
            return asker.outcome(number) or {}
        finally:
            asker.close()

    @property
    def head(self) -> Any:
        return self.alerts.incidents()[-1]


@pytest.fixture
def desk(tmp_path: Path, post: Post) -> Iterator[Desk]:
    with opened(tmp_path, post) as made:
        yield made


@contextmanager
def opened(folder: Path, post: Post, **settings: Any) -> Iterator[Desk]:
    made = Desk(folder, [SMOKE], post.port, **({"registry": roster()} | CHAIN | settings))
    made.step()
    try:
        yield made
    finally:
        made.close()


def told(post: Post) -> list[tuple[str, str]]:
    """Return (rung or role, the first words of the subject) in the order of arrival."""
    names = {mail: rung for rung, mail in PEOPLE.items()}
    subjects = [
        (names.get(who, who), str(mail["Subject"]).partition("] ")[2].split(":")[0]) for who, mail in post.mails
    ]
    return [(who, re.split(r" \(| / ", words)[0]) for who, words in subjects]


def test_nobody_answers_and_each_rung_is_told_in_its_time(desk: Desk, post: Post) -> None:
    desk.live(FIRE)
    opened_ms = desk.head.opened_ms
    at: dict[str, float] = {}
    for _ in range(2_700):
        desk.clock.advance(1)
        desk.step()
        for who, _ in told(post):
            at.setdefault(who, (desk.clock.utc_ms() - opened_ms) / 1000)
    assert list(at) == ["hamlet", "commune", "ranger", "province"]
    for who, due_s in (("commune", 480), ("ranger", 900), ("province", 1_800)):
        assert due_s <= at[who] <= due_s + 5, f"{who} within five seconds of its time"
    assert told(post)[:2] == [("hamlet", "NGHI CÓ KHÓI"), ("hamlet", "CHƯA AI TRẢ LỜI")]
    assert told(post)[-4:] == [(rung, "CHƯA AI TRẢ LỜI") for rung in PEOPLE], "everybody again after ten minutes"


def test_who_acknowledges_stops_the_chain_and_is_asked_again_later(desk: Desk, post: Post) -> None:
    desk.live(FIRE)
    assert desk.ask("acknowledge", incident=1) == {"ok": True, "number": 1}
    assert (desk.head.acked_by, desk.head.stage) == ("d0", "suspected")
    desk.idle(1_100, 10)
    assert told(post) == [("hamlet", "NGHI CÓ KHÓI")]
    desk.idle(200, 10)
    assert told(post)[1:] == [("hamlet", "CHƯA AI TRẢ LỜI")], "whoever had it has not closed it"
    assert desk.head.acked_by == ""
    assert [event for event in desk.events() if event in ("acknowledged", "lapsed")] == ["acknowledged", "lapsed"]


def test_timers_survive_a_restart_and_a_clock_that_is_set(desk: Desk, post: Post) -> None:
    desk.live(FIRE)
    desk.idle(100, 10)
    desk.restart()
    desk.step()
    for jump_s in (86_400.0, -172_800.0, 3_600.0):
        desk.clock.step(jump_s)
        desk.idle(100, 5)
    desk.idle(120, 5)
    assert told(post) == [("hamlet", "NGHI CÓ KHÓI"), ("hamlet", "CHƯA AI TRẢ LỜI"), ("commune", "CHƯA AI TRẢ LỜI")]
    desk.alerts.close()
    desk.clock.step(-30 * 86_400.0)  # while it is down nothing tells how far it was set: it is due at once, not never
    desk.restart()
    desk.idle(5, 1)
    assert told(post)[-1] == ("ranger", "CHƯA AI TRẢ LỜI")


@pytest.mark.parametrize("closed_as", CLOSINGS)
def test_a_closing_is_told_to_everybody_who_was_told_and_to_nobody_else(desk: Desk, post: Post, closed_as: str) -> None:
    desk.live(FIRE)
    desk.idle(500, 10)
    told_before = {who for who, _ in post.mails}
    count = len(post.mails)
    outcome = desk.ask("close", incident=1, closed_as=closed_as)
    assert outcome["ok"]
    desk.idle(30, 5)
    words = "BÁO ĐỘNG GIẢ" if closed_as in ("permitted", "cooking", "sensor-fault") else "ĐÃ ĐÓNG"
    names = {mail: rung for rung, mail in PEOPLE.items()}
    assert sorted(told(post)[count:]) == sorted((names[who], words) for who in told_before)
    assert (desk.head.stage, desk.head.closed_as, desk.head.closed_by) == ("closed", closed_as, "d0")
    count = len(post.mails)
    desk.live(CALM)
    desk.idle(4_000, 60)
    assert len(post.mails) == count, "what the sensor shows afterwards is no news"
    assert desk.ask("acknowledge", incident=1)["why"] == "is_closed"


def test_a_person_confirms_and_nobody_else_does(desk: Desk, post: Post) -> None:
    desk.live(FIRE)
    assert desk.ask("confirm", incident=1)["ok"]
    assert desk.ask("confirm", incident=1)["why"] == "is_beyond"
    assert desk.ask("control", "d1", incident=1)["ok"]
    desk.idle(5, 1)
    assert told(post) == [("hamlet", "NGHI CÓ KHÓI"), ("hamlet", "ĐÃ XÁC NHẬN LÀ CHÁY"), ("hamlet", "ĐÃ KHỐNG CHẾ")]
    assert "Đã nhận việc: Trực commune," in post.mails[-1][1].get_content(), "by their name, not by their code"
    desk.live(CALM)
    desk.idle(7_200, 60)
    assert (desk.head.stage, desk.head.going) == ("under-control", True), "only a person closes it"
    assert len(post.mails) == 3


def test_escalate_assign_and_relabel(desk: Desk, post: Post) -> None:
    desk.live(FIRE)
    assert desk.ask("escalate", incident=1)["ok"]
    desk.idle(2, 1)
    assert told(post)[-1] == ("commune", "CHƯA AI TRẢ LỜI")
    assert desk.ask("assign", incident=1, to="d2")["ok"]
    desk.idle(2, 1)
    assert told(post)[-1] == ("ranger", "GIAO CHO BẠN")
    assert desk.ask("relabel", incident=1, place_vi="Nương nhà Thào A Lử")["ok"]
    assert (desk.head.place_vi, desk.head.place_en) == ("Nương nhà Thào A Lử", "Nương nhà Thào A Lử")
    assert desk.ask("relabel", incident=1, place_vi=" ")["why"] == "no_words"
    assert desk.ask("assign", incident=1)["why"] == "no_person"
    assert desk.ask("comment", incident=9, words="x")["why"] == "no_incident"
    assert desk.ask("close", incident=1, closed_as="bored")["why"] == "no_closing"
    assert "words_vi" in desk.ask("close", incident=1, closed_as="bored")
    assert not desk.ask("dance")["ok"]
    assert desk.ask("acknowledge", incident=1, colour="red")["why"] == "unfit"


def test_several_nodes_are_one_incident_that_can_be_split_and_merged(tmp_path: Path, post: Post) -> None:
    whole = roster()
    whole.bindings[:] = [bound(f"sg-{n:02d}", "smoke-1", "tree", "7K3MQ2") for n in range(1, 4)]
    with opened(tmp_path, post, registry=whole) as desk:
        for gateway in ("sg-01", "sg-02", "sg-03"):
            desk.send([(at_s, value) for at_s, value in FIRE], gateway=gateway, step=False)
        desk.clock.advance(310)
        desk.step()
        desk.idle(5, 1)
        assert told(post) == [("hamlet", "NGHI CÓ KHÓI")]
        assert [one.part_of for one in reversed(desk.alerts.incidents())] == [None, 1, 1]
        assert desk.ask("split", incident=1, parts=[3])["ok"]
        assert desk.ask("split", incident=1, parts=[3])["why"] == "no_parts"
        assert [one.part_of for one in reversed(desk.alerts.incidents())] == [None, 1, None]
        assert desk.ask("merge", incident=1, into=1)["why"] == "no_merge"
        assert desk.ask("merge", incident=1, into=3)["ok"]
        assert [one.part_of for one in reversed(desk.alerts.incidents())] == [3, 3, None]
        assert desk.ask("close", incident=1, closed_as="cooking") == {"ok": True, "number": 3}, (
            "a part acts as its head"
        )
        assert {one.head for one in desk.alerts.incidents()} == {3}


def test_probable_is_told_at_once_through_an_answer(desk: Desk, post: Post) -> None:
    desk.live(FIRE)
    desk.ask("acknowledge", incident=1)
    with desk.alerts._journal.transaction():
        desk.alerts._desk.raise_to(desk.head, "probable", "two nodes, one with CO", desk.clock.utc_ms())
    desk.step()
    desk.idle(2, 1)
    assert told(post)[-1] == ("hamlet", "RẤT CÓ THỂ LÀ CHÁY")
    assert desk.head.acked_by == "", "it is asked anew"
    with desk.alerts._journal.transaction():
        desk.alerts._desk.raise_to(desk.head, "probable", "again", desk.clock.utc_ms())
    desk.idle(2, 1)
    assert len(post.mails) == 2


@pytest.mark.parametrize("kind", ["silence", "permit", "source"])
def test_what_mutes_keeps_the_record_and_ends(tmp_path: Path, post: Post, kind: str) -> None:
    now = hanoi(0)
    with opened(tmp_path, post) as desk:
        now = hanoi(desk.clock.utc_ms())
        at: dict[str, Any] = {"lat": 21.61234, "lon": 104.61234}
        if kind == "permit":
            ends = now + timedelta(minutes=20)
            desk.registry._records["burn_permit"] = [  # type: ignore[index]
                BurnPermit(code="b1", holder="Sùng", starts=now - timedelta(hours=1), ends=ends, **at)
            ]
        elif kind == "source":
            minute = now.hour * 60 + now.minute
            desk.registry._records["known_source"] = [  # type: ignore[index]
                KnownSource(
                    code="k1",
                    name_vi="Bếp",
                    name_en="Kitchen",
                    clock_from=minute - 5,
                    clock_to=minute + 20,
                    valid_from=date(2020, 1, 1),
                    **at,
                )
            ]
        else:
            until_ms = desk.clock.utc_ms() + 1_200_000
            assert desk.ask("silence", scope="*", words="đốt nương", until_ms=until_ms)["ok"]
        desk.live(FIRE)
        desk.idle(120, 10)
        assert post.mails == []
        assert desk.head.muted
        assert "muted" in desk.events()
        desk.idle(1_200, 10)
        assert told(post)[0] == ("hamlet", "NGHI CÓ KHÓI"), "it goes on when what muted it is over"


def test_a_silence_needs_a_reason_and_an_end_and_never_mutes_what_is_probable(desk: Desk, post: Post) -> None:
    now_ms = desk.clock.utc_ms()
    whole: dict[str, Any] = {"scope": "*", "words": "x", "until_ms": now_ms + 3_600_000}
    for wrong, why in (
        (("words", " "), "no_words"),
        (("until_ms", now_ms + 86_500_000), "too_long"),
        (("scope", ""), "no_scope"),
    ):
        assert desk.ask("silence", **(whole | dict([wrong])))["why"] == why
    number = desk.ask("silence", **whole)["number"]
    desk.live(FIRE)
    assert post.mails == []
    with desk.alerts._journal.transaction():
        desk.alerts._desk.raise_to(desk.head, "probable", "60 °C twice", desk.clock.utc_ms())
    desk.step()
    desk.idle(2, 1)
    assert told(post) == [("hamlet", "RẤT CÓ THỂ LÀ CHÁY")]
    assert "Đang có lệnh tắt báo: mọi nơi đến " in post.mails[0][1].get_content()
    assert desk.ask("unsilence", number=number)["ok"]
    assert desk.ask("unsilence", number=number)["why"] == "no_silence"


def test_a_reply_counts_from_whom_it_was_written_to_with_the_code_of_the_letter(desk: Desk, post: Post) -> None:
    desk.live(FIRE)
    body = post.mails[0][1].get_content()
    code = re.search(r"(\d{4}) = tôi nhận", body)
    assert code is not None
    code_ = code.group(1)
    other = f"{(int(code_) - 1000 + 1) % 9000 + 1000}"
    assert not desk.reply(code_, "stranger@example.vn", "1")["ok"]
    assert not desk.reply(code_, "op@example.vn", "2")["ok"], "known, but it was not written to them"
    assert not desk.reply(other, "lu@example.vn", "3")["ok"]
    assert not desk.reply("1", "lu@example.vn", "4")["ok"], "without the code a number that is forged would do"
    assert desk.head.acked_by == ""
    assert desk.reply(f"{code_} nhận", "lu@example.vn", "5")["ok"]
    assert desk.head.acked_by == "d0"
    assert desk.reply(f"{code_} bếp", "lu@example.vn", "6")["ok"]
    assert (desk.head.closed_as, desk.head.closed_by) == ("cooking", "d0")
    events = desk.events()
    assert desk.reply(f"{code_} bếp", "lu@example.vn", "6")["ok"], "the same twice is one"
    assert desk.events() == events
    health = desk.alerts.health()
    assert (health["replies"], health["replies_refused"]) == (2, 4)


@pytest.mark.parametrize(
    ("text", "code", "does"),
    [
        ("4821", "4821", "acknowledge"),
        ("4821 1", "4821", "acknowledge"),
        ("OK 4821", "4821", "acknowledge"),
        ("4821 Nhận.", "4821", "acknowledge"),
        ("4821 bep", "4821", "cooking"),
        ("4821 BẾP!", "4821", "cooking"),
        ("4821 chay that", "4821", "confirm"),
        ("4821 đốt có phép", "4821", "permitted"),
        ("4821 hong", "4821", "sensor-fault"),
        ("4821 khong chay", "4821", "comment"),
        ("toi dang di xem", "", "comment"),
        ("84821", "", "comment"),
        ("４８２１　ＣＨÁＹ", "4821", "confirm"),
        ("  4821\r\ncháy  ", "4821", "confirm"),
        ("4821chay", "4821", "confirm"),
        ("so 48215, ma 4821 bep", "4821", "comment"),
        ("", "", "acknowledge"),
    ],
)
def test_what_people_write_back_is_understood(text: str, code: str, does: str) -> None:
    said = understood(text, *codes(text)[:1])
    assert (said.code, said.does) == (code, does)


def test_every_word_that_is_understood_is_an_act_or_a_closing() -> None:
    meanings = tomllib.loads(WORDS.read_text(encoding="utf-8"))["answers"]
    for does in (*meanings, "comment"):
        assert does in CLOSINGS or msgspec.convert({"act": does, "who": "x", "by": "sms"}, Act).act == does


def test_a_letter_says_what_to_do_whom_to_call_and_where_to_answer(tmp_path: Path, post: Post) -> None:
    with opened(tmp_path, post) as desk:
        desk.alerts._office._paper._door = lambda letter: f"https://staff.example/i/{letter}"
        desk.live(FIRE)
        text = post.mails[0][1].get_content()
        for words in ("Làm gì trước:", "Gọi ai:", "Mở và trả lời: https://staff.example/i/1", "What to do first:"):
            assert words in text
        assert text.count("https://staff.example/i/") == 2, "one link, in each language"
        assert "DIỄN TẬP" not in text


def test_an_exercise_is_marked_everywhere_and_closes_only_as_one(desk: Desk, post: Post) -> None:
    assert desk.ask("drill", "op", place="zone:suoi-giang")["ok"]
    desk.idle(600, 10)
    assert {who for who, _ in told(post)} == {"hamlet", "commune"}
    for _, mail in post.mails:
        assert str(mail["Subject"]).startswith("[DIỄN TẬP / EXERCISE]")
        assert "ĐÂY LÀ DIỄN TẬP" in mail.get_content()
    assert desk.head.exercise
    assert desk.ask("close", incident=1, closed_as="real")["why"] == "is_exercise"
    assert desk.ask("close", incident=1, closed_as="drill")["ok"]
    desk.idle(10, 1)
    assert str(post.mails[-1][1]["Subject"]).startswith("[DIỄN TẬP / EXERCISE]")
    desk.live([(at_s + 620, value) for at_s, value in FIRE])
    assert not desk.alerts.incidents()[0].exercise, "a true suspicion beside it is none"


def test_staged_smoke_of_one_gateway_is_an_exercise_for_as_long(desk: Desk, post: Post) -> None:
    until_ms = desk.clock.utc_ms() + 900_000
    assert desk.ask("exercise", scope="sg-01", until_ms=until_ms + 3_600_000)["why"] == "too_long"
    assert desk.ask("exercise", scope="sg-01", until_ms=until_ms)["ok"]
    desk.live(FIRE)
    assert desk.head.exercise
    assert str(post.mails[0][1]["Subject"]).startswith("[DIỄN TẬP / EXERCISE]")


def test_smoke_that_is_going_to_be_staged_is_an_exercise_also_when_something_true_is_closed_there_before(
    desk: Desk,
) -> None:
    desk.live(FIRE)
    assert desk.ask("exercise", scope="sg-01", until_ms=desk.clock.utc_ms() + 3_600_000)["ok"]
    assert desk.ask("close", incident=1, closed_as="cooking")["ok"]
    desk.live(CALM)
    desk.live([(900.0 + at_s, value) for at_s, value in FIRE])
    assert [(one.exercise, one.going) for one in desk.alerts.incidents()] == [(True, True), (False, False)]


def test_the_key_of_links_is_made_once_and_read_by_any_number_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(link.key_of, [tmp_path] * 400))) == 1
    assert [one.name for one in tmp_path.iterdir()] == [link.NAME]
    made_ns = tmp_path.stat().st_mtime_ns
    link.key_of(tmp_path)
    assert tmp_path.stat().st_mtime_ns == made_ns, "who opens a link writes nothing"


def test_a_link_opens_its_letter_until_it_is_over_cut_or_forged(tmp_path: Path) -> None:
    key, now_ms = link.key_of(tmp_path), 1_800_000_000_000
    assert link.key_of(tmp_path) == key
    assert (tmp_path / link.NAME).stat().st_mode & 0o777 == 0o600
    shown = link.token(key, 77, now_ms)
    assert link.letter_of(key, shown, now_ms + 6 * 86_400_000) == 77
    assert link.letter_of(key, shown, now_ms + 8 * 86_400_000) is None
    assert link.letter_of(b"x" * 32, shown, now_ms) is None
    for cut in range(len(shown)):
        assert link.letter_of(key, shown[:cut], now_ms) is None
    dice = random.Random(5)
    for _ in range(500):
        at = dice.randrange(len(shown))
        forged = shown[:at] + dice.choice("0123456789abcdefxyz.-_ế") + shown[at + 1 :]
        assert link.letter_of(key, forged, now_ms) in (None, 77 if forged == shown else None)


def test_an_undelivered_letter_is_told_by_another_way(desk: Desk, post: Post) -> None:
    desk.live(FIRE)
    name = str(post.mails[0][1]["Message-ID"]).strip("<>").partition("@")[0]
    asker = Asker(desk.path.parent, "alerts", desk.clock)
    for ok in (True, False):
        asker.ask(
            "receipt", {"channel": "email", "receipt": {"message": name, "ok": ok, "words": "so says the network"}}
        )
        desk.step()
    asker.close()
    desk.idle(2, 1)
    assert [words for words in desk.words() if words.startswith("receipt")] == [
        "receipt: delivered: so says the network",
        "receipt: failed: so says the network",
    ]
    with reading(desk.path) as db:
        assert db.execute("SELECT state FROM letter WHERE id = 1").fetchone() == ("given up",)
    assert "op@example.vn" in [who for who, _ in post.mails], "somebody else is told who can call"


def test_who_was_told_of_many_suspicions_is_told_of_the_next_later_but_of_what_is_probable_now(
    tmp_path: Path, post: Post
) -> None:
    whole = roster()
    zones = [
        Zone(code=f"z{n}", name_vi=f"Đồi {n}", name_en=f"Hill {n}", lat=21.0 + n / 10, lon=104.6) for n in range(6)
    ]
    whole._records["zone"] = [*whole._records["zone"], *zones]  # type: ignore[index]
    whole.bindings[:] = [bound(f"sg-{n:02d}", "smoke-1", "zone", f"z{n}") for n in range(6)]
    with opened(tmp_path, post, registry=whole, budget=3) as desk:
        for at_s, value in FIRE:
            desk.clock.advance(60)
            for n in range(6):
                desk.send([(at_s + 60, value)], gateway=f"sg-{n:02d}", step=n == 5)
        for number in range(1, 7):
            desk.ask("acknowledge", incident=number)
        desk.idle(60, 5)
        assert [words for _, words in told(post)] == ["NGHI CÓ KHÓI"] * 3
        held = next(
            one for one in desk.alerts.incidents() if one.place_vi not in str([m["Subject"] for _, m in post.mails])
        )
        with desk.alerts._journal.transaction():
            desk.alerts._desk.raise_to(held, "probable", "two nodes", desk.clock.utc_ms())
        desk.idle(5, 1)
        assert told(post)[3:] == [("hamlet", "RẤT CÓ THỂ LÀ CHÁY")]
        for _ in range(8):
            for number in range(1, 7):
                desk.ask("acknowledge", incident=number)
            desk.idle(600, 20)
        assert [words for _, words in told(post)][4:] == ["NGHI CÓ KHÓI"] * 2, "when the hour is over"


def test_each_week_every_channel_carries_a_letter_that_says_it_is_a_test(tmp_path: Path, post: Post) -> None:
    with opened(tmp_path, post, self_test="mon 09:00") as desk:  # it is Sunday 12:20 in Vietnam
        desk.idle(20 * 3_600, 600)
        assert post.mails == []
        desk.idle(3 * 3_600, 600)
        desk.restart()
        desk.idle(3_600, 60)
        assert [who for who, _ in post.mails] == ["op@example.vn"], "an operator, once"
        assert "Weekly self-test" in str(post.mails[0][1]["Subject"])
        assert str(post.mails[0][1]["Subject"]).startswith("[DIỄN TẬP / EXERCISE]")
        health = desk.alerts.health()
        assert (health["self_test_failed"], health["open"]) == ([], 0)
        post.refuse = {"op@example.vn": "550 no such user"}
        desk.idle(7 * 86_400 + 7_200, 1_800)
        assert desk.alerts.health()["self_test_failed"] == ["email"]


def test_the_hour_of_a_test_is_found_on_any_day() -> None:
    for when in ("mon 09:00", "sun 00:00", "sat 23:59"):
        for hour in range(24 * 14):
            now_ms = 1_760_000_000_000 + hour * 3_600_000
            due_ms = last_due_ms(when, now_ms)
            assert due_ms <= now_ms < due_ms + 7 * 86_400_000
            assert hanoi(due_ms).strftime("%a %H:%M").lower() == when


@pytest.mark.parametrize("tell", words.TELLS)
@pytest.mark.parametrize("exercise", [False, True])
def test_an_sms_is_one_part_and_ends_with_how_to_answer_however_long_the_names_are(tell: str, exercise: bool) -> None:
    long = incident(
        7, what_vi="Nghi có khói ở " * 5, place_vi="Khu vườn mẫu Suối Giàng – đồi trên, xã " * 4, lat=21.6, lon=104.6
    )
    said = words.short([words.Item(replace(long, exercise=exercise), None, tell)], "4821")
    assert len(septets(said)) <= 160
    assert said.endswith("Tra loi 4821 = toi nhan")
    assert said.startswith("DIEN TAP: ") is exercise
    assert "21.6000,104.6000" in said
    assert "Khu vuon" in said
