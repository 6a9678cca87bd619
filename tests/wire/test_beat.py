"""The beat as docs/protocol.md has it: read from the page alone, and back from bytes whatever it says."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from wire import beat
from wire.batch import Source, Status

PAGE = Path(__file__).parents[2] / "docs" / "protocol.md"
EXAMPLE = Status(
    v=1,
    state="online",
    boot="8899aabbccddeeff",
    epoch="0011223344556677",
    mono_ms=86_400_000,
    acquired=51_840,
    cut=51_810,
    spooled=90,
    oldest_s=61.0,
    clock={"source": "ntp"},
)
counts = st.integers(0, 2**53 - 1)


def test_the_example_of_the_page_is_read_by_the_page_alone():
    match = re.search(r"^```beat\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    payload = bytes.fromhex(match[1])
    content, crc = payload[:-4], payload[-4:]
    assert int.from_bytes(crc, "big") == zlib.crc32(content)
    boot, epoch = bytes.fromhex("8899aabbccddeeff"), bytes.fromhex("0011223344556677")
    assert msgspec.msgpack.decode(content) == [1, boot, epoch, 86_400, 51_840, 30, 90, 61, 0, 1]
    assert beat.encode(beat.beat_of(EXAMPLE)) == payload, "frozen: gateways in the field say it like this"


def test_a_day_of_beats_is_small():
    topic = len("gocche/v1/sg-01/beat") + 6  # MQTT's own bytes
    assert 1440 * (len(beat.encode(beat.beat_of(EXAMPLE))) + topic) < 110_000


@given(counts, counts, counts, counts, counts, st.sampled_from(list(Source)))
def test_what_is_encoded_is_decoded(mono_s, acquired, spooled, oldest_s, dropped, source):
    said = beat.Beat(1, b"b" * 8, b"e" * 8, mono_s, acquired, acquired // 2, spooled, oldest_s, dropped, int(source))
    assert beat.decode(beat.encode(said)) == said
    longer = [*msgspec.to_builtins(said), "of a later version"]
    content = msgspec.msgpack.encode([1, b"b" * 8, b"e" * 8, *longer[3:]])
    assert beat.decode(content + zlib.crc32(content).to_bytes(4, "big")) == said, "what is not known is passed over"
    if mono_s * 1000 < 2**53:
        assert beat.beat_of(said.onto(None)) == said


@given(st.binary(max_size=80))
def test_hostile_bytes_are_refused_in_words(payload):
    for one in (payload, payload + zlib.crc32(payload).to_bytes(4, "big")):
        try:
            beat.decode(one)
        except ValueError as error:
            assert str(error)  # noqa: PT017 - bytes that happen to be a beat are no error
