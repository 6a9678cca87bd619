"""Which reading of a batch has which sequence number, as one word in the batch's ledger row.

A number in each reading would bring a time of its own, and cost 0.4 to 0.6 bytes a value on disk. Here a batch says in
which order its channels spoke, and when each spoke first and last. The numbers of a channel rise with its times, so the
points that lie there give the rest. The word is nearly the same each minute, which the database packs to some bytes
(docs/decisions/0025-the-ledger-in-influxdb.md). What it cannot say is numbered reading by reading.
"""

from __future__ import annotations

import re
import string
from itertools import pairwise
from typing import TYPE_CHECKING

from cloud.store.keys import MS_NS
from wire.batch import STEP_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.store.ledger import LedgerRow
    from wire.batch import Block

NUMBERED = "-"  # for the word: each reading has its number
_SYMBOLS = string.ascii_letters + string.digits
_NAMES = re.compile(r"[\w.-]+(,[\w.-]+)*")


def word_of(blocks: Sequence[Block], times: Sequence[Sequence[int]]) -> str:
    """Return the word for a batch and its stored times, `NUMBERED` where it cannot say it.

    That is where the numbers of a channel do not rise with its times, and where channels are too many.
    """
    channels: dict[str, list[tuple[int, int]]] = {}
    for block, own in zip(blocks, times, strict=True):
        channels.setdefault(block.channel, []).extend(zip(block.seqs, own, strict=True))
    for spoken in channels.values():
        spoken.sort()
        if any(time >= later for (_, time), (_, later) in pairwise(spoken)):
            return NUMBERED
    names = ",".join(channels)
    if len(channels) > len(_SYMBOLS) or not _NAMES.fullmatch(names):
        return NUMBERED
    symbols = {seq: symbol for symbol, own in zip(_SYMBOLS, channels.values(), strict=False) for seq, _ in own}
    start_ms = min(own[0][1] for own in channels.values()) // MS_NS
    spans = ",".join(f"{_step(own[0][1], start_ms)}-{_step(own[-1][1], start_ms)}" for own in channels.values())
    return f"{names}:{''.join(symbols[seq] for seq in sorted(symbols))}:{spans}"


def numbers(row: LedgerRow, points: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """Return the numbers of the points (channel, stored time) under the key of a ledger row, as its word says.

    A channel that has not exactly as many points between its first and its last as were written (some not to be seen
    yet, or removed) has none: a wrong number would be worse. No channel speaks twice within `STEP_MS`, so a neighbour's
    reading is none of its own. Raises ValueError for a word that rotted.
    """
    if row.order in {"", NUMBERED}:
        return {}
    names, symbols, spans = row.order.split(":")
    start_ms = row.start_ns // MS_NS
    out: dict[tuple[str, int], int] = {}
    for name, symbol, span in zip(names.split(","), _SYMBOLS, spans.split(","), strict=False):
        low, high = map(int, span.split("-"))
        own = sorted(point for point in points if point[0] == name and low <= _step(point[1], start_ms) <= high)
        seqs = [row.first + at for at, one in enumerate(symbols) if one == symbol]
        if len(own) == len(seqs):
            out |= dict(zip(own, seqs, strict=True))
    return out


def _step(time_ns: int, start_ms: int) -> int:
    return (time_ns // MS_NS - start_ms) // STEP_MS
