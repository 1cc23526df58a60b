"""What runs in a container reaches neither the runtime nor more of the host than it was given."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import command, traces
from tests.live import host
from tests.runtime.command.conftest import NOTHING

pytestmark = pytest.mark.root
LOOK = """
echo ready
while :; do
    for place in /proc/[1-9]*; do
        case "$(readlink $place/exe 2> /dev/null)" in
            ""|/bin/busybox) ;;
            *) echo seen $place; (echo x >> $place/exe) 2> /dev/null && echo torn ;;
        esac
        (cat $place/environ | grep -q XDG_ROSE) 2> /dev/null && echo read $place
    done
done
"""


def digests() -> dict[str, str]:
    """Return what is in the interpreter and in all that it has loaded."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    files = {line.split()[-1] for line in maps if ".so" in line or "/python" in line}
    files.add(os.path.realpath(sys.executable))
    return {
        name: hashlib.sha256(Path(name).read_bytes()).hexdigest()
        for name in files
        if name.startswith("/")
    }


def test_a_process_that_joins_cannot_be_looked_into_or_written_to(runtime):
    """CVE-2016-9962, CVE-2019-5736: the container's root tries each new process of the runtime."""
    before = digests()
    output = runtime.directory / "seen"
    bundle = runtime.bundle("sh", "-c", LOOK)
    with output.open("wb") as file:
        subprocess.run(
            (*runtime.command, "--root", str(runtime.directory / "state"), "run", "-d", "-b",
             bundle, "one"),
            check=True, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    command.eventually(lambda: "ready" in output.read_text())
    for _ in range(15):
        runtime("exec", "one", "true", env={**os.environ, "XDG_ROSE": "thorn"})
    assert output.read_text() == "ready\n"
    assert digests() == before


MAP = [{"containerID": 0, "hostID": 1_000_000, "size": 65536}]


@pytest.mark.parametrize(
    ("uid", "changes"),
    [
        (7, {"process": {"user": {"uid": 7, "gid": 8}}}),
        (1_000_000, {"linux": {"+namespaces": [{"type": "user"}], "uidMappings": MAP, "gidMappings": MAP}}),
    ],
)  # fmt: skip
def test_what_has_become_the_user_is_closed_to_it_until_the_command_runs(runtime, uid, changes):
    """The files of a process that cannot be looked into are root's (proc_pid(5))."""
    runtime.sleeper("one", **changes)
    pid = runtime.state("one")["pid"]
    assert os.stat(f"/proc/{pid}/environ").st_uid == 0
    runtime("start", "one")
    assert os.stat(f"/proc/{pid}/environ").st_uid == uid


def test_the_session_keyring_is_not_the_host_s(runtime):
    spec = {"linux": {"maskedPaths": []}}
    said = runtime.sh("cat /proc/keys", **spec)
    assert "_ses.script" in said


def test_unknown_capabilities_and_those_that_the_host_lacks_are_refused(runtime, refused):
    assert "CAP_ROSE" in refused(process={"capabilities": {"effective": ["CAP_ROSE"]}})
    bounding = int(Path("/proc/self/status").read_text().partition("CapBnd:")[2].split()[0], 16)
    name = "CAP_SYS_RESOURCE"
    wanted = {kind: [name] for kind in ("bounding", "effective", "permitted")}
    if bounding >> 24 & 1:
        held = runtime.sh("grep CapEff /proc/self/status", process={"capabilities": wanted})
        assert int(held.split()[1], 16) == 1 << 24
    else:
        message = refused(process={"capabilities": wanted})
        assert f"process.capabilities.effective: this host cannot give {name}" in message


def test_inheritable_capabilities_are_none_unless_asked_for(runtime):
    """CVE-2022-29162."""
    for user in ({"uid": 0}, {"uid": 1000}):
        said = runtime.sh("grep CapInh /proc/self/status", process={"user": user})
        assert int(said.split()[1], 16) == 0


def test_nothing_of_the_pid_namespace_outlives_the_init(runtime):
    bundle = runtime.bundle("sh", "-c", "(sleep 4321 &) ; (sleep 4321 &) ; exec sleep 4321")
    runtime.quietly("run", "-d", "-b", bundle, "one")
    command.eventually(lambda: len(json.loads(runtime("ps", "-f", "json", "one").stdout)) == 3)
    runtime("kill", "one", "KILL")
    command.eventually(lambda: json.loads(runtime("ps", "-f", "json", "one").stdout) == [])


GREED = """
for number in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    (while :; do :; done) &
done 2> /dev/null
tail -c 900M /dev/zero &
while :; do echo "a line that nobody reads"; done
"""


def test_a_container_that_fills_all_it_can_is_told_of_and_removed(runtime):
    host.require("pids", "memory", "cpu")
    limits = {"pids": {"limit": 12}, "memory": {"limit": 32 << 20}}
    limits["cpu"] = {"period": 100_000, "quota": 20_000}
    process = {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 16, "hard": 16}]}
    bundle = runtime.bundle("sh", "-c", GREED, linux={"resources": limits}, process=process)
    reader, writer = os.pipe()
    try:
        words = ("--root", str(runtime.directory / "state"), "run", "-d", "-b", bundle, "one")
        subprocess.run(
            (*runtime.command, *words),
            check=True, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, timeout=60,
        )  # fmt: skip
        time.sleep(0.3)
        if runtime.state("one")["status"] == "running":
            assert len(json.loads(runtime("ps", "-f", "json", "one").stdout)) <= 12
            runtime("exec", "one", "true", check=False)  # there may be no room for it
        runtime("delete", "--force", "one")
        assert runtime.left() == NOTHING
    finally:
        os.close(reader)
        os.close(writer)


