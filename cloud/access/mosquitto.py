"""What Mosquitto is told: who has which password, and who may write and read where. Nothing else writes these files.

Gateways show certificates, of which Mosquitto takes the CN as user name; what they may is a pattern. A pattern is for
everybody, so an account that is no gateway is denied all of `gocche/` first: denials come before patterns.
"""

from __future__ import annotations

import grp
import hashlib
import os
import secrets
from base64 import b64encode
from contextlib import suppress
from typing import TYPE_CHECKING

from wire import topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from cloud.access.book import Account, Kind

PASSWORDS, RIGHTS_FILE = "gocche.passwd", "gocche.acl"
READERS = "mosquitto"  # the group that the broker runs as
MODE = 0o640
_ROUNDS = 101  # as mosquitto_passwd has it: passwords here are 128 random bits, nobody guesses them from a hash
_HEAD = "# Written by `gocche access write`. What is changed here by hand is gone the next time.\n"
_CLOUD = (
    *(f"topic read {one}" for one in (*topics.FROM_GATEWAYS, topics.FROM_PHONES)),
    f"topic write {topics.ack('+')}",
)
_ROOMS = {"gocche-cloud": _CLOUD, "gocche-reader": tuple(f"topic read {one}" for one in topics.FROM_GATEWAYS)}
_GATEWAYS = (
    *(f"pattern write {topic('%u')}" for topic in (topics.up, topics.status, topics.beat)),
    f"pattern read {topics.ack('%u')}",
)


def _of_a_team(account: Account) -> tuple[str, ...]:
    """A telephone tells what it hears, under its own name; it reads nothing, and it is no gateway."""
    own = (f"topic write {topics.phone(account.user, stream)}" for stream in topics.STREAMS)
    return (f"topic deny {topics.ROOT}/#", *own)


RIGHTS: dict[Kind, Callable[[Account], tuple[str, ...]]] = {"team": _of_a_team}


def hashed(password: str) -> str:
    """Return a password as Mosquitto keeps it: PBKDF2 with HMAC-SHA512."""
    salt = secrets.token_bytes(12)
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS)
    return f"$7${_ROUNDS}${b64encode(salt).decode()}${b64encode(made).decode()}"


def passwords(accounts: Iterable[Account]) -> str:
    """Return the password file of these accounts."""
    return "".join(f"{one.user}:{one.hash}\n" for one in accounts)


def rights(accounts: Iterable[Account]) -> str:
    """Return the access list: rooms, these accounts, gateways."""
    own = {one.user: RIGHTS[one.kind](one) for one in accounts}
    users = [f"user {user}\n" + "".join(f"{line}\n" for line in lines) for user, lines in (_ROOMS | own).items()]
    return "\n".join((_HEAD, *users, "".join(f"{line}\n" for line in _GATEWAYS)))


def write(folder: Path, accounts: Iterable[Account]) -> list[Path]:
    """Write both files for the accounts that hold now, each whole or not at all; return them. Raises OSError."""
    held = list(accounts)
    texts = {PASSWORDS: passwords(held), RIGHTS_FILE: rights(held)}
    for name, text in texts.items():
        _whole(folder / name, text)
    return [folder / name for name in texts]


def _whole(path: Path, text: str) -> None:
    """Put a file in the place of another: who reads it meanwhile has one of the two."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), MODE)  # whatever the umask
        _as_before(file.fileno(), path)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _as_before(file: int, path: Path) -> None:
    """Give a file to whom it belonged before; a new one that root writes to the broker's group, where there is one."""
    if os.geteuid() != 0:
        return
    if path.exists():
        was = path.stat()
        os.fchown(file, was.st_uid, was.st_gid)
    else:
        with suppress(KeyError):
            os.fchown(file, 0, grp.getgrnam(READERS).gr_gid)
