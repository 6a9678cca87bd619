"""Any of the services that the library apprise knows; for those only that no kind of our own serves.

It is an extra: `pip install --require-hashes -r apprise.lock`. The address that apprise has for the service
(appriseit.com/services) stands in a file, since it holds tokens; `{to}` in it is the address of whom a letter is for,
and without it there is one receiver for all.

Each letter is a call of its own with one receiver, in a child process that ends with it: so a service that hangs or
trickles is cut at the deadline, and not after 4 s, whereupon a letter that had arrived would come again; the 5.5 s that
apprise waits between two messages of one object are never waited; and its 45 MB are not kept. Our own outbox tries
again. SUCCESS counts, and nothing else: what was PARTIAL comes again, whole. Whether a failure concerns everybody is
read from its words, `error=401` or a connection, as apprise gives no more. A check opens the address and asks nobody:
apprise has no question that tells nobody.
"""

from __future__ import annotations

import importlib.util
import json
import re
import signal
import subprocess
import sys
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec

from cloud.alerts.channels import ChannelConfig, GiveUp, Message, Retry
from cloud.alerts.tell.http import FOR_GOOD, held
from settings.finding import Unfit

EXTRA = "apprise"
ALONE = (403, 404, 408)  # nobody can tell whether a service says these of the receiver or of us
_ERROR = re.compile(r"error=(\d{3})")


class CONFIG(ChannelConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[[channel]]` with kind = "apprise"; its addresses, where `{to}` stands in the file, are those of people.csv."""

    kind: Annotated[Literal["apprise"], msgspec.Meta(description="which kind of channel")]
    url_file: Annotated[
        str,
        msgspec.Meta(
            description="file that holds one address of apprise, nothing else: `ntfy://host/{to}`", min_length=1
        ),
    ]


class CHANNEL:
    """A service that apprise knows."""

    def __init__(self, config: CONFIG) -> None:
        if importlib.util.find_spec(EXTRA) is None:
            raise Unfit("kind", "no_extra", value=EXTRA)
        self._config = config

    @property
    def deadline_s(self) -> float:
        """For the child process and all that it does."""
        return self._config.deadline_s

    def send(self, message: Message) -> None:
        """Return when apprise says SUCCESS. Raises Retry or GiveUp."""
        told = {"title": message.subject, "body": message.text, "life": message.level == "life"}
        status, words = self._ask(message.to, told)
        if status == "SUCCESS":
            return
        error = _ERROR.search(words)
        code = int(error[1]) if error else 0
        if code in FOR_GOOD:
            raise GiveUp(words)
        everybody = status != "PARTIAL" and code not in ALONE and bool(code or "onnection" in words)
        raise Retry(words, everybody=everybody or status in ("UNFIT", "TIMEOUT", "NOMATCH"))

    def check(self) -> None:
        """Return when apprise can read the address and it names one receiver; nobody is asked. Raises Retry."""
        status, words = self._ask("someone", {})
        if status != "SUCCESS":
            raise Retry(words, everybody=True)

    def _ask(self, to: str, told: dict[str, Any]) -> tuple[str, str]:
        """Return what a child process says that has told this. Raises Retry."""
        template = held(self._config.url_file)
        url = template.replace("{to}", quote(to, safe=""))
        asked = told | {"url": url, "within_s": self.deadline_s}
        words = [sys.executable, "-P", "-m", __name__]
        try:
            ran = subprocess.run(  # noqa: S603 - our own command line; the address goes by stdin
                words, input=json.dumps(asked).encode(), capture_output=True, timeout=self.deadline_s, check=False
            )
            status, said = json.loads(ran.stdout)
        except subprocess.TimeoutExpired as error:
            raise Retry(f"apprise has no answer within {self.deadline_s:g} s", everybody=True) from error
        except (OSError, ValueError) as error:
            raise Retry(f"apprise failed: {error}", everybody=True) from error
        return str(status), f"{status} {_without(template, str(said))}".strip()[:240]


def _without(url: str, words: str) -> str:
    """Return words without what may be a secret in an address: each longer part of it behind the scheme."""
    for part in re.findall(r"[\w-]{6,}", url.partition("://")[2] or url):
        words = words.replace(part, "…")
    return words


def tell(asked: dict[str, Any]) -> tuple[str, str]:
    """Tell one receiver by apprise, and return its verdict and why; without a title only look whether it could."""
    import apprise  # noqa: PLC0415 - in the child alone
    import requests  # noqa: PLC0415

    requests.sessions.DEFAULT_REDIRECT_LIMIT = 0  # nothing is followed, as everywhere
    apprise.URLBase.socket_read_timeout = apprise.URLBase.socket_connect_timeout = asked["within_s"]
    service = apprise.Apprise()
    with apprise.LogCapture(level=apprise.logging.WARNING, fmt="%(message)s") as log:
        known = service.add(asked["url"])
        receivers = len(service[0]) if known and len(service) == 1 else 0
        if receivers != 1:
            why = f"the address names {receivers} receivers and not one" if known else log.getvalue()
            return "UNFIT", " ".join(why.split())
        if "title" not in asked:
            return "SUCCESS", ""
        kind = apprise.NotifyType.FAILURE if asked["life"] else apprise.NotifyType.INFO
        result = service.notify(title=asked["title"], body=asked["body"], notify_type=kind, body_format="text")
        return result.status.name, " ".join(log.getvalue().split())


if __name__ == "__main__":
    question = json.load(sys.stdin)
    signal.alarm(int(question["within_s"]) + 5)  # should whoever asks be killed meanwhile
    sys.stdout.write(json.dumps(tell(question)))
