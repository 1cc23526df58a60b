"""What a spec asks for is in the plan, in the order that makes it safe; nothing needs root here."""

import copy

import pytest

from runtime.errors import InvalidArgument, Unimplemented
from runtime.init import namespaces, plan
from runtime.linux import caps

SPEC = {
    "hostname": "box",
    "process": {
        "args": ["/bin/true"],
        "cwd": "/srv",
        "noNewPrivileges": True,
        "capabilities": {kind: ["CAP_KILL"] for kind in ("bounding", "effective", "permitted")},
    },
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/data", "type": "bind", "source": "/srv", "options": ["rbind", "ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro"]},
    ],
    "linux": {
        "namespaces": [
            {"type": each} for each in ("mount", "pid", "uts", "ipc", "network", "cgroup")
        ],
        "maskedPaths": ["/proc/kcore"],
        "readonlyPaths": ["/proc/sys"],
    },
}
FILTER = plan.Filter(b"\x06\x00\x00\x00\x00\x00\xff\x7f", 0)


def described(spec=SPEC, *, seccomp=FILTER) -> list[str]:
    steps = plan.create(
        spec,
        rootfs="/bundle/rootfs",
        hierarchies=[("memory", "/sys/fs/cgroup/memory/x", ())],
        seccomp=seccomp,
        who=plan.Identity("x", "/bundle"),
    )
    return [step.describe() for step in steps]


def changed(**parts) -> dict:
    spec = copy.deepcopy(SPEC)
    for key, value in parts.items():
        section, _, name = key.rpartition("__")
        (spec[section] if section else spec)[name] = value
    return spec


def positions(lines: list[str], *starts: str) -> list[int]:
    return [next(i for i, line in enumerate(lines) if line.startswith(start)) for start in starts]


def test_the_whole_plan_reads_like_what_happens():
    assert described() == [
        "enter the cgroups",
        "unshare the cgroup namespace",
        "join the session keyring _ses.x",
        "bring up the loopback interface",
        "set the host name box",
        "make every mount private",
        "mount the root /bundle/rootfs",
        "mount proc on /proc",
        "bind /srv on /data read-only",
        "mount cgroups on /sys/fs/cgroup: memory",
        "make the device /dev/null c 1:3",
        "make the device /dev/zero c 1:5",
        "make the device /dev/full c 1:7",
        "make the device /dev/random c 1:8",
        "make the device /dev/urandom c 1:9",
        "make the device /dev/tty c 5:0",
        "link /dev/fd to /proc/self/fd",
        "link /dev/stdin to /proc/self/fd/0",
        "link /dev/stdout to /proc/self/fd/1",
        "link /dev/stderr to /proc/self/fd/2",
        "link /dev/core to /proc/kcore",
        "link /dev/ptmx to pts/ptmx",
        "pivot into the root",
        "set up the standard streams",
        "make read-only: /proc/sys",
        "mask: /proc/kcore",
        "find the user 0:0",
        "enter the working directory /srv",
        "give the standard streams to the user",
        "limit the bounding set to 0x20",
        "become the user, umask 0022",
        "set capabilities: effective 0x20 permitted 0x20 inheritable 0x0 ambient 0x0",
        "find the command /bin/true",
        "set no_new_privs",
        "close all other descriptors",
        "wait for the start",
        "load a seccomp filter of 1 instructions",
        "execute /bin/true",
    ]


def test_the_filter_comes_last_whether_or_not_privileges_may_grow():
    for confined in (True, False):
        lines = described(changed(process__noNewPrivileges=confined))
        assert lines[-2].startswith("load a seccomp filter")
        assert ("set no_new_privs" in lines) == confined


def test_the_root_becomes_read_only_after_all_that_is_made_in_it():
    lines = described(changed(root={"readonly": True}))
    working, read_only, user = positions(
        lines, "enter the working", "make the root read-only", "become the user"
    )
    assert working < read_only < user


def test_a_terminal_takes_the_place_of_the_streams():
    process = SPEC["process"] | {"terminal": True, "consoleSize": {"height": 24, "width": 80}}
    lines = described(changed(process=process))
    assert "open a terminal of 80x24" in lines
    assert "set up the standard streams" not in lines


