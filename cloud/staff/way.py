"""What a way in is: its address, who answers, the chapter that explains it, and how much it may be sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response

    from cloud.staff.visit import Visit

FORM_BYTES = 400_000  # a story of 20,000 letters, each of nine bytes as forms spell them


@dataclass(frozen=True)
class Way:
    """One way in. `name` is its row in `access.MATRIX`, `chapter` that of the handbook; `limit` of what it is sent.

    `spooled` is a file that goes to the disk as it comes. `script` marks the few answers that may run our own scripts,
    and ask where the telephone is. `proven` is a form whose address is the proof that it may be sent, `machine` what
    other servers post.
    """

    name: str
    path: str
    handler: Callable[[Visit], Response]
    chapter: str
    post: bool = False
    door: bool = False
    limit: int = FORM_BYTES
    spooled: bool = False
    script: bool = False
    proven: bool = False  # what it is sent proves itself by its address: it needs no form of ours
    machine: bool = False  # a machine posts there, from anywhere, what is no form

    @property
    def method(self) -> str:
        """Return the method by which it is gone."""
        return "POST" if self.post else "GET"
