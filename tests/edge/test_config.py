"""devices.toml: the sample is right, and whatever else stands there is refused with its place, rule and remedy."""

from __future__ import annotations

import datetime as dt
import math
import os
import shutil
import string
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import fields, replace

from edge import drivers
from edge.config import (
    Broker,
    Bus,
    ConfigError,
    Finding,
    Gateway,
    SensorTable,
    SpoolConfig,
    advice,
    load,
)  # fmt: skip
from settings import credentials
from settings.finding import MOST
from settings.words import words

ROOT = Path(__file__).parents[2]
MISTAKES = sorted(file.parent for file in (ROOT / "tests" / "config").glob("*/devices.toml"))
RIGHT = """[gateway]
id = "sg-01"
[broker]
host = "127.0.0.1"
port = 1883
[spool]
commit_s = 10
[[bus]]
name = "rs485"
port = "/dev/null"
baud = 9600
[[sensor]]
channel = "soil-1"
bus = "rs485"
driver = "modbus"
profile = "soil-0000"
address = 1
read = [{ at = 0, count = 4 }]
every_s = 2.5
[[bus]]
name = "weather"
port = "ports/weather"
[[sensor]]
channel = "weather-1"
bus = "weather"
driver = "nmea0183"
sentences = ["XDR"]
xdr = { TempAir = "temperature" }
"""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "devices.toml"


def refused(file, text):
    """Return what is said against a file, in English without its name; the Vietnamese must be there too."""
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load(file)
    checked(caught.value.finding)
    said = str(caught.value)
    assert said.startswith(f"{file}: ")
    return said.removeprefix(f"{file}: ")


def checked(finding: Finding) -> None:
    for language in ("vi", "en"):
        said = finding.told(language)
        assert "; " in said, "the remedy is missing"
        assert said.isprintable(), "one line"
        assert len(said) < 2_000


def test_the_sample_is_right_and_needs_no_advice():
    file = ROOT / "config" / "devices.toml"
    config = load(file)
    assert config.gateway.id == "sg-01"
    assert {sensor.table.channel for sensor in config.sensors} >= {"soil-1", "smoke-1", "modem-hang-tay"}
    assert next(bus for bus in config.buses if bus.name == "smoke").baud == 9600  # the driver's usual speed
    assert advice(file, config) == []


def test_all_that_is_wrong_is_told_at_once(file):
    """An installer on a hillside met them one by one: mend, run, the next."""
    wrong = (
        RIGHT.replace("sg-01", "SG 1").replace("commit_s = 10", "commit_s = -1").replace("baud = 9600", "baud = true")
    )
    file.write_text(wrong.replace("address = 1", "address = 300").replace('"XDR"', '"XDX"'))
    with pytest.raises(ConfigError) as caught:
        load(file)
    every = [caught.value, *caught.value.further]
    assert [one.finding.place for one in every] == [
        "[gateway] id", "[spool] commit_s", "[[bus]] 1 baud", "[[sensor]] 1 (soil-1) address",
        "[[sensor]] 2 (weather-1) sentences[0]",
    ]  # fmt: skip
    told = gocche("check-config", file)
    assert told.returncode == 2
    assert all(f"\ngocche: {one.told('vi')}\n        {one}" in f"\n{told.stderr}" for one in every)
    file.write_text(RIGHT + "".join(f'[[sensor]]\nchannel = "{n}"\nbus = "x"\ndriver = "modbus"\n' for n in range(90)))
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert len(caught.value.further) == MOST - 1


def test_there_are_at_least_twelve_mistakes():
    assert len(MISTAKES) >= 12


@pytest.mark.parametrize("folder", MISTAKES, ids=lambda folder: folder.name)
def test_a_mistake_is_named_with_its_remedy(folder):
    want = (folder / "error.txt").read_text(encoding="utf-8").strip()
    with pytest.raises(ConfigError) as caught:
        load(folder / "devices.toml")
    said = str(caught.value)
    assert said.startswith(str(folder / "devices.toml") + ": ")
    assert want in said
    checked(caught.value.finding)


