"""Every row of the reference data, within the tolerance that its README states; sources are named there."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloud.danger import fwi
from cloud.danger.drought import index_p, saturation_deficit

if TYPE_CHECKING:
    from collections import Counter

DATA = Path(__file__).parent / "data"
CODES = ("ffmc", "dmc", "dc")
INDICES = ("isi", "bui", "fwi")


def rows(name: str) -> list[dict[str, float]]:
    with (DATA / name).open(encoding="utf-8") as file:
        return [{k: float(v) for k, v in row.items() if _is_number(v)} for row in csv.DictReader(file)]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def noon(row: dict[str, float]) -> fwi.Noon:
    return fwi.Noon(
        row.get("temp_c", 0.0),
        row.get("rh_pct", 0.0),
        row.get("wind_kmh", 0.0),
        row.get("rain_mm", row.get("rain_mm_1h", 0.0)),
    )


def test_the_classic_days_are_those_of_cffdrs(judged: Counter[str]) -> None:
    codes = fwi.START
    for row in rows("fwi_classic1985_days01-24.csv"):
        codes, found = fwi.day(codes, noon(row), int(row["month"]), 46.0)
        for name in CODES:
            assert getattr(codes, name) == pytest.approx(row[name], abs=0.01), (row["n"], name)
        for name in INDICES:
            assert getattr(found, name) == pytest.approx(row[name], abs=0.01), (row["n"], name)
        assert found.dsr == pytest.approx(row["dsr"], abs=0.01)
        judged["days of cffdrs"] += 1


def test_the_classic_days_are_those_of_1985_by_the_switch(judged: Counter[str]) -> None:
    codes = fwi.START
    for row in rows("fwi_classic1985_days01-24.csv"):
        codes, found = fwi.day(codes, noon(row), int(row["month"]), 46.0, fwi.OF_1985)
        told = {name: getattr(codes, name) for name in CODES} | {name: getattr(found, name) for name in INDICES}
        for name, value in told.items():
            assert value == pytest.approx(row[f"{name}_1472"], abs=0.01), (row["n"], name)
        judged["days of 1985"] += 1


def test_the_dry_season_of_suoi_giang_is_that_of_cffdrs(judged: Counter[str]) -> None:
    codes = fwi.START
    with (DATA / "fwi_lat21p6_dryseason.csv").open(encoding="utf-8") as file:
        months = [int(row["date"][5:7]) for row in csv.DictReader(file)]
    for row, month in zip(rows("fwi_lat21p6_dryseason.csv"), months, strict=True):
        codes, found = fwi.day(codes, noon(row), month, 21.6)
        for name in (*CODES, *INDICES):
            value = getattr(codes, name, None) if name in CODES else getattr(found, name)
            assert value == pytest.approx(row[name], abs=0.01), (row, name)
        judged["days of the dry season"] += 1


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("ffmc", lambda row: fwi.fine_fuel(row["ffmc0"], noon(row))),
        ("ffmc_hourly", lambda row: fwi.hourly_fine_fuel(row["ffmc0"], noon(row))),
        ("dmc", lambda row: fwi.duff(row["dmc0"], noon(row), int(row["month"]), row["lat"])),
        ("dc", lambda row: fwi.drought(row["dc0"], noon(row), int(row["month"]), row["lat"])),
    ],
)
def test_each_step_is_that_of_cffdrs(name: str, of: object, judged: Counter[str]) -> None:
    file = "fwi_grid_hourly_ffmc.csv" if name == "ffmc_hourly" else f"fwi_grid_{name}.csv"
    found = rows(file)
    assert len(found) == 150
    for row in found:
        assert of(row) == pytest.approx(row[name], rel=1e-5, abs=1e-7), row  # type: ignore[operator]
        judged["steps of codes"] += 1


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("InitialSpreadIndex", lambda row: fwi.initial_spread(row["ffmc"], row["ws"])),
        ("BuildupIndex", lambda row: fwi.buildup(row["dmc"], row["dc"])),
        ("FireWeatherIndex", lambda row: fwi.weather_index(row["isi"], row["bui"])),
    ],
)
def test_each_index_is_that_of_cffdrs(name: str, of: object, judged: Counter[str]) -> None:
    found = rows(f"fwi_grid_{name}.csv")
    assert len(found) == 120
    for row in found:
        assert of(row) == pytest.approx(row[name], rel=5e-4, abs=0.006), row  # type: ignore[operator]
        judged["indices"] += 1


def test_the_1985_form_of_duff_moisture_stays_within_what_the_forms_differ_by() -> None:
    for row in rows("fwi_grid_dmc.csv"):
        told = fwi.duff(row["dmc0"], noon(row), int(row["month"]), row["lat"], fwi.OF_1985)
        assert told == pytest.approx(row["dmc"], abs=0.15)


def test_p_is_that_of_the_182_days_for_both_rain_limits(judged: Counter[str]) -> None:
    five = seven = 0.0
    found = rows("nesterov_cases.csv")
    assert len(found) == 182
    for row in found:
        assert saturation_deficit(row["t13_c"], row["rh13_pct"]) == pytest.approx(row["d13_hpa"], abs=1e-3)
        weather = row["t13_c"], row["rh13_pct"], row["rain24_mm"]
        five, seven = index_p(five, *weather), index_p(seven, *weather, 7.0)
        assert five == pytest.approx(row["p_rain5"], abs=1e-3)
        assert seven == pytest.approx(row["p_rain7"], abs=1e-3)
        judged["days of P, by both rain limits"] += 1


def test_a_code_is_a_number_whatever_the_weather() -> None:
    extremes = itertools.product((-30.0, 0.0, 45.0), (0.0, 1.0, 100.0), (0.0, 120.0), (0.0, 0.51, 1.51, 2.81, 600.0))
    for temp_c, rh_pct, wind_kmh, rain_mm in extremes:
        for codes in (fwi.Codes(0, 0, 0), fwi.START, fwi.Codes(101, 900, 2_000)):
            for lat in (-50.0, -20.0, -10.0, 0.0, 10.0, 20.0, 30.0, 55.0):
                after, found = fwi.day(codes, fwi.Noon(temp_c, rh_pct, wind_kmh, rain_mm), 1, lat)
                assert 0 <= after.ffmc <= 101
                assert all(value >= 0 for value in (after.dmc, after.dc, found.isi, found.bui, found.fwi, found.dsr))
