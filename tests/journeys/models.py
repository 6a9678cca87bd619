"""Every model that there is a driver or a profile for, as a far end that owes nothing to `edge/`.

Registers, sentences and frames are put together here a second time, from the makers' papers: pymodbus answers for the
Modbus probes, the garden's modem and talkers for the rest. Each says with its frame what that tells, and no two of
fifty draws in a row tell the same.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from gocche.garden.device import Answer, Device
from gocche.garden.modbus import READ_HOLDING, READ_INPUT, Bus, Slave
from gocche.garden.modem import Modem
from gocche.garden.talkers import GasModule, ParticleSensor, Receiver, Talker, WeatherStation, sentence

if TYPE_CHECKING:
    from cloud.clock import Clock
    from gocche.garden.served import Served
    from gocche.garden.stage import Stage, Told

Values = dict[str, float]
Registers = Callable[[int], tuple[dict[int, int], Values]]  # of the n-th draw: what they hold, and what that means
Make = Callable[[str, "Served", "Clock"], Device]


class Model(msgspec.Struct, frozen=True):
    """One model: its table in devices.toml, how it is made, how it talks, and what it says when it gets power.

    `pace_s` is that of a talker, 0 for who is asked; `wakes_s` is how long it says `waking` after it got power.
    """

    family: str
    table: str
    make: Make
    pace_s: float = 0.0
    wakes_s: float = 2.0
    waking: bytes = b""
    baud: int = 9600
    timeout_s: float = 0.5
    always: dict[str, int] = {}  # what follows from any of its answers, scaled


# --- Modbus probes: what stands in the registers at the n-th draw, and what that means


def _soil(first: int, rest: int, acid: int) -> Registers:
    def draw(n: int) -> tuple[dict[int, int], Values]:
        wet, warm, salt, ph = 200 + n % 97, -30 + n % 89, 1000 + n % 101, 500 + 10 * (n % 40)
        food = 300 + n % 83, 500 + n % 79, 700 + n % 73
        words = {first: wet, first + 1: warm & 0xFFFF, rest: salt, acid: ph // 10 if acid == first + 3 else ph}
        feeds = (first + 4, first + 5, first + 6) if acid == first + 3 else (0x1E, 0x1F, 0x20)
        told = {"soil_moisture": wet / 10, "soil_temperature": warm / 10, "soil_ec": salt, "soil_ph": ph / 100}
        names = ("soil_nitrogen", "soil_phosphorus", "soil_potassium")
        return words | dict(zip(feeds, food, strict=True)), told | dict(zip(names, food, strict=True))

    return draw


def _smt100(n: int) -> tuple[dict[int, int], Values]:
    return {0: 11_000 + n % 997, 1: 3_000 + n % 499, 2: 1_000 + n % 997}, {
        "soil_temperature": (1_000 + n % 997) / 100,
        "soil_moisture": (3_000 + n % 499) / 100,
    }


def _indoor(n: int) -> tuple[dict[int, int], Values]:
    return {at: 10 + at for at in range(1, 7)} | {0: 500 + n % 499}, {"co2": 500 + n % 499}


def _rain_i32(n: int) -> tuple[dict[int, int], Values]:
    drops = 70_000 + 10 * (n % 40_000)
    return {31101: drops >> 16, 31102: drops & 0xFFFF}, {"rain_total": drops / 1000}


def _rain_u16(n: int) -> tuple[dict[int, int], Values]:
    return {0: n % 0x10000}, {"rain_total": n % 0x10000 / 10}


def _level(n: int) -> tuple[dict[int, int], Values]:
    level = -200 + n % 997
    return {0: 1, 1: 3, 2: 17, 3: 1, 4: level & 0xFFFF, 5: 0, 6: 5000}, {"water_level": level / 10}


def _ntc(n: int) -> tuple[dict[int, int], Values]:
    return {0: (-100 + n % 499) & 0xFFFF}, {"air_temperature": (-100 + n % 499) / 10}


def _air(first: int) -> Registers:
    def draw(n: int) -> tuple[dict[int, int], Values]:
        warm, wet = -50 + n % 199, 500 + n % 197
        return {first: warm & 0xFFFF, first + 1: wet}, {"air_temperature": warm / 10, "air_humidity": wet / 10}

    return draw


def _weather(n: int) -> tuple[dict[int, int], Values]:
    wind, turn, wet, warm, noise = 300 + n % 499, n % 359, 500 + n % 197, -50 + n % 199, 400 + n % 101
    press, light, rain = 850 + n % 53, 70_000 + n % 997, n % 60_000
    words = {500: wind, 501: 2 + n % 3, 502: turn // 46, 503: turn, 504: wet, 505: warm & 0xFFFF, 506: noise}
    return words | {509: press, 510: light >> 16, 511: light & 0xFFFF, 513: rain}, {
        "wind_speed": wind / 100,
        "wind_force": 2 + n % 3,
        "wind_direction": turn,
        "air_humidity": wet / 10,
        "air_temperature": warm / 10,
        "noise": noise / 10,
        "air_pressure": press,
        "illuminance": light,
        "rain_total": rain / 10,
    }


def _probe(draw: Registers, channel: str, address: int, function: int, served: Served, clock: Clock) -> Device:
    def words(n: int, _utc_s: float) -> Values:
        held, means = draw(n)
        return {f"r{at}": held.get(at, 0) for at in registers} | means

    at_first = draw(0)[0]
    registers = {at: (f"r{at}", 1.0) for at in range(min(at_first), max(at_first) + 1)}
    return _Meaning(Bus(channel, [Slave(channel, address, function, registers, words)], served, clock), draw)


class _Meaning:
    """A probe whose answers are noted by what they mean; an answer that holds part of the registers tells all of it."""

    def __init__(self, bus: Bus, draw: Registers) -> None:
        self._bus, self._draw = bus, draw

    def hear(self, data: bytes, stage: Stage) -> list[Answer]:
        """Answer a request."""
        return [
            msgspec.structs.replace(one, values=self._draw(one.n)[1] if one.values else {})
            for one in self._bus.hear(data, stage)
        ]

    def speak(self, _stage: Stage) -> list[Answer]:
        """Return nothing: a slave speaks when it is spoken to."""
        return []


def _modbus(
    draw: Registers, more: str = "", *, function: int = READ_HOLDING, timeout_s: float = 0.5, baud: int = 9600
) -> Callable[[str, int], Model]:
    """Return what makes such a probe of a profile, at an address."""

    def at(profile: str, address: int) -> Model:
        def make(channel: str, served: Served, clock: Clock) -> Device:
            return _probe(draw, channel, address, function, served, clock)

        table = f'driver = "modbus"\nprofile = "{profile}"\naddress = {address}\n{more}'
        return Model("modbus", table, make, timeout_s=timeout_s, baud=baud)

    return at


# --- modems


def _signal(n: int, _utc_s: float) -> Values:
    power = -118 + n % 37
    return {"cell": 0x1F0_0000 + n % 0x100_0000, "rsrp": power, "rsrq": -19 + n % 13, "sinr": n % 23,
            "rssi": 2 * ((power + 30) // 2) + 1}  # fmt: skip


class _Simcom(Modem):
    """The garden's modem under the words of another maker: AT+CPSI? for the serving cell, levels in tenths."""

    _ASKS, _KNOWS = b"AT+CPSI?", b'AT+QENG="SERVINGCELL"'

    def hear(self, data: bytes, stage: Stage) -> list[Answer]:
        """Answer each command line that is whole."""
        return [self._said(one) for one in super().hear(data.replace(self._ASKS, self._KNOWS), stage)]

    def _said(self, one: Answer) -> Answer:
        if one.to != self._KNOWS.decode():
            return one
        echo = self._ASKS + b"\r" if one.frame.startswith(self._KNOWS) else b""
        v = {name: round(value) for name, value in one.values.items()}
        line = (
            f"+CPSI: LTE,Online,452-04,0x{v['tac']:X},{v['cell']},{v['pci']},EUTRAN-BAND3,{v['earfcn']},5,5,"
            f"{10 * v['lte_rsrq']},{10 * v['lte_rsrp']},{10 * v['rssi']},{v['lte_sinr']}"
        )
        return msgspec.structs.replace(one, frame=echo + f"\r\n{line}\r\n\r\nOK\r\n".encode())


