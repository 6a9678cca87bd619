"""Poison costs only itself: one table of everything that comes in, and of what may be wrong with it.

One server (real sockets, real SQLite, real quarantine) meets all of it, in any order and without a restart. Each row of
the table is one damage and the counter, or the words, that must tell it; after each a neighbour's batch is stored and
acknowledged, a neighbour's birth is answered, and what the store holds can be read.
"""

from __future__ import annotations

import http.server
import shutil
import threading
import zlib
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec
import pytest

from cloud.clock import SystemClock
from cloud.config import Broker
from cloud.inbox import Asker, Inbox
from cloud.ingest.audit import Books, books
from cloud.ingest.ingester import Ingester
from cloud.ingest.quarantine import Quarantine, Unstorable
from cloud.registry.transfer import load
from cloud.store import Retry, each_row, open_store
from cloud.stream.connection import Stream
from tests.build import EPOCH, batch, packet, soil
from tests.edge.peers import PUBLISH, SUBSCRIBE, Peer
from tests.servers import until
from wire import beat, codec, topics
from wire.batch import Status, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BOUND_S = 15.0
GARDEN = Path(__file__).parents[1] / "config" / "garden"
NOW_MS = SystemClock().utc_ms()
NEIGHBOUR, BORN = "sg-98", "sg-99"


def good(first: int = 1, n: int = 3, **keys: Any) -> bytes:
    return packet(first=first, rows=soil(n), start_ms=NOW_MS - 900_000 + 1_000 * first, **keys)


def changed(place: int, value: object, payload: bytes | None = None) -> bytes:
    """Return a good message with one element of its envelope changed and everything sealed again."""
    envelope = msgspec.msgpack.decode(codec._open(payload or good()))
    envelope[place] = value
    return codec._seal(msgspec.msgpack.encode(envelope))


def bodied(body: bytes) -> bytes:
    return changed(9, body)


BODY = msgspec.msgpack.decode(codec._open(good()))[9]
DEEP = b"\x91" * 100_000 + b"\xc0"  # an array in an array in an array …


def envelope_deep() -> bytes:
    return codec._seal(b"\x9b" + codec._open(good())[1:] + DEEP)


def flipped() -> bytes:
    return bytes([good()[0] ^ 1]) + good()[1:]


def body_of(**of: object) -> bytes:
    """Return a body in which something of its one series is another."""
    decoded = msgspec.msgpack.decode(BODY)
    series = dict(zip(("channel", "seqs", "times", "columns"), decoded[1][0], strict=True)) | of
    return msgspec.msgpack.encode([decoded[0], [list(series.values())]])


def said(**keys: object) -> bytes:
    whole: dict[str, Any] = {"v": 1, "state": "online", "boot": "b0" * 8, "epoch": EPOCH, "acquired": 3} | keys
    return msgspec.json.encode(whole)


def nested(depth: int) -> bytes:
    return b'{"v":1,"state":"online","channels":{"a":{"b":' + b"[" * depth + b"]" * depth + b"}}}"


def beaten(**keys: Any) -> bytes:
    whole = {"version": 1, "boot": b"b" * 8, "epoch": b"e" * 8, "mono_s": 1, "acquired": 3, "uncut": 0, "spooled": 0,
             "oldest_s": 0, "dropped": 0, "source": 1} | keys  # fmt: skip
    return beat.encode(beat.Beat(**whole))


