"""`gocche labels`: codes minted, sheets and plates made of them, and what was made verified from a scan or a photo."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cloud.clock import SystemClock, hanoi
from cloud.labels.address import address, advice
from cloud.labels.symbol import Symbol
from cloud.registry import codes
from cloud.registry.kinds import Tag
from cloud.registry.mint import taken, to_hang
from gocche.registry import book_of, who
from gocche.words import Refused, both
from settings.words import words

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.config import CloudConfig
    from cloud.registry.book import Book

FOUND = 1  # exit status: what was verified is not what was minted


def mint(config: CloudConfig, count: int, batch: str) -> int:
    """Mint blank tags and print their codes. Raises Refused."""
    from cloud.registry.mint import MOST
    from cloud.registry.mint import mint as made

    if not 1 <= count <= MOST:
        raise Refused("labels", "count", count=count, limit=MOST)
    now_ms = SystemClock().utc_ms()
    today = hanoi(now_ms).date()
    with book_of(config, writer=True) as book:
        for tag in made(book, count, batch or today.isoformat(), today, who=who(), at_ms=now_ms):
            print(codes.shown(tag.code))
    return 0


def sheet(
    config: CloudConfig,
    path: Path,
    asked: list[str],
    batch: str,
    *,
    zone: str,
    url: str,
    grid: str,
    page: str,
    symbol_mm: float,
    skip: int,
    font: str,
) -> int:
    """Write a PDF of labels; blank tags are printed ones then. Raises BadLabel, Refused, OSError."""
    from cloud.labels.sheet import A4, Form, draw

    across, down = map(int, _pair(grid))
    form = Form(_pair(page), 1, 1, symbol_mm, margin=0.0) if page else Form(A4, across, down, symbol_mm)
    with book_of(config, writer=True) as book:
        tags = _tags(book, asked, batch, zone)
        public = _public(config, url, tags[0])
        pages = draw(path, tags, public, _lines(), form, skip=skip, font=font)
        _printed(book, tags, f"labels {path.name}")
    print(both("labels", "drawn", path=path, labels=len(tags), pages=pages))
    return 0


def plates(
    config: CloudConfig, folder: Path, asked: list[str], batch: str, *, zone: str, url: str, size: str, background: bool
) -> int:
    """Write an SVG for each tag. Raises BadLabel, Refused, OSError."""
    from cloud.labels.plate import Plate, svg

    plate = Plate(*_pair(size), background=background)
    folder.mkdir(parents=True, exist_ok=True)
    with book_of(config, writer=True) as book:
        tags = _tags(book, asked, batch, zone)
        public = _public(config, url, tags[0])
        for code in tags:
            (folder / f"{code}.svg").write_text(svg(code, Symbol(address(public, code)), _lines(), plate), "utf-8")
        _printed(book, tags, f"plates {folder.name}")
    print(both("labels", "drawn", path=folder, labels=len(tags), pages=len(tags)))
    return 0


def verify(config: CloudConfig, path: Path, asked: list[str], batch: str, *, zone: str, url: str) -> int:
    """Say which tags a PDF or a photo shows, and which it should and does not; return 1 where anything is wrong."""
    from cloud.labels.verify import verify as read

    with book_of(config, writer=False) as book:
        known = taken(book)
        wanted = set(_tags(book, asked, batch, zone)) if asked or batch or zone else set()
    found = read(path, _public(config, url, "0" * codes.LENGTH))
    faults = {
        "missing": sorted(wanted - set(found.codes)),
        "twice": found.twice,
        "unminted": sorted(set(found.codes) - known),
        "foreign": found.foreign,
    }
    for what, faulty in faults.items():
        if faulty:
            print(both("labels", what, codes=", ".join(faulty)))
    print(both("labels", "verified", path=path, read=len(found.codes), good=len(set(found.codes) & known)))
    return FOUND if any(faults.values()) else 0


def _tags(book: Book, asked: list[str], batch: str, zone: str) -> list[str]:
    """Return the codes asked for: one by one, the trees of a zone, or a batch that is not retired. Raises Refused."""
    if zone and (asked or batch):
        raise Refused("labels", "one_way", zone=zone)
    if zone:
        of = to_hang(book.rows("tree"), book.rows("tag"))
        if zone not in of:
            raise Refused("labels", "no_zone", zone=zone, known=", ".join(sorted(of)) or "—")
        return of[zone]
    tags = {tag.code: tag for tag in book.rows("tag") if isinstance(tag, Tag)}
    if asked:
        found = [codes.normalise(text) for text in asked]
        minted = taken(book)
        unknown = [text for text, code in zip(asked, found, strict=True) if code not in minted]
        if unknown:
            raise Refused("labels", "unknown", codes=", ".join(unknown))
        return [code for code in found if code]
    of_batch = [tag.code for tag in tags.values() if tag.batch == batch and tag.state != "retired"]
    if not of_batch:
        raise Refused(
            "labels", "no_batch", batch=batch, known=", ".join(sorted({tag.batch for tag in tags.values()})) or "—"
        )
    return of_batch


def _printed(book: Book, tags: list[str], what: str) -> None:
    wanted = set(tags)
    blank = [tag for tag in book.rows("tag") if isinstance(tag, Tag) and tag.code in wanted and tag.state == "blank"]
    with book.writing(who(), what, SystemClock().utc_ms()) as draft:
        draft.put([replace(tag, state="printed") for tag in blank])


def _public(config: CloudConfig, url: str, code: str) -> str:
    """Return the public address, once it is known to make a symbol; say so where a shorter host would be better."""
    public = url or config.http.public_url
    better = advice(Symbol(address(public, code)).url)
    if better:
        print(better.told("vi"), better, sep="\n")
    return public


def _lines() -> tuple[str, str]:
    line = words("cloud.labels")["tag"]["line"]
    return line["vi"], line["en"]


def _pair(text: str) -> tuple[float, float]:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)", text)
    if not found:
        raise Refused("labels", "no_pair", text=text)
    return float(found[1]), float(found[2])
