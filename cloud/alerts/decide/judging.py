"""All that judges, put together: readings, sensors, nodes, gateways, hamlets; and the witness of what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.alerts.decide.baselines import Baselines
from cloud.alerts.decide.detection import detections
from cloud.alerts.decide.hamlets import Hamlets
from cloud.alerts.decide.judge import Judge
from cloud.alerts.decide.sensors import Sensors
from cloud.alerts.decide.silence import Silence
from cloud.alerts.decide.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloud.alerts.decide.desk import Desk
    from cloud.alerts.decide.hamlets import Modems
    from cloud.alerts.decide.progress import Progress
    from cloud.alerts.journal import Journal
    from cloud.alerts.rules import Rule


class Judging:
    """Works within the caller's transaction. `at_ms` is listening time, `now_ms` UTC."""

    def __init__(
        self,
        rules: Sequence[Rule],
        journal: Journal,
        progress: Progress,
        desk: Desk,
        modems: Modems,
        late_ms: int,
        danger: Callable[[str], int | None],
    ) -> None:
        known = (rules, journal, progress, desk)
        self.witness = Witness(*known)
        self.sensors = Sensors(*known, late_ms, self.witness.noted)
        nodes = detections(*known, late_ms, danger)
        baselines = Baselines(journal, progress, desk)
        self.judge = Judge(*known, self.sensors, late_ms, self.witness, baselines, nodes)
        self.silence = Silence(*known, modems, self.witness)
        self._hamlets = Hamlets(rules, journal, progress, modems, desk)

    @property
    def slow(self) -> dict[str, float]:
        """Return what comes less often than its rule allows, in seconds."""
        return self.judge.slow | self.sensors.slow

    def listen(self, at_ms: int, now_ms: int) -> None:
        """Judge what is not heard."""
        self.judge.listen(at_ms, now_ms)
        self.silence.tick(at_ms, now_ms)
        self._hamlets.tick(at_ms, now_ms)
        self.sensors.tick(at_ms, now_ms, self.silence.unbroken_ms)
