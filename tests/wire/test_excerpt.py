"""An excerpt is what the codec reads of the same message, or less: what is followed is believed no sooner."""

from __future__ import annotations

import random

import msgspec
import pytest

from tests.build import SOIL, START_MS, packet, reading
from wire import codec
from wire.batch import Batch, Source
from wire.codec import BATCH, VERSION, Damaged, Envelope, Rejected, encode_body, encode_message
from wire.excerpt import decode_excerpt, excerpt_of
from wire.quantities import QUANTITIES
from wire.reading import Reason

ANY_MS = 2**52
PASSED_OVER = ("is unknown here", "are not the sequence numbers")  # a quantity that nobody follows; its rows
FOLLOWED = {"soil_moisture", "soil_ec", "air_humidity", "clock_uncertainty"}


def _rows(chance: random.Random, n: int) -> list[dict[str, dict[str, float | Reason]]]:
    return [
        {
            "soil-1": {name: Reason.SENTINEL if chance.random() < 0.2 else value for name, value in SOIL.items()},
            "air-1": {"air_temperature": 20.5, "air_humidity": 80.5 + row % 3},
            "wind-1": {"wind_speed": 2.5},
        }
        for row in range(n)
    ]


def _unpacked(said):
    for stretch in said.packed.values():
        points = stretch.points()
        assert (stretch.first_ms, stretch.last_ms) == (points[0][0], points[-1][0])
    return msgspec.structs.replace(said, points=said.unpacked(), packed={})


@pytest.mark.parametrize("how", [{}, {"dated": False, "source": Source.NONE}, {"source": Source.BOUNDED}])
@pytest.mark.parametrize("n", [1, 6, 60])
def test_an_excerpt_holds_what_the_codec_reads(n, how):
    message = packet(rows=_rows(random.Random(n), n), first=7, **how)
    batch = codec.decode_message("sg-01", message, ANY_MS)
    assert isinstance(batch, Batch)
    blocks = [block for block in batch.blocks if FOLLOWED.intersection(block.quantities) - {"clock_uncertainty"}]
    of = excerpt_of(msgspec.structs.replace(batch, held=blocks), FOLLOWED)
    said = decode_excerpt("sg-01", message, FOLLOWED)
    assert _unpacked(said) == of
    assert bool(said.packed) == (n > 1), "a stretch, unless it is one row"
    assert of.points["air-1", "air_humidity"][0] == (batch.blocks[1].times_ms[0], 8, 80.5)


def test_what_the_codec_refuses_of_what_is_followed_is_no_excerpt():
    """A body in which any number or text is another one."""
    chance = random.Random(3)
    readings = [
        reading(channel, 1_000 * row, values)
        for row, one in enumerate(_rows(chance, 4))
        for channel, values in one.items()
    ]
    body = msgspec.msgpack.decode(encode_body(readings))
    told = {"same": 0, "refused": 0}
    for _ in range(2_000):
        spoilt = msgspec.json.decode(msgspec.json.encode(body))
        _spoil(chance, spoilt)
        offset = START_MS if chance.random() < 0.9 else 0
        head = (VERSION, BATCH, b"\0" * 8, 1, len(readings), b"\0" * 8, offset, 1, 0)
        message = encode_message(Envelope(*head, msgspec.msgpack.encode(spoilt)))
        try:
            batch = codec.decode_message("sg-01", message, ANY_MS)
        except (Damaged, Rejected) as refusal:
            if not any(words in str(refusal) for words in PASSED_OVER):
                with pytest.raises((Damaged, Rejected)):
                    decode_excerpt("sg-01", message, QUANTITIES)
                told["refused"] += 1
            continue
        assert _unpacked(decode_excerpt("sg-01", message, QUANTITIES)) == excerpt_of(batch, QUANTITIES)
        told["same"] += 1
    assert min(told.values()) > 100


def _spoil(chance, part):
    """Change one thing at any depth."""
    while isinstance(part, list) and part:
        at = chance.randrange(len(part))
        if not isinstance(part[at], list) or chance.random() < 0.1:
            part[at] = chance.choice([0, 1, -1, 2**40, 65_000, "soil_ec", "air-1", "nothing", [], None])
            return
        part = part[at]
