"""The parts that tests of alerts share: a clock moved by hand, a small garden, batches, and a real mail server."""
# ruff: noqa: N802 - aiosmtpd finds its hooks by name and gives them all that it has

from __future__ import annotations

import email
import email.policy
import json
import threading
import time
from contextlib import contextmanager, suppress
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aiosmtpd.controller import Controller

from cloud.alerts.around import NOTHING
from cloud.alerts.channels import open_channels
from cloud.alerts.engine import Alerts
from cloud.alerts.listing import events
from cloud.alerts.settings import AlertsConfig
from cloud.registry import Contact, Registry
from cloud.registry.kinds import Binding, Commune, Hamlet, Person, Province, Tree, Zone
from cloud.store import Store, open_store
from wire.batch import Batch, Block, Source
from wire.reading import Reason

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator, Sequence
    from email.message import EmailMessage
    from typing import Self

    from cloud.alerts.channels import Named

START_MS = 1_763_875_200_000  # 2025-11-23 12:20:00 in Hanoi
EPOCH = "00112233445566aa"
DAY = date(2025, 1, 1)
SMOKE: dict[str, Any] = {
    "name": "smoke",
    "kind": "limit",
    "quantity": "pm2_5",
    "over": 55.0,
    "clear_below": 35.0,
    "persist_s": 180,
    "clear_s": 300,
}
SILENT: dict[str, Any] = {"name": "silent", "kind": "absence", "of": "gateway", "after_s": 300}
SIGNAL: dict[str, Any] = {
    "name": "signal",
    "kind": "absence",
    "of": "service",
    "quantity": "registration",
    "persist_s": 60,
    "after_s": 300,
}


class HandClock:
    """Time that moves when a test says so."""

    def __init__(self, utc_ms: int = START_MS) -> None:
        self._utc_ms = utc_ms
        self._mono = 1_000.0

    def utc_ms(self) -> int:
        return self._utc_ms

    def monotonic(self) -> float:
        return self._mono

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.advance(seconds)
        return event.is_set()

    def step(self, seconds: float) -> None:
        """Somebody puts the clock right: no time passes."""
        self._utc_ms += round(seconds * 1000)

    def advance(self, seconds: float) -> None:
        self._utc_ms += round(seconds * 1000)
        self._mono += seconds


def registry(*, way_out: bool = False, contacts: list[Contact] | None = None) -> Registry:
    zone = Zone(code="suoi-giang", name_vi="Suối Giàng", name_en="Suoi Giang", lat=21.6, lon=104.6)
    tree = Tree(
        code="7K3MQ2",
        name_vi="Cây Tổ",
        name_en="First tree",
        zone="suoi-giang",
        lat=21.61234,
        lon=104.61234,
        alt_m=1_400,
        age_low=300,
        age_high=350,
        age_method_vi="",
        age_method_en="",
    )
    told = [
        Contact("Thào A Lử", "fire-watch", "lu@example.vn"),
        Contact("Giàng Thị Mỷ", "telecom", "my@example.vn"),
        Contact("Op", "operator", "op@example.vn", "en"),
    ]
    return Registry(
        {
            "province": [Province(code="v01", name="Lào Cai", valid_from=DAY)],
            "commune": [Commune(code="c01", name="xã Chế Tạo", province="v01", valid_from=DAY)],
            "hamlet": [
                Hamlet(
                    code="hang-tay",
                    name="Háng Tày",
                    commune="c01",
                    lat=21.7,
                    lon=104.1,
                    households=40,
                    valid_from=DAY,
                )
            ],
            "zone": [zone],
            "tree": [tree],
            "person": [person(number, one) for number, one in enumerate(told if contacts is None else contacts)],
            "binding": [
                bound("sg-01", "smoke-1", "tree", "7K3MQ2"),
                bound("sg-01", "modem-1", "hamlet", "hang-tay", way_out=way_out),
            ],
        }
    )


