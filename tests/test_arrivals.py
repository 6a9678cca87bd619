"""What waits for ingest: small messages are committed many at once, and what does not fit is refused."""

from __future__ import annotations

import threading

import pytest

from cloud.ingest import arrivals as module
from cloud.ingest.arrivals import GROUP, GROUP_BYTES, OBJECT_BYTES, Arrivals
from cloud.stream.connection import Arrival

SHARE = GROUP_BYTES // GROUP


def arrival(size):
    return Arrival("sg-01", "up", bytes(size), 0, False)


@pytest.mark.parametrize(
    ("size", "taken"), [(200, -(-GROUP_BYTES // 200)), (SHARE - 1, GROUP + 1), (SHARE, GROUP), (65_536, GROUP)]
)
def test_a_group_is_so_many_messages_or_more_of_small_ones(size, taken):
    waiting = Arrivals()
    assert all(waiting.offer(arrival(size)) for _ in range(700))
    assert len(waiting.take(0)) == taken
    assert len(waiting) == 700 - taken


def test_it_is_bounded_in_bytes_and_has_room_again_for_what_was_taken(monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 10 * (1_000 + OBJECT_BYTES))
    waiting = Arrivals()
    assert [waiting.offer(arrival(1_000)) for _ in range(12)] == [True] * 10 + [False] * 2
    assert len(waiting.take(0)) == 10
    assert waiting.offer(arrival(1_000))


def test_who_waits_is_woken_by_the_first_message_and_not_at_the_end_of_its_patience():
    waiting, got = Arrivals(), []
    taker = threading.Thread(target=lambda: got.extend(waiting.take(30)))
    taker.start()
    waiting.offer(arrival(5))
    taker.join(10)
    assert [len(one.payload) for one in got] == [5]
