"""Mounts by namespace: this host's, and recorded trees with torn files and processes that go away."""

import os
import subprocess

import pytest

from collectors.errors import Missing
from collectors.kernel import mounts
from collectors.root import Root

LINE = "36 35 98:0 / {} rw - tmpfs tmpfs rw\n"


ROOT = LINE.format("/")


def process(base, pid, inode, *, mountinfo=ROOT, root="/"):
    """Record one process as a /proc has it; None leaves a file out, as of one that went away."""
    directory = base / "proc" / str(pid)
    (directory / "ns").mkdir(parents=True)
    if inode is not None:
        (directory / "ns" / "mnt").symlink_to(f"mnt:[{inode}]")
    if mountinfo is not None:
        (directory / "mountinfo").write_text(mountinfo)
    if root is not None:
        (directory / "root").symlink_to(root)


def test_each_namespace_is_read_once_through_its_lowest_pid(tmp_path):
    process(tmp_path, 30, 100)
    process(tmp_path, 4, 100, mountinfo=LINE.format("/four"), root="/chroot")
    process(tmp_path, 5, 200, mountinfo=LINE.format("/five"))
    (tmp_path / "proc" / "sys").mkdir()
    found = mounts.read(Root(str(tmp_path))).namespaces
    assert [(one.namespace, one.pid, one.root_path) for one in found] == [
        (100, 4, "/chroot"),
        (200, 5, "/"),
    ]
    assert [one.mounts[0].mountpoint for one in found] == ["/four", "/five"]


def test_another_process_is_asked_when_the_first_went_away(tmp_path):
    process(tmp_path, 4, 100, mountinfo=None)
    process(tmp_path, 5, 100, mountinfo=LINE.format("/five"))
    reading = mounts.read(Root(str(tmp_path)))
    assert [one.pid for one in reading.namespaces] == [5]
    assert reading.problems == ()


def test_a_namespace_whose_last_process_went_away_is_left_out(tmp_path):
    process(tmp_path, 4, 100, mountinfo=None)
    assert mounts.read(Root(str(tmp_path))) == mounts.MountsReading(())


def test_a_zombie_is_in_no_namespace(tmp_path):
    process(tmp_path, 4, None)
    assert mounts.read(Root(str(tmp_path))) == mounts.MountsReading(())


def test_a_torn_file_is_a_problem_that_names_it(tmp_path):
    process(tmp_path, 4, 100, mountinfo=LINE.format("/")[:-5])
    reading = mounts.read(Root(str(tmp_path)))
    assert reading.namespaces == ()
    assert [(one.path, one.error) for one in reading.problems] == [("/proc/4/mountinfo", "format")]


def test_a_link_that_is_no_namespace_is_not_taken_for_one(tmp_path):
    process(tmp_path, 4, "12x")
    process(tmp_path, 5, 100)
    reading = mounts.read(Root(str(tmp_path)))
    assert [one.pid for one in reading.namespaces] == [5]
    assert [(one.path, one.error) for one in reading.problems] == [("/proc/4/ns/mnt", "format")]


def test_a_root_without_proc_is_missing(tmp_path):
    with pytest.raises(Missing, match="/proc"):
        mounts.read(Root(str(tmp_path)))


@pytest.mark.root
def test_a_real_namespace_shows_what_was_mounted_in_it_alone(tmp_path):
    (tmp_path / "a b\nc").mkdir()
    script = 'mount -t tmpfs "so urce" "$1" && echo ready && read line'
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script, "sh", tmp_path / "a b\nc"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        try:
            assert child.stdout.readline() == b"ready\n"
            inode = int(os.readlink(f"/proc/{child.pid}/ns/mnt")[5:-1])
            namespaces = mounts.read(Root()).namespaces
        finally:
            child.kill()
    (inside,) = [one for one in namespaces if one.namespace == inode]
    (mount,) = [one for one in inside.mounts if one.source == "so urce"]
    assert mount.mountpoint == str(tmp_path / "a b\nc")
    assert (inside.pid, inside.root_path) == (child.pid, "/")
    others = [one for one in namespaces if one.namespace != inode]
    assert others
    assert not any(mount.source == "so urce" for one in others for mount in one.mounts)