class World:
    """A server that ingests, and everything that it is told by."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = open_store({"path": str(folder / "store.db")}, writer=True)
        self.quarantine = Quarantine(folder / "quarantine.db")
        self.peer = Peer()
        self.firsts = count(1, 3)
        self.problems = 0

    def __enter__(self) -> Self:
        clock = SystemClock()
        self.peer.__enter__()
        self.inbox = Inbox(self.folder, "ingest", clock)
        self.asker = Asker(self.folder, "ingest", clock)
        self.ingester = Ingester(self.store, self.quarantine, Books(), clock, self._publish, self.inbox)
        self.stream = Stream(
            Broker(port=self.peer.port),
            "gocche-test",
            topics.FROM_GATEWAYS,
            clock,
            self.ingester.offer,
        )
        self.ingester.prepare()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.ingester.run, args=(self.stop,), name="ingest")
        self.thread.start()
        self.stream.start()
        until(lambda: self.stream.connected and self.peer.seen(SUBSCRIBE), BOUND_S, "connected")
        self.neighbour_is_well()
        return self

    def _publish(self, topic: str, payload: bytes) -> None:
        self.stream.publish(topic, payload)

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.stream.close()
        self.thread.join(BOUND_S)
        self.peer.__exit__()
        self.asker.close()
        self.inbox.close()
        self.quarantine.close()
        self.store.close()

    def sql(self, statement: str, *values: object) -> None:
        """Write into the store what no gocche would."""
        with self.store._writer._pen.held("test") as db:  # type: ignore[attr-defined]
            db.execute(statement, values)

    def read_everything(self) -> None:
        """Read all that rooms read of the store."""
        books(each_row(self.store), self.store.statuses()).accounts()
        for row in self.store.ledger():
            self.store.batch_readings(row)
        self.store.latest()
        self.stored()
        self.store.hourly(NEIGHBOUR, "soil-1", "soil_moisture", 0, NOW_MS + 7_200_000)

    def told(self) -> dict[str, int]:
        """Return everything that is counted anywhere."""
        stream = {name: getattr(self.stream, name) for name in ("strangers", "too_long")}
        unreadable = {f"unreadable {what}": n for what, n in self.store.health()["unreadable"].items()}
        with self.inbox._file.changing() as db:
            outcomes = [str(outcome) for (outcome,) in db.execute("SELECT outcome FROM question")]
        asked = {name: sum(name in outcome for outcome in outcomes) for name in ("unreadable question", "breaks")}
        return stream | unreadable | asked | dict(self.ingester.counts) | {"registry": self.problems}

    def answers(self, gateway: str) -> list[tuple[int, int]]:
        """Return (first, verdict) of what a gateway was told; (0, 0) where it was told the time alone."""
        name = topics.ack(gateway).encode()
        packets = [body[2 + len(name) :] for body in self.peer.seen(PUBLISH) if body[2:].startswith(name)]
        return [
            one for packet in packets for one in [(i.first, i.code) for i in codec.decode_ack(packet).items] or [(0, 0)]
        ]

    def stored(self) -> list[tuple[int, float]]:
        """Return what can be read of the neighbour."""
        return self.store.series(NEIGHBOUR, "soil-1", "soil_moisture", 0, 2**62)

    def neighbour_is_well(self) -> None:
        """Somebody else's batch is stored and answered, and its birth is answered with the time."""
        first, births, stored = next(self.firsts), len(self.answers(BORN)), len(self.stored())
        self.peer.tell(topics.status(BORN), said())
        self.peer.tell(topics.up(NEIGHBOUR), good(first))
        until(lambda: (first, Verdict.STORED) in self.answers(NEIGHBOUR), BOUND_S, "the neighbour's batch is stored")
        until(lambda: len(self.answers(BORN)) > births, BOUND_S, "the neighbour's birth is answered")
        assert len(self.stored()) == stored + 3
        assert self.ingester.counts["stumbled"] == 0, "what is foreseen is not left to the last resort"
        assert self.ingester.health()["why"] == ""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("poison")) as made:
        yield made


def on(topic: str | bytes, payload: bytes = b"x", *, retained: bool = False) -> Callable[[World], None]:
    return lambda world: world.peer.tell(topic, payload, retained=retained)


def up(payload: bytes, *, retained: bool = False) -> Callable[[World], None]:
    return on(topics.up("sg-01"), payload, retained=retained)


def status(payload: bytes, *, retained: bool = False) -> Callable[[World], None]:
    return on(topics.status("sg-01"), payload, retained=retained)


