"""What the registry holds of a person, told to them; and taken out of all of it, the journal of acts included.

Law 91/2025/QH15 gives a person both, within days. The journal is append-only for everybody else: here alone its rows
are rewritten, so that what was done stays said and by whom does not. Undoing an act then brings back the alias.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from contextlib import closing, contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from cloud.registry.consent import named
from cloud.registry.draft import Draft, every
from cloud.registry.kinds import KINDS, Consent, Duty, Person, Photo, Record, Voice, key_of
from cloud.registry.trail import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cloud.registry.book import Book

BUSY_S = 10.0
SHORTEST = 5  # letters of an address that is looked for within texts: a shorter one is a part of too much else
_ALL = 1 << 30


class Known(NamedTuple):
    """Somebody under every name and address that they ever had here.

    Two people may be called the same, and a household may have one telephone: `namesakes` are the names that somebody
    else has, too, and an address that somebody else has now is not among theirs: it goes on being that person's.
    """

    code: str
    names: frozenset[str]
    addresses: frozenset[str]
    namesakes: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()  # the codes of everybody else

    @property
    def secrets(self) -> set[str]:
        """Return what may stand in no file any more."""
        names = {name for name in self.names - self.namesakes if " " in name}
        return names | {address for address in self.addresses if len(address) >= SHORTEST}

    @property
    def who(self) -> set[str]:
        """Return how the journal of acts calls them."""
        return {f"{name} ({self.code})" for name in self.names}


def known(book: Book, code: str) -> Known | None:
    """Return somebody of the registry, or of its past; None for who was never in it."""
    held = book.held("person", (code,))
    people = [held.record] if held else []
    people += [
        one for _, change in book.history("person", (code,), _ALL) for one in (change.before, change.after) if one
    ]
    own = [one for one in people if isinstance(one, Person)]
    if not own:
        return None
    others = [one for one in book.rows("person") if isinstance(one, Person) and one.code != code]
    names = frozenset(one.name for one in own)
    return Known(
        code,
        names,
        frozenset(_addresses(own) - _addresses(others)),
        names & {one.name for one in others},
        frozenset(one.code for one in others),
    )


def _addresses(people: list[Person]) -> set[str]:
    return {address for one in people for address in (one.email, *one.addresses.values()) if address}


def dossier(book: Book, who: Known) -> dict[str, Any]:
    """Return all that the registry holds of somebody: their row, their consents, what names them, what they did."""
    codes = {one.code for one in book.rows("consent") if isinstance(one, Consent) and one.person == who.code}
    people = [Person(code=who.code, name=name) for name in sorted(who.names)]
    told: dict[str, Any] = {}
    for kind in KINDS:
        own = [one for one in book.rows(kind) if _about(one, who, codes, people)]
        if own:
            told[kind] = [msgspec.to_builtins(one) for one in own]
    acts = [act for act in book.acts(_ALL) if act.who in who.who]
    told["acts"] = [msgspec.to_builtins(act) for act in acts]
    told["changes"] = [
        {"at_ms": act.at_ms, "who": act.who} | msgspec.to_builtins(change)
        for act, change in book.history("person", (who.code,), _ALL)
    ]
    return told


def forget(
    path: Path, who: Known, alias: str, day: date, at_ms: int, by: str, *, dry: bool
) -> tuple[Counter[str], set[str]]:
    """Put an alias in the place of somebody, everywhere; return (what was changed how often, photos and voices gone).

    Their consents are withdrawn as of `day`, and they are on no duty list any more. Photos that show them
    go, and recordings of their voice.

    Raises sqlite3.Error: then nothing is changed.
    """
    mask = _Mask(who, alias, day)
    counts: Counter[str] = Counter()
    with rewriting(path, dry=dry) as db:
        photos = _rows(db, mask, counts)
        _journal(db, mask, counts)
        if not dry:
            db.execute("INSERT INTO act (at_ms, who, what) VALUES (?, ?, ?)", (at_ms, by, f"erase {alias}"))
    return counts, photos


def masking(who: Known, alias: str) -> Callable[[str], str]:
    """Return what puts an alias in the place of somebody's names and addresses in a text."""
    return _Mask(who, alias, date.min).text


