"""Whom to tell, how urgently, and what goes into one letter: intents become letters. Pure.

Life before service before upkeep: smoke leaves at once, whatever else waits; what is near to smoke that people know of
is a part of that, and no letter of its own (cloud/alerts/decide/gather.py). What rests on no sensor of a place is
gathered into one letter an area, and all else of a rule, with pauses that grow with the letters of the last day;
what comes and goes is told less and less often (`SERIES_HOLD_S`), and its newest state overtakes those before. A pause
is measured by the server's clock; one that was put back never keeps anybody waiting.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from cloud.alerts.duty import RUNGS
from cloud.alerts.incident import FALSE, TOLD_AS, Incident
from cloud.alerts.intent import Intent
from cloud.clock import HANOI_MS

# In the order of leaving; danger are the bulletins of the day, report those of the week.
LEVELS = ("life", "service", "upkeep", "danger", "report")
LIFE, SERVICE, UPKEEP, DANGER, REPORT = range(len(LEVELS))
BEGINS, ENDS, LATE = ("onset", "again"), ("end", "end_unknown", "was", "false", "closed"), ("late", "late_end")
TEST = "test"
ANSWER = "answer"  # what is written back to who has answered: a letter that no intent asks for
# Never gathered.
PROMPT = ("probable", "confirmed", "reopened", "unanswered", "assigned", "controlled", "false", "closed")
DAY_MS, MINUTE_MS = 86_400_000, 60_000
DAY_MIN = 1_440
# Seconds until the next letter, after so many of the last day; the last figure goes on.
SERIES_HOLD_S = (0, 0, 0, 0, 900, 1_800, 3_600, 7_200, 14_400)  # twice there and back before it counts as flapping
GROUP_HOLD_S = (0, 0, *[60] * 8, *[600] * 10, 3_600)
SERVICE_HOLD_S = (0, 0, 45)  # that another hamlet lost service is told within a minute, whatever else was

Series = tuple[str, str, str, bool]


class Notice(msgspec.Struct, frozen=True):
    """One intent: what the journal wants told of an incident, and to whom."""

    intent: Intent
    incident: Incident
    role: str
    area: str  # a zone, a hamlet, or a gateway that hangs nowhere

    @property
    def level(self) -> int:
        """How urgent it is (0 first); history, known late, can wait."""
        return UPKEEP if self.incident.late else LEVELS.index(self.intent.grade)

    @property
    def overtakes(self) -> tuple[Series, int, str, int]:
        """Of what it says the newest: what each rung of the chain is told is something of its own.

        That one incident of a node is over does not overtake that another one begins.
        """
        apart = self.intent.tell if self.intent.tell in ("unanswered", "assigned") else ""
        return self.series, self.incident.id if self.incident.lives else 0, apart, self.intent.rung

    @property
    def series(self) -> Series:
        """What can come and go: one rule on one channel; what is known late is no news of the present."""
        one = self.incident
        channel = f"#{one.id}" if one.basis in ("people", "drill") else one.channel  # two exercises are two
        return (one.rule, one.gateway, channel, one.late)

    @property
    def group(self) -> str:
        """What shares a letter: smoke of one area; of everything else all that one rule found."""
        late = "|late" if self.incident.late else ""
        if self.level == LIFE and self.incident.exercise:
            return f"exercise|{self.incident.id}"
        return f"{self.incident.rule}|{self.area}" if self.level == LIFE else f"{self.incident.rule}{late}"


class Past(msgspec.Struct, frozen=True):
    """What was already written of a series or a group: letters of the last day, the last one, and whether it is on."""

    letters: int = 0
    last_ms: int | None = None
    on: bool = False  # people were told that it began, and not yet that it ended


class Reader(msgspec.Struct, frozen=True):
    """Somebody to tell, and by which channels: (channel, address), in the order of cloud.toml.

    `quiet` are minutes of the day in Vietnam, from and until. `ways` are the channels that they want for a kind of
    thing, by its grade, in the order in which they want them.
    """

    person: str
    lang: str
    addresses: tuple[tuple[str, str], ...]
    quiet: tuple[int, int] | None = None
    ways: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def by(self, level: int) -> tuple[tuple[str, str], ...]:
        """Return their addresses for what is so urgent: what they want first, and of what is about life then the rest.

        Where they want nothing that there is, they are told by all of it; of bulletins and reports only as they want.
        """
        wanted = dict(self.ways).get(LEVELS[level], ())
        chosen = tuple(way for name in wanted for way in self.addresses if way[0] == name)
        rest = tuple(way for way in self.addresses if way not in chosen)
        if level >= DANGER:
            return chosen
        return (*chosen, *rest) if level == LIFE or not chosen else chosen


class Letter(msgspec.Struct, frozen=True):
    """One letter to one person: its level, how long it is worth trying, and (incident, tell) that it is about."""

    group: str
    level: int
    lifetime_s: float
    reader: Reader
    about: tuple[tuple[int, str], ...]


class Routed(msgspec.Struct, frozen=True):
    """What becomes of the notices: letters, intents that are dealt with, incidents that nobody can be told of.

    At `look_ms` something that is held back may go; None when nothing is.
    """

    letters: list[Letter]
    done: list[int]
    nobody: list[Notice]
    look_ms: int | None


class Book(msgspec.Struct, frozen=True):
    """Who reads what: by role, and by incident who was told of it before; `mail_late` tells history, too.

    `others` are told of what is about life where a role has nobody whom a channel reaches: they can call somebody.
    `rungs` are those who are on duty for an incident about life, step by step, `people` everybody by their code, and
    `tests` who is written to by each channel.
    """

    readers: Mapping[str, Sequence[Reader]]
    told: Mapping[int, Sequence[Reader]]
    lifetime_s: float
    mail_late: bool = False
    others: Sequence[Reader] = ()
    rungs: Mapping[int, Mapping[str, Sequence[Reader]]] = {}
    people: Mapping[str, Reader] = {}
    tests: Sequence[Reader] = ()


def route(
    notices: Sequence[Notice], book: Book, series: Mapping[Series, Past], groups: Mapping[str, Past], now_ms: int
) -> Routed:
    """Return the letters that leave now; a notice that is neither in one nor `done` waits."""
    newest = {notice.overtakes: notice for notice in sorted(notices, key=lambda one: one.intent.id)}
    wanted = {notice.intent.id for notice in newest.values() if book.mail_late or not notice.incident.late}
    done = [notice.intent.id for notice in notices if notice.intent.id not in wanted]
    gathered: dict[tuple[int, str, str, int], list[Notice]] = defaultdict(list)
    waits_ms: list[int] = []
    for notice in (one for one in newest.values() if one.intent.id in wanted):
        past, group = series.get(notice.series, Past()), groups.get(notice.group, Past())
        wait_ms = _wait_ms(notice, past, group, now_ms)
        if wait_ms > 0:
            waits_ms.append(wait_ms)
        else:
            gathered[notice.level, notice.group, *notice.overtakes[2:]].append(notice)  # of each incident once
            done.append(notice.intent.id)
    letters, nobody = [], []
    for (level, name, _, _), members in sorted(gathered.items()):
        readers: dict[Reader, list[tuple[int, str]]] = {}
        for notice in members:
            to = _readers(notice, book)
            for reader in to:
                readers.setdefault(reader, []).append((notice.incident.id, notice.intent.tell))
            nobody += [] if to else [notice]
        letters += [Letter(name, level, book.lifetime_s, reader, tuple(about)) for reader, about in readers.items()]
    return Routed(letters, sorted(done), nobody, now_ms + min(waits_ms) if waits_ms else None)


def say(tell: str, knows: str, incident: Incident) -> str:
    """Return what is to be said of an incident as it is now to somebody who `knows` this of it; "" when nothing."""
    if tell == TEST:  # of each channel: who has several is told several times
        return TEST
    if tell in LATE and incident.late:
        news = "late" if incident.going else "late_end"
    elif not incident.going:
        if knows in (*ENDS, "late_end") or tell in ("unanswered", "assigned"):  # nobody has to answer; the end is told
            return ""
        if incident.closed_by:  # who was never told of it need not know that it is over
            return "" if knows in ("", "late") else "false" if incident.closed_as in FALSE else "closed"
        if incident.muted and not knows:
            return ""
        unknown = "end_unknown" if tell == "end_unknown" else ""
        news = unknown or ("was" if knows in ("", "late") else "end")
    elif tell in (*BEGINS, *ENDS, *LATE):
        if knows not in ("", *ENDS, *LATE):
            return ""
        news = "again" if knows in ENDS else TOLD_AS.get(incident.stage, "onset") if incident.lives else "onset"
    elif tell in ("unanswered", "assigned"):  # said as often as it is so
        return "" if incident.acked_ms is not None and tell == "unanswered" else tell
    else:
        news = tell  # a kind of its own, such as smoke that fell silent: said once
    return "" if news == knows else news


def rests_until_ms(quiet: tuple[int, int] | None, level: int, now_ms: int) -> int | None:
    """Return until when somebody's quiet hours hold a letter back, None where it leaves now: life waits for nobody."""
    if quiet is None or level == LIFE:
        return None
    start, end = quiet
    minute = now_ms // MINUTE_MS
    since, long = (minute + HANOI_MS // MINUTE_MS - start) % DAY_MIN, (end - start) % DAY_MIN
    return (minute + long - since) * MINUTE_MS if since < long else None


def elsewhere(reader: Reader, tried: Sequence[str], level: int) -> tuple[str, str] | None:
    """Return the next (channel, address) by which somebody can be told, None when all were tried."""
    return next((way for way in reader.by(level) if way[0] not in tried), None)


def _wait_ms(notice: Notice, series: Past, group: Past, now_ms: int) -> int:
    begins = notice.intent.tell in BEGINS or notice.intent.tell == "was"
    due_ms = _left_ms([round(notice.intent.due_s)], Past(0, notice.intent.at_ms), now_ms)
    if notice.intent.tell in PROMPT or (notice.intent.tell == "silent" and notice.level == LIFE):
        return due_ms
    if notice.level == LIFE and begins and not series.on and (notice.incident.lives or not group.on):
        return due_ms
    flaps_ms = 0 if notice.level == LIFE and begins and not series.on else _left_ms(SERIES_HOLD_S, series, now_ms)
    holds = SERVICE_HOLD_S if notice.level == SERVICE and begins else GROUP_HOLD_S
    return max(flaps_ms, _left_ms(holds, group, now_ms), due_ms)


def _left_ms(holds_s: Sequence[int], past: Past, now_ms: int) -> int:
    if past.last_ms is None or past.last_ms > now_ms:  # the clock was put back: nothing is known of the pause
        return 0
    return past.last_ms + 1000 * holds_s[min(past.letters, len(holds_s) - 1)] - now_ms


def _readers(notice: Notice, book: Book) -> Sequence[Reader]:
    """Return who is told: the end goes to those who were told the beginning, whoever has the role today."""
    incident, tell = notice.incident, notice.intent.tell
    if tell == TEST:
        return book.tests
    before = book.told.get(incident.id, ())
    if tell == "assigned":
        assignee = book.people.get(incident.assignee)
        return [assignee] if assignee else []
    if before and not incident.going:
        return before
    rungs = book.rungs.get(incident.id, {})
    if tell == "unanswered":
        return _rung(notice, rungs, book)
    first = next(iter(rungs.values()), ()) or book.readers.get(notice.role) or ()
    if tell in PROMPT or tell == "silent":
        first = list({reader.person: reader for reader in (*first, *before)}.values())  # by what has told them
    return first or (book.others if notice.level == LIFE else ())


def _rung(notice: Notice, rungs: Mapping[str, Sequence[Reader]], book: Book) -> Sequence[Reader]:
    """Return whom a step of the chain tells, everybody so far beyond its end; operators, where nobody is on duty."""
    if not rungs:
        return book.others or book.readers.get(notice.role, ())
    if notice.intent.rung < len(RUNGS):
        return rungs.get(RUNGS[notice.intent.rung]) or next(iter(rungs.values()))
    return list({reader.person: reader for own in rungs.values() for reader in own}.values())
