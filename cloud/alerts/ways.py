"""How each channel is, kept in the journal where pages of another process read it: what ails it, how its test went.

The post office writes what it finds out of its couriers; the tests are the letters of the weekly self-test. Only the
channels that cloud.toml has now are spoken of: one that was taken out fails nobody any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cloud.alerts.tell.paper import HELD

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable

    from cloud.alerts.journal import Journal
    from cloud.alerts.tell.deliver import Courier

MEMORY = "channels"  # of the journal
LATE_TEST = "it was not accepted within an hour"  # where nobody said why
TEST_MS = 3_600_000  # for a test letter, before its channel has failed
_TESTS = """
SELECT letter.channel, letter.at_ms, state, words, receipt FROM incident
JOIN about ON about.incident = incident.id JOIN letter ON letter.id = about.letter
WHERE rule = 'self-test' AND +copy_of IS NULL ORDER BY letter.id DESC"""  # not by copies: most letters are none


class Way(msgspec.Struct, frozen=True):
    """A channel of cloud.toml, as the alerts' room knows it. Times are UTC in ms; words are those of the other side.

    `why` is what keeps every letter from getting through now, since `since_ms`; empty when well. `tested_ms` is when
    the last weekly test was written for it, None where none was yet: nobody has an address (`reached`), or it is new.
    `test_why` is why that did not get through, and `test_since_ms` the first of the tests in a row that did not.
    """

    name: str
    kind: str
    reached: bool
    why: str = ""
    since_ms: int | None = None
    tested_ms: int | None = None
    test_why: str = ""
    test_since_ms: int | None = None


def note(journal: Journal, couriers: Iterable[Courier], reached: Collection[str], now_ms: int) -> None:
    """Write down how the channels are, where that has changed, in a transaction of its own.

    Of one that was not tried since the start it is what it was: a restart heals nothing.
    """
    before = {way.name: way for way in _noted(journal.meta(MEMORY, "[]"))}
    ways = []
    for one in couriers:
        was = before.get(one.name, Way(one.name, one.kind, reached=False))
        why = one.why if one.why or one.well_once else was.why
        since_ms = None if not why else was.since_ms if was.why else now_ms
        ways.append(Way(one.name, one.kind, one.name in reached, why, since_ms))
    if ways != list(before.values()):
        with journal.transaction():
            journal.set_meta(MEMORY, msgspec.json.encode(ways).decode())


def read(db: sqlite3.Connection, now_ms: int) -> list[Way]:
    """Return the channels in the order of cloud.toml, none before the alerts' room has run."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (MEMORY,)).fetchone()
    ways = _noted(row[0]) if row else []
    tests: dict[str, list[tuple[int, str | None]]] = {}
    for channel, at_ms, state, words, receipt in db.execute(_TESTS):
        tests.setdefault(channel, []).append((at_ms, _failed(at_ms, state, words, receipt, now_ms)))
    return [_tested(way, tests.get(way.name, [])) for way in ways]


def _tested(way: Way, tests: list[tuple[int, str | None]]) -> Way:
    """Return a channel with how its tests went, the newest first; one that is still on its way says nothing yet."""
    done = [(at_ms, why) for at_ms, why in tests if why is not None]
    since_ms, why = None, ""
    for at_ms, failed in done:
        if not failed:
            break
        since_ms, why = at_ms, why or failed
    return msgspec.structs.replace(way, tested_ms=tests[0][0] if tests else None, test_why=why, test_since_ms=since_ms)


def _failed(at_ms: int, state: str, words: str, receipt: str, now_ms: int) -> str | None:
    """Return why a test did not get through, "" where it did, None while that is open."""
    if state == "told":
        return ""
    if state in ("waiting", "sending") and (words == HELD or now_ms - at_ms < TEST_MS):
        return None
    return "; ".join(filter(None, (words, receipt))) or LATE_TEST


def _noted(text: str) -> list[Way]:
    """Return what was noted; what cannot be read is forgotten, and noted anew."""
    try:
        return msgspec.json.decode(text, type=list[Way])
    except msgspec.DecodeError:
        return []
