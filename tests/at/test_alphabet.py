"""A text that every telephone shows, in one message."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from at import alphabet


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("CHÁY RỪNG? Nút SG-07 Suối Giàng: khói 412 µg/m³", "CHAY RUNG? Nut SG-07 Suoi Giang: khoi 412 ug/m3"),
        ("Cấp V – cực kỳ nguy hiểm", "Cap V - cuc ky nguy hiem"),
        ("Đường đến “Háng Tày” ≥ 25 °C…", 'Duong den "Hang Tay" >= 25 C...'),
        ("Bấm 1 để nhận → 🔥", "Bam 1 de nhan -> ?"),
        ("đọc\u00a0thường\tnhật\r\nƯƠƠ ưởữ", "doc thuong nhat\nUOO uou"),
        ("Co\u0302\u0323ng", "Cong"),
        ("[x] €", "[x] €"),
        ("\u0e01\u200b中", "??"),
    ],
)
def test_a_text_without_its_accents(text, plain):
    assert alphabet.plain(text) == plain


@given(st.text(max_size=500))
@example("\ud83d")
def test_whatever_is_written_becomes_letters_that_can_be_sent(text):
    assert alphabet.fits(alphabet.plain(text))
    assert alphabet.plain(alphabet.plain(text)) == alphabet.plain(text)


@given(st.text(max_size=500), st.integers(10, 160))
@example("€" * 200, 160)
@example("khói " * 40, 160)
@example("a" * 400, 160)
def test_one_message_is_never_longer_than_one(text, most):
    cut, whole = alphabet.fit(text, most), alphabet.plain(text)
    assert len(alphabet.septets(cut)) <= most
    if cut != whole:
        kept = cut.removesuffix(alphabet.CUT)
        assert cut.endswith(alphabet.CUT)
        assert whole.startswith(kept)
        after = whole[len(kept)]
        assert after.isspace() or not any(letter in kept.strip() for letter in " \n"), "cut between two words"


def test_a_letter_that_is_not_in_the_alphabet_is_named():
    with pytest.raises(ValueError, match="'ừ' is not in"):
        alphabet.septets("rừng")
