"""The lowest and highest of the last 24 hours, from the store's hours: asked seldom, and never insisted on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from cloud.pages.remembered import Remembered, aside
from cloud.store import Retry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloud.clock import Clock
    from cloud.pages.readings import Figure
    from cloud.store import History

_DAY_MS = 86_400_000
KEEP_S = 300.0
REST_S = 30.0  # a store that did not answer is left alone for this long
_NO_SPAN = frozenset({"wind_direction", "rain_total"})  # a direction has no lowest, a running total no range

Series = tuple[str, str]  # source (gateway/channel), quantity
Span = tuple[float, float]


class Spans(NamedTuple):
    """The spans that stand beside figures. `silent` says that the store did not tell all of them anew."""

    found: dict[Series, Span | None]
    silent: bool
    asked_ms: int | None  # when the oldest of those that are too old was asked for

    def beside(self, figure: Figure) -> Span | None:
        """Return (lowest, highest) that includes the figure itself: what is kept may be minutes older than "now"."""
        span = self.found.get((figure.source, figure.quantity.name))
        if span is None or figure.value is None:
            return None
        low, high = min(span[0], figure.value), max(span[1], figure.value)
        return (low, high) if low < high else None


class Day:
    """Answers from memory for five minutes."""

    def __init__(self, store: History, clock: Clock, patience_s: float) -> None:
        self._store = store
        self._clock = clock
        self._spans = Remembered(aside("ask-day", self._ask), clock, KEEP_S, patience_s=patience_s, rest_s=REST_S)

    async def spans(self, figures: Iterable[Figure]) -> Spans:
        """Return the spans of those figures that can have one."""
        wanted = list(dict.fromkeys((one.source, one.quantity.name) for one in figures if _has_span(one)))
        answers = await asyncio.gather(*map(self._spans.get, wanted), return_exceptions=True)
        found: dict[Series, Span | None] = {}
        silent, oldest_s = False, None
        for series, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, Retry):
                silent = True
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found[series] = answer.value
                if answer.stale:
                    silent, oldest_s = True, max(answer.age_s, oldest_s or 0.0)
        return Spans(found, silent, None if oldest_s is None else self._clock.utc_ms() - round(oldest_s * 1000))

    def _ask(self, series: Series) -> Span | None:
        """Return (lowest, highest) of the last 24 hours, None without values. Raises Retry."""
        source, quantity = series
        gateway, _, channel = source.partition("/")
        end_ms = self._clock.utc_ms()
        hours = self._store.hourly(gateway, channel, quantity, end_ms - _DAY_MS, end_ms)
        return (min(hour.low for hour in hours), max(hour.high for hour in hours)) if hours else None


def _has_span(figure: Figure) -> bool:
    return figure.quality in {"live", "late"} and not figure.quantity.codes and figure.quantity.name not in _NO_SPAN
