"""What is told of cgroups whose real limits are hit: held back, killed, refused, at the limit of a disk."""

import asyncio
import contextlib
import os
import time
from pathlib import Path

import pytest

from collectors.registry import collectors
from collectors.root import Root
from inspector.chain import Chain
from inspector.domains.cgroups.model import Finding
from inspector.sampler import Sampler
from tests import requirements
from tests.collectors.kernel import made
from tests.collectors.kernel.test_cgroups_live import Made, make
from tests.collectors.kernel.test_cgroups_live import group as group  # noqa: PLC0414 - a fixture

pytestmark = pytest.mark.root

ENTER = """
for path in sys.argv[1].split(","):
    open(path, "w").write("0")
"""
SPIN = (
    ENTER
    + """
if os.fork() == 0:
    os.close(1)
    while os.getppid() != 1:
        pass
    os._exit(0)
say("ready")
wait()
"""
)
EAT = (
    ENTER
    + """
say("ready")
os.read(0, 1)
held = bytearray(256 << 20)
for at in range(0, len(held), 4096):
    held[at] = 1
say("survived")
"""
)
FORK = (
    ENTER
    + """
refused = 0
for _ in range(12):
    try:
        if os.fork() == 0:
            os.close(1)
            wait()
            os._exit(0)
    except BlockingIOError:
        refused += 1
say(refused)
wait()
"""
)
WRITE = (
    ENTER
    + """
import mmap
fd = os.open(sys.argv[2], os.O_RDWR | os.O_CREAT | os.O_DIRECT)
page = mmap.mmap(-1, 1 << 16)
if os.fork() == 0:
    os.close(1)
    while os.getppid() != 1:
        os.lseek(fd, 0, 0)
        os.write(fd, page)
    os._exit(0)
say("ready")
wait()
"""
)


class Nest:
    """A cgroup with one below it, in every hierarchy, and what is told of both."""

    def __init__(self, group: Made) -> None:
        self.group = group
        self.path = group.path
        self.child = f"{group.path}/leaf"
        for hierarchy in group.hierarchies:
            control = group.directory(hierarchy) / "cgroup.subtree_control"
            for controller in ("cpu", "memory", "pids", "io") if hierarchy.version == 2 else ():
                with contextlib.suppress(OSError):
                    control.write_text(f"+{controller}")
            make(group.directory(hierarchy) / "leaf", hierarchy)
        self._chain = Chain()
        self._sampler = Sampler(Root(), collectors(Root()))

    def entrances(self) -> str:
        """Return the files by which a process enters the one below."""
        return ",".join(
            str(self.group.directory(one) / "leaf" / "cgroup.procs")
            for one in self.group.hierarchies
        )

    def limit(self, version2: str, version1: str) -> Path:
        """Return the upper one's file of a limit; end the test where there is none."""
        found = self.group.find(version2) or self.group.find(version1)
        if found is None:
            requirements.absent_here(f"this host's cgroups have neither {version2} nor {version1}")
        return found

    def look(self) -> dict[str, list[Finding]]:
        """Take a sample; return the findings by path, of all hierarchies."""
        frame = self._chain.advance(asyncio.run(self._sampler.sample({"cgroups"})))
        assert isinstance(frame.cgroups, tuple)
        told: dict[str, list[Finding]] = {}
        for one in frame.cgroups:
            told.setdefault(one.path, []).extend(one.findings)
        return told

    def until(self, kind: str, path: str, seconds: float = 20) -> Finding:
        """Look again and again until this kind is told of a cgroup."""
        deadline = time.monotonic() + seconds
        while True:
            told = self.look().get(path, [])
            found = next((one for one in told if one.kind == kind), None)
            if found is not None:
                return found
            assert time.monotonic() < deadline, f"{kind} of {path} was never told: {told}"
            time.sleep(0.3)


@pytest.fixture
def nest(group: Made) -> Nest:
    return Nest(group)


