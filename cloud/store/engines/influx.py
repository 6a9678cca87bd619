"""The archive for production: InfluxDB through `/write` and InfluxQL `/query`, the pair that every generation has.

The client library is used for its API client only, one request at a time: its batching mode loses what it holds when
the server is away, and its own write and query interfaces do not exist in all generations. Which generation answers
is found out by what it does, never by its version header. A body that the database refuses is halved until the single
bad lines are known, because neither generation names them: 1.8 keeps the good lines of such a body, 2.7 keeps none
after a syntax error. Asking again is harmless in both: the same line is the same point.

Layout: `reading`, `missing` and `raw` (tags gateway, channel; a float field per quantity: its value, the code of the
reason why there is none, the number that stood beside that reason),
`batch` (the ledger: tags gateway, epoch) and `status` (tags gateway, epoch). Readings of two epochs of one gateway are
told apart by their times only, so `batch_readings` may return a foreign reading while two gateways share one name.
"""

from __future__ import annotations

import gzip
import re
import threading
from collections import Counter, OrderedDict
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import influxdb_client
import msgspec
import urllib3

from cloud.store import TWICE, Absent, Hour, LedgerRow, Refusal, Refused, Retry, Sample, StatusRow
from wire.batch import Batch, Dated, Gap, Status
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from wire.batch import Block

MS_NS = 1_000_000
HOUR_MS = 3_600_000
SEQ_MODULUS = 1_000_000  # see Block.stored_ns
MAX_LINES, MAX_BYTES = 5_000, 1_000_000  # of one body: 5,000 lines is where influxd is fastest, 1 MB far from its 25
MAX_REQUESTS = 2_000  # spent on finding the bad lines of one body; what is unknown then is refused as a whole
MAX_WORDS = 300  # a server repeats the whole line in its error
VERDICTS = ("stored", "quarantined", "declared")  # in order of precedence; the index is the field `verdict`
NONE = "-"  # an empty tag value is a syntax error
REMEMBERED = 10_000  # identities of this process, to notice one that is used twice

_BUSY = {408, 425, 429}
_LINE_FAULT = re.compile(r"partial write|unable to parse|field type conflict|retention policy|dropped=\d")


class InfluxConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[store]` of cloud.toml for this engine: `user` and `password_file` for 1.x, `token_file` for 2.x."""

    engine: Annotated[str, msgspec.Meta(description="this engine")] = "influx"
    url: Annotated[str, msgspec.Meta(description="where InfluxDB listens", pattern="^https?://[^ ]+$")] = (
        "http://127.0.0.1:8086"
    )
    database: Annotated[
        str,
        msgspec.Meta(
            description="database (1.x) or bucket (2.x); made by the first start where the user may",
            pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        ),
    ] = "gocche"
    user: Annotated[str | None, msgspec.Meta(description="user of InfluxDB 1.x")] = None
    password_file: Annotated[
        str | None, msgspec.Meta(description="file that holds that user's password, nothing else")
    ] = None
    token_file: Annotated[
        str | None, msgspec.Meta(description="file that holds the token of InfluxDB 2.x, nothing else")
    ] = None
    org: Annotated[
        str | None, msgspec.Meta(description="organisation of InfluxDB 2.x, where the token sees several")
    ] = None
    ca_file: Annotated[
        str | None, msgspec.Meta(description="certificate of the authority that signed the server's")
    ] = None
    timeout_s: Annotated[float, msgspec.Meta(description="patience for one request", gt=0, le=300)] = 10.0
    gzip: Annotated[
        bool, msgspec.Meta(description="compress what is written: worth it over a thin link, not on loopback")
    ] = False
    retention_days: (
        Annotated[
            int, msgspec.Meta(description="how long the database keeps readings; for ever where it is not given", ge=1)
        ]
        | None
    ) = None


class _Refused(Exception):
    """The database read the body and does not want it, or a line in it."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class _Server:
    """One InfluxDB as HTTP: every fault that waiting or an operator may heal comes out as Retry, with the remedy."""

    def __init__(self, config: InfluxConfig, *, basic: bool = True) -> None:
        self._config = config
        self._basic = basic  # /write and /query of all generations take Basic, /api/v2 takes Token
        self._guarded = threading.Lock()
        self._client: Any = None
        self._faults: dict[str, str] = {}

    def __str__(self) -> str:
        """Return the faults that have not been followed by a success of the same kind."""
        return "; ".join(dict.fromkeys(self._faults.values()))

    def write(self, body: str) -> None:
        """Store lines. Raises _Refused where the database refuses the body for what stands in it."""
        data = body.encode()
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        if self._config.gzip:
            data, headers["Content-Encoding"] = gzip.compress(data, 1), "gzip"
        query = [("db", self._config.database), ("precision", "ns")]
        self.call("POST", "/write", query_params=query, header_params=headers, body=data)

    def results(self, statements: str) -> list[dict[str, Any]]:
        """Return the result of each InfluxQL statement; a failed one has the key `error`."""
        data, _ = self.call(
            "POST",
            "/query",
            header_params={"Content-Type": "application/x-www-form-urlencoded"},
            post_params=[("q", statements), ("db", self._config.database), ("epoch", "ns")],
        )
        results: list[dict[str, Any]] = msgspec.json.decode(data).get("results", [])
        return results

    def rows(self, statements: str) -> list[list[tuple[dict[str, str], dict[str, Any]]]]:
        """Return, for each statement, its rows as (tags, {column: value})."""
        out = []
        for result in self.results(statements):
            if "error" in result:
                status = 404 if "not found" in result["error"] else 400
                raise self._retry("/query", self._advice(status, result["error"]))
            if any(series.get("partial") for series in result.get("series", ())):
                raise self._retry("/query", "InfluxDB cuts its replies: set max-row-limit = 0 in its configuration")
            out.append(list(_rows(result)))
        return out

    def call(self, method: str, path: str, **rest: Any) -> tuple[bytes, Any]:
        """Return body and headers of one request, sent once. Raises Retry, or _Refused for what the body holds."""
        try:
            reply, _, headers = self._connect(path).call_api(
                path, method, _return_http_data_only=False, _preload_content=False, **rest
            )
            data = reply.data
        except influxdb_client.rest.ApiException as error:
            raise self._judge(path, error) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self.close()  # a fresh client next time: a connection may hang for good (influxdb-client-python #296)
            raise self._retry(path, f"InfluxDB at {self._config.url} does not answer: {error}") from error
        self._faults.pop(path, None)
        return data, headers

    def _connect(self, path: str) -> Any:
        with self._guarded:
            if self._client is None:
                try:
                    credential = _credential(self._config, basic=self._basic)
                except OSError as error:
                    raise self._retry(path, f"the credential of InfluxDB cannot be read: {error}") from error
                self._client = influxdb_client.InfluxDBClient(
                    self._config.url,
                    token=credential,
                    auth_basic=bool(credential) and self._basic,
                    timeout=round(self._config.timeout_s * 1000),
                    ssl_ca_cert=self._config.ca_file,
                )
            return self._client.api_client

    def _judge(self, path: str, error: Any) -> Exception:
        status, words = error.status or 0, _message(error)
        if status in {413, 422} or (status == 400 and _LINE_FAULT.search(words)):
            return _Refused(status, words)
        if status in {401, 403}:
            self.close()  # the credential's file is read again next time
        return self._retry(path, self._advice(status, words), _after_s(error.headers))

    def _advice(self, status: int, words: str) -> str:
        name = self._config.database
        if status in {401, 403}:
            what = "token_file" if self._config.token_file else "user and password_file"
            return f"InfluxDB refuses the credential for {name!r}: check {what} in [store] and its rights ({words})"
        if status == 404:
            return f"InfluxDB has no database or bucket {name!r}: create it, or restart gocche cloud ({words})"
        if status in _BUSY or status >= 500:
            return f"InfluxDB is in trouble, {status}: {words}"
        return f"InfluxDB at {self._config.url} does not understand, {status}: {words}"

    def _retry(self, path: str, words: str, after_s: float = 5.0) -> Retry:
        self._faults[path] = words
        return Retry(words, after_s)

    def close(self) -> None:
        with self._guarded:
            client, self._client = self._client, None
        if client is not None:
            client.api_client.rest_client.pool_manager.clear()


class InfluxStore:
    """A `Store` in one InfluxDB database (1.x) or bucket (2.x). Several may write: nothing here keeps a lock."""

    def __init__(self, config: InfluxConfig, *, writer: bool) -> None:
        self._config = config
        self._is_writer = writer
        self._server = _Server(config)
        self._memory = _Memory()

    def setup(self) -> None:
        """Create the database or bucket where it is missing and the credential may; else Retry says the command."""
        name, days = self._config.database, self._config.retention_days
        if name in {row["name"] for _, row in self._server.rows("SHOW DATABASES")[0]} or not self._is_writer:
            return
        statement = f'CREATE DATABASE "{name}"' + (f" WITH DURATION {days}d" if days else "")
        try:
            result = self._server.results(statement)[0]
        except Retry as error:
            raise Retry(f"{error}. An administrator can create it: influx -execute '{statement}'", 30.0) from error
        if "not implemented" in result.get("error", ""):
            self._create_bucket(name, days or 0)
        elif "error" in result:
            raise Retry(f"InfluxDB does not create {name!r}: {result['error']}", 30.0)

    def _create_bucket(self, name: str, days: int) -> None:
        server = _Server(self._config, basic=False)
        rules = [{"type": "expire", "everySeconds": days * 86_400}] if days else []
        headers = {"Content-Type": "application/json"}
        try:
            bucket = {"name": name, "orgID": self._org_id(server), "retentionRules": rules}
            server.call("POST", "/api/v2/buckets", header_params=headers, body=bucket)
        except _Refused as error:
            if "already exists" not in str(error):
                raise Retry(f"InfluxDB does not create the bucket {name!r}: {error}", 30.0) from error
        except Retry as error:
            command = f"influx bucket create --org {self._config.org or 'ORG'} --name {name} --retention {days * 24}h"
            raise Retry(f"{error}. An administrator can create it: {command}", 30.0) from error
        finally:
            server.close()

    def _org_id(self, server: _Server) -> str:
        found = msgspec.json.decode(server.call("GET", "/api/v2/orgs")[0])["orgs"]
        ids: list[str] = [org["id"] for org in found if self._config.org in {None, org["name"], org["id"]}]
        if len(ids) != 1:
            names = ", ".join(org["name"] for org in found)
            raise Retry(f"the organisations that this token sees are {names!r}: name one as org in [store]", 30.0)
        return ids[0]

    def commit(self, entries: Sequence[Batch | Gap | Refusal], arrival_ms: int) -> list[list[Refused]]:
        """Store each batch and its ledger line in one request, several batches to a request, oldest first."""
        refused: list[list[Refused]] = [[] for _ in entries]
        for group in _groups(_parcels(entries, arrival_ms)):
            try:
                self._server.write("\n".join(parcel.text() for parcel in group))
            except _Refused as error:
                for parcel, own in self._bisected(group, error):
                    refused[parcel.number] = own
            self._memory.note(parcel.row for parcel in group)
        return refused

    def twice(self) -> dict[str, int]:
        """Return by gateway how many batches came under an identity of other readings, as far as is remembered."""
        return dict(self._memory.twice)

    def _bisected(self, group: list[_Parcel], why: _Refused) -> list[tuple[_Parcel, list[Refused]]]:
        """Store the good lines of a refused body and then its ledger lines, which say how many were bad."""
        lines = [(parcel, seq, line) for parcel in group for seq, line in parcel.lines()]
        bad = self._bad([line for _, _, line in lines], why)
        found: dict[int, dict[int, Refused]] = {parcel.number: {} for parcel in group}
        for place, reason in bad.items():
            parcel, seq, line = lines[place]
            before = found[parcel.number].get(seq)
            text = f"{before.text}\n{line}" if before else line
            found[parcel.number][seq] = Refused(seq, text, reason)
        try:
            self._server.write("\n".join(parcel.row.line(len(found[parcel.number])) for parcel in group))
        except _Refused as error:
            raise Retry(f"InfluxDB refuses the ledger itself, measurement `batch`: {error}", 60.0) from error
        return [(parcel, [own[seq] for seq in sorted(own)]) for parcel in group for own in [found[parcel.number]]]

    def _bad(self, lines: list[str], why: _Refused) -> dict[int, str]:
        """Write lines by halves until each bad one stands alone; return {place: reason}."""
        bad: dict[int, str] = {}
        left = MAX_REQUESTS
        spans = [(0, len(lines))]
        while spans:
            low, high = spans.pop()
            if low == high:
                continue
            if not left:
                bad |= dict.fromkeys(range(low, high), f"not tried alone, too many bad lines; the last: {why}")
                continue
            left -= 1
            try:
                self._server.write("\n".join(lines[low:high]))
            except _Refused as error:
                why = error
                if high - low == 1:
                    bad[low] = str(error)
                else:
                    middle = (low + high) // 2
                    spans += [(middle, high), (low, middle)]
        return bad

    def write_status(self, gateway: str, status: Status, arrival_ms: int) -> None:
        """Keep a heartbeat: its figures as fields for panels, all of it as the text `body`."""
        body = msgspec.json.encode(status).decode()
        fields = (
            f"acquired={status.acquired},cut={status.cut},spooled={status.spooled},dropped={status.dropped},"
            f"oldest_s={float(status.oldest_s):.3f},online={int(status.state == 'online')},"
            f"state={_text(status.state)},body={_text(body)}"
        )
        try:
            self._server.write(f"status,{_tags(gateway, epoch=status.epoch)} {fields} {arrival_ms * MS_NS}")
        except _Refused as error:
            raise Retry(f"InfluxDB refuses a status: {error}", 60.0) from error

    def statuses(self) -> list[StatusRow]:
        """Return the newest status of every (gateway, epoch), with the highest `acquired` ever told in it."""
        newest, highest = self._server.rows(
            'SELECT last("body") FROM status GROUP BY gateway, epoch;'
            'SELECT max("acquired") FROM status GROUP BY gateway, epoch'
        )
        acquired = {(tags["gateway"], tags["epoch"]): int(row["max"]) for tags, row in highest}
        out = []
        for tags, row in newest:
            status = msgspec.json.decode(row["last"], type=Status)
            top = max(status.acquired, acquired.get((tags["gateway"], tags["epoch"]), 0))
            status = msgspec.structs.replace(status, acquired=top)
            out.append(StatusRow(tags["gateway"], row["time"] // MS_NS, status))
        return sorted(out, key=lambda found: (found.gateway, found.arrival_ms))

    def ledger(self, since_ms: int = 0, at_most: int = 0) -> list[LedgerRow]:
        """Return the ledger rows that arrived at or after `since_ms`, in order of arrival, each batch once."""
        where = f"WHERE time >= {since_ms * MS_NS}"
        if at_most:
            last = f"SELECT arrival_ms FROM batch {where} LIMIT 1 OFFSET {at_most - 1}"  # noqa: S608 - integers
            (ends,) = self._server.rows(last)
            where += "".join(f" AND time < {(int(row['arrival_ms']) + 1) * MS_NS}" for _, row in ends)
        (rows,) = self._server.rows(f"SELECT * FROM batch {where} GROUP BY gateway, epoch")  # noqa: S608 - integers
        return _collapsed(_ledger_row(tags, row) for tags, row in rows)

    def batch_readings(self, row: LedgerRow) -> list[Dated]:
        """Return the stored readings of one ledger row, with their sequence numbers, in order."""
        if not row.end_ns:
            return []
        where = f"WHERE gateway = {_quote(row.gateway)} AND time >= {row.start_ns} AND time <= {row.end_ns}"
        valued, absent = self._server.rows(
            f"SELECT * FROM reading {where} GROUP BY gateway, channel;"  # noqa: S608 - quoted
            f"SELECT * FROM missing {where} GROUP BY gateway, channel"
        )
        found: dict[tuple[str, int], tuple[dict[str, float], dict[str, Reason]]] = {}
        for tags, fields in valued:
            found.setdefault((tags["channel"], fields["time"]), ({}, {}))[0].update(_floats(fields))
        for tags, fields in absent:
            why = {quantity: Reason(int(code)) for quantity, code in _floats(fields).items()}
            found.setdefault((tags["channel"], fields["time"]), ({}, {}))[1].update(why)
        out = []
        for (channel, time), (values, reasons) in found.items():
            place = (time - row.first) % SEQ_MODULUS
            if place < row.n:
                bounded, seq = "clock_uncertainty" in values, row.first + place
                out.append(Dated(row.gateway, row.epoch, seq, channel, time // MS_NS, values, reasons, bounded))
        return sorted(out, key=lambda dated: dated.seq)

    def latest(self) -> list[Sample]:
        """Return the newest value of every series: one statement a field, as `last(*)` has no time of its own."""
        (keys,) = self._server.rows("SHOW FIELD KEYS FROM reading")
        fields = sorted({row["fieldKey"] for _, row in keys})
        if not fields:
            return []
        statements = ";".join(
            f"SELECT last({_name(field)}) FROM reading GROUP BY gateway, channel"  # noqa: S608 - quoted
            for field in fields
        )
        return sorted(
            (
                Sample(tags["gateway"], tags["channel"], field, row["time"], float(row["last"]))
                for field, rows in zip(fields, self._server.rows(statements), strict=True)
                for tags, row in rows
            ),
            key=lambda sample: (sample.gateway, sample.channel, sample.quantity),
        )

    def series(self, gateway: str, channel: str, quantity: str, start_ns: int, end_ns: int) -> list[tuple[int, float]]:
        """Return (stored time, value) of one series within [start, end), in order of time."""
        where = _where(gateway, channel, start_ns, end_ns)
        (rows,) = self._server.rows(f"SELECT {_name(quantity)} AS value FROM reading {where}")  # noqa: S608 - quoted
        return [(row["time"], float(row["value"])) for _, row in rows]

    def missing(self, gateway: str, channel: str, start_ns: int, end_ns: int) -> list[Absent]:
        """Return the absent values of a channel within [start, end), in order of time and quantity."""
        where = f"{_where(gateway, channel, start_ns, end_ns)} GROUP BY gateway, channel"
        reasons, numbers = self._server.rows(f"SELECT * FROM missing {where};SELECT * FROM raw {where}")  # noqa: S608
        raw = {(row["time"], q): number for _, row in numbers for q, number in _floats(row).items()}
        found = sorted((row["time"], q, int(code)) for _, row in reasons for q, code in _floats(row).items())
        return [Absent(time, q, code, raw.get((time, q))) for time, q, code in found]

    def hourly(self, gateway: str, channel: str, quantity: str, start_ms: int, end_ms: int) -> list[Hour]:
        """Return the hours of one series that begin within [start, end), counted by the database when asked."""
        low, high = (-(-edge // HOUR_MS) * HOUR_MS for edge in (start_ms, end_ms))
        field, where = _name(quantity), _where(gateway, channel, low * MS_NS, high * MS_NS)
        (rows,) = self._server.rows(
            f"SELECT count({field}), mean({field}), min({field}), max({field}) FROM reading {where}"  # noqa: S608
            " GROUP BY time(1h) fill(none)"
        )
        return _hours(row for _, row in rows)

    def health(self) -> dict[str, Any]:
        """Return engine, version as the server tells it, address and the last fault; never raises."""
        version = ""
        with suppress(Retry, _Refused):
            version = self._server.call("GET", "/ping")[1].get("X-Influxdb-Version", "")
        return {
            "engine": "influx",
            "version": version,
            "url": self._config.url,
            "database": self._config.database,
            "fault": str(self._server),
        }

    def close(self) -> None:
        """Let the connections go. May be called twice."""
        self._server.close()


class _Memory:
    """The times of the identities written last: asking the ledger for each batch would cost a query a commit."""

    def __init__(self) -> None:
        self._spans: OrderedDict[tuple[str, str, int, int], tuple[int, int]] = OrderedDict()
        self.twice: Counter[str] = Counter()

    def note(self, rows: Iterable[_Row]) -> None:
        for row in rows:
            entry = row.entry
            if isinstance(entry, Batch):
                known = self._spans.setdefault((entry.gateway, *entry.identity), row.span)
                self.twice.update([entry.gateway] * (known != row.span))
        while len(self._spans) > REMEMBERED:
            self._spans.popitem(last=False)


class _Row(msgspec.Struct, frozen=True):
    """A ledger row on its way in."""

    entry: Batch | Gap | Refusal
    arrival_ms: int
    time_ns: int
    span: tuple[int, int]

    def line(self, refused: int) -> str:
        entry, (low, high) = self.entry, self.span
        words = "" if isinstance(entry, Batch) else entry.reason
        return (
            f"batch,{_tags(entry.gateway, epoch=entry.epoch)} first={entry.first},n={entry.n},"
            f"verdict={_code(entry)},refused={refused},arrival_ms={self.arrival_ms},"
            f"start_ns={_text(str(low))},end_ns={_text(str(high))},words={_text(words)} {self.time_ns}"
        )


class _Parcel(msgspec.Struct, frozen=True):
    """What one entry becomes: the lines of its readings as one text, and its ledger row."""

    number: int
    readings: str
    row: _Row

    def text(self) -> str:
        ledger = self.row.line(0)
        return f"{self.readings}\n{ledger}" if self.readings else ledger

    def lines(self) -> list[tuple[int, str]]:
        """Return the lines again, each with its sequence number: asked for only when some of them were refused."""
        entry = self.row.entry
        blocks = entry.blocks if isinstance(entry, Batch) else []
        return [line for block in blocks for line in _lines(entry.gateway, block, block.stored_ns())]


def _parcels(entries: Sequence[Batch | Gap | Refusal], arrival_ms: int) -> Iterator[_Parcel]:
    """Yield the entries as lines, each ledger row under a time of its own within its millisecond."""
    taken: dict[tuple[str, str, int], tuple[int, int, tuple[int, int]]] = {}
    for number, entry in enumerate(entries):
        readings, span = "", (0, 0)
        if isinstance(entry, Batch):
            times = [block.stored_ns() for block in entry.blocks]
            span = min(map(min, times)), max(map(max, times))
            blocks = zip(entry.blocks, times, strict=True)
            readings = "\n".join(_text_of(entry.gateway, block, own) for block, own in blocks)
        fraction = (entry.first * len(VERDICTS) + _code(entry)) % MS_NS
        content = (entry.first, entry.n, span)
        while taken.setdefault((entry.gateway, entry.epoch, fraction), content) != content:
            fraction = (fraction + len(VERDICTS)) % MS_NS
        yield _Parcel(number, readings, _Row(entry, arrival_ms, arrival_ms * MS_NS + fraction, span))


def _groups(parcels: Iterable[_Parcel]) -> Iterator[list[_Parcel]]:
    """Yield parcels as they share a body; one parcel is never split (500 readings are far below the limits)."""
    group: list[_Parcel] = []
    lines = size = 0
    for parcel in parcels:
        own_lines, own_size = parcel.readings.count("\n") + 2, len(parcel.readings) + 500
        if group and (lines + own_lines > MAX_LINES or size + own_size > MAX_BYTES):
            yield group
            group, lines, size = [], 0, 0
        group.append(parcel)
        lines, size = lines + own_lines, size + own_size
    if group:
        yield group


def _hours(rows: Iterable[dict[str, Any]]) -> list[Hour]:
    """Return the hours of a reply. While points are written 2.7 may count an hour and not yet average it: pass over."""
    keys = ("count", "mean", "min", "max")
    return [
        Hour(row["time"] // MS_NS, int(row["count"]), *(float(row[key]) for key in keys[1:]))
        for row in rows
        if all(row.get(key) is not None for key in keys)
    ]


def _text_of(gateway: str, block: Block, times: list[int]) -> str:
    """Return the lines of a block: where nothing is absent in one formatting for all of its rows."""
    if any(block.absent) or not block.columns:
        return "\n".join(line for _, line in _lines(gateway, block, times))
    values = chain.from_iterable(zip(*block.columns, times, strict=True))
    return "\n".join([_template(gateway, block)] * len(times)) % tuple(values)


def _template(gateway: str, block: Block) -> str:
    fields = ",".join(_key(quantity).replace("%", "%%") + "=%s" for quantity in block.quantities)
    return f"reading,{_tags(gateway, channel=block.channel).replace('%', '%%')} {fields} %d"


def _lines(gateway: str, block: Block, times: list[int]) -> Iterator[tuple[int, str]]:
    """Yield (seq, line) for the rows of a block: the texts of the wire, as they are, set into one template."""
    tags = _tags(gateway, channel=block.channel)
    holed = {row for pairs in block.absent for row, _ in pairs}
    if block.columns and len(holed) < len(times):
        template = _template(gateway, block)
        made = zip(block.seqs, map(template.__mod__, zip(*block.columns, times, strict=True)), strict=True)
        yield from made if not holed else (pair for row, pair in enumerate(made) if row not in holed)
    reasons: dict[int, list[str]] = {}
    for quantity, pairs in zip(block.quantities, block.absent, strict=True):
        for row, code in pairs:
            reasons.setdefault(row, []).append(f"{_key(quantity)}={int(code)}")
    raw: dict[int, list[str]] = {}
    for row, quantity, text in block.raw:
        raw.setdefault(row, []).append(f"{_key(quantity)}={text}")
    for row in sorted(holed):
        pairs_of = zip(block.quantities, block.columns, strict=True)
        present = [f"{_key(quantity)}={column[row]}" for quantity, column in pairs_of if column[row]]
        if present:
            yield block.seqs[row], f"reading,{tags} {','.join(present)} {times[row]}"
        yield block.seqs[row], f"missing,{tags} {','.join(reasons[row])} {times[row]}"
        if row in raw:
            yield block.seqs[row], f"raw,{tags} {','.join(raw[row])} {times[row]}"


def _code(entry: Batch | Gap | Refusal) -> int:
    return 0 if isinstance(entry, Batch) else 1 if isinstance(entry, Refusal) else 2


def _ledger_row(tags: dict[str, str], row: dict[str, Any]) -> LedgerRow:
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


def _collapsed(rows: Iterable[LedgerRow]) -> list[LedgerRow]:
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
            same = (row.start_ns, row.end_ns) == (before.start_ns, before.end_ns)
            news: dict[str, Any] = {"refused": row.refused} if same else {"words": TWICE}
            best[key] = msgspec.structs.replace(before, **news)
    return sorted(best.values(), key=lambda row: (row.arrival_ms, row.gateway, row.epoch, row.first))


def _rows(result: dict[str, Any]) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    for series in result.get("series", ()):
        for values in series.get("values", ()):
            yield series.get("tags", {}), dict(zip(series["columns"], values, strict=True))


def _floats(fields: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in fields.items() if value is not None and name != "time"}


def _where(gateway: str, channel: str, start_ns: int, end_ns: int) -> str:
    series = f"gateway = {_quote(gateway)} AND channel = {_quote(channel)}"
    return f"WHERE {series} AND time >= {start_ns} AND time < {end_ns}"


def _quote(text: str) -> str:
    r"""Return an InfluxQL string: `\` and `'` escaped."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _name(text: str) -> str:
    r"""Return an InfluxQL identifier: `\` and `"` escaped."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@lru_cache(4_096)
def _key(text: str) -> str:
    r"""Return a tag key, tag value or field key of line protocol: comma, equals sign and space escaped.

    Line protocol cannot escape a backslash here: before a separator it would swallow it. No name of ours has one.
    """
    return re.sub(r"([,= ])", r"\\\1", text.replace("\n", " ").replace("\\", "_"))


def _text(text: str) -> str:
    r"""Return a string field of line protocol: `\` and `"` escaped, on one line."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def _tags(gateway: str, **second: str) -> str:
    """Return gateway and a second tag in the order of their keys, which spares the database sorting them."""
    tags = {"gateway": gateway} | second
    return ",".join(f"{key}={_key(tags[key] or NONE)}" for key in sorted(tags))


