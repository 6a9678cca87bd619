"""What the gateways are told: the acknowledgements of one step, gathered by gateway, published after its commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wire import codec, topics
from wire.batch import AckItem, Identity, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloud.store import Retry

SPREAD_S = 5
MAX_WORDS = 120


class Answers:
    """Belongs to the ingester's thread. What is not published is asked for again: the edge sends until it hears."""

    def __init__(self, publish: Callable[[str, bytes], None]) -> None:
        self._publish = publish
        self._items: dict[str, list[AckItem]] = {}
        self._asked: dict[str, int] = {}  # the last word of each gateway that this step answers

    def time(self, gateway: str, asked: int) -> None:
        """Tell the time, whether or not there is anything to acknowledge: to who `asked` at that moment of its boot."""
        self._items.setdefault(gateway, [])
        self._asked[gateway] = asked

    def say(self, gateway: str, identity: Identity, code: Verdict, words: str = "") -> None:
        """Tell what became of a batch."""
        self._add(gateway, identity, code, words, 0, 0)

    def later(self, gateway: str, identity: Identity, error: Retry) -> None:
        """Ask for a batch again in a while."""
        self._add(gateway, identity, Verdict.LATER, str(error), round(error.after_s) or 1, SPREAD_S)

    def _add(self, gateway: str, identity: Identity, code: Verdict, words: str, seconds: int, spread: int) -> None:
        epoch, first, n = identity
        item = AckItem(bytes.fromhex(epoch), first, n, code, words[:MAX_WORDS], seconds, spread)
        self._items.setdefault(gateway, []).append(item)

    def publish(self, now_ms: int) -> None:
        """Send everything off, and begin anew."""
        items, self._items = self._items, {}
        asked, self._asked = self._asked, {}
        for gateway, own in items.items():
            self._publish(topics.ack(gateway), codec.encode_ack(now_ms, own, asked.get(gateway)))
