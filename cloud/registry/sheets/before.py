"""The tables of gocche before it had a registry: hamlets with the names of commune and province, contacts by role.

Such a folder is read once, at the first start. What had no code gets one, in the order of the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.registry.sheets import SheetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cloud.registry.sheets import Row

_HAMLETS = ("code", "name", "commune", "province", "lat", "lon", "households", "valid_from", "valid_to")
_CONTACTS = ("name", "role", "email", "lang", "addresses")
_NEEDED = {"hamlets": set(_HAMLETS), "contacts": {"name", "role"}}
_KNOWN = {"hamlets": _HAMLETS, "contacts": _CONTACTS}


def is_old(stem: str, names: Sequence[str]) -> bool:
    """Return whether a table has the form of before."""
    return stem == "contacts" or (stem == "hamlets" and "province" in names)


def header(path: Path, line: int, names: Sequence[str]) -> None:
    """Raise SheetError for a header that was not the table's."""
    known = _KNOWN[path.stem]
    for fault, which in (("unknown", set(names) - set(known)), ("missing", _NEEDED[path.stem] - set(names))):
        if which:
            facts = {"which": ", ".join(map(repr, sorted(which))), "known": ", ".join(known)}
            raise SheetError(f"column_{fault}", path=path, line=line, **facts)


def rows(path: Path, found: list[Row]) -> list[Row]:
    """Return the rows of an old table as those of today's."""
    return list(_hamlets(found) if path.stem == "hamlets" else _contacts(found))


def _contacts(found: list[Row]) -> Iterator[Row]:
    """One person for each name and address, with all the roles of its rows."""
    people: dict[tuple[str, ...], tuple[Row, list[str]]] = {}
    for row in found:
        key = tuple(row.cells.get(name, "").strip() for name in ("name", "email", "addresses"))
        people.setdefault(key, (row, []))[1].append(row.cells["role"].strip())
    for number, (row, roles) in enumerate(people.values(), 1):
        cells = {name: row.cells.get(name, "") for name in ("name", "email", "lang", "addresses")}
        yield row.having({"code": f"p{number:02}", **cells, "roles": " ".join(roles)}, "person")


def _hamlets(found: list[Row]) -> Iterator[Row]:
    """A commune for each history of names that hamlets share, a province for each name."""
    of_hamlet: dict[str, list[Row]] = {}
    for row in found:
        of_hamlet.setdefault(row.cells["code"].strip(), []).append(row)
    communes: dict[tuple[tuple[str, ...], ...], str] = {}
    provinces: dict[str, str] = {}
    made: list[Row] = []
    for rows_of in of_hamlet.values():
        names = ("commune", "province", "valid_from", "valid_to")
        history = tuple(tuple(row.cells[name].strip() for name in names) for row in rows_of)
        new = history not in communes
        commune = communes.setdefault(history, f"c{len(communes) + 1:02}")
        for row, (name, province, start, end) in zip(rows_of, history, strict=True):
            if province not in provinces:
                provinces[province] = f"v{len(provinces) + 1:02}"
                yield row.having({"code": provinces[province], "name": province, "valid_from": start}, "province")
            if new:
                period = {"valid_from": start, "valid_to": end}
                cells = {"code": commune, "name": name, "province": provinces[province]}
                made.append(row.having(cells | period, "commune"))
            cells = {key: row.cells[key] for key in _HAMLETS if key != "province"}
            made.append(row.having(cells | {"commune": commune}, "hamlet"))
    yield from _one_row_while_nothing_changes(made)


def _one_row_while_nothing_changes(made: list[Row]) -> Iterator[Row]:
    """Join a hamlet's rows that differ in their period alone: what changed was its province's name."""
    kept: list[Row] = []
    for row in made:
        last = next(
            (one for one in reversed(kept) if one.kind == row.kind and one.cells["code"] == row.cells["code"]), None
        )
        period = {"valid_from", "valid_to"}
        facts = {key: text for key, text in row.cells.items() if key not in period}
        follows = last is not None and last.cells["valid_to"].strip() == row.cells["valid_from"].strip() != ""
        if last is not None and follows and facts == {k: t for k, t in last.cells.items() if k not in period}:
            kept[kept.index(last)] = last.having(last.cells | {"valid_to": row.cells["valid_to"]})
        else:
            kept.append(row)
    yield from kept
