"""Whoever asks /healthz in a hurry costs the store nothing."""

from __future__ import annotations

from typing import Any

import pytest

from cloud.pages.remembered import Remembered
from cloud.store import Retry
from tests.rules.garden import HandClock


def test_an_answer_serves_all_who_ask_within_its_time() -> None:
    clock, asked = HandClock(), []

    def ask() -> dict[str, Any]:
        asked.append(clock.monotonic())
        if len(asked) == 3:
            raise Retry("the store does not answer")
        return {"asked": len(asked)}

    answer = Remembered(ask, clock, 2.0)
    assert [answer()["asked"] for _ in range(100)] == [1] * 100
    clock.advance(1.9)
    assert answer()["asked"] == 1
    clock.advance(0.1)
    assert answer()["asked"] == 2
    clock.advance(2.0)
    with pytest.raises(Retry):
        answer()
    assert answer()["asked"] == 4, "a fault is not remembered"
