"""A thin link: what a gateway says of itself in a day, and how fast a day's backlog drains.

The day is simulated with the parts that a gateway has: five soil probes and a modem, one change an hour, batches every
ten minutes; bytes are those of MQTT (topic, header, payload), without TLS and TCP. The backlog is a day of the five
probes, through broker, stream, ingester and SQLite: cut each minute, and cut only where a batch is full, as the keeper
does while the link is down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bench import drain, field, report
from edge.board import Board, Channel, Dated, Keeping
from edge.clock import Anchor
from edge.send.heartbeat import HEAD_BYTES, Heartbeat
from edge.status import Own, compose
from wire import topics
from wire.batch import Source

if TYPE_CHECKING:
    from wire.batch import Status

NAME = "thin"
TITLE = "A thin link"
GATEWAY = "sg-01"
LIMIT_MB = 0.15
ROUNDS = 3
MINUTE_MS, DAY = 60_000, 1_440
BATCH_MINUTES = 10
EACH = 6  # rows in a batch of one minute


class Counter:
    """An uplink that only counts."""

    def __init__(self) -> None:
        self.bytes: dict[str, int] = {}

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Count one message."""
        del retain
        kind = topics.parse(topic)[1]
        self.bytes[kind] = self.bytes.get(kind, 0) + len(topic) + len(payload) + HEAD_BYTES
        return True


def run(*, quick: bool = False) -> str:
    """Return both tables."""
    minutes = 60 if quick else DAY
    rounds = [{name: _drained(each, minutes) for name, each in _CUTS.items()} for _ in range(1 if quick else ROUNDS)]
    got = report.medians(rounds)
    slow = got[next(iter(_CUTS))]
    rows = [(name, report.figure(rate), report.times(rate / slow)) for name, rate in got.items()]
    return f"{_day()}\n\n{report.table((f'{minutes} minutes of backlog', 'readings/s', 'rate/a minute'), rows)}"


_CUTS: dict[str, int | None] = {f"{EACH} rows each, one a minute": EACH, "only full batches": None}


def _day() -> str:
    counter, board = Counter(), Board()
    own = Own("a1" * 8, 10.0, 600.0, "0.1.0", "0123456789ab")
    board.dated = Dated(Anchor(field.START_MS, Source.NTP, 100))
    now = 0

    def status() -> Status:
        return compose(board, own, now, "online")

    heartbeat = Heartbeat(counter, GATEWAY, board, status, lambda _now, _said_ms: None)
    heartbeat.connected()
    whole = 0
    for minute in range(DAY):
        now = (minute + 1) * MINUTE_MS
        for name in ("soil-1", "soil-2", "soil-3", "soil-4", "soil-5", "modem-1"):
            why = "silence: 0 of 13 bytes within 0.5 s" if name == "soil-3" and minute // 60 % 2 else ""
            texts = {"model": "EC25", "firmware": "EC25EFAR06A09M4G", "operator": "Viettel"} if "modem" in name else {}
            board.channels[name] = Channel(now - 7_000, why, None, texts, polls=6 * minute)
        waiting = 36 * (minute % BATCH_MINUTES)
        board.keeping = Keeping(
            epoch="b2" * 8,
            acquired=36 * minute,
            cut=36 * minute - waiting,
            spooled=waiting,
            oldest_ms=now - 1000 * waiting,
        )
        for second in range(0, 60, 5):
            now = (minute + 1) * MINUTE_MS + 1000 * second
            heartbeat.send(now)
        whole += len(msgspec.json.encode(status())) + len(topics.status(GATEWAY)) + HEAD_BYTES
    probes, batches = field.five(1), 0
    for at in range(0, DAY, BATCH_MINUTES):
        readings = list(field.polled(probes, at * MINUTE_MS, (at + BATCH_MINUTES) * MINUTE_MS))
        batches += sum(
            len(field.packed(batch)) + len(topics.up(GATEWAY)) + HEAD_BYTES for batch in field.batches(readings)
        )
    said = sum(counter.bytes.values())
    rows: list[tuple[object, ...]] = [
        (f"{kind}", f"{size / 1e6:.3f}", "–") for kind, size in sorted(counter.bytes.items())
    ]
    rows += [
        ("status and beat", f"{said / 1e6:.3f}", report.times(said / 1e6 / LIMIT_MB)),
        ("limit", f"{LIMIT_MB:.3f}", "–"),
        ("the whole status each minute", f"{whole / 1e6:.3f}", report.times(whole / 1e6 / LIMIT_MB)),
        (f"batches of {BATCH_MINUTES} minutes, 5 probes of 6 values", f"{batches / 1e6:.3f}", "–"),
    ]
    return report.table(("a day", "MB", "/ limit"), rows)


def _drained(each: int | None, minutes: int) -> float:
    """Return the readings a second at which a backlog is stored."""
    readings = list(field.polled(field.five(1), 0, minutes * MINUTE_MS))
    size = len(readings) if each is None else 5 * each
    cut = [readings[at : at + size] for at in range(0, len(readings), size)]
    packets, first = [], 1
    for batch in (batch for one in cut for batch in field.batches(one)):
        packets.append(field.packed(batch, first))
        first += len(batch)
    return drain.measured(packets).rate * len(readings) / len(packets)
