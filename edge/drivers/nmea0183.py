"""NMEA 0183 talkers: GNSS receivers (GGA, RMC) and weather stations (MWV, MDA, XDR); listens, never sends.

Source: NMEA 0183 v4.1. 4800 baud is usual for weather, 9600 to 115200 for GNSS. One poll waits until each chosen
sentence has come once and skips all others; a damaged one costs only itself, as the talker repeats it.

A position is given only where GGA says quality > 0 and not simulated, and RMC (if chosen) says A with a mode other
than N and S: receivers print coordinates without a fix. `time` is given from a valid RMC only; a cold receiver dates
itself 1980. Reasons stand where a field is empty; nothing is carried over from an earlier sentence.

Limits: a two-digit year from 80 is 19xx. MWV with reference T is taken as degrees from north, so the mark of a fixed
instrument must point north. MDA's true wind only, never the magnetic one. The checksum is a XOR: a sentence
that lost two equal characters passes it. Where the standard fixes digits, fields or units (degrees, counts, GGA, MDA)
that shows; in a speed, a course or a wind of MWV, for which the talker takes as many digits as it likes, it does not:
11.5 may come as .5.
"""

from __future__ import annotations

import math
import re
from datetime import date
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from msgspec import Meta, field
from msgspec.structs import replace

from edge.driver import Ask, BadReply, Driver, DriverConfig, Habits, Value
from edge.framing import nmea
from edge.plausible import judged, ranges
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.driver import Io, Reply

Sentence = Literal["GGA", "RMC", "MWV", "MDA", "XDR"]
Transduced = Literal["temperature", "humidity", "pressure", "dew_point", "voltage"]

MOST_OTHERS = 16  # kinds of sentences that are passed over and named where none that is wanted comes
_KNOT = 1852 / 3600  # m/s, by definition
_SPEED = {"N": _KNOT, "K": 1 / 3.6, "M": 1.0, "S": 0.44704}  # MWV: knots, km/h, m/s, statute miles per hour
_INCH_HG = 33.863886  # hPa
_GGA_FIELDS = 14
_SAME_PLACE_DEG = 0.001  # 111 m: of one second, or of two neighbouring ones, on the road as well
_MDA_UNITS = {1: "I", 3: "B", 5: "C", 7: "C", 11: "C", 13: "T", 15: "M", 17: "N", 19: "M"}  # field -> its letter


class _Scale(NamedTuple):
    """A unit letter, and the factor to the driver's unit for numbers from `low` to `high`.

    Two scales of one letter are for talkers whose letter is wrong: 1008.8 cannot be bar, so it is hPa.
    """

    letter: str
    factor: float = 1.0
    low: float = -math.inf
    high: float = math.inf


_XDR: dict[str, tuple[str, tuple[_Scale, ...]]] = {  # transducer type and its units; the standard's scale comes first
    "temperature": ("C", (_Scale("C"),)),
    "dew_point": ("C", (_Scale("C"),)),
    "humidity": ("H", (_Scale("P"),)),
    "pressure": ("P", (_Scale("B", 1000.0, 0.5, 1.1), _Scale("B", 1.0, 500.0, 1100.0), _Scale("P", 0.01))),
    "voltage": ("U", (_Scale("V"),)),
}
_QUANTITIES = {
    "lat": "lat",
    "lon": "lon",
    "alt": "alt",
    "fix_quality": "fix_quality",
    "sats": "satellites",
    "hdop": "hdop",
    "speed": "ground_speed",
    "course": "course",
    "wind_direction_relative": "wind_direction_relative",
    "wind_direction": "wind_direction",
    "wind_speed": "wind_speed",
    "pressure": "air_pressure",
    "temperature": "air_temperature",
    "humidity": "air_humidity",
    "dew_point": "dew_point",
    "voltage": "supply_voltage",
}
_NAMES: dict[str, tuple[str, ...]] = {
    "GGA": ("lat", "lon", "alt", "fix_quality", "sats", "hdop"),
    "RMC": ("lat", "lon", "speed", "course"),
    "MDA": ("pressure", "temperature", "humidity", "dew_point", "wind_direction", "wind_speed"),
}


