"""Words to systemd: ready, alive, stopping. Silent where nobody listens."""

from __future__ import annotations

import os
import socket


def notify(words: str) -> bool:
    """Send `READY=1`, `WATCHDOG=1`, `STATUS=…` or `STOPPING=1` (sd_notify(3)); tell whether systemd was there."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(words.encode(), "\0" + address[1:] if address.startswith("@") else address)
    return True
