"""A garden for tests of the pages: the shipped registry, a real SQLite store, a clock that stands, and a visitor."""

from __future__ import annotations

import asyncio
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
import msgspec

from cloud.coverage.hamlets import Coverage
from cloud.pages.app import build
from cloud.pages.garden import Garden
from cloud.registry.transfer import load
from cloud.rooms.listener import listen
from cloud.serve import Server
from cloud.store import Store, open_store
from cloud.stream.latest import Latest
from tests import build as made_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from cloud.registry import Registry

GARDEN = Path(__file__).parents[1] / "config" / "garden"
NOW_MS = 1_763_870_400_000  # 2025-11-23 11:00 in Vietnam
TREE = "7K3MQP"  # has a probe of its own and a zone station
BARE = "EQ5R7X"  # has neither

AIR = {"air_temperature": 21.4, "air_humidity": 83.5}
WEATHER = {"air_temperature": 21.9, "air_humidity": 82.0, "dew_point": 18.6, "air_pressure": 862.4, "wind_speed": 2.06}
SMOKE = {"pm1": 7, "pm2_5": 12, "pm10": 15, "pm2_5_cf1": 12, "particles_0_3": 1311}
GNSS = {"lat": 21.6206, "lon": 104.5801, "alt": 1352.5, "satellites": 9, "fix_quality": 1}
MODEM = {"registration": 1, "radio": 3, "lte_rsrp": -101.0, "lte_rsrq": -11.0, "lte_sinr": 8.0, "cell": 27447297}
ALL = {
    "soil-1": made_of.SOIL,
    "air-1": AIR,
    "weather-1": WEATHER | {"wind_direction": 320.0},
    "smoke-1": SMOKE,
    "gnss-1": GNSS,
    "modem-hang-tay": MODEM,
}


class StandingClock:
    """Tells the time that it was given last."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.now_ms = now_ms

    def utc_ms(self) -> int:
        return self.now_ms

    def monotonic(self) -> float:
        return self.now_ms / 1000

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.now_ms += int(seconds * 1000)
        return event.is_set()


class Incident(msgspec.Struct, frozen=True):
    id: str = "i1"
    rule: str = "rain-day"
    what_vi: str = "Mưa lớn"
    what_en: str = "Heavy rain"
    place_vi: str = "Khu vườn mẫu Suối Giàng – đồi trên"
    place_en: str = "Sample garden Suối Giàng, upper hill"
    state: str = "open"
    since_ms: int = NOW_MS - 600_000
    until_ms: int | None = None


class World:
    """What a test turns: the store, the newest values, the clock, the incidents."""

    def __init__(self, folder: Path) -> None:
        self.clock = StandingClock()
        self.store: Store = open_store({"engine": "sqlite", "path": str(folder / "store.sqlite")}, writer=True)
        self.store.setup()
        self.latest = Latest()
        self.latest.filled = True
        self.registry: Registry = load(GARDEN)
        self.incidents: list[Incident] = []
        self._first = 1

    def tell(self, rows: dict[str, dict[str, Any]], age_s: float = 60, **of: Any) -> None:
        """One poll of each channel, `age_s` before now, stored and offered as ingest and the follower do."""
        start = self.clock.now_ms - int(age_s * 1000)
        made = made_of.batch(first=self._first, start_ms=start, rows=[rows], now_ms=self.clock.now_ms, **of)
        self._first += made.n
        self.store.commit([made], self.clock.now_ms)
        self.latest.offer(made, self.clock.now_ms)

    def garden(self, **changed: Any) -> Garden:
        parts: dict[str, Any] = {
            "current": self.registry,
            "latest": self.latest,
            "store": self.store,
            "clock": self.clock,
            "public_url": "https://goc.example.org",
            "coverage": Coverage(self.registry, self.latest, self.store, self.clock),
            "incidents": lambda: list(self.incidents),
            "patience_s": 20.0,  # a busy machine is no hung store
        }
        return Garden(**(parts | changed))


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """Return the one event loop that all applications of this test run live in, as each does in its own process."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="visitors", daemon=True).start()
    return loop


class Visitor:
    """Asks the application in this process, as a browser without cookies and without a language would."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://garden.test") as client:
                return await client.request(method, path, **options)

        return asyncio.run_coroutine_threadsafe(ask(), _loop()).result(30)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)


class Site:
    """The pages on a real socket, served as the server serves them, in a thread of this process."""

    def __init__(self, garden: Garden) -> None:
        self.garden: Any = garden
        self._listener = listen("127.0.0.1", 0)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._stop = threading.Event()
        served = Server(build(garden), self._listener)
        self._thread = threading.Thread(target=served.run, args=(self._stop,), name="pages")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)
        self._listener.close()
