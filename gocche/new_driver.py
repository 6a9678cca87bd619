"""`gocche new-driver NAME`: both halves of a new driver, module and case folders, that pass at once.

A skeleton that works is easier to bend than an empty file: it asks a made-up device for one line, checks it, and
shows where config, units, reasons and errors go. docs/add-a-sensor.md walks on from here.
"""

from __future__ import annotations

import keyword
import re
import sys
import unicodedata
from typing import TYPE_CHECKING

from gocche.words import Refused, said

if TYPE_CHECKING:
    from pathlib import Path

_NAME = re.compile(r"[a-z][a-z0-9_]{1,30}")
_MODULE = '''"""NAME: say here which device this is, and from which maker.

Source: name the datasheet and the pages that the numbers below come from.
Limits: what this driver does not do, and what the device is known to get wrong.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from edge.driver import Ask, BadReply, Driver, DriverConfig, Habits, Value
from edge.plausible import judged, ranges

if TYPE_CHECKING:
    from edge.driver import Io

_ANSWER = re.compile(rb"T=(-?\\d+\\.\\d)\\r\\n")
_QUANTITIES = {"temperature": "air_temperature"}


class Config(DriverConfig, frozen=True, kw_only=True):
    """What devices.toml may say about this sensor."""

    letter: Annotated[str, Meta(pattern="^[A-Z]$", description="which of its lines the device is asked for")] = "T"


def poll(config: Config) -> Io:
    """Ask for one line and return its value."""
    reply = yield Ask(f"{config.letter}?\\r\\n".encode(), until=b"\\n", check=_checked)
    return judged([Value("temperature", "Cel", float(_checked(reply)))], ranges(_QUANTITIES))


def _checked(reply: bytes) -> bytes:
    """Return the number's text. Raises BadReply, and the device is asked again."""
    match = _ANSWER.fullmatch(reply)
    if match is None:
        raise BadReply("garbled", f"{reply!r} is not T=<number>")
    return match[1]


def quantities(_config: Config) -> dict[str, str]:
    """Return which value is which quantity."""
    return _QUANTITIES


DRIVER = Driver(
    "NAME",
    "NAME: one line for people",
    Config,
    poll,
    quantities,
    Habits(baud=9600),
    checksum=False,  # this made-up device sends none; where yours does, check it and leave this line out
)
'''

_FILES = {
    "edge/drivers/NAME.py": _MODULE,
    "tests/drivers/NAME/answers/sensor.toml": 'driver = "NAME"\n',
    "tests/drivers/NAME/answers/wire.txt": '# Where these bytes come from.\n> "T?\\r\\n"\n< "T=21.5\\r\\n"\n',
    "tests/drivers/NAME/answers/expected.json": '{\n  "temperature": {"value": 21.5, "unit": "Cel"}\n}\n',
    "tests/drivers/NAME/no_answer/sensor.toml": 'driver = "NAME"\n',
    "tests/drivers/NAME/no_answer/wire.txt": '# Not connected, or another speed.\n> "T?\\r\\n"\n<\n',
    "tests/drivers/NAME/no_answer/error.txt": "silence: T?: no answer\n",
}


def new_driver(name: str, root: Path) -> list[Path]:
    """Write the skeleton of driver `name` into the checkout at `root` and return the files.

    Raises Refused, writing nothing: for a name that cannot be a module, a file that is there, a folder without drivers.
    """
    if not (root / "edge" / "drivers").is_dir() or not (root / "tests" / "drivers").is_dir():
        raise Refused("new_driver", "no_checkout", root=root)
    fault = "form" if not _NAME.fullmatch(name) else "reserved" if _reserved(name) else ""
    if fault:
        why = {key: said("new_driver", fault, language) for key, language in (("why", "en"), ("why_vi", "vi"))}
        raise Refused("new_driver", "name", name=name, better=_better(name), **why)
    files = {root / path.replace("NAME", name): text.replace("NAME", name) for path, text in _FILES.items()}
    for path in files:
        if path.exists():
            raise Refused("new_driver", "taken", path=path)
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(files)


def _reserved(name: str) -> bool:
    return keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in sys.stdlib_module_names


def _better(name: str) -> str:
    """Return the nearest name that does: SHT-31 → sht_31."""
    plain = unicodedata.normalize("NFD", name.lower().replace("đ", "d")).encode("ascii", "ignore").decode()
    near = re.sub(r"[^a-z0-9]+", "_", plain).lstrip("_0123456789")[:31].rstrip("_")
    return near if _NAME.fullmatch(near) and not _reserved(near) else "mhz19"
