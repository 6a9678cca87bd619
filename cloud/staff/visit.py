"""One request, once it is known who asks: what handlers are given, and how they answer."""

from __future__ import annotations

import hashlib
import hmac
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from cloud import serve
from cloud.staff.entrance.access import MATRIX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jinja2 import Environment

    from cloud.access.fleet import Fleet
    from cloud.clock import Clock
    from cloud.coverage.brought import Desk as Surveys
    from cloud.registry.kinds import Person
    from cloud.serve.throttle import Throttle
    from cloud.staff.aside.jobs import Jobs
    from cloud.staff.day.today import Today
    from cloud.staff.duty.seen import Desk
    from cloud.staff.entrance.accounts import Accounts, Session
    from cloud.staff.incidents import Suspicion
    from cloud.staff.shelf import Shelf
    from cloud.staff.words import Speaker
    from cloud.store import History
    from settings.words import Sentence

DONE = (
    "saved", "removed", "erased", "undone", "imported", "back", "shown", "draft", "review", "published", "password",
    "rests", "works", "minted", "acted", "asked", "revoked", "judged",
)  # fmt: skip
LONGEST_NAME = 60  # characters
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Staff:
    """What the room has: everything that a handler may ask. `url` is the one origin that its forms come from."""

    accounts: Accounts
    shelf: Shelf
    throttle: Throttle
    clock: Clock
    url: str
    public_url: str
    today: Callable[[], Today | None]
    photos: Path
    store: History
    jobs: Jobs
    alarms: Callable[[int, int], list[Suspicion]]
    advice: Sentence | None  # of the address that tags say
    ways: Sequence[tuple[str, str]]  # name and kind of each channel by which people are told
    duty: Desk
    fleet: Fleet
    surveys: Surveys
    reports: Path | None = None  # the book of what people report

    @property
    def safe(self) -> bool:
        """Return whether browsers reach us by TLS."""
        return self.url.startswith("https://")

    def cookie(self, name: str) -> str:
        """Return what a cookie of ours is called: with TLS no other host can set it for us."""
        return f"__Host-gocche-{name}" if self.safe else f"gocche-{name}"


@dataclass(frozen=True)
class Upload:
    """A file that somebody sent: its `body`, or on a way that is `spooled` the `file` on the disk, to be closed."""

    name: str
    body: bytes
    file: BinaryIO | None = None


@dataclass
class Visit:
    """One request. `secret` is the session's, or of the visitor at the door who has none yet."""

    staff: Staff
    way: str
    chapter: str
    path: str
    query: list[tuple[str, str]]
    network: str
    agent: str
    secret: str
    s: Speaker
    person: Person | None = None
    session: Session | None = None
    form: dict[str, list[str]] = field(default_factory=dict)
    upload: Upload | None = None
    body: bytes = b""  # of what a machine posts
    headers: dict[str, str] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)

    @property
    def somebody(self) -> Person:
        """Return who is signed in; only where a way needs it."""
        assert self.person is not None, "the gate lets nobody else in"
        return self.person

    @property
    def who(self) -> str:
        """Return who acts, as the registry keeps it."""
        return f"{self.somebody.name} ({self.somebody.code})"

    @property
    def token(self) -> str:
        """Return what every form must carry."""
        return hashlib.sha256(b"form:" + self.secret.encode()).hexdigest()

    def proves(self, token: str) -> bool:
        """Tell whether a form is one of ours, made for this visitor."""
        return bool(self.secret) and hmac.compare_digest(self.token, token)

    def may(self, way: str) -> bool:
        """Tell whether the visitor may go a way."""
        return self.person is not None and self.person.access in MATRIX[way]

    def asked(self, name: str) -> str:
        """Return a value of the address, "" where there is none."""
        return next((value for key, value in self.query if key == name), "")

    def given(self, name: str) -> str:
        """Return a field of the form, "" where there is none."""
        return self.form.get(name, [""])[0]

    @property
    def seen(self) -> int:
        """Return the change that the form was made from, 0 for one of a row that was not there."""
        return self.whole(self.given("seen"))

    @staticmethod
    def whole(text: str, digits: int = 15) -> int:
        """Return a whole number that came with a request; 0 for whatever else, and for one of more digits."""
        return int(text) if text.isascii() and text.isdecimal() and len(text) <= digits else 0

    @staticmethod
    def day(text: str) -> date | None:
        """Return a day that came with a request; None for whatever else."""
        with suppress(ValueError):
            day = date.fromisoformat(text)
            return day if 2000 <= day.year <= 2200 else None
        return None

    def page(self, template: str, *, status: int = 200, **context: Any) -> Response:
        """Return a page."""
        html = templates().get_template(template).render(v=self, s=self.s, **context)
        return Response(html, status, media_type="text/html")

    def told(self, what: str, *, status: int, **facts: object) -> Response:
        """Return a page that only says something: its title and what to do now."""
        title, lead = self.s.say(f"told.{what}_title"), self.s.say(f"told.{what}", **facts)
        return self.page("told.html", status=status, title=title, lead=lead)

    @property
    def done(self) -> str:
        """Return what has just been done, as a sentence of ours; of the address only the short name in it is taken."""
        what = self.asked("xong")
        return self.s.say(f"done.{what}", what=self.asked("gi")[:LONGEST_NAME]) if what in DONE else ""

    def go(self, path: str, **query: str) -> Response:
        """Return the way to another page of ours, to be read with GET."""
        return RedirectResponse(f"{path}?{urlencode(query)}" if query else path, status_code=303)


@cache
def templates() -> Environment:
    """Return what makes pages."""
    made = serve.templates(TEMPLATES)
    made.globals["urlencode"] = urlencode
    return made
