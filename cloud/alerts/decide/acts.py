"""What people do with an incident: they have it, say something, confirm, close, merge, split, silence. Each is history.

An act is judged by the incident as it is now, in one transaction with what it changes and whom that is told. What
cannot be done is said, in words that whoever asked can read (words.toml, `[refusal]`), and changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec.structs import replace

from cloud.alerts.decide.exercise import EXERCISE, LONGEST_EXERCISE_MS, is_exercise
from cloud.alerts.decide.mutes import EVERYWHERE, LONGEST_MS
from cloud.alerts.decide.people import People
from cloud.alerts.incident import CLOSINGS, FALSE, STAGES, TOLD_AS, Incident, Stage, closed
from cloud.alerts.intent import of_grade

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloud.alerts.decide.desk import Desk
    from cloud.alerts.decide.gather import Gatherer
    from cloud.alerts.decide.mutes import Mutes
    from cloud.alerts.decide.steps import Steps
    from cloud.alerts.intent import Tell
    from cloud.alerts.journal import Journal

Words = Annotated[str, msgspec.Meta(max_length=2_000)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
OF_FIRES = ("escalate", "confirm", "control", "close", "merge", "split")  # what else there is ends when it is over
REOPENS_MS = LONGEST_MS  # after its closing an incident may be opened again for so long


class Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One act of a person, as it lies in the inbox. `who` is a person's code or an account; `by` which way it came."""

    act: Literal[
        "acknowledge",
        "comment",
        "assign",
        "escalate",
        "confirm",
        "control",
        "close",
        "reopen",
        "merge",
        "split",
        "relabel",
        "silence",
        "unsilence",
        "drill",
        "exercise",
        "report",
    ]
    who: Name
    by: Literal["page", "sms", "zalo", "mail", "cli"]
    incident: int = 0
    words: Words = ""
    to: Annotated[str, msgspec.Meta(max_length=128)] = ""  # assign: a person's code
    closed_as: str = ""  # close: one of CLOSINGS
    into: int = 0  # merge
    parts: Annotated[list[int], msgspec.Meta(max_length=1_000)] = []  # split
    place_vi: Annotated[str, msgspec.Meta(max_length=200)] = ""  # relabel
    place_en: Annotated[str, msgspec.Meta(max_length=200)] = ""
    scope: Annotated[str, msgspec.Meta(max_length=128)] = ""  # silence: kind:code, channel:gateway/channel, *
    until_ms: int = 0  # silence, exercise
    number: int = 0  # unsilence
    place: Annotated[str, msgspec.Meta(max_length=128)] = ""  # drill, report: zone:code …
    lat: Annotated[float, msgspec.Meta(ge=-90, le=90)] | None = None  # report
    lon: Annotated[float, msgspec.Meta(ge=-180, le=180)] | None = None
    since_ms: int = 0  # report: when it was sent first; `to` is its own name, `number` how many have sent it