def test_a_bus_whose_name_is_wrong_makes_no_sensor_wrong(file):
    for name in ("name = 5", 'nme = "rs485"'):
        file.write_text(RIGHT.replace('name = "rs485"', name, 1))
        with pytest.raises(ConfigError) as caught:
            load(file)
        assert "[[bus]] 1" in str(caught.value)
        assert caught.value.further == ()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        # wrong types
        ('id = "sg-01"', "id = 5", "[gateway] id: 5 does not do: it must be text in quotes"),
        ('[gateway]\nid = "sg-01"', "gateway = 5", "[gateway]: 5 is not a table; write a line [gateway]"),
        ("[broker]", 'broker = 5\n[brokr]\nx = "y"\n[spol]', 'brokr: unknown table; did you mean "broker"?'),
        ("baud = 9600", 'capture = "/"', '[[bus]] 1 capture: "/" is not the name of a file; write one, like'),
        ("baud = 9600", 'capture = ".."', '[[bus]] 1 capture: ".." is not the name of a file'),
        ('port = "/dev/null"', 'port = "dev/ttyUSB0"', 'write the whole path, e.g. "/dev/ttyUSB0"'),
        ("baud = 9600", 'capture = "talk/"', '[[bus]] 1 capture: "talk/" is not the name of a file'),
        ("baud = 9600", 'capture = "/dev/zero"', '[[bus]] 1 capture: "/dev/zero" is not the name of a file'),
        ("baud = 9600", 'capture = "spool.db-wal"', '[[bus]] 1 capture: "spool.db-wal" is a file of the spool; write'),
        ("baud = 9600", 'capture = "/d/spool.lock"', '[[bus]] 1 capture: "/d/spool.lock" is a file of the spool'),
        ('port = "/dev/null"', 'port = "/"', '[[bus]] 1 port: "/" is not the path of a port; write the whole path'),
        ("[[bus]]", "[bus]", "line 20: [[bus]] (a table of which there may be several has two brackets); write "),
        ("[[sensor]]", "[sensor]", "(a table of which there may be several has two brackets); write [[sensor]]"),
        ("every_s = 2.5", "every_s = true", "[[sensor]] 1 (soil-1) every_s: true does not do: it must be a number"),
        ("every_s = 2.5", "every_s = 2026-11-26", "every_s: 2026-11-26 does not do"),
        ("every_s = 2.5", "every_s = nan", "[[sensor]] 1 every_s: nan is no real number"),
        ("every_s = 2.5", 'sentences = ["GGA"]', "(soil-1) sentences: unknown key; there are: address, "),
        ('host = "127.0.0.1"', 'host = ""', '[broker] host: "" does not do: it must be text in quotes, not empty'),
        ("every_s = 2.5", "every_s = -inf", "-inf is no real number"),
        ("every_s = 2.5", f"every_s = 1{'0' * 400}", "too large a number"),
        ("every_s = 2.5", f"every_s = 1{'0' * 5000}", "line 19: is longer than 2000 characters"),
        ("address = 1", "address = 9223372036854775807", "9223372036854775807 does not do"),
        ("address = 1", 'address = ["1"]', '(soil-1) address: ["1"] does not do'),
        ("count = 4", "count = 400", "read[0].count: 400 does not do: it must be a whole number, ≥ 1, ≤ 125"),
        ("count = 4", "cuont = 4", 'read[0] cuont: unknown key; did you mean "count"?'),
        (", count = 4", "", "read[0] count: is missing; add count = … (how many registers; a whole number"),
        ('profile = "soil-0000"', 'profile = "soil-000"', 'profile: "soil-000" is no profile; did you mean "'),
        ('profile = "soil-0000"', 'profile = "soil-000"', "there are: air-0000, "),
        ('"modbus"', '"zigbee"', 'driver: "zigbee" is no driver; there are: mhz19b, modbus, modem_at'),
        ("commit_s = 10", 'path = "/"', '[spool] path: "/" is not the name of a spool file; leave it out'),
        ("commit_s = 10", 'path = "spool.lock"', '[spool] path: "spool.lock" is not the name of a spool file'),
        ('"127.0.0.1"', '"mqtt://u@mqtt.example.org:1883/x"', 'write host = "mqtt.example.org", and its port in port'),
        ('"127.0.0.1"', '"mqtt.example.org:8883"', 'write host = "mqtt.example.org", and its port in port'),
        ('"127.0.0.1"', '"[::1]:1883"', 'write host = "::1", and its port in port'),
        ('"127.0.0.1"', '"a b"', '[broker] host: "a b" is not the name or address of a machine'),
        ("[{ at = 0, count = 4 }]", "[5]", "read[0]: 5 does not do"),
        ('["XDR"]', '["XDX"]', 'sentences[0]: "XDX" does not do: it must be `"GGA"` or `"MDA"`'),
        ('["XDR"]', '["XDX"]', "; it is: the sentences to wait for"),
        ('"temperature" }', '"temprature" }', "it must be "),
        ('xdr = { TempAir = "temperature" }', "", "(weather-1): "),
        ("port = 1883", "port = 0", "[broker] port: 0 does not do"),
        ('driver = "modbus"', "driver = 5", "driver: 5 does not do"),
        ('driver = "modbus"', "", "(soil-1) driver: is missing; add driver = … (what it speaks: mhz19b, modbus, "),
        ('channel = "soil-1"', 'channel = "Đất 1"', 'channel: "Đất 1" is not 1 to 32'),
        # what hangs together
        ("baud = 9600", "baud = 9601", "[[bus]] 1 baud: 9601 is not a speed of serial ports; did you mean 9600?"),
        ("baud = 9600", 'format = "8X1"', '[[bus]] 1 format: "8X1" is not data bits, parity, stop bits; write one of'),
        ("port = 1883", "port = 8883", "[broker] port: 8883 is the port for TLS, and there is no ca_file"),
        ('port = "/dev/null"', 'port = "ttyUSB0"', 'write the whole path, e.g. "/dev/ttyUSB0"'),
        ('profile = "soil-0000"', 'profile = "sol-0000"', 'did you mean "soil-0000"?'),
        ('port = "ports/weather"', 'port = "/dev/../dev/null"', 'already belongs to bus "rs485"'),
        ('port = "ports/weather"', 'port = "w"\ncapture = "a.1"\n[[bus]]\nname="c"\nport = "c"\ncapture = "a"',
         '[[bus]] 3 capture: "a" already records bus "weather"; give this bus a file of its own'),
        # slips of a newcomer
        ('host = "127.0.0.1"', "host = 127.0.0.1", 'text stands in quotes); write host = "127.0.0.1"'),
        ('host = "127.0.0.1"', "host = mqtt.example.org", 'write host = "mqtt.example.org"'),
        ('host = "127.0.0.1"', "host = “127.0.0.1”", 'curly quotes of a word processor); write host = "127.0.0.1"'),
        ('host = "127.0.0.1"', 'host: "127.0.0.1"', 'between key and value stands =); write host = "127.0.0.1"'),
        ("every_s = 2.5", "every_s = 2,5", "line 19: every_s = 2,5 (decimals have a point); write every_s = 2.5"),
        ("baud = 9600", "baud = 9600\nbaud = 4800", "line 12: baud = 4800 (stands above already); delete one"),
        ('id = "sg-01"', "id = sg-01   # unique", 'text stands in quotes); write id = "sg-01"'),
        ('id = "sg-01"', "id = ", "line 2: id = (not TOML: Invalid value)"),
        # texts and bytes
        ('port = "/dev/null"', 'port = "a\\u0000b"', "[[bus]] 1 port: "),
        ('id = "sg-01"', 'id = "\ue000sg"', '[gateway] id: "\\ue000sg" holds a character that cannot be printed'),
        ("[gateway]", "\ufeff[gateway]", "line 1: the file begins with a byte order mark"),
    ],
)  # fmt: skip
def test_what_a_newcomer_writes_is_refused_in_words(file, old, new, said):
    assert old in RIGHT
    assert said in refused(file, RIGHT.replace(old, new, 1))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (RIGHT.encode("utf-16"), "line 1: is not UTF-8 text (byte 0xff)"),
        (b'[gateway]\nid = "Su\xf4i"\n', "line 2: is not UTF-8 text (byte 0xf4)"),
        (b"\x7fELF\x02\x00\x00", "line 1: is not UTF-8 text (byte 0x00)"),
        (b"a = " + b"[\n" * 100_000, "is nested too deeply"),
        (b"a." * 50_000 + b"a = 1", "line 1: is longer than 2000 characters"),
        (b"a." * 900 + b"a = 1", "is nested too deeply"),
        (b"bus = " + b"[" * 20 + b"]" * 20, "is nested too deeply"),
        (b"#\n" * 150_000, "is larger than 256 KiB"),
        (b"", "[gateway] id: is missing"),
        (RIGHT.encode() + b"[spool2]\n", 'spool2: unknown table; did you mean "spool"?'),
    ],
    ids=range(10),
)  # fmt: skip
def test_what_is_no_devices_toml_at_all(file, raw, said):
    assert said in refused(file, raw)


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path):
    for place in (tmp_path / "none.toml", tmp_path, Path("/dev/zero")):
        with pytest.raises(ConfigError, match=r"cannot be read|is larger"):
            load(place)


