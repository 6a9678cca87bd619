"""The judge of frame files itself: it passes the corpus, and fails for each way in which a case can be wrong."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Any

import pytest

from edge.framing.rtu import crc16
from tests import frames

FOLDER = Path(__file__).parent / "data" / "frames"  # `field/` is from reports of people who run such devices
FILES = sorted(FOLDER.rglob("*.json"))
CONTENT = {str(file.relative_to(FOLDER)): json.loads(file.read_text(encoding="utf-8")) for file in FILES}
CASES = [(content["family"], case) for content in CONTENT.values() for case in content["cases"]]


def test_every_case_of_the_corpus_is_judged_rightly() -> None:
    assert len(FILES) == 12
    assert len(CASES) == 134
    for family, case in CASES:
        assert frames.judge(family, case) == [], case["id"]


def wrong_ways(case: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the case made wrong in every way that its form allows."""
    changes: list[dict[str, Any]] = [{"ok": not case["ok"], "error": "crc", "values": case["values"] or [{"n": "x"}]}]
    if not case["ok"]:
        changes.append({"error": "another"})
    if case.get("tx"):
        changes.append({"tx": case["tx"][:-2] + ("00" if case["tx"][-2:] != "00" else "01")})
    for place, value in enumerate(case["values"]):
        changes += [
            {"values": [*case["values"][:place], other, *case["values"][place + 1 :]]} for other in others(value)
        ]
    return [{**copy.deepcopy(case), **change} for change in changes]


