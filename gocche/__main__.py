"""The one command: what was typed is run, and however it ends, a person is told and systemd gets its exit code."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from pathlib import Path

from gocche.command_line import parser
from gocche.commands import EXIT_FAILED, failed, refused
from gocche.log import Log
from gocche.words import Refused
from settings import words as sentences

EXTRAS = dict.fromkeys(("amqtt", "influxdb_client", "jinja2", "starlette", "uvicorn"), "cloud") | {
    "pymodbus": "cloud,demo",
    **dict.fromkeys(("segno", "reportlab", "PIL", "pypdfium2", "zxingcpp"), "cloud,labels"),
    "grafana_client": "grafana",
}  # library → what to install for it
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # what is said goes to a file, `>`, and there is no room for it


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit code (0 well, 1 failed, 2 wrong configuration or usage)."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started us: `>&-`
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - as long as the process
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show Vietnamese
    try:
        try:
            return _run(argv)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough
        return _unheard()
    except OSError as error:
        if error.filename is not None or error.errno not in _FULL:
            raise
        _unheard()
        return failed(error, "stdout")
    except KeyboardInterrupt:
        return EXIT_FAILED


def _unheard() -> int:
    """Give up what nobody takes: what Python itself flushes at its end must go somewhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_FAILED


def _run(argv: list[str] | None) -> int:
    command = ""
    try:
        options = parser().parse_args(argv)
        command = options.command
        told = command == "read" or getattr(options, "tried", False)  # what would be logged is printed
        _log_to_stderr(logging.DEBUG if options.verbose else logging.ERROR if told else logging.INFO)
        return int(options.run(options))
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in EXTRAS:
            raise
        facts = {"missing": missing, "extras": EXTRAS[missing], "pip": Path(sys.executable).with_name("pip")}
        return refused(Refused("command", "needs_extra", command=command, **facts))
    except sentences.Refused as error:
        return refused(error)
    except OSError as error:  # a folder that may not be written; a service's own are handled where they are
        if error.filename is None or command in {"agent", "cloud"}:
            raise
        return failed(error, error.filename)


def _log_to_stderr(level: int) -> None:
    under_systemd = "JOURNAL_STREAM" in os.environ
    form = "%(levelname)s %(name)s %(message)s" if under_systemd else "%(asctime)s %(levelname)s %(name)s %(message)s"
    logging.basicConfig(level=level, format=form, handlers=[Log(sys.stderr)])
    for chatty in ("transitions", "amqtt", "pymodbus", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
