"""What alerts and pages hear beside ingest: the gateway's own words, and no others."""

from __future__ import annotations

import msgspec
import pytest

from cloud.follower import Follower
from cloud.stream import Arrival
from tests.build import EPOCH, START_MS, packet, soil
from wire.batch import Batch, Status

ONLINE = msgspec.json.encode(Status(v=1, state="online", epoch=EPOCH))
SPACED = msgspec.json.format(ONLINE, indent=2)
WILL = msgspec.json.encode(Status(v=1, state="offline", epoch=EPOCH))
TRICK = msgspec.json.encode({"v": 1, "state": "offline", "channels": {"c": {"state": "online"}}})


@pytest.mark.parametrize(
    ("payload", "retained", "heard"),
    [
        (ONLINE, False, True),
        (SPACED, False, True),
        (ONLINE, True, False),
        (WILL, False, False),
        (TRICK, False, False),
        (b'{"state":"online"', False, False),
        (b'"state":"online"', False, False),
    ],
)
def test_a_gateway_is_heard_when_it_says_itself_that_it_lives(payload: bytes, *, retained: bool, heard: bool) -> None:
    told: list[tuple[str, int]] = []
    Follower([], lambda *who: told.append(who)).step(Arrival("sg-01", "status", payload, START_MS, retained))
    assert told == [("sg-01", START_MS)] * heard


def test_a_batch_is_passed_on_and_damaged_bytes_are_not() -> None:
    told: list[tuple[str, int]] = []
    batches: list[Batch] = []
    follower = Follower([lambda batch, _at: batches.append(batch)], lambda *who: told.append(who))
    for payload in (packet(rows=soil(2)), b"damaged"):
        follower.step(Arrival("sg-01", "up", payload, START_MS, False))
    assert [batch.n for batch in batches] == [2]
    assert told == [("sg-01", START_MS)]
