"""What other processes cost: CPU to the nanosecond by their own clock, memory as the kernel counts it.

clock_getcpuclockid(3) of another process is a fixed formula on Linux; unlike getrusage it can be read while the
process lives, and unlike /proc/PID/stat it does not count in hundredths. Nothing has to be installed for it.
"""

from __future__ import annotations

import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from typing import Self

PATIENCE_S, STOP_S = 60.0, 20.0
_SCHED = 2  # CPUCLOCK_SCHED of linux/posix-timers.h: the whole process, threads that ended included


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has used, in all its threads."""
    return time.clock_gettime((~pid << 3) | _SCHED)


class Memory(msgspec.Struct, frozen=True):
    """Memory of a process in MiB: resident, and of that its own (anonymous).

    The rest is files (libraries, Python itself) that processes share and the kernel may drop. What it calls private
    depends on who else happens to map them.
    """

    rss: float
    own: float


def memory(pid: int) -> Memory:
    """Return what a process holds now."""
    kib = {
        line.split(":")[0]: int(line.split()[1])
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    }
    return Memory(kib["Rss"] / 1024, kib["Anonymous"] / 1024)


def words(pid: int) -> list[str]:
    """Return the command line of a process."""
    return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")


def threads(pid: int) -> int:
    """Return how many threads a process has now."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def tree(pid: int) -> list[int]:
    """Return a process and all that it started and that still run."""
    started = [one for file in Path(f"/proc/{pid}/task").glob("*/children") for one in file.read_text("ascii").split()]
    return [pid, *(one for child in started for one in tree(int(child)))]


def by_thread(pid: int) -> dict[int, tuple[str, float]]:
    """Return of each thread of a process, by its id, how the machine calls it and the CPU seconds that it has used."""
    taken = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        ran_ns = int((task / "schedstat").read_text(encoding="ascii").split()[0])  # Documentation/scheduler/sched-stats
        taken[int(task.name)] = (task / "comm").read_text(encoding="utf-8").strip(), ran_ns / 1e9
    return taken


def file_system(folder: Path) -> str:
    """Return the type of the file system that a folder lies on: what a flush means depends on it."""
    found = max(
        (line.split()[1:3] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()),
        key=lambda mount: len(mount[0]) if folder.resolve().is_relative_to(mount[0]) else -1,
    )
    return found[1]


class Child:
    """A Python module of ours or of a peer in a process of its own; it speaks in lines, the first of them `ready`."""

    def __init__(self, module: str, *words: object, log: Path) -> None:
        self._command = [sys.executable, "-m", module, *map(str, words)]
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self._process is not None
        return self._process.pid

    def line(self) -> str:
        """Return the next line that the process says. Raises RuntimeError with its log when none comes."""
        assert self._process is not None
        out = _out(self._process)
        said = out.readline().strip() if select.select([out], [], [], PATIENCE_S)[0] else ""
        if not said:
            words = self._log.read_text(encoding="utf-8")[-2000:]
            raise RuntimeError(f"{self._command[2]} ended, or said nothing for {PATIENCE_S:g} s: {words}")
        return said

    def __enter__(self) -> Self:
        with self._log.open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.line() == "ready"
        return self

    def __exit__(self, *_: object) -> None:
        process, self._process = self._process, None
        assert process is not None
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        finally:
            _out(process).close()


def _out(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout
