"""The staff's way in: who may do what on every route, sign-in and its abuse, links, sessions, headers, the handbook."""

from __future__ import annotations

import re
import sqlite3
import threading
from typing import TYPE_CHECKING

import pytest

from cloud.registry.people import ACCESS, Person
from cloud.serve.throttle import MOST_KEPT, Throttle, network_of
from cloud.staff.app import ways
from cloud.staff.entrance import passwords
from cloud.staff.entrance.above import HEADERS, SCRIPTED
from cloud.staff.entrance.access import ANYBODY, MATRIX
from cloud.staff.entrance.accounts import HARD_MS, IDLE_MS, Accounts
from cloud.staff.handbook import FOLDER, chapters
from cloud.staff.visit import TEMPLATES
from cloud.staff.way import FORM_BYTES
from cloud.staff.words import Speaker
from settings.words import Taken
from settings.words import words as words_of
from tests.rules.garden import HandClock
from tests.servers import until
from tests.staffroom import PASSWORD, TLS, URL, StaffWorld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VISITORS = ("", *ACCESS)


@pytest.fixture(scope="module")
def hashed() -> str:
    return passwords.hashed(PASSWORD)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[StaffWorld]:
    made = StaffWorld(tmp_path)
    yield made
    made.close()


# --- every route, every role


def address(path: str) -> str:
    return re.sub(r"{\w+}", "x", path)


def test_every_way_has_its_roles_and_no_role_is_without_its_way() -> None:
    assert sorted(MATRIX) == sorted({way.name for way in ways()})
    assert len({(way.path, way.method) for way in ways()}) == len(ways())
    assert all(roles <= set(ACCESS) for roles in MATRIX.values())


def test_every_route_lets_in_exactly_the_roles_of_its_row_and_sends_all_others_away(world: StaffWorld) -> None:
    asked = 0
    gone = {(way.path, way.method): way for way in ways()}
    browsers = {role: world.visitor(role) for role in VISITORS}
    for route in world.app._site.routes:
        for method in route.methods - {"HEAD"}:
            way = gone.pop((route.path, method))
            for role in VISITORS:
                browser = world.visitor(role) if way.name in {"sign-out", "sign-in"} else browsers[role]
                path = address(route.path)
                answer = browser.get(path) if method == "GET" else browser.post(path, **({} if role else {"token": ""}))
                where = f"{method} {route.path} as {role or 'nobody'}: {answer.status_code}"
                onward = answer.headers.get("location", "")
                if MATRIX[way.name] is ANYBODY:
                    assert answer.status_code < 500, where
                elif not role:
                    assert (answer.status_code, onward.partition("?")[0]) == (303, "/dang-nhap"), where
                elif role in MATRIX[way.name]:
                    assert answer.status_code != 403, where
                    assert answer.status_code < 500, where
                    assert not onward.startswith("/dang-nhap") or way.name == "sign-out", where
                else:
                    assert answer.status_code == 403, where
                handled = MATRIX[way.name] is ANYBODY or role in MATRIX[way.name]
                expected = dict(SCRIPTED if way.script and handled else HEADERS)
                del expected["Cache-Control"]
                assert {name: answer.headers.get(name) for name in expected} == expected, where
                assert answer.headers["cache-control"] in {"no-store", "max-age=86400"}, where
                asked += 1
    assert gone == {}
    assert asked == len(ways()) * len(VISITORS)


