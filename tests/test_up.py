"""The supervisor of `gocche up` with small children of its own: nothing it started outlives it, whatever ends it."""

from __future__ import annotations

import io
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloud.registry.book import NAME as REGISTRY
from edge.sense import nodes
from edge.siren import kept
from edge.status import status_file
from gocche import up
from gocche.child import Child, Log
from gocche.supervisor import GRACE_S
from settings.words import Refused
from tests.servers import until

if TYPE_CHECKING:
    from collections.abc import Iterator

BOUND_S = 15.0
FOREVER = "import time; print('here', flush=True); time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here', flush=True); time.sleep(600)"
)
POLITE = """
import signal, sys, time
def end(*_):
    open(sys.argv[1], "a").write(sys.argv[2] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("here", flush=True)
time.sleep(600)
"""
BEATS = """
import faulthandler, os, sys, time
from gocche.notify import notify
faulthandler.enable()
notify("READY=1")
while not os.path.exists(sys.argv[1]):
    notify("WATCHDOG=1")
    time.sleep(0.05)
if sys.argv[2] == "stuck":
    time.sleep(600)
sys.exit(2)
"""
# Runs `supervise` on children given as JSON: name, program text, arguments, names of those that must be ready before.
SUPERVISE = """
import json, sys
from pathlib import Path
from gocche import child, up
from gocche.child import Child, Log
from gocche.supervisor import GRACE_S
folder = Path(sys.argv[1])
child.SILENT_S, child.LAST_WORDS_S = 2.0, 0.5
def made(name, text, words, mark, after):
    ready = lambda: mark == "-" or (folder / mark).exists()
    return Child(name, [sys.executable, "-c", text, *words], ready, tuple(after), beats=mark == "beats")
children = [made(*each) for each in json.loads(sys.argv[2])]
pages = ["http://127.0.0.1:1/T/A", "http://127.0.0.1:1/"]
up._status = lambda _: "acquired=1"
sys.exit(up.supervise(children, folder, pages, out=sys.stdout, log=Log(sys.stderr), status_s=0.1))
"""


class Run:
    """`supervise` as a process, and what it wrote down about its children."""

    def __init__(self, folder: Path, process: subprocess.Popen[str]) -> None:
        self.folder, self.process = folder, process

    def pids(self) -> dict[str, int]:
        try:
            return json.loads((self.folder / "up.json").read_text())["children"]
        except FileNotFoundError:
            return {}

    def started(self, *names: str) -> dict[str, int]:
        until(lambda: set(self.pids()) == set(names), BOUND_S, f"{names} run")
        return self.pids()

    def lines(self, stop_at: str) -> list[str]:
        """Return what it printed up to and with this line."""
        got = []
        for line in self.process.stdout:
            got.append(line.rstrip("\n"))
            if got[-1] == stop_at:
                return got
        raise AssertionError(f"it ended without {stop_at!r}: {got}")

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=BOUND_S)
        return self.process.returncode, said


