"""The archive for production: InfluxDB through `/write` and InfluxQL `/query`, the pair that every generation has.

The client library is used for its API client only, one request at a time: its batching mode loses what it holds when
the server is away, and its own write and query interfaces do not exist in all generations. Which generation answers
is found out by what it does, never by its version header. A body that the database refuses is halved until the single
bad lines are known, because neither generation names them: 1.8 keeps the good lines of such a body, 2.7 keeps none
after a syntax error. Asking again is harmless in both: the same line is the same point.

Layout: `reading`, `missing` and `raw` (tags gateway, channel; a float field per quantity: its value, the code of the
reason why there is none, the number that stood beside that reason; in the first two the integer `seq` where the ledger
cannot give it), `batch` (the ledger: tag gateway, one text a batch), `status` and `newest` (tag gateway), `tally` and
`mark` (the summary). Readings of two epochs of one gateway are told apart by the key in their times, and no epoch is a
tag: each boot makes one. Only what is ours is read: a foreign program's fields and lines are passed over.
"""

from __future__ import annotations

from cloud.store import Cost
from cloud.store.engines.influx.config import InfluxConfig
from cloud.store.engines.influx.store import InfluxStore

COST = Cost(a_reading=0, a_value=4.8, a_batch=45)  # docs/decisions/0025
CONFIG = InfluxConfig
STORE = InfluxStore
