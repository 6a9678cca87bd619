"""An SMS as a modem in PDU mode takes and gives it: SMS-SUBMIT out, SMS-DELIVER and SMS-STATUS-REPORT in.

Source: 3GPP TS 23.040 §9.2.2 (the messages), 9.2.3 (their fields), 9.2.3.24.1 and .8 (parts of one text), 9.1.2.5
(addresses, which give no length of a name but count its half octets); 23.038 §4 (data coding); 27.005 §4 (the length
that AT commands name leaves out the service centre's address). UCS-2 is written as UTF-16, as telephones do.

Every length is checked against every other and against what is there: a damaged message is a ValueError, never a text
of what was left of it. Texts and numbers stand in no error: these words go to the log.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

import msgspec

from at import alphabet

GSM7, OCTETS, UCS2 = 0x00, 0x04, 0x08  # the coding, as TP-DCS has it in its simplest form
MOST_PARTS = 255
_DELIVER, _SUBMIT, _STATUS_REPORT = 0, 1, 2  # TP-MTI
_UDHI, _REPORT_WANTED, _RELATIVE = 0x40, 0x20, 0x10
_NAMED = 5  # type of number: alphanumeric
_INTERNATIONAL = 1
_CONCATENATED, _CONCATENATED_16 = 0x00, 0x08
_OCTETS_OF_TEXT, _HEADER = 140, 6
_BCD = "0123456789*#abc"


class Pdu(NamedTuple):
    """What `AT+CMGS=<length>` is given: the octets without the service centre's address, and all in hexadecimal."""

    length: int
    hex: str


class Part(msgspec.Struct, frozen=True):
    """Which part of a longer text this is."""

    reference: int
    total: int
    number: int


class Deliver(msgspec.Struct, frozen=True):
    """A message that came. `text` is None where it carries no text (a picture, settings, a picture's address)."""

    sender: str  # +84…, digits as the network gave them, or a name
    text: str | None
    sent: datetime
    part: Part | None = None


class StatusReport(msgspec.Struct, frozen=True):
    """What became of a message that was sent: its reference is the one that `+CMGS:` told."""

    reference: int
    to: str
    status: int

    @property
    def arrived(self) -> bool | None:
        """Whether the telephone has it; None where nobody knows (23.040 §9.2.3.15).

        The network still tries, has passed it on without a confirmation, or has replaced it.
        """
        if self.status == 0:
            return True
        return None if self.status < 0x40 else False


# --- out


def submit(
    to: str, text: str, *, reference: int = 0, smsc: str = "", validity_min: int = 0, report: bool = False
) -> list[Pdu]:
    """Return the parts of a text for a number with or without +. Raises ValueError for what cannot be sent.

    In GSM-7 where all its letters are there, else in UCS-2. `reference` joins the parts of one text, for whoever has
    several: a text that is sent again has the same. `validity_min` 0 leaves it to the network for how long to try.
    """
    coding = GSM7 if alphabet.fits(text) else UCS2
    pieces = _split(text, coding)
    if len(pieces) > MOST_PARTS:
        raise ValueError(f"the text has {len(pieces)} parts, {MOST_PARTS} at most")
    first = _SUBMIT | _REPORT_WANTED * report | _RELATIVE * bool(validity_min) | _UDHI * (len(pieces) > 1)
    head = bytes((first, 0)) + _address(to) + bytes((0, coding))
    head += bytes((_validity(validity_min),)) if validity_min else b""
    centre = _address(smsc)[1:] if smsc else b""
    before = bytes((len(centre),)) + centre
    made = []
    for number, piece in enumerate(pieces, 1):
        header = bytes((5, _CONCATENATED, 3, reference % 256, len(pieces), number)) if len(pieces) > 1 else b""
        body = head + _user_data(piece, coding, header)
        made.append(Pdu(len(body), (before + body).hex().upper()))
    return made


def _split(text: str, coding: int) -> list[str]:
    """Cut a text into what parts hold; neither an escape and its letter nor a surrogate pair is parted."""

    def cost(letter: str) -> int:
        return len(alphabet.septets(letter)) if coding == GSM7 else len(letter.encode("utf-16-be", "surrogatepass"))

    total = sum(map(cost, text))
    one, several = (160, 153) if coding == GSM7 else (_OCTETS_OF_TEXT, _OCTETS_OF_TEXT - _HEADER)
    if total <= one:
        return [text]
    pieces, start, used = [], 0, 0
    for place, letter in enumerate(text):
        if used + cost(letter) > several:
            pieces.append(text[start:place])
            start, used = place, 0
        used += cost(letter)
    return [*pieces, text[start:]]


