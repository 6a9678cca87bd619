"""The uplink against every way in which a broker, a name or a network fails: said in words, bounded, never wedged."""

from __future__ import annotations

import contextlib
import logging
import random
import resource
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

import pytest

from edge.board import Board
from edge.clock import SystemClock
from edge.config import Broker
from edge.send import carrier, causes, dial, session
from edge.send.carrier import LONGEST_WAIT_S, OPEN_MS, TURN_MS, Carrier, Ends
from edge.send.causes import Ended
from edge.send.logbook import HEALTHY_MS, KICKS, Logbook
from edge.send.uplink import MOST_GONE, Uplink
from tests import servers
from tests.conftest import need
from tests.edge.clock import HandClock
from tests.edge.peers import CONNECT, DISCONNECT, PING, PUBLISH, SUBSCRIBE, Authority, Peer
from tests.servers import free_port, no_threads, until
from wire import topics

BOUND_S = 10.0
STOP_S = 3.0  # of the agent's five


class Hasty(SystemClock):
    """The machine's clock, for which no wait is long."""

    def wait(self, event, seconds):
        return event.wait(min(seconds, 0.01))


class Edge:
    """An uplink and what it tells."""

    def __init__(self, port: int, clock=None, **keys) -> None:
        self.board, self.acks, self.links = Board(), [], []
        self.will = b"will"
        broker = Broker(host=keys.pop("host", "127.0.0.1"), port=port, spread_s=0, **keys)
        self.uplink = Uplink(
            broker, "sg-01", Ends(lambda: self.will, self._ack, self.links.append), self.board, clock or Hasty()
        )

    def _ack(self, payload):
        self.acks.append(payload)

    def __enter__(self):
        self.uplink.start()
        return self

    def __exit__(self, *_):
        began = time.monotonic()
        self.uplink.stop(b"bye")
        assert time.monotonic() - began < STOP_S

    def ill(self, cause: str, words: str = "") -> None:
        until(lambda: self.board.link.cause == cause, BOUND_S, f"{cause}, not {self.board.link}")
        assert causes.table()[cause].en in self.board.link.why
        assert words in self.board.link.why

    def well(self) -> None:
        until(lambda: self.board.link.up and not self.board.link.cause, BOUND_S, f"up, not {self.board.link}")


# --- what was wrong is told in words


@pytest.mark.parametrize("host", ["mqtt..example.vn", "a" * 64 + ".vn"])
def test_a_name_that_cannot_be_one_is_told_and_ends_nothing(host):
    with Edge(1883, host=host) as edge:
        edge.ill("name")
        assert not edge.board.link.up
        assert edge.uplink.look() == ""
        assert edge.links == []


@pytest.mark.parametrize(
    ("number", "cause"), [(socket.EAI_NONAME, "name"), (socket.EAI_AGAIN, "dns"), (socket.EAI_FAIL, "dns")]
)
def test_an_unknown_name_and_a_silent_name_service_are_told_apart(monkeypatch, number, cause):
    def asked(*_, **__):
        raise socket.gaierror(number, "so it says")

    monkeypatch.setattr(socket, "getaddrinfo", asked)
    with Edge(1883, host="mqtt.example.vn") as edge:
        edge.ill(cause, "so it says")


def test_a_port_where_nobody_listens_is_told():
    with Edge(free_port()) as edge:
        edge.ill("refused", "Connection refused")


@pytest.mark.parametrize(
    ("number", "cause"),
    [(101, "network"), (113, "network"), (99, "network"), (110, "timeout"), (24, "machine"), (42, "other")],
)
def test_what_the_kernel_says_of_the_network_is_told(number, cause):
    assert causes.of(OSError(number, "x")).code == cause


@pytest.mark.parametrize(
    ("code", "cause"), [(1, "protocol"), (2, "id"), (3, "busy"), (4, "password"), (5, "not-allowed")]
)
def test_what_the_broker_refuses_is_told(code, cause):
    with Peer(welcome=code) as peer, Edge(peer.port) as edge:
        edge.ill(cause)
        assert edge.links == []


