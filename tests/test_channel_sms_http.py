"""SMS by HTTP: the documented interface of a telephone's app (tests/told.py), and a provider's by a template."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from cloud.alerts.channels import GiveUp, Hooked, Message, Receipt, Refused, Reply, Retry, open_channel
from cloud.config import ConfigError
from tests import told
from tests.rules.garden import Hook

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHORT = "NGHI CO KHOI cay 7K3MQ2 Suoi Giang 21.62,104.59. Tra loi 4711 neu nhan"
MESSAGE = Message("a1b2c3d4e5f6.17", 0, "0912 345 678", "[gocche] NGHI CÓ KHÓI", "Nghi có khói.", "life", short=SHORT)


@pytest.fixture
def phone() -> Iterator[told.Phone]:
    with told.Phone() as server:
        yield server


@pytest.fixture
def table(phone: told.Phone, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "password").write_text(told.PASSWORD + "\n", encoding="utf-8")
    (tmp_path / "secret").write_text(told.SECRET + "\n", encoding="utf-8")
    return {
        "kind": "sms_http",
        "url": f"http://127.0.0.1:{phone.port}/messages",
        "user": told.USER,
        "password_file": str(tmp_path / "password"),
        "secret_file": str(tmp_path / "secret"),
        "deadline_s": 5.0,
    }


def test_the_phone_gets_the_short_words_once(phone: told.Phone, table: dict[str, Any]) -> None:
    channel = open_channel(table)
    for _ in range(3):  # its answers were lost, say
        channel.send(MESSAGE)
    assert phone.got == [
        {
            "id": "a1b2c3d4e5f6.17",
            "textMessage": {"text": SHORT},
            "phoneNumbers": ["+84912345678"],
            "priority": 100,
            "ttl": 3600,
            "withDeliveryReport": True,
        }
    ]


@pytest.mark.parametrize(
    ("answer", "outcome", "everybody"),
    [(400, GiveUp, False), (401, Retry, True), (429, Retry, True), (503, Retry, True), (301, Retry, True)],
)
def test_the_phones_answer_decides(
    phone: told.Phone, table: dict[str, Any], answer: int, outcome: type[Exception], everybody: bool
) -> None:
    phone.answer, phone.headers = (answer, b'{"message":"+84912345678: said so, p4ssw0rd"}'), {"Retry-After": "30"}
    with pytest.raises(outcome, match=rf"^{answer} .*said so, …") as caught:
        open_channel(table).send(MESSAGE)
    assert getattr(caught.value, "everybody", False) is everybody
    assert getattr(caught.value, "after_s", 30.0) == 30.0
    assert "84912345678" not in str(caught.value)


def test_another_machine_at_the_phones_address_is_no_phone(phone: told.Phone, table: dict[str, Any]) -> None:
    """A router's portal answers 200 to whatever is posted."""
    phone.answer = 200, b"<html>Welcome</html>"
    with pytest.raises(Retry, match="Welcome"):
        open_channel(table).send(MESSAGE)
    phone.answer = None
    open_channel(table).send(MESSAGE)
    assert len(phone.got) == 1


def test_a_wrong_password_is_found_by_the_check(table: dict[str, Any], tmp_path: Path) -> None:
    open_channel(table).check()
    (tmp_path / "password").write_text("wrong", encoding="utf-8")
    with pytest.raises(Retry, match="401"):
        open_channel(table).check()


def test_a_number_that_is_none_costs_only_itself(phone: told.Phone, table: dict[str, Any]) -> None:
    with pytest.raises(GiveUp, match="no telephone number") as caught:
        open_channel(table).send(Message("a.1", 0, "4711-CHAT", "s", "t"))
    assert "4711" not in str(caught.value)
    assert not phone.asked


def test_what_the_phone_posts_is_heard(phone: told.Phone, table: dict[str, Any]) -> None:
    channel = open_channel(table)
    assert isinstance(channel, Hooked)
    who = {"sender": "0912345678", "recipient": None, "phoneNumber": "0912345678", "simNumber": 1}
    assert channel.posted(*phone.posts("sms:received", {"messageId": "x", "message": "4711", **who})) == [
        Reply("+84912345678", "4711", "Ey6ECgOkVVFjz3CL48B8C")
    ]
    old = {"messageId": "x", "message": "4711 ", "phoneNumber": "+84912345678"}
    assert channel.posted(*phone.posts("sms:received", old, key="k2")) == [Reply("+84912345678", "4711 ", "k2")]
    brand = {"messageId": "x", "message": "Nap tien!", "sender": "VIETTEL"}
    assert channel.posted(*phone.posts("sms:received", brand, key="k3")) == [Reply("VIETTEL", "Nap tien!", "k3")]
    sent = {"messageId": MESSAGE.id, "recipient": "+84912345678", "sender": None}
    assert channel.posted(*phone.posts("sms:delivered", sent)) == [Receipt(MESSAGE.id, ok=True, words="")]
    failed = sent | {"reason": "RESULT_ERROR_NO_SERVICE"}
    assert channel.posted(*phone.posts("sms:failed", failed)) == [
        Receipt(MESSAGE.id, ok=False, words="RESULT_ERROR_NO_SERVICE")
    ]
    assert channel.posted(*phone.posts("system:ping", {"health": {}})) == []


