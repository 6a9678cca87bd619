"""What the alerts' journal holds of somebody: told to them, and taken out of it with their address and their name."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cloud.inbox import path_of
from cloud.registry.forget import SHORTEST, masking, rewriting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloud.registry.forget import Known

INBOX = path_of(Path(), "alerts").name
_NAMED = {  # where somebody stands as such, and where texts do
    "journal": (("who",), ("what", "inputs")),
    "incident": (("acked_by", "closed_by", "assignee"), ("place_vi", "place_en", "muted")),
    "silence": (("author", "ended_by"), ("reason",)),
    "letter": ((), ("says",)),
}


def letters(path: Path, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Return when somebody was written to, by which channel, at which address, and what became of it.

    `keys` are their addresses and the names that letters know them by.
    """
    marks = ", ".join("?" * len(keys))
    query = (
        f"SELECT at_ms, channel, address, state, done_ms FROM letter WHERE person IN ({marks}) OR address IN ({marks})"  # noqa: S608 - marks alone
    )
    return _rows(path, query, *keys, *keys)


def acts(path: Path, code: str) -> list[dict[str, Any]]:
    """Return what somebody did to incidents, and when."""
    return _rows(path, "SELECT at_ms, incident, event, what FROM journal WHERE who = ? ORDER BY id", code)


def _rows(path: Path, query: str, *values: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(query, values)]


def forget(path: Path, who: Known, keys: Sequence[str], alias: str, *, dry: bool) -> Counter[str]:
    """Take somebody's letters away, and put the alias in their place in the history of incidents and in silences.

    Return how many rows that were.
    """
    marks, counts = ", ".join("?" * len(keys)), Counter[str]()
    own, text = {who.code, *keys}, _texts(who, keys, alias)
    with rewriting(path, dry=dry) as db:
        theirs = f"SELECT id FROM letter WHERE person IN ({marks}) OR address IN ({marks})"  # noqa: S608 - marks alone
        db.execute(f"DELETE FROM about WHERE letter IN ({theirs})", (*keys, *keys))  # noqa: S608 - marks alone
        counts["letter"] = db.execute(f"DELETE FROM letter WHERE id IN ({theirs})", (*keys, *keys)).rowcount  # noqa: S608
        for table, (names, texts) in _NAMED.items():
            columns = (*names, *texts)
            rows = db.execute(f"SELECT id, {', '.join(columns)} FROM {table}")  # noqa: S608 - own names
            changed = []
            for number, *before in rows:
                named = [alias if one in own else one for one in before[: len(names)]]
                after = [*named, *(text(one) for one in before[len(names) :])]
                if after != before:
                    changed.append((*after, number))
            settings = ", ".join(f"{column} = ?" for column in columns)
            db.executemany(f"UPDATE {table} SET {settings} WHERE id = ?", changed)  # noqa: S608 - own names
            counts["event"] += len(changed)
    return counts


def forget_asked(folder: Path, *, dry: bool) -> None:
    """Take away what the alerts' room was asked and has answered, of whomever: it is kept for a day only."""
    if (path := folder / INBOX).exists():
        with rewriting(path, dry=dry) as db:
            db.execute("DELETE FROM question WHERE done_ms IS NOT NULL")


def _texts(who: Known, keys: Sequence[str], alias: str) -> Callable[[str], str]:
    """Return what takes somebody out of a text: their names and addresses; their code only where a machine wrote it.

    A code may be a word like any other.
    """
    mask, long = masking(who, alias), [key for key in keys if len(key) >= SHORTEST]
    code = msgspec.json.encode(who.code).decode()
    wrote = [(f'"to":{code}', f'"to":"{alias}"'), (f" by {who.code}: ", f" by {alias}: ")]
    wrote += [(f"{who.code} had it, and has not", f"{alias} had it, and has not"), *((key, alias) for key in long)]

    def text(said: str) -> str:
        for old, new in wrote:
            said = said.replace(old, new)
        return mask(said)

    return text
