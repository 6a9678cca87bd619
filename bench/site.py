"""Child process: the room of the pages as the server runs it, on the sample garden."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import msgspec

from cloud.clock import SystemClock
from cloud.config import load
from cloud.rooms import step_back
from cloud.rooms.life import live
from cloud.rooms.listener import listen
from cloud.rooms.pages import build

SAMPLE = Path(__file__).parent.parent / "config" / "cloud.toml"


def main(folder: str, port: int, broker: int, influx: str = "") -> int:
    """Serve until SIGTERM what lies in a data folder; say `ready` once visitors are let in.

    `influx` is the address of a database in place of the folder's own store.
    """
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    sample = load(SAMPLE)
    config = msgspec.structs.replace(
        sample,
        data=msgspec.structs.replace(sample.data, path=folder),
        broker=msgspec.structs.replace(sample.broker, port=broker),
        store={"engine": "influx", "url": influx} if influx else sample.store,
    )

    def notify(words: str) -> None:
        if words == "READY=1":
            print("ready", flush=True)

    room = build(config, SystemClock(), listen("127.0.0.1", port))
    step_back("pages")
    return live(room, SystemClock(), notify)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:]))
