"""Runs every case folder of every driver, and checks that each driver and profile has its proof.

A case is a folder `tests/drivers/<driver>/<what it shows>/` with `sensor.toml` (the sensor's table as in
devices.toml, driver keys only), `wire.txt` (the talk on the line) and either `expected.json` or `error.txt`. Both are
compared in both directions: a value or an error that no longer comes fails as well as a new one.
"""

from __future__ import annotations

import contextlib
import json
import random
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge import drivers, profiles
from edge.driver import BadReply, Value
from edge.framing import rtu
from edge.plausible import same_unit
from edge.sense.exchange import run
from edge.sense.transcript import Replay, TranscriptError, parse, written
from wire.quantities import QUANTITIES

ROOT = Path(__file__).parent / "drivers"
CASES = sorted(folder for folder in ROOT.glob("*/*") if folder.is_dir())
PROOFS = ("expected.json", "error.txt")


def sensor(folder: Path) -> tuple[Any, Any]:
    """Return the driver of a case and its configuration."""
    table = tomllib.loads((folder / "sensor.toml").read_text(encoding="utf-8"))
    driver = drivers.load(table.pop("driver"))
    return driver, msgspec.convert(table, type=driver.config)


def outcome(folder: Path) -> tuple[list[Value], str]:
    """Run a case; return its values, or its error as `kind: words`. What was sent is checked on the way."""
    driver, config = sensor(folder)
    replay = Replay(parse((folder / "wire.txt").read_text(encoding="utf-8")))
    try:
        values, error = run(driver.poll(config), replay), ""
    except BadReply as refusal:
        values, error = [], f"{refusal.kind}: {refusal}"
    assert replay.finished, "wire.txt says more than the driver used"
    return values, error


def told(value: Value) -> dict[str, Any]:
    absent = value.reason is not None
    return {"unit": value.unit, **({"reason": value.reason.name} if absent else {"value": value.value})}


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_case(folder: Path) -> None:
    values, error = outcome(folder)
    if (folder / "error.txt").exists():
        assert error == (folder / "error.txt").read_text(encoding="utf-8").strip()
        assert not values
        return
    assert not error
    got = {value.name: told(value) for value in values}
    assert got == json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    assert len(got) == len(values), "two values have one name"
    driver, config = sensor(folder)
    assert driver.quantities(config).keys() <= got.keys(), "each quantity has a value or a reason"


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_units_are_those_of_the_quantities(folder: Path) -> None:
    driver, config = sensor(folder)
    units = {value.name: value.unit for value in outcome(folder)[0]}
    for name, quantity in driver.quantities(config).items():
        assert quantity in QUANTITIES
        assert name not in units or same_unit(units[name], QUANTITIES[quantity]), name


def missing_proofs(root: Path, known: list[str], models: list[str]) -> list[str]:
    """Return what the tree of case folders lacks, or has too much."""
    faults = [f"{path.name}: no such driver" for path in sorted(root.iterdir()) if path.name not in known]
    shown = set()
    for name in known:
        folders = [folder for folder in sorted((root / name).glob("*")) if name in known]
        faults += [fault for folder in folders for fault in folder_faults(folder)]
        for proof in PROOFS:
            if not any((folder / proof).exists() for folder in folders):
                faults.append(f"{name}: no folder with {proof}")
        shown |= {profile(folder) for folder in folders if (folder / "expected.json").exists()}
    return faults + [f"profile {model}: no folder with expected.json" for model in models if model not in shown]


def folder_faults(folder: Path) -> list[str]:
    files = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    proofs = files.intersection(PROOFS)
    if files - proofs != {"sensor.toml", "wire.txt"} or len(proofs) != 1:
        return [f"{folder.parent.name}/{folder.name}: must hold sensor.toml, wire.txt and one of {', '.join(PROOFS)}"]
    driver = tomllib.loads((folder / "sensor.toml").read_text(encoding="utf-8")).get("driver")
    return [] if driver == folder.parent.name else [f"{folder}: sensor.toml says driver {driver!r}"]


def profile(folder: Path) -> str | None:
    text = (folder / "sensor.toml").read_text(encoding="utf-8") if (folder / "sensor.toml").exists() else ""
    return tomllib.loads(text).get("profile")


