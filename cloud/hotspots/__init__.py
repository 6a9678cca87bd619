"""What satellites saw: hot pixels of NASA FIRMS, read, kept, gathered into fires, and told with how late they are.

A hotspot is neither danger nor a detection of ours: it is hours old when it is known, and nobody here has seen a fire.
"""

from __future__ import annotations

from typing import Any

from settings.words import Refused


class NoHotspots(Refused, ValueError):
    """What was given is no list of hotspots: words.toml says why and what to do."""

    def __init__(self, name: str, **facts: Any) -> None:
        super().__init__("cloud.hotspots", "hotspots", name, **facts)
