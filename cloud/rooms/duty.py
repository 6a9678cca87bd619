"""What who is on duty sees and does: the staff's pages joined with the journal and the inbox of the alerts' room."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from cloud.alerts import causes
from cloud.alerts.decide.acts import reopens
from cloud.alerts.incident import Incident
from cloud.alerts.rules.detect import reasons
from cloud.alerts.site import is_elsewhere
from cloud.alerts.tell import link
from cloud.alerts.tell.readers import named_in_letters
from cloud.alerts.watching import Watching
from cloud.alerts.wiring import JOURNAL
from cloud.inbox import Asker
from cloud.registry import Registry
from cloud.registry.kinds import Tree
from cloud.rooms.hooks import Hooks
from cloud.staff.duty.seen import Channel, Event, Linked, Outcome, Quiet, Seen, Sent, Silence, Wanted, Watch, Whole
from cloud.store import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from cloud.alerts.channels import Named
    from cloud.clock import Clock
    from cloud.staff.duty.seen import Judged
    from cloud.staff.shelf import Shelf

MOST_OPEN, MOST_LINES = 200, 500
MACHINE = "alerts"  # who the journal says it was where nobody did it
DEAF_S, TICKS = 60.0, 6  # until a room that counts no listening hears nothing
PATIENCE_S, LOOK_S = 2.5, 0.05  # who acts waits so long for what becomes of it
LANGUAGES = ("vi", "en")


class DutyDesk:
    """`rules` are those of cloud.toml: what limit an incident crossed stands there. `tick_s` is that of `[alerts]`."""

    def __init__(
        self,
        folder: Path,
        shelf: Shelf,
        rules: Iterable[Mapping[str, Any]],
        clock: Clock,
        tick_s: float = 5.0,
        channels: Callable[[], Sequence[Named]] = list,
    ) -> None:
        self._listened: tuple[int, float] | None = None  # for how long the room has listened in all, and since when
        self._deaf_s = max(DEAF_S, TICKS * tick_s)
        self._folder, self._shelf, self._clock = folder, shelf, clock
        self._watching = Watching(folder / JOURNAL)
        self._asker = Asker(folder, "alerts", clock)
        self._hooks = Hooks(channels, self._asker)
        limits = {str(rule.get("name")): rule.get("over", rule.get("under")) for rule in rules}
        self._limits = {name: float(limit) for name, limit in limits.items() if isinstance(limit, (int, float))}

    @property
    def ill(self) -> str:
        """What keeps fires from being seen, "" where nothing does.

        A room that hangs listens no longer, nor does one without a broker: known once it was looked at for a minute.
        One whose journal takes nothing decides elsewhere, and nothing of that is seen here.
        """
        if not self._asker.attended():
            return "unattended"
        if is_elsewhere(self._folder / JOURNAL):
            return "elsewhere"
        listened_ms, now_s = self._watching.listened_ms(), self._clock.monotonic()
        if self._listened is None or self._listened[0] != listened_ms:
            self._listened = listened_ms, now_s
        return "deaf" if now_s - self._listened[1] > self._deaf_s else ""

    def going(self) -> list[Seen]:
        """Return the heads with which people are not done."""
        return [self._seen(head, parts, step) for head, parts, step in self._watching.going(MOST_OPEN)]

    def silences(self) -> list[Silence]:
        """Return the silences in force."""
        return [Silence(*row) for row in self._watching.silences(self._clock.utc_ms())]

    def channels(self) -> list[Channel]:
        """Return how each channel is."""
        return [Channel(*msgspec.structs.astuple(one)) for one in self._watching.channels(self._clock.utc_ms())]

    def nodes(self) -> dict[tuple[str, str], Watch]:
        """Return what ails nodes."""
        return {(at, node): Watch(tuple(told.split()), ms) for at, node, told, ms in self._watching.nodes()}

    def quiet(self) -> Quiet:
        """Return when the last was closed, and the last exercise was."""
        return Quiet(*self._watching.quiet())

    def whole(self, number: int) -> Whole | None:
        """Return one incident."""
        found = self._watching.story(number, MOST_LINES)
        if found is None:
            return None
        events = [
            Event(at_ms, event, "" if who == MACHINE else who, words, _inputs(text))
            for at_ms, event, who, words, text in found.events
        ]
        codes = self._codes()
        letters = [
            Sent(one.at_ms, codes.get(one.person, one.person), *msgspec.structs.astuple(one)[2:])
            for one in found.letters
        ]
        seen = self._seen(found.incident, tuple(one.id for one in found.parts), self._watching.step(number))
        seen = msgspec.structs.replace(seen, goes_on=any(one.open for one in (found.incident, *found.parts)))
        return Whole(seen, tuple(self._seen(one) for one in found.parts), tuple(events), tuple(letters), found.older)

    def past(self, wanted: Wanted, limit: int) -> list[Seen]:
        """Return heads of a grade, newest first; those of a zone are those of its trees, too."""
        kind, _, code = wanted.place.partition(":")
        trees = self._shelf.rows("tree") if kind == "zone" else []
        places = [wanted.place] if wanted.place else []
        places += [f"tree:{one.code}" for one in trees if isinstance(one, Tree) and one.zone == code]
        asked = {name: getattr(wanted, name) for name in wanted.__struct_fields__ if name != "place"}
        return [self._seen(one) for one in self._watching.past(limit, places, **asked)]

    def act(self, body: Mapping[str, Any]) -> Outcome:
        """Ask for an act, and wait a moment for what becomes of it."""
        number = self._asker.ask("act", dict(body))
        until_s = self._clock.monotonic() + (PATIENCE_S if self._asker.attended() else 0.0)
        while self._clock.monotonic() < until_s:
            if (told := self._outcome(number)) is not None:
                vi, en = (str(told.get(f"words_{lang}", "")) for lang in ("vi", "en"))
                return Outcome(bool(told.get("ok")), vi or en, en, int(told.get("number", 0)))
            self._clock.wait(threading.Event(), LOOK_S)
        return Outcome(None)

    def _outcome(self, number: int) -> dict[str, Any] | None:
        """Return what became of an act that is durable already; None where that cannot be read now."""
        with suppress(Retry, LookupError):
            return self._asker.outcome(number)
        return None

    def posted(self, channel: str, headers: Mapping[str, str], body: bytes) -> Judged:
        """Judge what a network posted, and lay it down."""
        return self._hooks.posted(channel, headers, body)

    def link(self, token: str) -> Linked | None:
        """Return what the link of a letter leads to. Raises OSError where its key cannot be read."""
        letter = link.letter_of(link.key_of(self._folder), token, self._clock.utc_ms())
        found = self._watching.letter(letter) if letter is not None else None
        if found is None:
            return None
        person, incidents = found
        code = self._codes().get(person)  # who is in the registry no more answers no more
        return Linked(tuple(incidents), code) if code else None

    def close(self) -> None:
        """Close the inbox."""
        self._asker.close()

    def _codes(self) -> dict[str, str]:
        """Return the codes of people by how letters know them."""
        read = Registry({kind: self._shelf.rows(kind) for kind in ("person", "duty")})
        return {person: one.code for one, person in named_in_letters(read.contacts)}

    def _seen(self, one: Incident, parts: tuple[int, ...] = (), step: tuple[int, int] | None = None) -> Seen:
        own = {name: getattr(one, name) for name in _SAME}
        (rung, due_ms), claim = step or (0, None), _claim(one.claim)
        vi, en = (tuple(reasons(one.claim, lang)) if claim.get("reasons") else () for lang in LANGUAGES)
        muted_vi, _, muted_en = one.muted.partition("\n")
        cause_vi, cause_en = (causes.told(one.cause, lang) for lang in LANGUAGES)
        return Seen(
            number=one.id, parts=parts, claim=claim, limit=self._limits.get(one.rule), next_ms=due_ms,
            next_rung=rung, reasons_vi=vi, reasons_en=en, muted_vi=muted_vi, muted_en=muted_en,
            cause_vi=cause_vi, cause_en=cause_en, reopens=reopens(one, self._clock.utc_ms()), goes_on=one.open,
            fire=one.lives, **own,
        )  # fmt: skip


_SAME = tuple(name for name in Seen.__struct_fields__ if name in Incident.__struct_fields__ and name != "claim")


def _inputs(text: str) -> dict[str, Any]:
    try:
        return dict(msgspec.json.decode(text))
    except (ValueError, TypeError):
        return {}


def _claim(text: str) -> dict[str, Any]:
    """Return what the detector said, by name."""
    try:
        told = msgspec.json.decode(text) if text else {}
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
