"""The link of a letter: it names the letter, ends after a week, and is signed, so that who has it was sent it.

Opening it shows the incident. It signs nobody in: only a button behind it answers, because programs that guard
mailboxes open every link.
"""

from __future__ import annotations

import base64
import hmac
import os
import secrets
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NAME = "link.key"
KEY_BYTES, MARK_BYTES = 32, 15
VALID_S = 7 * 86_400


def key_of(folder: Path) -> bytes:
    """Return the key of a data folder, made at first use, which only its owner reads. Raises OSError."""
    path = folder / NAME
    with suppress(FileNotFoundError):
        return path.read_bytes()
    with suppress(FileExistsError):
        drawn = folder / f"{NAME}.{os.getpid()}.{threading.get_ident()}"
        made = os.open(drawn, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(made, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(drawn, path)  # whole or not at all, and never over another's
        finally:
            drawn.unlink()
    return path.read_bytes()


def token(key: bytes, letter: int, now_ms: int) -> str:
    """Return what the link of a letter ends with."""
    said = f"{letter:x}.{now_ms // 1000 + VALID_S:x}"
    return f"{said}.{_mark(key, said)}"


def letter_of(key: bytes, shown: str, now_ms: int) -> int | None:
    """Return the number of the letter whose link it is; None for one that is over, cut or forged."""
    said, _, mark = shown.rpartition(".")
    if len(shown) > 64 or not hmac.compare_digest(_mark(key, said).encode(), mark.encode()):
        return None
    letter, _, until_s = said.partition(".")
    return int(letter, 16) if 1000 * int(until_s, 16) > now_ms else None


def _mark(key: bytes, said: str) -> str:
    return base64.urlsafe_b64encode(hmac.digest(key, said.encode(), "sha256")[:MARK_BYTES]).decode()
