"""How often somebody may try: a bucket for each account from each network, and wider ones for either alone.

In memory, and bounded: a restart forgets it, and no address is written anywhere.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloud.clock import Clock

A_MINUTE_S = 60.0
LIMITS = {"both": 5, "network": 20, "account": 60}  # tries a minute; nobody locks another out from a network of theirs
MOST_KEPT = 20_000  # buckets; the one that was not used for longest goes


LOOPBACK = ("127.0.0.1", "::1")  # where a reverse proxy of ours stands, which says whom it speaks for


def network_behind(peer: str, forwarded: str) -> str:
    """Return the network of who asks; what a proxy on this machine says last of its own peer is believed."""
    behind = forwarded.rpartition(",")[2].strip()
    return network_of(behind if behind and peer in LOOPBACK else peer)


def network_of(address: str) -> str:
    """Return the network of an address, as whole as providers give it out: /24 of IPv4, /48 of IPv6."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    mapped = getattr(ip, "ipv4_mapped", None) or ip
    return str(ip_network(f"{mapped}/{24 if mapped.version == 4 else 48}", strict=False))


class Throttle:
    """Counts tries. From any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[tuple[str, ...], tuple[float, float]] = OrderedDict()  # tries left, as of

    def wait_s(self, account: str, network: str, limits: Mapping[str, int] = LIMITS) -> int:
        """Count a try; return 0 where it may be made, or after how many seconds it may."""
        keys = {"both": (account, network), "network": ("", network), "account": (account,)}
        now = self._clock.monotonic()
        with self._lock:
            left = {name: self._left(key, limits[name], now) for name, key in keys.items()}
            short = {name: 1 - tries for name, tries in left.items() if tries < 1}
            if short:
                return max(1, *(round(missing * A_MINUTE_S / limits[name]) for name, missing in short.items()))
            for name, key in keys.items():
                self._buckets[key] = left[name] - 1, now
                self._buckets.move_to_end(key)
            while len(self._buckets) > MOST_KEPT:
                self._buckets.popitem(last=False)
        return 0

    def forget(self, account: str, network: str) -> None:
        """Forget the tries of an account from a network: it was the right person."""
        with self._lock:
            self._buckets.pop((account, network), None)

    def _left(self, key: tuple[str, ...], limit: int, now: float) -> float:
        tries, then = self._buckets.get(key, (float(limit), now))
        return min(float(limit), tries + (now - then) * limit / A_MINUTE_S)
