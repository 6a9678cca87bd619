"""Child process: Modbus soil probes on pseudo-terminals, kept so light that they do not disturb what is measured.

Answers come as a UART at 9600 baud brings them, once the question has been on the wire and thought about: eight bytes
(one FIFO) every 8.3 ms, not all at once, because each arrival wakes the agent. `gocche.garden` has pymodbus as an
independent slave; here only its CPU would be noise.
"""

from __future__ import annotations

import heapq
import os
import random
import select
import struct
import sys
import time
import tty
from pathlib import Path

from edge.framing.rtu import REQUEST_SIZE, crc16

FIFO, FIFO_S = 8, 8 * 10 / 9600
ASKED_S, THINKS_S = REQUEST_SIZE * 10 / 9600, (0.010, 0.014)  # a device is as fast as this, never the same
START = (312, 184, 412, 48, 31, 12, 64)  # the seven registers of a soil-0000 probe


class Port:
    """One pseudo-terminal with all its probes."""

    def __init__(self, link: Path) -> None:
        self.master, self._slave = os.openpty()  # the slave side stays open: a sensor does not notice a closed port
        tty.setraw(self._slave)
        link.symlink_to(os.ttyname(self._slave))
        self._heard = b""
        self._chance = random.Random(str(link))
        self._values: dict[int, list[int]] = {}

    def answer(self) -> bytes:
        """Read what has come; return the answer once the request is whole."""
        self._heard += os.read(self.master, 256)
        request, self._heard = self._heard[:REQUEST_SIZE], self._heard[REQUEST_SIZE:]
        if len(request) < REQUEST_SIZE:
            self._heard = request
            return b""
        address, function, at, count = struct.unpack(">BBHH", request[:-2])
        values = self._values.setdefault(address, list(START))
        values[:] = [max(now + self._chance.choice((-1, 0, 1)), 0) for now in values]
        values[3] = START[3]  # a walk would leave what pH can be
        asked = values[at : at + count]
        frame = struct.pack(f">BBB{count}H", address, function, 2 * count, *asked)
        return frame + crc16(frame)


def main(links: list[Path]) -> None:
    """Serve until SIGTERM; say `ready` when all ports are there."""
    ports = {port.master: port for port in map(Port, links)}
    due: list[tuple[float, int, bytes]] = []
    print("ready", flush=True)
    while True:
        wait = max(due[0][0] - time.monotonic(), 0) if due else None
        for master in select.select(ports, [], [], wait)[0]:
            answer, now = ports[master].answer(), time.monotonic() + ASKED_S + random.uniform(*THINKS_S)
            for at in range(0, len(answer), FIFO):
                heapq.heappush(due, (now + (at // FIFO + 1) * FIFO_S, master, answer[at : at + FIFO]))
        while due and due[0][0] <= time.monotonic():
            _, master, part = heapq.heappop(due)
            os.write(master, part)


if __name__ == "__main__":
    main([Path(word) for word in sys.argv[1:]])
