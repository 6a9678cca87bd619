"""docs/reference/ made from the code: `python -m gocche.reference`, with `--check` to compare only.

What a driver, a table of devices.toml or a command understands is said once, in its struct, docstring or parser; these
pages are copies, so they are written by this program and `make check` fails when they differ. Needs a checkout: whether
a driver was tried on hardware is read from the case folders of tests/drivers.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tomllib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cloud import config as cloud_config
from cloud import store
from cloud.alerts import channels, rules
from cloud.alerts import settings as alerts_settings
from cloud.coverage.scale import Scale
from edge import config as edge_config
from edge import drivers, profiles
from edge.driver import Habits
from edge.plausible import ENDS
from gocche import command_line
from gocche.schema_words import keys, table, told
from wire.quantities import QUANTITIES, Bands, Quantity
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"
_HEAD = "<!-- Written by `make docs` from the code. Do not edit. -->\n"
_KEYS = ["key", "type", "default", "what it is"]


def write(folder: Path) -> list[Path]:
    """Write every page into `folder` and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")
        files.append(folder / name)
    return files


def check(folder: Path) -> list[str]:
    """Return a sentence for each page in `folder` that differs from the code, or does not belong there."""
    made = pages()
    faults = [
        f"{folder / name} differs from the code; run `make docs`"
        for name, text in made.items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]
    strays = sorted(file for file in folder.glob("*") if file.name not in made)
    return faults + [f"{file} is not made from anything; delete it" for file in strays]


def pages() -> dict[str, str]:
    """Return the text of each page by its file name; the same code gives the same text on every machine."""
    made: dict[str, Callable[[], Iterator[str]]] = {
        "drivers.md": _drivers,
        "profiles.md": _profiles,
        "quantities.md": _quantities,
        "config.md": _config,
        "alerts.md": _alerts,
        "cli.md": _cli,
    }
    return {name: _HEAD + "\n" + "\n".join(parts()).rstrip() + "\n" for name, parts in made.items()}


def captured(driver: str, profile: str | None = None) -> list[str]:
    """Return the case folders whose wire.txt was recorded from a real device: it begins `# captured on …`."""
    found = []
    for wire in sorted((ROOT / "tests" / "drivers" / driver).glob("*/wire.txt")):
        if not wire.read_text(encoding="utf-8").startswith("# captured on "):
            continue
        sensor = tomllib.loads((wire.parent / "sensor.toml").read_text(encoding="utf-8"))
        if profile is None or sensor.get("profile") == profile:
            found.append(f"{driver}/{wire.parent.name}")
    return found


def _hardware(driver: str, profile: str | None = None) -> str:
    cases = captured(driver, profile)
    if cases:
        return f"On hardware: tested on hardware, recorded in {', '.join(f'`{case}`' for case in cases)}.\n"
    return "On hardware: not yet; its cases come from manuals and published recordings.\n"


def _patience(habits: Habits) -> str:
    warming = f", {habits.warmup_s:g} s of warm-up" if habits.warmup_s else ""
    return f"{habits.timeout_s:g} s for an answer{warming}"


def _drivers() -> Iterator[str]:
    yield "# Drivers\n"
    yield "What a `[[sensor]]` may say beyond the keys that all sensors share (see [config.md](config.md)).\n"
    sample = edge_config.load(ROOT / "config" / "devices.toml")
    for name in drivers.names():
        driver = drivers.load(name)
        habits = driver.habits if isinstance(driver.habits, Habits) else Habits()
        yield f"## {name}\n\n{driver.title}\n"
        yield (importlib.import_module(f"edge.drivers.{name}").__doc__ or "").strip() + "\n"
        yield f"Usual line: {habits.baud} baud, {habits.format}; {_patience(habits)}. {_hardware(name)}"
        if driver.checksum is not True:
            sometimes = "Where set so, no" if callable(driver.checksum) else "No"
            yield f"{sometimes} checksum guards its answers: a disturbed line can bring a wrong value unnoticed.\n"
        yield table(_KEYS, keys(driver.config))
        for sensor in (one for one in sample.sensors if one.driver.name == name):
            yield f"In the sample, `{sensor.table.channel}` measures {', '.join(sorted(sensor.quantities.values()))}.\n"
    yield "The models of `modbus` are in [profiles.md](profiles.md)."


