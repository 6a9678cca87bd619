"""Accounts of the broker, and a real Mosquitto that has what is written of them: who gets in, who writes, who hears."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import paho.mqtt.client as mqtt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.access import NotInvited, book, mosquitto
from cloud.access.book import Book, Known
from cloud.access.fleet import Fleet, team_called
from cloud.access.invitation import invitation
from cloud.config import ConfigError, Coverage, load
from cloud.registry.kinds import Team
from cloud.registry.live import found
from gocche.__main__ import main
from tests import servers
from tests.conftest import need
from tests.rules.garden import HandClock
from tests.test_docs import Guarded
from tests.visitors import GARDEN
from wire import topics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.access.book import Secret

NOW_MS = 1_795_000_000_000
LATER_MS = NOW_MS + 90 * book.DAY_MS
WAY = Coverage(phone_host="mqtt.example.org")
BOUND_S = 10.0


def invited(path: Path, team: str = "hang-tay", count: int = 1, until_ms: int = LATER_MS) -> list[Secret]:
    with Book(path) as accounts:
        return accounts.invite(team, count, until_ms=until_ms, who="test", now_ms=NOW_MS, taken=lambda _: False)


# --- the book


def test_a_password_is_kept_as_a_hash_alone_and_printed_by_no_accident(tmp_path: Path) -> None:
    made = invited(tmp_path / book.NAME, count=3)
    assert len({one.password for one in made}) == 3
    held = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for one in made:
        assert len(one.password) >= 20
        assert one.password.encode() not in held
        assert one.password not in f"{one} {one!r} {invitation(one, 'Đội', WAY)!r}"
    assert (tmp_path / book.NAME).stat().st_mode & 0o077 == 0


def test_a_name_is_never_given_twice_and_never_a_gateways(tmp_path: Path) -> None:
    path = tmp_path / book.NAME
    assert [one.account.user for one in invited(path, count=2)] == ["doi-hang-tay-1", "doi-hang-tay-2"]
    with Book(path) as accounts:
        assert accounts.revoke(["doi-hang-tay-2", "nobody"], who="test", now_ms=NOW_MS) == ["doi-hang-tay-2"]
        assert accounts.revoke(["doi-hang-tay-2"], who="again", now_ms=NOW_MS + 1) == []
        how: dict[str, Any] = {"until_ms": LATER_MS, "who": "test", "now_ms": NOW_MS}
        made = accounts.invite("hang-tay", 1, **how, taken={"doi-hang-tay-3"}.__contains__)
    assert made[0].account.user == "doi-hang-tay-4"
    kept = {one.user: one for one in book.accounts(path)}
    assert (kept["doi-hang-tay-2"].revoked_ms, kept["doi-hang-tay-2"].revoked_by) == (NOW_MS, "test")


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40), st.integers(1, 10**6))
def test_whatever_a_team_is_called_its_account_is_one_level_of_a_topic(team: str, number: int) -> None:
    try:
        user = book.named(team, number)
    except ValueError:
        return
    assert re.fullmatch(r"doi-[a-z0-9-]{1,28}", user)
    assert topics.parse_phone(topics.phone(user, "nr_message")) == (user, "nr_message")
    (line,) = mosquitto.passwords([account(user)]).splitlines()
    assert line.split(":")[0] == user
    rights = mosquitto.rights([account(user)])
    assert f"user {user}\ntopic deny gocche/#\n" in rights
    assert all(line.startswith(("#", "user ", "topic ", "pattern ")) for line in rights.splitlines() if line)


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(st.text("ab1-+#/$%.", max_size=6), max_size=6).map("/".join)))
def test_whatever_a_topic_is_it_is_a_telephones_or_a_stranger(topic: str) -> None:
    for said in (topic, f"{topics.SURVEY}/{topic}", f"{topics.SURVEY}/{topic}/nr_message"):
        try:
            user, stream = topics.parse_phone(said)
        except ValueError:
            continue
        assert re.fullmatch(r"[a-z0-9-]{3,32}", user)
        assert topics.phone(user, stream) == said


def account(user: str) -> book.Account:
    return book.Account(user, "team", "t", "$7$101$c2FsdA==$aGFzaA==", NOW_MS, "test", LATER_MS)


def test_revoked_or_over_is_refused_with_the_very_next_message(tmp_path: Path) -> None:
    path = tmp_path / book.NAME
    known = Known(path)
    assert known.team_of("doi-hang-tay-1", NOW_MS) is None
    invited(path, count=2)
    assert known.team_of("doi-hang-tay-1", NOW_MS) == "hang-tay"
    assert known.team_of("doi-hang-tay-1", LATER_MS) is None
    assert known.team_of("doi-hang-tay-9", NOW_MS) is None
    with Book(path) as accounts:
        accounts.revoke(["doi-hang-tay-1"], who="test", now_ms=NOW_MS)
        assert known.team_of("doi-hang-tay-1", NOW_MS) is None
    assert known.team_of("doi-hang-tay-2", NOW_MS) == "hang-tay"
    assert (known.why, book.team_of(path, "doi-hang-tay-2", NOW_MS)) == ("", "hang-tay")
    known.close()


def test_accounts_that_cannot_be_read_are_those_of_before_and_the_room_says_so(tmp_path: Path) -> None:
    path = tmp_path / book.NAME
    invited(path)
    known = Known(path)
    assert known.team_of("doi-hang-tay-1", NOW_MS) == "hang-tay"
    known.close()
    for file in tmp_path.glob(f"{book.NAME}*"):
        file.write_bytes(b"no database at all, but long enough to look like one" * 100)
    assert known.team_of("doi-hang-tay-1", NOW_MS) == "hang-tay"
    assert known.why.startswith("access.db: ")
    with pytest.raises(sqlite3.DatabaseError):
        book.accounts(path)


def test_a_book_that_was_begun_anew_or_put_back_is_heard_at_once(tmp_path: Path) -> None:
    """As docs/operate.md advises where it is damaged: until then the room went on by the file that is no more."""
    path = tmp_path / book.NAME
    invited(path, count=2)
    known = Known(path)
    assert known.team_of("doi-hang-tay-2", NOW_MS) == "hang-tay"
    path.unlink()
    assert known.team_of("doi-hang-tay-2", NOW_MS) == "hang-tay", "those of before"
    assert "not there" in known.why
    invited(path)
    assert (known.team_of("doi-hang-tay-2", NOW_MS), known.why) == (None, "")
    assert known.team_of("doi-hang-tay-1", NOW_MS) == "hang-tay"
    known.close()


def test_a_book_that_is_being_made_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / book.NAME
    path.touch()
    known = Known(path)
    assert (known.team_of("doi-hang-tay-1", NOW_MS), known.why) == (None, "")
    invited(path)
    assert (known.team_of("doi-hang-tay-1", NOW_MS), known.why) == ("hang-tay", "")
    known.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 9")
    assert known.team_of("doi-hang-tay-1", NOW_MS) == "hang-tay", "those of before"
    assert "9" in known.why


def test_a_rotten_row_is_damage_and_not_an_account(tmp_path: Path) -> None:
    path = tmp_path / book.NAME
    invited(path)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE account SET kind = 'everybody'")
    with pytest.raises(sqlite3.DatabaseError, match="account"):
        book.accounts(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_the_server_goes_on_writing_after_a_command_of_roots(request: pytest.FixtureRequest) -> None:
    """`sudo gocche coverage invite` while the server runs as somebody else, in a folder that is its own."""
    folder = Path(tempfile.mkdtemp(prefix="gocche-access-"))  # what pytest gives, only root may pass through
    request.addfinalizer(lambda: shutil.rmtree(folder))
    os.chown(folder, 12_345, 12_345)

    def as_the_server() -> int:
        child = os.fork()
        if not child:
            try:
                os.setgid(12_345)
                os.setuid(12_345)
                invited(folder / book.NAME)
                os._exit(0)
            except BaseException:
                os._exit(1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert as_the_server() == 0
    (folder / book.CHANGED).unlink()
    assert book.accounts(folder / book.NAME), "root reads it"
    invited(folder / book.NAME)
    assert as_the_server() == 0
    assert len(book.accounts(folder / book.NAME)) == 3


def test_who_cannot_be_told_of_has_no_account(tmp_path: Path) -> None:
    (tmp_path / book.CHANGED).mkdir()
    with pytest.raises(OSError, match="changed"):
        invited(tmp_path / book.NAME)
    assert book.accounts(tmp_path / book.NAME) == []


# --- what is written


def test_files_are_written_whole_and_for_the_brokers_group_alone(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        files = mosquitto.write(tmp_path, [one.account for one in invited(tmp_path / book.NAME)])
    finally:
        os.umask(before)
    assert [file.stat().st_mode & 0o777 for file in files] == [0o640, 0o640]
    one = files[1].open(encoding="utf-8")
    mosquitto.write(tmp_path, [])
    assert "doi-hang-tay-1" in one.read(), "who has it open reads the one of before to its end"
    one.close()
    assert (files[0].read_text(), "doi-" in files[1].read_text()) == ("", False)
    assert not list(tmp_path.glob(".*"))


def test_a_disk_that_refuses_leaves_the_files_of_before(tmp_path: Path) -> None:
    files = mosquitto.write(tmp_path, [account("doi-a-1")])
    held = [file.read_text() for file in files]
    (tmp_path / f".{mosquitto.PASSWORDS}.new").mkdir()
    with pytest.raises(OSError, match="passwd"):
        mosquitto.write(tmp_path, [])
    assert [file.read_text() for file in files] == held


# --- a real Mosquitto, as docs/install.md has it


class Client:
    """A client of the broker, in a thread of paho's."""

    def __init__(self, port: int, user: str, password: str, ca: Path | None, **cert: str) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.codes: list[str] = []
        self.lost = self.granted = 0
        self.acked: list[int] = []
        self.paho = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"{user}-{os.urandom(3).hex()}")
        if password:
            self.paho.username_pw_set(user, password)
        if ca:
            self.paho.tls_set(str(ca), **cert)
        self.paho.on_message = lambda _c, _d, one: self.got.append((one.topic, one.payload))
        self.paho.on_connect = lambda *told: self.codes.append(str(told[3]))
        self.paho.on_disconnect = lambda *_: setattr(self, "lost", self.lost + 1)
        self.paho.on_subscribe = lambda *_: setattr(self, "granted", self.granted + 1)
        self.paho.on_publish = lambda _c, _d, number, *_: self.acked.append(number)
        self.port = port

    def __enter__(self) -> Self:
        self.paho.connect("127.0.0.1", self.port)
        self.paho.loop_start()
        servers.until(lambda: self.codes or self.lost, BOUND_S, "the broker answers")
        return self

    def __exit__(self, *_: object) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()

    def say(self, topic: str, payload: bytes = b"{}") -> None:
        """Publish, and wait until the broker has taken it, whatever it made of it."""
        number = self.paho.publish(topic, payload, qos=1).mid
        servers.until(lambda: number in self.acked, BOUND_S, f"{topic} is acknowledged")

    def hear(self, *filters: str) -> None:
        before = self.granted
        for one in filters:
            self.paho.subscribe(one, 1)
        servers.until(lambda: self.granted == before + len(filters), BOUND_S, "subscriptions are answered")


