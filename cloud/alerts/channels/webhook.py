"""A POST to an HTTP address, signed if wanted: for programs of others, and for bridges to whatever tells people.

Accepted means an answer of 2xx. What is posted is data: `fields` names each key as the other side wants it, and what
stands there. 400, 413, 415 and 422 are for good and cost only this message; 429 and 5xx are tried again, and so are
refused credentials or a wrong address (401, 403, 404 …, a redirection), because somebody can mend these.

With `secret_file` each try is signed as Standard Webhooks 1.0.0 wants it (github.com/standard-webhooks, spec): headers
webhook-id (the same over every try), webhook-timestamp (of this try), webhook-signature: `v1,` and the HMAC-SHA-256 of
`id.timestamp.body` in Base64. The file holds `whsec_` and the Base64 of 24 to 64 bytes; while a secret is exchanged it
holds both, with a space between them, and both sign. A 400 to what is signed is tried again: it may be said of the
signature, which somebody can mend.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from typing import Annotated, Any, Literal

import msgspec

from cloud.alerts.channels import ChannelConfig, Message, Retry
from cloud.alerts.tell.http import Form, Peer, held, judge, judge_check
from cloud.clock import SystemClock

PREFIX = "whsec_"
UNSIGNED = 400  # what the examples of its libraries answer to a signature that is wrong, or too old


class CONFIG(ChannelConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[[channel]]` with kind = "webhook"; its addresses stand in the column `addresses` of people.csv."""

    kind: Annotated[Literal["webhook"], msgspec.Meta(description="which kind of channel")]
    url: Annotated[str, msgspec.Meta(description="where to post, http:// or https://")]
    token_file: Annotated[str, msgspec.Meta(description="file that holds a token, nothing else")] = ""
    header: Annotated[str, msgspec.Meta(description="the header that carries the token", pattern="^[A-Za-z-]+$")] = (
        "Authorization"
    )
    scheme: Annotated[str, msgspec.Meta(description="the word before the token; may be empty")] = "Bearer"
    secret_file: Annotated[
        str, msgspec.Meta(description="file that holds the secret to sign with (`whsec_…`), nothing else")
    ] = ""
    body: Annotated[Literal["json", "form"], msgspec.Meta(description="how the fields are written")] = "json"
    accepted: Annotated[
        str,
        msgspec.Meta(
            description="words that stand in an answer of 2xx that means yes; some gateways answer 200 to all"
        ),
    ] = ""
    fields: Annotated[
        dict[str, Any],
        msgspec.Meta(
            description="what is posted, nested as you like; {id} {to} {level} {subject} {text} {short} {link} "
            "{exercise} {incident} {stage} {place} {lat} {lon} {at} are filled in, and are the default"
        ),
    ] = msgspec.field(default_factory=dict)


class CHANNEL:
    """An address that takes messages by HTTP."""

    def __init__(self, config: CONFIG) -> None:
        self._config, self._clock = config, SystemClock()
        self._peer = Peer(config.url, config.deadline_s)
        self._form = Form(config.body, config.fields)

    @property
    def deadline_s(self) -> float:
        """For connecting, posting and the answer together."""
        return self._config.deadline_s

    def send(self, message: Message) -> None:
        """Post the message. Raises Retry or GiveUp."""
        kind, body = self._form.post(message)
        token, headers = self._token()
        signed = signature(self._keys(), message.id, self._clock.utc_ms() // 1_000, body)
        answer = self._peer.ask("POST", "", body, {"Content-Type": kind} | headers | signed, hide=(token,))
        if signed and answer.status == UNSIGNED:
            raise Retry(f"{answer.words} (is secret_file that of the other side, and the clock of both right?)")
        judge(answer, self._config.accepted)

    def check(self) -> None:
        """Connect and show the token with HEAD, which posts nothing; what does not know HEAD is well. Raises Retry."""
        self._keys()
        token, headers = self._token()
        judge_check(self._peer.ask("HEAD", headers=headers, hide=(token,)))

    def _token(self) -> tuple[str, dict[str, str]]:
        if not self._config.token_file:
            return "", {}
        token = held(self._config.token_file)
        return token, {self._config.header: f"{self._config.scheme} {token}".strip()}

    def _keys(self) -> list[bytes]:
        if not self._config.secret_file:
            return []
        try:
            return [key(secret) for secret in held(self._config.secret_file).split()]
        except ValueError as error:
            raise Retry(f"{self._config.secret_file}: {error}", everybody=True) from error


def key(secret: str) -> bytes:
    """Return the key that a secret of Standard Webhooks stands for. Raises ValueError, without the secret."""
    if not secret.startswith(PREFIX):
        raise ValueError(f"a secret begins with {PREFIX}")
    try:
        found = b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:
        raise ValueError(f"behind {PREFIX} stands no Base64") from None
    if not 24 <= len(found) <= 64:
        raise ValueError(f"a secret is 24 to 64 bytes, this one {len(found)}: make one with openssl rand -base64 32")
    return found


def signature(keys: list[bytes], message: str, at_s: int, body: bytes) -> dict[str, str]:
    """Return the headers that sign a body; no key, no header. A point in the id would be one of what is signed."""
    if not keys:
        return {}
    name = message.replace(".", "-")
    signed = f"{name}.{at_s}.".encode() + body
    marks = (b64encode(hmac.digest(one, signed, hashlib.sha256)).decode("ascii") for one in keys)
    return {
        "webhook-id": name,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(f"v1,{mark}" for mark in marks),
    }