def person(number: int, told: Contact) -> Person:
    return Person(
        code=f"p{number}",
        name=told.name,
        roles=(told.role,),
        email=told.email,
        addresses=told.addresses,
        lang=told.lang,
        quiet_from=told.quiet and told.quiet[0],
        quiet_to=told.quiet and told.quiet[1],
    )


def bound(gateway: str, channel: str, place: str, code: str, day: date = DAY, *, way_out: bool = False) -> Binding:
    return Binding(gateway=gateway, channel=channel, place=place, code=code, valid_from=day, way_out=way_out)


def batch(
    first: int,
    readings: Sequence[tuple[int, float | None]],
    *,
    quantity: str = "pm2_5",
    channel: str = "smoke-1",
    undated: bool = False,
    offset_ms: int = 0,
    gateway: str = "sg-01",
) -> Batch:
    """Return a batch of one channel from (UTC ms, value); None where the poll brought none."""
    block = Block(
        channel=channel,
        seqs=[first + row for row in range(len(readings))],
        times_ms=[ms for ms, _ in readings],
        quantities=(quantity,),
        columns=[["" if value is None else f"{value:g}" for _, value in readings]],
        absent=[[(row, int(Reason.SILENCE)) for row, (_, value) in enumerate(readings) if value is None]],
    )
    return Batch(
        gateway=gateway,
        epoch=EPOCH,
        first=first,
        n=len(readings),
        boot="b0",
        offset_ms=None if undated else offset_ms,
        source=Source.NONE if undated else Source.NTP,
        uncertainty_ms=0,
        held=[block],
    )


class Post:
    """A real SMTP server. `refuse` maps an address to the answer it gets."""

    def __init__(self, port: int) -> None:
        self.mails: list[tuple[str, EmailMessage]] = []
        self.refuse: dict[str, str] = {}
        self.tries = 0
        self.accepted = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        self.port = port

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        self.tries += 1
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append((envelope.rcpt_tos[0], message))
        self.accepted.set()
        while not self.go_on.is_set():
            await _breathe()
        return "250 accepted"

    def subjects(self, to: str | None = None) -> list[str]:
        return [str(mail["Subject"]) for who, mail in self.mails if to in (None, who)]


async def _breathe() -> None:
    import asyncio

    await asyncio.sleep(0.02)


@contextmanager
def serving(post: Post) -> Iterator[Post]:
    controller = Controller(post, hostname="127.0.0.1", port=post.port)
    controller.start()
    try:
        yield post
    finally:
        post.go_on.set()
        controller.stop()


