"""systemd-machined's own words of a container beside the dump's, where systemd is the first process."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

from tests import command, requirements
from tests.engines import daemons
from tests.engines.side_by_side import Dump, Table, find, unnoticed

pytestmark = [pytest.mark.root]

CLAIMED: Final = ("id", "name", "engine", "status", "pid", "pids", "labels", "created_at")


@pytest.fixture
def machine() -> Iterator[str]:
    """Return the name of a machine that systemd-nspawn has registered."""
    if not Path("/run/systemd/system").is_dir():
        requirements.absent_here("systemd is not this host's first process")
    requirements.commands("systemd-nspawn", "machinectl", "busybox")
    name = f"cinspect-{uuid4().hex[:8]}"
    directory = Path(tempfile.mkdtemp(prefix="cinspect-machines-", dir="/var/tmp"))
    rootfs = daemons.make_rootfs(directory)
    (rootfs / "usr").mkdir()
    (rootfs / "etc" / "os-release").touch()
    words = (
        *("systemd-nspawn", "--quiet", f"--directory={rootfs}", f"--machine={name}"),
        *("--as-pid2", "--private-network", "/bin/sleep", "1000"),
    )
    log = directory / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "SYSTEMD_SECCOMP": "0", "SYSTEMD_NSPAWN_LOCK": "0"},
        ) as process,
    ):
        try:
            command.eventually(
                lambda: shown(name).get("State") == "running" or process.poll() is not None
            )
            assert process.poll() is None, log.read_text()
            yield name
        finally:
            process.terminate()
    shutil.rmtree(directory)


def shown(name: str) -> Mapping[str, str]:
    """Return what machinectl shows of a machine; nothing of one that is not registered."""
    done = subprocess.run(
        ("machinectl", "show", name),
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "TZ": "UTC"},
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def compare(said: Mapping[str, str], members: list[int], frame: Dump) -> Table:
    """Return machined's words of a machine, and its unit's processes, beside the dump's."""
    one = find(frame, said["Name"])
    table = Table(f"systemd-machined: {said['Name']}")
    table.same("id", said["Name"], one["id"])
    table.same("name", said["Name"], one["name"])
    table.same("engine", f"systemd-{said['Service'].removeprefix('systemd-')}", one["engine"])
    table.same("status", said["State"], one["status"])
    table.same("leader", int(said["Leader"]), one["pid"])
    table.same("processes", members, [pid for pid in one["pids"] if pid in members])
    table.same("none more", [], [pid for pid in one["pids"] if pid not in members])
    table.same("root", said["RootDirectory"], one["labels"].get("root"))
    table.same("unit", said["Unit"], one["labels"].get("unit"))
    # As systemd writes it: `Tue 2026-11-24 14:28:28 UTC`.
    stamp = said["Timestamp"].removesuffix(" UTC").split(" ", 1)[1].replace(" ", "T")
    table.time("created", f"{stamp}+00:00", one["created_at"], within=1)
    return table


def test_machined_and_the_dump_say_the_same(
    machine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = shown(machine)
    frame = command.dump("dump", "--section", "containers")
    leader = int(said["Leader"])
    # What the leader started is in its pid namespace, as are the processes of the unit's payload.
    space = os.readlink(f"/proc/{leader}/ns/pid")
    members = sorted(
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdecimal() and is_in(entry, space)
    )
    table = compare(said, members, frame)
    table.show(capsys)
    assert table.differing() == []
    assert unnoticed(lambda wrong: compare(said, members, wrong), frame, machine, CLAIMED) == []


def is_in(process: Path, space: str) -> bool:
    """Return whether a process is in a pid namespace."""
    try:
        return os.readlink(process / "ns" / "pid") == space
    except OSError:
        return False
