"""Child process: the cloud's way in — stream, ingester, store — and nothing else, so that its CPU can be counted."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from pathlib import Path

import cloud.stream.client
from cloud.clock import SystemClock
from cloud.config import Broker
from cloud.ingest.audit import Books
from cloud.ingest.ingester import Ingester
from cloud.ingest.quarantine import Quarantine
from cloud.rooms.life import collect_rarely
from cloud.store import open_store
from cloud.stream.connection import Stream
from wire import topics


def main(port: int, table: str, folder: Path, sockets: str = "") -> None:
    """Store what the broker brings until SIGTERM; say `ready` once connected. `sockets` may be `waiting` (Nagle)."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    stop, up, clock = threading.Event(), threading.Event(), SystemClock()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if sockets == "waiting":
        cloud.stream.client.at_once = lambda *_: None
    store = open_store(json.loads(table), writer=True)
    store.setup()
    stream = Stream(
        Broker(port=port), "gocche-ingest", topics.FROM_GATEWAYS, clock,
        lambda arrival: ingester.offer(arrival), lambda _: up.set(),  # noqa: PLW0108 - the ingester comes below
    )  # fmt: skip
    ingester = Ingester(store, Quarantine(folder / "quarantine.db"), Books(), clock, stream.publish)
    collect_rarely()
    thread = threading.Thread(target=ingester.run, args=(stop,), name="ingest")
    thread.start()
    stream.start()
    up.wait()
    print("ready", flush=True)
    stop.wait()
    stream.close()
    thread.join()
    store.close()
    print(json.dumps(ingester.health()["counts"]), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), *sys.argv[4:])
