"""`gocche coverage invite | teams | revoke`, `gocche access write`: telephones of teams, and what Mosquitto reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.access import book, mosquitto
from cloud.access.fleet import Fleet, team_called
from cloud.clock import SystemClock, hanoi
from cloud.registry import Registry
from gocche.registry import book_of, owned, who
from gocche.words import LANGUAGES, Refused, both

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.access.fleet import Phone
    from cloud.access.invitation import Invitation
    from cloud.config import CloudConfig


def write(config: CloudConfig, folder: Path) -> int:
    """Write Mosquitto's password file and access list into a folder. Raises Refused, OSError, sqlite3.Error."""
    if not folder.is_dir():
        raise Refused("access", "no_folder", folder=folder)
    now_ms = SystemClock().utc_ms()
    every = book.accounts(Path(config.data.path) / book.NAME)
    held = [one for one in every if one.holds(now_ms)]
    files = mosquitto.write(folder, held)
    print(both("access", "written", files=", ".join(map(str, files)), n=len(held), over=len(every) - len(held)))
    return 0


def invite(config: CloudConfig, typed: str, *, phones: int, days: int, path: Path | None) -> int:
    """Print what each telephone of a team scans, once; into a PDF, or an SVG for each, where a path is named."""
    if path is not None and path.suffix not in {".pdf", ".svg"}:
        raise Refused("access", "form", path=path)
    clock, data = SystemClock(), Path(config.data.path)
    today = hanoi(clock.utc_ms()).date()
    with book_of(config, writer=False) as registry:
        rows = {kind: registry.rows(kind) for kind in ("team", "gateway")}
    team = team_called(Registry({"team": rows["team"]}).teams(today), typed)
    gateways = {getattr(one, "code", "") for one in rows["gateway"]}
    owned(data / book.NAME)
    fleet = Fleet(data, config.coverage, clock)
    made = fleet.invite(team, phones, days, who=who(), taken=gateways.__contains__)
    try:
        _hand_out(made, path)
    except BaseException:  # nobody has seen them, and nobody will
        fleet.revoke([one.user for one in made], who=who())
        raise
    names = ", ".join(one.user for one in made)
    until = f"{hanoi(made[0].until_ms):%d/%m/%Y}"
    print(both("access", "invited", n=len(made), team=team.name, users=names, until=until))
    print(both("access", "next"))
    return 0


def teams(config: CloudConfig) -> int:
    """Print the accounts of teams: which hold, until when, and when each was heard last."""
    now_ms = SystemClock().utc_ms()
    phones = Fleet(Path(config.data.path), config.coverage, SystemClock()).phones()
    if not phones:
        print(both("access", "none"))
    for one in phones:
        print(_line(one, now_ms))
    return 0


def revoke(config: CloudConfig, users: list[str]) -> int:
    """Let accounts in no more: the coverage room at once, the broker once it reads its files again."""
    fleet = Fleet(Path(config.data.path), config.coverage, SystemClock())
    known = {one.account.user for one in fleet.phones() if one.account.revoked_ms is None}
    if strange := [user for user in users if user not in known]:
        raise Refused("access", "unknown", user=", ".join(strange))
    ended = fleet.revoke(users, who=who())
    print(both("access", "revoked", users=", ".join(ended)))
    print(both("access", "next"))
    return 0


def _hand_out(made: Sequence[Invitation], path: Path | None) -> None:
    """Show what each telephone scans, or write it. Raises NotInvited, OSError."""
    if path is None:
        for one in made:
            _show(one)
    elif path.suffix == ".pdf":
        from cloud.access.sheet import draw

        draw(path, made)
    else:
        for one in made:
            _private(path if len(made) == 1 else path.with_name(f"{path.stem}-{one.user}.svg"), one.svg())


def _show(one: Invitation) -> None:
    from cloud.access import words

    print(one.terminal())
    print(one.user)
    for language in LANGUAGES:
        print("", words.title(one, language), *words.steps(one, language), sep="\n")


def _line(one: Phone, now_ms: int) -> str:
    account = one.account
    over = account.revoked_ms if account.revoked_ms is not None else account.until_ms
    state = "revoked" if account.revoked_ms is not None else "holds" if account.holds(now_ms) else "over"
    last = "-" if one.heard is None else f"{hanoi(one.heard.last_ms):%Y-%m-%d %H:%M}"
    samples = 0 if one.heard is None else one.heard.samples
    return f"{account.user}\t{account.owner}\t{state} {hanoi(over):%Y-%m-%d}\t{last}\t{samples}"


def _private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)
