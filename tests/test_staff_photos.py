"""Photos through the staff's pages: made anew without position or owner, in three sizes, whole or not at all."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from PIL import Image, ImageDraw

from cloud.registry.kinds import Photo
from cloud.staff.aside.uploads import LARGEST_PHOTO, PHOTO
from cloud.staff.told import files
from cloud.staff.told.photo_reader import MOST_PIXELS, SIZES, made_of
from tests.staffroom import StaffWorld
from tests.visitors import TREE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from httpx import Response

    from tests.staffroom import Browser

SECRET = b"NGUOI-CHUP-BI-MAT"
FACTS = {"tree": TREE, "alt_vi": "Gốc cây phủ rêu", "alt_en": "A mossy foot", "author": "Sử", "licence": "CC BY 4.0"}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[StaffWorld]:
    made = StaffWorld(tmp_path)
    yield made
    made.close()


def photo(size: tuple[int, int] = (1200, 800), form: str = "JPEG", orientation: int = 1) -> bytes:
    """A photo with a red left and a blue right half, its owner and its position written into it."""
    picture = Image.new("RGB", size, "red")
    ImageDraw.Draw(picture).rectangle((size[0] // 2, 0, *size), "blue")
    facts = Image.Exif()
    facts[0x0112], facts[0x013B], facts[0x010F] = orientation, SECRET.decode(), SECRET.decode()
    facts.get_ifd(0x8825)[2] = (21.0, 37.0, 12.5)
    told = io.BytesIO()
    picture.save(told, form, exif=facts, **({"comment": SECRET} if form == "JPEG" else {}))
    return told.getvalue()


def sent(browser: Browser, body: bytes, name: str = "IMG_0001.JPG", **facts: str) -> Response:
    return browser.post("/anh", files={"file": (name, body)}, **(FACTS | facts))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_nothing_of_the_file_itself_goes_on(form: str) -> None:
    body = photo(form=form)
    assert SECRET in body
    made = made_of(body).made
    assert sorted(made) == sorted(f"{size}.{ending}" for size in SIZES for ending in ("webp", "jpg"))
    for name, told in made.items():
        assert SECRET not in told
        picture = Image.open(io.BytesIO(told))
        assert dict(picture.getexif()) == {}
        assert not {"exif", "icc_profile", "xmp", "comment"} & set(picture.info), name
        longest = min(int(name.partition(".")[0]), 1200)
        assert picture.size == (longest, round(longest * 800 / 1200))
        red, blue = (picture.getpixel((x * picture.width // 4, 10)) for x in (1, 3))
        assert isinstance(red, tuple)
        assert isinstance(blue, tuple)
        assert (red[0] > 200, red[2] < 60, blue[2] > 200, blue[0] < 60) == (True,) * 4


def test_photo_taken_upright_stands_upright() -> None:
    picture = Image.open(io.BytesIO(made_of(photo(orientation=6)).made["360.jpg"]))
    assert picture.size == (240, 360)
    above = picture.getpixel((120, 40))
    assert isinstance(above, tuple)
    assert above[0] > 200, "what was left is above"


def test_colours_of_a_wider_screen_become_those_of_every_screen() -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for own in (profile, b"no profile at all"):
        told = io.BytesIO()
        Image.new("RGB", (400, 300), "green").save(told, "JPEG", icc_profile=own)
        picture = Image.open(io.BytesIO(made_of(told.getvalue()).made["360.jpg"]))
        assert "icc_profile" not in picture.info
        assert picture.getpixel((10, 10))[1] in range(120, 137)


def claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be this large."""
    body = photo((400, 300), "PNG")
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    import zlib

    chunk = b"IHDR" + head + body[24:29]
    return body[:8] + (13).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") + body[33:]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "no_photo"),
        (b"GIF89a" + b"\x00" * 100, "no_photo"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no_photo"),
        (b"%PDF-1.7", "no_photo"),
        (photo()[:2_000], "no_photo"),
        (photo((900, 150)), "small"),
        (claims(60_000, 60_000), "many_pixels"),
        (claims(8_001, 8_000), "many_pixels"),
        (claims(4_000, 3_000), "no_photo"),
    ],
)
def test_what_is_no_photo_or_claims_too_much_is_refused(body: bytes, why: str) -> None:
    assert made_of(body).why == why
    assert MOST_PIXELS < 8_001 * 8_000


def test_photo_is_sent_kept_and_shown_to_staff_and_not_to_the_world(world: StaffWorld) -> None:
    browser = world.visitor("editor")
    page = browser.get(f"/bang/photos/moi?cay={TREE}")
    assert f'value="{TREE}"' in page.text
    answer = sent(browser, photo(), published="yes")
    assert answer.status_code == 303, answer.text
    kept = [one for one in world.shelf.rows("photo") if isinstance(one, Photo)]
    assert [(one.tree, one.alt_vi, one.published) for one in kept] == [(TREE, "Gốc cây phủ rêu", False)]
    page = browser.get(answer.headers["location"])
    assert f'src="/anh/{kept[0].code}-720.jpg" alt="Gốc cây phủ rêu"' in page.text
    for name, kind in (("360.webp", "image/webp"), ("1440.jpg", "image/jpeg")):
        picture = browser.get(f"/anh/{kept[0].code}-{name}")
        assert (picture.status_code, picture.headers["content-type"]) == (200, kind)
        assert Image.open(io.BytesIO(picture.content)).size
    assert len(list(world.staff.photos.iterdir())) == 6
    assert world.visitor().get(f"/anh/{kept[0].code}-360.webp").status_code == 303
    assert sent(browser, photo()).status_code == 422, "the same once more"
    for name in ("..%2fregistry.db", "../registry.db", f"{kept[0].code}-99.jpg", "x"):
        assert browser.get(f"/anh/{name}").status_code == 404


@pytest.mark.parametrize(
    ("body", "facts", "status", "words"),
    [
        (b"", {}, 422, "Chưa chọn ảnh"),
        (b"MZ no photo", {}, 422, "không phải ảnh"),
        (photo(), {"tree": "7K3MQ2"}, 422, "ký tự kiểm tra"),
        (photo(), {"alt_vi": ""}, 422, "để trống"),
        (photo(), {"consents": "c99"}, 422, "không có trong bảng consent"),
        (b"\xff\xd8" + b"\x00" * PHOTO.size, {}, 413, "8,0 MB"),
        (b"\xff\xd8" + b"\x00" * LARGEST_PHOTO, {}, 413, "8,0 MB"),
    ],
)
def test_what_cannot_be_kept_leaves_nothing_behind(
    world: StaffWorld, body: bytes, facts: dict[str, str], status: int, words: str
) -> None:
    answer = sent(world.visitor("editor"), body, **facts)
    assert (answer.status_code, words in answer.text) == (status, True), answer.text
    assert world.shelf.rows("photo") == []
    assert not world.staff.photos.exists() or list(world.staff.photos.iterdir()) == []


def test_full_disk_keeps_no_half_photo(world: StaffWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def full(path: Path) -> None:
        written.append(path)
        if len(written) == 4:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "flush", full)
    answer = sent(world.visitor("editor"), photo())
    assert answer.status_code == 503
    assert "không ghi được" in answer.text
    assert list(world.staff.photos.iterdir()) == []
    assert world.shelf.rows("photo") == []