@contextmanager
def guarded(folder: Path) -> Iterator[tuple[Guarded, list[Secret]]]:
    need(servers.MOSQUITTO)
    made = [*invited(folder / book.NAME, count=2), *invited(folder / book.NAME, "ke-ca")]
    with Guarded(folder / "broker", [one.account for one in made]) as server:
        yield server, made


def phone(server: Guarded, secret: Secret, password: str = "") -> Client:
    return Client(server.phones, secret.account.user, password or secret.password, server.folder / "ca.pem")


def certified(server: Guarded, name: str) -> Client:
    files = {"certfile": f"{server.folder}/{name}.pem", "keyfile": f"{server.folder}/{name}.key"}
    return Client(server.port, name, "", server.folder / "ca.pem", **files)


def said(user: str, stream: str) -> str:
    """Return what a telephone's app publishes to."""
    return topics.phones_prefix(user) + stream


@pytest.mark.mosquitto
def test_a_telephone_writes_its_own_six_streams_and_reads_nothing(tmp_path: Path) -> None:
    with guarded(tmp_path) as (server, (own, other, far)), ExitStack() as held:
        room, gateway = (held.enter_context(certified(server, name)) for name in ("gocche-cloud", "sg-01"))
        mine, theirs = (held.enter_context(phone(server, one)) for one in (own, far))
        room.hear(topics.FROM_PHONES, "gocche/v1/+/up", "survey/#")
        mine.hear("#", "$SYS/#", topics.FROM_PHONES, topics.ack(own.account.user), "+/+/+/+", "v1/#")
        gateway.hear(topics.ack("sg-01"))
        user = own.account.user
        refused = [
            *(said(one.account.user, "nr_message") for one in (other, far)),
            *(topic(user) for topic in (topics.up, topics.status, topics.beat, topics.ack)),
            *(topics.up("sg-01"), topics.ack("sg-01"), topics.phone(user, "nr_message")),
            *(said(user, one) for one in ("80211_beacon_message", "bluetooth_message", "nr_message/more", "")),
            "v1/nr_message", f"../{said(user, 'nr_message')}", f"/{said(user, 'nr_message')}", "nr_message",
        ]  # fmt: skip
        for topic in refused:
            mine.say(topic, b"forged")
        gateway.say(topics.phone("sg-01", "nr_message"), b"forged")
        for stream in topics.STREAMS:
            mine.say(said(user, stream), stream.encode())
        theirs.say(said(far.account.user, "lte_message"), b"theirs")
        gateway.say(topics.up("sg-01"), b"batch")
        room.say(topics.ack("sg-01"), b"answer")
        servers.until(lambda: (topics.ack("sg-01"), b"answer") in gateway.got, BOUND_S, "the gateway is answered")
        expected = {(topics.phone(user, stream), stream.encode()) for stream in topics.STREAMS} | {
            (topics.phone(far.account.user, "lte_message"), b"theirs"),
            (topics.up("sg-01"), b"batch"),
        }
        servers.until(lambda: expected <= set(room.got), BOUND_S, "what may be said is heard")
        assert set(room.got) == expected
        assert mine.got == []


