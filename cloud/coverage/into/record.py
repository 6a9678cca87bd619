"""One record of a survey app, clean: what was heard, where, when, and to which recording it belongs.

This is where identities fall. Of the serial number of a telephone and of the name of a mission (which holds either of
them, or a person's) only a hash is taken, under a key that dies with the process: enough to tell recordings apart, and
nobody can turn it back. Names of devices, numbers, operators' names are not even read.

So a BadSample from here names the field and never what stood in it: in a damaged record any field may hold an identity.
Field names are those of the app's messages, which its CSV files share. Its phones speak Protocol Buffers' JSON: what is
zero, false or unknown may be absent, and integers of 64 bits are texts.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec

from cloud.coverage.sample import LIMITED, NONE, SERVED, BadSample, Heard
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Kind = Literal["nr", "lte", "umts", "gsm", "gnss", "state", "status"]
CELLULAR: Final = frozenset({"nr", "lte", "umts", "gsm"})
OLD_PLACE_MS = 30_000  # a fix older than this is of another spot: 40 m on foot, 300 m on a motorbike

_NUMBER = re.compile(r"(-?[0-9]{1,19})((?:[.,][0-9]{1,17})?(?:[eE][+-]?[0-9]{1,2})?)")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_UNKNOWN = frozenset({2_147_483_647, 9_223_372_036_854_775_807})  # what Android says for "not available"
_SIX = Decimal("0.000001")
_MAX_INFOS = 16
_READY = frozenset({"READY", "LOADED"})  # a telephone without a working SIM finds no service anywhere

_scalar = msgspec.json.Decoder(float | int | str | bool | None)
_infos = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


class Place(NamedTuple):
    """WGS 84 degrees to six decimals (10 cm; files have no more, so both ways in make the same), metres."""

    lat: float
    lon: float
    accuracy_m: float | None
    alt_m: float | None


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One record. `origin` tells recordings apart and means nothing else; records of one `group` are of one moment.

    Of cells: `serving`, and what was heard. Of a telephone's state: `service`, None where that says nothing.
    `nr` is set where this device has shown that it hears 5G. `odd` names values that are not believed.
    """

    kind: Kind
    origin: bytes
    time_ms: int
    group: int | None = None
    place: Place | None = None
    serving: bool = False
    second: bool = False  # a second cell beside the one that serves: the 5G half of EN-DC
    heard: Heard | None = None
    rssi_dbm: float | None = None
    plmn: int = 0
    service: int | None = None
    radio_off: bool = False
    nr: bool = False
    odd: tuple[str, ...] = ()


class _Names(NamedTuple):
    """The app's field and our quantity (whose range it must keep) of each value of a cell; and what is no identity."""

    rsrp: tuple[str, str]
    rsrq: tuple[str, str]
    sinr: tuple[str, str]
    tac: tuple[str, int]
    cell: tuple[str, int]
    pci: tuple[str, str]
    arfcn: tuple[str, str]


_CELLS: Mapping[str, _Names] = {
    "nr": _Names(
        ("ssRsrp", "nr_ss_rsrp"),
        ("ssRsrq", "nr_ss_rsrq"),
        ("ssSinr", "nr_ss_sinr"),
        ("tac", 0xFFFFFF),
        ("nci", 0xFFFFFFFFF),
        ("pci", "nr_pci"),
        ("narfcn", "nr_arfcn"),
    ),
    "lte": _Names(
        ("rsrp", "lte_rsrp"),
        ("rsrq", "lte_rsrq"),
        ("snr", "lte_sinr"),
        ("tac", 0xFFFF),
        ("eci", 0xFFFFFFF),
        ("pci", "pci"),
        ("earfcn", "earfcn"),
    ),
}


def clean(kind: Kind, get: Callable[[str], object], key: bytes) -> Record:
    """Return the record of that kind whose fields `get` gives (None where absent). Raises BadSample."""
    time_ms = moment(get("deviceTime"))
    origin = hashlib.blake2b(repr((get("deviceSerialNumber"), get("missionId"))).encode(), key=key, digest_size=16)
    said: dict[str, object] = {"group": whole(get("groupNumber"), "groupNumber", 0, 2**53), "place": place(get)}
    if kind in CELLULAR:
        said |= _cell(kind, get)
    elif kind == "state":
        said |= _state(get)
    return Record(kind=kind, origin=origin.digest(), time_ms=time_ms, **said)  # type: ignore[arg-type]


