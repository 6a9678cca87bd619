"""A number out of range travels beside its reason: exactly, past readers that do not know it, and only where it may."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire import codec_b62cbf3 as before  # as it was when gateways without raw numbers went out, word for word
from tests.wire.test_codec import EPOCH, NOW, out_of_range, packet, readings
from wire import codec
from wire.quantities import MAX_SCALED, QUANTITIES
from wire.reading import Reading, Reason

if TYPE_CHECKING:
    from wire.batch import Batch


def told(batch: Batch) -> dict[tuple[int, str], float]:
    return {(block.seqs[row], quantity): float(text) for block in batch.blocks for row, quantity, text in block.raw}


def test_the_number_comes_beside_its_reason_and_readings_never_show_it():
    batch = codec.decode_message("sg-01", packet(out_of_range(), first=7), NOW)
    assert told(batch) == {(7, "soil_ph"): 19.1, (8, "air_temperature"): -99.99, (9, "soil_ph"): 19.1}
    back = list(batch.readings())
    assert [reading.reasons for reading in back] == [reading.reasons for reading in out_of_range()]
    assert "19.1" not in msgspec.json.encode(back).decode()
    assert all(column[row] == "" for block in batch.blocks for row, quantity, _ in block.raw
               for column in [block.columns[block.quantities.index(quantity)]])  # fmt: skip


# --- old and new side by side

names = st.sampled_from(sorted(QUANTITIES))


@st.composite
def polls(draw, raw=True):
    valued = draw(st.lists(names, max_size=4, unique=True))
    absent = [name for name in draw(st.lists(names, max_size=4, unique=True)) if name not in valued]
    whole = {name: QUANTITIES[name].scale(QUANTITIES[name].low) for name in valued}
    reasons = {
        name: int(draw(st.sampled_from([Reason.OUT_OF_RANGE, Reason.SENTINEL, Reason.SILENCE]))) for name in absent
    }
    said = st.integers(1 - MAX_SCALED, MAX_SCALED - 1)
    beside = {name: draw(said) for name in absent if draw(st.booleans())} if raw else {}
    return Reading(draw(st.sampled_from(["a", "b", "c"])), draw(st.integers(0, 10**6)), whole, reasons, beside)


@settings(max_examples=50, deadline=None)
@given(st.lists(polls(raw=False), min_size=1, max_size=8))
def test_without_raw_numbers_the_bytes_are_those_of_before(sent):
    assert codec.encode_body(sent) == before.encode_body(sent)


@settings(max_examples=50, deadline=None)
@given(st.lists(polls(), min_size=1, max_size=8))
def test_an_older_server_reads_all_the_rest(sent):
    new = codec.decode_message("sg-01", packet(sent), 3 * NOW)
    old = before.decode_message("sg-01", packet(sent), 3 * NOW)
    assert list(old.readings()) == list(new.readings())
    assert [block.raw for block in old.blocks] == [[] for _ in old.blocks]
    wanted = {
        (seq, name): QUANTITIES[name].unscale(scaled)
        for seq, reading in enumerate(sent, 1)
        for name, scaled in reading.raw.items()
    }
    assert told(new) == pytest.approx(wanted, rel=1e-15)


@settings(max_examples=30, deadline=None)
@given(st.lists(polls(raw=False), min_size=1, max_size=8))
def test_an_older_gateway_is_read(sent):
    old = packet(sent, body=before.encode_body(sent))
    batch = codec.decode_message("sg-01", old, 3 * NOW)
    assert list(batch.readings()) == list(before.decode_message("sg-01", old, 3 * NOW).readings())
    assert told(batch) == {}


def test_readings_kept_before_are_read_and_kept_as_before():
    kept = [Reading(one.channel, one.mono_ms, one.values, one.reasons) for one in readings()]
    without = [{"channel": o.channel, "mono_ms": o.mono_ms, "values": o.values, "reasons": o.reasons} for o in kept]
    assert msgspec.msgpack.encode(kept) == msgspec.msgpack.encode(without), "it takes room for nothing"
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(without), type=list[Reading]) == kept
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(out_of_range()), type=list[Reading]) == out_of_range()


# --- limits and hostile bytes

ONE = [["soil-1", [0, 1], [0, 0], [["soil_ph", [480], [1, 7]], ["soil_ec", [], [0, 7, 1, 7]]]]]


def hostile(raw, series=ONE):
    return packet(readings(), body=msgspec.msgpack.encode([0, series, raw]), n=2)


def test_the_innocent_form_of_what_follows_is_accepted():
    assert told(codec.decode_message("sg-01", hostile([[0, 0, [1], [99]], [0, 1, [0, 1], [9, -1]]]), NOW)) == {
        (2, "soil_ph"): 0.99, (1, "soil_ec"): 9, (2, "soil_ec"): 8,
    }  # fmt: skip
    assert told(codec.decode_message("sg-01", hostile([]), NOW)) == {}
    later = packet(readings(), body=msgspec.msgpack.encode([0, ONE, [[0, 0, [1], [9], "later"]], {"later": 1}]), n=2)
    assert told(codec.decode_message("sg-01", later, NOW)) == {(2, "soil_ph"): 0.09}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ([[1, 0, [1], [9]]], "series 1; there are 1"),
        ([[-1, 0, [1], [9]]], "series -1"),
        ([[0, 2, [1], [9]]], "column 2"),
        ([[0, -1, [1], [9]]], "column -1"),
        ([[0, 0, [0], [9]]], "soil_ph has raw numbers without a reason"),  # that row has a value
        ([[0, 0, [2], [9]]], "without a reason"),
        ([[0, 0, [-1], [9]]], "without a reason"),
        ([[0, 1, [0, 0], [9, 9]]], "without a reason"),  # the same row twice
        ([[0, 1, [1, -1], [9, 9]]], "without a reason"),
        ([[0, 1, [0, 1], [9]]], "without a reason"),
        ([[0, 1, [0], [9, 9]]], "without a reason"),
        ([[0, 0, [1], [9]], [0, 0, [1], [9]]], "each once"),
        ([[0, 1, [0], [9]], [0, 0, [1], [9]]], "each once"),
        ([[0, 0, [1], [2**53]]], "soil_ph has a raw number of 2\\^53"),
        ([[0, 0, [1], [-(2**53)]]], "2\\^53"),
        ([[0, 1, [0, 1], [2**63, 2**63]]], "2\\^53"),
        ([[0, 0, [1], [float("nan")]]], "body"),
        ([[0, 0, [1], [1.5]]], "body"),
        ([[0, 0, [1], ["9"]]], "body"),
        ([[0, 0, [1], [None]]], "body"),
        ([[0, 0, [True], [9]]], "body"),
        ([[0, 0, [1]]], "body"),
        ([["0", 0, [1], [9]]], "body"),
        ([{"series": 0}], "body"),
        ([[0, 0, {1: 2}, [9]]], "body"),
        ({"0": 1}, "body"),
        (None, "body"),
        (7, "body"),
        ("raw", "body"),
        ([[0, 0, [[[[1]]]], [9]]], "body"),
    ],
)  # fmt: skip
def test_what_no_gateway_of_ours_writes_is_quarantined_whole_with_its_reason(raw, words):
    with pytest.raises(codec.Rejected, match=words) as caught:
        codec.decode_message("sg-01", hostile(raw), NOW)
    assert caught.value.identity == (EPOCH.hex(), 1, 2)


def test_a_bignum_is_quarantined():
    body = bytes.fromhex("93009196") + b"\xc7\x09\x02" + bytes(9)  # an extension type, as bignums travel elsewhere
    with pytest.raises(codec.Rejected, match="body"):
        codec.decode_message("sg-01", packet(readings(), body=body), NOW)


nested = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=3)
    | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=12,
)
close = st.lists(
    st.tuples(st.integers(-1, 2), st.integers(-1, 2), st.lists(st.integers(-1, 2), max_size=3),
              st.lists(st.integers(-(2**63), 2**64 - 1), max_size=3)), max_size=3,
)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(nested | close)
def test_whatever_stands_there_is_read_or_quarantined_never_more(raw):
    refused = None
    try:
        batch = codec.decode_message("sg-01", hostile(raw), NOW)
    except codec.Rejected as error:
        refused = error
    if refused is not None:
        assert refused.identity == (EPOCH.hex(), 1, 2)
        assert len(str(refused)) < 300
        return
    assert len(told(batch)) <= 3
    assert list(batch.readings()) == list(before.decode_message("sg-01", hostile(raw), NOW).readings())


def test_a_full_batch_whose_every_value_is_out_of_range_fits_the_limits():
    """Each raw number stands beside a reason that already counts among the 2,000, so it has no limit of its own."""
    wild = sorted(QUANTITIES)[:4]
    sent = [
        Reading(
            f"c{n % 7}",
            n * 997,
            {},
            dict.fromkeys(wild, 7),
            dict.fromkeys(wild, (-1) ** n * (2**53 - 1 - n * 7919)),
        )
        for n in range(500)
    ]
    whole = packet(sent)
    assert len(whole) <= codec.MAX_PACKET
    assert len(told(codec.decode_message("sg-01", whole, NOW))) == 2_000


def test_a_trailing_element_as_large_as_a_packet_can_hold_costs_bounded_memory():
    many = hostile([[0, 0, [0] * 120_000, [0] * 120_000]])
    wide = hostile([[0, 0, [1], [9]]] * 37_000)
    for bomb in (many, wide):
        tracemalloc.start()
        with pytest.raises(codec.Rejected):
            codec.decode_message("sg-01", bomb, NOW)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 32 * 2**20
