"""What somebody wants to see of the store: which quantities at which places, from which day to which, how finely."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from cloud.clock import hanoi, midnight_ms
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from cloud.registry.kinds import Binding
    from cloud.staff.visit import Visit
    from cloud.store.history import Sample

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
RAW, HOUR, DAY = STEPS = "goc", "gio", "ngay"
LONGEST = {RAW: 3, HOUR: 366, DAY: 1_100}  # days
MOST_LINES = 24
MOST_VALUES = 250_000  # of a table
FIRST_DAYS = 7
NO_MEAN = frozenset({"wind_direction", "wind_direction_relative"})  # of 350 and 10 degrees the mean is not 180
RAIN = "rain_total"


class Question(NamedTuple):
    """What was asked; `places` are (kind, code). Both days are in it."""

    places: tuple[tuple[str, str], ...]
    quantities: tuple[str, ...]
    first: date
    last: date
    step: str

    @property
    def start_ms(self) -> int:
        """Return when it begins: midnight in Vietnam."""
        return midnight_ms(self.first)

    @property
    def end_ms(self) -> int:
        """Return when it is over."""
        return midnight_ms(self.last + timedelta(1))

    @property
    def fault(self) -> tuple[str, dict[str, object]] | None:
        """Return (word, facts) of why it is not answered, None where it is."""
        days, longest = (self.last - self.first).days + 1, LONGEST[self.step]
        if not self.places:
            return "data.no_place", {}
        if not self.quantities:
            return "data.no_quantity", {}
        if days < 1:
            return "data.reversed", {}
        if days > longest:
            return "data.too_long", {"days": days, "longest": longest}
        return None


class Line(NamedTuple):
    """One quantity of one channel at one place, in the periods [start, end) in ms in which it hung there."""

    place: tuple[str, str]
    gateway: str
    channel: str
    quantity: str
    periods: tuple[tuple[int, int], ...]

    @property
    def source(self) -> str:
        """Return where its numbers come from."""
        return f"{self.gateway}/{self.channel}"


def asked(visit: Visit, places: Iterable[tuple[str, str]]) -> Question:
    """Return what an address asks: what it does not say is the last week by hours, what is not known is left out."""
    today = hanoi(visit.s.now_ms).date()
    texts: dict[str, list[str]] = {}
    for key, value in visit.query:
        texts.setdefault(key, []).append(value)
    wanted = set(texts.get("noi", ()))
    step = visit.asked("buoc")
    return Question(
        tuple(place for place in places if ":".join(place) in wanted),
        tuple(name for name in QUANTITIES if name in texts.get("dl", ())),
        visit.day(visit.asked("tu")) or today - timedelta(FIRST_DAYS - 1),
        visit.day(visit.asked("den")) or today,
        step if step in STEPS else HOUR,
    )


def lines(question: Question, bindings: Sequence[Binding], newest: Sequence[Sample]) -> list[Line]:
    """Return what there is to read, by the place and quantity that was asked; a channel keeps to when it hung there."""
    known = {(one.gateway, one.channel, one.quantity) for one in newest}
    periods: dict[tuple[tuple[str, str], str, str], list[tuple[int, int]]] = {}
    for one in sorted(bindings, key=lambda one: (one.gateway, one.channel, one.valid_from)):
        start_ms = max(question.start_ms, midnight_ms(one.valid_from))
        end_ms = min(question.end_ms, midnight_ms(one.valid_to) if one.valid_to else question.end_ms)
        if start_ms < end_ms and (one.place, one.code) in question.places:
            periods.setdefault(((one.place, one.code), one.gateway, one.channel), []).append((start_ms, end_ms))
    return [
        Line(place, gateway, channel, quantity, tuple(hung))
        for wanted in question.places
        for quantity in question.quantities
        for (place, gateway, channel), hung in periods.items()
        if place == wanted and (gateway, channel, quantity) in known and shows(quantity, question.step)
    ]


def shows(quantity: str, step: str) -> bool:
    """Tell whether a quantity has hours and days: codes and directions have no mean."""
    return step == RAW or (QUANTITIES[quantity].codes is None and quantity not in NO_MEAN)
