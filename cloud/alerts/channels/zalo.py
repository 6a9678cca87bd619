"""A bot of the Zalo Bot Platform: tells people in Zalo, and hears what they answer there.

As documented (docs.zaloplatforms.com/docs/BOT: sendMessage, getUpdates, setWebhook, webhook, getMe): POST of JSON to
`/bot<token>/<method>`, answered by `{"ok": true, "result": …}` or `{"ok": false, "error_code": …, "description": …}`,
whatever the status says; a text has 1 to 2,000 characters, counted here in UTF-16 units. A longer letter is cut after a
whole line, says so and keeps its link: in two parts, the first could come twice.

Accepted means `ok`. 400, 413, 415 and 422 are for good; 401, 429, 5xx and what is no such answer keep everybody from
being told; 403, 404 and 408 only this letter, since it is not documented what a chat that has blocked the bot answers.

A person writes to the bot first: only then is there a chat, whose id is their address. Answers come by getUpdates, one
at a time, for as long as `secret_file` is empty; with it Zalo posts them to us, and getUpdates is not asked (the
platform has one or the other). getUpdates knows no offset and no acknowledgement: what it has handed over is gone
there, so it is held here until it is durable, and only the end of this program between the two loses it. `message_id`
is its key. In a group the answer is that of the person who wrote. Who writes /id is told the id of their chat, which
the operator needs; that is an answer to no letter, and nobody else hears it.
"""

from __future__ import annotations

import hmac
import json
import threading
import tomllib
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote

import msgspec

from cloud.alerts.channels import ChannelConfig, GiveUp, Message, Refused, Reply, Retry
from cloud.alerts.tell.http import FOR_GOOD, Peer, held
from cloud.clock import SystemClock
from settings.finding import Unfit, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cloud.alerts.channels import Receipt
    from cloud.alerts.tell.http import Answer

HOST = "https://bot-api.zaloplatforms.com"
LONGEST = 2_000
SECRET = "x-bot-api-secret-token"  # noqa: S105 - the header's name
MOST = 65_536  # bytes of an answer: the longest text is 12,000 in JSON
GRACE_S = 10.0  # beyond a poll's own time-out
ID_EVERY_S = 5.0
PAUSE_S = 0.5  # after a poll without news, should the other side not wait at all
_ALONE = (403, 404, 408)
_NO_NEWS = 408
_HERE = ("127.0.0.1", "::1", "localhost")


