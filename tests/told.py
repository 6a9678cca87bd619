"""HTTP servers that play documented interfaces of those who tell people: Zalo's bots, a telephone that sends SMS."""

from __future__ import annotations

import hashlib
import hmac
import json
import queue
import threading
from base64 import b64encode
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Self

TOKEN = "12345689:abc-xyz"
SECRET = "hush-hush-hush"
USER, PASSWORD = "sms", "p4ssw0rd"


class _Server:
    """A server in a thread of its own. `answer` is said instead of what is documented: (status, body)."""

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] | None = None
        self.headers = dict[str, str]()
        self.asked: list[str] = []  # paths
        self.fault: Exception | None = None
        playing = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._say(405, b"")

            def do_GET(self) -> None:
                self._say(*playing.answer) if playing.answer else self._say(*playing.look(self))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                playing.asked.append(self.path)
                self._say(*(playing.answer or playing.take(self, body)))

            def _say(self, status: int, body: bytes) -> None:
                with suppress(OSError):  # whoever asked has lost patience
                    self.send_response(status)
                    for name, value in playing.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body if self.command != "HEAD" else b"")

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the library
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port

    def look(self, asks: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        return 405, b""

    def take(self, asks: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        raise NotImplementedError

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Zalo(_Server):
    """The Zalo Bot Platform: sendMessage, getMe, getUpdates, which hands over one update and forgets it."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[tuple[str, str]] = []  # (chat, text)
        self.chats = {"e4ea2cd5189df1c3a88c"}
        self.says = queue.SimpleQueue[dict[str, Any]]()
        self.error_status = 200  # the documentation does not say which; both are played
        self.polls = 0

    def take(self, asks: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        _, bot, method = asks.path.split("/")
        if bot != f"bot{TOKEN}":
            return self._error(401, "Unauthorized")
        asked = json.loads(body)
        if asks.headers["Content-Type"] != "application/json":
            return self._error(400, "Bad request")
        if method == "getMe":
            return self._ok({"id": "1459232241454765289", "account_name": "bot.VDKyGxQvc", "account_type": "BASIC"})
        if method == "sendMessage":
            return self._send(asked)
        if method == "getUpdates":
            return self._update(asked)
        return self._error(404, "Not found")

    def says_that(self, text: str, key: str, *, chat: str = "e4ea2cd5189df1c3a88c", **more: Any) -> dict[str, Any]:
        """Return an update as it is documented, and keep it for getUpdates."""
        sender = more.pop("sender", chat)
        message = {
            "from": {"id": sender, "display_name": "Ted", "is_bot": more.pop("is_bot", False)},
            "chat": {"id": chat, "chat_type": more.pop("chat_type", "PRIVATE")},
            "text": text,
            "message_id": key,
            "date": 1_750_316_131_602,
        }
        update = {"message": message | more, "event_name": "message.text.received"}
        self.says.put(update)
        return {"ok": True, "result": update}

    def _send(self, asked: dict[str, Any]) -> tuple[int, bytes]:
        if not 1 <= len(asked["text"].encode("utf-16-le")) // 2 <= 2_000:
            return self._error(400, "text: 1 to 2000 characters")
        if asked["chat_id"] not in self.chats:
            return self._error(404, "chat not found")
        self.got.append((asked["chat_id"], asked["text"]))
        return self._ok({"message_id": f"82599fa32f56d00e{len(self.got)}", "date": 1_749_632_637_199})

    def _update(self, asked: dict[str, Any]) -> tuple[int, bytes]:
        self.polls += 1
        with suppress(queue.Empty):
            return self._ok(self.says.get(timeout=float(asked["timeout"])))
        return self._error(408, "Request timeout")

    def _ok(self, result: Any) -> tuple[int, bytes]:
        return 200, json.dumps({"ok": True, "result": result}).encode()

    def _error(self, code: int, words: str) -> tuple[int, bytes]:
        said = {"ok": False, "error_code": code, "description": words}
        return (code if self.error_status != 200 else 200), json.dumps(said).encode()


class Phone(_Server):
    """SMS Gateway for Android, its local server: POST /messages (swagger.json of the app), and what it posts itself."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[dict[str, Any]] = []

    def look(self, asks: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        return (200, b"[]") if self._known(asks) else (401, b'{"message":"Unauthorized"}')

    def take(self, asks: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        if not self._known(asks):
            return 401, b'{"message":"Unauthorized"}'
        asked = json.loads(body)
        wrong = (
            not asked.get("phoneNumbers")
            or any(not number.startswith("+") for number in asked["phoneNumbers"])
            or [*asked].count("textMessage") != 1
            or "message" in asked
            or not isinstance(asked["textMessage"]["text"], str)
            or len(asked.get("id", "")) > 36
            or asked.get("priority") not in (-128, 0, 100, 127)
            or not isinstance(asked.get("ttl", 5), int)
        )
        if asks.path != "/messages" or wrong:
            return 400, b'{"message":"Invalid request"}'
        if asked["id"] in [one["id"] for one in self.got]:
            return 409, b'{"message":"Message with such ID already exists"}'
        self.got.append(asked)
        return 202, json.dumps({"id": asked["id"], "state": "Pending", "recipients": []}).encode()

    def posts(self, event: str, payload: dict[str, Any], *, key: str = "Ey6ECgOkVVFjz3CL48B8C") -> tuple[Any, bytes]:
        """Return (headers, body) of what the app posts to a webhook."""
        body = json.dumps(
            {"deviceId": "ffffffffceb0b1db", "event": event, "id": key, "payload": payload, "webhookId": "w1"}
        ).encode()
        mark = hmac.new(SECRET.encode(), body + b"1764220000", hashlib.sha256).hexdigest()
        return {"Content-Type": "application/json", "X-Signature": mark, "X-Timestamp": "1764220000"}, body

    def _known(self, asks: BaseHTTPRequestHandler) -> bool:
        return asks.headers["Authorization"] == "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()
