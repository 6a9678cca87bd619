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
from functools import reduce
from itertools import combinations
from operator import xor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from edge import drivers, profiles
from edge.config import load
from edge.driver import BadReply, Reply, Value
from edge.framing import plantower, rtu
from edge.plausible import ENDS, judged, ranges, same_unit
from edge.sense.exchange import run
from edge.sense.transcript import Replay, TranscriptError, parse, written
from wire.quantities import QUANTITIES
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    raw = {} if value.raw is None else {"raw": value.raw}
    return {"unit": value.unit, **raw, **({"reason": value.reason.name} if absent else {"value": value.value})}


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


def missing_proofs(root: Path, known: Sequence[str], models: list[str]) -> list[str]:
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


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_a_devices_toml_needs_to_know_no_speed_and_no_patience(folder: Path, tmp_path: Path) -> None:
    """What an installer writes is the port and the sensor's own table: the driver, or the profile, knows the rest."""
    file = tmp_path / "devices.toml"
    port = {"": "/dev/serial/x", "mmcli:": "mmcli:any", "net:": "net:broker"}[sensor(folder)[0].port]
    file.write_text(
        '[gateway]\nid = "sg-01"\n[broker]\nhost = "127.0.0.1"\nport = 1883\n'
        f'[[bus]]\nname = "b"\nport = "{port}"\n'
        '[[sensor]]\nchannel = "one"\nbus = "b"\n' + (folder / "sensor.toml").read_text(encoding="utf-8"),
        encoding="utf-8",
    )
    read = load(file, running=False)
    (bus,), (one,) = read.buses, read.sensors
    driver, config = sensor(folder)
    needs = driver.habits_of(config)
    assert (bus.baud, bus.format) == (needs.baud, needs.format)
    assert one.habits == needs
    assert 0 < needs.timeout_s <= 10
    assert needs.warmup_s >= 0


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
        ('"i16"', '"i16"\norder = "ABCD"', 'order "ABCD" does not fit type "i16": "AB" or "BA"'),
        ('"i16"', '"u32"\norder = "BA"', 'order "BA" does not fit type "u32": "ABCD" or'),
        ('"i16"', '"text"\nregisters = 2\norder = "BA"', 'order "BA" does not fit type "text": none'),
        ("title", "timeout_s = 0\ntitle", "`$.timeout_s`"),
        ('"i16"', '"i16"\nscale = [0.1, 0.01]', "within -40 to 80 several `scale`s can be right; narrow `range`"),
        ('"i16"', '"i16"\nscale = [0.1, 0.01]\nrange = [2, 25]', "within 2 to 25 several `scale`s can be right"),
        ('"i16"', '"i16"\nscale = [0.1, 0.1]', "a list of different ones"),
        ('"i16"', '"i16"\nscale = []', "a list of different ones"),
        ('"i16"', '"i16"\nnone = [0x8000, -9999]', "`none` has -9999, which no register holds; write 0xd8f1"),
        ('"i16"', '"i16"\nnone = [0x18000]', "`none` has 98304, which no register holds"),
        ('"i16"', '"i16"\nscale = 0', 'point "temperature": scale 0 makes every value the same; write what'),
        ('"i16"', '"i16"\nscale = [0.0, 1.0]', "scale 0 makes every value the same"),
        ('"i16"', '"i16"\nscale = nan', "scale nan makes every value the same"),
        ('"i16"', '"i16"\noffset = inf', "offset inf is no number to add"),
        ('"i16"', '"i16"\nrange = [25, 2]', "no value is within 25 to 2; write [lowest, highest]"),
        ('"i16"', '"i16"\nrange = [nan, 2]', "no value is within nan to 2"),
        ("[[point]]", '[[must]]\nat = 9\nequal = [1]\nwhy = "id"\n[[point]]', "must 9 (function 3) is not read, so it"),
        (
            "[[point]]",
            '[[must]]\nat = 1\nequal = [1]\nwhy = "id"\nfc = 4\n[[point]]',
            "must 1 (function 4) is not read",
        ),
        ("[[point]]", '[[must]]\nat = 1\nequal = []\nwhy = "id"\n[[point]]', "must 1: `equal` is empty"),
        ("2 }]", "2 }, { at = 8, count = 2 }]", "two blocks of `read` have 2 registers (function 3), so a late answer"),
        ("title", 'format = "8X1"\ntitle', "`$.format`"),
        ("title", "warmup_s = inf\ntitle", "`$.warmup_s`"),
    ],
)
def test_a_wrong_profile_names_file_and_key(old: str, new: str, words: str) -> None:
    assert profiles.decode(PROBE.encode(), "probe.toml").points((profiles.Block(0, 2),))
    with pytest.raises(ValueError, match=r"^probe\.toml: ") as error:
        profiles.decode(PROBE.replace(old, new, 1).encode(), "probe.toml")
    assert words in str(error.value)