_KEY = re.compile(r"(?:([A-Z]):)?(.*?)(?:#([1-9]\d*))?", re.DOTALL)


class Config(DriverConfig, frozen=True, kw_only=True):
    """Which sentences a talker's reading is made of."""

    sentences: Annotated[
        tuple[Sentence, ...], Meta(min_length=1, description="the sentences to wait for, e.g. ['GGA', 'RMC']")
    ]
    checksum: Annotated[
        Literal["required", "optional"],
        Meta(description='"optional" for old talkers that send none; a wrong one fails'),
    ] = "required"
    wind: Annotated[
        Literal["relative", "true"], Meta(description="which MWV counts: from the instrument's mark, or from north")
    ] = "relative"
    xdr: Annotated[
        dict[str, Transduced],
        Meta(
            description='which transducer is what, by its name: { TempAir = "temperature" }; where several types share '
            'a name, "C:0" and "H:0"; where several of one type do, or have none, "#2" is the second in its sentence'
        ),
    ] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse XDR without a mapping, and two transducers for one value. Raises ValueError."""
        if ("XDR" in self.sentences) != bool(self.xdr):
            raise ValueError('"XDR" in `sentences` and a mapping `xdr = { ID = "temperature" }` belong together')
        if len(set(self.xdr.values())) != len(self.xdr):
            raise ValueError("two transducers in `xdr` are the same value; make a channel for each")
        for key, value in self.xdr.items():
            of_type = _KEY.fullmatch(key)
            if of_type and of_type[1] not in {None, _XDR[value][0]}:
                raise ValueError(f'`xdr`: "{key}" is of type {of_type[1]}, but {value} is of type {_XDR[value][0]}')


def poll(config: Config) -> Io:
    """Listen until every chosen sentence has come, and return what they say together."""
    heard = _Heard(config)
    while not heard.complete:
        try:
            heard.take((yield Ask(until=b"\n")))
        except BadReply as end:  # silence, noise, or the poll's time is over: what came is what there is
            heard.broke_off(end.came)
            break
    return heard.values()


def quantities(config: Config) -> dict[str, str]:
    """Return which value is which quantity, for the chosen sentences."""
    return {name: _QUANTITIES[name] for sentence in config.sentences for name in _names(sentence, config)}


def _names(sentence: str, config: Config) -> tuple[str, ...]:
    if sentence == "XDR":
        return tuple(config.xdr.values())
    if sentence == "MWV":
        return ("wind_direction" if config.wind == "true" else "wind_direction_relative", "wind_speed")
    return _NAMES[sentence]


class _Heard:
    """What has come in this poll: the wanted sentences, and enough about the rest to say what is wrong."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._wanted: dict[str, list[str]] = {}
        self._heard_ms: dict[str, int] = {}  # a date is as old as its sentence, not as the poll
        self._transducers: dict[str, nmea.Transducer] = {}  # by the installer's key
        self._damaged = ""
        self._others: set[str] = set()  # a flood of sentences is told by a few
        self._bytes = 0
        self._broken = b""

    @property
    def complete(self) -> bool:
        """Tell whether nothing more is needed."""
        plain = all(each in self._wanted for each in self._config.sentences if each != "XDR")
        return plain and self._transducers.keys() >= self._config.xdr.keys()

    def take(self, line: Reply) -> None:
        """Keep a wanted sentence, note anything else."""
        self._bytes += len(line)
        for told in nmea.sentences(line, checksum_required=self._config.checksum == "required"):
            if isinstance(told, nmea.Damaged):
                self._damaged = str(told)
            else:
                self._keep(told[0], told[1:], line.heard_ms)

    def broke_off(self, rest: bytes) -> None:
        """Note what came last and has no end."""
        self._bytes += len(rest)
        self._broken = rest

    def _keep(self, address: str, fields: list[str], heard_ms: int) -> None:
        kind = address[2:] if not address.startswith("P") else address
        if kind == "XDR" and self._config.xdr:
            for one in nmea.transducers(fields):
                keys = [key for key, name in self._config.xdr.items() if _means(key, name, one)]
                self._transducers |= dict.fromkeys(keys, one)
                if not keys:
                    self._pass_over(f"XDR {one.type}:{one.name}")
        elif kind == "MWV" and _at(fields, 1) != ("T" if self._config.wind == "true" else "R"):
            self._pass_over(f"MWV with reference {_at(fields, 1)}")
        elif kind in self._config.sentences:
            self._wanted[kind], self._heard_ms[kind] = fields, heard_ms
        else:
            self._pass_over(kind)

    def _pass_over(self, kind: str) -> None:
        if len(self._others) < MOST_OTHERS:
            self._others.add(kind)

    def values(self) -> list[Value]:
        """Return what the wanted sentences say, each judged by itself: they are signed with their own names.

        Raises BadReply when none of them came, or none can be true.
        """
        found = {**self._wanted, **({"XDR": []} if self._transducers else {})}
        if not found:
            raise self._fault()
        fixed = _fixed(self._config.sentences, self._wanted)
        values: dict[str, Value] = {}
        refused: list[BadReply] = []
        apart = False
        for sentence in self._config.sentences:
            told = self._told(sentence, found, fixed=fixed)
            try:
                told = self._judged(sentence, told)
            except BadReply as error:
                refused.append(error)
                told = [replace(value, value=None, reason=error.reason) for value in told]
            for value in told:
                first = values.setdefault(value.name, replace(value, heard_ms=self._heard_ms.get(sentence)))
                apart |= value.name in {"lat", "lon"} and _apart(first, value)
        if len(refused) == len(self._config.sentences):
            raise refused[0]
        if apart:  # nobody knows which of the two sentences lost its characters
            values |= {name: Value(name, "deg", None, Reason.GARBLED) for name in ("lat", "lon")}
        return list(values.values())

    def _judged(self, sentence: str, told: list[Value]) -> list[Value]:
        within = ranges(quantities(self._config))
        if sentence == "XDR":  # each transducer has its own name: two that are broken do not cost a third
            return [value for one in told for value in judged([one], within)]
        return judged(told, within)

    def _told(self, sentence: str, found: dict[str, list[str]], *, fixed: bool) -> list[Value]:
        if sentence == "XDR":
            return [_transduced(name, self._transducers.get(key)) for key, name in self._config.xdr.items()]
        if sentence not in found:
            reason = Reason.CHECKSUM if self._damaged else Reason.NOT_REPORTED
            return [Value(name, _UNITS[name], None, reason) for name in _names(sentence, self._config)]
        fields = found[sentence]
        return _GNSS[sentence](fields, fixed) if sentence in _GNSS else _WEATHER[sentence](fields)

    def _fault(self) -> BadReply:
        wanted = ", ".join(self._config.sentences)
        if self._damaged:
            return BadReply("checksum", self._damaged)
        if b"$" in self._broken and self._broken.isascii():  # at a wrong speed each byte comes, that one, too
            return BadReply("short", f"the line fell silent within {self._broken.decode('ascii', 'replace')!r}")
        if self._others:
            return BadReply("silence", f"no {wanted} came, only {', '.join(sorted(self._others))}")
        if self._bytes:
            return BadReply("garbled", f"{self._bytes} bytes without a sentence: is the speed right?")
        return BadReply("silence", f"no {wanted} came, nothing else either")


