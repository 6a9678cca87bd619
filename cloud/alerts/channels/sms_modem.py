"""SMS by an own modem with an own SIM, in PDU mode: the way that needs no internet, and that people can answer.

Accepted means that the network has the message (`+CMGS: n`); whether the telephone has it, a delivery report says.
What is sent is `short`, one message in letters of GSM-7: a single accented letter would halve what fits, and a second
part may come late or never. Replies are read from the SIM, also those of while we were down, and removed from it when
they are safe. The line has one owner, the thread `modem-…` (`cloud/alerts/modem/`).

Parts that the network has are not sent again when the letter is, nor is a letter of which the modem says late, after
`deadline_s`, that it has left. What no memory outlasts is a restart in that moment: then it may come twice.
"""

from __future__ import annotations

import logging
import threading
import zlib
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from at import alphabet, pdu, talk
from at.number import VIETNAM, e164
from cloud.alerts.channels import ChannelConfig, GiveUp, Message, Receipt, Reply, Retry
from cloud.alerts.modem import causes, mail
from cloud.alerts.modem.desk import Desk
from cloud.alerts.modem.ready import Readiness, registered
from cloud.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloud.alerts.modem.dialogue import Dialogue
    from cloud.clock import Clock

LOG = logging.getLogger(__name__)
SWEEP_S = 30.0  # how often a modem that says nothing is asked whether something came
STOP_S = 0.5  # how long a listener may take to see that it is to end
REMEMBERED = 256  # references that a modem gives before it begins anew


