"""What the spool would not do and why: logged once per change, said in the status until it is over."""

from __future__ import annotations

import logging
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

from settings.words import Sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

fault = partial(Sentence, "edge", "fault")
log = logging.getLogger(__name__)


class What(Enum):
    """What can fail, each well again on its own."""

    COMMIT = "commit"
    SLOW = "slow"
    CUT = "cut"
    FREE = "free"
    SEND = "send"
    DATE = "date"
    LOOK = "look"
    ANSWERS = "answers"
    TAKE_IN = "take-in"


class Faults:
    """What is wrong now, in words. Belongs to one thread; `news` is called when something began or ended."""

    def __init__(self, news: Callable[[], None]) -> None:
        self._words: dict[What, Sentence] = {}
        self._news = news

    def begin(self, what: What, words: Sentence) -> None:
        """Something failed, for the first time or again."""
        if what not in self._words:
            log.error("fault what=%s why=%r", what.value, str(words))
            self._news()
        self._words[what] = words

    def end(self, what: What) -> bool:
        """Something went well; tell whether it had failed before."""
        if self._words.pop(what, None) is None:
            return False
        log.warning("well again what=%s", what.value)
        self._news()
        return True

    def __contains__(self, what: What) -> bool:
        return what in self._words

    @property
    def any(self) -> bool:
        """Whether something is wrong."""
        return bool(self._words)

    def told(self, notes: Iterable[Sentence], language: str) -> str:
        """Return notes and what is wrong, each sentence once, in one language."""
        return "; ".join(dict.fromkeys(one.told(language) for one in (*notes, *self._words.values())))
