"""What every way to tell people promises, on each of them; the servers are real ones, and so are those that are not."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
import pytest

from cloud.alerts.channels import Channel, GiveUp, Message, Retry, channels, open_channel, open_channels
from cloud.alerts.tell import deadline
from cloud.config import ConfigError
from tests import told
from tests.modem import TestModem, bridged
from tests.rules.garden import START_MS, Hook, Post, mail_table, serving
from tests.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TEXT = "Nghi có khói.\nỞ đâu: cây 7K3MQ2, Suối Giàng\n.một dòng bắt đầu bằng dấu chấm\n" + "dài " * 300 + "\n"
MESSAGE = Message(
    id="ab12.1",
    at_ms=START_MS,
    to="lu@example.vn",
    subject="[gocche] NGHI CÓ KHÓI / Suspected smoke: cây 7K3MQ2, Suối Giàng",
    text=TEXT,
    level="life",
)
DEADLINE_S = 0.6
PATIENCE_S = 20.0  # where the peer is well: a child process takes seconds to begin on a busy machine
CHAT, NUMBER = "e4ea2cd5189df1c3a88c", "0912 345 678"
TO = {"zalo": CHAT, "sms_http": NUMBER, "sms_modem": "+84912345678"}  # else the address of a mail
FOLDER = tempfile.TemporaryDirectory(prefix="gocche-channels-")


def file(name: str, text: str) -> str:
    """Return the name of a file that holds this."""
    path = Path(FOLDER.name, name)
    path.write_text(text + "\n", encoding="utf-8")
    return str(path)


def need_extra(kind: str) -> None:
    """Skip what needs an extra that is not here."""
    if kind == "apprise" and importlib.util.find_spec("apprise") is None:
        pytest.skip("apprise absent: make check installs it, or pip install -r requirements/dev.lock")


def message(kind: str) -> Message:
    return msgspec.structs.replace(MESSAGE, to=TO.get(kind, MESSAGE.to))


def table_to(kind: str, port: int, *, tls: bool = False) -> dict[str, Any]:
    tables: dict[str, dict[str, Any]] = {
        "apprise": {
            "kind": "apprise",
            "url_file": file(f"url-{port}-{tls}", f"json{'s' * tls}://127.0.0.1:{port}/{{to}}"),
        },
        "email": mail_table(port) | {"starttls": tls},
        "sms_http": {
            "kind": "sms_http",
            "url": f"http{'s' * tls}://127.0.0.1:{port}/messages",
            "user": told.USER,
            "password_file": file("password", told.PASSWORD),
        },
        "sms_modem": {"kind": "sms_modem"},
        "webhook": {"kind": "webhook", "url": f"http{'s' * tls}://127.0.0.1:{port}/send"},
        "zalo": {
            "kind": "zalo",
            "url": f"http{'s' * tls}://127.0.0.1:{port}",
            "token_file": file("token", told.TOKEN),
        },
    }
    serial = {"port": bridged(port)} if kind == "sms_modem" else {}
    return tables[kind] | serial | {"deadline_s": DEADLINE_S}


PEERS = [kind for kind in channels() if kind != "console"]  # the log of this machine has no other side


@pytest.fixture
def post() -> Post:
    return Post(free_port())


@pytest.fixture
def zalo() -> Iterator[told.Zalo]:
    with told.Zalo() as server:
        yield server


@pytest.fixture
def phone() -> Iterator[told.Phone]:
    with told.Phone() as server:
        yield server


def mailer(post: Post, **more: Any) -> Channel:
    return open_channel(mail_table(post.port) | more)


def poster(hook: Hook, **more: Any) -> Channel:
    return open_channel({"kind": "webhook", "url": hook.url, "deadline_s": PATIENCE_S} | more)


@pytest.fixture(params=PEERS)
def way(
    request: pytest.FixtureRequest, post: Post, hook: Hook, zalo: told.Zalo, phone: told.Phone, tmp_path: Path
) -> Iterator[tuple[Channel, Message, Callable[[], int]]]:
    """Each channel with a message for it, and a function that counts what arrived on the other side."""
    kind = request.param
    need_extra(kind)
    if kind == "sms_modem":
        with TestModem(tmp_path) as modem:
            yield open_channel({"kind": kind, "port": str(modem.port)}), message(kind), lambda: len(modem.sent)
        return
    ends: dict[str, tuple[int, Callable[[], int]]] = {
        "apprise": (urlsplit(hook.url).port or 0, lambda: len(hook.got)),
        "email": (post.port, lambda: len(post.mails)),
        "sms_http": (phone.port, lambda: len(phone.got)),
        "webhook": (urlsplit(hook.url).port or 0, lambda: len(hook.got)),
        "zalo": (zalo.port, lambda: len(zalo.got)),
    }
    port, arrived = ends[kind]
    with serving(post):
        yield open_channel(table_to(kind, port) | {"deadline_s": PATIENCE_S}), message(kind), arrived


def test_send_returns_when_it_has_arrived(way: tuple[Channel, Message, Callable[[], int]]) -> None:
    channel, message, arrived = way
    channel.send(message)
    assert arrived() == 1


def test_send_may_be_repeated(way: tuple[Channel, Message, Callable[[], int]]) -> None:
    """Whoever knows the message again by its id is told once."""
    channel, message, arrived = way
    channel.send(message)
    channel.send(message)
    assert arrived() == (1 if message.to == NUMBER else 2)


def test_a_check_finds_it_well_and_tells_nobody(way: tuple[Channel, Message, Callable[[], int]]) -> None:
    channel, _, arrived = way
    channel.check()
    assert arrived() == 0


@pytest.mark.parametrize("kind", PEERS)
def test_unknown_keys_are_errors(kind: str) -> None:
    need_extra(kind)
    with pytest.raises(ConfigError, match=rf"\[\[channel\]\] 1 \({kind}\) hots: unknown key; "):
        open_channels([table_to(kind, 25) | {"hots": "x"}])


@pytest.mark.parametrize("call", ["send", "check"])
@pytest.mark.parametrize("kind", PEERS)
def test_nobody_there_is_asked_again(kind: str, call: str) -> None:
    need_extra(kind)
    if (kind, call) == ("apprise", "check"):
        return  # it has no question that tells nobody: the address alone is looked at
    with pytest.raises(Retry) as caught:
        ask(open_channel(table_to(kind, free_port())), call, message(kind))
    assert caught.value.everybody


def ask(channel: Channel, call: str, message: Message = MESSAGE) -> None:
    channel.send(message) if call == "send" else channel.check()


def dribble(peer: socket.socket) -> None:
    """Say one byte now and again, for ever; each is in time for whoever waits for the next one only."""
    with contextlib.suppress(OSError), peer:
        while True:
            peer.sendall(b"2")
            time.sleep(0.1)


def dribble_tls(peer: socket.socket) -> None:
    """Begin a record of TLS that never ends."""
    with contextlib.suppress(OSError), peer:
        peer.sendall(b"\x16\x03\x03\x40\x00")
        dribble(peer)


def dribble_starttls(peer: socket.socket) -> None:
    """The same after STARTTLS."""
    with contextlib.suppress(OSError), peer:
        for line in (b"220 hello\r\n", b"250-me\r\n250 STARTTLS\r\n", b"220 go on\r\n"):
            peer.sendall(line)
            peer.recv(1_000)
        dribble_tls(peer)


TLS = {"email": dribble_starttls}  # else TLS from the first byte


def endless(peer: socket.socket) -> None:
    """Begin an answer that has no end."""
    with contextlib.suppress(OSError), peer:
        while True:
            peer.sendall(b"220-and\r\n" * 1_000)


def dumb(peer: socket.socket) -> None:
    """Say nothing at all."""
    with contextlib.suppress(OSError), peer:
        while peer.recv(1_000):
            pass


@contextlib.contextmanager
def strange(behaviour: Callable[[socket.socket], None]) -> Iterator[int]:
    server = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = server.accept()
                threading.Thread(target=behaviour, args=(peer,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server.getsockname()[1]
    finally:
        server.close()


def hang_up(peer: socket.socket) -> None:
    """Hear what is asked, where somebody asks before we have spoken, and close."""
    with contextlib.suppress(OSError), peer:
        peer.settimeout(0.5)
        peer.recv(1_000)


def half(peer: socket.socket) -> None:
    """Close in the middle of an answer that promises more."""
    with contextlib.suppress(OSError), peer:
        peer.recv(65_536)
        peer.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{"ok": tr')


def huge(peer: socket.socket) -> None:
    """Answer 200, and a page without end."""
    with contextlib.suppress(OSError), peer:
        peer.recv(65_536)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
        while True:
            peer.sendall(b"<p>Welcome to the free network of this hotel</p>" * 100)


def elsewhere(peer: socket.socket) -> None:
    """Send us away, to a host that nobody has named in cloud.toml."""
    with contextlib.suppress(OSError), peer:
        peer.recv(65_536)
        peer.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/login\r\nContent-Length: 0\r\n\r\n")


NETWORKED = [kind for kind in PEERS if kind != "sms_modem"]
HTTP = [kind for kind in NETWORKED if kind != "email"]


@pytest.mark.parametrize("kind", PEERS)
def test_a_peer_that_hangs_up_is_asked_again(kind: str) -> None:
    need_extra(kind)
    with strange(hang_up) as port, pytest.raises(Retry) as caught:
        open_channel(table_to(kind, port) | {"deadline_s": PATIENCE_S}).send(message(kind))
    assert caught.value.everybody


@pytest.mark.parametrize("kind", HTTP)
def test_a_redirection_is_followed_nowhere(kind: str) -> None:
    need_extra(kind)
    with strange(elsewhere) as port, pytest.raises(Retry, match=r"302|onnection") as caught:
        open_channel(table_to(kind, port) | {"deadline_s": PATIENCE_S}).send(message(kind))
    assert caught.value.everybody


@pytest.mark.parametrize("behaviour", [half, huge])
def test_a_page_in_place_of_an_answer_of_zalo_is_no_yes(behaviour: Callable[[socket.socket], None]) -> None:
    """As a hotel's network answers everybody; where an answer's words do not count, 200 is all there is to judge."""
    with strange(behaviour) as port, pytest.raises(Retry) as caught:
        open_channel(table_to("zalo", port)).send(message("zalo"))
    assert caught.value.everybody


@pytest.mark.parametrize("kind", ["webhook", "sms_http"])
def test_of_a_huge_answer_little_is_read(kind: str) -> None:
    channel = open_channel(table_to(kind, 1) | {"deadline_s": 20.0})
    with strange(huge) as port:
        channel = open_channel(table_to(kind, port) | {"deadline_s": 20.0})
        began = time.monotonic()
        with pytest.raises(Retry, match="Welcome") if kind == "sms_http" else contextlib.nullcontext():
            channel.send(message(kind))
        assert time.monotonic() - began < 10.0


@pytest.mark.parametrize("behaviour", [dribble, dumb, None], ids=["dribble", "dumb", "tls"])
@pytest.mark.parametrize("call", ["send", "check"])
@pytest.mark.parametrize("kind", PEERS)
def test_no_peer_holds_it_longer_than_its_deadline(
    kind: str, call: str, behaviour: Callable[[socket.socket], None] | None
) -> None:
    need_extra(kind)
    if (kind, call) == ("apprise", "check"):
        return  # asks no peer
    began = time.monotonic()
    does = behaviour or TLS.get(kind, dribble_tls)
    with strange(does) as port, pytest.raises(Retry, match=r"within 0\.6 s") as caught:
        ask(open_channel(table_to(kind, port, tls=behaviour is None)), call, message(kind))
    assert caught.value.everybody
    assert time.monotonic() - began < DEADLINE_S + 1.0


def test_a_server_that_never_ends_its_answer_fills_no_memory() -> None:
    with strange(endless) as port, pytest.raises(Retry, match="more than 65536 bytes") as caught:
        open_channel(table_to("email", port) | {"deadline_s": 20.0}).send(MESSAGE)
    assert caught.value.everybody


# the one has no choice of addresses, the other none at all
@pytest.mark.parametrize("kind", [kind for kind in NETWORKED if kind != "apprise"])
def test_an_address_that_leads_nowhere_leaves_time_for_the_next(
    kind: str, post: Post, hook: Hook, zalo: told.Zalo, phone: told.Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As IPv6 on a machine where it does not work: the first address answers nothing at all."""
    where = {
        "email": post.port,
        "sms_http": phone.port,
        "webhook": urlsplit(hook.url).port or 0,
        "zalo": zalo.port,
    }
    real = socket.getaddrinfo("127.0.0.1", where[kind], type=socket.SOCK_STREAM)
    with serving(post), nowhere() as port:
        lost = socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM)
        channel = open_channel(table_to(kind, where[kind]) | {"deadline_s": 2.0})
        monkeypatch.setattr(deadline.socket, "getaddrinfo", lambda *_, **__: [*lost, *real])
        began = time.monotonic()
        channel.send(message(kind))
        assert time.monotonic() - began < 2.0


