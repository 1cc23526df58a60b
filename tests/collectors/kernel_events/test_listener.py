"""What the kernel really tells: processes, mounts, want of memory; and that nothing of it stays."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.errors import CollectError
from collectors.formats.proc_event import Told
from collectors.kernel_events import connector as connectors
from collectors.kernel_events import memory
from collectors.kernel_events.connector import Connector
from collectors.kernel_events.listener import Heard, Listener
from collectors.root import Root
from tests import requirements

pytestmark = pytest.mark.root
MEMORY = Path("/sys/fs/cgroup/memory")


@pytest.fixture
def listener() -> Iterator[Listener]:
    before = set(os.listdir("/proc/self/fd"))
    made = Listener(Root())
    try:
        yield made
    finally:
        made.close()
    assert set(os.listdir("/proc/self/fd")) <= before
    assert not [one for one in threading.enumerate() if one.name == "cinspect-kernel-events"]


@pytest.fixture
def connector() -> Iterator[Connector]:
    try:
        made = Connector()
    except CollectError as error:
        requirements.absent_here(f"no proc connector: {error}")
    with contextlib.closing(made):
        yield made


def gathered(listener: Listener, enough, *, seconds: float = 20) -> list[Heard]:
    """Take until what was taken is enough; return all of it."""
    found: list[Heard] = []
    deadline = time.monotonic() + seconds
    while not found or not enough(found):
        assert time.monotonic() < deadline, found[-3:]
        found.append(listener.take())
        time.sleep(0.02)
    return found


def test_a_process_is_born_runs_a_program_and_ends(connector: Connector) -> None:
    with subprocess.Popen(("sh", "-c", "exit 3")) as process:
        process.wait()
    told = [one for one in connector.take() if one.pid == process.pid]
    assert [one.kind for one in told][-2:] == ["exec", "exit"]
    assert os.waitstatus_to_exitcode(told[-1].status) == 3
    at = connectors.wall_clock(told[-1].nanoseconds)
    assert abs(at - time.time()) < 5
    assert connector.lost() == 0


def test_threads_are_not_told_of(connector: Connector) -> None:
    for _ in range(5):
        thread = threading.Thread(target=time.sleep, args=(0.001,))
        thread.start()
        thread.join()
    assert [one for one in connector.take() if os.getpid() in {one.pid, one.parent}] == []
    assert connector.lost() == 0


def test_a_number_that_is_left_out_is_an_event_that_was_lost(connector: Connector, monkeypatch):
    monkeypatch.setattr(
        "collectors.formats.proc_event.parse",
        lambda _: [Told("exit", 77, number, 0, 5, 5) for number in (1, 2, 5)],
    )
    assert len(list(connector._counted(b""))) == 3
    assert connector.lost() == 2
    assert connector.lost() == 0


def test_a_full_buffer_is_told(connector: Connector) -> None:
    connector._socket.setsockopt(1, 8, 4096)  # SOL_SOCKET, SO_RCVBUF
    anywhere = os.sched_getaffinity(0)
    # Each CPU counts for itself: only what comes next from the same one shows the gap.
    os.sched_setaffinity(0, {min(anywhere)})
    try:
        for _ in range(100):
            subprocess.run(("true",), check=True)
        kept = len(list(connector.take()))
        for _ in range(6):
            subprocess.run(("true",), check=True)
        list(connector.take())
    finally:
        os.sched_setaffinity(0, anywhere)
    assert kept < 200
    assert connector.lost() > 20


def test_where_it_is_not_permitted_the_reason_is_said() -> None:
    script = (
        "from collectors.kernel_events.connector import Connector\n"
        "from collectors.errors import CollectError\n"
        "try: Connector()\n"
        "except CollectError as error: print(error.kind, error.path)\n"
    )
    done = subprocess.run(
        ("unshare", "--pid", "--fork", sys.executable, "-c", script),
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout == "denied netlink/connector\n"


def test_a_process_has_its_command_and_cgroup_however_short_it_lives(listener: Listener) -> None:
    mark = f"cinspect-test-{os.getpid()}"
    subprocess.run(("sh", "-c", f"sleep 0.2; : {mark}"), check=True)
    found = gathered(
        listener,
        lambda all_: any(mark.encode() in one.command for part in all_ for one in part.processes),
    )
    births = [one for part in found for one in part.processes if mark.encode() in one.command]
    assert births[0].cgroup.count(b":") >= 2


def test_a_mount_that_lasts_for_a_moment_is_told(listener: Listener, tmp_path: Path) -> None:
    namespace = int(os.readlink("/proc/self/ns/mnt")[5:-1])
    listener.watch_mounts({namespace: os.getpid()})
    subprocess.run(("mount", "-t", "tmpfs", "cinspect-test", str(tmp_path)), check=True)
    time.sleep(0.1)
    subprocess.run(("umount", str(tmp_path)), check=True)
    found = gathered(
        listener,
        lambda all_: (
            sum(one.mount.mountpoint == str(tmp_path) for part in all_ for _, one in part.mounts)
            > 1
        ),
    )
    changes = [
        one.what
        for part in found
        for _, one in part.mounts
        if one.mount.mountpoint == str(tmp_path)
    ]
    assert changes == ["mounted", "unmounted"]


def test_a_namespace_that_is_watched_ends_with_its_process(listener: Listener) -> None:
    with subprocess.Popen(
        ("unshare", "--mount", "sh", "-c", "echo; read -r _"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        namespace = int(os.readlink(f"/proc/{process.pid}/ns/mnt")[5:-1])
        listener.watch_mounts({namespace: process.pid})
        assert namespace in listener._state.tables.watched
        process.kill()
    deadline = time.monotonic() + 10
    while namespace in listener._state.tables.watched:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def cgroup() -> Iterator[Path]:
    if not (MEMORY / "cgroup.event_control").exists():
        requirements.absent_here("memory has no version 1 hierarchy here")
    path = MEMORY / f"cinspect-test-notices-{os.getpid()}"
    path.mkdir()
    try:
        yield path
    finally:
        with contextlib.suppress(FileNotFoundError):
            path.rmdir()


def hungry(path: Path) -> None:
    """Run what takes more memory than a cgroup has, until it is killed for it."""
    script = f"echo 0 > {path}/cgroup.procs; tail /dev/zero"
    done = subprocess.run(("sh", "-c", f"{script}; exit 0"), check=False, capture_output=True)
    assert done.returncode in {0, 137, -9}


def test_want_of_memory_is_told_by_eventfd(listener: Listener, cgroup: Path) -> None:
    (cgroup / "memory.limit_in_bytes").write_text(str(16 << 20))
    listener.watch_memory({str(cgroup): f"/{cgroup.name}"})
    hungry(cgroup)
    found = gathered(
        listener,
        lambda all_: any(one.what == "oom" for part in all_ for _, one in part.memory),
    )
    told = Counter(one.what for part in found for _, one in part.memory)
    assert told["oom"] >= 1
    (usage, *_) = [one for part in found for _, one in part.memory if one.what == "usage"] or [None]
    assert usage is None or usage.threshold_bytes == int((16 << 20) * 0.9)


def test_a_kill_in_a_cgroup_that_is_gone_is_told_and_the_removal_is_none(
    listener: Listener, cgroup: Path
) -> None:
    (cgroup / "memory.limit_in_bytes").write_text(str(16 << 20))
    notices = memory.Notices(Root())
    descriptors = notices.add(str(cgroup), f"/{cgroup.name}")
    assert len(descriptors) == 3
    hungry(cgroup)
    cgroup.rmdir()
    time.sleep(0.3)
    told = {one.what: one for one in map(notices.read, descriptors) if one is not None}
    notices.close()
    assert told["oom"].gone
    assert told["oom"].times >= 1


def test_a_cgroup_that_goes_away_in_peace_is_let_go_of(listener: Listener, cgroup: Path) -> None:
    listener.watch_memory({str(cgroup): f"/{cgroup.name}"})
    assert str(cgroup) in listener._state.notices.watched
    cgroup.rmdir()
    deadline = time.monotonic() + 10
    while str(cgroup) in listener._state.notices.watched:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert listener.take().memory == ()
