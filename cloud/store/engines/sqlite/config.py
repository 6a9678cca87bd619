"""What may stand in `[store]` of cloud.toml for SQLite."""

from __future__ import annotations

from typing import Annotated

import msgspec

from cloud.store.retention import Retention


class SqliteConfig(Retention, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[store]` of cloud.toml for this engine."""

    engine: Annotated[str, msgspec.Meta(description="this engine")] = "sqlite"
    path: Annotated[str, msgspec.Meta(description="the file, in the data folder")] = "store.db"
