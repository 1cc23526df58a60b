"""A spare: a child that waits for a container, and is its init without a fork."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runtime.init import spare
from tests import requirements

pytestmark = pytest.mark.root
ARENA = Path(__file__).with_name("arena.py")
PROGRAM = """
import os, sys
sys.path.insert(0, sys.argv[1])
from runtime.init import launcher, spare
spare.keep()
print(spare.pid(), flush=True)
{then}
"""


@pytest.fixture
def owner():
    """Return a function that runs a process with a spare, then something; and gives both."""
    with contextlib.ExitStack() as stack:

        def run(then: str = "sys.stdin.read()") -> tuple[subprocess.Popen, int]:
            project = str(Path(spare.__file__).parents[2])
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", PROGRAM.format(then=then), project],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            return process, int(process.stdout.readline())

        yield run


def ended(pid: int) -> bool:
    """Wait until a process is gone, which takes no time unless the machine is busy."""
    deadline = time.monotonic() + 20
    while os.path.exists(f"/proc/{pid}/stat") and time.monotonic() < deadline:
        time.sleep(0.01)
    return not os.path.exists(f"/proc/{pid}/stat")


def test_the_init_is_the_spare_gone_on(play):
    result = play(spare=True)
    assert result["init"]["status"] == 0
    assert result["spare"] == {"before": True, "after": False}


def test_its_namespaces_are_all_its_own(play):
    result = play(spare=True)
    init, host = (result["namespaces"][who] for who in ("init", "host"))
    same = {name for name in init if init[name] == host[name]}
    assert same - {"pid_for_children", "time_for_children"} == {"user", "time"} & set(host)


def test_its_loopback_is_up(shell):
    assert "LOWER_UP" in shell("ip link show lo", spare=True)


def test_the_host_s_network_stays_if_it_is_asked_for(play):
    kinds = [{"type": each} for each in ("mount", "pid", "uts", "ipc", "cgroup")]
    result = play(spare=True, linux={"namespaces": kinds})
    assert result["namespaces"]["init"]["net"] == result["namespaces"]["host"]["net"]


def test_it_is_in_the_container_s_cgroups(shell):
    lines = shell("cat /proc/self/cgroup", spare=True).splitlines()
    assert lines
    assert all(line.endswith(":/") for line in lines)


def test_it_has_no_descriptor_of_its_parent(shell):
    assert sorted(shell("ls /proc/self/fd", spare=True).split()) == ["0", "1", "2", "3"]


def test_a_user_namespace_is_made_without_it_and_it_stays(play):
    kinds = [{"type": each} for each in ("mount", "pid", "uts", "ipc", "network", "cgroup", "user")]
    ids = [{"containerID": 0, "hostID": 1_600_000_000, "size": 65536}]
    result = play(spare=True, linux={"namespaces": kinds, "uidMappings": ids, "gidMappings": ids})
    if "cannot map ids" in result.get("message", ""):
        requirements.absent_here(result["message"])
    assert result["init"]["status"] == 0
    assert result["spare"] == {"before": True, "after": True}


def test_what_it_cannot_do_is_told_as_without_it(play):
    volume = [{"destination": "/v", "type": "bind", "source": "/nowhere/at/all"}]
    results = [play(spare=each, **{"+mounts": volume}) for each in (True, False)]
    assert results[0]["message"] == results[1]["message"]
    assert "/nowhere/at/all" in results[0]["message"]


def test_what_cannot_be_planned_is_told_as_without_it(play):
    results = [play(spare=each, linux={"rootfsPropagation": "odd"}) for each in (True, False)]
    assert results[0]["error"] == results[1]["error"] == "InvalidArgument"
    assert results[0]["message"] == results[1]["message"]


def test_a_start_does_without_one_that_was_killed(play):
    result = play(["kill_spare"], ["create"], ["start"], ["finish"], spare=True)
    assert result["init"]["status"] == 0


def test_it_ends_with_its_parent(owner):
    process, pid = owner()
    assert os.path.exists(f"/proc/{pid}")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert ended(pid)


def test_it_ends_when_it_is_dropped(owner):
    process, pid = owner("launcher.drop(); print(spare.pid(), flush=True); sys.stdin.read()")
    assert process.stdout.readline() == "0\n"
    assert ended(pid)


def test_it_holds_no_file_of_its_parent_s(owner):
    _, pid = owner()
    deadline = time.monotonic() + 20
    # The second are mounts of its own, which have no place yet; what wakes it is its parent's.
    expected = {"/dev/null", "/", "ipc", "net", "uts", "anon_inode"}
    while (found := {each.partition(":[")[0] for each in files(pid)}) != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.01)


def test_it_looks_like_its_parent_until_it_has_a_container(owner):
    process, pid = owner()
    deadline = time.monotonic() + 20
    while not any(each.startswith("uts:[") for each in files(pid)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    kinds = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
    while differing(pid, process.pid, kinds):  # it is on its way back
        assert time.monotonic() < deadline
        time.sleep(0.01)


def differing(pid: int, other: int, kinds: tuple[str, ...]) -> list[str]:
    """Return the namespaces in which two processes differ."""
    links = [[os.readlink(f"/proc/{each}/ns/{kind}") for kind in kinds] for each in (pid, other)]
    return [kind for kind, one, two in zip(kinds, *links, strict=True) if one != two]


def files(pid: int) -> list[str]:
    """Return what a process has open but for sockets."""
    names: list[str] = []
    for each in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            names.append(os.readlink(f"/proc/{pid}/fd/{each}"))
    return [name for name in names if not name.startswith("socket:")]
