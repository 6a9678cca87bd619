"""Readings as line protocol: the texts of the wire, as they are, set into one template."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import count, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from wire.codec import LAYOUTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wire.batch import Block, Row

NONE = "-"  # an empty tag value is a syntax error
RAW = "raw"  # the measurement of numbers that stand beside a reason
SEQ = "seq"  # the field of a reading's sequence number, an integer: written where the ledger's word cannot say it


def text_of(gateway: str, block: Block, times: list[int]) -> tuple[list[int], str]:
    """Return the lines of a block, each with its end, and the sequence number of each."""
    if not any(block.absent) and block.columns:
        return block.seqs, _woven(gateway, block, times)
    pairs = list(lines(gateway, block, times))
    return [seq for seq, _ in pairs], "".join([f"{line}\n" for _, line in pairs])


def text_of_row(gateway: str, row: Row, times: Sequence[int]) -> str:
    """Return the lines of a row, all of them set into one template."""
    template, order = _row_template(row.channels, row.quantities)
    placed: tuple[object, ...] = order((escaped(gateway or NONE), *times, *row.texts))
    return template % placed


@lru_cache(LAYOUTS)
def _row_template(channels: tuple[str, ...], quantities: tuple[tuple[str, ...], ...]) -> tuple[str, itemgetter[Any]]:
    """Return the lines of a row with places for gateway, values and times; and which of these comes where.

    They are given as the gateway, the time of each channel, and all values.
    """
    tags = [tagged("\0", channel=channel).replace("%", "%%").replace("\0", "%s") for channel in channels]
    lines = [f"reading,{own} {_template(names)}" for own, names in zip(tags, quantities, strict=True)]
    order, values = list[int](), count(1 + len(channels))
    for time, names in enumerate(quantities, 1):
        order += [0, *islice(values, len(names)), time]
    return "".join(lines), itemgetter(*order)


def _woven(gateway: str, block: Block, times: list[int]) -> str:
    """Return a line for each row: what differs from row to row is set, column by column, into what does not."""
    head = _head(gateway, block.channel)
    if len(times) == 1:
        return head + _template(block.quantities) % (*[column[0] for column in block.columns], times[0])
    pieces = _pieces(block.quantities)
    step, rows = len(pieces), len(times)
    text = pieces * rows
    text[::step] = [head] * rows
    for place, column in enumerate(block.columns):
        text[2 * place + 2 :: step] = column
    text[step - 2 :: step] = map(str, times)
    return "".join(text)


@lru_cache(16_384)  # a few channels of each gateway
def _head(gateway: str, channel: str) -> str:
    return f"reading,{tagged(gateway, channel=channel)} "


@lru_cache(1_024)  # one for all gateways that have such a sensor: what is used often stays in the processor's cache
def _template(quantities: tuple[str, ...]) -> str:
    """Return what follows the head of a line, with places for the values and the time."""
    return ",".join([escaped(quantity).replace("%", "%%") + "=%s" for quantity in quantities]) + " %d\n"


@lru_cache(1_024)
def _pieces(quantities: tuple[str, ...]) -> list[str]:
    """Return a line in pieces, empty ones where head, values and time belong; nobody may add to it."""
    pieces = [""]
    for number, quantity in enumerate(quantities):
        pieces += ["," * (number > 0) + f"{escaped(quantity)}=", ""]
    return [*pieces, " ", "", "\n"]


def lines(gateway: str, block: Block, times: list[int]) -> Iterator[tuple[int, str]]:
    """Yield (seq, line) for the rows of a block: the texts of the wire, as they are."""
    tags = tagged(gateway, channel=block.channel)
    holed = {row for pairs in block.absent for row, _ in pairs}
    if block.columns and len(holed) < len(times):
        made = zip(block.seqs, _woven(gateway, block, times).splitlines(), strict=True)
        yield from made if not holed else (pair for row, pair in enumerate(made) if row not in holed)
    reasons: dict[int, list[str]] = {}
    for quantity, pairs in zip(block.quantities, block.absent, strict=True):
        for row, code in pairs:
            reasons.setdefault(row, []).append(f"{escaped(quantity)}={int(code)}")
    raw: dict[int, list[str]] = {}
    for row, quantity, text in block.raw:
        raw.setdefault(row, []).append(f"{escaped(quantity)}={text}")
    for row in sorted(holed):
        pairs_of = zip(block.quantities, block.columns, strict=True)
        present = [f"{escaped(quantity)}={column[row]}" for quantity, column in pairs_of if column[row]]
        if present:
            yield block.seqs[row], f"reading,{tags} {','.join(present)} {times[row]}"
        yield block.seqs[row], f"missing,{tags} {','.join(reasons[row])} {times[row]}"
        if row in raw:
            yield block.seqs[row], f"{RAW},{tags} {','.join(raw[row])} {times[row]}"


def numbered(seq: int, line: str) -> str:
    """Return a line with its sequence number as a field; of what stands beside a reason the reason has it."""
    fields, _, time = line.rpartition(" ")
    return line if line.startswith(f"{RAW},") else f"{fields},{SEQ}={seq}i {time}"


@lru_cache(4_096)
def escaped(text: str) -> str:
    r"""Return a tag key, tag value or field key of line protocol: comma, equals sign and space escaped.

    Line protocol cannot escape a backslash here: before a separator it would swallow it. No name of ours has one.
    """
    return re.sub(r"([,= ])", r"\\\1", text.replace("\n", " ").replace("\\", "_"))


def quoted(text: str) -> str:
    r"""Return a string field of line protocol: `\` and `"` escaped, on one line."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


@lru_cache(16_384)
def tagged(gateway: str, **second: str) -> str:
    """Return gateway and another tag in the order of their keys, which spares the database sorting them."""
    tags = {"gateway": gateway} | second
    return ",".join(f"{key}={escaped(tags[key] or NONE)}" for key in sorted(tags))
