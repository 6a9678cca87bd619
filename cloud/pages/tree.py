"""One tree as its page and its JSON show it: both are made from the same view, so they cannot differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from cloud.pages.plan import public
from cloud.pages.readings import Figure, Silent, figures
from cloud.pages.words import iso
from cloud.registry.kinds import LANGUAGES, TONGUES, Tree, Zone

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloud.pages.garden import Garden
    from cloud.pages.words import Speaker
    from cloud.registry import Registry


class Group(msgspec.Struct, frozen=True):
    """Figures of one place at one distance: those that everybody sees. What they have in common is said once."""

    place: str
    distance_m: int
    figures: list[Figure]

    @property
    def sources(self) -> str:
        """Return the channels that the figures come from: `sg-01/air-1, weather-1`."""
        found: dict[str, list[str]] = {}
        for figure in self.figures:
            gateway, _, channel = figure.source.partition("/")
            if channel not in found.setdefault(gateway, []):
                found[gateway].append(channel)
        return "; ".join(f"{gateway}/{', '.join(channels)}" for gateway, channels in found.items())

    @property
    def newest(self) -> Figure:
        """Return the figure that was measured last."""
        return max(self.figures, key=lambda figure: figure.time_ms or 0)

    def of(self, name: str) -> Figure | None:
        """Return the figure of a quantity."""
        return next((figure for figure in self.figures if figure.quantity.name == name), None)


class TreeView(msgspec.Struct, frozen=True):
    """All that is shown of a tree. `newest_ms` is the time of its newest figure; `state` how fresh that is."""

    tree: Tree
    zone: Zone
    lat: float
    lon: float
    stories: dict[str, str]
    tongues: dict[str, str]  # the same in languages that the pages do not speak
    figures: list[Figure]
    groups: list[Group]
    technical: list[Figure]
    silent: list[Silent]
    state: str
    newest_ms: int | None


def view(garden: Garden, registry: Registry, tree: Tree, now_ms: int) -> TreeView:
    """Gather what is known of a tree at this moment, from memory."""
    found, silent = figures(registry, garden.latest, tree, now_ms, garden.live_s)
    main, technical = _sorted_out(found)
    newest = max((figure for figure in found if figure.time_ms), key=lambda figure: figure.time_ms or 0, default=None)
    return TreeView(
        tree=tree,
        zone=registry.zones[tree.zone],
        lat=public(tree)[0],
        lon=public(tree)[1],
        stories=_told(registry, tree, LANGUAGES),
        tongues=_told(registry, tree, TONGUES),
        figures=main + technical,
        groups=_grouped(main),
        technical=technical,
        silent=silent,
        state=newest.quality if newest else "none",
        newest_ms=newest.time_ms if newest else None,
    )


def _told(registry: Registry, tree: Tree, languages: Iterable[str]) -> dict[str, str]:
    return {lang: told.shown for lang in languages if (told := registry.stories.get((tree.code, lang)))}


def as_json(view: TreeView, speaker: Speaker) -> dict[str, Any]:
    """Return the public JSON of a tree: the numbers of the page, times in ISO 8601 with Vietnam's offset."""
    tree = view.tree
    return {
        "code": tree.code,
        "name": speaker.one(tree.name_vi, tree.name_en),
        "label_no": tree.label_no,
        "age": {
            "low": tree.age_low,
            "high": tree.age_high,
            "method": speaker.one(tree.age_method_vi, tree.age_method_en),
        },
        "lat": view.lat,
        "lon": view.lon,
        "alt_m": tree.alt_m,
        "girth_cm": tree.girth_cm,
        "state": tree.state,
        "zone": {"code": view.zone.code, "name": speaker.one(view.zone.name_vi, view.zone.name_en)},
        "story": view.stories.get(speaker.lang) or view.stories.get(speaker.other),
        "stories": {TONGUES[lang]["tag"]: told for lang, told in view.tongues.items()},
        "readings": [_reading(figure, speaker) for figure in view.figures],
        # not whose: which gateway brings nothing is for the operator
        "silent": [{"distance_m": it.distance_m, "measured": it.place} for it in view.silent],
    }


def feature(tree: Tree, speaker: Speaker, url: str) -> dict[str, Any]:
    """Return a tree as a GeoJSON feature (RFC 7946): longitude first, no more decimals than the world may know."""
    lat, lon = public(tree)
    return {
        "type": "Feature",
        "id": tree.code,
        "geometry": {"type": "Point", "coordinates": [lon, lat, tree.alt_m]},
        "properties": {
            "name": speaker.one(tree.name_vi, tree.name_en),
            "label_no": tree.label_no,
            "zone": tree.zone,
            "age_low": tree.age_low,
            "age_high": tree.age_high,
            "state": tree.state,
            "url": url,
        },
    }


def summary(view: TreeView, speaker: Speaker) -> str:
    """Return what a tree is in one sentence, for who only sees a link to it."""
    tree = view.tree
    return speaker.say(
        "tree.summary",
        low=tree.age_low,
        high=tree.age_high,
        alt=speaker.decimal(f"{tree.alt_m:.0f}"),
        zone=speaker.one(view.zone.name_vi, view.zone.name_en),
    )


def _reading(figure: Figure, speaker: Speaker) -> dict[str, Any]:
    return {
        "quantity": figure.quantity.name,
        "label": speaker.one(figure.quantity.vi, figure.quantity.en),
        "value": figure.value,
        "unit": speaker.unit(figure.quantity),
        "time": None if figure.time_ms is None else iso(figure.time_ms),
        "time_certain": not figure.bounded,
        "source": figure.source,
        "measured": figure.place,  # tree: at this tree; zone: by the station of its zone
        "distance_m": figure.distance_m,  # from a station: of a tree whose coordinates are coarse, at most
        "quality": figure.quality,
        "height_m": figure.height_m,
        "calibrated": figure.calibration and figure.calibration.valid_from.isoformat(),
        "newest_poll": _newest_poll(figure, speaker),
    }


def _newest_poll(figure: Figure, speaker: Speaker) -> str | None:
    if figure.worked_at:
        return speaker.say("reading.worked_at")
    return None if figure.reason is None else speaker.absent(figure.reason)


def _sorted_out(found: list[Figure]) -> tuple[list[Figure], list[Figure]]:
    """Return (what everybody sees, the rest): of several sensors for one quantity at a place, the freshest is seen."""
    best: dict[tuple[str, str], Figure] = {}
    for figure in found:
        key = figure.place, figure.quantity.name
        if not figure.technical and (key not in best or (figure.time_ms or 0) > (best[key].time_ms or 0) + 60_000):
            best[key] = figure
    seen = {id(figure) for figure in best.values()}
    return [it for it in found if id(it) in seen], [it for it in found if id(it) not in seen]


def _grouped(main: list[Figure]) -> list[Group]:
    groups: dict[tuple[str, int], list[Figure]] = {}
    for figure in main:
        groups.setdefault((figure.place, figure.distance_m), []).append(figure)
    return [Group(place, distance_m, figures) for (place, distance_m), figures in groups.items()]
