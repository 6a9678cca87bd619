"""One InfluxDB over HTTP: each request sent once, each fault a Retry with its remedy or a refusal of the body."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import influxdb_client
import msgspec
import urllib3

from cloud.store import Retry
from cloud.store.engines.influx.bounded import bound
from cloud.store.engines.influx.places import places_of
from cloud.store.engines.influx.posting import FAULTS, WRITE, Posting
from cloud.store.unreadable import Unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.store.engines.influx.config import InfluxConfig
    from cloud.store.engines.influx.posting import Sent

STORED = 204  # what all generations say of a body that is stored; any other success is not theirs
NOT_EXECUTED = "not executed"  # what follows an error; of several in a database that is missing, all that is said
NOTHING_THERE = "measurement not found"  # openGemini's word for what nobody wrote to yet
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
MAX_WORDS = 300  # a server repeats the whole line in its error

_BUSY = {408, 425, 429}
_LINE_FAULT = re.compile(r"partial write|unable to parse|field type conflict|retention policy|dropped=\d")
_LINE_FAULT_AS_500 = re.compile(r"field type conflict|unable to parse|points beyond retention policy")  # telegraf 11005


class BodyRefused(Exception):
    """The database read the body and does not want it, or a line in it."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Series(msgspec.Struct, frozen=True):
    """One series of a reply. `partial`: the server has more than its own limit lets it tell."""

    columns: list[str]
    values: list[list[Any]] = []
    tags: dict[str, str] = {}
    partial: bool = False

    def rows(self) -> list[tuple[dict[str, str], dict[str, Any]]]:
        """Return its rows as (tags, {column: value}); what is longer or shorter than the columns is none of ours."""
        fitting = (row for row in self.values if len(row) == len(self.columns))
        return [(self.tags, dict(zip(self.columns, row, strict=True))) for row in fitting]


class Result(msgspec.Struct, frozen=True):
    """What one statement brought: series, or why not."""

    series: list[Series] = []
    error: str = ""


class _Said(msgspec.Struct, frozen=True):
    results: list[Result]


_replies = msgspec.json.Decoder(_Said)
Told = TypeVar("Told")


