"""Decoding and checking a message on one core, beside `json.loads` and influxdb-client's Point, as scripts do it.

Both sides end at the same line protocol. Ours also checks (CRC, limits, every value's range, the sequence numbers) and
writes the ledger's line; the peers check nothing. The hand-made peer, one f-string a line, shows what is gained by the
wire itself and not by leaving Point out.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from influxdb_client import Point

from bench import field, report
from cloud.store.engines.influx.lines import SEQ
from cloud.store.engines.influx.parcels import pack, posted
from wire.codec import decode_message

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "decode"
TITLE = "Decode and check: values a second of one core"
ROWS = (1, 6, 10, 60)
ROUNDS, SECONDS = 5, 0.3
GATEWAY, NOW_MS = "sg-01", field.START_MS + 86_400_000
OURS, DECODED, POINT, BY_HAND = "gocche", "gocche, decode only", "Point", "JSON by hand"


def run(*, quick: bool = False) -> str:
    """Return the table. Raises AssertionError where both sides do not end at the same values."""
    rows = []
    for every in ROWS:
        readings = list(field.polled(field.five(1), 0, every * field.EVERY_MS))
        jobs = _jobs(field.packed(readings), field.thingsboard(readings))
        _same(jobs)
        values = sum(len(reading.values) for reading in readings)
        seconds = 0.05 if quick else SECONDS
        rounds = [
            {name: report.rate(job, seconds) for name, job in jobs.items()} for _ in range(1 if quick else ROUNDS)
        ]
        got = report.medians(rounds)
        rows.append(
            (
                *(every, *(report.figure(got[name] * values / 1e6) for name in jobs)),
                *(report.times(got[OURS] / got[POINT]), report.times(got[DECODED] / got[POINT])),
                report.times(got[OURS] / got[BY_HAND]),
            )
        )
    head = ("rows of 30 values", *(f"{name}, M/s" for name in _NAMES))
    return report.table((*head, "gocche/Point", "decode only/Point", "gocche/by hand"), rows)


_NAMES = (OURS, DECODED, POINT, BY_HAND)


def _jobs(packet: bytes, said: bytes) -> dict[str, Callable[[], str]]:
    return {
        OURS: lambda: lines(packet),
        DECODED: lambda: decode_message(GATEWAY, packet, NOW_MS).epoch,
        POINT: lambda: points(said),
        BY_HAND: lambda: by_hand(said),
    }


def lines(packet: bytes, gateway: str = GATEWAY) -> str:
    """Return what `cloud.store.engines.influx` sends for one packet: the readings' lines and the ledger's."""
    batch = decode_message(gateway, packet, NOW_MS)
    (one,) = posted([pack(batch)], NOW_MS)
    return one.parcel.readings.decode() + one.told()


def points(said: bytes) -> str:
    """Return the lines of a ThingsBoard message, by influxdb-client's Point, as its examples do."""
    return "\n".join(
        _point(device, reading).to_line_protocol()
        for device, readings in json.loads(said).items()
        for reading in readings
    )


def _point(device: str, reading: dict[str, Any]) -> Any:
    point = Point("reading").tag("gateway", GATEWAY).tag("channel", device).time(reading["ts"] * 1_000_000)
    for name, value in reading["values"].items():
        point.field(name, value)
    return point


def by_hand(said: bytes) -> str:
    """Return the same lines, made with as little Python as JSON allows."""
    return "\n".join(
        f"reading,channel={device},gateway={GATEWAY} "
        f"{','.join([f'{name}={value}' for name, value in reading['values'].items()])} {reading['ts'] * 1_000_000}"
        for device, readings in json.loads(said).items()
        for reading in readings
    )


def _same(jobs: dict[str, Callable[[], str]]) -> None:
    """Compare the numbers that each side would store, in order."""
    ours, *theirs = (_numbers(jobs[name]()) for name in (OURS, POINT, BY_HAND))
    assert ours
    assert all(sorted(one) == sorted(ours) for one in theirs)


def _numbers(text: str) -> list[float]:
    fields = [line.split(" ")[1] for line in text.splitlines() if line.startswith("reading,")]
    pairs = [pair.partition("=") for own in fields for pair in own.split(",")]
    return [float(value.removesuffix("i")) for name, _, value in pairs if name != SEQ]  # nobody else has that
