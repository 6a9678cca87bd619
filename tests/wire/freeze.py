"""Writes golden vectors that do not exist yet. What is frozen is never written again: it is the contract."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "wire")]

import test_codec as cases  # noqa: E402

from wire import codec  # noqa: E402
from wire.batch import Ack, AckItem, Source  # noqa: E402
from wire.reading import Reading  # noqa: E402

FOLDER = ROOT / "wire" / "vectors" / "v1"


def _batch(readings: list[Reading], **changes: object) -> dict[str, object]:
    packet = cases.packet(readings, **changes)
    got = codec.decode_message("sg-01", packet, cases.NOW).readings()
    return {"now_ms": cases.NOW, "packet": packet.hex(), "readings": [json.loads(msgspec.json.encode(r)) for r in got]}


def _raw() -> dict[str, object]:
    packet = cases.packet(cases.out_of_range(), first=7)
    found = codec.decode_message("sg-01", packet, cases.NOW)
    raw = [[block.seqs[row], block.channel, quantity, float(text)]
           for block in found.blocks for row, quantity, text in block.raw]  # fmt: skip
    return _batch(cases.out_of_range(), first=7) | {"raw": sorted(raw)}


def _stored() -> dict[str, object]:
    readings = [*cases.readings(), Reading("soil-1", 30_000, {"soil_moisture": 3123}, {})]  # two in one millisecond
    packet = cases.packet(readings, first=7)
    blocks = codec.decode_message("sg-01", packet, cases.NOW).blocks
    stored = [
        [block.channel, seq, ns] for block in blocks for seq, ns in zip(block.seqs, block.stored_ns(), strict=True)
    ]
    return _batch(readings, first=7) | {"stored_ns": stored}


def _vectors() -> dict[str, dict[str, object]]:
    gap = codec.encode_message(
        codec.Envelope(1, 2, cases.EPOCH, 5, 900, bytes(8), None, 0, 0, codec.encode_gap("quota"))
    )
    items = [AckItem(cases.EPOCH, 1, 4, 0, ""), AckItem(cases.EPOCH, 5, 9, 2, "disk full", 30, 5)]
    return {
        "batch": _batch(cases.readings(), first=7),
        "undated": _batch(cases.readings(), offset_ms=None, source=0, uncertainty_ms=0),
        "bounded": _batch(cases.readings(), source=int(Source.BOUNDED), uncertainty_ms=90_500),
        "raw": _raw(),
        "stored": _stored(),
        "gap": {"now_ms": cases.NOW, "packet": gap.hex(),
                "gap": msgspec.to_builtins(codec.decode_message("sg-01", gap, cases.NOW))},
        "ack": {"packet": codec.encode_ack(cases.NOW, items).hex(),
                "ack": json.loads(msgspec.json.encode(Ack(1, cases.NOW, items)))},
        "asked": {"packet": codec.encode_ack(cases.NOW, items[:1], 60_020).hex(),
                  "ack": json.loads(msgspec.json.encode(Ack(1, cases.NOW, items[:1], 60_020)))},
    }  # fmt: skip


for name, vector in _vectors().items():
    file = FOLDER / f"{name}.json"
    if not file.exists():
        file.write_text(json.dumps(vector, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
