"""One spelling of a telephone number, and none for what is no number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from at.number import e164

ONE = "+84912345678"


@pytest.mark.parametrize(
    "written",
    [
        "0912345678", "0912 345 678", "0912.345.678", "(0912) 345-678", "84912345678", "+84 912 345 678",
        "0084912345678", "912345678", "+84912345678", "\u202a+84912345678\u202c", "+84(0)912345678",
        "0912\u00a0345\u00a0678",
    ],
)  # fmt: skip
def test_however_it_is_written_it_is_one(written):
    assert e164(written) == ONE


@pytest.mark.parametrize(
    ("written", "country", "number"),
    [
        ("02163 852 123", "84", "+842163852123"),
        ("+1 555 123 4567", "84", "+15551234567"),
        ("020 1234567", "856", "+856201234567"),
    ],
)
def test_landlines_and_other_countries(written, country, number):
    assert e164(written, country) == number


@pytest.mark.parametrize(
    "written",
    [
        "", "199", "9029", "VIETTEL", "+", "+0912345679", "0", "++84912345679", "091234567x", "+849123456789012345",
        "٠٩١٢٣٤٥٦٧٨", "0912 345 67", "912345678901234567", "0912345678;9", "+8491234567890", "123456789",
    ],
)  # fmt: skip
def test_what_is_none_is_refused_without_being_repeated(written):
    with pytest.raises(ValueError, match="write it as") as caught:
        e164(written)
    assert len(written) < 2 or written not in str(caught.value)


@given(st.text(max_size=20))
def test_what_is_one_stays_so(written):
    try:
        number = e164(written)
    except ValueError:
        return
    assert e164(number) == number
