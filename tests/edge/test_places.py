"""A card that takes no spool: the gateway measures and keeps all the same, says so, and gives the card what it kept."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import shutil
import signal
import subprocess
import threading
from contextlib import contextmanager, suppress

import msgspec
import pytest

from edge.agent import Agent
from edge.clock import Anchor, Judged, SystemClock
from edge.config import load
from edge.keep import places
from edge.keep.places import Places
from edge.keep.spool import Spool, SpoolFull
from gocche.garden.line import Line
from tests.edge.clock import HandClock
from tests.edge.test_agent import ANSWER, CONFIG
from tests.edge.test_keeper import UTC, World
from tests.servers import free_port, until
from wire.batch import Source
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
    with (card / "filler").open("ab", buffering=0) as filler:
        for size in (65_536, 512):
            with suppress(OSError):
                while filler.write(bytes(size)):
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
        assert told(tmp_path)["why_vi"].startswith("thẻ nhớ không giữ được gì")
        until(lambda: agent._board.channels["soil-1"].polls, 10, "it measures")
        assert not ended, "and goes on"
    finally:
        make_well(card)
        running.join(20)
        far.unplug()
    assert ended == [False], "the card is well: a new start takes it"
    spool = Places(card / "spool.db", QUOTA, tmp_path / "run" / "memory.db", SystemClock().boot).opened(0)
    take_all(spool)
    assert spool.notes == []
    ((_, n),) = spool.earlier().items()
    assert (n, spool.dropped) == (1, 0)
    assert [left.name for left in (tmp_path / "run").glob("memory*")] == ["memory.lock"]
    spool.close()


def test_a_card_that_stays_full_while_it_is_in_use_is_left_for_memory_and_loses_nothing(tmp_path, card, monkeypatch):
    """Before, nothing went out for as long as a neighbour filled the disk, and a kill took all that was held."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    monkeypatch.setattr("edge.agent.LOOK_S", 0.05)
    monkeypatch.setattr(places, "AGAIN_S", 0.5)
    config = CONFIG.format(port=free_port()).replace("timeout_s = 20", "timeout_s = 0.1")
    (tmp_path / "devices.toml").write_text(config.replace("= 3600", "= 0.05").replace("= 600", "= 0.05"))
    far = Line(card / "ports" / "rs485")
    (card / "ports").mkdir()
    far.plug()
    counts, stop, all_ended = [], threading.Event(), threading.Event()

    def answer():
        while not all_ended.is_set():
            if far.receive(0.05):
                far.send(ANSWER)

    device = threading.Thread(target=answer)
    device.start()
    try:
        for full in (False, True, False):
            agent, ended = Agent(load(tmp_path / "devices.toml"), card, SystemClock()), []
            running = threading.Thread(target=lambda agent=agent, ended=ended: ended.append(agent.run(stop)))
            running.start()
            assert agent._places.away is full, "a card without room is not gone on with"
            until(lambda agent=agent: agent._board.keeping.acquired > 3, 20, "it keeps")
            if not full and not counts:
                until(lambda ended=ended: make_ill(card, "full") or ended, 20, "what is freed is filled: it leaves")
            elif full:
                assert not ended, "and goes on in memory"
                make_well(card)
            else:
                until(lambda agent=agent: not agent._spool.other.there, 20, "the card has all")
                stop.set()
            running.join(20)
            agent._keeper._spool.close()  # as the end of a process does
            assert ended == [stop.is_set()]
            counts.append(sum(line.polls for line in agent._board.channels.values()))
    finally:
        stop.set()
        all_ended.set()
        device.join()
        far.unplug()
    spool = Spool(card / "spool.db", QUOTA)
    assert (sum(spool._file.held.values()), spool.dropped) == (sum(counts), 0)
    spool.close()


def take_all(spool):
    while spool.other.take_in():
        pass


def told(tmp_path):
    with suppress(OSError):
        return msgspec.json.decode((tmp_path / "run" / "status.json").read_bytes())
    return {}


