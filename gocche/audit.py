"""`gocche audit` and `gocche quarantine`: what became of every reading, from the store's ledger."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cloud.clock import SystemClock, hanoi
from cloud.inbox import Asker
from cloud.ingest.bookkeeper import accounts_of
from cloud.ingest.quarantine import listing
from cloud.ingest.retrial import RETRY
from cloud.rooms import store_of
from cloud.store import Retry
from gocche.words import LANGUAGES, Refused, both, said

if TYPE_CHECKING:
    from cloud.config import CloudConfig

PATIENCE_S = 600.0  # for a full quarantine, while the server stores what comes meanwhile
LOOK_S = 0.2


def audit(config: CloudConfig, *, as_json: bool) -> int:
    """Print the contract's sum per gateway and epoch; return 0 when unknown is 0 everywhere, else 1."""
    store = store_of(config, writer=False)
    try:
        accounts = accounts_of(store, SystemClock())
    except Retry as error:
        print(both("audit", "no_store", why=error), file=sys.stderr)
        return 1
    finally:
        store.close()
    if as_json:
        print(msgspec.json.encode(accounts).decode())
    else:
        for one in accounts:
            print(
                f"gateway={one.gateway} epoch={one.epoch} acquired={one.acquired} stored={one.stored}"
                f" quarantined={one.quarantined} declared={one.declared} expired={one.expired}"
                f" spooled={one.spooled} unknown={one.unknown}"
            )
        unknown = sum(one.unknown for one in accounts)
        verdict = "unknown" if unknown else "well" if accounts else "nothing"
        print(both("audit", verdict, unknown=unknown))
    return int(any(one.unknown for one in accounts))


def quarantine(config: CloudConfig, *, retry: bool, patience_s: float = PATIENCE_S) -> int:
    """Print what lies in quarantine; with `retry` have ingest store what it understands now, and print what it says.

    Ingest alone writes the store and the quarantine: it is asked by a row in its inbox, and answers while it runs.
    Raises Refused for a folder in which it never ran.
    """
    folder = Path(config.data.path)
    file = folder / "quarantine.db"
    if not file.exists():
        raise Refused("backup", "nothing", data=folder)
    cases = list(listing(file))
    told = _asked(folder, patience_s) if retry and cases else {}
    if told is None:
        return 1
    for case in cases:
        print(
            f"{hanoi(case.arrival_ms).isoformat()} gateway={case.gateway} epoch={case.epoch or '-'}"
            f" first={case.first} n={case.n} bytes={case.size} why={case.reason!r}"
        )
        if retry and (fate := _fate(told, case.id)):
            print("  →", " · ".join(said("quarantine", fate[0], language, **fate[1]) for language in LANGUAGES))
    if not cases:
        print(both("quarantine", "empty"))
    if told.get("stopped"):
        print(both("audit", "no_store", why=told["stopped"]), file=sys.stderr)
        return 1
    return 0


def _asked(folder: Path, patience_s: float) -> dict[str, Any] | None:
    """Ask ingest to try the cases again; return what became of them, or None where it does not answer, and say so."""
    clock = SystemClock()
    asker = Asker(folder, "ingest", clock)
    try:
        number = asker.ask(RETRY, {})
        until_s = clock.monotonic() + patience_s
        while asker.attended() and clock.monotonic() < until_s:
            outcome = asker.outcome(number)
            if outcome is not None:
                return outcome
            clock.wait(threading.Event(), LOOK_S)
        print(both("quarantine", "busy" if asker.attended() else "waits"), file=sys.stderr)
    except Retry as error:
        print(both("quarantine", "not_asked", why=error), file=sys.stderr)
    finally:
        asker.close()
    return None


def _fate(told: dict[str, Any], number: int) -> tuple[str, dict[str, Any]] | None:
    """Return what became of a case; None where its turn did not come, or too many are left to tell each."""
    if number > told["after"]:
        return None
    left = told["left"].get(str(number))
    if left is None:
        return None if told["more"] else ("stored", {})
    return left[0], left[1]