_UNITS = {
    "lat": "deg", "lon": "deg", "alt": "m", "fix_quality": "1", "sats": "1", "hdop": "1", "geoid_sep": "m",
    "speed": "m/s", "course": "deg", "wind_direction_relative": "deg", "wind_direction": "deg", "wind_speed": "m/s",
    "pressure": "hPa", "temperature": "Cel", "humidity": "%RH", "dew_point": "Cel", "voltage": "V",
}  # fmt: skip


def _at(fields: list[str], index: int) -> str:
    return fields[index] if index < len(fields) else ""


def _unit(fields: list[str], index: int, letter: str) -> bool:
    """Tell whether the unit at this place is the standard's; an empty one goes with an empty number."""
    return _at(fields, index) in {letter, ""}


def _number(name: str, field: str, factor: float = 1.0) -> Value:
    if not field:
        return Value(name, _UNITS[name], None, Reason.NOT_REPORTED)
    try:
        return Value(name, _UNITS[name], round(nmea.number(field) * factor, 6))
    except ValueError:
        return Value(name, _UNITS[name], None, Reason.GARBLED)


def _count(name: str, field: str, digits: int) -> Value:
    """Return a whole number of so many digits at most; a longer one, or a fraction, is another field's."""
    whole = len(field) <= digits and field.isdecimal()
    return _number(name, field) if whole or not field else Value(name, _UNITS[name], None, Reason.GARBLED)


