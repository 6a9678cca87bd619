"""From staged smoke to the bell of the duty page, step by step, as who tries `make run` and `make drill` meets it.

`gocche up` runs as a user runs it, with the sample's garden; the duty page is open in Chromium, its bell armed by a
click. Each round is `gocche drill fire --stage smoke` as a process of its own. The steps are the journal's; the last
one is the page's own count of rings, looked at ten times a second. *Busy* is with two processes beside it that do
nothing but count, one for each core of a small machine.
"""

from __future__ import annotations

import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from bench import broker, process, report
from cloud.alerts import drilled
from tests.browser.test_visitor import ARGS, CHROMIUM
from tests.servers import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

NAME = "ring"
TITLE = "From staged smoke to the bell of the duty page"
LIMIT_S, ROUNDS, BUSY = 30.0, 5, 2
STEPS = ("first sample with smoke", "the one that completes the suspicion", "incident opened", "first letter out")
_RUNG = "Number(document.getElementById('bell').dataset.rung ?? 0)"
_ALL_S = 90.0


def run(*, quick: bool = False) -> str:
    """Return the table. Raises AssertionError where the bell does not ring at all."""
    if CHROMIUM is None:
        return "- Chromium absent (make servers): not measured"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-ring-")))
        link = stack.enter_context(_garden(folder))
        page = stack.enter_context(_duty_page(link))
        calm = [_round(page, folder / "data") for _ in range(1 if quick else ROUNDS)]
        with crowded():
            busy = [] if quick else [_round(page, folder / "data") for _ in range(ROUNDS)]
    head = (
        "seconds since smoke was staged",
        "median",
        "slowest",
        *(("busy: median", "slowest") if busy else ()),
        "limit",
    )
    return report.table(head, [_row(at, step, calm, busy) for at, step in enumerate((*STEPS, "the bell rings"))])


def _row(at: int, step: str, calm: list[list[float]], busy: list[list[float]]) -> list[str]:
    figures = [report.figure(of([took[at] for took in runs])) for runs in (calm, busy) if runs for of in (median, max)]
    return [step, *figures, f"{LIMIT_S:g}" if at == len(STEPS) else "–"]


@contextmanager
def _garden(folder: Path) -> Iterator[str]:
    """Run the sample's garden; give the link for the first administrator."""
    words = ["up", "--http", "127.0.0.1:0", "--staff", "127.0.0.1:0", "--data", str(folder / "data")]
    with (folder / "up.log").open("w", encoding="utf-8") as log:
        up = subprocess.Popen([*broker.GOCCHE, *words], stdout=subprocess.PIPE, stderr=log, text=True)
    assert up.stdout is not None
    try:
        yield next(found[0] for line in up.stdout if (found := re.search(r"http://\S+/moi/\S+", line)))
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(process.STOP_S)
        up.stdout.close()


@contextmanager
def _duty_page(link: str) -> Iterator[Page]:
    """Sign in by the link and arm the bell."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        page = browser.new_page(locale="vi-VN")
        page.goto(link)
        for field in ("password", "again"):
            page.fill(f"input[name={field}]", "một câu ngắn dễ nhớ")
        page.get_by_role("button", name="Bắt đầu").click()
        page.wait_for_selector("h1")
        page.goto(link.partition("/moi/")[0] + "/truc")
        page.click("#arm")
        yield page
        browser.close()


def _round(page: Page, data: Path) -> list[float]:
    """Drill once; return how long each step took, the bell's ring the last."""
    rung, before = page.evaluate(_RUNG), drilled.newest(data)
    words = ["drill", "fire", "--stage", "smoke", "--data", str(data)]
    with subprocess.Popen([*broker.GOCCHE, *words], stdout=subprocess.PIPE, text=True) as drill:
        assert drill.stdout is not None
        while "smoke is staged" not in (line := drill.stdout.readline()):
            assert line, "the drill ended"
        staged_s, staged_ms = time.monotonic(), time.time_ns() // 1_000_000
        while page.evaluate(_RUNG) == rung:
            assert time.monotonic() < staged_s + _ALL_S, "the bell does not ring"
            page.wait_for_timeout(100)
        rang_s = time.monotonic() - staged_s
        number = drilled.exercise_after(data, before)
        assert number
        until(lambda: drilled.course(data, number, staged_ms).told_s is not None, _ALL_S, "a letter is out")
        took = drilled.course(data, number, staged_ms)
        page.click(f"#ack-{number}")  # one tap answers it, and ends the drill
        select.select([drill.stdout], [], [], _ALL_S)
        drill.communicate(timeout=_ALL_S)
        assert drill.returncode == 0, "one tap has answered it"
    page.wait_for_function("!document.body.innerText.includes('DIỄN TẬP') || !document.querySelector('[id^=ack-]')")
    return [took.seen_s or 0.0, took.sure_s or 0.0, took.opened_s or 0.0, took.told_s or 0.0, rang_s]


@contextmanager
def crowded() -> Iterator[None]:
    """Keep cores busy while inside."""
    counting = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BUSY)]
    try:
        yield
    finally:
        for one in counting:
            one.kill()
            one.wait()