@pytest.mark.mosquitto
def test_a_telephone_that_shares_a_subscription_takes_no_batch_from_ingest(tmp_path: Path) -> None:
    """An access list judges no subscription: only the mount point keeps a guest from the servers' share."""
    with guarded(tmp_path) as (server, (own, *_)), ExitStack() as held:
        ingest, gateway = (held.enter_context(certified(server, name)) for name in ("gocche-cloud", "sg-01"))
        thief = held.enter_context(phone(server, own))
        ingest.hear(*topics.shared("g"))
        thief.hear(
            *topics.shared("g"), "$share/g/gocche/v1/sg-01/up", "$share/g/#", "$share/g/+/+/+/+", "$share/g/+/up"
        )
        for number in range(40):
            gateway.say(topics.up("sg-01"), f"{number}".encode())
        servers.until(lambda: len(ingest.got) == 40, BOUND_S, "ingest hears every batch")
        assert thief.got == []


@pytest.mark.mosquitto
def test_a_crowd_at_the_telephones_port_leaves_gateways_their_way(tmp_path: Path) -> None:
    with guarded(tmp_path) as (server, _), ExitStack() as held:
        crowd = [
            held.enter_context(closing(socket.create_connection(("127.0.0.1", server.phones)))) for _ in range(520)
        ]
        crowd[-1].settimeout(BOUND_S)
        assert crowd[-1].recv(1) == b"", "beyond five hundred nobody is taken"
        gateway = held.enter_context(certified(server, "sg-01"))
        assert gateway.codes == ["Success"]


