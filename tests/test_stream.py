"""The cloud's connection to the broker: whatever name, peer or message it meets, it says why and goes on."""

from __future__ import annotations

import logging
import socket
import threading

import pytest

from cloud.clock import SystemClock
from cloud.config import Broker
from cloud.stream import connection as module
from cloud.stream.connection import Stream
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
