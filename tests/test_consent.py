"""Who is named or seen is shown with their consent alone, at once no more without it, and can be erased altogether."""

from __future__ import annotations

import contextlib
import json
import re
import zipfile
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from cloud.clock import hanoi
from cloud.inbox import Asker, Inbox
from cloud.registry import Registry, consent, pictures
from cloud.registry.book import Book
from cloud.registry.cells import Bad
from cloud.registry.draft import Rejected
from cloud.registry.kinds import Consent, Lot, Person, Photo, Story
from cloud.registry.live import LOOK_S, Live
from gocche.__main__ import main
from tests.staffroom import NOW_MS, StaffWorld
from tests.test_staff_photos import photo, sent
from tests.visitors import GARDEN, TREE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.registry.kinds import Record
    from tests.staffroom import Browser

TODAY = hanoi(NOW_MS).date()
LAN = Person(code="lan", name="Giàng Thị Lan", email="lan@example.org", addresses={"sms": "+84912345678"})
SU = Person(code="su", name="Sử")
GIVEN = Consent(code="c1", person="lan", what="name", given_on=TODAY - timedelta(9))
FACES = replace(GIVEN, code="c2", what="photo")
TOLD = "Bà Giàng Thị Lan kể rằng cây đã ở đây từ trước."


@pytest.fixture
def world(tmp_path: Path) -> Iterator[StaffWorld]:
    made = StaffWorld(tmp_path)
    with made.shelf.act("test", "people") as draft:
        draft.put([LAN, SU, GIVEN, FACES])
    yield made
    made.close()


def story(text: str = TOLD, **facts: Any) -> Story:
    return Story(**{"tree": TREE, "lang": "vi", "text": text, "author": "Trạm"} | facts)


def of_photo(**facts: Any) -> Photo:
    words = {"alt_vi": "Cây", "alt_en": "Tree", "author": "Trạm", "licence": "CC0 1.0"}
    return Photo(**{"code": "f1", "tree": TREE, "published": True} | words | facts)


# --- the gate


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        ({}, True),
        ({"given_on": TODAY}, True),
        ({"given_on": TODAY + timedelta(1)}, False),
        ({"valid_to": TODAY + timedelta(1)}, True),
        ({"valid_to": TODAY}, False),
        ({"withdrawn_on": TODAY}, False),
        ({"withdrawn_on": TODAY + timedelta(1)}, True),
    ],
)
def test_what_lists_a_consent_is_shown_while_it_is_in_force(facts: dict[str, Any], shown: bool) -> None:
    lot = Lot(code="l1", product_vi="Chè", product_en="Tea", picked_from=TODAY, picked_to=TODAY, consents=("c1",))
    older = of_photo(code="f0", taken_on=date(2020, 1, 1))
    registry = Registry(
        {
            "person": [LAN],
            "consent": [replace(GIVEN, **facts), replace(FACES, withdrawn_on=None)],
            "story": [story(consents=("c1", "c2"))],
            "photo": [of_photo(consents=("c1",), taken_on=date(2021, 1, 1)), older],
            "lot": [lot],
        }
    )
    seen = registry.public(TODAY)
    assert (len(seen.stories), "l1" in seen.lots, seen.photos[TREE].code) == (
        (1, True, "f1") if shown else (0, False, "f0")
    )
    assert not seen.contacts
    assert "person" not in seen._records
    assert len(registry.stories) == 1, "staff see all"


