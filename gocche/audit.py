"""`gocche audit` and `gocche quarantine`: what became of every reading, from the store's ledger."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cloud.clock import SystemClock, hanoi
from cloud.ingest.audit import books
from cloud.ingest.quarantine import Quarantine
from cloud.rooms import store_of
from cloud.store import Retry, each_row
from gocche.words import LANGUAGES, both, said
from wire import codec
from wire.batch import Batch

if TYPE_CHECKING:
    from cloud.config import CloudConfig
    from cloud.ingest.quarantine import Case
    from cloud.store import Store


def audit(config: CloudConfig, *, as_json: bool) -> int:
    """Print the contract's sum per gateway and epoch; return 0 when unknown is 0 everywhere, else 1."""
    store = store_of(config, writer=False)
    try:
        accounts = books(each_row(store), store.statuses()).accounts()
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
                f" quarantined={one.quarantined} declared={one.declared} spooled={one.spooled} unknown={one.unknown}"
            )
        unknown = sum(one.unknown for one in accounts)
        verdict = "unknown" if unknown else "well" if accounts else "nothing"
        print(both("audit", verdict, unknown=unknown))
    return int(any(one.unknown for one in accounts))


def quarantine(config: CloudConfig, *, retry: bool) -> int:
    """Print what lies in quarantine; with `retry` store what this version understands, under its old identity."""
    cases = Quarantine(Path(config.data.path) / "quarantine.db")
    clock = SystemClock()
    store = store_of(config, writer=True) if retry else None
    try:
        if store is not None:
            store.setup()
        found = False
        for case in cases.cases():
            found = True
            print(
                f"{hanoi(case.arrival_ms).isoformat()} gateway={case.gateway} epoch={case.epoch or '-'}"
                f" first={case.first} n={case.n} bytes={case.size} why={case.reason!r}"
            )
            if store is not None:
                fate, facts = _retry(store, case, cases.payload(case.id), clock.utc_ms())
                if fate == "stored":
                    cases.release([case.id])
                print("  →", " · ".join(said("quarantine", fate, language, **facts) for language in LANGUAGES))
        if not found:
            print(both("quarantine", "empty"))
    except Retry as error:
        print(both("audit", "no_store", why=error), file=sys.stderr)
        return 1
    finally:
        cases.close()
        if store is not None:
            store.close()
    return 0


def _retry(store: Store, case: Case, payload: bytes, now_ms: int) -> tuple[str, dict[str, Any]]:
    """Store a case; return "stored" when all of it is, else what stands against it, with its facts. Raises Retry."""
    try:
        message = codec.decode_message(case.gateway, payload, now_ms)
    except codec.Damaged as error:
        return ("text", {}) if case.epoch else ("damaged", {"why": error})
    except codec.Rejected as error:
        return "refused", {"why": error}
    if isinstance(message, Batch) and message.offset_ms is None:
        return "undated", {}
    try:
        (refused,) = store.commit([message], now_ms)
    except Retry:
        raise
    except Exception as error:  # noqa: BLE001 - a batch that breaks the store must not cost the others their turn
        return "breaks", {"kind": type(error).__name__, "why": error}
    if refused:
        return "partly", {"count": len(refused), "n": message.n, "why": refused[0].reason}
    return "stored", {}
