"""Passwords: argon2id as OWASP advises for small machines, and what may be one.

Verifying takes some 45 ms and 19 MiB on purpose; who calls sees to it that few do so at once (`entrance.gate`).
"""

from __future__ import annotations

import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST, LONGEST = 10, 200  # characters
DIFFERENT = 5  # of them
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)  # OWASP's second choice: 19 MiB, t 2, p 1
_NOBODY = _HASHER.hash("")  # who is not known takes as long as who is


def hashed(password: str) -> str:
    """Return what is kept of a password."""
    return _HASHER.hash(_spelled(password))


def right(password: str, kept: str | None) -> bool:
    """Tell whether it is the password; it takes the same time where there is none."""
    try:
        _HASHER.verify(kept or _NOBODY, _spelled(password[: LONGEST * 4]))
    except (VerificationError, InvalidHashError):
        return False
    return kept is not None and password != ""


def outdated(kept: str) -> bool:
    """Tell whether a hash was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(kept)


def weakness(password: str, *names: str) -> str:
    """Return why a password cannot be one: short, long, same, named; "" where it can."""
    spelled = _spelled(password)
    if len(spelled) < SHORTEST:
        return "short"
    if len(spelled) > LONGEST:
        return "long"
    if len(set(spelled)) < DIFFERENT or spelled in "0123456789" * 30:
        return "same"
    return "named" if any(name and name.casefold() in spelled.casefold() for name in names) else ""


def _spelled(password: str) -> str:
    """Return a password in one spelling: keyboards of two phones compose ễ differently."""
    return unicodedata.normalize("NFKC", password)
