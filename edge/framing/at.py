"""AT answers: where one ends, which of its lines are the answer, and how its fields are split.

Source: 3GPP TS 27.007 and ITU-T V.250. Seen in the field and so handled here: echo, unsolicited lines before the
answer and after `OK`, answers without CR LF between them, fields quoted or not, with spaces around them.
"""

from __future__ import annotations

import re

from edge.driver import BadReply

_FINAL = r"OK|ERROR|\+CM[ES] ERROR:[^\r\n]*|COMMAND NOT SUPPORT"
RESULT = re.compile(rf"(?:^|[\r\n])({_FINAL})\r\n".encode())
_FIELD = re.compile(r'\s*("[^"]*"|[^,]*)\s*(?:,|$)')


def answer(came: bytes, command: str) -> str:
    """Return everything that came before the result code.

    Raises BadReply: cme:N (or its text), error.
    """
    result = RESULT.search(came)
    assert result is not None, "the exchange returns what ends in a result code"
    final = result[1].decode("ascii", "replace")
    if final.startswith("+CM"):
        told = final.partition(":")[2].strip()
        raise BadReply(f"cme:{told}", f"{command}: {final}")
    if final != "OK":
        raise BadReply("error", f"{command}: {final}")
    return came[: result.start()].decode("ascii", "replace")


def lines(text: str, prefix: str) -> list[list[str]]:
    """Return the fields of each line that begins with `prefix` and a colon, even where the line end is missing."""
    said = re.split(rf"[\r\n]+|(?={re.escape(prefix)}:)", text)
    return [fields(line[len(prefix) + 1 :]) for line in said if line.startswith(f"{prefix}:")]


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
