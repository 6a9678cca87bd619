"""The pages as files that any web server can serve: the garden as it was at one moment, and says so.

What a visitor may ask for by path lies under that path, a page in each language (`T/7K3MQP.html`, `T/7K3MQP.en.html`);
`nginx.conf` in the folder says how nginx finds them, with the headers that the pages have here. Codes answer as they
are typed, too: in small letters, and with their dash.
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

from cloud.pages.answers import TEMPLATES
from cloud.pages.front import Asked
from cloud.pages.headers import security
from cloud.pages.pictures import SHARED
from cloud.pages.words import LANGS
from cloud.registry import codes, pictures

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloud.pages.front import Front
    from cloud.registry import Registry

CONF = "nginx.conf"
_PLAIN = (
    "/icon.svg",
    SHARED,
    "/sw.js",
    "/cay.geojson",
    "/phu-song.json",
    "/phu-song.geojson",
    "/phu-song.csv",
    "/diem-nong.json",
)
_HTML = b"text/html"
_BELOW = re.compile(r'href="([^"#]+)"')


class Lost(Exception):
    """A page could not be made: an export that lacks one is none."""


async def export(front: Front, registry: Registry, folder: Path, photos: Path | None = None) -> None:
    """Write all pages into a folder, all or none, in place of an earlier export.

    Raises Lost, and OSError where the disk takes nothing.
    """
    new = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        for path in (*paths(registry), *_pictures(registry, photos)):
            await _written(front, path, new)
        await _followed(front, "/phu-song", new)
        for code in _codes(registry):
            _as_typed(new, code)
        (new / CONF).write_text(conf(), "utf-8")
        (new / "404.html").write_bytes((await front.asked(Asked("GET", "/404", b"", LANGS[0])))[2])
        _put(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def paths(registry: Registry) -> Iterator[str]:
    """Yield what can be asked for, but for what a tree's own page links to."""
    yield from ("/", "/nguy-co", "/canh-bao", "/diem-nong", "/mat-song", "/khan-cap", "/doi", "/doi.csv", *_PLAIN)
    yield from (f"/khan-cap/{hamlet}" for hamlet in registry.hamlets)
    yield from (f"/z/{zone}.json" for zone in registry.zones)
    yield from (f"/nguy-co/{zone}" for zone in registry.zones)
    yield from (f"/l/{lot}" for lot in registry.lots)
    yield from (f"/01/{lot.gtin.zfill(14)}/10/{lot.code}" for lot in registry.lots.values() if lot.gtin)
    for code in _codes(registry):
        yield from (f"/T/{code}", f"/T/{code}.json")
        tree = registry.carrier(code)
        if tree is not None and tree.published:
            yield from (f"/T/{code}{tail}" for tail in ("/hinh.svg", "/history.csv"))
    yield from (f"/8004/{tree.giai}" for tree in registry.trees.values() if tree.giai)


def conf() -> str:
    """Return what nginx must know: where a path lies, and the headers that guard a page."""
    style, people, script = ((TEMPLATES / name).read_text("utf-8") for name in ("style.css", "besides.css", "page.js"))
    told = security((style, people), (script,))
    guards = "\n".join(f'    add_header {name} "{value}" always;' for name, value in told.items())
    return f"""# Into the http block of nginx; change listen, server_name and root.
map $arg_lang $tongue {{ default ""; en .en; }}
server {{
    listen 80;
    root /var/www/gocche;
    default_type text/html;
    charset utf-8;
    charset_types text/html text/csv application/json application/geo+json;
    types {{ text/html html; image/svg+xml svg; application/json json; application/geo+json geojson;
            text/csv csv; text/javascript js; image/webp webp; image/jpeg jpg; audio/mpeg mp3; }}
    location = / {{ try_files /index$tongue.html =404; }}
    location = /{CONF} {{ return 404; }}
    location / {{ try_files $uri$tongue.html $uri.html $uri =404; }}
    error_page 404 /404.html;
    gzip on; gzip_types image/svg+xml application/json application/geo+json text/csv text/javascript;
{guards}
}}
"""


def _pictures(registry: Registry, photos: Path | None) -> list[str]:
    """Return the files that there are of photos that are shown and voices that are heard, of trees that are."""
    trees = registry.trees
    shown = [one.code for one in registry.photos.values() if one.tree in trees and trees[one.tree].published]
    heard = [one.code for one in registry.voices.values() if one.tree in trees and trees[one.tree].published]
    return [
        f"/{door}/{file.name}"
        for door, codes_of in (("anh", shown), ("giong", heard))
        for code in codes_of
        for file in (pictures.of(photos, code) if photos else ())
    ]


async def _followed(front: Front, first: str, folder: Path) -> None:
    """Write a page, and what it and those after it link to below it: how many views there are, the pages alone know."""
    left, seen = [first], {first}
    while left:
        html = await _written(front, left.pop(), folder)
        found = {href.partition("?")[0] for href in _BELOW.findall(html) if href.startswith(f"{first}/")} - seen
        seen |= found
        left += sorted(found)


async def _written(front: Front, path: str, folder: Path) -> str:
    """Write the answer to a path, and what a tree's page links to of its own; return it in the first language."""
    first = ""
    for lang in LANGS:
        query = b"" if lang == LANGS[0] else f"lang={lang}".encode()
        status, headers, body = await front.asked(Asked("GET", path, query, lang))
        if status != 200:
            raise Lost(f"{path}: status {status}")
        page = dict(headers).get(b"content-type", b"").startswith(_HTML)
        tail = f"{'' if lang == LANGS[0] else f'.{lang}'}.html" if page else ""
        file = folder / f"{(path.lstrip('/') or 'index')}{tail}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
        if not page:
            return first
        first = first or body.decode()
        if lang == LANGS[0] and path.startswith("/T/") and path.count("/") == 2:
            for other in _linked(body.decode(), path):
                await _written(front, other, folder)
    return first


def _linked(html: str, path: str) -> list[str]:
    """Return the pages below a tree's own that it links to: one for each quantity."""
    parts = html.split(f'href="{path}/')[1:]
    names = [part.partition('"')[0] for part in parts]
    return [f"{path}/{name}" for name in dict.fromkeys(names) if "." not in name]


def _codes(registry: Registry) -> list[str]:
    return list(dict.fromkeys([*registry.trees, *registry.tags, *sorted(registry.gone)]))


def _as_typed(folder: Path, code: str) -> None:
    """Let a code be found as people type it: links, which take no room."""
    for door in ("T", "t"):
        (folder / door).mkdir(exist_ok=True)
        for name in {code, code.lower(), codes.shown(code), codes.shown(code).lower()}:
            for tail in ("", ".html", ".en.html", ".json"):
                link, aim = folder / door / f"{name}{tail}", folder / "T" / f"{code}{tail}"
                if aim.exists() and link != aim:
                    link.symlink_to(f"../T/{aim.name}")


def _put(new: Path, folder: Path) -> None:
    """Put a finished export in the place of the one before."""
    old = folder.with_name(f"{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
