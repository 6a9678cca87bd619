"""A number out of range on its way: from the device to the store, for staff; to no visitor and to no rule."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from cloud.config import load
from cloud.pages.app import build
from cloud.stream.latest import Latest
from edge.clock import Anchor
from edge.keep.spool import Spool
from edge.sense.lines import SimulatedLine
from gocche import audit
from tests.build import SOIL, START_MS, batch, packet
from tests.edge.test_sampler import answer, sampler, sensor
from tests.rules.garden import SMOKE, Bench
from tests.test_ingest import Picky, Room
from tests.test_quarantine import serving
from tests.visitors import ALL, TREE, Visitor, World
from tests.wire import codec_b62cbf3 as before
from wire.batch import Batch, Source
from wire.reading import Reason

if TYPE_CHECKING:
    from pathlib import Path

EVER = (0, 2**62)
BOOT = "b0" * 8


def test_from_a_probe_over_a_restart_of_the_gateway_to_the_store(tmp_path: Path) -> None:
    """The soil probe's temperature jumps to 90 °C, as with a broken wire; power fails before the batch is cut."""
    one = sensor()
    asked = sampler(SimulatedLine(lambda frame: answer(1, 312, 900) if frame else b""), one)[0]
    spool = Spool(tmp_path / "spool.db", 2**22)
    spool.append([asked.poll(one) for _ in range(3)], BOOT)
    spool.close()
    spool = Spool(tmp_path / "spool.db", 2**22)
    spool.dates.anchor(BOOT, Anchor(START_MS, Source.NTP, 50))
    (kept,) = spool.cut()
    room = Room(tmp_path)
    room.take(kept.packet())
    found = room.store.missing("sg-01", "soil-1", *EVER)
    assert [(one.quantity, one.reason, one.raw) for one in found] == [("soil_temperature", 7, 90.0)] * 3
    older = before.decode_message("sg-01", kept.packet(), START_MS + 3_600_000)
    assert isinstance(older, Batch)
    assert {one.reasons["soil_temperature"] for one in older.readings()} == {Reason.OUT_OF_RANGE}
    room.close()
    spool.close()


def test_it_comes_out_of_quarantine_with_its_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    room = Room(tmp_path)
    room.ingests_into(Picky(room.store), room.quarantine)
    room.take(packet(first=100, rows=[{"soil-1": SOIL | {"soil_ph": (Reason.OUT_OF_RANGE, 19.1)}}]))
    assert room.store.missing("sg-01", "soil-1", *EVER) == []
    (tmp_path / "cloud.toml").write_text(f'[data]\npath = "{tmp_path}"\n')
    with serving(room, tmp_path):
        assert audit.quarantine(load(tmp_path / "cloud.toml"), retry=True, patience_s=20) == 0
    assert "· stored" in capsys.readouterr().out
    (found,) = room.store.missing("sg-01", "soil-1", *EVER)
    assert (found.quantity, found.reason, found.raw) == ("soil_ph", 7, 19.1)
    room.close()


# --- who may not see it


@pytest.mark.parametrize("filled", [False, True], ids=["from the stream", "from the store"])
def test_no_page_ever_shows_it(tmp_path: Path, *, filled: bool) -> None:
    world = World(tmp_path)
    world.tell(ALL, age_s=3_600)
    wild = {channel: dict.fromkeys(said, (Reason.OUT_OF_RANGE, 765_432)) for channel, said in ALL.items()}
    world.tell(wild | {"soil-1": SOIL | {"soil_ph": (Reason.OUT_OF_RANGE, -765_432)}})
    assert {abs(one.raw or 0) for one in world.store.missing("sg-01", "soil-1", *EVER)} == {765_432.0}
    if filled:
        world.latest = Latest()
        world.latest.fill(world.store)
    asked = Visitor(build(world.garden()))
    seen = ""
    for path in ("/", f"/T/{TREE}", f"/T/{TREE}.json", "/phu-song", "/phu-song.json", "/canh-bao"):
        for lang in ("vi", "en"):
            got = asked.get(f"{path}?lang={lang}")
            assert got.status_code == 200
            seen += got.text
    assert "3127" in digits(seen), "the values themselves are there"
    assert "765432" not in digits(seen)
    world.store.close()


def digits(text: str) -> str:
    """Return the text without whatever people put between digits."""
    return re.sub(r"(?<=\d)[.,\s\u00a0\u202f]+(?=\d)", "", text)


@pytest.mark.parametrize(("said", "incidents"), [(80.0, 1), ((Reason.OUT_OF_RANGE, 65_535.0), 0)])
@pytest.mark.parametrize("way", ["stream", "ledger"])
def test_no_rule_ever_judges_it(tmp_path: Path, said: Any, incidents: int, way: str) -> None:
    bench = Bench(tmp_path, [SMOKE], None)
    bench.clock.advance(600)
    made = batch(start_ms=bench.at(0), step_ms=60_000, rows=[{"smoke-1": {"pm2_5": said}}] * 10)
    if way == "stream":
        bench.alerts.offer(made, bench.clock.utc_ms())
    else:
        bench.store.commit([made], bench.clock.utc_ms())
    bench.idle(180)
    assert len(bench.alerts.incidents()) == incidents
    bench.close()
