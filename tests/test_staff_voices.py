"""A story told aloud: an MP3 without its tags, heard with the consent of who speaks, once a second person says so."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from cloud.registry.cells import Bad
from cloud.registry.consent import judge
from cloud.registry.kinds import Consent, Person, Voice
from cloud.registry.live import Live
from cloud.staff.aside.uploads import LARGEST_VOICE, VOICE
from cloud.staff.told.voice_reader import sound_of
from tests.staffroom import StaffWorld
from tests.test_consent import TODAY, gocche, seen
from tests.visitors import GARDEN, TREE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from httpx import Response

    from tests.staffroom import Browser

SECRET = b"NGUOI-GHI-BI-MAT"
FRAME = (b"\xff\xfb\x50\xc4" + bytes(range(205)))[:208]  # MPEG 1, layer III, 64 kbit/s, 44.1 kHz
SOUND = FRAME * 40
ID3 = b"ID3\x03\x00\x00\x00\x00\x01\x00" + SECRET.ljust(128, b"\0")
ID3V1 = b"TAG" + SECRET.ljust(125, b"\0")
APE = b"APETAGEX" + SECRET
GIVEN = Consent(code="v1", person="mi", what="voice", given_on=TODAY - timedelta(9))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[StaffWorld]:
    made = StaffWorld(tmp_path)
    with made.shelf.act("test", "people") as draft:
        draft.put([Person(code="mi", name="Sùng Thị Mỉ"), GIVEN, replace(GIVEN, code="n1", what="name")])
    yield made
    made.close()


def sent(browser: Browser, body: bytes = ID3 + SOUND, **facts: str) -> Response:
    return browser.post("/giong", files={"file": ("a.mp3", body)}, **({"tree": TREE, "lang": "hmn"} | facts))


@pytest.mark.parametrize("before", [b"", ID3, ID3 + ID3, ID3 + b"\0" * 50])
@pytest.mark.parametrize("behind", [b"", ID3V1, APE + ID3V1, b"\0" * 9, FRAME[:90]])
def test_sound_goes_on_byte_for_byte_and_no_tag_does(before: bytes, behind: bytes) -> None:
    assert sound_of(before + SOUND + behind) == SOUND


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"MZ",
        b"OggS" + SOUND,
        b"RIFF" + SOUND,
        b"\0\0\0\x20ftypM4A " + SOUND,
        ID3,
        ID3[:6] + b"\x7f\x7f\x7f\x7f" + SOUND,
        FRAME * 3,
        SOUND + SECRET + SOUND,
        SOUND + b"\xff\xf3\x50\xc4" * 200,
        b"\xff\xf1\x50\x80" * 200,
        b"\xff\xfb\xf0\xc4" * 200,
        b"\xff\xfb\x5c\xc4" * 200,
    ],
)
def test_what_is_no_whole_mp3_is_no_voice(body: bytes) -> None:
    assert sound_of(body) == b""


@pytest.mark.parametrize(
    ("body", "facts", "status", "words"),
    [
        (b"", {}, 422, "Chưa chọn tệp"),
        (b"OggS" + SOUND, {}, 422, "không phải MP3"),
        (SOUND, {"tree": "7K3MQ2"}, 422, "ký tự kiểm tra"),
        (SOUND, {"lang": "xx"}, 422, "không có trong"),
        (SOUND, {"consents": "c99"}, 422, "không có trong bảng consent"),
        (SOUND + b"\0" * VOICE.size, {}, 413, "2,0 MB"),
        (SOUND + b"\0" * LARGEST_VOICE, {}, 413, "2,0 MB"),
    ],
)
def test_what_cannot_be_kept_leaves_nothing_behind(
    world: StaffWorld, body: bytes, facts: dict[str, str], status: int, words: str
) -> None:
    answer = sent(world.visitor("editor"), body, **facts)
    assert (answer.status_code, words in answer.text) == (status, True), answer.text
    assert world.shelf.rows("voice") == []
    assert not world.staff.photos.exists() or list(world.staff.photos.iterdir()) == []


def test_voice_needs_a_consent_to_itself_even_where_nobody_is_named() -> None:
    voice = Voice(code="a", tree=TREE, lang="hmn", published=True)
    named = replace(GIVEN, code="n1", what="name")
    for consents in ((), ("n1",)):
        with pytest.raises(Bad) as bad:
            judge(replace(voice, consents=consents), [], {"v1": GIVEN, "n1": named})
        assert bad.value.name == "no_voice_consent"
    judge(replace(voice, consents=("v1",)), [], {"v1": GIVEN})


def test_voice_is_heard_once_somebody_else_says_so_hidden_without_consent_and_erased_with_the_person(
    world: StaffWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    sender, reader = world.visitor("moderator"), world.visitor("admin")
    answer = sent(sender, speaker="Sùng Thị Mỉ", published="yes")
    assert answer.status_code == 303, answer.text
    [one] = world.shelf.rows("voice")
    assert isinstance(one, Voice)
    assert (one.lang, one.published) == ("hmn", False)
    assert f'src="/giong/{one.code}.mp3"' in sender.get(answer.headers["location"]).text
    heard = sender.get(f"/giong/{one.code}.mp3")
    assert (heard.content, heard.headers["content-type"]) == (SOUND, "audio/mpeg")
    assert [path.read_bytes() for path in world.staff.photos.iterdir()] == [SOUND]
    assert world.visitor().get(f"/giong/{one.code}.mp3").status_code == 303
    assert sender.get("/giong/..%2fregistry.db").status_code == 404
    assert sent(sender).status_code == 422, "the same once more"
    path, row = f"/giong/{one.code}/duyet", f"/bang/voices/dong?k={one.code}"
    facts = {"code": one.code, "tree": TREE, "lang": "hmn", "speaker": one.speaker}
    direct = sender.post("/bang/voices/luu", **facts, consents="v1", published="yes", seen=seen(sender, row))
    assert direct.status_code == 422, "not past the review"
    answer = reader.post(path, what="publish", seen=seen(reader, "/duyet"))
    assert (answer.status_code, "đồng ý nào về giọng nói" in answer.text) == (422, True)
    answer = sender.post("/bang/voices/luu", **facts, consents="v1", published="no", seen=seen(sender, row))
    assert answer.status_code == 303, answer.text
    assert "người khác phải nghe" in sender.get("/duyet").text
    assert sender.post(path, what="publish", seen=seen(sender, "/duyet")).status_code == 403
    assert world.visitor("editor").post(path, what="publish", seen="0").status_code == 403
    assert reader.post(path, what="back", seen=seen(reader, "/duyet")).status_code == 422, "without a word"
    live = Live(world.folder / "registry.db", GARDEN, world.clock, private=False)
    assert not live.now.voices
    assert reader.post(path, what="publish", seen=seen(reader, "/duyet")).status_code == 303
    live.look()
    assert live.now.voices[TREE, "hmn"].consents == ("v1", "n1")
    for withdrawn, shown in ((TODAY, False), (None, True)):
        with world.shelf.act("test", "withdrawn") as draft:
            draft.put([replace(GIVEN, withdrawn_on=withdrawn)])
        live.look()
        assert ((TREE, "hmn") in live.now.voices) == shown
    live.close()
    status, told = gocche(world, capsys, "erase", "mi", "--yes")
    assert (status, "recordings of their voice, erased for good: 1" in told) == (0, True), told
    assert world.shelf.rows("voice") == []
    assert list(world.staff.photos.iterdir()) == []


def test_removed_voice_is_off_the_disk_and_says_so(world: StaffWorld) -> None:
    editor = world.visitor("editor")
    assert sent(editor, SOUND).status_code == 303
    [one] = world.shelf.rows("voice")
    assert isinstance(one, Voice)
    row = f"/bang/voices/dong?k={one.code}"
    answer = editor.post("/bang/voices/xoa", k=one.code, seen=seen(editor, row))
    assert answer.headers["location"].startswith("/bang/voices?xong=erased")
    assert list(world.staff.photos.iterdir()) == []
    with world.shelf.book() as book:
        act = book.acts(1)[0].id
    assert editor.post(f"/viec/{act}/lay-lai").status_code == 409
