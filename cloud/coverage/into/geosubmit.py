"""Geosubmit, version 2: what collectors of radio cells submit, as the body of a request or as a file of many.

An item is a moment at a place with the towers that were heard; a tower that serves says so. The format is older than
5G: collectors write `radioType` "nr", with the NCI as `cellId`. What an item says of other people's devices (Wi-Fi,
Bluetooth) is refused, and not read. It has no word for "no service", so an item without towers is *not measured*.
"""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING, Final, TypeVar

import msgspec

from cloud.coverage.into.join import moment
from cloud.coverage.into.record import (
    OLD_PLACE_MS,
    Kind,
    Place,
    Record,
    heard,
    number,
    place,
    plmn_of,
    rssi,
    scalar,
    whole,
)
from cloud.coverage.sample import OLDEST_MS, BadSample, Sample

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator, Mapping

    Item = dict[str, msgspec.Raw]

MAX_BYTES: Final = 64 * 2**20
_MAX_ITEM = 262_144
_CHUNK = 65_536
_MAX_TOWERS = 64
_KINDS: Mapping[object, Kind] = {"gsm": "gsm", "wcdma": "umts", "umts": "umts", "lte": "lte", "nr": "nr"}
_NAMES = {  # its word for each field of a cell
    "rsrp": "signalStrength", "ssRsrp": "signalStrength", "tac": "locationAreaCode",
    "eci": "cellId", "nci": "cellId", "pci": "primaryScramblingCode", "earfcn": "arfcn", "narfcn": "arfcn",
}  # fmt: skip
_OTHERS = {"wifiAccessPoints": "wifi", "bluetoothBeacons": "bluetooth"}
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|["{}\[\]]', re.DOTALL)
_CLOSES = {b"}": b"{", b"]": b"["}
_LISTS = frozenset({b"[", b"{["})
_DEEPEST = 16

_T = TypeVar("_T")
_item = msgspec.json.Decoder(dict[str, msgspec.Raw])
_towers = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


def read(
    file: IO[bytes],
    by: str,
    now_ms: int,
    progress: Callable[[int], None] | None = None,
    passed: Counter[str] | None = None,
) -> Iterator[Sample | BadSample | None]:
    """Yield the samples of a body or file that the team `by` brings, and what else is refused. Raises OSError only.

    None is yielded for an item that gives neither, so that who waits can do something else.

    `progress` is told the bytes that are done, `passed` counts what is neither: neighbours, items without a tower.
    Memory does not grow with the file.
    """
    hears_nr = False
    n = 0
    try:
        for n, raw in enumerate(_items(file, progress), 1):
            try:
                item = _decoded(_item, raw)
                for name, reason in _OTHERS.items():
                    if bytes(item.get(name, b"[]")).strip() not in {b"[]", b"null"}:
                        yield BadSample(reason, f"item {n}")
                records = _records(item, passed)
                hears_nr |= any(record.nr for record in records)
                yield _sample(by, records, now_ms, passed, nr_looked=hears_nr)
            except BadSample as bad:
                yield BadSample(bad.reason, f"item {n} {bad.value}".strip())
    except BadSample as bad:
        yield BadSample(bad.reason, f"after item {n}")


def _sample(
    by: str, records: list[Record], now_ms: int, passed: Counter[str] | None, *, nr_looked: bool
) -> Sample | None:
    serving = [record for record in records if record.serving]
    if passed is not None:
        passed["neighbour"] += len(records) - len(serving)
        passed["no cell"] += not records
    return moment(by, records, nr_looked=nr_looked).checked(now_ms) if serving else None


def _records(item: Item, passed: Counter[str] | None) -> list[Record]:
    def of(fields: Item) -> Callable[[str], object]:
        return lambda field: scalar(fields.get(_NAMES.get(field, field)))

    towers = _decoded(_towers, item.get("cellTowers", b"[]"))
    if len(towers) > _MAX_TOWERS:
        raise BadSample("size", "cellTowers")
    time_ms = whole(of(item)("timestamp"), "timestamp", OLDEST_MS, 2**53)
    if time_ms is None:
        raise BadSample("time")
    where = of(_decoded(_item, item.get("position", b"{}")))
    at = place(lambda field: where("age" if field == "locationAge" else field))
    return [_record(time_ms, at, of(tower), passed) for tower in towers]


def _record(time_ms: int, at: Place | None, get: Callable[[str], object], passed: Counter[str] | None) -> Record:
    kind = _KINDS.get(get("radioType"))
    if kind is None:
        raise BadSample("radioType")
    if abs(number(get("age"), "age") or 0) > OLD_PLACE_MS:
        raise BadSample("old cell")
    told: dict[str, object] = {}
    if kind in {"nr", "lte"}:
        told["heard"], odd = heard(kind, get)
        if passed is not None:
            passed.update(f"left out {quantity}" for quantity in odd)
    else:
        told["rssi_dbm"] = rssi(get("signalStrength"), "signalStrength")
    return Record(
        kind=kind,
        origin=b"",
        time_ms=time_ms,
        place=at,
        serving=get("serving") is True or whole(get("serving") or 0, "serving", 0, 1) == 1,
        plmn=plmn_of(get("mobileCountryCode"), get("mobileNetworkCode")),
        nr=kind == "nr",
        **told,  # type: ignore[arg-type]
    )


def _decoded(decoder: msgspec.json.Decoder[_T], raw: msgspec.Raw | bytes) -> _T:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadSample("json") from None


def _items(file: IO[bytes], progress: Callable[[int], None] | None) -> Iterator[bytes]:
    """Yield the text of each object in the list `items`, or in a bare list. Raises BadSample where it breaks off."""
    held, stack, key = b"", b"", b""
    start: int | None = None  # of the item that is open, in what is held
    scan = done = 0
    listed = False
    while chunk := file.read(_CHUNK):
        done += len(chunk)
        held += chunk
        if done > MAX_BYTES or len(held) > _MAX_ITEM + _CHUNK:
            raise BadSample("size")
        end = len(held)
        for token in _TOKEN.finditer(held, scan):
            what = token[0]
            if what == b'"':
                end = token.start()  # a text that goes on in the next chunk
                break
            if what in _CLOSES:
                if stack[-1:] != _CLOSES[what]:
                    raise BadSample("json")
                stack = stack[:-1]
                if start is not None and stack in _LISTS:
                    yield held[start : token.end()]
                    start = None
            elif len(what) == 1:
                if what == b"{" and start is None and stack in _LISTS and (stack == b"[" or key == b'"items"'):
                    start = token.start()
                stack += what
                listed = listed or stack == b"[" or (stack == b"{[" and key == b'"items"')
                if len(stack) > _DEEPEST:
                    raise BadSample("json")
            elif stack == b"{":
                key = what
        keep = end if start is None else start
        held, scan, start = held[keep:], end - keep, None if start is None else 0
        if progress is not None:
            progress(done)
    if stack or held.strip():
        raise BadSample("cut off")
    if not listed:
        raise BadSample("json")