@contextmanager
def rewriting(path: Path, *, dry: bool) -> Iterator[sqlite3.Connection]:
    """Let the body rewrite what is append-only, in one transaction; a `dry` one is taken back.

    The file is made anew afterwards, so that nothing of it stays in freed pages or in the log beside it.
    """
    with closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        try:
            guards = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for name, _ in guards:
                db.execute(f'DROP TRIGGER "{name}"')
            yield db
            for _, made in guards:
                db.execute(made)
            db.execute("ROLLBACK" if dry else "COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        if not dry:
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _about(one: Record, who: Known, consents: set[str], people: list[Person]) -> bool:
    if isinstance(one, Person):
        return one.code == who.code
    rests = consents.intersection(getattr(one, "consents", ()))
    texts = " ".join(_texts(msgspec.to_builtins(one)))
    return bool(
        getattr(one, "person", "") == who.code
        or rests
        or (one.tells and named(one, people))
        or any(_whole(address).search(texts) for address in who.addresses if len(address) >= SHORTEST)
        or any(_whole(name).search(texts) for name in who.names if " " in name)
        or any(getattr(one, column, "") in who.names for column in ("author", "reviewer", "speaker", "holder"))
    )


def _rows(db: sqlite3.Connection, mask: _Mask, counts: Counter[str]) -> set[str]:
    """Rewrite the tables; return the photos and voices that went with their files."""
    draft, gone = Draft(db), set()
    consents = (one for one in every(db, "consent") if isinstance(one, Consent))
    mask.consents = {one.code: one.what for one in consents if one.person == mask.who.code}
    for kind, struct in KINDS.items():
        for one in every(db, kind):
            if isinstance(one, (Photo, Voice)) and (
                any(mask.consents.get(code) == kind for code in one.consents)
                or getattr(one, "speaker", "") in mask.spoken
            ):
                draft.remove(kind, key_of(one))
                gone.add(one.code)
                counts["gone"] += 1
                continue
            if isinstance(one, Duty) and one.person == mask.who.code:
                draft.remove(kind, key_of(one))
                counts[kind] += 1
                continue
            new = msgspec.convert(mask.record(kind, msgspec.to_builtins(one), now=True), struct)
            if new != one:
                if key_of(new) != key_of(one):
                    draft.remove(kind, key_of(one))
                draft.put([new])
                counts[kind] += 1
    return gone


def _journal(db: sqlite3.Connection, mask: _Mask, counts: Counter[str]) -> None:
    """Rewrite who did what, and what rows were before and after."""
    for number, who, what in db.execute("SELECT id, who, what FROM act").fetchall():
        new = mask.act(who, what)
        if new != (who, what):
            db.execute("UPDATE act SET who = ?, what = ? WHERE id = ?", (*new, number))
            counts["act"] += 1
    for number, kind, key, before, after in db.execute("SELECT id, kind, key, before, after FROM change").fetchall():
        new_key = mask.key(kind, key)
        texts = [text and text_of(mask.record(kind, msgspec.json.decode(text))) for text in (before, after)]
        if [new_key, *texts] != [key, before, after]:
            row = (new_key, *texts, number)
            db.execute("UPDATE change SET key = ?, before = ?, after = ? WHERE id = ?", row)
            counts["change"] += 1


class _Mask:
    """Puts the alias in the place of one person."""

    def __init__(self, who: Known, alias: str, day: date) -> None:
        self.who, self.alias, self._day = who, alias, day
        self.consents: dict[str, str] = {}  # theirs: to what
        self.spoken = who.names - who.namesakes
        self._names = [_whole(name) for name in who.names if " " in name]
        self._addresses = [_whole(address) for address in who.addresses if len(address) >= SHORTEST]

    def record(self, kind: str, told: dict[str, Any], *, now: bool = False) -> dict[str, Any]:
        """Return a record, as JSON has it, without them; of one that stands `now` their consents are withdrawn."""
        if kind == "person" and told.get("code") == self.who.code:
            return {"code": self.alias, "name": self.alias}
        if kind == "duty" and told.get("person") == self.who.code:
            return told | {"person": self.alias}
        if kind == "consent" and told.get("person") == self.who.code:
            over = {"withdrawn_on": self._day.isoformat()} if now and "withdrawn_on" not in told else {}
            return {name: value for name, value in told.items() if name != "note"} | {"person": self.alias} | over
        if kind == "person":  # somebody else: their name is their own
            return {name: self._masked(value) if name != "name" else value for name, value in told.items()}
        new: dict[str, Any] = self._masked(told)
        if new != told and "consents" in new:  # nobody is named there any more
            new["consents"] = [code for code in new["consents"] if self.consents.get(code) != "name"]
        return new

    def key(self, kind: str, key: str) -> str:
        """Return a key, as it lies in the journal, that does not say their code."""
        parts = msgspec.json.decode(key)
        at = {"person": "code", "duty": "person"}.get(kind)
        if at is None or parts[KINDS[kind].key.index(at)] != self.who.code:
            return key
        parts[KINDS[kind].key.index(at)] = self.alias
        return text_of(parts)

    def act(self, who: str, what: str) -> tuple[str, str]:
        """Return who did what without them."""
        if who in self.who.who:
            by = f"{self.alias} ({self.alias})"
        else:
            by = who if who.rpartition(" (")[2].rstrip(")") in self.who.others else self.text(who)
        kind, _, key = what.partition(" ")
        code, _, rest = key.partition(" ")
        if (kind == "person" and key == self.who.code) or (kind == "duty" and code == self.who.code):
            return by, f"{kind} {self.alias} {rest}".strip()
        return by, self.text(what)

    def _masked(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._masked(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self._masked(one) for one in value]
        return self.text(value) if isinstance(value, str) else value

    def text(self, text: str) -> str:
        """Return a text without them."""
        if text in self.who.names:
            return self.alias
        for known in (*self._addresses, *self._names):
            text = known.sub(self.alias, text)
        return text


def _whole(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str):
        yield value