def _modem(vendor: str, more: str = "", kind: type[Modem] = Modem) -> Model:
    def make(channel: str, served: Served, clock: Clock) -> Device:
        return kind(channel, channel, _signal, served, clock)

    return Model(
        "modem_at", f'driver = "modem_at"\nvendor = "{vendor}"\n{more}', make, baud=115_200, timeout_s=3.0,
        waking=b"\r\nRDY\r\n\r\n+CPIN: READY\r\n\r\nPB DONE\r\n",
        always={"plmn": 452_004, "registration": 1, "radio": 3},
    )  # fmt: skip


class _Announcer(Talker):
    """A modem that tells its registration by itself."""

    def compose(self, values: Values, told: Told) -> tuple[bytes, Values]:
        """Return one message."""
        tac, cell = 0x8D83, round(values["cell"])
        return f'\r\n+CEREG: 1,"{tac:X}","{cell:X}",7\r\n'.encode(), {"tac": tac, "cell": cell}


def _announcer() -> Model:
    def make(channel: str, served: Served, clock: Clock) -> Device:
        return _Announcer(channel, channel, _signal, served, clock)  # type: ignore[arg-type]

    return replace(_modem("generic", "commands = []\n"), make=make, pace_s=2.5)


# --- NMEA 0183 talkers