def test_a_user_namespace_binds_devices_and_waits_for_its_maps():
    linux = SPEC["linux"] | {"namespaces": [*SPEC["linux"]["namespaces"], {"type": "user"}]}
    lines = described(changed(linux=linux))
    assert lines[1] == "become root of the user namespace"
    assert "bind /dev/null on /dev/null" in lines
    assert not any(line.startswith("make the device") for line in lines)


def test_without_a_network_namespace_the_loopback_is_left_alone():
    linux = SPEC["linux"] | {"namespaces": [{"type": "mount"}, {"type": "uts"}]}
    lines = described(changed(linux=linux))
    assert "bring up the loopback interface" not in lines
    assert "unshare the cgroup namespace" not in lines


def test_a_namespace_with_a_path_is_joined():
    joined = {"type": "network", "path": "/proc/1/ns/net"}
    others = [each for each in SPEC["linux"]["namespaces"] if each["type"] != "network"]
    spec = changed(linux=SPEC["linux"] | {"namespaces": [*others, joined]})
    assert "join the network namespace /proc/1/ns/net" in described(spec)
    assert namespaces.of(spec).joined == {"network": "/proc/1/ns/net"}


@pytest.mark.parametrize(
    ("entries", "kind", "named"),
    [
        ([{"type": "mount"}, {"type": "mount"}], InvalidArgument, "mount is there twice"),
        ([{"type": "mount"}, {"type": "soul"}], InvalidArgument, "soul"),
        ([{"type": "pid"}], Unimplemented, "mount namespace"),
    ],
)
def test_namespaces_that_cannot_be_are_named(entries, kind, named):
    with pytest.raises(kind, match=named):
        namespaces.of({"linux": {"namespaces": entries}})


def test_a_host_name_needs_a_uts_namespace():
    with pytest.raises(InvalidArgument, match="hostname"):
        described(changed(linux={"namespaces": [{"type": "mount"}]}))


def test_unknown_capabilities_are_refused():
    process = SPEC["process"] | {"capabilities": {"bounding": ["CAP_MAGIC"]}}
    with pytest.raises(InvalidArgument, match="CAP_MAGIC"):
        described(changed(process=process))


def test_a_device_asked_for_replaces_the_default_of_its_path():
    device = {"path": "/dev/tty", "type": "c", "major": 5, "minor": 0, "fileMode": 0o600}
    lines = described(changed(linux=SPEC["linux"] | {"devices": [device]}))
    assert lines.count("make the device /dev/tty c 5:0") == 1


def test_an_exec_enters_cgroups_before_namespaces():
    lines = [
        step.describe()
        for step in plan.enter(
            SPEC["process"],
            SPEC,
            joined=plan.joining.JoinProcess(7, -1, 0x20000),
            seccomp=FILTER,
            name="_ses.x",
        )
    ]
    assert lines[:2] == ["enter the cgroups", "join the namespaces 0x20000 of process 7"]
    assert lines[-1] == "execute /bin/true"
    assert "tell the parent" in lines


def test_the_bounding_set_is_the_spec_s():
    chosen = caps.choose((), (), available=(1 << 41) - 1)
    process = SPEC["process"] | {"capabilities": {"bounding": list(chosen)}}
    assert "limit the bounding set to 0xa80425fb" in described(changed(process=process))


def test_mounts_of_files_without_labels_have_the_container_s():
    shm = {"destination": "/dev/shm", "type": "tmpfs", "source": "shm"}
    label = {"mountLabel": "a:b:c1,c2"}
    lines = described(changed(mounts=[*SPEC["mounts"], shm], linux=SPEC["linux"] | label))
    assert "mount tmpfs on /dev/shm with linux.mountLabel a:b:c1,c2" in lines
    assert "mount proc on /proc" in lines


def test_clocks_without_a_time_namespace_are_refused():
    linux = SPEC["linux"] | {"timeOffsets": {"monotonic": {"secs": 1}}}
    with pytest.raises(InvalidArgument, match=r"linux\.timeOffsets"):
        described(changed(linux=linux))
