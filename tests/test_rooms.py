"""`gocche cloud` as processes: a room that dies or is stuck costs only itself, and the door answers whatever hangs."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloud.clock import SystemClock
from cloud.rooms import NICE, ROOMS, life
from cloud.rooms.listener import listen, url
from cloud.store import Retry, open_store
from gocche import health
from gocche.child import FIRST_S, LONGEST_FIRST_S, SILENT_S, Child, Log
from gocche.child import Life as LifeOfChild
from gocche.health import AT_ONCE, Desk, metrics, told
from gocche.notify import Ear, notify
from gocche.supervisor import Supervisor
from tests.rules.garden import HandClock
from tests.servers import ask, free_port, until
from tests.test_up import gone

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.journey, pytest.mark.usefixtures("budget")]
BUDGET_S = 180
ROOT = Path(__file__).parents[1]
BOUND_S = 30.0


class Server:
    """The sample's server in a folder of its own, without a broker."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.http, self.desk = folder, free_port(), free_port()
        words = ["--config", str(ROOT / "config" / "cloud.toml"), "--data", str(folder)]
        words += ["--broker", f"127.0.0.1:{free_port()}", "--http", f"127.0.0.1:{self.http}", "--staff", "127.0.0.1:0"]
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gocche", "cloud", *words, "--health", f"127.0.0.1:{self.desk}"],
                stderr=log,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )

    def health(self) -> dict[str, Any]:
        try:
            return dict(json.loads(ask(f"http://127.0.0.1:{self.desk}/healthz")[1]))
        except OSError:
            return {"rooms": {}}

    def pids(self) -> dict[str, int]:
        """Return the rooms that have said how they are."""
        told = self.health()
        return {name: room["pid"] for name, room in told["rooms"].items() if told[name].get("look_at") is not None}

    def all_live(self) -> bool:
        return set(self.pids()) == set(ROOMS)

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(BOUND_S)


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    made = Server(folder)
    try:
        yield made
    except BaseException as error:
        error.add_note(made.log.read_text(errors="replace")[-4000:])
        raise
    finally:
        made.process.kill()
        made.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path) as made:
        until(made.all_live, BOUND_S, "every room has said how it is")
        yield made


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for tests that leave it as it was."""
    with running(tmp_path_factory.mktemp("standing")) as made:
        until(made.all_live, BOUND_S, "every room has said how it is")
        yield made


def test_a_room_that_is_killed_costs_only_itself_and_no_visitor_is_refused(server: Server) -> None:
    for name in ROOMS:
        before = server.pids()
        os.kill(before[name], signal.SIGKILL)
        if name == "pages":
            assert ask(f"http://127.0.0.1:{server.http}/")[0] == 200, "visitors queue while their room starts anew"
        after = dict[str, int]()

        def lives_again(old: dict[str, int] = before, new: dict[str, int] = after) -> bool:
            new.clear()
            new.update(server.pids())
            return set(new) == set(ROOMS) and new != old

        until(lives_again, BOUND_S, f"{name} lives again")
        assert [other for other in ROOMS if after[other] != before[other]] == [name]


def test_the_door_says_of_each_room_why_it_is_not_well_and_the_world_only_that_it_is_up(standing: Server) -> None:
    ill = [name for name in ROOMS if name != "staff"]  # which is, until ingest has made the store

    def are_ill() -> bool:
        return [words.partition(":")[0] for words in standing.health()["ill"]] == ill

    until(are_ill, BOUND_S, f"{ill} are ill, and nobody else")
    told = standing.health()
    assert told["ok"] is False
    assert all("broker" in words for words in told["ill"])
    assert ask(f"http://127.0.0.1:{standing.desk}/healthz")[0] == 503
    assert ask(f"http://127.0.0.1:{standing.http}/healthz") == (200, b"up\n")
    figures = ask(f"http://127.0.0.1:{standing.desk}/metrics")[1].decode()
    assert "gocche_up 0\n" in figures
    assert 'gocche_room_restarts_total{room="ingest"} 0\n' in figures
    # A room's first beat may come before its journal or its store has begun: what is not there yet has no figure.
    for name in ("gocche_store_bytes", "gocche_store_wal_bytes", "gocche_alerts_oldest_waiting_seconds"):
        until(
            lambda name=name: f"\n{name} " in ask(f"http://127.0.0.1:{standing.desk}/metrics")[1].decode(),
            BOUND_S,
            f"what the rooms say and what is asked of them have the same names: {name}",
        )


def nice_of(pid: int) -> list[int]:
    """Return the nice values of all threads of a process (proc_pid_stat(5), field 19): Linux keeps one for each."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sorted(int((task / "stat").read_text().rpartition(")")[2].split()[16]) for task in tasks)


