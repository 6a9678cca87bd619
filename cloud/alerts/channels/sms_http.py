"""SMS by whoever takes them by HTTP: an Android phone as gateway, or a provider. What each wants is a template.

A template is a TOML file: how an SMS is posted, how what is posted to us shows that it is theirs, and where sender,
text, id and status stand in it. `android-sms-gateway` and `provider` are there; any other is a file of yours. An SMS
says the short words; without them (an installation of before) the subject. What an answer means is as for a webhook;
`already` are answers that mean that an earlier try has arrived. Numbers are written as E.164, +84912345678, whatever
people wrote; a sender without a number (a brand) stays as it is.

Accepted means that phone or provider has queued it. Receipts come only from those that give back our id.
"""

from __future__ import annotations

import hashlib
import hmac
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import parse_qsl

import msgspec

from at.number import e164
from cloud.alerts.channels import ChannelConfig, GiveUp, Message, Receipt, Refused, Reply
from cloud.alerts.tell.http import Form, Peer, basic, held, judge, judge_check
from settings.finding import Unfit, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

TEMPLATES = Path(__file__).with_name("sms_templates")
_MORE = ("digits", "priority", "user", "password", "token")


class CONFIG(ChannelConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[[channel]]` with kind = "sms_http"; its addresses (`sms_http:+84912345678`) stand in people.csv."""

    kind: Annotated[Literal["sms_http"], msgspec.Meta(description="which kind of channel")]
    url: Annotated[str, msgspec.Meta(description="where to post, http:// or https://")]
    template: Annotated[
        str,
        msgspec.Meta(description="`android-sms-gateway`, `provider`, or the path of a file like these", min_length=1),
    ] = "android-sms-gateway"
    user: Annotated[str, msgspec.Meta(description="user name, where one is asked for")] = ""
    password_file: Annotated[str, msgspec.Meta(description="file that holds the password, nothing else")] = ""
    token_file: Annotated[str, msgspec.Meta(description="file that holds a token, nothing else")] = ""
    secret_file: Annotated[
        str, msgspec.Meta(description="file that holds the secret of what is posted to us; without it nothing is heard")
    ] = ""
    country: Annotated[str, msgspec.Meta(description="for numbers that begin with 0", pattern="^[1-9][0-9]{0,2}$")] = (
        "84"
    )


class Send(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an SMS is posted; `header` and `scheme` show the token, a user and a password are shown as Basic.

    `look` is the question that sends nothing and yet finds a wrong password.
    """

    fields: dict[str, Any]
    body: Literal["json", "form"] = "json"
    header: Annotated[str, msgspec.Meta(pattern="^[A-Za-z-]+$")] = "Authorization"
    scheme: str = "Bearer"
    accepted: str = ""
    already: list[int] = []
    look: Literal["HEAD", "GET"] = "HEAD"


class Secret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a POST to us shows the secret: in a header as it is, or as a signature of body and timestamp."""

    header: str = ""
    signature: str = ""
    timestamp: str = ""


class Heard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where an answer stands in what is posted to us; of several paths the first that has something."""

    when: dict[str, str]
    sender: str | list[str]
    text: str | list[str]
    key: str | list[str]


class Reported(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a receipt stands, and what it means."""

    when: dict[str, str]
    message: str | list[str]
    ok: bool
    words: str | list[str] = []


class Template(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one phone or provider wants, and what it posts."""

    send: Send
    secret: Secret = Secret()
    reply: Heard | None = None
    receipt: list[Reported] = []


class CHANNEL:
    """A phone or a provider that sends SMS for us."""

    def __init__(self, config: CONFIG) -> None:
        self._config, self._template = config, template(config.template)
        self._peer = Peer(config.url, config.deadline_s)
        self._form = Form(self._template.send.body, self._template.send.fields, key="template", more=_MORE)

    @property
    def deadline_s(self) -> float:
        """For connecting, posting and the answer together."""
        return self._config.deadline_s

    def send(self, message: Message) -> None:
        """Return when the SMS is queued. Raises Retry or GiveUp."""
        try:
            to = e164(message.to, self._config.country)
        except ValueError as error:
            raise GiveUp(str(error)) from error
        password, token, headers = self._shown()
        short = message.short or message.subject
        own: dict[str, Any] = {"priority": 100 if message.level == "life" else 0, "digits": to[1:]}
        own |= {"user": self._config.user, "password": password, "token": token}
        kind, body = self._form.post(msgspec.structs.replace(message, to=to, short=short), own)
        answer = self._peer.ask("POST", "", body, {"Content-Type": kind} | headers, hide=(token, password, to, to[1:]))
        if answer.status not in self._template.send.already:
            judge(answer, self._template.send.accepted)

    def check(self) -> None:
        """Connect and show who we are by a question that sends nothing; not to know it is well. Raises Retry."""
        if self._config.secret_file:
            held(self._config.secret_file)
        password, token, headers = self._shown()
        judge_check(self._peer.ask(self._template.send.look, headers=headers, hide=(token, password)))

    def posted(self, headers: Mapping[str, str], body: bytes) -> list[Reply | Receipt]:
        """Return what a POST brings, which the template names. Raises Refused, ValueError or Retry."""
        low = {name.lower(): value for name, value in headers.items()}
        self._recognise(low, body)
        if "json" in low.get("content-type", "json"):
            try:
                data = msgspec.json.decode(body, type=dict[str, Any])
            except msgspec.MsgspecError as error:
                raise ValueError(f"not the JSON of an object: {error}") from error
        else:
            data = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        found: list[Reply | Receipt] = []
        reply = self._template.reply
        if reply is not None and _fits(reply.when, data):
            sender, text, key = (_needed(data, path) for path in (reply.sender, reply.text, reply.key))
            found.append(Reply(self._known_as(sender), text, key))
        found += [
            Receipt(_needed(data, one.message), one.ok, _at(data, one.words) or "")
            for one in self._template.receipt
            if _fits(one.when, data)
        ]
        return found

    def _shown(self) -> tuple[str, str, dict[str, str]]:
        """Return password, token, and the headers that show them."""
        config, send = self._config, self._template.send
        password = held(config.password_file) if config.password_file else ""
        token = held(config.token_file) if config.token_file else ""
        if config.user:
            return password, token, {"Authorization": basic(config.user, password)}
        return password, token, {send.header: f"{send.scheme} {token}".strip()} if token else {}

    def _recognise(self, low: Mapping[str, str], body: bytes) -> None:
        how = self._template.secret
        if not self._config.secret_file or not (how.header or how.signature):
            raise Refused("nothing is heard without secret_file")
        secret = held(self._config.secret_file).encode()
        if how.signature:
            # How old it is does not matter: the app tries for two days, and the same twice is one.
            text = body + low.get(how.timestamp.lower(), "").encode()
            shows, wanted = low.get(how.signature.lower(), "").lower(), hmac.digest(secret, text, hashlib.sha256).hex()
        else:
            shows, wanted = low.get(how.header.lower(), ""), secret.decode()
        if not hmac.compare_digest(shows.encode(), wanted.encode()):
            raise Refused(f"{how.signature or how.header} is missing or wrong")

    def _known_as(self, sender: str) -> str:
        try:
            return e164(sender, self._config.country)
        except ValueError:
            return sender


def template(name: str) -> Template:
    """Return a template of ours, or one of a file. Raises Unfit."""
    path = Path(name) if "/" in name else TEMPLATES / f"{name}.toml"
    ours = ", ".join(sorted(file.stem for file in TEMPLATES.glob("*.toml")))
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Template)
    except OSError as error:
        raise Unfit("template", "no_template", value=shown(name), known=ours) from error
    except ValueError as error:  # no UTF-8, no TOML, or not of this form
        raise Unfit("template", "bad_template", value=shown(name), why=str(error)) from error


def _fits(when: dict[str, str], data: dict[str, Any]) -> bool:
    return all(_at(data, path) == value for path, value in when.items())


def _needed(data: dict[str, Any], path: str | list[str]) -> str:
    found = _at(data, path)
    if not found:
        raise ValueError(f"{path} is missing")
    return found


def _at(data: dict[str, Any], paths: str | list[str]) -> str | None:
    """Return the text or number at the first of several paths that has one."""
    for path in [paths] if isinstance(paths, str) else paths:
        here: Any = data
        for step in path.split("."):
            here = here.get(step) if isinstance(here, dict) else None
        if isinstance(here, str | int) and here != "":
            return str(here)
    return None
