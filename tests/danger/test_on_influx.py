"""A day is the same, whichever engine keeps the weather that it is made of."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from cloud.danger.book import NAME, recompute
from cloud.store import open_store
from tests.danger.garden import FIRST, Garden, at
from tests.servers import influx_table

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.danger.course import Day


def _lived(garden: Garden) -> list[Day]:
    """Let three days pass, one of which comes late, with rain and a gauge that begins anew."""
    garden.days_pass(2)
    gap = FIRST + timedelta(2)
    garden.tell(at(gap + timedelta(1)), 6, rain=100.0)
    garden.tell(at(gap + timedelta(1), 6), 2, rain=0.0, grows=4.0)
    garden.tell(at(gap + timedelta(1), 8), 6, rain=4.0)
    garden.look(at(gap + timedelta(1), 13.6))
    garden.tell(at(gap), 24, at(gap + timedelta(1), 14.5), rain=100.0)
    garden.look(at(gap + timedelta(1), 14.8))
    assert recompute(garden.folder / NAME).differ == []
    return garden.days()


@pytest.mark.influx
@pytest.mark.parametrize("server", ["influxd1", "influxd2"])
def test_danger_is_the_same_on_every_engine(server: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    table = influx_table(request.getfixturevalue(server), tmp_path)
    for folder in ("sqlite", "influx"):
        (tmp_path / folder).mkdir()
    ours = Garden(tmp_path / "sqlite")
    theirs = Garden(tmp_path / "influx")
    theirs.store.close()
    theirs.store = open_store(table, writer=True)
    theirs.store.setup()
    theirs.watch = theirs.started()
    try:
        wanted, found = _lived(ours), _lived(theirs)
        assert [day.day for day in found] == [day.day for day in wanted]
        for mine, other in zip(wanted, found, strict=True):
            assert other.inputs == replace(mine.inputs, hours=other.inputs.hours), other.day
            assert len(other.inputs.hours) == len(mine.inputs.hours)
            assert other.after == mine.after
    finally:
        ours.close()
        theirs.close()
