"""What is remembered of one node between samples, and as bytes across restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from detect.channel import Channel
from detect.claim import Claim
from detect.limits import MINUTE_MS

if TYPE_CHECKING:
    from detect.limits import Limits

VERSION: Final = 1
WHOLE, HALF = 2, 1


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """What one node said at one time: µg/m³, ppm, °C, %RH, V; None for what it did not say then.

    The channels of a node need not speak together: each reading may be a sample of its own.
    """

    utc_ms: int
    pm2_5: float | None = None
    co: float | None = None
    temp: float | None = None
    rh: float | None = None
    supply: float | None = None


# What of a node a sample is, by the quantity that brings it: edge and cloud read the same.
FIELDS = {
    "pm2_5": "pm2_5",
    "co": "co",
    "air_temperature": "temp",
    "air_humidity": "rh",
    "supply_voltage": "supply",
}


class Neighbour(msgspec.Struct, frozen=True, array_like=True):
    """What is known of a live node nearby: its excess of each channel (None: unknown), and whether it is evidence."""

    utc_ms: int
    pm: float | None = None
    co: float | None = None
    pm_up: bool = False
    co_up: bool = False


class Twice(msgspec.Struct, frozen=True, array_like=True):
    """Something that must be seen twice: first and last time, how often, the first value, and what was beside it."""

    first_ms: int = 0
    last_ms: int = 0
    times: int = 0
    value: float = 0.0
    beside: float = 0.0

    def seen(self, utc_ms: int, value: float, limits: Limits, beside: float = 0.0) -> Twice:
        """Return it after it was seen again."""
        if not self.times or utc_ms - self.first_ms > limits.few_ms:
            return Twice(utc_ms, utc_ms, 1, value, beside)
        return replace(self, last_ms=utc_ms, times=self.times + 1)

    def enough(self, now_ms: int, limits: Limits) -> bool:
        """Tell whether it was seen twice, far enough apart, and of late."""
        apart = self.last_ms - self.first_ms >= limits.twice_ms
        return self.times >= 2 and apart and now_ms - self.last_ms <= limits.few_ms


class Minute(msgspec.Struct, frozen=True, array_like=True):
    """A minute with evidence: its beginning, its weight in halves, for how many minutes it stands where they are rare.

    It begins with its evidence, not with a clock's minute: what is judged by another clock is judged the same.
    """

    utc_ms: int
    halves: int
    span: int = 1
    pm: float = 0.0


class Node(msgspec.Struct, frozen=True, array_like=True):
    """All that is remembered of a node. It may be written down (`dump`) and read back: nothing is lost by a restart."""

    version: int = VERSION
    now_ms: int = 0
    said_ms: int = 0  # its newest sample: what was said before silence was judged is heard all the same
    pm: Channel = Channel()
    co: Channel = Channel()
    t: Channel = Channel()
    rh: float | None = None
    rh_ms: int = 0
    fog_ms: int = 0
    supply: float | None = None
    supply_ms: int = 0
    supply_top: float = 0.0
    minutes: tuple[Minute, ...] = ()
    strong: Twice = Twice()
    hot: Twice = Twice()
    smoke_ms: int = 0  # the last minute with smoke, and with heat
    heat_ms: int = 0
    peak: float = 0.0  # of PM2.5's excess in this run
    gap: int = 1  # minutes between the last two values of what sets its pace (node.py)
    pause: int = 1  # its pace: a pause that comes once is none
    borne_ms: int = 0  # when the claim's level was last borne out
    claim: Claim = Claim()

    @property
    def pace_ms(self) -> int:
        """How far apart its samples come."""
        return self.pause * MINUTE_MS


def moved(state: Node, by_ms: int) -> Node:
    """Return a node as if all of it had come so much later (earlier: below 0): its clock was put right, or wrong.

    What it has learned, counts and claims keeps its distances in time; what never was stays so.
    """

    def at(utc_ms: int) -> int:
        return utc_ms + by_ms if utc_ms else 0

    def channel(one: Channel) -> Channel:
        times = (one.value_ms, one.same_ms, one.kept_ms, one.began_ms, one.well_ms)
        value_ms, same_ms, kept_ms, began_ms, well_ms = map(at, times)
        return replace(one, value_ms=value_ms, same_ms=same_ms, kept_ms=kept_ms, began_ms=began_ms, well_ms=well_ms)

    def twice(one: Twice) -> Twice:
        return replace(one, first_ms=at(one.first_ms), last_ms=at(one.last_ms))

    claim = state.claim
    return replace(
        state,
        now_ms=at(state.now_ms),
        said_ms=at(state.said_ms),
        pm=channel(state.pm),
        co=channel(state.co),
        t=channel(state.t),
        rh_ms=at(state.rh_ms),
        fog_ms=at(state.fog_ms),
        supply_ms=at(state.supply_ms),
        minutes=tuple(replace(one, utc_ms=at(one.utc_ms)) for one in state.minutes),
        strong=twice(state.strong),
        hot=twice(state.hot),
        smoke_ms=at(state.smoke_ms),
        heat_ms=at(state.heat_ms),
        borne_ms=at(state.borne_ms),
        claim=replace(
            claim,
            since_ms=at(claim.since_ms),
            utc_ms=at(claim.utc_ms),
            first_ms=None if claim.first_ms is None else at(claim.first_ms),
            baseline_ms=None if claim.baseline_ms is None else at(claim.baseline_ms),
        ),
    )


def drilled(state: Node) -> Node:
    """Return a node after an exercise: it knows what is ordinary, and of no smoke or heat, as none was true."""
    return replace(
        state, minutes=(), strong=Twice(), hot=Twice(), smoke_ms=0, heat_ms=0, peak=0.0, borne_ms=0, claim=Claim()
    )  # fmt: skip


_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(Node).decode


def dump(state: Node) -> bytes:
    """Return a state as bytes."""
    return _ENCODE(state)


def load(raw: bytes) -> Node:
    """Return a state from its bytes. Raises ValueError where they are none of this version: begin anew then."""
    state = _DECODE(raw)
    if state.version != VERSION:
        raise ValueError(f"state of a node: version {state.version}, this is {VERSION}")
    return state
