"""`gocche danger --said DAY`: what the bulletin of 14:00 said on a day, word for word."""

from __future__ import annotations

import sqlite3
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.clock import hanoi
from cloud.danger.issued import NAME, of_day
from gocche.words import Refused, both
from settings.words import because

if TYPE_CHECKING:
    from cloud.config import CloudConfig


def said(config: CloudConfig, on: str) -> int:
    """Print the bulletins of a day. Raises Refused where nothing was said on it, and where it cannot be read."""
    file = Path(config.data.path) / NAME
    try:
        issue = of_day(file, date.fromisoformat(on))
    except ValueError as error:
        raise Refused("danger", "no_day", day=on) from error
    except (sqlite3.Error, OSError) as error:
        raise Refused("danger", "refused", file=file, **because(error)) from error
    if issue is None:
        raise Refused("danger", "unsaid", day=on, file=file)
    print(both("danger", "said", day=on, time=f"{hanoi(issue.at_ms):%H:%M}", n=len(issue.said)))
    for one in issue.said.values():
        print("", one.vi.text(), one.en.text(), sep="\n———\n\n", end="")
    return 0
