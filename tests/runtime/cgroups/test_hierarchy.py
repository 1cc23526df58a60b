"""Cgroup mounts of v1, hybrid, co-mounted and v2 hosts are told apart."""

import os
from pathlib import Path

import pytest

from runtime.cgroups import hierarchy
from runtime.errors import FormatError

HYBRID = b"""\
23 22 0:22 / /sys rw,relatime - sysfs sysfs rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
"""
HYBRID_OWN = b"4:memory:/a/b\n2:cpu,cpuacct:/a\n1:name=systemd:/init.scope\n0::/c\n"


def by_name(mountinfo: bytes, own: bytes) -> dict[str, hierarchy.Hierarchy]:
    return {each.name: each for each in hierarchy.parse(mountinfo, own)}


def test_controllers_mounted_together_are_one_hierarchy():
    found = by_name(HYBRID, HYBRID_OWN)
    assert found["cpu,cpuacct"].controllers == ("cpu", "cpuacct")
    assert found["cpu,cpuacct"].mountpoint == "/sys/fs/cgroup/cpu,cpuacct"
    assert found["cpu,cpuacct"].own == "/a"


def test_a_named_hierarchy_has_no_controllers():
    systemd = by_name(HYBRID, HYBRID_OWN)["systemd"]
    assert systemd.version == 1
    assert systemd.controllers == ()


def test_the_v2_mount_of_a_hybrid_host_is_found_beside_the_others():
    found = by_name(HYBRID, HYBRID_OWN)
    assert found["unified"].version == 2
    assert found["unified"].own == "/c"
    assert set(found) == {"cpu,cpuacct", "memory", "systemd", "unified"}


def test_a_v2_host_has_one_hierarchy():
    mountinfo = b"31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
    assert list(by_name(mountinfo, b"0::/user.slice\n")) == ["unified"]


def test_a_mountpoint_with_a_space_is_unescaped():
    mountinfo = b"31 23 0:28 / /mnt/c\\040g rw - cgroup2 cgroup2 rw\n"
    assert by_name(mountinfo, b"0::/\n")["unified"].mountpoint == "/mnt/c g"


@pytest.mark.parametrize("line", [b"31 23 0:28 /", b"31 23 0:28 / /sys rw cgroup cgroup2 rw"])
def test_a_torn_line_is_an_error(line: bytes):
    with pytest.raises(FormatError):
        hierarchy.parse(line, b"0::/\n")


def test_a_torn_own_line_is_an_error():
    with pytest.raises(FormatError):
        hierarchy.parse(HYBRID, b"12 memory\n")


@pytest.mark.root
def test_a_cgroup_that_went_while_it_was_looked_at_is_not_there() -> None:
    top = Path(hierarchy.discover()[0].mountpoint)
    place = top / f"cinspect-test-{os.getpid()}-gone"
    place.mkdir()
    held = os.open(place / "cgroup.procs", os.O_RDWR)
    place.rmdir()
    try:
        with pytest.raises(FileNotFoundError):
            hierarchy.read(f"/proc/self/fd/{held}")
        with pytest.raises(FileNotFoundError):
            hierarchy.write(f"/proc/self/fd/{held}", "0")
    finally:
        os.close(held)
