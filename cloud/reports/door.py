"""The door of the form: what machines send is kept out, what people send is kept, by any thread.

No cookie and no riddle. A form carries the time at which it was made, signed: what comes back within three seconds
nobody has typed. A field that nobody sees stays empty. Of networks there is a count in memory under a name that is
another one each day; no address is kept or written.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import sqlite3
import threading
from typing import TYPE_CHECKING, TypeVar

from cloud.clock import DAY_MS, hanoi
from cloud.reports.book import Book
from cloud.reports.read import by_receipt
from cloud.serve.throttle import Throttle, network_of
from cloud.store import Retry
from settings.words import Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloud.clock import Clock
    from cloud.reports.read import Kept
    from cloud.reports.report import Place, Report

log = logging.getLogger(__name__)
_T = TypeVar("_T")
SOONEST_MS, OLDEST_MS = 3_000, 30 * DAY_MS  # of a form: a telephone may have kept one for as long, without signal
HERE = network_of("127.0.0.1")
A_MINUTE = {"both": 20, "network": 20, "account": 300}  # reports of one network (a carrier's is many people), of all


class Door:
    """Lets reports in. `untold` is set when there is a fire of which alerts do not know yet."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path, self._clock = path, clock
        self._turn = threading.Lock()
        self._book: Book | None = None
        self._secret: bytes | None = None
        self._salt = secrets.token_bytes(16)
        self._throttle = Throttle(clock)
        self.untold = threading.Event()
        self.why = ""  # what keeps reports from being kept

    def ticket(self) -> str:
        """Return what a form carries: when it was made, and that we made it. Never waits for a disk."""
        made = str(self._clock.utc_ms())
        return f"{made}.{self._sign(made)}"

    def doubt(self, ticket: str) -> str:
        """Return why a form is not believed: "early", "old" or "forged"; "" where it is."""
        made, _, sign = ticket.partition(".")
        if not (made.isascii() and made.isdecimal() and len(made) < 16):
            return "forged"
        if not self._is_ours(made, sign):
            return "forged"
        age_ms = abs(self._clock.utc_ms() - int(made))  # a clock that was put back keeps nobody out
        return "early" if age_ms < SOONEST_MS else "old" if age_ms > OLDEST_MS else ""

    def wait_s(self, network: str) -> int:
        """Count a report of a network; return 0 where it may come in, or after how many seconds it may.

        Of a proxy on this machine that does not say whom it speaks for only the ceiling of all counts.
        """
        if network == HERE:
            return self._throttle.wait_s("", network, dict.fromkeys(A_MINUTE, A_MINUTE["account"]))
        day = hanoi(self._clock.utc_ms()).date().isoformat().encode()
        name = hashlib.blake2b(network.encode(), key=self._salt, salt=day, digest_size=8).hexdigest()
        return self._throttle.wait_s("", name, A_MINUTE)

    def put(self, report: Report, place: Place) -> Kept:
        """Keep a report; it is durable when this returns. Raises Retry where the disk takes nothing."""
        kept = self._written(lambda book: book.put(report, place, self._clock.utc_ms()))
        if report.kind == "fire":
            self.untold.set()
        return kept

    def withdraw(self, code: str) -> bool:
        """Erase what a reporter said; tell whether there is such a receipt. Raises Retry."""
        return self._written(lambda book: book.withdraw(code, self._clock.utc_ms()))

    def receipt(self, code: str) -> tuple[Kept, Kept] | None:
        """Return a report and its head by its receipt, None where there is none. Raises Retry."""
        try:
            return by_receipt(self.path, code)
        except (sqlite3.Error, OSError, Refused) as error:
            raise Retry(f"{self.path.name}: {error}", 10) from error

    def untold_fires(self) -> list[Kept]:
        """Return the fires of which alerts do not know all. Raises Retry."""
        return self._written(lambda book: book.untold())

    def told(self, number: int, n: int) -> None:
        """Note that alerts know. Raises Retry."""
        self._written(lambda book: book.told(number, n))

    def forget(self) -> int:
        """Erase what is old. Raises Retry."""
        return self._written(lambda book: book.forget(self._clock.utc_ms()))

    def close(self) -> None:
        """Close the file. May be called twice."""
        with self._turn:
            self._let_go()

    def _written(self, does: Callable[[Book], _T]) -> _T:
        """Do something to the book, one thread at a time; what was lost is opened anew at the next try."""
        with self._turn:
            try:
                self._book = self._book or Book(self.path)
                self._secret = self._secret or self._book.secret()
                done = does(self._book)
            except (sqlite3.Error, OSError, Refused) as error:
                self._let_go()
                if not self.why:
                    log.error("reports-not-kept file=%s why=%r", self.path, str(error))  # noqa: TRY400
                self.why = f"{self.path.name}: {error}"
                raise Retry(self.why, 10) from error
            if self.why:
                log.info("reports-kept-again file=%s", self.path)
                self.why = ""
            return done

    def _sign(self, text: str) -> str:
        return self._signed(self._secret or self._salt, text)

    def _is_ours(self, text: str, sign: str) -> bool:
        """Tell whether we signed it: also before the book was read, which a page does not wait for."""
        keys = (self._secret or self._salt, self._salt)
        return any(
            hmac.compare_digest(self._signed(key, text).encode(), sign.encode("utf-8", "replace")) for key in keys
        )

    @staticmethod
    def _signed(key: bytes, text: str) -> str:
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:20]

    def _let_go(self) -> None:
        if self._book is not None:
            self._book.close()
            self._book = None
