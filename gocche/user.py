"""`gocche user`: who may sign in to the staff's pages. A link that is good once is all that is ever handed out."""

from __future__ import annotations

import os
import re
import unicodedata
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.clock import SystemClock
from cloud.registry.book import NAME as REGISTRY
from cloud.registry.book import Book
from cloud.registry.kinds import Person
from cloud.staff.entrance.accounts import LINK_HOURS, NAME, Accounts
from gocche.words import LANGUAGES, Refused, both, said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.config import CloudConfig

FIRST = "admin", "Quản trị", "admin"  # code, name and role of who opens the first link; they may write another name


def add(config: CloudConfig, name: str, role: str) -> int:
    """Print a link by which somebody chooses a password; who is new is written into the registry when they do.

    `name` is a name, or the code of a person of the registry. Raises Refused without a role for who has none.
    """
    data = Path(config.data.path)
    people = _people(data / REGISTRY)
    known = next((one for one in people if name in (one.code, one.name)), None)
    taken = {one.code for one in people}
    code, name, had = (known.code, known.name, known.access) if known else (_code(name, taken), name, "")
    if not (role or had):
        raise Refused("user", "role", name=name)
    with accounts(data) as book:
        token = book.invite(code, name, role)
    url = config.staff.public_url.rstrip("/") or f"http://{config.staff.host}:{config.staff.port}"
    print(both("user", "link", name=name, code=code, hours=LINK_HOURS))
    print(f"{url}/moi/{token}")
    return 0


def first_admin(data: Path, url: str) -> Sequence[str]:
    """Return what `gocche up` prints of the staff's pages: a link for once, while nobody has ever signed in."""
    with accounts(data) as book:
        if book.anybody:
            return [said("user", "staff", language, url=url) for language in LANGUAGES]
        link = f"{url}/moi/{book.invite(*FIRST)}"
    return [said("user", "first", language, link=link) for language in LANGUAGES]


def accounts(data: Path) -> Accounts:
    """Open the accounts; a file that is made by root belongs to whoever owns its folder."""
    data.mkdir(parents=True, exist_ok=True)
    path = data / NAME
    if not path.exists():
        path.touch(mode=0o600)
        if os.geteuid() == 0:
            os.chown(path, data.stat().st_uid, data.stat().st_gid)
    return Accounts(path, SystemClock())


def _people(path: Path) -> list[Person]:
    if not path.exists():
        return []
    with Book(path, writer=False) as book:
        return [] if book.empty else [one for one in book.rows("person") if isinstance(one, Person)]


def _code(name: str, taken: set[str]) -> str:
    """Return a name as a code of the registry spells it: giang-a-su; with a number where that is somebody else."""
    plain = unicodedata.normalize("NFD", name.lower().replace("đ", "d")).encode("ascii", "ignore").decode()
    code = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:24].strip("-") or "staff"
    return next(one for one in chain((code,), (f"{code}-{number}" for number in count(2))) if one not in taken)
