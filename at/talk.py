"""AT answers: where one ends, which of its lines are the answer, and how its fields are split.

Source: 3GPP TS 27.007 and ITU-T V.250. Seen in the field and so handled here: echo, unsolicited lines before the
answer and after `OK`, answers without CR LF between them, fields quoted or not, with spaces around them.
"""

from __future__ import annotations

import re

_REFUSED = r"ERROR|\+CM[ES] ERROR:[^\r\n]*|COMMAND NOT SUPPORT"
# V.250: an empty line parts `OK` from what it follows. An `OK` without may stand in the middle of another line, and is
# the result only where nothing follows it. (One with an empty line is believed at once: no modem breaks a line by it,
# and to wait each time would cost a modem that is never quiet all its answers.)
RESULT = re.compile(rf"(?:(?:\A[\r\n]*|[\r\n]{{3}})OK|(?:\A|[\r\n])(?:{_REFUSED}))\r\n".encode())
AT_REST = re.compile(rb"[\r\n]OK\r\n\Z")
_FINAL = re.compile(rf"(?:\A|[\r\n])(OK|{_REFUSED})\r\n\Z".encode())
# what may stand beside an answer's own lines: an echo, and messages that nobody asked for (`^SYSSTART`, `+CUSD: …`,
# `NO CARRIER`, `PB DONE`: words, with a letter that no hexadecimal number has)
_BESIDE = re.compile(r"AT.*|[+^$*#!%&][A-Z][A-Z0-9_]+($|[: ].*)|(?=.*[G-Zg-z])[A-Z][A-Za-z]+( [A-Za-z]+)*")
_FIELD = re.compile(r'\s*("[^"]*"|[^,]*)\s*(?:,|$)')


class Refused(Exception):
    """The modem's result is no OK: its words, and what follows the colon of `+CME ERROR:` or `+CMS ERROR:`."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.code = words.partition(":")[2].strip() if words.startswith("+CM") else ""


def answer(came: bytes) -> str:
    """Return everything that came before the result code. Raises Refused."""
    result = _FINAL.search(came)
    assert result is not None, "the exchange returns what ends in a result code"
    final = result[1].decode("ascii", "replace")
    if final != "OK":
        raise Refused(final)
    return came[: result.start()].decode("ascii", "replace")


def lines(text: str, prefix: str) -> list[list[str]]:
    """Return the fields of each line that begins with `prefix` and a colon, even where the line end is missing.

    Raises ValueError for a line with half of a quoted field: bytes were lost, and a field may be what is left of two.
    So it does where a piece of a line stands beside them: a message that nobody asked for came in the middle of one.
    """
    said = re.split(rf"[\r\n]+|(?={re.escape(prefix)}:)", text)
    own = [line for line in said if line.startswith(f"{prefix}:")]
    beside = (line.strip() for line in said if line not in own)
    pieces = [line for line in beside if re.search("[!-~]", line) and not _BESIDE.fullmatch(line)]
    if pieces or not "".join(own).isprintable():
        raise ValueError(f"{''.join(pieces[:1] or own)!r} is a piece of a line, or disturbed")
    if any(line.count('"') % 2 for line in own):
        raise ValueError("a quotation mark is missing")
    return [fields(line[len(prefix) + 1 :]) for line in own]


def fields(line: str) -> list[str]:
    """Return the comma-separated fields without spaces around them, quotation marks kept."""
    found, place = [], 0
    while place <= len(line):
        match = _FIELD.match(line, place)
        if match is None:
            found.append(line[place:].strip())
            break
        found.append(match[1].strip())
        if match.end() == len(line) and not match[0].endswith(","):
            break
        place = match.end()
    return found


def bare(field: str) -> str:
    """Return a field without its quotation marks and the spaces within."""
    return field.strip('"').strip()
