"""One question by HTTP, answered within a deadline, and what its answer means for a message.

Nothing is followed: an address that moved is mended in cloud.toml, where somebody sees it. Of an answer so much is read
as the asker has use for. Words name the host, never the path nor what `hide` holds: a token may stand in either, and
servers like to repeat what they were asked.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import urlencode

from cloud.alerts.channels import GiveUp, Message, Retry
from cloud.alerts.tell.deadline import Deadline
from cloud.clock import hanoi
from settings.credentials import web_address
from settings.finding import Unfit, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FOR_GOOD = (400, 413, 415, 422)
ANSWER = 4_096  # bytes that are read of an answer
LONGEST_WAIT_S = 3_600.0  # whatever Retry-After asks for
FIELDS = (
    *("id", "to", "level", "subject", "text", "short", "link", "exercise"),
    *("incident", "stage", "place", "lat", "lon"),
)


class Answer(NamedTuple):
    """What the other side said."""

    status: int
    reason: str
    said: str
    after_s: float  # Retry-After
    cut: bool = False  # what was read ends before its end: the other side or the deadline broke it off

    @property
    def words(self) -> str:
        """The answer in one line for the log."""
        return " ".join(f"{self.status} {self.reason} {self.said[:400]}".split())[:240]


class Peer:
    """An address that is asked. Raises Unfit for what is none."""

    def __init__(self, url: str, deadline_s: float, *, key: str = "url") -> None:
        found = web_address(url)
        if found is None:
            raise Unfit(key, "url", value=shown(url))
        self._url, self._port, self._deadline_s = found, found.port, deadline_s
        self.tls = found.scheme == "https"
        self.host = found.hostname or ""

    def ask(
        self,
        method: str,
        path: str = "",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        hide: Sequence[str] = (),
        most: int = ANSWER,
    ) -> Answer:
        """Return what the other side answers to a question at this address, with `path` behind it. Raises Retry."""
        target = (self._url.path.rstrip("/") + path if path else self._url.path or "/") + (
            f"?{self._url.query}" if self._url.query else ""
        )
        with self._connection(hide) as connection:
            connection.request(method, target, body, dict(headers or {}))
            answer = connection.getresponse()
            read = answer.read(most + 1)
            said = _without(hide, read[:most].decode("utf-8", "replace"))
            after = answer.headers.get("Retry-After", "")
            after_s = min(float(after), LONGEST_WAIT_S) if after.isdecimal() else 0.0
            cut = len(read) <= most and (bool(answer.length) or connection.deadline.expired)
            return Answer(answer.status, answer.reason, said, after_s, cut)

    @contextlib.contextmanager
    def _connection(self, hide: Sequence[str]) -> Iterator[_Connection]:
        """Give a connection, and close it; what breaks in between is a Retry for everybody."""
        with Deadline(self._deadline_s) as deadline:
            connection = _Connection(self.host, self._port, deadline, tls=self.tls)
            try:
                yield connection
            except (http.client.HTTPException, OSError, ValueError) as error:
                late = f"no answer within {self._deadline_s:g} s"
                words = late if deadline.expired else str(error) or type(error).__name__
                raise Retry(f"{self.host}:{connection.port}: {_without(hide, words)}", everybody=True) from error
            finally:
                connection.close()


class Form:
    """What is posted of a message: each key as the other side wants it, and what stands there."""

    def __init__(
        self,
        body: Literal["json", "form"],
        fields: Mapping[str, Any],
        *,
        key: str = "fields",
        more: Sequence[str] = (),
    ) -> None:
        self._body, self._fields, self._key = body, fields, key
        self.post(Message("", 0, "", "", ""), dict.fromkeys(more, ""))

    def post(self, message: Message, more: Mapping[str, Any] | None = None) -> tuple[str, bytes]:
        """Return a message as (content type, body). Raises Unfit where a template cannot be filled in."""
        at = hanoi(message.at_ms).isoformat(timespec="seconds")
        known = {key: getattr(message, key) for key in FIELDS} | {"at": at} | dict(more or {})
        fields = self._filled(self._fields, known) if self._fields else known
        if self._body == "json":
            return "application/json", json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace")
        texts = {key: "" if value is None else str(value) for key, value in fields.items()}
        return "application/x-www-form-urlencoded", urlencode(texts, errors="replace").encode("ascii")

    def _filled(self, template: Any, known: dict[str, Any]) -> Any:
        """Return a template with what it asks for; "{incident}" alone stays a number."""
        if isinstance(template, dict):
            return {key: self._filled(value, known) for key, value in template.items()}
        if isinstance(template, list):
            return [self._filled(value, known) for value in template]
        if not isinstance(template, str):
            return template
        if template[:1] == "{" and template[1:-1] in known and template[-1:] == "}":
            return known[template[1:-1]]
        try:
            return template.format_map({key: "" if value is None else value for key, value in known.items()})
        except (KeyError, ValueError, IndexError, AttributeError) as error:
            names = ", ".join(f"{{{key}}}" for key in known)
            raise Unfit(self._key, "unfilled", value=str(error), known=names) from error


class _Connection(http.client.HTTPConnection):
    """A connection that is reached within a deadline, TLS included."""

    def __init__(self, host: str, port: int | None, deadline: Deadline, *, tls: bool) -> None:
        self._tls, self.deadline = tls, deadline
        if tls:
            self.default_port = http.client.HTTPS_PORT
        super().__init__(host, port)

    def connect(self) -> None:
        self.sock = self.deadline.connect(self.host, self.port)
        if self._tls:
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)


def judge(answer: Answer, accepted: str = "") -> None:
    """Return where an answer to a message says yes. Raises Retry or GiveUp."""
    if 200 <= answer.status < 300:
        if accepted not in answer.said:
            raise Retry(answer.words)
        return
    if answer.status in FOR_GOOD:
        raise GiveUp(answer.words)
    raise Retry(answer.words, answer.after_s, everybody=answer.status != 408)


def judge_check(answer: Answer) -> None:
    """Return where an answer to HEAD hints at no fault; who does not know HEAD is well. Raises Retry."""
    if (
        answer.status in (401, 403, 407)
        or 300 <= answer.status < 400
        or (answer.status >= 500 and answer.status != 501)
    ):
        raise Retry(answer.words, answer.after_s, everybody=True)


def held(name: str) -> str:
    """Return the secret that a file holds, as it is now. Raises Retry."""
    try:
        return Path(name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise Retry(f"{name}: {error}", everybody=True) from error


def basic(user: str, password: str) -> str:
    """Return what Authorization says of a user and a password (RFC 7617)."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode("ascii")


def _without(secrets: Sequence[str], words: str) -> str:
    for secret in secrets:
        words = words.replace(secret, "…") if secret else words
    return words