@pytest.mark.mosquitto
def test_who_is_revoked_is_put_out_by_a_reload_and_nobody_else(tmp_path: Path) -> None:
    with guarded(tmp_path) as (server, (lost, kept, _far)), ExitStack() as held:
        room, gateway = (held.enter_context(certified(server, name)) for name in ("gocche-cloud", "sg-01"))
        gone, stays = (held.enter_context(phone(server, one)) for one in (lost, kept))
        room.hear(topics.FROM_PHONES)
        with Book(tmp_path / book.NAME) as accounts:
            accounts.revoke([lost.account.user], who="test", now_ms=NOW_MS)
            new = accounts.invite("pu-va", 1, until_ms=LATER_MS, who="t", now_ms=NOW_MS, taken=lambda _: False)[0]
        mosquitto.write(server.folder, [one for one in book.accounts(tmp_path / book.NAME) if one.holds(NOW_MS)])
        os.kill(server.pid, signal.SIGHUP)
        servers.until(lambda: gone.lost, BOUND_S, "the revoked account is put out")
        servers.until(lambda: "Not authorized" in gone.codes, BOUND_S, "and not let in again")
        fresh = held.enter_context(phone(server, new))
        fresh.say(said(new.account.user, "nr_message"), b"new")
        stays.say(said(kept.account.user, "nr_message"), b"still")
        gateway.say(topics.up("sg-01"), b"batch")
        servers.until(lambda: {one for _, one in room.got} == {b"new", b"still"}, BOUND_S, "the others go on")
        assert (stays.lost, gateway.lost, room.lost) == (0, 0, 0)


