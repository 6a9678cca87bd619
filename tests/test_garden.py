"""The simulated devices, read over real pseudo-terminals by plain pyserial and pymodbus' client: not by our drivers."""

from __future__ import annotations

import json
import re
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
import serial
from pymodbus.client import ModbusSerialClient
from pymodbus.framer import FramerRTU

from cloud.clock import SystemClock
from cloud.store import open_store
from edge import drivers
from edge.driver import BadReply
from edge.sense.exchange import run as exchanged
from edge.sense.lines import SimulatedLine
from gocche.garden import PORTS, park, past, run
from gocche.garden.climate import warmth
from gocche.garden.line import Line
from gocche.garden.scene import added
from gocche.garden.served import Served
from gocche.garden.stage import Stage, parse
from gocche.garden.talkers import sentence
from tests.servers import until
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gocche.garden.scene import Kind

BOUND_S = 10.0
SOIL_QUESTION = bytes.fromhex("010300000004")  # address 1, function 3, registers 0 to 3


class Garden:
    """A garden that runs in this process, and what it wrote down."""

    def __init__(self, folder: Path) -> None:
        self.ports, self.log, self.control = folder / "ports", folder / "served.jsonl", folder / "control.json"

    def tell(self, **words: object) -> None:
        new = self.control.with_suffix(".new")
        new.write_text(json.dumps({name.replace("_", "-"): value for name, value in words.items()}))
        new.replace(self.control)

    def served(self, device: str) -> list[dict]:
        entries = [json.loads(line) for line in self.log.read_text().splitlines() if line]
        return [entry for entry in entries if entry["device"] == device]

    def logged(self, device: str, **values: float) -> dict:
        """Return the log entry with these values; the log is written just after the bytes."""

        def found() -> list[dict]:
            return [entry for entry in self.served(device) if values.items() <= entry["values"].items()]

        until(found, BOUND_S, f"{values} of {device} in the log")
        return found()[-1]

    @contextmanager
    def open(self, port: str, timeout_s: float = 2.0) -> Iterator[serial.Serial]:
        with closing(serial.Serial(str(self.ports / port), 9600, timeout=timeout_s, exclusive=True)) as line:
            yield line

    @contextmanager
    def bus(self) -> Iterator[ModbusSerialClient]:
        client = ModbusSerialClient(str(self.ports / "rs485"), baudrate=9600, timeout=0.5, retries=0)
        assert client.connect()
        with closing(client):
            yield client


@contextmanager
def running(folder: Path, **options: object) -> Iterator[Garden]:
    garden, stop = Garden(folder), threading.Event()
    thread = threading.Thread(
        target=run, args=(garden.ports, garden.log, garden.control, 7), kwargs={"stop": stop, "pace_s": 0.05} | options
    )
    thread.start()
    try:
        until(lambda: all((garden.ports / name).is_symlink() for name in PORTS), BOUND_S, "ports appear")
        yield garden
    finally:
        stop.set()
        thread.join(BOUND_S)
        assert not thread.is_alive()


@pytest.fixture
def garden(tmp_path: Path) -> Iterator[Garden]:
    with running(tmp_path) as garden:
        yield garden


def with_crc(frame: bytes) -> bytes:
    return frame + FramerRTU.compute_CRC(frame).to_bytes(2, "big")


def test_modbus_answers_are_what_the_log_says(garden: Garden) -> None:
    with garden.bus() as bus:
        soil = bus.read_holding_registers(0, count=4, device_id=2).registers
        air = bus.read_input_registers(1, count=2, device_id=3).registers
    entry = garden.logged("soil-2", soil_moisture=soil[0] / 10, soil_ec=float(soil[2]))
    assert entry["values"] == {
        "soil_moisture": soil[0] / 10,
        "soil_temperature": soil[1] / 10,
        "soil_ec": soil[2],
        "soil_ph": soil[3] / 10,
    }
    assert garden.logged("air-1", air_temperature=air[0] / 10)["values"]["air_humidity"] == air[1] / 10
    assert 20 < soil[0] / 10 < 40
    assert abs(entry["t_ms"] - SystemClock().utc_ms()) < 10_000


def test_seven_registers_are_there_and_only_the_asked_ones_are_logged(garden: Garden) -> None:
    with garden.bus() as bus:
        assert len(bus.read_holding_registers(0, count=7, device_id=1).registers) == 7
        first = bus.read_holding_registers(2, count=1, device_id=1).registers[0]
    until(lambda: len(garden.served("soil-1")) == 2, BOUND_S, "two answers logged")
    assert garden.served("soil-1")[1]["values"] == {"soil_ec": first}


