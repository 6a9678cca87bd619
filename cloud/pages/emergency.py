"""From where a hamlet can call, on one printed page for its head: what was measured, as of when, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from cloud.coverage import shelf
from cloud.coverage.lifeline import Lifelines
from cloud.coverage.networks import named
from cloud.coverage.seam import MONTH_NOW
from cloud.pages.remembered import LONG_S, Remembered, aside
from cloud.registry.alphabet import order
from cloud.store import Retry

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from cloud.coverage.hamlets import Past
    from cloud.coverage.lifeline import Lifeline
    from cloud.pages.answers import Answers
    from cloud.pages.garden import HamletRow
    from cloud.registry import HamletNow

KEEP_S, REST_S = 60.0, 5.0
EMERGENCY_ONLY = 8  # of wire.quantities.REGISTRATION
POINTS = ("n", "ne", "e", "se", "s", "sw", "w", "nw")
HERE = ("good", "fair", "weak", "served")  # states of a modem that has service


class Known(NamedTuple):
    """What is known of a hamlet. `modem` is its fixed one, `network` whose that was; `surveyed`: somebody was there."""

    hamlet: HamletNow
    lines: list[Lifeline]
    surveyed: bool
    modem: HamletRow | None
    network: str

    @property
    def served(self) -> bool:
        """Tell whether the hamlet's own modem has service now."""
        return self.modem is not None and self.modem.state in HERE

    @property
    def emergency_only(self) -> bool:
        """Tell whether its modem says that emergency calls get through, and no others."""
        return self.modem is not None and self.modem.state == "none" and self.modem.registration == EMERGENCY_ONLY

    def lost_since(self, measured_ms: int) -> bool:
        """Tell whether the hamlet's own modem has no service now, and had none since something was measured."""
        modem = self.modem
        return modem is not None and modem.state == "none" and measured_ms < (modem.time_ms or 0)

    @property
    def unknown(self) -> bool:
        """Tell whether nothing is known at all."""
        return not self.lines and not self.surveyed and (self.modem is None or self.modem.time_ms is None)


class Emergency:
    """Answers about calling for help. The survey is read aside, once a minute for all who ask.

    `past` is when each modem was in service last: of one without service now that is what a village head wants to know.
    """

    def __init__(self, answers: Answers, style: str, past: Remembered[str, Past]) -> None:
        self._answers, self._garden, self._past = answers, answers.garden, past
        self._style = Markup(style)  # noqa: S704 - a file of ours, whose digest the policy names
        patience_s, clock = self._garden.patience_s, self._garden.clock
        ask = aside("ask-lifelines", self._sheets)
        self._asked: Remembered[str, Lifelines] = Remembered(ask, clock, KEEP_S, patience_s=patience_s, rest_s=REST_S)
        self._made: tuple[object, Lifelines] = None, Lifelines(())

    async def index(self, request: Request) -> Response:
        """The hamlets."""
        survey, rows = await self._surveyed(), await self._rows()
        known = [self._known(one, survey, rows) for one in self._hamlets()]
        return self._answers.page(request, "lifelines.html", known=known, survey=survey)

    async def page(self, request: Request) -> Response:
        """One hamlet: a page of paper."""
        code = request.path_params["hamlet"]
        hamlet = next((one for one in self._hamlets() if one.code == code), None)
        if hamlet is None:
            return self._answers.nowhere(request)
        survey = await self._surveyed()
        known = self._known(hamlet, survey, await self._rows())
        return self._answers.page(
            request, "lifeline.html", known=known, survey=survey, points=POINTS, network=named,
            duty_tel=self._garden.duty_tel, form_style=self._style,
        )  # fmt: skip

    async def _surveyed(self) -> Lifelines | None:
        known = await self._asked.known("", LONG_S)  # it is printed: better late than without its lines
        return known and known.value

    def _sheets(self, _: str) -> Lifelines:
        """Return the sheets of now, fine where there are fine ones, of every network; read again where they changed."""
        path = self._garden.surveyed
        if path is None:
            return self._made[1]
        try:
            state = [one for one in shelf.sheets(path) if one[2] == MONTH_NOW]
            if state != self._made[0]:
                found = [shelf.sheet(path, layer, plmn, month, res) for layer, plmn, month, res, _ in state]
                lines = Lifelines((one for one in found if one is not None), invented=shelf.invented(path))
                for one in self._hamlets():  # here, and not while everybody waits
                    lines.of(one.lat, one.lon)
                self._made = state, lines
        except shelf.UNREADABLE as error:
            raise Retry(f"coverage: {error}", REST_S) from error
        return self._made[1]

    async def _rows(self) -> dict[str, HamletRow]:
        past = await self._past.known("")
        return {one.code: one for one in self._garden.coverage.rows(past and past.value)}

    def _hamlets(self) -> list[HamletNow]:
        registry, today = self._garden.registry, self._garden.today
        found = [one for code in registry.hamlets if (one := registry.hamlet(code, today))]
        return sorted(found, key=lambda one: (order(one.name), one.code))

    def _known(self, hamlet: HamletNow, survey: Lifelines | None, rows: dict[str, HamletRow]) -> Known:
        at, row, network = (hamlet.lat, hamlet.lon), rows.get(hamlet.code), self._network(hamlet.code)
        lines, surveyed = survey.of(*at) if survey else ([], False)
        return Known(hamlet, lines, surveyed, row, network)

    def _network(self, hamlet: str) -> str:
        """Return whose network the hamlet's modem named last, "" where it named none."""
        bound = self._garden.registry.bound_to("hamlet", hamlet, self._garden.today)
        said = [now.values["plmn"] for one in bound if (now := self._garden.latest.channel(one.gateway, one.channel))
                and "plmn" in now.values]  # fmt: skip
        return named(int(max(said, key=lambda one: one.time_ms).value)) if said else ""
