"""A cell's band: as it was said where its channel lies in it, else as it must be, never a guess."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.driver import Value
from edge.framing.bands import banded
from wire.reading import Reason


def cell(**said: float) -> dict[str, Value]:
    return {name: Value(name, "1", number) for name, number in said.items()}


@pytest.mark.parametrize(
    ("said", "name", "band"),
    [
        ({"lte_band": 3, "earfcn": 1850}, "lte_band", 3),
        ({"lte_band": 0, "earfcn": 1850}, "lte_band", 3),  # as old firmware says it
        ({"lte_band": 8, "earfcn": 1850}, "lte_band", 3),  # that of another carrier
        ({"earfcn": 9410}, "lte_band", 28),
        ({"nr_band": 78, "nr_arfcn": 640_704}, "nr_band", 78),
        ({"nr_band": 77, "nr_arfcn": 640_704}, "nr_band", 77),
        ({"nr_arfcn": 670_000}, "nr_band", 77),  # n78 ends below
        ({"nr_band": 28, "nr_arfcn": 155_000}, "nr_band", 28),
        ({"nr_band": 104, "nr_arfcn": 830_000}, "nr_band", 104),  # newer than the tables
    ],
)
def test_which_band_it_is(said: dict[str, float], name: str, band: int) -> None:
    assert banded(cell(**said))[name] == Value(name, "1", band)


def test_a_channel_of_several_bands_tells_none() -> None:
    assert banded(cell(nr_arfcn=640_704))["nr_band"].reason is Reason.AMBIGUOUS
    told = banded(cell(nr_band=41, nr_arfcn=640_704))["nr_band"]
    assert (told.reason, told.value) == (Reason.AMBIGUOUS, 41)  # what was said stands beside, for staff
    assert banded(cell(lte_band=0))["lte_band"].reason is Reason.SENTINEL
    assert "lte_band" not in banded(cell(nr_arfcn=1))


@given(st.integers(0, 300), st.integers(0, 80_000))
def test_an_lte_band_without_a_reason_is_always_the_one_of_its_channel(said: int, channel: int) -> None:
    alone = banded(cell(earfcn=channel))["lte_band"]
    told = banded(cell(lte_band=said, earfcn=channel))["lte_band"]
    if alone.reason is None:
        assert told == alone
