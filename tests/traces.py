"""What a test may leave on a host, and must not: mounts, processes, cgroups."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def mounts(marker: str) -> list[str]:
    """Return the mountpoints, the last made first, whose mount mentions this text."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in reversed(lines) if marker in line]


def processes(marker: str) -> dict[int, str]:
    """Return the command lines, by pid, of processes that mention this text in it."""
    found: dict[int, str] = {}
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (
                (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            )
            if marker in command and int(directory.name) != os.getpid():
                found[int(directory.name)] = command
    return found


def cgroups(marker: str) -> list[str]:
    """Return the cgroups, deepest first, with this text in their path."""
    return [
        directory
        for directory, _, _ in os.walk(CGROUPS, topdown=False)
        if marker in directory.removeprefix(str(CGROUPS))
    ]


def all_cgroups() -> set[str]:
    """Return every cgroup of every hierarchy."""
    return {directory for directory, _, _ in os.walk(CGROUPS)}


def remove(marker: str) -> None:
    """End the processes, and unmount and remove what mentions this text: a test's own name."""
    for pid in processes(marker):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for mountpoint in mounts(marker):
        subprocess.run(("umount", "--lazy", mountpoint), check=False, capture_output=True)
    for directory in cgroups(marker):
        remove_cgroup(directory)


def remove_cgroup(directory: str) -> None:
    """Kill what is in a cgroup, then remove it; wait for the kernel to let go of it."""
    for _ in range(50):
        with contextlib.suppress(OSError):
            for pid in Path(directory, "cgroup.procs").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.05)
        else:
            return


@contextlib.contextmanager
def none_left(marker: str) -> Iterator[None]:
    """Check that what mentions this text is gone at the end; remove it whatever the check says."""
    try:
        yield
        for _ in range(40):
            left = {
                "processes": processes(marker),
                "mounts": mounts(marker),
                "cgroups": cgroups(marker),
            }
            if not any(left.values()):
                break
            time.sleep(0.05)
        assert not any(left.values()), left
    finally:
        remove(marker)