def _user_data(piece: str, coding: int, header: bytes) -> bytes:
    if coding == UCS2:
        octets = header + _utf16(piece)
        return bytes((len(octets),)) + octets
    codes = alphabet.septets(piece)
    fill = -8 * len(header) % 7
    length = (8 * len(header) + fill) // 7 + len(codes)
    return bytes((length,)) + header + alphabet.pack(codes, fill)


def _utf16(piece: str) -> bytes:
    try:
        return piece.encode("utf-16-be")
    except UnicodeEncodeError as error:
        raise ValueError("half of a surrogate pair is no letter") from error


def _address(number: str) -> bytes:
    """Return a number: how many digits, its type, the digits with each pair turned round."""
    digits = number.removeprefix("+")
    if not 1 <= len(digits) <= 20 or not (digits.isascii() and digits.isdigit()):
        raise ValueError("the address is no telephone number")
    kind = 0x91 if number.startswith("+") else 0x81
    padded = digits + "F" * (len(digits) % 2)
    turned = "".join(padded[place + 1] + padded[place] for place in range(0, len(padded), 2))
    return bytes((len(digits), kind)) + bytes.fromhex(turned)


def _validity(minutes: int) -> int:
    """Return TP-VP in its relative form (9.2.3.12.1): the next step that is as long or longer, 63 weeks at most."""
    if minutes <= 720:
        return max(-(-minutes // 5), 1) - 1
    if minutes <= 1_440:
        return 143 + -(-(minutes - 720) // 30)
    if minutes <= 43_200:
        return 166 + -(-minutes // 1_440)
    return min(192 + -(-minutes // 10_080), 255)


# --- in


class _Octets:
    """What is left of a message. Raises ValueError where more is asked for than there is."""

    def __init__(self, octets: bytes) -> None:
        self.left = octets

    def take(self, count: int, what: str) -> bytes:
        if len(self.left) < count:
            raise ValueError(f"it ends within {what}")
        taken, self.left = self.left[:count], self.left[count:]
        return taken

    def one(self, what: str) -> int:
        return self.take(1, what)[0]


def read(told: str, length: int | None = None) -> Deliver | StatusReport:
    """Return what came, from the hexadecimal line behind `+CMGL:`, `+CMGR:`, `+CMT:` or `+CDS:`.

    `length` is what the line before it says: octets without the service centre's address. Raises ValueError.
    """
    try:
        octets = _Octets(bytes.fromhex(told) if told.isascii() else b"")
    except ValueError as error:
        raise ValueError("it is not hexadecimal") from error
    octets.take(octets.one("the service centre"), "the service centre")
    if length is not None and not octets.left[length:].strip(b"\xff"):
        octets.left = octets.left[
            :length
        ]  # a SIM's record is filled up with FF (31.102 §4.2.25), and some print it all
    if length is not None and len(octets.left) != length:
        raise ValueError(f"{len(octets.left)} octets, {length} were announced")
    first = octets.one("its first octet")
    kind = first & 0x03
    if kind == _DELIVER:
        return _deliver(octets, headed=bool(first & _UDHI))
    if kind == _STATUS_REPORT:
        return _status_report(octets)
    raise ValueError(f"message type {kind} does not come in")


def _deliver(octets: _Octets, *, headed: bool) -> Deliver:
    sender = _sender(octets)
    octets.one("the protocol")
    coding = _coding(octets.one("the coding"))
    sent = _date(octets.take(7, "the date"))
    length = octets.one("the length of the text")
    counted = (7 * length + 7) // 8 if coding == GSM7 else length
    if counted > _OCTETS_OF_TEXT or len(octets.left) != counted:
        raise ValueError(f"{len(octets.left)} octets of text, {counted} were announced")
    header = _header(octets) if headed else b""
    part, addressed = _elements(header[1:])
    text = None if coding == OCTETS or addressed else _text(octets.left, coding, length, len(header))
    return Deliver(sender, text, sent, part)


def _status_report(octets: _Octets) -> StatusReport:
    reference = octets.one("the reference")
    to = _sender(octets)
    _date(octets.take(7, "the date"))
    _date(octets.take(7, "the date of the end"))
    return StatusReport(reference, to, octets.one("the status"))  # what may follow it, says nothing about it


def _sender(octets: _Octets) -> str:
    """Return an address: a number, or a name in septets of which the half octets are counted."""
    count, kind = octets.one("an address"), octets.one("an address")
    if count > 20 or not kind & 0x80:
        raise ValueError("the address is none")
    said = octets.take((count + 1) // 2, "an address")
    if kind >> 4 & 0x07 == _NAMED:
        codes = alphabet.unpack(said, 4 * count // 7)
        filler = 4 * count % 7 == 0 and codes[-1:] == [0]  # some networks count the seven bits that are left over
        return alphabet.letters(codes[:-1] if filler else codes).rstrip("\r")
    digits = [half for octet in said for half in (octet & 0x0F, octet >> 4)]
    if any(half == 0x0F for half in digits[:count]) or (count % 2 and digits[-1] != 0x0F):
        raise ValueError("the address has another length than it says")
    plus = "+" if kind >> 4 & 0x07 == _INTERNATIONAL else ""
    return plus + "".join(_BCD[half] for half in digits[:count])


def _coding(scheme: int) -> int:
    """Return the coding that TP-DCS means (23.038 §4). Raises ValueError for one that is not to be read."""
    group = scheme >> 4
    if group < 0x8:  # general, and marked for automatic deletion
        if scheme & 0x20:
            raise ValueError("it is compressed")
        coding = scheme & 0x0C
        if coding == 0x0C:
            raise ValueError("its coding is reserved")
        return coding
    if group in {0xC, 0xD}:  # a waiting message is announced
        return GSM7
    if group == 0xE:
        return UCS2
    if group == 0xF:
        return scheme & OCTETS
    raise ValueError("its coding is reserved")


def _date(octets: bytes) -> datetime:
    """Return a time stamp in UTC. Raises ValueError for one that is none."""
    halves = [(octet & 0x0F, octet >> 4) for octet in octets]
    zone_high, zone_low = halves[6]
    if any(high > 9 or low > 9 for high, low in halves[:6]) or zone_low > 9:
        raise ValueError("the date is none")
    year, month, day, hour, minute, second = (10 * high + low for high, low in halves[:6])
    quarters = (10 * (zone_high & 0x07) + zone_low) * (-1 if zone_high & 0x08 else 1)
    try:
        there = timezone(timedelta(minutes=15 * quarters))
        return datetime(2000 + year, month, day, hour, minute, second, tzinfo=there).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("the date is none") from error


def _header(octets: _Octets) -> bytes:
    length = octets.one("the header's length")
    return bytes((length,)) + octets.take(length, "the header")


def _elements(header: bytes) -> tuple[Part | None, bool]:
    """Return which part it is, and whether it is for a program of the telephone and not for a person."""
    left, part, addressed = _Octets(header), None, False
    while left.left:
        name = left.one("a header's element")
        data = left.take(left.one("a header's element"), "a header's element")
        if name in {0x04, 0x05}:  # application ports
            addressed = True
        elif name in {_CONCATENATED, _CONCATENATED_16}:
            if len(data) != (3 if name == _CONCATENATED else 4):
                raise ValueError("the header says badly which part it is")
            reference, total, number = int.from_bytes(data[:-2]), data[-2], data[-1]
            if 1 <= number <= total:  # else it is to be ignored (9.2.3.24.1)
                part = Part(reference, total, number)
    return part, addressed


def _text(octets: bytes, coding: int, length: int, headed: int) -> str:
    if coding == UCS2:
        if len(octets) % 2:
            raise ValueError("half a letter of UCS-2")
        try:
            return octets.decode("utf-16-be")
        except UnicodeDecodeError as error:
            raise ValueError("half of a surrogate pair") from error
    fill = -8 * headed % 7
    count = length - (8 * headed + fill) // 7
    if count < 0:
        raise ValueError("the header is longer than the text")
    return alphabet.letters(alphabet.unpack(octets, count, fill))