@pytest.mark.parametrize(
    ("ways", "cause"),
    [
        ({"mute": {CONNECT}}, "no-answer"),
        ({"mute": {SUBSCRIBE}}, "no-answer"),
        ({"greeting": b"\xf0\x00"}, "protocol"),
        ({"shuts": True}, "closed"),
    ],
)
def test_a_peer_that_does_not_answer_as_a_broker_does_is_told(monkeypatch, ways, cause):
    monkeypatch.setattr(session, "ANSWER_S", 0.2)
    monkeypatch.setattr(session, "PULSE_S", 0.05)
    with Peer(**ways) as peer, Edge(peer.port) as edge:
        edge.ill(cause)


def test_a_refused_subscription_is_told_asked_for_again_and_smoke_goes_out_meanwhile(monkeypatch):
    monkeypatch.setattr(session, "AGAIN_S", 0.1)
    with Peer(grant=0x80) as peer, Edge(peer.port) as edge:
        edge.ill("subscription")
        assert edge.board.link.up
        until(lambda: edge.links == [True], BOUND_S, "the link is told")
        assert edge.uplink.publish(topics.up("sg-01"), b"smoke")
        until(lambda: peer.seen(PUBLISH), BOUND_S, "it went out")
        peer.grant = 0
        until(lambda: len(peer.seen(SUBSCRIBE)) > 1, BOUND_S, "asked again")
        edge.well()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.mark.parametrize(
    ("alternative", "how", "cause"),
    [
        ("IP:127.0.0.1", ("-startdate", "20200101000000Z", "-enddate", "20200201000000Z"), "tls-expired"),
        ("IP:127.0.0.1", ("-startdate", "20400101000000Z", "-enddate", "20410101000000Z"), "tls-early"),
        ("DNS:mqtt.example.org", (), "tls-host"),
        ("IP:127.0.0.2", (), "tls-host"),
    ],
)
def test_a_certificate_that_is_not_good_is_told_with_the_reason(authority, alternative, how, cause):
    with (
        Peer(tls=authority.server("broker", alternative, *how)) as peer,
        Edge(peer.port, ca_file=str(authority.ca_file)) as edge,
    ):
        edge.ill(cause)


def test_an_unknown_authority_is_told(authority, tmp_path):
    stranger = Authority(tmp_path, "theirs")
    with (
        Peer(tls=stranger.server("broker", "IP:127.0.0.1")) as peer,
        Edge(peer.port, ca_file=str(authority.ca_file)) as edge,
    ):
        edge.ill("tls-authority")


def test_tls_towards_a_plain_port_and_plain_towards_tls_are_told(authority):
    with Peer(greeting=b"this is a plain port") as peer, Edge(peer.port, ca_file=str(authority.ca_file)) as edge:
        edge.ill("tls-none")
    with Peer(tls=authority.server("broker", "IP:127.0.0.1")) as peer, Edge(peer.port) as edge:
        edge.ill("closed")


def test_tls_towards_a_broker_without_it_is_told_as_such(authority, mosquitto):
    """It resets the connection, having read what it took for a packet."""
    with Edge(mosquitto.port, ca_file=str(authority.ca_file)) as edge:
        until(lambda: edge.board.link.cause in {"tls-broken-off", "tls-none"}, BOUND_S, "the port is doubted")


def test_a_peer_that_resets_before_tls_begins_leaves_no_socket_behind(authority):
    trust = ssl.create_default_context(cafile=str(authority.ca_file))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        sock = dial.dial(*address, 0, BOUND_S, SystemClock(), lambda sock: dial.under(trust, sock, address[0]))
        accepted, _ = server.accept()
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        accepted.close()
        with pytest.raises(ConnectionResetError):
            dial.handshake(sock, BOUND_S)
        assert sock.fileno() == -1


def test_files_that_cannot_be_used_are_told_and_taken_without_a_restart_once_they_are_good(authority, tmp_path):
    ca = tmp_path / "ca.pem"
    tls = authority.server("broker", "IP:127.0.0.1")
    with Peer(tls=tls) as peer, Edge(peer.port, ca_file=str(ca)) as edge:
        edge.ill("files", str(ca))
        ca.write_text("unset")
        edge.ill("files", str(ca))
        ca.write_bytes(authority.ca_file.read_bytes())
        edge.well()


