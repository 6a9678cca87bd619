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
from tests.edge.peers import PUBLISH, SUBSCRIBE, Peer
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
