"""People's acts at wrong times and in wrong forms: nobody who says that it burns is lost, and no act stops the room."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from cloud import inbox
from cloud.alerts.journal import reading
from cloud.alerts.schema import STEPS
from cloud.clock import SystemClock
from cloud.inbox import Asker, path_of
from cloud.registry import Registry
from cloud.registry.people import Duty, Person
from tests.rules.garden import DAY, START_MS, until
from tests.test_alerts_chain import FIRE, PEOPLE, Desk, opened, roster, told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.rules.garden import Post

XA = "xa@example.vn"


@pytest.fixture
def desk(tmp_path: Path, post: Post) -> Iterator[Desk]:
    with opened(tmp_path, post) as made:
        yield made


def escalated(desk: Desk) -> str:
    """Let it burn until the commune is told; return the code of the commune's letter."""
    desk.live(FIRE)
    desk.idle(500, 10)
    with reading(desk.path) as db:
        return str(db.execute("SELECT code FROM letter WHERE person = ? ORDER BY id DESC", (XA,)).fetchone()[0])


def test_who_says_that_it_burns_is_believed_after_another_has_closed_it(desk: Desk, post: Post) -> None:
    code = escalated(desk)
    assert desk.ask("close", incident=1, closed_as="cooking")["ok"]
    assert told(post)[-2:] == [("hamlet", "BÁO ĐỘNG GIẢ"), ("commune", "BÁO ĐỘNG GIẢ")]
    assert desk.reply(f"{code} cháy", XA)["ok"]
    assert (desk.head.stage, desk.head.going, desk.head.acked_by) == ("confirmed", True, "d1")
    assert desk.events()[-4:] == ["reopened", "confirmed", "told", "told"]
    assert told(post)[-2:] == [("hamlet", "ĐÃ XÁC NHẬN LÀ CHÁY"), ("commune", "ĐÃ XÁC NHẬN LÀ CHÁY")]
    assert desk.ask("close", incident=1, closed_as="real")["ok"]


def test_what_was_closed_by_mistake_is_opened_again_while_it_goes_on(desk: Desk, post: Post) -> None:
    escalated(desk)
    assert desk.ask("reopen", incident=1)["why"] == "is_open"
    assert desk.ask("close", incident=1, closed_as="cooking")["ok"]
    assert desk.ask("reopen", "d1", incident=1, words="nhầm")["ok"]
    assert (desk.head.stage, desk.head.going, desk.head.acked_by) == ("suspected", True, "d1")
    assert "reopened: nhầm" in desk.words()
    desk.idle(60, 5)
    again = "MỞ LẠI, CHƯA XONG"
    assert told(post)[-2:] == [("hamlet", again), ("commune", again)], "who was told that it was none is told"
    desk.idle(1_300, 10)
    assert told(post)[-1][1] == "CHƯA AI TRẢ LỜI", "and nobody who has it keeps it for ever"
    desk.ask("close", incident=1, closed_as="cooking")
    desk.live([(2_000.0 + 60 * n, 5.0) for n in range(12)])
    assert not desk.head.open
    assert desk.ask("reopen", incident=1)["why"] == "is_calm", "by itself it would be over at once"
    assert desk.ask("confirm", incident=1)["ok"]


def test_what_is_long_closed_or_was_an_exercise_is_not_opened_again_and_the_reply_is_kept(
    desk: Desk, post: Post
) -> None:
    code = escalated(desk)
    desk.ask("close", incident=1, closed_as="cooking")
    desk.clock.advance(90_000)
    assert not desk.reply(f"{code} cháy", XA)["ok"]
    assert desk.head.closed_as == "cooking"
    assert desk.words()[-1] == "reply-refused: cháy"
    drill = desk.ask("drill", place="zone:suoi-giang")["number"]
    desk.ask("close", incident=drill, closed_as="drill")
    assert desk.ask("confirm", incident=drill)["why"] == "is_closed"


def test_two_who_answer_the_same_stand_both_in_the_history(desk: Desk) -> None:
    code = escalated(desk)
    desk.ask("confirm", incident=1)
    assert desk.reply(f"{code} cháy", XA)["ok"]
    assert [one for one in desk.words() if not one.startswith("told")][-2:] == ["confirmed: ", "acknowledged: cháy"]


@pytest.mark.parametrize(
    "act",
    [
        {"act": "comment", "incident": 2**70, "words": "x"},
        {"act": "merge", "incident": 1, "into": -(2**64)},
        {"act": "unsilence", "number": 2**64},
    ],
    ids=lambda act: str(act["act"]),
)
def test_an_act_that_cannot_be_done_is_answered_and_holds_up_no_other(desk: Desk, act: dict[str, Any]) -> None:
    desk.live(FIRE)
    asker = Asker(desk.path.parent, "alerts", desk.clock)
    bad = asker.ask("act", {"who": "d0", "by": "page"} | act)
    good = asker.ask("act", {"who": "d0", "by": "page", "act": "acknowledge", "incident": 1})
    desk.step()
    outcome = asker.outcome(bad)
    assert outcome is not None
    assert outcome["why"] == "failed"
    assert asker.outcome(good) == {"ok": True, "number": 1}
    asker.close()