# --- anything at all: it loads, or it is a ConfigError


VALUES = st.one_of(
    st.sampled_from(
        ["5", "-1", "true", '""', '"x"', "[]", "[1]", "[[]]", "{}", "{ a = 1 }", "nan", "inf", "1e400", "9" * 30,
         "0x10", "1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "'''a\nb'''",
         '"\\u0007"', '"/dev/zero"', '"modbus"', '["GGA"]',
         "plain", "2,5", '"', "", "=", "0.05", '"replay:x"', "[{ at = 1, count = 1, fc = 9 }]"]
    ),
    st.integers().map(str),
    st.floats().map(str),
    st.text(string.printable, max_size=9).map(lambda text: f"'{text}'"),
)  # fmt: skip


@st.composite
def spoiled(draw):
    lines = RIGHT.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        key = lines[at].partition(" = ")[0]
        other = draw(st.sampled_from(RIGHT.splitlines()))
        change = draw(st.sampled_from(["value", "key", "drop", "double", "other"]))
        if change == "value":
            lines[at] = f"{key} = {draw(VALUES)}"
        elif change == "key":
            lines[at] = f"{other.partition(' = ')[0]} = {draw(VALUES)}"
        elif change == "drop":
            lines[at] = ""
        elif change == "double":
            lines.insert(at, lines[at])
        else:
            lines[at] = other
    return "\n".join(lines).encode("utf-8", "surrogatepass")


