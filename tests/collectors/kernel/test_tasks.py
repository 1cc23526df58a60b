"""What processes hold, read of real ones: descriptors, sockets, waiting, their limits."""

import os
import resource
from pathlib import Path

import pytest

from collectors.kernel import tasks
from collectors.root import Root
from tests.collectors.kernel import made
from tests.collectors.overlay import made as overlays

pytestmark = pytest.mark.root

HOLDING = """
import resource, socket
unshare(NEWNET)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
held = [open("/dev/null") for _ in range(7)] + [socket.socket() for _ in range(3)]
end = time.monotonic() + 0.05
while time.monotonic() < end:
    pass
say(os.getpid())
wait()
"""


def figures(pid: int) -> tasks.Figures:
    (found,) = [one for one in tasks.read(Root()).figures if one.pid == pid]
    return found


def test_descriptors_sockets_and_limits_are_those_of_proc():
    with made.process(HOLDING) as (pid, _):
        said = figures(pid)
        assert said.descriptors == len(os.listdir(f"/proc/{pid}/fd"))
        assert said.sockets == 3
        assert said.open_files == (64, 64)
        assert said.processes == resource.prlimit(pid, resource.RLIMIT_NPROC) or said.processes == (
            None,
            None,
        )
        run, wait, slices = map(int, Path(f"/proc/{pid}/schedstat").read_text().split())
        assert (said.run_usec, said.wait_usec, said.timeslices) == (
            run // 1000,
            wait // 1000,
            slices,
        )
        assert run > 10_000_000


def test_the_filesystem_of_a_root_is_told_with_its_first_process(tmp_path):
    layers = overlays.make(tmp_path)
    with overlays.container(layers) as pid:
        said = figures(pid).filesystem
        assert said is not None
        there = os.statvfs(layers.upper)
    assert said.size_bytes == there.f_blocks * there.f_frsize
    assert said.inodes == there.f_files
    assert abs(said.free_bytes - there.f_bfree * there.f_frsize) < 1 << 30


def test_the_hosts_own_processes_are_not_read():
    with made.process("say('ready'); wait()") as (pid, _):
        assert pid not in {one.pid for one in tasks.read(Root()).figures}
