"""What people are told of danger: on paper, on the square, in words that can be read aloud."""

from __future__ import annotations

import re
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pypdfium2
import pytest

from cloud.danger import aloud
from cloud.danger.bulletin import bulletin, loudspeaker
from cloud.danger.daily import Daily
from cloud.danger.levels import Verdict, verdict
from cloud.danger.sheet import draw
from cloud.danger.told import load
from cloud.registry.fire import OfficialLevel
from gocche.__main__ import main
from settings.finding import ConfigError
from settings.words import words
from tests.danger.garden import FIRST, ZONE, Garden, at, table

if TYPE_CHECKING:
    from cloud.danger.course import Day

READ = {
    0: "không", 4: "bốn", 5: "năm", 10: "mười", 11: "mười một", 14: "mười bốn", 15: "mười lăm", 20: "hai mươi",
    21: "hai mươi mốt", 24: "hai mươi tư", 25: "hai mươi lăm", 101: "một trăm linh một", 110: "một trăm mười",
    115: "một trăm mười lăm", 1_000: "một nghìn", 1_005: "một nghìn không trăm linh năm",
    2_026: "hai nghìn không trăm hai mươi sáu", 3_671: "ba nghìn sáu trăm bảy mươi mốt", 10_000: "mười nghìn",
    15_004: "mười lăm nghìn không trăm linh bốn", 1_000_001: "một triệu không trăm linh một",
}  # fmt: skip


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> list[Day]:
    garden = Garden(tmp_path_factory.mktemp("garden"))
    garden.days_pass(12)
    found = garden.days()
    garden.close()
    return found


@pytest.mark.parametrize(("number", "words"), READ.items())
def test_numbers_are_read_as_people_read_them(number: int, words: str) -> None:
    assert aloud.number(number) == words


def test_decimals_days_and_frost_are_read_too() -> None:
    assert aloud.number(4.73, 1) == "bốn phẩy bảy"
    assert aloud.number(30.0, 1) == "ba mươi"
    assert aloud.number(-2.5, 1) == "âm hai phẩy năm"
    assert aloud.number(-0.01, 1) == "không"
    assert aloud.day(date(2026, 4, 5)) == "ngày mồng năm tháng tư năm hai nghìn không trăm hai mươi sáu"
    with pytest.raises(ValueError, match="more than is read aloud"):
        aloud.number(1e9)


def test_a_bulletin_has_the_parts_of_the_decision_in_both_languages(days: list[Day]) -> None:
    found = verdict(days[-1], table())
    assert found.level is not None
    for lang, parts in {
        "vi": ("Diễn biến đã qua", "Khu vực và loại rừng", "Cấp dự báo cháy rừng", "Thời gian", "Việc cần làm",
               "Người chịu trách nhiệm"),
        "en": ("Past course", "Area and forest", "Level of fire danger", "Time", "What to do", "Responsible"),
    }.items():  # fmt: skip
        made = bulletin(ZONE, days, found, load(), lang)
        assert tuple(heading for heading, _ in made.sections) == parts
        text = made.text()
        assert "0/2026/QĐ-THỬ" in text, "a level carries its law"
        assert ("01/01/2025" if lang == "vi" else "1 January 2025") in text
        assert found.level.roman in made.large


def test_without_a_table_a_bulletin_says_so_and_names_no_level(days: list[Day]) -> None:
    for lang, sentence in {"vi": "chưa có bảng cấp của tỉnh", "en": "no table of the province"}.items():
        made = bulletin(ZONE, days, Verdict(why="no_table"), load(), lang)
        said = loudspeaker(ZONE, days, Verdict(why="no_table"), load(), lang)
        assert made.large.startswith("P = ")
        assert sentence in made.text()
        assert sentence in said
        for text in (made.text(), said):
            assert not re.search(
                r"\b(?:[Cc]ấp|CẤP|[Ll]evel|LEVEL) (?:I|II|III|IV|V|một|hai|ba|bốn|năm|one|two)\b", text
            )


