"""The file's bytes → TOML tables. What is no TOML is named by its line, and where we see it, as it should be."""

from __future__ import annotations

import math
import os
import re
import stat
import tomllib
from typing import TYPE_CHECKING, Any

from settings.finding import SHOWN, ConfigError, shown, suggestion
from settings.words import because

if TYPE_CHECKING:
    from settings.finding import File

LIMIT_BYTES = 256 * 1024
LONGEST_LINE = 2_000  # the parser's time grows with the square of a key's parts
_DEEPEST = 8
_TYPOGRAPHIC = str.maketrans("“”„‘’", '"""\'\'')


def read(file: File) -> bytes:
    """Return the file's bytes. Raises ConfigError."""
    try:
        with open(file.path, "rb", opener=_at_once) as source:
            if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
                raise ConfigError(file, "", "unreadable", **because("not_a_file"))
            raw = source.read(LIMIT_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ConfigError(file, "", "unreadable", **because(error)) from error
    if len(raw) > LIMIT_BYTES:
        raise ConfigError(file, "", "too_big", limit=LIMIT_BYTES // 1024)
    return raw


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe that nobody writes into would never open


def tables(file: File, raw: bytes) -> dict[str, Any]:
    """Return its tables, of which it has all, every value one that a program can use. Raises ConfigError."""
    if raw.startswith(b"\xef\xbb\xbf"):
        raise ConfigError(file, "line 1", "byte_order_mark")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(file, f"line {line}", "not_text", byte=raw[error.start]) from error
    if "\0" in text:
        raise ConfigError(file, f"line {text.count(chr(10), 0, text.index(chr(0))) + 1}", "not_text", byte=0)
    for number, one in enumerate(text.split("\n"), 1):
        if len(one) > LONGEST_LINE:
            raise ConfigError(file, f"line {number}", "too_long", limit=LONGEST_LINE)
    try:
        told = tomllib.loads(text)
    except RecursionError as error:
        raise ConfigError(file, "", "too_deep") from error
    except ValueError as error:  # TOMLDecodeError, and a number of thousands of digits
        raise _mistyped(file, text, str(error)) from error
    _usable(file, told)
    known = file.single + file.several
    for key in told:
        if key in file.gone:
            raise ConfigError(file, f"[{key}]", file.gone[key])
        if key not in known:
            raise ConfigError(file, key, "unknown_table", **suggestion(key, known))
    return told


def one(file: File, tables: dict[str, Any], name: str) -> object:
    """Return what stands under [name]; an empty table where nothing does."""
    if isinstance(found := tables.get(name, {}), list) and found and isinstance(found[0], dict):
        raise ConfigError(file, f"[[{name}]]", "double_table", head=f"[{name}]")
    return found


def each(file: File, tables: dict[str, Any], name: str) -> list[tuple[int, object]]:
    """Return what stands under each [[name]], counted from 1. Raises ConfigError."""
    found = tables.get(name, [])
    if not isinstance(found, list):
        kind = "single_table" if isinstance(found, dict) else "not_a_table"
        raise ConfigError(file, name, kind, value=shown(found), head=f"[[{name}]]")
    return list(enumerate(found, 1))


def beside(file: File, table: object) -> object:
    """Return the table with relative names of files taken from the folder of the file itself."""
    if not isinstance(table, dict):
        return table
    return {
        key: str(file.path.parent / value) if key.endswith("_file") and isinstance(value, str) and value else value
        for key, value in table.items()
    }


def _mistyped(file: File, text: str, why: str) -> ConfigError:
    place = re.search(r" \(at line (\d+), column (\d+)\)$", why)
    lines = text.splitlines()
    number = int(place[1]) if place else len(lines)
    written = lines[number - 1] if 0 < number <= len(lines) else ""
    line = "".join([one if one.isprintable() else " " for one in written]).strip()
    kind, better = _slip(line, why, file.several)
    said = why.partition(" (at ")[0]
    return ConfigError(file, f"line {number}", kind, line=line[:SHOWN], why=said, better=better)


def _slip(line: str, why: str, several: tuple[str, ...]) -> tuple[str, str]:
    """Return which common slip this line is, and the line without it."""
    key, _, value = (part.strip() for part in re.sub(r"\s#[^\"']*$", "", line).partition("="))
    if re.match(r"Cannot (declare|overwrite|mutate)", why):
        again = re.fullmatch(r"\[?\[(\w+)\]\]?\s*(#.*)?", line)
        return ("syntax_list", f"[[{again[1]}]]") if again and again[1] in several else ("syntax_twice", "")
    if line != line.translate(_TYPOGRAPHIC):
        return "syntax_curly", line.translate(_TYPOGRAPHIC)
    if re.fullmatch(r"-?\d+,\d+", value):
        return "syntax_comma", f"{key} = {value.replace(',', '.')}"
    if pair := re.fullmatch(r"([A-Za-z_]+)\s*:\s*(.+)", key):
        return "syntax_equals", f"{pair[1]} = {pair[2]}"
    if value.count('"') % 2:
        return "syntax_unclosed", ""
    if re.fullmatch(r"[^\W\d][\w./:-]*|/[\w./:-]+|\d[\w.:-]*[A-Za-z:][\w.:-]*|\d+(\.\d+){2,}", value):
        return "syntax_quotes", f'{key} = "{value}"'
    return "syntax", ""


def _usable(file: File, told: dict[str, Any]) -> None:
    """Refuse what TOML allows and no setting can mean: infinity, endless numbers and texts, depth."""
    waiting: list[tuple[str, object, int]] = [("", told, 0)]
    while waiting:
        place, value, depth = waiting.pop()
        if depth > _DEEPEST:
            raise ConfigError(file, place[:_DEEPEST], "too_deep")
        if isinstance(value, dict):
            waiting += [(_below(file, place, key), one, depth + 1) for key, one in value.items()]
            for key in value:
                _printable(file, place, key)
        elif isinstance(value, list):
            waiting += [(f"{place} {number}", one, depth + 1) for number, one in enumerate(value, 1)]
        elif isinstance(value, str):
            _printable(file, place, value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(file, place, "not_finite", value=shown(value))
        elif isinstance(value, int) and abs(value) >= 1 << 63:
            raise ConfigError(file, place, "too_large", value=shown(value))


def _below(file: File, place: str, key: str) -> str:
    """Return the place of a key or table below another: [[bus]] 1 echo, [broker] port."""
    if not place:
        return f"[[{key}]]" if key in file.several else f"[{key}]" if key in file.single else key
    return f"{place} {key}"


def _printable(file: File, place: str, text: str) -> None:
    if not text.isprintable():
        raise ConfigError(file, place, "unprintable", value=shown(text))