def test_what_is_no_route_and_what_stumbles_carries_the_headers_too(
    world: StaffWorld, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    browser = world.visitor("admin")
    answers = [browser.get("/nowhere"), browser.ask("PUT", "/"), world.visitor().get("//host/x")]
    assert "Tên admin" in answers[0].text
    monkeypatch.setattr("cloud.staff.shelf.Shelf.rows", lambda *_: 1 / 0)
    answers.append(browser.get("/"))
    assert [answer.status_code for answer in answers] == [404, 405, 404, 500]
    for answer in answers:
        assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
        assert "<h1>" in answer.text
        assert "Traceback" not in answer.text
    assert "ZeroDivisionError" in caplog.text


def test_every_way_has_its_chapter_and_every_chapter_its_way() -> None:
    assert {one.name for one in chapters()} == {way.chapter for way in ways()}
    assert all(one.title and one.blocks for one in chapters())
    assert len({file.stem.partition("-")[0] for file in FOLDER.glob("*.md")}) == len(chapters())


def test_every_word_that_pages_say_stands_there_and_none_is_left_over() -> None:
    told = words_of("cloud.staff")
    keys = {f"{part}.{name}" for part, rows in told.items() for name in rows}
    folder = TEMPLATES.parent
    text = "".join(file.read_text("utf-8") for file in [*folder.rglob("*.py"), *TEMPLATES.glob("*.html")])
    said = set(re.findall(r'"([a-z]+\.(?!html|svg|css|js)[a-z_]+)"', text))
    known = {
        part
        for part in told
        if part
        not in {"column", "choice", "hint", "kind", "done", "act_of", "accounts", "told", "age", "menu", "reason"}
    }
    assert {one for one in said if one.partition(".")[0] in known} <= keys
    unsaid = {one for one in keys if one.partition(".")[0] in known and one.partition(".")[2] not in text}
    assert unsaid == set()
    for part, rows in told.items():
        for name, row in rows.items():
            assert row.keys() == {"vi", "en"}, f"{part}.{name}"
            facts = [set(re.findall(r"{(\w+)", row[lang])) for lang in ("vi", "en")]
            assert facts[0] == facts[1] or not row["vi"], f"{part}.{name}"


# --- sign-in


def test_right_password_lets_in_and_the_cookie_is_for_this_host_alone(tmp_path: Path, hashed: str) -> None:
    world = StaffWorld(tmp_path, TLS)
    world.accounts.change("editor", hashed)
    browser = world.visitor()
    answer = browser.sign_in("EDITOR ", onward="/toi")
    assert (answer.status_code, answer.headers["location"]) == (303, "/toi")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-gocche-session=")
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Secure"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    assert browser.get("/toi").status_code == 200
    assert answer.headers["strict-transport-security"]
    kept = (tmp_path / "staff.db").read_bytes() + (tmp_path / "staff.db-wal").read_bytes()
    assert browser.client.cookies[world.staff.cookie("session")].encode() not in kept
    assert PASSWORD.encode() not in kept
    world.close()


def test_wrong_password_and_unknown_person_are_told_the_same_and_cost_the_same(
    world: StaffWorld, hashed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.accounts.change("editor", hashed)
    with world.shelf.act("test", "no access") as draft:
        draft.put([Person(code="left", name="Đã nghỉ")])
    world.accounts.change("left", hashed)
    asked: list[str] = []
    real = passwords._HASHER.verify

    class Counting:
        def verify(self, kept: str, password: str) -> bool:
            asked.append(kept)
            return bool(real(kept, password))

    monkeypatch.setattr(passwords, "_HASHER", Counting())
    answers = [world.visitor().sign_in(who, password) for who, password in
               (("editor", "wrong"), ("nobody", PASSWORD), ("viewer", ""), ("left", PASSWORD))]  # fmt: skip
    assert {answer.status_code for answer in answers} == {403}
    bodies = {re.sub(r'(value=")[^"]*', r"\1", answer.text) for answer in answers}
    assert len(bodies) == 1, "nobody learns which of the two was wrong"
    assert len(asked) == 4, "each took one verification"


def test_sixth_try_within_a_minute_waits_and_another_network_does_not(world: StaffWorld, hashed: str) -> None:
    world.accounts.change("editor", hashed)
    near, far = world.visitor(), world.visitor(**{"X-Forwarded-For": "10.0.0.1, 203.0.113.9"})
    assert [near.sign_in("editor", "wrong").status_code for _ in range(6)] == [403] * 5 + [429]
    refused = near.sign_in("editor")
    assert refused.status_code == 429, "the right one waits, too"
    assert refused.headers["retry-after"] == "12"
    assert far.sign_in("editor").status_code == 303
    world.clock.advance(12)
    assert near.sign_in("editor").status_code == 303


def test_throttle_is_bounded_and_tells_networks_apart() -> None:
    clock = HandClock()
    throttle = Throttle(clock)
    for number in range(MOST_KEPT):
        throttle.wait_s(f"a{number}", f"n{number}")
    assert len(throttle._buckets) == MOST_KEPT
    assert [throttle.wait_s(f"b{number}", "net") for number in range(21)] == [0] * 20 + [3]
    assert network_of("203.0.113.77") == network_of("::ffff:203.0.113.1") == "203.0.113.0/24"
    assert network_of("2001:db8:1:2::3") == "2001:db8:1::/48"
    assert network_of("testclient") == "unknown"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": URL}, 303),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:8080"}, 403),
        ({"Origin": URL, "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
    ],
)
def test_form_from_elsewhere_is_refused_whatever_its_token(
    world: StaffWorld, hashed: str, headers: dict[str, str], status: int
) -> None:
    world.accounts.change("editor", hashed)
    browser = world.visitor()
    fields = {"token": browser.token("/dang-nhap"), "who": "editor", "password": PASSWORD}
    assert browser.ask("POST", "/dang-nhap", data=fields, headers=headers).status_code == status


