"""What a signed webhook shows, by the words of Standard Webhooks and the vector of its libraries; what it says."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from cloud.alerts.channels import Channel, Message, Retry, open_channel
from cloud.alerts.channels.webhook import key, signature
from tests import told
from tests.rules.garden import START_MS, HandClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRETS = tuple("whsec_" + b64encode(bytes([fill]) * 32).decode() for fill in (7, 9))
MESSAGE = Message(
    *("ab12.1", START_MS, "duty", "Nghi có khói", "Nghi có khói. Cây 7K3MQ2", "life", "NGHI CO KHOI"),
    *("https://gocche.example.vn/s/abc", True, 12, "suspected", "cây 7K3MQ2, Suối Giàng", 21.62, 104.59),
)


class Taker(told._Server):
    """Keeps what is posted to the byte."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[tuple[Any, bytes]] = []

    def take(self, asks: Any, body: bytes) -> tuple[int, bytes]:
        self.got.append((asks.headers, body))
        return 204, b""


@pytest.fixture
def taker() -> Iterator[Taker]:
    with Taker() as server:
        yield server


def channel(taker: Taker, secret: Path, **more: Any) -> Channel:
    url = f"http://127.0.0.1:{taker.port}/in"
    return open_channel({"kind": "webhook", "url": url, "secret_file": str(secret), "deadline_s": 5.0} | more)


def test_the_vector_of_the_reference_libraries() -> None:
    """As tests of standard-webhooks/standard-webhooks have it, in all of their languages."""
    keys = [key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    assert signature(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}') == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_each_try_is_signed_over_what_is_sent(taker: Taker, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(" ".join(SECRETS) + "\n", encoding="ascii")
    sender = channel(taker, tmp_path / "secret")
    for _ in range(2):
        sender.send(MESSAGE)
    ids = set()
    for headers, body in taker.got:
        ids.add(headers["webhook-id"])
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        wanted = [
            "v1," + b64encode(hmac.new(b64decode(one[6:]), signed, hashlib.sha256).digest()).decode() for one in SECRETS
        ]
        assert headers["webhook-signature"].split(" ") == wanted
        assert int(headers["webhook-timestamp"]) > 1_764_000_000
    assert ids == {"ab12-1"}, "the same over every try, and without what separates the signed parts"
    assert json.loads(taker.got[0][1]) == {
        "id": "ab12.1",
        "to": "duty",
        "level": "life",
        "subject": "Nghi có khói",
        "text": "Nghi có khói. Cây 7K3MQ2",
        "short": "NGHI CO KHOI",
        "link": "https://gocche.example.vn/s/abc",
        "exercise": True,
        "incident": 12,
        "stage": "suspected",
        "place": "cây 7K3MQ2, Suối Giàng",
        "lat": 21.62,
        "lon": 104.59,
        "at": "2025-11-23T12:20:00+07:00",
    }


@pytest.mark.parametrize("wrong", ["secret", "clock"])
def test_a_signature_that_is_refused_costs_no_letter(taker: Taker, tmp_path: Path, wrong: str) -> None:
    """A receiver as the examples of the libraries are: 400 to another secret, and to what is older than 5 minutes."""

    def judged(asks: Any, body: bytes) -> tuple[int, bytes]:
        said = asks.headers
        signed = f"{said['webhook-id']}.{said['webhook-timestamp']}.".encode() + body
        mark = "v1," + b64encode(hmac.new(b64decode(SECRETS[0][6:]), signed, hashlib.sha256).digest()).decode()
        fresh = abs(int(said["webhook-timestamp"]) - time.time()) < 300
        if said["webhook-signature"] != mark or not fresh:
            return 400, b"Message timestamp too old or no matching signature found"
        return take(asks, body)

    take, taker.take = taker.take, judged  # type: ignore[method-assign]
    (tmp_path / "secret").write_text(SECRETS[wrong == "secret"], encoding="ascii")
    sender = channel(taker, tmp_path / "secret")
    clock = sender._clock  # type: ignore[attr-defined]
    sender._clock = HandClock(0) if wrong == "clock" else clock  # type: ignore[attr-defined]
    with pytest.raises(Retry, match="clock of both") as caught:
        sender.send(MESSAGE)
    assert not caught.value.everybody
    (tmp_path / "secret").write_text(SECRETS[0], encoding="ascii")
    sender._clock = clock  # type: ignore[attr-defined]
    sender.send(MESSAGE)
    assert len(taker.got) == 1


def test_numbers_stay_numbers_where_they_stand_alone(taker: Taker, tmp_path: Path) -> None:
    fields = {"n": "{incident}", "at": ["{lat}", "{lon}"], "words": "{incident}: {place}", "drill": "{exercise}"}
    open_channel({"kind": "webhook", "url": f"http://127.0.0.1:{taker.port}/", "fields": fields}).send(MESSAGE)
    unplaced = msgspec.structs.replace(MESSAGE, lat=None, lon=None)
    for body in ("json", "form"):
        table = {"kind": "webhook", "url": f"http://127.0.0.1:{taker.port}/", "fields": {"lat": "{lat}"}, "body": body}
        open_channel(table).send(unplaced)
    assert [body for _, body in taker.got][1:] == [b'{"lat": null}', b"lat="]
    assert json.loads(taker.got[0][1]) == {
        "n": 12,
        "at": [21.62, 104.59],
        "words": "12: cây 7K3MQ2, Suối Giàng",
        "drill": True,
    }


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a secret begins with whsec_"),
        ("whsec_MfKQ9r8G", "24 to 64 bytes, this one 6"),
        ("whsec_đường", "stands no Base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "stands no Base64"),
    ],
)
@pytest.mark.parametrize("call", ["send", "check"])
def test_a_secret_that_is_none_sends_nothing(taker: Taker, tmp_path: Path, secret: str, words: str, call: str) -> None:
    (tmp_path / "secret").write_text(secret, encoding="utf-8")
    sender = channel(taker, tmp_path / "secret")
    with pytest.raises(Retry, match=words) as caught:
        sender.send(MESSAGE) if call == "send" else sender.check()
    assert caught.value.everybody
    assert secret not in str(caught.value)
    assert not taker.got
