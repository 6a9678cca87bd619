"""uvicorn's fast protocol with a bound: who begins a request and never ends its head is not listened to for ever."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LONGEST_HEAD = 64 * 1024  # bytes of a request before its body, as h11 bounds it; httptools itself has no bound


class Bounded(HttpToolsProtocol):
    """Ends a connection whose request has too long a head."""

    def __init__(self, *of: Any, **named: Any) -> None:
        super().__init__(*of, **named)
        self._head, self._in_head = 0, True

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
