"""What an alert rule is, and how the `[[rule]]` tables of cloud.toml become rules: one kind, one file.

A kind is `cloud/alerts/rules/<kind>.py` with a frozen struct `CONFIG` (its keys) and a class `RULE`, its words beside
it in `<kind>.toml`, and its cases in `tests/rules/<kind>/<case>/`. A rule says of a value whether it is bad, and of
silence what it means; it decides with plain values and does no I/O.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import msgspec

from cloud.config import CLOUD_TOML, ConfigError
from settings.expected import chosen, convert, placed
from settings.finding import File, Unfit, shown, unknown
from wire.quantities import QUANTITIES, Quantity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloud.alerts.intent import Grade
    from cloud.alerts.spans import Patience


LONGEST_NAME = 64
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]
What = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]  # it stands in a text message
BEAT_S = 60.0  # a gateway is heard at least so often: its beat, its batches


class Silence(msgspec.Struct, frozen=True):
    """What silence means to a rule: whose, and after how long of listening in vain.

    `gateway`: nothing of it is heard. `way_out`: the gateway's own modem may have no service. `sensor`: it is dead
    while its gateway lives; `stuck_ms` of the same value say as little. `incident`: one that is open can be seen no
    more, which is told. After `forget_ms` nobody will know any more, and what is open is ended as unknown.
    """

    of: Literal["gateway", "way_out", "sensor", "incident"]
    after_ms: int
    forget_ms: int
    stuck_ms: int = 0


class Rule(Protocol):
    """One configured rule."""

    @property
    def name(self) -> str:
        """Its name in cloud.toml, the journal and the messages."""

    @property
    def kind(self) -> str:
        """The file that it comes from."""

    @property
    def role(self) -> str:
        """Which contacts are told."""

    @property
    def grade(self) -> Grade:
        """What is at stake: life before comfort."""

    @property
    def may_burn(self) -> bool:
        """Whether what it finds may be a fire: about life, that has stages, gathers, and asks for an answer."""

    @property
    def quantity(self) -> str:
        """The quantity that it is fed with; empty for a rule that only listens for silence."""

    @property
    def patience(self) -> Patience:
        """How long is long enough."""

    @property
    def silence(self) -> Silence:
        """What silence means."""

    @property
    def what(self) -> dict[str, str]:
        """What it suspects, by language."""

    @property
    def window_ms(self) -> int:
        """Over how long its quantity, a running total, is summed before it is marked; 0: values as they are."""

    @property
    def zones(self) -> tuple[str, ...]:
        """The zones for which a sum is judged; empty: wherever no other such rule names the zone."""

    def mark(self, value: float) -> int:
        """Return spans.BAD, MIDDLE or GOOD."""

    def section(self, basis: str) -> str:
        """Return the part of the kind's words that fits what an incident rests on (readings, silence …)."""

    def facts(self) -> dict[str, float | str]:
        """Return the figures that the words need."""


def kinds() -> list[str]:
    """Return the names of the kinds in this folder, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def open_rules(tables: Iterable[dict[str, Any]], file: File = CLOUD_TOML) -> list[Rule]:
    """Return the rules that the tables of a file describe. Raises ConfigError."""
    rules: list[Rule] = []
    for number, table in enumerate(tables, 1):
        place = f"[[rule]] {number}" + (f" ({_cut(table['name'])})" if isinstance(table.get("name"), str) else "")
        rule = _open(file, place, table)
        if rule.name in [other.name for other in rules]:
            raise ConfigError(file, f"{place} name", "name_taken", value=shown(rule.name))
        rules.append(rule)
    return rules


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + "…"


def quantity_for(name: str) -> Quantity:
    """Return a quantity that may stand behind an alert. Raises Unfit."""
    row = QUANTITIES.get(name)
    if row is None:
        raise unknown("quantity", name, QUANTITIES)
    if row.trust == "low":
        raise Unfit("quantity", "low_trust", value=shown(name))
    return row


DAY_MS = 86_400_000
STAKES: dict[str, Grade] = {
    "fire-watch": "life",
    "commune": "life",
    "telecom": "service",
    "operator": "upkeep",
}  # by role


SIGNAL = frozenset({"absence", "baseline"})  # kinds that are about mobile service and links, whoever is told


def signal_grade(role: str) -> Grade:
    """Return what is at stake where telephones may not work: whoever is told, that is no danger, and wakes nobody."""
    return "upkeep" if role == "operator" else "service"


def check_what(**texts: str) -> None:
    """Raise Unfit for words that claim more than a rule can know: only a person confirms."""
    for key, text in texts.items():
        if "confirm" in text.lower() or "xác nhận" in text.lower():
            raise Unfit(key, "claims_to_know", value=shown(text))


def longer_than_a_beat(**spans_s: float) -> None:
    """Raise Unfit for a silence, in seconds, that lies between any two messages of a gateway that is well."""
    for key, span_s in spans_s.items():
        if span_s <= BEAT_S:
            raise Unfit(key, "shorter_than_a_beat", value=f"{span_s:g}", beat=f"{BEAT_S:g}", better=f"{3 * BEAT_S:g}")


def _open(file: File, place: str, table: dict[str, Any]) -> Rule:
    module = importlib.import_module(f"{__name__}.{chosen(file, place, table, 'kind', kinds())}")
    for key, value in table.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(file, f"{place} {key}", "not_finite", value=shown(value))
    try:
        rule: Rule = module.RULE(convert(file, place, table, module.CONFIG))
    except ValueError as error:
        raise placed(file, place, error) from error
    return rule
