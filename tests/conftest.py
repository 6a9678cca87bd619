"""What all tests share: real servers where they are installed, and a word at the end about those that were not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests import servers

if TYPE_CHECKING:
    from collections.abc import Iterator


def need(name: str) -> None:
    """Skip the test whose server is absent; fail it where GOCCHE_REQUIRE_SERVERS=1 says that none may be."""
    words = servers.missing(name)
    if words and os.environ.get("GOCCHE_REQUIRE_SERVERS") == "1":
        pytest.fail(f"{words} (GOCCHE_REQUIRE_SERVERS=1)", pytrace=False)
    if words:
        pytest.skip(words)


@pytest.fixture(scope="session")
def influxd1(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.InfluxD1]:
    need(servers.INFLUXD1)
    with servers.InfluxD1(tmp_path_factory.mktemp("influxd1")) as server:
        yield server


@pytest.fixture(scope="session")
def influxd2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.InfluxD2]:
    need(servers.INFLUXD2)
    with servers.InfluxD2(tmp_path_factory.mktemp("influxd2")) as server:
        yield server


@pytest.fixture(scope="session")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Mosquitto]:
    need(servers.MOSQUITTO)
    with servers.Mosquitto(tmp_path_factory.mktemp("mosquitto")) as server:
        yield server


@pytest.fixture(scope="session")
def grafana(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Grafana]:
    need(servers.GRAFANA)
    with servers.Grafana(tmp_path_factory.mktemp("grafana")) as server:
        yield server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    absent = [words for name in servers.NAMES if (words := servers.missing(name))]
    said = "; ".join(words.replace(" absent: ", " (") + ")" for words in absent)
    terminalreporter.write_line(f"real servers absent: {said}" if absent else "real servers: all present")