def test_withdrawn_and_expired_consents_hide_within_five_seconds(world: StaffWorld) -> None:
    live = Live(world.folder / "registry.db", GARDEN, world.clock, private=False)
    assert LOOK_S + 1 <= 5, "and a page is kept for a second"
    with world.shelf.act("test", "told") as draft:
        draft.put([story(consents=("c1",)), replace(GIVEN, valid_to=TODAY + timedelta(2))])
    live.look()
    assert live.now.stories[TREE, "vi"].text == TOLD
    world.clock.advance(2 * 86_400)
    live.look()
    assert (TREE, "vi") not in live.now.stories, "over, though nobody wrote anything"
    with world.shelf.act("test", "asked again") as draft:
        draft.put([GIVEN])
    live.look()
    assert (TREE, "vi") in live.now.stories
    with world.shelf.act("test", "withdrawn") as draft:
        draft.put([replace(GIVEN, withdrawn_on=world.shelf.today)])
    live.look()
    assert (TREE, "vi") not in live.now.stories
    assert "person" not in live.now._records
    assert "consent" not in live.now._records
    live.close()


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (story(), "lists no consent of theirs"),
        (story(consents=("c1",)), ""),
        (story(text="bà GIÀNG THỊ LAN, người hái"), "lists no consent of theirs"),
        (story(text="Bà Giàng Thị Lanh kể"), ""),
        (story(text="Ông Sử kể"), ""),  # one word may mean anything within a text
        (story(status="review"), ""),
        (story(text="Lời mới", status="draft", standing=TOLD), "lists no consent of theirs"),
        (story(status="draft", standing="Lời cũ"), ""),
        (story(consents=("c2",)), "is to 'photo'"),
        (of_photo(author="Sử"), "lists no consent of theirs"),
        (of_photo(author="Sử", published=False), ""),
        (
            of_photo(alt_vi="Giàng Thị Lan dưới gốc cây", consents=("c2",)),
            "lists no consent of theirs",
        ),  # to be seen, not to be named
        (of_photo(alt_vi="Giàng Thị Lan dưới gốc cây", consents=("c1", "c2")), ""),
        (of_photo(consents=("c2",)), ""),
        (of_photo(consents=("c9",)), "is not in table consent"),
    ],
)
def test_whoever_is_named_has_consented_or_nothing_is_published(world: StaffWorld, record: Record, why: str) -> None:
    def act() -> None:
        with world.shelf.act("test", "x") as draft:
            draft.put([record])

    if why:
        with pytest.raises(Rejected) as caught:
            act()
        assert [why in str(bad) for _, bad in caught.value.faults] == [True]
    else:
        act()


def test_consents_of_whom_words_name_are_found_by_themselves(world: StaffWorld) -> None:
    found = world.shelf.consented(story())
    assert found.consents == ("c1",)
    assert world.shelf.consented(of_photo(author="Sử")).consents == (), "none is recorded: the act will be refused"
    with world.shelf.act("test", "withdrawn") as draft:
        draft.put([replace(GIVEN, withdrawn_on=TODAY)])
    with pytest.raises(Bad, match="consent c1 is withdrawn or over"):
        world.shelf.consented(found)
    assert consent.lapsed(found, {}, TODAY) == ["c1"]


def test_column_of_before_keeps_its_consent(tmp_path: Path) -> None:
    with Book(tmp_path / "r.db", writer=True) as book:
        book._db.execute("ALTER TABLE photo RENAME COLUMN consents TO consent")
        book._db.execute("INSERT INTO photo VALUES ('f1', 'x', 'a', 'b', '', 'CC0', NULL, 'c7', '', 'yes')")
    with Book(tmp_path / "r.db", writer=True) as book:
        [one] = book.rows("photo")
        assert getattr(one, "consents", None) == ("c7",)


# --- the staff's pages


def seen(browser: Browser, path: str) -> str:
    found = re.search(r'name="seen" value="(\d+)"', browser.get(path).text)
    assert found, path
    return found[1]


def test_published_words_stand_until_the_new_ones_are_approved(world: StaffWorld) -> None:
    writer, reader = world.visitor("editor"), world.visitor("moderator")
    path = f"/chuyen/{TREE}/vi"
    live = Live(world.folder / "registry.db", GARDEN, world.clock, private=False)
    old = live.now.stories[TREE, "vi"].shown

    def told() -> str:
        live.look()
        return live.now.stories[TREE, "vi"].shown

    for what in ("draft", "review"):
        assert writer.post(path, what=what, text=TOLD, seen=seen(writer, path)).status_code == 303
        assert told() == old
    page = reader.get("/duyet").text
    assert TOLD in page
    assert "Khách đang đọc lời cũ" in page
    assert reader.post(f"{path}/duyet", what="back", seen=seen(reader, path)).status_code == 422, "without a word"
    words = {"what": "back", "remark": " Viết  lại đoạn đầu. ", "onward": "/duyet"}
    assert reader.post(f"{path}/duyet", **words, seen=seen(reader, path)).headers["location"] == "/duyet?xong=back"
    assert "Viết lại đoạn đầu." in writer.get(path).text
    assert told() == old
    assert writer.post(path, what="review", text=f"{TOLD} Thật.", seen=seen(writer, path)).status_code == 303
    published = reader.post(f"{path}/duyet", what="publish", seen=seen(reader, path), onward="/duyet")
    assert published.headers["location"] == "/duyet?xong=published"
    assert told() == f"{TOLD} Thật."
    [kept] = [
        one for one in world.shelf.rows("story") if isinstance(one, Story) and (one.tree, one.lang) == (TREE, "vi")
    ]
    assert (kept.standing, kept.remark, kept.consents) == ("", "", ("c1",))
    assert reader.post(f"{path}/duyet", what="down", seen=seen(reader, path)).status_code == 303
    live.look()
    assert (TREE, "vi") not in live.now.stories
    live.close()


