"""Identities that must never be found in anything of ours, and messages and files of a survey app that carry them all.

    payload = sentinels.message("LteRecord", rsrp=-101, servingCell=True, ...)   # by MQTT
    ...
    assert sentinels.leaks(data_folder, log_text, page) == []

Every way in is given these, and then all that is kept, shown and logged is searched, byte by byte: as text, in the
spelling of JSON, as the integers that they could have become.
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import unicodedata
import zipfile
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SERIAL = "R58N90SENTINEL7"
DEVICE = "Điện thoại của Vàng A Sính"
MISSION = "NS Mùa Thị Dở 20261127-101500"
IMEI = "356938035643809"
IMSI = "452040123456789"
MSISDN = "84912345678"
PROVIDER = "Viettel-SENTINEL"
MODEL = "SM-SENTINEL21U"
IDENTITIES = {
    "serial number": SERIAL,
    "device name": DEVICE,
    "mission": MISSION,
    "IMEI": IMEI,
    "IMSI": IMSI,
    "phone number": MSISDN,
    "phone number, national": "0" + MSISDN[2:],
    "provider": PROVIDER,
    "model": MODEL,
}
TIME = "2026-11-27T10:15:30.123+07:00"
TIME_MS = 1_795_749_330_123
NOW_MS = TIME_MS + 3_600_000
PLACE: dict[str, Any] = {"latitude": 21.6206, "longitude": 104.5801, "altitude": 1352.5, "accuracy": 8}
IDS: dict[str, Any] = {
    "deviceSerialNumber": SERIAL,
    "deviceName": DEVICE,
    "deviceModel": MODEL,
    "missionId": MISSION,
    "provider": PROVIDER,
    "imei": IMEI,
    "imsi": IMSI,
    "phoneNumber": "+" + MSISDN,
}
LTE: dict[str, Any] = {
    "groupNumber": 7, "mcc": 452, "mnc": 4, "tac": 12101, "eci": 27447297, "earfcn": 1300, "pci": 101,
    "rsrp": -101.0, "rsrq": -11.0, "snr": 6.0, "servingCell": True,
}  # fmt: skip
NR: dict[str, Any] = {
    "groupNumber": 7, "mcc": 452, "mnc": 4, "tac": 12101, "nci": "6871947673", "narfcn": 630000, "pci": 500,
    "ssRsrp": -99.0, "ssRsrq": -12.0, "ssSinr": 5.0, "servingCell": True,
}  # fmt: skip
COLUMNS = {  # of the app's files
    "LteRecord": (
        "deviceTime,latitude,longitude,altitude,speed,accuracy,missionId,recordNumber,groupNumber,mcc,mnc,tac,eci,earfcn,"
        "pci,rsrp,rsrq,ta,servingCell,lteBandwidth,provider,signalStrength,cqi,slot,snr,deviceSerialNumber,locationAge"
    ),
    "NrRecord": (
        "deviceTime,latitude,longitude,altitude,speed,accuracy,missionId,recordNumber,groupNumber,mcc,mnc,tac,nci,narfcn,"
        "pci,ssRsrp,ssRsrq,ssSinr,csiRsrp,csiRsrq,csiSinr,ta,servingCell,provider,slot,deviceSerialNumber"
    ),
    "GsmRecord": (
        "deviceTime,latitude,longitude,altitude,speed,accuracy,missionId,recordNumber,groupNumber,mcc,mnc,lac,ci,arfcn,"
        "bsic,signalStrength,ta,servingCell,provider,slot,deviceSerialNumber"
    ),
    "GnssRecord": (
        "deviceTime,latitude,longitude,altitude,speed,accuracy,missionId,recordNumber,groupNumber,constellation,"
        "spaceVehicleId,carrierFreqHz,cn0DbHz,deviceModel,deviceSerialNumber"
    ),
    "PhoneState": (
        "deviceTime,latitude,longitude,altitude,speed,accuracy,missionId,recordNumber,simState,simOperator,"
        "networkRegistrationInfo,deviceSerialNumber,slot,nonTerrestrialNetwork,locationAge"
    ),
    "DeviceStatus": "deviceTime,latitude,longitude,altitude,accuracy,batteryLevelPercent,deviceSerialNumber,missionId",
    "WifiBeaconRecord": "deviceTime,latitude,longitude,altitude,bssid,ssid,deviceSerialNumber,missionId",
}
STREAM = {
    "NrRecord": "nr_message",
    "LteRecord": "lte_message",
    "UmtsRecord": "umts_message",
    "GsmRecord": "gsm_message",
    "GnssRecord": "gnss_message",
    "DeviceStatus": "device_status_message",
    "PhoneState": "device_status_message",
}


def message(kind: str, **fields: Any) -> bytes:
    """Return a message of the app as it goes over MQTT, with every identity that such a message may carry."""
    data = {**IDS, "deviceTime": TIME, "recordNumber": 1, **PLACE, **fields}
    told = {"version": "1.1.0", "messageType": kind, "data": {key: data[key] for key in data if data[key] is not None}}
    return json.dumps(told, ensure_ascii=False).encode()


def table(kind: str, rows: Iterable[Mapping[str, Any]], *, comma: bool = False, version: str = "0.2.0") -> bytes:
    """Return a file of the app with these records; with `comma`, as a telephone whose language is Vietnamese writes."""
    columns = COLUMNS[kind].split(",")
    out = io.StringIO(newline="")
    out.write(f"# CSV Version={version}\r\n")
    writer = csv.writer(out)
    writer.writerow(columns)
    for row in rows:
        data = {**IDS, "deviceTime": TIME, "recordNumber": 1, **PLACE, **row}
        writer.writerow([_column(column, data.get(column), comma=comma) for column in columns])
    return out.getvalue().encode()


def _column(column: str, value: Any, *, comma: bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return json.dumps(value, separators=(",", ":"))
    if column in {"latitude", "longitude"}:
        value = Decimal(repr(value or 0)).quantize(Decimal("0.000001"), ROUND_HALF_UP)
    text = "" if value is None else str(value)
    return text.replace(".", ",") if comma and isinstance(value, float | Decimal) else text


def zipped(**files: bytes) -> bytes:
    """Return a ZIP of files, each `name.csv`."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.csv", content)
    return out.getvalue()


