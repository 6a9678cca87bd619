"""How the server is, answered at the door from what its rooms say in their beats: `/healthz` and `/metrics`.

Whatever hangs behind it, this answers: it asks nobody. It names gateways, files and addresses, so it listens on
loopback, or asks for a token.
"""

from __future__ import annotations

import hmac
import json
import socket
import threading
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Self

    from gocche.child import Life

PATIENCE_S = 5.0  # for a request; who says nothing holds up nobody
AT_ONCE = 16


def told(lives: Mapping[str, Life], now: float) -> dict[str, Any]:
    """Return the health of all rooms: `ok`, what is `ill` in words, what a person should `look_at`, each room's own.

    A room is ill while it does not live, or says itself why it is not well; what it once counted is no illness.
    """
    rooms = {name: _room(life, now) for name, life in lives.items() if life.child.beats}
    own = {name: lives[name].told for name in rooms}
    return {
        "ok": all(room["ok"] for room in rooms.values()),
        "ill": [f"{name}: {room['why']}" for name, room in rooms.items() if not room["ok"]],
        "look_at": [f"{name}: {sign}" for name, facts in own.items() for sign in facts.get("look_at", ())],
        "rooms": rooms,
        **own,
    }


def _room(life: Life, now: float) -> dict[str, Any]:
    if life.deaths and not life.ready:
        why = f"died, {life.deaths} in a row: {life.last_words}"
    elif life.process is None or not life.ready:
        why = "is starting"
    elif not life.beats(now):
        why = f"stuck: not heard for {now - life.heard_at:.0f} s"
    else:
        why = life.told.get("why", "has not said yet how it is")
    return {
        "ok": not why,
        "why": why,
        "pid": life.process.pid if life.process else None,
        "restarts": life.restarts,
        "heard_s": round(now - life.heard_at, 1) if life.heard_at else None,
    }


def metrics(health: dict[str, Any]) -> str:
    """Return the same for Prometheus (text format 0.0.4)."""
    lines = []
    for name, kind, help_text, samples in _families(health):
        found = [(labels, value) for labels, value in samples if isinstance(value, int | float)]
        if found:
            lines += [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]
        for labels, value in found:
            spelled = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
            lines.append(f"{name}{{{spelled}}} {_number(value)}" if spelled else f"{name} {_number(value)}")
    return "\n".join(lines) + "\n"


_Samples = list[tuple[dict[str, str], Any]]


def _families(health: dict[str, Any]) -> Iterator[tuple[str, str, str, _Samples]]:
    rooms, ingest, alerts = health["rooms"], health.get("ingest", {}), health.get("alerts", {})
    yield "gocche_up", "gauge", "1 while every room is well.", [({}, int(health["ok"]))]
    for name, kind, help_text, key in (
        ("gocche_room_up", "gauge", "1 while the room is well.", "ok"),
        ("gocche_room_restarts_total", "counter", "How often the room was started again.", "restarts"),
        ("gocche_room_heard_seconds", "gauge", "Since the room's last beat.", "heard_s"),
    ):
        yield name, kind, help_text, [({"room": room}, facts[key]) for room, facts in rooms.items()]
    audit = ingest.get("audit", {})
    yield (
        "gocche_readings",
        "gauge",
        "What became of every reading; unknown must be 0.",
        [({"fate": fate}, n) for fate, n in audit.items()],
    )
    yield (
        "gocche_ingest_messages_total",
        "counter",
        "Messages since the room's start, by what became of them.",
        [({"outcome": what}, n) for what, n in ingest.get("counts", {}).items()],
    )
    yield "gocche_ingest_queued", "gauge", "Messages that wait to be stored.", [({}, ingest.get("queued"))]
    yield "gocche_quarantined", "gauge", "Put into quarantine in 24 h.", [({}, ingest.get("quarantined_24h"))]
    store = ingest.get("store", {})
    yield "gocche_store_bytes", "gauge", "Size of the store's files.", [({}, store.get("size_bytes"))]
    yield "gocche_store_wal_bytes", "gauge", "Of them, not yet folded in.", [({}, store.get("wal_bytes"))]
    for name, help_text, key in (
        ("gocche_alerts_open", "Incidents that have not ended.", "open"),
        ("gocche_alerts_waiting", "Letters that wait to be delivered.", "waiting"),
        ("gocche_alerts_oldest_waiting_seconds", "How long the oldest of them has waited.", "oldest_waiting_s"),
        ("gocche_alerts_given_up", "Letters given up within a day.", "given_up"),
    ):
        yield name, "gauge", help_text, [({}, alerts.get(key))]
    yield (
        "gocche_follower_missed_total",
        "counter",
        "Messages that found no room and come by the ledger.",
        [({"room": room}, health.get(room, {}).get("missed")) for room in rooms],
    )


def _number(value: float) -> str:
    """Return a number in full: of a counter cut to six digits nobody sees that it counts."""
    return repr(value) if isinstance(value, float) else str(int(value))


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


class Desk:
    """Answers on a listening socket, in threads of its own, until the context ends."""

    def __init__(self, listener: socket.socket, ask: Callable[[], dict[str, Any]], token: str) -> None:
        self._server = _Server(listener, ask, token)
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listener: socket.socket, ask: Callable[[], dict[str, Any]], token: str) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.ask, self.token = ask, token
        self._seats: dict[socket.socket, str] = {}  # who is being answered, in the order of coming, and whence

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread; where all seats are taken, who sits there longest has to go.

        It is one of the address that has most of them: so nobody keeps others out, a byte at a time.
        """
        seats = list(self._seats.items())
        if len(seats) >= AT_ONCE:
            taken = Counter(whence for _, whence in seats)
            most = max(taken.values())
            other = next(one for one, whence in seats if taken[whence] == most)
            self._seats.pop(other, None)
            with suppress(OSError):
                other.shutdown(socket.SHUT_RDWR)  # its thread reads an end and ends
        self._seats[request] = client_address[0]
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and let the next one in."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._seats.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over who went away."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = PATIENCE_S
    server_version, sys_version = "gocche", ""

    def do_GET(self) -> None:
        """Answer `/healthz` and `/metrics`."""
        shown = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.server.token and not hmac.compare_digest(shown.encode(), self.server.token.encode()):
            self._answer(401, "text/plain", "show the token of [health] token_file: Authorization: Bearer …\n")
        elif self.path == "/healthz":
            health = self.server.ask()
            self._answer(200 if health["ok"] else 503, "application/json", json.dumps(health) + "\n")
        elif self.path == "/metrics":
            self._answer(200, "text/plain; version=0.0.4; charset=utf-8", metrics(self.server.ask()))
        else:
            self._answer(404, "text/plain", "there are /healthz and /metrics\n")

    def _answer(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep no log of who asks."""