def test_every_driver_and_profile_has_its_proof() -> None:
    assert missing_proofs(ROOT, drivers.names(), profiles.names()) == []


def test_a_missing_or_stray_proof_is_found(tmp_path: Path) -> None:
    good = tmp_path / "thing" / "answers"
    good.mkdir(parents=True)
    (tmp_path / "orphan").mkdir()
    for name, text in (("sensor.toml", 'driver = "thing"'), ("wire.txt", "<"), ("expected.json", "{}")):
        (good / name).write_text(text, encoding="utf-8")
    assert missing_proofs(tmp_path, ["thing"], ["probe"]) == [
        "orphan: no such driver",
        "thing: no folder with error.txt",
        "profile probe: no folder with expected.json",
    ]
    (good / "error.txt").write_text("crc: no", encoding="utf-8")
    assert "thing/answers: must hold" in missing_proofs(tmp_path, ["thing"], [])[1]


# --- profiles ------------------------------------------------------------------------------------------------------

PROBE = """
title = "Probe"
source = "datasheet"
read = [{ at = 0, count = 2 }]
[[point]]
name = "temperature"
quantity = "air_temperature"
unit = "Cel"
at = 0
type = "i16"
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("unit = ", "unti = ", "unknown field `unti` - at `$.point[0]`"),
        ("title", "titel", "unknown field `titel`"),
        ('"i16"', '"int16"', "'int16' - at `$.point[0].type`"),
        ('"i16"', '"text"', '`registers` is needed for type "text"'),
        ('"Cel"', '"degF"', 'unit "degF" is not air_temperature\'s unit "Cel"; use `scale`'),
        ('"air_temperature"', '"warmth"', 'quantity "warmth" is not in wire/quantities.py'),
        ("count = 2", "count = 200", "<= 125 - at `$.read[0].count`"),
        ("at = 0\ntype", "at = 70000\ntype", "<= 65535 - at `$.point[0].at`"),
        ("[[point]]", '[[point]]\nname = "temperature"\nunit = "1"\nat = 1\ntype = "u16"\n[[point]]', "two points"),
        ("= 2 }]", "= 2 }", "probe.toml: "),
    ],
)
def test_a_wrong_profile_names_file_and_key(old: str, new: str, words: str) -> None:
    assert profiles.decode(PROBE.encode(), "probe.toml").points((profiles.Block(0, 2),))
    with pytest.raises(ValueError, match=r"^probe\.toml: ") as error:
        profiles.decode(PROBE.replace(old, new, 1).encode(), "probe.toml")
    assert words in str(error.value)


def test_an_unknown_profile_is_refused_when_the_configuration_is_read() -> None:
    config = drivers.load("modbus").config
    with pytest.raises(msgspec.ValidationError, match='"soil-9999" is not a profile; there are air-0000, '):
        msgspec.convert({"profile": "soil-9999"}, type=config)
    with pytest.raises(msgspec.ValidationError, match="unknown field `adress`"):
        msgspec.convert({"profile": "soil-0000", "adress": 2}, type=config)


@pytest.mark.parametrize(
    ("kind", "words", "scale", "raw", "value"),
    [
        ("u32", "hi-lo", 1.0, "00010002", 65538),
        ("u32", "lo-hi", 1.0, "00020001", 65538),
        ("i32", "lo-hi", 0.001, "ffffffff", -0.001),
        ("i32", "hi-lo", 1.0, "ffff0000", -65536),
        ("f32", "hi-lo", 1.0, "41c80000", 25.0),
        ("f32", "lo-hi", 10.0, "000041c8", 250.0),
        ("f32", "hi-lo", 1.0, "7fc00000", None),  # NaN is the device's "no value"
        ("f32", "hi-lo", 1.0, "7f800000", None),
    ],
)
def test_two_registers_in_each_word_order(kind: str, words: str, scale: float, raw: str, value: float | None) -> None:
    point = profiles.Point("x", "1", 8, kind, words=words, scale=scale)
    registers = {(3, 8): bytes.fromhex(raw)[:2], (3, 9): bytes.fromhex(raw)[2:]}
    from edge.drivers.modbus import _value

    assert _value(point, registers).value == value


# --- framing, exchange, transcript -----------------------------------------------------------------------------------


class Counting(Replay):
    """A line that counts how often it had to wait for a time-out."""

    waits = 0

    def read(self, size: int, patience_s: float = 0.0) -> bytes:
        got = super().read(size, patience_s)
        self.waits += not got
        return got


def test_no_answer_is_waited_for_that_has_come() -> None:
    """Every good Modbus case, echoed ones and exceptions too, ends without one time-out."""
    for folder in (ROOT / "modbus").iterdir():
        text = (folder / "wire.txt").read_text(encoding="utf-8")
        if "\n<\n" in text:
            continue
        line = Counting(parse(text))
        driver, config = sensor(folder)
        with contextlib.suppress(BadReply):
            run(driver.poll(config), line)
        assert line.waits == 0, folder.name


def test_crc_of_the_standard() -> None:
    assert rtu.crc16(b"\x02\x07") == b"\x41\x12"  # Modbus over Serial Line V1.02, appendix B
    assert rtu.request(1, 3, 0, 3) == bytes.fromhex("01030000000305cb")


def test_a_flipped_bit_never_brings_another_value() -> None:
    """Any single bit of any answer of the drivers that check sums: the same values, or none."""
    rng = random.Random(20)
    for folder in CASES:
        if folder.parent.name == "modem_at" or not (folder / "expected.json").exists():
            continue  # AT has no checksum
        if folder.name in {"two_answers_glued", "late_rest_is_dropped", "rmc_is_lost"}:
            continue  # another whole frame is there to be found, or the flip mends a damaged one
        if "optional" in (folder / "sensor.toml").read_text(encoding="utf-8"):
            continue
        right = {value.name: value.value for value in outcome(folder)[0]}
        talk = parse((folder / "wire.txt").read_text(encoding="utf-8"))
        answers = [i for i, (way, data) in enumerate(talk) if way == "recv" and data]
        for _ in range(20):
            damaged, place = list(talk), rng.choice(answers)
            data = bytearray(damaged[place][1])
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            damaged[place] = ("recv", bytes(data))
            driver, config = sensor(folder)
            try:
                got = {v.name: v.value for v in run(driver.poll(config), Replay(damaged)) if v.reason is None}
            except (BadReply, TranscriptError):
                continue  # refused, or it did not ask on
            assert got.items() <= right.items(), folder


def test_any_bytes_are_answered_with_values_or_bad_reply() -> None:
    rng = random.Random(21)
    for folder in CASES:
        talk = parse((folder / "wire.txt").read_text(encoding="utf-8"))
        for _ in range(15):
            damaged = [(way, mangled(data, rng) if way == "recv" else data) for way, data in talk]
            driver, config = sensor(folder)
            try:
                values = run(driver.poll(config), Replay(damaged))
            except (BadReply, TranscriptError):
                continue
            assert all(value.value is not None or value.reason is not None for value in values)


def mangled(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return data
    cut = rng.randrange(len(data) + 1)
    noise = rng.choice([b"", rng.randbytes(rng.randrange(9)), data[:cut], b",", b"-", b"\r\n", b'"', b"nan"])
    return data[:cut] + noise + data[cut + rng.randrange(3) :]


def test_a_transcript_is_read_and_written() -> None:
    talk = parse('# a comment\n> 01 03\n\n< "a\\r\\n\\"b\\"\\\\"\n<\n< ff00\n')
    assert talk == [("send", b"\x01\x03"), ("recv", b'a\r\n"b"\\'), ("recv", b""), ("recv", b"\xff\x00")]
    assert parse(written(talk)) == talk
    replay = Replay(talk)
    assert replay.read(9) == b"", "nothing comes before the request"
    with pytest.raises(TranscriptError, match="sent 02, where the transcript has sent 01 03"):
        replay.write(b"\x02")
    replay.write(b"\x01\x03")
    assert (replay.read(2), replay.read_available(), replay.finished) == (b"a\r", b'\n"b"\\', False)
    assert (replay.read(2), replay.finished) == (b"\xff\x00", True)
    with pytest.raises(TranscriptError, match="nothing more"):
        replay.write(b"\x01")


@pytest.mark.parametrize("line", ["01 03", "> 1", '< "open', '< "a" + "b"', "> zz", '< "é"'])
def test_a_broken_transcript_names_its_line(line: str) -> None:
    with pytest.raises(ValueError, match=r"^line 2: "):
        parse(f"# head\n{line}\n")
