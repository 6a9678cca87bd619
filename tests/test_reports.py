"""What people report by the form: kept before they are thanked, once, bounded, and by nobody's telephone number."""

from __future__ import annotations

import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud.inbox import Asker, Inbox
from cloud.pages.app import build
from cloud.pages.posted import FORM
from cloud.reports.book import DAY_MS, KEPT_MS, NAME, PHONE_KEPT_MS, Book
from cloud.reports.door import A_MINUTE, OLDEST_MS, Door
from cloud.reports.read import ROW, answered, by_receipt, judged, waiting
from cloud.reports.report import LONGEST_BODY, Place, Report, as_receipt, without_numbers
from cloud.reports.telling import Telling
from cloud.store import Retry
from tests import sentinels
from tests.visitors import TREE, StandingClock, Visitor, World

if TYPE_CHECKING:
    from pathlib import Path

PHONE = "0912 345 678"
FORM_TYPE = {"Content-Type": FORM.decode()}


class Reporter:
    """Somebody with a browser before the pages."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.path, self.clock = folder / NAME, StandingClock()
        self.world = World(folder)
        self.world.clock = self.clock
        self.door = Door(self.path, self.clock)
        garden = self.world.garden(reports=self.door, duty_tel="0988000111", duty_sms="+84988000112", **more)
        self.asks = Visitor(build(garden))

    def ticket(self, path: str = "/bao") -> str:
        found = re.search(r'name="t" value="([^"]+)"', self.asks.get(path).text)
        assert found
        return found[1]

    def send(self, **fields: Any) -> Any:
        wait_s, headers = fields.pop("wait_s", 5), fields.pop("headers", {})
        if "t" not in fields:
            fields["t"] = self.ticket()
            self.clock.now_ms += round(wait_s * 1000)
        return self.asks.request("POST", "/bao", content=urlencode(fields), headers=FORM_TYPE | headers)


@pytest.fixture
def person(tmp_path: Path) -> Reporter:
    return Reporter(tmp_path)


def test_the_form_says_whom_to_call_first_and_what_is_sent_lies_on_the_disk_before_the_thanks(person: Reporter) -> None:
    page = person.asks.get("/bao")
    assert page.status_code == 200
    main = page.text.partition("<main")[2]
    assert main.index("tel:114") < main.index("tel:0988000111") < main.index("sms:+84988000112") < main.index("<form")
    assert page.headers["permissions-policy"] == "camera=(), geolocation=(self), microphone=()"
    assert "set-cookie" not in page.headers
    sent = person.send(kind="fire", hamlet="h01", text="Khói đen trên đồi", phone=PHONE)
    assert sent.status_code == 303
    code = sent.headers["location"].removeprefix("/bao/")
    with closing(sqlite3.connect(person.path)) as db:  # what another process finds
        assert db.execute("SELECT kind, hamlet, place, text, phone, state FROM report").fetchall() == [
            ("fire", "h01", "hamlet:h01", "Khói đen trên đồi", PHONE, "new")
        ]
    receipt = person.asks.get(f"/bao/{code}")
    assert "đã nhận, chưa có người xem" in receipt.text
    assert "tel:114" in receipt.text
    assert "Khói đen" not in receipt.text
    assert PHONE not in receipt.text
    assert receipt.headers["cache-control"] == "no-store"
    assert person.asks.get(f"/bao/{code.lower().replace('-', ' ')}").status_code == 200, "as it is typed"
    assert person.asks.get("/bao/AAAA-AAAA-AAAA").status_code == 404


def test_a_receipt_says_where_the_duty_could_not_be_told(person: Reporter) -> None:
    path = person.send(kind="fire", hamlet="h01", text="khói").headers["location"]
    assert "Tin đang đến bàn trực cháy" in person.asks.get(path).text
    person.clock.now_ms += 61_000
    assert "CHƯA báo được cho người trực: hãy gọi 114 ngay" in person.asks.get(path).text
    person.door.told(1, 1)
    assert "Tin đang đến bàn trực cháy" in person.asks.get(path).text


def test_a_tree_page_and_a_hamlet_lead_to_the_form_with_the_place_filled_in(person: Reporter) -> None:
    assert f'href="/bao/cay/{TREE}"' in person.asks.get(f"/T/{TREE}").text
    assert 'name="tree"' in person.asks.get(f"/bao/cay/{TREE}").text
    assert 'value="7K3-MQP"' in person.asks.get(f"/bao/cay/{TREE}").text
    assert '<option value="h02" selected>' in person.asks.get("/bao/thon/h02").text
    assert person.asks.get('/bao/cay/"><script>').status_code in (200, 404)
    assert "<script>alert" not in person.asks.get("/bao/cay/<script>alert(1)<%2Fscript>").text
    plain = World.garden(person.world)
    assert "/bao" not in Visitor(build(plain)).get(f"/T/{TREE}").text, "no form, no link"
    assert Visitor(build(plain)).get("/bao").status_code == 404


def test_machines_are_kept_out_without_a_riddle_and_a_person_who_was_fast_only_presses_again(person: Reporter) -> None:
    at_once = person.send(kind="fire", text="lửa", wait_s=1)
    assert at_once.status_code == 422
    assert "Hãy bấm gửi lại" in at_once.text
    assert "lửa" in at_once.text, "what was typed stands there still"
    again = re.search(r'name="t" value="([^"]+)"', at_once.text)
    assert again
    person.clock.now_ms += 2_500
    assert person.send(kind="fire", text="lửa", t=again[1]).status_code == 303
    assert person.send(kind="fire", text="lửa", website="x").status_code == 422
    assert person.send(kind="fire", text="lửa", t="").status_code == 422
    assert (
        person.send(kind="fire", text="lửa", t=f"{person.clock.now_ms - 9000}.0123456789abcdef0123").status_code == 422
    )
    old = person.ticket()
    person.clock.now_ms += OLDEST_MS + 1
    assert person.send(kind="fire", text="lửa", t=old).status_code == 422
    put_back = person.ticket()
    person.clock.now_ms -= DAY_MS
    assert person.send(kind="fire", text="cháy", t=put_back).status_code == 303, "the server's clock was put back"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "Hãy chọn báo việc gì"),
        ({"kind": "party", "text": "x"}, "Hãy chọn báo việc gì"),
        ({"kind": "fire"}, "Chưa có gì để đi tìm"),
        ({"kind": "fire", "text": "x" * 501}, "dài quá 500"),
        ({"kind": "fire", "text": "x", "phone": "gọi tôi"}, "Số điện thoại không đọc được"),
    ],
)
def test_what_cannot_be_read_is_said_beside_what_was_typed(
    person: Reporter, fields: dict[str, str], words: str
) -> None:
    answer = person.send(**fields)
    assert answer.status_code == 422
    assert words in answer.text
    assert "tel:114" in answer.text
    told = person.send(headers={"Accept": "application/json"}, **fields)
    assert words in told.json()["words"]
    assert waiting(person.path, 9) == []


def test_a_slip_in_the_place_loses_no_report_of_a_fire(person: Reporter) -> None:
    assert person.send(kind="fire", tree="7K3MQX").status_code == 303
    assert person.send(kind="fire", text="a", hamlet="h99", lat="nan", lon="x").status_code == 303
    (one,) = waiting(person.path, 9)
    assert (one.text, one.place, one.lat, one.n) == ("[7K3MQX]", "", None, 2)


def test_what_is_of_one_thing_is_one_report_with_a_count(person: Reporter) -> None:
    at = {"kind": "fire", "lat": "21.7210", "lon": "104.0020"}
    assert person.send(**at, text="một").status_code == 303
    assert person.send(**at | {"lat": "21.7260"}, text="hai", phone=PHONE).status_code == 303
    assert person.send(kind="fire", hamlet="h01", text="ba").status_code == 303
    assert person.send(**at | {"kind": "signal"}, text="khác loại").status_code == 303
    assert person.send(**at | {"lat": "21.7400"}, text="xa").status_code == 303
    heads = waiting(person.path, 9)
    assert sorted((one.kind, one.n, one.hamlet) for one in heads) == [
        ("fire", 1, "h01"), ("fire", 3, "h01"), ("signal", 1, "h01"),
    ]  # fmt: skip
    person.clock.now_ms += 31 * 60_000
    assert person.send(**at, text="nửa giờ sau").status_code == 303
    assert len(waiting(person.path, 9)) == 4


def test_the_same_report_sent_twice_is_one_and_has_one_receipt(person: Reporter) -> None:
    ticket = person.ticket()
    person.clock.now_ms += 4000
    said = {"kind": "fire", "text": "khói", "t": ticket}
    first, again = person.send(**said), person.send(**said)
    assert first.headers["location"] == again.headers["location"], "a double tap without a script"
    key = {"key": "01234567-89ab-cdef-0123-456789abcdef"}
    told = [person.send(**said, **key, headers={"Accept": "application/json"}) for _ in range(3)]
    assert {(one.status_code, one.json()["code"]) for one in told} == {(201, told[0].json()["code"])}
    assert sum(one.n for one in waiting(person.path, 9)) == 2


def test_one_network_and_all_of_them_have_a_ceiling_and_no_address_is_kept(person: Reporter, tmp_path: Path) -> None:
    ticket = person.ticket()
    person.clock.now_ms += 4000

    def sent(n: int, network: str) -> int:
        headers = {"X-Forwarded-For": network}
        return int(person.send(kind="other", text=f"số {n}", t=ticket, headers=headers).status_code)

    alike = [sent(n, f"203.0.113.{n}") for n in range(A_MINUTE["network"] + 3)]
    assert alike == [303] * A_MINUTE["network"] + [429] * 3, "one /24"
    assert sent(99, "198.51.100.7") == 303
    v6 = [sent(100 + n, f"2001:db8:5:{n:x}::1") for n in range(A_MINUTE["network"] + 1)]
    assert v6[-2:] == [303, 429], "one /48"
    refused = person.send(kind="fire", text="cháy", t=ticket, headers={"X-Forwarded-For": "203.0.113.200"})
    assert "CHƯA được nhận" in refused.text
    assert "tel:114" in refused.text
    spread = [sent(200 + n, f"10.{n}.0.1") for n in range(A_MINUTE["account"])]
    assert 429 in spread, "all together"
    assert len(spread) - spread.count(429) < A_MINUTE["account"]
    person.clock.now_ms += 60_000
    assert sent(999, "203.0.113.9") == 303
    silent = [person.send(kind="other", text=f"im {n}", t=ticket).status_code for n in range(A_MINUTE["network"] + 5)]
    assert set(silent) == {303}, "a proxy that does not say whom it speaks for is not one visitor"
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("*.db*"))
    for address in (b"203.0.113", b"2001:db8", b"198.51.100"):
        assert address not in kept


def test_a_disk_that_takes_nothing_is_said_with_the_numbers_to_call(person: Reporter, caplog: Any) -> None:
    ticket = person.ticket()
    person.clock.now_ms += 4000
    person.door.forget()
    with closing(sqlite3.connect(person.path)) as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
    book = person.door._book
    assert book is not None
    book._db.execute(f"PRAGMA max_page_count = {pages}")  # "database or disk is full", by SQLite itself
    lost = [person.send(kind="fire", text="khói " + "x" * 480, key=f"{n:032d}", t=ticket) for n in range(20)]
    answer = next(one for one in lost if one.status_code == 503)
    assert "CHƯA được nhận" in answer.text
    assert "tel:114" in answer.text
    assert "khói" in answer.text, "what was typed is not lost"
    thanked = sum(one.status_code == 303 for one in lost)
    assert sum(one.n for one in waiting(person.path, 99)) == thanked, "who was thanked is there"
    assert "disk is full" in caplog.text
    person.clock.now_ms += 60_000
    assert person.send(kind="fire", text="sau đó", t=ticket).status_code == 303, "the file is opened anew"
    assert person.door.why == ""


def test_a_reporter_may_erase_what_they_said_and_numbers_are_gone_after_thirty_days(person: Reporter) -> None:
    sent = person.send(kind="other", hamlet="h02", text="cây đổ, gọi 0912.345.678 nhé", phone=PHONE)
    path = sent.headers["location"]
    other = person.send(kind="signal", hamlet="h03", text=f"mất sóng {PHONE}", phone="+84 988 111 222")
    erased = person.asks.request("POST", path, content="", headers=FORM_TYPE)
    assert erased.status_code == 303
    assert "<button" in person.asks.get(other.headers["location"]).text, "there is something to erase"
    after = person.asks.get(path).text
    assert "người báo đã rút" in after
    assert "Đã xoá lời kể" in after
    assert "<button" not in after, "what is erased is not offered to be erased again"
    with Book(person.path) as book:
        assert book.forget(person.clock.now_ms + PHONE_KEPT_MS - DAY_MS) == 0
        assert book.forget(person.clock.now_ms + PHONE_KEPT_MS + DAY_MS) == 1
        assert book.forget(person.clock.now_ms + PHONE_KEPT_MS + DAY_MS) == 0
        kept = by_receipt(person.path, as_receipt(other.headers["location"].removeprefix("/bao/")))
        assert kept
        assert (kept[0].text, kept[0].phone) == ("mất sóng […]", "")
        book.forget(person.clock.now_ms + KEPT_MS + DAY_MS)
    assert waiting(person.path, 9) == []
    assert person.asks.request("POST", "/bao/AAAA-AAAA-AAAA", content="", headers=FORM_TYPE).status_code == 303


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("gọi 0912345678", "gọi […]"),
        ("+84 (912) 345-678 ạ", "[…] ạ"),
        ("0912.345.678/0988 111 222", "[…]/[…]"),
        ("0912 - 345 - 678, 0912–345–678", "[…], […]"),
        ("lúc 14:30 ngày 27/11/2026, cách 1500 m, 21.7210", "lúc 14:30 ngày 27/11/2026, cách 1500 m, 21.7210"),
    ],
)
def test_telephone_numbers_are_found_in_a_text(text: str, left: str) -> None:
    assert without_numbers(text) == left


def test_two_processes_put_at_once_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    doors = [Door(tmp_path / NAME, StandingClock()) for _ in range(2)]

    def put(n: int) -> str:
        one = Report(key=f"k{n // 2}", kind="fire", text="x", lat=20 + n // 2, lon=104.0)
        return doors[n % 2].put(one, Place("", "")).code

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(put, range(80)))
    assert len(set(found)) == 40
    assert len(waiting(tmp_path / NAME, 99)) == 40
    assert doors[0]._sign("x") == doors[1]._sign("x"), "a form of one is good at the other"
    for door in doors:
        door.close()
        door.close()


def test_a_busy_file_is_said_in_time_and_a_damaged_one_is_begun_anew(tmp_path: Path, caplog: Any) -> None:
    path = tmp_path / NAME
    clock = StandingClock()
    door = Door(path, clock)
    ticket = door.ticket()
    assert not path.exists()
    assert door.forget() == 0
    clock.now_ms += 4_000
    assert (door.doubt(ticket), door.doubt(door.ticket())) == ("", "early"), "made before the book was read, and after"
    door.close()
    path.write_bytes(b"no book of ours" * 1000)
    assert door.put(Report(key="k", kind="fire", text="x"), Place("", "")).n == 1
    assert "book-damaged" in caplog.text
    door.close()
    (tmp_path / "away").mkdir()
    away = Door(tmp_path / "away" / NAME / "not-there", StandingClock())
    with pytest.raises(Retry):
        away.put(Report(key="k", kind="fire", text="x"), Place("", ""))
    assert away.ticket().count(".") == 1, "a form is made all the same"
    assert not (tmp_path / "away" / NAME).exists(), "and no disk is asked for it"
    assert away.doubt(away.ticket()) == "early"


def test_only_a_person_judges_with_a_reason_and_it_is_kept_who(person: Reporter) -> None:
    first = person.send(kind="signal", hamlet="h01", text="mất sóng")
    person.send(kind="signal", hamlet="h03", text="mất sóng cả buổi")
    person.send(kind="fire", hamlet="h01", text="khói")
    signal, far = sorted((one for one in waiting(person.path, 9) if one.kind == "signal"), key=lambda one: one.id)
    fire = next(one for one in waiting(person.path, 9) if one.kind == "fire")
    now = person.clock.now_ms + 3_600_000
    with Book(person.path) as book:
        for what, reason, of, why in (
            ("rejected", "", 0, "no_reason"),
            ("duplicate", "như trên", far.id, "no_other"),
            ("duplicate", "như trên", fire.id, "no_other"),
            ("duplicate", "như trên", 999, "no_other"),
        ):
            with pytest.raises(Exception, match=why):
                book.judge(far.id, what, reason, "p04", now, of)
        book.judge(far.id, "duplicate", "cùng một trạm", "p04", now, signal.id)
        book.judge(signal.id, "confirmed", "", "p04", now)
        with pytest.raises(Exception, match="judged"):
            book.judge(signal.id, "rejected", "x", "p04", now)
        with pytest.raises(LookupError):
            book.judge(999, "confirmed", "", "p04", now)
    assert [(one.state, one.n, who) for one, who in judged(person.path, 9)] == [
        ("confirmed", 2, "p04"), ("duplicate", 1, "p04"),
    ]  # fmt: skip
    assert "đã xem: đúng" in person.asks.get(first.headers["location"]).text
    assert {(one.hamlet, one.done_ms is None) for one in answered(person.path, 0)} == {("h01", False), ("h01", True)}


def test_a_flood_of_years_does_not_fill_the_disk_and_what_nobody_has_judged_stays(tmp_path: Path) -> None:
    with Book(tmp_path / NAME, most=10) as book:
        for n in range(20):
            one = Report(key=f"k{n}", kind="signal", text="x", lat=20 + n // 5, lon=104.0)
            book.put(one, Place("", ""), n)
        book.judge(1, "rejected", "không phải", "p04", 99)
        book.forget(100)
        assert sum(1 for _ in book._all(ROW)) == 10
        book.forget(100)
    heads = waiting(tmp_path / NAME, 99)
    assert [(one.id, one.n) for one in heads] == [(16, 5), (11, 5), (6, 5)]


METHODS = ("PUT", "DELETE", "PATCH", "OPTIONS", "POST")


def test_nothing_but_this_form_is_let_in(person: Reporter) -> None:
    body = urlencode({"kind": "fire", "text": "x", "t": person.ticket()})
    person.clock.now_ms += 5000
    for method in METHODS:
        for path in ("/", f"/T/{TREE}", "/phu-song", "/bao/cay/x", "/bao/loi/413", "/bao/a/b/c", "/healthz"):
            answer = person.asks.request(method, path, content=body, headers=FORM_TYPE)
            assert answer.status_code in (404, 405), (method, path)
    ask = person.asks.request
    assert ask("POST", "/bao", content=body, headers={"Content-Type": "text/plain"}).status_code == 415
    assert ask("POST", "/bao", content=body, headers={"Content-Type": "multipart/form-data"}).status_code == 415
    assert ask("POST", "/bao", content=body).status_code == 415
    assert ask("POST", "/bao", content=body, headers=FORM_TYPE | {"Sec-Fetch-Site": "cross-site"}).status_code == 403
    long = ask("POST", "/bao", content=b"text=" + b"x" * LONGEST_BODY, headers=FORM_TYPE)
    assert long.status_code == 413
    assert "tel:114" in long.text
    many = "&".join(f"a{n}=1" for n in range(50))
    assert ask("POST", "/bao", content=many, headers=FORM_TYPE).status_code == 400
    assert waiting(person.path, 9) == []
    for answer in (long, ask("POST", "/bao", content=body, headers=FORM_TYPE)):
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["cache-control"] == "no-store"
        assert "set-cookie" not in answer.headers


_WORLD: dict[str, Reporter] = {}
_FIELD = st.sampled_from(
    ("kind", "tree", "hamlet", "lat", "lon", "text", "phone", "website", "key", "t", "lang", "\x00")
)
_VALUE = st.one_of(st.text(max_size=60), st.sampled_from(("fire", "h01", TREE, "21.7", "1e999", "-0", "\u202e", "")))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.one_of(st.binary(max_size=200), st.lists(st.tuples(_FIELD, _VALUE), max_size=12)))
def test_whatever_is_posted_gets_an_answer_that_is_none_of_a_fault(tmp_path_factory: Any, body: Any) -> None:
    if not _WORLD:
        _WORLD["one"] = Reporter(tmp_path_factory.mktemp("fuzz"))
    person = _WORLD["one"]
    person.clock.now_ms += 70_000
    if isinstance(body, list):
        made = [(name, value) for name, value in body if name != "t"]
        ticket = person.door.ticket()
        person.clock.now_ms += 4_000
        body = urlencode([*made, ("t", ticket)], errors="replace").encode()
    answer = person.asks.request("POST", "/bao", content=body, headers=FORM_TYPE)
    assert answer.status_code in (303, 400, 422), answer.status_code
    if answer.status_code == 303:
        assert person.asks.get(answer.headers["location"]).status_code == 200


def test_receipts_are_of_letters_that_are_told_apart() -> None:
    assert as_receipt("k7q2 9mta-4xwd") == "K7Q2-9MTA-4XWD"
    assert as_receipt("O7Q2-9MTA-4XWI") == "07Q2-9MTA-4XW1"
    for typed in ("", "K7Q2-9MTA-4XW", "K7Q2-9MTA-4XWDD", "K7Q2-9MTA-4XWU", "x" * 400, "Ｋ7Q2-9MTA-4XWD"):
        assert as_receipt(typed) == ""


def test_telephone_numbers_are_on_no_page_in_no_log_and_after_a_month_in_no_byte(
    person: Reporter, tmp_path: Path, caplog: Any
) -> None:
    national = sentinels.IDENTITIES["phone number, national"]
    sent = [
        person.send(kind=kind, hamlet="h01", text=f"gọi {national} hoặc +{sentinels.MSISDN}", phone=national)
        for kind in ("fire", "signal", "other")
    ]
    receipts = [one.headers["location"] for one in sent]
    (tmp_path / "alerts").mkdir()
    Inbox(tmp_path / "alerts", "alerts", person.clock).close()
    asker = Asker(tmp_path / "alerts", "alerts", person.clock)
    Telling(person.door, asker, person.clock).step()
    asker.close()
    pages = [
        person.asks.get(path).text for path in ("/bao", *receipts, "/doi", "/doi.csv", "/khan-cap/h01", "/canh-bao")
    ]
    assert sentinels.leaks(tmp_path / "alerts", caplog.text, *pages) == []
    assert sentinels.leaks(tmp_path / NAME) != [], "the test would find them"
    person.asks.request("POST", receipts[2], content="", headers=FORM_TYPE)
    person.clock.now_ms += PHONE_KEPT_MS + DAY_MS
    assert person.door.forget() == 2
    person.door.close()
    assert sentinels.leaks(*sorted(tmp_path.glob(f"{NAME}*"))) == []
