"""An application on a real socket: its loop says that it turns, and nobody fills the memory before a word is said."""

from __future__ import annotations

import socket
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn.server
from uvicorn.server import ServerState

from cloud.rooms.listener import listen
from cloud.serve import KEEP_ALIVE_S, Server
from cloud.serve.protocol import HEAD_S, LONGEST_HEAD, Protocol
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


# --- what is ready


class Quick:
    """An application that has one page ready, and makes others by ASGI."""

    def __init__(self) -> None:
        self.made: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.made.append(scope["path"])
        await hello(scope, receive, send)

    def at_once(self, _method: bytes, url: bytes, told: dict[bytes, bytes]) -> Any:
        assert b"host" in told
        return (
            SimpleNamespace(head=b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n", body=b"ready") if url == b"/r" else None
        )


class _Task:
    def add_done_callback(self, _what: Any) -> None: ...


class Line:
    """A loop whose clock stands until it is moved, and the far end of a connection that is served in it."""

    def __init__(self, app: Any) -> None:
        self.now_s, self.said, self.timers, self.tasks = 100.0, b"", [], []  # type: float, bytes, list[Any], list[Any]
        self.closed, self.armed = False, 0
        bare: Any = {"lifespan": "off", "ws": "none", "access_log": False, "proxy_headers": False}
        config = uvicorn.Config(app, timeout_keep_alive=KEEP_ALIVE_S, **bare)
        loop: Any = self
        self.protocol: Any = Protocol(config, ServerState(), {}, loop)
        self.protocol.connection_made(self)

    def get_extra_info(self, _name: str) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...

    def time(self) -> float:
        return self.now_s

    def call_later(self, after_s: float, what: Any) -> Any:
        timer = SimpleNamespace(at_s=self.now_s + after_s, what=what, cancel=lambda: self.timers.remove(timer))
        self.timers.append(timer)
        self.armed += 1
        return timer

    def create_task(self, task: Any) -> Any:
        self.tasks.append(task)
        return _Task()

    def write(self, data: bytes) -> None:
        self.said += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def hear(self, data: bytes) -> bytes:
        """Have the server hear something, and return what it says now."""
        self.said = b""
        self.protocol.data_received(data)
        return self.said

    def work(self) -> bytes:
        """Let the application answer."""
        self.said = b""
        while self.tasks:
            with pytest.raises(StopIteration):
                self.tasks.pop(0).send(None)
        return self.said

    def passes(self, seconds: float) -> None:
        self.now_s += seconds
        while due := [timer for timer in self.timers if timer.at_s <= self.now_s]:
            due[0].cancel()
            due[0].what()


READY, MADE = b"GET /r HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /m HTTP/1.1\r\nHost: a\r\n\r\n"


def test_what_is_ready_costs_no_task_and_no_timer_of_its_own() -> None:
    app = Quick()
    line = Line(app)
    for _ in range(50):
        assert line.hear(READY).endswith(b"\r\n\r\nready")
    assert (app.made, line.tasks, line.armed) == ([], [], 1)


@pytest.mark.parametrize(
    ("asked", "answers"),
    [
        (MADE + READY, b"hello hello"),
        (READY + MADE + READY, b"ready hello hello"),
        (READY.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\nabc") + READY, b"ready ready"),
        (READY.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 40\r\n\r\n") + READY, b"ready"),
        (READY.replace(b"Host", b"Expect: 100-continue\r\nHost"), b"hello"),
        (READY.replace(b"1.1", b"1.0"), b"hello"),
        (READY.replace(b"1.1", b"1.0").replace(b"Host", b"Connection: keep-alive\r\nHost"), b"hello"),
        (READY.replace(b"Host", b"Connection: close\r\nHost"), b"hello"),
        (READY.replace(b"Host", b"Connection: Upgrade\r\nUpgrade: h2c\r\nHost"), b"hello"),
    ],
)
def test_whatever_comes_with_a_request_it_has_one_answer_in_its_order(asked: bytes, answers: bytes) -> None:
    for pieces in ([asked], [bytes([byte]) for byte in asked]):
        line = Line(Quick())
        said = b"".join([*map(line.hear, pieces), line.work()])
        assert [part[:5] for part in said.split(b"\r\n\r\n")[1:]] == answers.split()


def test_a_connection_on_which_nothing_is_asked_is_ended_and_no_other() -> None:
    line = Line(Quick())
    for _ in range(4):
        line.hear(READY)
        line.passes(KEEP_ALIVE_S - 0.1)
        line.hear(MADE)
        line.passes(2 * KEEP_ALIVE_S)
        assert line.work().endswith(b"hello"), "what takes long is waited for"
        line.passes(KEEP_ALIVE_S - 0.1)
    line.hear(READY[:20])
    line.passes(3 * KEEP_ALIVE_S)
    assert line.hear(READY[20:]).endswith(b"ready"), "what comes in pieces too"
    line.passes(KEEP_ALIVE_S - 0.1)
    assert not line.closed
    line.passes(0.2)
    assert line.closed


@pytest.mark.parametrize("before", [b"", READY, MADE])
def test_a_head_that_does_not_end_holds_no_connection(before: bytes) -> None:
    """By itself uvicorn waits for ever: of the staff's hundred connections each is one that nobody else has."""
    line = Line(Quick())
    line.hear(before)
    line.work()
    for byte in READY[:19]:
        line.hear(bytes([byte]))
        line.passes(1.0)
    assert not line.closed
    line.said = b""
    line.passes(HEAD_S)
    assert line.closed
    assert line.said.startswith(b"HTTP/1.1 400")


def test_a_connection_that_never_asks_is_ended_and_a_body_is_waited_for() -> None:
    silent, slow = Line(Quick()), Line(Quick())
    slow.hear(MADE.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n"))
    for line in (silent, slow):
        line.passes(KEEP_ALIVE_S - 0.1)
        assert not line.closed
        line.passes(2 * HEAD_S)
    assert (silent.closed, slow.closed) == (True, False)
    assert slow.work().endswith(b"hello")


def test_a_connection_that_is_gone_leaves_no_timer() -> None:
    line = Line(Quick())
    line.hear(READY)
    line.protocol.connection_lost(None)
    assert not line.timers
