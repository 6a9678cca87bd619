"""Signal by hamlet: what the modems bound to a hamlet said last, judged by one scale for every hamlet.

"No signal" and "no data" are different things. A modem that answers "searching" is the most valuable sample there is;
a modem that says nothing tells nothing about coverage and is never drawn as a dead zone. So a hamlet whose modem gives
no fresh sample is *stale*, which people read as "no data"; one without a modem is *unmeasured*; and only a modem that
answered without service makes it *none*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cloud.clock import hanoi
from cloud.coverage.scale import Scale
from cloud.registry.alphabet import order
from wire.quantities import IN_SERVICE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloud.clock import Clock
    from cloud.registry import Current, HamletNow, Registry
    from cloud.registry.kinds import Binding
    from cloud.store import History
    from cloud.stream.latest import ChannelNow, Latest

RANK = ("good", "fair", "weak", "served", "none", "stale", "unmeasured")  # best first
RADIO_5G_SA, RADIO_5G_NSA, RADIO_LTE = 5, 4, 3  # codes of wire.quantities.RADIO
SEARCHED_DAYS = 30
AHEAD_MS = 600_000  # readings may be dated up to 10 min ahead (docs/protocol.md)
_DAY_MS = 86_400_000

Past = dict[tuple[str, str], int | None]  # (gateway, channel) → UTC ms of its last service, None without any


class HamletRow(msgspec.Struct, frozen=True):
    """One hamlet of the table, under the names that are valid today.

    `state` is one of RANK: *served* has service of unknown strength, *none* a modem that answers without service,
    *stale* a last sample too old to be called now, or a modem that has given none. `time_ms` is when that was measured.
    `last_service_ms` is the last sample with service, None when there was none in the searched time, or when the search
    failed (`searched` False). `reason` (wire `Reason`) is why the newest poll gave none: the port is gone, silence.
    """

    code: str
    name: str
    commune: str
    province: str
    households: int | None
    state: str
    time_ms: int | None = None
    registration: int | None = None
    radio: int | None = None
    rsrp_dbm: float | None = None
    last_service_ms: int | None = None
    searched: bool = True
    way_out: bool = False
    reason: int | None = None


def hamlets(
    registry: Registry,
    latest: Latest,
    now_ms: int,
    scale: Scale,
    past: Mapping[tuple[str, str], int | None],
) -> list[HamletRow]:
    """Return a row for every hamlet, by name. Of several modems in a hamlet the best fresh one speaks.

    `past` tells of modems when they were in service last (UTC ms); of those that are not in it nobody knows.
    """
    today = hanoi(now_ms).date()
    rows = []
    for code in registry.hamlets:
        hamlet = registry.hamlet(code, today)
        if hamlet is None:
            continue
        unmeasured = _unmeasured(hamlet)
        heard = [
            row
            for binding in registry.bound_to("hamlet", code, today)
            if (row := _heard(registry, unmeasured, binding, latest, now_ms, scale, past)) is not None
        ]
        best = min(heard, key=lambda row: (RANK.index(row.state), row.time_ms is None), default=unmeasured)
        rows.append(best)
    return sorted(rows, key=lambda row: (order(row.name), row.code))


def _heard(
    registry: Registry, row: HamletRow, binding: Binding, latest: Latest, now_ms: int, scale: Scale,
    past: Mapping[tuple[str, str], int | None],
) -> HamletRow | None:  # fmt: skip
    """Return the row as one bound channel has it; None where that is no modem, or one under maintenance."""
    now = latest.channel(binding.gateway, binding.channel)
    reason = now.reasons.get("registration") if now else None
    silent = msgspec.structs.replace(row, state="stale", way_out=binding.way_out, reason=reason)
    if now is None:
        return silent  # nothing has come from it yet
    if "registration" not in now.values:
        return silent if reason is not None else None
    if registry.maintenance(binding.gateway, binding.channel).hold(now.values["registration"].time_ms):
        return None
    return msgspec.structs.replace(_aged(_judge(row, binding, now, scale, past), now_ms, scale), reason=reason)


def level(now: ChannelNow, scale: Scale) -> tuple[str, float | None]:
    """Return (good, fair, weak or served; its RSRP in dBm) from the sample that carried the registration."""
    time_ms = now.values["registration"].time_ms
    sample = {name: value.value for name, value in now.values.items() if value.time_ms == time_ms}
    radio = sample.get("radio")
    found = []
    if radio in {RADIO_5G_SA, RADIO_5G_NSA, None} and (nr := sample.get("nr_ss_rsrp")) is not None:
        found.append((scale.level("nr", nr, sample.get("nr_ss_sinr")), nr))
    if radio in {RADIO_LTE, RADIO_5G_NSA, None} and (lte := sample.get("lte_rsrp")) is not None:
        found.append((scale.level("lte", lte, sample.get("lte_sinr")), lte))
    return min(found, key=lambda pair: RANK.index(pair[0]), default=("served", None))


def _judge(
    row: HamletRow,
    binding: Binding,
    now: ChannelNow,
    scale: Scale,
    past: Mapping[tuple[str, str], int | None],
) -> HamletRow:
    """Return the row as the modem's newest registration has it, however old that is."""
    registration = now.values["registration"]
    radio = now.values.get("radio")
    row = msgspec.structs.replace(
        row,
        state="none",
        time_ms=registration.time_ms,
        registration=int(registration.value),
        radio=int(radio.value) if radio and radio.time_ms == registration.time_ms else None,
        way_out=binding.way_out,
    )
    if registration.value not in IN_SERVICE:
        modem = binding.gateway, binding.channel
        return msgspec.structs.replace(row, last_service_ms=past.get(modem), searched=modem in past)
    state, rsrp = level(now, scale)
    return msgspec.structs.replace(row, state=state, rsrp_dbm=rsrp, last_service_ms=registration.time_ms)


