"""`gocche status`: how this gateway is, read from the file that the agent leaves, without any network.

What an installer must not overlook before leaving is loud: a sensor without values, a link that is down, an agent that
does not run each make the exit code 1, and say since when and what to look at.
"""

from __future__ import annotations

import os
import re
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from edge.clock import SystemClock
from edge.config import fingerprint
from edge.send import causes
from edge.status import AGAIN_MS, status_file
from gocche.trouble import readable, remedy
from gocche.words import LANGUAGES, both, said
from wire.batch import Status

if TYPE_CHECKING:
    from pathlib import Path

STALE_S = 2 * AGAIN_MS / 1000
_NONE_OF_OURS = (ValueError, TypeError, KeyError, AttributeError, OverflowError)  # JSON, and no status


def status(folder: Path, config: Path | None = None, *, as_json: bool) -> int:
    """Print the status of the agent of a data folder; return 0 when it runs and all is well, 1 when not.

    `config` is its devices.toml, where that is known: one that was edited since the agent began is not in use.
    """
    file = status_file(folder)
    wall = datetime.now().astimezone()  # noqa: TID251 - a file's age and "since 12:04" are wall-clock time
    try:
        raw = file.read_bytes()
        told = msgspec.json.decode(raw, type=Status)
        seen = Seen(told, _age_s(told, wall.timestamp() - file.stat().st_mtime), wall, _edited(config, told.config))
        text = seen.json() if as_json else "\n\n".join("\n".join(seen.lines(language)) for language in LANGUAGES)
    except FileNotFoundError:
        if not os.path.lexists(folder):
            return _absent("no_folder", folder=folder)
        return _absent("absent", file=file, folder=os.path.realpath(folder))
    except PermissionError:
        return _absent("forbidden", file=file)
    except (OSError, msgspec.DecodeError, *_NONE_OF_OURS) as error:
        return _absent("unreadable", file=file, why=error)
    print(text)
    return 0 if seen.well else 1


def _age_s(told: Status, by_wall_s: float) -> float:
    """Return how old a status is: by the boot's own milliseconds, for the wall clock may be set at any moment."""
    clock = SystemClock()
    return max((clock.mono_ms() - told.mono_ms) / 1000 if told.boot == clock.boot else by_wall_s, 0.0)


def _edited(config: Path | None, used: str) -> str:
    """Return the name of a devices.toml that is another one than the agent began with."""
    try:
        return "" if config is None or fingerprint(config.read_bytes()) == used else str(config)
    except OSError:  # whoever may not read it is told by the agent's next start
        return ""


def _absent(name: str, **facts: object) -> int:
    print(both("status", name, **facts), file=sys.stderr)
    return 1


