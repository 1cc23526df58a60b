"""The same bundle under runc and under this runtime: a probe inside tells what it sees, field by field.

Where the two differ, `DIFFERENCES` says why; every difference that it does not name is a failure.
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import requirements, traces
from tests.runtime.command.conftest import Runtime, make_root

pytestmark = [pytest.mark.root, pytest.mark.engine]

PROBE = r"""
field() { echo "== $1"; shift; "$@" 2>&1; }
field status grep -E '^(Uid|Gid|Groups|Cap|NoNew|Seccomp:|Cpus_allowed_list|Mems_allowed_list|Sig[BIC])' /proc/self/status
field mounts cat /proc/self/mountinfo
field cgroups cat /proc/self/cgroup
field limits cat /proc/self/limits
for kind in cgroup ipc mnt net pid time user uts; do field ns-$kind readlink /proc/self/ns/$kind; done
field devices sh -c "busybox find /dev | busybox sort | busybox xargs stat -c '%n %F %t:%T %a %u:%g'"
field links ls -l /dev/fd /dev/stdin /dev/core /dev/ptmx
field environment env
field ids id
field umask umask
field directory busybox pwd
field personality cat /proc/self/personality
field oom_score_adj cat /proc/self/oom_score_adj
field scheduling busybox awk '{print $(NF-34), $(NF-33), $(NF-11), $(NF-12)}' /proc/self/stat
field hostname busybox hostname
field domainname cat /proc/sys/kernel/domainname
field descriptors ls /proc/self/fd
field command cat /proc/1/cmdline
field timers cat /proc/self/timens_offsets
field uid_map cat /proc/self/uid_map
field setgroups cat /proc/self/setgroups
field interfaces ls /sys/class/net
field forwarding cat /proc/sys/net/ipv4/conf/lo/forwarding /proc/sys/kernel/shm_rmid_forced
field masked stat -c '%n %F %a' /proc/keys /proc/timer_list /sys/firmware
field written sh -c 'touch /data/x /proc/sys/kernel/domainname /dev/shm/x; echo $?'
field groups busybox cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max
echo == end
"""
SAFE = ["nosuid", "nodev", "noexec"]
ALLOW = {"defaultAction": "SCMP_ACT_ALLOW"}
MAPPED = [{"containerID": 0, "hostID": 1000000, "size": 65536}]
BUNDLES: dict[str, dict] = {
    "plain": {},
    "a user": {
        "process": {"user": {"uid": 7, "gid": 8, "additionalGids": [9, 10], "umask": 0o77}}
    },
    "capabilities": {
        "process": {
            "user": {"uid": 7, "gid": 8},
            "capabilities": {
                "bounding": ["CAP_KILL", "CAP_CHOWN", "CAP_NET_RAW"],
                "effective": ["CAP_KILL"],
                "permitted": ["CAP_KILL", "CAP_CHOWN"],
                "inheritable": ["CAP_KILL"],
                "ambient": ["CAP_KILL"],
            },
        }
    },
    "no capabilities": {"process": {"capabilities": {}}},
    "privileges may grow": {"process": {"noNewPrivileges": False}},
    "limits": {
        "process": {
            "rlimits": [
                {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
                {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
                {"type": "RLIMIT_NPROC", "soft": 500, "hard": 500},
            ],
            "oomScoreAdj": 500,
        }
    },
    "an environment": {"process": {"env": ["PATH=/bin", "A=b=c", "HOME=/data"], "cwd": "/data"}},
    "a writable root": {"root": {"readonly": False}},
    "mounts": {
        "+mounts": [
            {"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m", "mode=0750", "noatime"]},
            {"destination": "/tmp", "type": "bind", "source": "/usr", "options": ["rbind", "ro", "nosuid"]},
        ]
    },
    "fewer namespaces": {
        "hostname": "",
        "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]},
        "+mounts": [],
    },
    "a user namespace": {
        "linux": {
            "uidMappings": MAPPED, "gidMappings": MAPPED, "+namespaces": [{"type": "user"}],
            "resources": {"devices": []},
        }
    },
    "parameters": {
        "linux": {"sysctl": {"net.ipv4.conf.lo.forwarding": "1", "kernel.shm_rmid_forced": "1"}}
    },
    "devices": {
        "linux": {
            "devices": [
                {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 5, "gid": 6},
                {"path": "/dev/sub/pipe", "type": "p"},
            ]
        }
    },
    "resources": {
        "linux": {
            "resources": {
                "memory": {"limit": 64 << 20, "kernel": 32 << 20}, "pids": {"limit": 50},
                "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0"},
            }
        }
    },
    "a filter": {
        "linux": {
            "seccomp": {
                **ALLOW, "architectures": ["SCMP_ARCH_X86_64"],
                "syscalls": [{"names": ["sethostname"], "action": "SCMP_ACT_ERRNO"}],
            }
        }
    },
    "nothing masked": {"linux": {"maskedPaths": [], "readonlyPaths": []}},
    "a shared root": {"linux": {"rootfsPropagation": "shared"}},
    "a slave root": {"linux": {"rootfsPropagation": "rslave"}},
    "a domain": {"domainname": "garden"},
}  # fmt: skip


class Difference(NamedTuple):
    """Where the two may differ: a pattern that is taken out of both before they are compared."""

    bundle: str
    field: str
    pattern: str
    why: str


DIFFERENCES: tuple[Difference, ...] = (
    Difference("*", "devices", r"^/dev/core .*\n", "runc makes the link only where the host has /proc/kcore"),
    Difference("*", "links", r"^.*/dev/core.*\n", "the same"),
    Difference("*", "mounts", r"nr_inodes=1,|,size=4k\b", "masks have room for nothing"),
    Difference("*", "mounts", r"^/sys/fs/cgroup tmpfs .*$", "it is read-only and small here"),
    Difference("*", "mounts", r"^/sys/fs/cgroup/unified .*$", "runc leaves out v2 where there is v1"),
    Difference("*", "status", r"^SigIgn:.*\n", "runc hands on what was ignored where it began; here none is"),
    Difference("a user namespace", "devices", r"^/dev/mqueue .*$", "its owner is who cloned, before there were ids"),
    Difference("a domain", "domainname", r".*", "runc knows it from 1.2 on"),
    Difference("a shared root", "mounts", r"^/ .*$", "runc 1.1 leaves the root private"),
)  # fmt: skip


@pytest.fixture
def place() -> Iterator[Path]:
    """Return a directory that everybody gets to, the root of a user namespace too."""
    path = Path(tempfile.mkdtemp(prefix="cinspect-beside-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def both(place: Path) -> Iterator[tuple[Runtime, Runtime]]:
    requirements.commands("busybox", "runc")
    ours = Runtime(place, place.name)
    make_root(place / "rootfs")
    for each in place.rglob("*"):
        os.chown(each, 1000000, 1000000, follow_symlinks=False)
    runc = replace(ours, command=(shutil.which("runc"),))
    try:
        yield ours, runc
    finally:
        for each in (ours, runc):
            for name in ours.left()["state"]:
                each("delete", "--force", name, check=False)
        traces.remove(ours.name)
    assert ours.left()["mounts"] == ours.left()["cgroups"] == []


def fields(said: str) -> dict[str, str]:
    parts = re.split(r"^== (\S+)\r?\n", said, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (each.replace("\r", "") for each in parts[2::2]), strict=True))


def told(runtime: Runtime, bundle: str) -> dict[str, str]:
    done = runtime("run", "--bundle", bundle, "probe")
    found = fields(done.stdout)
    assert "end" in found, done.stderr
    found["mounts"] = "\n".join(sorted(map(mount, found["mounts"].splitlines())))
    for name in [name for name in found if name.startswith("ns-")]:
        theirs = os.readlink(f"/proc/self/ns/{name[3:]}")
        found[name] = "the host's" if found[name].strip() == theirs else "its own"
    return found


def mount(line: str) -> str:
    """Return what matters of a mount: not its numbers, nor in which order options are listed."""
    left, _, right = line.partition(" - ")
    _, _, _, root, place, options, *propagation = left.split()
    fstype, _, super_options = right.split()[:3]
    listed = ",".join(sorted(set(options.split(",") + super_options.split(","))))
    groups = " ".join(re.sub(r":\d+", "", each) for each in propagation)
    return f"{place} {fstype} {root} {listed} {groups}".rstrip()


def lines(text: str) -> str:
    """Return the lines that are not empty, in one order."""
    return "\n".join(sorted(filter(None, text.splitlines())))


def difference(ours: str, runc: str) -> dict[str, list[str]]:
    """Return the lines that only one of them has."""
    one, other = ours.splitlines(), runc.splitlines()
    return {
        "ours": [line for line in one if line not in other],
        "runc": [line for line in other if line not in one],
    }


@pytest.mark.parametrize("name", BUNDLES)
def test_every_field_is_the_same(both: tuple[Runtime, Runtime], name: str) -> None:
    ours, runc = both
    bundle = ours.bundle("sh", "-c", PROBE, **BUNDLES[name])
    here, there = told(ours, bundle), told(runc, bundle)
    assert here.keys() == there.keys()
    for field in here:
        for each in DIFFERENCES:
            if each.bundle in {"*", name} and each.field == field:
                pattern = re.compile(each.pattern, re.MULTILINE)
                here[field], there[field] = (pattern.sub("", text[field]) for text in (here, there))
        here[field], there[field] = (lines(text[field]) for text in (here, there))
    differing = {
        field: difference(here[field], there[field])
        for field in here
        if here[field] != there[field]
    }
    assert not differing, json.dumps(differing, indent=1)


TOLD = {
    "state": ("state", "one"),
    "list": ("list", "--format", "json"),
    "ps": ("ps", "--format", "json", "one"),
    "events": ("events", "--stats", "one"),
}
LEFT_OUT = re.compile(r"data\.hugetlb\..*|data\.cpu\.usage\.(kernel|user|percpu_.*)")
"""runc leaves out v2, where a host may have the controller of huge pages; and time may be 0 yet."""


def shape(value: object, path: str = "") -> dict[str, str]:
    """Return the type of each value by where it is; of an array, of any.

    Where there is nothing, or 0, the one leaves out what the other says; but not of memory.stat.
    """
    if isinstance(value, dict):
        found = {}
        for key, inner in value.items():
            found |= shape(inner, f"{path}.{key}".strip("."))
        return found
    if isinstance(value, list):
        return {key: kind for each in value for key, kind in shape(each, f"{path}[]").items()}
    if isinstance(value, bool) or not isinstance(value, int | float):
        return {} if value is None else {path: type(value).__name__}
    return {path: "number"} if value or path.startswith("data.memory.raw.") else {}


@pytest.mark.parametrize("what", TOLD)
def test_what_engines_read_has_the_same_shape(both: tuple[Runtime, Runtime], what: str) -> None:
    said = []
    for runtime in both:
        runtime.running("one", linux={"resources": {"memory": {"limit": 64 << 20}}})
        said.append(shape(json.loads(runtime(*TOLD[what]).stdout)))
        runtime("delete", "--force", "one")
    here, there = said
    # Whether a start read from a disk, or found all in memory, is chance.
    disk = [{key for key in each if key.startswith("data.blkio.")} for each in said]
    for each in said:
        for key in () if all(disk) else disk[0] | disk[1]:
            each.pop(key, None)
        for key in [key for key in each if LEFT_OUT.match(key)]:
            del each[key]
    assert here == there


OWN_NAMES = re.compile(r"annotations\..*|hostname")
"""What each runtime calls itself."""


def test_all_that_runc_features_is_there(both: tuple[Runtime, Runtime]) -> None:
    here, there = (json.loads(runtime("features").stdout) for runtime in both)
    absent = {key for key in shape(there).keys() - shape(here).keys() if not OWN_NAMES.match(key)}
    assert absent == set()
    for key in ("hooks", "mountOptions"):
        assert set(there[key]) - set(here[key]) <= {"remount"}  # a mount is made, none is changed
    for part, key in (
        ("namespaces", None), ("capabilities", None), ("seccomp", "actions"),
        ("seccomp", "operators"), ("seccomp", "archs"),
    ):  # fmt: skip
        lists = [
            each["linux"][part] if key is None else each["linux"][part][key]
            for each in (here, there)
        ]
        assert set(lists[1]) <= set(lists[0]), (part, key)
    for name in ("v1", "v2", "systemd", "systemdUser"):
        assert here["linux"]["cgroup"][name] is there["linux"]["cgroup"][name]


@pytest.mark.parametrize("flags", [(), ("--rootless",)])
def test_a_spec_to_begin_with_has_the_same_shape(
    both: tuple[Runtime, Runtime], flags: tuple[str, ...]
) -> None:
    written = []
    for number, runtime in enumerate(both):
        directory = runtime.directory / f"spec{number}"
        directory.mkdir()
        runtime("spec", *flags, "--bundle", str(directory))
        written.append(json.loads((directory / "config.json").read_text()))
        again = runtime("spec", *flags, "--bundle", str(directory), check=False)
        assert again.returncode == 1  # what is there is not written over
    here, there = written
    for each in written:
        each["process"]["capabilities"].pop("ambient", None)  # which runc gives up from 1.2 on
    assert shape(here).keys() == shape(there).keys()
    for key in ("args", "env", "cwd", "user", "rlimits", "noNewPrivileges", "terminal"):
        assert here["process"][key] == there["process"][key]
    assert set(there["linux"]["maskedPaths"]) <= set(here["linux"]["maskedPaths"])
    assert there["linux"]["readonlyPaths"] == here["linux"]["readonlyPaths"]
