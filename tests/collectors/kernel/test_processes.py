"""Processes: recorded ones in full, and live ones that are odd, many, hidden or on their way out."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from collectors import procfs
from collectors.collector import FileCollector
from collectors.errors import Gone, Missing, Problems
from collectors.kernel import processes
from collectors.kernel.processes import CgroupEntry, Process, ProcessesReading
from collectors.root import Root
from tests import requirements
from tests.collectors.kernel import made

FIXTURES = Path(__file__).parents[2] / "fixtures"


def by_pid(reading: ProcessesReading) -> dict[int, Process]:
    return {process.pid: process for process in reading.processes}


def one(reading: ProcessesReading, *command: str) -> Process:
    (found,) = [process for process in reading.processes if process.command == command]
    return found


@pytest.fixture(scope="module")
def recorded() -> ProcessesReading:
    return processes.read(Root(str(FIXTURES / "v2-systemd")))


def test_a_recorded_host_has_no_problems_and_no_reader(recorded: ProcessesReading):
    assert recorded.problems == ()
    assert recorded.own_pid == 0
    assert [process.pid for process in recorded.processes] == sorted(by_pid(recorded))


def test_pid_1_of_a_recorded_host(recorded: ProcessesReading):
    assert by_pid(recorded)[1] == Process(
        pid=1,
        start_ticks=9,
        ppid=0,
        namespace_pids=(1,),
        uid=0,
        gid=0,
        comm="systemd",
        command=("/lib/systemd/systemd",),
        state="S",
        threads=1,
        utime_ticks=205,
        stime_ticks=3,
        rss_bytes=2888 * 4096,
        kernel_thread=False,
        cgroups=(CgroupEntry(0, (), "/init.scope"),),
        cap_inheritable=0,
        cap_permitted=0x1FFFFFFFFFF,
        cap_effective=0x1FFFFFFFFFF,
        cap_bounding=0x1FFFFFFFFFF,
        cap_ambient=0,
        no_new_privs=False,
        seccomp=0,
    )


def test_a_confined_process_in_a_container_shows_what_it_may_do(recorded: ProcessesReading):
    still = next(
        process
        for process in recorded.processes
        if "docker" in process.cgroups[0].path and process.uid
    )
    assert still.command == ("sleep", "1000")
    assert still.namespace_pids == (still.pid, 1)
    assert (still.cap_effective, still.cap_bounding) == (0, 0)
    assert still.no_new_privs is True
    assert still.seccomp == 2
    assert still.cgroups[0].path.startswith("/system.slice/docker-")


def test_a_kernel_thread_and_a_zombie_have_no_command(recorded: ProcessesReading):
    kthreadd = by_pid(recorded)[2]
    assert (kthreadd.comm, kthreadd.kernel_thread, kthreadd.command) == ("kthreadd", True, ())
    (zombie,) = [process for process in recorded.processes if process.state == "Z"]
    assert (zombie.comm, zombie.command, zombie.rss_bytes) == ("sleep", (), 0)


def test_v1_gives_a_cgroup_for_each_hierarchy():
    reading = processes.read(Root(str(FIXTURES / "v1-docker")))
    entries = by_pid(reading)[1].cgroups
    assert ("cpu", "cpuacct") in [entry.controllers for entry in entries]
    assert ("name=systemd",) in [entry.controllers for entry in entries]
    assert {entry.hierarchy for entry in entries} == set(range(1, 9))


def test_a_torn_file_costs_its_process_and_is_told(tmp_path: Path):
    for pid, stat in (("1", FIXTURES / "v2-systemd/proc/1"), ("7", None)):
        directory = tmp_path / "proc" / pid
        directory.mkdir(parents=True)
        for name in ("stat", "status", "cmdline", "cgroup"):
            data = b"7 (x" if stat is None else (stat / name).read_bytes()
            (directory / name).write_bytes(data)
    reading = processes.read(Root(str(tmp_path)))
    assert [process.pid for process in reading.processes] == [1]
    (problem,) = reading.problems
    assert (problem.path, problem.operation, problem.error) == ("/proc/7/stat", "parse", "format")


def test_this_process_is_as_psutil_sees_it():
    reading = processes.read(Root())
    mine = by_pid(reading)[os.getpid()]
    other = psutil.Process()
    assert reading.own_pid == os.getpid()
    assert list(mine.command) == other.cmdline()
    assert mine.comm == other.name()[:15]
    assert mine.ppid == other.ppid()
    assert mine.uid == other.uids().effective
    assert mine.threads == other.num_threads()
    assert mine.rss_bytes == pytest.approx(other.memory_info().rss, rel=0.2)
    started = psutil.boot_time() + mine.start_ticks / reading.ticks_per_second
    assert started == pytest.approx(other.create_time(), abs=1.1)


NAMES = [b"a) R 1 (", b"two\nlines", b"\xff\xfe\xfd", b"\x1b[2J", b" "]


@pytest.mark.parametrize("name", NAMES)
def test_a_process_may_call_itself_anything(name: bytes):
    code = f"open('/proc/self/comm', 'wb').write({name!r})\nsay('ready')\nwait()"
    with made.process(code) as (pid, _):
        reading = processes.read(Root())
    found = by_pid(reading)[pid]
    assert found.comm == name.decode("utf-8", "backslashreplace")
    assert found.ppid == os.getpid()
    assert msgspec.json.decode(msgspec.json.encode(found))["comm"] == found.comm


def test_a_live_zombie_is_listed():
    code = "pid = os.fork()\nif pid == 0: os._exit(0)\ntime.sleep(0.1)\nsay(pid)\nwait()"
    with made.process(code) as (parent, words):
        reading = processes.read(Root())
    zombie = by_pid(reading)[int(words[0])]
    assert (zombie.state, zombie.ppid, zombie.command) == ("Z", parent, ())
    assert reading.problems == () or all(str(zombie.pid) not in p.path for p in reading.problems)


def test_an_open_process_that_ends_is_gone_for_good():
    with made.process("say('ready')\nwait()") as (pid, _):
        directory = Root().directory(f"proc/{pid}")
        assert directory.read("stat").startswith(b"%d " % pid)
    with directory, pytest.raises((Gone, Missing)):
        directory.read("stat")


REUSE = """
import os, sys
sys.path.insert(0, sys.argv[1])
from collectors.errors import Gone, Missing
from collectors.root import Root
def child():
    pid = os.fork()
    if pid == 0:
        os.read(0, 1)
        os._exit(0)
    return pid
