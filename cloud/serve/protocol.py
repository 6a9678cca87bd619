"""uvicorn's fast protocol, with a bound on what it reads before a word is said, and one piece for what is ready.

Most of a visit's work is uvicorn's preparation for an application: a scope, a cycle, an event, a task, a timer to end
the connection and its end, and a header at a time through ASGI. For a page that was made a moment ago for somebody else
none of it is needed (measured: a quarter of the Python of a visit remains). So a request is only listened to; what the
application has ready (`at_once`) is written as soon as its head is whole. Where nothing is ready, uvicorn is told the
whole request and does the rest. A connection has one timer, which looks now and then how long nothing was asked, or how
long a head has not ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from asyncio import TimerHandle

LONGEST_HEAD = 64 * 1024  # bytes of a request before its body, as h11 bounds it; httptools itself has no bound
HEAD_S = 20.0  # from the first byte of a head to its last; uvicorn itself waits for ever


class Protocol(HttpToolsProtocol):
    """Answers at once with what an app has ready (`at_once`).

    Ends a connection that asks nothing, or whose head is too long or does not end.
    """

    def __init__(self, *of: Any, **named: Any) -> None:
        super().__init__(*of, **named)
        self._head, self._in_head = 0, True
        self._begun = self._answered = False  # the request that is read
        self._at_once = getattr(self.app, "at_once", None) if self.limit_concurrency is None else None
        self._asked_s = self._begun_s = 0.0
        self._rest: TimerHandle | None = None
        self._own: list[tuple[bytes, bytes]] = []
        self._own_lines = b""

    def connection_made(self, transport: Any) -> None:
        """Begin to look how long nothing is asked."""
        super().connection_made(transport)
        self._asked_s = self.loop.time()
        self._rest = self.loop.call_later(self.timeout_keep_alive, self._rested)

    def data_received(self, data: bytes) -> None:
        """Take what came, as long as it may still become a request."""
        if self._in_head:
            self._head += len(data)
        super().data_received(data)
        if self._in_head and self._head > LONGEST_HEAD and not self.transport.is_closing():
            self.send_400_response("Request head too long.")

    def connection_lost(self, exc: Exception | None) -> None:
        """End the timer too."""
        if self._rest is not None:
            self._rest.cancel()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Only listen: what uvicorn prepares is prepared where it is needed."""
        self.url, self.headers = b"", []
        self._begun, self._answered, self._begun_s = True, False, self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Answer with what is ready, else let uvicorn hear the request from its beginning. What follows is a body."""
        self._in_head = False
        if self._at_once is not None and self._calm():
            told = dict(self.headers)
            form = None if b"expect" in told else self._at_once(self.parser.get_method(), self.url, told)
            if form is not None:
                self._answer(form.head, form.body)
                return
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass over what comes with a request that is answered."""
        if not self._answered:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Begin to count again."""
        self._head, self._in_head, self._begun = 0, True, False
        if not self._answered:
            super().on_message_complete()

    def _calm(self) -> bool:
        """Tell whether an answer may go out now: none before it is due, the line takes it and stays open after it."""
        parser = self.parser
        return (
            (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and parser.get_http_version() == "1.1"
        )

    def _answer(self, head: bytes, body: bytes) -> None:
        self._answered = True
        own = self.server_state.default_headers
        if own is not self._own:  # anew each second: they hold the date
            self._own = own
            self._own_lines = b"".join(b"%b: %b\r\n" % pair for pair in own) + b"\r\n"
        self.transport.write(b"".join((head, self._own_lines, body)))
        self.server_state.total_requests += 1
        self._asked_s = self.loop.time()

    def _rested(self) -> None:
        """End a connection on which nothing was asked for long, or whose head does not end."""
        own = self.timeout_keep_alive_task is not None or not (self.cycle is None or self.cycle.response_complete)
        heading = self._begun and self._in_head
        left_s: float = self.timeout_keep_alive  # while uvicorn answers, or waits by its own timer
        if not own and heading:
            left_s = self._begun_s + HEAD_S - self.loop.time()
        elif not own:
            left_s = self._asked_s + self.timeout_keep_alive - self.loop.time()
        if left_s > 0:
            self._rest = self.loop.call_later(left_s, self._rested)
        elif heading and not self.transport.is_closing():
            self.send_400_response("Request head does not end.")
        else:
            self.timeout_keep_alive_handler()
