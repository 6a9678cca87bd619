"""Durable, then visible: a database that shows a write later than it acknowledged it, and who follows the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.in_front import InFront
from tests.rules.garden import SMOKE, Bench, Post, batch, free_port, serving
from tests.servers import influx_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.influx
SETTLE_S = 10.0


@pytest.fixture(params=["influxd1", "influxd2"])
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture
def front(server: Any) -> Iterator[InFront]:
    with InFront(server.url) as made:
        yield made


def test_alerts_judge_once_what_is_seen_late_and_in_pieces(server: Any, front: InFront, tmp_path: Path) -> None:
    """A ledger row may be seen before its readings: taken then, they would never be judged."""
    table = influx_table(server, tmp_path, settle_s=SETTLE_S) | {"url": front.url}
    with serving(Post(free_port())) as post:
        bench = Bench(tmp_path, [SMOKE], post.port, store=table)
        bench.step()
        bench.clock.advance(301)
        front.held = True
        bench.store.commit([batch(1, [(bench.at(60.0 * n), 80.0 + n) for n in range(6)])], bench.clock.utc_ms())
        bench.idle(65, 65)
        front.settle(only="batch,")
        bench.idle(65, 65)
        assert bench.alerts.incidents() == []
        front.settle()
        bench.idle(195, 65)
        assert len(bench.alerts.incidents()) == len(post.mails) == 1
        bench.close()
