"""What is told together, when, and in which words: tables of plain values."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cloud.alerts.incident import Incident
from cloud.alerts.intent import FRESH_S, Intent
from cloud.alerts.tell.route import (
    DAY_MS,
    LEVELS,
    LIFE,
    Book,
    Notice,
    Past,
    Reader,
    elsewhere,
    rests_until_ms,
    route,
    say,
)

NOW = 1_763_875_200_000
LU, MY, OP = (Reader(f"{name}@example.vn", "vi", (("email", f"{name}@example.vn"),)) for name in ("lu", "my", "op"))
BOOK = Book({"fire-watch": [LU, MY], "operator": [OP]}, {}, 86_400.0)
LAST_MINUTE, LONG_AGO = NOW - 30_000, NOW - 7 * 3_600_000


def incident(number: int, *, ended: bool = False, **what: Any) -> Incident:
    plain: dict[str, Any] = {
        "rule": "smoke",
        "kind": "limit",
        "gateway": f"sg-{number:02d}",
        "channel": "smoke-1",
        "quantity": "pm2_5",
        "what_vi": "nghi có khói",
        "what_en": "suspected smoke",
        "place": "zone:z",
        "place_vi": "Z",
        "place_en": "Z",
        "lat": None,
        "lon": None,
        "since_ms": NOW,
        "opened_ms": NOW,
        "bad_ms": NOW,
        "touched_ms": NOW,
        "ended_ms": NOW if ended else None,
        "closed_ms": NOW if ended else None,
        "grade": "life",
    }
    return Incident(id=number, **(plain | what))


def smoke(number: int, tell: str = "onset", *, area: str = "zone:z", due_s: float = 0.0, **what: Any) -> Notice:
    row = Intent(number, NOW, number, tell, "life", due_s, FRESH_S["life"])  # type: ignore[arg-type]
    return Notice(row, incident(number, ended=tell in ("end", "was"), **what), "fire-watch", area)


def silent(number: int, tell: str = "onset", **what: Any) -> Notice:
    row = Intent(number, NOW, number, tell, "upkeep", 0.0, FRESH_S["upkeep"])  # type: ignore[arg-type]
    rule = {"rule": "silent", "kind": "absence", "channel": "", "quantity": "", "grade": "upkeep"}
    return Notice(row, incident(number, ended=tell in ("end", "was"), **(rule | what)), "operator", f"gateway:{number}")


def told(notices: list[Notice], now_ms: int = NOW, book: Book = BOOK, **past: Any) -> list[tuple[str, list[int]]]:
    """Return (who, incidents) of the letters that leave now."""
    routed = route(notices, book, past.get("series", {}), past.get("groups", {}), now_ms)
    return [(letter.reader.person[:2], [number for number, _ in letter.about]) for letter in routed.letters]


def test_fifty_nodes_of_one_place_are_one_letter_to_each() -> None:
    assert told([smoke(number) for number in range(1, 51)]) == [("lu", [*range(1, 51)]), ("my", [*range(1, 51)])]


def test_two_places_in_smoke_are_two_letters() -> None:
    assert told([smoke(1), smoke(2, area="zone:y")]) == [("lu", [2]), ("my", [2]), ("lu", [1]), ("my", [1])]


def test_silent_gateways_share_a_letter_wherever_they_are() -> None:
    assert told([silent(number) for number in range(1, 301)]) == [("op", [*range(1, 301)])]


def test_life_stands_before_all_else_whatever_came_first() -> None:
    mixed = [*(silent(number) for number in range(1, 9)), smoke(9)]
    assert [who for who, _ in told(mixed)] == ["lu", "my", "op"]


@pytest.mark.parametrize(
    ("past", "leaves"),
    [
        (Past(), True),
        (Past(1, LAST_MINUTE, on=True), True),  # the second letter of an area may follow at once
        (Past(2, LAST_MINUTE, on=True), False),  # what rests on no sensor has no place of its own
        (Past(2, NOW - 60_000, on=True), True),
        (Past(12, NOW - 60_000, on=True), False),
        (Past(12, NOW - 600_000, on=True), True),
        (Past(40, NOW - 600_000, on=True), False),
        (Past(40, NOW - 3_600_000, on=True), True),
        (Past(40, LAST_MINUTE, on=False), True),  # all was over: new smoke is news
        (Past(40, NOW + 5_000, on=True), True),  # the clock was put back
    ],
)
def test_what_follows_in_a_place_that_knows_of_smoke_is_gathered(past: Past, leaves: bool) -> None:
    assert bool(told([smoke(1, basis="silence")], groups={"smoke|zone:z": past})) is leaves
    assert told([smoke(1)], groups={"smoke|zone:z": past}), "what is far from that is no part of it: another place"


@pytest.mark.parametrize(
    ("tell", "past", "leaves"),
    [
        ("onset", Past(4, LAST_MINUTE, on=False), True),  # smoke is never held back from people who think it is over
        ("onset", Past(4, LAST_MINUTE, on=True), False),
        ("end", Past(3, LAST_MINUTE, on=True), True),
        ("end", Past(4, LAST_MINUTE, on=True), False),
        ("end", Past(4, NOW - 900_000, on=True), True),
        ("end", Past(8, NOW - 7_200_000, on=True), False),
        ("end", Past(99, NOW - 14_400_000, on=True), True),
    ],
)
def test_smoke_that_comes_and_goes_begins_at_once_and_ends_less_and_less_often(
    tell: str, past: Past, leaves: bool
) -> None:
    notice = smoke(1, tell)
    assert bool(told([notice], series={notice.series: past})) is leaves


@pytest.mark.parametrize("tell", ["onset", "end", "was"])
def test_a_gateway_that_comes_and_goes_is_told_less_and_less_often(tell: str) -> None:
    notice = silent(1, tell)
    waits = [
        route([notice], BOOK, {notice.series: Past(n, NOW, on=tell != "onset")}, {}, NOW).look_ms for n in range(11)
    ]
    assert [None if ms is None else (ms - NOW) // 60_000 for ms in waits] == [
        *[None] * 4,
        *(15, 30, 60, 120, 240, 240, 240),
    ]


def test_the_newest_state_overtakes_those_before() -> None:
    one = {"gateway": "sg-01"}
    notices = [silent(1, **one), silent(2, "end", **one), silent(3, **one), silent(4)]
    routed = route(notices, BOOK, {}, {}, NOW)
    assert [letter.about for letter in routed.letters] == [((3, "onset"), (4, "onset"))]
    assert routed.done == [1, 2, 3, 4]


def test_what_is_held_back_is_kept_and_looked_at_again() -> None:
    held = silent(1)
    routed = route([held, smoke(2)], BOOK, {held.series: Past(4, LAST_MINUTE)}, {}, NOW)
    assert (routed.done, routed.look_ms) == ([2], LAST_MINUTE + 900_000)
    later = route([held], BOOK, {held.series: Past(4, LAST_MINUTE)}, {}, LAST_MINUTE + 900_000)
    assert later.done == [1]


def test_what_is_not_due_yet_waits() -> None:
    assert told([smoke(1, due_s=30.0)]) == []
    assert told([smoke(1, due_s=30.0)], NOW + 30_000) == [("lu", [1]), ("my", [1])]
    assert told([smoke(1, due_s=30.0)], NOW - DAY_MS) == [("lu", [1]), ("my", [1])], "the clock was put back"


def test_history_is_told_where_that_is_wanted_and_after_all_else() -> None:
    late = smoke(1, "late", late=True)
    routed = route([late], BOOK, {}, {}, NOW)
    assert (routed.letters, routed.done) == ([], [1])
    wants = msgspec.structs.replace(BOOK, mail_late=True)
    assert [who for who, _ in told([late, smoke(2), silent(3)], book=wants)] == ["lu", "my", "op", "lu", "my"]


def test_the_end_goes_to_those_who_were_told_the_beginning() -> None:
    former = Reader("former@example.vn", "vi", (("email", "former@example.vn"),))
    book = msgspec.structs.replace(BOOK, told={1: [former]})
    assert told([smoke(1, "end")], book=book) == [("fo", [1])]
    assert told([smoke(2, "was")], book=book) == [("lu", [2]), ("my", [2])]


def test_who_cannot_be_told_is_named() -> None:
    routed = route([smoke(1)], Book({}, {}, 60.0), {}, {}, NOW)
    assert (routed.letters, routed.done, [one.incident.id for one in routed.nobody]) == ([], [1], [1])


def test_a_fire_of_which_nobody_of_its_role_can_be_told_is_told_to_others() -> None:
    other = Reader("op@example.vn", "vi", (("email", "op@example.vn"),))
    book = msgspec.structs.replace(BOOK, readers={}, others=[other])
    assert told([smoke(1)], book=book) == [("op", [1])]
    assert told([silent(2)], book=book) == []


OPEN, OVER = incident(1), incident(1, ended=True)
LATE, LATE_OVER = incident(1, late=True), incident(1, late=True, ended=True)


@pytest.mark.parametrize(
    ("tell", "knows", "now", "said"),
    [
        ("onset", "", OPEN, "onset"),
        ("onset", "", OVER, "was"),  # it ended before it could be told
        ("onset", "onset", OPEN, ""),  # another channel was faster
        ("onset", "onset", OVER, "end"),
        ("onset", "end", OPEN, "again"),
        ("onset", "late", OPEN, "onset"),
        ("onset", "silent", OPEN, ""),
        ("again", "end", OPEN, "again"),
        ("again", "", OPEN, "onset"),  # who was told nothing cannot be told "again"
        ("again", "onset", OPEN, ""),
        ("again", "end", OVER, ""),
        ("end", "onset", OVER, "end"),
        ("end", "again", OVER, "end"),
        ("end", "silent", OVER, "end"),
        ("end", "", OVER, "was"),
        ("end", "end", OVER, ""),
        ("end", "was", OVER, ""),
        ("end", "end", OPEN, "again"),
        ("was", "", OVER, "was"),
        ("was", "onset", OVER, "end"),
        ("silent", "onset", OPEN, "silent"),
        ("silent", "", OPEN, "silent"),
        ("silent", "silent", OPEN, ""),
        ("silent", "onset", OVER, "end"),
        ("end_unknown", "silent", OVER, "end_unknown"),
        ("end_unknown", "", OVER, "end_unknown"),
        ("end_unknown", "end", OVER, ""),
        ("late", "", LATE, "late"),
        ("late", "", LATE_OVER, "late_end"),
        ("late", "late", LATE, ""),
        ("late_end", "late", LATE_OVER, "late_end"),
        ("late", "", OPEN, "onset"),  # it went on after all
    ],
)
def test_what_is_said_when_a_letter_leaves(tell: str, knows: str, now: Incident, said: str) -> None:
    assert say(tell, knows, now) == said


def test_the_next_channel_of_a_person_is_the_first_untried() -> None:
    both = Reader("x", "vi", (("sms", "1"), ("email", "2")))
    assert elsewhere(both, ["sms"], LIFE) == ("email", "2")
    assert elsewhere(both, ["email", "sms"], LIFE) is None


def clock(hour: int, minute: int = 0) -> int:
    """A time of that day in Vietnam, in UTC ms."""
    return (NOW + 7 * 3_600_000) // DAY_MS * DAY_MS + ((hour - 7) * 60 + minute) * 60_000


NIGHT, NOON = (21 * 60 + 30, 5 * 60 + 30), (12 * 60, 13 * 60)


@pytest.mark.parametrize(
    ("quiet", "level", "now_ms", "until_ms"),
    [
        (None, "upkeep", clock(2), None),
        (NIGHT, "upkeep", clock(21, 29), None),
        (NIGHT, "upkeep", clock(21, 30), clock(24 + 5, 30)),
        (NIGHT, "service", clock(23, 59), clock(24 + 5, 30)),
        (NIGHT, "upkeep", clock(0), clock(5, 30)),
        (NIGHT, "upkeep", clock(5, 29) + 59_999, clock(5, 30)),
        (NIGHT, "upkeep", clock(5, 30), None),
        (NIGHT, "life", clock(2), None),
        (NOON, "service", clock(12, 1), clock(13)),
        (NOON, "service", clock(13), None),
        (NOON, "life", clock(12, 1), None),
        ((600, 600), "upkeep", clock(10), None),  # from and until the same: never
    ],
)
def test_quiet_hours_hold_back_all_but_what_is_about_life(
    quiet: tuple[int, int] | None, level: str, now_ms: int, until_ms: int | None
) -> None:
    assert rests_until_ms(quiet, LEVELS.index(level), now_ms) == until_ms  # type: ignore[arg-type]


def test_who_was_told_by_one_channel_is_told_first_by_it_what_becomes_of_that_also_on_the_first_rung() -> None:
    ways = (("sms", "1"), ("zalo", "2"))
    plain, before = Reader("lu", "vi", ways), Reader("lu", "vi", ways, ways=(("life", ("zalo", "sms")),))
    book = Book({}, {1: [before]}, 86_400.0, rungs={1: {"hamlet": [plain, MY]}})
    for tell in ("probable", "confirmed", "reopened", "controlled", "silent"):
        routed = route([smoke(1, tell)], book, {}, {}, NOW)
        assert [letter.reader for letter in routed.letters] == [before, MY], tell
