"""The public pages beside nginx that serves the same bytes from a file, and ingest while the pages are flooded.

32 connections ask again as soon as they are answered (bench/visits.py). The garden is the sample one; of its hamlet the
modem has been searching for thirty days, a sample a minute: to find its last signal once took every visitor the reading
of them all. *Cold* is what 32 visitors wait who come at once to a server that has shown nothing yet.

For ingest, broker, gateways, ingester and pages are processes as they are on a server, all on the same cores; the pages
step back for ingest by their priority, and the visitors for all: what a visitor's telephone costs is not the server's.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from email.utils import formatdate
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import msgspec

from bench import broker, pipeline, process, report, sender, visits
from cloud.clock import SystemClock
from cloud.rooms import NICE
from cloud.store import open_store
from tests import build
from tests.servers import free_port
from tests.visitors import ALL, TREE

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "pages"
TITLE = "Public pages, 32 connections"
ROUNDS, SECONDS = 3, 3.0
PAGES = {"tree page": f"/T/{TREE}", "its JSON": f"/T/{TREE}.json", "coverage": "/phu-song", "all trees": "/"}
DAYS = 30
MINUTE_MS = 60_000
LIMITS = {"rate/nginx": 0.3, "p99": 20.0, "rss": 70.0, "ingest": 0.85, "hung": 1_000.0}
CROWD = 120  # visitors of all pages at once while the database hangs
FLOOD_ROWS = 96_000  # of 30 values, all gateways together
FLOOD_S = 8  # longer than they take
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def run(*, quick: bool = False) -> str:
    """Return the tables."""
    absent = visits.missing()
    if absent:
        return f"- {absent}: not measured"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gocche-bench-")))
        _fill(folder / "store.db", 1 if quick else DAYS)
        served = _served(stack, folder, quick=quick)
        flooded = _flooded(folder, quick=quick)
    return f"{served}\n\n{flooded}"


# --- beside nginx


def _served(stack: ExitStack, folder: Path, *, quick: bool) -> str:
    port = free_port()
    site = stack.enter_context(process.Child("bench.site", folder, port, free_port(), log=folder / "site.log"))
    before = process.memory(site.pid)
    cold_ms = _cold(port)
    hung_ms = _hung(folder)
    tag, body = _fetch(port, PAGES["tree page"])
    kept = {"If-None-Match": tag}
    urls: dict[str, tuple[str, dict[str, str], int]] = {
        name: (f"http://127.0.0.1:{port}{path}", {}, site.pid) for name, path in PAGES.items()
    }
    urls["tree page, unchanged (304)"] = (urls["tree page"][0], kept, site.pid)
    urls["tree page, compressed"] = (urls["tree page"][0], {"Accept-Encoding": "gzip"}, site.pid)
    notes = [f"{len(body):,} bytes a tree page; generator: wrk, one thread"]
    if NGINX:
        url, pid = stack.enter_context(_nginx(folder, body))
        urls["nginx, a file"] = url, {}, pid
        urls["nginx, unchanged (304)"] = url, {"If-Modified-Since": formatdate(usegmt=True)}, pid
    else:
        notes.append("nginx absent: apt-get install nginx-light")
    parts = ("rate", "p99", "generator", "cpu")
    rounds = [
        {
            f"{name} {part}": value
            for name, asked in urls.items()
            for part, value in zip(parts, _visited(*asked, seconds=1.0 if quick else SECONDS), strict=True)
        }
        for _ in range(1 if quick else ROUNDS)
    ]
    got = report.medians(rounds)
    rss = process.memory(site.pid)
    rows = [_row(name, {part: got[f"{name} {part}"] for part in parts}, got.get("nginx, a file rate")) for name in urls]
    head = ("answer", "req/s", "p99 ms", "CPU µs each", "generator's cores", "rate/nginx")
    table = report.table(head, rows)
    sums = [
        ("p99 of a tree page, ms", got["tree page p99"], LIMITS["p99"]),
        ("32 visitors of coverage at once, cold, slowest ms", cold_ms, None),
        (f"{CROWD} visitors while the database hangs, slowest of / ms", hung_ms["/"], LIMITS["hung"]),
        ("slowest of any page, ms", max(hung_ms.values()), None),
        ("RSS under 32 connections, MiB", rss.rss, LIMITS["rss"]),
        ("RSS before the first visitor, MiB", before.rss, None),
        ("threads", process.threads(site.pid), None),
    ]
    if "nginx, a file rate" in got:
        sums.insert(0, ("tree page / nginx", got["tree page rate"] / got["nginx, a file rate"], LIMITS["rate/nginx"]))
    limits = report.table(
        ("figure", "measured", "limit"),
        [(name, report.figure(value), "–" if to is None else to) for name, value, to in sums],
    )
    return "\n".join([table, "", limits, "", *(f"- {note}" for note in notes)])


def _visited(url: str, headers: dict[str, str], pid: int, *, seconds: float) -> tuple[float, float, float, float]:
    before = process.cpu_s(pid)
    seen = visits.visited(url, seconds, headers)
    return seen.rate, seen.p99_ms, seen.generator, (process.cpu_s(pid) - before) / (seen.rate * seconds) * 1e6


def _row(name: str, own: dict[str, float], nginx: float | None) -> tuple[str, ...]:
    return (
        name,
        report.figure(own["rate"]),
        report.figure(own["p99"]),
        report.figure(own["cpu"]),
        report.figure(own["generator"]),
        report.times(own["rate"] / nginx) if nginx else "–",
    )


def _cold(port: int) -> float:
    """Return how many ms the slowest of 32 waits who come to the coverage page at once, the first of all."""

    def visit(_number: int) -> float:
        started = time.monotonic()
        _fetch(port, "/phu-song")
        return (time.monotonic() - started) * 1000

    with ThreadPoolExecutor(visits.CONNECTIONS) as visitors:
        return max(visitors.map(visit, range(visits.CONNECTIONS)))


def _hung(folder: Path) -> dict[str, float]:
    """Return how many ms the slowest of a crowd waits for each page: the database takes connections, answers nobody."""
    home = folder / "hung"
    home.mkdir()
    paths = (list(PAGES.values()) * CROWD)[:CROWD]
    with socket.create_server(("127.0.0.1", 0), backlog=CROWD) as silent, ExitStack() as stack:
        port, url = free_port(), f"http://127.0.0.1:{silent.getsockname()[1]}"
        stack.enter_context(process.Child("bench.site", home, port, free_port(), url, log=folder / "hung.log"))

        def visit(path: str) -> float:
            started = time.monotonic()
            _fetch(port, path)
            return (time.monotonic() - started) * 1000

        with ThreadPoolExecutor(CROWD) as visitors:
            waited = list(zip(paths, visitors.map(visit, paths), strict=True))
    return {path: max(ms for other, ms in waited if other == path) for path in PAGES.values()}


def _fetch(port: int, path: str) -> tuple[str, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 200, (answer.status, body)
    return answer.headers["ETag"], body


@contextmanager
def _nginx(folder: Path, body: bytes) -> Iterator[tuple[str, int]]:
    """Serve a file by one process of nginx, without a log; yield its address and its id."""
    home = folder / "nginx"
    home.mkdir()
    (home / "page.html").write_bytes(body)
    port = free_port()
    temporary = "".join(
        f"{kind}_temp_path {home}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (home / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {home}/pid; error_log {home}/error.log; user root;\n"
        f"events {{ worker_connections 512; }}\nhttp {{ access_log off; {temporary} types {{ text/html html; }}\n"
        f"keepalive_requests 100000000; sendfile on; tcp_nopush on;\n"
        f"server {{ listen 127.0.0.1:{port}; root {home}; }} }}\n",
        encoding="utf-8",
    )
    niced = ["nice", f"-n{NICE}", str(NGINX)]  # as the pages are
    server = subprocess.Popen([*niced, "-e", str(home / "error.log"), "-p", str(home), "-c", str(home / "nginx.conf")])
    try:
        _until_open(port)
        yield f"http://127.0.0.1:{port}/page.html", server.pid
    finally:
        server.terminate()
        server.wait(process.STOP_S)


def _until_open(port: int) -> None:
    end = time.monotonic() + process.PATIENCE_S
    while True:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert time.monotonic() < end, f"nginx does not listen within {process.PATIENCE_S:g} s"


# --- beside ingest


def _flooded(folder: Path, *, quick: bool) -> str:
    rows = 2_400 if quick else FLOOD_ROWS
    packets = list(pipeline.packets(rows // len(pipeline.GATEWAYS), 60))
    quiet = [_ingested(folder / "quiet", packets, rows, None)[0]]
    rounds = []
    for number in range(1 if quick else ROUNDS):
        rate, seen = _ingested(folder / f"flood{number}", packets, rows, folder)
        quiet.append(_ingested(folder / f"quiet{number}", packets, rows, None)[0])
        assert seen is not None
        beside = rate / ((quiet[-2] + quiet[-1]) / 2)  # of the quiet minutes around it: the machine is not ours alone
        rounds.append(msgspec.structs.asdict(seen) | {"values": rate, "ratio": beside})
    got = report.medians(rounds)
    head = (
        "ingest, 60 rows a batch",
        "values/s",
        "pages req/s",
        "p99 ms",
        "generator's cores",
        "flooded/quiet",
        "limit",
    )
    flooded = [report.figure(got[name]) for name in ("values", "rate", "p99_ms", "generator")]
    return report.table(
        head,
        [
            ("quiet", report.figure(median(quiet)), *"–––––"),
            ("pages flooded", *flooded, report.times(got["ratio"]), LIMITS["ingest"]),
        ],
    )


def _ingested(folder: Path, packets: list[bytes], rows: int, garden: Path | None) -> tuple[float, visits.Visits | None]:
    """Return values a second of the ingester, and what visitors saw meanwhile; None where there were none."""
    folder.mkdir()
    table = json.dumps({"engine": "sqlite", "path": str(folder / "store.db")})
    with ExitStack() as stack:
        running = stack.enter_context(broker.running(folder / "broker"))
        stack.enter_context(process.Child("bench.ours", running.port, table, folder, log=folder / "ours.log"))
        flood: Any = None
        if garden is not None:
            port = free_port()
            stack.enter_context(process.Child("bench.site", garden, port, running.port, log=folder / "site.log"))
            flood = visits.Flood(f"http://127.0.0.1:{port}{PAGES['tree page']}", FLOOD_S, nice=visits.LOWEST)
        started, ended = sender.Gateways(running.port, pipeline.GATEWAYS, packets).run()
        seen = flood.end() if flood else None
    return rows * 30 / (ended - started), seen


# --- the garden


def _fill(path: Path, days: int) -> None:
    """Make a store in which the tree has fresh figures and the hamlet's modem has searched for so many days."""
    now_ms = SystemClock().utc_ms()
    store = open_store({"path": str(path)}, writer=True)
    store.setup()
    first, each = 1, 360
    for at in range(0, days * 1_440, each):
        start_ms = now_ms - days * 86_400_000 + at * MINUTE_MS
        rows: Any = [{"modem-hang-tay": {"registration": 2}}] * each
        made = build.batch(first=first, start_ms=start_ms, step_ms=MINUTE_MS, rows=rows, now_ms=now_ms)
        store.commit([made], now_ms - (days * 1_440 - at) * MINUTE_MS)
        first += made.n
    fresh = ALL | {"modem-hang-tay": {"registration": 2}}
    for minutes in range(24 * 60, 0, -10):
        made = build.batch(first=first, start_ms=now_ms - minutes * MINUTE_MS, rows=[fresh], now_ms=now_ms)
        store.commit([made], now_ms)
        first += made.n
    store.close()
