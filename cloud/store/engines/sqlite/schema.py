"""The tables, and how a file of an older version comes to the newest."""

from __future__ import annotations

MIGRATIONS = (
    """
    CREATE TABLE channel (id INTEGER PRIMARY KEY, gateway TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (gateway, name));
    CREATE TABLE epoch (id INTEGER PRIMARY KEY, gateway TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (gateway, name));
    CREATE TABLE shape (
        id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, quantities TEXT NOT NULL, UNIQUE (epoch, quantities)
    );
    CREATE TABLE reading (
        hour INTEGER NOT NULL, channel INTEGER NOT NULL, time INTEGER NOT NULL,
        shape INTEGER NOT NULL, texts TEXT NOT NULL,
        PRIMARY KEY (hour, channel, time)
    ) WITHOUT ROWID;
    CREATE TABLE missing (
        hour INTEGER NOT NULL, channel INTEGER NOT NULL, time INTEGER NOT NULL,
        quantity TEXT NOT NULL, reason INTEGER NOT NULL,
        PRIMARY KEY (hour, channel, time, quantity)
    ) WITHOUT ROWID;
    CREATE TABLE latest (
        channel INTEGER NOT NULL, quantities TEXT NOT NULL, time INTEGER NOT NULL, texts TEXT NOT NULL,
        PRIMARY KEY (channel, quantities)
    ) WITHOUT ROWID;
    CREATE TABLE hourly (
        hour INTEGER NOT NULL, channel INTEGER NOT NULL, quantity TEXT NOT NULL,
        n INTEGER NOT NULL, mean REAL NOT NULL, low REAL NOT NULL, high REAL NOT NULL,
        PRIMARY KEY (hour, channel, quantity)
    ) WITHOUT ROWID;
    CREATE TABLE dirty_hour (
        hour INTEGER NOT NULL, channel INTEGER NOT NULL, touched_ms INTEGER NOT NULL,
        PRIMARY KEY (hour, channel)
    ) WITHOUT ROWID;
    CREATE TABLE ledger (
        epoch INTEGER NOT NULL, first INTEGER NOT NULL, n INTEGER NOT NULL, verdict INTEGER NOT NULL,
        arrival_ms INTEGER NOT NULL, start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, words TEXT NOT NULL,
        PRIMARY KEY (epoch, first, n)
    ) WITHOUT ROWID;
    CREATE INDEX ledger_arrival ON ledger (arrival_ms);
    CREATE TABLE status (
        gateway TEXT NOT NULL, epoch TEXT NOT NULL, arrival_ms INTEGER NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY (gateway, epoch)
    ) WITHOUT ROWID;
    """,
    "ALTER TABLE missing ADD COLUMN raw REAL",  # the number that stood beside the reason
    "ALTER TABLE reading ADD COLUMN seq INTEGER",  # what an older version wrote has it in the time: keys.seq_of
    """
    CREATE TABLE tally (epoch INTEGER PRIMARY KEY, text TEXT NOT NULL);
    CREATE TABLE mark (id INTEGER PRIMARY KEY CHECK (id = 1), until_ms INTEGER NOT NULL, expired_ms INTEGER NOT NULL);
    INSERT INTO mark VALUES (1, 0, 0)
    """,  # what the ledger adds up to
    """
    CREATE TABLE horizon (id INTEGER PRIMARY KEY CHECK (id = 1), hour INTEGER NOT NULL, seen_ms INTEGER NOT NULL);
    INSERT INTO horizon VALUES (1, 0, 0)
    """,  # which single readings are kept
)

# All full hours of a range, so that each is one seek in a table whose key begins with the hour.
SPAN = "WITH RECURSIVE span (h) AS (SELECT :low WHERE :low <= :high UNION ALL SELECT h + 1 FROM span WHERE h < :high)"