@pytest.mark.mosquitto
def test_no_way_in_but_by_tls_and_the_right_password_on_the_right_port(tmp_path: Path) -> None:
    with guarded(tmp_path) as (server, (own, other, _far)):
        ca = server.folder / "ca.pem"
        for user, password in (
            (own.account.user, "wrong"),
            (own.account.user, other.password),
            (own.account.user, own.account.hash),
            ("gocche-cloud", own.password),
            ("sg-01", own.password),
            ("#", own.password),
            ("+", own.password),
            ("doi-hang-tay-+", own.password),
            ("../doi", own.password),
            ("", ""),
        ):
            with Client(server.phones, user, password, ca) as client:
                assert client.codes == ["Not authorized"], user
        with phone(server, own) as client:
            assert client.codes == ["Success"]
        with Client(server.phones, own.account.user, own.password, None) as plain:
            assert plain.codes == [], "without TLS nothing is answered"
        with pytest.raises(OSError), Client(server.port, own.account.user, own.password, ca) as client:  # noqa: PT011
            raise ConnectionError(client.codes)  # where TLS 1.3 refuses only after the handshake


# --- the commands


@pytest.fixture
def garden(tmp_path: Path) -> Path:
    """A server's folder with the sample's registry; returns its cloud.toml."""
    found(tmp_path / "registry.db", GARDEN, HandClock(NOW_MS))
    file = tmp_path / "cloud.toml"
    file.write_text(f'[data]\npath = "{tmp_path}"\n[coverage]\nphone_host = "mqtt.example.org"\n')
    return file


