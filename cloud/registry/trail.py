"""Who changed what when: read as people need it, before they change it again or take it back."""

from __future__ import annotations

from typing import Any

import msgspec

from cloud.clock import hanoi
from cloud.registry.cells import Bad
from cloud.registry.kinds import KINDS, Record, key_of, spoken
from cloud.registry.rows import write

_TEXT = msgspec.json.Encoder()


class Act(msgspec.Struct, frozen=True):
    """Who did what when (UTC ms), and how many rows it changed. `undoes` is the act that it took back."""

    id: int
    at_ms: int
    who: str
    what: str
    undoes: int | None
    changes: int


class Change(msgspec.Struct, frozen=True):
    """One row before and after; None where it was not there."""

    id: int
    kind: str
    before: Record | None
    after: Record | None

    @property
    def key(self) -> tuple[Any, ...]:
        """Return what the row is known by."""
        record = self.after if self.before is None else self.before
        assert record is not None, "a change has one of the two"
        return key_of(record)


def change_of(number: int, kind: str, before: str | None, after: str | None) -> Change:
    """Return a change as it lies in the file."""
    was, became = (None if text is None else msgspec.json.decode(text, type=KINDS[kind]) for text in (before, after))
    return Change(number, kind, was, became)


def text_of(value: Any) -> str:
    """Return a record, or a key, as it lies in the file."""
    return _TEXT.encode(value).decode()


def difference(change: Change) -> str:
    """Return what a change changed, column by column."""
    before, after = ({} if record is None else write(record) for record in (change.before, change.after))
    texts = {name: (before.get(name) or "—", after.get(name) or "—") for name in before | after}
    return ", ".join(f"{name}: {was} → {became}" for name, (was, became) in texts.items() if was != became)


def refuse(meanwhile: tuple[Any, ...] | None) -> None:
    """Raise Bad for a change that somebody made meanwhile: (id, kind, before, after, who, at_ms), or None."""
    if meanwhile is not None:
        *told, who, at_ms = meanwhile
        change = change_of(*told)
        when = hanoi(at_ms).strftime("%Y-%m-%d %H:%M")
        raise Bad(
            "changed",
            kind=change.kind,
            key=spoken(change.key),
            who=who,
            when=when,
            changes=difference(change),
            act=(change, who, at_ms),
        )