def test_absent_slave_and_damaged_request_meet_silence(garden: Garden) -> None:
    with garden.open("rs485", 0.3) as line:
        line.write(with_crc(b"\x09" + SOIL_QUESTION[1:]))
        assert line.read(1) == b""
        line.write(SOIL_QUESTION + b"\x00\x00")
        assert line.read(1) == b""
        question = with_crc(SOIL_QUESTION)
        line.write(question[:3])
        line.flush()
        line.write(question[3:])
        answer = line.read(13)
    assert answer == with_crc(answer[:-2])
    assert answer[:3] == b"\x01\x03\x08"


def test_wrong_function_and_writing_are_refused_and_not_logged(garden: Garden) -> None:
    with garden.bus() as bus:
        assert bus.read_input_registers(0, count=4, device_id=1).exception_code == 1
        assert bus.read_holding_registers(7, count=1, device_id=1).exception_code == 2
        assert bus.write_register(0, 5, device_id=1).isError()
        assert not bus.read_holding_registers(0, count=1, device_id=1).isError()
    until(lambda: garden.served("soil-1"), BOUND_S, "the good answer logged")
    assert len(garden.served("soil-1")) == 1


def nmea(line: serial.Serial, kind: bytes) -> list[str]:
    """Return the fields of the next sentence of a kind, its checksum having been right."""
    for _ in range(500):
        got = line.read_until(b"\r\n")
        assert got, f"no {kind!r}"
        told = re.fullmatch(rb"\$([^*]*)\*([0-9A-F]{2})\r\n", got)
        if told is None:  # we opened in the middle of a sentence
            continue
        total = 0
        for byte in told[1]:
            total ^= byte
        assert total == int(told[2], 16)
        if told[1].startswith(kind):
            return told[1].decode().split(",")
    raise AssertionError(f"no {kind!r} among 500 sentences")


def test_checksum_is_that_of_a_published_sentence() -> None:
    assert sentence("WIMDA,29.8578,I,1.0111,B,26.1,C,,,16.1,,-1.6,C,0.0,T,1.4,M,0.0,N,0.0,M").endswith(b"*7C\r\n")


def test_weather_station_speaks_what_the_log_says(garden: Garden) -> None:
    with garden.open("weather") as line:
        told = nmea(line, b"WIMDA")
    values = garden.logged(
        "weather-1", air_temperature=float(told[5]), wind_direction=float(told[13]), wind_speed=float(told[19])
    )["values"]
    assert values["air_pressure"] == round(float(told[3]) * 1000, 1)
    assert values["air_humidity"] == float(told[9])
    assert values["dew_point"] == float(told[11])
    assert values["dew_point"] <= values["air_temperature"]


def test_receiver_stands_in_suoi_giang_and_loses_its_fix_when_told(garden: Garden) -> None:
    with garden.open("gnss") as line:
        gga = nmea(line, b"GPGGA")
        rmc = nmea(line, b"GPRMC")
        lat, lon = (int(text[:-8]) + float(text[-8:]) / 60 for text in (gga[2], gga[4]))
        entry = garden.logged("gnss-1", lat=round(lat, 7), lon=round(lon, 7))
        assert (round(lat, 2), round(lon, 2)) == (21.62, 104.58)
        assert 1340 < entry["values"]["alt"] < 1360
        assert rmc[2] == "A"
        assert rmc[3:7] == gga[2:6]
        garden.tell(gnss={"fix": False})
        until(lambda: nmea(line, b"GPRMC")[2] == "V", BOUND_S, "the fix is lost")
        assert nmea(line, b"GPGGA")[2:7] == ["", "", "", "", "0"]


def particles(line: serial.Serial) -> list[int]:
    """Return the words of the next whole frame."""
    while line.read_until(b"BM")[-2:] == b"BM":
        frame = b"BM" + line.read(30)
        if frame[2:4] == b"\x00\x1c" and sum(frame[:30]) == int.from_bytes(frame[30:], "big"):
            return [int.from_bytes(frame[at : at + 2], "big") for at in range(4, 30, 2)]
    raise AssertionError("no frame")