def test_token_of_another_visitor_or_none_opens_nothing(world: StaffWorld, hashed: str) -> None:
    world.accounts.change("editor", hashed)
    one, other = world.visitor(), world.visitor()
    assert one.sign_in("editor", token=other.token("/dang-nhap")).status_code == 403
    assert one.sign_in("editor", token="").status_code == 403
    assert world.visitor().sign_in("editor", token="x" * 64).status_code == 403
    inside = world.visitor("editor")
    assert inside.post("/ngon-ngu", token=world.visitor("editor").token("/toi")).status_code == 403


def test_onward_leads_nowhere_else(world: StaffWorld, hashed: str) -> None:
    world.accounts.change("editor", hashed)
    for bad in ("//evil.example", "https://evil.example", "/\\evil.example", "\t//evil.example", "/x\ny", ""):
        answer = world.visitor().sign_in("editor", onward=bad)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert 'value="/toi"' in world.visitor().get("/dang-nhap?tiep=/toi").text


def test_too_long_a_form_and_one_that_is_none_are_told_so(world: StaffWorld) -> None:
    browser = world.visitor("editor")
    token = browser.token("/toi")
    answer = browser.post("/ngon-ngu", token=token, x="x" * FORM_BYTES)
    assert (answer.status_code, f"{FORM_BYTES / 1e6:.1f} MB".replace(".", ",") in answer.text) == (413, True)
    headers = {"Origin": URL, "Content-Type": "multipart/form-data; boundary=x"}
    for body in (b"--x\r\nbroken", b"\x00\xff" * 500, b""):
        answer = browser.ask("POST", "/ngon-ngu", content=body, headers=headers)
        assert answer.status_code in {400, 403}
        assert "<h1>" in answer.text


def test_another_host_name_is_told_the_right_one_and_nothing_else(world: StaffWorld) -> None:
    answer = world.visitor("admin").ask("GET", "/", headers={"Host": "rebound.example"})
    told = "Trang nhân viên ở địa chỉ 127.0.0.1:8082\nthese pages are at 127.0.0.1:8082\n"
    assert (answer.status_code, answer.text) == (421, told)


# --- links


