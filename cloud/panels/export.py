"""Grafana's provisioning tree: files that, copied into its provisioning folder, bring data source and board to life.

Files, not an API: no administrator's token is needed, the tree can be reviewed and kept in git, and exporting it again
gives the same bytes. No secret is ever written: the files name an environment variable of the Grafana server.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cloud.panels.board import board
from cloud.panels.coverage import coverage
from cloud.panels.fire import fire
from cloud.panels.parts import SOURCE
from settings.words import Refused

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD_ENV = "GOCCHE_INFLUX_PASSWORD"  # noqa: S105 - the name of a variable, not a password
TOKEN_ENV = "GOCCHE_INFLUX_TOKEN"  # noqa: S105 - the name of a variable, not a token


def export(
    folder: Path,
    *,
    url: str,
    database: str = "gocche",
    generation: int = 1,
    user: str | None = None,
    secret_env: str = "",
    installed_at: str = "",
    pages: str = "",
) -> list[Path]:
    """Write the provisioning tree below `folder` and return its files, each rewritten if it was there.

    `generation` 1 signs in as `user` with a password (as nobody without `user`), 2 and 3 with a token; either is read
    by the Grafana server from its environment variable `secret_env`. `installed_at` is the provisioning folder as
    the Grafana server sees it (its own machine, perhaps a container), `folder` itself if empty.
    `pages` is where a browser that shows Grafana reaches our public pages: the map is drawn from there, or is empty.
    Raises Refused for a `url` or `pages` that is not http(s) or carries a secret, ValueError for a generation that does
    not exist.
    """
    if pages and urlsplit(pages).scheme not in {"http", "https"}:
        raise Refused("cloud.config", "grafana", "url", url=repr(pages))
    root = installed_at.rstrip("/") or str(folder.resolve())
    files = {
        "datasources/gocche.yaml": _yaml(_source(url, database, generation, user, secret_env)),
        "dashboards/gocche.yaml": _yaml(_provider(f"{root}/dashboards/gocche")),
    } | {
        f"dashboards/gocche/{name}.json": json.dumps(made, ensure_ascii=False, indent=1) + "\n"
        for name, made in (("vuon-che", board()), ("chay-rung", fire()), ("phu-song", coverage(pages)))
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [folder / name for name in files]


def _source(url: str, database: str, generation: int, user: str | None, secret_env: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Refused("cloud.config", "grafana", "url", url=repr(url))
    if parts.username or parts.password or parts.query:
        raise Refused("cloud.config", "grafana", "secret")
    source: dict[str, Any] = {"name": "gocche", "uid": SOURCE["uid"], "type": SOURCE["type"], "access": "proxy"}
    source |= {"url": _literal(url), "isDefault": False, "editable": False}
    # GET: a real Grafana 10 cut every third reply to the page's POSTs short, and showed empty panels.
    json_data = {"dbName": _literal(database), "httpMode": "GET", "timeInterval": "10s"}
    if generation == 1:
        source["jsonData"] = json_data
        if user:
            source["user"] = _literal(user)
            source["secureJsonData"] = {"password": f"$__env{{{secret_env or PASSWORD_ENV}}}"}
    elif generation in {2, 3}:
        # The word Token belongs to the value: the question asked most about Grafana and InfluxDB 2.
        source["jsonData"] = json_data | {"httpHeaderName1": "Authorization"}
        source["secureJsonData"] = {"httpHeaderValue1": f"Token $__env{{{secret_env or TOKEN_ENV}}}"}
    else:
        raise ValueError(f"generation {generation}: InfluxDB has 1, 2 and 3")
    return {"apiVersion": 1, "datasources": [source]}


def _provider(path: str) -> dict[str, Any]:
    provider = {
        "name": "gocche",
        "type": "file",
        "folder": "Gốc chè",
        "folderUid": "gocche",
        "allowUiUpdates": False,
        "disableDeletion": False,
        "updateIntervalSeconds": 30,
        # Only our own folder: one level up, the boards of others would be taken in too.
        "options": {"path": _literal(path)},
    }
    return {"apiVersion": 1, "providers": [provider]}


def _literal(text: str) -> str:
    """Return a text that Grafana does not take for a variable."""
    return text.replace("$", "$$")


def _yaml(value: dict[str, Any]) -> str:
    """Return block YAML of nested dicts and lists of dicts; scalars as JSON, which YAML contains."""
    return "\n".join(_block(value, "")) + "\n"


def _block(value: dict[str, Any], indent: str) -> list[str]:
    out: list[str] = []
    for key, item in value.items():
        if isinstance(item, dict):
            out += [f"{indent}{key}:", *_block(item, indent + "  ")]
        elif isinstance(item, list):
            out.append(f"{indent}{key}:")
            for element in item:
                first, *rest = _block(element, indent + "    ")
                out += [f"{indent}  - {first.strip()}", *rest]
        else:
            out.append(f"{indent}{key}: {json.dumps(item, ensure_ascii=False)}")
    return out
