"""A fire that somebody reports by the form: how soon the officer's letter is out, through kills, and beside a crowd.

Real processes, a real broker and a real SMTP server: what the form thanked for is in the book whatever was killed.
"""

from __future__ import annotations

import re
import sqlite3
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from cloud.alerts.journal import read_incidents
from cloud.reports.book import NAME
from cloud.reports.door import A_MINUTE
from cloud.reports.read import waiting
from tests.journeys.test_alerts import BOUND_S, FIRE, RULES
from tests.journeys.test_alerts_thousand import kill
from tests.journeys.test_disk import filled, small_disk
from tests.journeys.world import World
from tests.rules.garden import Post, serving
from tests.servers import free_port, until
from tests.test_reports import Reporter

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.journey, pytest.mark.timeout(400), pytest.mark.usefixtures("budget")]
BUDGET_S = 240
OUT_S = 10.0  # from the form to the officer's letter
A_SECOND, LONG_S = 20, 25  # reports a second of the crowd, for so long
PAGE_S = 1.0  # a tree's page beside the crowd


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Who sends a form wants to see where it leads."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


OPENED = urllib.request.build_opener(NoRedirect)


class Crowd:
    """People before the form of a real server."""

    def __init__(self, world: World) -> None:
        self.world, self.base = world, f"http://127.0.0.1:{world.http}"
        self.ticket = ""

    def form(self) -> None:
        """Open the form, and wait as long as typing takes."""
        page = urllib.request.urlopen(f"{self.base}/bao", timeout=30).read().decode()
        found = re.search(r'name="t" value="([^"]+)"', page)
        assert found
        self.ticket = found[1]
        until(lambda: self.send(kind="other", text="thử") != 422, 30.0, "the form is old enough")

    def send(self, network: str = "10.9.0.1", **fields: str) -> int:
        """Send a report; return the status, 0 where nobody answers."""
        body = urlencode({"t": self.ticket} | fields).encode()
        asked = urllib.request.Request(f"{self.base}/bao", body, {"X-Forwarded-For": network})
        try:
            return int(OPENED.open(asked, timeout=30).status)
        except urllib.error.HTTPError as answer:
            return answer.code
        except OSError:
            return 0

    def kept(self, kind: str = "fire") -> list[tuple[str, int]]:
        """Return (text, head) of each report in the book."""
        with suppress(sqlite3.Error), closing(sqlite3.connect(self.world.server / NAME, timeout=10)) as db:
            return db.execute("SELECT text, head FROM report WHERE kind = ?", (kind,)).fetchall()
        return []


@pytest.fixture
def post() -> Post:
    return Post(free_port())


def letters(post: Post) -> list[str]:
    return [str(mail["Subject"]) for who, mail in list(post.mails) if who == FIRE]


def test_the_letter_is_out_within_seconds_through_kills_and_beside_a_crowd(
    tmp_path: Path, post: Post, capsys: pytest.CaptureFixture[str]
) -> None:
    with World(tmp_path) as world, serving(post):
        world.write_devices(0.5, ("soil-1",), resend_s=1.0)
        world.write_cloud(RULES.format(port=post.port, persist_s=2))
        world.tell(pace=0.25)
        world.start()
        until(lambda: world.health().get("alerts", {}).get("listening"), BOUND_S, "alerts listen")
        crowd = Crowd(world)
        crowd.form()
        for path in ("/doi", "/doi.csv", "/khan-cap", "/khan-cap/h01"):
            assert world.ask(path)[0] == 200, path

        began = time.monotonic()
        assert crowd.send(kind="fire", hamlet="h01", text="khói gọi 0912345678") == 303
        kept_s = time.monotonic() - began
        until(lambda: letters(post), OUT_S, "the officer's letter")
        took_s = time.monotonic() - began
        assert "CHƯA XÁC NHẬN" in letters(post)[0]
        assert "0912345678" not in post.mails[0][1].as_string()

        # what was thanked for is told though the room of alerts, and the pages themselves, are killed
        assert kill(world, "alerts")
        assert crowd.send(kind="fire", hamlet="h03", text="cháy ở Pú Vá") == 303
        kill(world, "pages")
        until(lambda: len(letters(post)) >= 2, BOUND_S, "the letter of the second fire")
        assert len([one for one in letters(post) if "Pú Vá" in one]) == 1

        # a crowd, from many networks, of one fire; visitors of a tree do not notice
        until(lambda: world.ask("/bao")[0] == 200, BOUND_S, "the pages are back")
        crowd.form()
        slow: list[float] = []
        with ThreadPoolExecutor(40) as pool:
            sent = []
            start = time.monotonic()
            for n in range(A_SECOND * LONG_S):
                due_s = n / A_SECOND
                until(lambda: time.monotonic() - start >= due_s, 5.0, "the next of the crowd")  # noqa: B023 - at once
                told = {"kind": "fire", "hamlet": "h02", "text": f"đám cháy lớn, người {n}"}
                sent.append(pool.submit(crowd.send, f"10.{n % 200}.{n // 200}.1", **told))
                if n % A_SECOND == 0:
                    asked = time.monotonic()
                    assert world.ask("/T/7K3MQP")[0] == 200
                    slow.append(time.monotonic() - asked)
            statuses = [one.result() for one in sent]
        taken = statuses.count(303)
        assert set(statuses) == {303, 429}
        assert taken <= A_MINUTE["account"] * (1 + LONG_S / 60) + 20
        assert sum(text.startswith("đám cháy lớn") for text, _ in crowd.kept()) == taken, "who was thanked is kept"
        assert sorted(slow)[len(slow) * 9 // 10] <= PAGE_S
        until(lambda: any("Kể Cả" in one for one in letters(post)), BOUND_S, "the letter of the third fire")
        heads = [one for one in read_incidents(world.server / "alerts.db", 100) if one.rule == "report"]
        assert len(heads) == 3
        assert len([one for one in letters(post) if "Kể Cả" in one]) == 1
        with capsys.disabled():
            print(
                f"\na report is on the disk after {kept_s:.2f} s, the officer's letter out after {took_s:.2f} s; of"
                f" {len(statuses)} reports in {LONG_S} s {taken} taken, {statuses.count(429)} told to call; a tree's"
                f" page meanwhile {max(slow):.2f} s at most; one letter for all of them"
            )


def test_a_disk_that_is_full_is_said_with_the_numbers_to_call_and_loses_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small") as folder:
        person = Reporter(folder)
        ticket = person.ticket()
        person.clock.now_ms += 4_000
        assert person.send(kind="fire", text="trước", t=ticket).status_code == 303
        with filled(folder):
            refused = [person.send(kind="fire", text=f"đầy {n} " + "x" * 450, t=ticket) for n in range(10)]
        thanked = [one for one in refused if one.status_code == 303]  # what SQLite's log had room for
        lost = [one for one in refused if one.status_code == 503]
        assert lost
        assert len(thanked) + len(lost) == 10
        for one in lost:
            assert "tel:114" in one.text
            assert "CHƯA được nhận" in one.text
        assert "disk" in person.door.why
        assert person.send(kind="fire", text="sau", t=ticket).status_code == 303
        assert person.door.why == ""
        assert sum(one.n for one in waiting(folder / NAME, 99)) == 2 + len(thanked), "who was thanked is there"
        person.door.close()
        person.world.store.close()
