"""`gocche export site`: the public pages as files, for a web server that runs nothing of ours."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cloud.clock import SystemClock, hanoi
from cloud.pages.app import build
from cloud.pages.still import CONF, Lost, export
from cloud.rooms import registry_of, store_of
from cloud.rooms.pages import garden_of
from cloud.store import Retry
from cloud.stream.latest import Latest
from gocche.words import Refused, both
from settings.words import because

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.config import CloudConfig

PATIENCE_S = 60.0  # nobody waits for a page here: a slow store is waited for


def site(config: CloudConfig, folder: Path, url: str = "") -> int:
    """Write all pages into `folder`, in place of an earlier export; return 0. Raises Refused.

    A folder that holds anything else is refused: it would be gone.
    """
    if folder.exists() and not (folder / CONF).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused("site", "not_ours", folder=folder)
    clock = SystemClock()
    began_s = clock.monotonic()
    registry, latest = registry_of(config).public(hanoi(clock.utc_ms()).date()), Latest()
    store = store_of(config, writer=False)
    try:
        store.setup()
        latest.fill(store)
        latest.filled = True
        config = replace(config, http=replace(config.http, public_url=url or config.http.public_url))
        garden = garden_of(config, registry, latest, store, clock, patience_s=PATIENCE_S, still=True)
        asyncio.run(export(build(garden), registry, folder.resolve(), garden.photos))
    except Retry as error:
        raise Refused("site", "no_store", why=error) from error
    except Lost as error:
        raise Refused("site", "lost", why=error) from error
    except OSError as error:
        raise Refused("site", "no_room", folder=folder, **because(error)) from error
    finally:
        store.close()
    files = sum(1 for file in folder.rglob("*") if not file.is_dir())
    print(both("site", "written", folder=folder, files=files, seconds=round(clock.monotonic() - began_s)))
    return 0
