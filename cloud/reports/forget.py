"""What the book of reports holds of a person of the registry: told to them, and taken out of it."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

from cloud.registry.forget import SHORTEST, masking, rewriting
from cloud.reports.book import NAME

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.registry.forget import Known

__all__ = ["NAME", "forget", "reports"]
_NO_DIGIT = re.compile(r"[^0-9]")


def reports(path: Path, who: Known) -> list[dict[str, Any]]:
    """Return what was reported with a telephone number of theirs, and what they judged."""
    numbers = _numbers(who)
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        sent = db.execute("SELECT got_ms, kind, place, text, phone, state FROM report WHERE phone != ''").fetchall()
        done = db.execute("SELECT at_ms, report, what, reason FROM act WHERE who = ?", (who.code,)).fetchall()
    return [dict(row) for row in sent if _digits(row["phone"]) in numbers] + [dict(row) for row in done]


def forget(path: Path, who: Known, alias: str, *, dry: bool) -> Counter[str]:
    """Erase what was sent with a number of theirs, and put the alias for their name in words and acts; count rows."""
    numbers, mask, counts = _numbers(who), masking(who, alias), Counter[str]()
    with rewriting(path, dry=dry) as db:
        for number, text, phone, reason in db.execute("SELECT id, text, phone, reason FROM report").fetchall():
            theirs = bool(phone) and _digits(phone) in numbers
            after = ("", "", mask(reason)) if theirs else (mask(text), phone, mask(reason))
            if after != (text, phone, reason):
                row = (*after, number)
                db.execute("UPDATE report SET text = ?, phone = ?, reason = ? WHERE id = ?", row)
                counts["event"] += 1
        for number, name, reason in db.execute("SELECT id, who, reason FROM act").fetchall():
            named = (alias if name == who.code else name, mask(reason))
            if named != (name, reason):
                db.execute("UPDATE act SET who = ?, reason = ? WHERE id = ?", (*named, number))
                counts["event"] += 1
    return counts


def _numbers(who: Known) -> set[str]:
    return {digits for one in who.addresses if len(digits := _digits(one)) >= SHORTEST and "@" not in one}


def _digits(text: str) -> str:
    """Return a number as one spelling: the last nine digits, whichever country code or nought stands before them."""
    return _NO_DIGIT.sub("", text)[-9:]
