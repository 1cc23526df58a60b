"""What a config.json asks for is so inside, or is refused by its name with nothing left behind."""

import array
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import command, requirements
from tests.runtime.command.conftest import SOURCE

pytestmark = pytest.mark.root

USER_MAP = [{"containerID": 0, "hostID": 1000000, "size": 65536}]
ALLOW = {"defaultAction": "SCMP_ACT_ALLOW"}
MOST_FILES = int(Path("/proc/sys/fs/nr_open").read_text())
TOO_MANY = {"type": "RLIMIT_NOFILE", "soft": 5, "hard": MOST_FILES + 1}
"""More than the kernel gives even to root (proc_sys_fs(5))."""


@pytest.mark.parametrize("version", ["1.0.0", "1.0.2-dev", "1.1.0+dev", "1.2.1", "1.3.0"])
def test_versions_that_are_compatible_are_taken(runtime, version):
    assert runtime.sh("echo on", ociVersion=version) == "on\n"


@pytest.mark.parametrize("version", ["0.9.0", "2.0.0", "1.4.0", "1", "one", "1.x.0", ""])
def test_other_versions_are_refused(refused, version):
    assert "ociVersion" in refused(ociVersion=version)


TIME = os.path.exists("/proc/self/ns/time")
NODES = os.path.exists("/sys/devices/system/node")
"""Whether this kernel has time namespaces, and memory nodes."""


def test_a_time_namespace_has_clocks_of_its_own(runtime, refused):
    offsets = {"monotonic": {"secs": 1000}, "boottime": {"secs": 1000000, "nanosecs": 5}}
    linux = {"+namespaces": [{"type": "time"}], "timeOffsets": offsets}
    if not TIME:
        assert "linux.namespaces[6].type: this kernel has no time namespaces" in refused(
            linux=linux
        )
        return
    inside = float(runtime.sh("cat /proc/uptime", linux=linux).split()[0])
    assert 0 <= inside - 1000000 - time.clock_gettime(time.CLOCK_BOOTTIME) + 60 < 120
    with open("/proc/uptime") as file:
        assert float(file.read().split()[0]) < 1000000


def test_clocks_without_their_namespace_are_refused(refused):
    assert "timeOffsets" in refused(linux={"timeOffsets": {"monotonic": {"secs": 1}}})
    linux = {"+namespaces": [{"type": "time"}], "timeOffsets": {"wall": {"secs": 1}}}
    assert ("timeOffsets" if TIME else "no time namespaces") in refused(linux=linux)


def test_a_user_namespace_that_is_there_is_joined(runtime):
    with subprocess.Popen(("unshare", "--user", "sleep", "1000")) as holder:
        try:
            path = f"/proc/{holder.pid}/ns/user"
            own = os.readlink("/proc/self/ns/user")
            command.eventually(lambda: os.readlink(path) != own)
            for name in ("uid_map", "gid_map"):
                Path(f"/proc/{holder.pid}/{name}").write_text("0 1000000 65536\n")
            script = (
                "id -u; readlink /proc/self/ns/user; echo $$; grep CapBnd /proc/self/status;"
                "cat /proc/self/cgroup"
            )
            linux = {"+namespaces": [{"type": "user", "path": path}]}
            words = runtime.sh(script, linux=linux).split()
            assert words[:3] == ["0", os.readlink(path), "1"]
            assert words[4] == "0000000020000420"
            assert all(each.endswith(":/") for each in words[5:])
        finally:
            holder.kill()


def test_limits_in_a_user_namespace_are_set_from_outside(runtime):
    linux = {"+namespaces": [{"type": "user"}], "uidMappings": USER_MAP, "gidMappings": USER_MAP}
    rlimits = [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}]
    words = runtime.sh(
        "grep 'open files' /proc/self/limits", linux=linux, process={"rlimits": rlimits}
    ).split()
    assert words[3:5] == ["77", "88"]


def test_a_bounding_set_holds_in_a_user_namespace(runtime):
    linux = {"+namespaces": [{"type": "user"}], "uidMappings": USER_MAP, "gidMappings": USER_MAP}
    assert runtime.sh("grep CapBnd /proc/self/status", linux=linux).split()[1] == "0000000020000420"


