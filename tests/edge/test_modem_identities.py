"""What a modem's and a SIM's answers tell of themselves leaves no gateway: no IMEI, no IMSI, no telephone's number.

Not in a reading, not in the status, not in the log.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from edge import drivers
from edge.board import Board
from edge.config import Bus, Sensor, SensorTable
from edge.sense.lines import SimulatedLine
from edge.sense.sampler import Sampler
from tests import sentinels
from tests.edge.clock import HandClock
from tests.edge.test_mmcli import answers

if TYPE_CHECKING:
    from collections.abc import Callable

ICCID = "8984048000012345678"


def mmcli(case: str, end: str = "0") -> Callable[[bytes], bytes]:
    said = answers(case)
    body, _, _ = said["-J\n"].rpartition("\nexit")
    tree = json.loads(body)
    tree["modem"]["3gpp"] |= {"imei": sentinels.IMEI, "pco": sentinels.IMSI}
    tree["modem"]["generic"] |= {
        "equipment-identifier": sentinels.IMEI,
        "own-numbers": [f"+{sentinels.MSISDN}"],
        "device-identifier": sentinels.SERIAL,
        "state-failed-reason": sentinels.IMSI,
        "sim": ICCID,
    }
    said["-J\n"] = f"{json.dumps(tree)}\nexit {end}\n"
    return lambda frame: said[frame.decode()].encode()


def ussd(text: str) -> Callable[[bytes], bytes]:
    def answer(frame: bytes) -> bytes:
        if frame.startswith(b"AT+CUSD=1"):
            return f'\r\nOK\r\n\r\n+CUSD: 0,"{text}",15\r\n'.encode()
        return b"\r\nOK\r\n"

    return answer


NATIONAL = "0" + sentinels.MSISDN[2:]
TOLD = {
    "modem_mm, well": ("modem_mm", mmcli("en_dc")),
    "modem_mm, no service": ("modem_mm", mmcli("dead_zone")),
    "modem_mm, failed": ("modem_mm", mmcli("en_dc", "1")),
    "sim_ussd, read": ("sim_ussd", ussd(f"TB {NATIONAL}. TK goc: 5.000d, HSD 01/12/2026. ICCID {ICCID}")),
    "sim_ussd, unread": ("sim_ussd", ussd(f"Thue bao {NATIONAL} (+{sentinels.MSISDN}), IMSI {sentinels.IMSI}")),
    "sim_ussd, spaced": ("sim_ussd", ussd(f"So {NATIONAL[:4]} {NATIONAL[4:7]} {NATIONAL[7:]} {sentinels.IMEI}")),
}


@pytest.mark.parametrize("which", TOLD)
def test_nothing_of_it_is_told(which: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    name, far_end = TOLD[which]
    driver, board = drivers.load(name), Board()
    config = driver.config()
    sensor = Sensor(SensorTable(channel="m-1", bus="b", driver=name), driver, config, driver.quantities(config))
    line = SimulatedLine(far_end)
    room = Sampler(Bus(name="b", port="p", baud=9600, format="8N1"), [sensor], lambda: line, print, board, HandClock())
    reading = room.poll(sensor)
    told = f"{reading} {board.channels['m-1']} {caplog.text}"
    assert sentinels.leaks(told) == []
    for number in (ICCID, NATIONAL, NATIONAL[4:], sentinels.IMSI, sentinels.SERIAL):
        assert number not in told.replace(" ", "")
