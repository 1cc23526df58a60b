"""Removes what a machine has outside itself, once the process that started it is gone.

Run as `python -I janitor.py CGROUP...` with a pipe as standard input: its end is the signal. So
the cgroups go even when the machine's driver was killed by SIGKILL. It exits with 1, and a line
for each, if one could not be removed.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PATIENCE_SECONDS = 10


def main(cgroups: Sequence[str]) -> int:
    """Wait for the end of standard input, then empty and remove these cgroups."""
    while os.read(0, 64):
        pass
    deadline = time.monotonic() + PATIENCE_SECONDS
    left = list(cgroups)
    while left:
        for cgroup in left:
            _kill(cgroup)
            _remove(cgroup)
        left = [cgroup for cgroup in left if os.path.isdir(cgroup)]
        if left and time.monotonic() > deadline:
            sys.stdout.writelines(f"janitor: still there: {cgroup}\n" for cgroup in left)
            return 1
        if left:
            time.sleep(0.05)
    return 0


def _kill(cgroup: str) -> None:
    """Kill every process in the cgroup and below it; those ended meanwhile are no concern."""
    for procs in Path(cgroup).rglob("cgroup.procs"):
        with contextlib.suppress(OSError):
            _kill_each(procs.read_text().split())


def _kill_each(pids: Sequence[str]) -> None:
    for pid in pids:
        # 0 stands for a process that this pid namespace does not know.
        if pid != "0":
            os.kill(int(pid), signal.SIGKILL)


def _remove(cgroup: str) -> None:
    """Remove the cgroup with all below it, as far as the kernel lets it go already."""
    for directory, _, _ in os.walk(cgroup, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(directory)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