def _aged(row: HamletRow, now_ms: int, scale: Scale) -> HamletRow:
    stale = row.time_ms is not None and now_ms - row.time_ms > scale.stale_s * 1000
    return msgspec.structs.replace(row, state="stale") if stale else row


def _unmeasured(hamlet: HamletNow) -> HamletRow:
    return HamletRow(
        code=hamlet.code,
        name=hamlet.name,
        commune=hamlet.commune,
        province=hamlet.province,
        households=hamlet.households,
        state="unmeasured",
    )


class Coverage:
    """The table of now. What it needs of the past is searched apart, so that who asks the store may do it seldom."""

    def __init__(
        self, registry: Current, latest: Latest, store: History, clock: Clock, scale: Scale | None = None
    ) -> None:
        self._registry, self._latest, self._store, self._clock = registry, latest, store, clock
        self._scale = scale or Scale()

    def search(self) -> Past:
        """Return when the modem of each hamlet was in service last, by one question to the store. Raises Retry."""
        now_ms = self._clock.utc_ms()
        today, registry = hanoi(now_ms).date(), self._registry.now
        modems = {
            (bound.gateway, bound.channel)
            for code in registry.hamlets
            for bound in registry.bound_to("hamlet", code, today)
        }
        end_ms = now_ms + AHEAD_MS
        span_ns = (end_ms - SEARCHED_DAYS * _DAY_MS) * 1_000_000, end_ms * 1_000_000
        found = self._store.last_held(sorted(modems), "registration", sorted(IN_SERVICE), *span_ns)
        return dict.fromkeys(modems) | {modem: time_ns // 1_000_000 for modem, time_ns in found.items()}

    def rows(self, past: Past | None) -> list[HamletRow]:
        """Return a row for every hamlet from what modems said last, and from a `search`; None where that failed."""
        return hamlets(self._registry.now, self._latest, self._clock.utc_ms(), self._scale, past or {})