def test_a_renewed_certificate_is_shown_from_the_next_connection_on(authority, tmp_path):
    tls = authority.server("broker", "IP:127.0.0.1")
    tls.load_verify_locations(authority.ca_file)
    tls.verify_mode = ssl.CERT_REQUIRED
    mine = tmp_path / "sg-01.pem", tmp_path / "sg-01.key"

    def issued(*how):
        for file, made in zip(mine, authority.issue("sg-01", "DNS:sg-01", *how), strict=True):
            file.write_bytes(made.read_bytes())

    issued("-startdate", "20200101000000Z", "-enddate", "20200201000000Z")
    keys = {"ca_file": str(authority.ca_file), "cert_file": str(mine[0]), "key_file": str(mine[1])}
    with Peer(tls=tls) as peer, Edge(peer.port, **keys) as edge:
        refused = {"tls-certificate", "tls-closed"}  # the alert may be overtaken by the end of the connection
        until(lambda: edge.board.link.cause in refused, BOUND_S, "refused")
        issued()
        edge.well()


# --- once for each change, with since when


def of_the_link(caplog):
    """What was said, but for what a 32-bit machine says of its clock."""
    return [record for record in caplog.records if record.name.startswith("edge.send")]


def test_a_lasting_fault_is_logged_once_and_its_end_once(caplog):
    caplog.set_level(logging.INFO, logger="edge")
    port = free_port()
    with Edge(port) as edge:
        edge.ill("refused")
        since = edge.board.link.since_ms
        until(lambda: edge.uplink._logbook.failures > 20, BOUND_S, "it goes on trying")
        assert edge.board.link.since_ms == since
        assert [record.message for record in of_the_link(caplog)] == [
            f"uplink ill broker=127.0.0.1:{port} cause=refused why={edge.board.link.why!r}"
        ]
        caplog.clear()
        with Peer(port=port):
            edge.well()
            assert edge.board.link.since_ms > since
            assert [record.message.partition(" after_s=")[0] for record in caplog.records] == [
                f"uplink well again broker=127.0.0.1:{port}"
            ]
            caplog.clear()
            edge.uplink.stop(b"bye")
    assert caplog.records == []


def test_a_gateway_that_is_put_out_again_and_again_says_so_and_does_not_hurry(caplog):
    caplog.set_level(logging.INFO, logger="edge")
    with Peer(kicks=True) as peer, Edge(peer.port) as edge:
        edge.ill("kicked", "same id")
        until(lambda: len(peer.connections) > 2 * KICKS, BOUND_S, "it goes on trying")
        assert edge.uplink._logbook.failures >= KICKS
        peer.kicks = False
        until(lambda: edge.board.link.up, BOUND_S, "it is let in")
        edge.ill("kicked")  # until it has lived for a while
    told = [record.message.partition("cause=")[2].partition(" ")[0] for record in of_the_link(caplog)]
    assert told == ["", "lost", "kicked"]


def test_only_a_connection_that_lived_makes_the_next_try_a_fast_one():
    clock, board = HandClock(), Board()
    book = Logbook(board, "b:1", clock)
    for _ in range(KICKS):
        book.opened(deaf=False)
        clock.now += HEALTHY_MS - 1
        book.goes_on(deaf=False)
        book.ended(Ended("lost"))
    assert book.failures == KICKS
    assert board.link.cause == "kicked"
    book.opened(deaf=False)
    assert (board.link.up, board.link.cause) == (True, "kicked")
    clock.now += HEALTHY_MS
    book.goes_on(deaf=False)
    assert (board.link.up, board.link.cause, book.failures) == (True, "", 0)
    assert board.link.since_ms == clock.now - HEALTHY_MS


def test_a_link_that_fell_after_a_good_life_counts_from_then():
    clock, board = HandClock(), Board()
    book = Logbook(board, "b:1", clock)
    book.opened(deaf=False)
    clock.now += 3_600_000
    book.goes_on(deaf=False)
    book.ended(Ended("silent"))
    fell = clock.now
    clock.now += 60_000
    book.ended(Ended("network"))
    assert (board.link.up, board.link.cause, board.link.since_ms) == (False, "network", fell)


