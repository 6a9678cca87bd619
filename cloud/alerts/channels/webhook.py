"""A POST to an HTTP address: what SMS gateways, an Android phone that sends SMS, and bridges to Zalo take.

Accepted means an answer of 2xx. What is posted is data: `fields` names each key as the other side wants it, and what
stands there. 400, 413, 415 and 422 are for good and cost only this message; 429 and 5xx are tried again, and so are
refused credentials or a wrong address (401, 403, 404 …), because somebody can mend these.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple
from urllib.parse import urlencode

import msgspec

from cloud.alerts.channels import ChannelConfig, GiveUp, Message, Retry
from cloud.alerts.tell.deadline import Deadline
from cloud.clock import hanoi
from settings.credentials import web_address
from settings.finding import Unfit, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

FIELDS = ("id", "to", "level", "subject", "text")
FOR_GOOD = (400, 413, 415, 422)
ANSWER = 4_096  # bytes that are read of an answer
LONGEST_WAIT_S = 3_600.0  # whatever Retry-After asks for


class CONFIG(ChannelConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[[channel]]` with kind = "webhook"; its addresses stand in the column `addresses` of people.csv."""

    kind: Annotated[Literal["webhook"], msgspec.Meta(description="which kind of channel")]
    url: Annotated[str, msgspec.Meta(description="where to post, http:// or https://")]
    token_file: Annotated[str, msgspec.Meta(description="file that holds a token, nothing else")] = ""
    header: Annotated[str, msgspec.Meta(description="the header that carries the token", pattern="^[A-Za-z-]+$")] = (
        "Authorization"
    )
    scheme: Annotated[str, msgspec.Meta(description="the word before the token; may be empty")] = "Bearer"
    body: Annotated[Literal["json", "form"], msgspec.Meta(description="how the fields are written")] = "json"
    accepted: Annotated[
        str,
        msgspec.Meta(
            description="words that stand in an answer of 2xx that means yes; some gateways answer 200 to all"
        ),
    ] = ""
    fields: Annotated[
        dict[str, str],
        msgspec.Meta(
            description="what is posted; {id} {to} {level} {subject} {text} {at} are filled in, and are the default"
        ),
    ] = msgspec.field(default_factory=dict)


class _Answer(NamedTuple):
    status: int
    reason: str
    said: str
    after_s: float  # Retry-After

    @property
    def words(self) -> str:
        return f"{self.status} {self.reason} {self.said[:200]}".strip()


class _Connection(http.client.HTTPConnection):
    """A connection that is reached within a deadline, TLS included."""

    def __init__(self, host: str, port: int | None, deadline: Deadline, *, tls: bool) -> None:
        self._tls, self._deadline = tls, deadline
        if tls:
            self.default_port = http.client.HTTPS_PORT
        super().__init__(host, port)

    def connect(self) -> None:
        self.sock = self._deadline.connect(self.host, self.port)
        if self._tls:
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)


class CHANNEL:
    """An address that takes messages by HTTP."""

    def __init__(self, config: CONFIG) -> None:
        url = web_address(config.url)
        if url is None:
            raise Unfit("url", "url", value=shown(config.url))
        self._config, self._url, self._port = config, url, url.port
        self._fields(Message("", 0, "", "", ""))

    @property
    def deadline_s(self) -> float:
        """For connecting, posting and the answer together."""
        return self._config.deadline_s

    def send(self, message: Message) -> None:
        """Post the message. Raises Retry or GiveUp."""
        fields = self._fields(message)
        if self._config.body == "json":
            kind, body = "application/json", json.dumps(fields, ensure_ascii=False)
        else:
            kind, body = "application/x-www-form-urlencoded", urlencode(fields)
        answer = self._ask("POST", body.encode("utf-8", "replace"), {"Content-Type": kind})
        if 200 <= answer.status < 300:
            if self._config.accepted not in answer.said:
                raise Retry(answer.words)
            return
        if answer.status in FOR_GOOD:
            raise GiveUp(answer.words)
        raise Retry(answer.words, answer.after_s, everybody=answer.status != 408)

    def check(self) -> None:
        """Connect and show the token with HEAD, which posts nothing; what does not know HEAD is well. Raises Retry."""
        answer = self._ask("HEAD", None, {})
        if (
            answer.status in (401, 403, 407)
            or 300 <= answer.status < 400
            or (answer.status >= 500 and answer.status != 501)
        ):
            raise Retry(answer.words, answer.after_s, everybody=True)

    def _fields(self, message: Message) -> dict[str, str]:
        at = hanoi(message.at_ms).isoformat(timespec="seconds")
        known = {key: getattr(message, key) for key in FIELDS} | {"at": at}
        try:
            return {key: template.format_map(known) for key, template in self._config.fields.items()} or known
        except (KeyError, ValueError, IndexError, AttributeError) as error:
            raise Unfit(
                "fields", "unfilled", value=str(error), known=", ".join(f"{{{key}}}" for key in known)
            ) from error

    def _ask(self, method: str, body: bytes | None, headers: dict[str, str]) -> _Answer:
        """Return what the other side answers. Raises Retry."""
        path = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        with self._connection() as connection:
            connection.request(method, path, body, headers | self._token())
            answer = connection.getresponse()
            said = " ".join(answer.read(ANSWER).decode("utf-8", "replace").split())
            after = answer.headers.get("Retry-After", "")
            after_s = min(float(after), LONGEST_WAIT_S) if after.isdecimal() else 0.0
            return _Answer(answer.status, answer.reason, said, after_s)

    def _token(self) -> dict[str, str]:
        if not self._config.token_file:
            return {}
        token = Path(self._config.token_file).read_text(encoding="utf-8").strip()
        return {self._config.header: f"{self._config.scheme} {token}".strip()}

    @contextlib.contextmanager
    def _connection(self) -> Iterator[http.client.HTTPConnection]:
        """Give a connection, and close it; what breaks in between is a Retry for everybody."""
        with Deadline(self.deadline_s) as deadline:
            connection = _Connection(self._url.hostname or "", self._port, deadline, tls=self._url.scheme == "https")
            try:
                yield connection
            except (http.client.HTTPException, OSError, ValueError) as error:
                late = f"no answer within {self.deadline_s:g} s"
                words = late if deadline.expired else str(error) or type(error).__name__
                raise Retry(f"{self._url.netloc}: {words}", everybody=True) from error
            finally:
                connection.close()