def _profiles() -> Iterator[str]:
    yield "# Modbus profiles\n"
    yield 'One file each in `edge/profiles/`; `profile = "name"` in a `[[sensor]]` of driver `modbus`.\n'
    for name in profiles.names():
        profile = profiles.load(name)
        yield f"## {name}\n\n{profile.title}\n"
        shipped = f"{profile.baud} baud, {profile.format}"
        patience = _patience(profile.habits)
        yield f"Source: {profile.source}. As shipped: {shipped}; a bus that says nothing takes it. {patience}.\n"
        if profile.notes:
            yield profile.notes + "\n"
        asked = "; ".join(f"function {b.fc}, {b.count} from {b.at}" for b in profile.read)
        yield f"Reads: {asked}. {_hardware('modbus', name)}"
        yield table(
            ["value", "quantity", "unit", "register", "type", "scale", "means no value"],
            [
                [
                    point.name,
                    point.quantity or "told in the status or not stored",
                    point.unit,
                    f"{point.at} (function {point.fc})",
                    point.type + (f" {point.order}" if point.order else ""),
                    " or ".join(f"{scale:g}" for scale in point.scales)
                    + (f" {point.offset:+g}" if point.offset else "")
                    + (f", decimals in {point.decimals_at}" if point.decimals_at is not None else ""),
                    ", ".join(f"0x{raw:X}" for raw in point.none) or "—",
                ]
                for point in profile.point
            ],
        )


def _quantities() -> Iterator[str]:
    yield "# Quantities\n"
    yield "Everything that can be measured. A name and its meaning are an API: never reused.\n"
    yield table(
        ["name", "tiếng Việt", "English", "unit", "decimals", "plausible", "SenML", "urgent when it crosses", "trust"],
        [
            [
                f"`{row.name}`",
                row.vi,
                row.en,
                row.unit,
                str(row.decimals),
                f"{row.low:g} … {row.high:g}",
                f"{row.senml_unit} × {row.senml_factor:g}" if row.senml_unit else "—",
                _urgency(row),
                row.trust,
            ]
            for row in QUANTITIES.values()
        ],
    )
    for row in QUANTITIES.values():
        if row.codes:
            yield f"## Codes of `{row.name}`\n"
            yield table(["code", "tiếng Việt", "English"], [[str(code), *words] for code, words in row.codes.items()])
    yield "## The end of a scale\n"
    yield "Numbers that a sound sensor says beyond the range, and what is stored for them.\n"
    yield table(
        ["name", "said", "stored", "who says so"],
        [
            [
                f"`{name}`",
                f"{end.low:g} … {end.high:g}",
                "no value" if end.value is None else f"{end.value:g}",
                end.source,
            ]
            for name, ends in ENDS.items()
            for end in ends
        ],
    )
    yield "## Reasons why a value is missing\n"
    yield table(["code", "name"], [[str(int(reason)), reason.name.lower().replace("_", " ")] for reason in Reason])


def _urgency(row: Quantity) -> str:
    if row.urgency is None:
        return "—"
    if isinstance(row.urgency, Bands):
        return ", ".join(f"{at:g}" for at in row.urgency.at)
    return "codes " + ", ".join(map(str, sorted(row.urgency.inside)))


