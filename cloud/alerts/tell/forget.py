"""The letters that somebody was sent: told to them, and taken out of the journal with their address."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

from cloud.registry.forget import rewriting

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def letters(path: Path, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Return when somebody was written to, by which channel, at which address, and what became of it.

    `keys` are their addresses and the names that letters know them by.
    """
    marks = ", ".join("?" * len(keys))
    query = (
        f"SELECT at_ms, channel, address, state, done_ms FROM letter WHERE person IN ({marks}) OR address IN ({marks})"  # noqa: S608 - marks alone
    )
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(query, (*keys, *keys))]


def forget(path: Path, keys: Sequence[str], alias: str, *, dry: bool) -> Counter[str]:
    """Take somebody's letters away, and their address out of the events of incidents; return how many."""
    marks, counts = ", ".join("?" * len(keys)), Counter[str]()
    with rewriting(path, dry=dry) as db:
        own = f"SELECT id FROM letter WHERE person IN ({marks}) OR address IN ({marks})"  # noqa: S608 - marks alone
        db.execute(f"DELETE FROM about WHERE letter IN ({own})", (*keys, *keys))  # noqa: S608 - marks alone
        counts["letter"] = db.execute(f"DELETE FROM letter WHERE id IN ({own})", (*keys, *keys)).rowcount  # noqa: S608
        for key in keys:
            for column in ("who", "what", "inputs"):
                event = f"UPDATE journal SET {column} = replace({column}, ?, ?) WHERE instr({column}, ?)"  # noqa: S608 - own names
                counts["event"] += db.execute(event, (key, alias, key)).rowcount
    return counts