@st.composite
def bitten(draw):
    raw = bytearray(RIGHT.encode())
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(raw) - 1))
        raw[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(raw)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(spoiled(), bitten(), st.binary(max_size=200)))
def test_anything_loads_or_is_a_config_error(file, raw):
    file.write_bytes(raw)
    try:
        config = load(file)
    except ConfigError as error:
        checked(error.finding)
        return
    for finding in advice(file, config):
        checked(finding)
    for sensor in config.sensors:
        assert math.isfinite(sensor.table.every_s)


def test_every_key_has_its_meaning_in_vietnamese():
    meaning = words("edge.config")["meaning"]
    for table in (Gateway, Broker, SpoolConfig, Bus, SensorTable):
        assert meaning[table.__name__].keys() == {field.name for field in fields(table)}
    own = {field.name for name in drivers.names() for field in fields(drivers.load(name).config)}
    assert meaning["further"].keys() <= own | {"at", "count", "fc"}  # a new driver is new files only: it may add none


# --- advice


def advised(file, text, now=None):
    file.write_text(text)
    found = advice(file, load(file, running=False), now)
    for finding in found:
        checked(finding)
    return [finding.told("en").removeprefix(f"{file}: ") for finding in found]


def test_a_port_by_its_number_is_advised_against_with_the_line_to_write(file, tmp_path, monkeypatch):
    stable = tmp_path / "by-path"
    stable.mkdir()
    (stable / "platform-3f98-usb-0:1.2:1.0-port0").symlink_to("/dev/ttyUSB7")
    monkeypatch.setattr("edge.config.doubts.STABLE", (str(stable),))
    said = advised(file, RIGHT.replace("/dev/null", "/dev/ttyUSB7"))
    assert said[0].startswith("[[bus]] 1 port: /dev/ttyUSB7 may be another port after a restart")
    assert said[0].endswith(f'write port = "{stable}/platform-3f98-usb-0:1.2:1.0-port0"')
    assert said[1].startswith("[[bus]] 1 port: /dev/ttyUSB7 is not there now; plug the adapter in; there are: ")
    assert len(said) == 2