def _config() -> Iterator[str]:
    yield "# Configuration\n"
    yield "Two TOML files. An unknown key, a missing one or an impossible value stops the start with exit code 2.\n"
    yield "## devices.toml: a gateway\n"
    own = edge_config
    for struct in (own.Gateway, own.Broker, own.SpoolConfig, own.Bus, own.SensorTable, own.NodeTable, own.SirenTable):
        yield from _struct(struct)
    yield "Each `when` of a siren:\n"
    yield from _struct(own.When, title=False)
    yield "Relative ports and paths stand in the data folder. A sensor's further keys: [drivers.md](drivers.md).\n"
    yield "## cloud.toml: the server\n"
    server = cloud_config
    for table_of in (
        server.Data,
        server.Broker,
        server.Http,
        server.Staff,
        server.Health,
        server.Garden,
        server.Hotspots,
        server.Cap,
        server.Coverage,
    ):
        yield from _struct(table_of)
    yield from _struct(Scale)
    for name in store.engines():
        yield f'### `[store]` with `engine = "{name}"`\n'
        yield from _struct(importlib.import_module(f"cloud.store.engines.{name}").CONFIG, title=False)
    yield from _struct(alerts_settings.AlertsConfig)
    yield "`[[rule]]` and `[[channel]]`: see [alerts.md](alerts.md)."


def _struct(struct: type, *, title: bool = True) -> Iterator[str]:
    words = told(struct)
    if title:
        yield f"### {words[words.index('`[') : words.index(']`') + 2]}\n"
    yield words + "\n"
    yield table(_KEYS, keys(struct))


def _alerts() -> Iterator[str]:
    yield "# Alert rules and channels\n"
    yield "A rule suspects; only a person confirms. Each `[[rule]]` of cloud.toml has a name and one of these kinds.\n"
    for kind in rules.kinds():
        module = importlib.import_module(f"cloud.alerts.rules.{kind}")
        yield f'## `kind = "{kind}"`\n'
        yield (module.__doc__ or "").strip() + "\n"
        yield from _struct(module.CONFIG, title=False)
    yield "## Channels\n"
    yield "Who has addresses for several is told by the first `[[channel]]` of cloud.toml; the next ones stand in.\n"
    for name in channels.channels():
        module = importlib.import_module(f"cloud.alerts.channels.{name}")
        yield f'### `kind = "{name}"`\n'
        yield (module.__doc__ or "").strip() + "\n"
        yield from _struct(module.CONFIG, title=False)


def _cli() -> Iterator[str]:
    yield "# Commands\n"
    yield "Exit codes: 0 well, 1 failed or not well, 2 wrong configuration or usage.\n"
    yield from _command(command_line.parser())


def _command(parser: argparse.ArgumentParser) -> Iterator[str]:
    words = []
    below: list[Iterator[str]] = []
    for action in parser._actions:  # noqa: SLF001 - argparse has no other list; its help text differs between Pythons
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}  # noqa: SLF001
            for name, sub in action.choices.items():
                below.append(partial(_titled, sub, helps[name])())
        elif not isinstance(action, argparse._HelpAction) and action.help != argparse.SUPPRESS:  # noqa: SLF001
            words.append(_argument(action))
    if words:
        yield table(["argument", "what it is", "default"], words)
    for part in below:
        yield from part


def _titled(parser: argparse.ArgumentParser, words: str) -> Iterator[str]:
    yield f"## `{parser.prog}`\n\n{words[:1].upper()}{words[1:]}.\n"
    yield from _command(parser)


def _argument(action: argparse.Action) -> list[str]:
    name = ", ".join(action.option_strings) or str(action.metavar or action.dest)
    if action.option_strings and action.nargs != 0:
        name += f" {action.metavar or action.dest.upper()}"
    choices = f" ({', '.join(map(str, action.choices))})" if action.choices else ""
    required = action.required and action.nargs != "*"  # argparse calls a list needed that may be empty
    default = "needed" if required else str(action.default)
    if action.nargs in (0, "*") or action.default is None or isinstance(action.default, Path):
        default = "needed" if required else ""
    return [f"`{name}`", (action.help or "") + choices, default]


def main(argv: list[str] | None = None) -> int:
    """Write the pages, or with `--check` compare them; return 1 when they differ."""
    parser = argparse.ArgumentParser(prog="python -m gocche.reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 when a page differs")
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    options = parser.parse_args(argv)
    if options.check:
        faults = check(options.folder)
        print(*faults, sep="\n", end="\n" * bool(faults), file=sys.stderr)
        return int(bool(faults))
    print(*write(options.folder), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