class Hook:
    """A real HTTP server that takes messages. `answer` is what it says; `waits` holds it up until it is set."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], Any]] = []  # (headers, what was posted)
        self.answer, self.headers = 200, dict[str, str]()
        self.waits = threading.Event()
        self.waits.set()
        hook = self

        class Taken(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._say(hook.answer if hook.answer in (401, 403, 500, 501) else 405, b"")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                hook.waits.wait(30.0)
                if hook.answer < 300:
                    is_json = self.headers["Content-Type"] == "application/json"
                    hook.got.append((dict(self.headers), json.loads(body) if is_json else dict(parse_qsl(body))))
                self._say(hook.answer, b"said so")

            def _say(self, status: int, words: bytes) -> None:
                self.send_response(status)
                for name, value in hook.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(words)))
                with suppress(OSError):  # whoever asked has lost patience
                    self.end_headers()
                    self.wfile.write(words)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the library
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Taken)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/send?from=gocche"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.waits.set()
        self._server.shutdown()
        self._server.server_close()


def mail_table(port: int) -> dict[str, Any]:
    table = {"kind": "email", "host": "127.0.0.1", "port": port, "sender": "gocche@example.vn"}
    return table | {"starttls": False, "deadline_s": 5.0}


DAY_S = 86_400.0
CHAIN_S = ("again_s", "commune_s", "ranger_s", "province_s", "repeat_s")
UNASKED: dict[str, Any] = dict.fromkeys(CHAIN_S, DAY_S) | {"self_test": "", "quiet_s": 0.0}  # see test_alerts_chain


class Bench:
    """One alerts room on a real SQLite store and a journal that outlives it."""

    def __init__(self, folder: pathlib.Path, rules: list[dict[str, Any]], port: int | None, **settings: Any) -> None:
        self.clock = settings.pop("clock", None) or HandClock()
        self.registry = settings.pop("registry", None) or registry()
        self._tells = settings.pop("tells", True)
        self._around = settings.pop("around", NOTHING)
        table = settings.pop("store", None) or {"engine": "sqlite", "path": str(folder / "store.db")}
        self.store: Store = open_store(table, writer=True)
        self.store.setup()
        self.path = folder / "alerts.db"
        self.rules, self._port, self._settings = rules, port, settings
        self.alerts = self._build()
        self.seq = 1

    def restart(self) -> None:
        """What a new process finds: the files, and nothing that was in memory."""
        self.alerts.close()
        self.alerts = self._build()

    def close(self) -> None:
        self.alerts.close()
        self.store.close()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let its threads run, by the machine's clock, and end them in order."""
        stop = threading.Event()
        threads = [threading.Thread(target=run, args=(stop,), name=name) for name, run in self.alerts.loops.items()]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(20.0)
                assert not thread.is_alive(), thread.name

    def at(self, seconds: float) -> int:
        return START_MS + round(seconds * 1000)

    def send(self, readings: Sequence[tuple[float, float | None]], *, step: bool = True, **kind: Any) -> Batch:
        """Offer (seconds since the start, value) as the stream would."""
        made = batch(self.seq, [(self.at(at_s), value) for at_s, value in readings], **kind)
        self.seq += len(readings)
        self.alerts.offer(made, self.clock.utc_ms())
        if step:
            self.step()
        return made

    def step(self) -> None:
        """Judge, and tell until nothing is on its way any more."""
        self.alerts.step()
        office = self.alerts._office
        if not self._tells:
            return
        for _ in range(1_000):
            office.step()
            if not office.busy and not office._wake.is_set():
                return
            assert office.wait(20.0), "a channel does not come back"
        raise AssertionError("the post office does not come to rest")

    def live(self, readings: Sequence[tuple[float, float | None]], **kind: Any) -> None:
        """Offer each reading at its own time, stepping the clock there."""
        for at_s, value in readings:
            self.clock.advance(max(0.0, (self.at(at_s) - self.clock.utc_ms()) / 1000))
            self.send([(at_s, value)], **kind)

    def idle(self, seconds: float, each_s: float = 5.0) -> None:
        for _ in range(round(seconds / each_s)):
            self.clock.advance(each_s)
            self.step()

    def hear(self, seconds: float, each_s: float = 30.0, gateway: str = "sg-01") -> None:
        """Let a gateway be heard for some time."""
        for _ in range(round(seconds / each_s)):
            self.alerts.heard(gateway, self.clock.utc_ms())
            self.idle(each_s, each_s)

    def pretend_to_have_listened(self, seconds: float) -> None:
        """Let listening time pass without the steps in between."""
        self.clock.advance(seconds)
        with self.alerts._journal.transaction():
            self.alerts._progress.listen(round(1000 * seconds))

    def events(self, incident: int = 1) -> list[str]:
        return [row[1] for row in events(self.path, incident)]

    def words(self, incident: int = 1) -> list[str]:
        return [f"{row[1]}: {row[3]}" for row in events(self.path, incident)]

    def _channels(self) -> list[Named]:
        return open_channels([] if self._port is None else [mail_table(self._port)])

    def _build(self) -> Alerts:
        return Alerts(
            config=AlertsConfig(**(UNASKED | self._settings)),
            rules=self.rules,
            store=self.store,
            registry=self.registry,
            channels=self._channels(),
            clock=self.clock,
            journal_path=self.path,
            around=self._around,
        )


def until(condition: Callable[[], object], within_s: float = 20.0) -> None:
    """Wait for a condition, with a bound."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.02)
