"""What lies in the spool and what it did not take: counted, and told on the board. Belongs to the keeper's thread."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from msgspec.structs import replace

from edge.keep.faults import What
from edge.keep.spool import named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.board import Board, Keeping
    from edge.keep.faults import Faults
    from edge.keep.held import Held
    from edge.keep.spool import Kept, Spool
    from settings.words import Sentence
    from wire.batch import Status

log = logging.getLogger(__name__)


class Stock:
    """The keeper's line on the board. `beyond` is what waits, by epoch, in a spool out of reach."""

    def __init__(self, board: Board, boot: str, spool: Spool, beyond: Mapping[str, int]) -> None:
        self._board, self._boot = board, boot
        self._beyond, self._dropped = _beyond(beyond, spool), spool.dropped

    def move(self, spool: Spool) -> None:
        """Another spool takes what comes from now on: what waits in the one before is out of reach."""
        self._beyond = _beyond(waiting(self._board.keeping), spool)

    def count(self, spool: Spool, uncut_ms: int | None) -> None:
        """Count what lies in the spool; `uncut_ms` is since when something waits to be cut. May raise SpoolFull."""
        n, oldest = spool.spooled()
        self._board.keeping = replace(
            self._board.keeping,
            epoch=spool.epoch,
            acquired=spool.acquired,
            cut=spool.acquired - spool.uncut,
            spooled=n,
            earlier=dict(self._beyond + Counter(spool.earlier())),
            oldest_ms=self._began_ms(oldest, spool) if oldest else uncut_ms,
        )
        if spool.dropped > self._dropped:
            log.warning("readings dropped and declared n=%s", spool.dropped - self._dropped)
        self._dropped = spool.dropped

    def tell(self, held: Held, faults: Faults, notes: Sequence[Sentence]) -> None:
        """Tell what is wrong, and what of the held readings is urgent and not safe."""
        failing = What.COMMIT in faults or What.SLOW in faults
        self._board.keeping = replace(
            self._board.keeping,
            dropped=self._dropped + held.lost,
            unkept=held.lost,
            why=faults.told(notes, "en"),
            why_vi=faults.told(notes, "vi"),
            urgent=held.unsafe(self._board.dated.offset_ms) if failing else (),
            alarm_ms=held.alarm_ms if failing else 0,
        )

    def _began_ms(self, oldest: Kept, spool: Spool) -> int | None:
        """Return when a batch began in the time of this boot, None where nobody can know yet."""
        if oldest.boot == self._boot:
            return oldest.first_ms
        offset_ms, its_ms = self._board.dated.offset_ms, oldest.offset_ms
        if its_ms is None and (told := spool.dates.of(oldest.boot)) is not None:  # by its battery clock
            its_ms = told.offset_ms
        return None if its_ms is None or offset_ms is None else oldest.first_ms + its_ms - offset_ms


def waiting(said: Status | Keeping) -> dict[str, int]:
    """Return how many numbers of each epoch wait for the cloud, as was said last; of 32 epochs at most."""
    return named({**said.earlier, said.epoch: said.spooled})


def _beyond(said: Mapping[str, int], spool: Spool) -> Counter[str]:
    """Return what of the numbers that wait by what was said does not lie in this spool."""
    return Counter(said) - Counter(spool.earlier()) - Counter({spool.epoch: spool.spooled()[0]})