def leaks(*where: Path | str | bytes) -> list[str]:
    """Return what was found where: of a folder each file (SQLite's are read through too, with what is in their WAL)."""
    found = []
    for one in where:
        if isinstance(one, Path):
            for path in [one] if one.is_file() else sorted(path for path in one.rglob("*") if path.is_file()):
                found += [f"{name} in {path}" for name in _in(path.read_bytes() + _dump(path))]
                found += [f"{name} in the name of {path}" for name in _in(path.name.encode())]
        else:
            found += [f"{name} in {one[:40]!r}…" for name in _in(one if isinstance(one, bytes) else one.encode())]
    return found


def _in(text: bytes) -> list[str]:
    return [name for name, identity in IDENTITIES.items() if any(form in text for form in _forms(identity))]


def _forms(identity: str) -> set[bytes]:
    spelt = {unicodedata.normalize(form, identity) for form in ("NFC", "NFD")}
    forms = {text.encode(codec) for text in spelt for codec in ("utf-8", "utf-16-le")}
    forms |= {json.dumps(text)[1:-1].encode() for text in spelt}
    if identity.isdigit():
        forms |= {int(identity).to_bytes(8, "big").lstrip(b"\0"), int(identity).to_bytes(8, "little").rstrip(b"\0")}
    return forms


def _dump(path: Path) -> bytes:
    if path.suffix not in {".db", ".sqlite"}:
        return b""
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            return "\n".join(db.iterdump()).encode(errors="replace")
    except sqlite3.Error:
        return b""