def test_an_inbox_that_cannot_be_opened_stops_no_alarm(tmp_path: Path, post: Post) -> None:
    path_of(tmp_path, "alerts").mkdir()
    with opened(tmp_path, post) as made:
        made.live(FIRE)
        assert told(post) == [("hamlet", "NGHI CÓ KHÓI")]
        assert "inbox-alerts.db" in made.alerts.health()["acts_fault"]
        assert made.alerts._journal.in_memory == "", "the journal has nothing to do with it"
        path_of(tmp_path, "alerts").rmdir()
        made.step()
        assert made.alerts.health()["acts_fault"] == ""
        assert made.ask("acknowledge", incident=1)["ok"]


def test_an_inbox_that_somebody_holds_delays_no_alarm(desk: Desk, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "ROOM_BUSY_S", 0.05)
    desk.restart()
    with closing(sqlite3.connect(path_of(desk.path.parent, "alerts"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began_s = SystemClock().monotonic()
        desk.live(FIRE)
        desk.idle(190, 10)
        assert told(post) == [("hamlet", "NGHI CÓ KHÓI"), ("hamlet", "CHƯA AI TRẢ LỜI")]
        assert "locked" in desk.alerts.health()["acts_fault"]
        assert SystemClock().monotonic() - began_s < 20.0, "no five seconds a round"
    assert desk.ask("acknowledge", incident=1)["ok"]


def test_an_inbox_damaged_while_the_room_runs_is_made_anew_for_all_who_ask(desk: Desk) -> None:
    desk.live(FIRE)
    asker = Asker(desk.path.parent, "alerts", desk.clock)
    asker.ask("act", {"who": "d0", "by": "page", "act": "acknowledge", "incident": 1})
    desk.step()
    inbox = path_of(desk.path.parent, "alerts")
    for file in inbox.parent.glob(f"{inbox.name}*"):
        if file.suffix != ".lock":
            file.write_bytes(b"\xff" * 8_192)
    for _ in range(3):
        desk.step()
    assert desk.alerts.health()["acts_fault"] == ""
    number = asker.ask("act", {"who": "d0", "by": "page", "act": "confirm", "incident": 1})
    desk.step()
    assert asker.outcome(number) == {"ok": True, "number": 1}
    asker.close()


def test_what_burned_before_there_was_a_chain_is_asked_about_after_the_upgrade(tmp_path: Path, post: Post) -> None:
    row = {"rule": "smoke", "kind": "limit", "gateway": "sg-01", "channel": "smoke-1", "quantity": "pm2_5"}
    row |= {"what_vi": "khói", "what_en": "smoke", "place": "tree:7K3MQ2", "place_vi": "a", "place_en": "b"}
    times = dict.fromkeys(("since_ms", "opened_ms", "bad_ms", "touched_ms"), START_MS - 600_000)
    whole = row | times | {"late": 0, "basis": "readings", "undated": 0, "untold": 0}
    with closing(sqlite3.connect(tmp_path / "alerts.db")) as db:
        for step in STEPS[:8]:
            db.executescript(step)
        new = f"INSERT INTO incident ({', '.join(whole)}) VALUES ({', '.join('?' * len(whole))})"
        db.execute(new, [*whole.values()])
        db.execute("PRAGMA user_version = 8")
        db.commit()
    with opened(tmp_path, post) as made:
        made.idle(500, 10)
        assert told(post) == [("hamlet", "CHƯA AI TRẢ LỜI"), ("commune", "CHƯA AI TRẢ LỜI")]
        assert made.ask("acknowledge", incident=1)["ok"]
        made.restart()
        made.idle(600, 10)
        assert len(told(post)) == 2, "a chain that is there begins once"


def test_a_storm_of_replies_is_taken_without_a_pause(tmp_path: Path, post: Post) -> None:
    with opened(tmp_path, post, clock=SystemClock()) as made:
        asker = Asker(tmp_path, "alerts", made.clock)
        for number in range(300):
            reply = {"sender": "x@example.vn", "text": "hello", "key": str(number)}
            asker.ask("reply", {"channel": "email", "reply": reply})
        last = asker.ask("act", {"act": "unsilence", "who": "d0", "by": "page"})
        steps = 0
        while asker.outcome(last) is None:
            made.alerts._wake.clear()
            made.alerts._work()
            steps += 1
            assert asker.outcome(last) is not None or made.alerts._wake.is_set(), "it goes on at once"
        assert steps <= 7
        until(lambda: made.alerts.health()["replies_refused"] == 300)
        asker.close()


def test_whose_duty_is_over_is_told_by_their_role_again(tmp_path: Path, post: Post) -> None:
    kinds = {kind: list(rows) for kind, rows in roster()._records.items()}
    kinds["person"].append(Person(code="d9", name="Sùng", email="sung@example.vn", roles=("fire-watch",)))
    over = Duty(person="d0", rung="hamlet", valid_from=DAY, valid_to=DAY + timedelta(days=1))
    kinds["duty"] = [over, *(Duty(person=f"d{n}", rung=rung, valid_from=DAY) for n, rung in enumerate(PEOPLE) if n)]
    with opened(tmp_path, post, registry=Registry(kinds)) as made:
        made.live(FIRE)
        assert {who for who, _ in told(post)} == {"hamlet", "sung@example.vn"}


def test_exercises_do_not_use_up_the_suspicions_that_somebody_is_told_of(tmp_path: Path, post: Post) -> None:
    with opened(tmp_path, post, budget=2) as made:
        for _ in range(2):
            number = made.ask("drill", place="zone:suoi-giang")["number"]
            made.ask("close", incident=number, closed_as="drill")
        post.mails.clear()
        made.live(FIRE)
        assert told(post) == [("hamlet", "NGHI CÓ KHÓI")]