class Seen:
    """A status as it looks from now: what is well in it, and the lines that say so."""

    def __init__(self, told: Status, age_s: float, wall: datetime, edited: str = "") -> None:
        self._told, self._age_s, self._wall, self._edited = told, age_s, wall, edited
        self.running = told.state == "online" and age_s < STALE_S

    @property
    def well(self) -> bool:
        """Tell whether nothing needs a person: the agent runs, every sensor brings values, the link is up."""
        sick = any(how.get("why") for how in self._told.channels.values())
        return self.running and not (sick or self._edited or self._told.why or self._told.link.get("why"))

    def json(self) -> str:
        """Return the status for a programme."""
        extra = {"age_s": round(self._age_s, 1), "running": self.running, "well": self.well}
        extra["edited"] = bool(self._edited)
        return msgspec.json.encode({**msgspec.to_builtins(self._told), **extra}).decode()

    def lines(self, language: str) -> list[str]:
        """Return the status in one language."""
        return [
            *self._agent(language),
            *([said("status", "edited", language, file=self._edited)] if self._edited and self.running else []),
            *self._keeping(language),
            *self._link(language),
            *(line for name, how in self._told.channels.items() for line in self._channel(language, name, how)),
            said("status", "all_well" if self.well else "not_well", language),
        ]

    def _agent(self, language: str) -> list[str]:
        facts = {"version": self._told.version, "config": self._told.config, "ago": span(self._age_s, language)}
        kind = "running" if self.running else "stopped" if self._told.state == "stopped" else "stale"
        return [said("status", kind, language, **facts)]

    def _keeping(self, language: str) -> list[str]:
        told = self._told
        facts = {"acquired": told.acquired, "spooled": told.spooled, "dropped": told.dropped}
        source = str(told.clock.get("source", "none"))
        why = (told.why_vi if language == "vi" else "") or told.why  # an older agent has it in English only
        certainty_s = float(told.clock.get("uncertainty_ms", 0)) / 1000
        return [
            said("status", "readings", language, **facts, oldest=span(told.oldest_s, language)),
            *([said("status", "earlier", language, n=earlier)] if (earlier := sum(told.earlier.values())) else []),
            said("status", "fault", language, why=why)  # and no promise as long as that lasts
            if why
            else said("status", "power_cut", language, commit_s=f"{told.commit_s:g}"),
            said("status", "undated", language)
            if source == "none"
            else said("status", "clock", language, source=said("source", source, language), off=f"{certainty_s:g}"),
        ]

    def _link(self, language: str) -> list[str]:
        link = self._told.link
        since = self._since(link.get("since_ms"), language)
        if not link.get("why"):
            return [said("status", "link_up", language, since=since)] if link.get("up") else []
        cause = causes.table().get(str(link.get("cause")))
        detail = str(link.get("detail") or "")  # names the file, the address
        why = link["why"] if cause is None or language == "en" else causes.said(str(link["cause"]), detail, "vi")
        return [said("status", "link_shaky" if link.get("up") else "link_down", language, since=since, why=why)]

    def _channel(self, language: str, name: str, how: dict[str, Any]) -> list[str]:
        why, last = str(how.get("why") or ""), how.get("last_ok_ms")
        counted = " ".join(f"{kind}={count}" for kind, count in (how.get("bad") or {}).items())
        seldom = said("status", "faults", language, counted=counted) if counted else ""
        ago = self._ago(last, language)
        if not why:
            return [said("status", "channel_well", language, name=name, ago=ago) + seldom]
        if not how.get("polls") and how.get("since_ms") is None:
            return [said("status", "channel_new", language, name=name)]
        kind = "channel_silent" if re.match(r"silence", why) else "channel_lost"
        since = self._since(how.get("since_ms"), language)
        return [
            said("status", kind, language, name=name, since=since, why=readable(why, language)) + seldom,
            remedy(why, name, language),
        ]

    def _s(self, mono_ms: object) -> float | None:
        """Return how long ago a moment of the agent's boot was."""
        if not isinstance(mono_ms, int) or not self._told.mono_ms:
            return None
        return max((self._told.mono_ms - mono_ms) / 1000 + self._age_s, 0.0)

    def _ago(self, mono_ms: object, language: str) -> str:
        ago_s = self._s(mono_ms)
        return said("status", "never", language) if ago_s is None else span(ago_s, language)

    def _since(self, mono_ms: object, language: str) -> str:
        ago_s = self._s(mono_ms)
        if ago_s is None:
            return said("status", "unknown", language)
        form = "%H:%M:%S" if ago_s < 12 * 3600 else "%Y-%m-%d %H:%M"
        return said("status", "moment", language, at=f"{self._wall - timedelta(seconds=ago_s):{form}}",
                    ago=span(ago_s, language))  # fmt: skip


def span(seconds: float, language: str) -> str:
    """Return a length of time as people say it."""
    for most, unit_s, unit in ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if seconds < most:
            return f"{seconds / unit_s:.0f} {said('unit', unit, language)}"
    return f"{seconds / 86_400:.0f} {said('unit', 'd', language)}"
