"""A channel by which nobody's answers come is said to be deaf, and is asked again before long."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

from cloud.alerts.channels import open_channels
from cloud.alerts.tell import hearing
from cloud.alerts.tell.hearing import Ears
from cloud.clock import SystemClock
from cloud.inbox import Asker, Inbox
from tests.rules.garden import until
from tests.told import TOKEN, Zalo

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_bot_that_tells_and_does_not_hear_is_deaf_until_it_hears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zalo gives answers to a webhook that somebody has set, or by getUpdates, and never both."""
    monkeypatch.setattr(hearing, "FIRST_S", 0.05)
    monkeypatch.setattr(hearing, "WELL_S", 2.0)
    monkeypatch.setattr(hearing, "LONGEST_S", 0.2)
    (tmp_path / "token").write_text(TOKEN)
    inbox, stop = Inbox(tmp_path, "alerts", SystemClock()), threading.Event()
    with Zalo() as zalo:
        url = f"http://127.0.0.1:{zalo.port}"
        table = {"kind": "zalo", "url": url, "token_file": str(tmp_path / "token"), "poll_s": 1}
        ears = Ears(open_channels([table]), Asker(tmp_path, "alerts", SystemClock()), SystemClock())
        assert ears.deaf == {}
        said = {"ok": False, "error_code": 429, "description": "webhook is set"}
        zalo.answer, zalo.headers = (200, json.dumps(said).encode()), {"Retry-After": "3600"}
        (loop,) = ears.loops.values()
        thread = threading.Thread(target=loop, args=(stop,))
        thread.start()
        try:
            until(lambda: ears.deaf)
            assert ears.deaf == {"zalo": "429 webhook is set"}
            zalo.answer = None
            zalo.says_that("4821", "k1")
            until(lambda: inbox.take(9))
            until(lambda: not ears.deaf)
        finally:
            stop.set()
            thread.join(20.0)
            inbox.close()
    assert not thread.is_alive()
