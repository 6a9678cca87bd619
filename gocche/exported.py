"""`gocche coverage export`: the map and its samples as files that others read. Nothing is ever sent anywhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.coverage import shelf
from cloud.coverage.book import NAME
from cloud.coverage.months import HEX, month_ms
from cloud.coverage.out import csv, geojson, mls, nrrecord
from cloud.coverage.seam import MONTH_NOW
from gocche.words import Refused, both

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cloud.config import CloudConfig
    from cloud.coverage.sample import Sample
    from cloud.coverage.shelf import Sheet

FORMS = ("geojson", "csv", "mls", "nrrecord")
_SAMPLES = {"mls": mls.write, "nrrecord": nrrecord.write}


def export(config: CloudConfig, path: Path, *, form: str, layer: str, network: int, month: int) -> int:
    """Write `path` whole or not at all; return 0. Raises Refused, OSError, sqlite3.Error.

    The file is its owner's alone: samples are somebody's way. GeoJSON and CSV are of cells with enough moments.
    """
    book = Path(config.data.path) / NAME
    try:
        samples = _SAMPLES.get(form)
        written = samples(_samples(book, network, month)) if samples else _cells(book, form, layer, network, month)
        size = _write(path, written)
    except shelf.ROTTEN as error:
        raise Refused("exported", "rotten", path=book, why=error) from error
    print(both("exported", "written", path=path, size=size))
    if samples and size == sum(map(len, samples(()))):
        print(both("exported", "nothing"))
    return 0


def _cells(book: Path, form: str, layer: str, network: int, month: int) -> Iterator[bytes]:
    sheet = shelf.sheet(book, layer, network, month, HEX)
    if sheet is None:
        months = {found[2] for found in shelf.sheets(book) if found[:2] == (layer, network)}
        raise Refused("exported", "no_sheet", path=book, months=", ".join(map(str, sorted(months))) or "–")
    history = list(_months(book, layer, network)) if month == MONTH_NOW else []
    invented = shelf.invented(book)
    if form == "geojson":
        return geojson.write(sheet, history, invented=invented)
    return csv.write([sheet, *history], invented=invented)


def _months(book: Path, layer: str, network: int) -> Iterator[Sheet]:
    for of_layer, plmn, month, res, _ in shelf.sheets(book):
        if (of_layer, plmn, res) == (layer, network, HEX) and month != MONTH_NOW:
            sheet = shelf.sheet(book, layer, network, month, HEX)
            if sheet is not None:
                yield sheet


def _samples(book: Path, network: int, month: int) -> Iterator[Sample]:
    since_ms, until_ms = month_ms(month) if month else (0, 2**62)
    return (one for one in shelf.samples(book, since_ms, until_ms + 1) if network in {0, one.plmn})


def _write(path: Path, pieces: Iterable[bytes]) -> int:
    new = path.with_name(f".{path.name}.new")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.writelines(pieces)
            size = file.tell()
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    return size
