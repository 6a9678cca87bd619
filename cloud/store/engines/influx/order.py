"""Which reading of a batch has which sequence number, as one word in the batch's ledger row.

A number in each reading would bring a time of its own, and cost 0.4 to 0.6 bytes a value on disk. Here a batch says in
which order its channels spoke, and when each spoke first and last. The numbers of a channel rise with its times, so the
points that lie there give the rest. The word is nearly the same each minute, which the database packs to some bytes
(docs/decisions/0025-the-ledger-in-influxdb.md). What it cannot say is numbered reading by reading.
"""

from __future__ import annotations

import re
import string
from functools import lru_cache
from operator import lt
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
_STEP_NS = STEP_MS * MS_NS


def word_of(blocks: Sequence[Block], times: Sequence[Sequence[int]]) -> str:
    """Return the word for a batch and its stored times, `NUMBERED` where it cannot say it.

    That is where the numbers of a channel do not rise with its times, and where channels are too many.
    """
    channels, numbers = [block.channel for block in blocks], [block.seqs for block in blocks]
    if len({*channels}) < len(channels):
        channels, numbers, times = _merged(channels, numbers, times)
    names = _names(tuple(channels))
    if not names:
        return NUMBERED
    in_order = [*map(_in_order, numbers, times)]
    if not all(_rises(own) for _, own in in_order):
        return NUMBERED
    least = min([seqs[0] for seqs, _ in in_order])
    order = _order(tuple([_counted(seqs, least) for seqs, _ in in_order]))
    base_ns = min([own[0] for _, own in in_order]) // MS_NS * MS_NS
    told = ",".join([f"{(own[0] - base_ns) // _STEP_NS}-{(own[-1] - base_ns) // _STEP_NS}" for _, own in in_order])
    return f"{names}:{order}:{told}"


def word_of_row(channels: tuple[str, ...], seqs: Sequence[int], times: Sequence[int]) -> str:
    """Return the same word where each channel has one reading."""
    names = _names(channels)
    if not names:
        return NUMBERED
    least, base_ns = min(seqs), min(times) // MS_NS * MS_NS
    order = _order(tuple([(seq - least,) for seq in seqs]))
    steps = [(time - base_ns) // _STEP_NS for time in times]
    return f"{names}:{order}:{','.join([f'{step}-{step}' for step in steps])}"


def _merged(
    channels: Sequence[str], numbers: Sequence[list[int]], times: Sequence[Sequence[int]]
) -> tuple[list[str], list[list[int]], list[list[int]]]:
    """Return the same, each channel once: it has a second block where it spoke of other quantities now and then."""
    own: dict[str, list[tuple[int, int]]] = {}
    for channel, *pair in zip(channels, numbers, times, strict=True):
        own.setdefault(channel, []).extend(zip(*pair, strict=True))
    spoken = [list(zip(*pairs, strict=True)) for pairs in own.values()]
    return list(own), [list(seqs) for seqs, _ in spoken], [list(ns) for _, ns in spoken]


def _in_order(seqs: list[int], times: Sequence[int]) -> tuple[list[int], Sequence[int]]:
    """Return numbers and times in order of the numbers."""
    rising = sorted(seqs)
    return rising, times if rising == seqs else [time for _, time in sorted(zip(seqs, times, strict=True))]


def _rises(times: Sequence[int]) -> bool:
    return len(times) == 1 or all(map(lt, times, times[1:]))


def _counted(seqs: list[int], least: int) -> Sequence[int]:
    """Return numbers in order as counted from `least`: as a range where they are one, which is made and found soon."""
    first, last = seqs[0], seqs[-1]
    step = (last - first) // max(len(seqs) - 1, 1) or 1
    if seqs == [*range(first, last + 1, step)]:
        return range(first - least, last - least + 1, step)
    return tuple([seq - least for seq in seqs])


@lru_cache(1_024)  # most gateways ask their sensors in the same order each time
def _order(numbers: tuple[Sequence[int], ...]) -> str:
    """Return the symbols of channels in the order in which they spoke."""
    symbols = {seq: symbol for symbol, seqs in zip(_SYMBOLS, numbers, strict=False) for seq in seqs}
    return "".join([symbols[seq] for seq in sorted(symbols)])


@lru_cache(8_192)
def _names(channels: tuple[str, ...]) -> str:
    """Return the channels as a word has them, "" where it cannot."""
    names = ",".join(channels)
    return names if len(channels) <= len(_SYMBOLS) and _NAMES.fullmatch(names) else ""


def numbers(row: LedgerRow, points: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """Return the numbers of the points (channel, stored time) under the key of a ledger row, as its word says.

    A channel that has not exactly as many points between its first and its last as were written (some not to be seen
    yet, or removed) has none: a wrong number would be worse. No channel speaks twice within `STEP_MS`, so a neighbour's
    reading is none of its own. Raises ValueError for a word that rotted.
    """
    if row.order in {"", NUMBERED}:
        return {}
    names, symbols, spans = row.order.split(":")
    base_ns = row.start_ns // MS_NS * MS_NS
    out: dict[tuple[str, int], int] = {}
    for name, symbol, span in zip(names.split(","), _SYMBOLS, spans.split(","), strict=False):
        low, high = map(int, span.split("-"))
        own = sorted(point for point in points if point[0] == name and low <= (point[1] - base_ns) // _STEP_NS <= high)
        seqs = [row.first + at for at, one in enumerate(symbols) if one == symbol]
        if len(own) == len(seqs):
            out |= dict(zip(own, seqs, strict=True))
    return out
