"""What a gateway claims itself is what the detector says of the same samples, and what the cloud hears."""

from __future__ import annotations

import pytest

from bench import plume, scenes
from detect.claim import PROBABLE, SUSPECTED
from detect.node import step
from detect.state import Node, Sample
from edge.config import NodeTable
from edge.sense.nodes import FILE, REPORT_MS, Nodes
from tests.edge.clock import HandClock
from wire.quantities import QUANTITIES
from wire.reading import Reading, Reason

TABLE = NodeTable(channel="node-1", pm="smoke-1", co="co-1", air="air-1")
CLEAN = {"pm2_5": 20.0, "co": 0.3, "air_temperature": 20.0, "air_humidity": 70.0}
SMOKE = CLEAN | {"pm2_5": 220.0, "co": 2.6}
CHANNELS = {"pm2_5": "smoke-1", "co": "co-1", "air_temperature": "air-1", "air_humidity": "air-1"}


def readings(at_ms, values):
    """Return what the sensors of a node say at one time, a reading each."""
    for channel in dict.fromkeys(CHANNELS[quantity] for quantity in values):
        own = {key: QUANTITIES[key].scale(value) for key, value in values.items() if CHANNELS[key] == channel}
        yield Reading(channel, at_ms, own, {})


class Gateway:
    """The nodes of one gateway, asked each minute."""

    def __init__(self, folder, tables=(TABLE,)):
        self.clock, self.out = HandClock(), []
        self._folder, self._tables = folder, list(tables)
        self.nodes = self.begun()

    def begun(self):
        return Nodes(self._tables, self.out.append, self.clock, self._folder)

    def minutes(self, count, values, each_s=60):
        for number in range(round(count * 60 / each_s)):
            tremble = (number * 7 % 5 % 3 - 1) / 10
            told = {key: value + tremble for key, value in values.items()}
            told["pm2_5"] = (
                values["pm2_5"] * (1 + 4 * tremble) if values["pm2_5"] > 100 else values["pm2_5"] + 10 * tremble
            )
            for reading in readings(self.clock.mono_ms(), told):
                self.nodes.see(reading)
            self.nodes.look()
            self.clock.now += round(1000 * each_s)

    @property
    def claims(self):
        return [(one.mono_ms, one.values["smoke_claim"]) for one in self.out if one.channel == "node-1"]


def test_a_claim_is_a_reading_of_its_own_told_when_it_changes_and_each_ten_minutes(tmp_path):
    gateway = Gateway(tmp_path)
    begun = gateway.clock.mono_ms()
    gateway.minutes(60, CLEAN)
    assert [(at - begun, level) for at, level in gateway.claims] == [(n * REPORT_MS, 0) for n in range(6)]
    gateway.minutes(4, SMOKE)
    assert gateway.claims[-1][1] == SUSPECTED
    assert QUANTITIES["smoke_claim"].urgency.band(SUSPECTED) != QUANTITIES["smoke_claim"].urgency.band(1)
    gateway.minutes(30, SMOKE)
    assert [level for _, level in gateway.claims if level][-1] == PROBABLE
    assert [one for one in gateway.out if one.channel == "smoke-1"]  # and its readings go their own way


@pytest.mark.parametrize("name", ["fire_60m_upwind", "fire_destroys_node", "cooking_smoke", "fog", "stuck_pm_high"])
def test_a_supplied_scenario_is_claimed_as_by_the_package(tmp_path, name):
    node = "B" if name == "stuck_pm_high" else "A"
    gateway, state, expected, level = Gateway(tmp_path), Node(), [], -1
    began_ms = gateway.clock.mono_ms()
    for utc_ms, said in scenes.supplied()[name].steps[300:520]:
        at_ms = began_ms + utc_ms - plume.START_MS - 300 * 60_000
        gateway.clock.now = at_ms
        if (sample := said.get(node)) is None:
            continue
        hot = (sample.temp or 0.0) > 80
        for reading in readings(
            at_ms,
            {"pm2_5": sample.pm2_5, "co": sample.co}
            | ({} if hot else {"air_temperature": sample.temp, "air_humidity": sample.rh}),
        ):
            gateway.nodes.see(reading)
        parts = [Sample(utc_ms, pm2_5=sample.pm2_5), Sample(utc_ms, co=sample.co)]
        parts += [] if hot else [Sample(utc_ms, temp=sample.temp, rh=sample.rh)]
        for part in parts:
            state, claim = step(state, part)
            if claim.level != level:
                expected.append((at_ms, claim.level))
                level = claim.level
    changes = [
        one for before, one in zip([(0, -1), *gateway.claims], gateway.claims, strict=False) if one[1] != before[1]
    ]
    assert changes == expected


