"""The staff's pages in one process, over the sample garden: a registry, accounts, and somebody of each role."""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import re
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import httpx

from cloud.access.fleet import Fleet
from cloud.config import Coverage
from cloud.coverage.brought import Desk as Surveys
from cloud.registry.book import Book
from cloud.registry.kinds import Person
from cloud.registry.live import found
from cloud.registry.people import ACCESS
from cloud.rooms.staff import tag_advice
from cloud.serve.throttle import Throttle
from cloud.staff.app import build
from cloud.staff.aside.jobs import Jobs
from cloud.staff.duty.seen import Nobody
from cloud.staff.entrance.accounts import Accounts
from cloud.staff.shelf import Shelf
from cloud.staff.visit import Staff
from cloud.store import Retry, Sample
from tests.rules.garden import HandClock
from tests.visitors import GARDEN

URL = "http://127.0.0.1:8082"
TLS = "https://staff.goc.che.example"
PASSWORD = "một câu ngắn dễ nhớ"
ANDROID = "Mozilla/5.0 (Linux; Android 14) Chrome/130"
NOW_MS = 1_795_000_000_000


@cache
def _registry() -> Path:
    """Return the sample's registry with those five people, made once."""
    folder = Path(mkdtemp(prefix="gocche-staff-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    found(folder / "registry.db", GARDEN, HandClock(NOW_MS))
    with Book(folder / "registry.db", writer=True) as book, book.writing("test", "people", NOW_MS) as draft:
        draft.put([Person(code=role, name=f"Tên {role}", access=role) for role in ACCESS])
    return folder / "registry.db"


class NoStore:
    """A store that is out of reach."""

    def latest(self) -> list[Sample]:
        raise Retry("out of reach")


class StaffWorld:
    """A registry with five people, `viewer` to `admin`, each called by their role."""

    def __init__(
        self,
        folder: Path,
        url: str = URL,
        store: Any = None,
        public_url: str = "https://goc.che.example",
        ways: Any = (),
        duty: Any = None,
        clock: Any = None,
    ) -> None:
        self.folder, self.url, self.clock = folder, url, clock or HandClock(NOW_MS)
        self.loop = asyncio.new_event_loop()
        shutil.copy(_registry(), folder / "registry.db")
        self.shelf = Shelf(folder / "registry.db", self.clock)
        self.accounts = Accounts(folder / "staff.db", self.clock, self.shelf.shut_out_ms)
        self.today: Any = None
        self.alarms: list[Any] = []
        self.staff = Staff(
            self.accounts, self.shelf, Throttle(self.clock), self.clock, url, public_url,
            lambda: self.today,
            folder / "photos",
            store or NoStore(), Jobs(self.clock), lambda *_: self.alarms, tag_advice(public_url), ways,
            duty(self.shelf) if duty else Nobody(),
            Fleet(folder, Coverage(phone_host="mqtt.example.org"), self.clock),
            Surveys(folder, self.clock),
            folder / "reports.db",
        )  # fmt: skip
        self.app, self.gate = build(self.staff)

    def close(self) -> None:
        self.gate.close()
        self.shelf.close()
        self.accounts.close()
        self.loop.close()

    def visitor(self, role: str = "", address: str = "127.0.0.1", **headers: str) -> Browser:
        """Somebody's browser, signed in where a role is given."""
        return Browser(self, self.accounts.sign_in(role, ANDROID) if role else "", address, headers)


class Browser:
    """What a browser does: keeps cookies, says where a form came from, sends the token that stands in it."""

    def __init__(self, world: StaffWorld, secret: str, address: str, headers: dict[str, str]) -> None:
        transport = httpx.ASGITransport(world.app, raise_app_exceptions=False, client=(address, 50_000))
        self.client = httpx.AsyncClient(transport=transport, base_url=world.url, headers=headers)
        if secret:
            self.client.cookies.set(world.staff.cookie("session"), secret)
        self._secret, self._url, self._loop = secret, world.url, world.loop

    def ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        return self._loop.run_until_complete(self.client.request(method, path, **how))

    def get(self, path: str) -> httpx.Response:
        return self.ask("GET", path)

    def token(self, path: str) -> str:
        """Return the token of a page's form."""
        found = re.search(r'name="token" value="(\w{64})"', self.get(path).text)
        assert found, f"{path} has no form"
        return found[1]

    def post(self, path: str, _from: str = "", **fields: Any) -> httpx.Response:
        """Send a form; who is not signed in reads it before, at `_from` or at the path itself."""
        if "token" not in fields:
            signed_in = hashlib.sha256(b"form:" + self._secret.encode()).hexdigest()
            fields["token"] = signed_in if self._secret else self.token(_from or path)
        files = fields.pop("files", None)
        return self.ask("POST", path, data=fields, files=files, headers={"Origin": self._url})

    def sign_in(self, who: str, password: str = PASSWORD, **fields: str) -> httpx.Response:
        answer = self.post("/dang-nhap", who=who, password=password, **fields)
        self._secret = next((cookie.value or "" for cookie in self.client.cookies.jar if "session" in cookie.name), "")
        return answer
