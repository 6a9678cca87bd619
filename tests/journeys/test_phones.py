"""A team's telephones, from the printed page to the book: Mosquitto as docs/install.md has it, `gocche cloud` as it is.

What a telephone knows is what its camera reads. A room that is killed hears again; who is revoked is heard no more from
that moment on, though the broker still lets it through, and is put out by the reload; nobody else notices.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pypdfium2 as pdfium
import pytest
import zxingcpp

from bench import process
from cloud.access import mosquitto
from cloud.coverage.book import NAME as SAMPLES
from cloud.coverage.book import Book as Samples
from cloud.registry.live import found
from tests import sentinels, servers
from tests.conftest import need
from tests.rules.garden import HandClock
from tests.test_access import Client
from tests.test_docs import Guarded
from tests.visitors import GARDEN
from wire import topics

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.journey, pytest.mark.timeout(240), pytest.mark.mosquitto]
BUDGET_S = 90
ROOT = Path(__file__).parents[2]
SAMPLE = (ROOT / "config" / "cloud.toml").read_text("utf-8")


class Site:
    """A server's folder, its broker and its processes."""

    def __init__(self, folder: Path, broker: Guarded) -> None:
        self.folder, self.broker, self.desk = folder, broker, servers.free_port()
        self.config = folder / "cloud.toml"
        keys = {"ca_file": "ca.pem", "cert_file": "gocche-cloud.pem", "key_file": "gocche-cloud.key"}
        tables = [
            f'[data]\npath = "{folder}"\n[broker]\nport = {broker.port}',
            *(f'{key} = "{broker.folder / name}"' for key, name in keys.items()),
            f"[http]\nport = {servers.free_port()}\n[staff]\nport = 0\n[health]\nport = {self.desk}",
            f'[garden]\npath = "{GARDEN}"\n[coverage]\nphone_host = "127.0.0.1"\nphone_port = {broker.phones}',
            SAMPLE[SAMPLE.index("[[rule]]") :],
        ]
        self.config.write_text("\n".join(tables), encoding="utf-8")
        self.log = folder / "cloud.log"

    def __enter__(self) -> Site:  # noqa: PYI034 - nobody inherits from it
        with self.log.open("w", encoding="utf-8") as log:
            command = [sys.executable, "-m", "gocche", "cloud", "--config", str(self.config)]
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT)
        servers.until(self.hears, 60, "the coverage room hears")
        return self

    def __exit__(self, *_: object) -> None:
        self.child.send_signal(signal.SIGTERM)
        self.child.wait(30)

    def hears(self) -> bool:
        try:
            told = json.loads(servers.ask(f"http://127.0.0.1:{self.desk}/healthz")[1])
        except OSError:
            return False
        return told.get("coverage", {}).get("why") == ""

    def gocche(self, *words: str) -> str:
        command = [sys.executable, "-m", "gocche", *words, "--config", str(self.config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, check=True)
        return done.stdout + done.stderr

    def reload(self) -> None:
        self.gocche("access", "write", str(self.broker.folder))
        os.kill(self.broker.pid, signal.SIGHUP)

    def kept(self, pci: int) -> int:
        """Return how many samples there are of the telephone whose cell this is."""
        with closing(Samples(self.folder / SAMPLES)) as book:
            return sum(one.lte is not None and one.lte.pci == pci for one in book.samples(0, 1 << 50))


class Telephone(Client):
    """What the app does with what its camera read."""

    def __init__(self, setup: dict[str, Any], ca: Path, pci: int) -> None:
        super().__init__(setup["mqtt_port"], setup["mqtt_username"], setup["mqtt_password"], ca)
        self.prefix, self.pci, self.moments = setup["mqtt_topic_prefix"], pci, 0

    def walk(self) -> None:
        """Tell the next moment, a place further on."""
        self.moments += 1
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        place = sentinels.PLACE | {"latitude": 21.6 + self.moments / 10_000, "longitude": 104.5 + self.pci / 10_000}
        own = {"groupNumber": self.moments, "deviceTime": now, **place, "deviceSerialNumber": f"{sentinels.SERIAL}"}
        self.say(f"{self.prefix}lte_message", sentinels.message("LteRecord", **sentinels.LTE | own | {"pci": self.pci}))
        self.say(f"{self.prefix}gnss_message", sentinels.message("GnssRecord", **own))


def read(pdf: Path) -> list[dict[str, Any]]:
    document = pdfium.PdfDocument(pdf)
    try:
        return [json.loads(zxingcpp.read_barcodes(page.render(scale=2).to_pil())[0].text) for page in document]
    finally:
        document.close()


def test_from_the_printed_page_to_the_book_and_out_again(tmp_path: Path) -> None:
    need(servers.MOSQUITTO)
    began = time.monotonic()
    data = tmp_path / "data"
    data.mkdir()
    found(data / "registry.db", GARDEN, HandClock(sentinels.NOW_MS))
    with Guarded(tmp_path / "broker") as broker, Site(data, broker) as site, ExitStack() as held:
        assert (broker.folder / mosquitto.PASSWORDS).read_text() == ""
        page = tmp_path / "page.pdf"
        said = site.gocche("coverage", "invite", "--team", "Háng Tày", "--phones", "2", "--file", str(page))
        said += site.gocche("coverage", "invite", "--team", "Kể Cả", "--file", str(tmp_path / "other.pdf"))
        setups = [*read(page), *read(tmp_path / "other.pdf")]
        site.reload()
        lost, kept, other = (
            held.enter_context(Telephone(setup, broker.folder / "ca.pem", 101 + number))
            for number, setup in enumerate(setups)
        )
        assert [one.codes for one in (lost, kept, other)] == [["Success"]] * 3

        def walk_until(condition: Callable[[], object], words: str, *who: Telephone) -> None:
            def step() -> object:
                for one in who:
                    one.walk()
                return condition()

            servers.until(step, 40, words)

        walk_until(lambda: min(map(site.kept, (101, 102, 103))) >= 3, "each is heard", lost, kept, other)

        room = next(pid for pid in process.tree(site.child.pid) if "coverage" in process.words(pid))
        os.kill(room, signal.SIGKILL)
        before = site.kept(102)
        walk_until(lambda: site.kept(102) >= before + 3, "a new room hears", lost, kept)

        site.gocche("coverage", "revoke", setups[0]["mqtt_username"])
        at_most, before = site.kept(101), site.kept(102)
        told = lost.moments
        walk_until(lambda: site.kept(102) >= before + 5, "who is not revoked goes on", lost, kept)
        assert lost.moments - told >= 3, "the broker still takes what the revoked one says"
        assert site.kept(101) - at_most <= told - at_most, "and the room does not"
        site.reload()
        servers.until(lambda: "Not authorized" in lost.codes, 20, "the broker puts it out")
        assert (kept.lost, other.lost) == (0, 0)

        listed = {line.split("\t")[0]: line.split("\t") for line in site.gocche("coverage", "teams").splitlines()}
        assert listed[setups[0]["mqtt_username"]][2].startswith("revoked")
        assert listed[setups[1]["mqtt_username"]][2].startswith("holds")
        with Client(
            broker.phones, setups[1]["mqtt_username"], setups[1]["mqtt_password"], broker.folder / "ca.pem"
        ) as thief:
            thief.hear("#")
            thief.say(topics.up("sg-01"), b"forged")
            thief.say(f"{setups[2]['mqtt_topic_prefix']}lte_message", b"forged")
            assert thief.got == []
        log = site.log.read_text("utf-8")
    assert sentinels.leaks(data, log, broker.log, said) == []
    for setup in setups:
        secret = setup["mqtt_password"].encode()
        assert secret not in f"{log}{broker.log}{said}".encode()
        assert [file for file in data.rglob("*") if file.is_file() and secret in file.read_bytes()] == []
    after = json.dumps({pci: site.kept(pci) for pci in (101, 102, 103)})
    print(f"\ntelephones: samples kept by cell {after}; {time.monotonic() - began:.0f} s of {BUDGET_S} s", end="")