def test_story_of_somebody_who_has_withdrawn_waits_and_says_why(world: StaffWorld) -> None:
    writer, reader = world.visitor("editor"), world.visitor("moderator")
    path = f"/chuyen/{TREE}/vi"
    assert writer.post(path, what="review", text=TOLD, seen=seen(writer, path)).status_code == 303
    with world.shelf.act("test", "withdrawn") as draft:
        draft.put([replace(GIVEN, withdrawn_on=TODAY)])
    answer = reader.post(f"{path}/duyet", what="publish", seen=seen(reader, path))
    assert (answer.status_code, "được nêu tên" in answer.text) == (422, True)


def test_photo_waits_for_a_moderator_is_given_back_shown_and_erased(world: StaffWorld) -> None:
    sender, reader = world.visitor("editor"), world.visitor("moderator")
    assert sent(sender, photo(), author="Trạm", consents="c2").status_code == 303
    [one] = world.shelf.rows("photo")
    assert isinstance(one, Photo)
    row = f"/bang/photos/dong?k={one.code}"
    facts = {"code": one.code, "tree": TREE, "alt_vi": one.alt_vi, "alt_en": one.alt_en, "author": "Trạm"}
    facts |= {"licence": one.licence, "consents": "c2", "published": "yes"}
    answer = sender.post("/bang/photos/luu", **facts, seen=seen(sender, row))
    assert (answer.status_code, "chỉ người duyệt" in answer.text) == (422, True)
    assert f"/anh/{one.code}-720.jpg" in reader.get("/duyet").text
    path = f"/anh/{one.code}/duyet"
    assert reader.post(path, what="back", seen=seen(reader, "/duyet")).status_code == 422
    assert reader.post(path, what="back", remark="Tối quá", seen=seen(reader, "/duyet")).status_code == 303
    assert "Không có gì chờ duyệt" in reader.get("/duyet").text
    assert sender.post("/bang/photos/luu", **facts | {"published": "no"}, seen=seen(sender, row)).status_code == 303
    assert sender.post(path, what="publish", seen="0").status_code == 403
    assert reader.post(path, what="publish", seen="1").status_code == 409, "what was not seen is not approved"
    assert reader.post(path, what="publish", seen=seen(reader, "/duyet")).status_code == 303
    live = Live(world.folder / "registry.db", GARDEN, world.clock, private=False)
    assert live.now.photos[TREE].consents == ("c2",)
    with world.shelf.act("test", "withdrawn") as draft:
        draft.put([replace(FACES, withdrawn_on=TODAY)])
    live.look()
    assert TREE not in live.now.photos
    live.close()
    assert "đang bị ẩn: đồng ý c2" in reader.get("/duyet").text
    assert len(list(world.staff.photos.iterdir())) == 6
    answer = reader.post("/bang/photos/xoa", k=one.code, seen=seen(reader, row))
    assert answer.headers["location"].startswith("/bang/photos?xong=erased")
    assert list(world.staff.photos.iterdir()) == []
    assert b"\xff\xd8\xff" not in (world.folder / "registry.db-wal").read_bytes(), "the audit keeps no image"
    with world.shelf.book() as book:
        act = book.acts(1)[0].id
    answer = reader.post(f"/viec/{act}/lay-lai")
    assert (answer.status_code, "không lấy lại được" in answer.text) == (409, True)


def test_taking_back_a_photo_that_was_sent_erases_its_pictures(world: StaffWorld) -> None:
    editor = world.visitor("editor")
    assert sent(editor, photo(), author="Trạm").status_code == 303
    with world.shelf.book() as book:
        act = book.acts(1)[0].id
    assert editor.post(f"/viec/{act}/lay-lai").status_code == 303
    assert list(world.staff.photos.iterdir()) == []