def test_a_tmpfs_begins_with_what_it_covers(runtime):
    place = runtime.directory / "rootfs" / "data"
    (place / "inner").mkdir(mode=0o750)
    (place / "inner" / "rose").write_text("red")
    os.chown(place / "inner" / "rose", 5, 6)
    (place / "link").symlink_to("/etc/passwd")
    mount = {
        "destination": "/data",
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["tmpcopyup", "nosuid", "size=1m"],
    }
    script = "stat -c '%u %g %a %n' /data /data/inner /data/inner/rose; readlink /data/link; echo new > /data/rose; cat /data/rose"
    lines = runtime.sh(script, **{"+mounts": [mount]}).splitlines()
    assert lines == [
        "0 0 755 /data",
        "0 0 750 /data/inner",
        "5 6 644 /data/inner/rose",
        "/etc/passwd",
        "new",
    ]
    assert not (place / "rose").exists()


def test_a_tmpfs_without_a_directory_below_is_for_everybody(runtime):
    mount = {"destination": "/scratch", "type": "tmpfs", "source": "tmpfs"}
    assert runtime.sh("stat -c %a /scratch", **{"+mounts": [mount]}) == "1777\n"


def test_a_mount_shows_ids_by_a_map(runtime, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "rose").write_text("red")
    os.chown(source / "rose", 5, 6)
    mount = {
        "destination": "/data",
        "source": str(source),
        "options": ["bind", "idmap"],
        "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 100}],
        "gidMappings": [{"containerID": 0, "hostID": 2000, "size": 100}],
    }
    assert runtime.sh("stat -c '%u %g' /data/rose", **{"+mounts": [mount]}) == "1005 2006\n"
    assert (source / "rose").stat().st_uid == 5


@pytest.mark.parametrize(
    "mount",
    [
        {"destination": "/data", "type": "tmpfs", "options": ["idmap"]},
        {"destination": "/data", "type": "sysfs", "source": "sysfs", "options": ["tmpcopyup"]},
        {"destination": "/data", "source": "/tmp", "options": ["bind", "idmap"]},
        {"destination": "/data", "options": ["bind"]},
        {"destination": "/data", "source": "/nonexistent", "options": ["bind"]},
        {"destination": "", "source": "/tmp", "options": ["bind"]},
    ],
)
def test_mounts_that_cannot_be_are_refused(refused, mount):
    assert "mount" in refused(**{"+mounts": [mount]}) or "/nonexistent" in refused(
        **{"+mounts": [mount]}
    )


def test_a_process_is_scheduled_as_asked(runtime):
    process = {
        "scheduler": {"policy": "SCHED_BATCH", "nice": 5},
        "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 0},
    }
    fields = runtime.sh("cat /proc/self/stat", process=process).rpartition(")")[2].split()
    assert fields[16] == "5"  # nice
    assert fields[38] == "3"  # SCHED_BATCH


ASKED = """
import ctypes, json, os, struct, sys
sys.path.insert(0, sys.argv[1])
from runtime.init import attributes
for step in attributes.of({}, json.loads(sys.argv[2])):
    step.execute(None)
call, packed = ctypes.CDLL(None, use_errno=True).syscall, ctypes.create_string_buffer(48)
get, priority = (315, 252) if os.uname().machine == "x86_64" else (275, 31)
assert call(get, 0, packed, 48, 0) == 0
print(json.dumps([*struct.unpack("=IIQiIQQQ", packed.raw)[1:], call(priority, 1, 0)]))
"""


