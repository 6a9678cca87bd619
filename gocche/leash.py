"""Runs a command that cannot outlive the one who asked: `python leash.py PARENT_PID COMMAND…`.

prctl(PR_SET_PDEATHSIG) lets the kernel kill the command when its parent dies, even by kill -9; the setting survives
exec. It is done in a process of its own, before exec, because between fork and exec of a program with threads nothing
but a system call is safe. The signal is SIGKILL: nobody is left who would wait for a slower end, and every part of
gocche is built to be killed. The kernel counts the parent's thread, so the parent starts children from its main one.
Nothing of the project is imported here: this costs 20 ms for each child.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main(parent: int, command: list[str]) -> None:
    """Become the command. Ends with status 1 when the parent has died meanwhile, 127 when there is no such command."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"prctl(PR_SET_PDEATHSIG): {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        sys.exit(f"process {parent}, which asked for {command[0]}, is gone")
    try:
        os.execvp(command[0], command)  # noqa: S606 - the supervisor's own command, without a shell on purpose
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
