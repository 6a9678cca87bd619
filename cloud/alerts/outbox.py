"""Telling people: a row before the first try, a stable message id, and "told" only after the other side accepted.

A row is `waiting`, marked `sending` before each try, then `sent` or `given up`; `replaced` rows were never tried and
say nothing new. A crash between acceptance and our commit leaves `sending`, which is tried again: at most one repeat
per crash, under the same id. An ordered restart finds no such row and repeats nothing.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import msgspec

from cloud.alerts import words
from cloud.alerts.channels import Channel, GiveUp, Message, Retry
from cloud.registry import Contact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cloud.alerts.incident import Incident
    from cloud.alerts.journal import Journal
    from cloud.alerts.rules import Rule
    from cloud.clock import Clock
    from cloud.registry import Registry

CONSOLE, EMAIL = "console", "email"
FIRST_S, LONGEST_S = 2.0, 300.0  # back-off: full jitter up to 2, 4, 8 … 300 s
STEP_S = 5.0  # a slow server may not keep the rules waiting longer than this and one time-out
AT_ONCE = 50
_DUE = """
SELECT id, incident, kind, channel, who, message, attempts, created_ms FROM outbox
WHERE state IN ('waiting', 'sending') AND next_ms <= ? AND channel IN (SELECT value FROM json_each(?)) AND NOT EXISTS
  (SELECT 1 FROM outbox AS before WHERE before.id = outbox.follows AND before.state IN ('waiting', 'sending'))