@contextlib.contextmanager
def realtime() -> Iterator[tuple[str, ...]]:
    """Yield what starts a command where the kernel lets it be scheduled in real time.

    With RT_GROUP_SCHED (sched-rt-group.rst) a cgroup of version 1 has no time for that unless given some.
    """
    requirements.commands("chrt")
    tried = subprocess.run(("chrt", "--rr", "7", "true"), check=False, capture_output=True)
    if tried.returncode == 0:
        yield ()
        return
    top = Path("/sys/fs/cgroup/cpu")
    share = top / "cpu.rt_runtime_us"
    if not share.exists() or int(share.read_text()) < 20_000:
        requirements.absent_here(f"no real time to give to a cgroup here: {tried.stderr.decode()}")
    own = top / f"cinspect-test-realtime-{os.getpid()}"
    own.mkdir()
    try:
        (own / "cpu.rt_runtime_us").write_text("10000")
        yield ("sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(own))
    finally:
        own.rmdir()


@pytest.mark.parametrize(
    ("process", "expected"),
    [
        ({"scheduler": {"policy": "SCHED_RR", "priority": 7}}, [2, 0, 0, 7]),
        ({"scheduler": {"policy": "SCHED_OTHER", "nice": 3, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}}, [0, 1, 3, 0]),
        ({"scheduler": {"policy": "SCHED_DEADLINE", "runtime": 1000000, "deadline": 200000000, "period": 300000000}}, [6, 0, 0, 0, 1000000, 200000000, 300000000]),
        ({"ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 6}}, [2 << 13 | 6]),
    ],
)  # fmt: skip
def test_what_a_scheduler_takes_reaches_the_kernel(process, expected):
    words = (sys.executable, "-I", "-S", "-c", ASKED, SOURCE, json.dumps(process))
    if process.get("scheduler", {}).get("policy") == "SCHED_RR":
        with realtime() as within:
            done = subprocess.run((*within, *words), check=True, capture_output=True, text=True)
    else:
        done = subprocess.run(words, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert (found[-1:] if "ioPriority" in process else found[: len(expected)]) == expected


def test_a_process_sees_the_system_as_asked(runtime):
    linux = {"personality": {"domain": "LINUX32"}}
    assert runtime.sh("cat /proc/self/personality", linux=linux) == "00000008\n"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"process": {"scheduler": {"policy": "SCHED_ROSE"}}}, "scheduler.policy"),
        ({"process": {"scheduler": {"policy": "SCHED_FIFO", "priority": -1}}}, "scheduler.priority"),
        ({"process": {"ioPriority": {"class": "ROSE"}}}, "ioPriority.class"),
        ({"process": {"rlimits": [{"type": "RLIMIT_ROSE", "soft": 1, "hard": 1}]}}, "rlimits"),
        ({"process": {"rlimits": [{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]}}, "rlimits"),
        ({"process": {"rlimits": [TOO_MANY]}}, "process.rlimits: set RLIMIT_NOFILE to "),
        ({"process": {"rlimits": [TOO_MANY]}, "linux": {"+namespaces": [{"type": "user"}], "uidMappings": USER_MAP, "gidMappings": USER_MAP}}, "process.rlimits: set RLIMIT_NOFILE to "),
        ({"process": {"scheduler": {"policy": "SCHED_DEADLINE", "runtime": 1 << 30, "deadline": 1 << 20, "period": 1 << 20}}}, "process.scheduler: schedule by SCHED_DEADLINE: "),
        ({"process": {"scheduler": {"policy": "SCHED_FIFO", "priority": 100}}}, "process.scheduler: schedule by SCHED_FIFO: "),
        ({"process": {"ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 8}}}, "process.ioPriority.priority: 8 is not from 0 to 7"),
        ({"process": {"capabilities": {"bounding": ["CAP_ROSE"]}}}, "CAP_ROSE"),
        ({"process": {"apparmorProfile": "rose"}}, "process.apparmorProfile: the AppArmor label rose"),
        ({"process": {"selinuxLabel": "rose"}}, "process.selinuxLabel: the SELinux label rose"),
        ({"process": {"cwd": "rose"}}, "process.cwd"),
        ({"process": {"env": ["=rose"]}}, "process.env"),
        ({"process": {"user": {"uid": 1 << 32}}}, "process.user.uid"),
        ({"process": None}, "process"),
        ({"root": None}, "root"),
        ({"root": {"path": "/nonexistent"}}, "/nonexistent"),
        ({"linux": {"personality": {"domain": "ROSE"}}}, "personality.domain"),
        ({"linux": {"+namespaces": [{"type": "pid"}]}}, "namespaces"),
        ({"linux": {"+namespaces": [{"type": "rose"}]}}, "namespaces"),
        ({"linux": {"namespaces": [{"type": "mount"}, {"type": "uts", "path": "/proc/self/ns/net"}]}}, "uts"),
        ({"linux": {"+namespaces": [{"type": "user"}]}}, "uidMappings"),
        ({"linux": {"rootfsPropagation": "rose"}}, "rootfsPropagation"),
        ({"linux": {"sysctl": {"kernel.rose": "1"}}}, "kernel.rose"),
        ({"linux": {"resources": {"network": {"classID": 5}}}}, "network"),
        ({"linux": {"resources": {"rdma": {"mlx5": {"hcaHandles": 5}}}}}, "rdma"),
        ({"linux": {"resources": {"unified": {"../x": "1"}}}}, "unified"),
        ({"linux": {"resources": {"memory": {"limit": 1}}}}, "memory"),
        ({"linux": {"seccomp": {"defaultAction": "ROSE"}}}, "seccomp"),
        ({"linux": {"seccomp": {**ALLOW, "defaultErrnoRet": 5}}}, "linux.seccomp.defaultErrnoRet: 'SCMP_ACT_ALLOW' takes none"),
        ({"linux": {"seccomp": {**ALLOW, "listenerMetadata": "x"}}}, "linux.seccomp.listenerMetadata: there is no"),
        ({"linux": {"seccomp": {**ALLOW, "syscalls": [{"names": [], "action": "SCMP_ACT_LOG"}]}}}, "linux.seccomp.syscalls[0].names: is empty"),
        ({"linux": {"seccomp": {**ALLOW, "syscalls": [{"names": ["read"], "action": "SCMP_ACT_LOG", "errnoRet": 1}]}}}, "linux.seccomp.syscalls[0].errnoRet: 'SCMP_ACT_LOG'"),
        ({"linux": {"namespaces": [{"type": "mount"}, {"type": "ipc", "path": "proc/self/ns/ipc"}]}}, "linux.namespaces: ipc: 'proc/self/ns/ipc' is not an absolute"),
        ({"linux": {"intelRdt": {"closID": "rose"}}}, "intelRdt"),
        ({"linux": {"netDevices": {"no-such-rose": {}}}}, "linux.netDevices.no-such-rose"),
        ({"linux": {"netDevices": {"lo": {"name": "a/b"}}}}, "linux.netDevices.lo.name"),
        ({"linux": {"netDevices": {"lo": {}}, "namespaces": [{"type": "mount"}]}}, "linux.netDevices: needs a network"),
        ({"linux": {"devices": [{"path": "/dev/x", "type": "c", "major": 4097, "minor": 3}]}}, "linux.devices[0].major: 4097"),
        ({"linux": {"devices": [{"path": "/dev/x", "type": "c", "major": 1 << 31, "minor": 3}]}}, "linux.devices[0].major: 2147483648"),
        ({"linux": {"devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 1 << 20}]}}, "linux.devices[0].minor: 1048576"),
        ({"linux": {"mountLabel": "rose"}}, "linux.mountLabel"),
        ({"linux": {"memoryPolicy": {"mode": "ROSE"}}}, "linux.memoryPolicy.mode"),
        ({"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "x"}}}, "linux.memoryPolicy.nodes"),
        ({"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "777"}}}, "linux.memoryPolicy"),
        ({"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["ROSE"]}}}, "linux.memoryPolicy.flags"),
        ({"linux": {"sysctl": {"kernel.core_pattern": "core"}}}, "linux.sysctl.kernel.core_pattern: is not of any"),
        ({"linux": {"sysctl": {"vm.swappiness": "60"}}}, "linux.sysctl.vm.swappiness: is not of any"),
        ({"linux": {"sysctl": {"net.core.somaxconn": "4096"}, "namespaces": [{"type": "mount"}]}, "hostname": ""}, "needs a namespace"),
        ({"linux": {"sysctl": {"net.core.somaxconn": "4096"}, "namespaces": [{"type": "mount"}, {"type": "network", "path": "/proc/self/ns/net"}]}, "hostname": ""}, "the runtime's own"),
        ({"linux": {"sysctl": {"net/../kernel/core_pattern": "core"}}}, "core_pattern"),
        ({"linux": {"resources": {"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]}}}, "linux.resources.hugepageLimits[0].pageSize: this kernel"),
        ({"linux": {"resources": {"hugepageLimits": [{"pageSize": "x/../2MB", "limit": 0}]}}}, "linux.resources.hugepageLimits[0].pageSize"),
        ({"+mounts": [{"destination": "/proc/scsi", "type": "tmpfs"}]}, "/proc/scsi"),
        ({"+mounts": [{"destination": "/proc", "type": "tmpfs"}]}, "/proc"),
        ({"+mounts": [{"destination": "/proc/self", "type": "proc"}]}, "/proc/self"),
        ({"hooks": {"poststop": [{"path": "/bin/true"}, {"path": "/bin/true", "env": ["A=b", "="]}]}}, "hooks.poststop[1].env: '=' is not KEY=VALUE"),
        ({"hooks": {"createRuntime": [{"path": "rose"}]}}, "hooks.createRuntime"),
        ({"hooks": {"poststop": [{"path": "/bin/true", "args": ["", "x"]}]}}, "hooks.poststop[0].args[0]: is empty"),
        ({"hooks": {"prestart": [{"path": "/bin/false"}]}}, "/bin/false"),
        ({"hooks": {"createContainer": [{"path": "/bin/sleep", "args": ["sleep", "9"], "timeout": 1}]}}, "timeout|longer"),
        ({"domainname": "rose", "hostname": "", "linux": {"namespaces": [{"type": "mount"}]}}, "uts"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_by_name(refused, changes, named):
    message = refused(**changes)
    if "memoryPolicy" in named and not NODES:
        named = "linux.memoryPolicy: this kernel has no memory nodes"
    assert any(each in message for each in named.split("|")), message


def test_an_error_is_one_line_that_no_terminal_obeys(refused):
    message = refused(**{"+mounts": [{"destination": "/data", "type": "rose\n\x1b[31m"}]})
    assert r"mount rose\n\x1b[31m on /data: " in message
    assert message.rstrip("\n").isprintable()


def test_parameters_are_set_without_any_proc_in_the_container(runtime):
    bundle = Path(runtime.bundle("cat", "/data/saved"))
    spec = json.loads((bundle / "config.json").read_text())
    spec["mounts"] = [each for each in spec["mounts"] if each["destination"] != "/proc"]
    spec["linux"] |= {"maskedPaths": [], "readonlyPaths": []}
    spec["linux"]["sysctl"] = {"kernel.shm_rmid_forced": "1", "net/ipv4/conf/lo/forwarding": "1"}
    (bundle / "config.json").write_text(json.dumps(spec))
    runtime.quietly("create", "--bundle", str(bundle), "one")
    pid = runtime.state("one")["pid"]
    script = "cat /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/conf/lo/forwarding"
    inside = ("nsenter", "-t", str(pid), "--net", "--ipc", "sh", "-c", script)
    assert subprocess.run(inside, capture_output=True, check=True).stdout == b"1\n1\n"


def test_memory_comes_from_the_nodes_asked_for(runtime):
    if not NODES:
        requirements.absent_here("this kernel has no memory nodes")
    policy = {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}
    maps = runtime.sh("cat /proc/self/numa_maps", linux={"memoryPolicy": policy})
    assert {line.split()[1] for line in maps.splitlines()} == {"bind=static:0"}


WITH_DEVICES = """
ip link set lo up
ip link add rose0 type veth peer name thorn0
ip link set thorn0 up
ip addr add 198.51.100.7/24 dev rose0
ip addr add 2001:db8::7/64 dev rose0 nodad
ip link set rose0 up mtu 1300
"$@"; status=$?
ip -o addr show dev rose0 2>&1 | sed 's/^/after: /'
ip -o link show dev rose0 2>&1 | sed 's/^/after: /'
exit $status
"""


def with_devices(runtime, *words):
    """Run one command line in a network namespace of its own, which has the device rose0."""
    requirements.commands("ip", "unshare")
    line = (*runtime.command, "--root", str(runtime.directory / "state"), *words)
    return subprocess.run(
        ("unshare", "--net", "sh", "-c", WITH_DEVICES, "sh", *line),
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_a_network_device_comes_with_its_addresses(runtime):
    script = "busybox ip addr show petal; busybox ip link show rose0"
    devices = {"rose0": {"name": "petal"}}
    bundle = runtime.bundle("sh", "-c", script, linux={"netDevices": devices})
    done = with_devices(runtime, "run", "--bundle", bundle, "one")
    assert "198.51.100.7/24" in done.stdout.partition("after")[0], done.stderr
    assert "2001:db8::7/64" in done.stdout
    assert "mtu 1300" in done.stdout
    assert ",UP" in done.stdout
    assert done.stderr.count("rose0") == 1  # the old name is not known inside
    assert 'after: Device "rose0" does not exist.' in done.stdout


def test_a_network_device_is_given_back_where_the_container_cannot_be_made(runtime):
    bundle = runtime.bundle("nonesuch", linux={"netDevices": {"rose0": {"name": "petal"}}})
    done = with_devices(runtime, "run", "--bundle", bundle, "one")
    assert done.returncode == 1
    assert "nonesuch" in done.stderr
    after = done.stdout
    assert "198.51.100.7/24" in after
    assert "2001:db8::7/64" in after
    assert "mtu 1300" in after
    assert ",UP" in after


def test_a_network_device_s_name_must_be_free_inside(runtime):
    bundle = runtime.bundle("true", linux={"netDevices": {"rose0": {"name": "lo"}}})
    done = with_devices(runtime, "create", "--bundle", bundle, "one")
    assert "linux.netDevices.rose0: the container has a device lo already" in done.stderr
    assert "198.51.100.7/24" in done.stdout


def test_what_is_not_known_is_ignored(runtime):
    assert (
        runtime.sh("echo on", vm={"a": 1}, rose={}, linux={"rose": [1]}, process={"rose": 5})
        == "on\n"
    )


def test_an_agent_gets_the_listener_of_a_filter(runtime):
    path = str(runtime.directory / "agent.sock")
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(path)
    server.listen()
    server.settimeout(30)
    got: list = []

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            data, ancillary, _, _ = connection.recvmsg(1 << 16, socket.CMSG_SPACE(4))
            got.append((json.loads(data), array.array("i", ancillary[0][2][:4])[0]))

    agent = threading.Thread(target=serve)
    agent.start()
    seccomp = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": path,
        "listenerMetadata": "petals",
        "syscalls": [{"names": ["sethostname"], "action": "SCMP_ACT_NOTIFY"}],
    }
    for privileges in (True, False):
        if got:
            agent = threading.Thread(target=serve)
            agent.start()
        process = {"noNewPrivileges": privileges}
        assert (
            runtime.sh(
                "grep Seccomp: /proc/self/status", linux={"seccomp": seccomp}, process=process
            ).split()[1]
            == "2"
        )
        agent.join(30)
        message, listener = got[-1]
        assert message["fds"] == ["seccompFd"]
        assert message["metadata"] == "petals"
        assert message["state"]["id"] == "script"
        assert message["pid"] == message["state"]["pid"] > 1
        assert os.readlink(f"/proc/self/fd/{listener}") == "anon_inode:seccomp notify"
        os.close(listener)
    server.close()


def test_a_listener_without_an_agent_is_refused(refused):
    seccomp = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["sethostname"], "action": "SCMP_ACT_NOTIFY"}],
    }
    assert "listenerPath" in refused(linux={"seccomp": seccomp})
    assert "/nonexistent" in refused(linux={"seccomp": seccomp | {"listenerPath": "/nonexistent"}})
    seccomp["syscalls"][0]["names"] = ["write"]
    assert "write" in refused(linux={"seccomp": seccomp})


def test_the_host_is_out_of_sight_without_pivot_root(runtime):
    bundle = runtime.bundle("sh", "-c", "ls /; grep -c . /proc/mounts; ls /proc/1/root/data")
    words = runtime("run", "--no-pivot", "-b", bundle, "one").stdout.split()
    assert "data" in words
    assert "usr" not in words


def test_a_keyring_is_the_caller_s_if_asked_for(runtime):
    def keyring(name: str, *flags: str) -> str:
        return runtime(
            "run",
            *flags,
            "-b",
            runtime.bundle("cat", "/proc/keys", linux={"maskedPaths": []}),
            name,
        ).stdout

    # Of another name: the kernel lets go of the first one's when it has time (keyrings(7)).
    assert f"_ses.{runtime.name}-new" in keyring(f"{runtime.name}-new")
    other = f"{runtime.name}-callers"
    assert f"_ses.{other}" not in keyring(other, "--no-new-keyring")