def test_a_team_is_invited_by_code_by_name_and_without_its_marks(
    garden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, typed in enumerate(("hang-tay", "Đội Háng Tày", "Háng Tày", "HANG TAY", "Ha\u0301ng Ta\u0300y"), 1):
        assert main(["coverage", "invite", "--config", str(garden), "--team", typed]) == 0
        assert f"doi-hang-tay-{number}" in capsys.readouterr().out
    assert main(["coverage", "invite", "--config", str(garden), "--team", "Suối Giàng"]) == 2
    said = capsys.readouterr().err
    assert "Đội Háng Tày (hang-tay)" in said
    assert len(book.accounts(garden.with_name(book.NAME))) == 5


def test_of_two_teams_that_differ_by_marks_the_one_as_written_is_meant() -> None:
    both = {
        code: Team(code=code, name=name, hamlet="h01", valid_from=None)  # type: ignore[arg-type]
        for code, name in (("a", "Đội Bản Mù"), ("b", "Đội Bản Mủ"), ("c", "Đội Nậm Có"))
    }
    assert team_called(both, "bản mủ").code == "b"
    assert team_called(both, "nam co").code == "c"
    with pytest.raises(NotInvited, match=r"Đội Bản Mù \(a\), Đội Bản Mủ \(b\)"):
        team_called(both, "ban mu")


def test_a_symbol_is_read_as_the_apps_setup_with_a_client_of_its_own(garden: Path, tmp_path: Path) -> None:
    zxingcpp, pdfium = pytest.importorskip("zxingcpp"), pytest.importorskip("pypdfium2")
    file = tmp_path / "three.pdf"
    command = [
        "coverage",
        "invite",
        "--config",
        str(garden),
        "--team",
        "Háng Tày",
        "--phones",
        "3",
        "--file",
        str(file),
    ]
    assert main(command) == 0
    assert file.stat().st_mode & 0o077 == 0
    pages = pdfium.PdfDocument(file)
    told = []
    for page in pages:
        (found_one,) = zxingcpp.read_barcodes(page.render(scale=2).to_pil())
        told.append(json.loads(found_one.text))
        text = page.get_textpage().get_text_bounded()
        assert "Điện thoại đo sóng của Đội Háng Tày" in text
        assert "Good until the end of" in text
        assert told[-1]["mqtt_password"] not in text
    pages.close()
    assert len({one["mqtt_client"] for one in told}) == len({one["mqtt_password"] for one in told}) == 3
    one = told[1]
    assert one.pop("mqtt_password")
    assert one == {
        "mqtt_host": "mqtt.example.org", "mqtt_port": 8884, "mqtt_tls": True, "mqtt_client": "doi-hang-tay-2",
        "mqtt_username": "doi-hang-tay-2", "mqtt_topic_prefix": "v1/doi-hang-tay-2/", "mqtt_qos": 1,
        "cellular_stream_enabled": True, "wifi_stream_enabled": False, "bluetooth_stream_enabled": False,
        "gnss_stream_enabled": True, "device_status_stream_enabled": True, "phone_state_stream_enabled": True,
    }  # fmt: skip


def test_the_symbol_of_the_terminal_and_of_a_file_hold_the_password_and_nothing_else_does(
    garden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    made = Fleet(tmp_path, WAY, HandClock(NOW_MS)).invite(
        Team(code="x", name="Đội X", hamlet="h", valid_from=None),  # type: ignore[arg-type]
        1, 90, who="t", taken=lambda _: False,
    )  # fmt: skip
    password = json.loads(made[0].setup)["mqtt_password"]
    svg = made[0].svg()
    assert svg.startswith("<svg")
    assert "█" in made[0].terminal()
    assert main(["coverage", "teams", "--config", str(garden)]) == 0
    said = capsys.readouterr()
    assert password not in said.out + said.err + caplog.text + svg
    assert not [file for file in tmp_path.iterdir() if file.is_file() and password.encode() in file.read_bytes()]


def test_what_cannot_be_invited_makes_no_account(garden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def invite(*more: str) -> int:
        return main(["coverage", "invite", "--config", str(garden), "--team", "hang-tay", *more])

    assert invite("--phones", "0") == invite("--phones", "41") == invite("--days", "401") == 2
    assert invite("--file", "x.png") == 2
    garden.write_text(f'[data]\npath = "{garden.parent}"\n')
    assert invite() == 2
    assert "phone_host" in capsys.readouterr().err
    assert not book.accounts(garden.with_name(book.NAME))


def test_what_could_not_be_handed_out_is_revoked_at_once(garden: Path, tmp_path: Path) -> None:
    own = ["--config", str(garden), "--team", "hang-tay", "--phones", "2"]
    assert main(["coverage", "invite", *own, "--file", str(tmp_path / "no" / "x.pdf")]) == 1
    assert main(["coverage", "invite", *own, "--file", str(tmp_path / "no" / "x.svg")]) == 1
    made = book.accounts(garden.with_name(book.NAME))
    assert len(made) == 4
    assert all(one.revoked_ms is not None for one in made)


def test_a_long_name_of_a_team_stays_on_the_page(tmp_path: Path) -> None:
    pdfium = pytest.importorskip("pypdfium2")
    from cloud.access.sheet import draw

    name = "Đội " + "Nậm Khoắt Chế Cu Nha La Pán Tẩn " * 3
    team = Team(code="x", name=name.strip(), hamlet="h", valid_from=None)  # type: ignore[arg-type]
    how: dict[str, Any] = {"who": "t", "taken": lambda _: False}
    draw(tmp_path / "x.pdf", Fleet(tmp_path, WAY, HandClock(NOW_MS)).invite(team, 1, 90, **how))
    document = pdfium.PdfDocument(tmp_path / "x.pdf")
    page = document[0].get_textpage()
    boxes = [page.get_charbox(at) for at in range(page.count_chars())]
    document.close()
    assert min(box[0] for box in boxes) > 20
    assert max(box[2] for box in boxes) < 575, "an A4 page has 595 points"


def test_the_commands_bring_an_account_to_its_end(
    garden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["--config", str(garden)]
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    assert main(["access", "write", *own, str(folder)]) == 0
    assert (folder / "gocche.passwd").read_text() == ""
    main(["coverage", "invite", *own, "--team", "ke-ca", "--phones", "2", "--file", str(tmp_path / "x.svg")])
    assert sorted(file.name for file in tmp_path.glob("*.svg")) == ["x-doi-ke-ca-1.svg", "x-doi-ke-ca-2.svg"]
    assert main(["coverage", "revoke", *own, "doi-ke-ca-1", "doi-ke-ca-7"]) == 2
    assert main(["coverage", "revoke", *own, "doi-ke-ca-1"]) == 0
    capsys.readouterr()
    main(["coverage", "teams", *own])
    assert [line.split("\t")[2].split()[0] for line in capsys.readouterr().out.splitlines()] == ["revoked", "holds"]
    assert main(["access", "write", *own, str(folder)]) == 0
    assert [line.split(":")[0] for line in (folder / "gocche.passwd").read_text().splitlines()] == ["doi-ke-ca-2"]
    assert main(["access", "write", *own, str(tmp_path / "none")]) == 2


def test_telephones_are_not_sent_over_the_net_without_tls(garden: Path) -> None:
    for host, right in (("mqtt.example.org", False), ("8.8.8.8", False), ("192.168.1.5", True), ("127.0.0.1", True)):
        garden.write_text(f'[coverage]\nphone_host = "{host}"\nphone_tls = false\n')
        if right:
            assert load(garden).coverage.phone_host == host
        else:
            with pytest.raises(ConfigError, match="in the clear"):
                load(garden)


def test_another_process_sees_a_revocation_at_once(tmp_path: Path) -> None:
    path = tmp_path / book.NAME
    invited(path)
    known = Known(path)
    assert known.team_of("doi-hang-tay-1", NOW_MS)
    code = (
        "import pathlib, sys; from cloud.access.book import Book; "
        "Book(pathlib.Path(sys.argv[1])).revoke(['doi-hang-tay-1'], who='x', now_ms=1)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=60, cwd=Path(__file__).parents[1])
    assert known.team_of("doi-hang-tay-1", NOW_MS) is None
    known.close()
