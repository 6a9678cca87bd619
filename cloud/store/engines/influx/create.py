"""The database or bucket, made by the first start of a writer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cloud.store import Retry
from cloud.store.engines.influx.server import BodyRefused, Server

if TYPE_CHECKING:
    from cloud.store.engines.influx.config import InfluxConfig


class _Named(msgspec.Struct, frozen=True):
    id: str
    name: str


class _Organisations(msgspec.Struct, frozen=True):
    orgs: list[_Named]


_organisations = msgspec.json.Decoder(_Organisations)


def create(server: Server, config: InfluxConfig) -> None:
    """Create the database or bucket where it is missing and the credential may; else Retry says the command."""
    name, days = config.database, config.retention_days
    if name in {row["name"] for _, row in server.rows("SHOW DATABASES")[0]}:
        return
    statement = f'CREATE DATABASE "{name}"' + (f" WITH DURATION {days}d" if days else "")
    try:
        result = server.results(statement)[0]
    except Retry as error:
        raise Retry(f"{error}. An administrator can create it: influx -execute '{statement}'", 30.0) from error
    if "not implemented" in result.error:
        _create_bucket(config, name, days or 0)
    elif result.error:
        raise Retry(f"InfluxDB does not create {name!r}: {result.error}", 30.0)


def _create_bucket(config: InfluxConfig, name: str, days: int) -> None:
    server = Server(config, basic=False)
    rules = [{"type": "expire", "everySeconds": days * 86_400}] if days else []
    headers = {"Content-Type": "application/json"}
    try:
        bucket = {"name": name, "orgID": _org_id(server, config), "retentionRules": rules}
        server.call("POST", "/api/v2/buckets", header_params=headers, body=bucket)
    except BodyRefused as error:
        if "already exists" not in str(error):
            raise Retry(f"InfluxDB does not create the bucket {name!r}: {error}", 30.0) from error
    except Retry as error:
        command = f"influx bucket create --org {config.org or 'ORG'} --name {name} --retention {days * 24}h"
        raise Retry(f"{error}. An administrator can create it: {command}", 30.0) from error
    finally:
        server.close()


def _org_id(server: Server, config: InfluxConfig) -> str:
    found = server.asked("GET", "/api/v2/orgs", _organisations).orgs
    ids = [org.id for org in found if config.org in {None, org.name, org.id}]
    if len(ids) != 1:
        names = ", ".join(org.name for org in found)
        raise Retry(f"the organisations that this token sees are {names!r}: name one as org in [store]", 30.0)
    return ids[0]
