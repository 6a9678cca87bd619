"""The store that needs nothing installed: SQLite, one row a reading, one writer, any number of readers.

The key of a reading is (hour, channel, time): with the hour in front, the rows of now share some tens of pages, where
a key of (series, time) would dirty a page for every value (measured: 54 times fewer bytes written). A row's values
are the texts of the wire, joined by commas in the order of its shape, so nothing is converted on the way in. Rollups
are never added to: a batch marks its hours dirty, dirty hours are counted anew, and a re-sent batch is known by its
ledger row and its times before anything is written. WAL with synchronous=FULL: what `commit` returned from survives a
power cut, as far as the disk tells the truth about flushing.
"""

from __future__ import annotations

from cloud.store import Cost
from cloud.store.engines.sqlite.config import SqliteConfig
from cloud.store.engines.sqlite.store import SqliteStore

COST = Cost(
    a_reading=35, a_value=5, a_batch=90
)  # five kinds of gateway, 2 to 6 values a reading, each 10 and 60 s: 47 to 122 bytes a reading
CONFIG = SqliteConfig
STORE = SqliteStore
