"""LTE and 5G modems that ModemManager holds: what `mmcli` tells of registration, radio access, cell and signal.

Source: ModemManager 1.18 to 1.24, `mmcli -m MODEM -J`, `--signal-get -J`, `--location-get -J`: strings all, `--` for
none; signal is `--` until `--signal-setup=N` has been said once since ModemManager began, which this driver does
(`setup`). The registration's words are those of 3GPP TS 27.007 §7.2. UNTESTED on hardware, outputs recorded by others
stand in its case folders, and an `mmcli` that prints them in the tests.

A second way in beside `modem_at`, for a modem that leaves no AT port free: on `port = "mmcli:any"`, `mmcli:0` or the
modem's D-Bus path. "No service" is a reading with registration and radio; a modem that does not look for a network (it
is disabled, locked, failed) or is not there brings none.

Limits: band, channel and PCI are not told. A position (`position`) is the last that ModemManager has, and how old it
is only the text `fix_utc` shows: without satellites it may be that of an hour ago, so prefer a GNSS receiver. The SIM's
and the modem's own numbers are not read at all. Who is not root may be refused `--signal-setup`: docs/install.md.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from edge.driver import Ask, BadReply, Driver, DriverConfig, Habits, Value
from edge.framing.cells import absent, hexadecimal, text
from edge.plausible import judged, ranges
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Generator

    from edge.driver import Io, Reply

_END = re.compile(rb"\nexit (late|long|-?\d+)\n\Z")
_LONGEST = 32_768  # a description with all bands of a 5G modem has 5 kB
_REGISTRATION = {
    "idle": 0, "home": 1, "searching": 2, "denied": 3, "unknown": 4, "roaming": 5, "home-sms-only": 6,
    "roaming-sms-only": 7, "emergency-only": 8, "home-csfb-not-preferred": 9, "roaming-csfb-not-preferred": 10,
}  # fmt: skip
_LOOKS = frozenset({"enabled", "searching", "registered", "connecting", "connected", "disconnecting"})
_RADIO = {
    "gsm": 1, "gsm-compact": 1, "gprs": 1, "edge": 1, "umts": 2, "hsdpa": 2, "hsupa": 2, "hspa": 2, "hspa-plus": 2,
    "lte": 3, "lte-cat-m": 3, "lte-nb-iot": 3, "5gnr": 5,
}  # fmt: skip
_UNREGISTERED = frozenset({0, 2, 3, 4, 8})
_LEVELS = {  # name → where it stands below modem.signal
    "lte_rsrp": ("lte", "rsrp"),
    "lte_rsrq": ("lte", "rsrq"),
    "lte_sinr": ("lte", "snr"),
    "nr_ss_rsrp": ("5g", "rsrp"),
    "nr_ss_rsrq": ("5g", "rsrq"),
    "nr_ss_sinr": ("5g", "snr"),
}
_RSSI = {1: "gsm", 2: "umts", 3: "lte", 4: "lte"}
_PLACE = {"lat": ("latitude", "deg"), "lon": ("longitude", "deg"), "alt": ("altitude", "m")}
_NAMES = ("registration", "radio", "plmn", "tac", "cell_id", "rssi", *_LEVELS)


class Config(DriverConfig, frozen=True, kw_only=True):
    """What ModemManager is asked beside the signal."""

    setup: Annotated[bool, Meta(description="may switch on ModemManager's measuring of the signal")] = True
    refresh_s: Annotated[int, Meta(ge=2, le=3_600, description="how often ModemManager is to measure the signal")] = 10
    position: Annotated[bool, Meta(description="reads the modem's position, too (see the limits)")] = False


def poll(config: Config) -> Io:
    """Ask for the modem, its signal and its place, and make one reading. Raises BadReply."""
    modem = yield from _told("-J", "modem")
    values = _modem(modem)
    signal = yield from _told("--signal-get -J", "modem", "signal")
    if config.setup and _field(signal, "refresh", "rate") in {"", "0"}:
        signal, refusal = yield from _set_up(signal, config.refresh_s)
        values += refusal
    values += _signal(signal, next(_code(one) for one in values if one.name == "radio"))
    try:
        values += _location((yield from _told("--location-get -J", "modem", "location")), position=config.position)
    except BadReply as error:
        names = ("tac", "cell_id", *(_PLACE if config.position else ()))
        values += [Value(name, _PLACE.get(name, ("", "1"))[1], None, error.reason) for name in names]
    return judged(values, ranges(quantities(config)))


def quantities(config: Config) -> dict[str, str]:
    """Return which value is which quantity."""
    names = (*_NAMES, *(_PLACE if config.position else ()))
    return {name: "cell" if name == "cell_id" else name for name in names}


# --- one question


def _ask(words: str) -> Generator[Ask, Reply, str]:
    """Return what mmcli printed. Raises BadReply where it failed, hung or is not allowed to."""
    came = yield Ask(f"{words}\n".encode(), until=_END, longest=_LONGEST)
    end = _END.search(came)
    assert end is not None, "the exchange returns what ends so"
    said, how = came[: end.start()].decode("utf-8", "replace"), end[1].decode()
    if how == "late":
        raise BadReply("silence", f"mmcli {words}: no answer in time: does ModemManager run, does the modem hang?")
    if how == "long":
        raise BadReply("garbled", f"mmcli {words}: more than any modem has to say")
    if how != "0":
        line = next((one for one in said.splitlines() if one.startswith("error")), f"exit {how}")[:200]
        nobody = re.search(r"couldn't find|no modems|couldn't create manager|ServiceUnknown", line)
        raise BadReply("silence" if nobody else "error", f"mmcli {words}: {line}")
    return said


def _told(words: str, *path: str) -> Generator[Ask, Reply, dict[str, Any]]:
    said = yield from _ask(words)
    try:
        found = msgspec.json.decode(said)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise BadReply("garbled", f"mmcli {words}: {error}") from error
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        raise BadReply("garbled", f"mmcli {words}: no {'.'.join(path)} in it")
    return found


def _set_up(signal: dict[str, Any], every_s: int) -> Generator[Ask, Reply, tuple[dict[str, Any], list[Value]]]:
    """Have the signal measured, and read it again; a refusal is told as a text."""
    try:
        yield from _ask(f"--signal-setup={every_s}")
        again = yield from _told("--signal-get -J", "modem", "signal")
    except BadReply as error:
        named = re.search(r"Core\.(\w+)", str(error))
        return signal, [Value("signal_setup", "", f"refused: {named[1]}" if named else "refused")]
    return again, []


# --- what it means


def _field(tree: object, *path: str) -> str:
    """Return a word, `` where there is none."""
    for key in path:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree if isinstance(tree, str) and tree != "--" else ""


def _modem(modem: dict[str, Any]) -> list[Value]:
    state = _field(modem, "generic", "state")
    if state not in _LOOKS:
        why = _field(modem, "generic", "state-failed-reason")
        raise BadReply("error", f"the modem looks for no network: {state or 'no state'} {why}".strip())
    values = [
        text("state", state),
        text("operator", _field(modem, "3gpp", "operator-name")),
        text("model", _field(modem, "generic", "model")),
        text("firmware", _field(modem, "generic", "revision")),
    ]
    registration = _registration(_field(modem, "3gpp", "registration-state"))
    return [*values, registration, _radio(modem, registration), _plmn(_field(modem, "3gpp", "operator-code"))]


def _registration(word: str) -> Value:
    if not word:
        return absent("registration")
    code = _REGISTRATION.get(word)
    return absent("registration", Reason.GARBLED) if code is None else Value("registration", "1", code)


def _radio(modem: dict[str, Any], registration: Value) -> Value:
    """Return the radio access; none without service, and not reported where a word is not known here."""
    if _code(registration) in _UNREGISTERED:
        return Value("radio", "1", 0)
    generic = modem.get("generic")
    told = generic.get("access-technologies") if isinstance(generic, dict) else None
    words = [word for word in told if isinstance(word, str)] if isinstance(told, list) else []
    codes = {_RADIO.get(word.strip(), 0) for one in words for word in one.split(",") if word.strip() != "--"}
    if not codes or 0 in codes:
        return absent("radio", Reason.GARBLED if codes else Reason.NOT_REPORTED)
    return Value("radio", "1", 4 if {3, 5} <= codes else max(codes))


def _plmn(word: str) -> Value:
    if not word:
        return absent("plmn")
    if not re.fullmatch(r"[1-9]\d{4,5}", word):
        return absent("plmn", Reason.GARBLED)
    return Value("plmn", "1", int(word[:3]) * 1000 + int(word[3:]))


def _signal(signal: dict[str, Any], radio: int) -> list[Value]:
    values = {name: _number(name, _field(signal, *path)) for name, path in _LEVELS.items()}
    for power in ("lte_rsrp", "nr_ss_rsrp"):
        if values[power].value is None:  # of no cell: what stands beside it is left over
            kind = power.removesuffix("rsrp")
            values |= {
                name: absent(name, values[power].reason or Reason.NOT_REPORTED)
                for name in values
                if name.startswith(kind)
            }
    rssi = _number("rssi", _field(signal, _RSSI[radio], "rssi")) if radio in _RSSI else absent("rssi")
    return [rssi, *values.values()]


def _number(name: str, said: str) -> Value:
    """Return a number as it is printed, in whatever language."""
    none = absent(name)
    if not said:
        return none
    if not re.fullmatch(r"-?\d{1,4}([.,]\d{1,3})?", said):
        return absent(name, Reason.GARBLED)
    return Value(name, none.unit, float(said.replace(",", ".")))


def _location(location: dict[str, Any], *, position: bool) -> list[Value]:
    values = []
    for name, key in (("tac", "tac"), ("cell_id", "cid")):
        said = _field(location, "3gpp", key)
        try:
            read = hexadecimal(name, said)
        except ValueError:
            read = absent(name, Reason.GARBLED)
        none = read.value == 0  # as ModemManager says "none" of what is a number
        values.append(absent(name, Reason.SENTINEL) if none else read)
    if position:
        values += [_degrees(name, unit, _field(location, "gps", key)) for name, (key, unit) in _PLACE.items()]
        values.append(text("fix_utc", _field(location, "gps", "utc")))
    return values


def _degrees(name: str, unit: str, said: str) -> Value:
    if not said:
        return Value(name, unit, None, Reason.NO_FIX)
    if not re.fullmatch(r"-?\d{1,5}([.,]\d{1,9})?", said):
        return Value(name, unit, None, Reason.GARBLED)
    return Value(name, unit, float(said.replace(",", ".")))


def _code(value: Value) -> int:
    return int(value.value) if isinstance(value.value, int | float) and value.reason is None else -1


_HABITS = Habits(timeout_s=10.0)  # its line gives mmcli eight
DRIVER = Driver(
    "modem_mm", "LTE or 5G modem by ModemManager", Config, poll, quantities, _HABITS, checksum=False, port="mmcli:"
)
