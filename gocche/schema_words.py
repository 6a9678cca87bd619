"""A config struct as a table that people read: key, type, default, bounds and description, from its JSON schema.

The structs are the only list of options; what stands here is how they are said, not what they are.
"""

from __future__ import annotations

import json

import msgspec

from settings.expected import kind


def told(struct: type) -> str:
    """Return what the struct's docstring says."""
    return " ".join((struct.__doc__ or "").split())


def keys(struct: type) -> list[list[str]]:
    """Return a row for each key: name, type with bounds, default ("needed" where there is none), description."""
    schema = msgspec.json.schema(struct)
    definitions = schema["$defs"]
    own = definitions[schema["$ref"].rpartition("/")[2]]
    needed = set(own["required"])
    return [
        [
            f"`{name}`",
            kind(field, definitions),
            "needed" if name in needed else f"`{_toml(field.get('default'))}`",
            field.get("description", ""),
        ]
        for name, field in own["properties"].items()
    ]


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table; what would end a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _toml(value: object) -> str:
    return "none" if value is None else json.dumps(value, ensure_ascii=False)
