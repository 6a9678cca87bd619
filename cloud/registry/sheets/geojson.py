"""Trees on a map (GeoJSON, RFC 7946): a point for each, its facts as properties."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cloud.registry.kinds import KINDS
from cloud.registry.rows import columns, write
from cloud.registry.sheets import Row, SheetError, as_typed, header
from settings.words import because

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cloud.registry.kinds import Tree

_PLACE = ("lat", "lon")


def read(path: Path) -> list[Row]:
    """Return the rows of a collection of points. Raises SheetError; of a feature that is no point, too."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise SheetError("no_geojson", path=path, **because(error)) from error
    features = found.get("features") if isinstance(found, dict) else None
    if not isinstance(features, list):
        raise SheetError("no_geojson", path=path, **because("no FeatureCollection"))
    facts = [_facts(path, number, feature) for number, feature in enumerate(features, 1)]
    names = tuple(dict.fromkeys(name for of_one in facts for name in of_one))
    return [
        Row("tree", path.name, number, names, tuple([of_one.get(name, "") for name in names]))
        for number, of_one in enumerate(facts, 1)
    ]


def write_trees(path: Path, trees: Iterable[Tree]) -> None:
    """Write all trees with all of their facts, as exactly as they are known: for the cooperative. Raises OSError."""
    features = []
    for tree in trees:
        facts = {name: text for name, text in write(tree).items() if text and name not in _PLACE}
        point = {"type": "Point", "coordinates": [tree.lon, tree.lat]}
        features.append({"type": "Feature", "geometry": point, "properties": facts})
    new = path.with_name(f".{path.name}.new")
    text = json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False, indent=1)
    new.write_text(text + "\n", "utf-8")
    new.replace(path)


def _facts(path: Path, number: int, feature: Any) -> dict[str, str]:
    try:
        geometry, facts = feature["geometry"], dict(feature["properties"] or {})
        lon, lat = geometry["coordinates"][:2]
        why = "" if geometry["type"] == "Point" else f"{geometry['type']}"
    except (KeyError, TypeError, ValueError) as error:
        why = str(error)
    if why:
        raise SheetError("no_point", path=path, line=number, **because(why))
    header("tree", [*facts, *_PLACE], path=path, line=number)
    known = {column.name: column.cell for column in columns(KINDS["tree"])}
    told = {name: as_typed(fact, known[name]) for name, fact in facts.items() if fact is not None}
    return told | {"lat": str(lat), "lon": str(lon)}
