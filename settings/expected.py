"""A table of a settings file against its struct; and what a key must be, in words, from the struct's own schema."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from settings.finding import ConfigError, Unfit, shown, suggestion, unknown
from settings.words import words

if TYPE_CHECKING:
    from settings.finding import File

_S = TypeVar("_S", bound=msgspec.Struct)
_BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minLength": "{least} {} {chars}",
    "maxLength": "{most} {} {chars}",
    "minItems": "{least} {} {items}",
    "pattern": "`{}`",
}


def convert(file: File, place: str, table: object, to: type[_S]) -> _S:
    """Return the table as a struct. Raises ConfigError naming place, key, value, what is expected and what it means."""
    if not isinstance(table, dict):
        raise ConfigError(file, place, "not_a_table", value=shown(table), head=place.partition(" ")[0])
    try:
        return msgspec.convert(table, type=to)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, Unfit):
            raise placed(file, place, error.__cause__) from error
        raise _explained(file, place, table, str(error), to) from error


def kind(field: dict[str, Any], definitions: dict[str, Any], language: str = "en") -> str:
    """Return the type and bounds of one field of a schema in words."""
    names = words("settings")["types"][language]
    if "$ref" in field:
        inner = definitions[field["$ref"].rpartition("/")[2]]
        return "{ " + ", ".join(inner["properties"]) + " }"
    if "anyOf" in field:
        every = [kind(one, definitions, language) for one in field["anyOf"] if one.get("type") != "null"]
        return f" {names['or']} ".join(every)
    if "enum" in field:
        return f" {names['or']} ".join(f"`{_toml(one)}`" for one in field["enum"])
    name = str(field.get("type", "any"))
    said = names.get(name, name)
    if name == "array":
        said += " " + kind(field["items"], definitions, language)
    if name == "object" and isinstance(field.get("additionalProperties"), dict):
        said += ": " + kind(field["additionalProperties"], definitions, language)
    bounds = {key: text for key, text in _BOUNDS.items() if key in field}
    for key in {"minLength", "minItems"} & bounds.keys():
        if field[key] == 1:
            bounds[key] = "{filled}"
    return ", ".join([said, *(text.format(field[key], **names) for key, text in bounds.items())])


def _explained(file: File, place: str, table: dict[str, Any], said: str, to: type[msgspec.Struct]) -> ConfigError:
    text, _, path = said.partition(" - at `")
    keys = re.findall(r"\.(\w+)|\[(\d+)\]", path)
    at = f"{place} {path.rstrip('`').removeprefix('key` in `').removeprefix('$').removeprefix('.')}".strip()
    schema = msgspec.json.schema(to)
    steps = [name or int(number) for name, number in keys]
    node, value = _walked(schema, steps, table)
    properties = _resolved(node, schema).get("properties", {})
    if unknown := re.search(r"unknown field `(.*)`", text):
        return ConfigError(file, f"{at} {unknown[1]}", "unknown_key", **suggestion(unknown[1], properties))
    if missing := re.search(r"missing required field `(\w+)`", text):
        field = properties.get(missing[1], {})
        return ConfigError(
            file, f"{at} {missing[1]}", "missing", key=missing[1], **_facts(file, field, schema, to, missing[1])
        )
    if re.match(r"Expected |Invalid |Integer |Object ", text):
        named = next((step for step in reversed(steps) if isinstance(step, str)), "")
        return ConfigError(file, at, "wrong_value", value=shown(value), **_facts(file, node, schema, to, named))
    return contradiction(file, at, text)


def chosen(file: File, place: str, table: dict[str, Any], key: str, known: list[str]) -> str:
    """Return the word of a table that chooses one of the known. Raises ConfigError."""
    word = table.get(key)
    if word is None:
        raise ConfigError(file, f"{place} {key}", "not_chosen", key=key, known=", ".join(known))
    if word not in known:
        raise placed(file, place, unknown(key, word if isinstance(word, str) else shown(word), known))
    return str(word)


def placed(file: File, place: str, error: Exception) -> ConfigError:
    """Return what a struct, a driver or a rule itself says against a table, now that file and place are known."""
    if isinstance(error, Unfit):
        return ConfigError(file, f"{place} {error.key}".strip(), error.kind, **error.facts)
    return contradiction(file, place, str(error.args[0] if error.args else error))


def contradiction(file: File, place: str, text: str) -> ConfigError:
    """Return what a struct or a driver itself says against a table: "rule", or "rule; remedy"."""
    rule, _, remedy = text.partition("; ")
    return ConfigError(
        file, place, "contradiction", words=rule, remedy=remedy or file.words["types"]["en"]["reference"]
    )


def _walked(schema: dict[str, Any], path: list[str | int], value: Any) -> tuple[dict[str, Any], Any]:
    """Return the schema's node and the value that a path leads to, as far as both go."""
    node: dict[str, Any] = schema
    for step in path:
        resolved = _resolved(node, schema)
        node = resolved.get("items", {}) if isinstance(step, int) else resolved.get("properties", {}).get(step, {})
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            value = None
    return node, value


def _resolved(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return what a node stands for; of one that may be left out, what it is where it is not."""
    while True:
        said = [one for one in node.get("anyOf", ()) if one.get("type") != "null"]
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
        elif len(said) == 1:
            node = said[0]
        else:
            return node


def _facts(
    file: File, field: dict[str, Any], schema: dict[str, Any], to: type[msgspec.Struct], key: str
) -> dict[str, str]:
    """Return what a key must be and what it means: a plug-in's own in Vietnamese too where a words.toml has it."""
    definitions = schema.get("$defs", {})
    types, meaning = file.words["types"], file.words["meaning"]
    top = _resolved(schema, schema).get("properties", {}).get(key, {})
    return {
        "what": field.get("description") or top.get("description") or types["en"]["reference"],
        "what_vi": meaning.get(to.__name__, meaning["further"]).get(key) or types["vi"]["reference"],
        "expected": kind(field, definitions),
        "expected_vi": kind(field, definitions, "vi"),
    }


def _toml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
