"""Judges frame files: `python tests/frames.py FILE…` runs the real drivers on every case and says what differs.

A line per failure, `N passed, N failed` at the end, exit status 1 on any failure. A case fails when a value is
missing, differs, or should be null and is not (or the other way round); when a case marked not ok brings any value or
another kind of error; when the request differs from `tx`; and when its family or device has no driver: nothing is
skipped. Names beyond those listed are no fault (files list what matters in a case); `values: []` asks only that the
poll succeeds.
"""

from __future__ import annotations

import json
import math
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec

from edge import drivers, profiles
from edge.driver import BadReply, Value
from edge.drivers.nmea0183 import _XDR as TRANSDUCED
from edge.framing import nmea as sentence
from edge.framing import rtu
from edge.sense.exchange import run
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.driver import Driver

Case = dict[str, Any]
Table = dict[str, Any]  # a sensor's table as it would stand in devices.toml

CHUNK = 16  # bytes that come at once: a driver must not count on getting an answer in one piece
RELATIVE = 1e-3
REASONS = {
    "no-fix": Reason.NO_FIX,
    "void": Reason.NO_FIX,
    "mode-N": Reason.NO_FIX,
    "empty": Reason.NOT_REPORTED,
    "sentinel": Reason.SENTINEL,
    "range": Reason.OUT_OF_RANGE,
}


class Unmapped(Exception):
    """No driver, or no setting of one, is meant by this case."""


class WrongRequest(Exception):
    """The driver asked something else than the case's `tx`."""


class Wire:
    """The line of one case: answers once its request was sent, or at once where the device talks by itself."""

    def __init__(self, tx: bytes | None, rx: bytes) -> None:
        self.awaited, self._rx = tx, rx

    def write(self, frame: bytes) -> None:
        if not frame:
            return
        if self.awaited is None or frame != self.awaited:
            due = "nothing" if self.awaited is None else self.awaited.hex(" ")
            raise WrongRequest(f"sent {frame.hex(' ')}, due is {due}")
        self.awaited = None

    def read(self, size: int, _patience_s: float) -> bytes:
        if self.awaited is not None:
            return b""
        taken = self._rx[: min(size, CHUNK)]
        self._rx = self._rx[len(taken) :]
        return taken

    def drain(self) -> None:
        """Nothing has come before the poll began."""