def test_particle_sensor_counts_what_the_log_says_and_smells_smoke(garden: Garden) -> None:
    with garden.open("smoke") as line:
        words = particles(line)
        entry = garden.logged("smoke-1", pm2_5=words[4], particles_0_3=words[6])
        assert [entry["values"][name] for name in ("pm1_cf1", "pm10", "particles_0_5", "particles_10")] == [
            words[0],
            words[5],
            words[7],
            words[11],
        ]
        assert 5 <= words[4] <= 20
        assert sorted(words[6:12], reverse=True) == words[6:12]
        garden.tell(smoke={"pm2_5": 300})
        until(lambda: particles(line)[4] == 300, BOUND_S, "smoke")
        garden.tell()
        until(lambda: particles(line)[4] <= 20, BOUND_S, "the smoke is gone")
    smoky = garden.logged("smoke-1", pm2_5=300)["values"]
    assert smoky["pm10"] > smoky["pm2_5_cf1"] * 0.5 > smoky["pm1"] * 0.5


def ask(line: serial.Serial, command: str) -> str:
    line.write(f"{command}\r".encode())
    got = line.read_until(b"OK\r\n") if command != "AT+NONSENSE" else line.read_until(b"ERROR\r\n")
    assert got.endswith((b"OK\r\n", b"ERROR\r\n")), got
    return got.decode()


def test_modem_echoes_until_told_otherwise_and_refuses_what_it_does_not_know(garden: Garden) -> None:
    with garden.open("modem") as line:
        assert ask(line, "AT").startswith("AT\r\r\n")
        assert ask(line, "ATE0").startswith("ATE0\r")
        assert ask(line, "AT") == "\r\nOK\r\n"
        assert ask(line, "AT+NONSENSE") == "\r\nERROR\r\n"
        assert "+CEREG: 0,1\r\n" in ask(line, "AT+CEREG?")
        for command in ("AT+CMEE=1", "AT+CEREG=2", "AT+C5GREG=2"):
            assert ask(line, command).endswith("\r\nOK\r\n")
        assert '"VIETTEL",7' in ask(line, "AT+COPS?")
        assert ask(line, "AT+COPS=3,2").endswith("OK\r\n")
        assert '2,"45204",7' in ask(line, "AT+COPS?")


def test_modem_tells_one_moment_in_all_answers_of_a_poll(garden: Garden) -> None:
    with garden.open("modem") as line:
        ask(line, "AT+CEREG=2")
        for _ in range(2):
            serving = ask(line, 'AT+QENG="servingcell"')
            cell = re.search(r'"LTE","FDD",452,04,([0-9A-F]+),\d+,\d+,3,5,5,[0-9A-F]+,(-\d+),(-\d+),(-\d+),', serving)
            assert cell
            assert f'"{cell[1]}",7' in ask(line, "AT+CEREG?")
            indexes = re.search(r"\+CESQ: 99,99,255,255,(\d+),(\d+),255,255,255", ask(line, "AT+CESQ"))
            assert indexes
            assert (int(indexes[2]) - 141, int(indexes[1]) / 2 - 20) == (int(cell[2]), int(cell[3]))
            power = re.search(r"\+CSQ: (\d+),99", ask(line, "AT+CSQ"))
            assert power
            assert int(power[1]) * 2 - 113 == int(cell[4])
    polls = [entry["n"] for entry in garden.served("modem-hang-tay") if entry["to"] == 'AT+QENG="SERVINGCELL"']
    assert len(set(polls)) == 2
    entry = garden.logged("modem-hang-tay", radio=3.0, cell=int(cell[1], 16), lte_rsrp=float(cell[2]))
    assert entry["values"]["plmn"] == 452004


def test_modem_loses_registration_when_told_and_says_so_unasked(garden: Garden) -> None:
    with garden.open("modem") as line:
        ask(line, "ATE0")
        ask(line, "AT+CEREG=2")
        garden.tell(modem={"service": False})
        assert line.read_until(b"+CEREG: 2\r\n").endswith(b"+CEREG: 2\r\n")
        assert '"SEARCH"' in ask(line, 'AT+QENG="servingcell"')
        assert "+CEREG: 2,2\r\n" in ask(line, "AT+CEREG?")
        assert "+CESQ: 99,99,255,255,255,255,255,255,255" in ask(line, "AT+CESQ")
        garden.tell(modem={"radio": "sa"})
        assert line.read_until(b"+CEREG: 1\r\n").endswith(b"+CEREG: 1\r\n")
        until(lambda: '"NR5G-SA"' in ask(line, 'AT+QENG="servingcell"'), BOUND_S, "5G")
        ask(line, "AT+C5GREG=2")
        until(lambda: ",11" in ask(line, "AT+C5GREG?"), BOUND_S, "5G registration")
    assert garden.logged("modem-hang-tay", registration=2.0)


