"""The agent as a whole, on a pseudo-terminal: an ordered stop loses nothing, not even what is being asked just then."""

from __future__ import annotations

import os
import threading
import tty

from edge.agent import Agent
from edge.clock import SystemClock
from edge.config import load
from edge.framing import rtu
from edge.keep.spool import Spool
from tests.servers import free_port, until

CONFIG = """
[gateway]
id = "sg-01"
[broker]
host = "127.0.0.1"
port = {port}
[spool]
commit_s = 600
[[bus]]
name = "rs485"
port = "ports/rs485"
[[sensor]]
channel = "soil-1"
bus = "rs485"
driver = "modbus"
profile = "soil-0000"
address = 1
read = [{{ at = 0, count = 4 }}]
every_s = 3600
timeout_s = 20
"""


def test_what_is_being_asked_when_the_stop_comes_is_kept(tmp_path):
    (tmp_path / "devices.toml").write_text(CONFIG.format(port=free_port()))
    (tmp_path / "ports").mkdir()
    master, slave = os.openpty()
    tty.setraw(slave)
    (tmp_path / "ports" / "rs485").symlink_to(os.ttyname(slave))
    stop = threading.Event()
    agent = Agent(load(tmp_path / "devices.toml"), tmp_path, SystemClock())
    running = threading.Thread(target=agent.run, args=(stop,))
    running.start()
    try:
        assert os.read(master, 64) == rtu.request(1, 3, 0, 4)
        stop.set()  # in the middle of a poll …
        keeper = next(thread for thread in threading.enumerate() if thread.name == "keeper")
        keeper.join(1.1)  # … longer than the keeper's own pause
        body = bytes((1, 3, 8)) + b"".join(word.to_bytes(2, "big") for word in (301, 215, 412, 48))
        os.write(master, body + rtu.crc16(body))
    finally:
        running.join(30)
        os.close(master)
        os.close(slave)
    until(lambda: not running.is_alive(), 1, "the agent has ended")
    spool = Spool(tmp_path / "spool.db", 1 << 22)
    assert spool.acquired == 1
    assert spool.uncut == 0
    spool.close()
