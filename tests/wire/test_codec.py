"""The wire: round trips, limits, hostile bytes, and the frozen golden vectors."""

from __future__ import annotations

import json
import random
import zlib
from collections import Counter
from importlib.resources import files
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire import codec, topics
from wire.batch import AckItem, Batch, Block, Gap, Source, Verdict, key_of
from wire.codec import Damaged, Envelope, Rejected, decode_message, encode_body, encode_message
from wire.quantities import QUANTITIES
from wire.reading import Reading, Reason

EPOCH, BOOT = bytes.fromhex("0011223344556677"), bytes.fromhex("8899aabbccddeeff")
NOW = 1_790_000_000_000
OFFSET = NOW - 1_000_000


def packet(readings, first=1, **changes):
    fields = {
        "version": 1, "kind": 1, "epoch": EPOCH, "first": first, "n": len(readings), "boot": BOOT,
        "offset_ms": OFFSET, "source": int(Source.NTP), "uncertainty_ms": 100, "body": encode_body(readings),
    } | changes  # fmt: skip
    return encode_message(Envelope(**fields))


def readings():
    return [
        Reading("soil-1", 10_000, {"soil_moisture": 3120, "soil_temperature": 2215}, {}),
        Reading("modem-1", 10_050, {"registration": 1, "cell": 68_719_476_735}, {"nr_ss_rsrp": Reason.NOT_REPORTED}),
        Reading("soil-1", 20_001, {}, {"soil_moisture": Reason.CHECKSUM, "soil_temperature": Reason.CHECKSUM}),
        Reading("soil-1", 30_000, {"soil_moisture": 3121, "soil_temperature": -5}, {}),
    ]


def out_of_range():
    """A probe whose acidity is stuck beyond its range; and an air sensor that once says what no air can be."""
    return [
        Reading("soil-1", 10_000, {"soil_moisture": 3120}, {"soil_ph": Reason.OUT_OF_RANGE}, {"soil_ph": 1910}),
        Reading("air-1", 10_050, {"air_humidity": 800}, {"air_temperature": Reason.OUT_OF_RANGE},
                {"air_temperature": -9999}),
        Reading("soil-1", 20_000, {"soil_moisture": 3121}, {"soil_ph": Reason.OUT_OF_RANGE}, {"soil_ph": 1910}),
        Reading("soil-1", 30_000, {"soil_moisture": 3122}, {"soil_ph": Reason.SENTINEL}),
        Reading("soil-1", 40_000, {"soil_moisture": 3122, "soil_ph": 480}, {}),
    ]  # fmt: skip


def test_a_batch_comes_back_as_it_was():
    batch = decode_message("sg-01", packet(readings(), first=7), NOW)
    assert isinstance(batch, Batch)
    assert batch.identity == (EPOCH.hex(), 7, 4)
    back = list(batch.readings())
    assert [(r.seq, r.channel, r.utc_ms) for r in back] == [
        (7, "soil-1", OFFSET + 10_000), (8, "modem-1", OFFSET + 10_050),
        (9, "soil-1", OFFSET + 20_001), (10, "soil-1", OFFSET + 30_000),
    ]  # fmt: skip
    assert back[0].values == {"soil_moisture": 31.2, "soil_temperature": 22.15}
    assert back[1].values == {"registration": 1.0, "cell": 68_719_476_735.0}
    assert back[1].reasons == {"nr_ss_rsrp": Reason.NOT_REPORTED}
    assert back[2].values == {}
    assert back[3].values["soil_temperature"] == -0.05


def test_stored_times_of_a_batch_are_whole_milliseconds_apart():
    batch = decode_message("sg-01", packet(readings(), first=2_000_007), NOW)
    key = key_of(EPOCH.hex(), OFFSET)
    assert batch.blocks[0].stored_ns() == [(OFFSET + ms) * 1_000_000 + key for ms in (10_000, 20_001, 30_000)]
    assert 0 <= key < 1_000_000


def test_no_step_of_a_clock_merges_two_readings_of_one_channel():
    """Polled each 50 ms or more seldom: a step that could bring two of its readings together changes the key."""
    for offset in (OFFSET, OFFSET + 4_999, 0, -5):
        assert all(key_of("e0" * 8, offset - step) != key_of("e0" * 8, offset) for step in range(50, 4_950))
    far = [key_of("e0" * 8, OFFSET - step) for step in range(5_000, 500_000_000, 5_000)]
    assert sum(key == key_of("e0" * 8, OFFSET) for key in far) < 30, (
        "100,000 steps, and one in 10,000 may meet by chance"
    )


