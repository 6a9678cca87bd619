"""Whoever answers by a message is told at once, by the same way, what became of it.

Only who is known is written to, and nobody without end: two machines that answer each other stop at `ANSWERS` letters
within an hour, and at `ASKS` where nothing was understood. What is said is written in the transaction that does what
was asked, so it is said once, whatever dies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from cloud.alerts import words
from cloud.alerts.incident import CLOSINGS, Incident
from cloud.alerts.tell.answered import Answered, Said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.alerts.journal import Journal
    from cloud.alerts.tell.readers import Readers
    from cloud.alerts.tell.route import Reader

ANSWERS, ASKS = 12, 3  # within an hour, to one person
NAME = 24  # letters of a person's name in an SMS
LANGUAGES = ("vi", "en")
Outcome = dict[str, Any]


class Done(msgspec.Struct, frozen=True):
    """What an answer did to an incident, as it was before: the outcome of what was meant."""

    before: Incident
    does: str
    outcome: Outcome


class Replied:
    """Writes back, within the caller's transaction. `letters` knows which one an answer belongs to."""

    def __init__(self, journal: Journal, readers: Readers) -> None:
        self.letters, self._readers = Answered(journal), readers

    def understood(self, reader: Reader, channel: str, done: Sequence[Done], now_ms: int) -> None:
        """Say what became of an answer to these incidents; the first of which something came leads."""
        first = next((one for one in done if one.outcome["ok"]), done[0])
        who = self._readers.code_of(reader.person)
        kind, since_ms, closed_as, why = _told(first, who)
        refusal = words.refusal(why) if why else {}
        fields = {}
        for lang in LANGUAGES:
            place = first.before.place_vi if lang == "vi" else first.before.place_en
            fields[lang] = {
                "who": _brief(self._readers.name_of(who)),
                "other": _brief(self._readers.name_of(first.before.acked_by)),
                "at": words.clock(now_ms, now_ms),
                "since": "" if since_ms is None else words.clock(since_ms, now_ms),
                "closed": words.closing(closed_as, lang),
                "why": refusal.get(f"words_{lang}", ""),
                "place": f"{place} (+{len(done) - 1})" if len(done) > 1 else place,
            }
        incidents = [one.before.id for one in done]
        self._write(kind, reader, channel, fields, incidents, now_ms, exercise=first.before.exercise)

    def puzzled(self, reader: Reader, channel: str, code: str, now_ms: int) -> None:
        """Say that an answer was not understood, or that no letter to its sender has such a code."""
        nothing: dict[str, words.Fields] = {lang: {} for lang in LANGUAGES}
        self._write("wrong_code" if code else "no_code", reader, channel, nothing, (), now_ms)

    def _write(
        self,
        kind: str,
        reader: Reader,
        channel: str,
        fields: dict[str, words.Fields],
        incidents: Sequence[int],
        now_ms: int,
        *,
        exercise: bool = False,
    ) -> None:
        group, most = (f"back|{reader.person}", ANSWERS) if incidents else (f"asked back|{reader.person}", ASKS)
        way = next((way for way in reader.addresses if way[0] == channel), None)
        if way is None or self.letters.written(group, now_ms) >= most:
            return
        said = Said(*words.written_back(kind, reader.lang, fields, exercise=exercise), exercise=exercise)
        self.letters.write_back(reader, way, said, incidents, now_ms, group)


def _told(done: Done, who: str) -> tuple[str, int | None, str, str]:
    """Return (which words fit, since when it was so, as what it was closed, why it cannot be)."""
    before, does, outcome = done.before, done.does, done.outcome
    if not before.going and not (does == "confirm" and outcome["ok"]):
        return "over" if before.closed_as else "past", before.closed_ms, before.closed_as, ""
    if not outcome["ok"]:
        return "refused", None, "", outcome["why"]
    if does in ("confirm", "control"):
        return does, None, "", ""
    if does in CLOSINGS:
        return "close", None, does, ""
    if before.acked_ms is not None and before.acked_by != who:
        return "also", before.acked_ms, "", ""
    return ("taken" if does == "acknowledge" else "remark"), None, "", ""


def _brief(name: str) -> str:
    return name if len(name) <= NAME else f"{name[: NAME - 1]}…"
