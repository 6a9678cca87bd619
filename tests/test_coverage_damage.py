"""Whatever is damaged in whatever way: no reader raises, no number is out of its range, and each loss is counted."""

from __future__ import annotations

import io
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.coverage.into import file
from cloud.coverage.into.phone import STREAMS, Door
from cloud.coverage.sample import BadSample, Sample
from tests import sentinels
from tests.sentinels import LTE, NOW_MS, NR, STREAM, message, table, zipped
from tests.test_coverage_csv import OUT, cells, fixes, states
from tests.test_coverage_geosubmit import TOWER, body, item
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

HOME = {"simState": "READY", "simOperator": "45204", "networkRegistrationInfo": OUT}
MESSAGES = [
    ("lte_message", message("LteRecord", **LTE)),
    ("nr_message", message("NrRecord", **NR)),
    ("gnss_message", message("GnssRecord", groupNumber=1)),
    ("device_status_message", message("PhoneState", **HOME)),
]
ROWS = cells(*range(0, 60, 5)) + cells(*range(300, 360, 5))
FILES = {
    "csv": table("LteRecord", ROWS, comma=True),
    "zip": zipped(
        lte=table("LteRecord", ROWS),
        gnss=table("GnssRecord", fixes(*range(0, 360, 8))),
        state=table("PhoneState", states((0, OUT), (70, OUT))),
    ),
    "geosubmit": body(*[item(TOWER, TOWER | {"radioType": "nr"}, wifiAccessPoints=[{"macAddress": "x"}])] * 10),
}
WORDS = [b"", b"\0", b"\xff", b",", b";", b'"', b"\r\n", b"{", b"]", b"-", b"9" * 30, b"1e99", b"NaN", b"null", b"true"]


def damaged(content: bytes, dice: random.Random) -> bytes:
    """Return it cut, doubled, swapped, flipped or written over in a few places."""
    out = bytearray(content)
    for _ in range(dice.randint(1, 4)):
        at, size = dice.randrange(len(out) + 1), dice.choice([0, 1, 2, 10, 200])
        kind = dice.randrange(5)
        if kind == 0:
            del out[at : at + size]
        elif kind == 1:
            out[at:at] = out[at : at + size]
        elif kind == 2:
            out[at : at + size] = dice.choice(WORDS)
        elif kind == 3 and at < len(out):
            out[at] ^= 1 << dice.randrange(8)
        elif dice.random() < 0.3:
            del out[at:]
        elif out:  # a ZIP has its directory there
            out[-dice.randint(1, min(len(out), 300))] = dice.randrange(256)
    return bytes(out)


def in_range(samples: Iterable[Sample]) -> None:
    for one in samples:
        sample = one.checked(NOW_MS)
        assert sample.plmn == 0 or QUANTITIES["plmn"].plausible(sample.plmn)
        assert sample.rssi_dbm is None or QUANTITIES["rssi"].plausible(sample.rssi_dbm)
        assert sample.alt_m is None or QUANTITIES["alt"].plausible(sample.alt_m)
        for heard, names in (
            (sample.lte, ("lte_rsrq", "pci", "earfcn")),
            (sample.nr, ("nr_ss_rsrq", "nr_pci", "nr_arfcn")),
        ):
            for name, value in zip(names, (heard and (heard.rsrq_db, heard.pci, heard.arfcn)) or (), strict=False):
                assert value is None or QUANTITIES[name].plausible(value)
            assert heard is None or heard.cell is None or QUANTITIES["cell"].plausible(heard.cell)


@pytest.mark.parametrize("form", FILES)
def test_a_damaged_file(form: str, tmp_path: Path) -> None:
    dice = random.Random(form)
    refused: Counter[str] = Counter()
    for _ in range(200):
        (tmp_path / "brought").write_bytes(damaged(FILES[form], dice))
        with (tmp_path / "brought").open("rb") as brought:  # a real one: it refuses places that memory does not
            found = list(file.read(brought, "hang-tay", NOW_MS))
        in_range(one for one in found if isinstance(one, Sample))
        refused.update(one.reason for one in found if isinstance(one, BadSample))
        assert sentinels.leaks(repr(found)) == []
    assert len(refused) > 4


def test_damaged_messages() -> None:
    dice = random.Random("messages")
    door, heard = Door(), 0
    for n in range(4_000):
        stream, payload = dice.choice(MESSAGES)
        samples = door.hear("hang-tay", stream, damaged(payload, dice), NOW_MS + n * 10)
        in_range(samples)
        heard += len(samples)
        assert sentinels.leaks(repr(samples)) == []
    heard += len(door.rest(NOW_MS + 60_000))
    assert sentinels.leaks(repr((door.counted, door.passed))) == []
    assert len(door.counted) > 6
    assert heard > 100


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([*STREAMS, "x"]), st.binary(max_size=300))
def test_bytes_that_are_no_message(stream: str, payload: bytes) -> None:
    door = Door()
    assert door.hear("hang-tay", stream, payload, NOW_MS) == []
    assert sum(door.counted.values()) == 1


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([("LteRecord", LTE), ("NrRecord", NR), ("PhoneState", HOME)]), st.data())
def test_a_field_that_holds_anything(of: tuple[str, dict[str, object]], data: st.DataObject) -> None:
    kind, fields = of
    field = data.draw(st.sampled_from([*fields, *sentinels.PLACE, "deviceTime", "missionId"]))
    door = Door()
    payload = message(kind, **fields | {field: data.draw(_JSON)})
    samples = [*door.hear("hang-tay", STREAM[kind], payload, NOW_MS), *door.rest(NOW_MS)]
    in_range(samples)
    assert len(samples) + sum(door.counted.values()) + door.passed["state"] + door.passed["radio off"] == 1 or (
        field == "servingCell" and door.passed["neighbour"] == 1
    )


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_bytes_that_are_no_file(content: bytes) -> None:
    assert not any(isinstance(one, Sample) for one in file.read(io.BytesIO(content), "hang-tay", NOW_MS))
