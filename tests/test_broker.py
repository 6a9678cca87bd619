"""The embedded broker as a process of its own, talked to by paho: what the contract needs of a broker, and no more."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from gocche import broker
from tests.servers import free_port, until
from wire import topics

if TYPE_CHECKING:
    from collections.abc import Iterator

BOUND_S = 15.0
CHILD = """
import signal, sys, threading
from gocche import broker
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
broker.run(sys.argv[1], int(sys.argv[2]), stop, lambda port: print(port, flush=True))
"""


@contextmanager
def running(port: int = 0) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    command = [sys.executable, "-W", "error", "-c", CHILD, "127.0.0.1", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield int(process.stdout.readline()), process
        finally:
            process.terminate()
            said = process.stderr.read()
            assert process.wait(BOUND_S) == 0
            assert said == ""  # a quiet log, also when clients die


class Friend:
    """One paho client, connected and subscribed."""

    def __init__(self, port: int, *subscriptions: str) -> None:
        self.got: list[MQTTMessage] = []
        self.client = Client(CallbackAPIVersion.VERSION2)
        self.client.max_inflight_messages_set(8)  # as the uplink does
        self.client.on_message = lambda _client, _data, message: self.got.append(message)
        self._port = port
        self._subscriptions = subscriptions

    def __enter__(self) -> Self:
        ready, subscribed = threading.Event(), threading.Event()
        self.client.on_connect = lambda *_: ready.set()
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.connect("127.0.0.1", self._port, keepalive=30)
        self.client.loop_start()
        assert ready.wait(BOUND_S)
        if self._subscriptions:
            self.client.subscribe([(topic, 1) for topic in self._subscriptions])
            assert subscribed.wait(BOUND_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def publish(self, topic: str, payload: bytes, qos: int = 1, *, retain: bool = False) -> None:
        self.client.publish(topic, payload, qos, retain).wait_for_publish(BOUND_S)


def test_hundreds_of_messages_a_second_arrive_whole_and_in_order() -> None:
    count = 600
    with running() as (port, _), Friend(port, topics.ALL_UP) as cloud, Friend(port) as edge:
        sent = [edge.client.publish(topics.up("sg-01"), b"%d " % number + bytes(400), 1) for number in range(count)]
        sent[-1].wait_for_publish(BOUND_S)
        until(lambda: len(cloud.got) >= count, BOUND_S, "all messages arrive")
        assert [int(message.payload.split()[0]) for message in cloud.got] == list(range(count))
        assert {(message.topic, message.qos, message.retain) for message in cloud.got} == {
            ("gocche/v1/sg-01/up", 1, False)
        }


def test_status_is_retained_and_acknowledgements_are_not() -> None:
    with running() as (port, _), Friend(port) as edge:
        edge.publish(topics.ack("sg-01"), b"gone", qos=0)
        edge.publish(topics.status("sg-01"), b"first", retain=True)
        edge.publish(topics.status("sg-01"), b"second", retain=True)
        with Friend(port, topics.ALL_STATUS, topics.ack("sg-01")) as late:
            until(lambda: late.got, BOUND_S, "the retained status")
            edge.publish(topics.ack("sg-01"), b"now", qos=0)
            until(lambda: len(late.got) == 2, BOUND_S, "the acknowledgement")
        assert [(message.payload, message.retain) for message in late.got] == [(b"second", True), (b"now", False)]


def test_who_connects_gets_nothing_that_others_alone_asked_for() -> None:
    with running() as (port, _), Friend(port) as edge, Friend(port, topics.ALL_STATUS) as cloud:
        edge.publish(topics.status("sg-01"), b"online", retain=True)
        until(lambda: cloud.got, BOUND_S, "the status, which is retained by then")
        with Friend(port, topics.FROM_PHONES) as coverage:
            phone = topics.phone("ht-01", "nr_message")
            edge.publish(phone, b"heard")
            until(lambda: phone in [message.topic for message in coverage.got], BOUND_S, "what it asked for")
        assert [message.topic for message in coverage.got] == [phone]


def test_last_will_comes_when_a_gateway_is_cut_off() -> None:
    with running() as (port, _), Friend(port, topics.ALL_STATUS) as cloud:
        edge = Friend(port)
        edge.client.will_set(topics.status("sg-01"), b"offline", 1, retain=True)
        with edge:
            edge.client.socket().shutdown(socket.SHUT_RDWR)
            until(lambda: cloud.got, BOUND_S, "the will")
            edge.client.on_connect = None
        assert cloud.got[0].payload == b"offline"


def test_clients_come_back_by_themselves_after_kill_9() -> None:
    port = free_port()
    command = [sys.executable, "-c", CHILD, "127.0.0.1", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        first.stdout.readline()
        with Friend(port, topics.ALL_UP) as cloud:
            cloud.client.on_connect = lambda client, *_: client.subscribe(topics.ALL_UP, 1)
            cloud.client.reconnect_delay_set(1, 1)
            first.send_signal(signal.SIGKILL)
            first.wait(BOUND_S)
            with running(port), Friend(port) as edge:
                again = threading.Event()
                cloud.client.on_subscribe = lambda *_: again.set()
                assert again.wait(BOUND_S)
                edge.publish(topics.up("sg-01"), b"after")
                until(lambda: cloud.got, BOUND_S, "a message after the restart")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", ""])
def test_addresses_that_others_can_reach_are_refused(host: str) -> None:
    with pytest.raises(broker.Refused, match=r"loopback only.*Mosquitto"):
        broker.run(host, 0, threading.Event())


def test_taken_port_is_told_with_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(broker.Refused, match="free that port"):
        broker.run("127.0.0.1", other.getsockname()[1], threading.Event())
