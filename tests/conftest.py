"""What all tests share: real servers where they are installed, and a word at the end about those that were not."""

from __future__ import annotations

import gc
import os
import time
from collections import Counter
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests import servers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rules.garden import Hook, Post

# An example that a busy machine takes long for is no fault; what must be quick has a figure of its own.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")
# What is collected stays to the end: the garbage collector does not walk through it again and again.
gc.disable()
# The files that take longest, longest first. Begun last, one of them would run alone while the other workers are idle.
LONGEST = (
    "test_up_journey.py",
    "test_alerts_life.py",
    "test_places.py",
    "test_up.py",
    "test_siren.py",
    "test_store.py",
    "test_spool.py",
    "test_retention.py",
    "test_commit.py",
    "test_read.py",
    "test_status.py",
    "test_alerts_truth.py",
    "test_exit_codes.py",
    "test_dating.py",
    "test_spool_repair.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="module")
def budget(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print at the end how long the module took, of its BUDGET_S."""
    began = time.monotonic()
    yield
    module = request.module
    print(f"\n{module.__name__}: {time.monotonic() - began:.0f} s of a budget of {module.BUDGET_S} s")


@pytest.fixture(scope="module")
def judged(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    """Count what tests of a module found right; how much that was is printed at its end, in a plain run as well."""
    found = Counter[str]()
    yield found
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{request.module.__name__}: judged rightly:", ", ".join(f"{n} {what}" for what, n in found.items()))


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


@pytest.fixture
def post() -> Iterator[Post]:
    """Return a real mail server."""
    from tests.rules.garden import Post, serving

    with serving(Post(servers.free_port())) as server:
        yield server


@pytest.fixture
def hook() -> Iterator[Hook]:
    """Return a real HTTP server that takes messages."""
    from tests.rules.garden import Hook

    with Hook() as server:
        yield server
