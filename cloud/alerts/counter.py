"""Where people's acts come in: from pages and commands, and as replies that channels heard. Each is done once.

Whatever asks leaves a row in the inbox of this room; what becomes of it is written down with the act itself, so one
that is taken again after a crash is answered and not done twice. A reply counts only from an address that somebody
has, with the code of a letter that was written to them.
"""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from cloud.alerts import words
from cloud.alerts.answers import codes, understood
from cloud.alerts.channels import Receipt, Reply
from cloud.alerts.decide.acts import Act
from cloud.alerts.decide.acts import Refused as CannotBe
from cloud.alerts.replied import Done, Replied
from cloud.inbox import Inbox
from cloud.store import Retry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cloud.alerts.answers import Answer
    from cloud.alerts.channels import Named
    from cloud.alerts.decide.acts import Acts
    from cloud.alerts.journal import Journal
    from cloud.alerts.tell.outbox import Outbox
    from cloud.alerts.tell.readers import Readers
    from cloud.clock import Clock
    from cloud.inbox import Question

LOG = logging.getLogger(__name__)
ROOM = "alerts"
AT_ONCE = 50
BY = {"sms_modem": "sms", "sms_http": "sms", "zalo": "zalo"}
SURE = ("zalo",)  # kinds whose network vouches for who writes: there one open letter needs no code
Outcome = dict[str, Any]


