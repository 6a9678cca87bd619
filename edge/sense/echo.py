"""Our own words on the line: half-duplex adapters repeat what is sent, whatever protocol is spoken.

What makes it more than cutting off a beginning: a coil is confirmed by the very words that were sent, so an echo that
passes for an answer reports a dead siren as one that wails. An echo may stand behind a glitch, be damaged itself, or
be missing before an answer that came late.
"""

from __future__ import annotations

LEAST = 4  # bytes: shorter words of ours may stand within an answer, so behind noise they are no echo


class Echo:
    """Whether a line echoes: `heard` is None until it has shown, or as somebody who knows the adapter has told."""

    def __init__(self, told: bool | None) -> None:
        self._told = self.heard = told

    def forget(self) -> None:
        """Another adapter may echo where the last one did not: it must show again, where nobody has said so."""
        self.heard = self._told

    def length(self, frame: bytes) -> int:
        """Return how many bytes of what comes will be our own."""
        return len(frame) if self.heard else 0

    def missing(self, frame: bytes, came: bytes) -> int:
        """Return how many bytes are missing of what may be an echo so far; 0 where it is whole, or none."""
        return len(frame) - len(came) if came and frame.startswith(came) else 0

    def without(self, frame: bytes, came: bytes) -> bytes:
        """Return what came but for our own words."""
        at = came.find(frame) if frame and self.heard is not False else -1
        if at < 0 or (at and len(frame) < LEAST):
            return came
        return came[:at] + came[at + len(frame) :]

    def learn(self, frame: bytes, size: int, came: bytes) -> None:
        """Learn from what came with an answer, which undisturbed has `size` bytes, whether the line echoes.

        That there is none shows only where nothing else came at all, and only until there is one beside an answer: some
        adapters echo now and then. Our words twice prove nothing: a coil is confirmed with them, and by a late answer
        once more.
        """
        rest = came.replace(frame, b"", 1) if frame else came
        if self._told is not None or not frame or frame in rest:
            return
        if self.heard is None:
            self.heard = True if len(rest) < len(came) else False if len(came) == size else None
        elif 0 < size <= len(rest) < len(came):
            self.heard = True
