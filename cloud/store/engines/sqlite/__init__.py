"""The store that needs nothing installed: SQLite, one row a reading, one writer, any number of readers.

The key of a reading is (hour, channel, time): with the hour in front, the rows of now share some tens of pages, where
a key of (series, time) would dirty a page for every value (measured: 54 times fewer bytes written). A row's values
are the texts of the wire, joined by commas in the order of its shape, so nothing is converted on the way in. Rollups
are never added to: a batch marks its hours dirty, dirty hours are counted anew, and a re-sent batch is known by its
ledger row and its times before anything is written. WAL with synchronous=FULL: what `commit` returned from survives a
power cut, as far as the disk tells the truth about flushing.
"""

from __future__ import annotations

from cloud.store.engines.sqlite.config import SqliteConfig
from cloud.store.engines.sqlite.store import SqliteStore

CONFIG = SqliteConfig
STORE = SqliteStore