def test_queue_names_what_names_somebody_without_consent_and_what_ends_soon(world: StaffWorld) -> None:
    with world.shelf.act("test", "told") as draft:
        draft.put(
            [
                story(text="Ông Vàng A Sơn kể."),
                of_photo(consents=("c2",)),
                replace(FACES, valid_to=TODAY + timedelta(9)),
            ]
        )
    with world.shelf.act("test", "and who that is") as draft:
        draft.put([Person(code="son", name="Vàng A Sơn")])
    page = world.visitor("moderator").get("/duyet").text
    assert "nêu tên Vàng A Sơn" in page
    assert f"hết hạn ngày {TODAY + timedelta(9):%d/%m/%Y}" in page


# --- one person's data


def gocche(world: StaffWorld, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    root = Path(__file__).parents[1] / "config" / "cloud.toml"
    status = main(["person", *words, "--config", str(root), "--data", str(world.folder)])
    told = capsys.readouterr()
    return status, told.out + told.err


def everywhere(world: StaffWorld) -> bytes:
    return b"".join(path.read_bytes() for path in world.folder.rglob("*") if path.is_file())


_OF = dict.fromkeys(("since_ms", "opened_ms", "bad_ms", "touched_ms", "late", "undated", "untold"), "0")
_OF |= dict.fromkeys(("rule", "kind", "gateway", "channel", "quantity", "what_vi", "what_en", "place", "basis"), "''")
_OF |= dict.fromkeys(("place_vi", "place_en"), "''") | dict.fromkeys(("acked_by", "closed_by", "assignee"), "'lan'")
_OF |= {"muted": "'silence 1 by lan: khói'"}
GONE = ", ".join(_OF), ", ".join(_OF.values())


def test_person_is_told_all_and_then_nowhere_to_be_found(
    world: StaffWorld, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from cloud.alerts.journal import Journal, reading
    from cloud.alerts.wiring import JOURNAL

    with world.shelf.act("Giàng Thị Lan (lan)", "person lan") as draft:
        draft.put([replace(LAN, email="lan.moi@example.org", access="editor"), Person(code="x", name="Người khác")])
        draft.put([story(consents=("c1",), author="Giàng Thị Lan")])
        draft.put([replace(FACES, note="hỏi Giàng Thị Lan ở chợ")])
    world.accounts.change("lan", "a hash")
    world.accounts.sign_in("lan", "Chrome của Lan")
    assert sent(world.visitor("editor"), photo(), author="Trạm", consents="c2").status_code == 303
    journal = Journal(world.folder / JOURNAL)
    columns = "at_ms, grp, level, person, lang, channel, address, state, attempts, waited_s, lifetime_s, name"
    row = f"INSERT INTO letter ({columns}) VALUES (1, 'g', 0, ?, 'vi', 'email', ?, 'told', 1, 0, 60, 'n')"
    with journal.transaction():
        for mail in ("lan@example.org", "lan.moi@example.org", "ai@example.org"):
            journal.db.execute(row, (mail, mail))
        journal.event(1, 1, "told", "email accepted", to="lan@example.org")
        journal.event(2, 1, "acknowledged", "cháy lan, gọi Giàng Thị Lan", who="lan", by="sms")
        journal.event(3, 1, "assigned", who="x", to="lan")
        journal.event(4, 1, "lapsed", "lan had it, and has not closed it")
        journal.db.execute("INSERT INTO silence VALUES (1, '*', 'lan', 'Giàng Thị Lan đốt', 0, 1, 'lan')")
        journal.db.execute(f"INSERT INTO incident ({GONE[0]}) VALUES ({GONE[1]})")
    journal.close()
    with contextlib.closing(Inbox(world.folder, "alerts", world.clock)) as inbox:
        asker = Asker(world.folder, "alerts", world.clock)
        inbox.done(asker.ask("reply", {"reply": {"sender": "lan@example.org", "text": "1", "key": "k"}}), {"ok": True})
        asker.close()
    archive = tmp_path / "lan.zip"
    assert gocche(world, capsys, "export", "lan", str(archive))[0] == 0
    with zipfile.ZipFile(archive) as kept:
        parts = {name: json.loads(kept.read(f"{name}.json")) for name in ("registry", "account", "letters")}
        assert len([name for name in kept.namelist() if name.startswith("photos/")]) == 6
    archive.unlink()
    assert parts["registry"]["person"][0]["email"] == "lan.moi@example.org"
    assert [one["tree"] for one in parts["registry"]["story"]] == [TREE]
    assert [one["code"] for one in parts["registry"]["consent"]] == ["c1", "c2"]
    assert len(parts["registry"]["acts"]) == 1
    assert parts["account"]["devices"][0]["browser"] == "Chrome của Lan"
    assert len(parts["letters"]["sent"]) == 2
    assert [one["event"] for one in parts["letters"]["acts"]] == ["acknowledged"]
    status, told = gocche(world, capsys, "erase", "lan")
    assert status == 0
    assert "nothing is erased yet" in told
    assert "registry: 4 rows" in told, told
    assert "photos that show them and recordings of their voice, erased for good: 1" in told
    assert b"lan.moi@example.org" in everywhere(world)
    status, told = gocche(world, capsys, "erase", "lan", "--yes")
    assert (status, "is erased from every file" in told) == (0, True), told
    left = everywhere(world)
    for secret in ("Giàng Thị Lan", "lan@example.org", "lan.moi@example.org", "Chrome của Lan"):
        assert secret.encode() not in left, secret
    assert b"ai@example.org" in left, "nobody else is gone"
    with reading(world.folder / JOURNAL) as db:
        incident = db.execute("SELECT acked_by, closed_by, assignee, muted FROM incident").fetchone()
        silence = db.execute("SELECT author, reason, ended_by FROM silence").fetchone()
        events = db.execute("SELECT who, what, inputs FROM journal WHERE at_ms > 1 ORDER BY id").fetchall()
    alias = incident[0]
    assert re.fullmatch(r"an-\w{6}", alias)
    assert incident == (alias, alias, alias, f"silence 1 by {alias}: khói")
    assert silence == (alias, f"{alias} đốt", alias)
    assert events[0][:2] == (alias, f"cháy lan, gọi {alias}"), "a code may be a word like any other"
    assert json.loads(events[1][2]) == {"to": alias}
    assert events[2][1].startswith(f"{alias} had it")
    assert not pictures.of(world.staff.photos, parts["registry"]["photo"][0]["code"])
    [kept_story] = [
        one
        for one in world.shelf.rows("story")
        if getattr(one, "lang", "") == "vi" and getattr(one, "tree", "") == TREE
    ]
    assert re.fullmatch(r"Bà an-\w{6} kể rằng cây đã ở đây từ trước\.", getattr(kept_story, "text", ""))
    assert all(getattr(one, "withdrawn_on", None) == TODAY or one for one in world.shelf.rows("consent"))
    with world.shelf.book() as book:
        act = next(one for one in book.acts(9) if one.changes and one.what.startswith("person an-"))
        assert re.fullmatch(r"(an-\w{6}) \(\1\)", act.who)
        with pytest.raises(Exception, match="what was done stays said"):
            book._db.execute("UPDATE act SET who = 'x'")
    assert gocche(world, capsys, "erase", "lan")[0] == 2
    assert gocche(world, capsys, "export", "nobody", str(archive))[0] == 2


def test_who_has_the_same_name_or_the_same_telephone_stays_whole_when_somebody_is_erased(
    world: StaffWorld, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    twin = replace(LAN, code="lan-2", email="lan2@example.org", roles=("operator",))  # a household has one telephone
    with world.shelf.act("Giàng Thị Lan (lan-2)", "person lan-2") as draft:
        draft.put([twin, replace(LAN, addresses=LAN.addresses | {"zalo": "1"})])
    assert gocche(world, capsys, "export", "lan", str(tmp_path / "lan.zip"))[0] == 0
    status, told = gocche(world, capsys, "erase", "lan", "--yes")
    assert (status, "is erased from every file" in told) == (0, True), told
    assert world.shelf.person("lan-2") == twin
    assert world.shelf.person("lan") is None
    with world.shelf.book() as book:
        assert [act.who for act in book.acts(9) if act.what == "person lan-2"] == ["Giàng Thị Lan (lan-2)"]
        assert [change.after for _, change in book.history("person", ("lan-2",), 9)] == [twin]
    assert b"lan@example.org" not in everywhere(world)
    assert len(world.shelf.rows("tree")) > 1, "an address of one letter is no part of every date"