def test_an_unknown_profile_is_refused_when_the_configuration_is_read() -> None:
    config = drivers.load("modbus").config
    with pytest.raises(msgspec.ValidationError, match="soil-9999"):
        msgspec.convert({"profile": "soil-9999"}, type=config)
    with pytest.raises(msgspec.ValidationError, match="unknown field `adress`"):
        msgspec.convert({"profile": "soil-0000", "adress": 2}, type=config)


@pytest.mark.parametrize(
    ("xdr", "words"),
    [
        ({}, "belong together"),
        ({"A": "temperature", "B": "temperature"}, "two transducers in `xdr` are the same value"),
        ({"H:A": "temperature"}, '"H:A" is of type H, but temperature is of type C'),
    ],
)
def test_transducers_that_cannot_be_are_refused(xdr: dict[str, str], words: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert({"sentences": ["XDR"], "xdr": xdr}, type=drivers.load("nmea0183").config)


@pytest.mark.parametrize(
    ("kind", "order", "raw", "value"),
    [
        ("u16", "AB", "0102", 258),
        ("u16", "BA", "0201", 258),
        ("i16", "BA", "feff", -2),
        ("sm16", "", "8065", -101),
        ("sm16", "", "0065", 101),
        ("sm16", "", "8000", 0),
        ("u32", "", "00010002", 65538),
        ("u32", "ABCD", "01020304", 0x01020304),
        ("u32", "CDAB", "03040102", 0x01020304),
        ("u32", "BADC", "02010403", 0x01020304),
        ("u32", "DCBA", "04030201", 0x01020304),
        ("i32", "CDAB", "ffffffff", -1),
        ("i32", "ABCD", "ffff0000", -65536),
        ("sm32", "CDAB", "00648000", -100),
        ("f32", "ABCD", "41c80000", 25.0),
        ("f32", "CDAB", "000041c8", 25.0),
        ("f32", "BADC", "c8410000", 25.0),
        ("f32", "DCBA", "0000c841", 25.0),
        ("f32", "", "7fc00000", None),  # NaN is the device's "no value"
        ("f32", "", "7f800000", None),
    ],
)
def test_numbers_in_each_byte_order(kind: str, order: str, raw: str, value: float | None) -> None:
    point = profiles.Point("x", "1", 8, kind, order=order)
    data = bytes.fromhex(raw)
    registers = {(3, 8 + i): data[2 * i : 2 * i + 2] for i in range(point.width)}
    from edge.drivers.modbus import _value

    assert _value(point, registers).value == value


def test_what_is_no_value_is_looked_for_in_the_number_not_in_the_order_of_its_bytes() -> None:
    from edge.drivers.modbus import _value

    point = profiles.Point("x", "1", 8, "u32", order="CDAB", none=(0x80000000,), scale=0.1, offset=-40)
    assert _value(point, {(3, 8): b"\0\0", (3, 9): b"\x80\0"}).reason is Reason.SENTINEL
    assert _value(point, {(3, 8): b"\1\0", (3, 9): b"\0\0"}).value == -14.4


# --- is a frame true?


def test_the_end_of_a_scale_is_a_value_and_no_vote_for_another_device() -> None:
    """All quantities at the ends of their scales at once, with one impossible value beside them."""
    within = ranges({name: name for name in [*ENDS, "soil_ph"]})
    for pick in (0, -1):
        said = [Value(name, "", ends[pick].low) for name, ends in ENDS.items()]
        got = judged([*said, Value("soil_ph", "", 19.1)], within)
        assert [value.raw for value in got if value.raw is not None] == [
            one.value for one, told in zip(said, got, strict=False) if one.value != told.value
        ]
        assert [value.name for value in got if value.reason is Reason.OUT_OF_RANGE] == ["soil_ph"]
        assert got[-1].value == 19.1, "the number stays beside its reason"


def test_each_end_of_a_scale_is_one_that_its_quantity_has() -> None:
    for name, ends in ENDS.items():
        quantity = QUANTITIES[name]
        for end in ends:
            assert end.low <= end.high
            assert end.source
            assert end.value is None or quantity.plausible(end.value)
            for beyond in (end.low - 1, end.high + 1):
                (got,) = judged([Value(name, "", beyond)], ranges({name: name}))
                assert quantity.plausible(beyond) == (got.reason is None), (name, beyond)


def test_two_impossible_values_are_another_device() -> None:
    within = ranges({"a": "soil_ph", "b": "air_humidity"})
    with pytest.raises(BadReply, match=r"a 28\.0 pH, b 119\.1 %RH: impossible together"):
        judged([Value("a", "pH", 28.0), Value("b", "%RH", 119.1)], within)


# --- framing, exchange, transcript -----------------------------------------------------------------------------------


class Counting(Replay):
    """A line that counts how often it had to wait for a time-out."""

    waits = 0

    def read(self, size: int, patience_s: float = 0.0) -> bytes:
        got = super().read(size, patience_s)
        self.waits += not got
        return got


def test_a_particle_sensor_at_the_wrong_speed_is_told_from_one_that_broke_off() -> None:
    noise = random.Random(7).randbytes(4_000)
    for came, kind, words in ((noise, "garbled", "is the speed right"), (noise[:20], "short", "20 bytes")):
        with pytest.raises(BadReply, match=words) as refused:
            plantower.find(28, came, quiet=True)
        assert refused.value.kind == kind


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


COIL = rtu.write_coil(0x11, 0xAC, on=True)


def test_a_coil_is_set_as_the_standard_prints_it() -> None:
    assert COIL[:6] == bytes.fromhex("11 05 00 ac ff 00")  # Modbus Application Protocol V1.1b3 §6.5, slave added
    assert rtu.write_coil(0x11, 0xAC, on=False)[:6] == bytes.fromhex("11 05 00 ac 00 00")
    assert COIL[6:] == rtu.crc16(COIL[:6])


def test_a_coil_is_confirmed_by_exactly_what_was_ordered() -> None:
    """Byte by byte: no beginning of it is taken for the whole, and a glitch before it costs nothing."""
    for noise in (b"", b"\0", b"\xff\x11"):
        came = noise + COIL
        for end in range(len(came)):
            need = rtu.find(COIL, came[:end], False)
            assert isinstance(need, int)
            assert need >= 1
        assert isinstance(rtu.find(COIL, came, False), bytes)


@pytest.mark.parametrize(
    ("came", "kind"),
    [
        ("", "silence"),
        (COIL[:7].hex(), "short"),
        (COIL[:7].hex() + "00", "crc"),
        (rtu.write_coil(0x11, 0xAC, on=False).hex(), "garbled"),  # confirmed off where on was ordered
        (rtu.write_coil(0x11, 0xAD, on=True).hex(), "garbled"),  # another coil
        (rtu.write_coil(0x12, 0xAC, on=True).hex(), "address"),
        ("118502" + rtu.crc16(bytes.fromhex("118502")).hex(), "exception:2"),
        ("118504" + rtu.crc16(bytes.fromhex("118504")).hex(), "exception:4"),
        ("110302ff00" + rtu.crc16(bytes.fromhex("110302ff00")).hex(), "garbled"),  # a late answer to a reading
    ],
)
def test_a_coil_is_not_confirmed_by_anything_else(came: str, kind: str) -> None:
    with pytest.raises(BadReply) as refusal:
        rtu.find(COIL, bytes.fromhex(came), True)
    assert refusal.value.kind == kind


def test_no_flipped_bit_confirms_a_coil() -> None:
    for bit in range(8 * len(COIL)):
        damaged = bytearray(COIL)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadReply):
            rtu.find(COIL, bytes(damaged), True)