def modbus(case: Case) -> Table:
    rx = bytes.fromhex(case["rx"])
    profile = case.get("profile") or "any"
    if profile not in {"any", *profiles.names()}:
        raise Unmapped(f"no profile {profile!r} in edge/profiles")
    table: Table = {"profile": "soil-0000" if profile == "any" else profile}
    if case.get("tx"):
        tx = bytes.fromhex(case["tx"])
        block = {"fc": tx[1], "at": int.from_bytes(tx[2:4]), "count": int.from_bytes(tx[4:6])}
        return table | {"address": tx[0], "read": [block]}
    default = profiles.load(table["profile"]).read[0]
    if 1 <= rx[0] <= 247 and rx[1] in {3, 4} and rx[2] and not rx[2] % 2 and rx[2] != 2 * default.count:
        table["read"] = [{"fc": rx[1], "at": default.at, "count": rx[2] // 2}]
    return table | {"address": rx[0] if 1 <= rx[0] <= 247 else 1}


def nmea(case: Case) -> Table:
    text = bytes.fromhex(case["rx"]).decode("ascii", "replace")
    kinds = [kind for kind in re.findall(r"\$..(GGA|RMC|MWV|MDA|XDR)\b", text) if kind]
    if not kinds and case.get("ok"):
        raise Unmapped("no sentence that the driver knows")
    table: Table = {"sentences": list(dict.fromkeys(kinds)) or ["GGA"]}
    if re.search(r"MWV,[^,]*,T", text):
        table["wind"] = "true"
    if "XDR" in table["sentences"]:
        table["xdr"] = transducers(text, case.get("values") or []) or {"": "temperature"}
    return table | {key: case[key] for key in ("checksum",) if key in case}


def transducers(text: str, values: list[dict[str, Any]]) -> dict[str, str]:
    """Say which transducer is which value, as an installer would: by its id where the case has one, else by type."""
    found = [one for body in re.findall(r"XDR,([^*\r\n]*)", text) for one in sentence.transducers(body.split(","))]
    keys: dict[str, str] = {}
    for value in values:
        type_ = TRANSDUCED.get(value["n"], ("",))[0]
        meant = [one for one in found if one.type == type_ and value.get("id", one.name) == one.name]
        names = [f"{one.type}:{one.name}#{one.nth}" for one in meant]
        keys |= dict.fromkeys([key for key in names if key not in keys][:1], value["n"])
    return keys


def plantower(case: Case) -> Table:
    device = str(case.get("device", "")).lower()
    match = re.search(r"(3003|5003st|5003t|5003s|5003|7003)", device)
    if match is None:
        raise Unmapped(f"no model in device {case.get('device')!r}")
    return {"model": f"pms{match[1]}"}


def winsen(case: Case) -> Table:
    device = str(case.get("device", "")).upper()
    if device.startswith("MH-Z19"):
        return {"driver": "mhz19b"}
    if device == "ZE07-CO":
        return {"driver": "ze07_co", "asked": bool(case.get("tx"))}
    raise Unmapped(f"no driver for device {case.get('device')!r}")


def modem(case: Case) -> Table:
    return {"commands": [case["command"]] if case.get("command") else [], "setup": False}


FAMILIES: dict[str, tuple[str, Callable[[Case], Table]]] = {  # a table may name another driver of its family
    "modbus-rtu": ("modbus", modbus),
    "nmea0183": ("nmea0183", nmea),
    "plantower-pms": ("plantower_pms", plantower),
    "modem-at": ("modem_at", modem),
    "winsen": ("ze07_co", winsen),
}


def judge(family: str, case: Case) -> list[str]:
    """Return what is wrong; nothing when the case passes."""
    try:
        name, mapped = FAMILIES[family]
        table = mapped(case)
        driver = drivers.load(table.pop("driver", name))
        outcome = polled(driver, table, case)
        faults = differences(case, outcome)
        for key, names in case.items():
            if key.endswith("_decode_rejected"):
                faults += mistaken(driver, {**table, "profile": f"{key.split('_')[0]}-0000"}, case, names)
    except KeyError as error:
        return [f"no driver: {error} is unknown" if error.args == (family,) else f"cannot be mapped: no {error}"]
    except (Unmapped, msgspec.ValidationError) as error:
        return [f"cannot be mapped: {error}"]
    except WrongRequest as error:
        return [str(error)]
    except Exception as error:  # a driver must answer any bytes with values or BadReply
        return [f"the driver broke: {error!r}"]
    return faults


def polled(driver: Driver, table: Table, case: Case) -> list[Value] | BadReply:
    """Run the real generator on the case's line."""
    config = msgspec.convert(table, type=driver.config)
    tx = bytes.fromhex(case["tx"]) if case.get("tx") else None
    if tx is None and driver.name == "modbus":
        block = config.read[0] if config.read else profiles.load(config.profile).read[0]
        tx = rtu.request(config.address, block.fc, block.at, block.count)
    wire = Wire(tx, bytes.fromhex(case["rx"]))
    try:
        values = run(driver.poll(config), wire)
    except BadReply as error:
        return error
    if wire.awaited is not None:
        raise WrongRequest(f"{wire.awaited.hex(' ')} was never sent")
    return values


def differences(case: Case, outcome: list[Value] | BadReply) -> list[str]:
    if not case["ok"]:
        if isinstance(outcome, BadReply):
            due = case.get("error")
            return [] if due in {None, outcome.kind} else [f"error {outcome.kind!r} ({outcome}), due is {due!r}"]
        told = ", ".join(f"{value.name}={value.value}" for value in outcome) or "no error"
        return [f"must be refused ({case.get('error')}), but brings {told}"]
    if isinstance(outcome, BadReply):
        return [f"refused: {outcome.kind}: {outcome}"]
    got = {value.name: value for value in outcome}
    tolerance = case.get("tol")
    return [fault for due in case.get("values") or [] for fault in compared(due, got.get(due["n"]), tolerance)]


def compared(due: dict[str, Any], got: Value | None, tolerance: float | None) -> list[str]:
    name, value = due["n"], due.get("v")
    if got is None:
        return [f"{name} is missing, due is {value}"]
    if value is None:
        if got.reason is None:
            return [f"{name} is {got.value}, due is null with a reason"]
        reason = REASONS.get(due.get("reason", ""))
        return [] if reason in {None, got.reason} else [f"{name} is null for {got.reason.name}, due is {due['reason']}"]
    if got.reason is not None:
        return [f"{name} is null for {got.reason.name}, due is {value}"]
    if due.get("u") is not None and due["u"] != got.unit:
        return [f"{name} is in {got.unit!r}, due is {due['u']!r}"]
    return [] if same(value, got.value, tolerance) else [f"{name} is {got.value!r}, due is {value!r}"]


def same(due: float | str, got: float | str | None, tolerance: float | None) -> bool:
    """Compare numbers within tolerance; texts exactly, times of day and dates by the instant that they mean."""
    if isinstance(due, str) and isinstance(got, str):
        return due == got or (instant(due) is not None and instant(due) == instant(got))
    if isinstance(due, str) or isinstance(got, str) or got is None:
        return False
    return math.isclose(due, got, rel_tol=0 if tolerance is not None else RELATIVE, abs_tol=tolerance or 1e-9)


def instant(text: str) -> datetime | None:
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT)?(\d\d:\d\d:\d\d)(\.\d{1,6})?Z?", text)
    return datetime.fromisoformat(f"{match[1] or '1970-01-01T'}{match[2]}{match[3] or ''}+00:00") if match else None


def mistaken(driver: Driver, table: Table, case: Case, names: list[str]) -> list[str]:
    """Check that another profile brings none of these values from the same bytes."""
    outcome = polled(driver, table, case)
    if isinstance(outcome, BadReply):
        return []
    wrong = [value.name for value in outcome if value.name in names and value.reason is None]
    return [f"profile {table['profile']} must not bring {', '.join(wrong)} from this frame"] if wrong else []


def main(files: list[str]) -> int:
    if not files:
        print("usage: python tests/frames.py FILE…", file=sys.stderr)
        return 2
    passed = failed = 0
    for file in files:
        try:
            content = json.loads(Path(file).read_text(encoding="utf-8"))
            family, cases = content["family"], content["cases"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            print(f"FAIL {file}: not a frame file: {error!r}")
            failed += 1
            continue
        for case in cases:
            faults = judge(family, case)
            if faults:
                print(f"FAIL {file} {case.get('id', '?')}: {'; '.join(faults)}")
            failed, passed = failed + bool(faults), passed + (not faults)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