def test_what_a_loudspeaker_says_has_no_digit_and_the_level_twice(days: list[Day]) -> None:
    said = loudspeaker(ZONE, days, verdict(days[-1], table()), load(), "vi")
    assert not re.search(r"\d", said), said
    assert said.count("ấp bốn, nguy hiểm") == 2
    assert "quyết định" in said.lower()
    assert max(len(sentence.split()) for sentence in re.split(r"[.;:]\s", said)) <= 30


def test_a_page_of_a4_has_its_level_in_large_print_and_all_its_words(days: list[Day]) -> None:
    long = load()
    for found in (verdict(days[-1], table()), Verdict(why="no_table")):
        made = bulletin(ZONE, days, found, long, "vi")
        pdf = draw(made, found.level.number if found.level else None)
        assert pdf == draw(made, found.level.number if found.level else None), "the same bytes each time"
        document = pypdfium2.PdfDocument(pdf)
        assert len(document) == 1
        page = document[0]
        assert page.get_size() == pytest.approx((595.28, 841.89), abs=0.1)
        text = page.get_textpage()
        told = re.sub(r"\s+", " ", text.get_text_range())
        for sentence in (made.large, made.beside, made.foot[-1]):
            assert sentence in told
        at = text.search(made.large).get_next()
        assert at is not None
        left, bottom, right, top = text.get_charbox(at[0], loose=True)
        assert top - bottom >= 48, "points"
        assert right > left


def test_large_print_and_sign_never_overlap(days: list[Day]) -> None:
    after = msgspec.structs.replace(days[-1].after, p=123_456.0)
    dry = [msgspec.structs.replace(days[-1], after=after)]
    for lang in ("vi", "en"):
        for found in (verdict(days[-1], table()), Verdict(why="no_table")):
            made = bulletin(ZONE, dry, found, load(), lang)
            page = pypdfium2.PdfDocument(draw(made, None))[0]
            text = page.get_textpage()
            large, length = text.search(made.large).get_next()
            boxes = [text.get_charbox(large + n, loose=True) for n in range(length)]
            assert min(top - bottom for _, bottom, _, top in boxes) >= 48
            sign = [one.get_bounds() for one in page.get_objects() if one.type == pypdfium2.raw.FPDF_PAGEOBJ_PATH]
            assert max(right for _, _, right, _ in boxes) < min(left for left, *_ in sign)


def test_what_the_rangers_published_stands_beside_ours_with_its_source(days: list[Day]) -> None:
    facts = {"source": "Hạt kiểm lâm Văn Chấn 26/11", "valid_from": FIRST, "valid_to": FIRST + timedelta(20)}
    official = OfficialLevel(place="zone", code="z01", level="V", **facts)
    found = verdict(days[-1], table())
    text = bulletin(ZONE, days, found, load(), "vi", official).text()
    assert "Cấp IV – nguy hiểm. P = " in text
    assert "Cấp V – cực kỳ nguy hiểm, Hạt kiểm lâm Văn Chấn 26/11; từ ngày 02/02/2026 đến hết ngày 21/02/2026." in text
    assert load().level.V.vi[0] in text, "what to do is said for the higher of both"
    aloud_ = loudspeaker(ZONE, days, found, load(), "vi", official)
    assert "Kiểm lâm công bố: cấp năm, cực kỳ nguy hiểm." in aloud_
    assert "Văn Chấn ngày hai mươi sáu tháng mười một." in aloud_
    assert not re.search(r"\d", aloud_)
    without = bulletin(ZONE, days, Verdict(why="no_table"), load(), "vi", official)
    assert without.large.startswith("P = "), "theirs is never shown as ours"
    assert "Cấp V – cực kỳ" in without.text()