ORDER BY next_ms, id LIMIT ?"""


class Letter(msgspec.Struct, frozen=True):
    """One row of the outbox that is due."""

    id: int
    incident: int
    kind: str
    channel: str
    who: str
    message: Message
    attempts: int
    created_ms: int


class Outbox:
    """The table `outbox`, and the only caller of channels."""

    def __init__(self, journal: Journal, channels: Mapping[str, Channel], clock: Clock, give_up_s: float) -> None:
        self._journal = journal
        self._channels = channels
        self._names = msgspec.json.encode(sorted(channels)).decode()
        self._clock = clock
        self._give_up_ms = round(give_up_s * 1000)
        self._closed_until: dict[str, int] = {}  # channel → UTC ms before which nobody would get through

    def post_intents(self, registry: Registry, rules: Mapping[str, Rule], *, mail_late: bool) -> None:
        """Put the messages that intents ask for into the box, to the contacts of the rule's role."""
        intents = self._journal.intents(int(self._journal.meta("posted", "0")))
        if not intents:
            return
        with self._journal.transaction():
            for intent in intents:
                incident = self._journal.incident(intent.incident)
                rule = rules.get(incident.rule)
                contacts = [c for c in registry.contacts if rule is not None and c.role == rule.role and c.email]
                self.post_line(incident, intent.tell)
                if intent.tell == "end" or (intent.tell == "late_end" and mail_late):
                    self.post_end(incident, rule, registry.contacts)
                elif intent.tell in ("onset", "again", "was") or (intent.tell == "late" and mail_late):
                    self.post(incident, rule, intent.tell, contacts)
                    if not contacts:
                        role = rule.role if rule else "?"
                        words_ = f"no contact has the role {role!r}: add one to the garden's contacts"
                        self._journal.event(self._clock.utc_ms(), incident.id, "tell-failed", words_)
                        self._journal.save(msgspec.structs.replace(incident, untold=True))
                self._journal.set_meta("posted", str(intent.id))

    def post(self, incident: Incident, rule: Rule | None, tell: str, contacts: Iterable[Contact]) -> None:
        """Put messages for these contacts into the box, within the caller's transaction; none where mail is off."""
        for contact in contacts if EMAIL in self._channels else ():
            self._put(incident, rule, tell, contact, EMAIL)

    def post_line(self, incident: Incident, tell: str) -> None:
        """Put the console's line into the box, within the caller's transaction."""
        self._put(incident, None, tell, Contact("console", "", ""), CONSOLE)

    def post_end(self, incident: Incident, rule: Rule | None, contacts: Sequence[Contact]) -> None:
        """Tell the end to everybody who was told the beginning.

        Who has not even been tried gets one message for both: what was, from when to when.
        """
        languages = {contact.email: contact.lang for contact in contacts}
        for number, who, state, attempts in self._onsets(incident.id):
            fresh = state == "waiting" and attempts == 0
            contact = Contact(who, "", who, languages.get(who, "vi"))
            if fresh:
                self._set(number, "replaced", words="it ended before it could be told")
            never_knew = fresh or state == "given up"
            self._put(incident, rule, "was" if never_knew else "end", contact, EMAIL)

    def send_due(self) -> int:
        """Try what is due, and return how many messages were accepted."""
        started, accepted = self._clock.monotonic(), 0
        rows = self._journal.db.execute(_DUE, (self._clock.utc_ms(), self._names, AT_ONCE)).fetchall()
        for row in rows:
            letter = _letter(row)
            if self._clock.monotonic() - started > STEP_S:
                break
            if self._closed_until.get(letter.channel, 0) <= self._clock.utc_ms():
                accepted += self._try(letter, self._channels[letter.channel])
        return accepted

    def _try(self, letter: Letter, channel: Channel) -> bool:
        with self._journal.transaction():
            next_ms = self._clock.utc_ms() + round(1000 * _longest_s(letter))  # whatever happens, others come first
            self._set(letter.id, "sending", attempts=letter.attempts + 1, next_ms=next_ms)
        try:
            channel.send(letter.message)
        except Retry as retry:
            self._later(letter, retry)
            return False
        except GiveUp as reason:
            self._give_up(letter, str(reason))
            return False
        with self._journal.transaction():
            self._set(letter.id, "sent")
            self._event(letter, "told", f"{letter.kind} accepted", attempts=letter.attempts + 1)
        return True

    def _later(self, letter: Letter, retry: Retry) -> None:
        now_ms = self._clock.utc_ms()
        if now_ms - letter.created_ms > self._give_up_ms:
            self._give_up(letter, f"still not accepted after {self._give_up_ms // 1000} s: {retry}")
            return
        next_ms = now_ms + round(1000 * max(retry.after_s, random.uniform(0, _longest_s(letter))))
        if retry.everybody:
            self._closed_until[letter.channel] = next_ms
        with self._journal.transaction():
            self._set(letter.id, "waiting", next_ms=next_ms, words=str(retry))
            if letter.attempts == 0:
                self._event(letter, "tell-failed", f"will be tried again: {retry}")

    def _give_up(self, letter: Letter, reason: str) -> None:
        with self._journal.transaction():
            self._set(letter.id, "given up", words=reason)
            self._event(letter, "tell-failed", f"given up: {reason}")

    def _put(self, incident: Incident, rule: Rule | None, tell: str, contact: Contact, channel: str) -> None:
        now_ms, db = self._clock.utc_ms(), self._journal.db
        number = int(db.execute("SELECT coalesce(max(id), 0) + 1 FROM outbox").fetchone()[0])
        before = "SELECT coalesce(max(id), 0) FROM outbox WHERE incident = ? AND channel = ? AND who = ?"
        follows = int(db.execute(before, (incident.id, channel, contact.email)).fetchone()[0])
        message = Message(
            id=f"{self._journal.meta('uid')}.{incident.id}.{tell}.{number}",
            at_ms=now_ms,
            to=contact.email,
            subject=words.subject(incident, tell),
            text=words.text(incident, rule, tell, contact.lang) if channel != CONSOLE else "",
            line=words.line(incident, tell),
        )
        body = msgspec.json.encode(message).decode()
        row = (number, incident.id, tell, channel, contact.email, body, "waiting", 0, now_ms, now_ms, follows, "")
        db.execute(f"INSERT INTO outbox VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608

    def _onsets(self, incident: int) -> list[tuple[int, str, str, int]]:
        """Return the newest message about the beginning for each contact of an incident."""
        query = (
            "SELECT max(id), who, state, attempts FROM outbox WHERE incident = ? AND channel = ?"
            " AND kind IN ('onset', 'again') GROUP BY who ORDER BY id"
        )
        return list(self._journal.db.execute(query, (incident, EMAIL)))

    def _set(self, number: int, state: str, **columns: Any) -> None:
        columns["state"] = state
        settings = ", ".join(f"{name} = ?" for name in columns)
        self._journal.db.execute(f"UPDATE outbox SET {settings} WHERE id = ?", (*columns.values(), number))  # noqa: S608

    def _event(self, letter: Letter, event: str, what: str, **inputs: Any) -> None:
        inputs |= {"channel": letter.channel, "to": letter.who, "message_id": letter.message.id}
        self._journal.event(self._clock.utc_ms(), letter.incident, event, what, **inputs)


def _longest_s(letter: Letter) -> float:
    return min(LONGEST_S, FIRST_S * 2.0 ** min(letter.attempts, 16))


def _letter(row: tuple[Any, ...]) -> Letter:
    number, incident, kind, channel, who, message, attempts, created_ms = row
    return Letter(
        id=number,
        incident=incident,
        kind=kind,
        channel=channel,
        who=who,
        message=msgspec.json.decode(message, type=Message),
        attempts=attempts,
        created_ms=created_ms,
    )