# --- jitter


def pauses(mono_ms, failures, spread_s=30.0):
    clock = HandClock(mono_ms=mono_ms)
    book = Logbook(Board(), "b:1", clock)
    book.failures = failures
    one = Carrier(Broker(host="b", spread_s=spread_s), "sg-01", None, book, clock)
    random.seed(1)
    return sorted(one.pause_s() for _ in range(2_000))


@pytest.mark.parametrize(
    ("mono_ms", "failures", "ceiling_s"),
    [(20_000, 0, 30), (3_600_000, 0, 1), (3_600_000, 1, 2), (20_000, 4, 16), (1, 6, LONGEST_WAIT_S), (1, 99, 60)],
)
def test_every_wait_is_spread_over_its_whole_room(mono_ms, failures, ceiling_s):
    waits = pauses(mono_ms, failures)
    assert 0 <= waits[0] <= 0.1 + ceiling_s / 50
    assert waits[1_000] == pytest.approx(ceiling_s / 2, rel=0.15)
    assert ceiling_s * 0.98 <= waits[-1] <= ceiling_s


def test_a_province_that_comes_back_after_a_power_cut_does_not_come_in_one_second():
    """1,356 villages of ten minutes ago: what a broker must take in its worst second."""
    waits = [at for at in pauses(40_000, 0) if at < 30][:1_356]
    assert max(sum(second <= at < second + 1 for at in waits) for second in range(30)) < 100


# --- bounds


def test_receipts_that_never_come_end_the_connection(monkeypatch):
    monkeypatch.setattr(session, "RECEIPT_S", 0.2)
    monkeypatch.setattr(session, "PULSE_S", 0.05)
    with Peer(mute={PUBLISH}) as peer, Edge(peer.port) as edge:
        edge.well()
        taken = [edge.uplink.publish(topics.up("sg-01"), b"x") for _ in range(2 * session.ROOM)]
        assert taken[: session.ROOM] == [True] * session.ROOM
        assert not all(taken)  # the spool is the queue
        edge.ill("no-receipt")


def test_a_receipt_that_is_passed_over_ends_the_connection_too(monkeypatch):
    """What comes after it is confirmed, beats above all: for ever nothing would count as lost and be sent again."""
    monkeypatch.setattr(session, "RECEIPT_S", 0.3)
    monkeypatch.setattr(session, "PULSE_S", 0.05)
    with Peer(forgets=b"lost") as peer, Edge(peer.port) as edge:
        edge.well()
        assert edge.uplink.publish(topics.up("sg-01"), b"lost")

        def told() -> bool:
            edge.uplink.publish(topics.up("sg-01"), b"x")
            return edge.links[:2] == [True, False]

        until(told, BOUND_S, "the connection ends")
        assert len(peer.seen(PUBLISH, 1)) > 3


@pytest.mark.parametrize("ways", [{"mute": {PING}}, {"mute": {PING, PUBLISH}}])
def test_a_half_open_connection_is_found_by_its_silence(ways):
    with Peer(**ways) as peer, Edge(peer.port, keepalive_s=1) as edge:
        edge.well()
        edge.ill("silent")
        assert edge.links[:2] == [True, False]


def test_a_peer_that_takes_no_more_bytes_neither_blocks_the_keeper_nor_lasts(monkeypatch):
    with Peer() as peer, Edge(peer.port, keepalive_s=1) as edge:
        edge.well()
        peer.mute = {PING, PUBLISH}
        read = peer.connections[0]
        read.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        began = time.monotonic()
        while edge.uplink.publish(topics.up("sg-01"), bytes(8_000_000)):
            pass
        assert time.monotonic() - began < 1
        until(lambda: edge.links[:2] == [True, False], BOUND_S, "given up")


