"""The card hangs, as cards do that die: whoever writes waits in the kernel. Nothing that was read is lost.

A frozen file system (fsfreeze(8)) on a loop device, which only root can make, is that card. The agent is a process of
its own, as under systemd; while one of its threads waits in the kernel it cannot quite end, whatever it does.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec
import pytest

from edge.keep.spool import Spool
from gocche.garden.line import Line
from gocche.notify import Ear
from tests.edge.test_agent import CONFIG
from tests.edge.test_keeper import UTC
from tests.servers import free_port, until
from wire import codec
from wire.batch import Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUDGET_S = 120
pytestmark = [pytest.mark.journey, pytest.mark.timeout(400), pytest.mark.usefixtures("budget")]
OFTEN = CONFIG.replace("every_s = 3600", "every_s = 1").replace("timeout_s = 20", "timeout_s = 0.3")
OFTEN = OFTEN.replace("commit_s = 600", "commit_s = 1")


class Card:
    """A small ext4 that can be frozen."""

    def __init__(self, image: Path, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        image.write_bytes(bytes(32 << 20))
        for command in (["mkfs.ext4", "-q", str(image)], ["mount", "-o", "loop", str(image), str(folder)]):
            if not shutil.which(command[0]) or subprocess.run(command, capture_output=True, check=False).returncode:
                pytest.skip(f"{command[0]} does not work here, which takes root")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Whoever writes waits, for as long as the block takes."""
        subprocess.run(["fsfreeze", "-f", str(self.folder)], check=True)
        try:
            yield
        finally:
            subprocess.run(["fsfreeze", "-u", str(self.folder)], check=True)


@pytest.fixture
def card(tmp_path):
    card = Card(tmp_path / "image", tmp_path / "card")
    yield card
    subprocess.run(["umount", "-l", str(card.folder)], check=True)


class Gateway:
    """An agent as a process, with what it tells systemd and `gocche status`."""

    def __init__(self, tmp_path: Path, card: Card, monkeypatch) -> None:
        monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        self._run, self._card, self._ear = tmp_path / "run", card, Ear(tmp_path / "notify")
        self._config = tmp_path / "devices.toml"
        (card.folder / "ports").mkdir()
        self._line = Line(card.folder / "ports" / "rs485")
        self._line.plug()
        self._config.write_text(OFTEN.format(port=free_port()))

    def start(self) -> subprocess.Popen[bytes]:
        """Run it."""
        command = [sys.executable, "-m", "gocche", "agent", "--config", self._config, "--data", self._card.folder]
        return subprocess.Popen([str(part) for part in command])

    def told(self) -> Status:
        """Return what stands in the status."""
        with suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode((self._run / "status.json").read_bytes(), type=Status)
        return Status(v=1, state="none")

    def fed(self) -> bool:
        """Whether systemd heard that all is well since it was asked last."""
        return "WATCHDOG=1" in self._ear.heard()

    def kept(self) -> int:
        """Return how many readings lie on the card once it has taken in what memory holds, none of them twice."""
        times = []
        spool = Spool(self._card.folder / "spool.db", 1 << 24, boot="ff" * 8, other=self._run / "memory.db")
        while spool.other.take_in():
            pass
        for (number,) in spool._db.execute("SELECT id FROM batch WHERE kind = 1").fetchall():
            batch = codec.decode_message("sg-01", spool.get(number).packet(), 2 * UTC)
            times += [at - (batch.offset_ms or 0) for block in batch.blocks for at in block.times_ms]
        spool.close()
        return len(times)

    def close(self) -> None:
        """Unplug, and hear nobody any more."""
        self._line.unplug()
        self._ear.close()


@pytest.fixture
def gateway(tmp_path, card, monkeypatch):
    gateway = Gateway(tmp_path, card, monkeypatch)
    yield gateway
    gateway.close()


def polls(status: Status) -> int:
    return sum(int(str(channel["polls"])) for channel in status.channels.values())


def test_a_card_that_hangs_at_a_stop_costs_neither_seconds_nor_a_reading(gateway, card):
    process = gateway.start()
    try:
        until(lambda: gateway.told().acquired, 60, "readings are kept")
        with card.frozen():
            before = polls(gateway.told())
            until(lambda: polls(gateway.told()) > before, 30, "it goes on measuring")
            process.terminate()
            until(lambda: gateway.told().state == "stopped", 6, "it stops")
            last = gateway.told()
        assert process.wait(30) == 0
        assert gateway.kept() == polls(last)
    finally:
        process.kill()
        process.wait()


def test_a_card_that_hangs_is_left_alone_and_costs_no_reading(gateway, card):
    process = gateway.start()
    try:
        until(lambda: gateway.told().acquired, 60, "readings are kept")
        epoch = gateway.told().epoch
        with card.frozen():
            until(lambda: "it hangs" in gateway.told().why, 45, "it says so")
            assert epoch in gateway.told().earlier, "what lies there still waits"
            gateway.fed()
            until(lambda: gateway.told().epoch != epoch and gateway.told().acquired, 60, "it keeps in memory")
            until(gateway.fed, 30, "and systemd hears that all is well")
        process.terminate()
        assert process.wait(30) == 0
        assert gateway.kept() == polls(gateway.told())
    finally:
        process.kill()
        process.wait()


def test_a_card_that_hangs_at_the_start_keeps_nobody_from_measuring(gateway, card):
    with card.frozen():
        process = gateway.start()
        try:
            until(lambda: polls(gateway.told()) > 2, 60, "it measures")
            assert "no answer within" in gateway.told().why
            until(gateway.fed, 30, "and systemd hears that all is well")
            process.terminate()
            until(lambda: gateway.told().state == "stopped", 6, "and stops at once")
            last = gateway.told()
        finally:
            process.kill()
    process.wait()
    assert gateway.kept() == polls(last)
