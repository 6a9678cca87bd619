"""The word in a ledger row of InfluxDB that gives readings their numbers again: right, or none at all."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec
import pytest

from cloud.store.engines.influx import order, parcels
from cloud.store.keys import span_ns
from cloud.store.ledger import LedgerRow
from tests.build import EPOCH, SOIL, START_MS, batch
from wire.batch import Row

if TYPE_CHECKING:
    from wire.batch import Batch, Block

Point = tuple[str, int]


def told(whole: Batch) -> tuple[LedgerRow, dict[Point, int]]:
    """Return the ledger row of a batch, and the number of each of its points."""
    times = [block.stored_ns() for block in whole.blocks]
    row = LedgerRow(whole.gateway, *whole.identity, "stored", 0, 0, *span_ns(times))
    points = {
        (block.channel, time): seq
        for block, own in zip(whole.blocks, times, strict=True)
        for seq, time in zip(block.seqs, own, strict=True)
    }
    return msgspec.structs.replace(row, order=order.word_of(whole.blocks, times)), points


def spoken(chance: random.Random, first: int, start_ms: int) -> Batch:
    """Return a batch in which some channels speak in any order, some with other quantities now and then."""
    names = [f"c-{number}" for number in range(chance.randrange(1, 9))]
    row = lambda: {  # noqa: E731 - one row
        name: {"soil_ph": 4.5} if chance.random() < 0.8 else {"co2": 400}
        for name in chance.sample(names, chance.randrange(1, len(names) + 1))
    }
    rows = [row() for _ in range(chance.randrange(1, 8))]
    return batch(first=first, start_ms=start_ms, step_ms=chance.choice([50, 999, 60_000]), rows=rows)


@pytest.mark.parametrize("seed", range(40))
def test_every_reading_has_its_number_beside_neighbours_and_none_where_one_is_missing(seed: int) -> None:
    chance = random.Random(seed)
    whole = spoken(chance, 1_000, 1_763_870_400_000)
    row, points = told(whole)
    assert row.order != order.NUMBERED
    near = [(channel, time + side * 50_000_000) for channel, time in points for side in (-1, 1)]
    ends = [(channel, edge) for channel, _ in points for edge in span_ns([[time for _, time in points]])]
    around = [
        (channel, time)
        for channel, time in [*near, *ends]
        if not any(channel == own and abs(time - at) < 50_000_000 for own, at in points)
        and (
            time < min(at for own, at in points if own == channel)
            or time > max(at for own, at in points if own == channel)
        )
    ]
    assert order.numbers(row, [*points, *around]) == points
    lost = chance.choice(sorted(points))
    left = {point: seq for point, seq in points.items() if point != lost}
    found = order.numbers(row, [*left, *around])
    assert found == {point: seq for point, seq in points.items() if point[0] != lost[0]}


def test_what_a_word_cannot_say_is_numbered_reading_by_reading() -> None:
    whole = batch(rows=[{"soil-1": {"soil_ph": 4.5}}] * 3)
    (block,) = whole.blocks
    many = batch(rows=[{f"c-{number}": {"co2": 400} for number in range(63)}])
    back = msgspec.structs.replace(block, seqs=block.seqs[::-1])
    odd = msgspec.structs.replace(block, channel="a b")
    for blocks in (many.blocks, [back], [odd], [block, block]):
        assert order.word_of(blocks, [one.stored_ns() for one in blocks]) == order.NUMBERED
    assert order.word_of([block], [block.stored_ns()]) == "soil-1:aaa:0-40"


def _packed(whole: Batch, since_ms: int) -> tuple[parcels.Parcel, list[Block]]:
    """Return the parcel of a batch, and what of it is late."""
    found = parcels.pack(whole, since_ms)
    return msgspec.structs.replace(found, late=None), found.late.blocks if found.late else []


@pytest.mark.parametrize("seed", range(20))
def test_one_row_of_each_channel_becomes_the_same_lines_in_one_piece(
    seed: int,
) -> None:
    chance = random.Random(seed)
    names = chance.sample([f"c-{number}" for number in range(70)], chance.choice([1, 5, 70]))
    whole = batch(
        gateway=chance.choice(["sg-01", "a b=%s,c"]),
        first=chance.randrange(1, 2**40),
        rows=[{name: dict(chance.sample(sorted(SOIL.items()), 3)) for name in names}],
    )
    assert isinstance(whole.held, Row)
    row = msgspec.structs.replace(whole.held, times_ms=[ms + chance.randrange(900) for ms in whole.held.times_ms])
    for held in (row, msgspec.structs.replace(row, seqs=chance.sample(row.seqs, len(row.seqs)))):
        ways = [msgspec.structs.replace(whole, held=each) for each in (held, held.blocks())]
        found, general = ([_packed(way, since_ms) for since_ms in (0, START_MS + 500)] for way in ways)
        assert found == general
        assert found[0][0].readings.decode().count("%s") == found[0][0].readings.decode().count("a\\ b")


@pytest.mark.parametrize("word", ["soil-1:aaa", "soil-1:aaa:x-1", "soil-1:aaa:1"])
def test_a_word_that_rotted_is_told(word: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        order.numbers(LedgerRow("sg-01", EPOCH, 1, 3, "stored", 0, order=word), [])


def test_a_row_without_a_word_gives_no_numbers() -> None:
    row = LedgerRow("sg-01", EPOCH, 1, 3, "stored", 0)
    for word in ("", order.NUMBERED):
        assert order.numbers(msgspec.structs.replace(row, order=word), [("soil-1", 0)]) == {}