def test_a_flipped_bit_never_brings_another_value() -> None:
    """Any single bit of any answer of the drivers that check sums: the same values, or none."""
    rng = random.Random(20)
    for folder in CASES:
        driver, config = sensor(folder)
        if not driver.guarded(config) or not (folder / "expected.json").exists():
            continue  # what no sum guards may come through as another value: docs/reference/drivers.md says so
        if folder.name in {"two_answers_glued", "late_rest_is_dropped", "rmc_is_lost"}:
            continue  # another whole frame is there to be found, or the flip mends a damaged one
        right = {value.name: value.value for value in outcome(folder)[0]}
        talk = parse((folder / "wire.txt").read_text(encoding="utf-8"))
        answers = [i for i, (way, data) in enumerate(talk) if way == "recv" and data]
        for _ in range(20):
            damaged, place = list(talk), rng.choice(answers)
            data = bytearray(damaged[place][1])
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            damaged[place] = ("recv", bytes(data))
            try:
                got = {v.name: v.value for v in run(driver.poll(config), Replay(damaged)) if v.reason is None}
            except (BadReply, TranscriptError):
                continue  # refused, or it did not ask on
            assert got.items() <= right.items(), folder


def test_the_drivers_without_a_checksum_are_known() -> None:
    """To give one up is a decision: a new driver says it, and appears in the reference with what it costs."""
    every = [sensor(folder) for folder in CASES]
    plain = {driver.name for driver, config in every if not driver.guarded(config)}
    assert plain >= {"modem_at"}
    assert not plain & {"modbus", "plantower_pms"}


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
    noise = rng.choice(
        [b"", rng.randbytes(rng.randrange(9)), data[:cut], b",", b"-", b"\r\n", b'"', b"nan", b"9" * 400]
    )
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
    assert (replay.read(2), replay.read(9), replay.read(9), replay.finished) == (b"a\r", b'\n"b"\\', b"", False)
    assert (replay.read(2), replay.finished) == (b"\xff\x00", True)
    with pytest.raises(TranscriptError, match="nothing more"):
        replay.write(b"\x01")