def test_who_is_held_back_by_the_quota_of_the_one_above(nest: Nest):
    quota = nest.limit("cpu.max", "cpu.cfs_quota_us")
    quota.write_text("20000 100000" if quota.name == "cpu.max" else "20000")
    nest.look()
    with made.process(SPIN, nest.entrances()):
        found = nest.until("cpu_throttled", nest.child)
    assert found.cgroup == nest.path
    assert found.numbers["limit_cores"] == pytest.approx(0.2)
    assert found.numbers["ratio"] >= 0.3
    file = "cpu.max" if quota.name == "cpu.max" else "cpu.cfs_quota_us"
    assert found.sentence.endswith(f"by {file} of {nest.path}: 0.2 cores")


def killed(nest: Nest) -> None:
    """Have a process below killed for want of memory."""
    with made.process(EAT, nest.entrances()) as (pid, _):
        nest.look()
        os.kill(pid, 0)
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000")
        with open(f"/proc/{pid}/fd/0", "wb") as start, contextlib.suppress(BrokenPipeError):
            start.write(b"x")
        deadline = time.monotonic() + 30
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < deadline, "it was not killed"
            time.sleep(0.05)


def limit_memory(nest: Nest) -> None:
    nest.limit("memory.max", "memory.limit_in_bytes").write_text(str(32 << 20))
    swap = nest.group.find("memory.swap.max") or nest.group.find("memory.memsw.limit_in_bytes")
    if swap is not None:
        # Version 1 limits both together: a little more, so that it is memory's that is hit.
        swap.write_text("0" if swap.name == "memory.swap.max" else str(33 << 20))


def test_a_kill_for_want_of_memory_is_told_of_the_cgroup_that_it_was_in(nest: Nest):
    limit_memory(nest)
    nest.look()
    killed(nest)
    found = nest.until("oom_kill", nest.child)
    assert found.numbers == {"kills": 1, "new_kills": 1}
    assert found.sentence.startswith(
        "the kernel killed 1 process for want of memory so far, 1 of them in the last "
    )
    hit = nest.until("memory_limit_hit", nest.path)
    assert hit.numbers["hits"] > 0


def test_a_kill_in_a_cgroup_that_is_removed_at_once_is_told_of_the_one_above(nest: Nest):
    limit_memory(nest)
    nest.look()
    time.sleep(0.2)
    nest.look()
    killed(nest)
    for hierarchy in nest.group.hierarchies:
        leaf = nest.group.directory(hierarchy) / "leaf"
        deadline = time.monotonic() + 10
        while leaf.exists():
            with contextlib.suppress(OSError):
                leaf.rmdir()
            assert time.monotonic() < deadline
    found = nest.until("oom_kill_gone", nest.path)
    assert found.numbers == {"kills": 1}
    assert nest.child in found.sentence


def test_refused_forks_are_told_with_the_limit_of_the_one_above(nest: Nest):
    nest.limit("pids.max", "pids.max").write_text("8")
    nest.look()
    with made.process(FORK, nest.entrances()) as (_, (refused,)):
        found = nest.until("pids_near_limit", nest.child)
    assert int(refused) >= 4
    assert (found.cgroup, found.severity) == (nest.path, "critical")
    assert found.sentence.startswith(f"8 tasks of 8 that pids.max of {nest.path} allows")


def test_writing_at_the_limit_of_a_disk_is_told(nest: Nest, tmp_path: Path):
    limit = nest.limit("io.max", "blkio.throttle.write_bps_device")
    holder = nest.path
    if limit.name != "io.max":  # version 1: a limit holds for the cgroup itself alone
        limit, holder = limit.parent / "leaf" / limit.name, nest.child
    status = tmp_path.stat()
    device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    try:
        limit.write_text(
            f"{device} wbps=1048576" if limit.name == "io.max" else f"{device} 1048576"
        )
    except OSError as error:
        requirements.absent_here(f"the disk of {tmp_path} takes no limit: {error}")
    nest.look()
    with made.process(WRITE, nest.entrances(), str(tmp_path / "file")):
        found = nest.until("io_at_limit", nest.child)
    assert found.cgroup == holder
    assert found.numbers["limit"] == 1 << 20
    assert 0.9 <= found.numbers["ratio"] < 2
    assert "of 1.00M/s that" in found.sentence
