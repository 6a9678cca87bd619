"""Where each measurement lies: all in one retention policy, or, with `keep_days`, in three.

Single readings and what gateways say of themselves stay where everything lies otherwise (Grafana asks there), for
`keep_days`; the ledger goes to the policy `ledger`, for longer, and hours to `hours`, for ever. In 2.x a policy is a
bucket of its own with a mapping. What the ledger told before `keep_days` was set is read, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from cloud.store.engines.influx.config import InfluxConfig

AT_NS = 7_258_118_400_000_000_000  # 2200-01-01, for what is written over: no retention reaches it
LEDGER, HOURS = "ledger", "hours"  # the names of the policies


class Places(msgspec.Struct, frozen=True):
    """Of the ledger: its source for FROM, and its policy for writing; "" is the one that a database has anyway."""

    ledger: str = "batch"
    ledger_policy: str = ""


def places_of(config: InfluxConfig) -> Places:
    """Return where the ledger lies under this configuration."""
    return Places() if config.keep_days is None else Places(f'batch, "{LEDGER}".batch', LEDGER)
