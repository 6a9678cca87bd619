"""What a gateway claims of its own nodes, without any network: the cloud's own detector beside the sensors.

Each reading of a node's channels is a sample; a claim is a reading of quantity `smoke_claim` on a channel of its own,
put in when its level changes and each ten minutes, so that its absence means something. Nodes of one gateway hang
within its cables and know of each other. What they remember lies in memory, not on the card, and outlives the process,
not the boot: after a power cut it is learned anew, and until then only what no haze reaches counts.
"""

from __future__ import annotations

import logging
import threading
import zlib
from typing import TYPE_CHECKING

import msgspec

from detect.claim import SUSPECTED
from detect.judgement import heard_ms
from detect.limits import LIMITS
from detect.node import as_neighbour, silent, step
from detect.state import FIELDS, VERSION, Node, Sample
from edge.status import make_ours
from wire.quantities import QUANTITIES
from wire.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from detect.claim import Claim
    from edge.clock import Anchor, Clock
    from edge.config import NodeTable

log = logging.getLogger(__name__)
CLAIM = "smoke_claim"
FILE = "nodes.bin"
REPORT_MS = 600_000
WRITE_MS = 10_000  # a process that is killed each minute learns and counts all the same
SILENT_MS = LIMITS.silent_ms
_SUM = 4  # bytes before the file's content, its CRC-32: damage is no memory of a node


class _Kept(msgspec.Struct, frozen=True):
    """The file: states are dated in milliseconds of their boot, so those of another one say nothing."""

    boot: str
    version: int
    nodes: dict[str, Node]


class Nodes:
    """All nodes of one gateway. `put` takes what is read and what is claimed; any thread may bring a reading."""

    def __init__(
        self, tables: list[NodeTable], put: Callable[[Reading | Anchor], None], clock: Clock, folder: Path
    ) -> None:
        self._put, self._clock, self._path = put, clock, folder / FILE
        self._of = {channel: table.channel for table in tables for channel in table.channels}
        self._lock = threading.Lock()
        self._nodes = {table.channel: Node() for table in tables} | self._read({table.channel for table in tables})
        self._said = dict.fromkeys(self._nodes, (-1, 0))  # level, and when
        self._written_ms = self._begun_ms = clock.mono_ms()

    def see(self, item: Reading | Anchor) -> None:
        """Hand a reading on, and after it what it makes of its node."""
        name = self._of.get(item.channel) if isinstance(item, Reading) else None
        if name is None or not isinstance(item, Reading):
            self._put(item)
            return
        values = {FIELDS[key]: QUANTITIES[key].unscale(scaled) for key, scaled in item.values.items() if key in FIELDS}
        with self._lock:  # in the order in which the keeper has them
            self._put(item)
            if values:
                near = [one for other, node in self._nodes.items() if other != name and (one := as_neighbour(node))]
                self._nodes[name], claim = step(self._nodes[name], Sample(item.mono_ms, **values), near)
                self._tell(name, claim, item.mono_ms)

    def look(self) -> None:
        """Look for nodes that say nothing, and leave what is remembered where the next process finds it."""
        if not self._nodes:
            return
        now = self._clock.mono_ms()
        with self._lock:
            for name, node in self._nodes.items():
                unheard_ms = max(self._begun_ms - heard_ms(node), 0)  # while no agent ran nobody listened
                self._nodes[name], claim = silent(node, now, after_ms=SILENT_MS + unheard_ms)
                self._tell(name, claim, now)
        if now - self._written_ms >= WRITE_MS:
            self.write()

    def write(self) -> None:
        """Leave what is remembered in memory. May be called at any time."""
        if not self._nodes:
            return
        self._written_ms = self._clock.mono_ms()
        try:
            make_ours(self._path.parent)
            part = self._path.with_suffix(".part")
            content = msgspec.msgpack.encode(_Kept(self._clock.boot, VERSION, dict(self._nodes)))
            part.write_bytes(zlib.crc32(content).to_bytes(_SUM) + content)
            part.replace(self._path)
        except OSError as error:
            log.warning("nodes not-written why=%r", str(error))

    def _tell(self, name: str, claim: Claim, now: int) -> None:
        level, at_ms = self._said[name]
        if claim.level == level and now - at_ms < REPORT_MS:
            return
        if claim.level != level and max(claim.level, level) >= SUSPECTED:
            why = ",".join(reason.key for reason in claim.reasons)
            log.warning("claim node=%s level=%d radius_m=%s why=%s", name, claim.level, claim.radius_m, why or "-")
        self._said[name] = claim.level, now
        self._put(Reading(name, now, {CLAIM: claim.level}, {}))

    def _read(self, names: set[str]) -> dict[str, Node]:
        """Return what an earlier process of this boot has left of these nodes."""
        try:
            raw = self._path.read_bytes()
            kept = _decoded(raw)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            log.warning("nodes not-read why=%r; what is ordinary is learned anew", str(error))
            return {}
        if kept.boot != self._clock.boot or kept.version != VERSION:
            return {}
        return {name: node for name, node in kept.nodes.items() if name in names}


def _decoded(raw: bytes) -> _Kept:
    """Return what a file holds. Raises ValueError, MsgspecError for a damaged one, or one of another version."""
    if int.from_bytes(raw[:_SUM]) != zlib.crc32(raw[_SUM:]):
        raise ValueError("its sum is wrong")
    return msgspec.msgpack.decode(raw[_SUM:], type=_Kept)
