"""Cgroups of the running host: our own are made, filled, limited, frozen, removed, and read meanwhile."""

import contextlib
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.cgroupfs import hierarchies
from collectors.errors import Problems
from collectors.kernel import cgroups
from collectors.kernel.cgroups import Cgroup, CgroupsReading, Hierarchy
from collectors.root import Root
from tests import requirements
from tests.collectors.kernel import made

pytestmark = pytest.mark.root

BUSY = """
for path in sys.argv[1:]:
    open(path, "w").write("0")
held = bytearray(24 << 20)
for at in range(0, len(held), 4096):
    held[at] = 1
if os.fork() == 0:
    os.close(1)
    while os.getppid() != 1:
        pass
    os._exit(0)
say("ready")
wait()
"""


class Made:
    """One cgroup in every hierarchy, of the same name, and its files."""

    def __init__(self) -> None:
        self.path = f"/cinspect-test-{secrets.token_hex(6)}"
        self.hierarchies = hierarchies.find(Root(), Problems())

    def directory(self, hierarchy: Hierarchy) -> Path:
        return Path(hierarchy.mountpoint + self.path)

    def find(self, name: str) -> Path | None:
        """Return the file in the hierarchy that has it."""
        paths = [self.directory(hierarchy) / name for hierarchy in self.hierarchies]
        return next((path for path in paths if path.exists()), None)

    def entrances(self) -> list[str]:
        return [str(self.directory(hierarchy) / "cgroup.procs") for hierarchy in self.hierarchies]

    def groups(self, reading: CgroupsReading) -> dict[str, Cgroup]:
        return {group.hierarchy: group for group in reading.cgroups if group.path == self.path}

    def with_group(self, reading: CgroupsReading, field: str) -> Cgroup:
        found = [g for g in self.groups(reading).values() if getattr(g, field) is not None]
        if not found:
            requirements.lacking(f"no hierarchy of this host tells {field}")
        return found[0]


@pytest.fixture
def group() -> Iterator[Made]:
    group = Made()
    try:
        for hierarchy in group.hierarchies:
            make(group.directory(hierarchy), hierarchy)
        yield group
    finally:
        for hierarchy in group.hierarchies:
            remove(group.directory(hierarchy))


def make(directory: Path, hierarchy: Hierarchy) -> None:
    directory.mkdir()
    if hierarchy.version == 1 and "cpuset" in hierarchy.controllers:
        # It takes no process before it has been given cpus and memory nodes.
        for name in ("cpuset.cpus", "cpuset.mems"):
            (directory / name).write_text((directory.parent / name).read_text())


def remove(directory: Path) -> None:
    """Remove a cgroup and those below it; the last of its processes may be on its way out."""
    for child in directory.glob("*/"):
        remove(child)
    deadline = time.monotonic() + 10
    while directory.exists():
        with contextlib.suppress(OSError):
            directory.rmdir()
        assert time.monotonic() < deadline, f"{directory} cannot be removed"
        time.sleep(0.01)


def test_an_empty_group_is_seen_in_every_hierarchy_with_its_inode(group: Made):
    reading = cgroups.read(Root())
    found = group.groups(reading)
    assert set(found) == {
        ",".join(h.controllers) if h.version == 1 else "" for h in group.hierarchies
    }
    for hierarchy in group.hierarchies:
        name = ",".join(hierarchy.controllers) if hierarchy.version == 1 else ""
        assert found[name].inode == group.directory(hierarchy).stat().st_ino
        assert found[name].processes == 0


