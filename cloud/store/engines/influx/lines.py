"""Readings as line protocol: the texts of the wire, as they are, set into one template."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import chain, repeat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wire.batch import Block

NONE = "-"  # an empty tag value is a syntax error
SEQ = "seq"  # the field of a reading's sequence number, an integer: written where the ledger's word cannot say it


def text_of(gateway: str, block: Block, times: list[int], *, numbered: bool) -> str:
    """Return the lines of a block, each with its end: where nothing is absent all rows are put together at once."""
    if any(block.absent) or not block.columns:
        return "".join([f"{line}\n" for _, line in lines(gateway, block, times, numbered=numbered)])
    columns = _columns(block, times, numbered=numbered)
    if len(times) == 1:
        return _template(gateway, block.channel, block.quantities, numbered) % tuple([column[0] for column in columns])
    pieces = _pieces(gateway, block.channel, block.quantities, numbered)
    columns[len(block.columns) :] = [list(map(str, column)) for column in columns[len(block.columns) :]]
    woven = chain.from_iterable(zip(pieces, columns, strict=False))
    return "".join(chain.from_iterable(zip(*woven, pieces[-1], strict=False)))  # pieces never end


def _columns(block: Block, times: list[int], *, numbered: bool) -> list[Sequence[object]]:
    return [*block.columns, block.seqs, times] if numbered else [*block.columns, times]


@lru_cache(16_384)  # a few channels of each gateway, a few hundred bytes each
def _template(gateway: str, channel: str, quantities: tuple[str, ...], numbered: bool) -> str:
    """Return the line of one row, for one formatting with all that differs from row to row."""
    fields = ",".join(escaped(quantity).replace("%", "%%") + "=%s" for quantity in quantities)
    number = f",{SEQ}=%di" if numbered else ""
    return f"reading,{tagged(gateway, channel=channel).replace('%', '%%')} {fields}{number} %d\n"


@lru_cache(16_384)
def _pieces(gateway: str, channel: str, quantities: tuple[str, ...], numbered: bool) -> list[repeat[str]]:
    """Return what stands around the columns, in each row the same: strung together that is twice as fast."""
    template = _template(gateway, channel, quantities, numbered).replace("%d", "%s")
    return [repeat(piece.replace("%%", "%")) for piece in template.split("%s")]


def lines(gateway: str, block: Block, times: list[int], *, numbered: bool) -> Iterator[tuple[int, str]]:
    """Yield (seq, line) for the rows of a block: the texts of the wire, as they are, set into one template."""
    tags = tagged(gateway, channel=block.channel)
    holed = {row for pairs in block.absent for row, _ in pairs}
    if block.columns and len(holed) < len(times):
        template = _template(gateway, block.channel, block.quantities, numbered)
        rows = zip(*_columns(block, times, numbered=numbered), strict=True)
        made = zip(block.seqs, map(template[:-1].__mod__, rows), strict=True)
        yield from made if not holed else (pair for row, pair in enumerate(made) if row not in holed)
    reasons: dict[int, list[str]] = {}
    for quantity, pairs in zip(block.quantities, block.absent, strict=True):
        for row, code in pairs:
            reasons.setdefault(row, []).append(f"{escaped(quantity)}={int(code)}")
    raw: dict[int, list[str]] = {}
    for row, quantity, text in block.raw:
        raw.setdefault(row, []).append(f"{escaped(quantity)}={text}")
    for row in sorted(holed):
        last = f",{SEQ}={block.seqs[row]}i {times[row]}" if numbered else f" {times[row]}"
        pairs_of = zip(block.quantities, block.columns, strict=True)
        present = [f"{escaped(quantity)}={column[row]}" for quantity, column in pairs_of if column[row]]
        if present:
            yield block.seqs[row], f"reading,{tags} {','.join(present)}{last}"
        yield block.seqs[row], f"missing,{tags} {','.join(reasons[row])}{last}"
        if row in raw:
            yield block.seqs[row], f"raw,{tags} {','.join(raw[row])} {times[row]}"


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
