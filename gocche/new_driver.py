"""`gocche new-driver NAME`: both halves of a new driver, module and case folders, that pass at once.

A skeleton that works is easier to bend than an empty file: it asks a made-up device for one line, checks it, and
shows where config, units, reasons and errors go. docs/add-a-sensor.md walks on from here.
"""

from __future__ import annotations

import keyword
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

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


DRIVER = Driver("NAME", "NAME: one line for people", Config, poll, quantities, Habits(baud=9600))
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

    Raises ValueError for a name that cannot be a module, and FileExistsError, writing nothing, where one is there.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{1,30}", name) or keyword.iskeyword(name):
        raise ValueError(f'"{name}" cannot name a driver: 2 to 31 small letters, digits and _, e.g. "mhz19"')
    files = {root / path.replace("NAME", name): text.replace("NAME", name) for path, text in _FILES.items()}
    for path in files:
        if path.exists():
            raise FileExistsError(f"{path} is already there; choose another name")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(files)
