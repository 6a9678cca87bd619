"""The archive for production: InfluxDB through `/write` and InfluxQL `/query`, the pair that every generation has.

The client library is used for its API client only, one request at a time: its batching mode loses what it holds when
the server is away, and its own write and query interfaces do not exist in all generations. Which generation answers
is found out by what it does, never by its version header. A body that the database refuses is halved until the single
bad lines are known, because neither generation names them: 1.8 keeps the good lines of such a body, 2.7 keeps none
after a syntax error. Asking again is harmless in both: the same line is the same point.

Layout: `reading`, `missing` and `raw` (tags gateway, channel; a float field per quantity: its value, the code of the
reason why there is none, the number that stood beside that reason; in the first two the integer `seq`), `batch` (the
ledger: tags gateway, epoch) and `status` (tags gateway, epoch). Readings of two epochs of one gateway are told apart by
the key in their times. Only what is ours is read: a foreign program's fields and lines are passed over.
"""

from __future__ import annotations

from cloud.store import Cost
from cloud.store.engines.influx.config import InfluxConfig
from cloud.store.engines.influx.store import InfluxStore

COST = Cost(a_reading=0, a_value=5.4, a_batch=100)  # docs/decisions/0019; the ledger believed
CONFIG = InfluxConfig
STORE = InfluxStore
