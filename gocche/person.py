"""`gocche person`: all that the server holds of somebody, handed to them; and erased, behind an alias."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cloud.access import book as access
from cloud.alerts.tell import forget as letters
from cloud.alerts.wiring import JOURNAL
from cloud.clock import SystemClock, hanoi
from cloud.registry import book as garden
from cloud.registry import codes, kinds, people, pictures
from cloud.registry.forget import Known, dossier, forget, known
from cloud.reports import forget as reported
from cloud.staff.entrance.accounts import NAME as ACCOUNTS
from cloud.staff.entrance.accounts import Accounts
from gocche.registry import book_of, who
from gocche.words import Refused, both

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.config import CloudConfig

PRIVATE_FILES = (garden.NAME, ACCOUNTS, JOURNAL, letters.INBOX, access.NAME, reported.NAME)
_COUNTED = {
    "rows": tuple(kinds.KINDS),
    "history": ("act", "change"),
    "photos": ("gone",),
    "letters": ("letter", "event"),
    "account": ("account",),
    "invited": ("invited",),
}
FOUND = 1  # exit status: something of theirs is still in a file


def export(config: CloudConfig, code: str, path: Path) -> int:
    """Write an archive of all that is held of somebody: tables as JSON, photos as they are. Raises Refused, OSError."""
    import zipfile

    data = Path(config.data.path)
    with book_of(config, writer=False) as book:
        person = _somebody(known(book, code), code)
        told = {"registry": dossier(book, person)}
    if (data / ACCOUNTS).exists():
        with Accounts(data / ACCOUNTS, SystemClock()) as accounts:
            told["account"] = accounts.dossier(code)
    every = access.accounts(data / access.NAME)
    told["invited"] = {"accounts": [one.user for one in every if {one.made_by, one.revoked_by} & person.who]}
    if (data / JOURNAL).exists():
        told["letters"] = {
            "sent": letters.letters(data / JOURNAL, _keys(person)),
            "acts": letters.acts(data / JOURNAL, code),
        }
    if (data / reported.NAME).exists():
        told["reports"] = {"reports": reported.reports(data / reported.NAME, person)}
    photos = [
        file
        for kind in pictures.KINDS
        for one in told["registry"].get(kind, ())
        for file in pictures.of(data / garden.PHOTOS, one["code"])
    ]
    new = path.with_name(f".{path.name}.new")
    with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("DOC-TRUOC.txt", both("person", "about", name=", ".join(sorted(person.names)), code=code))
        for name, part in told.items():
            archive.writestr(f"{name}.json", msgspec.json.format(msgspec.json.encode(part), indent=2))
        for file in photos:
            archive.write(file, f"photos/{file.name}")
    new.replace(path)
    print(both("person", "exported", path=path, pictures=len(photos)))
    return 0


def erase(config: CloudConfig, code: str, *, sure: bool) -> int:
    """Put an alias in somebody's place in every file of the server, or only say what that would do. Raises Refused."""
    import secrets

    data, clock = Path(config.data.path), SystemClock()
    with book_of(config, writer=False) as book:
        person = _somebody(known(book, code), code)
    now_ms, alias = clock.utc_ms(), f"an-{''.join(secrets.choice(codes.ALPHABET) for _ in range(6)).lower()}"
    counts, photos = forget(data / garden.NAME, person, alias, hanoi(now_ms).date(), now_ms, who(), dry=not sure)
    if (data / JOURNAL).exists():
        counts += letters.forget(data / JOURNAL, person, _keys(person), alias, dry=not sure)
    if (data / reported.NAME).exists():
        counts += reported.forget(data / reported.NAME, person, alias, dry=not sure)
    letters.forget_asked(data, dry=not sure)
    if (data / ACCOUNTS).exists():
        with Accounts(data / ACCOUNTS, clock) as accounts:
            counts["account"] += accounts.forget(code, dry=not sure)
    if (data / access.NAME).exists():
        with access.Book(data / access.NAME) as invited:
            counts["invited"] += invited.forget(person.who, alias, dry=not sure)
    for photo in sorted(photos) if sure else ():
        pictures.erase(data / garden.PHOTOS, photo)
    for name, of in _COUNTED.items():
        print(both("person", name, n=sum(counts[one] for one in of)))
    if not sure:
        print(both("person", "tried", code=code))
        return 0
    left = sorted({file.name for file, secret in _left(data, person)})
    print(both("person", "left", files=", ".join(left)) if left else both("person", "erased", code=code, alias=alias))
    print(both("person", "copies"))
    return FOUND if left else 0


def _somebody(found: Known | None, code: str) -> Known:
    if found is None:
        raise Refused("person", "unknown", code=code)
    return found


def _keys(person: Known) -> list[str]:
    """Return what letters know somebody by: an address, name and role, or name and code."""
    names = sorted(person.names - person.namesakes)
    of_roles = (f"{name} ({role})" for name in names for role in (*people.ROLES, ""))
    return [*sorted(person.addresses), *of_roles, *sorted(person.who)]


def _left(data: Path, person: Known) -> Iterator[tuple[Path, str]]:
    """Yield each file in which something of theirs can still be read, its log and its freed pages included."""
    for name in PRIVATE_FILES:
        for file in sorted(data.glob(f"{name}*")):
            body = file.read_bytes()
            for secret in person.secrets:
                if secret.encode() in body or msgspec.json.encode(secret)[1:-1] in body:
                    yield file, secret