def a_beat(payload: bytes, *, retained: bool = False) -> Callable[[World], None]:
    return on(topics.beat("sg-01"), payload, retained=retained)


def rotten(statement: str, *values: object) -> Callable[[World], None]:
    """Return what spoils a row of the neighbour and reads everything."""

    def strike(world: World) -> None:
        world.sql(statement, *values)
        world.read_everything()

    return strike


def planted(table: str, line: bytes) -> Callable[[World], None]:
    """Return what adds a line to a file of the garden and reads the garden."""

    def strike(world: World) -> None:
        folder = world.folder / f"garden-{world.problems}"
        shutil.copytree(GARDEN, folder)
        with (folder / table).open("ab") as file:
            file.write(line)
        garden, whole = load(folder), load(GARDEN)
        assert len(garden.trees) == len(whole.trees), "all the other rows are there"
        world.problems += len(garden.problems) - len(whole.problems)
        shutil.rmtree(folder)

    return strike


def asked_badly(world: World) -> None:
    """Leave a question that is none, and one that is well after it."""
    with world.inbox._file.changing() as db:
        db.execute("INSERT INTO question(asked_ms, kind, body) VALUES (0, 'retry', x'ff')")
    number = world.asker.ask("retry", {})
    until(lambda: world.asker.outcome(number), BOUND_S, "the one after it is answered")


def rotten_case(world: World) -> None:
    """Spoil a case of the quarantine and keep a good one after it, and have both tried again."""
    bad, well = (Unstorable("sg-97", (EPOCH, n, 3), "strange once", good(n), NOW_MS) for n in (501, 504))
    world.quarantine.keep([bad])
    world.quarantine._db.execute("UPDATE quarantine SET payload = 'abc' WHERE first = 501")
    world.quarantine.keep([well])
    number = world.asker.ask("retry", {})
    until(lambda: world.asker.outcome(number), BOUND_S, "it is answered")
    firsts = {case.first for case in world.quarantine.cases()}
    assert (501 in firsts, 504 in firsts) == (True, False), "the good one is stored"


def quantity(name: str) -> list[list[object]]:
    return [[name, [1, 0, 0], []]]


