"""One bus that hangs is replaced alone; only a thread that never comes back makes the process end."""

from __future__ import annotations

import threading

import pytest

from edge.board import Board
from edge.config import Bus
from edge.driver import Ask
from edge.sense.lines import SimulatedLine
from edge.sense.overseer import GRACE_MS, Overseer
from edge.sense.sampler import LONGEST_BUDGET_S, SLACK_S, Sampler
from edge.sense.terms import PortLost
from tests.edge.clock import HandClock
from tests.edge.test_sampler import answer, sensor
from tests.servers import no_threads, until
from wire.reading import Reason

LONG_MS = 120_000


class Turned(HandClock):
    """Stands still unless it is turned; a wait is a short real one, so that threads really run."""

    def wait(self, event, seconds):
        return event.wait(min(seconds, 0.01))


class Hung(SimulatedLine):
    """A line in whose driver a call never returns, unless `let_go` is set or, where it `heeds`, it is cancelled."""

    def __init__(self, heeds: bool) -> None:
        super().__init__(lambda _: b"")
        self.loops = False  # takes the processor meanwhile
        self.heeds, self.let_go, self.inside, self.closed = heeds, threading.Event(), threading.Event(), False

    def read(self, size, patience_s):
        self.inside.set()
        while not self.let_go.wait(0 if self.loops else 30):
            if not self.loops:
                break
        return b""

    def cancel(self):
        if self.heeds:
            self.let_go.set()

    def close(self):
        self.closed = True


class Garden:
    def __init__(self, first: Hung) -> None:
        self.clock, self.board, self.got = Turned(), Board(), []
        self.first, self.opened = first, 0
        self.locks = True  # who hangs keeps the port from the next one
        makers = {"sick": lambda: self.made("sick", self.sick), "well": lambda: self.made("well", self.well)}
        self.overseer = Overseer(makers, self.clock)

    def made(self, name, open_line):
        bus = Bus(name=name, port=name, baud=9600, format="8N1")
        return Sampler(bus, [sensor(name, every_s=0.05)], open_line, self.got.append, self.board, self.clock)

    def well(self):
        return SimulatedLine(lambda frame: answer(1, 300, 200))

    def sick(self):
        self.opened += 1
        if self.opened == 1:
            return self.first
        if self.locks and not self.first.closed:
            raise PortLost("port is locked by the thread that hangs")
        return self.well()

    def turn(self, ms):
        """Let time go on, as a port is tried again only after a while."""
        self.clock.now += ms

    def heal(self):
        """Let time go on, looked at as the agent does, until the sick bus is replaced."""
        end, bus = self.clock.now + LONG_MS, self.overseer._buses[0]
        while not bus.heals:
            assert self.clock.now < end
            read = len(self.seen("well"))
            self.clock.now += 5_000
            until(lambda read=read: len(self.seen("well")) > read or len(self.overseer._buses) == 1, 5, "it is read on")
            assert self.overseer.look() == ""

    def read_on(self, sick, well):
        """Whether more is read of each than so many."""
        return len(self.seen("sick")) > sick and len(self.seen("well")) > well

    def seen(self, channel, reason=None):
        return [
            one for one in self.got if one.channel == channel and (reason is None or reason in one.reasons.values())
        ]


@pytest.fixture
def hung(request):
    line = Hung(heeds=getattr(request, "param", True))
    yield line
    line.let_go.set()


def test_a_bus_whose_turn_does_not_end_is_closed_and_opened_again_alone(hung):
    garden = Garden(hung)
    garden.overseer.start()
    until(hung.inside.is_set, 5, "the sick bus hangs")
    assert garden.overseer.look() == ""
    assert garden.opened == 1, "within its time it is left alone"
    garden.heal()
    until(lambda: garden.turn(50) or any(one.values for one in garden.seen("sick")), 5, "it is back")
    assert hung.closed
    until(lambda: garden.turn(50) or garden.seen("well"), 5, "its neighbour is read")
    assert not any("hangs" in line.why for line in garden.board.channels.values())
    garden.overseer.stop(1.0)


@pytest.mark.parametrize("hung", [False], indirect=True)
def test_orders_on_a_bus_that_hangs_are_answered_when_it_is_given_up(hung):
    """The one that is being carried out, too: its thread may never come back, and whoever gave it has other ways."""
    garden = Garden(hung)
    sampler = garden.made("sick", lambda: SimulatedLine(lambda frame: b"" if frame == b"on" else answer(1, 300, 200)))
    garden.overseer = Overseer({"sick": lambda: sampler}, garden.clock)
    garden.overseer.start()
    until(lambda: garden.seen("sick"), 5, "the bus is read")
    sampler._line.read = lambda *_: hung.read(1, 1)
    orders = [sampler.order("sick", Ask(b"on", size=2)) for _ in range(2)]
    until(hung.inside.is_set, 5, "the first one hangs")
    assert not any(done.done() for done in orders)
    garden.heal()
    assert all("may have arrived all the same" in str(done.exception(0)) for done in orders)
    hung.let_go.set()
    garden.overseer.stop(1.0)


