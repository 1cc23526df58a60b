"""How full filesystems are: real ones, in mount namespaces of the tests' own, and one that never answers."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.kernel import filesystems
from collectors.kernel.filesystems import Filesystem, Reader
from collectors.members import mounts_of
from collectors.root import Root
from runtime.formats.mountinfo import MountInfo
from tests import requirements

MIB = 1 << 20
FUSE = """
import ctypes, os, sys, time
fd = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"nobody", sys.argv[1].encode(), b"fuse", 0, options):
    sys.exit(os.strerror(ctypes.get_errno()))
print("ready", flush=True)
time.sleep(600)  # no request is ever read
"""


@contextlib.contextmanager
def apart(script: str, *arguments: str) -> Iterator[int]:
    """Yield the pid of a shell in a mount namespace of its own, once it has said that it is ready."""
    with subprocess.Popen(
        ("unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", *arguments),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process.pid
        finally:
            process.kill()


def told(reader: Reader | None = None) -> dict[str, Filesystem]:
    return {one.device: one for one in (reader or Reader()).read(Root()).filesystems}


def device(pid: int, path: Path) -> str:
    """Return what is mounted at a path as a process sees it, the last one mounted."""
    return [one.device for one in mounts_of(Root(), pid) if one.mountpoint == str(path)][-1]


def mount(mountpoint: str, fstype: str) -> MountInfo:
    return MountInfo(
        mount_id=1,
        parent_id=0,
        device="0:1",
        root="/",
        mountpoint=mountpoint,
        options=(),
        propagation=(),
        fstype=fstype,
        source="x",
        super_options=(),
    )


@pytest.mark.root
def test_a_tmpfs_that_only_a_container_sees_is_as_full_as_it_is(tmp_path):
    script = 'mount -t tmpfs -o size=8m x "$1"; head -c 3145728 /dev/zero > "$1/file"; echo ready; sleep 600'
    with apart(script, str(tmp_path)) as pid:
        found = told()[device(pid, tmp_path)]
    assert (found.size_bytes, found.used_bytes, found.available_bytes) == (
        8 * MIB,
        3 * MIB,
        5 * MIB,
    )
    assert found.inodes_used == 2


@pytest.mark.root
def test_what_is_hidden_by_another_mount_is_not_told_with_the_others_numbers(tmp_path):
    script = (
        'mount -t tmpfs -o size=8m x "$1"; mount -t tmpfs -o size=4m y "$1"; echo ready; sleep 600'
    )
    with apart(script, str(tmp_path)) as pid:
        below = next(o for o in mounts_of(Root(), pid) if o.mountpoint == str(tmp_path)).device
        found = told()
        above = device(pid, tmp_path)
    assert below not in found
    assert found[above].size_bytes == 4 * MIB


@pytest.mark.root
def test_one_that_is_hidden_here_is_asked_where_it_is_not(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    script = (
        'mount -t tmpfs -o size=8m x "$1/a"; mount --bind "$1/a" "$1/b"; mount -t tmpfs y "$1/a";'
        " echo ready; sleep 600"
    )
    with apart(script, str(tmp_path)) as pid:
        assert told()[device(pid, tmp_path / "b")].size_bytes == 8 * MIB


@pytest.mark.root
def test_a_link_in_a_container_does_not_lead_to_a_filesystem_of_the_hosts(tmp_path):
    (tmp_path / "box" / "data").mkdir(parents=True)
    # The directory with the mountpoint is taken away and a link put in its place.
    script = (
        'mount -t tmpfs -o size=8m x "$1/box/data"; mv "$1/box" "$1/moved"; ln -s /dev "$1/box"; '
        "echo ready; sleep 600"
    )
    with apart(script, str(tmp_path)) as pid:
        (mounted,) = (o for o in mounts_of(Root(), pid) if o.mountpoint.startswith(str(tmp_path)))
        with filesystems.within(str(pid), mounted) as fd:
            assert os.fstatvfs(fd).f_blocks * os.fstatvfs(fd).f_frsize == 8 * MIB
        with (
            pytest.raises(FileNotFoundError),
            filesystems.within(str(pid), mount("/dev", "devtmpfs")),
        ):
            pass


@pytest.mark.root
def test_the_hosts_own_are_those_of_df():
    said = subprocess.check_output(("df", "--block-size=1", "--output=size", "/"), text=True)
    root = next(one for one in mounts_of(Root(), os.getpid()) if one.mountpoint == "/")
    if not filesystems.answers(root, ()):
        requirements.absent_here(f"the root is {root.fstype}: it may not answer")
    assert told()[root.device].size_bytes == int(said.split()[-1])


@pytest.mark.root
def test_one_that_never_answers_is_not_asked(tmp_path):
    with apart(f"exec {sys.executable} -c '{FUSE}' \"$1\"", str(tmp_path)) as pid:
        began = time.monotonic()
        assert device(pid, tmp_path) not in told()
        assert not [one for one in Reader().read(Root()).problems if one.path == str(tmp_path)]
    assert time.monotonic() - began < 30


@pytest.mark.root
def test_one_that_does_not_answer_in_time_costs_itself_and_half_a_second(tmp_path):
    # As a disk that hangs: of a type that is asked.
    reader = Reader(local=filesystems._LOCAL | {"fuse"})
    (tmp_path / "small").mkdir()
    (tmp_path / "dead").mkdir()
    script = (
        f'mount -t tmpfs -o size=4m x "$1/small"; exec {sys.executable} -c \'{FUSE}\' "$1/dead"'
    )
    with apart(script, str(tmp_path)) as pid:
        reading = reader.read(Root())
        small, dead = device(pid, tmp_path / "small"), device(pid, tmp_path / "dead")
        devices = {one.device for one in reading.filesystems}
        assert small in devices
        assert dead not in devices
        (problem,) = (one for one in reading.problems if one.path == str(tmp_path / "dead"))
        assert problem.message == "the fuse mounted there does not answer"
    # Its process is gone: so is who waited.
    reader._due = 0.0
    until = time.monotonic() + 30
    while any(one.is_alive() for one in reader._silent.values()) and time.monotonic() < until:
        time.sleep(0.05)
    assert not reader.read(Root()).problems


@pytest.mark.root
def test_it_is_not_asked_again_at_once():
    reader = Reader()
    assert reader.read(Root()) is reader.read(Root())


def test_a_recorded_tree_has_none(tmp_path):
    assert Reader().read(Root(str(tmp_path))).filesystems == ()


def test_a_path_through_a_filesystem_that_may_not_answer_is_not_gone():
    at_home = [mount("/", "ext4"), mount("/proc", "proc"), mount("/srv", "ext4")]
    for type_ in ("fuse", "fuse.sshfs", "nfs", "nfs4", "cifs", "9p", "ceph", "virtiofs", "autofs"):
        assert not filesystems.answers(mount("/srv", type_), at_home)
        assert not filesystems.answers(
            mount("/srv/data", "tmpfs"), [*at_home, mount("/srv", type_)]
        )
        assert not filesystems.answers(mount("/srv", "tmpfs"), [mount("/", type_)])
        # Beside it is no matter, and one with a name that begins alike.
        assert filesystems.answers(mount("/srv/data", "tmpfs"), [*at_home, mount("/srv/d", type_)])


@given(st.text(), st.text(), st.sampled_from(["nfs", "fuse.x", "ext4", "proc", "what"]))
def test_only_types_that_are_known_to_answer_are_asked(path, above, fstype):
    asked = filesystems.answers(mount("/" + path, fstype), [mount("/" + above, "ext4")])
    assert asked == (fstype == "ext4")