class Counter:
    """Works in the thread that judges, in transactions of the journal."""

    def __init__(
        self,
        folder: Path,
        journal: Journal,
        acts: Acts,
        outbox: Outbox,
        readers: Readers,
        channels: Sequence[Named],
        clock: Clock,
    ) -> None:
        self._folder, self._journal, self._acts = folder, journal, acts
        self._outbox, self._readers, self._clock = outbox, readers, clock
        self._replied = Replied(journal, readers)
        self._channels = {one.name: one for one in channels}
        self._inbox: Inbox | None = None
        self.why = ""  # what keeps acts from coming in
        self.counts = {"replies": 0, "replies_refused": 0, "receipts": 0}

    def serve(self) -> bool:
        """Do what people have asked; tell whether more may wait."""
        questions: list[Question] = []
        try:
            if self._inbox is None:
                self._inbox = Inbox(self._folder, ROOM, self._clock)
            questions = self._inbox.take(AT_ONCE)
            for question in questions:
                self._inbox.done(question.id, self._answered(question))
            self.why = ""
        except (Retry, OSError) as fault:
            if not self.why:
                LOG.error("acts-do-not-come-in why=%r", str(fault))  # noqa: TRY400 - the words say it all
            self.why = str(fault)
            self.close()  # opened anew at the next look, and made anew where it was damaged
            return False
        return len(questions) == AT_ONCE

    def close(self) -> None:
        """Let go of the inbox. May be called twice."""
        if self._inbox is not None:
            self._inbox.close()
            self._inbox = None

    def _answered(self, question: Question) -> Outcome:
        """Answer a question; one that cannot be, for whatever reason, is told so and keeps nobody else waiting."""
        try:
            return self._answer(question)
        except (sqlite3.Error, OSError, Retry):
            raise  # a file's fault and not the question's: it waits
        except Exception as fault:
            LOG.exception("act-failed question=%d kind=%s", question.id, question.kind)
            return {"ok": False, "why": "failed", "fault": f"{type(fault).__name__}: {fault}"} | words.refusal("failed")

    def _answer(self, question: Question) -> Outcome:
        match question.kind:
            case "act":
                body = dict(question.body)
                key = str(body.pop("key", ""))  # of one tap: a page that never heard what became of it sends it again
                return self._once(f"tap.{key}" if key else f"{question.id}.{question.asked_ms}", body, self._act)
            case "reply" | "receipt":
                return self._heard(question.kind, question.body)
        return {"ok": False, "words_en": f"a question of an unknown kind {question.kind!r}"}

    def _once(self, key: str, body: dict[str, Any], do: Any) -> Outcome:
        """Do it in one transaction with its outcome; what was done before is answered as it was then."""
        with self._journal.transaction() as db:
            before = db.execute("SELECT outcome FROM act WHERE key = ?", (key,)).fetchone()
            if before:
                return dict(msgspec.json.decode(before[0]))
            now_ms = self._clock.utc_ms()
            outcome: Outcome = do(body, now_ms)
            if key.startswith("tap.") and not outcome["ok"]:
                return outcome  # nothing was done: what was refused may be sent again with better words
            db.execute("INSERT INTO act VALUES (?, ?, ?)", (key, now_ms, msgspec.json.encode(outcome).decode()))
            return outcome

    def _act(self, body: dict[str, Any], now_ms: int) -> Outcome:
        try:
            act = msgspec.convert(body, Act)
        except msgspec.ValidationError as error:
            return {"ok": False, "why": "unfit", "words_vi": str(error), "words_en": str(error)}
        return self._do(act, now_ms)

    def _do(self, act: Act, now_ms: int) -> Outcome:
        try:
            return {"ok": True, "number": self._acts.do(act, now_ms)}
        except CannotBe as refused:
            return {"ok": False, "why": refused.why} | words.refusal(refused.why)

    def _heard(self, kind: str, body: dict[str, Any]) -> Outcome:
        try:
            if kind == "receipt":
                receipt = msgspec.convert(body["receipt"], Receipt)
                return self._once(f"receipt.{receipt.message}.{receipt.ok}", {"receipt": receipt}, self._receipt)
            reply, channel = msgspec.convert(body["reply"], Reply), str(body["channel"])
        except (msgspec.ValidationError, KeyError) as error:
            return {"ok": False, "words_en": f"unreadable: {error}"}
        return self._once(f"reply.{channel}.{reply.key}", {"reply": reply, "channel": channel}, self._reply)

    def _receipt(self, body: dict[str, Any], now_ms: int) -> Outcome:
        self.counts["receipts"] += 1
        receipt: Receipt = body["receipt"]
        return {"ok": self._outbox.receipt(receipt.message, receipt.words, now_ms, ok=receipt.ok)}

    def _reply(self, body: dict[str, Any], now_ms: int) -> Outcome:
        reply: Reply = body["reply"]
        channel: str = body["channel"]
        kind = self._kind(channel)
        people = {reader.person: reader for reader in self._readers.at(channel, reply.sender)}
        found = codes(reply.text)
        tried = ((code, self._replied.letters.to(code, people, code_needed=kind not in SURE)) for code in found or [""])
        code, letter = next(((code, one) for code, one in tried if one), ("", None)) if people else ("", None)
        if letter is None:
            if people and kind in BY:
                self._replied.puzzled(people[min(people)], channel, found[0] if found else "", now_ms)
            self.counts["replies_refused"] += 1
            why = "no letter with that code was written to them" if people else "nobody has that address"
            who = self._readers.code_of(min(people)) if people else "?"
            said_ = reply.text[:500] if people else ""  # of strangers nothing is kept
            self._journal.event(now_ms, 0, "reply-refused", said_, who=who, why=why, channel=channel)
            return {"ok": False, "why": why}
        self.counts["replies"] += 1
        number, person = letter
        said, who = understood(reply.text, code), self._readers.code_of(person)
        heads = dict.fromkeys(self._journal.incident(one).head for one in self._outbox.incidents(number))
        before = [self._journal.incident(head) for head in heads]
        outcomes = [self._does(said, one.id, who, channel, now_ms) for one in before]
        if kind in BY and before:
            done = [Done(one, said.does, of[0]) for one, of in zip(before, outcomes, strict=True)]
            self._replied.understood(people[person], channel, done, now_ms)
        return {
            "ok": any(one["ok"] for of in outcomes for one in of),
            "outcomes": [one for of in outcomes for one in of],
        }

    def _kind(self, channel: str) -> str:
        return self._channels[channel].kind if channel in self._channels else ""

    def _does(self, said: Answer, incident: int, who: str, channel: str, now_ms: int) -> list[Outcome]:
        """Do to an incident what an answer says; who writes anything at all has seen it, and is in its history."""
        told = {"act": "acknowledge", "who": who, "by": BY.get(self._kind(channel), "sms"), "incident": incident}
        seen = msgspec.convert(told, Act)
        meaning = {"act": said.act, "words": said.words, "closed_as": said.closed_as}
        meant = msgspec.convert(told | meaning, Act)
        outcomes = [self._do(meant, now_ms)]
        if said.act == "comment":
            outcomes.append(self._do(seen, now_ms))
        elif not outcomes[0]["ok"]:
            outcomes.append(self._do(replace(seen, words=said.words), now_ms))
        if not any(one["ok"] for one in outcomes):
            refused = {"who": who, "channel": channel, "refused": outcomes[0]["why"]}
            self._journal.event(now_ms, incident, "reply-refused", said.words, **refused)
        return outcomes
