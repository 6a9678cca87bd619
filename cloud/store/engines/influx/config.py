"""What may stand in `[store]` of cloud.toml for InfluxDB."""

from __future__ import annotations

from typing import Annotated

import msgspec

from cloud.store.retention import Retention
from settings.credentials import web_address
from settings.finding import Unfit, shown


class InfluxConfig(Retention, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[store]` of cloud.toml for this engine: `user` and `password_file` for 1.x, `token_file` for 2.x."""

    engine: Annotated[str, msgspec.Meta(description="this engine")] = "influx"
    url: Annotated[str, msgspec.Meta(description="where InfluxDB listens", pattern="^https?://[^ ]+$")] = (
        "http://127.0.0.1:8086"
    )
    database: Annotated[
        str,
        msgspec.Meta(
            description="database (1.x) or bucket (2.x); made by the first start where the user may",
            pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        ),
    ] = "gocche"
    user: Annotated[str | None, msgspec.Meta(description="user of InfluxDB 1.x")] = None
    password_file: Annotated[
        str | None, msgspec.Meta(description="file that holds that user's password, nothing else")
    ] = None
    token_file: Annotated[
        str | None, msgspec.Meta(description="file that holds the token of InfluxDB 2.x, nothing else")
    ] = None
    org: Annotated[
        str | None, msgspec.Meta(description="organisation of InfluxDB 2.x, where the token sees several")
    ] = None
    ca_file: Annotated[
        str | None, msgspec.Meta(description="certificate of the authority that signed the server's")
    ] = None
    timeout_s: Annotated[float, msgspec.Meta(description="patience for one request", gt=0, le=20)] = 10.0
    settle_s: Annotated[
        float,
        msgspec.Meta(
            description="how long a write may take to be seen by who reads: 0 for one InfluxDB, 10 for a cluster",
            ge=0,
            le=300,
        ),
    ] = 0.0
    gzip: Annotated[
        bool, msgspec.Meta(description="compress what is written: worth it over a thin link, not on loopback")
    ] = False

    def __post_init__(self) -> None:
        """Raise Unfit for an address that is none, and for what all engines refuse."""
        Retention.__post_init__(self)
        if web_address(self.url) is None:
            raise Unfit("url", "url", value=shown(self.url))
