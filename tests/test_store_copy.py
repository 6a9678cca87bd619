"""One store copied into another: the same sums, the same values, raw numbers and reasons, and again without harm."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from cloud.clock import SystemClock
from cloud.config import load
from cloud.ingest.bookkeeper import accounts_of
from cloud.rooms import store_of
from cloud.store import Mark, Refusal, Retry, Tallied, each_row
from gocche import store_copy
from gocche.words import Refused
from tests.build import EPOCH, START_MS, batch, soil
from tests.servers import influx_table
from wire.batch import Gap
from wire.reading import Reason

if TYPE_CHECKING:
    from cloud.config import CloudConfig

SAMPLE = Path(__file__).parents[1] / "config" / "cloud.toml"
NS = 1_000_000
SPAN = (START_MS - 60_000) * NS, (START_MS + 600_000) * NS


@pytest.fixture
def config(tmp_path: Path) -> CloudConfig:
    """Return a configuration whose store has stored, declared and quarantined batches of two gateways."""
    made = load(SAMPLE)
    made = replace(made, data=replace(made.data, path=str(tmp_path)))
    store = store_of(made, writer=True)
    store.setup()
    odd = [{"air-1": {"air_temperature": (Reason.OUT_OF_RANGE, 99.5), "air_humidity": 61.0}}]
    store.commit([batch(rows=soil(3)), batch(gateway="sg-02", epoch="e2" * 8, rows=soil(2))], START_MS + 1)
    store.commit([batch(first=4, rows=odd, start_ms=START_MS + 10_000)], START_MS + 2)
    store.commit(
        [Gap("sg-01", EPOCH, 5, 10, "dropped by quota"), Refusal("sg-01", EPOCH, 15, 2, "version 9")], START_MS + 3
    )
    store.close()
    return made


@pytest.fixture(params=["sqlite", *(pytest.param(name, marks=pytest.mark.influx) for name in ("influxd1", "influxd2"))])
def other(config: CloudConfig, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Return a cloud.toml with another store."""
    name = request.param
    table = {"path": "other.db"} if name == "sqlite" else influx_table(request.getfixturevalue(name), tmp_path)
    file = tmp_path / "other.toml"
    store = "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items())
    file.write_text(f'[data]\npath = "{tmp_path}"\n[garden]\npath = "{SAMPLE.parent / "garden"}"\n[store]\n{store}\n')
    return str(file)


def both(config: CloudConfig, other: str):
    return store_of(config, writer=False), store_of(load(Path(other)), writer=False)


def test_the_copy_has_the_same_sums_values_reasons_and_raw_numbers(config: CloudConfig, other: str) -> None:
    assert store_copy.copy(config, "sqlite", other, 0) == 0
    old, new = both(config, other)
    rows = list(each_row(old)), list(each_row(new))
    assert [replace(row, order="") for row in rows[1]] == [replace(row, order="") for row in rows[0]]
    for before, after in zip(*rows, strict=True):
        assert new.batch_readings(after) == old.batch_readings(before)
    assert new.series("sg-01", "soil-1", "soil_moisture", *SPAN) == old.series(
        "sg-01", "soil-1", "soil_moisture", *SPAN
    )
    assert new.missing("sg-01", "air-1", *SPAN) == old.missing("sg-01", "air-1", *SPAN)
    assert new.missing("sg-01", "air-1", *SPAN)[0].raw == 99.5
    assert sorted(new.latest(), key=str) == sorted(old.latest(), key=str)
    old.close()
    new.close()


def test_what_has_expired_is_told_and_no_number_becomes_unknown(
    config: CloudConfig, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(Path(config.data.path) / "store.db")) as db:
        db.execute("DELETE FROM reading WHERE seq IN (1, 2, 3)")  # as retention does
        db.execute("DELETE FROM missing")
        db.commit()
    old = store_of(config, writer=True)
    old.setup()
    text = '{"high":4,"stored":[[1,5]],"expired":[[1,5]]}'
    old.keep_summary([Tallied("sg-01", EPOCH, text)], Mark(START_MS, START_MS))
    old.close()
    assert store_copy.copy(config, "sqlite", other, 0) == 0
    assert "batches had expired" in capsys.readouterr().out
    new = store_of(load(Path(other)), writer=False)
    account = next(one for one in accounts_of(new, SystemClock()) if one.gateway == "sg-01")
    assert (account.expired, account.declared, account.quarantined, account.unknown) == (4, 10, 2, 0)
    assert new.batch_readings(next(row for row in each_row(new) if row.gateway == "sg-01")) == []
    new.close()


def test_broken_off_it_goes_on_and_again_it_changes_nothing(
    config: CloudConfig, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, calls = store_copy._insist, []

    def fails_later(target, entries, arrival_ms):
        calls.append(len(entries))
        if len(calls) == 2:
            raise Retry("the disk is full")
        whole(target, entries, arrival_ms)

    monkeypatch.setattr(store_copy, "_insist", fails_later)
    assert store_copy.copy(config, "sqlite", other, 0) == 1
    assert store_copy.copy(config, "sqlite", other, 0) == 0
    assert calls == [2, 1, 1, 2], "what was there was not copied again"
    assert store_copy.copy(config, "sqlite", other, 0) == 0
    assert len(calls) == 4


def test_since_a_day_only_what_came_later_is_copied_and_compared(config: CloudConfig, other: str) -> None:
    assert store_copy.copy(config, "sqlite", other, START_MS + 3) == 0
    old, new = both(config, other)
    assert [row.verdict for row in each_row(new)] == ["declared", "quarantined"]
    old.close()
    new.close()


def test_one_store_twice_and_no_store_are_refused(config: CloudConfig) -> None:
    with pytest.raises(Refused, match="name two stores"):
        store_copy.copy(config, "sqlite", "sqlite", 0)
    with pytest.raises(Refused, match="is no store"):
        store_copy.copy(config, "sqlite", "duckdb", 0)