def test_what_cannot_wait_overtakes_all_that_the_kernel_did_not_take_yet():
    """A link slower than what comes: without a bound the kernel alone would hold all of it before smoke."""
    with Peer() as peer, Edge(peer.port) as edge:
        edge.well()
        session_of = edge.uplink._carrier._session
        with peer.held():
            for number in range(60):
                assert edge.uplink.publish(topics.up("sg-01"), b"%02d" % number + bytes(20_000), waits=True)
            until(session_of._client.want_write, BOUND_S, "the kernel takes no more")
            assert not edge.uplink.idle
            for word in (b"smoke", b"status"):
                assert edge.uplink.publish(topics.up("sg-01"), word)
        until(lambda: len(peer.seen(PUBLISH)) == 62, BOUND_S, "all of them")
        until(lambda: edge.uplink.idle, BOUND_S, "confirmed")
    words = [body.rstrip(bytes(1))[-6:] for body in peer.seen(PUBLISH)]
    smoke = next(at for at, word in enumerate(words) if word.endswith(b"smoke"))
    assert words[smoke + 1].endswith(b"status")
    assert smoke < 40
    rest = [word[-2:] for at, word in enumerate(words[:-1]) if at not in {smoke, smoke + 1}]
    assert rest == sorted(rest), "the others keep their order"


def test_a_full_listen_queue_does_not_outlast_a_stop():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, contextlib.ExitStack() as stack:
        for _ in range(8):  # the queue is full: further ones are neither taken nor refused
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        with Edge(server.getsockname()[1]) as edge:
            until(lambda: edge.uplink._carrier._session is not None, BOUND_S, "it connects")
            assert not edge.uplink.publish(topics.up("sg-01"), b"x")


def test_a_hanging_name_service_blocks_neither_publishing_nor_a_stop(monkeypatch):
    asked, answer = threading.Event(), threading.Event()

    def hang(*_, **__):
        asked.set()
        answer.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "late")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with Edge(1883, host="mqtt.example.vn") as edge:
        assert asked.wait(BOUND_S)
        assert not edge.uplink.publish(topics.up("sg-01"), b"x")
    answer.set()
    edge.uplink._thread.join(BOUND_S)
    assert not edge.uplink._thread.is_alive()


def test_a_peer_that_falls_silent_during_tls_does_not_outlast_a_stop(authority):
    with Peer(full=True) as peer, Edge(peer.port, ca_file=str(authority.ca_file)):
        until(lambda: peer.connections, BOUND_S, "it is there")


def test_an_ordered_stop_says_goodbye_at_the_broker():
    with Peer() as peer:
        with Edge(peer.port) as edge:
            edge.well()
        until(lambda: peer.seen(DISCONNECT), BOUND_S, "goodbye")
        assert [body.endswith(b"bye") for body in peer.seen(PUBLISH)] == [True]


# --- nothing stale


def test_what_a_dead_connection_did_not_send_is_never_sent_after_a_newer_one():
    with Peer(mute={PUBLISH}) as peer, Edge(peer.port) as edge:
        edge.well()
        for number in range(5):
            edge.uplink.publish(topics.status("sg-01"), b"old %d" % number, retain=True)
        until(lambda: len(peer.seen(PUBLISH)) == 5, BOUND_S, "sent, not confirmed")
        peer.mute = set()
        peer.cut()
        until(lambda: edge.links == [True, False, True], BOUND_S, "connected again")
        edge.uplink.publish(topics.status("sg-01"), b"new", retain=True)
        until(lambda: peer.seen(PUBLISH, 2), BOUND_S, "the new one")
    assert [body[-3:] for body in peer.seen(PUBLISH, 2)] == [b"new", b"bye"]


def test_the_last_word_of_a_stop_comes_after_what_was_handed_over_before():
    busy, goes_on = threading.Event(), threading.Event()

    def slow(_):
        busy.set()
        goes_on.wait(BOUND_S)

    with Peer() as peer, Edge(peer.port) as edge:
        edge.well()
        edge.uplink._carrier._ends = Ends(lambda: b"w", slow, edge.links.append)
        peer.tell(topics.ack("sg-01"), b"x")
        assert busy.wait(BOUND_S)
        edge.uplink.publish(topics.status("sg-01"), b"online", retain=True)
        threading.Timer(0.2, goes_on.set).start()  # while the stop waits
        edge.uplink.stop(b"bye")
        until(lambda: peer.seen(DISCONNECT), BOUND_S, "goodbye")
        assert [body[-3:] for body in peer.seen(PUBLISH)] == [b"ine", b"bye"]


