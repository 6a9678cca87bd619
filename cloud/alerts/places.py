"""Where an incident is, in the words of the registry; what is bound to nothing says so instead of being dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cloud.registry.periods import valid_on

if TYPE_CHECKING:
    from datetime import date

    from cloud.registry import Registry
    from cloud.registry.kinds import Binding

_ORDER = ("tree", "zone", "hamlet")


class Place(msgspec.Struct, frozen=True):
    """A place as messages name it. `key` is kind:code, empty where nothing is bound."""

    key: str
    vi: str
    en: str
    lat: float | None = None
    lon: float | None = None


def place_of(registry: Registry, gateway: str, channel: str, on: date) -> Place:
    """Return where a channel hangs on a day; with an empty channel, where its gateway's sensors hang."""
    if channel:
        bindings = registry.places_of(gateway, channel, on)
    else:
        channels = sorted({b.channel for b in registry.bindings if b.gateway == gateway})
        bindings = [b for name in channels for b in registry.places_of(gateway, name, on) if not b.way_out]
        bindings = [b for b in bindings if b.place != "hamlet"] or bindings
    places = [
        place for b in sorted(bindings, key=_rank) if (place := _place(registry, b.place, b.code, on)) is not None
    ]
    if places:
        return places[0]
    source = f"{gateway}/{channel}" if channel else gateway
    return Place("", f"chưa có nơi nào gắn với {source}", f"no place is bound to {source}")


def way_outs(registry: Registry, gateway: str, on: date) -> list[str]:
    """Return the channels of the modems that are a gateway's own link on a day."""
    channels = sorted({b.channel for b in registry.bindings if b.gateway == gateway and b.way_out})
    return [name for name in channels if any(b.way_out for b in registry.places_of(gateway, name, on))]


def area_of(registry: Registry, place: str, gateway: str) -> str:
    """Return the wider place whose people look after it: the zone of a tree, or the place itself; as kind:code."""
    kind, _, code = place.partition(":")
    tree = registry.trees.get(code) if kind == "tree" else None
    return f"zone:{tree.zone}" if tree is not None else place or f"gateway:{gateway}"


def communes(registry: Registry, on: date) -> dict[str, str]:
    """Return the code of the commune of each gateway on a day, by its bindings."""
    found: dict[str, str] = {}
    for bound in registry.bindings:
        if bound.gateway not in found and valid_on(bound, on):
            tree = registry.trees.get(bound.code) if bound.place == "tree" else None
            zone = registry.zones.get(tree.zone if tree else bound.code)
            commune = registry.commune_of(bound.code, on) if bound.place == "hamlet" else zone.commune if zone else ""
            found |= {bound.gateway: commune} if commune else {}
    return found


def _rank(binding: Binding) -> tuple[int, float]:
    return (_ORDER.index(binding.place) if binding.place in _ORDER else len(_ORDER), binding.distance_m)


def named_place(registry: Registry, place: str, on: date) -> Place:
    """Return a place by its kind:code, as messages name it; what there is not is named as it was asked for."""
    kind, _, code = place.partition(":")
    return _place(registry, kind, code, on) or Place("", place or "mọi nơi", place or "everywhere")


def named_scope(registry: Registry, scope: str, on: date) -> tuple[str, str]:
    """Return what a silence is about as people call it, in Vietnamese and English: a place, a gateway, a sensor."""
    kind, _, code = scope.partition(":")
    if scope == "*":
        return "mọi nơi", "everywhere"
    if kind == "gateway":
        return f"trạm {code}", f"gateway {code}"
    if kind == "channel":
        return f"thiết bị {code}", f"device {code}"
    place = named_place(registry, scope, on)
    return place.vi, place.en


def _place(registry: Registry, kind: str, code: str, on: date) -> Place | None:
    key = f"{kind}:{code}"
    if kind == "tree" and (tree := registry.trees.get(code)):
        zone = registry.zones.get(tree.zone)
        vi = f"cây {code}, {zone.name_vi}" if zone else f"cây {code}"
        en = f"tree {code}, {zone.name_en}" if zone else f"tree {code}"
        return Place(key, vi, en, tree.lat, tree.lon)
    if kind == "zone" and (zone := registry.zones.get(code)):
        return Place(key, zone.name_vi, zone.name_en, zone.lat, zone.lon)
    if kind == "hamlet" and (hamlet := registry.hamlet(code, on)):
        name = ", ".join(part for part in (hamlet.name, hamlet.commune, hamlet.province) if part)
        return Place(key, name, name, hamlet.lat, hamlet.lon)
    return None