def _outdoors(n: int, _utc_s: float) -> Values:
    return {
        "air_pressure": 850 + n % 499 / 10, "air_temperature": -5 + n % 199 / 10, "dew_point": -9 + n % 197 / 10,
        "air_humidity": 50 + n % 193 / 10, "wind_direction": n % 3599 / 10, "wind_speed": n % 101 / 10,
    }  # fmt: skip


def _place(n: int, _utc_s: float) -> Values:
    return {
        "lat": 21 + round(37.2 + n % 499 / 1e5, 5) / 60, "lon": 104 + round(34.8 + n % 491 / 1e5, 5) / 60,
        "alt": 1350 + n % 97 / 10, "fix_quality": 1, "satellites": 5 + n % 7, "hdop": 0.5 + n % 40 / 10,
        "ground_speed": 0.0,
    }  # fmt: skip


class _Vane(Talker):
    """Wind from the instrument's mark beside the weather of its neighbour, in km/h."""

    def compose(self, values: Values, told: Told) -> tuple[bytes, Values]:
        """Return one round."""
        wind = round(values["wind_speed"] * 3.6, 1)
        said = f"IIMWV,{values['wind_direction']:.1f},R,{wind:.1f},K,A"
        means = {"wind_direction_relative": values["wind_direction"], "wind_speed": wind / 3.6}
        return b"".join(map(sentence, (said, "IIMWV,10.0,T,7.0,N,A"))), means


class _Transducers(Talker):
    """Two to a sentence, and pressure in a sentence of its own."""

    def compose(self, values: Values, told: Told) -> tuple[bytes, Values]:
        """Return one round."""
        v = values
        two = f"IIXDR,C,{v['air_temperature']:.1f},C,Air,H,{v['air_humidity']:.1f},P,Wet"
        names = ("air_temperature", "air_humidity", "air_pressure")
        one = f"IIXDR,P,{v['air_pressure'] / 1000:.4f},B,Baro"
        return sentence(two) + sentence(one), {name: v[name] for name in names}


def _talker(kind: type[Talker], draw: Callable[[int, float], Values], more: str, **habits: float) -> Model:
    def make(channel: str, served: Served, clock: Clock) -> Device:
        return kind(channel, channel, draw, served, clock)  # type: ignore[arg-type]

    return Model("nmea0183", f'driver = "nmea0183"\n{more}', make, timeout_s=3.0, **({"pace_s": 1.0} | habits))  # type: ignore[arg-type]


# --- Plantower sensors


_MASSES = ("pm1_cf1", "pm2_5_cf1", "pm10_cf1", "pm1", "pm2_5", "pm10")
_SIZES = ("particles_0_3", "particles_0_5", "particles_1", "particles_2_5", "particles_5", "particles_10")
_WORDS = {
    "pms3003": (*_MASSES, "_", "_", "_"),
    "pms5003": (*_MASSES, *_SIZES, "_"),
    "pms7003": (*_MASSES, *_SIZES, "_"),
    "pms5003s": (*_MASSES, *_SIZES, "formaldehyde"),
    "pms5003t": (*_MASSES, *_SIZES[:4], "air_temperature", "air_humidity", "_"),
    "pms5003st": (*_MASSES, *_SIZES, "formaldehyde", "air_temperature", "air_humidity", "_", "_"),
}
_FACTORS = {"formaldehyde": 0.001, "air_temperature": 0.1, "air_humidity": 0.1}