def test_words_of_the_garden_stand_in_for_ours(days: list[Day], tmp_path: Path) -> None:
    (tmp_path / "danger.toml").write_text(
        '[bulletin]\nresponsible_vi = "Trạm kiểm lâm Suối Giàng"\n'
        '[level.IV]\nvi = ["Chỉ việc này."]\n[forest.z01]\nvi = "rừng chè cổ thụ"\n',
        "utf-8",
    )
    told = load(tmp_path)
    text = bulletin(ZONE, days, verdict(days[-1], table()), told, "vi").text()
    assert "Trạm kiểm lâm Suối Giàng" in text
    assert "Khu một: rừng chè cổ thụ." in text
    assert "Chỉ việc này." in text
    assert load().level.IV.vi[0] not in text
    assert told.level.III.vi, "what is not named stays ours"


@pytest.mark.parametrize(
    ("wrong", "place"),
    [("[level.VI]\nvi = []", "VI"), ("[level.III]\nvi = 3", "vi"), ("[levels]", "levels"), ("[forest", "line 1")],
)
def test_a_mistake_in_these_words_is_told_with_its_place(wrong: str, place: str, tmp_path: Path) -> None:
    (tmp_path / "danger.toml").write_text(wrong, "utf-8")
    with pytest.raises(ConfigError) as refused:
        load(tmp_path)
    assert "danger.toml" in refused.value.told("vi")
    assert place in refused.value.told("en")


def test_stale_numbers_are_told_as_such(days: list[Day], tmp_path: Path) -> None:
    garden = Garden(tmp_path)
    garden.days_pass(3)
    garden.look(garden.clock.now_ms + 2 * 86_400_000)
    found = garden.days()
    garden.close()
    text = bulletin(ZONE, found, verdict(found[-1], None), load(), "vi").text()
    last = FIRST + timedelta(2)
    assert f"Số đo mới nhất là của ngày {last:%d/%m/%Y}" in text


def test_every_word_of_danger_is_there_in_both_languages() -> None:
    for part, rows in words("cloud.danger").items():
        for name, told in rows.items():
            assert told.keys() == {"vi", "en"}, (part, name)
            assert told["vi"] != told["en"] or name in {"forest", "place_only", "no_level", "line"}, (part, name)
            assert set(re.findall(r"{\w+}", told["vi"])) == set(re.findall(r"{\w+}", told["en"])), (part, name)


def test_a_server_is_not_started_with_words_that_it_cannot_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Path(__file__).parents[2] / "config"
    shutil.copytree(config, tmp_path / "config")
    (tmp_path / "config" / "garden" / "danger.toml").write_text("[level.VI]\n", "utf-8")
    asked = ["cloud", "--check", "--config", str(tmp_path / "config" / "cloud.toml"), "--data", str(tmp_path)]
    assert main(asked) == 2
    assert "danger.toml" in capsys.readouterr().err


def test_the_command_tells_each_zone_writes_bulletins_and_makes_numbers_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    garden = Garden(tmp_path)
    garden.days_pass(3)
    garden.close()
    config = Path(__file__).parents[2] / "config" / "cloud.toml"
    asked = ["danger", "--config", str(config), "--data", str(tmp_path)]
    assert main([*asked, "--bulletins", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "zone=z01 day=2026-02-04 p=1524 level=- why=no_table" in told
    assert "zone=z02 day=- why=unmeasured" in told
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == sorted(
        f"z01-2026-02-04.{lang}.{kind}" for lang in ("vi", "en") for kind in ("pdf", "txt", "loa.txt")
    )
    daily = Daily(tmp_path, tmp_path, garden, garden.clock)  # type: ignore[arg-type]
    garden.clock.now_ms = at(date(2026, 2, 4), 14.0)
    assert daily.look()
    daily.close()
    assert main([*asked, "--said", "2026-02-04"]) == 0
    told = capsys.readouterr().out
    assert "Khu một, ngày 04/02/2026, 14 giờ" in told
    assert "Zone one, 4 February 2026, at 14:00" in told
    for wrong, why in (("2026-02-05", "no bulletin of 2026-02-05"), ("4.2.", "4.2. is no day")):
        assert main([*asked, "--said", wrong]) == 2
        assert why in capsys.readouterr().err
    assert main([*asked, "--recompute"]) == 0
    assert "every number is the same" in capsys.readouterr().out
    assert main(["danger", "--config", str(config), "--data", str(tmp_path / "out")]) == 2
