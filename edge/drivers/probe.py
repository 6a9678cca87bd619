"""The way to the server: round trip and loss, as a few TCP handshakes with a port that is open anyway tell them.

Made for `port = "net:broker"`: the broker of this file, by the way that the readings go; `net:HOST:PORT` is another
server of yours, `net:HOST:PORT%wwan0` the way over one interface. No data is sent and nobody logs in: one handshake
costs 300 bytes, and a line in the broker's log where it keeps one of connections. `rtt` is the median of those that
were let in, `loss` the share that was not within 1.5 s.

Limits: where a packet is lost on the way it is sent again after a second, so with five tries `loss` is coarse. Whoever
stands on the way may answer for the server, as captive portals do: while the broker does not know this gateway, the
round trip is absent as ambiguous. In what is left of the budget it is not asked at all (no budget): a poll of five
tries costs 2,300 bytes, so that `monthly_kib = 4096` is enough for one each 25 minutes.
"""

from __future__ import annotations

import re
from statistics import median
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from edge.driver import Ask, BadReply, Driver, DriverConfig, Habits, Value
from wire.reading import Reason

if TYPE_CHECKING:
    from edge.driver import Io

_END = re.compile(rb"(budget|name) [^\n]*\n|[^\n]*\nlink (up|down)\n")
_SAID = re.compile(r"((?:-|\d{1,6})(?: (?:-|\d{1,6}))*)\nlink (up|down)\n")
TRY_BYTES, LOOK_UP_BYTES = 400, 300  # as the line counts them, for the dearer of both families of addresses


class Config(DriverConfig, frozen=True, kw_only=True):
    """How often it tries, and what that may cost."""

    tries: Annotated[int, Meta(ge=1, le=5, description="handshakes of one poll")] = 5
    monthly_kib: Annotated[
        int, Meta(ge=64, le=1_048_576, description="what all polls may cost in 30 days; beyond, the reading says so")
    ] = 4_096

    @property
    def least_every_s(self) -> float:
        """How often it may be asked at the most within what it may cost."""
        return (LOOK_UP_BYTES + self.tries * TRY_BYTES) * 30 * 86_400 / (1024 * self.monthly_kib)


def poll(config: Config) -> Io:
    """Try a few times and make one reading. Raises BadReply."""
    came = yield Ask(f"connect {config.tries} budget {1024 * config.monthly_kib}\n".encode(), until=_END)
    text = came.decode("ascii", "replace")
    if text.startswith("budget "):
        raise BadReply("budget", f"{text.strip()}: not asked; ask more seldom (every_s), or allow more (monthly_kib)")
    if text.startswith("name "):
        raise BadReply("silence", f"the server's name cannot be asked for: {text[5:].strip()}")
    said = _SAID.fullmatch(text)
    tries = said[1].split() if said else []
    if said is None or len(tries) != config.tries:
        raise BadReply("garbled", f"{text!r} is no list of {config.tries} times")
    took = [int(one) for one in tries if one != "-"]
    rtt = Value("rtt", "ms", None, Reason.SILENCE)
    if took:
        doubt = None if said[2] == "up" else Reason.AMBIGUOUS  # is it the server who answers?
        rtt = Value("rtt", "ms", float(median(took)), doubt)
    return [rtt, Value("loss", "%", round(100 * (len(tries) - len(took)) / len(tries), 1))]


def quantities(_config: Config) -> dict[str, str]:
    """Return which value is which quantity."""
    return {"rtt": "rtt", "loss": "loss"}


# five tries, each in its time; not before the broker knows us, which the answer says
_HABITS = Habits(timeout_s=10.0, seldom_s=60.0)
DRIVER = Driver("probe", "Way to the server", Config, poll, quantities, _HABITS, checksum=False, port="net:")
