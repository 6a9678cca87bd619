"""A card that takes no spool: the gateway measures and keeps all the same, says so, and gives the card what it kept."""

from __future__ import annotations

import errno
import shutil
import subprocess
import threading
from contextlib import suppress

import msgspec
import pytest

from edge.agent import Agent
from edge.clock import SystemClock
from edge.config import load
from edge.keep import places
from edge.keep.places import Places
from edge.keep.spool import Spool
from edge.keep.spool.salvage import take_over
from gocche.garden.line import Line
from tests.edge.test_agent import CONFIG
from tests.edge.test_keeper import World
from tests.servers import free_port, until
from wire.reading import Reading

BOOT = "a1" * 8
QUOTA = 1 << 22


@pytest.fixture
def card(tmp_path):
    """A small file system of its own, which only root can make."""
    folder = tmp_path / "card"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "gocche-test", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be made here, which takes root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def make_ill(card, how):
    if how == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", str(card)], check=True)
        return
    with suppress(OSError), (card / "filler").open("wb", buffering=0) as filler:
        while filler.write(bytes(65_536)):
            pass


def make_well(card):
    subprocess.run(["mount", "-o", "remount,rw", str(card)], check=True)
    (card / "filler").unlink(missing_ok=True)


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_a_gateway_whose_card_takes_no_spool_measures_and_says_so_until_the_card_is_well(
    tmp_path, card, monkeypatch, how
):
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    monkeypatch.setattr("edge.agent.LOOK_S", 0.05)
    monkeypatch.setattr(places, "AGAIN_S", 0.1)
    (card / "ports").mkdir()
    (tmp_path / "devices.toml").write_text(CONFIG.format(port=free_port()).replace("timeout_s = 20", "timeout_s = 0.5"))
    far = Line(card / "ports" / "rs485")
    far.plug()
    make_ill(card, how)
    agent, ended = Agent(load(tmp_path / "devices.toml"), card, SystemClock()), []
    running = threading.Thread(target=lambda: ended.append(agent.run(threading.Event())))
    running.start()
    try:
        until(lambda: "card keeps nothing" in told(tmp_path).get("why", ""), 10, "it says so")
        until(lambda: agent._board.channels["soil-1"].polls, 10, "it measures")
        assert not ended, "and goes on"
    finally:
        make_well(card)
        running.join(20)
        far.unplug()
    assert ended == [False], "the card is well: a new start takes it"
    spool = Places(card / "spool.db", QUOTA, tmp_path / "run" / "memory.db", SystemClock().boot).opened(0)
    assert spool.notes == []
    ((_, n),) = spool.earlier().items()
    assert (n, spool.dropped) == (1, 0)
    assert not list((tmp_path / "run").glob("memory.db*"))
    spool.close()


def told(tmp_path):
    with suppress(OSError):
        return msgspec.json.decode((tmp_path / "run" / "status.json").read_bytes())
    return {}


def test_what_memory_holds_goes_to_the_card_once_and_a_second_time_too(tmp_path):
    two = Places(tmp_path / "card" / "spool.db", QUOTA, tmp_path / "memory" / "spool.db", BOOT)
    for n in (2, 3):
        refuge = two.refuge()
        refuge.append([Reading("soil-1", 5, {"soil_ec": 5}, {})] * n, BOOT)
        refuge.close()
        spool = two.opened(0)
        assert list(spool.earlier().values())[-1] == n
        spool.close()
    assert two.opened(0).spooled()[0] == 0


def test_a_card_that_comes_and_goes_never_gives_numbers_of_an_epoch_that_another_came_after(tmp_path, monkeypatch):
    """The cloud would see two gateways under one id."""
    epochs = []
    for ill in (False, True, False, True, True, False):
        with monkeypatch.context() as patched:
            if ill:
                patched.setattr(places, "Spool", all_but_the_card)
            spool = Places(tmp_path / "card" / "spool.db", QUOTA, tmp_path / "memory.db", BOOT).opened(0)
        spool.append([Reading("soil-1", 5, {"soil_ec": 5}, {})], BOOT)
        epochs.append(spool.epoch)
        left = spool.earlier()
        spool.close()
    assert len(set(epochs)) == 6
    assert left == dict.fromkeys(epochs[:5], 1)


def all_but_the_card(path, *args, **named):
    if path.parent.name == "card":
        raise OSError(errno.EROFS, "read-only")
    return Spool(path, *args, **named)


def test_what_memory_gets_after_a_take_over_that_was_cut_off_goes_to_the_card_too(tmp_path, monkeypatch):
    two = Places(tmp_path / "card" / "spool.db", QUOTA, tmp_path / "memory" / "spool.db", BOOT)
    epochs = set()
    for n in (0, 4, 6):
        refuge = two.refuge()
        epochs.add(refuge.epoch)
        refuge.append([Reading("soil-1", 5, {"soil_ec": 5}, {})] * n, BOOT)
        refuge.close()
        with monkeypatch.context() as patched:
            patched.setattr("edge.keep.spool.take_in", lambda *args: take_over(*args, intact=True))  # and not removed
            two.opened(0).close()
    spool = two.opened(0)
    assert sorted(spool.earlier().values()) == [4, 6], "each once"
    assert len(epochs) == 3, "and none under an epoch that another came after"
    spool.close()


def test_a_full_card_takes_what_memory_holds_into_the_room_of_its_ballast(tmp_path, card):
    two = Places(card / "spool.db", QUOTA, tmp_path / "memory.db", BOOT)
    spool = two.opened(0)
    before = spool.epoch
    spool.close()
    refuge = two.refuge()
    refuge.append([Reading("soil-1", 5, {"soil_ec": 5}, {})] * 9, BOOT)
    refuge.close()
    make_ill(card, "full")
    spool = two.opened(0)
    assert (spool.notes, spool.earlier()) == ([], {refuge.epoch: 9})
    assert spool.epoch != before
    spool.close()


def test_a_card_that_becomes_read_only_ends_the_agent_and_what_is_held_goes_to_memory(tmp_path, monkeypatch):
    world, refuge = World(tmp_path), Spool(tmp_path / "memory.db", QUOTA)
    world.keeper._refuge = lambda: refuge
    world.fill_disk()
    world.go(1)
    assert not world.keeper.broken
    monkeypatch.setattr("edge.keep.spool.file.File.read_only", True)
    world.read(3)
    world.go(2)
    assert "read-only" in world.keeper.broken
    world.keeper.finish()
    assert refuge.spooled()[0] == 3
    assert world.status().spooled == 3
    assert world.status().earlier == {world.spool.epoch: world.spool.spooled()[0]}, "it waits on the card"
    assert world.status().unkept == 0


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOTDIR])
def test_what_a_person_got_wrong_is_not_the_card_s_fault(tmp_path, monkeypatch, number):
    def refused(*_args, **_named):
        raise OSError(number, "no")

    monkeypatch.setattr(places, "Spool", refused)
    with pytest.raises(OSError, match="no"):
        Places(tmp_path / "spool.db", QUOTA, tmp_path / "memory.db", BOOT).opened(0)