def test_a_busy_group_agrees_with_its_files(group: Made):
    with made.process(BUSY, *group.entrances()):
        time.sleep(0.5)
        before = cgroups.read(Root())
        time.sleep(0.5)
        reading = cgroups.read(Root())
        numbers = {
            name: int(path.read_text())
            for name in ("cpuacct.usage", "memory.usage_in_bytes", "pids.current")
            for path in (Path(h.mountpoint + group.path, name) for h in group.hierarchies)
            if path.exists()
        }
    assert {found.processes for found in group.groups(reading).values()} == {2}
    first = group.with_group(before, "cpu").hierarchy
    usage = [group.groups(each)[cpu_of(group, each, first)].cpu for each in (before, reading)]
    assert usage[0] is not None
    assert usage[1] is not None
    assert usage[0].usage_usec is not None
    assert usage[1].usage_usec is not None
    assert 100_000 < usage[1].usage_usec - usage[0].usage_usec < 1_500_000
    if "cpuacct.usage" in numbers:
        assert usage[1].usage_usec == pytest.approx(numbers["cpuacct.usage"] / 1000, abs=200_000)
    pids = group.with_group(reading, "pids").pids
    assert pids is not None
    assert pids.current == numbers.get("pids.current", pids.current) == 2
    memory = group.with_group(reading, "memory").memory
    assert memory is not None
    assert (memory.anon_bytes or 0) > 20 << 20
    expected = numbers.get("memory.usage_in_bytes", memory.current_bytes)
    assert memory.current_bytes == pytest.approx(expected, rel=0.05)


MANY = """
for path in sys.argv[1:]:
    open(path, "w").write("0")
for _ in range(999):
    if os.fork() == 0:
        os.close(1)
        wait()
        os._exit(0)
say("ready")
wait()
"""


def test_more_processes_than_a_page_lists_are_all_counted_in_each_reading(group: Made):
    with made.process(MANY, *group.entrances()):
        root, reader = Root(), cgroups.Reader()
        counts = [
            {found.processes for found in group.groups(reader.read(root)).values()}
            for _ in range(2)
        ]
    assert counts == [{1000}, {1000}]


def cpu_of(group: Made, reading: CgroupsReading, fallback: str) -> str:
    """Return the hierarchy that counts cpu time: with version 1, `cpu` and `cpuacct` may be two."""
    for name, found in group.groups(reading).items():
        if found.cpu is not None and found.cpu.usage_usec is not None:
            return name
    return fallback


