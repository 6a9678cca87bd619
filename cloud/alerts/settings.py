"""`[alerts]` of cloud.toml: what is late, how often is looked, how long is kept, who is told while nobody answers."""

from __future__ import annotations

from typing import Annotated

import msgspec

from cloud.alerts.decide.steps import Escalation

_Seconds = Annotated[float, msgspec.Meta(gt=0, le=2_592_000)]


class AlertsConfig(Escalation, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[alerts]` of cloud.toml, in seconds. Readings older than `late_s` never wake anybody."""

    late_s: Annotated[
        _Seconds, msgspec.Meta(description="readings older than this open a late incident and wake nobody")
    ] = 900.0
    mail_late: Annotated[bool, msgspec.Meta(description="mail late incidents all the same")] = False
    ledger_s: Annotated[
        _Seconds, msgspec.Meta(description="how often the ledger is read for what the stream did not bring")
    ] = 60.0
    overlap_s: Annotated[
        _Seconds, msgspec.Meta(description="how far back each of these looks: longer than ingesters' clocks differ")
    ] = 300.0
    quiet_s: Annotated[
        float,
        msgspec.Meta(
            description="after so long a suspicion's end is told; what comes back before then is the same one, no news",
            ge=0,
            le=43_200,
        ),
    ] = 1_800.0
    tick_s: Annotated[_Seconds, msgspec.Meta(description="how often silence is counted")] = 5.0
    signal_night: Annotated[
        str,
        msgspec.Meta(
            description="hours (Vietnam) in which lost or worse service and silent gateways are told to nobody who has"
            " no quiet hours of their own; empty to tell them by night, too",
            pattern=r"^(([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d)?$",
        ),
    ] = "22:00-06:00"
    give_up_s: Annotated[
        _Seconds, msgspec.Meta(description="how long a message is tried before it is given up and said so")
    ] = 86_400.0
    budget: Annotated[
        int,
        msgspec.Meta(
            description="suspicions that one person is told within an hour; what is probable does not wait",
            ge=1,
            le=1000,
        ),
    ] = 6
    self_test: Annotated[
        str,
        msgspec.Meta(
            description="day and time (Vietnam) of the weekly test letter by each channel; empty for never",
            pattern=r"^((mon|tue|wed|thu|fri|sat|sun) ([01]\d|2[0-3]):[0-5]\d)?$",
        ),
    ] = "mon 09:00"
    keep_days: Annotated[
        Annotated[float, msgspec.Meta(gt=0, le=36_500)],
        msgspec.Meta(description="how long is remembered what was judged; incidents and the journal stay for ever"),
    ] = 90.0
    queue: Annotated[
        int,
        msgspec.Meta(
            description="batches that may wait to be judged; beyond, the ledger brings them", ge=1, le=100_000
        ),
    ] = 2_000

    @property
    def night(self) -> tuple[int, int] | None:
        """Return `signal_night` in minutes since midnight."""
        if not self.signal_night:
            return None
        start, end = (int(at[:2]) * 60 + int(at[3:]) for at in self.signal_night.split("-"))
        return start, end
