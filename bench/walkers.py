"""Child process: telephones of teams that walk and tell what they hear each second, as the app does, in one thread.

Each has its own account, place and moments. It says `ready` when all are in, `sent MOMENTS` when it has ended: those of
which the broker has taken every record.
"""

from __future__ import annotations

import json
import math
import select
import socket
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from bench.sender import _packet, _text
from wire import topics

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONNECT, _CONNACK, _PUBLISH, _PUBACK = 0x10, 0x20, 0x32, 0x40
RECORDS = ("nr_message", "lte_message", "gnss_message")
END_S = 10.0


def records(number: int, moment: int, at: datetime) -> list[tuple[str, bytes]]:
    """Return what a telephone says of a moment, by stream: 5G, its anchor, and where that is."""
    lat = 21.55 + 0.001 * (number % 20) + 0.00002 * (moment % 500)
    lon = 104.55 + 0.001 * (number // 20)
    common = {
        "deviceSerialNumber": f"bench-{number}", "deviceName": f"bench-{number}", "missionId": "bench",
        "deviceTime": at.isoformat(timespec="milliseconds"), "latitude": lat, "longitude": lon,
        "altitude": 1_300.0, "accuracy": 8, "groupNumber": moment, "recordNumber": moment,
    }  # fmt: skip
    fades = 6 * math.sin(moment / 9 + number)
    cell = {"mcc": 452, "mnc": 4, "tac": 12_101, "servingCell": True, "provider": "bench"}
    nr = {
        "nci": 6_871_947_673 + number,
        "narfcn": 630_000,
        "pci": 500,
        "ssRsrp": -98 + fades,
        "ssRsrq": -11,
        "ssSinr": 9,
    }
    lte = {"eci": 27_447_297, "earfcn": 1_300, "pci": 101, "rsrp": -95 + fades, "rsrq": -10, "snr": 8}
    told = (("NrRecord", common | cell | nr), ("LteRecord", common | cell | lte), ("GnssRecord", common))
    said = [json.dumps({"version": "1.1.0", "messageType": kind, "data": data}).encode() for kind, data in told]
    return list(zip(RECORDS, said, strict=True))


class Walker:
    """One telephone."""

    def __init__(self, port: int, number: int, user: str, password: str) -> None:
        self.number, self.user = number, user
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._in = bytearray()
        self._id = 0
        self.taken = 0
        hello = b"\0\4MQTT\4\xc2\0\0" + _text(user) + _text(user) + _text(password)
        self.socket.sendall(_packet(_CONNECT, hello))

    def tell(self, moment: int, at: datetime) -> None:
        """Say a moment."""
        out = bytearray()
        for stream, payload in records(self.number, moment, at):
            self._id = self._id % 65_535 + 1
            out += _packet(_PUBLISH, _text(topics.phone(self.user, stream)) + self._id.to_bytes(2, "big") + payload)
        self.socket.sendall(out)

    def answers(self) -> Iterator[int]:
        """Yield the kind of each answer that has come; all that the broker says here has two bytes."""
        got = self.socket.recv(4_096)
        if not got:
            raise ConnectionError(f"the broker hung up on {self.user}")
        self._in += got
        while len(self._in) >= 4:
            kind, code = self._in[0], self._in[3]
            del self._in[:4]
            if kind == _CONNACK and code:
                raise ConnectionRefusedError(f"{self.user}: {code}")
            self.taken += kind == _PUBACK
            yield kind


def main(port: int, accounts: Path, seconds: float, first: int) -> None:
    """Walk for so long, telling moments from number `first` on."""
    known = json.loads(accounts.read_text(encoding="utf-8"))
    walkers = {}
    for number, (user, password) in enumerate(known):
        one = Walker(port, number, user, password)
        walkers[one.socket] = one
    waiting = set(walkers)
    while waiting:
        for ready in select.select(list(waiting), [], [], END_S)[0]:
            waiting -= {ready} if list(walkers[ready].answers()) else set()
    print("ready", flush=True)
    began_s, began = time.monotonic(), datetime.now(UTC)
    told = 0
    order = list(walkers.values())
    while (spent := time.monotonic() - began_s) < seconds or not _all_taken(order, told):
        if spent > seconds + END_S:
            break
        due = min(int(spent * len(order)), int(seconds) * len(order))  # one after another, each once a second
        for at in range(told, due):
            moment = at // len(order)
            order[at % len(order)].tell(first + moment, began + timedelta(seconds=moment))
        told = max(told, due)
        for ready in select.select(list(walkers), [], [], 0.01)[0]:
            list(walkers[ready].answers())
    print("sent", sum(one.taken // len(RECORDS) for one in order), flush=True)
    for one in order:
        one.socket.close()


def _all_taken(order: list[Walker], told: int) -> bool:
    return sum(one.taken for one in order) >= told * len(RECORDS)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