@contextmanager
def supervised(folder: Path, *children: tuple) -> Iterator[Run]:
    command = [sys.executable, "-c", SUPERVISE, str(folder), json.dumps(children)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield Run(folder, process)
    finally:
        process.kill()
        process.communicate()


def gone(pid: int) -> bool:
    """Tell whether a process is gone; one that only waits to be reaped by init is."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def plain(name: str, text: str = FOREVER, *words: str, mark: str = "-", after: tuple[str, ...] = ()) -> tuple:
    return name, text, words, mark, after


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_asked_to_end_it_ends_all_children_and_returns_0(tmp_path: Path, number: signal.Signals) -> None:
    with supervised(tmp_path, plain("one"), plain("two")) as run:
        pids = run.started("one", "two")
        run.lines("http://127.0.0.1:1/")
        wait_for_word(run, "here")
        status, said = run.end(number)
    assert status == 0, said
    assert all(map(gone, pids.values()))


def test_a_terminal_that_nobody_reads_holds_up_no_child(tmp_path: Path) -> None:
    """Of a session whose network is gone: what is shown fills it, to the last letter that finds room."""
    keyboard, terminal = os.openpty()
    much = "import time\n" + SUPERVISE.replace('"acquired=1"', '"x" * (time.time_ns() // 1_000 % 1_997)')
    much = much.replace("status_s=0.1", "status_s=0.001")
    command = [sys.executable, "-c", much, str(tmp_path), json.dumps([plain("one")])]
    with subprocess.Popen(command, stdout=terminal, stderr=terminal) as process:
        try:
            run = Run(tmp_path, process)
            before = run.started("one")
            until(lambda: not select.select([], [terminal], [], 0)[1], BOUND_S, "it is full")
            os.kill(before["one"], signal.SIGKILL)
            until(lambda: run.pids() != before, BOUND_S, "it is started again")
            process.send_signal(signal.SIGTERM)
            assert process.wait(BOUND_S) == 0
        finally:
            process.kill()
            os.close(terminal)
            os.close(keyboard)


def test_killed_with_9_it_takes_all_children_along(tmp_path: Path) -> None:
    with supervised(tmp_path, plain("one"), plain("stubborn", STUBBORN)) as run:
        pids = run.started("one", "stubborn")
        run.lines("http://127.0.0.1:1/")
        run.process.kill()
        until(lambda: all(map(gone, pids.values())), BOUND_S, "the children are gone")


def test_second_ctrl_c_kills_children_that_will_not_end(tmp_path: Path) -> None:
    names = ("one", "two", "three", "four")
    with supervised(tmp_path, *(plain(name, STUBBORN) for name in names)) as run:
        pids = run.started(*names)
        for _ in names:
            wait_for_word(run, "here")
        begun = time.monotonic()
        until(lambda: run.process.send_signal(signal.SIGINT) or run.process.poll() is not None, BOUND_S, "it ends")
        took_s = time.monotonic() - begun
        status, said = run.process.returncode, run.process.stderr.read()
    assert status == 0
    assert said.count("did not end in time: killed") == len(names)
    assert all(map(gone, pids.values()))
    assert took_s < GRACE_S * len(names) - 1  # patience for each would take longer


def wait_for_word(run: Run, word: str) -> None:
    """Wait until a child has said a word, as the log tells it: then it has set its signals."""
    for line in run.process.stderr:
        if re.fullmatch(rf"\w+ +{word}\n", line):
            return
    raise AssertionError(f"{word!r} was never said")


def test_children_end_in_the_reverse_order_of_starting(tmp_path: Path) -> None:
    order = tmp_path / "order"
    names = ("devices", "broker", "agent")
    with supervised(tmp_path, *(plain(name, POLITE, str(order), name) for name in names)) as run:
        run.started(*names)
        for _ in names:
            wait_for_word(run, "here")
        assert run.end()[0] == 0
    assert order.read_text().split() == ["agent", "broker", "devices"]


def test_child_starts_only_when_those_before_it_are_ready(tmp_path: Path) -> None:
    with supervised(tmp_path, plain("broker", mark="listening"), plain("agent", after=("broker",))) as run:
        run.started("broker")
        wait_for_word(run, "here")
        assert set(run.pids()) == {"broker"}
        (tmp_path / "listening").touch()
        run.started("broker", "agent")
        assert run.lines("acquired=1") == ["http://127.0.0.1:1/T/A", "http://127.0.0.1:1/", "acquired=1"]


def test_killed_child_is_started_again_and_said_so(tmp_path: Path) -> None:
    with supervised(tmp_path, plain("one"), plain("two")) as run:
        before = run.started("one", "two")
        os.kill(before["two"], signal.SIGKILL)
        until(lambda: run.pids().get("two") not in {None, before["two"]}, BOUND_S, "a new process")
        after = run.pids()
        status, said = run.end()
    assert status == 0
    assert after["one"] == before["one"]
    assert "two      ended by signal 9; starts again in 0.25 s" in said


def test_child_that_dies_again_and_again_waits_longer_each_time(tmp_path: Path) -> None:
    with supervised(tmp_path, plain("one", "raise SystemExit(1)")) as run:
        waits = []
        for line in run.process.stderr:
            if "ended with status 1; starts again in" in line:
                waits.append(float(line.split()[-2]))
            if len(waits) == 3:
                break
        assert run.end()[0] == 0
    assert waits == [0.25, 0.5, 1.0]


def test_configuration_error_of_a_child_ends_everything_with_its_words_and_2(tmp_path: Path) -> None:
    wrong = "import sys; print('devices.toml: [gateway] id is missing', file=sys.stderr); sys.exit(2)"
    with supervised(tmp_path, plain("one"), plain("agent", wrong, after=("one",))) as run:
        _, said = run.process.communicate(timeout=BOUND_S)
        assert run.process.returncode == 2
    assert said.count("devices.toml: [gateway] id is missing") == 2  # as it came, and at the end
    assert "agent refused its configuration" in said
    started = [int(line.rpartition("pid=")[2]) for line in said.splitlines() if "started pid=" in line]
    assert len(started) == 2
    assert all(map(gone, started))


def test_a_child_that_falls_silent_is_ended_with_its_stacks_in_the_log_and_started_again(tmp_path: Path) -> None:
    silence = tmp_path / "silence"
    with supervised(tmp_path, plain("room", BEATS, str(silence), "stuck", mark="beats"), plain("one")) as run:
        before = run.started("room", "one")
        run.lines("acquired=1")
        assert run.pids() == before, "one that beats is left alone"
        silence.touch()
        said = []
        for line in run.process.stderr:
            said.append(line)
            if "starts again in" in line:
                break
        silence.unlink()
        until(lambda: run.pids().get("room") not in {None, before["room"]}, BOUND_S, "a new process")
        assert run.pids()["one"] == before["one"]
        assert run.end()[0] == 0
    assert any("stuck: not heard for" in line for line in said)
    assert any("most recent call first" in line for line in said), said
    assert any("ended by signal 6" in line for line in said)


def test_a_child_that_does_not_even_hear_the_signal_is_killed(tmp_path: Path) -> None:
    with supervised(tmp_path, plain("room", BEATS, str(tmp_path / "never"), "stuck", mark="beats")) as run:
        before = run.started("room")
        run.lines("acquired=1")
        os.kill(before["room"], signal.SIGSTOP)
        until(lambda: run.pids().get("room") not in {None, before["room"]}, BOUND_S, "a new process")
        assert run.end()[0] == 0


def test_a_file_spoilt_later_does_not_end_a_server_that_ran(tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt"
    with supervised(tmp_path, plain("room", BEATS, str(spoilt), "refuses", mark="beats")) as run:
        run.started("room")
        run.lines("acquired=1")
        spoilt.touch()
        wait_for_word(run, "ended with status 2; starts again in 0.25 s")
        spoilt.unlink()
        run.lines("acquired=1")
        assert run.end()[0] == 0


def test_reader_who_goes_away_ends_it_without_leaving_children(tmp_path: Path) -> None:
    with supervised(tmp_path, plain("one")) as run:
        pids = run.started("one")
        run.process.stdout.close()
        assert run.process.wait(BOUND_S) == 0
    assert all(map(gone, pids.values()))


def test_leash_does_not_run_for_a_parent_that_is_gone() -> None:
    from gocche import leash

    command = [sys.executable, "-I", "-S", leash.__file__, "1", sys.executable, "-c", "print('ran')"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=BOUND_S, check=False)
    assert (told.returncode, told.stdout) == (1, "")
    assert "is gone" in told.stderr


def test_leash_names_a_command_that_is_not_there() -> None:
    from gocche import leash

    command = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), "/nowhere/gocche"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=BOUND_S, check=False)
    assert told.returncode == 127
    assert "/nowhere/gocche: No such file or directory" in told.stderr


# --- addresses and folders


def test_wished_address_is_granted_or_refused_with_the_remedy() -> None:
    log = Log(io.StringIO())
    with up.choose("127.0.0.1:0", log) as mine:
        taken = f"127.0.0.1:{mine.getsockname()[1]}"
        with pytest.raises(Refused, match=r"Address already in use.*choose another port"):
            up.choose(taken, log)
    with up.choose(taken, log) as again:
        assert taken.endswith(f":{again.getsockname()[1]}")


@pytest.mark.parametrize("http", ["8080", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:70000", ":80", "127.0.0.1:-1"])
def test_address_that_is_none_is_refused(http: str) -> None:
    with pytest.raises(Refused, match="HOST:PORT"):
        up.choose(http, Log(io.StringIO()))


def test_default_address_gives_way_to_another_program_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        other = taken.getsockname()[1]
        monkeypatch.setattr(up, "DEFAULT_HTTP", up.Address(*taken.getsockname()))
        with up.choose(None, Log(said)) as chosen:
            port = chosen.getsockname()[1]
    assert port not in {0, other}
    assert f"http://127.0.0.1:{port} takes its place (choose with --http" in said.getvalue()


def test_wildcard_is_reached_as_loopback() -> None:
    assert str(up.Address("0.0.0.0", 80).near) == "127.0.0.1:80"
    assert str(up.Address("::", 80).near) == "[::1]:80"


def test_status_line_is_what_the_cloud_counts() -> None:
    audit = {"acquired": 12, "stored": 9, "spooled": 3, "unknown": 0, "more": 1}
    assert (
        up._status({"ingest": {"audit": audit}})
        == "đã đo 12, đã lưu 9, chờ ở trạm 3, không rõ 0 · acquired=12 stored=9 spooled=3 unknown=0"
    )
    assert up._status({"ingest": {}}) == "lúc này máy chủ chưa trả lời · the cloud does not answer just now"


def test_folder_belongs_to_one_run_and_a_temporary_one_is_removed(tmp_path: Path) -> None:
    (tmp_path / "ports").mkdir()
    with up._folder(tmp_path) as mine:
        assert not (mine / "ports").exists()
        with pytest.raises(Refused, match="in use by another"), up._folder(tmp_path):
            pass
    with up._folder(tmp_path), up._folder(None) as temporary:
        (temporary / "spool.db").touch()
    assert tmp_path.is_dir()
    assert not temporary.exists()


def test_a_new_garden_at_an_old_path_has_smelt_no_smoke_of_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    remembered = [status_file(tmp_path).with_name(name) for name in (nodes.FILE, kept.FILE)]
    remembered[0].parent.mkdir()
    try:
        for known in (True, False):
            for file in remembered:
                file.write_bytes(b"smoke")
            (tmp_path / REGISTRY).touch() if known else (tmp_path / REGISTRY).unlink()
            with up._folder(tmp_path):
                assert [file.exists() for file in remembered] == [known, known]
    finally:
        shutil.rmtree(remembered[0].parent)


def test_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match="cannot be used"), up._folder(tmp_path / "file"):
        pass


def test_registry_that_is_missing_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert up.up(tmp_path / "data", "127.0.0.1:0", tmp_path) == 2
    assert "registry cannot be used" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_commands_say_the_same_addresses_to_both_sides(tmp_path: Path) -> None:
    broker = up.Address("127.0.0.1", 1883)
    log = Log(io.StringIO())
    with up.choose("127.0.0.1:0", log) as http, up.choose("127.0.0.1:0", log) as own:
        listeners = {"pages": http, "staff": own}
        made = up.commands(tmp_path, Path("/etc/x"), broker, listeners, ["--unique"])
        children = {child.name: child for child in made}
        assert (children["pages"].fds, children["staff"].fds) == ((http.fileno(),), (own.fileno(),))
        assert f"127.0.0.1:{own.getsockname()[1]}" in children["pages"].argv, "a blank tag's page leads to the staff's"
        assert f"http://127.0.0.1:{http.getsockname()[1]}" in children["staff"].argv, "a tag that is printed leads here"
    assert list(children) == ["devices", "broker", "ingest", "alerts", "coverage", "pages", "staff", "agent"]
    assert all("127.0.0.1:1883" in children[name].argv for name in ("broker", "ingest", "alerts", "pages", "agent"))
    assert children["devices"].argv[-1] == "--unique"
    assert children["agent"].after == ("broker", "devices")
    assert not any(child.ready() for child in children.values() if child.name in {"devices", "broker"})


def test_first_page_is_a_tree_with_a_sensor() -> None:
    pages = up._pages(None, Path("config/garden"), up.Address("127.0.0.1", 80))
    assert pages[0].startswith("http://127.0.0.1:80/T/")
    assert pages[1:] == ["http://127.0.0.1:80/", "http://127.0.0.1:80/phu-song"]
    assert isinstance(Child("a", []).ready(), bool)