def test_silent_and_garbled_probe_leave_the_others_alone(garden: Garden) -> None:
    garden.tell(soil_1={"silent": True})
    with garden.bus() as bus:
        until(lambda: _fails(bus, 1), BOUND_S, "soil-1 is silent")
        assert not _fails(bus, 2)
        garden.tell(soil_2={"garbled": True}, soil_1={"soil_moisture": 12.3})
        until(lambda: _fails(bus, 2), BOUND_S, "soil-2 is garbled")
        before = len(garden.served("soil-2"))
        assert _fails(bus, 2)
        assert bus.read_holding_registers(0, count=1, device_id=1).registers == [123]
        assert len(garden.served("soil-2")) == before


def _fails(bus: ModbusSerialClient, address: int) -> bool:
    from pymodbus.exceptions import ModbusIOException

    try:
        return bus.read_holding_registers(0, count=4, device_id=address).isError()
    except ModbusIOException:
        return True


def test_pulled_adapter_hangs_up_and_comes_back_under_its_name(garden: Garden) -> None:
    with garden.open("weather") as line:
        nmea(line, b"WIMDA")
        garden.tell(weather={"unplugged": True})
        with pytest.raises(serial.SerialException):
            line.read(10_000_000)
    until(lambda: not (garden.ports / "weather").is_symlink(), BOUND_S, "the name is gone")
    garden.tell()
    until((garden.ports / "weather").is_symlink, BOUND_S, "the name is back")
    with garden.open("weather") as line:
        nmea(line, b"WIMDA")


def test_devices_do_not_notice_a_reader_who_goes_and_comes(garden: Garden) -> None:
    for _ in range(3):
        with garden.bus() as bus:
            assert not _fails(bus, 1)
        with garden.open("smoke") as line:
            particles(line)


def test_bad_control_file_changes_nothing_and_is_told_once(garden: Garden, capfd: pytest.CaptureFixture[str]) -> None:
    garden.tell(smoke={"pm2_5": 77})
    with garden.open("smoke") as line:
        until(lambda: particles(line)[4] == 77, BOUND_S, "the first file holds")
        garden.tell(smok={"pm2_5": 5})
        said = []
        until(lambda: said.append(capfd.readouterr().err) or "smok" in "".join(said), BOUND_S, "the complaint")
        assert particles(line)[4] == 77
        garden.tell(pace=0.02)
        until(lambda: particles(line)[4] <= 20, BOUND_S, "the next good file holds")
    assert "".join(said).count("is none of") == 1


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"{",
        b'{"pace": 0}',
        b'{"smoke": 3}',
        b'{"smoke": {"pm3": 1}}',
        b'{"smoke": {"silent": 1}}',
        b'{"air": "snow"}',
    ],
)
def test_control_files_that_cannot_be_meant_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(content, frozenset({"smoke"}))


def test_names_are_gone_afterwards(tmp_path: Path) -> None:
    with running(tmp_path) as garden:
        pass
    assert list(garden.ports.iterdir()) == []


def test_line_that_nobody_reads_loses_bytes_and_never_blocks(tmp_path: Path) -> None:
    line = Line(tmp_path / "port")
    line.plug()
    try:
        sent = sum(line.send(b"x" * 100) for _ in range(2_000))
        assert 10 < sent < 2_000
        with closing(serial.Serial(str(tmp_path / "port"), timeout=0.2)) as reader:  # pyserial flushes when it opens
            until(lambda: line.send(b"fresh"), BOUND_S, "room again")
            assert reader.read_until(b"fresh").endswith(b"fresh")
    finally:
        line.unplug()


def gas(line: serial.Serial) -> bytes:
    """Return a ZE07-CO's next frame, found as its manual says."""
    came = line.read(18)
    start = next(at for at in range(9) if came[at : at + 2] == b"\xff\x04" and not sum(came[at + 1 : at + 9]) & 0xFF)
    return came[start : start + 9]


def test_carbon_monoxide_is_what_the_log_says(garden: Garden) -> None:
    with garden.open("co") as line:
        frame = gas(line)
    assert (frame[2], frame[3], int.from_bytes(frame[6:8])) == (3, 1, 5_000)
    assert 0 <= garden.logged("co-1", co=int.from_bytes(frame[4:6]) / 10)["values"]["co"] <= 1


