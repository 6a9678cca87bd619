"""`gocche drill` beside an alerts room that runs: what it opens is an exercise, is told, and is reported."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from cloud.alerts import drilled
from cloud.alerts.channels import Named, open_channels
from cloud.clock import SystemClock
from cloud.inbox import Asker
from gocche.__main__ import main
from gocche.up import running
from tests.rules.garden import SMOKE, Bench, until
from tests.test_alerts_chain import roster

if TYPE_CHECKING:
    from pathlib import Path


class Shown(Bench):
    """A bench that shows its letters on the log."""

    def _channels(self) -> list[Named]:
        return open_channels([{"kind": "console", "name": "email"}])


def test_a_fire_drill_is_told_answered_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench = Shown(tmp_path, [SMOKE], None, registry=roster(), clock=SystemClock())
    asker = Asker(tmp_path, "alerts", SystemClock())

    def answer() -> None:
        until(bench.alerts.incidents)
        asker.ask("act", {"act": "acknowledge", "incident": 1, "who": "d0", "by": "sms"})

    with bench.running():
        until(asker.attended)
        officer = threading.Thread(target=answer)
        officer.start()
        assert main(["drill", "fire", "--data", str(tmp_path), "--place", "zone:suoi-giang", "--minutes", "1"]) == 0
        officer.join(20)
        until(lambda: not bench.alerts.incidents()[0].going)
        one = bench.alerts.incidents()[0]
    told = capsys.readouterr().out
    assert (one.exercise, one.closed_as, one.place) == (True, "drill", "zone:suoi-giang")
    assert "d0 answered after" in told
    assert "lu@example.vn  email  told" in told
    assert main(["drill", "report", "1", "--data", str(tmp_path)]) == 0
    assert "d0 answered after" in capsys.readouterr().out
    found = drilled.report(tmp_path, 1, "gocche drill")
    assert (found.answered_by, found.failed) == ("d0", [])
    assert main(["drill", "report", "9", "--data", str(tmp_path)]) == 2
    asker.close()
    bench.close()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP], ids=lambda how: how.name)
@pytest.mark.journey
def test_a_drill_that_is_ended_in_the_middle_leaves_neither_an_incident_nor_smoke(
    tmp_path: Path, how: signal.Signals
) -> None:
    bench = Shown(tmp_path, [SMOKE], None, registry=roster(), clock=SystemClock())
    asker = Asker(tmp_path, "alerts", SystemClock())
    control = tmp_path / "control.json"
    control.write_text('{"air": "smoke", "fault": "none"}')  # a drill before was killed
    (tmp_path / "ports").mkdir()
    command = [sys.executable, "-m", "gocche", "drill", "fire", "--data", str(tmp_path)]
    with bench.running():
        until(asker.attended)
        followed = [*command, "--place", "zone:suoi-giang", "--minutes", "5"]
        with subprocess.Popen(followed, stdout=subprocess.PIPE, text=True) as drill:
            assert drill.stdout is not None
            while "EXERCISE" not in drill.stdout.readline():
                assert drill.poll() is None
            drill.send_signal(how)
            assert drill.wait(30) == 1
        assert bench.alerts.incidents()[0].closed_as == "drill"
        with subprocess.Popen([*command, "--stage", "smoke"], stdout=subprocess.PIPE) as drill:
            assert drill.stdout is not None
            until(drill.stdout.readline)
            assert json.loads(control.read_text()) == {"air": "smoke", "fault": "none"}
            drill.send_signal(how)
            assert drill.wait(30) != 0
        assert json.loads(control.read_text()) == {"fault": "none"}
    asker.close()
    bench.close()


def test_drills_are_listed_and_what_cannot_be_drilled_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["drill"]) == 0
    assert "gocche drill fire" in capsys.readouterr().out
    assert main(["drill", "fire", "--data", str(tmp_path)]) == 2
    assert "does not run" in capsys.readouterr().err
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["drill", "fire"]) == 2
    assert "no `gocche up` runs" in capsys.readouterr().err
    (tmp_path / "gocche-x").mkdir()
    (tmp_path / "gocche-x" / "up.json").write_text('{"children": {"alerts": 1}}')
    assert running() == tmp_path / "gocche-x"