SETTINGS: dict[str, list[tuple[str, str, str, object]]] = {
    "a quota": [
        ("cpu.cfs_quota_us", "30000", "cpu.quota_usec", 30000),
        ("cpu.max", "30000 50000", "cpu.quota_usec", 30000),
    ],
    "no quota": [
        ("cpu.cfs_quota_us", "-1", "cpu.quota_usec", None),
        ("cpu.max", "max 50000", "cpu.quota_usec", None),
    ],
    "a period": [
        ("cpu.cfs_period_us", "50000", "cpu.period_usec", 50000),
        ("cpu.max", "max 50000", "cpu.period_usec", 50000),
    ],
    "a part": [("cpu.shares", "512", "cpu.shares", 512), ("cpu.weight", "77", "cpu.weight", 77)],
    "a memory limit": [
        ("memory.limit_in_bytes", "33554432", "memory.limit_bytes", 33554432),
        ("memory.max", "33554432", "memory.limit_bytes", 33554432),
    ],
    "no memory limit": [
        ("memory.limit_in_bytes", "-1", "memory.limit_bytes", None),
        ("memory.max", "max", "memory.limit_bytes", None),
    ],
    "a second memory limit": [
        ("memory.high", "16777216", "memory.high_bytes", 16777216),
        ("memory.limit_in_bytes", "16777216", "memory.limit_bytes", 16777216),
    ],
    "a limit of pids": [("pids.max", "7", "pids.limit", 7)],
    "no limit of pids": [("pids.max", "max", "pids.limit", None)],
    "cpus": [("cpuset.cpus", "0", "cpuset_cpus", "0")],
    "frozen": [
        ("freezer.state", "FROZEN", "frozen", True),
        ("cgroup.freeze", "1", "frozen", True),
    ],
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_what_is_written_is_what_is_read(group: Made, setting: str):
    """Through the first of the files that this host has: version 1's or version 2's."""
    for file, written, field, expected in SETTINGS[setting]:
        path = group.find(file)
        if path is None:
            continue
        path.write_text(written)
        hierarchy = next(h for h in group.hierarchies if path.parent == group.directory(h))
        name = ",".join(hierarchy.controllers) if hierarchy.version == 1 else ""
        value: object = group.groups(cgroups.read(Root()))[name]
        for step in field.split("."):
            value = getattr(value, step)
        assert value == expected
        return
    requirements.lacking(f"this host's cgroups have no file for {setting}")


def test_frozen_processes_thaw_again(group: Made):
    freezers = [
        (group.directory(h) / "cgroup.freeze", "1", "0")
        for h in group.hierarchies
        if h.version == 2
    ]
    if not freezers:
        requirements.lacking("this host has no cgroup v2 hierarchy")
    file, freeze, thaw = freezers[0]
    with made.process(BUSY, *group.entrances()):
        try:
            file.write_text(freeze)
            assert eventually_frozen(group) is True
        finally:
            file.write_text(thaw)
        deadline = time.monotonic() + 5
        while group.groups(cgroups.read(Root()))[""].frozen and time.monotonic() < deadline:
            time.sleep(0.01)
        assert group.groups(cgroups.read(Root()))[""].frozen is False


def eventually_frozen(group: Made) -> bool | None:
    deadline = time.monotonic() + 5
    while not group.groups(cgroups.read(Root()))[""].frozen and time.monotonic() < deadline:
        time.sleep(0.01)
    return group.groups(cgroups.read(Root()))[""].frozen


def test_pressure_and_population_come_from_version_2(group: Made):
    if all(hierarchy.version == 1 for hierarchy in group.hierarchies):
        requirements.lacking("this host has no cgroup v2 hierarchy")
    assert group.groups(cgroups.read(Root()))[""].populated is False
    with made.process(BUSY, *group.entrances()):
        found = group.groups(cgroups.read(Root()))[""]
    assert found.populated is True
    if not os.path.exists("/proc/pressure/cpu"):
        requirements.lacking("this kernel counts no pressure")
    assert found.pressure is not None
    assert set(found.pressure) == {"cpu", "memory", "io"}
    assert found.pressure["cpu"].some is not None


def test_a_threaded_group_tells_no_processes_and_why(group: Made):
    v2 = [hierarchy for hierarchy in group.hierarchies if hierarchy.version == 2]
    if not v2:
        requirements.lacking("this host has no cgroup v2 hierarchy")
    below = group.directory(v2[0]) / "threaded"
    below.mkdir()
    (below / "cgroup.type").write_text("threaded")
    reading = cgroups.read(Root())
    (found,) = [one for one in reading.cgroups if one.path == f"{group.path}/threaded"]
    assert found.processes is None
    assert found.inode == below.stat().st_ino
    problems = [one for one in reading.problems if one.path.endswith("cgroup.procs")]
    assert [(one.path, one.error, one.operation) for one in problems] == [
        (str(below / "cgroup.procs"), "unavailable", "read")
    ]


def test_groups_that_come_and_go_meanwhile_are_no_problems(group: Made):
    """Another process makes and removes cgroups as fast as it can while the tree is read."""
    code = (
        "say('ready')\n"
        "while not select.select([0], [], [], 0)[0]:\n"
        "    for path in sys.argv[1:]: os.mkdir(path)\n"
        "    for path in sys.argv[1:]: os.rmdir(path)\n"
    )
    paths = [str(group.directory(h) / f"{n}") for h in group.hierarchies[:3] for n in range(8)]
    with made.process("import select\n" + code, *paths):
        for _ in range(40):
            reading = cgroups.read(Root())
            ours = [one for one in reading.problems if group.path in one.path]
            assert ours == []
            assert group.groups(reading)


FOUND_AGAIN = """
import subprocess
from collectors.cgroupfs.hierarchies import Finder
from collectors.errors import Missing, Problems
from collectors.root import Root
root, finder = Root(), Finder()
first = finder.find(root, Problems())
before = root.reads.files
assert finder.find(root, Problems()) == first
print(root.reads.files - before)
hidden = first[-1].mountpoint
subprocess.run(["mount", "-t", "tmpfs", "none", hidden], check=True)
try:
    assert hidden not in {one.mountpoint for one in finder.find(root, Problems())}
except Missing:
    pass
subprocess.run(["umount", hidden], check=True)
assert finder.find(root, Problems()) == first
"""


def test_hierarchies_are_looked_at_again_only_where_something_was_mounted():
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, "-c", FOUND_AGAIN],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert int(done.stdout) <= 2  # the table, and version 2's controllers