class SmsModemConfig(ChannelConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[[channel]]` with kind = "sms_modem"; its addresses stand in the column `addresses` of people.csv."""

    kind: Annotated[Literal["sms_modem"], msgspec.Meta(description="which kind of channel")]
    port: Annotated[
        str,
        msgspec.Meta(
            description="the modem's AT port, by a whole name that stays: /dev/gocche/modem-at-…", pattern="^/."
        ),
    ]
    baud: Annotated[int, msgspec.Meta(description="symbols a second; USB modems take any", ge=1_200, le=4_000_000)] = (
        115_200
    )
    pin_file: Annotated[str, msgspec.Meta(description="file that holds the SIM's PIN; better take the PIN off")] = ""
    smsc: Annotated[
        str,
        msgspec.Meta(
            description="service centre like +84980200030, where the SIM has none", pattern=r"^(\+[1-9][0-9]{6,14})?$"
        ),
    ] = ""
    country: Annotated[
        str, msgspec.Meta(description="country of numbers that are written with 0: 84", pattern="^[1-9][0-9]{0,2}$")
    ] = VIETNAM
    says: Annotated[
        Literal["short", "plain", "full"],
        msgspec.Meta(
            description="short: one message without accents; plain: the whole letter without accents; full: as it is "
            "written, in 70 letters a part"
        ),
    ] = "short"
    parts: Annotated[int, msgspec.Meta(description="the most parts of a letter that is not short", ge=1, le=10)] = 4
    report: Annotated[bool, msgspec.Meta(description="ask whether the telephone has it; some operators charge")] = True
    valid_h: Annotated[
        float, msgspec.Meta(description="hours for which the network tries a telephone that is off", ge=0.1, le=1_512)
    ] = 12.0
    deadline_s: Annotated[
        float,
        msgspec.Meta(description="the longest that one message may take, start to end", gt=0, le=45),
    ] = 40.0


CONFIG = SmsModemConfig


class _Flights:
    """Which messages are on their way: what has left is not sent again, and a report finds its letter."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: OrderedDict[str, set[int]] = OrderedDict()  # letter → its parts that the network has
        self._references: OrderedDict[tuple[int, str], tuple[str, int]] = OrderedDict()
        self._awaited: OrderedDict[str, set[int]] = OrderedDict()  # letter → its parts that no telephone has yet

    def left(self, letter: str) -> set[int]:
        with self._lock:
            return set(self._left.get(letter, ()))

    def note(self, letter: str, to: str, part: int, reference: int) -> None:
        with self._lock:
            self._left.setdefault(letter, set()).add(part)
            self._awaited.setdefault(letter, set()).add(part)
            self._references.pop((reference, to), None)
            self._references[reference, to] = letter, part
            for book in (self._left, self._references, self._awaited):
                while len(book) > REMEMBERED:
                    book.popitem(last=False)

    def sent(self, letter: str) -> None:
        """Forget that it has left: who sends it again, means it."""
        with self._lock:
            self._left.pop(letter, None)

    def landed(self, report: pdu.StatusReport, to: str) -> Receipt | None:
        """Return what there is to say of a letter: that all its parts arrived, or that one did not."""
        if report.arrived is None:
            return None
        with self._lock:
            letter, part = self._references.pop((report.reference, to), ("", 0))
            awaited = self._awaited.get(letter)
            if awaited is None:
                return None  # of an earlier life, or of somebody else's message
            awaited.discard(part)
            if report.arrived and awaited:
                return None
            del self._awaited[letter]
        return Receipt(letter, report.arrived, causes.report(report.status))


class CHANNEL:
    """A modem and its SIM."""

    def __init__(self, config: CONFIG) -> None:
        self._config = config
        self._clock: Clock = SystemClock()
        self._flights = _Flights()
        self._readiness = Readiness(config.pin_file)
        self._name = config.name or config.kind
        self._desk = Desk(self._name, config.port, config.baud, self._readiness.prepare, self._clock)
        self._mail = mail.Mail(config.country)

    @property
    def deadline_s(self) -> float:
        """For all parts of a letter; where the signal is weak the network takes most of it."""
        return self._config.deadline_s

    def send(self, message: Message) -> None:
        """Return when the network has it. Raises Retry or GiveUp."""
        try:
            to = e164(message.to, self._config.country)
        except ValueError as error:
            raise GiveUp(str(error)) from error
        try:
            parts = pdu.submit(
                to,
                self._words(message),
                reference=zlib.crc32(message.id.encode()) & 0xFF,
                smsc=self._config.smsc,
                validity_min=max(round(self._config.valid_h * 60), 5),
                report=self._config.report,
            )
        except ValueError as error:
            raise GiveUp(str(error)) from error
        self._desk.ask(partial(self._hand_over, message.id, to, parts), self.deadline_s, urgent=True)
        self._flights.sent(message.id)

    def check(self) -> None:
        """Return when the modem answers, its SIM is open and it is in a network. Raises Retry."""

        def look(modem: Dialogue) -> None:
            self._readiness.prepare(modem)
            registered(modem)

        self._desk.ask(look, self.deadline_s)

    def listen(self, hear: Callable[[Reply | Receipt], None], stop: threading.Event) -> None:
        """Hear replies and receipts until stopped; a message leaves the SIM when `hear` has returned.

        A modem that is away is asked every `SWEEP_S`: whoever answers is not to wait for more. Raises what `hear` does.
        """
        why = ""
        while not stop.is_set():
            self._desk.news.clear()
            try:
                fetched = self._desk.ask(mail.fetch, self.deadline_s)
            except Retry as lost:
                if not why:
                    LOG.error("channel-deaf channel=%s why=%r", self._name, str(lost))  # noqa: TRY400 - words say it all
                why = str(lost)
                self._clock.wait(stop, SWEEP_S)
                continue
            if why:
                LOG.warning("channel-hears channel=%s", self._name)
                why = ""
            for heard in self._mail.sort(fetched, self._clock.monotonic()):
                told = heard.reply or (heard.report and self._receipt(heard.report))
                if told:
                    hear(told)
                for one in heard.made_of:
                    self._desk.ask(partial(_remove, one), self.deadline_s)
                if stop.is_set():
                    return
            again_s = self._clock.monotonic() + SWEEP_S
            while not self._desk.news.wait(STOP_S) and self._clock.monotonic() < again_s and not stop.is_set():
                pass

    def _hand_over(self, letter: str, to: str, parts: list[pdu.Pdu], modem: Dialogue) -> None:
        left = self._flights.left(letter)
        if len(left) < len(parts):
            modem.ask("AT+CMGF=0")  # in text mode the octets would be sent as a text, to who knows whom
        for number, part in enumerate(parts):
            if number in left:
                continue
            try:
                modem.hand_over(part, partial(self._flights.note, letter, to, number))
            except talk.Refused as refused:
                raise causes.judged(refused) from refused

    def _receipt(self, report: pdu.StatusReport) -> Receipt | None:
        try:
            return self._flights.landed(report, e164(report.to, self._config.country))
        except ValueError:
            return None

    def _words(self, message: Message) -> str:
        """Return what is sent."""
        says, parts = self._config.says, self._config.parts
        if says == "short":
            return alphabet.fit(message.short or message.subject)
        if says == "plain" or alphabet.fits(message.text):
            return alphabet.fit(message.text, 160 if parts == 1 else 153 * parts)
        return _cut(message.text, 70 if parts == 1 else 67 * parts)


def _remove(kept: mail.Kept, modem: Dialogue) -> None:
    mail.remove(modem, kept)


def _cut(text: str, most: int) -> str:
    """Return a text in at most so many units of UTF-16, cut between two words."""
    if len(text.encode("utf-16-be", "replace")) <= 2 * most:
        return text
    kept = text.encode("utf-16-be", "replace")[: 2 * (most - 1)].decode("utf-16-be", "ignore")
    return f"{kept.rpartition(' ')[0] or kept}…"