def killed(runtime, strace: str, call: str, number: int) -> bool:
    """Kill the runtime at one system call of a kind; tell whether it came so far."""
    bundle = runtime.bundle("sleep", "1000")
    silent = subprocess.DEVNULL
    done = subprocess.run(
        (strace, "-o", "/dev/null", "-e", f"trace={call}",
         "-e", f"inject={call}:signal=SIGKILL:when={number}",
         *runtime.command, "--root", str(runtime.directory / "state"), "create", "-b", bundle,
         "one"),
        check=False, stdin=silent, stdout=silent, stderr=silent, timeout=60,
    )  # fmt: skip
    return done.returncode != 0


@pytest.mark.parametrize("call", ["recvmsg", "sendto", "mkdir", "rename"])
def test_a_runtime_killed_at_any_step_leaves_what_delete_removes(runtime, strace, call):
    number = 1
    while killed(runtime, strace, call, number):
        runtime("delete", "--force", "one")
        command.eventually(lambda: runtime.left() == NOTHING)
        assert not traces.processes(str(runtime.directory))
        number += 1
    assert number > 1
    runtime("delete", "--force", "one")


def test_a_cgroup_that_others_are_in_is_refused(runtime):
    runtime.running("one", linux={"cgroupsPath": f"/{runtime.name}/mine"})
    bundle = runtime.bundle("true", linux={"cgroupsPath": f"/{runtime.name}/mine"})
    done = runtime("run", "-b", bundle, "two", check=False)
    assert done.returncode == 1
    assert "linux.cgroupsPath" in done.stderr
    assert runtime.state("one")["status"] == "running"


def test_a_frozen_cgroup_is_refused(runtime):
    runtime.running("one", linux={"cgroupsPath": f"/{runtime.name}/mine"})
    runtime("pause", "one")
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: runtime("resume", "one"))
        path = f"/{runtime.name}/mine/below"
        done = runtime(
            "run", "-b", runtime.bundle("true", linux={"cgroupsPath": path}), "two", check=False
        )
        assert done.returncode == 1
        assert "linux.cgroupsPath" in done.stderr


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("private", ""), ("rprivate", ""), ("shared", "shared:"), ("rshared", "shared:"),
        ("slave", ""), ("rslave", ""), ("unbindable", "unbindable"), ("", ""),
    ],
)  # fmt: skip
def test_the_root_has_the_propagation_asked_for(runtime, name, expected):
    said = runtime.sh("cat /proc/self/mountinfo", linux={"rootfsPropagation": name})
    (root,) = [line for line in said.splitlines() if line.split()[4] == "/"]
    fields = " ".join(root.partition(" - ")[0].split()[6:])
    assert fields.startswith(expected) if expected else "shared:" not in fields
