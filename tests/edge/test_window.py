"""What may be in flight: eight, more where they are small and quickly answered, fewer where the link is slow."""

from __future__ import annotations

import pytest

from edge.send import session
from edge.send.window import ENOUGH_BYTES, FIRST_BYTES, LEAST, MOST, QUICK_MS, Window


def fill(window, size):
    """Send as many as may go; return how many went."""
    sent = 0
    while window.room:
        window.sent(size)
        sent += 1
    return sent


@pytest.mark.parametrize(
    ("size", "trip_ms", "most"),
    [
        (100, QUICK_MS, MOST),
        (100, QUICK_MS + 1, LEAST),  # something queues on the way: nobody pours more into it
        (400, 5, -(-ENOUGH_BYTES // 400)),
        (2_048, 5, ENOUGH_BYTES // 2_048),
        (ENOUGH_BYTES // LEAST, 5, LEAST),
        (60_000, 5, LEAST),  # eight may go, whatever they weigh
    ],
)
def test_quick_answers_open_it_up_to_a_number_of_bytes(size, trip_ms, most):
    window = Window()
    flying = fill(window, size)
    assert flying == min(LEAST, -(-FIRST_BYTES // size))
    for _ in range(10 * MOST):
        window.answered(size, trip_ms)
        flying += fill(window, size) - 1
    assert flying == most


@pytest.mark.parametrize(("size", "bytes_s", "most_s"), [(4_300, 1_000, 14), (4_300, 300, 30), (2_048, 1_000, 14)])
def test_on_a_slow_link_little_lies_before_what_is_urgent(size, bytes_s, most_s):
    """The link carries one message after the other, so an answer takes as long as all that was in flight."""
    window, now, sent = Window(), 0.0, []
    for _ in range(60):
        sent += [now] * fill(window, size)
        assert len(sent) * size / bytes_s <= most_s
        now += size / bytes_s
        window.answered(size, 1_000 * (now - sent.pop(0)))


def test_a_slow_answer_shuts_it_to_the_least():
    window = Window()
    flying = fill(window, 100)
    for _ in range(MOST):
        window.answered(100, 5)
        flying += fill(window, 100) - 1
    window.answered(100, QUICK_MS + 1)
    for _ in range(flying - LEAST - 1):
        assert not window.room
        window.over(100)
    window.over(100)
    assert window.room


def test_an_uplink_has_room_for_all_of_it_and_for_what_goes_past_it():
    assert session.ROOM > MOST + LEAST
