"""The database or bucket and its retention, made by the first start of a writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import msgspec

from cloud.store import Retry
from cloud.store.engines.influx.places import HOURS, LEDGER
from cloud.store.engines.influx.server import BodyRefused, Server
from cloud.store.retention import DAY_MS

if TYPE_CHECKING:
    from cloud.store.engines.influx.config import InfluxConfig

AUTOGEN = "autogen"  # the policy that every database has
_DAY_S = DAY_MS // 1000


class _Named(msgspec.Struct, frozen=True):
    id: str
    name: str


class _Organisations(msgspec.Struct, frozen=True):
    orgs: list[_Named]


class _Buckets(msgspec.Struct, frozen=True):
    buckets: list[_Named]


_organisations = msgspec.json.Decoder(_Organisations)
_buckets = msgspec.json.Decoder(_Buckets)


def create(server: Server, config: InfluxConfig) -> None:
    """Create the database or bucket where it is missing and the credential may; else Retry says the command.

    With `keep_days` its further retention policies, too.
    """
    name = config.database
    if name not in {row["name"] for _, row in server.rows("SHOW DATABASES")[0]} and not _said(
        server, f'CREATE DATABASE "{name}"'
    ):
        with _Api(config) as api:
            api.bucket(name, 0)
    if config.keep_days is None:
        return
    known = {row["name"] for _, row in server.rows(f'SHOW RETENTION POLICIES ON "{name}"')[0]}
    if {LEDGER, HOURS} <= known:
        return
    days = config.ledger_days or 2 * config.keep_days
    if _said(server, f'CREATE RETENTION POLICY "{LEDGER}" ON "{name}" DURATION {days}d REPLICATION 1'):
        _said(server, f'CREATE RETENTION POLICY "{HOURS}" ON "{name}" DURATION INF REPLICATION 1')
    else:
        with _Api(config) as api:
            api.map(AUTOGEN, api.bucket(name, 0), first=True)  # the first mapping of a database is its default
            api.map(LEDGER, api.bucket(f"{name}_{LEDGER}", days))
            api.map(HOURS, api.bucket(f"{name}_{HOURS}", 0))


def limit(server: Server, config: InfluxConfig) -> None:
    """Have the database let single readings go that are older than `keep_days`."""
    days = config.keep_days or 0
    shard_h = _shard_h(days)
    statement = f'ALTER RETENTION POLICY "{AUTOGEN}" ON "{config.database}" DURATION {days}d SHARD DURATION {shard_h}h'
    if not _said(server, statement):
        with _Api(config) as api:
            api.keep(api.bucket(config.database, 0), days)


def _shard_h(days: int) -> int:
    """Return how many hours lie together and go together: what InfluxDB chooses itself for that retention."""
    return 1 if days < 2 else 24 if days < 180 else 168


def _said(server: Server, statement: str) -> bool:
    """Have the database do it; tell whether it knows the statement at all (2.x has an API in its place)."""
    try:
        result = server.results(statement)[0]
    except Retry as error:
        raise Retry(f"{error}. An administrator can do it: influx -execute '{statement}'", 30.0) from error
    if result.error and "not implemented" not in result.error:
        raise Retry(f"InfluxDB does not take {statement!r}: {result.error}", 30.0)
    return not result.error


class _Api:
    """What InfluxDB 2.x does through its own API: buckets, and which of them a retention policy of 1.x stands for."""

    def __init__(self, config: InfluxConfig) -> None:
        self._config, self._server = config, Server(config, basic=False)
        self._org = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def bucket(self, name: str, days: int) -> str:
        """Return the id of a bucket, made where it is missing."""
        hint = f"influx bucket create --org {self._config.org or 'ORG'} --name {name} --retention {days * 24}h"
        rules = [{"type": "expire", "everySeconds": days * _DAY_S}] if days else []
        self._send("POST", "buckets", {"name": name, "retentionRules": rules}, hint)
        query = [("name", name), ("orgID", self._org)]
        found = self._server.asked("GET", "/api/v2/buckets", _buckets, query_params=query).buckets
        if not found:
            raise Retry(f"InfluxDB shows no bucket {name!r} to this token. {hint}", 30.0)
        return found[0].id

    def map(self, policy: str, bucket: str, *, first: bool = False) -> None:
        """Let a bucket stand for a retention policy of the database."""
        said = {"bucketID": bucket, "database": self._config.database, "retention_policy": policy, "default": first}
        hint = f"influx v1 dbrp create --db {self._config.database} --rp {policy} --bucket-id {bucket}"
        self._send("POST", "dbrps", said, hint)

    def keep(self, bucket: str, days: int) -> None:
        """Have a bucket forget what is older."""
        hint = f"influx bucket update --id {bucket} --retention {days * 24}h"
        shard_s = _shard_h(days) * 3_600
        rules = [{"type": "expire", "everySeconds": days * _DAY_S, "shardGroupDurationSeconds": shard_s}]
        self._send("PATCH", f"buckets/{bucket}", {"retentionRules": rules}, hint)

    def _send(self, method: str, what: str, said: dict[str, Any], hint: str) -> None:
        headers = {"Content-Type": "application/json"}
        try:
            self._org = self._org or _org_id(self._server, self._config)
            said |= {"orgID": self._org}
            self._server.call(method, f"/api/v2/{what}", header_params=headers, body=said)
        except BodyRefused as error:
            if "exists" not in str(error):
                raise Retry(f"InfluxDB does not take {what} {said}: {error}", 30.0) from error
        except Retry as error:
            raise Retry(f"{error}. An administrator can do it: {hint}", 30.0) from error


def _org_id(server: Server, config: InfluxConfig) -> str:
    found = server.asked("GET", "/api/v2/orgs", _organisations).orgs
    ids = [org.id for org in found if config.org in {None, org.name, org.id}]
    if len(ids) != 1:
        names = ", ".join(org.name for org in found)
        raise Retry(f"the organisations that this token sees are {names!r}: name one as org in [store]", 30.0)
    return ids[0]