def test_a_relay_does_what_it_is_told_and_its_button_is_an_input(garden: Garden) -> None:
    with garden.bus() as bus:
        assert bus.read_coils(0, count=8, device_id=8).bits == [False] * 8
        assert not bus.write_coil(2, True, device_id=8).isError()
        assert bus.read_coils(2, count=1, device_id=8).bits[0]
        assert bus.read_coils(7, count=2, device_id=8).isError(), "it has eight"
        assert bus.read_holding_registers(0, count=1, device_id=8).isError()
        assert not bus.read_discrete_inputs(0, count=1, device_id=8).bits[0]
        garden.tell(siren_1={"button": True})
        until(lambda: bus.read_discrete_inputs(0, count=1, device_id=8).bits[0], BOUND_S, "the button")
        garden.tell(siren_1={"silent": True})
        until(lambda: _mute(bus), BOUND_S, "no answer")


def _mute(bus: ModbusSerialClient) -> bool:
    from pymodbus.exceptions import ModbusIOException

    try:
        return bus.read_coils(0, count=1, device_id=8).isError()
    except ModbusIOException:
        return True


def test_smoke_raises_particles_and_carbon_monoxide_together(garden: Garden) -> None:
    garden.tell(air="smoke")
    until(lambda: garden.served("co-1") and garden.served("co-1")[-1]["values"]["co"] > 1, BOUND_S, "CO")
    fine, co = garden.served("smoke-1")[-1]["values"]["pm2_5"], garden.served("co-1")[-1]["values"]["co"]
    assert fine > 55
    assert 0.004 < co / fine < 0.02, "one fire: 9.1 g of PM2.5 and 93 g of CO a kilogram"
    garden.tell()
    until(lambda: garden.served("smoke-1")[-1]["values"]["pm2_5"] < 35, BOUND_S, "the air is clear again")


@pytest.mark.parametrize(
    ("air", "pm2_5", "co", "humidity"),
    [("clear", (0, 0), (0, 0), 0), ("smoke", (1_200, 4_800), (10, 43), 0), ("cooking", (10, 200), (0.1, 4), 0),
     ("haze", (15, 110), (0.05, 0.4), 0), ("fog", (50, 90), (0, 0), 97)],
)  # fmt: skip
def test_each_air_is_told_by_what_it_lifts(
    air: Kind, pm2_5: tuple[float, float], co: tuple[float, float], humidity: float
) -> None:
    """Half a minute after it began to three minutes: as the figures of real fires and fogs have it."""
    start = 1_763_870_400.0
    for second in range(40, 180):
        there = added(air, second, start + second)
        assert pm2_5[0] <= there.pm2_5 <= pm2_5[1], second
        assert co[0] <= there.co <= co[1], second
        assert there.humidity >= humidity
    assert added(air, 0, start).pm2_5 == 0, "it grows"


QUESTIONS = [b"AT+CEREG?\r", b'AT+QENG="servingcell"\r']
ALIKE = "sim-hang-tay"  # all day long


def _answers(log: Path, count: int) -> dict[str, list[tuple]]:
    """Return `count` answers of each device of a unique garden, without ports: the devices are pure."""
    stop, clock = threading.Event(), SystemClock()
    shared = park.open_shared(log, None, 1.0, stop, clock)
    devices = park.devices(3, shared, unique=True)
    seen: dict[str, list[tuple]] = {}
    asked = [with_crc(SOIL_QUESTION), with_crc(b"\x02" + SOIL_QUESTION[1:]), with_crc(bytes.fromhex("030400010002"))]
    asked.append(with_crc(bytes.fromhex("040300000001")))  # the rain gauge
    for _ in range(count):
        answers = [answer for frame in asked for answer in devices["rs485"].hear(frame, Stage())]
        answers += [answer for name in ("weather", "gnss", "smoke", "co") for answer in devices[name].speak(Stage())]
        answers += [answer for line in QUESTIONS for answer in devices["modem"].hear(line, Stage())][1:]
        for answer in answers:
            shared.served.record(answer.device, answer.n, answer.values, answer.to)
            seen.setdefault(answer.device, []).append(tuple(sorted(answer.values.items())))
    shared.served.close()
    return seen


