"""A spool whose file is taken from under it: removed, renamed, replaced, its folder gone; or put back as it was."""

from __future__ import annotations

import os
import shutil

import pytest

from edge.agent import Agent
from edge.clock import SystemClock
from edge.config import load
from edge.keep.spool import Spool, SpoolFull
from tests.edge.test_agent import ANSWER, CONFIG, QUESTION, Running, line
from tests.edge.test_keeper import World
from tests.edge.test_spool import BOOT, MIB, everything, some
from tests.servers import free_port

__all__ = ["line"]


def taken_away(folder, how):
    files = sorted(folder.glob("spool.*"))
    if how in {"renamed", "replaced"}:
        (folder.parent / "elsewhere").mkdir()
        for file in files:
            file.rename(folder.parent / "elsewhere" / file.name)
    elif how == "folder":
        shutil.rmtree(folder)
    else:
        for file in files:
            file.unlink(missing_ok=True)
    if how == "replaced":
        for file in (folder.parent / "older").iterdir():
            shutil.copy(file, folder)


@pytest.mark.parametrize("noticed_by", ["append", "close"])
@pytest.mark.parametrize("how", ["removed", "renamed", "replaced", "folder"])
def test_what_is_taken_away_while_it_is_in_use_is_copied_before_the_process_that_has_it_ends(tmp_path, how, noticed_by):
    folder = tmp_path / "data"
    spool = Spool(folder / "spool.db", 4 * MIB, boot=BOOT)
    spool.append(some(10), BOOT)
    shutil.copytree(folder, tmp_path / "older")
    for at in (10, 20):
        spool.append(some(10, at), BOOT)
        spool.cut()
    spool.append(some(10, 30), BOOT)
    told = {spool.epoch: spool.acquired}
    taken_away(folder, how)
    if noticed_by == "append":
        with pytest.raises(SpoolFull, match="removed or renamed"):
            spool.append(some(1), BOOT)
        assert spool.over == "left"
    spool.close()
    spool.close()
    again = Spool(folder / "spool.db", 4 * MIB, boot=BOOT, said=told)
    values, declared = everything(again)
    values |= dict.fromkeys((again.epoch, seq) for seq in range(again.acquired - again.uncut + 1, again.acquired + 1))
    assert {seq for epoch, seq in values if epoch == spool.epoch} == set(range(1, 41))
    assert not declared
    assert again.dropped == 0
    assert (again.epoch == spool.epoch) is (how != "replaced"), "an older copy gives no number again"
    again.close()


def test_who_has_lost_its_file_takes_no_log_from_whoever_is_there_by_now(tmp_path):
    spool = Spool(tmp_path / "data" / "spool.db", 4 * MIB, boot=BOOT)
    spool.append(some(10), BOOT)
    taken_away(tmp_path / "data", "renamed")
    second = Spool(tmp_path / "data" / "spool.db", 4 * MIB, boot=BOOT)
    second.append(some(5), BOOT)
    spool.close()
    (tmp_path / "unplugged").mkdir()
    for file in (tmp_path / "data").glob("spool.d*"):
        shutil.copy(file, tmp_path / "unplugged")
    after = Spool(tmp_path / "unplugged" / "spool.db", 4 * MIB, boot="c9" * 8)
    values, _ = everything(after)
    assert len(values) == 15
    after.close()
    second.close()


def test_while_no_copy_can_be_made_it_goes_on_with_what_it_has_and_says_so(tmp_path):
    folder = tmp_path / "data"
    world = World(tmp_path, spool=Spool(folder / "spool.db", 4 * MIB))
    world.read(3)
    world.go(2)
    folder.rename(tmp_path / "kept")
    folder.write_text("where the folder was")
    world.read(3)
    world.go(4)
    assert (world.spool.acquired, world.keeper.broken) == (6, "")
    assert "do not stop it" in world.status().why
    assert "đừng dừng agent" in world.status().why_vi
    folder.unlink()
    world.read(1)
    world.go(4)
    assert "a new start goes on with the copy" in world.keeper.broken
    world.spool.close()
    assert Spool(folder / "spool.db", 4 * MIB).acquired == 6


def test_a_spool_put_back_as_it_was_gives_no_number_a_second_time_within_a_boot(tmp_path, line):
    config, epochs = CONFIG.format(port=free_port()), []
    for old in (False, True, False):
        if old:
            shutil.copytree(tmp_path, tmp_path.with_name("older"), symlinks=True)
        with Running(tmp_path, config) as running:
            assert line.receive(20) == QUESTION
            line.send(ANSWER)  # kept before the stop is over
            epochs.append(running._agent._spool.epoch)
    assert epochs[0] == epochs[2], "one boot"
    for file in tmp_path.glob("spool.d*"):
        file.unlink()
    for file in tmp_path.with_name("older").glob("spool.d*"):
        shutil.copy(file, tmp_path)
    restored = Agent(load(tmp_path / "devices.toml"), tmp_path, SystemClock())._spool
    assert restored.epoch not in epochs
    assert restored.earlier() == {epochs[0]: 1}
    restored.close()


def test_what_a_person_lays_beside_a_spool_is_none_of_its_files(tmp_path):
    spool = Spool(tmp_path / "spool.db", 4 * MIB)
    spool.append(some(3), BOOT)
    spool.close()
    for name in ("spool.damaged-1.bak2", "spool.damaged-x1", "spool.damaged-"):
        (tmp_path / name).write_text("a copy that somebody made")
    (tmp_path / "spool.damaged-7").mkdir()
    again = Spool(tmp_path / "spool.db", 4 * MIB)
    assert (again.acquired, again.notes) == (3, [])
    again.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_root_makes_in_the_folder_of_a_service_is_the_service_s(tmp_path):
    os.chown(tmp_path, 65534, 65534)
    spool = Spool(tmp_path / "spool.db", 4 * MIB)
    spool.append(some(3), BOOT)
    owners = {file.name: (file.stat().st_uid, file.stat().st_gid) for file in tmp_path.glob("spool.*")}
    assert owners == dict.fromkeys(("spool.db", "spool.db-wal", "spool.lock", "spool.ballast"), (65534, 65534))
    spool.close()
