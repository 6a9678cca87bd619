"""Telegraf as a process: MQTT in, InfluxDB out, line protocol on both sides, which is the least work for it.

It acknowledges a message to the broker once InfluxDB has it, and its session is kept, so it is compared at its safest.
Its limits are opened as far as helps it: at most 5,000 lines a request, a flush every 100 ms so that nothing waits, and
room for the lines of all messages that it may hold: with room for 100,000 the last line of 60-row messages never came.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench import process
from tests import servers

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "Telegraf"
TOPIC = "tg/{}/up"
_CACHED = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gocche-servers" / "telegraf" / "telegraf"
PROGRAM = os.environ.get("GOCCHE_TELEGRAF") or shutil.which("telegraf") or (str(_CACHED) if _CACHED.exists() else "")
_CONFIG = """
[agent]
  interval = "1s"
  flush_interval = "100ms"
  metric_batch_size = 5000
  metric_buffer_limit = 400000
  omit_hostname = true
[[inputs.mqtt_consumer]]
  servers = ["tcp://127.0.0.1:{port}"]
  topics = ["tg/+/up"]
  topic_tag = ""
  qos = 1
  client_id = "telegraf"
  persistent_session = true
  max_undelivered_messages = 1000
  data_format = "influx"
[[outputs.influxdb]]
  urls = ["{url}"]
  database = "{database}"
  skip_database_creation = true
"""


def missing() -> str:
    """Tell why it is not measured, "" where it can be."""
    return "" if PROGRAM else f"{NAME} absent: set GOCCHE_TELEGRAF to its binary"


@contextmanager
def running(folder: Path, port: int, url: str, database: str) -> Iterator[int]:
    """Run it while inside, subscribed; yield its process id."""
    folder.mkdir()
    config, log = folder / "telegraf.conf", folder / "telegraf.log"
    config.write_text(_CONFIG.format(port=port, url=url, database=database), encoding="utf-8")
    with log.open("w", encoding="utf-8") as out:
        child = subprocess.Popen([PROGRAM, "--config", str(config)], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        servers.until(
            lambda: "Connected" in log.read_text(encoding="utf-8"), process.PATIENCE_S, f"{NAME} is connected"
        )
        time.sleep(0.3)
        yield child.pid
    finally:
        child.terminate()
        try:
            child.wait(process.STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