class Refused(Exception):
    """What cannot be done. `why` names the words for it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def reopens(head: Incident, now_ms: int) -> bool:
    """Tell whether what was closed may be opened again: what may be a fire, and is not long over."""
    closed_ms = head.closed_ms
    return closed_ms is not None and head.lives and not head.exercise and abs(now_ms - closed_ms) <= REOPENS_MS


def readable(text: str) -> str:
    """Return a text without what no letter and no page can show: whatever it is shown on stays whole."""
    return "".join(char if char.isprintable() or char == "\n" else " " for char in text)


def on_a_line(text: str) -> str:
    """Return it in one line."""
    return " ".join(readable(text).split())


class Acts:
    """Does what people ask, within the caller's transaction."""

    def __init__(self, journal: Journal, desk: Desk, gatherer: Gatherer, steps: Steps, mutes: Mutes) -> None:
        self._journal, self._desk, self._steps, self._mutes = journal, desk, steps, mutes
        self._gatherer = gatherer
        self._people = People(journal, desk)
        self._does: dict[str, Callable[[Act, int], int]] = {
            "silence": self._silence,
            "unsilence": self._unsilence,
            "drill": self._drill,
            "exercise": self._exercise,
            "report": self._report,
        }
        self._does_to: dict[str, Callable[[Act, Incident, int], None]] = {
            "acknowledge": self._acknowledge,
            "comment": self._comment,
            "assign": self._assign,
            "escalate": self._escalate,
            "confirm": self._confirm,
            "control": self._control,
            "close": self._close,
            "reopen": self._reopen,
            "merge": self._merge,
            "split": self._split,
            "relabel": self._relabel,
        }

    def do(self, act: Act, now_ms: int) -> int:
        """Do it and return the number of the incident (or silence) that it was done to. Raises Refused."""
        act = replace(
            act, words=readable(act.words), place_vi=on_a_line(act.place_vi), place_en=on_a_line(act.place_en)
        )
        if does := self._does.get(act.act):
            return does(act, now_ms)
        try:
            head = self._journal.incident(self._journal.incident(act.incident).head)
        except KeyError:
            raise Refused("no_incident") from None
        if not head.going and act.act not in ("comment", "confirm", "reopen"):
            raise Refused("is_closed")
        if not head.lives and act.act in OF_FIRES:
            raise Refused("no_fire")
        self._does_to[act.act](act, head, now_ms)
        return head.id

    def look_again(self, now_ms: int) -> None:
        """End what people reported, and nobody has answered for hours, within the caller's transaction."""
        self._people.look_again(now_ms)

    def _acknowledge(self, act: Act, head: Incident, now_ms: int) -> None:
        self._has_it(act, head, now_ms)
        self._write(act, head.id, "acknowledged", now_ms)

    def _comment(self, act: Act, head: Incident, now_ms: int) -> None:
        if not act.words.strip():
            raise Refused("no_words")
        self._write(act, head.id, "comment", now_ms)

    def _assign(self, act: Act, head: Incident, now_ms: int) -> None:
        if act.to not in {one.code for one in self._desk.registry.now.contacts if one.email or one.addresses}:
            raise Refused("no_person")
        self._journal.save(replace(head, assignee=act.to, touched_ms=now_ms))
        self._write(act, head.id, "assigned", now_ms, to=act.to)
        self._tell(head, "assigned", now_ms)

    def _escalate(self, act: Act, head: Incident, now_ms: int) -> None:
        if head.stage == "under-control":
            raise Refused("is_controlled")
        self._write(act, head.id, "escalate", now_ms)
        self._steps.hurry(head.id, now_ms)

    def _confirm(self, act: Act, head: Incident, now_ms: int) -> None:
        """It burns: who says so is believed also when another has just closed it, or it closed by itself."""
        if not head.going:
            head = self._opened(act, head, now_ms)
        elif head.stage == "under-control":
            head = replace(head, stage="suspected")  # it has flared up
        self._lead(act, head, "confirmed", now_ms)
        self._tell(head, "confirmed", now_ms)

    def _reopen(self, act: Act, head: Incident, now_ms: int) -> None:
        """It was closed by mistake while it goes on: it is suspected as before, and whoever opens it again has it."""
        if head.going:
            raise Refused("is_open")
        if not any(one.open for one in (head, *self._journal.parts(head.id))):
            raise Refused("is_calm")
        head = self._opened(act, head, now_ms)
        self._has_it(act, head, now_ms)
        self._tell(head, "reopened", now_ms)

    def _opened(self, act: Act, head: Incident, now_ms: int) -> Incident:
        if not reopens(head, now_ms):
            raise Refused("is_closed")
        open_ = replace(head, stage="suspected", closed_ms=None, closed_as="", closed_by="", touched_ms=now_ms)
        self._write(act, head.id, "reopened", now_ms)
        self._journal.never_mind(head.id, "end")
        return self._journal.save(open_)

    def _control(self, act: Act, head: Incident, now_ms: int) -> None:
        self._lead(act, head, "under-control", now_ms)
        if not head.exercise:  # which still ends after its hour
            self._steps.end(head.id)
        self._tell(head, "controlled", now_ms)

    def _close(self, act: Act, head: Incident, now_ms: int) -> None:
        if act.closed_as not in CLOSINGS:
            raise Refused("no_closing")
        if head.exercise and act.closed_as != "drill":
            raise Refused("is_exercise")
        self._journal.save(closed(head, act.closed_as, act.who, now_ms))
        self._write(act, head.id, "closed", now_ms, closed_as=act.closed_as)
        self._steps.end(head.id)
        if head.exercise and is_exercise(self._journal.meta(EXERCISE), head.gateway, now_ms):
            self._journal.set_meta(EXERCISE, "")  # it was the one that smoke was staged for
        self._tell(head, "false" if act.closed_as in FALSE else "closed", now_ms)

    def _merge(self, act: Act, head: Incident, now_ms: int) -> None:
        try:
            into = self._journal.incident(self._journal.incident(act.into).head)
        except KeyError:
            raise Refused("no_incident") from None
        if into.id == head.id or not into.going or into.exercise != head.exercise:
            raise Refused("no_merge")
        for part in (head, *self._journal.parts(head.id)):
            self._journal.save(replace(part, part_of=into.id, touched_ms=now_ms))
        self._write(act, head.id, "merged", now_ms, into=into.id)
        self._write(act, into.id, "joined", now_ms, part=head.id)
        self._steps.inherit(into.id, head.id)
        if not head.muted:
            into = self._journal.save(replace(into, muted="", touched_ms=now_ms))
        if STAGES.index(head.stage) > STAGES.index(into.stage):
            self._journal.save(replace(into, stage=head.stage, touched_ms=now_ms))
            self._tell(into, TOLD_AS[head.stage], now_ms)

    def _split(self, act: Act, head: Incident, now_ms: int) -> None:
        parts = [one for one in self._journal.parts(head.id) if one.id in act.parts]
        if not parts or len(parts) != len(set(act.parts)):
            raise Refused("no_parts")
        first, *others = parts
        own = replace(first, part_of=None, acked_ms=now_ms, acked_by=act.who, touched_ms=now_ms)
        if any(part.open for part in parts) or head.stage != "suspected":
            own = replace(own, stage=head.stage, closed_ms=None, closed_as="")
        self._journal.save(own)
        for part in others:
            self._journal.save(replace(part, part_of=own.id, touched_ms=now_ms))
        self._write(act, head.id, "split", now_ms, parts=act.parts)
        self._write(act, own.id, "split", now_ms, part_of=head.id)
        if own.going:
            self._steps.answered(own.id, now_ms)
        self._gatherer.left(head.id, now_ms)

    def _relabel(self, act: Act, head: Incident, now_ms: int) -> None:
        vi = act.place_vi.strip()
        if not vi:
            raise Refused("no_words")
        self._journal.save(replace(head, place_vi=vi, place_en=act.place_en.strip() or vi, touched_ms=now_ms))
        self._write(act, head.id, "relabelled", now_ms, before=head.place_vi)

    def _silence(self, act: Act, now_ms: int) -> int:
        if not act.words.strip():
            raise Refused("no_words")
        if not act.scope or (act.scope != EVERYWHERE and ":" not in act.scope):
            raise Refused("no_scope")
        if not now_ms < act.until_ms <= now_ms + LONGEST_MS:
            raise Refused("too_long")
        number = self._mutes.put(act.scope, act.who, act.words.strip(), now_ms, act.until_ms)
        self._write(act, act.incident, "silenced", now_ms, silence=number, scope=act.scope, until_ms=act.until_ms)
        return number

    def _unsilence(self, act: Act, now_ms: int) -> int:
        if not self._mutes.lift(act.number, act.who, now_ms):
            raise Refused("no_silence")
        self._write(act, 0, "unsilenced", now_ms, silence=act.number)
        return act.number

    def _drill(self, act: Act, now_ms: int) -> int:
        """Open an incident that is an exercise from its first word, at a place, and have it told as a true one is."""
        incident = self._journal.save(self._desk.exercise(act.place, now_ms))
        self._write(act, incident.id, "opened", now_ms, basis="drill", place=act.place)
        self._tell(incident, "onset", now_ms)
        self._steps.begin(incident.id, now_ms)
        return incident.id

    def _report(self, act: Act, now_ms: int) -> int:
        """People have seen a fire, as they say: suspected, and no more, until somebody of the duty has looked."""
        at = None if act.lat is None or act.lon is None else (act.lat, act.lon)
        return self._people.reported(act.to, act.number, act.place, at, act.since_ms or now_ms, now_ms)

    def _exercise(self, act: Act, now_ms: int) -> int:
        """What is suspected until then is an exercise: smoke is going to be staged."""
        if not now_ms <= act.until_ms <= now_ms + LONGEST_EXERCISE_MS:
            raise Refused("too_long")
        if not act.scope:
            raise Refused("no_scope")
        self._journal.set_meta(EXERCISE, f"{act.until_ms} {act.scope}")
        self._write(act, 0, "exercise", now_ms, until_ms=act.until_ms, gateway=act.scope)
        return 0

    def _lead(self, act: Act, head: Incident, stage: Stage, now_ms: int) -> None:
        if STAGES.index(head.stage) >= STAGES.index(stage):
            raise Refused("is_beyond")
        self._has_it(act, replace(head, stage=stage), now_ms)
        self._write(act, head.id, stage, now_ms)

    def _has_it(self, act: Act, head: Incident, now_ms: int) -> None:
        self._journal.save(replace(head, acked_ms=now_ms, acked_by=act.who, touched_ms=now_ms))
        if head.lives and head.stage != "under-control":
            self._steps.answered(head.id, now_ms)

    def _tell(self, head: Incident, tell: Tell, now_ms: int) -> None:
        self._journal.intend(of_grade(head.grade, head.id, tell, now_ms))

    def _write(self, act: Act, incident: int, event: str, now_ms: int, **inputs: object) -> int:
        return self._journal.event(now_ms, incident, event, act.words.strip(), who=act.who, by=act.by, **inputs)