def test_a_clock_that_is_only_refined_keeps_its_key():
    """Else every new date would cost the database its compression: a source moves a few ms, a kernel under NTP none."""
    keys = [key_of("e0" * 8, OFFSET + ms) for ms in range(10_000)]
    assert sum(a != b for a, b in pairwise(keys)) in {199, 200}


def test_two_epochs_under_one_name_have_two_keys():
    chance = random.Random(1)
    keys = Counter(key_of(chance.randbytes(8).hex(), OFFSET) for _ in range(2_000))
    assert len({key // 10_000 for key in keys}) == 1, "they share a date, so only the checksum tells them apart"
    assert len(keys) > 1_750, "no better and no worse than chance: 1,813 of 10,000"


@pytest.mark.parametrize("far", [0, 9_998])
def test_readings_of_one_channel_and_millisecond_are_told_apart(far):
    block = Block("soil-1", [1, 2, 3, 4], [5, 5, 6, 5], ("soil_ph",), [["4.8"] * 4], [[]], key=120_000 + far)
    times = block.stored_ns()
    assert [ns // 1_000_000 for ns in times] == [5, 5, 6, 5]
    assert len(set(times)) == 4
    assert [ns % 1_000_000 // 10_000 for ns in times] == [12] * 4
    assert times[0] % 10_000 == times[2] % 10_000 == far


def test_undated_and_bounded():
    undated = decode_message("sg-01", packet(readings(), offset_ms=None, source=0), NOW)
    assert all(reading.utc_ms is None for reading in undated.readings())
    bounded = decode_message("sg-01", packet(readings(), source=int(Source.BOUNDED), uncertainty_ms=90_500), NOW)
    assert all(reading.values["clock_uncertainty"] == 91 and reading.bounded for reading in bounded.readings())


scaled_values = st.sampled_from(sorted(QUANTITIES)).flatmap(
    lambda name: st.tuples(
        st.just(name),
        st.integers(QUANTITIES[name].scale(QUANTITIES[name].low), QUANTITIES[name].scale(QUANTITIES[name].high)),
    )
)
any_reading = st.builds(
    Reading,
    channel=st.sampled_from(["a", "soil-1", "x" * 32]),
    mono_ms=st.integers(0, 10**9),
    values=st.lists(scaled_values, max_size=5).map(dict),
    reasons=st.just({"noise": int(Reason.SILENCE)}),
).map(lambda r: Reading(r.channel, r.mono_ms, {k: v for k, v in r.values.items() if k != "noise"}, r.reasons))


@settings(max_examples=60, deadline=None)
@given(st.lists(any_reading, min_size=1, max_size=25), st.integers(1, 2**50))
def test_any_readings_survive(sent, first):
    got = list(decode_message("sg-01", packet(sent, first=first), 3 * NOW).readings())
    for want, back in zip(sent, got, strict=True):
        assert back.utc_ms == want.mono_ms + OFFSET
        assert {name: QUANTITIES[name].scale(value) for name, value in back.values.items()} == want.values


def sealed(payload: bytes) -> bytes:
    squeezed = zlib.compress(payload)
    return squeezed + zlib.crc32(squeezed).to_bytes(4, "big")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_hostile_bytes_are_damaged_or_rejected_never_more(payload):
    for bytes_ in (payload, sealed(payload)):
        with pytest.raises((Damaged, Rejected)):
            decode_message("sg-01", bytes_, NOW)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_every_flipped_bit_is_noticed(data):
    good = packet(readings())
    at = data.draw(st.integers(0, len(good) * 8 - 1))
    bad = bytearray(good)
    bad[at // 8] ^= 1 << at % 8
    with pytest.raises(Damaged):
        decode_message("sg-01", bytes(bad), NOW)


def test_a_bomb_is_refused_before_it_unfolds():
    with pytest.raises(Damaged, match="inflates"):
        decode_message("sg-01", sealed(bytes(30_000_000)), NOW)


def test_a_large_packet_is_refused_by_its_size():
    with pytest.raises(Damaged, match="65537 bytes"):
        decode_message("sg-01", bytes(65_537), NOW)


def test_deep_nesting_is_refused():
    with pytest.raises((Damaged, Rejected)):
        decode_message("sg-01", sealed(b"\x91" * 200_000 + b"\xc0"), NOW)


def body(*series, start=0):
    return msgspec.msgpack.encode((start, series))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 2}, "version 2"),
        ({"kind": 9}, "kind 9"),
        ({"source": 77}, "clock source 77"),
        ({"source": 6, "uncertainty_ms": 2**60}, "uncertainty of .* s is above 1e\\+09 s"),
        ({"n": 2_000}, "2000 readings"),
        ({"n": 2}, "each once"),
        ({"first": 3}, None),
        ({"offset_ms": NOW + 600_000}, "in the future"),
        ({"offset_ms": 0}, "before 2020"),
        ({"body": b"\xc1"}, "body"),
        ({"body": body(("soil-1", [0], [0], [("made_up", [1], [])])), "n": 1}, "quantity 'made_up' is unknown"),
        (
            {"body": body(("soil-1", [0], [0], [("soil_moisture", [10_001], [])])), "n": 1},
            "soil_moisture = 100.01 is not within",
        ),
        ({"body": body(("soil-1", [0], [0], [("lat", [900_000_001], [])])), "n": 1}, "lat = 90.0000001 is not within"),
        ({"body": body(("Soil 1", [0], [0], [])), "n": 1}, "channel 'Soil 1'"),
        ({"body": body(("soil-1", [0], [0], [("noise", [], [0, 99])])), "n": 1}, "reason 99"),
        ({"body": body(("soil-1", [0], [0], [("noise", [1], [0, 1])])), "n": 1}, "not one value or reason"),
        ({"body": body(("soil-1", [0], [], [])), "n": 1}, "1 rows, 0 times"),
        ({"body": body(("a", [0], [0], []), ("a", [1], [0], [])), "n": 2}, "stands twice"),
        ({"body": body(("a", [0], [0], [("noise", [1], []), ("noise", [1], [])])), "n": 1}, "stands twice"),
    ],
)
def test_what_cannot_be_accepted_is_quarantined_whole_under_its_identity(changes, words):
    bad = packet(readings(), **changes)
    if words is None:  # the body says nothing of `first`: another identity, as good as any
        assert decode_message("sg-01", bad, NOW).first == 3
        return
    with pytest.raises(Rejected, match=words) as caught:
        decode_message("sg-01", bad, NOW)
    assert caught.value.identity == (EPOCH.hex(), 1, changes.get("n", 4))


def mangled(chance, rows):
    """Return a body of some channels, and now and then with one thing wrong with it."""
    names = chance.sample(["a", "soil-1", "x" * 32], chance.randrange(1, 4))
    columns = chance.sample(["soil_moisture", "soil_ph", "co2"], chance.randrange(1, 4))
    series = [
        [name, [place, *[len(names)] * (rows - 1)], [20 * place, *[1_000] * (rows > 1), *[0] * (rows - 2)],
         [[column, [450, *[1] * (rows - 1)], []] for column in columns]]
        for place, name in enumerate(names)
    ]  # fmt: skip
    one = chance.choice(series)
    wrong = [
        lambda: one[1].append(1), one[2].pop, lambda: one[3][0][1].append(1), one[3].clear,
        lambda: one[3].append(one[3][0]), lambda: series.append(one), lambda: one.append("later"), series.clear,
        lambda: one[3].append(["made_up", [1] * rows, []]), lambda: one[3].append(["noise", [-1] * rows, []]),
        lambda: one[3].append(["noise", [1] * (rows - 1), [0, 1]]), lambda: one[3].append(["noise", [1] * rows]),
        lambda: one.__setitem__(0, "Soil 1"), lambda: one[1].__setitem__(0, 7), lambda: one[2].__setitem__(0, 10**10),
        lambda: one[2].__setitem__(0, -OFFSET), lambda: one[2].__setitem__(0, "now"),
        lambda: series[-1].__setitem__(0, series[0][0]),
    ]  # fmt: skip
    if chance.random() < 0.7:
        chance.choice(wrong)()
    return body(*series), rows * len(names)


@pytest.mark.parametrize("rows", [1, 3])
def test_a_message_that_lacks_nothing_is_read_by_the_short_way_as_by_the_long_one(rows, monkeypatch):
    chance, short, taken = random.Random(rows), codec._whole, Counter()

    def outcome(sent):
        try:
            read = decode_message("sg-01", sent, NOW)
        except Rejected as error:
            return str(error), error.identity
        return msgspec.structs.replace(read, held=read.blocks)

    for _ in range(300):
        said, n = mangled(chance, rows)
        sent = packet(readings(), body=said, n=n)
        with monkeypatch.context() as away:
            away.setattr(codec, "_whole", lambda *_: None)
            found = outcome(sent)
        assert outcome(sent) == found
        taken[short(codec.opened(sent)[1], NOW) is not None, isinstance(found, Batch)] += 1
    assert taken[True, True] > 50
    assert taken[False, False] > 100
    assert taken[True, False] == 0


def test_too_many_values_are_refused_on_both_sides():
    many = [Reading(f"c{i % 60}", i, {"noise": 1, "pm1": 1, "pm10": 1, "co": 1, "co2": 1}, {}) for i in range(450)]
    with pytest.raises(ValueError, match="at most 2000"):
        encode_body(many)
    wide = body(*[(f"c{i}", [0] * 1, [0], [(name, [0], []) for name in list(QUANTITIES)[:50]]) for i in range(50)])
    with pytest.raises(Rejected):
        decode_message("sg-01", packet(readings(), body=wide, n=50), NOW)
    sound = body(*[(f"c{i}", [i], [0], [(name, [1], []) for name in ("noise", "pm1", "co", "co2", "pm10")])
                   for i in range(450)])  # fmt: skip
    with pytest.raises(Rejected, match="more than 2000 values"):
        decode_message("sg-01", packet(readings(), body=sound, n=450), NOW)


def test_unknown_trailing_elements_are_ignored():
    envelope = msgspec.msgpack.decode(zlib.decompress(packet(readings())[:-4]))
    assert decode_message("sg-01", sealed(msgspec.msgpack.encode([*envelope, "later", {}])), NOW).n == 4


def test_gap_and_ack():
    sent = encode_message(Envelope(1, 2, EPOCH, 5, 1_000_000, bytes(8), None, 0, 0, codec.encode_gap("quota")))
    assert decode_message("sg-01", sent, NOW) == Gap("sg-01", EPOCH.hex(), 5, 1_000_000, "quota")
    ack = codec.decode_ack(codec.encode_ack(NOW, [AckItem(EPOCH, 1, 4, Verdict.LATER, "disk full", 30, 5)]))
    assert (ack.utc_ms, ack.items[0].code, ack.items[0].seconds) == (NOW, Verdict.LATER, 30)
    with pytest.raises(Damaged):
        codec.decode_ack(b"nonsense")


def test_topics():
    assert topics.parse("gocche/v1/sg-01/up") == ("sg-01", "up")
    for bad in (
        "gocche/v1/SG/up",
        "gocche/v1/+/up",
        "gocche/v2/sg-01/up",
        "gocche/v1/sg-01/up/x",
        "up",
        "gocche/v1/sg-01/root",
    ):
        with pytest.raises(ValueError, match="is not gocche/v1"):
            topics.parse(bad)


@pytest.mark.parametrize("file", sorted((files("wire") / "vectors" / "v1").iterdir(), key=str), ids=lambda f: f.name)
def test_golden_vectors_are_read_as_they_were_frozen(file):
    vector = json.loads(file.read_text(encoding="utf-8"))
    raw = bytes.fromhex(vector["packet"])
    if "ack" in vector:
        assert msgspec.to_builtins(codec.decode_ack(raw)) == msgspec.to_builtins(
            msgspec.convert(vector["ack"], codec.Ack)
        )
        return
    message = decode_message("sg-01", raw, vector["now_ms"])
    if "gap" in vector:
        assert msgspec.to_builtins(message) == vector["gap"]
        return
    assert [json.loads(msgspec.json.encode(reading)) for reading in message.readings()] == vector["readings"]
    raw = [
        [block.seqs[row], block.channel, quantity, float(text)]
        for block in message.blocks
        for row, quantity, text in block.raw
    ]
    assert sorted(raw) == vector.get("raw", [])
    assert stored(message) == vector.get("stored_ns", stored(message))


def stored(batch):
    return [
        [block.channel, seq, ns]
        for block in batch.blocks
        for seq, ns in zip(block.seqs, block.stored_ns(), strict=True)
    ]


def test_the_table_of_quantities_is_sound():
    for name, row in QUANTITIES.items():
        assert name == row.name
        assert len(name.encode()) <= codec.MAX_NAME
        assert -2 <= row.decimals <= 9
        assert row.low < row.high
        assert row.unscale(row.scale(row.high)) == row.high
        assert abs(row.scale(row.high)) < 2**53
        if row.codes:
            assert set(row.codes) == set(range(int(row.low), int(row.high) + 1)), name
    assert len({row.vi for row in QUANTITIES.values()}) == len(QUANTITIES)
    assert len({row.en for row in QUANTITIES.values()}) == len(QUANTITIES)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, -1.7e308, 2.0**53])
def test_numbers_that_are_none_cannot_be_scaled(value):
    with pytest.raises(ValueError, match="noise"):
        QUANTITIES["noise"].scale(value)