class Server:
    """One InfluxDB as HTTP: every fault that waiting or an operator may heal comes out as Retry, with the remedy."""

    def __init__(self, config: InfluxConfig, *, basic: bool = True) -> None:
        self._config = config
        self._basic = basic  # /write and /query of all generations take Basic, /api/v2 takes Token
        self._guarded = threading.Lock()
        self._client: Any = None
        self._posting: Posting | None = None
        self._faults: dict[str, str] = {}
        self.unreadable = Unreadable()
        self.places = places_of(config)

    def __str__(self) -> str:
        """Return the faults that have not been followed by a success of the same kind."""
        return "; ".join(dict.fromkeys(self._faults.values()))

    def write(self, body: str, policy: str = "") -> None:
        """Store lines, in another retention policy where one is named.

        Raises Retry, or BodyRefused where the database refuses the body for what stands in it.
        """
        self.stored(self.send([body.encode()], policy))

    def send(self, lines: Sequence[bytes], policy: str = "") -> Sent:
        """Send lines off, of which `stored` tells the rest. Raises Retry."""
        try:
            return self._post().send(lines, policy)
        except FAULTS as error:
            raise self._away(WRITE, error) from error

    def stored(self, sent: Sent) -> None:
        """Return once the lines of a request are stored. Raises Retry, or BodyRefused."""
        try:
            reply = sent.reply()
        except FAULTS as error:
            raise self._away(WRITE, error) from error
        if reply.status == STORED:
            self._faults.pop(WRITE, None)
        elif 200 <= reply.status < 300:
            raise self._stranger(WRITE, f"{reply.status} {_words(reply.body)!r}")
        else:
            raise self._judge(WRITE, reply.status, reply.headers, reply.body, has_body=True)

    def results(self, statements: str) -> list[Result]:
        """Return the result of each InfluxQL statement; a failed one has an `error`."""
        asked = [("q", statements), ("db", self._config.database), ("epoch", "ns")]
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.asked("POST", "/query", _replies, header_params=form, post_params=asked).results

    def rows(self, *statements: str) -> list[list[tuple[dict[str, str], dict[str, Any]]]]:
        """Return, for each statement, its rows as (tags, {column: value}). A measurement that is not there has none."""
        results = self.results(";".join(statements))
        if len(statements) > 1 and any(NOTHING_THERE in one.error or one.error == NOT_EXECUTED for one in results):
            return [self.rows(statement)[0] for statement in statements]  # alone, each says what is wrong with it
        out = []
        for result in results:
            if result.error and NOTHING_THERE not in result.error:
                status = 404 if "not found" in result.error else 400
                raise self._retry("/query", self._advice(status, result.error))
            if any(series.partial for series in result.series):
                raise self._retry("/query", "InfluxDB cuts its replies: set max-row-limit = 0 in its configuration")
            out.append([row for series in result.series for row in series.rows()])
        if len(out) != len(statements):
            raise self._stranger("/query", f"{len(out)} results of {len(statements)} statements")
        return out

    def asked(self, method: str, path: str, kind: msgspec.json.Decoder[Told], **rest: Any) -> Told:
        """Return what a request tells. Raises Retry for what is not of that kind: it is not InfluxDB that answers."""
        said, _, _ = self.call(method, path, **rest)
        try:
            return kind.decode(said)
        except UNREADABLE as error:
            raise self._stranger(path, f"{error}: {_words(said)!r}") from error

    def call(self, method: str, path: str, **rest: Any) -> tuple[bytes, int, Any]:
        """Return body, status and headers of one request, sent once; whatever answers there, it does so in `timeout_s`.

        Raises Retry, or BodyRefused for what the body holds.
        """
        try:
            reply, status, headers = self._connect(path).call_api(
                path, method, _return_http_data_only=False, _preload_content=False, **rest
            )
            data = reply.data
        except influxdb_client.rest.ApiException as error:
            said, status = error.body if error.body is not None else str(error.reason), error.status or 0
            raise self._judge(path, status, error.headers or {}, said, has_body="body" in rest) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._away(path, error) from error
        self._faults.pop(path, None)
        return data, status, headers

    def _away(self, path: str, error: Exception) -> Retry:
        """Return what a request ended with that no reply came to, whichever way it went."""
        self.close()  # a fresh client next time: a connection may hang for good (influxdb-client-python #296)
        return self._retry(path, f"InfluxDB at {self._config.url} does not answer: {self._lack(error)}")

    def _lack(self, error: Exception) -> str:
        """Return what is wrong with a connection, in the same words each time: what differs is logged as news."""
        late = (TimeoutError, urllib3.exceptions.ReadTimeoutError, urllib3.exceptions.ConnectTimeoutError)
        if isinstance(error, late) and not isinstance(error, urllib3.exceptions.NewConnectionError):
            return f"no whole reply within {self._config.timeout_s:g} s"
        return re.sub(r"<[^>]*>: |\w+\(host=[^)]*\): ", "", str(error))

    def _credential(self, path: str) -> str:
        try:
            return credential(self._config, basic=self._basic)
        except OSError as error:
            raise self._retry(path, f"the credential of InfluxDB cannot be read: {error}") from error

    def _post(self) -> Posting:
        with self._guarded:
            if self._posting is None:
                self._posting = Posting(self._config, self._credential(WRITE))
            return self._posting

    def _connect(self, path: str) -> Any:
        with self._guarded:
            if self._client is None:
                secret = self._credential(path)
                self._client = influxdb_client.InfluxDBClient(
                    self._config.url,
                    token=secret,
                    auth_basic=bool(secret) and self._basic,
                    timeout=round(self._config.timeout_s * 1000),
                    ssl_ca_cert=self._config.ca_file,
                )
                bound(self._client.api_client.rest_client.pool_manager)
            return self._client.api_client

    def _judge(self, path: str, status: int, headers: Any, said: bytes | str, *, has_body: bool) -> Exception:
        words = _message(said)
        fault = {400: _LINE_FAULT, 500: _LINE_FAULT_AS_500}.get(status)
        if has_body and (status in {413, 422} or (fault and fault.search(words))):
            return BodyRefused(status, words)
        if status in {401, 403}:
            self.close()  # the credential's file is read again next time
        return self._retry(path, self._advice(status, words), _after_s(headers))

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

    def _stranger(self, path: str, what: str) -> Retry:
        return self._retry(path, f"what answers at {self._config.url} is not InfluxDB (a proxy? a login page?): {what}")

    def _retry(self, path: str, words: str, after_s: float = 5.0) -> Retry:
        self._faults[path] = words
        return Retry(words, after_s)

    def close(self) -> None:
        """Let the connection go; the next request opens another."""
        with self._guarded:
            client, self._client = self._client, None
            posting, self._posting = self._posting, None
        if posting is not None:
            posting.close()
        if client is not None:
            client.api_client.rest_client.pool_manager.clear()


def credential(config: InfluxConfig, *, basic: bool) -> str:
    """Return user:password for 1.x, anything:token or the token alone for 2.x, and nothing where none is set."""
    if config.token_file:
        return f"any:{_secret(config.token_file)}" if basic else _secret(config.token_file)
    return f"{config.user}:{_secret(config.password_file)}" if config.user else ""


def _secret(path: str | None) -> str:
    return Path(path).read_text(encoding="utf-8").strip() if path else ""


def _message(raw: bytes | str) -> str:
    """Return what the server says: 1.x has `error`, 2.x `message`, a proxy anything."""
    with suppress(*UNREADABLE):
        told = msgspec.json.decode(raw)
        raw = str(told.get("error") or told.get("message") or raw) if isinstance(told, dict) else raw
    return _words(raw)


def _words(said: bytes | str) -> str:
    text = said[: 4 * MAX_WORDS].decode(errors="replace") if isinstance(said, bytes) else said
    return " ".join(text.split())[:MAX_WORDS]


def _after_s(headers: Any) -> float:
    """Return Retry-After in seconds where the server says it as a number (RFC 9110 §10.2.3), else 5."""
    told = str(headers.get("retry-after", ""))
    return min(float(told), 3600.0) if told.isdecimal() else 5.0
