"""cloud.toml: the sample is right, all else is refused before anything starts, who answers is told."""

from __future__ import annotations

import queue
import re
import shutil
import socket
import string
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import fields
from paho.mqtt import publish

from cloud.alerts.channels.sms_modem import SmsModemConfig
from cloud.alerts.settings import AlertsConfig
from cloud.config import Broker, ConfigError, Data, Garden, Health, Http, Staff, load
from cloud.config.tables import ROOMS
from cloud.rooms import check as checks
from cloud.store.engines.influx import InfluxConfig
from cloud.store.engines.sqlite import SqliteConfig
from gocche import broker
from gocche.__main__ import main
from settings.words import words
from tests.edge.peers import Peer
from tests.servers import free_port
from wire import topics

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
SAMPLE = (ROOT / "config" / "cloud.toml").read_text("utf-8")
MISTAKES = sorted(file.parent for file in (ROOT / "tests" / "config").glob("*/cloud.toml"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "config" / "garden", tmp_path / "garden")
    return tmp_path


def written(folder: Path, text: str) -> Path:
    (folder / "cloud.toml").write_text(text, encoding="utf-8")
    return folder / "cloud.toml"


def test_the_sample_is_right(folder: Path) -> None:
    config = load(ROOT / "config" / "cloud.toml")
    checks.check(config)
    assert len(config.rules) >= 3
    assert config.store["engine"] == "sqlite"


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_is_refused_by_the_door_before_anything_starts(
    mistake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    want = (mistake / "error.txt").read_text("utf-8").strip()
    assert main(["cloud", "--config", str(mistake), "--data", str(tmp_path / "data")]) == 2
    vi, en = capsys.readouterr().err.strip().split("\n        ")
    assert vi.startswith(f"gocche: {mistake}/cloud.toml: ")
    assert en.startswith(f"{mistake}/cloud.toml: ")
    assert want in en
    assert not vi.isascii()
    assert "; " in vi
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_the_check_refuses_the_same(mistake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cloud", "--check", "--config", str(mistake)]) == 2
    assert (mistake / "error.txt").read_text("utf-8").strip() in capsys.readouterr().err


VALUES = ["5", "-1", "true", '""', '"x"', "[]", "[1]", "[[]]", "{}", "{ a = 1 }", "nan", "inf", "9" * 30, "1979-05-27",
          '"/dev/zero"', '"\\u0007"', '"limit"', '"email"', "plain", "2,5", "="]  # fmt: skip


@st.composite
def spoiled(draw: st.DrawFn) -> str:
    lines = SAMPLE.replace("# engine", "engine").replace("# [[channel]]", "[[channel]]").splitlines()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        key = lines[at].partition(" = ")[0]
        other = draw(st.sampled_from(lines))
        change = draw(st.sampled_from(["value", "drop", "double", "other"]))
        if change == "value":
            lines[at] = f"{key} = {draw(st.sampled_from(VALUES))}"
        elif change == "drop":
            lines[at] = ""
        elif change == "double":
            lines.insert(at, lines[at])
        else:
            lines[at] = other
    return "\n".join(lines)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(spoiled(), st.text(string.printable, max_size=80)))
@example("A:0\t0")  # a tab in what is advised
def test_anything_loads_or_is_a_config_error(folder: Path, text: str) -> None:
    try:
        config = load(written(folder, text))
        checks.check_store(config.file, config.store)
        checks.wiring.check(config)
    except ConfigError as error:
        for language in ("vi", "en"):
            said = error.told(language)
            assert "; " in said
            assert said.isprintable()
            assert len(said) < 2_000


def test_every_key_has_its_meaning_in_vietnamese() -> None:
    meaning = words("settings", "cloud.config")["meaning"]
    for table in (Data, Broker, Http, Staff, Health, Garden, SmsModemConfig):
        assert meaning[table.__name__].keys() == {field.name for field in fields(table)}, table
    for table in (AlertsConfig, InfluxConfig, SqliteConfig):  # of rooms and engines, which may come without
        assert meaning[table.__name__].keys() <= {field.name for field in fields(table)}, table


# --- what is allowed and seldom meant; how the disk fills


def test_the_check_says_what_is_there_and_how_the_disk_fills(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cloud", "--check", "--config", str(written(folder, SAMPLE)), "--data", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "chưa có kênh nào" in told
    assert re.search(r"well; store sqlite, rules: \d\d, ways to tell people: 1", told)
    assert re.search(r"disk: 1\d channels .* 365 days kept: about 3\d\d MB a year; .* are free", told)
    assert not list(folder.glob("*.db"))


def test_what_only_the_service_may_read_is_passed_over_by_the_check_and_not_by_the_start(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "/run/credentials/gocche-cloud.service/mail-password"
    channel = f'[[channel]]\nkind = "email"\nhost = "127.0.0.1"\nuser = "u"\npassword_file = "{secret}"\n'
    file = written(folder, channel)
    assert main(["cloud", "--check", "--config", str(file)]) == 0
    assert f"[[channel]] 1 password_file: {secret} is there only while the service runs" in capsys.readouterr().out
    assert main(["cloud", "--config", str(file)]) == 2
    assert f"[[channel]] 1 (email) password_file: {secret} cannot be read" in capsys.readouterr().err


def test_whom_no_channel_reaches_is_doubted_before_anything_burns(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = (
        "code,name,roles,email,addresses\n"
        "p1,Lan,fire-watch telecom,,zalo:84912345678\np2,Su,fire-watch,,sms:+84912345678\n"
        "p3,Lu,operator,lu@example.org,\n"
        "p4,Chi,telecom,,webhook:+84912345678\np5,Mai,,,zalo:84912345678\n"
    )
    (folder / "garden" / "people.csv").write_text(people, "utf-8")
    sms = '[[channel]]\nkind = "webhook"\nname = "sms"\nurl = "http://127.0.0.1:1/send"\n'
    assert main(["cloud", "--check", "--config", str(written(folder, sms)), "--data", str(folder / "new")]) == 0
    told = capsys.readouterr().out
    assert "no channel reaches Lan (fire-watch), Lan (telecom), Lu (operator): they would not be told" in told
    assert "an address for a channel that there is (sms)" in told
    mail = sms + '[[channel]]\nkind = "email"\nhost = "127.0.0.1"\n[[channel]]\nkind = "webhook"\nname = "zalo"\n'
    file = written(folder, mail + 'url = "http://127.0.0.1:1/send"\n')
    assert main(["cloud", "--check", "--config", str(file), "--data", str(folder / "new")]) == 0
    assert "no channel reaches" not in capsys.readouterr().out


def test_a_disk_that_a_year_fills_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gocche.check.yearly", lambda _: checks.Yearly(900, 365, 3.2e10, 1 << 30))
    assert main(["cloud", "--check", "--config", str(written(folder, SAMPLE))]) == 0
    told = capsys.readouterr().out
    assert "about 32 GB a year; 1.1 GB are free" in told
    assert "the disk will be full before a year is over" in told


# --- each address tried


@contextmanager
def mute() -> Iterator[int]:
    """A port where somebody takes the connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def embedded() -> Iterator[int]:
    """The embedded broker, on a port of its own."""
    stop, told = threading.Event(), queue.Queue[int]()
    thread = threading.Thread(target=broker.run, args=("127.0.0.1", 0, stop, told.put))
    thread.start()
    try:
        yield told.get(timeout=20)
    finally:
        stop.set()
        thread.join()


def tried(folder: Path, capsys: pytest.CaptureFixture[str], text: str) -> tuple[int, list[str]]:
    code = main(["cloud", "--check", "--try", "--config", str(written(folder, text)), "--data", str(folder)])
    out = capsys.readouterr().out.splitlines()
    return code, [line for line in out if re.match(r"[✗!]? ?(broker|store|channel) \S+: ", line)]


def test_all_that_answers_is_well(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with embedded() as port:
        publish.single(topics.status("sg-01"), b"{}", qos=1, retain=True, port=port)
        code, told = tried(folder, capsys, f"[broker]\nport = {port}\n")
    assert code == 0
    assert told[0] == f"broker 127.0.0.1:{port}: takes us, and lets us hear gateways"
    assert told[1].endswith("store.db: can be read")


def test_a_broker_that_grants_a_subscription_and_brings_nothing_is_not_called_well(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Mosquitto does where its access list forbids to read."""
    monkeypatch.setattr(checks, "RETAINED_S", 0.1)
    with Peer() as peer:
        code, told = tried(folder, capsys, f"[broker]\nport = {peer.port}\n")
    assert code == 0
    assert told[0].startswith(f"! broker 127.0.0.1:{peer.port}: takes us, and has no gateway's word for us yet")


def test_who_is_not_there_and_who_hangs_is_named_with_a_remedy(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "DEADLINE_S", 1.0)
    nobody = free_port()
    with mute() as silent:
        text = f"""
[broker]
port = {silent}
[store]
engine = "influx"
url = "http://127.0.0.1:{nobody}"
[[channel]]
kind = "email"
host = "127.0.0.1"
port = {silent}
[[channel]]
kind = "webhook"
url = "http://127.0.0.1:{nobody}/"
"""
        began = time.monotonic()
        code, told = tried(folder, capsys, text)
        took_s = time.monotonic() - began
    assert code == 1
    assert took_s < 12
    said = "\n".join(told)
    assert f"✗ broker 127.0.0.1:{silent}: timed out; look at [broker] host, port" in said
    assert f"✗ store http://127.0.0.1:{nobody}: " in said
    assert "✗ channel email: timed out; look at that [[channel]]" in said
    assert "✗ channel webhook: " in said
    assert len(told) == 4


def test_a_room_has_its_own_account_and_reads_the_secret_of_no_other(folder: Path) -> None:
    for name in ("writes", "reads"):
        (folder / name).write_text("a password\n")
    text = """
[broker]
user = "server"
password_file = "writes"
[store]
engine = "influx"
user = "writes"
password_file = "writes"
[store.pages]
user = "reads"
password_file = "reads"
[broker.alerts]
cert_file = "nowhere.pem"
key_file = "nowhere.key"
"""
    with pytest.raises(ConfigError, match=r"\[broker\.alerts\] ca_file: "):
        load(written(folder, text))
    config = load(written(folder, text), room="pages")
    ingest, alerts, _coverage, pages, _staff = (config.of_room(name) for name in ROOMS)
    assert ingest == config
    assert (pages.store["user"], pages.broker.user, pages.store["engine"]) == ("reads", "server", "influx")
    assert (alerts.store["user"], alerts.broker.user, alerts.broker.cert_file) == (
        "writes", "", str(folder / "nowhere.pem"),
    )  # fmt: skip