def test_the_will_is_the_one_of_this_connection():
    with Peer() as peer, Edge(peer.port) as edge:
        edge.well()
        edge.will = b"second"
        peer.cut()
        until(lambda: edge.links == [True, False, True], BOUND_S, "connected again")
        assert b"second" in peer.seen(CONNECT, 2)[0]
        assert b"second" not in peer.seen(CONNECT, 1)[0]


# --- watched


def test_an_exception_behind_an_answer_costs_a_connection_and_no_more(caplog):
    with Peer() as peer, Edge(peer.port) as edge:
        edge.well()
        edge.uplink._ends = None
        edge._fails = True

        def bad(_):
            raise RuntimeError("defect")

        edge.uplink._carrier._ends = Ends(lambda: b"w", bad, edge.links.append)
        peer.tell(topics.ack("sg-01"), b"x")
        edge.ill("faulty", "defect")
        until(lambda: edge.links[-1:] == [True] and len(edge.links) > 2, BOUND_S, "connected again")
    assert "Traceback" in caplog.text


class Turned(HandClock):
    """Stands still unless it is turned; a wait is a short real one, so that threads really run."""

    def wait(self, event, seconds):
        return event.wait(min(seconds, 0.01))


def test_a_thread_that_hangs_in_a_callback_is_replaced_and_heard_no_more(caplog):
    clock, let_go = Turned(mono_ms=10_000_000), threading.Event()
    with Peer() as peer, Edge(peer.port, clock) as edge:
        edge.well()
        edge.uplink._carrier._ends = Ends(lambda: b"w", lambda _: let_go.wait(30), edge.links.append)
        peer.tell(topics.ack("sg-01"), b"x")
        hung = edge.uplink._thread
        assert edge.uplink.look() == ""
        assert edge.uplink._thread is hung
        clock.now += TURN_MS + 2_000
        until(lambda: edge.uplink._carrier.ends_ms < clock.now, BOUND_S, "overdue")
        assert edge.uplink.look() == ""
        assert edge.uplink._thread is not hung
        assert "cause=hung" in caplog.text  # on the board only until the new thread is connected
        until(lambda: len(peer.connections) == 2 and edge.board.link.up, BOUND_S, "a new one")
        peer.tell(topics.ack("sg-01"), b"answer")
        until(lambda: edge.acks == [b"answer"], BOUND_S, "heard")
        let_go.set()
        hung.join(BOUND_S)
        assert not hung.is_alive()
        assert edge.board.link.up


def test_an_uplink_for_which_the_machine_has_no_thread_says_so_and_gets_the_next_one_that_there_is(caplog):
    with Peer() as peer:
        with no_threads(), contextlib.ExitStack() as stack:
            edge = stack.enter_context(Edge(peer.port))
            edge.ill("machine", "no further thread")
            assert edge.uplink.look() == ""
            assert caplog.text.count("cause=machine") == 1
            assert "cause=hung" not in caplog.text
            stack.pop_all()
        with contextlib.closing(contextlib.ExitStack()) as stack:
            stack.callback(edge.__exit__)
            assert edge.uplink.look() == ""
            edge.well()


def test_a_machine_without_open_files_left_is_no_defect_of_ours(caplog):
    with Peer() as peer, Edge(peer.port) as edge:
        edge.well()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            edge.uplink._carrier._session.abort()
            edge.ill("machine", "Too many open files")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        until(lambda: edge.board.link.up, BOUND_S, "connected again")
    assert "Traceback" not in caplog.text


def test_only_threads_that_never_come_back_end_the_process(monkeypatch):
    clock, answer, asked = Turned(mono_ms=10_000_000), threading.Event(), []

    def hang(*_, **__):
        asked.append(1)
        answer.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "late")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with Edge(1883, clock, host="mqtt.example.vn") as edge:
        said = []
        for number in range(MOST_GONE + 1):
            until(lambda number=number: len(asked) > number, BOUND_S, "the next one hangs")
            clock.now += OPEN_MS + 2_000
            said.append(edge.uplink.look())
        assert said == [""] * MOST_GONE + [f"{MOST_GONE + 1} threads of the uplink hang"]
        answer.set()
        until(lambda: not any(thread.is_alive() for thread in edge.uplink._gone[:-1]), BOUND_S, "they come back")