NEWEST = "(SELECT max(time) FROM reading)"
LEDGER = "INSERT INTO ledger SELECT epoch, ?, 1, ?, arrival_ms, 0, 0, '' FROM ledger LIMIT 1"
# Strike, and what is counted of it.
TABLE: dict[str, tuple[Callable[[World], None], str]] = {
    "topic: no gateway's name": (on("gocche/v1/SG 01/up"), "strangers"),
    "topic: none of ours": (on("gocche/v1/sg-01/cmd"), "strangers"),
    "topic: not UTF-8": (on(b"gocche/v1/\xff\xfe/up"), "strangers"),
    "topic: 60,000 characters": (on("gocche/v1/" + "a" * 60_000), "strangers"),
    "packet: a byte too long": (up(bytes(64 * 1024 + 1)), "too_long"),
    "packet: 2 MB": (up(bytes(2_000_000)), "too_long"),
    "packet: empty": (up(b""), "damaged"),
    "packet: a bit flipped": (up(flipped()), "damaged"),
    "packet: a bomb": (up(codec._seal(bytes(60_000_000))), "damaged"),
    "packet: no zlib": (up(b"abcdef" + zlib.crc32(b"abcdef").to_bytes(4, "big")), "damaged"),
    "packet: no envelope": (up(codec._seal(b"\xc0")), "damaged"),
    "packet: nested 100,000 deep": (up(envelope_deep()), "damaged"),
    "packet: no identity": (up(changed(3, 0)), "damaged"),
    "packet: version unknown": (up(changed(0, 9)), "rejected"),
    "packet: kind unknown": (up(changed(1, 9)), "rejected"),
    "packet: clock unknown": (up(changed(7, 99)), "rejected"),
    "packet: from the future": (up(changed(6, 2**62)), "rejected"),
    "packet: more readings than it says": (up(changed(4, 2)), "rejected"),
    "body: cut": (up(bodied(BODY[:20])), "rejected"),
    "body: nested 100,000 deep": (up(bodied(b"\x94" + BODY[1:] + b"\x90" + DEEP)), "rejected"),
    "body: quantity unknown": (up(bodied(body_of(columns=quantity("magic")))), "rejected"),
    "body: value out of range": (up(bodied(body_of(columns=[["soil_ph", [9_999, 0, 0], []]]))), "rejected"),
    "body: number of 2^63": (up(bodied(body_of(columns=[["soil_ph", [2**63, 2**63, 1], []]]))), "rejected"),
    "body: reason unknown": (up(bodied(body_of(columns=[["soil_ph", [500, 0], [0, 99]]]))), "rejected"),
    "body: a name that is no text": (up(bodied(BODY.replace(b"soil-1", b"soil-\xff"))), "rejected"),
    "body: no channel's name": (up(bodied(body_of(channel="a b"))), "rejected"),
    "packet, retained: a bit flipped": (up(flipped(), retained=True), "damaged"),
    "status: no JSON": (status(b"offline"), "status unreadable"),
    "status: no status": (status(b"[1, 2]"), "status unreadable"),
    "status: 20,000 deep": (status(nested(20_000)), "status unreadable"),
    "status: 100,000 deep": (status(nested(100_000)), "too_long"),
    "status: 400 deep": (status(nested(400)), "status unreadable"),
    "status: tables too deep": (status(said(channels={"a": {"b": {"c": {"d": 1}}}})), "status unreadable"),
    "status: beyond any number": (status(said()[:-1] + b',"oldest_s":1e999}'), "status unreadable"),
    "status: a number of 5,000 digits": (status(said()[:-1] + b',"cut":' + b"9" * 5_000 + b"}"), "status unreadable"),
    "status: half a character": (status(said()[:-1] + b',"why":"\\ud800"}'), "status unreadable"),
    "status: not UTF-8": (status(said()[:-1] + b',"why":"\xff"}'), "status unreadable"),
    "status: no count": (status(said(acquired=-1)), "status unreadable"),
    "status: no epoch": (status(said(epoch="x" * 16)), "status unreadable"),
    "status: urgent in the year 10^27": (
        status(said(urgent=[{"channel": "a", "quantity": "pm2_5", "value": 1.0, "mono_ms": 1, "utc_ms": 2**62}])),
        "status unreadable",
    ),
    "status: channels beyond counting": (
        status(said(channels={f"c-{n}": {"why": ""} for n in range(1_000)})),
        "status cut",
    ),
    "status, retained: 20,000 deep": (status(nested(20_000), retained=True), "status unreadable"),
    "beat: empty": (a_beat(b""), "beat unreadable"),
    "beat: a byte short": (a_beat(beaten()[:-1]), "beat unreadable"),
    "beat: version unknown": (a_beat(beaten(version=2)), "beat unreadable"),
    "beat: clock unknown": (a_beat(beaten(source=99)), "beat unreadable"),
    "beat: no count": (a_beat(beaten(acquired=2**53)), "beat unreadable"),
    "beat, retained: a byte short": (a_beat(beaten()[:-1], retained=True), "beat unreadable"),
    "ledger row: verdict unknown": (rotten(LEDGER, 900_001, 9), "unreadable ledger"),
    "ledger row: a text for a number": (rotten(LEDGER, "many", 0), "unreadable ledger"),
    "reading row: a text for a value": (
        rotten(f"UPDATE reading SET texts = 'abc,1,2,3,4,5' WHERE time = {NEWEST}"),
        "unreadable reading",
    ),
    "reading row: too few values": (
        rotten(f"UPDATE latest SET texts = '1' WHERE time = {NEWEST}"),
        "unreadable latest",
    ),
    "reason row: code unknown": (
        rotten("INSERT OR IGNORE INTO missing SELECT hour, channel, time, 'soil_ph', 99, NULL FROM reading LIMIT 1"),
        "unreadable reason",
    ),
    "status row: no JSON": (rotten("UPDATE status SET body = 'x' WHERE gateway = 'sg-99'"), "unreadable status"),
    "quarantine row: a text for the bytes": (rotten_case, "breaks"),
    "inbox row: no question": (asked_badly, "unreadable question"),
    "registry: too few columns": (planted("trees.csv", b"Q,1\n"), "registry"),
    "registry: no number": (planted("trees.csv", b"9K3MQP,x,a,b,z01,north,104,1,1,2,,,\n"), "registry"),
    "registry: a code twice": (planted("zones.csv", b"z01,a,b,21.6,104.5\n"), "registry"),
}