def scalar(raw: msgspec.Raw | None) -> object:
    """Return the number, text or truth of a JSON value, None where there is none. Raises BadSample for a structure."""
    if raw is None:
        return None
    try:
        return _scalar.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadSample("value") from None


def number(value: object, field: str) -> float | None:
    """Return a number, written with a point or a comma; None where it is absent. Raises BadSample."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        written = _NUMBER.fullmatch(value)
        if written is None:
            raise BadSample("number", field)
        value = float(value.replace(",", ".")) if written[2] else int(value)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise BadSample("number", field)
    if not -1e19 < value < 1e19:
        raise BadSample("number", field)
    return None if value in _UNKNOWN else value


def whole(value: object, field: str, low: int, high: int) -> int | None:
    """Return an integer between the bounds, None where it is absent. Raises BadSample."""
    found = number(value, field)
    if found is None:
        return None
    if found != int(found) or not low <= found <= high:
        raise BadSample("range", field)
    return int(found)


def moment(value: object) -> int:
    """Return UTC milliseconds of an RFC 3339 time, which must have an offset. Raises BadSample."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise BadSample("time")
    try:
        told = datetime.fromisoformat(value)
        return int(told.timestamp() * 1000 + 1e-4)
    except (ValueError, OverflowError):
        raise BadSample("time") from None


def place(get: Callable[[str], object]) -> Place | None:
    """Return where the device was, None where it had no fix. Raises BadSample for one that is old, faked or nowhere."""
    lat, lon = number(get("latitude"), "latitude"), number(get("longitude"), "longitude")
    if not lat and not lon:
        return None
    if get("mockLocation") in {True, "true", "True", "TRUE"}:
        raise BadSample("mock")
    age_ms = number(get("locationAge"), "locationAge")
    if age_ms is not None and not 0 <= age_ms <= OLD_PLACE_MS:
        raise BadSample("old place")
    if lat is None or lon is None or not (-90 <= lat <= 90 and -180 <= lon <= 180):
        raise BadSample("place")
    accuracy = number(get("accuracy"), "accuracy")
    if accuracy is not None and not QUANTITIES["accuracy"].plausible(accuracy):
        raise BadSample("range", "accuracy")
    altitude = number(get("altitude"), "altitude")
    if altitude is not None and not QUANTITIES["alt"].plausible(altitude):
        altitude = None  # of no use for a cell of the map, and often wrong
    return Place(
        six(lat), six(lon), float(accuracy) if accuracy else None, None if altitude is None else float(altitude)
    )


def six(degrees: float) -> float:
    """Return degrees to six decimals, halves upwards as the app's files have them."""
    return float(Decimal(repr(degrees)).quantize(_SIX, ROUND_HALF_UP))


def plmn_of(mcc: object, mnc: object) -> int:
    """Return mcc·1000+mnc, 0 where either is not told. Raises BadSample."""
    country, network = whole(mcc, "mcc", -1, 999), whole(mnc, "mnc", -1, 999)
    return country * 1000 + network if country and country > 0 and network is not None and network >= 0 else 0


def heard(
    kind: str, get: Callable[[str], object], *, named: Mapping[str, str] | None = None
) -> tuple[Heard, tuple[str, ...]]:
    """Return what was heard of a cell of 4G or 5G, and the names of values that are out of range and left out.

    A strength out of range is no quirk but damage, and raises BadSample, as an identity does.
    """
    names, called = _CELLS[kind], named or {}
    odd = []

    def value(field: str, quantity: str) -> float | None:
        found = number(get(called.get(field, field)), field)
        if found is not None and not QUANTITIES[quantity].plausible(found):
            odd.append(quantity)
            return None
        return None if found is None else float(found)

    def identity(field: str, high: int, none: int | None = None) -> int | None:
        found = whole(get(called.get(field, field)), field, -1, high)
        return None if found in {-1, none} else found  # Android's -1, or all ones: not told

    rsrp = number(get(called.get(names.rsrp[0], names.rsrp[0])), names.rsrp[0])
    if rsrp is not None and not QUANTITIES[names.rsrp[1]].plausible(rsrp):
        raise BadSample("range", names.rsrp[0])
    told = Heard(
        rsrp_dbm=None if rsrp is None else float(rsrp),
        rsrq_db=value(*names.rsrq),
        sinr_db=value(*names.sinr),
        tac=identity(*names.tac, names.tac[1]),
        cell=identity(*names.cell, names.cell[1]),
        pci=identity(names.pci[0], int(QUANTITIES[names.pci[1]].high)),
        arfcn=identity(names.arfcn[0], int(QUANTITIES[names.arfcn[1]].high)),
    )
    return told, tuple(odd)


