"""What an act changes, and whether it can stand: judged as a whole, inside the transaction that would write it."""

from __future__ import annotations

from functools import cached_property
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from cloud.registry import consent
from cloud.registry.cells import Bad
from cloud.registry.hanging import stretched_m
from cloud.registry.kinds import KIND_OF, KINDS, Binding, Consent, Person, Record, Tree, Zone, key_of, spoken
from cloud.registry.map import away_m
from cloud.registry.people import ADMIN
from cloud.registry.periods import together
from cloud.registry.rows import references
from cloud.registry.sql import table
from cloud.registry.trail import refuse, text_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable

MANY = 200  # records from which it is faster to read the whole table
_SHOWN = 20  # codes that a sentence lists


class Rejected(Exception):
    """An act that cannot be: (record, why) for each fault."""

    def __init__(self, faults: list[tuple[Record, Bad]]) -> None:
        super().__init__("; ".join(str(bad) for _, bad in faults[:5]))
        self.faults = faults


class Draft:
    """Each write counts at once inside the act, so that the next one sees it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.changes: list[tuple[str, str, str | None, str | None]] = []  # kind, key, before, after: as they lie
        self._put: dict[tuple[str, tuple[Any, ...]], Record] = {}
        self._gone: list[Record] = []
        self._known: dict[tuple[str, str], bool] = {}
        self._outlines: dict[str, tuple[tuple[float, float], ...]] = {}
        self._admins: list[Record] = []  # each admin whom it changes, as it leaves them; who goes as they were

    def put(self, records: Iterable[Record], seen: int | None = None) -> int:
        """Add or replace records; return how many that changes. `seen` is what their editor saw (Held.seen).

        Raises Bad where somebody has changed one since then.
        """
        return sum(self._put_of(KIND_OF[struct], list(group), seen) for struct, group in groupby(records, type))

    def _put_of(self, kind: str, records: list[Record], seen: int | None) -> int:
        if seen is not None:
            for record in records:
                self._as_seen(kind, key_of(record), seen)
        of_kind = table(kind)
        given = {key_of(record): record for record in records}  # of one record twice, the last counts
        before, rows = self._before(kind, given), []
        for key, record in given.items():
            row = of_kind.row(record)
            lay = before.get(of_kind.key_at(row))
            if row != lay and (was := None if lay is None else of_kind.record(lay)) != record:
                rows.append(row)
                self._note(kind, key, was, record)
                self._put[kind, key] = record
                self._was_admin(was, record)
        self._db.executemany(of_kind.put, rows)
        return len(rows)

    def remove(self, kind: str, key: tuple[Any, ...], seen: int | None = None) -> bool:
        """Take a record away; return whether it was there. Raises Bad as `put`."""
        if seen is not None:
            self._as_seen(kind, key, seen)
        before = one(self._db, kind, key)
        if before is None:
            return False
        of_kind = table(kind)
        self._db.execute(of_kind.remove, of_kind.of(key))
        self._note(kind, key, before, None)
        self._put.pop((kind, key), None)
        self._gone.append(before)
        self._was_admin(before, before)
        return True

    def faults(self) -> list[tuple[Record, Bad]]:
        """Return each record of the act that cannot stand beside the others, with why."""
        self._known.clear()
        self.__dict__.pop("_people", None)
        self.__dict__.pop("_consents", None)
        found = []
        for judge, records in ((self._judge, self._put.values()), (self._unused, self._gone)):
            for record in records:
                try:
                    judge(record)
                except Bad as bad:
                    found.append((record, bad))
        if self._admins and not any(one.access == ADMIN for one in self._people):
            found += [(one, Bad("last_admin", column="access", value=spoken(key_of(one)))) for one in self._admins]
        return found

    def held(self, kind: str, key: tuple[Any, ...]) -> Record | None:
        """Return a record as the act has it by now, or None."""
        return one(self._db, kind, key)

    def unchanged(self, kind: str, key: tuple[Any, ...], seen: int, but_for: str) -> None:
        """Raise Bad where somebody but one person has changed a record after a change that its editor knew of."""
        self._nobody_since(kind, key, seen, but_for)

    def known(self, seen: int) -> None:
        """Raise Bad where that change is not there: the registry came back from a backup since it was seen."""
        if seen > int(self._db.execute("SELECT coalesce(max(id), 0) FROM change").fetchone()[0]):
            raise Bad("brought_back")

    def done(self, begins: str) -> bool:
        """Tell whether there is an act already whose words begin so: what is sent twice is written once."""
        query = "SELECT 1 FROM act WHERE what >= ? AND what < ? LIMIT 1"
        return self._db.execute(query, (begins, begins + "\U0010ffff")).fetchone() is not None

    def count(self, kind: str) -> int:
        """Return how many records of a kind the act has by now."""
        return int(self._db.execute(table(kind).count).fetchone()[0])

    def _before(self, kind: str, keys: Collection[tuple[Any, ...]]) -> dict[Any, tuple[Any, ...]]:
        """Return by its key, as it lies in the table, each row that may be one of the keys'."""
        of_kind = table(kind)
        found: Iterable[tuple[Any, ...]]
        if len(keys) > MANY:
            found = self._db.execute(of_kind.any)
        else:
            found = (row for key in keys for row in self._db.execute(of_kind.one, of_kind.of(key)))
        return {of_kind.key_at(row): row for row in found}

    def _was_admin(self, before: Record | None, after: Record) -> None:
        if isinstance(before, Person) and before.access == ADMIN:
            self._admins.append(after)

    def _note(self, kind: str, key: tuple[Any, ...], before: Record | None, after: Record | None) -> None:
        was = None if before is None else text_of(before)
        self.changes.append((kind, text_of(key), was, None if after is None else text_of(after)))

    def _as_seen(self, kind: str, key: tuple[Any, ...], seen: int) -> None:
        """Raise Bad unless the last change of a record is the one that its editor saw: none, of one that is new.

        A new record may have the key of one that was taken away.
        """
        if seen == 0 and one(self._db, kind, key) is None:
            return
        self._nobody_since(kind, key, seen)
        query = "SELECT coalesce(max(id), 0) FROM change WHERE kind = ? AND key = ?"
        if seen > int(self._db.execute(query, (kind, text_of(key))).fetchone()[0]):
            raise Bad("brought_back")

    def _nobody_since(self, kind: str, key: tuple[Any, ...], seen: int, but_for: str = "") -> None:
        query = (
            "SELECT change.id, kind, before, after, who, at_ms FROM change JOIN act ON act.id = act "
            "WHERE kind = ? AND key = ? AND change.id > ? AND who != ? ORDER BY change.id DESC LIMIT 1"
        )
        refuse(self._db.execute(query, (kind, text_of(key), seen, but_for)).fetchone())

    def _judge(self, record: Record) -> None:
        for column, kind, code in references(record):
            if not self._is_known(kind, code):
                known = [str(row[0]) for row in self._db.execute(table(kind).codes, (_SHOWN,))]
                raise Bad("unknown", column=column, value=code, kind=kind, known=", ".join(known) or "—")
        if "valid_from" in record.key:
            self._no_overlap(record)
        if isinstance(record, Tree):
            self._inside(record)
        if isinstance(record, Binding) and record.place == "tree":
            self._at_one_place(record)
        if record.by_consent:
            consent.judge(record, self._people, self._consents)

    @cached_property
    def _people(self) -> list[Person]:
        return [one for one in every(self._db, "person") if isinstance(one, Person)]

    @cached_property
    def _consents(self) -> dict[str, Consent]:
        return {one.code: one for one in every(self._db, "consent") if isinstance(one, Consent)}

    def _inside(self, tree: Tree) -> None:
        """A tree stands within its zone's outline, where there is one, as exactly as its position is known."""
        if tree.zone not in self._outlines:
            zone = one(self._db, "zone", (tree.zone,))
            self._outlines[tree.zone] = zone.outline if isinstance(zone, Zone) else ()
        outline = self._outlines[tree.zone]
        away = away_m(tree.lat, tree.lon, outline) if outline else 0.0
        if away > (tree.accuracy_m or 0.0):
            facts = {"lat": tree.lat, "lon": tree.lon, "zone": tree.zone}
            raise Bad("outside", column="lat", value=f"{tree.lat} {tree.lon}", **facts, away_m=away)

    def _at_one_place(self, bound: Binding) -> None:
        """A sensor is at two trees at once only where they are as near to each other as it is to both."""
        here = one(self._db, "tree", (bound.code,))
        for row in self._db.execute(table("binding").beside, (bound.gateway, bound.channel)):
            other = table("binding").record(row)
            assert isinstance(other, Binding), "a row of its table"
            if other.place != "tree" or other.code == bound.code or not together(bound, other):
                continue
            there = one(self._db, "tree", (other.code,))
            if isinstance(here, Tree) and isinstance(there, Tree) and (far_m := stretched_m(bound, here, other, there)):
                sensor = f"{bound.gateway}/{bound.channel}"
                facts = {"sensor": sensor, "other": other.code, "since": other.valid_from, "far_m": far_m}
                raise Bad("two_trees", column="code", value=bound.code, **facts)

    def _is_known(self, kind: str, code: str) -> bool:
        if (kind, code) not in self._known:
            self._known[kind, code] = self._db.execute(table(kind).known, (code,)).fetchone() is not None
        return self._known[kind, code]

    def _no_overlap(self, record: Record) -> None:
        """Of what is true for a time, one thing is true at a time."""
        of_kind = table(KIND_OF[type(record)])
        what = of_kind.identity(record)
        for (start, end), (following, _) in pairwise(self._db.execute(of_kind.periods, what)):
            if not end or end > following:
                raise Bad("overlap", column="valid_from", value=following, start=start, key=spoken(what))

    def _unused(self, gone: Record) -> None:
        kind, code = KIND_OF[type(gone)], getattr(gone, "code", None)
        if code is None or self._is_known(kind, code):
            return
        for user in KINDS:
            for query, asks_kind in table(user).users(kind):
                row = self._db.execute(query, (code, kind) if asks_kind else (code,)).fetchone()
                if row is not None:
                    raise Bad("in_use", kind=kind, key=code, user=f"{user} {spoken(row)}")


def one(db: sqlite3.Connection, kind: str, key: tuple[Any, ...]) -> Record | None:
    """Return the record of a key, or None."""
    of_kind = table(kind)
    row = db.execute(of_kind.one, of_kind.of(key)).fetchone()
    return None if row is None else of_kind.record(row)


def every(db: sqlite3.Connection, kind: str) -> list[Record]:
    """Return all records of a kind that can be read, by key."""
    of_kind = table(kind)
    return list(filter(None, map(of_kind.readable, db.execute(of_kind.all))))