@pytest.mark.parametrize("name", TABLE)
def test_damage_costs_itself_and_is_told(world: World, name: str) -> None:
    strike, counter = TABLE[name]
    before = world.told().get(counter, 0)
    strike(world)
    until(lambda: world.told().get(counter, 0) > before, BOUND_S, f"{counter} counts it")
    world.neighbour_is_well()
    world.read_everything()


# --- what the database answers

WELL = b'{"results":[{"series":[{"columns":["name"],"values":[["gocche"]]}]}]}'
REPLIES = {
    "a portal's page": (200, b"<html>log in</html>"),
    "half a reply": (200, WELL[:20]),
    "nothing": (200, b""),
    "another service's JSON": (200, b'{"status":"ok"}'),
    "a list": (200, b"[]"),
    "nested 100,000 deep": (200, b'{"results":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "a result too many": (200, b'{"results":[{},{},{},{},{},{}]}'),
    "results of another kind": (200, b'{"results":[7]}'),
    "not UTF-8": (200, b'{"results":[{"error":"\xff"}]}'),
    "a redirection to nowhere": (302, b""),
    "500 with a page": (500, b"<html>oops</html>"),
    "503 that asks for a year": (503, b"{}"),
}


class Portal:
    """An HTTP server that stands where the database should: `reply` is what it says to everything."""

    def __init__(self) -> None:
        portal = self
        self.reply: tuple[int, bytes] = (204, b"")
        self.bodies: list[bytes] = []
        self.sick = b""  # a body that holds this is answered with `reply`, all others well

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                code, said = portal.answer(self.path, body)
                self.send_response(code)
                self.send_header("Content-Length", str(len(said)))
                self.send_header("Retry-After", "31536000")
                self.end_headers()
                self.wfile.write(said)

            do_GET = do_POST  # noqa: N815 - the name that the base class asks for

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        if self.sick and self.sick not in body:
            if path.startswith("/write"):
                self.bodies.append(body)
                return 204, b""
            return 200, WELL
        return self.reply

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.fixture(scope="module")
def portal() -> Iterator[Portal]:
    with Portal() as made:
        yield made


@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_that_is_none_stores_nothing_and_is_asked_for_again(portal: Portal, name: str) -> None:
    """Whatever stands at the database's address: nothing counts as stored, and its words say where to look."""
    store = open_store({"engine": "influx", "url": portal.url, "timeout_s": 5}, writer=True)
    portal.sick, portal.reply = b"", REPLIES[name]
    for ask in (
        store.setup,
        store.statuses,
        store.ledger,
        store.latest,
        lambda: store.commit([batch(rows=soil(3))], NOW_MS),
        lambda: store.write_status("sg-01", Status(v=1, state="online"), NOW_MS),
        lambda: store.series("sg-01", "soil-1", "soil_ph", 0, 1),
    ):
        with pytest.raises(Retry) as caught:
            ask()
        assert 0 < caught.value.after_s <= 3_600, "nothing waits for ever"
    assert str(caught.value) in store.health()["fault"]
    portal.sick = b"no such thing"
    store.setup()
    store.commit([batch(rows=soil(3))], NOW_MS)
    assert b"soil_moisture" in portal.bodies[-1]
    store.close()
