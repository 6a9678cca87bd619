"""Whatever answers in InfluxDB's place: each request ends in time, and nothing is taken for stored."""

from __future__ import annotations

import http.server
import socket
import ssl
import subprocess
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from cloud.store import Retry, open_store
from cloud.store.engines.influx import bounded, parcels, posting, writing
from tests.build import EPOCH, START_MS, batch, soil
from tests.in_front import InFront
from tests.servers import influx_table
from wire.batch import Gap, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE_S = 0.15
BOUND_S = 3.0  # a slow machine; what is not bounded takes minutes


def said(body: bytes, status: str = "200 OK", *more: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *more, "", ""]
    return "\r\n".join(head).encode() + body


PORTAL = said(b"<html><body>Please sign in</body></html>", "200 OK", "Content-Type: text/html")
ANSWERS: dict[str, bytes] = {
    "a login page": PORTAL,
    "a way to a login page": said(b"", "302 Found", "Location: /login"),
    "no content at all": said(b""),
    "nothing but an end": b"",
    "not HTTP": b"220 mail ESMTP ready\r\n" * 40,
    "a list": said(b"[]"),
    "another object": said(b'{"ok": true}'),
    "results that are a number": said(b'{"results": 5}'),
    "too many results": said(b'{"results": [{}, {}, {}, {}, {}, {}, {}]}'),
    "rows that are no rows": said(b'{"results": [{"series": [{"columns": ["time"], "values": [7]}]}]}'),
    "nested without end": said(b'{"results": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "text that is no UTF-8": said(b'{"results": [{"error": "\xff\xfe"}]}'),
    "trouble": said(b'{"error": "engine: cache maximum memory size exceeded"}', "503 Service Unavailable"),
    "trouble told as a page": said(b"<html>" + b"x" * 2_000_000, "500 Internal Server Error"),
    "half a reply": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{",
    "no room": said(b'{"error": "too large"}', "413 Request Entity Too Large"),
    "no sense": said(b'{"error": "unprocessable"}', "422 Unprocessable Entity"),
}


class Stranger:
    """A listener that answers each request with the bytes of `answer`, piece by piece, until the client goes."""

    def __init__(self, answer: Callable[[], Iterator[bytes]], pause_s: float = 0.0) -> None:
        self._answer, self._pause = answer, pause_s
        self._stop = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def _accept(self) -> None:
        self._server.settimeout(0.05)
        while not self._stop.is_set():
            try:
                client, _ = self._server.accept()
            except TimeoutError:
                continue
            self._threads.append(threading.Thread(target=self._serve, args=(client,)))
            self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            client.settimeout(BOUND_S)
            try:
                client.recv(65_536)
                for piece in self._answer():
                    client.sendall(piece)
                    if self._stop.wait(self._pause):
                        return
            except OSError:
                return

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._server.close()


def asked(url: str, patience_s: float = PATIENCE_S) -> dict[str, str]:
    """Return, for everything that a store is asked, the words of its Retry; "" where it said nothing."""
    store: Any = open_store({"engine": "influx", "url": url, "timeout_s": patience_s}, writer=True)
    words = {}
    for name, ask in {
        "setup": store.setup,
        "commit": lambda: store.commit([batch(rows=soil(3))], START_MS),
        "status": lambda: store.write_status("sg-01", Status(1, "online", epoch="00" * 8), START_MS),
        "ledger": store.ledger,
        "latest": store.latest,
        "statuses": store.statuses,
        "series": lambda: store.series("sg-01", "soil-1", "soil_ph", 0, 1),
    }.items():
        started = time.monotonic()
        try:
            ask()
            words[name] = ""
        except Retry as fault:
            words[name] = str(fault)
        assert time.monotonic() - started < BOUND_S, f"{name} is not bounded"
    assert store.health()["engine"] == "influx"
    store.close()
    return words


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=list(ANSWERS))
def test_whatever_answers_nothing_is_taken_for_stored(answer: bytes) -> None:
    stranger = Stranger(lambda: iter([answer]))
    words = asked(stranger.url)
    stranger.close()
    assert "" not in words.values(), words


SLOW: dict[str, Callable[[], Iterator[bytes]]] = {
    "nothing, for ever": lambda: iter([b""] * 1_000),
    "a byte a while": lambda: (bytes([byte]) for byte in said(b" " * 100_000)),
    "a body a byte a while": lambda: (piece for piece in [said(b"")[:-4] + b"0000\r\n\r\n", *[b" "] * 1_000]),
    "headers without end": lambda: (b"HTTP/1.1 200 OK\r\n" if n == 0 else b"X: 1\r\n" for n in range(1_000)),
}


@pytest.mark.parametrize("answer", SLOW.values(), ids=list(SLOW))
def test_what_answers_slowly_is_given_up_when_its_time_is_over(answer: Callable[[], Iterator[bytes]]) -> None:
    stranger = Stranger(answer, pause_s=0.03)
    words = asked(stranger.url)
    stranger.close()
    assert "" not in words.values(), words
    assert len({said for said in words.values() if "no whole reply" in said}) <= 1, "what differs is logged as news"


def test_a_reply_without_end_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (bounded, posting):
        monkeypatch.setattr(module, "MAX_REPLY", 2**20)
    endless = [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        *[b"10000\r\n" + b"x" * 65_536 + b"\r\n"] * 400,
    ]
    stranger = Stranger(lambda: iter(endless))
    words = asked(stranger.url, patience_s=BOUND_S / 2)  # as long as a busy machine takes to send a megabyte
    stranger.close()
    assert [name for name, told in words.items() if "larger than 1048576 bytes" not in told] == []


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.influx) for name in ("influxd1", "influxd2")])
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def test_a_type_conflict_told_as_500_costs_only_its_own_line(server: Any, tmp_path: Path) -> None:
    """As some InfluxDB do (telegraf 11005): retried for ever it would take its neighbours along."""

    def alter(path: str, answer: tuple[int, bytes]) -> tuple[int, bytes]:
        return (500, answer[1]) if path.startswith("/write") and answer[0] in {400, 422} else answer

    with InFront(server.url, alter) as front:
        store: Any = open_store(influx_table(server, tmp_path) | {"url": front.url}, writer=True)
        store.setup()
        store.commit([batch(gateway="sg-09", rows=soil(1))], START_MS)
        store._server.write(f"reading,channel=foreign,gateway=foreign co2=1i {START_MS * 1_000_000}")
        mixed = batch(rows=[{"air-1": {"co2": 400}}, *soil(3)])
        (refused,) = store.commit([mixed], START_MS + 1)
        assert [one.seq for one in refused] == [1]
        assert "type conflict" in refused[0].reason
        assert len(store.series("sg-01", "soil-1", "soil_moisture", 0, 2**62)) == 3
        assert [(row.gateway, row.refused) for row in store.ledger()] == [("sg-09", 0), ("sg-01", 1)]
        store.close()