def test_a_process_that_stood_still_takes_no_bus_for_hung(hung):
    """SIGSTOP, a machine that slept, a card that held all threads: who is overdue then has had no chance."""
    garden = Garden(hung)
    garden.overseer.start()
    until(hung.inside.is_set, 5, "the sick bus waits for an answer")
    garden.turn(600_000)
    for _ in range(GRACE_MS // 5_000):
        assert garden.overseer.look() == ""
        assert not hung.let_go.is_set(), "it is not broken off"
        garden.turn(5_000)
    garden.overseer.look()
    assert hung.let_go.is_set(), "what hangs even then is"
    garden.overseer.stop(1.0)


@pytest.mark.parametrize("hung", [False], indirect=True)
def test_a_thread_that_never_lets_go_of_its_port_makes_the_process_end(hung):
    garden = Garden(hung)
    garden.overseer.start()
    until(hung.inside.is_set, 5, "the sick bus hangs")
    garden.heal()
    until(lambda: garden.seen("sick", Reason.PORT_LOST), 5, "the new thread says what it finds")
    assert garden.overseer.look() == ""
    for _ in range(3):
        garden.turn(GRACE_MS // 3 + 1)
        told = garden.overseer.look()
    assert told == "bus-sick does not let go of its port"
    garden.overseer.stop(0.1)


@pytest.mark.parametrize("hung", [False], indirect=True)
@pytest.mark.parametrize("loops", [False, True])
def test_a_thread_that_sleeps_for_ever_beside_a_bus_that_is_read_again_costs_nobody_a_restart(hung, loops):
    garden = Garden(hung)
    garden.locks, hung.loops = False, loops
    garden.overseer.start()
    until(hung.inside.is_set, 5, "the sick bus hangs")
    garden.heal()
    until(lambda: garden.turn(50) or any(one.values for one in garden.seen("sick")), 5, "it is read again")
    while garden.clock.now < LONG_MS + 2 * GRACE_MS:
        read = len(garden.seen("sick")), len(garden.seen("well"))
        garden.turn(5_000)
        until(lambda read=read: garden.turn(1) or garden.read_on(*read), 5, "both are read on")
        told = [garden.overseer.look()]
        assert loops or told == [""]
    if loops:
        until(lambda: told.append(garden.overseer.look()) or any(told), 20, "one that takes the processor is not left")
        assert told[-1] == "bus-sick does not let go of its port"
    garden.overseer.stop(0.1)


def test_a_turn_promises_no_more_than_its_budget_and_some_slack(hung):
    garden = Garden(hung)
    sampler = garden.made("sick", garden.sick)
    running = threading.Thread(target=sampler.run)
    running.start()
    until(hung.inside.is_set, 5, "the poll has begun")
    longest_ms = 1000 * (LONGEST_BUDGET_S + SLACK_S) + 10_000
    assert 0 < sampler.ends_ms - garden.clock.now <= longest_ms
    sampler.abort()
    running.join(5)
    assert not running.is_alive()


def test_a_bus_for_which_the_machine_has_no_thread_says_so_and_gets_the_next_one_that_there_is(hung, caplog):
    hung.let_go.set()
    garden = Garden(hung)
    with no_threads():
        garden.overseer.start()
        for _ in range(3):
            assert garden.overseer.look() == "", "nothing else is lost by it"
        assert {line.why for line in garden.board.channels.values()} == {"the machine begins no further thread"}
        assert caplog.text.count("bus=sick the machine begins no") == 1
        garden.overseer.stop(0.1)
    assert garden.overseer.look() == ""
    until(lambda: garden.turn(50) or garden.seen("well"), 5, "it is read")
    assert "bus=well has a thread again" in caplog.text
    garden.overseer.stop(1.0)


def test_a_bus_that_hangs_while_there_are_no_threads_is_replaced_once_there_are(hung):
    garden = Garden(hung)
    garden.overseer.start()
    until(hung.inside.is_set, 5, "the sick bus hangs")
    with no_threads():
        garden.heal()
        assert garden.overseer.look() == ""
        assert garden.board.channels["sick"].why == "the machine begins no further thread"
    assert garden.overseer.look() == ""
    until(lambda: garden.turn(50) or any(one.values for one in garden.seen("sick")), 5, "it is back")
    garden.overseer.stop(1.0)
