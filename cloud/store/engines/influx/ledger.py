"""What became of every batch, from the measurement `batch`, and the readings of one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from cloud.store.engines.influx.lines import SEQ
from cloud.store.engines.influx.order import numbers
from cloud.store.engines.influx.query import pattern, quote, reasons, values
from cloud.store.keys import MS_NS, has_key, same_span, seq_of
from cloud.store.ledger import TWICE, VERDICTS, LedgerRow
from wire.batch import Dated
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cloud.store.engines.influx.server import Server


class _Point(msgspec.Struct):
    """What lies under one channel and time: its values in `reading`, its reasons in `missing`, its number in both."""

    values: dict[str, float]
    reasons: dict[str, Reason]
    seq: int | None = None


def rows(server: Server, since_ms: int = 0, at_most: int = 0) -> list[LedgerRow]:
    """Return the ledger rows that arrived at or after `since_ms`, in order of arrival, each batch once."""
    while True:
        where = f"WHERE time >= {since_ms * MS_NS}"
        ends = _end_ms(server, where, at_most) if at_most else None
        told = _rows(server, where if ends is None else f"{where} AND time < {(ends + 1) * MS_NS}")
        if told or ends is None:
            return told
        since_ms = ends + 1  # none of these can be read: what follows them can


def _end_ms(server: Server, where: str, at_most: int) -> int | None:
    """Return when the last of so many rows arrived; None where there are not so many."""
    last = f'SELECT readings::integer, "first"::float FROM {server.places.ledger} {where} LIMIT 1 OFFSET {at_most - 1}'  # noqa: S608 - integers
    (found,) = server.rows(last)
    return next((row["time"] // MS_NS for _, row in found), None)


def rows_of(server: Server, gateway: str, epoch: str, firsts: Sequence[int]) -> list[LedgerRow]:
    """Return the ledger rows of one epoch that begin with these sequence numbers, each batch once."""
    begins = pattern(epoch) + f" ({'|'.join(f'{n:d}' for n in firsts)}) "
    before = f"epoch = {quote(epoch)} AND ({' OR '.join(f'first = {n:d}' for n in firsts)})"
    whose = f"WHERE gateway = {quote(gateway)}"
    return _rows(server, f'{whose} AND "row" =~ /^{begins}/', f"{whose} AND {before}")


def _rows(server: Server, *wheres: str) -> list[LedgerRow]:
    statements = [f"SELECT * FROM {server.places.ledger} {where} GROUP BY gateway, epoch" for where in wheres]  # noqa: S608 - quoted
    found = [pair for rows in server.rows(*statements) for pair in rows]
    return collapsed(server.unreadable.each("ledger", found, lambda pair: _ledger_row(*pair)))


def readings(server: Server, row: LedgerRow) -> list[Dated]:
    """Return the stored readings of one ledger row, with their sequence numbers, in order."""
    if not row.end_ns:
        return []
    where = f"WHERE gateway = {quote(row.gateway)} AND time >= {row.start_ns} AND time <= {row.end_ns}"
    valued, absent = server.rows(
        f"SELECT * FROM reading {where} GROUP BY gateway, channel",  # noqa: S608 - quoted
        f"SELECT * FROM missing {where} GROUP BY gateway, channel",  # noqa: S608 - quoted
    )
    found: dict[tuple[str, int], _Point] = {}
    for tags, fields in [*valued, *absent]:
        point = found.setdefault((tags["channel"], fields["time"]), _Point({}, {}))
        point.seq = fields[SEQ] if isinstance(fields.get(SEQ), int) else point.seq
    for tags, fields in valued:
        found[tags["channel"], fields["time"]].values.update(values(fields))
    for tags, fields in absent:
        found[tags["channel"], fields["time"]].reasons.update(reasons(fields))
    own = [at for at, point in found.items() if has_key(at[1], row) and (point.values or point.reasons)]
    told = next(iter(server.unreadable.each("ledger", [row], lambda row: numbers(row, own))), {})
    out: dict[int, Dated] = {}  # one that an older version stored and this one stored again lies there twice
    for (channel, time), point in sorted(found.items(), key=lambda item: item[1].seq is not None):
        by_word = row.order and point.seq is None
        seq = told.get((channel, time)) if by_word else seq_of(time, point.seq, row)
        if seq is not None:
            bounded = "clock_uncertainty" in point.values
            out[seq] = Dated(row.gateway, row.epoch, seq, channel, time // MS_NS, point.values, point.reasons, bounded)
    return [out[seq] for seq in sorted(out)]


def _ledger_row(tags: dict[str, str], row: dict[str, Any]) -> LedgerRow:
    """Return a row as it is written now, in one field, or as an older version wrote it.

    Raises what `unreadable` passes over.
    """
    if row.get("row") is None:
        return _older(tags, row)
    epoch, first, n, verdict, refused, start, length, order, words = str(row["row"]).split(" ", 8)
    start_ns, at_ms = int(start), row["time"] // MS_NS
    return LedgerRow(
        *(tags["gateway"], epoch, int(first), int(n), VERDICTS[int(verdict)], at_ms, int(refused)),
        *(start_ns, start_ns + int(length), words, order),
    )


def _older(tags: dict[str, str], row: dict[str, Any]) -> LedgerRow:
    """Return a row of one field a part; one that says another arrival than its time is none of ours."""
    if int(row["arrival_ms"]) != row["time"] // MS_NS:
        raise ValueError("arrival_ms is not the row's own time")
    return LedgerRow(
        tags["gateway"],
        tags["epoch"],
        int(row["first"]),
        int(row["n"]),
        VERDICTS[int(row["verdict"])],
        int(row["arrival_ms"]),
        int(row["refused"]),
        int(row["start_ns"]),
        int(row["end_ns"]),
        row["words"] or "",
    )


def collapsed(rows: Iterable[LedgerRow]) -> list[LedgerRow]:
    """Return each batch once: its best verdict, when that came first, and how many its last writing refused.

    One that came with other times as well is another gateway's: it leaves its words and nothing else.
    """
    best: dict[tuple[str, str, int, int], LedgerRow] = {}
    for row in sorted(rows, key=lambda row: row.arrival_ms):
        key = (row.gateway, row.epoch, row.first, row.n)
        before = best.get(key)
        if before is None or VERDICTS.index(row.verdict) < VERDICTS.index(before.verdict):
            best[key] = row
        elif row.verdict == before.verdict:
            same = same_span((row.start_ns, row.end_ns), (before.start_ns, before.end_ns))
            news: dict[str, Any] = {"refused": row.refused} if same else {"words": TWICE}
            if row.start_ns == before.start_ns:
                news["order"] = row.order
            best[key] = msgspec.structs.replace(before, **news)
    return sorted(best.values(), key=lambda row: (row.arrival_ms, row.gateway, row.epoch, row.first))