def test_what_does_not_show_the_secret_is_refused(phone: told.Phone, table: dict[str, Any], tmp_path: Path) -> None:
    channel = open_channel(table)
    assert isinstance(channel, Hooked)
    headers, body = phone.posts("sms:received", {"message": "4711", "sender": "+84912345678"})
    for wrong in (
        {},
        headers | {"X-Timestamp": "1764220001"},
        headers | {"X-Signature": "đ"},
        {"X-Signature": headers["X-Signature"]},
    ):
        with pytest.raises(Refused, match="X-Signature is missing or wrong"):
            channel.posted(wrong, body)
    with pytest.raises(Refused):
        channel.posted(headers, body.replace(b"4711", b"4712"))
    with pytest.raises(Refused, match="without secret_file"):
        open_channel(table | {"secret_file": ""}).posted(headers, body)  # type: ignore[attr-defined]
    (tmp_path / "secret").unlink()
    with pytest.raises(Retry, match="secret"):
        channel.posted(headers, body)


@pytest.mark.parametrize("body", [b"[]", b"", b'{"event": "sms:received", "payload": []}', b"\xff\xfe"])
def test_what_is_damaged_is_said(table: dict[str, Any], body: bytes) -> None:
    mark = hmac.new(told.SECRET.encode(), body + b"1", hashlib.sha256).hexdigest()
    with pytest.raises(ValueError, match=r"missing|not the JSON"):
        open_channel(table).posted({"X-Signature": mark.upper(), "X-Timestamp": "1"}, body)  # type: ignore[attr-defined]


def test_a_provider_is_a_template(tmp_path: Path, table: dict[str, Any]) -> None:
    (tmp_path / "token").write_text("t0ken", encoding="utf-8")
    with Hook() as hook:
        mine = {"kind": "sms_http", "url": hook.url, "template": "provider", "token_file": str(tmp_path / "token")}
        channel = open_channel(mine | {"secret_file": table["secret_file"]})
        channel.send(MESSAGE)
        channel.check()
    ((headers, posted),) = hook.got
    assert headers["Authorization"] == "Bearer t0ken"
    assert posted == {"to": "+84912345678", "text": SHORT, "ref": MESSAGE.id}
    assert isinstance(channel, Hooked)
    shown = {"X-Secret": told.SECRET, "Content-Type": "application/json"}
    reply = {"type": "reply", "from": "0084 912 345 678", "text": "4711", "id": 99}
    assert channel.posted(shown, json.dumps(reply).encode()) == [Reply("+84912345678", "4711", "99")]
    report = {"type": "receipt", "status": "failed", "ref": MESSAGE.id, "reason": "absent subscriber"}
    assert channel.posted(shown, json.dumps(report).encode()) == [
        Receipt(MESSAGE.id, ok=False, words="absent subscriber")
    ]
    with pytest.raises(Refused):
        channel.posted(shown | {"X-Secret": "guess"}, json.dumps(reply).encode())


OWN = """
[send]
body = "form"
fields = { phone = "{digits}", content = "{short}", key = "{token}", requestid = "{id}", unicode = 0 }
header = "X-Api-Key"
scheme = ""
accepted = '"CodeResult":"100"'
[secret]
header = "X-Auth"
[reply]
when = {}
sender = "mobile"
text = "mo"
key = "moid"
"""


def test_a_providers_own_file_posts_forms_and_judges_words(tmp_path: Path, table: dict[str, Any]) -> None:
    (tmp_path / "token").write_text("t0ken", encoding="utf-8")
    (tmp_path / "mine.toml").write_text(OWN, encoding="utf-8")
    with told.Phone() as provider:
        mine = {"kind": "sms_http", "url": f"http://127.0.0.1:{provider.port}/", "token_file": str(tmp_path / "token")}
        channel = open_channel(mine | {"template": str(tmp_path / "mine.toml"), "secret_file": table["secret_file"]})
        provider.answer = 200, b'{"CodeResult":"100","SMSID":"x"}'
        channel.send(MESSAGE)
        provider.answer = 200, b'{"CodeResult":"103","ErrorMessage":"not enough balance, t0ken"}'
        with pytest.raises(Retry, match=r"balance, …"):
            channel.send(MESSAGE)
    assert isinstance(channel, Hooked)
    form = urlencode({"mobile": "84912345678", "mo": "4711 được", "moid": "7"}).encode()
    shown = {"x-auth": told.SECRET, "content-type": "application/x-www-form-urlencoded"}
    assert channel.posted(shown, form) == [Reply("+84912345678", "4711 được", "7")]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("pigeon", None, 'template: "pigeon" is no template of ours.*android-sms-gateway, provider'),
        ("/nowhere/x.toml", None, "is no template of ours, nor a file"),
        ("", "[send\n", "is not of a template's form"),
        ("", "[send]\nfields = {}\nhots = 1\n", "is not of a template's form.*hots"),
        ("", '[send]\nfields = { to = "{number}" }\n', "'number' cannot be filled in; there are: {id}"),
    ],
)
def test_a_template_that_cannot_work_is_refused_at_the_start(
    tmp_path: Path, table: dict[str, Any], name: str, text: str | None, words: str
) -> None:
    if text is not None:
        (tmp_path / "own.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        open_channel(table | {"template": name or str(tmp_path / "own.toml")})
