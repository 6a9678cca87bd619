"""What every way to tell people promises, on each of them; the mail server is a real one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from cloud.alerts.channels import Channel, GiveUp, Message, Retry, channels, open_channel
from tests.rules.garden import START_MS, Post, free_port, mail_table, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TEXT = "Nghi có khói.\nỞ đâu: cây 7K3MQ2, Suối Giàng\n.một dòng bắt đầu bằng dấu chấm\n" + "dài " * 300 + "\n"
MESSAGE = Message(
    id="ab12.1.onset.1",
    at_ms=START_MS,
    to="lu@example.vn",
    subject="[gocche] NGHI CÓ KHÓI / Suspected smoke: cây 7K3MQ2, Suối Giàng",
    text=TEXT,
    line='alert event=onset place="cây 7K3MQ2, Suối Giàng"',
)


@pytest.fixture
def post() -> Post:
    return Post(free_port())


@pytest.fixture(params=channels())
def way(request: pytest.FixtureRequest, post: Post, caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    """Each channel with a function that counts what arrived on the other side."""
    caplog.set_level(logging.WARNING)
    tables: dict[str, dict[str, Any]] = {"email": mail_table(post.port), "console": {}}
    arrived: dict[str, Callable[[], int]] = {
        "email": lambda: len(post.mails),
        "console": lambda: sum(MESSAGE.line in record.getMessage() for record in caplog.records),
    }
    with serving(post):
        yield open_channel(request.param, tables[request.param]), arrived[request.param]


def test_send_returns_when_it_has_arrived(way: tuple[Channel, Callable[[], int]]) -> None:
    channel, arrived = way
    channel.send(MESSAGE)
    assert arrived() == 1


def test_send_may_be_repeated(way: tuple[Channel, Callable[[], int]]) -> None:
    channel, arrived = way
    channel.send(MESSAGE)
    channel.send(MESSAGE)
    assert arrived() == 2


@pytest.mark.parametrize("name", channels())
def test_unknown_keys_are_errors(name: str) -> None:
    with pytest.raises(ValueError, match="unknown field"):
        open_channel(name, mail_table(25) | {"hots": "x"} if name == "email" else {"hots": "x"})


def test_a_mail_arrives_word_for_word(post: Post) -> None:
    with serving(post):
        open_channel("email", mail_table(post.port)).send(MESSAGE)
    (to, mail) = post.mails[0]
    assert to == mail["To"] == MESSAGE.to
    assert mail["From"] == "gocche@example.vn"
    assert mail["Subject"] == MESSAGE.subject
    assert mail["Message-ID"] == "<ab12.1.onset.1@example.vn>"
    assert mail["Date"] == "Sun, 23 Nov 2025 12:20:00 +0700"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content().splitlines() == TEXT.splitlines()


@pytest.mark.parametrize(
    ("answer", "outcome", "everybody"),
    [
        ("550 no such user", GiveUp, False),
        ("450 busy", Retry, False),
        ("421 closing", Retry, True),
    ],
)
def test_the_servers_answer_decides(post: Post, answer: str, outcome: type[Exception], everybody: bool) -> None:
    post.refuse[MESSAGE.to] = answer
    with serving(post), pytest.raises(outcome, match=answer.split(" ", 1)[1]) as caught:
        open_channel("email", mail_table(post.port)).send(MESSAGE)
    assert getattr(caught.value, "everybody", False) is everybody


def test_a_server_out_of_reach_is_asked_again(post: Post) -> None:
    with pytest.raises(Retry) as caught:
        open_channel("email", mail_table(post.port)).send(MESSAGE)
    assert caught.value.everybody


def test_a_password_file_that_is_gone_is_asked_again(post: Post, tmp_path: Path) -> None:
    table = mail_table(post.port) | {"user": "u", "password_file": str(tmp_path / "gone")}
    with serving(post), pytest.raises(Retry, match="gone"):
        open_channel("email", table).send(MESSAGE)


def test_starttls_is_never_given_up_for_plain_text(post: Post) -> None:
    with serving(post), pytest.raises(Retry, match="STARTTLS"):
        open_channel("email", mail_table(post.port) | {"starttls": True}).send(MESSAGE)
    assert post.mails == []
