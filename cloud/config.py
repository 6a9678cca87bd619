"""cloud.toml → frozen structs. Unknown keys and impossible values stop the start with place and remedy."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

_S = TypeVar("_S", bound=msgspec.Struct)
LOOPBACK = "127.0.0.1", "::1", "localhost"
_Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


class ConfigError(Exception):
    """The configuration cannot be used: nothing is started, exit code 2."""


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Data(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the server keeps its own files: `[data]`."""

    path: Annotated[str, msgspec.Meta(description="folder for quarantine, alerts and the embedded store")] = "."


class Broker(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the broker is and how we show who we are: `[broker]`."""

    host: Annotated[str, msgspec.Meta(description="name or address of the MQTT broker", min_length=1)] = "127.0.0.1"
    port: Annotated[_Port, msgspec.Meta(description="1883 plain, 8883 with TLS")] = 1883
    user: Annotated[str, msgspec.Meta(description="user name, where the broker asks for one")] = ""
    password_file: Annotated[str, msgspec.Meta(description="file that holds the password, nothing else")] = ""
    ca_file: Annotated[
        str, msgspec.Meta(description="certificate of the authority that signed the broker's; turns TLS on")
    ] = ""
    cert_file: Annotated[str, msgspec.Meta(description="this server's certificate")] = ""
    key_file: Annotated[str, msgspec.Meta(description="this server's private key")] = ""


class Http(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the pages are served: `[http]`. A reverse proxy with TLS stands before them in production."""

    host: Annotated[str, msgspec.Meta(description="address to listen on")] = "127.0.0.1"
    port: Annotated[_Port, msgspec.Meta(description="port to listen on; 0 takes any")] = 8080
    public_url: Annotated[str, msgspec.Meta(description="how the world reaches the pages, as printed on tags")] = ""


class Health(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the operator asks how the server is: `[health]`, `/healthz` and `/metrics`. Not for the world."""

    host: Annotated[str, msgspec.Meta(description="address to listen on; beyond loopback only with a token")] = (
        "127.0.0.1"
    )
    port: Annotated[_Port, msgspec.Meta(description="port to listen on; 0 takes any")] = 8081
    token_file: Annotated[
        str, msgspec.Meta(description="file with the token that who asks must show (Authorization: Bearer …)")
    ] = ""


class Garden(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the registry is: `[garden]`."""

    path: Annotated[
        str, msgspec.Meta(description="folder with zones, trees, stories, hamlets, contacts and bindings")
    ] = "garden"


class CloudConfig(msgspec.Struct, frozen=True):
    """The whole of cloud.toml. `store`, `alerts`, `rules` and `channels` are checked by their own rooms' structs."""

    data: Data
    broker: Broker
    http: Http
    health: Health
    garden: Garden
    store: dict[str, Any]
    alerts: dict[str, Any]
    rules: list[dict[str, Any]]
    channels: list[dict[str, Any]]
    folder: Path  # relative garden paths stand beside cloud.toml


def load(file: Path) -> CloudConfig:
    """Read and check cloud.toml. Raises ConfigError naming file, table, field and rule."""
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); name an existing file with --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: is not TOML: {error}; mend the line that it names") from error
    known = ("data", "broker", "http", "health", "garden", "store", "alerts", "rule", "channel")
    if "mail" in tables:
        remedy = 'it is a channel now: write [[channel]] and kind = "email" in its place; its other keys stay'
        raise ConfigError(f"{file}: [mail]: {remedy}")
    for key in tables:
        if key not in known:
            raise ConfigError(f"{file}: {key}: unknown table; there are: {', '.join(known)}")
    for table in (
        tables.get("broker", {}),
        tables.get("health", {}),
        tables.get("store", {}),
        *_each(file, tables, "channel"),
    ):
        for key, value in table.items():
            if key.endswith("_file") and value:
                table[key] = str(file.parent / str(value))  # relative names stand beside cloud.toml
    return CloudConfig(
        _convert(file, tables, "data", Data),
        _convert(file, tables, "broker", Broker),
        _convert(file, tables, "http", Http),
        _health(file, tables),
        _convert(file, tables, "garden", Garden),
        tables.get("store", {"engine": "sqlite", "path": "store.db"}),
        tables.get("alerts", {}),
        tables.get("rule", []),
        _each(file, tables, "channel"),
        file.parent,
    )


def _each(file: Path, tables: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the tables of a name that may come several times."""
    found = tables.get(name, [])
    if not isinstance(found, list) or not all(isinstance(table, dict) for table in found):
        raise ConfigError(f"{file}: {name}: must be a table in double brackets, [[{name}]], once for each")
    return found


def _health(file: Path, tables: dict[str, Any]) -> Health:
    health = _convert(file, tables, "health", Health)
    if not health.token_file and health.host not in LOOPBACK:
        raise ConfigError(
            f"{file}: [health] host = {health.host!r}: names of gateways and files would be told to everybody;"
            f" listen on {' or '.join(LOOPBACK)}, or give token_file"
        )
    return health


def _convert(file: Path, tables: dict[str, Any], name: str, to: type[_S]) -> _S:
    try:
        return msgspec.convert(tables.get(name, {}), type=to)
    except msgspec.ValidationError as error:
        keys = ", ".join(field.name for field in msgspec.structs.fields(to))
        raise ConfigError(f"{file}: [{name}]: {error}; its keys are: {keys}") from error