def _absent(*names: str) -> list[Value]:
    return [Value(name, _UNITS.get(name, ""), None, Reason.NO_FIX) for name in names]


def _fixed(sentences: tuple[str, ...], heard: dict[str, list[str]]) -> bool:
    """Tell whether every chosen position sentence came and vouches for a position."""
    vouched = {"GGA": _gga_fixed, "RMC": _rmc_fixed}
    return all(each in heard and vouched[each](heard[each]) for each in sentences if each in vouched)


def _gga_fixed(fields: list[str]) -> bool:
    return _at(fields, 5) in set("1234567")  # 0 none, 8 simulated


def _rmc_fixed(fields: list[str]) -> bool:
    return _at(fields, 1) == "A" and _at(fields, 11) not in {"N", "S"}  # mode: not valid, simulated


def _apart(one: Value, other: Value) -> bool:
    """Tell whether one says another place than the other, farther than a receiver moves from sentence to sentence."""
    told = one.value, other.value
    return isinstance(told[0], float) and isinstance(told[1], float) and abs(told[0] - told[1]) > _SAME_PLACE_DEG


def _position(fields: list[str], first: int) -> list[Value]:
    values = []
    for name, index, axis in (("lat", first, "NS"), ("lon", first + 2, "EW")):
        try:
            values.append(Value(name, "deg", nmea.degrees(_at(fields, index), _at(fields, index + 1), axis)))
        except ValueError:
            values.append(Value(name, "deg", None, Reason.GARBLED))
    return values


def _gga(fields: list[str], fixed: bool) -> list[Value]:
    height = [
        _number(name, _at(fields, at)) if _unit(fields, at + 1, "M") else Value(name, "m", None, Reason.GARBLED)
        for name, at in (("alt", 8), ("geoid_sep", 10))
    ]
    heard = [_number("hdop", _at(fields, 7)), *height]
    # numbers for units: a decimal comma moved all behind it; too few fields: two commas were lost, which no XOR shows
    if re.search(r"\d", _at(fields, 9) + _at(fields, 11)) or len(fields) < _GGA_FIELDS:
        heard = [Value(one.name, one.unit, None, Reason.GARBLED) for one in heard]
    hdop, *height = heard
    place = [*_position(fields, 1), *height] if fixed else _absent("lat", "lon", "alt", "geoid_sep")
    clock = _clock(_at(fields, 0))
    return [
        *place,
        _count("fix_quality", _at(fields, 5), 1),
        _count("sats", _at(fields, 6), 2),
        hdop,
        Value("utc", "", clock, None if clock else Reason.NOT_REPORTED),
    ]


def _rmc(fields: list[str], fixed: bool) -> list[Value]:
    if not fixed:
        return _absent("lat", "lon", "speed", "course", "time")
    day = _at(fields, 8)
    time = _time(day, _clock(_at(fields, 0)))
    moved = [_number("speed", _at(fields, 6), _KNOT), _number("course", _at(fields, 7))]
    if not re.fullmatch(r"(\d{6})?", day):  # what stands there is no day, and what stands before it not in its place
        moved = [Value(one.name, one.unit, None, Reason.GARBLED) for one in moved]
    return [
        *_position(fields, 2),
        *moved,
        Value("time", "", time, None if time else Reason.NOT_REPORTED),
    ]


