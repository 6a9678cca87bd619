"""What came in: messages kept in the SIM and the modem, read, put together, and removed when somebody has them.

A part of a longer text waits in the SIM for the others. What cannot be read is looked at again, as a line may have been
disturbed, and is removed and said when it stays so: a SIM holds few messages, and a full one takes no reply any more.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from typing import TYPE_CHECKING

import msgspec

from at import pdu, talk
from at.number import e164
from cloud.alerts.channels import Reply
from cloud.alerts.modem.ready import MEMORIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.alerts.modem.dialogue import Dialogue

LOG = logging.getLogger(__name__)
LOOKS = 3  # at a message that cannot be read
PARTS_S = 600.0  # for the other parts of a text
_INCOMING = {"0", "1"}  # <stat>: received, unread or read; 2 and 3 are what somebody wrote on the SIM themselves
GAP = "[…]"


class Kept(msgspec.Struct, frozen=True):
    """A message and where it lies; `memory` is empty for one that the modem keeps nowhere."""

    memory: str
    place: str
    line: str
    length: int | None


class Heard(msgspec.Struct, frozen=True):
    """A reply or a report with what it was made of; neither, where there is nothing to tell."""

    reply: Reply | None
    report: pdu.StatusReport | None
    made_of: tuple[Kept, ...]


def fetch(modem: Dialogue) -> list[Kept]:
    """Return all that lies in the modem and reads the same twice: on a serial line no sum tells a 1 from a 2.

    Raises as Dialogue.ask.
    """
    modem.stored = False
    found = [Kept("", str(place), one.line, one.length) for place, one in enumerate(modem.direct)]
    modem.ask("AT+CMGF=0")
    for memory in dict.fromkeys((*MEMORIES, *sorted(modem.memories))):
        if modem.try_all(f'AT+CPMS="{memory}"'):
            listed = [
                Kept(memory, one.fields[0], one.line.upper(), one.length)
                for one in modem.messages("AT+CMGL=4")
                if len(one.fields) > 2 and one.fields[1] in _INCOMING and one.fields[0].isdecimal()
            ]
            found += [one for one in listed if _lies(modem, one)]
    return found


def remove(modem: Dialogue, kept: Kept) -> None:
    """Take a message out, unless another lies in its place by now. Raises as Dialogue.ask."""
    if not kept.memory:
        modem.direct = [one for one in modem.direct if one.line != kept.line]
        return
    modem.ask(f'AT+CPMS="{kept.memory}"')
    if _lies(modem, kept):
        modem.ask(f"AT+CMGD={kept.place}")


def _lies(modem: Dialogue, kept: Kept) -> bool:
    """Tell whether this message lies in its place."""
    try:
        return [one.line.upper() for one in modem.messages(f"AT+CMGR={kept.place}")] == [kept.line]
    except talk.Refused:  # 321: the place is empty
        return False


class Mail:
    """Sorts what was fetched. Its method is called by one thread."""

    def __init__(self, country: str) -> None:
        self._country = country
        self._seen: dict[str, tuple[float, int]] = {}  # when a message that is not whole was first seen, how often

    def sort(self, fetched: Sequence[Kept], now_s: float) -> list[Heard]:
        """Return what is whole, and what there is to remove."""
        lines = {one.line for one in fetched}
        self._seen = {line: seen for line, seen in self._seen.items() if line in lines}
        found: list[Heard] = []
        parts: dict[tuple[str, int, int], list[tuple[Kept, pdu.Deliver]]] = {}
        for one in fetched:
            try:
                message = pdu.read(one.line, one.length)
            except ValueError as error:
                found += self._unreadable(one, error, now_s)
                continue
            if isinstance(message, pdu.StatusReport):
                found.append(Heard(None, message, (one,)))
            elif message.text is None:
                LOG.warning("sms-without-text: a picture or settings; it is removed")
                found.append(Heard(None, None, (one,)))
            elif message.part is None or message.part.total == 1:
                found.append(self._reply([(one, message)], message.text))
            else:
                whole = message.sender, message.part.reference, message.part.total
                parts.setdefault(whole, []).append((one, message))
        for group in parts.values():
            found += self._joined(group, now_s)
        return found

    def _joined(self, group: list[tuple[Kept, pdu.Deliver]], now_s: float) -> list[Heard]:
        texts = {message.part.number: message.text or "" for _, message in group if message.part}
        total = group[0][1].part.total if group[0][1].part else 1
        if len(texts) < total and now_s - min(self._since(one, now_s) for one, _ in group) < PARTS_S:
            return []
        said = "".join(texts.get(number, GAP) for number in range(1, total + 1))
        return [self._reply(group, said)]

    def _since(self, one: Kept, now_s: float) -> float:
        first_s, looks = self._seen.get(one.line, (now_s, 0))
        self._seen[one.line] = first_s, looks + 1
        return first_s

    def _unreadable(self, one: Kept, error: ValueError, now_s: float) -> list[Heard]:
        self._since(one, now_s)
        if one.memory and self._seen[one.line][1] < LOOKS:
            return []
        LOG.error("sms-unreadable why=%r: it is removed", str(error))
        return [Heard(None, None, (one,))]

    def _reply(self, group: list[tuple[Kept, pdu.Deliver]], text: str) -> Heard:
        sender = group[0][1].sender
        with contextlib.suppress(ValueError):  # a name, or a short code: it is no contact
            sender = e164(sender, self._country)
        lines = sorted(one.line for one, _ in group)
        key = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]
        return Heard(Reply(sender, text, key), None, tuple(one for one, _ in group))
