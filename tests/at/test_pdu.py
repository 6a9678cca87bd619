"""SMS as octets: the cases of an independent encoder, every text there and back, and nothing made of damage."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from smspdudecoder.fields import SMSDeliver, SMSSubmit

from at import alphabet, pdu

CASES = json.loads((Path(__file__).parents[1] / "data" / "fire" / "sms_pdu_cases.json").read_text(encoding="utf-8"))
TO = "+84912345678"
GSM = st.text(st.sampled_from(sorted(set(alphabet._SEPTETS))), max_size=700)
ANY = st.text(st.characters(codec="utf-16"), max_size=400)
# HELLO is the example of many a tutorial; the name and its octets are of the doctests of smspdudecoder
HELLO = "07911326040000F0040B911346610089F60000208062917314080CC8F71D14969741F977FD07"
FROM_A_NAME = HELLO.replace("0B911346610089F6", "0BD0CDE6DB5DCE03")
REPORT = "07914889200009F106B00B914819325476F8621172412300826211724133008200"


@pytest.mark.parametrize("case", CASES["cases"], ids=lambda case: case["text"][:12])
def test_an_independent_encoder_writes_the_same(case, judged):
    made = pdu.submit(case["to"], case["text"], reference=5, report=True)
    if case["n_parts"] is None:  # that encoder gave up
        text = case["text"].encode("utf-16-be").hex().upper()
        assert [one.hex for one in made] == [f"0021000B914819325476F800080E{text}"]
    else:
        assert len(made) == case["n_parts"]
        for part, one in zip(case["parts"], made, strict=True):
            theirs = bytearray.fromhex(part["pdu"])
            theirs[2] = 0  # its message reference: the modem gives one of its own
            assert (one.length, one.hex) == (part["cmgs_length"], theirs.hex().upper())
    judged[f"of {len(CASES['cases'])} reference cases of SMS"] += 1


def arrived(parts):
    """Return the text as an independent decoder joins it, and the parts of the first one."""
    said = [SMSSubmit.decode(StringIO(one.hex)) for one in parts]
    return "".join(each["user_data"]["data"] for each in said), said


@given(ANY)
@example("🔥" * 70)
@example("a" * 66 + "🔥" + "Ắ" * 66)
def test_whatever_is_sent_arrives_in_parts_that_are_whole(text):
    parts = pdu.submit(TO, text)
    for one in parts:
        assert len(bytes.fromhex(one.hex)) - 1 == one.length <= 153  # 13 before the text and 140 of it
    if not alphabet.fits(text):  # (that decoder cuts a text with letters of the extension table too late)
        assert arrived(parts)[0] == text


@given(GSM)
@example("€" * 80)
@example("a" * 159 + "€")
@example("a" * 152 + "€" + "b" * 152)
def test_seven_bits_there_and_back(text):
    codes = alphabet.septets(text)
    assert alphabet.letters(alphabet.unpack(alphabet.pack(codes), len(codes))) == text
    parts = pdu.submit(TO, text)
    assert len(parts) == 1 if len(codes) <= 160 else len(parts) > 1
    assert all(len(alphabet.septets(part)) <= 153 for part in pdu._split(text, pdu.GSM7)) or len(parts) == 1
    if len(codes) == len(text):
        assert arrived(parts)[0] == text


def deliver(text, *, sender=TO, part=None, coding=None):
    """Return what the network makes of a message that somebody has sent: an own text, turned round."""
    coding = (pdu.GSM7 if alphabet.fits(text) else pdu.UCS2) if coding is None else coding
    header = bytes((5, 0, 3, part.reference, part.total, part.number)) if part else b""
    head = bytes((0x44 if part else 0x04,)) + pdu._address(sender) + bytes((0, coding))
    return "00" + (head + bytes.fromhex("62117241230082") + pdu._user_data(text, coding, header)).hex().upper()


@given(ANY | GSM, st.booleans())
def test_what_comes_in_is_read_as_it_was_written(text, headed):
    coding = pdu.GSM7 if alphabet.fits(text) else pdu.UCS2
    for number, whole in enumerate(pdu._split(text, coding)[:3], 1):
        piece = whole[:60] if headed else whole
        part = pdu.Part(7, 3, number) if headed else None
        if len(pdu._user_data(piece, coding, b"")) > 134:
            continue
        line = deliver(piece, part=part, coding=coding)
        found = pdu.read(line, len(line) // 2 - 1)
        assert found == pdu.Deliver(TO, piece, datetime(2026, 11, 27, 7, 32, tzinfo=UTC), part)
        if coding == pdu.UCS2 or not headed:
            theirs = SMSDeliver.decode(StringIO(line))
            assert theirs["scts"] == found.sent
            assert coding == pdu.GSM7 or theirs["user_data"]["data"] == piece


def test_messages_as_networks_send_them():
    assert pdu.read(HELLO) == pdu.Deliver("+31641600986", "How are you?", datetime(2002, 8, 26, 19, 37, 41, tzinfo=UTC))
    named = pdu.read(FROM_A_NAME)
    assert (named.sender, named.text) == ("MMoney", "How are you?")
    assert pdu.read(REPORT) == pdu.StatusReport(0xB0, TO, 0)


@pytest.mark.parametrize(
    ("status", "arrived"), [(0, True), (1, None), (0x20, None), (0x30, None), (0x41, False), (0x60, False)]
)
def test_a_report_says_whether_it_arrived(status, arrived):
    assert pdu.read(f"{REPORT[:-2]}{status:02X}").arrived is arrived


def test_what_fills_up_a_record_of_the_sim_is_no_damage():
    whole = pdu.read(HELLO)
    assert pdu.read(HELLO + "FF" * 20, len(HELLO) // 2 - 8) == whole
    for wrong in (HELLO + "FF00", HELLO + "00"):
        with pytest.raises(ValueError, match="were announced"):
            pdu.read(wrong, len(HELLO) // 2 - 8)


def test_a_picture_and_settings_are_no_text():
    assert pdu.read(deliver("abc", coding=pdu.GSM7)).text == "abc"
    binary = bytearray.fromhex(deliver("Ắ"))
    binary[11] = 0x04
    assert pdu.read(binary.hex()).text is None
    ports = "00" + "44" + "0B914819325476F8" + "00F5" + "62117241230082" + "09" + "06" + "05040B8423F0" + "0102"
    assert pdu.read(ports).text is None


def test_extensions_and_escapes_are_read_as_the_standard_wants():
    assert alphabet.letters([0x1B, 0x65, 0x1B, 0x41, 0x1B, 0x1B]) == "€A "
    with pytest.raises(ValueError, match="ends within a letter"):
        alphabet.letters([0x41, 0x1B])


@given(st.data())
def test_a_message_that_lost_or_won_an_octet_is_no_message(data):
    line = data.draw(st.sampled_from([HELLO, FROM_A_NAME, deliver("CHÁY"), deliver("1", part=pdu.Part(1, 2, 2))]))
    octets = bytes.fromhex(line)
    place = data.draw(st.integers(9, len(octets) - 1))
    lost = octets[:place] + octets[place + 1 :]
    won = octets[:place] + octets[place : place + 1] + octets[place:]
    cut = octets[:place]
    length = len(octets) - octets[0] - 1
    for damaged in (lost, won, cut):
        with pytest.raises(ValueError, match="octets"):
            pdu.read(damaged.hex(), length)
        try:
            text = getattr(pdu.read(damaged.hex()), "text", None)
        except ValueError:
            continue
        assert text != "", "no sum guards an SMS: what was announced does"


@given(st.binary(max_size=180))
@example(bytes.fromhex("0004" + "00" * 30))
def test_noise_is_a_value_error_or_a_message_and_nothing_else(noise):
    for length in (None, len(noise) // 2):
        with contextlib.suppress(ValueError):
            assert isinstance(pdu.read(noise.hex(), length), (pdu.Deliver, pdu.StatusReport))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "ends within the service centre"),
        ("0G", "not hexadecimal"),
        ("Ắ", "within the service centre"),
        ("0005", "does not come in"),
        ("0004", "within an address"),
        ("0004FF91", "address is none"),
        (deliver("a").replace("4819325476F8", "48193254FFF8"), "another length"),
        (deliver("a").replace("62117241230082", "62137241230082"), "date is none"),
        (deliver("a").replace("62117241230082", "6211724123A082"), "date is none"),
        (deliver("a") + "00", "2 octets of text, 1 were announced"),
        (deliver("Ắ").replace("080062", "0800 62").replace("021EAE", "031EAE00"), "half a letter"),
        (deliver("Ắ").replace("021EAE", "02D83D"), "surrogate"),
    ],
)
def test_each_damage_has_its_words_and_tells_no_number(line, words):
    with pytest.raises(ValueError, match=words) as caught:
        pdu.read(line)
    assert "912345678" not in str(caught.value)


@pytest.mark.parametrize("to", ["", "+", "0912 345", "+84912345678901234567890", "+٠٩"])
def test_no_message_goes_to_what_is_no_number(to):
    with pytest.raises(ValueError, match="no telephone number"):
        pdu.submit(to, "a")


def test_half_a_letter_is_not_sent():
    with pytest.raises(ValueError, match="surrogate"):
        pdu.submit(TO, "a\ud83d")
    with pytest.raises(ValueError, match="255 at most"):
        pdu.submit(TO, "Ắ" * 70 * 300)


@pytest.mark.parametrize(
    ("minutes", "octet"),
    [
        (1, 0), (5, 0), (6, 1), (720, 143), (721, 144), (750, 144), (1_440, 167), (1_441, 168), (2_880, 168),
        (43_200, 196), (43_201, 197), (50_400, 197), (10**6, 255),
    ],
)  # fmt: skip
def test_a_message_is_tried_for_at_least_as_long_as_is_wanted(minutes, octet):
    (one,) = pdu.submit(TO, "a", validity_min=minutes)
    said = SMSSubmit.decode(StringIO(one.hex))
    assert (said["header"]["vpf"], said["vp"]) == (2, octet)


def test_the_service_centre_is_beside_what_is_counted():
    (one,) = pdu.submit(TO, "a", smsc="+84980200030")
    (other,) = pdu.submit(TO, "a")
    assert one.hex == "0791" + "4889200030F0" + other.hex[2:]
    assert one.length == other.length