def test_the_sim_of_the_simulated_modem_is_read_by_its_driver_and_stays_the_same_all_day(tmp_path: Path) -> None:
    devices = park.devices(3, park.open_shared(None, None, 1.0, threading.Event(), SystemClock()), unique=True)
    driver = drivers.load("sim_ussd")

    def asked(stage: Stage) -> dict[str, object]:
        line = SimulatedLine(lambda frame: b"".join(one.frame for one in devices["modem"].hear(frame, stage)))
        return {value.name: value.value for value in exchanged(driver.poll(driver.config()), line)}

    told = asked(Stage())
    assert told["balance"] == 46_500
    assert 30 < told["days"] <= 60
    assert told["data"] == 4_096 - (60 - told["days"]) * 130
    assert asked(Stage()) == told
    assert asked(Stage({"sim-hang-tay": {"sim_days_left": 3}}))["days"] == 3
    with pytest.raises(BadReply, match="CME ERROR: 30"):
        asked(Stage({"modem": {"service": False}}))


def test_unique_run_serves_no_value_twice_not_even_after_a_restart(tmp_path: Path) -> None:
    log = tmp_path / "served.jsonl"
    first = _answers(log, 300)
    with log.open("a") as torn:
        torn.write('{"t_ms": 17')  # a kill in the middle of a line
    second = _answers(log, 300)
    logged: dict[str, list[str]] = {}
    for line in log.read_text().splitlines():
        if line and line != '{"t_ms": 17':
            entry = json.loads(line)
            logged.setdefault(entry["device"], []).append(json.dumps(entry["values"], sort_keys=True))
    assert set(first) == set(second) == {channel for channels in PORTS.values() for channel in channels} - {ALIKE}
    for device in first:
        both = first[device] + second[device]
        assert (device, len(both), len(set(both))) == (device, 600, 600)
        assert (device, len(set(logged[device]))) == (device, 600)  # rounded as the store will have them, too


def test_what_is_served_is_plausible_and_rounded_as_stored(tmp_path: Path) -> None:
    _answers(tmp_path / "log", 200)
    for line in (tmp_path / "log").read_text().splitlines():
        for name, value in json.loads(line)["values"].items():
            row = QUANTITIES[name]
            assert row.plausible(value), (name, value)
            assert row.scale(value) / 10**row.decimals == value, (name, value)


def test_same_seed_same_walk_and_days_have_a_warm_and_a_cold_end() -> None:
    from gocche.garden.nature import Soil

    one, two, other = Soil("7", unique=False), Soil("7", unique=False), Soil("8", unique=False)
    times = [1_763_874_000.0 + 60 * step for step in range(50)]
    drawn = [one(0, at) for at in times]
    assert drawn == [two(0, at) for at in times]
    assert drawn != [other(0, at) for at in times]
    assert len({entry["soil_moisture"] for entry in drawn}) > 5
    noon = 1_763_881_200.0  # 2025-11-23 07:00 UTC, 14:00 in Hà Nội
    assert warmth(noon) == pytest.approx(1)
    assert warmth(noon + 12 * 3600) == pytest.approx(-1)


def test_the_invented_year_has_seasons_and_joins_what_devices_say(tmp_path: Path) -> None:
    from gocche.garden.nature import Air

    store = open_store({"path": str(tmp_path / "store.db")}, writer=True)
    store.setup()
    now_ms = 1_785_000_000_000  # 2026-07-25 17:20 UTC
    assert past.invent(store, now_ms)
    hours = store.hourly("sg-01", "air-1", "air_temperature", 0, now_ms)
    assert len(hours) == past.HOURS
    assert {hour.n for hour in hours} == {0}, "nobody measured them"
    assert all(hour.low <= hour.mean <= hour.high for hour in hours)
    january = [hour for hour in hours if 1_767_200_400_000 <= hour.start_ms < 1_769_878_800_000]
    assert min(hour.low for hour in january) < 0.5, "frost"
    assert 8 < sum(hour.mean for hour in january) / len(january) < 12
    assert 18 < sum(hour.mean for hour in hours[-720:]) / 720 < 23
    speaks = Air("7", unique=False)(0, now_ms / 1000)["air_temperature"]
    assert abs(speaks - hours[-1].mean) < 2.5
    fog = store.hourly("sg-01", "air-1", "air_humidity", 0, now_ms)
    assert max(hour.high for hour in fog) == 100
    store.close()


def test_log_that_cannot_be_written_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        Served(tmp_path / "nowhere" / "log", SystemClock())
