"""The one thread of all sirens: hears what sensors and detector tell, decides by each rule, and drives the outputs.

It waits for nobody: orders come back as futures, asks of people lie in a file, GPIO is a call into the kernel. What a
siren does is a reading of its own, `siren`, told when it changes and now and then; what is wrong with it stands in the
status until it is mended.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from edge import words
from edge.drivers import relay
from edge.siren.asks import Asks, Told
from edge.siren.coil import Coil
from edge.siren.kept import Kept, KeptFile
from edge.siren.line import Line
from edge.siren.rule import Rule
from edge.threads import Pulse, join, started
from wire.reading import Reading, Reason

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

    from edge.board import Board
    from edge.clock import Clock
    from edge.config import Siren
    from edge.driver import Ask, Reply
    from edge.siren import asks
    from edge.siren.coil import Output

log = logging.getLogger(__name__)
OFF, ON, STOPPED, FAILED, TEST = range(5)  # of wire.quantities.SIREN
TICK_S = 0.25  # how soon a button at a GPIO line, and what a person asks, is seen
FAILS_MS = 2_000  # told to sound, and not confirmed
DEAF_MS = 15_000  # silent, and nobody knows whether it could sound
REPORT_MS = 600_000
FAILED_MS = 120_000  # what is wrong is said oftener: the server waits for a second word
TEST_S = 2.0
HANGS_S = 15.0
AGAIN_S = 1.0


class Sirens:
    """All sirens of one gateway. `order(bus, channel, ask)` has the owner of a bus ask something."""

    def __init__(
        self,
        sirens: list[Siren],
        order: Callable[[str, str, Ask], Future[Reply]],
        put: Callable[[Reading], None],
        board: Board,
        clock: Clock,
        folder: Path,
    ) -> None:
        self._clock, self._asks, self._kept = clock, Asks(folder), KeptFile(folder, clock.boot)
        self._rung = threading.Event()
        self._sirens = {one.table.name: _One(one, self._output(one, order), put, board) for one in sirens}
        for name, kept in (self._kept.read() if sirens else {}).items():
            if name in self._sirens:
                self._sirens[name].recall(kept, clock.mono_ms())
        self._heard: deque[Reading] = deque()
        self._silenced = self._stopping = self._ended = False
        self._asked: asks.Ask | None = None
        self._thread, self._pulse = threading.Thread(), None if not sirens else Pulse(threading.Thread(), HANGS_S)
        self.turns = 0

    # --- from other threads

    def see(self, reading: Reading) -> bool:
        """Take a reading; tell whether it is of a siren's own relay, and so for nobody else."""
        if not self._sirens:
            return False
        self._heard.append(reading)
        self._rung.set()
        return reading.channel in self._sirens

    def silence(self) -> None:
        """Stop all that sounds. May be called from a signal's handler: it takes no lock."""
        self._silenced = True

    def start(self) -> None:
        """Begin: the first thing that is done is to silence them."""
        if self._sirens:
            self._thread = started(self._run, "siren")
            self._pulse = Pulse(self._thread, HANGS_S, lambda: self.turns)

    def look(self, since_s: float) -> str:
        """Begin again where the thread is gone; return why only a new process can help, "" while there is no need."""
        if self._pulse is None:
            return ""
        if not self._thread.is_alive():
            log.error("the thread of the sirens is gone; begun again")
            self.start()
        return "the sirens hang" if self._pulse.stopped(since_s) else ""

    def stop(self, within_s: float) -> None:
        """Silence them and end; what does not confirm that in time is left to the next start."""
        self._stopping = True
        self._rung.set()
        join(self._thread, within_s)
        self._ended = True

    # --- the loop

    def _run(self) -> None:
        while not (self._ended or (self._stopping and self._silent)):
            try:
                self._clock.wait(self._rung, TICK_S)
                self._rung.clear()
                self.step(self._clock.mono_ms())
                self.turns += 1
            except Exception:
                log.exception("sirens stumbled; going on in 1 s")
                self._clock.wait(threading.Event(), AGAIN_S)
        for one in self._sirens.values():
            one.output.close()

    @property
    def _silent(self) -> bool:
        return all(one.output.rests for one in self._sirens.values())

    def step(self, now: int) -> None:
        """Take what was heard and asked, and bring each siren a step nearer to what it shall do."""
        while self._heard:
            reading = self._heard.popleft()
            for name, one in self._sirens.items():
                one.see(reading, now, own=reading.channel == name)
        if self._silenced:
            self._silenced = False
            self._stop(list(self._sirens), now)
        self._ask(now)
        for one in self._sirens.values():
            one.step(now, stopping=self._stopping)
        self._kept.write({name: one.kept for name, one in self._sirens.items()})
        self._tell()

    def _stop(self, names: list[str], now: int) -> dict[str, str]:
        return {name: "stopped" if self._sirens[name].stop(now, "here") else "silent" for name in names}

    def _ask(self, now: int) -> None:
        ask = self._asks.taken()
        if ask is None:
            return
        names = [name for name in self._sirens if ask.name in {"", name}]
        if ask.act == "stop" or not names:
            self._asks.tell(Told(ask.id, self._stop(names, now)))
            return
        self._asked = ask
        for name in names:
            self._sirens[name].test(now)

    def _tell(self) -> None:
        """Answer who asked for a test, once all have come to an end."""
        if self._asked is None:
            return
        done = {name: one.tested for name, one in self._sirens.items() if self._asked.name in {"", name}}
        if all(done.values()):
            after = {name: self._sirens[name].after_ms for name, how in done.items() if how == "heard"}
            self._asks.tell(Told(self._asked.id, done, after))
            self._asked = None

    def _output(self, siren: Siren, order: Callable[[str, str, Ask], Future[Reply]]) -> Output:
        table = siren.table
        if siren.relay is None:
            return Line(table.gpio, table.line, active_low=table.active_low, button=table.stop_line)
        assert isinstance(siren.relay.config, relay.Config)
        return Coil(siren.relay.config, partial(order, table.bus, table.name), self._rung.set, timed=table.timed)


