"""uvicorn's fast protocol, with a bound on what it reads before a word is said, and one piece for what is ready.

Half of a visit's work is a task, an event and a header at a time through ASGI: for a page that was made a moment ago
for somebody else it is spared (measured: a third of the CPU of a visit remains).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

LONGEST_HEAD = 64 * 1024  # bytes of a request before its body, as h11 bounds it; httptools itself has no bound


class Protocol(HttpToolsProtocol):
    """Ends a connection whose request has too long a head; answers at once with what an app has ready (`at_once`)."""

    def __init__(self, *of: Any, **named: Any) -> None:
        super().__init__(*of, **named)
        self._head, self._in_head = 0, True
        self._at_once = getattr(self.app, "at_once", lambda _scope: None)

    def data_received(self, data: bytes) -> None:
        """Take what came, as long as it may still become a request."""
        if self._in_head:
            self._head += len(data)
        super().data_received(data)
        if self._in_head and self._head > LONGEST_HEAD and not self.transport.is_closing():
            self.send_400_response("Request head too long.")

    def on_headers_complete(self) -> None:
        """Count no further: what follows is a body."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Begin to count again."""
        self._head, self._in_head = 0, True
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Answer in one piece where that is ready and nothing else is waiting to be sent; else as uvicorn does."""
        calm = cycle.keep_alive and not cycle.waiting_for_100_continue and not self.flow.write_paused
        form = self._at_once(cycle.scope) if calm and not self.pipeline and app is self.app else None
        if form is None:
            super()._start_asgi_task(cycle, app)
            return
        own = [part for name, value in cycle.default_headers for part in (name, b": ", value, b"\r\n")]
        cycle.response_started = cycle.response_complete = True
        self.transport.write(b"".join([form.head, *own, b"\r\n", form.body]))
        self.on_response_complete()