def test_patience_beyond_the_interval_and_a_bus_that_is_too_full(file):
    assert advised(file, RIGHT) == []
    assert (
        "timeout_s: 3 is not below every_s (2.5)"
        in advised(file, RIGHT.replace("every_s = 2.5", "every_s = 2.5\ntimeout_s = 3"))[0]
    )
    many = "".join(
        f'[[sensor]]\nchannel = "p{n}"\nbus = "rs485"\ndriver = "modbus"\n'
        f'profile = "soil-0000"\naddress = {n}\nevery_s = 1\n'
        for n in range(2, 60)
    )
    (said,) = advised(file, RIGHT + many)
    assert said.startswith("[[bus]] 1 (rs485): one round of its sensors takes about 2.8 s")
    assert "write every_s = " in said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("baud = 9600", "settle_ms = 2500", "2500 ms is not shorter than the interval of soil-1 (every_s = 2.5)"),
        ("baud = 9600", 'format = "7E1"', "format: 7E1 has fewer data bits than soil-1 needs (8N1): its"),
        ("4 }]", "4 }, { at = 9, count = 4 }]", "(soil-1) read: has two blocks of 4 registers: an answer of one that"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_doubted_and_passes(file, old, new, said):
    (doubt,) = advised(file, RIGHT.replace(old, new))
    assert said in doubt


def test_what_may_not_be_looked_at_is_left_to_who_uses_it(file):
    """A capture below /home ended the service in a traceback, again and again: it may not even look there."""
    far = f"/{'a' * 300}/x"
    with pytest.raises(OSError, match="too long"):
        Path(far).exists()
    (said,) = advised(file, RIGHT.replace("/dev/null", f"/dev{far}").replace("baud = 9600", f'capture = "{far}"'))
    assert "is not there now; plug the adapter in" in said


def test_a_modem_that_is_only_listened_to_and_seldom(file):
    modem = '[[sensor]]\nchannel = "lte"\nbus = "rs485"\ndriver = "modem_at"\ncommands = []\nevery_s = 60\n'
    (said,) = advised(file, RIGHT.replace("baud = 9600", "baud = 115200") + modem)
    assert "(lte) commands: listens only 3 s of each 60 s" in said
    assert said.endswith("write every_s = 30 and timeout_s = 28, where nothing else hangs on its bus")
    assert (
        advised(file, RIGHT.replace("baud = 9600", "baud = 115200") + modem.replace("60", "30\ntimeout_s = 28")) == []
    )


READS = RIGHT.replace("{", "{{").replace("}", "}}").replace("at = 0, count = 4", "at = {}, count = 4")


def test_a_sensor_of_which_nothing_would_be_stored(file):
    (said,) = advised(file, READS.format(1000))
    assert "nothing of what this sensor is asked for is a value" in said
    file.write_text(READS.format(65535))
    with pytest.raises(ConfigError, match="4 registers from 65535 end beyond 65535"):
        load(file)


# --- credentials


@pytest.mark.parametrize("name", ["pipe", "/dev/zero", "/dev/null"])
def test_what_is_no_file_is_told_at_once(tmp_path, name):
    """A pipe that nobody writes into hung `check-config`, and the start of the agent."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="it is not a file"):
        load(tmp_path / name)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """An authority, two pairs, a key with a pass phrase, an expired certificate: made by openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("keys")

    def openssl(*told):
        subprocess.run(["openssl", *told], cwd=folder, check=True, capture_output=True, timeout=30)

    for name in ("one", "two"):
        openssl("req", "-x509", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
                "30", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")  # fmt: skip
    openssl("pkey", "-in", "one.key", "-aes256", "-passout", "pass:secret", "-out", "locked.key")
    (folder / "rubbish").write_bytes(b"unset")
    (folder / "cut.pem").write_text((folder / "one.pem").read_text()[:200])
    (folder / "empty").write_bytes(b"")
    (folder / "utf16").write_bytes("mật khẩu".encode("utf-16"))
    return folder


def with_keys(keys, **names):
    told = "".join(f'{field} = "{keys / name}"\n' for field, name in names.items())
    return RIGHT.replace("port = 1883\n", f"port = 8883\n{told}")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"ca_file": "rubbish"}, "[broker] ca_file: "),
        ({"ca_file": "cut.pem"}, "holds no certificate that can be read"),
        ({"ca_file": ""}, "(it is not a file)"),
        ({"ca_file": "none.pem"}, "cannot be read (No such file or directory)"),
        ({"ca_file": "one.pem", "cert_file": "one.pem", "key_file": "rubbish"}, "can be read (it is damaged, or"),
        ({"ca_file": "one.pem", "cert_file": "one.pem", "key_file": "two.key"}, "two.key does not belong to the"),
        ({"ca_file": "one.pem", "cert_file": "one.pem", "key_file": "locked.key"}, "has a pass phrase, which"),
        ({"ca_file": "one.pem", "cert_file": "one.key", "key_file": "one.key"}, "[broker] cert_file: "),
        ({"ca_file": "one.pem", "key_file": "one.key"}, "[broker] cert_file: is missing while key_file is given"),
        ({"cert_file": "one.pem", "key_file": "one.key"}, "[broker] ca_file: is missing while cert_file is given"),
    ],
)  # fmt: skip
def test_credentials_are_looked_into(file, keys, names, said):
    assert said in refused(file, with_keys(keys, **names))