# --- names with several addresses, IPv6


def addresses(monkeypatch, *ports):
    known = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: known)


def test_a_dead_address_of_a_name_does_not_hide_a_living_one(monkeypatch):
    with Peer() as peer:
        addresses(monkeypatch, free_port(), peer.port)
        with Edge(1883, host="mqtt.example.vn") as edge:
            edge.well()


def test_an_address_that_takes_us_and_says_nothing_does_not_hide_the_next(monkeypatch):
    monkeypatch.setattr(session, "ANSWER_S", 0.2)
    monkeypatch.setattr(session, "PULSE_S", 0.05)
    with Peer(mute={CONNECT}) as deaf, Peer() as peer:
        addresses(monkeypatch, deaf.port, peer.port)
        with Edge(1883, host="mqtt.example.vn") as edge:
            edge.well()


@pytest.fixture(scope="module")
def both_families(tmp_path_factory):
    need(servers.MOSQUITTO)
    port = free_port()
    extra = f"listener {port} ::1\nallow_anonymous true"
    with servers.Mosquitto(tmp_path_factory.mktemp("mosquitto"), extra=extra) as server:
        yield server, port


@pytest.mark.mosquitto
def test_an_address_of_ipv6_and_a_name_of_both_families_are_reached(both_families, monkeypatch):
    server, port = both_families
    with Edge(port, host="::1") as edge:
        edge.well()
    v6, v4 = (socket.AF_INET6, ("::1", server.port, 0, 0)), (socket.AF_INET, ("127.0.0.1", server.port))
    known = [(family, socket.SOCK_STREAM, 6, "", address) for family, address in (v6, v4)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: known)
    with Edge(1, host="mqtt.example.vn") as edge:  # ::1 refuses at this one
        edge.well()


@pytest.mark.mosquitto
def test_two_gateways_with_one_id_say_so_and_slow_down(both_families):
    server, _ = both_families
    with Edge(server.port) as one, Edge(server.port) as other:
        for edge in (one, other):
            edge.ill("kicked", "same id")
            assert edge.uplink._logbook.failures >= KICKS


@pytest.mark.mosquitto
def test_a_broker_that_is_killed_and_comes_back_is_found_again(tmp_path):
    need(servers.MOSQUITTO)
    with servers.Mosquitto(tmp_path) as server, Edge(server.port) as edge:
        edge.well()
        server.kill()
        edge.ill("refused")
        server.start()
        until(lambda: edge.board.link.up and edge.links[-1], BOUND_S, "connected again")
        assert edge.uplink.publish(topics.up("sg-01"), b"x")


def test_small_packets_go_at_once_and_a_dead_peer_is_given_up():
    with Peer() as peer, Edge(peer.port) as edge:
        edge.well()
        sock = edge.uplink._carrier._session._handle
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000
        for end in (sock, peer.connections[0]):  # what the kernel sends at once, and asked the other to send
            assert 1_000 < end.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= 1_220


def test_a_gateway_that_connects_has_read_nothing_of_http_and_who_wants_it_has_it():
    code = """
import sys
from edge.board import Board
from edge.clock import SystemClock
from edge.config import Broker
from edge.send.carrier import Ends
from edge.send.uplink import Uplink
from threading import Event
up = Event()
broker = Broker(host="127.0.0.1", port=int(sys.argv[1]), spread_s=0)
uplink = Uplink(broker, "sg-01", Ends(lambda: b"w", len, lambda _: up.set()), Board(), SystemClock())
uplink.start()
assert up.wait(20)
uplink.stop(b"bye")
assert not {"http.client", "email.message"} & sys.modules.keys()
import urllib.request
from urllib.request import Request
assert Request is urllib.request.Request and sys.modules["urllib.request"].urlopen
"""
    with Peer() as peer:
        subprocess.run([sys.executable, "-c", code, str(peer.port)], check=True, timeout=60)


def test_every_cause_has_all_its_words():
    for words in causes.table().values():
        assert words.vi
        assert words.en
        assert words.do_vi
        assert words.do_en
    assert carrier.FAREWELL_S < STOP_S