def test_silence_after_smoke_is_claimed_by_the_gateway_itself(tmp_path):
    gateway = Gateway(tmp_path)
    gateway.minutes(60, CLEAN)
    gateway.minutes(4, SMOKE)
    last_ms = gateway.clock.mono_ms() - 60_000
    while gateway.claims[-1][1] != PROBABLE:
        gateway.clock.now += 5_000
        gateway.nodes.look()
        assert gateway.clock.mono_ms() - last_ms < 360_000


def test_a_new_process_goes_on_and_a_new_boot_begins_anew(tmp_path):
    gateway = Gateway(tmp_path)
    gateway.minutes(60, CLEAN)
    gateway.nodes.write()
    gateway.nodes = gateway.begun()
    gateway.minutes(3, SMOKE)
    assert gateway.claims[-1][1] == SUSPECTED
    gateway.nodes.write()
    gateway.clock.boot = "another"
    gateway.nodes = gateway.begun()
    gateway.minutes(3, SMOKE)
    assert gateway.claims[-1][1] == 0


def test_an_agent_that_is_killed_each_minute_learns_and_finds_smoke_all_the_same(tmp_path):
    gateway = Gateway(tmp_path)

    def lives(count, values):
        for _ in range(count):
            gateway.minutes(55 / 60, values, each_s=5)
            gateway.nodes = gateway.begun()  # kill -9: nobody wrote anything down

    lives(60, CLEAN)
    assert gateway.claims[-1][1] == 0
    lives(4, SMOKE)
    assert gateway.claims[-1][1] == SUSPECTED


@pytest.mark.parametrize("bad", [b"", b"\x00", b"\xff" * 40, b"{}"])
def test_a_damaged_file_costs_what_was_learned_and_nothing_else(tmp_path, bad):
    (tmp_path / FILE).write_bytes(bad)
    gateway = Gateway(tmp_path)
    gateway.minutes(1, CLEAN | {"pm2_5": 600.0, "co": 25.0}, each_s=5)
    assert gateway.claims[-1][1] == SUSPECTED  # what no haze reaches counts at once
    assert gateway.claims[-1][0] - gateway.claims[0][0] == 10_000


def test_one_byte_of_the_file_that_is_wrong_never_becomes_a_memory(tmp_path):
    gateway = Gateway(tmp_path)
    gateway.minutes(50, CLEAN)
    gateway.nodes.write()
    true = (tmp_path / FILE).read_bytes()
    assert gateway.begun()._nodes["node-1"] == gateway.nodes._nodes["node-1"]
    for at in range(len(true)):
        (tmp_path / FILE).write_bytes(true[:at] + bytes([true[at] ^ 0xA5]) + true[at + 1 :])
        assert gateway.begun()._nodes["node-1"] == Node()


def test_failed_polls_and_other_channels_say_nothing(tmp_path):
    gateway = Gateway(tmp_path)
    for _ in range(100):
        gateway.nodes.see(Reading("smoke-1", gateway.clock.mono_ms(), {}, {"pm2_5": int(Reason.SILENCE)}))
        gateway.nodes.see(Reading("soil-1", gateway.clock.mono_ms(), {"soil_moisture": 3_000}, {}))
        gateway.clock.now += 60_000
    assert [one.channel for one in gateway.out if one.channel != "node-1"] == ["smoke-1", "soil-1"] * 100
    assert gateway.claims == []


def test_a_gateway_without_nodes_writes_and_claims_nothing(tmp_path):
    gateway = Gateway(tmp_path, tables=())
    gateway.minutes(5, SMOKE)
    gateway.nodes.write()
    assert not list(tmp_path.iterdir())
    assert {one.channel for one in gateway.out} == {"smoke-1", "co-1", "air-1"}


def test_who_was_stopped_after_smoke_does_not_call_its_own_absence_silence(tmp_path):
    gateway = Gateway(tmp_path)
    gateway.minutes(60, CLEAN)
    gateway.minutes(4, SMOKE)
    gateway.nodes.write()
    gateway.clock.now += 1_800_000  # an update, and somebody who looks at the wires
    gateway.nodes = gateway.begun()
    for _ in range(59):
        gateway.clock.now += 5_000
        gateway.nodes.look()
    assert gateway.claims[-1][1] == SUSPECTED
    for _ in range(3):
        gateway.clock.now += 5_000
        gateway.nodes.look()
    assert gateway.claims[-1][1] == PROBABLE


def test_a_node_that_is_asked_each_ten_minutes_is_not_silent_between_two_readings(tmp_path):
    gateway = Gateway(tmp_path)
    gateway.minutes(400, CLEAN, each_s=600)
    for number in range(3):
        gateway.minutes(10, CLEAN | {"pm2_5": 400.0 + 30 * number, "co": 12.0 + number}, each_s=600)
        for _ in range(3):
            gateway.nodes.look()
    gateway.clock.now -= 30_000  # just before the next reading
    gateway.nodes.look()
    assert gateway.claims[-1][1] == SUSPECTED
    gateway.clock.now += 1_000_000
    gateway.nodes.look()
    assert gateway.claims[-1][1] == PROBABLE, "two are missing now"
