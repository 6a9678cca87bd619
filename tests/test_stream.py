"""The cloud's connection to the broker: whatever name, peer or message it meets, it says why and goes on."""

from __future__ import annotations

import logging
import random
import socket
import threading

import pytest

from cloud.clock import SystemClock
from cloud.config import Broker
from cloud.stream import connection as module
from cloud.stream.connection import Stream
from cloud.stream.lane import Lane, published
from tests.edge.peers import CONNECT, PUBLISH, SUBSCRIBE, Peer
from tests.servers import free_port, until
from wire import topics

BOUND_S = 10.0


class Hasty(SystemClock):
    """The machine's clock, for which no wait is long."""

    def wait(self, event, seconds):
        return event.wait(min(seconds, 0.01))


@pytest.fixture
def follow():
    made = []

    def start(port, arrived=lambda _: None, host="127.0.0.1"):
        one = Stream(Broker(host=host, port=port), "gocche-test", topics.FROM_GATEWAYS, Hasty(), arrived)
        made.append(one)
        one.start()
        return one

    yield start
    for one in made:
        one.close()
        one.close()  # may be called twice
        assert not one._thread.is_alive()


@pytest.mark.parametrize("host", ["mqtt..example.vn", "a" * 64 + ".vn"])
def test_a_name_that_cannot_be_one_is_told_and_does_not_end_the_thread(follow, host):
    one = follow(1883, host=host)
    until(lambda: one._failures > 3, BOUND_S, "it goes on trying")
    assert "idna" in one.why


def test_a_lasting_fault_is_told_once_and_ends_with_the_broker(follow, caplog):
    caplog.set_level(logging.INFO, logger="cloud.stream.connection")
    port = free_port()
    one = follow(port)
    until(lambda: one._failures > 3, BOUND_S, "it goes on trying")
    assert ["refused" in record.message for record in caplog.records] == [True]
    with Peer(port=port) as peer:
        until(lambda: one.connected and peer.seen(SUBSCRIBE), BOUND_S, "connected")
        assert one.why == ""


def test_a_broker_that_closes_before_it_answers_is_told_once(follow, caplog):
    """As a broker does that wants a certificate, or TLS, and gets none."""
    with Peer(shuts=True) as peer:
        one = follow(peer.port)
        until(lambda: one._failures > 2, BOUND_S, "it goes on trying")
    assert ["closes before it answers" in record.message for record in caplog.records] == [True]
    assert "cert_file" in one.why


def test_a_broker_that_takes_us_and_closes_is_told_once(follow, caplog):
    """It looked as if we had not tried yet, for ever."""
    with Peer(mute={SUBSCRIBE}, kicks=True) as peer:
        one = follow(peer.port)
        until(lambda: one._failures > 2, BOUND_S, "it goes on trying")
        assert "closes before it grants" in one.why
    assert sum("closes before it grants" in record.message for record in caplog.records) == 1


def test_leaving_is_no_loss(follow, caplog):
    with Peer() as peer:
        one = follow(peer.port)
        until(lambda: one.connected, BOUND_S, "connected")
        one._client.disconnect()  # as close() does, before it has told the thread to stop
        until(lambda: peer.seen(SUBSCRIBE, 2), BOUND_S, "the connection ended, and a new one was made")
        assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_an_exception_behind_a_message_costs_a_connection_and_no_more(follow, caplog):
    got, defects = [], [RuntimeError("defect")]

    def arrived(message):
        if defects:
            raise defects.pop()
        got.append(message.payload)

    with Peer() as peer:
        one = follow(peer.port, arrived)
        until(lambda: peer.seen(SUBSCRIBE), BOUND_S, "connected")
        peer.tell(topics.up("sg-01"), b"first")
        until(lambda: peer.seen(SUBSCRIBE, 2), BOUND_S, "connected again")
        peer.tell(topics.up("sg-01"), b"second")
        until(lambda: got == [b"second"], BOUND_S, "goes on")
        assert one.connected
    assert "Traceback" in caplog.text


def test_a_refused_subscription_is_no_connection_and_is_told(follow):
    with Peer(grant=0x80) as peer:
        one = follow(peer.port)
        until(lambda: "refuses the subscription to gocche/v1/+/up" in one.why, BOUND_S, "it says so")
        until(lambda: len(peer.connections) > 2, BOUND_S, "it goes on trying")
        assert not one.connected
        peer.grant = 1
        until(lambda: one.connected and not one.why, BOUND_S, "once it is allowed")


def test_a_subscription_that_is_never_granted_is_given_up(follow, monkeypatch):
    monkeypatch.setattr(module, "GRANT_S", 0.2)
    monkeypatch.setattr(module, "PULSE_S", 0.1)
    with Peer(mute={SUBSCRIBE}) as peer:
        one = follow(peer.port)
        until(lambda: len(peer.connections) > 1, BOUND_S, "another try")
        assert (one.connected, "has not granted" in one.why) == (False, True)
        peer.mute.clear()
        until(lambda: one.connected, BOUND_S, "it hears")


@pytest.mark.parametrize(
    ("peers_way", "words"),
    [({"welcome": 1}, "knows no shared subscription"), ({"shuts": True}, "share"), ({"mute": {CONNECT}}, "share")],
    ids=["refuses MQTT 5", "closes", "is silent"],
)
def test_a_broker_that_does_not_know_a_share_is_told(monkeypatch, peers_way, words):
    """An older one grants `$share/…` in MQTT 3.1.1 as a name like any other, and never brings anything."""
    monkeypatch.setattr(module, "GRANT_S", 0.2)
    monkeypatch.setattr(module, "PULSE_S", 0.1)
    with Peer(**peers_way) as peer:
        broker = Broker(port=peer.port, share="gocche")
        one = Stream(broker, "gocche-test", topics.shared("gocche"), Hasty(), lambda _: None)
        one.start()
        until(lambda: words in one.why, BOUND_S, "it says so")
        one.close()


