"""One store copied into another: the same sums, the same values, raw numbers and reasons, and again without harm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from cloud.config import load
from cloud.rooms import store_of
from cloud.store import Refusal, Retry, each_row
from gocche import store_copy
from gocche.words import Refused
from tests.build import EPOCH, START_MS, batch, soil
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


@pytest.fixture
def other(config: CloudConfig, tmp_path: Path) -> str:
    """Return a cloud.toml with another store."""
    file = tmp_path / "other.toml"
    file.write_text(
        f'[data]\npath = "{tmp_path}"\n[garden]\npath = "{SAMPLE.parent / "garden"}"\n[store]\npath = "other.db"\n'
    )
    return str(file)


def both(config: CloudConfig, other: str):
    return store_of(config, writer=False), store_of(load(Path(other)), writer=False)


def test_the_copy_has_the_same_sums_values_reasons_and_raw_numbers(config: CloudConfig, other: str) -> None:
    assert store_copy.copy(config, "sqlite", other, 0) == 0
    old, new = both(config, other)
    assert list(each_row(new)) == list(each_row(old))
    for row in each_row(old):
        assert new.batch_readings(row) == old.batch_readings(row)
    assert new.series("sg-01", "soil-1", "soil_moisture", *SPAN) == old.series(
        "sg-01", "soil-1", "soil_moisture", *SPAN
    )
    assert new.missing("sg-01", "air-1", *SPAN) == old.missing("sg-01", "air-1", *SPAN)
    assert new.missing("sg-01", "air-1", *SPAN)[0].raw == 99.5
    assert sorted(new.latest(), key=str) == sorted(old.latest(), key=str)
    old.close()
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
