"""The extra apprise, by its own `json://` against a real HTTP server; what it says, and what it does not wait for."""

from __future__ import annotations

import importlib.util
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from cloud.alerts.channels import GiveUp, Message, Retry, apprise, open_channel
from cloud.config import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rules.garden import Hook

MESSAGE = Message("ab12.1", 0, "lu 1/x", "[gocche] NGHI CÓ KHÓI", "Nghi có khói.\nỞ đâu: <b>cây</b> 7K3MQ2", "life")
absent = pytest.mark.skipif(
    importlib.util.find_spec("apprise") is None, reason="apprise absent: pip install -r requirements/dev.lock"
)


def table(folder: Path, url: str, **more: Any) -> dict[str, Any]:
    (folder / "url").write_text(url + "\n", encoding="utf-8")
    return {"kind": "apprise", "url_file": str(folder / "url"), "deadline_s": 10.0} | more


def here(hook: Hook) -> str:
    return f"json://127.0.0.1:{urlsplit(hook.url).port}/{{to}}"


@absent
def test_each_receiver_is_a_call_and_none_waits_for_the_other(hook: Hook, tmp_path: Path) -> None:
    channel = open_channel(table(tmp_path, here(hook)))
    channel.send(MESSAGE)
    began = time.monotonic()
    channel.send(MESSAGE)
    assert time.monotonic() - began < 5.0, "apprise would wait 5.5 s between two of one object"
    (_, posted), _ = hook.got
    assert {key: posted[key] for key in ("title", "message", "type")} == {
        "title": MESSAGE.subject,
        "message": MESSAGE.text,
        "type": "failure",
    }


@absent
@pytest.mark.journey
def test_an_answer_after_six_seconds_is_still_a_yes(hook: Hook, tmp_path: Path) -> None:
    """Left alone, apprise would give up after 4 s, and the same letter would come again."""
    hook.waits.clear()
    threading.Timer(6.0, hook.waits.set).start()
    open_channel(table(tmp_path, here(hook), deadline_s=20.0)).send(MESSAGE)
    assert len(hook.got) == 1


@absent
@pytest.mark.parametrize(
    ("answer", "outcome", "everybody"),
    [(400, GiveUp, False), (401, Retry, True), (404, Retry, False), (429, Retry, True), (503, Retry, True)],
)
def test_its_words_decide(hook: Hook, tmp_path: Path, answer: int, outcome: type[Exception], everybody: bool) -> None:
    hook.answer = answer
    with pytest.raises(outcome, match=f"^FAILURE .*error={answer}") as caught:
        open_channel(table(tmp_path, here(hook))).send(MESSAGE)
    assert getattr(caught.value, "everybody", False) is everybody


@absent
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("pigeon-s3cretloft", "UNFIT Unsupported URL"),
        ("zalo://12:s3cret_abcdef/one/two", "names 2 receivers and not one"),
    ],
)
def test_an_address_that_is_none_is_found_by_the_check(tmp_path: Path, url: str, words: str) -> None:
    for call in (lambda one: one.check(), lambda one: one.send(MESSAGE)):
        with pytest.raises(Retry, match=words) as caught:
            call(open_channel(table(tmp_path, url)))
        assert caught.value.everybody
        assert "s3cret" not in str(caught.value)


def test_without_the_extra_the_way_to_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apprise, "EXTRA", "apprise_that_nobody_has")
    with pytest.raises(ConfigError, match=r"is an extra that is not installed.*requirements/apprise\S*\.lock"):
        open_channel(table(tmp_path, "json://x/y"))
