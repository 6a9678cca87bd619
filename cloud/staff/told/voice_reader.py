"""`python -m cloud.staff.told.voice_reader FOLDER NAME MEMORY SECONDS`: an uploaded MP3 as its frames of sound alone.

Nothing is decoded or encoded anew. Tags before and behind the sound (ID3, APE, Lyrics3) stay behind: a telephone writes
its owner, the place and the day into them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cloud.staff.aside.uploads import bounded

FEWEST = 20  # frames: half a second; fewer are no story
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # Hz, by version
_BITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # kbit/s of MPEG 1
_FEW_BITS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)  # of MPEG 2 and 2.5
_BEHIND = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3", b"3DI")


def sound_of(body: bytes) -> bytes:
    """Return the frames of an MP3; nothing where it is none, or breaks off or changes its kind on the way."""
    place, sound, kind = _after_tags(body), bytearray(), -1
    while long := _long(body[place : place + 4]):
        if kind not in {-1, body[place + 1] & 0xFE} or place + long > len(body):
            break
        kind = body[place + 1] & 0xFE
        sound += body[place : place + long]
        place += long
    rest = body[place:]
    ends = not rest.strip(b"\0") or rest.startswith(_BEHIND) or _long(rest[:4]) > len(rest)
    return bytes(sound) if ends and sound and len(sound) >= FEWEST * _long(bytes(sound[:4])) // 2 else b""


def _after_tags(body: bytes) -> int:
    """Return where what follows the ID3 tags begins: their length is told in seven bits a byte."""
    place = 0
    while body[place : place + 3] == b"ID3" and len(body) >= place + 10:
        size = 0
        for byte in body[place + 6 : place + 10]:
            size = size << 7 | byte & 0x7F
        place += 10 + size + (10 if body[place + 5] & 0x10 else 0)
    while body[place : place + 1] == b"\0":
        place += 1
    return place


def _long(head: bytes) -> int:
    """Return the bytes of the frame of layer III that a head begins, 0 where it is none."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return 0
    version, bits, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version not in _RATES or not 1 <= bits <= len(_BITS) or rate > 2:
        return 0
    kbits = (_BITS if version == 3 else _FEW_BITS)[bits - 1]
    return (144_000 if version == 3 else 72_000) * kbits // _RATES[version][rate] + (head[2] >> 1 & 1)


def main(folder: str, name: str, memory: str, seconds: str) -> None:
    """Write the answer beside the file."""
    bounded(int(memory), int(seconds))
    place = Path(folder)
    place.joinpath("answer").write_bytes(sound_of(place.joinpath(name).read_bytes()))


if __name__ == "__main__":
    main(*sys.argv[1:])