def test_link_is_good_once_and_makes_the_first_admin(world: StaffWorld) -> None:
    path = f"/moi/{world.accounts.invite('chu', 'Quản trị', 'admin')}"
    browser = world.visitor()
    assert browser.get(path).status_code == 200
    assert browser.get(path).status_code == 200, "looking uses nothing up: some mail programs look first"
    for password, again in (("ngắn", "ngắn"), ("0123456789", "0123456789"), (PASSWORD, PASSWORD + "x"),
                            ("Chủ vườn mới nhé", "Chủ vườn mới nhé")):  # fmt: skip
        answer = browser.post(path, name="Chủ vườn", password=password, again=again)
        assert answer.status_code == 422, password
        assert 'role="alert"' in answer.text
    answer = browser.post(path, name="Chủ vườn", password=PASSWORD, again=PASSWORD)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "Chủ vườn" in browser.get("/").text
    made = world.shelf.person("chu")
    assert made is not None
    assert (made.name, made.access) == ("Chủ vườn", "admin")
    with world.shelf.book() as book:
        assert book.acts(1)[0].who == "Chủ vườn (chu)"
    assert world.visitor().get(path).status_code == 410
    assert world.visitor().post(path, "/dang-nhap", password=PASSWORD, again=PASSWORD).status_code == 410


def test_newer_link_replaces_an_older_one_and_both_run_out(world: StaffWorld) -> None:
    old, new = (world.accounts.invite("editor", "x", "") for _ in range(2))
    assert world.accounts.invited(old) is None
    world.clock.advance(72 * 3600 - 1)
    assert world.accounts.invited(new) is not None
    world.clock.advance(1)
    assert world.accounts.invited(new) is None
    assert not world.accounts.accept(new, "x")


# --- sessions


