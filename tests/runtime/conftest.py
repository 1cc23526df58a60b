"""Engines of their own for tests: what they leave behind is a failure."""

import asyncio
import contextlib
import glob
import os
import secrets
import shutil
import signal
import time

import pytest

from runtime.api import Runtime


def cgroups():
    """Return every cgroup directory of the engine's containers."""
    return set(glob.glob("/sys/fs/cgroup/**/cinspect/*/", recursive=True))


def mounts(below):
    """Return the mount points below a directory."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return [line.split()[4] for line in file if line.split()[4].startswith(below)]


def processes(mention):
    """Return the pids whose command line or working directory mentions a text."""
    found = set()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                line = file.read().decode(errors="replace")
            if mention in line + os.readlink(f"/proc/{entry}/cwd") and int(entry) != os.getpid():
                found.add(int(entry))
    return found


@pytest.fixture
def place():
    """A directory whose path is short enough for sockets; nothing may live or be mounted below it."""
    path = f"/tmp/cinspect-test-{secrets.token_hex(4)}"
    os.mkdir(path, 0o755)
    known = cgroups()
    yield path
    deadline = time.monotonic() + 3  # a shim, or who removes its container, may be ending just now
    while processes(path) and time.monotonic() < deadline:
        time.sleep(0.02)
    left = {
        "mounts": mounts(path),
        "processes": processes(path),
        "cgroups": {
            each
            for each in cgroups() - known
            if os.path.basename(each.rstrip("/")) in _ids(path) or os.path.basename(path) in each
        },
    }
    for each in reversed(left["mounts"]):
        os.system(f"umount -l '{each}'")
    for pid in left["processes"]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(path, ignore_errors=True)
    assert not any(left.values()), left


def _ids(path):
    """Return the ids of containers that the journal tells of."""
    import json

    found = set()
    with (
        contextlib.suppress(FileNotFoundError),
        open(f"{path}/state/events/journal.ndjson") as file,
    ):
        for line in file:
            with contextlib.suppress(ValueError):
                found.add(json.loads(line)["container"])
    return found


@pytest.fixture
async def engine(place):
    """An engine; what is left of its containers is removed."""
    runtime = Runtime(root=f"{place}/root", state=f"{place}/state")
    yield runtime
    for container in await runtime.containers():
        await runtime.remove(container.id, force=True)
    assert (
        os.listdir(f"{place}/root/snapshots") == []
        if os.path.exists(f"{place}/root/snapshots")
        else True
    )
    await runtime.close()
    # a shim that has just been told to end needs a moment to
    async with asyncio.timeout(5):
        while processes(place):
            await asyncio.sleep(0.02)
