"""What may be typed after `gocche`: the one table of commands and options. What each means is data (words.toml)."""

from __future__ import annotations

import argparse
import re
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from gocche import commands
from gocche.words import LANGUAGES, Refused, said, words

if TYPE_CHECKING:
    from collections.abc import Callable

    _Add = Callable[..., argparse.Action]
    _Run = Callable[[argparse.Namespace], int]


ROOMS = ("ingest", "alerts", "coverage", "pages", "staff")  # as cloud.rooms has them, which an agent does not install
AIRS = ("smoke", "cooking", "haze", "fog")  # as gocche.drill stages them
ACCESS = ("viewer", "editor", "officer", "moderator", "admin")  # as cloud.registry.kinds has them
FORMS = ("geojson", "csv", "mls", "nrrecord")  # as gocche.exported writes them
LAYERS = ("phone", "5g")  # as cloud.coverage.seam has them


class Parser(argparse.ArgumentParser):
    """argparse, in Vietnamese and English. A wrong command line is Refused, below how it is written."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(add_help=False, formatter_class=_Formatter, **settings)
        self._positionals.title = _both("heading", "positionals")
        self._optionals.title = _both("heading", "options")
        self.add_argument("--help", "-h", action="help", help=_option("", "help"))

    def error(self, message: str) -> NoReturn:
        """Print how the command is written. Raises Refused with what is wrong."""
        self.print_usage(sys.stderr)
        why = {language: _told(message, language) for language in LANGUAGES}
        raise Refused("command", "usage", why=why["en"], why_vi=why["vi"], prog=self.prog)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def add_usage(self, usage: str | None, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, f"{_both('heading', 'usage')}: " if prefix is None else prefix)


def parser() -> Parser:
    """Return the grammar of the command line. `options.command` says which command was given."""
    whole = Parser(prog="gocche", description="\n".join(said("command", "gocche", language) for language in LANGUAGES))
    whole.add_argument("--verbose", action="store_true", help=_option("", "verbose"))
    top = whole.add_subparsers(required=True, metavar=_both("heading", "command"), title=_both("heading", "commands"))
    groups = {"": top}
    for name, (arguments, run) in _COMMANDS.items():
        group, _, word = name.rpartition(" ")
        if group not in groups:
            groups[group] = _group(top, group)
        arguments(_command(groups[group], word, name, run))
    return whole


def _group(top: Any, word: str) -> Any:
    made = top.add_parser(word, help=_both("help", word), description=_both("help", word))
    alone = _ALONE.get(word)
    made.set_defaults(command=word, run=alone)
    return made.add_subparsers(required=alone is None, metavar=_both("heading", "command"))


def _command(commands: Any, word: str, name: str, run: _Run) -> _Add:
    described = "\n".join(said("help", name, language) for language in LANGUAGES)
    made = commands.add_parser(word, help=_both("help", name), description=described, epilog=_example(name))
    made.set_defaults(command=name, run=run)

    def add(*flags: str, **settings: Any) -> argparse.Action:
        action: argparse.Action = made.add_argument(*flags, **settings)
        action.help = _option(name, action.dest)
        return action

    return add


def _up(add: _Add) -> None:
    add("--data", type=Path, metavar="DIR")
    add("--http", metavar="HOST:PORT")
    add("--staff", metavar="HOST:PORT")
    add("--config", type=Path, metavar="DIR")
    add("garden", nargs="*", metavar="-- WORD")


def _agent(add: _Add) -> None:
    add("--config", type=Path, metavar="devices.toml")
    add("--data", type=Path, metavar="DIR")
    add("--broker", metavar="HOST:PORT")


def _cloud(add: _Add) -> None:
    _of_the_server(add)
    add("--broker", metavar="HOST:PORT")
    add("--http", metavar="HOST:PORT")
    add("--staff", metavar="HOST:PORT")
    add("--health", metavar="HOST:PORT")
    add("--room", choices=ROOMS)
    add("--check", action="store_true")
    add("--try", action="store_true", dest="tried")
    add("--http-fd", type=int).help = argparse.SUPPRESS  # the socket that the supervisor holds
    add("--near").help = argparse.SUPPRESS  # the pages of `gocche up`


def _of_the_server(add: _Add) -> None:
    add("--config", type=Path, metavar="cloud.toml")
    add("--data", type=Path, metavar="DIR")


def _siren(add: _Add) -> None:
    add("name", nargs="?", metavar="SIREN")
    add("--data", type=Path, metavar="DIR")


def _walk(add: _Add) -> None:
    add("--minutes", type=float, default=240.0, metavar="MINUTES")
    add("--every", type=float, default=2.0, metavar="SECONDS")
    add("--quiet", action="store_true")
    add("--data", type=Path, metavar="DIR")


def _check_config(add: _Add) -> None:
    add("config", type=Path, nargs="?", metavar="devices.toml")


def _status(add: _Add) -> None:
    add("--data", type=Path, metavar="DIR")
    add("--config", type=Path, metavar="devices.toml")
    add("--json", action="store_true")


def _read(add: _Add) -> None:
    add("where", nargs="+", metavar="BUS ADDRESS|CHANNEL")
    add("--config", type=Path, metavar="devices.toml")
    add("--data", type=Path, metavar="DIR")
    add("--profile", metavar="NAME")


def _audit(add: _Add) -> None:
    _of_the_server(add)
    add("--json", action="store_true")


def _danger(add: _Add) -> None:
    _of_the_server(add)
    add("--recompute", action="store_true", dest="again")
    add("--changes", action="store_true", dest="changed")
    add("--bulletins", type=Path, metavar="DIR", dest="folder")
    add("--said", metavar="YYYY-MM-DD")


def _backup(add: _Add) -> None:
    add("folder", type=Path, metavar="DIR")
    _of_the_server(add)


def _quarantine(add: _Add) -> None:
    _of_the_server(add)
    add("--retry", action="store_true")


def _path(add: _Add) -> None:
    add("path", type=Path, metavar="DIR|FILE")
    _of_the_server(add)


def _hotspots(add: _Add) -> None:
    add("path", type=Path, metavar="FILE")
    _of_the_server(add)


def _import(add: _Add) -> None:
    _path(add)
    add("--partial", action="store_true")


def _log(add: _Add) -> None:
    add("act", type=int, nargs="?", metavar="ACT")
    _of_the_server(add)


def _undo(add: _Add) -> None:
    add("act", type=int, metavar="ACT")
    _of_the_server(add)


def _mint(add: _Add) -> None:
    add("count", type=int, metavar="N")
    add("--batch", default="", metavar="NAME")
    _of_the_server(add)


def _labels(add: _Add) -> None:
    add("path", type=Path, metavar="FILE|DIR")
    add("codes", nargs="*", metavar="CODE")
    add("--batch", default="", metavar="NAME")
    add("--zone", default="", metavar="CODE")
    add("--url", default="", metavar="URL")
    _of_the_server(add)


def _sheet(add: _Add) -> None:
    _labels(add)
    add("--grid", default="3x4", metavar="ACROSSxDOWN")
    add("--page", default="", metavar="WIDTHxHEIGHT")
    add("--symbol", type=float, default=40.0, metavar="MM")
    add("--skip", type=int, default=0, metavar="N")
    add("--font", default="", metavar="FILE")


def _plates(add: _Add) -> None:
    _labels(add)
    add("--size", default="60x80", metavar="WIDTHxHEIGHT")
    add("--background", action="store_true")


def _user(add: _Add) -> None:
    add("name", metavar="NAME")
    add("--role", choices=ACCESS)
    _of_the_server(add)


def _export(add: _Add) -> None:
    add("folder", type=Path, metavar="DIR")
    add("--url", default="http://127.0.0.1:8086", metavar="URL")
    add("--database", default="gocche", metavar="NAME")
    add("--generation", type=int, choices=(1, 2, 3), default=1)
    add("--user", metavar="NAME")
    add("--installed-at", default="", metavar="DIR")
    add("--pages", default="", metavar="URL")


def _site(add: _Add) -> None:
    add("folder", type=Path, metavar="DIR")
    add("--url", default="", metavar="URL")
    _of_the_server(add)


def _copy(add: _Add) -> None:
    add("--from", required=True, dest="from_", metavar="STORE")
    add("--to", required=True, metavar="STORE")
    add("--since", metavar="YYYY-MM-DD")
    _of_the_server(add)


def _new_driver(add: _Add) -> None:
    add("name", metavar="NAME")


def _devices(add: _Add) -> None:
    add("--ports", type=Path, required=True, metavar="DIR")
    add("--log", type=Path, metavar="FILE")
    add("--control", type=Path, metavar="FILE")
    add("--seed", type=int, default=1, metavar="N")
    add("--pace", type=float, default=1.0, metavar="SECONDS")
    add("--unique", action="store_true")


def _person_export(add: _Add) -> None:
    add("person", metavar="CODE")
    add("path", type=Path, metavar="FILE.zip")
    _of_the_server(add)


def _person_erase(add: _Add) -> None:
    add("person", metavar="CODE")
    add("--yes", action="store_true")
    _of_the_server(add)


def _fire(add: _Add) -> None:
    add("--place", default="", metavar="KIND:CODE")
    add("--stage", choices=AIRS, default="")
    add("--minutes", type=float, default=10.0, metavar="N")
    _of_the_server(add)


def _report(add: _Add) -> None:
    add("number", type=int, metavar="N")
    _of_the_server(add)


def _invite(add: _Add) -> None:
    add("--team", required=True, metavar="CODE|NAME")
    add("--phones", type=int, default=1, metavar="N")
    add("--days", type=int, default=90, metavar="N")
    add("--file", type=Path, default=None, metavar="FILE.pdf|FILE.svg", dest="path")
    _of_the_server(add)


def _survey(add: _Add) -> None:
    add("path", type=Path, metavar="FILE")
    add("--team", required=True, metavar="CODE|NAME")
    _of_the_server(add)


def _revoke(add: _Add) -> None:
    add("users", nargs="+", metavar="ACCOUNT")
    _of_the_server(add)


def _export_coverage(add: _Add) -> None:
    add("path", type=Path, metavar="FILE")
    add("--format", choices=FORMS, required=True, dest="form")
    add("--layer", choices=LAYERS, default=LAYERS[0])
    add("--network", type=network, default=0, metavar="MCC-MNC")
    add("--month", type=month, default=0, metavar="YYYY-MM")
    _of_the_server(add)


def _week(add: _Add) -> None:
    add("--commune", default="", metavar="CODE")
    add("--week", type=week, metavar="YYYY-Www")
    _of_the_server(add)


def week(text: str) -> str:
    """Return a week as ISO 8601 names it. Raises ValueError."""
    if not re.fullmatch(r"[0-9]{4}-W[0-9]{2}", text):
        raise ValueError(text)
    date.fromisocalendar(int(text[:4]), int(text[6:]), 1)
    return text


def network(text: str) -> int:
    """Return mcc·1000+mnc. Raises ValueError."""
    if not re.fullmatch(r"[0-9]{3}-[0-9]{2,3}", text):
        raise ValueError(text)
    return int(text[:3]) * 1000 + int(text[4:])


def month(text: str) -> int:
    """Return year·100+month. Raises ValueError."""
    if not re.fullmatch(r"20[0-9]{2}-(0[1-9]|1[0-2])", text):
        raise ValueError(text)
    return int(text[:4]) * 100 + int(text[5:])


def _write_access(add: _Add) -> None:
    add("folder", type=Path, metavar="DIR")
    _of_the_server(add)


def _broker(add: _Add) -> None:
    add("--listen", required=True, metavar="HOST:PORT")


_COMMANDS: dict[str, tuple[Callable[[_Add], None], _Run]] = {
    "up": (_up, commands.up),
    "agent": (_agent, commands.agent),
    "cloud": (_cloud, commands.cloud),
    "siren stop": (_siren, commands.siren),
    "siren test": (_siren, commands.siren),
    "survey": (_walk, commands.survey),
    "check-config": (_check_config, commands.check_config),
    "status": (_status, commands.status),
    "read": (_read, commands.read),
    "audit": (_audit, commands.audit),
    "danger": (_danger, commands.danger),
    "backup": (_backup, commands.backup),
    "restore": (_backup, commands.restore),
    "quarantine": (_quarantine, commands.quarantine),
    "new-driver": (_new_driver, commands.new_driver),
    "drill fire": (_fire, commands.drill_fire),
    "drill report": (_report, commands.drill_report),
    "devices": (_devices, commands.devices),
    "broker": (_broker, commands.broker),
    "registry import": (_import, commands.registry_import),
    "registry export": (_path, commands.registry_export),
    "registry check": (_path, commands.registry_check),
    "registry log": (_log, commands.registry_log),
    "registry undo": (_undo, commands.registry_undo),
    "hotspots import": (_hotspots, commands.hotspots_import),
    "coverage invite": (_invite, commands.coverage_invite),
    "coverage import": (_survey, commands.coverage_import),
    "coverage teams": (_of_the_server, commands.coverage_teams),
    "coverage revoke": (_revoke, commands.coverage_revoke),
    "coverage export": (_export_coverage, commands.coverage_export),
    "coverage report": (_week, commands.coverage_report),
    "access write": (_write_access, commands.access_write),
    "labels mint": (_mint, commands.labels_mint),
    "labels sheet": (_sheet, commands.labels_sheet),
    "labels plates": (_plates, commands.labels_plates),
    "labels verify": (_labels, commands.labels_verify),
    "user add": (_user, commands.user_add),
    "person export": (_person_export, commands.person_export),
    "person erase": (_person_erase, commands.person_erase),
    "export site": (_site, commands.export_site),
    "grafana export": (_export, commands.grafana_export),
    "store copy": (_copy, commands.store_copy),
}


_ALONE: dict[str, _Run] = {"drill": commands.drills}  # what a group of commands does when none of them is named


def _both(part: str, name: str) -> str:
    return " · ".join(said(part, name, language) for language in LANGUAGES)


def _option(command: str, dest: str) -> str:
    """Return what an option means: to this command, else to all that have it."""
    table = words()["option"]
    told = table.get(command, {}).get(dest) or table["any"][dest]
    return " · ".join(told[language] for language in LANGUAGES).replace("%", "%%")


def _example(name: str) -> str:
    """Return the examples of a command, as they are typed, and what each does."""
    lines = [_both("heading", "example") + ":"]
    for one in words()["example"][name]:
        lines += [f"  {one['type']}", *(f"      {one[language]}" for language in LANGUAGES)]
    return "\n".join(lines)


def _told(message: str, language: str) -> str:
    """Return what argparse says in one language; as it came where it says something new."""
    for row in words()["usage"]:
        if found := re.fullmatch(row["found"], message, re.DOTALL):
            facts = found.groupdict()
            if "known" in facts:
                facts["close"] = _close(facts["given"], facts["known"], language)
            text: str = row[language]
            return text.format(**facts)
    return message


def _close(given: str, known: str, language: str) -> str:
    from settings.finding import suggestion

    every = re.split(r"'?, '?", known.strip("'"))
    return suggestion(given, every, listed=True)["suggestion_vi" if language == "vi" else "suggestion"]