def _credential(config: InfluxConfig, *, basic: bool) -> str:
    """Return user:password for 1.x, anything:token or the token alone for 2.x, and nothing where none is set."""
    if config.token_file:
        return f"any:{_secret(config.token_file)}" if basic else _secret(config.token_file)
    return f"{config.user}:{_secret(config.password_file)}" if config.user else ""


def _secret(path: str | None) -> str:
    return Path(path).read_text(encoding="utf-8").strip() if path else ""


def _message(error: Any) -> str:
    """Return what the server says: 1.x has `error`, 2.x `message`, a proxy anything."""
    raw = error.body if error.body is not None else str(error.reason)
    text = raw.decode(errors="replace") if isinstance(raw, bytes) else str(raw)
    with suppress(msgspec.DecodeError):
        told = msgspec.json.decode(text)
        text = str(told.get("error") or told.get("message") or text) if isinstance(told, dict) else text
    return " ".join(text.split())[:MAX_WORDS]


def _after_s(headers: Any) -> float:
    """Return Retry-After in seconds where the server says it as a number (RFC 9110 §10.2.3), else 5."""
    told = str((headers or {}).get("Retry-After", ""))
    return min(float(told), 3600.0) if told.isdigit() else 5.0


CONFIG = InfluxConfig
STORE = InfluxStore