def rssi(value: object, field: str) -> float | None:
    """Return the strength of a cell of 2G or 3G, None where it is absent. Raises BadSample."""
    found = number(value, field)
    if found is not None and not QUANTITIES["rssi"].plausible(found):
        raise BadSample("range", field)
    return None if found is None else float(found)


def _cell(kind: str, get: Callable[[str], object]) -> dict[str, object]:
    said: dict[str, object] = {
        "serving": _truth(get("servingCell"), "servingCell"),
        "second": get("connectionStatus") == "SECONDARY_SERVING",
        "plmn": plmn_of(get("mcc"), get("mnc")),
    }
    if kind in _CELLS:
        said["heard"], said["odd"] = heard(kind, get)
        said["nr"] = kind == "nr"
    else:
        strength = "signalStrength" if get("signalStrength") not in {None, ""} else "rscp"
        said["rssi_dbm"] = rssi(get(strength), strength)
    return said


def _truth(value: object, field: str) -> bool:
    if value in {True, "true", "True", "TRUE"}:
        return True
    if value in {None, False, "", "false", "False", "FALSE"}:
        return False
    raise BadSample("value", field)


def _state(get: Callable[[str], object]) -> dict[str, object]:
    """Return what a telephone's state says of service.

    An entry that is registered names its technology; one that is not has none. A radio that is switched off has no
    entries at all, and a lone entry with a cause of refusal is a passing event: neither says anything of the place.
    An entry that is not registered but names a cell, or the cause for which a network refused it, has heard a network:
    emergency calls.
    """
    infos = _registrations(get("networkRegistrationInfo"))
    radios = [info for info in infos if info.technology != "IWLAN"]  # calls over Wi-Fi
    said: dict[str, object] = {"nr": any(info.technology == "NR" for info in radios), "plmn": _home(get("simOperator"))}
    if not radios:
        return said | {"radio_off": True}
    if len(infos) == 1 and infos[0].refused:
        return said
    if any(info.technology and not info.refused for info in radios):
        return said | {"service": SERVED}
    if get("simState") not in _READY:
        raise BadSample("sim")
    return said | {"service": LIMITED if any(info.cell or info.refused for info in radios) else NONE}


class _Info(NamedTuple):
    technology: str  # "" where it is not registered
    refused: bool
    cell: bool


def _registrations(value: object) -> list[_Info]:
    if value is None or value == "":
        return []
    try:
        entries = _infos.decode(value if isinstance(value, msgspec.Raw) else str(value).encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise BadSample("value", "networkRegistrationInfo") from None
    if len(entries) > _MAX_INFOS:
        raise BadSample("size", "networkRegistrationInfo")
    found = []
    for entry in entries:
        technology = scalar(entry.get("accessNetworkTechnology"))
        cause = whole(scalar(entry.get("rejectCause")), "rejectCause", -(2**31), 2**31)
        found.append(
            _Info(
                technology if isinstance(technology, str) and technology != "UNKNOWN" else "",
                bool(cause),
                any(name.startswith("cellIdentity") for name in entry),
            )
        )
    return found


def _home(operator: object) -> int:
    text = str(operator) if isinstance(operator, str | int) and not isinstance(operator, bool) else ""
    return int(text[:3]) * 1000 + int(text[3:]) if re.fullmatch(r"[2-7][0-9]{4,5}", text) else 0
