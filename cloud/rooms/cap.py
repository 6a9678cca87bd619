"""What other systems are warned of: incidents about life, in force or just over, and danger at levels IV and V."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cloud.alerts.wiring import JOURNAL
from cloud.cap.book import NAME, UNREADABLE, asked
from cloud.cap.course import Sender, notice
from cloud.rooms.cap_course import courses
from cloud.rooms.cap_levels import DANGER, levels
from cloud.staff.warnings import Warnings

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloud.cap.book import Book, InForce
    from cloud.cap.course import Notice
    from cloud.clock import Clock
    from cloud.config import Cap, CloudConfig
    from cloud.registry import Registry

log = logging.getLogger(__name__)


class Given:
    """What is given out, each message as it was once given.

    `url` is where staff see incidents, `pages` where the world sees danger.
    """

    def __init__(
        self, config: CloudConfig, url: str, pages: str, clock: Clock, registry: Callable[[], Registry]
    ) -> None:
        self._folder, self._sender = Path(config.data.path), sender_of(config.cap)
        self._url, self._pages, self._clock, self._registry = url, pages, clock, registry
        self._lock = threading.Lock()  # what is read first is said first
        self._no_danger = ""  # why nothing new is said of danger

    def in_force(self) -> InForce:
        """Return the messages that are in force; what is news is published by that. Raises sqlite3.Error, Taken."""

        def published(book: Book) -> InForce:
            return book.publish([*fires, *self._dangers(now_ms, book.going(now_ms))], now_ms)

        with self._lock:
            now_ms = self._clock.utc_ms()
            fires = [
                notice(msgspec.structs.replace(one, web=f"{self._url}/truc/{one.number}"), self._sender)
                for one in courses(self._folder / JOURNAL, now_ms)
            ]
            return asked(self._folder / NAME, published)

    def xml(self, identifier: str) -> bytes | None:
        """Return a message as it was given out, None where none was. Raises sqlite3.Error, Taken."""
        with self._lock:
            path = self._folder / NAME
            return asked(path, lambda book: book.xml(identifier)) if path.exists() else None

    def _dangers(self, now_ms: int, going: set[str]) -> list[Notice]:
        """Return what is to be said of danger; nothing where its book cannot be read: what was said stays."""
        why = ""
        try:
            return list(levels(self._folder / DANGER, self._registry(), self._sender, now_ms, going, self._pages))
        except UNREADABLE as error:
            why = str(error)
            return []
        finally:
            if why != self._no_danger:
                log.warning("cap-danger-unread why=%r", why) if why else log.info("cap-danger-readable")
            self._no_danger = why


def warnings_of(
    config: CloudConfig, url: str, clock: Clock, registry: Callable[[], Registry], pages: str = ""
) -> Warnings | None:
    """Return what the staff room gives out; None where nobody has a key for it."""
    if not config.cap.key_file:
        return None
    given = Given(config, url, pages, clock, registry)

    def key() -> str:
        return Path(config.cap.key_file).read_text("utf-8").strip()

    return Warnings(key, given.in_force, given.xml, url, config.cap.name_vi or config.cap.sender)


def sender_of(cap: Cap) -> Sender:
    """Return who warns, as a configuration says."""
    return Sender(cap.sender, {"vi": cap.name_vi, "en": cap.name_en or cap.name_vi}, cap.restriction, cap.contact)
