"""Bodies sent to InfluxDB, and one that it refuses halved until the single bad lines are known."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from cloud.clock import SystemClock
from cloud.store import Retry
from cloud.store.engines.influx.late import kept_from_ms, late_lines
from cloud.store.engines.influx.order import NUMBERED
from cloud.store.engines.influx.parcels import MAX_LINES, Parcel, groups, pack, posted
from cloud.store.engines.influx.places import HOURS
from cloud.store.engines.influx.server import BodyRefused
from cloud.store.ledger import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cloud.store.engines.influx.config import InfluxConfig
    from cloud.store.engines.influx.parcels import Posted
    from cloud.store.engines.influx.posting import Sent
    from cloud.store.engines.influx.server import Server
    from cloud.store.ledger import Entry

MAX_REQUESTS = 2_000  # spent on finding the bad lines of one body; what is unknown then is refused as a whole
MAX_S = 60.0  # and time: a server that is slower than that refuses nothing, it is in trouble
TOO_OLD = "retention policy"
_CLOCK = SystemClock()
AT_ONCE = 2  # requests: while one waits for its flush, another is parsed


class Writing:
    """The commits of one process. It remembers nothing of them: several may write."""

    def __init__(self, server: Server, config: InfluxConfig) -> None:
        self._server, self._config = server, config

    def pack(self, entry: Entry, now_ms: int) -> Parcel:
        """Return an entry as the lines that it becomes."""
        return pack(entry, kept_from_ms(self._config, now_ms))

    def begin(self, entries: Sequence[Entry], arrival_ms: int) -> Begun:
        """Send off each batch and its ledger line, several batches to a request.

        In one request where both lie in one place; else the ledger's lines follow what they tell of.
        """
        parcels = [self.pack(entry, arrival_ms) for entry in entries]
        late = [parcel.late for parcel in parcels if parcel.late is not None]
        if late:
            self._keep_late(late_lines(self._server, self._config, late, arrival_ms))
        return Begun(self, groups(posted(parcels, arrival_ms)), len(parcels))

    def _keep_late(self, lines: list[str]) -> None:
        """Write what only hours are kept of; a line that the database refuses has expired as its batch has."""
        for part in (lines[at : at + MAX_LINES] for at in range(0, len(lines), MAX_LINES)):
            try:
                self._server.write("\n".join(part), HOURS)
            except BodyRefused as error:
                self._bad(part, error, HOURS)

    def send(self, group: list[Posted]) -> Sent:
        """Send what comes first of a group: all of it, or its readings where it has any. Raises Retry."""
        policy = self._server.places.ledger_policy
        if not policy:
            return self._server.send([part for one in group for part in (one.parcel.readings, one.told().encode())])
        readings = [one.parcel.readings for one in group]
        return self._server.send(readings) if any(readings) else self._server.send([_told(group).encode()], policy)

    def stored(self, group: list[Posted], sent: Sent) -> None:
        """Return once a group that was sent is stored, its ledger lines as well. Raises Retry, or BodyRefused."""
        self._server.stored(sent)
        policy = self._server.places.ledger_policy
        if policy and any(one.parcel.readings for one in group):
            self._server.write(_told(group), policy)

    def bisected(self, group: list[Posted], why: BodyRefused) -> list[tuple[int, list[Refused]]]:
        """Store the good lines of a refused body and then its ledger lines, which say how many were bad."""
        lines = [(one.number, seq, line) for one in group for seq, line in one.parcel.lines()]
        bad = self._bad([line for _, _, line in lines], why)
        found: dict[int, dict[int, Refused]] = {one.number: {} for one in group}
        for place, reason in bad.items():
            number, seq, line = lines[place]
            before = found[number].get(seq)
            text = f"{before.text}\n{line}" if before else line
            found[number][seq] = Refused(seq, text, reason)
        try:
            told = "".join(one.told(len(found[one.number]), NUMBERED) for one in group)
            self._server.write(told, self._server.places.ledger_policy)
        except BodyRefused as error:
            raise Retry(f"InfluxDB refuses the ledger itself, measurement `batch`: {error}", 60.0) from error
        return [(number, [own[seq] for seq in sorted(own)]) for number, own in found.items()]

    def _bad(self, lines: list[str], why: BodyRefused, policy: str = "") -> dict[int, str]:
        """Write lines by halves until each bad one stands alone; return {place: reason}."""
        bad: dict[int, str] = {}
        left, end_s = MAX_REQUESTS, _CLOCK.monotonic() + MAX_S
        spans = [(0, len(lines))]
        while spans:
            low, high = spans.pop()
            if low == high:
                continue
            if not left:
                bad |= dict.fromkeys(range(low, high), f"not tried alone, too many bad lines; the last: {why}")
                continue
            left -= 1
            if _CLOCK.monotonic() > end_s:
                raise Retry(f"InfluxDB refuses lines, and is too slow to find them within {MAX_S:g} s: {why}", 60.0)
            try:
                self._server.write("\n".join(lines[low:high]), policy)
            except BodyRefused as error:
                why = error
                if high - low == 1:
                    if not (
                        self._config.keep_ms and TOO_OLD in str(error)
                    ):  # by the database's clock: expired, not bad
                        bad[low] = str(error)
                else:
                    middle = (low + high) // 2
                    spans += [(middle, high), (low, middle)]
        return bad


def _told(group: list[Posted]) -> str:
    return "".join([one.told() for one in group])


class Begun:
    """A commit on its way: `AT_ONCE` of its bodies are sent, the others follow as replies are read."""

    def __init__(self, writing: Writing, bodies: Iterator[list[Posted]], entries: int) -> None:
        self._writing, self._left = writing, bodies
        self._refused: list[list[Refused]] = [[] for _ in range(entries)]
        self._sent: deque[tuple[list[Posted], Sent]] = deque()
        self._send()

    def _send(self) -> None:
        """Send as many as may be on their way. Raises Retry, and nothing is then."""
        try:
            while len(self._sent) < AT_ONCE and (group := next(self._left, None)):
                self._sent.append((group, self._writing.send(group)))
        except BaseException:
            self._drop()
            raise

    @property
    def is_over(self) -> bool:
        """Whether no reply is waited for."""
        return not self._sent

    def end(self) -> list[list[Refused]]:
        """Read all replies; find out what the database refused. Raises Retry."""
        try:
            while self._sent:
                group, sent = self._sent.popleft()
                try:
                    self._writing.stored(group, sent)
                except BodyRefused as error:
                    for number, own in self._writing.bisected(group, error):
                        self._refused[number] = own
                self._send()
        finally:
            self._drop()
        return self._refused

    def _drop(self) -> None:
        while self._sent:
            self._sent.popleft()[1].drop()