class CONFIG(ChannelConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[[channel]]` with kind = "zalo"; its addresses (`zalo:` and the chat's id) stand in people.csv."""

    kind: Annotated[Literal["zalo"], msgspec.Meta(description="which kind of channel")]
    token_file: Annotated[str, msgspec.Meta(description="file that holds the bot's token, nothing else", min_length=1)]
    secret_file: Annotated[
        str,
        msgspec.Meta(
            description="file that holds the secret token given to setWebhook (8 to 256 characters); "
            "with it Zalo posts answers to us, without it they are fetched"
        ),
    ] = ""
    poll_s: Annotated[int, msgspec.Meta(description="how long one fetch waits for an answer", ge=1, le=60)] = 20
    url: Annotated[str, msgspec.Meta(description="the platform's address")] = HOST


class _From(msgspec.Struct, frozen=True):
    id: str
    is_bot: bool = False


class _Chat(msgspec.Struct, frozen=True):
    id: str
    chat_type: str = "PRIVATE"


class _Message(msgspec.Struct, frozen=True, rename={"sender": "from"}):
    chat: _Chat
    sender: _From
    message_id: str = ""
    date: int = 0
    text: str = ""
    caption: str = ""


class _Update(msgspec.Struct, frozen=True):
    message: _Message | None = None
    event_name: str = ""


class _Said(msgspec.Struct, frozen=True):
    ok: bool
    result: Any = None
    error_code: int | None = None
    description: str = ""


class CHANNEL:
    """A bot in Zalo."""

    def __init__(self, config: CONFIG) -> None:
        self._config = config
        self._peer = Peer(config.url, config.deadline_s)
        self._ear = Peer(config.url, config.poll_s + GRACE_S)
        if not self._peer.tls and self._peer.host not in _HERE:
            raise Unfit("url", "in_the_open", value=shown(config.url))
        self._unheard: deque[Reply] = deque()  # handed over to us, and durable nowhere yet
        self._last = ""
        self._clock, self._next_id_s = SystemClock(), 0.0
        self._words = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))

    @property
    def deadline_s(self) -> float:
        """For connecting, asking and the answer together."""
        return self._config.deadline_s

    def send(self, message: Message) -> None:
        """Return when Zalo has taken the message. Raises Retry or GiveUp."""
        text = fitted(f"{message.subject}\n\n{message.text}".strip(), message.link)
        answer, said = self._ask(self._peer, "sendMessage", {"chat_id": message.to, "text": text})
        if said.ok:
            return
        code, words = _code(answer, said), _words(answer, said)
        if code in FOR_GOOD:
            raise GiveUp(words)
        raise Retry(words, answer.after_s, everybody=code not in _ALONE)

    def check(self) -> None:
        """Return when Zalo knows the bot. Raises Retry."""
        if self._config.secret_file:
            held(self._config.secret_file)
        answer, said = self._ask(self._peer, "getMe", {})
        if not said.ok:
            raise Retry(_words(answer, said), answer.after_s, everybody=True)

    def listen(self, hear: Callable[[Reply | Receipt], None], stop: threading.Event) -> None:
        """Fetch answers until stopped, which may take one fetch; idle where Zalo posts them. Raises Retry."""
        if self._config.secret_file:
            stop.wait()
        while not stop.is_set():
            while self._unheard:
                hear(self._unheard[0])
                self._last = self._unheard.popleft().key
            if not self._fetch():
                stop.wait(PAUSE_S)

    def posted(self, headers: Mapping[str, str], body: bytes) -> list[Reply | Receipt]:
        """Return what Zalo posts. Raises Refused, ValueError or Retry."""
        shows = next((value for name, value in headers.items() if name.lower() == SECRET), "")
        if not self._config.secret_file:
            raise Refused("this channel fetches its answers: secret_file is empty")
        if not hmac.compare_digest(shows.encode(), held(self._config.secret_file).encode()):
            raise Refused(f"{SECRET} is missing or wrong")
        try:
            return [*self._replies(msgspec.json.decode(body, type=_Said).result)]
        except msgspec.MsgspecError as error:
            raise ValueError(f"not what Zalo documents: {error}") from error

    def _fetch(self) -> bool:
        """Take what one getUpdates hands over, if anything new. Raises Retry."""
        answer, said = self._ask(self._ear, "getUpdates", {"timeout": str(self._config.poll_s)})
        if not said.ok:
            if _code(answer, said) == _NO_NEWS:
                return False
            raise Retry(_words(answer, said), answer.after_s, everybody=True)
        try:
            new = self._replies(said.result)
        except msgspec.MsgspecError as error:
            raise Retry(f"getUpdates: not what Zalo documents: {error}", everybody=True) from error
        self._unheard.extend(new)
        return bool(new)

    def _replies(self, result: Any) -> list[Reply]:
        """Return what people wrote; who asks for the id of their chat is told, by a thread of its own."""
        found = []
        for chat, reply in _written(result):
            if reply.key == self._last:
                continue
            if reply.text.lower().split()[-1:] in [[word] for word in self._words["asks"]]:
                self._last = reply.key
                self._tell_id(chat)
            else:
                found.append(reply)
        return found

    def _tell_id(self, chat: str) -> None:
        """Tell a chat its id, by a thread of its own; not so often that strangers use up what a bot may send."""
        now_s = self._clock.monotonic()
        if now_s < self._next_id_s:
            return
        self._next_id_s = now_s + ID_EVERY_S
        threading.Thread(target=self._send_id, args=(chat,), name="zalo-id", daemon=True).start()

    def _send_id(self, chat: str) -> None:
        text = str(self._words["says"]).strip().format(chat=chat)
        try:
            self._ask(self._peer, "sendMessage", {"chat_id": chat, "text": text})
        except Retry:
            return  # they see that nothing comes, and ask again

    def _ask(self, peer: Peer, method: str, body: dict[str, Any]) -> tuple[Answer, _Said]:
        """Return what Zalo answers. Raises Retry; the token stands in the address, and so in no words."""
        token = quote(held(self._config.token_file), safe=":")
        data = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        head = {"Content-Type": "application/json"}
        answer = peer.ask("POST", f"/bot{token}/{method}", data, head, hide=(token,), most=MOST)
        try:
            return answer, msgspec.json.decode(answer.said, type=_Said)
        except msgspec.MsgspecError as error:
            if 200 <= answer.status < 300:
                raise Retry(f"not what Zalo documents: {answer.words}", everybody=True) from error
            return answer, _Said(ok=False)


def fitted(text: str, link: str) -> str:
    """Return at most 2,000 UTF-16 units of a text: cut after a whole line, with how many are missing, and the link."""
    if _units(text) <= LONGEST:
        return text
    lines = text.splitlines()
    for keep in range(len(lines) - 1, 0, -1):
        end = f"\n[… +{len(lines) - keep}]" + (f"\n{link}" if link else "")
        kept = "\n".join(lines[:keep])
        if _units(kept) + _units(end) <= LONGEST:
            return kept + end
    end = "…" + (f"\n{link}" if link else "")
    return _first(text, LONGEST - _units(end)) + end


def _first(text: str, units: int) -> str:
    cut = text.encode("utf-16-le", "surrogatepass")[: 2 * max(0, units)]
    return cut.decode("utf-16-le", "ignore")  # half a pair is left out


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _written(result: Any) -> list[tuple[str, Reply]]:
    """Return what people wrote, and in which chat. The documented result is one update; a list would be as plain."""
    updates = msgspec.convert(result if isinstance(result, list) else [result] if result else [], list[_Update])
    return [
        (one.chat.id, Reply(one.sender.id if one.chat.chat_type == "GROUP" else one.chat.id, text, key))
        for one in (update.message for update in updates)
        if one is not None and not one.sender.is_bot
        for text, key in [(one.text or one.caption, one.message_id or f"{one.chat.id}.{one.date}")]
    ]


def _code(answer: Answer, said: _Said) -> int:
    return said.error_code if said.error_code is not None else answer.status


def _words(answer: Answer, said: _Said) -> str:
    return f"{said.error_code} {said.description}".strip() if said.error_code is not None else answer.words