def others(value: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the value with another name, number or unit, as null where it is none, and as a number where it is."""
    found = [{**value, "n": value["n"] + "_x"}]
    if value["v"] is None:
        return [*found, {**value, "v": 0}]
    other = value["v"] + "x" if isinstance(value["v"], str) else value["v"] + abs(value["v"]) / 100 + 0.1
    found += [{**value, "v": other}, {**value, "v": None}]
    return [*found, {**value, "u": "furlong"}] if value.get("u") else found


@pytest.mark.parametrize(("family", "case"), CASES, ids=[case["id"] for _, case in CASES])
def test_a_wrong_case_fails(family: str, case: dict[str, Any]) -> None:
    for wrong in wrong_ways(case):
        assert frames.judge(family, wrong), f"{wrong} passes"


@pytest.mark.parametrize(
    ("family", "change", "words"),
    [
        ("sensirion-sps30", {}, "no driver: 'sensirion-sps30' is unknown"),
        ("winsen", {"device": "ZE08-CH2O"}, "no driver for device 'ZE08-CH2O'"),
        ("modbus-rtu", {"profile": "soil-9999"}, "no profile 'soil-9999'"),
        ("modbus-rtu", {"tx": "010600000003" + crc16(bytes.fromhex("010600000003")).hex()}, "cannot be mapped"),
        ("modbus-rtu", {"rx": "zz"}, "broke"),
        ("plantower-pms", {"device": "SDS011"}, "no model in device 'SDS011'"),
        ("nmea0183", {"rx": b"$GPZDA,,*48\r\n".hex()}, "no sentence that the driver knows"),
    ],
)
def test_what_cannot_be_mapped_fails(family: str, change: dict[str, Any], words: str) -> None:
    case = next((case for name, case in CASES if name == family), CASES[0][1])
    assert words in "; ".join(frames.judge(family, {**case, **change}))


def test_a_soil_profile_must_refuse_the_indoor_air_sensor(monkeypatch: pytest.MonkeyPatch) -> None:
    case = next(case for _, case in CASES if case["id"] == "air7-wrong-device")
    assert frames.judge("modbus-rtu", case) == []
    from edge.drivers import modbus

    monkeypatch.setattr(modbus, "judged", lambda values, _: values)
    assert "must not bring soil_ph" in frames.judge("modbus-rtu", case)[0]


def modbus(profile: str, tx: str, rx: str, **values: float | None) -> tuple[str, dict[str, Any]]:
    def whole(text: str) -> str:
        return text + crc16(bytes.fromhex(text)).hex()

    told = [{"n": name, "v": value} for name, value in values.items()]
    return "modbus-rtu", {"profile": profile, "tx": whole(tx), "rx": whole(rx), "ok": True, "values": told}


def nmea(body: str, **values: float | str | None) -> tuple[str, dict[str, Any]]:
    line = f"${body}*{reduce(xor, body.encode(), 0):02X}\r\n"
    told = [{"n": name, "v": value} for name, value in values.items()]
    return "nmea0183", {"rx": line.encode().hex(), "ok": True, "tol": 0.001, "values": told}


def modem(command: str, answer: str, **values: float | str | None) -> tuple[str, dict[str, Any]]:
    told = [{"n": name, "v": value} for name, value in values.items()]
    text = f"{command}\r\r\n{answer}\r\n\r\nOK\r\n"
    asked = {"command": command, "tx": f"{command}\r".encode().hex(), "rx": text.encode().hex()}
    return "modem-at", {**asked, "ok": True, "values": told}


@pytest.mark.parametrize(
    ("family", "case"),
    [
        modbus("soil-0000", "0703 0000 0002", "070304 0001 ff38", soil_moisture=0.1, soil_temperature=-20.0),
        modbus("soil-0000", "2203 0004 0003", "220306 000a 0014 001e", soil_n=10, soil_p=20, soil_k=30),
        modbus("xy-md02", "0104 0002 0001", "010402 03e8", humidity=100.0),
        modbus("ws-500", "0103 01f4 0001", "010302 03e8", wind_speed=10.0),
        modbus("ws-500", "0103 01fe 0002", "010304 0001 86a0", illuminance=100_000),
        modbus("level-0000", "0103 0000 0007", "01030e 0001 0003 0011 0002 ff9c 0000 1388", level=-1.0),
        modbus("sonbest", "0103 0000 0001", "010302 ffff", rain_total=6553.5),
        modbus("sent-8000", "0103 0000 0001", "010302 00f6", temperature=24.6),
        nmea("GNGGA,010203.00,2135.4,N,10430.5,E,2,12,0.7,1371.2,M,-28.1,M,,", lat=21.59, lon=104.508333, alt=1371.2),
        nmea("GNRMC,010203.00,A,2135.4,N,10430.5,E,1.0,,140325,,,S", lat=None, time=None),
        nmea(
            "GNRMC,010203.00,A,2135.4,N,10430.5,E,1.0,,140325,,,D", lat=21.59, course=None, time="2025-03-14T01:02:03Z"
        ),
        nmea("WIMWV,090,T,36.0,K,A", wind_direction=90, wind_speed=10),
        nmea("WIMWV,090,R,10.0,N,V", wind_direction_relative=None, wind_speed=None),
        nmea("WIXDR,C,21.5,C,A,H,88.0,P,B,P,86300,P,C", temperature=21.5, humidity=88, pressure=863),
        modem("AT+CSQ", "+CSQ: 0,99", rssi=-113),
        modem("AT+CESQ", "+CESQ: 99,99,255,255,34,97,0,126,127", lte_rsrq=-3, lte_rsrp=-44, nr_ss_rsrq=-43.5),
        modem("AT+CEREG?", '+CEREG: 2,5,"FFFE","0000001",9', stat=5, tac=None, cell_id=1, act=9),
        modem('AT+QENG="servingcell"', '+QENG: "servingcell","LIMSRV"', state="LIMSRV", mode=None),
        modem("AT+CPSI?", "+CPSI: NR5G_NSA,298,NR5G_BAND41,520110,-760,-110,18,0,12", nr_ss_rsrp=-76, nr_ss_sinr=None),
        modem("AT+COPS?", '+COPS: 0,2,"45204",13', operator="45204", act=13),
    ],
)
def test_other_numbers_in_the_same_forms(family: str, case: dict[str, Any]) -> None:
    assert frames.judge(family, case) == []


def test_the_script_runs_from_anywhere(tmp_path: Path) -> None:
    def ran(*files: Path) -> subprocess.CompletedProcess[str]:
        script = Path(frames.__file__)
        return subprocess.run(
            [sys.executable, script, *files], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )

    good = ran(*FILES)
    assert (good.returncode, good.stdout, good.stderr) == (0, f"{len(CASES)} passed, 0 failed\n", "")
    content = copy.deepcopy(CONTENT["nmea0183.json"])
    content["cases"][0]["values"][0]["v"] += 1
    wrong, broken = tmp_path / "wrong.json", tmp_path / "broken.json"
    wrong.write_text(json.dumps(content), encoding="utf-8")
    broken.write_text("{", encoding="utf-8")
    bad = ran(wrong, broken)
    lines = bad.stdout.splitlines()
    assert bad.returncode == 1
    assert lines[0].startswith(f"FAIL {wrong} gga-fix: lat is -19.48")
    assert lines[1].startswith(f"FAIL {broken}: not a frame file")
    assert lines[2] == "18 passed, 2 failed"
    assert ran().returncode == 2