def test_what_memory_holds_goes_to_the_card_once_and_a_second_time_too(tmp_path):
    two = Places(tmp_path / "card" / "spool.db", QUOTA, tmp_path / "memory" / "spool.db", BOOT)
    for n in (2, 3):
        refuge = two.refuge("", 0)
        refuge.append([Reading("soil-1", 5, {"soil_ec": 5}, {})] * n, BOOT)
        refuge.close()
        spool = two.opened(0)
        take_all(spool)
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
    monkeypatch.setattr("edge.keep.spool.other.SLICE", 1)
    two = Places(tmp_path / "card" / "spool.db", QUOTA, tmp_path / "memory" / "spool.db", BOOT)
    epochs = set()
    for n in (4, 6):
        refuge = two.refuge("", 0)
        epochs.add(refuge.epoch)
        for _ in range(n):
            refuge.append([Reading("soil-1", 5, {"soil_ec": 5}, {})], BOOT)
            refuge.cut()
        refuge.close()
        spool = two.opened(0)
        assert spool.other.take_in()
        assert sum(spool.earlier().values()) == (4 if n == 4 else 10), "what is left there is named"
        spool.close()
    spool = two.opened(0)
    take_all(spool)
    assert sorted(spool.earlier().values()) == [4, 6], "each once"
    assert len(epochs) == 2, "and none under an epoch that another came after"
    spool.close()


def test_a_full_card_takes_a_part_of_what_memory_holds_and_the_rest_when_it_has_room(tmp_path, card, monkeypatch):
    monkeypatch.setattr("edge.keep.spool.other.SLICE", 5)
    two = Places(card / "spool.db", QUOTA, tmp_path / "memory.db", BOOT)
    two.opened(0).close()
    refuge, chance = two.refuge("", 0), random.Random(1)
    for at in range(100):
        refuge.append([Reading("s", at, {"soil_ec": chance.randrange(20_000)}, {}) for _ in range(400)], BOOT)
        refuge.cut()
    whole = {refuge.epoch: refuge.spooled()[0]}
    refuge.close()
    spool = two.opened(0)
    (card / "spool.ballast").unlink(missing_ok=True)  # its room was given already
    make_ill(card, "full")
    os.truncate(card / "filler", (card / "filler").stat().st_size - 65_536)
    with pytest.raises(SpoolFull):
        take_all(spool)
    assert 0 < spool._file.held[refuge.epoch] < whole[refuge.epoch]
    assert spool.earlier() == whole, "it waits wherever it lies"
    world = World(tmp_path / "unused", spool=spool)
    world.read()
    world.go(3)
    assert "no room" in world.status().why
    assert "thẻ nhớ chưa đủ chỗ" in world.status().why_vi
    assert world.status().earlier == whole
    make_well(card)
    world.go(75)
    assert (world.status().why, world.status().earlier) == ("", whole), "without a new start"
    assert spool._file.held[refuge.epoch] == whole[refuge.epoch]
    assert [left.name for left in tmp_path.glob("memory*")] == ["memory.lock"]
    spool.close()


def test_a_card_that_has_no_room_to_begin_an_epoch_is_left_alone(tmp_path, monkeypatch):
    """The cloud would take its last one, which another came after, for a second gateway's."""
    two = Places(tmp_path / "card" / "spool.db", QUOTA, tmp_path / "memory.db", BOOT)
    two.opened(0).close()
    refuge = two.refuge("", 0)
    refuge.append([Reading("soil-1", 5, {"soil_ec": 5}, {})], BOOT)
    refuge.close()
    with monkeypatch.context() as patched:
        patched.setattr("edge.keep.spool.dates.Dates.forget_boots", no_room)
        spool = two.opened(0)
        assert (two.away, "keeps nothing" in spool.notes[0], spool.earlier()) == (True, True, {})
        with pytest.raises(SpoolFull):
            spool.append([Reading("soil-1", 5, {"soil_ec": 5}, {})], BOOT)
    spool.append([Reading("soil-1", 5, {"soil_ec": 5}, {})], BOOT)
    assert spool.epoch != refuge.epoch
    assert spool.earlier() == {refuge.epoch: 1}
    spool.close()


