"""What a person is told of the gateway itself: the sentences of words.toml beside this file."""

from __future__ import annotations

from functools import partial

from settings.words import Sentence, words

note = partial(Sentence, "edge", "note")
why = partial(Sentence, "edge", "why")
siren = partial(Sentence, "edge", "siren")
sending = partial(Sentence, "edge", "sending")


def learn() -> None:
    """Read the sentences while the card can be read: most of them are for when it cannot."""
    for package in ("edge", "settings"):
        words(package)
