"""Incidents as the staff's pages are told of them by who wires the rooms: they know nothing of alerts."""

from __future__ import annotations

import msgspec


class Alarm(msgspec.Struct, frozen=True):
    """An incident that is open, as its journal has it."""

    id: int
    what_vi: str
    what_en: str
    place_vi: str
    place_en: str
    since_ms: int
    sensor: str
    lasts_unseen: bool  # its sensor brings nothing any more: nobody sees whether it lasts


class Suspicion(msgspec.Struct, frozen=True):
    """An incident of the month. `place` is kind:code; `ended_ms` is None while it goes on."""

    place: str
    what_vi: str
    what_en: str
    place_vi: str
    place_en: str
    since_ms: int
    ended_ms: int | None
