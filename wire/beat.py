"""The beat: the few figures of a status that change all the time, small enough to be sent each minute on a thin link.

MessagePack and its CRC-32, as docs/protocol.md has it: a high-water that was damaged on the way would stand in the
audit for ever. The rest of the status is sent when it changes; `onto` joins the two again.
"""

from __future__ import annotations

import zlib

import msgspec
from msgspec.structs import replace

from wire.batch import Source, Status

VERSION = 1
MAX_BYTES = 256
_MOST = 2**53
_UNSURE = (Source.NONE, Source.ACK, Source.RTC, Source.BOUNDED)


class Beat(msgspec.Struct, frozen=True, array_like=True):
    """That a gateway lives, and how far it is. Trailing elements that are not known here are passed over."""

    version: int
    boot: bytes
    epoch: bytes
    mono_s: int  # when it was said, in the boot's time: an older beat never counts after a newer one
    acquired: int
    uncut: int
    spooled: int
    oldest_s: int
    dropped: int
    source: int  # which clock dates the boot

    @property
    def asks(self) -> bool:
        """Whether the gateway has no better clock than the cloud's answer: only then does the cloud answer."""
        return self.source in _UNSURE

    def onto(self, status: Status | None) -> Status:
        """Return the gateway's status as it is now; `status` is the last whole one, which may be of another life."""
        boot, epoch = self.boot.hex(), self.epoch.hex()
        if status is None or (status.boot, status.epoch) != (boot, epoch):
            status = Status(v=1, state="online", boot=boot, epoch=epoch)
        return replace(
            status,
            state="online",
            mono_ms=self.mono_s * 1000,
            acquired=self.acquired,
            cut=self.acquired - self.uncut,
            spooled=self.spooled,
            oldest_s=float(self.oldest_s),
            dropped=self.dropped,
            clock=status.clock | {"source": Source(self.source).name.lower()},
            urgent=[],
        )


_encoder = msgspec.msgpack.Encoder()
_beats = msgspec.msgpack.Decoder(Beat)


def beat_of(status: Status) -> Beat:
    """Return the beat that says the figures of a status."""
    return Beat(
        version=VERSION,
        boot=bytes.fromhex(status.boot),
        epoch=bytes.fromhex(status.epoch),
        mono_s=status.mono_ms // 1000,
        acquired=status.acquired,
        uncut=status.acquired - status.cut,
        spooled=status.spooled,
        oldest_s=round(status.oldest_s),
        dropped=status.dropped,
        source=Source[str(status.clock.get("source", "none")).upper()],
    )


def encode(beat: Beat) -> bytes:
    """Return the payload."""
    content = _encoder.encode(beat)
    return content + zlib.crc32(content).to_bytes(4, "big")


def decode(payload: bytes) -> Beat:
    """Return the beat in a payload. Raises ValueError, with what is wrong, for one that cannot be believed."""
    content, crc = payload[:-4], payload[-4:]
    if len(payload) > MAX_BYTES or zlib.crc32(content) != int.from_bytes(crc, "big"):
        raise ValueError(f"beat of {len(payload)} bytes is too long, or its CRC-32 is wrong")
    beat = _beats.decode(content)
    if beat.version != VERSION:
        raise ValueError(f"beat of version {beat.version}, this one knows {VERSION}")
    if len(beat.boot) != 8 or len(beat.epoch) != 8 or beat.source not in set(Source):
        raise ValueError("boot or epoch of a beat is not 8 bytes, or its clock is none that is known")
    counts = (beat.mono_s, beat.acquired, beat.uncut, beat.spooled, beat.oldest_s, beat.dropped)
    if not all(0 <= count < _MOST for count in counts) or beat.uncut > beat.acquired:
        raise ValueError(f"beat has figures that are no counts: {counts}")
    return beat
