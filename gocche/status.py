"""`gocche status`: how this gateway is, read from the file that the agent leaves, without any network."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from edge.status import status_file
from wire.batch import Status

if TYPE_CHECKING:
    from pathlib import Path

STALE_S = 30.0


def status(folder: Path, *, as_json: bool) -> int:
    """Print the status in `folder`; return 0 when the agent runs and is well, 1 when not, 2 when there is none."""
    file = status_file(folder)
    try:
        raw = file.read_bytes()
        age_s = datetime.now(UTC).timestamp() - file.stat().st_mtime  # noqa: TID251  (a file's age is wall-clock time)
        now = msgspec.json.decode(raw, type=Status)
    except OSError as error:
        print(f"gocche: {file}: {error.strerror}; name the agent's data folder with --data", file=sys.stderr)
        return 2
    except msgspec.DecodeError as error:
        print(f"gocche: {file}: {error}; the agent writes it anew within seconds", file=sys.stderr)
        return 1
    running = now.state == "online" and age_s < STALE_S
    if as_json:
        print(msgspec.json.encode({**msgspec.to_builtins(now), "age_s": round(age_s, 1), "running": running}).decode())
    else:
        print(_words(now, age_s, running=running))
    return 0 if running and not now.why else 1


def _words(now: Status, age_s: float, *, running: bool) -> str:
    head = "running" if running else f"not running (last heard of {age_s:.0f} s ago, state {now.state})"
    lines = [
        f"agent     {head}, version {now.version}, configuration {now.config}",
        f"readings  acquired={now.acquired} spooled={now.spooled} dropped={now.dropped} oldest_s={now.oldest_s:.0f}",
        f"promise   a power cut costs at most the last {now.commit_s:g} s",
        f"clock     {now.clock.get('source', 'none')}, uncertain by {now.clock.get('uncertainty_ms', 0)} ms",
    ]
    if now.why:
        lines.append(f"fault     {now.why}")
    for channel, how in now.channels.items():
        last = how.get("last_ok_ms")
        well = "never" if not isinstance(last, int) else f"{(now.mono_ms - last) / 1000 + age_s:.0f} s ago"
        bad = " ".join(f"{kind}={count}" for kind, count in dict(how.get("bad") or {}).items())  # type: ignore[call-overload]
        lines.append(
            f"channel   {channel}: well {well}"
            + (f"; {how['why']}" if how.get("why") else "")
            + (f"; {bad}" if bad else "")
        )
    return "\n".join(lines)