def test_each_process_has_an_id_of_its_own_that_every_broker_takes(follow):
    with Peer() as peer:
        for _ in range(2):
            follow(peer.port)
        until(lambda: len(peer.seen(CONNECT)) == 2, BOUND_S, "two connections")
    ids = [body[12:] for body in peer.seen(CONNECT)]  # after protocol, flags, keep-alive and length
    assert len(set(ids)) == 2
    assert all(one.startswith(b"gocche-test-") for one in ids)
    assert len(b"gocche-ingest-") + 8 <= 23


def test_what_is_too_long_never_reaches_a_queue(follow, caplog):
    """Three packets of 20 MB once waited in memory until somebody looked."""
    got = []
    with Peer() as peer:
        one = follow(peer.port, got.append)
        until(lambda: one.connected, BOUND_S, "connected")
        for size in [65_537] * 7 + [2_000_000]:
            peer.tell(topics.up("sg-01"), bytes(size))
        peer.tell(topics.up("sg-01"), bytes(65_536))
        until(lambda: got, BOUND_S, "the one that is as long as may be")
    assert [len(message.payload) for message in got] == [65_536]
    assert one.too_long == 8
    assert sum("dropped where it arrived" in record.message for record in caplog.records) == 4, "1, 2, 4, 8"


def test_answers_of_many_threads_leave_whole_and_at_once(follow, monkeypatch):
    monkeypatch.setattr(module, "PULSE_S", 30.0)  # it is the message that wakes the thread, not the pulse
    with Peer() as peer:
        one = follow(peer.port)
        until(lambda: peer.seen(SUBSCRIBE), BOUND_S, "connected")

        def answer(name):
            for number in range(50):
                one.publish(topics.ack("sg-01"), f"{name} {number} ".encode() + bytes(2_000))

        threads = [threading.Thread(target=answer, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        until(lambda: len(peer.seen(PUBLISH)) == 200, BOUND_S, "all answers")
        assert {len(body) for body in peer.seen(PUBLISH)} <= {2_000 + len("xxgocche/v1/sg-01/ack") + n for n in (4, 5)}
        assert one._client.socket().getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


class Bytes:
    """A socket that brings bytes in given pieces, and takes a few at a time."""

    def __init__(self, pieces):
        self.pieces, self.taken = list(pieces), b""

    def recv(self, size):
        if not self.pieces:
            raise BlockingIOError
        assert len(self.pieces[0]) <= size
        return self.pieces.pop(0)

    def send(self, data):
        self.taken += bytes(data[:7])
        return min(len(data), 7)


@pytest.mark.parametrize("five", [False, True])
def test_however_the_bytes_are_cut_each_message_is_taken_once_acknowledged_and_the_rest_is_left_to_paho(five):
    properties = b"\x05\x01\x01\x0b\x81\x01" if five else b""

    def message(number, payload, flags=0x32):
        packet = bytearray(published(f"t/{number}", number.to_bytes(2, "big") + properties + payload))
        packet[0] = flags
        return bytes(packet)

    longest, dice = 300, random.Random(7)
    granted, pong = b"\x90\x03\x00\x01\x01", b"\xd0\x00"
    told = [granted, message(1, b"one"), pong, message(2, bytes(300), 0x33), message(3, bytes(301)), message(4, b"")]
    whole = b"".join(
        [*told, published("t/5", b"at most once", five=five), message(6, bytes(30_000)), message(7, b"seven"), pong]
    )
    expected = [(1, 3, False), (2, 300, True), (3, None, False), (4, 0, False), (5, 12, False), (6, None, False)]
    for _ in range(200):
        cuts = sorted(dice.sample(range(1, len(whole)), dice.choice([0, 1, 5, 40])))
        ends = zip([0, *cuts], [*cuts, len(whole)], strict=True)
        sock, got = Bytes(whole[start:end] for start, end in ends), []

        def take(topic, payload, _size, retained, got=got):
            got.append((int(topic[2:]), None if payload is None else len(payload), retained))

        lane = Lane(sock, longest, take, five=five)
        left = b""
        while sock.pieces:
            lane.read()
            while lane.for_paho:
                left += lane.recv(dice.choice([1, 2, 100]))
        lane.flush()
        assert got == [*expected, (7, 5, False)]
        assert left == granted + pong + pong
        assert sock.taken == b"".join(b"\x40\x02" + number.to_bytes(2, "big") for number in (1, 2, 3, 4, 6, 7))


def test_the_end_of_a_connection_and_its_fault_reach_paho_after_what_came_before():
    class Broken(Bytes):
        def recv(self, size):
            if not self.pieces:
                raise ConnectionResetError("reset")
            return super().recv(size)

    lane = Lane(Broken([b"\xd0\x00"]), 300, lambda *_: None)
    lane.read()
    lane.read()
    assert lane.recv(100) == b"\xd0\x00"
    with pytest.raises(ConnectionResetError):
        lane.recv(1)
    closed = Lane(Bytes([b""]), 300, lambda *_: None)
    closed.read()
    assert (closed.for_paho, closed.recv(1)) == (True, b"")
