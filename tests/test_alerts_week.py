"""The week of a commune: told on Monday at 7 to those who chose it, once, word for word as it is kept."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import h3.api.basic_int as h3
import msgspec
import pytest

from cloud.alerts.tell.reports import due
from cloud.alerts.week.written import kept_of
from cloud.clock import HANOI, HOUR_MS
from cloud.coverage.book import NAME
from cloud.coverage.rows import STEPS
from cloud.coverage.seam import Judged
from cloud.registry import Registry
from cloud.registry.kinds import Commune, Duty, Hamlet, Person, Province
from disk.form import opened_anew
from gocche.__main__ import main
from tests.rules.garden import DAY, SIGNAL, SILENT, Bench, HandClock, Post, batch, bound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUNDAY = round(datetime(2026, 11, 22, 6, 0, tzinfo=HANOI).timestamp() * 1000)
MONDAY = date(2026, 11, 23)
WEEK = "2026-W47"
HANG_TAY = (21.721, 104.002)


def garden(**people: str) -> Registry:
    """Return two communes with three hamlets, and people with the channels that they chose."""
    chosen = people or {"p1": "report:email", "p2": ""}
    places = {"h01": ("Háng Tày", "c01"), "h02": ("Kể Cả", "c01"), "h03": ("Xa Lắc", "c02")}
    ways = {code: {part.partition(":")[0]: ("email",)} if part else {} for code, part in chosen.items()}
    return Registry(
        {
            "province": [Province(code="v01", name="Lào Cai", valid_from=DAY)],
            "commune": [
                Commune(code="c01", name="xã Chế Tạo", province="v01", valid_from=DAY),
                Commune(code="c02", name="xã Púng Luông", province="v01", valid_from=DAY),
            ],
            "hamlet": [
                Hamlet(code=code, name=name, commune=commune, lat=HANG_TAY[0], lon=HANG_TAY[1], valid_from=DAY)
                for code, (name, commune) in places.items()
            ],
            "person": [
                Person(code=code, name=f"Người {code}", roles=("telecom",), email=f"{code}@example.vn", ways=ways[code])
                for code in chosen
            ],
            "duty": [Duty(person="p1", commune="c01", rung="commune", valid_from=DAY)],
            "binding": [bound("sg-01", "modem-1", "hamlet", "h01")],
        }
    )


class Week(Bench):
    def say(self, code: float, minutes: float = 1.0, radio: float = 3.0) -> None:
        """Let the modem speak each minute for so long."""
        for _ in range(round(minutes)):
            self.clock.advance(60)
            for quantity, value in (("registration", code), ("radio", radio)):
                made = batch(self.seq, [(self.clock.utc_ms(), value)], quantity=quantity, channel="modem-1")
                self.seq += 1
                self.alerts.offer(made, self.clock.utc_ms())
            self.step()

    def at_hour(self, day: int, hour: int, minute: int = 0) -> None:
        """Go to a time of November 2026."""
        at = datetime(2026, 11, day, hour, minute, tzinfo=HANOI).timestamp()
        self.alerts.listening(False)  # nobody is called silent for what nobody listened to
        self.clock.advance(at - self.clock.utc_ms() / 1000)
        self.alerts.listening(True)
        self.alerts._progress.urge()
        self.step()

    @property
    def reports(self) -> list[str]:
        assert self.post is not None
        return [str(mail["Subject"]) for _, mail in self.post.mails if "Sóng tuần" in str(mail["Subject"])]

    post: Post | None = None


def opened(folder: Path, post: Post, **more: Any) -> Week:
    made = Week(folder, [SIGNAL, SILENT], post.port, **({"registry": garden(), "clock": HandClock(SUNDAY)} | more))
    made.post = post
    made.alerts.listening(True)
    made.step()
    return made


@pytest.fixture
def week(tmp_path: Path, post: Post) -> Iterator[Week]:
    made = opened(tmp_path, post)
    yield made
    made.close()


def test_on_monday_at_seven_who_chose_it_is_told_the_week_once(week: Week, post: Post) -> None:
    week.say(1, 5)
    week.say(2, 90)
    week.say(1, 10)
    week.at_hour(23, 6, 59)
    assert week.reports == []
    week.at_hour(23, 7, 1)
    assert len(week.reports) == 1
    (to, mail) = next((to, mail) for to, mail in post.mails if "Sóng tuần" in str(mail["Subject"]))
    assert to == "p1@example.vn"
    assert str(mail["Subject"]) == ("[gocche] Sóng tuần 2026-W47, xã Chế Tạo: mọi thôn có máy đo đều có sóng")
    said = mail.get_content()
    assert "tuần 2026-W47 (16/11–22/11/2026)" in said
    assert "- Háng Tày: có sóng (4G); trong tuần mất sóng 1,5 giờ" in said
    assert "- Kể Cả: chưa có máy đo" in said
    assert "CÓ SÓNG NHƯNG MÁY ĐO Ở THÔN KHÔNG DÙNG 5G: Háng Tày" in said
    assert "SỰ VIỆC TRONG TUẦN: 1" in said
    assert "BẢN ĐỒ ĐO SÓNG: chưa có số đo nào của các đội." in said
    assert "1.5 hours without service in the week" in said
    assert "Xa Lắc" not in said, "they are on duty in another commune"
    assert said.index("CÁC THÔN") < said.index("HAMLETS")
    week.idle(3_600, 60)
    week.restart()
    week.alerts.listening(True)
    week.idle(600, 60)
    assert len(week.reports) == 1
    week.at_hour(30, 7, 1)
    assert len(week.reports) == 2


def test_who_is_on_duty_nowhere_is_told_of_all_communes(tmp_path: Path, post: Post) -> None:
    week = opened(tmp_path, post, registry=garden(p9="report:email"))
    week.at_hour(23, 7, 1)
    assert week.reports == ["[gocche] Sóng tuần 2026-W47: 2 xã"]
    assert "Xa Lắc" in post.mails[-1][1].get_content()
    week.close()


def test_a_server_that_was_off_on_monday_tells_it_when_it_is_back_and_nothing_of_before_its_first_week(
    week: Week, tmp_path: Path
) -> None:
    week.at_hour(26, 15)
    assert len(week.reports) == 1
    with sqlite3.connect(tmp_path / "alerts.db") as db:
        assert [row[0] for row in db.execute("SELECT DISTINCT week FROM report")] == [WEEK]


def test_a_clock_that_goes_back_or_was_ahead_tells_no_week_twice_and_hides_none(week: Week) -> None:
    week.at_hour(23, 8)
    assert len(week.reports) == 1
    week.clock.step(-9 * 86_400)
    week.idle(1_800, 60)
    week.clock.step(9 * 86_400)
    week.idle(1_800, 60)
    assert len(week.reports) == 1
    week.clock.step(400 * 86_400)  # a year ahead for a day
    week.idle(3_600, 600)
    assert len(week.reports) == 2
    week.clock.step(-400 * 86_400)
    week.idle(3 * 3_600, 600)
    assert len(week.reports) == 2
    week.at_hour(30, 7, 1)
    assert len(week.reports) == 3, "the next Monday is told as ever"


def test_whoever_dies_while_it_is_made_finds_all_of_it_or_none(
    week: Week, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from cloud.alerts.tell import outbox

    put, left = outbox.Outbox.put, [1]

    def dies(self: outbox.Outbox, *args: Any) -> int:
        if left:
            left.pop()
            raise OSError("killed in between")
        return put(self, *args)

    monkeypatch.setattr(outbox.Outbox, "put", dies)
    with pytest.raises(OSError, match="killed"):
        week.at_hour(23, 7, 1)
    with sqlite3.connect(tmp_path / "alerts.db") as db:
        kept = db.execute("SELECT count(*) FROM report").fetchone()[0]
    assert (kept, week.reports) == (0, [])
    week.idle(60)
    assert len(week.reports) == 1


def test_the_words_are_kept_and_the_command_prints_them(
    week: Week, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    week.say(1, 3)
    week.at_hour(23, 7, 1)
    with sqlite3.connect(tmp_path / "alerts.db") as db:
        (first, second) = kept_of(db, WEEK, [])
    assert (first.week.commune, second.week.commune) == ("c01", "c02")
    assert first.vi.text in week.post.mails[-1][1].get_content().replace("\r", "") if week.post else False
    assert len(first.vi.sms) < 160


def test_a_map_that_is_damaged_is_said_and_the_report_goes_all_the_same(week: Week, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"SQLite format 3\x00" + b"\xff" * 4_096)
    week.at_hour(23, 7, 1)
    assert week.post is not None
    said = week.post.mails[-1][1].get_content()
    assert "BẢN ĐỒ ĐO SÓNG: không đọc được" in said
    assert "MAP: it cannot be read" in said
    assert "- Háng Tày" in said


def test_what_the_map_lost_since_last_month_is_named_with_where_to_walk_next(week: Week, tmp_path: Path) -> None:
    opened_anew(tmp_path / NAME, STEPS).close()
    cell = h3.latlng_to_cell(*HANG_TAY, 8)
    near = [one for one in h3.grid_disk(cell, 1) if one != cell]
    sunday = SUNDAY + HOUR_MS
    now = [Judged(cell, "none", 5, 2, sunday), Judged(near[0], "good", 9, 2, sunday, -90.0)]
    old = [Judged(cell, "good", 9, 2, sunday - 30 * 24 * HOUR_MS), Judged(near[0], "none", 4, 1, sunday)]
    with sqlite3.connect(tmp_path / NAME) as db:
        fast = [Judged(cell, "none", 5, 2, sunday), Judged(near[0], "served", 9, 2, sunday)]
        db.execute("INSERT INTO kept (name, value) VALUES ('invented', 1)")
        for layer, month, cells in (("phone", 0, now), ("phone", 202610, old), ("5g", 0, fast)):
            row = (layer, 0, month, 8, sunday, msgspec.msgpack.encode(cells))
            db.execute("INSERT INTO sheet (layer, plmn, month, res, made_ms, cells) VALUES (?, ?, ?, ?, ?, ?)", row)
    week.at_hour(23, 7, 1)
    assert week.post is not None
    said = week.post.mails[-1][1].get_content()
    assert "2 ô được đo trong tuần" in said
    assert "MẤT SÓNG 1 ô: Háng Tày" in said
    assert "có sóng thêm 1 ô: Háng Tày" in said
    assert "NÊN ĐI ĐO TIẾP" in said
    assert "chưa có 5G: 1 ô; có 5G: 1 ô" in said
    assert "SỐ MẪU: bản đồ này do máy bịa ra" in said, "an invented survey says so in the letter, too"


def test_it_is_due_on_monday_at_seven_in_vietnam() -> None:
    seven = round(datetime(2026, 11, 23, 7, 0, tzinfo=HANOI).timestamp() * 1000)
    assert (due(seven - 1), due(seven), due(seven + 6 * 86_400_000)) == (date(2026, 11, 16), MONDAY, MONDAY)


def test_the_command_says_what_it_needs_and_shows_a_week_that_was_not_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], post: Post
) -> None:
    (tmp_path / "cloud.toml").write_text(f'[data]\npath = "{tmp_path}"\n[garden]\npath = "garden"\n', encoding="utf-8")
    shutil.copytree("config/garden", tmp_path / "garden")
    assert main(["coverage", "report", "--config", str(tmp_path / "cloud.toml")]) == 2
    assert "alerts.db" in capsys.readouterr().err
    opened(tmp_path, post).close()
    assert main(["coverage", "report", "--config", str(tmp_path / "cloud.toml"), "--commune", "c99"]) == 2
    assert "c99" in capsys.readouterr().err
    assert main(["coverage", "report", "--config", str(tmp_path / "cloud.toml"), "--week", "2026-W47"]) == 0
    said = capsys.readouterr().out
    assert "chưa gửi cho ai" in said
    assert "Háng Tày" in said
    assert main(["coverage", "report", "--config", str(tmp_path / "cloud.toml"), "--week", "2026-W60"]) == 2