def test_session_ends_when_idle_and_in_any_case(world: StaffWorld) -> None:
    secret = world.accounts.sign_in("editor", "x")
    for _ in range(HARD_MS // IDLE_MS * 2 - 1):
        world.clock.advance(IDLE_MS / 2000)
        assert world.accounts.session(secret)
    world.clock.advance(IDLE_MS / 2000)
    assert world.accounts.session(secret) is None, "30 days are over"
    secret = world.accounts.sign_in("editor", "x")
    world.clock.advance(IDLE_MS / 1000)
    assert world.accounts.session(secret) is None


def test_devices_are_listed_and_ended_and_nobody_ends_those_of_others(world: StaffWorld) -> None:
    mine, lost, theirs = world.visitor("editor"), world.visitor("editor"), world.visitor("viewer")
    page = mine.get("/toi").text
    assert page.count("Chrome, Android") == 2
    of_theirs = world.accounts.sessions("viewer")[0].id
    mine.post("/toi/thiet-bi", "/toi", session=str(of_theirs))
    assert theirs.get("/toi").status_code == 200
    number = re.search(r'name="session" value="(\d+)"', page)
    assert number
    mine.post("/toi/thiet-bi", "/toi", session=number[1])
    assert (mine.get("/toi").status_code, lost.get("/toi").status_code) == (200, 303)
    for garbage in ("", "x", "9" * 40, "-1"):
        assert mine.post("/toi/thiet-bi", "/toi", session=garbage).status_code == 303
    assert mine.post("/dang-xuat", "/toi").status_code == 303
    assert mine.get("/toi").status_code == 303


def test_changed_password_signs_every_other_device_out(world: StaffWorld, hashed: str) -> None:
    world.accounts.change("editor", hashed)
    mine, other = world.visitor("editor"), world.visitor("editor")
    new = "câu khác cũng dễ nhớ"
    assert mine.post("/toi/mat-khau", "/toi", old="wrong", password=new, again=new).status_code == 422
    assert mine.post("/toi/mat-khau", "/toi", old=PASSWORD, password=new, again=new).status_code == 303
    assert (mine.get("/toi").status_code, other.get("/toi").status_code) == (200, 303)
    assert world.visitor().sign_in("editor").status_code == 403
    assert world.visitor().sign_in("editor", new).status_code == 303


def test_role_that_is_taken_away_ends_at_once(world: StaffWorld) -> None:
    browser = world.visitor("editor")
    assert browser.get("/").status_code == 200
    with world.shelf.act("test", "left") as draft:
        draft.put([Person(code="editor", name="Đã nghỉ")])
    assert browser.get("/").status_code == 303


def test_password_is_kept_under_todays_parameters_after_a_sign_in(world: StaffWorld) -> None:
    from argon2 import PasswordHasher

    world.accounts.change("editor", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD))
    assert world.visitor().sign_in("editor").status_code == 303
    kept = world.accounts.hash_of("editor")
    assert kept is not None
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_at_most_two_passwords_are_verified_at_once(
    world: StaffWorld, hashed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    import httpx

    world.accounts.change("editor", hashed)
    inside, most, let_go, lock = [0], [0], threading.Event(), threading.Lock()

    def verify(_password: str, _kept: str | None) -> bool:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        assert let_go.wait(20)
        with lock:
            inside[0] -= 1
        return False

    monkeypatch.setattr(passwords, "right", verify)
    monkeypatch.setattr(Throttle, "wait_s", lambda *_: 0)
    door = world.visitor()
    token = door.token("/dang-nhap")
    cookie = door.client.cookies[world.staff.cookie("door")]

    async def flood() -> list[int]:
        transport = httpx.ASGITransport(world.app)
        headers = {"Origin": URL, "Cookie": f"{world.staff.cookie('door')}={cookie}"}
        async with httpx.AsyncClient(transport=transport, base_url=URL, headers=headers) as client:
            fields = {"token": token, "who": "editor", "password": "x"}
            tries = [asyncio.create_task(client.post("/dang-nhap", data=fields)) for _ in range(6)]
            await asyncio.to_thread(until, lambda: inside[0] == 2, 20, "two are being verified")
            page = await client.get("/dang-nhap")  # whoever only looks is served meanwhile
            assert page.status_code == 200
            let_go.set()
            return [(await one).status_code for one in tries]

    assert asyncio.run(flood()) == [403] * 6
    assert most == [2]


def test_unreadable_registry_and_a_disk_that_takes_nothing_are_told_and_nothing_is_half_written(
    world: StaffWorld, hashed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.accounts.change("editor", hashed)
    browser = world.visitor()
    token = browser.token("/dang-nhap")

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Accounts, "sign_in", full)
        answer = browser.sign_in("editor", token=token)
        assert answer.status_code == 503
        assert "không ghi được" in answer.text
    world.shelf.close()
    (world.folder / "registry.db").rename(world.folder / "away.db")
    assert world.visitor("editor").get("/").status_code == 503
    assert world.visitor().get("/dang-nhap").status_code == 200
    (world.folder / "away.db").rename(world.folder / "registry.db")
    assert world.visitor("editor").get("/").status_code == 200


def test_file_of_a_newer_gocche_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "staff.db"
    Accounts(path, HandClock()).close()
    assert path.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(Taken, match="newer gocche"):
        Accounts(path, HandClock())


def test_language_chosen_on_a_device_stays_there(world: StaffWorld) -> None:
    browser = world.visitor("viewer")
    assert "<h1>Hôm nay</h1>" in browser.get("/").text
    browser.post("/ngon-ngu", "/", onward="/")
    assert "<h1>Today</h1>" in browser.get("/").text
    assert "<h1>Hôm nay</h1>" in world.visitor("viewer").get("/").text
    assert "<h1>Sign in</h1>" in world.visitor().get("/dang-nhap?lang=en").text


def test_speaker_tells_ages_days_and_devices() -> None:
    s = Speaker("vi", 1_000_000_000_000)
    assert s.age(1_000_000_000_000 - 3 * 86_400_000) == "3 ngày trước"
    assert s.device("") == "máy không rõ"
    assert Speaker("xx", 0).lang == "vi"