def _clock(field: str) -> str | None:
    """Return `hh:mm:ss[.fraction]` from `hhmmss[.fraction]`, without a fraction of zero."""
    match = re.fullmatch(r"([01]\d|2[0-3])([0-5]\d)([0-5]\d|60)(\.\d*)?", field)
    return f"{match[1]}:{match[2]}:{match[3]}{(match[4] or '').rstrip('0').rstrip('.')}" if match else None


def _time(day: str, clock: str | None) -> str | None:
    match = re.fullmatch(r"(0[1-9]|[12]\d|3[01])(0[1-9]|1[0-2])(\d\d)", day)
    if match is None or clock is None:
        return None
    century = 19 if int(match[3]) >= 80 else 20
    try:
        there_is = date(100 * century + int(match[3]), int(match[2]), int(match[1]))
    except ValueError:  # 30 February
        return None
    return f"{there_is.isoformat()}T{clock}Z"


def _mwv(fields: list[str]) -> list[Value]:
    direction = "wind_direction" if _at(fields, 1) == "T" else "wind_direction_relative"
    if _at(fields, 4) != "A":  # the instrument itself calls it invalid
        return [Value(name, _UNITS[name], None, Reason.SENTINEL) for name in (direction, "wind_speed")]
    factor = _SPEED.get(_at(fields, 3))
    speed = Value("wind_speed", "m/s", None, Reason.GARBLED)
    return [_number(direction, _at(fields, 0)), _number("wind_speed", _at(fields, 2), factor) if factor else speed]


def _mda(fields: list[str]) -> list[Value]:
    """Prefer bar and m/s: the inches and knots beside them are rounded conversions of the same figures.

    A unit that stands elsewhere than in the standard means that a field is missing or new: then none is where it seems.
    """
    if not all(_unit(fields, at, letter) for at, letter in _MDA_UNITS.items()):
        return [Value(name, _UNITS[name], None, Reason.GARBLED) for name in _NAMES["MDA"]]
    bar, metric = _at(fields, 2), _at(fields, 18)
    return [
        _number("pressure", bar, 1000.0) if bar else _number("pressure", _at(fields, 0), _INCH_HG),
        _number("temperature", _at(fields, 4)),
        _number("humidity", _at(fields, 8)),
        _number("dew_point", _at(fields, 10)),
        _number("wind_direction", _at(fields, 12)),
        _number("wind_speed", metric) if metric else _number("wind_speed", _at(fields, 16), _KNOT),
    ]


def _means(key: str, name: str, one: nmea.Transducer) -> bool:
    """Tell whether this transducer is what the installer's key stands for."""
    if one.type != _XDR[name][0]:
        return False
    parts = _KEY.fullmatch(key)
    assert parts is not None, "the pattern fits every text"
    return (one.name, one.nth) in {(key, 1), (parts[2], int(parts[3] or 1))}


def _transduced(name: str, told: nmea.Transducer | None) -> Value:
    if told is None:
        return Value(name, _UNITS[name], None, Reason.NOT_REPORTED)
    scales = [scale for scale in _XDR[name][1] if scale.letter == told.unit]
    if not scales:
        return Value(name, _UNITS[name], None, Reason.GARBLED)
    said = nmea.number(told.value) if told.value else 0.0
    scale = next((each for each in scales if each.low <= said <= each.high), scales[0])
    return _number(name, told.value, scale.factor)


_GNSS: dict[str, Callable[[list[str], bool], list[Value]]] = {"GGA": _gga, "RMC": _rmc}
_WEATHER: dict[str, Callable[[list[str]], list[Value]]] = {"MWV": _mwv, "MDA": _mda}

# talkers speak once a second, some weather stations every two
_HABITS = Habits(timeout_s=3.0)
DRIVER = Driver(
    "nmea0183", "NMEA 0183 weather station or GNSS receiver", Config, poll, quantities, _HABITS,
    checksum=lambda config: config.checksum == "required",
)  # fmt: skip
