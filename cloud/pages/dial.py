"""What the pages of fire danger show of a zone, read off its days: its charts, its words for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cloud.clock import hanoi
from cloud.danger.drought import saturation_deficit
from cloud.danger.levels import Verdict, verdict
from cloud.pages.charts import danger_course
from cloud.pages.words import iso
from settings.words import said

if TYPE_CHECKING:
    from cloud.danger.book import Rank
    from cloud.danger.course import Day
    from cloud.danger.levels import Level
    from cloud.pages.words import Speaker
    from cloud.registry import Registry
    from cloud.registry.fire import OfficialLevel
    from cloud.registry.kinds import Zone


class Seen(NamedTuple):
    """What is shown of a zone. `day` is its newest one, `told` the newest that has an FWI, None where there is none."""

    zone: Zone
    day: Day | None
    verdict: Verdict
    days: tuple[Day, ...] = ()
    rank: Rank | None = None
    now_ms: int = 0
    official: OfficialLevel | None = None  # what the forest rangers published for today

    @property
    def level(self) -> Level | None:
        """Return the level, if there is one."""
        return self.verdict.level

    @property
    def told(self) -> Day | None:
        """Return the newest day that has an FWI."""
        return next((day for day in reversed(self.days) if day.indices), None)

    @property
    def measured(self) -> Day | None:
        """Return the newest day that weather was whole on."""
        return next((day for day in reversed(self.days) if day.has_p), None)

    @property
    def stale(self) -> bool:
        """Tell whether the newest day had no whole weather, or lies further back than it should."""
        return self.day is not None and (not self.day.has_p or self.behind)

    @property
    def behind(self) -> bool:
        """Tell whether a day is missing that should have been made by now."""
        now = hanoi(self.now_ms)
        return self.day is not None and (now.date() - self.day.day).days > (0 if now.hour >= 14 else 1)

    @property
    def deficit_hpa(self) -> float:
        """Return the saturation deficit of the newest day at 13:00."""
        inputs = self.day.inputs if self.day else None
        return saturation_deficit(inputs.one_temp_c or 0.0, inputs.one_rh_pct or 0.0) if inputs else 0.0


def seen_of(registry: Registry, zone: Zone, day: Day | None, now_ms: int) -> Seen:
    """Return what is shown of a zone, `day` its newest one, by the registry as it is now."""
    found = verdict(day, registry.danger_tables.on(zone, day.day)) if day else Verdict(why="no_p")
    return Seen(zone, day, found, now_ms=now_ms, official=registry.official_levels.on(zone, hanoi(now_ms).date()))


def courses(seen: Seen) -> dict[str, Any]:
    """Return the pictures of P, of FWI and of the rain that set them back."""
    p = [day.after.p if day.has_p else None for day in seen.days]
    fwi = [day.indices.fwi if day.indices else None for day in seen.days]
    rain = [day.inputs.one_rain_mm for day in seen.days]
    return {"p": danger_course(p, rain), "fwi": danger_course(fwi, rain)}


def sign_words(seen: Seen, speaker: Speaker) -> str:
    """Return what the sign says to who listens."""
    if seen.level is None:
        return speaker.say("danger.sign_none")
    return speaker.say(
        "danger.sign", roman=seen.level.roman, name=said("cloud.danger", "level", seen.level.roman, speaker.lang)
    )


def as_json(seen: Seen) -> dict[str, Any]:
    """Return a zone's days for machines; a level with all that it stands on."""
    level, day, official = seen.level, seen.day, seen.official
    law = level and {
        "decision": level.table.decision,
        "area": level.table.area,
        "place": level.table.place,
        "code": level.table.code,
        "valid_from": level.table.valid_from.isoformat(),
        "valid_to": level.table.valid_to and level.table.valid_to.isoformat(),
        "rain_mm": level.table.rain_mm,
        "up_to": level.table.bounds,
    }
    return {
        "zone": seen.zone.code,
        "day": day and day.day.isoformat(),
        "stale": seen.stale,
        "level": level and {"level": level.roman, "at_least": level.at_least, "table": law},
        "why_no_level": seen.verdict.why,
        "official": official
        and {
            "level": official.level,
            "source": official.source,
            "place": official.place,
            "code": official.code,
            "valid_from": official.valid_from.isoformat(),
            "valid_to": official.valid_to.isoformat(),
        },
        "days": [_day_as_json(one) for one in seen.days],
    }


def _day_as_json(day: Day) -> dict[str, Any]:
    inputs, indices = day.inputs, day.indices
    return {
        "day": day.day.isoformat(),
        "p": round(day.after.p, 1) if day.has_p else None,
        "p_since": day.after.p_since and day.after.p_since.isoformat(),
        "p_whole": day.after.settled,
        "rain_mm": inputs.one_rain_mm,
        "temp_13_c": inputs.one_temp_c,
        "rh_13_pct": inputs.one_rh_pct,
        "ffmc": indices and round(day.after.codes.ffmc, 2),
        "dmc": indices and round(day.after.codes.dmc, 2),
        "dc": indices and round(day.after.codes.dc, 2),
        "isi": indices and round(indices.isi, 2),
        "bui": indices and round(indices.bui, 2),
        "fwi": indices and round(indices.fwi, 2),
        "dsr": indices and round(indices.dsr, 3),
        "lat": inputs.lat,
        "peak_ffmc": day.peak and round(day.peak, 2),
        "peak": None if day.peak_ms is None else iso(day.peak_ms),
        "lacks": inputs.flags,
    }