def _dust(n: int, _utc_s: float) -> Values:
    masses = {name: 10 * (k + 1) + n % 53 for k, name in enumerate(_MASSES)}
    counts = {name: round(6000 / 2**k) + n % 61 for k, name in enumerate(_SIZES)}
    return (
        masses | counts | {"formaldehyde": 20 + n % 59, "air_temperature": 200 + n % 57, "air_humidity": 750 + n % 83}
    )


class _Plantower(ParticleSensor):
    """Any model's frame, by its words."""

    model = "pms5003"

    def compose(self, values: Values, told: Told) -> tuple[bytes, Values]:
        """Return one frame; zeros in their places until the fan has spun up."""
        words = _WORDS[self.model]
        body = b"BM" + struct.pack(f">H{len(words)}H", 2 * len(words) + 2, *(round(values.get(w, 0)) for w in words))
        means = {w: values[w] * _FACTORS.get(w, 1) for w in words if w != "_"}
        return body + (sum(body) & 0xFFFF).to_bytes(2), means


def _plantower(model: str) -> Model:
    kind = type(model, (_Plantower,), {"model": model})
    table = f'driver = "plantower_pms"\nmodel = "{model}"\n'

    def make(channel: str, served: Served, clock: Clock) -> Device:
        return kind(channel, channel, _dust, served, clock)  # type: ignore[no-any-return]

    size = 2 * len(_WORDS[model])
    zeros = b"BM" + struct.pack(">H", size + 2) + bytes(size)
    zeros += (sum(zeros) & 0xFFFF).to_bytes(2)
    return Model("plantower_pms", table, make, pace_s=0.8, timeout_s=3.0, wakes_s=28.0, waking=zeros)


def _gas() -> Model:
    def make(channel: str, served: Served, clock: Clock) -> Device:
        return GasModule(channel, channel, lambda n, _: {"co": n % 97 / 10}, served, clock)  # type: ignore[arg-type]

    return Model("ze07_co", 'driver = "ze07_co"\nwarmup_s = 0\n', make, pace_s=1.0, timeout_s=2.5)


_HOLES = "read = [{ at = 6, count = 1 }, { at = 0x12, count = 4 }, { at = 0x1E, count = 3 }]\n"
_PROBES = {
    "soil-0000": _modbus(_soil(0, 2, 3), baud=4800),
    "soil-0012": _modbus(_soil(0x12, 0x15, 6), _HOLES),
    "smt100": _modbus(_smt100, timeout_s=1.0),
    "air-0000": _modbus(_indoor),
    "lambrecht": _modbus(_rain_i32, function=READ_INPUT, baud=19_200),
    "level-0000": _modbus(_level),
    "sent-8000": _modbus(_ntc),
    "sonbest": _modbus(_rain_u16),
    "th-0002": _modbus(_air(2)),
    "ws-500": _modbus(_weather, baud=4800),
    "xy-md02": _modbus(_air(1), function=READ_INPUT),
}
ONE_BUS = {name: probe(name, address) for address, (name, probe) in enumerate(_PROBES.items(), 11)}
MODELS: dict[str, Model] = {
    **{name: probe(name, 1) for name, probe in _PROBES.items()},
    "generic": _modem("generic"),
    "quectel": _modem("quectel"),
    "simcom": _modem("simcom", 'lte_sinr = "dB"\n', _Simcom),
    "announcer": _announcer(),
    "weather": _talker(WeatherStation, _outdoors, 'sentences = ["MDA"]\n', baud=4800),
    "vane": _talker(_Vane, _outdoors, 'sentences = ["MWV"]\n', baud=4800, pace_s=2.0),
    "gnss": _talker(Receiver, _place, 'sentences = ["GGA", "RMC"]\n'),
    "transducers": _talker(
        _Transducers, _outdoors,
        'sentences = ["XDR"]\nxdr = { Air = "temperature", Wet = "humidity", Baro = "pressure" }\n', baud=4800,
    ),
    **{model: _plantower(model) for model in _WORDS},
    "ze07-co": _gas(),
}  # fmt: skip
