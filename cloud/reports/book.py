"""reports.db: every report once, durable before anybody is thanked; and who judged it, as what, why.

Several processes write it: the pages put, staff judge. Each act is one short transaction. What is of one thing (the
same kind, within a kilometre, half an hour after the last) is one report with a count: the first is the head, the
others are its parts. A telephone number is gone after thirty days, from the text too; the report after two years.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Self

from cloud.registry.map import distance_m
from cloud.reports.read import ROW, Kept, kept
from cloud.reports.report import Place, Report, receipt, without_numbers
from disk import form
from disk.form import whole

if TYPE_CHECKING:
    from pathlib import Path

NAME = "reports.db"
DAY_MS = 86_400_000
PHONE_KEPT_MS, KEPT_MS = 30 * DAY_MS, 730 * DAY_MS
TOGETHER_MS, TOGETHER_M = 1_800_000, 1_000.0
STATES = ("new", "confirmed", "rejected", "duplicate", "withdrawn")
MOST = 200_000  # rows, some 150 MB: beyond it go the oldest parts, then the oldest that are judged
STEPS = (
    """CREATE TABLE report (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, code TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL, got_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, place TEXT NOT NULL, hamlet TEXT NOT NULL,
    lat REAL, lon REAL, measured INTEGER NOT NULL, text TEXT NOT NULL, phone TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'new', head INTEGER, n INTEGER NOT NULL DEFAULT 1, told INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '', done_ms INTEGER, erased INTEGER NOT NULL DEFAULT 0);
    CREATE INDEX report_of ON report(kind, last_ms) WHERE head IS NULL;
    CREATE INDEX report_untold ON report(id) WHERE kind = 'fire' AND head IS NULL AND told < n;
    CREATE INDEX report_head ON report(head) WHERE head IS NOT NULL;
    CREATE INDEX report_numbers ON report(got_ms) WHERE NOT erased;
    CREATE TABLE act (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, who TEXT NOT NULL, report INTEGER NOT NULL,
    what TEXT NOT NULL, reason TEXT NOT NULL);
    CREATE TABLE secret (only INTEGER PRIMARY KEY CHECK (only = 1), key BLOB NOT NULL)""",
)
_COLUMNS = (
    "id, code, kind, got_ms, last_ms, place, hamlet, lat, lon, measured, text, phone, state, head, n, reason, done_ms"
)
_OVER = """DELETE FROM report WHERE id IN (SELECT id FROM report WHERE head IS NOT NULL OR state != 'new'
ORDER BY head IS NULL, id LIMIT ?)"""
_PUT = """INSERT INTO report(key, code, kind, got_ms, last_ms, place, hamlet, lat, lon, measured, text, phone, head)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""


