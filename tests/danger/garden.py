"""A zone with a weather station and a rain gauge, on a real store: what it hears, the watch makes danger of."""

from __future__ import annotations

from datetime import date, timedelta
from shutil import copytree
from typing import TYPE_CHECKING, Any

from cloud.clock import hanoi, midnight_ms
from cloud.danger.book import NAME, past
from cloud.danger.watch import Watch
from cloud.registry import Registry
from cloud.registry.kinds import Binding, Commune, DangerTable, Province, Zone
from cloud.store import open_store
from tests.build import batch

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from cloud.danger.course import Day
    from cloud.registry.kinds import Record

FIRST = date(2026, 2, 2)
HUNG = date(2025, 1, 1)
HOUR_MS = 3_600_000
DRY = {"air_temperature": 30.0, "air_humidity": 40.0, "wind_speed": 2.0}
ZONE = Zone(code="z01", name_vi="Khu một", name_en="Zone one", lat=21.6206, lon=104.5801, commune="x01")


def at(day: date, hour: float = 0.0) -> int:
    return midnight_ms(day) + round(hour * HOUR_MS)


def table(**of: Any) -> DangerTable:
    """Return the table that evidence calls "Phạm Ngọc Hưng": a fixture, no law of this province."""
    facts: dict[str, Any] = {"decision": "0/2026/QĐ-THỬ", "place": "province", "code": "p01", "valid_from": HUNG}
    bounds = {"up_to_1": 1_000, "up_to_2": 2_500, "up_to_3": 5_000, "up_to_4": 10_000}
    return DangerTable(**(facts | bounds | of))


class Clock:
    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def utc_ms(self) -> int:
        return self.now_ms

    def monotonic(self) -> float:
        return self.now_ms / 1000

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.now_ms += round(seconds * 1000)
        return event.is_set()


class Garden:
    """One zone; `tell` stores readings as ingest would, `look` lets the watch do what is due."""

    def __init__(self, folder: Path, *more: Record, above_ground_m: float | None = 10.0) -> None:
        self.folder = folder
        self.store = open_store({"path": str(folder / "store.db")}, writer=True)
        self.store.setup()
        self.clock = Clock(at(FIRST))
        self.first = 1
        self.rows: dict[str, list[Record]] = {
            "province": [Province(code="p01", name="Tỉnh", valid_from=HUNG)],
            "commune": [Commune(code="x01", name="Xã", province="p01", valid_from=HUNG)],
            "zone": [ZONE],
            "binding": [
                Binding(gateway="sg-01", channel="weather-1", place="zone", code="z01", valid_from=HUNG,
                        above_ground_m=above_ground_m),
                Binding(gateway="sg-01", channel="rain-1", place="zone", code="z01", valid_from=HUNG),
            ],
        }  # fmt: skip
        for row in more:
            self.rows.setdefault(_kind(row), []).append(row)
        self.watch = self.started()

    @property
    def now(self) -> Registry:
        if getattr(self, "_read", None) is None:
            self._read = Registry(self.rows)
        return self._read

    def change(self, kind: str, *rows: Record) -> None:
        self.rows[kind] = list(rows)
        self._read = None  # type: ignore[assignment]

    def started(self) -> Watch:
        return Watch(self.folder / NAME, self.store, self, self.clock)  # type: ignore[arg-type]

    def tell(self, start_ms: int, hours: float, arrival_ms: int = 0, *, rain: float | None = None,
             grows: float = 0.0, step_ms: int = 600_000, **weather: float) -> None:  # fmt: skip
        """Store a reading each ten minutes; the gauge's total stands at `rain` and grows evenly by `grows`."""
        rows: list[Any] = []
        steps = round(hours * HOUR_MS / step_ms)
        for n in range(steps):
            row: dict[str, dict[str, float]] = (
                {"weather-1": DRY | weather} if weather.get("air_temperature", 0) < 99 else {}
            )
            if rain is not None:
                row["rain-1"] = {"rain_total": round(rain + grows * n / max(steps - 1, 1), 2)}
            rows.append(row)
        for at in range(0, len(rows), 2):  # a batch that is no later than batches are
            some = rows[at : at + 2]
            began = start_ms + at * step_ms
            arrived = max(arrival_ms, began + len(some) * step_ms)
            made = batch(start_ms=began, step_ms=step_ms, rows=some, first=self.first, now_ms=arrived + 1,
                         uptime_ms=600_000)  # fmt: skip
            self.store.commit([made], arrived)
            self.first += made.n

    def days_pass(self, days: int, first: date = FIRST, rain: float = 100.0, **weather: float) -> None:
        """Tell whole days as they pass, and look at 13:35 and at 19:00 of each."""
        for n in range(days):
            day = first + timedelta(n)
            self.tell(at(day), 13.5, rain=rain, **weather)
            self.look(at(day, 13.6))
            self.tell(at(day, 13.5), 10.5, rain=rain, **weather)
            self.look(at(day, 19.0))

    def look(self, now_ms: int) -> int:
        self.clock.now_ms = now_ms
        return self.watch.look()

    def days(self, most: int = 400) -> list[Day]:
        return past(self.folder / NAME, "z01", most, hanoi(self.clock.now_ms).date())[0]

    def close(self) -> None:
        self.watch.close()
        self.store.close()


def lived(folder: Path, days: int) -> tuple[Path, int]:
    """Return a garden's folder after some days, and the number of the next reading: for `again`, which is quick."""
    garden = Garden(folder)
    garden.days_pass(days)
    garden.close()
    return folder, garden.first


def again(lived: tuple[Path, int], folder: Path) -> Garden:
    """Return a copy of a garden that has lived."""
    copytree(lived[0], folder, dirs_exist_ok=True)
    garden = Garden(folder)
    garden.first = lived[1]
    return garden


def _kind(row: Record) -> str:
    return {"DangerTable": "danger_table", "Maintenance": "maintenance", "Binding": "binding"}[type(row).__name__]