class _One:
    """One siren: its rule, its output, and what is said of it."""

    def __init__(self, siren: Siren, output: Output, put: Callable[[Reading], None], board: Board) -> None:
        table = siren.table
        self.name, self.output, self._put, self._board = table.name, output, put, board
        self._rule = Rule(siren.triggers, table.most_s, table.pause_s, table.stopped_s)
        self._wanted = False  # what it shall do …
        self._since_ms: int | None = None  # … since when
        self._well_ms = 0  # when it last did, for all that is known
        self._code, self._report_ms = OFF, 0
        self._pressed: bool | None = None
        self._test_ms = 0
        self._mute = False  # it did not sound when it was told last: silent and well is no proof of the contrary
        self.tested, self.after_ms = "none", 0  # how the last test ended; how long after its cause it sounded

    @property
    def kept(self) -> Kept:
        """Return what the next process must know."""
        return Kept(self._rule.memory, self._mute)

    def recall(self, kept: Kept, now: int) -> None:
        """Go on as an earlier process."""
        self._rule.recall(kept.rule, now)
        self._mute = kept.mute

    def see(self, reading: Reading, now: int, *, own: bool) -> None:
        """Take a reading: of the relay itself, or of anything else."""
        if not own:
            self._rule.see(reading, now)
            return
        coil, button = reading.values.get("siren"), reading.values.get("siren_button")
        if isinstance(self.output, Coil):
            if coil is not None:
                if coil and self.output.seen is None:
                    log.warning("siren=%s was found on, as after a gateway that was killed; set off", self.name)
                self.output.heard(bool(coil), reading.mono_ms)
            else:
                why = Reason(next(iter(reading.reasons.values()), Reason.SILENCE))
                if why is not Reason.REFUSED:  # which says that it lives, and cannot be read
                    self.output.lost(why.name.lower().replace("_", " "))
        if button is not None:
            self._press(bool(button), now)

    def step(self, now: int, *, stopping: bool) -> None:
        """Drive the output, and say what came of it."""
        if isinstance(self.output, Line) and (pressed := self.output.button()) is not None:
            self._press(pressed, now)
        wanted = self._rule.step(now) and not stopping
        if wanted is not self._wanted or self._since_ms is None:
            if self._wanted and not stopping:
                log.info("siren=%s off", self.name)
            self._wanted, self._since_ms = wanted, now
        self.output.drive(wanted, now)
        code = self._said(now, self._since_ms)
        if not self.tested and (code in {ON, TEST} or now - self._test_ms > FAILS_MS + round(1000 * TICK_S)):
            self.tested = "heard" if code in {ON, TEST} else "failed"
            self._mute |= self.tested == "failed"
        if wanted and code in {ON, TEST, FAILED}:
            self._mute = code == FAILED
        if code == self._code and now < self._report_ms:
            return
        if code != self._code:
            self._change(code)
        self._code, self._report_ms = code, now + (FAILED_MS if code == FAILED else REPORT_MS)
        self._put(Reading(self.name, now, {"siren": code}, {}))

    def stop(self, now: int, where: str) -> bool:
        """Silence it; tell whether there was anything to silence."""
        done = self._rule.stop(now)
        if done:
            self.tested = self.tested or "stopped"
            log.warning("siren=%s stopped where=%s", self.name, where)
        return done

    def test(self, now: int) -> None:
        """Let it be heard for a moment."""
        begins = self._rule.test(now, TEST_S)
        self.tested, self._test_ms = "" if begins else "sounds", now
        if begins:
            self._rule.heard_ms = now

    def _press(self, pressed: bool, now: int) -> None:
        """Take what the button is: only that somebody presses it counts. One that is stuck must not mute for ever."""
        if pressed and self._pressed is False:
            self.stop(now, "button")
        self._pressed = pressed

    def _said(self, now: int, since_ms: int) -> int:
        """Return what it does, as far as its output has confirmed that; FAILED where that takes too long.

        One that did not sound when it was told has failed until it does: by a test, or in earnest.
        """
        right = self.output.seen is self._wanted
        if right and not self.output.fault:
            self._well_ms = now
        patience_ms = FAILS_MS if self._wanted or self.output.seen else DEAF_MS
        if not right or self.output.fault:
            if now - max(self._well_ms, since_ms) >= patience_ms:
                return FAILED
            if not right:
                return self._code
        if self._wanted:
            return TEST if self._rule.tested else ON
        if self._mute:
            return FAILED
        return STOPPED if self._rule.stopped else OFF

    def _change(self, code: int) -> None:
        """Say so on the log and in the status."""
        if code in {ON, TEST}:
            self.after_ms = max(self.output.seen_ms - self._rule.heard_ms, 0)
            why = "test" if code == TEST else self._rule.cause
            log.warning("siren=%s on after_ms=%s why=%r", self.name, self.after_ms, why)
        if code == FAILED:
            kind = "stuck" if self.output.seen and not self._wanted else "mute"
            said = kind if self.output.fault else f"{kind}_told"
            self._board.sirens[self.name] = words.siren(said, name=self.name, why=self.output.fault)
            log.error("siren=%s %s why=%r", self.name, kind, self.output.fault)
        elif self._board.sirens.pop(self.name, None) is not None:
            log.info("siren=%s well again", self.name)