first = child()
root = Root()
with root.directory(f"proc/{first}") as directory:
    directory.read("stat")
    os.kill(first, 9)
    os.waitpid(first, 0)
    with open("/proc/sys/kernel/ns_last_pid", "w") as last:
        last.write(str(first - 1))
    second = child()
    assert second == first, (first, second)
    root.read(f"proc/{second}/stat")
    try:
        directory.read("status")
    except (Gone, Missing):
        print("not mixed")
os.kill(second, 9)
"""


@pytest.mark.root
def test_a_pid_that_is_used_again_is_never_read_as_the_first_process():
    if not os.path.exists("/proc/sys/kernel/ns_last_pid"):
        requirements.lacking("this kernel does not let the next pid be chosen")
    checkout = str(Path(__file__).parents[3])
    command = ["unshare", "-fpm", "--mount-proc", sys.executable, "-c", REUSE, checkout]
    result = subprocess.run(
        command, stdin=subprocess.PIPE, capture_output=True, text=True, check=False
    )
    assert result.stdout == "not mixed\n", result.stderr


HIDDEN = """
import os, sys
sys.path.insert(0, sys.argv[1])
import msgspec
from collectors.kernel import processes
from collectors.root import Root
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
sys.stdout.buffer.write(msgspec.json.encode(processes.read(Root())))
"""


@pytest.mark.root
@pytest.mark.parametrize("hidepid", ["1", "2"])
def test_processes_hidden_by_hidepid_are_told_of(hidepid: str):
    checkout = str(Path(__file__).parents[3])
    script = f'mount -t proc -o hidepid={hidepid} proc /proc && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", script, "sh", sys.executable, "-c", HIDDEN]
    result = subprocess.run([*command, checkout], capture_output=True, check=False)
    reading = msgspec.json.decode(result.stdout, type=ProcessesReading)
    assert {process.uid for process in reading.processes} == {65534}
    assert reading.own_pid in by_pid(reading)
    assert [problem.error for problem in reading.problems] == ["denied"]
    assert ("such files" in reading.problems[0].message) == (hidepid == "1")
    assert ("pid 1 is not listed" in reading.problems[0].message) == (hidepid == "2")


def test_a_host_that_lists_pid_1_hides_nothing(tmp_path: Path):
    problems = Problems()
    procfs.limits(Root(str(tmp_path)), [1, 7], problems)
    procfs.limits(Root(str(tmp_path)), [], problems)
    assert problems.all() == ()
    procfs.limits(Root(str(tmp_path)), [7], problems)
    assert [problem.operation for problem in problems.all()] == ["readdir"]


async def test_thousands_of_processes_do_not_stall_the_event_loop():
    gaps: list[float] = []

    async def tick() -> None:
        while True:
            started = time.perf_counter()
            await asyncio.sleep(0.005)
            gaps.append(time.perf_counter() - started)

    with made.crowd(3000) as parent:
        ticker = asyncio.get_running_loop().create_task(tick())
        started = time.perf_counter()
        reading = await FileCollector(processes.KEY, processes.read, Root()).collect()
        seconds = time.perf_counter() - started
        ticker.cancel()
    assert sum(process.ppid == parent for process in reading.processes) == 3000
    assert len(gaps) > 5
    assert max(gaps) < max(seconds / 3, 0.05), f"{max(gaps):.3f} s of {seconds:.3f} s"
