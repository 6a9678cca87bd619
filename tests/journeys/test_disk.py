"""The disk is full, first under the gateway, then under the server: nothing is acknowledged that is not stored.

Both data folders are small file systems in memory, which only root can make. What is wrong stands in `gocche status`
and in /healthz; once there is room, all that was read meanwhile arrives, with its own times.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from cloud.alerts.journal import read_incidents
from tests.journeys import accounting
from tests.journeys.observer import Observer
from tests.journeys.test_alerts import FIRE, RULES, SMOKE
from tests.journeys.world import GATEWAY, World
from tests.rules.garden import Post, serving
from tests.servers import free_port, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloud.alerts.incident import Incident

pytestmark = [pytest.mark.journey, pytest.mark.timeout(400)]

BOUND_S = 90.0
SIZE_MIB = 12
FULL_S = 4.0  # how long to let it hurt


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Give a folder a file system of its own; skip where that is not allowed."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "gocche-test", str(folder)]
    told = subprocess.run(mount, capture_output=True, text=True, check=False) if shutil.which("mount") else None
    if told is None or told.returncode:
        why = told.stderr.strip() if told else "there is no mount"
        pytest.skip(f"a small file system cannot be made here, which takes root: {why}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Leave no room, not even for what would be freed meanwhile by somebody who makes room for himself."""
    filler = folder / "filler"
    fill(filler)
    try:
        yield
    finally:
        filler.unlink()


def fill(filler: Path) -> None:
    with filler.open("ab", buffering=0) as file:
        for size in (65_536, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def test_full_disks_lose_nothing(tmp_path: Path) -> None:
    with ExitStack() as stack:
        field = stack.enter_context(small_disk(tmp_path / "field"))
        server = stack.enter_context(small_disk(tmp_path / "server"))
        world = stack.enter_context(World(tmp_path, runtime=tmp_path / "run"))
        observer = stack.enter_context(Observer(world.broker_port))
        world.write_devices(0.1)
        world.write_cloud()
        world.tell(pace=0.1)
        world.start()
        until(lambda: stored(world) > 100, BOUND_S, "values are stored")

        # the gateway: without a broker the spool must grow, and cannot
        world.parts["broker"].kill()
        with filled(field):
            until(lambda: again_full(field) and "free room" in world.status().get("why", ""), BOUND_S, "it says why")
            assert world.status()["running"]
            end = time.monotonic() + FULL_S
            while time.monotonic() < end:
                time.sleep(0.2)
                again_full(field)  # what the spool makes room with goes, too
            until(lambda: again_full(field) and "is full" in world.status().get("why", ""), BOUND_S, "and goes on so")
            kept = world.status()["acquired"]
        until(lambda: world.status()["acquired"] > kept + 10 and not world.status()["why"], BOUND_S, "it keeps again")
        world.start("broker")
        until(lambda: stored(world) > kept, BOUND_S, "what was held in memory is stored")

        # the server: it answers "later", and says why
        with filled(server):
            until(lambda: "full" in world.health()["ingest"]["why"], BOUND_S, "the server says why it is not well")
            assert not world.health()["ok"]
            before, at_full = observer.codes["later"], stored(world)
            until(lambda: observer.codes["later"] > max(before, 2), BOUND_S, "batches are put off")
            until(lambda: "cloud asks to wait" in world.status()["why"], BOUND_S, "and the gateway says so")
            assert stored(world) == at_full
            assert figure_is_served(world)
        until(lambda: world.health().get("ok"), BOUND_S, "it is well again")
        until(lambda: stored(world) > at_full, BOUND_S, "and stores")
        status = world.drain(180)
        (account,) = world.audit()
        assert account["unknown"] == account["declared"] == account["quarantined"] == status["dropped"] == 0
        assert account["stored"] == account["acquired"] == status["acquired"]
        store = world.store()
        result = accounting.compare(world.log, store, GATEWAY)
        store.close()
        assert not result.faults[:10]
        assert result.stored_twice == result.cut_by_kill == 0
        later, n = observer.codes["later"], account["acquired"]
        print(f"\nfull disks: acquired={n} stored={account['stored']} later={later} unknown=0", end="")


def test_smoke_that_a_full_disk_does_not_take_wakes_the_officer_once(tmp_path: Path) -> None:
    """It is told when the link is back, before anything that was kept; when it is stored nobody is woken again."""
    began = time.monotonic()
    with ExitStack() as stack:
        field = stack.enter_context(small_disk(tmp_path / "field"))
        post = stack.enter_context(serving(Post(free_port())))
        world = stack.enter_context(World(tmp_path, runtime=tmp_path / "run"))
        world.write_devices(0.2, ("soil-1", "soil-2", "smoke-1"))
        world.write_cloud(RULES.format(port=post.port, persist_s=0))
        world.tell(pace=0.1)
        world.start()
        until(lambda: stored(world) > 50, BOUND_S, "values are stored")
        world.parts["broker"].kill()
        with filled(field):
            until(lambda: again_full(field) and "free room" in world.status().get("why", ""), BOUND_S, "it says why")
            world.tell(pace=0.1, **SMOKE)
            until(lambda: again_full(field) and smoke_is_told(world), BOUND_S, "smoke stands in the status")
            world.start("broker")
            until(lambda: again_full(field) and post.subjects(FIRE), BOUND_S, "the officer is woken")
        assert "it was told, and is stored nowhere yet" in post.mails[0][1].get_content()
        until(lambda: incidents(world)[0].basis == "readings", BOUND_S, "it is stored after all")
        world.tell(pace=0.1)
        until(lambda: not incidents(world)[0].open, BOUND_S, "it is over")
        world.drain()
        (account,) = world.audit()
        assert account["unknown"] == 0
        assert len(incidents(world)) == 1
        assert [subject.split()[1] for subject in post.subjects(FIRE)] == ["NGHI", "ĐÃ"]
        print(f"\nsmoke on a full disk: told once, stored after all; {time.monotonic() - began:.0f} s", end="")


def smoke_is_told(world: World) -> bool:
    return any(told["value"] > 55 for told in world.status().get("urgent", []) if told["quantity"] == "pm2_5")


def incidents(world: World) -> list[Incident]:
    return read_incidents(world.server / "alerts.db", 10)


def again_full(folder: Path) -> bool:
    """Fill what was freed; always true."""
    fill(folder / "filler")
    return os.statvfs(folder).f_bavail == 0


def stored(world: World) -> int:
    """Return how many readings the cloud says it has stored; 0 while it does not answer."""
    with suppress(KeyError):
        return int(world.health()["ingest"]["audit"]["stored"])
    return 0


def figure_is_served(world: World) -> bool:
    """Tell whether the tree's page is there although the store takes nothing."""
    return bool(world.figure())
