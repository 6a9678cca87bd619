"""What satellites saw near the garden: a list and a map, with the age of each, and that it is late and not live."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup

from cloud.pages import words
from cloud.pages.answers import json
from cloud.pages.remembered import Known, Remembered, Source, aside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from cloud.pages.answers import Answers
    from cloud.registry.kinds import Zone

KEEP_S, REST_S = 30.0, 5.0
NEAR_KM = 50  # farther away it is another garden's
_SIDE, _EDGE = 320, 12  # of the map, in its own units
_KM_A_DEGREE = 111.195


class FireRow(NamedTuple):
    """One fire, at its newest pixel, and the zone that is nearest to it."""

    lat: float
    lon: float
    first_ms: int
    last_ms: int
    confidence: str
    pixels: int
    satellites: tuple[str, ...]
    place: str
    place_vi: str
    place_en: str
    km: float


class Seen(NamedTuple):
    """What is known of hotspots: up to when (0: nothing), the fires near the garden, newest first, how many more."""

    asked_ms: int
    fires: Sequence[FireRow]
    left_out: int = 0


class Hotspots:
    """The page and its numbers."""

    def __init__(self, answers: Answers) -> None:
        self._answers, self._garden = answers, answers.garden
        ask = aside("ask-hotspots", lambda _: self._garden.hotspots())
        clock, patience_s = self._garden.clock, self._garden.patience_s
        self._seen: Remembered[str, Seen] = Remembered(
            ask, clock, KEEP_S, patience_s=patience_s, rest_s=REST_S, source=Source()
        )

    async def page(self, request: Request) -> Response:
        """Fires near the garden, with their age."""
        known = await self._seen.known("")
        seen = known.value if known else None
        zones = list(self._garden.registry.zones.values())
        drawn, km = _map(zones, seen.fires) if seen and zones else (Markup(), 0)
        return self._answers.page(
            request,
            "hotspots.html",
            status=200 if known else 503,
            seen=seen,
            km=NEAR_KM,
            map=drawn,
            map_km=km,
            stale_ms=self._stale_ms(known),
        )

    async def json(self, _request: Request) -> Response:
        """The same for machines; `live` is false for ever."""
        known = await self._seen.known("")
        if known is None:
            return json({"error": "the book of hotspots cannot be read"}, 503)
        asked_ms, fires, left_out = known.value
        return json(
            {
                "live": False,
                "source": "NASA FIRMS",
                "asked": words.iso(asked_ms) if asked_ms else None,
                "fires": [_told(one) for one in fires],
                "left_out": left_out,
            }
        )

    def _stale_ms(self, known: Known[Any] | None) -> int | None:
        """Return when an answer was given that could not be had anew."""
        return self._garden.clock.utc_ms() - round(known.age_s * 1000) if known and known.stale else None


def _told(one: FireRow) -> dict[str, Any]:
    own = one._asdict()
    return own | {"first_ms": words.iso(one.first_ms), "last_ms": words.iso(one.last_ms), "km": round(one.km, 2)}


def _map(zones: Sequence[Zone], fires: Sequence[FireRow]) -> tuple[Markup, int]:
    """Return a drawing of zones and fires, and how wide its squares are, in kilometres."""
    points = [(zone.lat, zone.lon) for zone in zones] + [(fire.lat, fire.lon) for fire in fires]
    south, north = min(lat for lat, _ in points), max(lat for lat, _ in points)
    west, east = min(lon for _, lon in points), max(lon for _, lon in points)
    narrow = math.cos(math.radians((south + north) / 2))
    span = max(north - south, (east - west) * narrow, 0.02)
    scale = (_SIDE - 2 * _EDGE) / span
    square = next(
        km for km in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 20_000) if span * _KM_A_DEGREE / km <= 8
    )

    def at(lat: float, lon: float) -> tuple[float, float]:
        return _EDGE + (lon - west) * narrow * scale, _EDGE + (north - lat) * scale

    step = square / _KM_A_DEGREE * scale
    edges = [edge for n in range(1, 9) if (edge := _EDGE + n * step) < _SIDE]
    lines = "".join(f"M{edge:.1f} 0V{_SIDE}M0 {edge:.1f}H{_SIDE}" for edge in edges)
    rings = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5"/>' for x, y in (at(one.lat, one.lon) for one in zones))
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in (at(one.lat, one.lon) for one in fires))
    return (
        Markup(
            '<svg viewBox="0 0 {side} {side}" width="{side}" height="{side}" aria-hidden="true">'
            '<path d="{lines}" fill="none" stroke="currentColor" opacity=".2"/>'
            '<g fill="none" stroke="currentColor" stroke-width="2">{rings}</g>'
            '<g fill="#b3261e" stroke="#fff">{dots}</g></svg>'
        ).format(side=_SIDE, lines=lines, rings=Markup(rings), dots=Markup(dots)),  # noqa: S704 - numbers
        square,
    )
