"""Zalo's bots, against a server that plays their documented interface (tests/told.py)."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from cloud.alerts.channels import GiveUp, Hooked, Listening, Message, Refused, Reply, Retry, open_channel
from cloud.alerts.channels.zalo import LONGEST, fitted
from cloud.config import ConfigError
from tests import told
from tests.servers import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHAT = "e4ea2cd5189df1c3a88c"
MESSAGE = Message("ab12.1", 0, CHAT, "[gocche] NGHI CÓ KHÓI", "Nghi có khói.\nỞ đâu: cây 7K3MQ2\n", "life")


@pytest.fixture
def zalo() -> Iterator[told.Zalo]:
    with told.Zalo() as server:
        yield server


@pytest.fixture
def table(zalo: told.Zalo, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "token").write_text(told.TOKEN + "\n", encoding="utf-8")
    (tmp_path / "secret").write_text(told.SECRET + "\n", encoding="utf-8")
    return {
        "kind": "zalo",
        "url": f"http://127.0.0.1:{zalo.port}",
        "token_file": str(tmp_path / "token"),
        "deadline_s": 5.0,
        "poll_s": 1,
    }


def test_a_person_is_told_subject_and_text(zalo: told.Zalo, table: dict[str, Any]) -> None:
    open_channel(table).send(MESSAGE)
    assert zalo.got == [(CHAT, "[gocche] NGHI CÓ KHÓI\n\nNghi có khói.\nỞ đâu: cây 7K3MQ2")]


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(
    ("code", "outcome", "everybody"),
    [
        (400, GiveUp, False),
        (401, Retry, True),
        (403, Retry, False),
        (404, Retry, False),
        (408, Retry, False),
        (429, Retry, True),
        (500, Retry, True),
    ],
)
def test_what_the_answer_says_decides_whatever_its_status(
    zalo: told.Zalo, table: dict[str, Any], status: int, code: int, outcome: type[Exception], everybody: bool
) -> None:
    body = {"ok": False, "error_code": code, "description": "said so"}
    zalo.answer, zalo.headers = (status if status == 200 else code, json.dumps(body).encode()), {"Retry-After": "30"}
    with pytest.raises(outcome, match=rf"^{code} said so$") as caught:
        open_channel(table).send(MESSAGE)
    assert getattr(caught.value, "everybody", False) is everybody
    assert getattr(caught.value, "after_s", 30.0) == 30.0


def test_a_wrong_token_is_found_by_the_check_and_stands_in_no_words(
    zalo: told.Zalo, table: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("99:wrong token", encoding="utf-8")
    with pytest.raises(Retry, match="401 Unauthorized"):
        open_channel(table).check()
    zalo.answer = 404, b"<h1>Not Found</h1>The requested URL /bot99:wrong%20token/getMe was not found"
    for call in (open_channel(table).check, lambda: open_channel(table).send(MESSAGE)):
        with pytest.raises(Retry) as caught:
            call()
        assert "was not found" in str(caught.value)
        assert "wrong" not in str(caught.value)


def test_a_page_that_is_no_json_is_no_answer(zalo: told.Zalo, table: dict[str, Any]) -> None:
    zalo.answer = 200, b"<html>Sign in to the hotel's network</html>"
    with pytest.raises(Retry, match="not what Zalo documents: 200 OK <html>") as caught:
        open_channel(table).send(MESSAGE)
    assert caught.value.everybody


def test_the_token_crosses_no_network_in_the_open(table: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="is not https://"):
        open_channel(table | {"url": "http://bot-api.example.org"})


def test_a_long_letter_is_cut_after_a_whole_line_and_says_so(zalo: told.Zalo, table: dict[str, Any]) -> None:
    lines = [f"{number}. cây ở Suối Giàng 🌲" for number in range(200)]
    letter = Message("ab12.2", 0, CHAT, "[gocche] 200", "\n".join(lines), link="https://gocche.example.vn/s/abc")
    open_channel(table).send(letter)
    ((_, text),) = zalo.got
    *kept, more, link = text.splitlines()
    assert kept == ["[gocche] 200", "", *lines][: len(kept)]
    assert (more, link) == (f"[… +{202 - len(kept)}]", letter.link)
    assert LONGEST - 40 < len(text.encode("utf-16-le")) // 2 <= LONGEST


@pytest.mark.parametrize("text", ["a" * 2_001, "🌲" * 1_001, "đ" * 5_000 + "\nb"])
def test_a_line_that_is_too_long_is_cut_between_two_characters(text: str) -> None:
    cut = fitted(text, "https://x.vn/s")
    assert len(cut.encode("utf-16-le")) // 2 <= LONGEST
    assert cut.endswith("…\nhttps://x.vn/s")
    assert text.startswith(cut.split("…")[0])
    assert len(cut) > 900
    assert fitted("a" * 2_000, "https://x.vn/s") == "a" * 2_000


class Ear:
    """Listens in a thread, as the alerts room does."""

    def __init__(self, channel: object, *, durable: bool = True) -> None:
        assert isinstance(channel, Listening)
        self.heard: list[Any] = []
        self.durable = durable
        self.tried: list[Any] = []
        self.stop = threading.Event()
        self.failed: list[Exception] = []
        self._thread = threading.Thread(target=self._run, args=(channel,), daemon=True)
        self._thread.start()

    def _run(self, channel: Listening) -> None:
        while not self.stop.is_set():
            try:
                channel.listen(self._hear, self.stop)
            except (Retry, OSError) as fault:
                self.failed.append(fault)
                self.stop.wait(0.02)

    def _hear(self, what: Any) -> None:
        self.tried.append(what)
        if not self.durable:
            raise OSError("the disk is full")
        self.heard.append(what)

    def end(self) -> None:
        self.stop.set()
        self._thread.join(5.0)
        assert not self._thread.is_alive()


@pytest.mark.parametrize("error_status", [200, 408])
def test_each_answer_is_heard_once_and_in_order(zalo: told.Zalo, table: dict[str, Any], error_status: int) -> None:
    zalo.error_status = error_status
    ear = Ear(open_channel(table))
    zalo.says_that("1  4711", "m1")
    zalo.says_that("ok", "m2", chat="group-1", chat_type="GROUP", sender=CHAT)
    zalo.says_that("I am a bot", "m3", is_bot=True)
    zalo.says_that("", "m4", caption="khói")
    until(lambda: len(ear.heard) == 3, 10.0, "heard")
    zalo.says_that("again", "m4")  # the same key: handed over a second time
    zalo.says_that("last", "m5")
    until(lambda: len(ear.heard) >= 4, 10.0, "heard")
    until(lambda: zalo.polls > 6, 10.0, "heard")  # and went on with no news in between
    ear.end()
    assert ear.heard == [
        Reply(CHAT, "1  4711", "m1"),
        Reply(CHAT, "ok", "m2"),
        Reply(CHAT, "khói", "m4"),
        Reply(CHAT, "last", "m5"),
    ]
    assert not ear.failed


def test_what_is_not_durable_yet_is_held_and_nothing_new_is_fetched(zalo: told.Zalo, table: dict[str, Any]) -> None:
    zalo.says_that("1 4711", "m1")
    ear = Ear(channel := open_channel(table), durable=False)
    until(lambda: len(ear.tried) >= 3, 10.0, "heard")
    polls = zalo.polls
    zalo.says_that("2 4711", "m2")
    until(lambda: len(ear.tried) >= 6, 10.0, "heard")
    assert zalo.polls == polls == 1
    ear.durable = True
    until(lambda: len(ear.heard) == 2, 10.0, "heard")
    ear.end()
    assert [one.key for one in ear.heard] == ["m1", "m2"]
    assert channel is not None


def test_a_fault_while_listening_is_told_and_ends(zalo: told.Zalo, table: dict[str, Any]) -> None:
    zalo.answer = 401, b'{"ok": false, "error_code": 401, "description": "Unauthorized"}'
    ear = Ear(open_channel(table))
    until(lambda: len(ear.failed) >= 2, 10.0, "heard")
    zalo.answer = 200, b'{"ok": true, "result": {"message": {"text": 5}}}'
    until(lambda: "not what Zalo documents" in str(ear.failed[-1]), 10.0, "heard")
    zalo.answer = None
    zalo.says_that("1 4711", "m1")
    until(lambda: bool(ear.heard), 10.0, "heard")
    ear.end()
    assert all(isinstance(fault, Retry) for fault in ear.failed)


def test_zalo_posts_what_people_say_where_a_secret_is_given(
    zalo: told.Zalo, table: dict[str, Any], tmp_path: Path
) -> None:
    channel = open_channel(table | {"secret_file": str(tmp_path / "secret")})
    assert isinstance(channel, Hooked)
    body = json.dumps(zalo.says_that("1 4711", "m1")).encode()
    shown = {"X-Bot-Api-Secret-Token": told.SECRET, "Content-Type": "application/json"}
    assert channel.posted(shown, body) == [Reply(CHAT, "1 4711", "m1")]
    assert channel.posted({"x-bot-api-secret-token": told.SECRET}, body)
    for wrong in ({}, {"X-Bot-Api-Secret-Token": told.SECRET + "x"}, {"X-Bot-Api-Secret-Token": "đoán"}):
        with pytest.raises(Refused) as caught:
            channel.posted(wrong, body)
        assert told.SECRET not in str(caught.value)
    for damaged in (b"", b"[]", b'{"ok": true, "result": {"message": 5}}', body[:-9], b"\xff"):
        with pytest.raises(ValueError, match="not what Zalo documents"):
            channel.posted(shown, damaged)
    assert channel.posted(shown, b'{"ok": true, "result": {"event_name": "user.followed"}}') == []
    ear = Ear(channel)
    ear.end()
    assert zalo.polls == 0, "the platform has either"
    with pytest.raises(Refused, match="secret_file is empty"):
        open_channel(table).posted(shown, body)  # type: ignore[attr-defined]


@pytest.mark.parametrize("posts", [False, True])
def test_who_asks_is_told_the_id_of_their_chat(
    zalo: told.Zalo, table: dict[str, Any], tmp_path: Path, posts: bool
) -> None:
    zalo.chats.add("new1")
    asked = zalo.says_that("@Bot Gốc Chè /ID ", "m1", chat="new1", sender="p1", chat_type="GROUP")
    if posts:
        channel = open_channel(table | {"secret_file": str(tmp_path / "secret")})
        assert isinstance(channel, Hooked)
        assert channel.posted({"X-Bot-Api-Secret-Token": told.SECRET}, json.dumps(asked).encode()) == []
        again = json.dumps(zalo.says_that("/id", "m2", chat="new1")).encode()  # a stranger who asks without end
        assert channel.posted({"X-Bot-Api-Secret-Token": told.SECRET}, again) == []
        until(lambda: bool(zalo.got), 10.0, "an answer")
    else:
        ear = Ear(open_channel(table))
        until(lambda: bool(zalo.got), 10.0, "an answer")
        ear.end()
        assert ear.heard == []
    assert zalo.asked.count(f"/bot{told.TOKEN}/sendMessage") == 1
    ((chat, text),) = zalo.got
    assert chat == "new1"
    assert "new1" in text
