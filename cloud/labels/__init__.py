"""Tags that last: codes are minted, printed or engraved, hung up, and verified from a scan or a photo.

Sizes are millimetres. A plate that is read from d metres needs a symbol of 100 d mm; none is under 30 mm.
"""

from __future__ import annotations

from typing import Any

from settings.words import Refused


class BadLabel(Refused, ValueError):
    """A tag that nobody could read, or that cannot be made: words.toml says why and what to do."""

    def __init__(self, name: str, **facts: Any) -> None:
        super().__init__("cloud.labels", "label", name, **facts)