class NotNow(Exception):
    """What is asked cannot be done to a report as it is now; `why` names the words."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Book:
    """The file as a writer has it, for one thread at a time. Each method raises sqlite3.Error for what a disk refuses.

    A file that is damaged is set aside, which is logged, and begun anew.
    """

    def __init__(self, path: Path, most: int = MOST) -> None:
        self._most = most
        self._db = form.opened_anew(path, STEPS)
        self._db.execute("PRAGMA secure_delete = ON")  # what is erased leaves no freed page

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def secret(self) -> bytes:
        """Return the key by which the forms of this server are known, the same in every process and after a restart."""
        with whole(self._db):
            self._db.execute("INSERT OR IGNORE INTO secret VALUES (1, ?)", (secrets.token_bytes(32),))
            return bytes(self._db.execute("SELECT key FROM secret").fetchone()[0])

    def put(self, report: Report, place: Place, now_ms: int) -> Kept:
        """Keep a report, durably, and return it; one that is known by its key is returned as it is."""
        with whole(self._db) as db:
            if known := self._one("key = ?", report.key):
                return known
            head = self._head(report, now_ms)
            code = receipt(hashlib.blake2b(secrets.token_bytes(16), digest_size=8).digest())
            at = (report.lat, report.lon, report.measured)
            row = (
                report.key, code, report.kind, now_ms, now_ms, place.key, place.hamlet, *at, report.text, report.phone,
                head,
            )  # fmt: skip
            number = db.execute(_PUT, row).lastrowid
            if head is not None:
                db.execute("UPDATE report SET n = n + 1, last_ms = max(last_ms, ?) WHERE id = ?", (now_ms, head))
            made = self._one("id = ?", number)
        assert made is not None, "it was put just now"
        return made

    def judge(self, number: int, what: str, reason: str, who: str, now_ms: int, of: int = 0) -> None:
        """Have a person say what a report is: confirmed, rejected or, of another (`of`), a duplicate; kept who said so.

        Raises LookupError where there is no such head, NotNow where it cannot be.
        """
        with whole(self._db) as db:
            one = self._one("id = ? AND head IS NULL", number)
            if one is None:
                raise LookupError(number)
            if one.state != "new":
                raise NotNow("judged")
            if what != "confirmed" and not reason:
                raise NotNow("no_reason")
            if what == "duplicate":
                into = self._one("id = ? AND head IS NULL", of)
                if into is None or into.id == number or into.kind != one.kind:
                    raise NotNow("no_other")
                db.execute("UPDATE report SET head = ? WHERE head = ? OR id = ?", (of, number, number))
                # what alerts know they know: a desk that is tidied up wakes nobody
                db.execute("UPDATE report SET n = n + ?, told = told + ? WHERE id = ?", (one.n, one.told, of))
            row = (what, reason, now_ms, number)
            db.execute("UPDATE report SET state = ?, reason = ?, done_ms = ? WHERE id = ?", row)
            self._act(now_ms, who, number, what, reason)

    def withdraw(self, code: str, now_ms: int) -> bool:
        """Erase what a reporter said, at their own wish; tell whether there was such a receipt. That it was stays."""
        with whole(self._db) as db:
            one = self._one("code = ?", code)
            if one is None:
                return False
            if one.state == "new" and one.head is None and one.n == 1:
                db.execute("UPDATE report SET state = 'withdrawn', done_ms = ? WHERE id = ?", (now_ms, one.id))
            if one.head is not None or one.n == 1:  # a head with parts stands for what others have said
                db.execute("UPDATE report SET lat = NULL, lon = NULL, measured = 0 WHERE id = ?", (one.id,))
            db.execute("UPDATE report SET text = '', phone = '', erased = 1 WHERE id = ?", (one.id,))
            self._act(now_ms, "", one.id, "withdrawn", "")
        self._from_log()
        return True

    def untold(self, most: int = 50) -> list[Kept]:
        """Return the heads of fires of which alerts do not know all yet, the oldest first."""
        query = f"{ROW} WHERE kind = 'fire' AND head IS NULL AND told < n ORDER BY id LIMIT ?"
        return self._all(query, most)

    def told(self, number: int, n: int) -> None:
        """Note that alerts know of so many."""
        with whole(self._db) as db:
            db.execute("UPDATE report SET told = max(told, ?) WHERE id = ?", (n, number))

    def forget(self, now_ms: int) -> int:
        """Erase telephone numbers that are thirty days old and reports of two years; return how many lost theirs."""
        with whole(self._db) as db:
            old = db.execute(
                "SELECT id, text FROM report WHERE NOT erased AND got_ms < ? LIMIT 5000", (now_ms - PHONE_KEPT_MS,)
            ).fetchall()
            db.executemany(
                "UPDATE report SET phone = '', text = ?, erased = 1 WHERE id = ?",
                [(without_numbers(text), number) for number, text in old],
            )
            db.execute("DELETE FROM report WHERE last_ms < ?", (now_ms - KEPT_MS,))
            over = db.execute("SELECT count(*) FROM report").fetchone()[0] - self._most
            if over > 0:
                db.execute(_OVER, (over,))
            db.execute("DELETE FROM act WHERE at_ms < ?", (now_ms - KEPT_MS,))
        if old:
            self._from_log()
        return len(old)

    def _from_log(self) -> None:
        """Have what was erased leave the log beside the file too; where others read just now, at the next time."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _head(self, report: Report, now_ms: int) -> int | None:
        """Return the report of the same thing that came just before, None where there is none."""
        query = f"{ROW} WHERE kind = ? AND head IS NULL AND last_ms >= ? ORDER BY last_ms DESC LIMIT 500"
        for one in self._all(query, report.kind, now_ms - TOGETHER_MS):
            if one.state in ("new", "confirmed") and _same_place(one, report):
                return one.id
        return None

    def _one(self, where: str, *of: object) -> Kept | None:
        return next(iter(self._all(f"{ROW} WHERE {where}", *of)), None)

    def _all(self, query: str, *of: object) -> list[Kept]:
        return [kept(row) for row in self._db.execute(query, of)]

    def _act(self, now_ms: int, who: str, number: int, what: str, reason: str) -> None:
        row = (now_ms, who, number, what, reason)
        self._db.execute("INSERT INTO act(at_ms, who, report, what, reason) VALUES (?, ?, ?, ?, ?)", row)


def _same_place(one: Kept, report: Report) -> bool:
    """Tell whether two are within a kilometre; without a place, only what has none either is the same."""
    if one.lat is None or one.lon is None or report.lat is None or report.lon is None:
        return one.lat is None and report.lat is None
    return distance_m((one.lat, one.lon), (report.lat, report.lon)) <= TOGETHER_M
