"""Child process, the peer: the script that everybody writes — paho, `json.loads`, `Point`, the batching WriteApi.

Its settings are the libraries' own, with one kindness: the caller sends whole thousands of lines, so that the last
batch does not wait for the flush interval.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import Any

import paho.mqtt.client as mqtt
from influxdb_client import InfluxDBClient, Point, WriteOptions
from paho.mqtt.enums import CallbackAPIVersion

TOPIC = "tb/+/telemetry"


def main(port: int, settings: dict[str, Any], expected: int) -> None:
    """Write what the broker brings; say `ready` when subscribed and `done TIME` when `expected` lines are written."""
    influx = InfluxDBClient(settings["url"], token=settings["token"], org=settings["org"])
    written = 0

    def wrote(_: object, lines: bytes) -> None:
        nonlocal written
        written += lines.count(b"\n") + 1
        if written >= expected:
            print("done", time.monotonic(), flush=True)

    api = influx.write_api(write_options=WriteOptions(), success_callback=wrote)

    def arrived(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        gateway = message.topic.split("/")[1]
        for device, readings in json.loads(message.payload).items():
            for reading in readings:
                point = Point("reading").tag("gateway", gateway).tag("channel", device)
                for name, value in reading["values"].items():
                    point.field(name, value)
                api.write(settings["bucket"], record=point.time(reading["ts"] * 1_000_000))

    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="script")
    client.on_connect = lambda own, *_: own.subscribe(TOPIC, qos=1)
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.on_message = arrived
    client.connect("127.0.0.1", port)
    client.loop_start()
    signal.pause()  # the caller reads our CPU, then ends us


if __name__ == "__main__":
    main(int(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3]))