def test_pages_step_back_for_the_rooms_that_keep_and_tell(standing: Server) -> None:
    assert ask(f"http://127.0.0.1:{standing.http}/canh-bao")[0] in {200, 503}
    pids = standing.pids()
    ours = os.nice(0)
    assert set(nice_of(pids["ingest"]) + nice_of(pids["alerts"])) == {ours}
    assert set(nice_of(pids["pages"]) + nice_of(pids["staff"])) == {min(ours + NICE, 19)}


def test_asked_to_end_its_rooms_close_their_files(server: Server) -> None:
    pids = server.pids()
    assert server.end(signal.SIGTERM) == 0, server.log.read_text()
    assert all(map(gone, pids.values()))
    for name in ("store.db", "quarantine.db"):
        assert not (server.folder / f"{name}-wal").exists(), "whoever closes a SQLite file last leaves no log behind"


def test_killed_with_9_it_takes_its_rooms_along(server: Server) -> None:
    pids = server.pids()
    server.end(signal.SIGKILL)
    until(lambda: all(map(gone, pids.values())), BOUND_S, "the rooms are gone")


def test_a_second_server_on_the_same_files_is_told_and_the_pages_are_served(tmp_path: Path) -> None:
    first = open_store({"path": str(tmp_path / "store.db")}, writer=True)
    first.setup()
    with running(tmp_path) as server:
        until(lambda: says(server, "ingest", "exactly one ingester"), BOUND_S, "it says who holds the file")
        until(lambda: "pages" in server.pids(), BOUND_S, "the pages live")
        first.close()
        until(lambda: not says(server, "ingest", "exactly one ingester"), BOUND_S, "it takes over")


@pytest.mark.parametrize("name", ["store.db", "quarantine.db"])
def test_a_file_of_a_newer_gocche_is_told_with_the_remedy(tmp_path: Path, name: str) -> None:
    with sqlite3.connect(tmp_path / name) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with running(tmp_path) as server:
        until(lambda: says(server, "ingest", name) and says(server, "ingest", "newer gocche"), BOUND_S, "it says so")
        assert server.process.poll() is None


def says(server: Server, room: str, words: str) -> bool:
    return words in server.health()["rooms"].get(room, {}).get("why", "")


# --- one room's life