def no_room(_dates):
    raise SpoolFull("no room")


@contextmanager
def hanging(path):
    """Whoever opens the file waits for it in the kernel (fcntl(2), leases), as for a card in its death."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    held = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    try:
        yield
    finally:
        os.close(held)
        signal.signal(signal.SIGIO, before)


def test_a_card_that_hangs_holds_up_neither_the_start_nor_what_looks_after_it(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "HANGS_S", 0.3)
    monkeypatch.setattr(places, "STEP_S", 0.1)
    two = Places(tmp_path / "spool.db", QUOTA, tmp_path / "run" / "memory.db", BOOT)
    with hanging(tmp_path / "spool.lock"):
        spool = two.opened(0)
        assert "no answer within" in spool.notes[0]
    two._trying.join(20)
    assert not two.look(0, 5), "one that was late is not trusted at once"
    with hanging(tmp_path / "spool.lock"):
        assert not two.look(400_000, 5)
        assert two._trying.is_alive(), "it is asked, by another thread"
        assert not two.look(800_000, 5), "and not twice at a time"
    two._trying.join(20)
    assert not two.look(810_000, 5), "it took a spool, after it had hung"
    two._trying.join(20)
    assert two.look(1_200_000, 5)
    spool.close()


def test_what_a_card_takes_after_all_is_kept_once_and_its_keeper_touches_nothing_more(tmp_path):
    world, memory = World(tmp_path), tmp_path / "run" / "memory.db"
    world.connect()
    world.read(2)
    world.go(4)
    answers, append, hangs = threading.Event(), world.spool.append, threading.Event()

    def slow(*given):
        hangs.set()
        answers.wait(20)
        return append(*given)

    world.spool.append = slow
    world.read(3)
    world.clock.now += 70_000  # commit, cut and beat are due
    running = threading.Thread(target=world.keeper.run, args=(threading.Event(),))
    running.start()
    assert hangs.wait(20)
    readings, _ = world.keeper.abandon()
    boot = SystemClock().boot
    spool = Places(tmp_path / "spool.db", QUOTA, memory, boot).flee(0, world.spool.epoch, world.spool.acquired)
    spool.append(readings, world.clock.boot)
    world.read(1)  # for the new keeper
    before = world.board.keeping, len(world.cloud.sent), len(world.cloud.beats), len(world.cloud.statuses)
    answers.set()
    running.join(20)
    after = world.board.keeping, len(world.cloud.sent), len(world.cloud.beats), len(world.cloud.statuses)
    assert after == before, "an epoch that comes back is the cloud's sign of two gateways"
    assert len(list(world.inbox.taken())) == 1
    world.spool.close()
    spool.close()
    (tmp_path / "unplugged").mkdir()
    shutil.copy(tmp_path / "spool.db", tmp_path / "unplugged")
    alone = Spool(tmp_path / "unplugged" / "spool.db", QUOTA, boot="c9" * 8)
    assert alone._file.held == {world.spool.epoch: 2}, (
        "a power cut takes memory away, after the cloud has had it from there"
    )
    alone.close()
    card = Spool(tmp_path / "spool.db", QUOTA, boot=boot, other=memory)
    while card.other.take_in():
        pass
    assert card._file.held == {world.spool.epoch: 2, spool.epoch: 3}
    assert [path.name for path in memory.parent.iterdir()] == ["memory.lock"]
    assert card.dropped == 0
    card.close()


def test_a_card_that_hangs_while_it_takes_in_what_memory_holds_leaves_memory_to_the_next_keeper(tmp_path, monkeypatch):
    memory = Spool(tmp_path / "memory.db", QUOTA, boot=BOOT)
    for n in range(3):
        memory.append([Reading("soil-1", 1_000 * n, {"soil_ec": 5}, {})], BOOT)
        memory.cut()
    memory.close()
    card, fled = Spool(tmp_path / "spool.db", QUOTA, boot=BOOT, other=tmp_path / "memory.db"), []
    two, insert = Places(tmp_path / "spool.db", QUOTA, tmp_path / "memory.db", BOOT), card._file.insert

    def hang(one):
        fled.extend([two.flee(0, card.epoch, card.acquired)] * (not fled))
        return insert(one)

    monkeypatch.setattr(card._file, "insert", hang)
    assert card.other.take_in()
    (spool,) = fled
    spool.append([Reading("soil-1", 5_000, {"soil_ec": 5}, {})], BOOT)
    card.close()
    spool.close()
    card = Spool(tmp_path / "spool.db", QUOTA, boot=BOOT, other=tmp_path / "memory.db")
    while card.other.take_in():
        pass
    assert card._file.held == {memory.epoch: 3, spool.epoch: 1}
    card.close()


class Killed(BaseException):
    """What ends here does nothing more."""


@pytest.mark.parametrize("how", ["goes on", "killed"])
def test_a_card_that_hangs_in_the_last_step_of_a_take_over_takes_no_file_from_the_next_keeper(
    tmp_path, monkeypatch, how
):
    memory = Spool(tmp_path / "memory.db", QUOTA, boot=BOOT)
    memory.append([Reading("soil-1", 1_000, {"soil_ec": 5}, {})] * 3, BOOT)
    memory.close()
    two = Places(tmp_path / "spool.db", QUOTA, tmp_path / "memory.db", BOOT)
    card, fled = Spool(tmp_path / "spool.db", QUOTA, boot=BOOT, other=tmp_path / "memory.db"), []
    insert = card._file.insert

    def hang(one):
        spool = two.flee(0, card.epoch, card.acquired)
        assert spool is not None, "memory is free for another keeper"
        spool.append([Reading("soil-1", 5_000, {"soil_ec": 5}, {})], BOOT)
        fled.append(spool)
        if how == "killed":
            raise Killed
        return insert(one)

    monkeypatch.setattr(card._file, "insert", hang)
    with suppress(Killed):
        card.other.take_in()
    (spool,) = fled
    spool.append([Reading("soil-1", 6_000, {"soil_ec": 5}, {})], BOOT)
    spool.close()
    card.close()
    card = two.opened(0)
    take_all(card)
    assert card._file.held == {memory.epoch: 3, spool.epoch: 2}
    card.close()


def test_a_power_cut_in_a_take_over_costs_the_next_memory_nothing(tmp_path, monkeypatch):
    """How far the card came is said of the memory that the power took, and the next one has its name."""
    monkeypatch.setattr("edge.keep.spool.other.SLICE", 2)
    places_of = [Places(tmp_path / "spool.db", QUOTA, tmp_path / "memory.db", boot) for boot in (BOOT, "c9" * 8)]
    for two, boot in zip(places_of, (BOOT, "c9" * 8), strict=True):
        two.opened(0).close()
        memory = two.refuge("", 0)
        for at in range(3):
            memory.append([Reading("soil-1", at, {"soil_ec": 5}, {})], boot)
            memory.cut()
        memory.close()
        card = two.opened(0)
        assert card.earlier()[memory.epoch] == 3
        if boot == BOOT:
            assert card.other.take_in()
            for part in tmp_path.glob("memory.*"):
                part.unlink()
        else:
            take_all(card)
            assert card._file.held[memory.epoch] == 3
        card.close()


@pytest.mark.parametrize("source", [Source.NTP, Source.RTC])
def test_the_card_learns_from_memory_what_time_it_is(tmp_path, monkeypatch, source):
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    (tmp_path / "devices.toml").write_text(CONFIG.format(port=free_port()))
    clock, anchor, judged = HandClock(BOOT), Anchor(UTC, source, 100, 500), Judged(BOOT, 0, 0)
    memory = Spool(tmp_path / "memory.db", QUOTA, boot=BOOT)
    memory.dates.anchor(BOOT, anchor)
    memory.dates.judge(judged)
    memory.append([Reading("soil-1", 1_000, {"soil_ec": 5}, {})], BOOT)
    memory.close()
    agent = Agent(load(tmp_path / "devices.toml"), tmp_path, clock)
    card = agent._spool
    take_all(card)
    card.append([Reading("soil-1", 2_000, {"soil_ec": 5}, {})], BOOT)
    card.cut()
    if source is Source.RTC:  # and waits there, too, for a better clock
        assert card.waiting(9) == []
        card.dates.anchor(BOOT, Anchor(UTC, Source.ACK, 100, 500))
    while card.dates.go_on():
        pass
    assert [card.get(number).offset_ms for number in card.waiting(9)] == [UTC, UTC]
    assert (agent._board.dated.anchor, card.dates.judged()) == (anchor, judged)
    card.dates.adopt(Judged(BOOT, UTC, 5))
    assert card.dates.judged() == judged, "caught wrong in this boot, set right since: it dates nothing before the next"
    card.close()


def test_what_memory_holds_goes_out_under_a_new_id_and_what_the_cloud_has_of_it_is_declared(tmp_path):
    two = Places(tmp_path / "spool.db", QUOTA, tmp_path / "memory.db", BOOT, "sg-01")
    two.opened(0).close()
    refuge = two.refuge("", 0)
    refuge.dates.anchor(BOOT, Anchor(UTC, Source.NTP, 100))
    for at in range(5):
        refuge.append([Reading("soil-1", at, {"soil_ec": 5}, {})] * 10, BOOT)
        if at < 4:
            refuge.cut()
    for first in (1, 21):
        assert refuge.free((refuge.epoch, first, 10))
    refuge.close()
    card = Places(tmp_path / "spool.db", QUOTA, tmp_path / "memory.db", BOOT, "sg-02").opened(0)
    take_all(card)
    waits = sorted(kept.identity[1:] for kept in map(card.get, card.waiting(99)) if kept.identity[0] == refuge.epoch)
    assert waits == [(first, 10) for first in (1, 11, 21, 31, 41)]
    assert (card._file.held, card.dropped) == ({refuge.epoch: 50}, 0)
    card.close()


def test_a_card_that_becomes_read_only_ends_the_agent_and_what_is_held_goes_to_memory(tmp_path, monkeypatch):
    world, refuge = World(tmp_path), Spool(tmp_path / "memory.db", QUOTA)
    world.keeper._refuge = lambda *_: refuge
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


def test_what_a_card_took_whose_flush_failed_until_the_stop_is_kept_once(tmp_path):
    boot, memory = "a1" * 8, tmp_path / "run" / "memory.db"
    two = Places(tmp_path / "spool.db", QUOTA, memory, boot)
    world = World(tmp_path, boot=boot, spool=two.opened(0))
    world.keeper._refuge, spool, append = two.refuge, world.spool, world.spool.append
    world.read(2)
    world.go(4)
    before = spool.acquired, spool.uncut

    def unsure(*given):
        """Write once, fail to flush, and take nothing back: a checkpoint would, which fails as well."""
        append(*given)
        spool.acquired, spool.uncut = before
        raise SpoolFull("disk I/O error")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(spool, "append", unsure)
        world.read(3)
        world.go(2)
        world.keeper.finish()
    world.keeper._spool.close()
    spool.close()
    alone = Spool(shutil.copy(tmp_path / "spool.db", tmp_path / "alone.db"), QUOTA, boot=boot)
    assert alone.acquired == 5, "the card has them"
    alone.close()
    card = Spool(tmp_path / "spool.db", QUOTA, boot=boot, other=memory)
    while card.other.take_in():
        pass
    assert sorted(card._file.held.values()) == [2, 3]
    card.close()


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOTDIR])
def test_what_a_person_got_wrong_is_not_the_card_s_fault(tmp_path, monkeypatch, number):
    def refused(*_args, **_named):
        raise OSError(number, "no")

    monkeypatch.setattr(places, "Spool", refused)
    with pytest.raises(OSError, match="no"):
        Places(tmp_path / "spool.db", QUOTA, tmp_path / "memory.db", BOOT).opened(0)