@pytest.mark.parametrize("line", ["01 03", "> 1", '< "open', '< "a" + "b"', "> zz", '< "é"'])
def test_a_broken_transcript_names_its_line(line: str) -> None:
    with pytest.raises(ValueError, match=r"^line 2: "):
        parse(f"# head\n{line}\n")


def test_a_flood_of_foreign_sentences_is_told_by_a_few() -> None:
    """A receiver on a native USB port says megabytes within one poll; all of it was kept until its end."""
    driver = drivers.load("nmea0183")
    poll = driver.poll(msgspec.convert({"sentences": ["GGA"], "checksum": "optional"}, type=driver.config))
    next(poll)
    for number in range(500):
        poll.send(Reply(b"$GP%d,1\r\n" % number))
    with pytest.raises(BadReply, match="no GGA came, only") as told:
        poll.throw(BadReply("silence", "the time is over"))
    assert len(str(told.value)) < 200


def lacking(body: bytes) -> list[bytes]:
    """Return the sentence without two equal characters, whichever: its checksum stays right, being a XOR."""
    pairs = [(i, j) for i, j in combinations(range(len(body)), 2) if body[i] == body[j]]
    return [b"$%s*%02X\r\n" % (body[:i] + body[i + 1 : j] + body[j + 1 :], reduce(xor, body)) for i, j in pairs]


def test_a_sentence_that_lost_two_equal_characters_moves_nobody() -> None:
    """104 degrees were 10, 4 or 1, and twelve satellites 0.83."""
    gga = b"GNGGA,085120.00,2136.14930,N,10430.54475,E,1,12,0.83,1213.9,M,-22.4,M,,"
    rmc = b"GNRMC,085120.00,A,2136.14930,N,10430.54475,E,0.022,,271126,,,A"
    driver = drivers.load("nmea0183")
    found: dict[str, set[Any]] = {"lat": set(), "lon": set(), "fix_quality": set(), "sats": set()}
    for body, other in ((gga, rmc), (rmc, gga)):
        for line in lacking(body):
            config = msgspec.convert({"sentences": ["GGA", "RMC"]}, type=driver.config)
            talk = Replay([("recv", b"$%s*%02X\r\n" % (other, reduce(xor, other)) + line)])
            for value in run(driver.poll(config), talk):
                if value.name in found and value.reason is None:
                    found[value.name].add(value.value)
    assert max(abs(lat - 21.602488333) for lat in found["lat"]) < 0.001
    assert max(abs(lon - 104.509079167) for lon in found["lon"]) < 0.001
    assert found["fix_quality"] == {1.0}
    assert found["sats"] == {12.0, 2.0, 1.0}, "one of two digits is a number, too"
