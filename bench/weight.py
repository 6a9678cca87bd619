"""What a public page weighs: its bytes as they are made, as they are served (gzip), as a proxy with Brotli sends them.

The garden is the sample one with a year of invented hours and fresh figures of every probe. Brotli is Google's own
library, at the quality that proxies use for what is made anew (5) and at its highest, for what lies ready (11).
"""

from __future__ import annotations

import asyncio
import gzip
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench import report
from cloud.clock import SystemClock
from cloud.pages.app import build
from cloud.pages.front import Asked
from gocche.garden import past
from tests.visitors import ALL, BARE, TREE, World

if TYPE_CHECKING:
    from cloud.pages.front import Front

NAME = "weight"
TITLE = "What a public page weighs, bytes"
HTML_MOST = 8_192  # Brotli, of a tree's page
PAGES = {
    "tree page": f"/T/{TREE}",
    "tree page without a probe": f"/T/{BARE}",
    "a quantity over a year": f"/T/{TREE}/air_humidity",
    "all trees": "/",
    "coverage": "/phu-song",
    "alerts": "/canh-bao",
    "no such tree": "/T/000000",
    "tree page's JSON": f"/T/{TREE}.json",
}
LANGS = ("vi", "en")


def run(*, quick: bool = False) -> str:
    """Return the table."""
    try:
        import brotli  # noqa: PLC0415 - where it is absent, that is said
    except ImportError:
        return "- brotli absent (make test installs it): not measured"
    rows = []
    for (name, lang), body in _bodies(quick=quick).items():
        at_5, at_11 = (len(brotli.compress(body, quality=quality)) for quality in (5, 5 if quick else 11))
        limit = HTML_MOST if name.startswith("tree page") and "JSON" not in name else None
        cells = [f"{len(body):,}", f"{len(gzip.compress(body, 6, mtime=0)):,}", f"{at_5:,}", f"{at_11:,}"]
        rows.append(
            (f"{name}, {lang}", *cells, f"{limit:,}" if limit else "–", report.times(at_5 / limit) if limit else "–")
        )
    return report.table(("page", "made", "gzip", "Brotli 5", "Brotli 11", "limit", "of it"), rows)


def _bodies(*, quick: bool) -> dict[tuple[str, str], bytes]:
    with tempfile.TemporaryDirectory(prefix="gocche-bench-") as folder:
        world = World(Path(folder))
        world.clock.now_ms = SystemClock().utc_ms()
        past.invent(world.store, world.clock.now_ms, 24 if quick else past.HOURS)
        for minutes in range(24 * 60, 0, -720 if quick else -10):
            world.tell(ALL, age_s=minutes * 60)
        front = build(world.garden())
        try:
            return asyncio.run(_made(front))
        finally:
            world.store.close()


async def _made(front: Front) -> dict[tuple[str, str], bytes]:
    return {
        (name, lang): (await front.asked(Asked("GET", path, b"", lang)))[2]
        for lang in LANGS
        for name, path in PAGES.items()
    }