def test_a_server_too_slow_to_find_its_bad_lines_is_in_trouble(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed = batch(rows=[{"air-1": {"co2": 400}}, *soil(3)])
    store: Any = open_store(influx_table(server, tmp_path), writer=True)
    store.setup()
    store._server.write(f"reading,channel=foreign,gateway=foreign co2=1i {START_MS * 1_000_000}")
    monkeypatch.setattr(writing, "MAX_S", 0.0)
    with pytest.raises(Retry, match="too slow to find them"):
        store.commit([mixed], START_MS)
    monkeypatch.undo()
    assert [[one.seq for one in own] for own in store.commit([mixed], START_MS)] == [[1]]
    store.close()


class Counting(http.server.ThreadingHTTPServer):
    """Answers as InfluxDB does that stored a body, and counts connections. `how` is what it does with each then."""

    how = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Stores)
        self.connections = 0
        self.asked: list[tuple[str, bytes]] = []
        self.left = threading.Semaphore(0)

    @property
    def table(self) -> dict[str, Any]:
        return {"engine": "influx", "url": f"http://127.0.0.1:{self.server_port}", "timeout_s": 5}

    def get_request(self) -> Any:
        self.connections += 1
        return super().get_request()

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.left.release()


class Stores(http.server.BaseHTTPRequestHandler):
    server: Counting
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.server.asked.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        refuses = self.server.how == "is in trouble"
        self.send_response(503 if refuses else 204)
        if refuses:
            self.send_header("Content-Length", "0")
        if self.server.how == "says that it closes":
            self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = "closes" in self.server.how

    def log_message(self, *_: object) -> None: ...


@contextmanager
def counting(how: str = "") -> Iterator[Counting]:
    with Counting() as server:
        server.how = how
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield server
        server.shutdown()
        serving.join()


@pytest.mark.parametrize(("how", "connections"), [("", 1), ("says that it closes", 3), ("closes", 3)])
def test_a_connection_serves_as_long_as_its_peer_wants(how: str, connections: int) -> None:
    with counting(how) as server, closing(open_store(server.table, writer=True)) as store:
        for n in range(3):
            assert store.commit([batch(first=1 + 3 * n, rows=soil(3))], START_MS) == [[]]
            assert not how or server.left.acquire(timeout=BOUND_S)
        assert server.connections == connections


def test_a_commit_of_several_bodies_is_stored_with_the_last_and_let_go_with_the_first_that_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parcels, "MAX_LINES", 1)
    several = [batch(first=1 + 3 * n, rows=soil(3)) for n in range(5)]
    with counting("is in trouble") as server, closing(open_store(server.table, writer=True)) as store:
        with pytest.raises(Retry, match="in trouble"):
            store.commit(several, START_MS)
        assert len(server.asked) <= writing.AT_ONCE, "who is in trouble is not asked for the rest"
        server.how = ""
        assert store.commit(several, START_MS) == [[]] * 5
        assert len({body for _, body in server.asked}) == 5


def test_what_has_no_readings_is_told_in_one_request_where_the_ledger_lies_elsewhere() -> None:
    with counting() as server, closing(open_store(server.table | {"keep_days": 30}, writer=True)) as store:
        store.commit([Gap("sg-01", EPOCH, 1, 10, "quota")], START_MS)
        assert ["&rp=ledger" in path for path, _ in server.asked] == [True]
        store.commit([batch(first=11, rows=soil(3))], START_MS)
        assert ["&rp=ledger" in path for path, _ in server.asked] == [True, False, True]


def test_lines_go_to_whom_the_authority_knows_and_to_nobody_else(tmp_path: Path) -> None:
    made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=db -keyout key.pem -out cert.pem"
    told = ["openssl", *made.split(), "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(told, cwd=tmp_path, check=True, capture_output=True, timeout=30)
    with Counting() as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        table = {"engine": "influx", "url": f"https://127.0.0.1:{server.server_port}", "timeout_s": 5}
        with closing(open_store(table | {"ca_file": str(tmp_path / "cert.pem")}, writer=True)) as store:
            for n in range(2):
                assert store.commit([batch(first=1 + 3 * n, rows=soil(3))], START_MS) == [[]]
        assert server.connections == 1
        with closing(open_store(table, writer=True)) as store, pytest.raises(Retry, match="certificate verify failed"):
            store.commit([batch(rows=soil(3))], START_MS)
        server.shutdown()
        serving.join()