class Hollow:
    """A room of one loop that a test steers."""

    def __init__(self) -> None:
        self.turn = threading.Event()
        self.said: dict[str, Any] = {"why": "", "look_at": []}
        self.closed = False

    @property
    def loops(self) -> dict[str, Any]:
        return {"work": self._work}

    def _work(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.turn.wait(BOUND_S)

    def start(self) -> None:
        pass

    def health(self) -> dict[str, Any]:
        if isinstance(self.said, Exception):
            raise self.said
        return self.said

    def stop(self) -> None:
        self.turn.set()

    def close(self) -> None:
        self.closed = True


def test_a_stuck_loop_ends_the_beat_and_a_hanging_question_only_makes_ill() -> None:
    room, clock, words = Hollow(), HandClock(), []
    one = life.Life(room, clock, words.append)
    one._threads[0].start()
    until(one._threads[0].is_alive, BOUND_S, "it works")
    one.beat()
    assert words[-1].startswith("WATCHDOG=1\nX_GOCCHE={")
    clock.advance(life.STALE_S + 1)
    one.beat()
    assert "has not answered for" in words[-1]
    clock.advance(life.STUCK_S)
    told = len(words)
    one.beat()
    assert len(words) == told, "nothing is said for a loop that is stuck"
    room.turn.set()
    until(lambda: one._turns["work"].asked_s == clock.monotonic(), BOUND_S, "it turns again")
    one.beat()
    assert len(words) == told + 1
    one._turns["work"].set()
    one._threads[0].join()


def test_a_health_without_end_is_cut_before_a_beat_is_too_long_to_leave() -> None:
    """A datagram of more than some 200 kB is refused: its room would look stuck, and be started again for ever."""
    room, words = Hollow(), []
    room.said = {"why": "w" * 300_000, "look_at": [], "registry": ["trees.csv:9: no such zone"] * 9_000, "queued": 3}
    one = life.Life(room, HandClock(), words.append)
    one._facts = room.said
    one.beat()
    assert len(words[0]) < 10_000
    told = json.loads(words[0].partition(life.BEAT)[2])
    assert (told["queued"], told["look_at"], told["registry"]) == (3, [], "252001 bytes: too long to be told here")


def test_words_that_nobody_hears_end_no_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert notify("READY=1") is False
    ear = Ear(tmp_path / "there")
    monkeypatch.setenv("NOTIFY_SOCKET", str(ear.path))
    assert notify("WATCHDOG=1\nX=" + "x" * 2**20) is False
    assert notify("READY=1") is True
    assert ear.heard() == ["READY=1"]
    ear.close()


@pytest.mark.parametrize("beat", ["5", "[]", '{"why":', "[" * 100_000, '{"a":1e999}x', "\xff"])
def test_a_beat_that_is_no_health_changes_none(tmp_path: Path, beat: str) -> None:
    ear = Ear(tmp_path / "ear")
    one = LifeOfChild(Child("room", [], beats=True), ear)
    one.told = {"why": "as it was"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as room:
        room.sendto(f"READY=1\n{life.BEAT}{beat}".encode(), str(ear.path))
    one.hear(1.0)
    ear.close()
    assert one.ready
    assert told({"room": one}, 1.0)["room"] == {"why": "as it was"}


def test_a_room_that_takes_long_to_start_is_not_taken_for_stuck_when_it_is_ready(tmp_path: Path) -> None:
    """On a busy machine rooms that needed more than SILENT_S were ended the moment they said READY, for ever."""
    ear = Ear(tmp_path / "ear")
    one = LifeOfChild(Child("room", ["sleep", "99"], beats=True), ear)
    one.start(0.0, Log(io.StringIO()), tmp_path)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as room:
            room.sendto(b"READY=1", str(ear.path))
        slow = FIRST_S - 1
        one.hear(slow)
        assert one.ready
        assert one.beats(slow)
        assert not one.beats(slow + SILENT_S + 1), "from then on it is expected to beat"
    finally:
        assert one.process is not None
        one.process.kill()
        one.process.wait()
        one.bury(slow)
        ear.close()


def test_a_room_that_takes_longer_to_start_than_it_is_given_is_given_more_each_time(tmp_path: Path) -> None:
    """On a slow card a room needs 90 s: ended after 60 and begun anew it would never be there."""
    said, ear, now, begun = io.StringIO(), Ear(tmp_path / "ear"), 0.0, [0.0]
    one = LifeOfChild(Child("room", ["sleep", "99"], beats=True), ear)
    one.start(now, Log(said), tmp_path)
    try:
        while now - begun[-1] < 90:  # as long as it needs
            one.hurry_up(now, Log(said))
            if one._aborted_at:
                assert one.process
                one.process.wait(BOUND_S)
                now += one.bury(now)
                one.start(now, Log(said), tmp_path)
                begun.append(now)
            now += 1
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as room:
            room.sendto(b"READY=1", str(ear.path))
        one.hear(now)
        assert one.ready
        assert len(begun) == 2
        assert "not ready after 61 s; has 120 s the next time" in said.getvalue()
        one.ready = False
        for _ in range(9):
            one._aborted_at = 0.0
            one.hurry_up(now + 10_000, Log(said))
        assert f"has {LONGEST_FIRST_S:g} s the next time" in said.getvalue()
    finally:
        if one.process:
            one.process.kill()
            one.process.wait()
        one.bury(now)
        ear.close()


def test_a_room_that_dies_for_days_is_started_again_for_ever() -> None:
    one = LifeOfChild(Child("room", []), None)
    waits = [one.wait(0.0) for _ in range(20_000)]
    assert (waits[:6], waits[-1]) == ([0.25, 0.5, 1.0, 2.0, 4.0, 5.0], 5.0)


def test_a_room_that_there_is_no_place_for_again_is_tried_later_and_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TasksMax, a limit of open files: `fork` says so when the room is started again."""
    said, started, child = io.StringIO(), list[str](), Child("room", [sys.executable, "-c", "exit(1)"])
    clock = SystemClock()
    supervisor = Supervisor([child, Child("other", ["sleep", "99"])], tmp_path, Log(said), clock)
    start = LifeOfChild.start

    def limited(one: LifeOfChild, now: float, *rest: Any) -> None:
        started.append(one.child.name)
        if started.count("room") == 2:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        if started.count("room") == 3:
            supervisor.stop.set()
        start(one, now, *rest)

    monkeypatch.setattr(LifeOfChild, "start", limited)
    assert supervisor.run(lambda: None, lambda: None, 1.0) == 0
    assert started == ["room", "other", "room", "room"]
    assert "cannot be started: [Errno 11] Resource temporarily unavailable; again in 0.5 s" in said.getvalue()


@pytest.mark.parametrize("error", [Retry("the disk is full"), KeyError("inner part")])
def test_a_room_whose_health_fails_says_so_and_lives(error: Exception) -> None:
    room, clock = Hollow(), HandClock()
    room.said = error  # type: ignore[assignment]
    one = life.Life(room, clock, lambda _: None)
    one._threads[1].start()
    until(lambda: str(error.args[0]) in one.facts()["why"], BOUND_S, "it says why")
    one._turns["health"].set()
    one._threads[1].join()


def test_a_loop_that_ends_by_itself_ends_the_room_as_failed() -> None:
    room = Hollow()
    room._work = lambda _: None  # type: ignore[method-assign]
    words: list[str] = []
    assert life.Life(room, HandClock(), words.append).run(threading.Event()) == 1
    assert room.closed
    assert words[-1] == f"STOPPING=1\n{life.FAREWELL}work: ended by itself", "not whatever was logged last"


# --- the door


HEALTH = {
    "ok": True,
    "rooms": {"ingest": {"ok": True, "restarts": 2, "heard_s": 0.5}},
    "ingest": {"counts": {'a"b': 3}},
}


def test_who_says_nothing_holds_up_nobody_at_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health._Handler, "timeout", 60.0)  # as for one who sends a byte now and then
    with ExitStack() as mute, listen("127.0.0.1", 0) as desk, Desk(desk, lambda: HEALTH, ""):
        for _ in range(4 * AT_ONCE):
            mute.enter_context(socket.create_connection(desk.getsockname()))
        assert ask(f"{url(desk)}/healthz")[0] == 200
        assert ask(f"{url(desk)}/else")[0] == 404
        assert 'gocche_ingest_messages_total{outcome="a\\"b"} 3\n' in ask(f"{url(desk)}/metrics")[1].decode()


def test_one_address_keeps_no_other_from_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health._Handler, "timeout", 60.0)
    with ExitStack() as mute, listen("127.0.0.1", 0) as desk, Desk(desk, lambda: HEALTH, ""):
        slow = mute.enter_context(socket.create_connection(desk.getsockname()))
        slow.sendall(b"GET /healthz HTTP/1.0\r\n")
        for _ in range(8 * AT_ONCE):
            mute.enter_context(socket.create_connection(desk.getsockname(), source_address=("127.0.0.2", 0)))
        assert ask(f"{url(desk)}/healthz")[0] == 200
        slow.sendall(b"\r\n")
        slow.settimeout(BOUND_S)
        assert slow.recv(100).startswith(b"HTTP/1.0 200 ")


def test_the_door_asks_for_its_token() -> None:
    with listen("127.0.0.1", 0) as desk, Desk(desk, lambda: HEALTH, "open sesame"):
        for shown, status in (("", 401), ("Bearer open", 401), ("Bearer open sesame", 200)):
            door = HTTPConnection(*desk.getsockname(), timeout=BOUND_S)
            door.request("GET", "/healthz", headers={"Authorization": shown})
            assert door.getresponse().status == status
            door.close()


def test_metrics_leave_out_what_is_not_known() -> None:
    assert "gocche_readings" not in metrics(HEALTH)
    many = metrics(HEALTH | {"ingest": {"audit": {"unknown": 0, "stored": 123_456_789}}})
    assert 'gocche_readings{fate="unknown"} 0\n' in many
    assert 'gocche_readings{fate="stored"} 123456789\n' in many, "cut to six digits nobody sees that it counts"
