"""Tags: minted once, drawn as large as they are read, and read back by two decoders that know nothing of each other."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pypdfium2
import pytest
import zxingcpp
from PIL import Image, ImageDraw, ImageFilter

from cloud.labels import BadLabel
from cloud.labels.address import address, advice
from cloud.labels.plate import Plate, svg
from cloud.labels.sheet import A4, Form, draw
from cloud.labels.symbol import Symbol
from cloud.labels.verify import verify
from cloud.registry import codes
from cloud.registry.book import Book
from cloud.registry.mint import mint
from gocche.__main__ import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ROOT = Path(__file__).parents[1]
URL = "https://goc.che.vn"
LINES = "Quét để biết chuyện của cây", "Scan for this tree's story"
MANY = 240
FEW = 24  # two pages, beside all other tests
SEED = 20261126
BUDGET_S = 90


def sheet(path: Path, many: int) -> list[str]:
    """Draw that many labels at `path`; return their codes."""
    dice = random.Random(SEED)
    fives = ["".join(dice.choices(codes.ALPHABET, k=5)) for _ in range(many)]
    tags = [five + codes.check_char(five) for five in fives]
    assert draw(path, tags, URL, LINES, Form()) == many // 12
    return tags


def test_what_is_minted_is_new_and_right() -> None:
    with Book(None, writer=True) as book:
        first = mint(book, 50, "a", date(2026, 11, 26), who="lan", at_ms=1)
        second = mint(book, 50, "b", date(2026, 11, 26), who="lan", at_ms=2)
        tags = [tag.code for tag in first + second]
        assert len(set(tags)) == 100
        assert all(codes.normalise(code) == code for code in tags)
        assert [act.changes for act in book.acts(9)] == [50, 50]


def test_every_label_of_a_sheet_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "sheet.pdf"
    tags = sheet(path, FEW)
    found = verify(path, URL)
    assert (sorted(found.codes), found.foreign, found.twice) == (sorted(tags), [], [])
    elsewhere = verify(path, "https://other.vn")
    assert elsewhere.codes == []
    assert len(elsewhere.foreign) == FEW


@pytest.mark.journey
def test_two_decoders_read_all_and_one_those_that_are_spoilt(tmp_path: Path) -> None:
    """Printed at 150 dpi: 9 pixels a module. Blurred by 3 pixels, tilted by 8°, with 1 % of the label under specks."""
    if shutil.which("zbarimg") is None:
        pytest.fail("zbarimg is not here: make servers (Debian's zbar-tools)")
    path = tmp_path / "sheet.pdf"
    tags = sheet(path, MANY)
    began, dice = time.monotonic(), random.Random(SEED)
    labels = list(cut(path))
    read = {"zxing": by_zxing(labels), "zbar": by_zbar(labels, tmp_path)}
    for what, spoil in SPOILS.items():
        spoilt = [spoil(label, dice) for label in labels]
        read[what] = by_zxing(spoilt) | by_zbar(spoilt, tmp_path)
    print({what: len(texts) for what, texts in read.items()}, f"of {MANY}, seed {SEED}")
    print(f"labels: {time.monotonic() - began:.0f} s of a budget of {BUDGET_S} s")
    wanted = {address(URL, code) for code in tags}
    assert {what: sorted(wanted - texts) for what, texts in read.items()} == {key: [] for key in read}


def cut(path: Path) -> Iterator[Image.Image]:
    """Yield each label of a sheet, as scissors would leave it."""
    form, scale = Form(), 150 / 25.4
    width, height = form.cell
    document = pypdfium2.PdfDocument(path)
    for page in document:
        picture = page.render(scale=150 / 72, grayscale=True).to_pil()
        for cell in range(form.across * form.down):
            left = form.margin + cell % form.across * width
            top = form.margin + cell // form.across * height
            yield picture.crop(tuple(round(scale * mm) for mm in (left, top, left + width, top + height)))
    document.close()


def by_zxing(pictures: Iterable[Image.Image]) -> set[str]:
    return {symbol.text for picture in pictures for symbol in zxingcpp.read_barcodes(picture)}


def by_zbar(pictures: Iterable[Image.Image], folder: Path) -> set[str]:
    files = [folder / f"{number}.png" for number, _ in enumerate(pictures)]
    for picture, file in zip(pictures, files, strict=True):
        picture.save(file)
    words = ["zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", *map(str, files)]
    told = subprocess.run(words, check=False, capture_output=True, text=True)  # 4: one of them was not read
    return set(told.stdout.split())


def dirty(picture: Image.Image, dice: random.Random) -> Image.Image:
    """Lay specks of half a module to a module over 1 % of a label: moss, resin, bird lime."""
    spoilt = picture.copy()
    brush, area = ImageDraw.Draw(spoilt), 0.01 * picture.width * picture.height
    while area > 0:
        size = dice.uniform(4, 10)
        x, y, grey = dice.uniform(0, picture.width), dice.uniform(0, picture.height), dice.choice((0, 90, 255))
        brush.ellipse((x, y, x + size, y + size), fill=grey)
        area -= 0.785 * size * size
    return spoilt


SPOILS: dict[str, Callable[[Image.Image, random.Random], Image.Image]] = {
    "blurred": lambda picture, _: picture.filter(ImageFilter.GaussianBlur(3)),
    "tilted": lambda picture, dice: picture.rotate(dice.choice((-8, 8)), Image.Resampling.BILINEAR, fillcolor=255),
    "dirty": dirty,
}


def test_a_sheet_that_was_begun_goes_on_and_a_label_printer_has_a_page_each(tmp_path: Path) -> None:
    tags = ["7K3MQP", "4TN8WJ", "9XJ6DC"]
    for form, skip, pages in ((Form(), 11, 2), (Form((60, 70), 1, 1, 40, margin=0.0), 0, 3)):
        path = tmp_path / "l.pdf"
        assert draw(path, tags, URL, LINES, form, skip=skip) == pages
        document = pypdfium2.PdfDocument(path)
        assert len(document) == pages
        text = "".join(page.get_textpage().get_text_range() for page in document)
        document.close()
        assert all(codes.shown(code) in text for code in tags)
        assert text.count(LINES[0]) == 3, "Vietnamese stands there as text"
        assert sorted(verify(path, URL).codes) == sorted(tags)


@pytest.mark.parametrize("background", [False, True])
def test_a_plate_for_the_engraver_is_dark_on_light_whatever_is_engraved(background: bool) -> None:
    symbol = Symbol(address(URL, "7K3MQP"))
    drawn = svg("7K3MQP", symbol, LINES, Plate(background=background))
    assert 'width="60mm" height="80mm"' in drawn
    [path] = re.findall(r'<g id="engrave"><path fill-rule="evenodd" d="([^"]*)"', drawn)
    picture = Image.new("L", (600, 800), 0 if background else 255)
    engraved = Image.new("1", picture.size, 0)
    for box in re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)v([\d.]+)", path):
        left, top, width, height = (10 * float(text) for text in box)
        one = Image.new("1", picture.size, 0)
        ImageDraw.Draw(one).rectangle((left, top, left + width - 1, top + height - 1), fill=1)
        engraved = Image.composite(engraved.point(lambda on: not on), engraved, one)  # even-odd
    picture.paste(255 if background else 0, mask=engraved)
    assert by_zxing([picture]) == {symbol.url}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Form(symbol_mm=29.9), "too small, at least 30 mm"),
        (lambda: Form(A4, 5, 9), "too small; it needs"),
        (lambda: Plate(40, 50), "too small; it needs"),
        (lambda: Symbol("HTTPS://GOC.CHE.VN/T/7K3MQ2?A=1"), "has = ?"),
        (lambda: Symbol("HTTPS://" + "A" * 40), "at most 47"),
        (lambda: address("goc.che.vn", "7K3MQP"), "no public address"),
        (lambda: verify(ROOT / "README.md", URL), "neither a PDF nor a picture"),
        (lambda: draw(Path("x"), [], URL, LINES, Form(), font="/nowhere.ttf"), "none of these fonts"),
    ],
)
def test_a_tag_that_nobody_could_read_is_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(BadLabel, match=re.escape(words)):
        make()


def test_sizes_of_symbols_are_those_of_the_standard() -> None:
    assert [len(Symbol("A" * n).modules) for n in (29, 30, 47)] == [25, 29, 29]
    assert [advice("A" * n) is not None for n in (29, 30, 47, 48)] == [False, True, True, False]


def test_as_it_is_typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--config", str(ROOT / "config" / "cloud.toml"), "--data", str(tmp_path)]

    def run(*words: str) -> tuple[int, str]:
        status = main([*words, *where])
        told = capsys.readouterr()
        return status, told.out + told.err

    assert run("labels", "mint", "3")[0] == 2, "there is no registry yet"
    assert run("registry", "import", str(ROOT / "config" / "garden"))[0] == 0
    minted = run("labels", "mint", "5", "--batch", "b1")[1].split()
    sheet = str(tmp_path / "s.pdf")
    assert run("labels", "sheet", sheet, "--batch", "b1")[0] == 2, "the sample has no public address"
    assert run("labels", "sheet", sheet, "--batch", "b1", "--url", URL)[0] == 0
    with Book(tmp_path / "registry.db", writer=False) as book:
        assert {getattr(tag, "state", "") for tag in book.rows("tag")} == {"printed"}
    assert run("labels", "verify", sheet, "--batch", "b1", "--url", URL)[0] == 0
    assert run("labels", "sheet", sheet, minted[0], "7k3-mqp", "--url", URL)[0] == 0
    status, told = run("labels", "verify", sheet, "--batch", "b1", "--url", URL)
    assert status == 1
    assert "not read: " in told
    assert "2 codes read, 2 of them in the registry" in told
    status, told = run("labels", "plates", str(tmp_path / "p"), minted[1], "--url", "https://a-long-host.example.vn")
    assert status == 0
    assert "29 modules" in told
    assert len(list((tmp_path / "p").glob("*.svg"))) == 1
    zone = str(tmp_path / "z.pdf")
    assert run("labels", "sheet", zone, "--zone", "z02", "--url", URL)[0] == 0
    assert set(verify(Path(zone), URL).codes) == {"9XJ6DC", "EQ5R7X"}, "the zone's trees, each its own code"
    assert run("labels", "verify", zone, "--zone", "z02", "--url", URL)[0] == 0
    assert "zones that have are z01, z02" in run("labels", "sheet", zone, "--zone", "z09", "--url", URL)[1]
    assert run("labels", "sheet", zone, "--zone", "z02", "--batch", "b1", "--url", URL)[0] == 2
    for words in (["--batch", "b9"], ["ZZZZZZ"], ["--batch", "b1", "--grid", "3by4"]):
        assert run("labels", "sheet", sheet, *words, "--url", URL)[0] == 2
