"""An application on a real socket: its loop says that it turns, and nobody fills the memory before a word is said."""

from __future__ import annotations

import socket
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn.server

from cloud.rooms.listener import listen
from cloud.serve import Server
from cloud.serve.protocol import LONGEST_HEAD
from tests.servers import until

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY_S = 86_400.0


class Wall:
    """The wall clock as uvicorn reads it."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def time(self) -> float:
        return time.time() + self.ahead_s


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    made = Wall()
    monkeypatch.setattr(uvicorn.server, "time", SimpleNamespace(time=made.time))
    return made


async def hello(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer everything alike; it has no `at_once`."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


class Stop(threading.Event):
    """Counts how often it is asked for: the turns of the loop."""

    turns = 0

    def is_set(self) -> bool:
        self.turns += 1
        return super().is_set()


@pytest.fixture
def stop(wall: Wall) -> Stop:
    return Stop()


@pytest.fixture
def port(stop: Stop) -> Iterator[int]:
    listener = listen("127.0.0.1", 0)
    thread = threading.Thread(target=Server(hello, listener).run, args=(stop,))
    thread.start()
    yield listener.getsockname()[1]
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("step_s", [-DAY_S, DAY_S, -50 * 365 * DAY_S])
def test_its_loop_says_that_it_turns_whatever_becomes_of_the_wall_clock(
    port: int, stop: Stop, wall: Wall, step_s: float
) -> None:
    until(lambda: stop.turns, 10, "it turns")
    wall.ahead_s = step_s
    before = stop.turns
    until(lambda: stop.turns >= before + 2, 10, "it turns on")


def test_a_head_that_never_ends_is_ended(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as visitor:
        visitor.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * (2 * LONGEST_HEAD))
        assert visitor.recv(100).startswith(b"HTTP/1.1 400 ")


def test_an_application_with_nothing_ready_is_asked(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as visitor:
        visitor.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        said = b"".join(iter(lambda: visitor.recv(1_000), b""))
    assert said.endswith(b"\r\n\r\nhello")
