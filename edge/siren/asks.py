"""What a person at the gateway asks of its sirens (`gocche siren`): a file in memory beside the status, and an answer.

Only root and the agent's own account may write in that folder, so no other check is made. A file instead of a socket:
nothing listens, nothing is left open by who is killed, and the unit's sandbox stays as narrow as it is.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import msgspec

from edge.status import written

if TYPE_CHECKING:
    from pathlib import Path


class Ask(msgspec.Struct, frozen=True):
    """Silence a siren, or let it be heard for a moment; all of them where no name is given."""

    id: str
    act: Literal["stop", "test"]
    name: str = ""


class Told(msgspec.Struct, frozen=True):
    """What became of it, by siren: a row of words.toml of the command, and how long it took where it sounded."""

    id: str
    done: dict[str, str]
    after_ms: dict[str, int] = {}


class Asks:
    """The two files. The agent takes and tells, the command asks and hears."""

    def __init__(self, folder: Path) -> None:
        self._ask, self._told = folder / "siren-ask.json", folder / "siren-told.json"

    def taken(self) -> Ask | None:
        """Return what is asked, once; None where nothing is, or nothing that can be read."""
        try:
            ask = msgspec.json.decode(self._ask.read_bytes(), type=Ask)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError):
            ask = None
        with suppress(OSError):
            self._ask.unlink()
        return ask

    def tell(self, told: Told) -> None:
        """Leave the answer."""
        with suppress(OSError):
            written(self._told, told)

    def ask(self, ask: Ask) -> None:
        """Leave a question. Raises OSError."""
        self._told.unlink(missing_ok=True)
        written(self._ask, ask)

    def heard(self, ask: Ask) -> Told | None:
        """Return the answer to this question, None while there is none."""
        with suppress(OSError, msgspec.DecodeError):
            told = msgspec.json.decode(self._told.read_bytes(), type=Told)
            return told if told.id == ask.id else None
        return None

    def withdraw(self) -> None:
        """Nobody took it: a later agent must not."""
        with suppress(OSError):
            self._ask.unlink(missing_ok=True)
