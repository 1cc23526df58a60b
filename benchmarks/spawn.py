"""A process that starts commands when it is told to and times them, perhaps in a mount namespace.

Each line of its input is a command as JSON, each line of its output how many seconds it took. A first
argument names a mount to do without: some peers refuse a host with both versions of cgroups.
"""

import ctypes
import json
import os
import sys
import time

CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE, MNT_DETACH = 0x4000, 1 << 18, 2
NOTHING = [
    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
    (os.POSIX_SPAWN_DUP2, 1, 2),
]


def without(mountpoint: str) -> None:
    """Go into a mount namespace that lacks a mount."""
    libc = ctypes.CDLL(None, use_errno=True)
    for failed in (
        libc.unshare(CLONE_NEWNS),
        libc.mount(None, b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None),
        libc.umount2(mountpoint.encode(), MNT_DETACH),
    ):
        if failed:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), mountpoint)


def run(command: list[str]) -> float:
    """Run a command that must end well; return its wall time in seconds."""
    started = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=NOTHING)
    _, status = os.waitpid(pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"{command} ended with {os.waitstatus_to_exitcode(status)}")
    return seconds


def main() -> None:
    """Serve standard input."""
    for mountpoint in sys.argv[1:]:
        without(mountpoint)
    for line in sys.stdin:
        print(run(json.loads(line)), flush=True)


if __name__ == "__main__":
    main()
