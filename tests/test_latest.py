"""The newest value of every series: judged by its own time, whatever came when and how often."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

import pytest

from cloud.store import Retry, Sample, open_store
from cloud.store.patience import AGAIN_S
from cloud.stream.connection import Arrival
from cloud.stream.latest import FILL_S, MOST_UNREAD, UNREAD_BYTES, Latest, Value
from tests.build import START_MS, batch, packet, soil
from wire import codec
from wire.batch import Source
from wire.reading import Reason

if TYPE_CHECKING:
    from pathlib import Path


def test_the_last_row_of_a_batch_is_the_newest() -> None:
    latest = Latest()
    latest.offer(batch(rows=soil(5)), START_MS + 9_000)
    now = latest.channel("sg-01", "soil-1")
    assert now is not None
    assert now.values["soil_moisture"] == Value(START_MS + 4_000, 30.04)
    assert (now.time_ms, now.arrival_ms) == (START_MS + 4_000, START_MS + 9_000)
    assert latest.get("sg-01", "soil-1", "soil_moisture") == now.values["soil_moisture"]


def test_order_and_repetition_do_not_matter() -> None:
    batches = [batch(first=1 + 3 * n, start_ms=START_MS + 3_000 * n, rows=soil(3, base=30 + n)) for n in range(3)]
    ends = set()
    for order in itertools.permutations(batches):
        latest = Latest()
        for one in (*order, *order):
            latest.offer(one, START_MS)
        value = latest.get("sg-01", "soil-1", "soil_moisture")
        assert value is not None
        ends.add(value)
    assert ends == {Value(START_MS + 8_000, 32.02)}


def test_a_silent_poll_is_remembered_beside_the_last_value() -> None:
    latest = Latest()
    latest.offer(batch(rows=[*soil(1), {"soil-1": {"soil_moisture": Reason.SILENCE}}]), START_MS)
    now = latest.channel("sg-01", "soil-1")
    assert now is not None
    assert now.time_ms == START_MS + 1_000
    assert now.reasons == {"soil_moisture": Reason.SILENCE} | dict.fromkeys(
        set(now.reasons) - {"soil_moisture"}, Reason.NOT_REPORTED
    )
    assert now.values["soil_moisture"] == Value(START_MS, 30.0)
    latest.offer(batch(first=5, start_ms=START_MS + 5_000, rows=soil(1)), START_MS)
    healed = latest.channel("sg-01", "soil-1")
    assert healed is not None
    assert healed.reasons == {}


def test_a_channel_that_never_gave_a_value_is_known_by_its_reasons() -> None:
    latest = Latest()
    latest.offer(batch(rows=[{"air-1": {"air_humidity": Reason.CHECKSUM}}]), START_MS)
    now = latest.channel("sg-01", "air-1")
    assert now is not None
    assert (now.values, now.reasons) == ({}, {"air_humidity": Reason.CHECKSUM})


def test_an_undated_batch_changes_nothing() -> None:
    latest = Latest()
    latest.offer(batch(rows=soil(1), dated=False, source=Source.NONE), START_MS)
    assert latest.channels() == []


def test_an_uncertain_time_is_marked() -> None:
    latest = Latest()
    latest.offer(batch(rows=soil(1), source=Source.BOUNDED, uncertainty_ms=90_000), START_MS)
    value = latest.get("sg-01", "soil-1", "soil_ph")
    assert value is not None
    assert value.bounded


def test_filled_from_a_store_it_never_goes_back(tmp_path: Path) -> None:
    store = open_store({"engine": "sqlite", "path": str(tmp_path / "store.sqlite")}, writer=True)
    store.setup()
    old = batch(rows=soil(2))
    store.commit([old], START_MS)
    fresh, late = Latest(), Latest()
    fresh.fill(store)
    late.offer(batch(first=9, start_ms=START_MS + 60_000, rows=soil(1, base=44)), START_MS)
    late.fill(store)
    store.close()
    assert fresh.get("sg-01", "soil-1", "soil_moisture") == Value(START_MS + 1_000, 30.01)
    assert fresh.channel("sg-01", "soil-1").arrival_ms is None  # type: ignore[union-attr]
    assert late.get("sg-01", "soil-1", "soil_moisture") == Value(START_MS + 60_000, 44.0)


def test_filled_from_a_store_an_uncertain_time_is_marked_too(tmp_path: Path) -> None:
    store = open_store({"engine": "sqlite", "path": str(tmp_path / "store.sqlite")}, writer=True)
    store.setup()
    sure = batch(rows=soil(1, channel="soil-2"))
    guessed = batch(first=2, rows=soil(2), source=Source.BOUNDED, uncertainty_ms=90_000)
    later = batch(first=4, start_ms=START_MS + 60_000, rows=[{"soil-1": {"soil_ph": 4.5}}])
    store.commit([sure, guessed, later], START_MS)
    latest = Latest()
    latest.fill(store)
    store.close()
    told = {
        (channel, quantity): value.bounded
        for _, channel in latest.channels()
        for quantity, value in latest.channel("sg-01", channel).values.items()  # type: ignore[union-attr]
    }
    assert told["soil-1", "soil_moisture"]
    assert not told["soil-1", "soil_ph"]
    assert not told["soil-2", "soil_moisture"]


def test_what_was_never_heard_is_none() -> None:
    latest = Latest()
    assert latest.channel("sg-01", "soil-1") is None
    assert latest.get("sg-01", "soil-1", "soil_ph") is None


def test_readers_never_see_half_a_batch() -> None:
    """One batch raises moisture and temperature together; no reader sees one without the other."""
    latest = Latest()
    pair = [
        batch(first=n, start_ms=START_MS + n * 1_000, rows=[{"soil-1": {"soil_moisture": n, "soil_temperature": n}}])
        for n in range(1, 60)
    ]
    latest.offer(pair[0], START_MS)
    torn: list[object] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            now = latest.channel("sg-01", "soil-1")
            if now is None or len({value.value for value in now.values.values()}) != 1:
                torn.append(now)

    reader = threading.Thread(target=read, name="reader")
    reader.start()
    for _ in range(20):
        for one in pair:
            latest.offer(one, START_MS)
    done.set()
    reader.join(5)
    assert not reader.is_alive()
    assert torn == []


@pytest.mark.parametrize("gateway", ["sg-01", "sg-02"])
def test_gateways_do_not_mix(gateway: str) -> None:
    latest = Latest()
    latest.offer(batch(gateway="sg-01", rows=soil(1, base=10)), START_MS)
    latest.offer(batch(gateway="sg-02", rows=soil(1, base=20)), START_MS)
    value = latest.get(gateway, "soil-1", "soil_moisture")
    assert value is not None
    assert value.value == {"sg-01": 10, "sg-02": 20}[gateway]


def heard(payload: bytes, **of: object) -> Arrival:
    return Arrival(
        **({"gateway": "sg-01", "kind": "up", "payload": payload, "arrival_ms": START_MS, "retained": False} | of)
    )  # type: ignore[arg-type]


def test_a_message_is_decoded_when_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    decode = codec.decode_message
    monkeypatch.setattr(codec, "decode_message", lambda gateway, *of: decoded.append(gateway) or decode(gateway, *of))
    latest = Latest()
    for number in range(5):
        payload = packet(first=1 + number, start_ms=START_MS + number * 1_000, rows=soil(1, base=30 + number))
        latest.hear(heard(payload, arrival_ms=START_MS + 9_000))
        latest.hear(heard(payload, gateway="sg-02", arrival_ms=START_MS + 9_000))
    assert decoded == []
    assert latest.get("sg-01", "soil-1", "soil_moisture") == Value(START_MS + 4_000, 34.0)
    assert decoded == ["sg-01"] * 5
    assert latest.channels() == [("sg-01", "soil-1"), ("sg-02", "soil-1")]
    assert decoded == ["sg-01"] * 5 + ["sg-02"] * 5


@pytest.mark.parametrize(
    "of",
    [{"kind": "status"}, {"kind": "beat"}, {"retained": True}, {"payload": b"x" * 70_000}, {"payload": b"damaged"}],
)
def test_what_is_no_batch_says_nothing(of: dict[str, object]) -> None:
    latest = Latest()
    latest.hear(heard(**({"payload": packet(rows=soil(1))} | of)))  # type: ignore[arg-type]
    assert latest.channels() == []


def test_of_a_gateway_that_nobody_looks_at_little_is_kept_and_the_store_brings_the_rest(tmp_path: Path) -> None:
    store = open_store({"engine": "sqlite", "path": str(tmp_path / "store.sqlite")}, writer=True)
    store.setup()
    seldom = {"first": 1, "rows": [{"air-1": {"air_humidity": 80.0}}]}
    store.commit([batch(**seldom)], START_MS)
    latest = Latest()
    latest.fill(store)
    store.commit([batch(first=2, start_ms=START_MS + 60_000, rows=[{"air-1": {"air_humidity": 81.0}}])], START_MS)
    latest.hear(heard(packet(first=2, start_ms=START_MS + 60_000, rows=[{"air-1": {"air_humidity": 81.0}}])))
    for number in range(400):
        latest.hear(heard(packet(first=3 + number, start_ms=START_MS + 120_000 + number * 1_000, rows=soil(1))))
    assert sum(len(one.payload) for one in latest._unread["sg-01"]._waiting) <= UNREAD_BYTES
    assert latest.get("sg-01", "air-1", "air_humidity") == Value(START_MS, 80.0)
    assert latest.get("sg-01", "soil-1", "soil_moisture") == Value(START_MS + 519_000, 30.0)
    clock, stop = StoppingClock(2), threading.Event()
    latest.run(store, clock, stop)
    assert latest.get("sg-01", "air-1", "air_humidity") == Value(START_MS + 60_000, 81.0)
    assert clock.waits == [FILL_S, FILL_S]
    asked = latest._wanted.is_set()
    store.close()
    assert not asked, "nothing is missing any more"


def test_names_without_end_do_not_fill_the_memory() -> None:
    latest = Latest()
    for number in range(MOST_UNREAD + 100):
        latest.hear(heard(b"x" * 100, gateway=f"stranger-{number}"))
    assert len(latest._unread) == MOST_UNREAD


def test_a_store_that_is_away_is_asked_until_it_answers_and_complained_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Away:
        asked = 0

        def latest(self) -> list[Sample]:
            self.asked += 1
            if self.asked < 4:
                raise Retry("out of reach")
            return [Sample("sg-01", "air-1", "air_humidity", START_MS * 1_000_000, 70.0)]

    latest, clock = Latest(), StoppingClock(4)
    assert not latest.filled
    latest.run(Away(), clock, threading.Event())
    assert latest.filled
    assert clock.waits == [AGAIN_S] * 3 + [FILL_S]


class StoppingClock:
    """Ends what waits after so many waits."""

    def __init__(self, most: int) -> None:
        self.waits: list[float] = []
        self._most = most

    def utc_ms(self) -> int:
        return START_MS

    def monotonic(self) -> float:
        return 0.0

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.waits.append(seconds)
        if len(self.waits) == self._most:
            event.set()
        return event.is_set()