@pytest.mark.parametrize(
    ("name", "why"), [("empty", "it is empty"), ("utf16", "it is not UTF-8 text"), ("one.pem", "more than one line")]
)
def test_a_password_file_holds_one_line(file, keys, name, why):
    text = RIGHT.replace("port = 1883\n", f'user = "u"\npassword_file = "{keys / name}"\n')
    assert why in refused(file, text)


def test_a_certificates_last_day_is_told_and_never_enforced(file, keys):
    text = with_keys(keys, ca_file="one.pem", cert_file="one.pem", key_file="one.key")
    begins, ends = credentials.validity(str(keys / "one.pem"))
    assert (ends - begins).days == 30
    dated = subprocess.run(
        ["openssl", "x509", "-in", keys / "one.pem", "-noout", "-enddate"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert f"{ends:%H:%M:%S %Y}" in dated.stdout
    day = dt.timedelta(days=1)
    assert [f"ends on {ends:%Y-%m-%d}" in said for said in advised(file, text, begins + day)] == [True, True]
    assert [f"ended on {ends:%Y-%m-%d}" in said for said in advised(file, text, ends + day)] == [True, True]
    assert ["mend this machine's clock" in said for said in advised(file, text, begins - day)] == [True, True]
    assert advised(file, text) == []


def test_what_only_the_service_has_may_be_absent_before_it_runs(file, keys, monkeypatch, tmp_path):
    monkeypatch.setattr(credentials, "GIVEN", f"{tmp_path}/given/")
    text = with_keys(keys, ca_file="one.pem", cert_file="one.pem").replace(
        "port = 8883\n", f'port = 8883\nkey_file = "{tmp_path}/given/broker-key"\n'
    )
    (said,) = advised(file, text)
    assert "is there only while the service runs" in said
    assert "cannot be read" in refused(file, text)  # the agent itself needs it
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "broker-key").write_text("unset")
    assert "/etc/gocche/broker-key was not there when the service started" in refused(file, text)


def test_a_password_in_the_open_is_said(file, keys, tmp_path):
    (tmp_path / "pw").write_text("secret\n")
    text = RIGHT.replace("port = 1883\n", 'user = "u"\npassword_file = "pw"\n')
    assert advised(file, text) == []
    assert "cross the network in the open" in advised(file, text.replace("127.0.0.1", "mqtt.example.org"))[0]


def test_the_struct_is_what_was_written(file):
    file.write_text(RIGHT)
    config = load(file)
    assert replace(config.buses[1], baud=0).format == "8N1"
    assert config.sensors[1].quantities == {"temperature": "air_temperature"}


# --- the commands


def gocche(*told, **env):
    return subprocess.run(
        [sys.executable, "-m", "gocche", *map(str, told)], capture_output=True, text=True, timeout=30, cwd=ROOT,
        check=False, env=os.environ | env,
    )  # fmt: skip


def test_the_agent_refuses_with_exit_code_2_and_starts_nothing(tmp_path):
    file = ROOT / "tests" / "config" / "misspelt_key" / "devices.toml"
    run = gocche("agent", "--config", file, "--data", tmp_path)
    assert run.returncode == 2
    assert 'did you mean "address"?' in run.stderr
    assert 'có phải "address"?' in run.stderr
    assert "Traceback" not in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_check_config_tells_what_to_look_at_and_passes(file):
    file.write_text(RIGHT.replace("every_s = 2.5", "every_s = 2.5\ntimeout_s = 3"))
    run = gocche("check-config", file)
    assert run.returncode == 0
    assert "timeout_s: 3 không nhỏ hơn every_s (2.5)" in run.stdout
    assert "timeout_s: 3 is not below every_s (2.5)" in run.stdout


def test_a_wrong_file_does_not_start_the_service_again():
    unit = (ROOT / "systemd" / "gocche-agent.service").read_text(encoding="utf-8").splitlines()
    assert "RestartPreventExitStatus=2" in unit