@contextlib.contextmanager
def nowhere() -> Iterator[int]:
    """Give a port that answers no connection: its queue is full."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(3):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def test_tables_of_one_name_or_of_no_kind_are_refused() -> None:
    with pytest.raises(ConfigError, match=r'\[\[channel\]\] 2 \(email\) name: "email" is taken'):
        open_channels([mail_table(25), mail_table(26)])
    with pytest.raises(
        ConfigError, match=r'\[\[channel\]\] 1 kind: "pager" is no kind; there are: apprise, console, email, '
    ):
        open_channels([{"kind": "pager"}])
    assert [one.name for one in open_channels([mail_table(25), mail_table(26) | {"name": "spare"}])] == [
        "email",
        "spare",
    ]


def test_a_mail_arrives_word_for_word(post: Post) -> None:
    with serving(post):
        mailer(post).send(MESSAGE)
    (to, mail) = post.mails[0]
    assert to == mail["To"] == MESSAGE.to
    assert mail["From"] == "gocche@example.vn"
    assert mail["Subject"] == MESSAGE.subject
    assert mail["Message-ID"] == "<ab12.1@example.vn>"
    assert mail["Date"] == "Sun, 23 Nov 2025 12:20:00 +0700"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Importance"] == "high"
    assert mail.get_content().splitlines() == TEXT.splitlines()


def test_the_link_of_a_mail_arrives_whole_as_plain_text_and_is_the_only_one(post: Post) -> None:
    """What scanners and readers open is what was signed; there is no second form of the letter in which it differs."""
    link = "https://staff.gocche.example.vn/duty/letter/" + "aZ09-_" * 30
    with serving(post):
        mailer(post).send(msgspec.structs.replace(MESSAGE, text=f"Nghi có khói.\n{link}\nGọi 114.\n", link=link))
    ((_, mail),) = post.mails
    assert mail.get_content_type() == "text/plain"
    assert [line for line in mail.get_content().splitlines() if "://" in line] == [link]
    assert not [name for name in mail if name.lower() in ("list-unsubscribe", "disposition-notification-to")]


@pytest.mark.parametrize(
    ("answer", "outcome", "everybody"),
    [
        ("550 5.1.1 no such user", GiveUp, False),
        ("450 busy", Retry, False),
        ("452 4.2.2 mailbox full", Retry, False),
        ("552 5.2.2 mailbox full", Retry, False),
        ("554 5.2.2 mailbox full", Retry, False),
        ("550 5.4.5 daily sending limit exceeded", Retry, False),
        ("421 closing", Retry, True),
        ("530 5.7.0 must log in first", Retry, True),
        ("535 5.7.8 credentials invalid", Retry, True),
        ("500 what do you say", Retry, False),
        ("222 222222", Retry, False),
        ("hmm, nonsense", Retry, False),
    ],
)
def test_the_servers_answer_decides(post: Post, answer: str, outcome: type[Exception], everybody: bool) -> None:
    post.refuse[MESSAGE.to] = answer
    with serving(post), pytest.raises(outcome, match=answer.split(" ", 1)[1]) as caught:
        mailer(post).send(MESSAGE)
    assert getattr(caught.value, "everybody", False) is everybody
    assert MESSAGE.to not in str(caught.value), "addresses are not for the log"


def test_an_address_that_no_server_understands_costs_only_itself(post: Post) -> None:
    with serving(post), pytest.raises(Retry, match="too long") as caught:
        mailer(post).send(msgspec.structs.replace(MESSAGE, to=f"lu@{'b' * 600}.vn"))
    assert not caught.value.everybody


@pytest.mark.parametrize("call", ["send", "check"])
def test_a_password_file_that_is_gone_is_asked_again(post: Post, tmp_path: Path, call: str) -> None:
    channel = mailer(post, user="u", password_file=str(tmp_path / "gone"))
    with serving(post), pytest.raises(Retry, match="gone"):
        ask(channel, call)


@pytest.mark.parametrize("call", ["send", "check"])
def test_starttls_is_never_given_up_for_plain_text(post: Post, call: str) -> None:
    with serving(post), pytest.raises(Retry, match="STARTTLS"):
        ask(mailer(post, starttls=True), call)
    assert post.mails == []


def test_a_user_without_a_password_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigError, match="password_file: is missing while user is given"):
        open_channel(mail_table(25) | {"user": "u"})


def test_a_hook_gets_the_fields_that_it_wants(hook: Hook, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n", encoding="utf-8")
    fields = {"phone": "{to}", "message": "{subject} ({level})", "kind": "sms"}
    poster(hook, fields=fields, token_file=str(tmp_path / "token")).send(MESSAGE)
    poster(hook, fields=fields, body="form", token_file=str(tmp_path / "token"), header="X-Key", scheme="").send(
        MESSAGE
    )
    expected = {"phone": MESSAGE.to, "message": f"{MESSAGE.subject} (life)", "kind": "sms"}
    (first, posted), (second, form) = hook.got
    assert posted == form == expected
    assert (first["Authorization"], second["X-Key"]) == ("Bearer s3cret", "s3cret")
    assert hook.url not in first


@pytest.mark.parametrize(
    ("answer", "outcome", "everybody"),
    [(400, GiveUp, False), (422, GiveUp, False), (429, Retry, True), (500, Retry, True), (401, Retry, True)],
)
def test_the_hooks_answer_decides(hook: Hook, answer: int, outcome: type[Exception], everybody: bool) -> None:
    hook.answer, hook.headers = answer, {"Retry-After": "30"}
    with pytest.raises(outcome, match=rf"^{answer} .* said so") as caught:
        poster(hook).send(MESSAGE)
    assert getattr(caught.value, "everybody", False) is everybody
    assert getattr(caught.value, "after_s", 30.0) == 30.0


def test_an_answer_of_200_may_still_mean_no(hook: Hook) -> None:
    poster(hook, accepted="said so").send(MESSAGE)
    with pytest.raises(Retry, match=r"^200 OK said so"):
        poster(hook, accepted="OK").send(MESSAGE)


def test_a_token_that_is_refused_is_found_by_the_check(hook: Hook) -> None:
    hook.answer = 401
    with pytest.raises(Retry, match="401"):
        poster(hook).check()


def test_who_does_not_know_head_is_well(hook: Hook) -> None:
    """405 of most, 501 of a telephone that sends SMS: posting may well work."""
    for hook.answer in (200, 501):
        poster(hook).check()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"url": "sms.example.org/send"}, "does not begin with http"),
        ({"fields": {"phone": "{number}"}}, "'number' cannot be filled in; there are: {id}, {to}"),
        ({"fields": {"phone": "{to"}}, "cannot be filled in"),
    ],
)
def test_a_hook_that_cannot_work_is_refused_at_the_start(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_channel({"kind": "webhook", "url": "http://127.0.0.1:1/"} | keys)
