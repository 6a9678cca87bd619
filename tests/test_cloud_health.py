"""What /healthz calls ill: what a person must look at, until it is dealt with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from cloud.clock import SystemClock
from cloud.config import load
from cloud.main import Cloud
from cloud.stream.connection import Arrival
from tests.build import EPOCH, START_MS, packet, soil
from wire import codec

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLE = Path(__file__).parents[1] / "config" / "cloud.toml"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    config = load(SAMPLE)
    made = Cloud(
        msgspec.structs.replace(
            config,
            data=msgspec.structs.replace(config.data, path=str(tmp_path)),
            http=msgspec.structs.replace(config.http, host="127.0.0.1", port=0),
        ),
        SystemClock(),
    )
    made._alerts.step()
    yield made
    made._alerts.close()
    made._quarantine.close()
    made._store.close()
    made._socket.close()


def up(cloud: Cloud, payload: bytes) -> None:
    cloud._ingester.step([Arrival("sg-01", "up", payload, SystemClock().utc_ms(), retained=False)])


def test_a_copied_spool_makes_it_ill(cloud: Cloud) -> None:
    up(cloud, packet(rows=soil(3)))
    assert cloud._health()["ill"] == []
    up(cloud, packet(rows=soil(3), start_ms=START_MS + 600_000))
    assert (cloud._health()["ill"], cloud._health()["ok"]) == (["clones"], False)


def test_what_is_quarantined_makes_it_ill_until_it_is_stored(cloud: Cloud) -> None:
    envelope = msgspec.msgpack.decode(codec._open(packet(rows=soil(3))))
    envelope[0] = 2
    up(cloud, codec._seal(msgspec.msgpack.encode(envelope)))
    assert (cloud._health()["ill"], cloud._health()["ok"]) == (["quarantined"], False)
    (case,) = cloud._quarantine.cases()
    assert case.epoch == EPOCH
    cloud._quarantine.release([case.id])
    assert cloud._health()["ill"] == []
    up(cloud, b"damaged")
    assert cloud._health()["ill"] == [], "anybody can send that"
