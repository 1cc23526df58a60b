"""Roots of every kind of filesystem that this kernel can mount: each made, entered, and told by a dump."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import command, requirements
from tests.command import JSON
from tests.engines import seen

pytestmark = pytest.mark.root

TREE = """
set -e
cd "$1"
mkdir -p tree/bin tree/etc tree/proc
cp /bin/busybox tree/bin/sh
echo lower > tree/etc/lower
mkdir -p at
"""
MAKE = {
    "tmpfs": "mount -t tmpfs -o size=16m x at; cp -a tree/. at/",
    "fuse": "mkdir upper work; "
    'fuse-overlayfs -o "lowerdir=$1/tree,upperdir=$1/upper,workdir=$1/work" "$1/at"',
    "erofs": "mkfs.erofs --quiet image tree; mount -o loop -t erofs image at",
    "squashfs": "mksquashfs tree image -quiet -no-progress; mount -o loop -t squashfs image at",
    "composefs": "mkdir names objects; cp -a tree/. objects; mkfs.erofs --quiet image tree; "
    "mkdir image.d; mount -o loop -t erofs image image.d; "
    'mount -t overlay -o "ro,metacopy=on,redirect_dir=on,lowerdir=$1/image.d::$1/objects" overlay at',
    "btrfs": "truncate -s 120m image; mkfs.btrfs -q image; mkdir top; mount -o loop -t btrfs image top; "
    "btrfs subvolume create top/base; cp -a tree/. top/base/; "
    "btrfs subvolume snapshot top/base top/box; mount -o loop,subvol=box -t btrfs image at",
    "ext4": "truncate -s 16m image; mkfs.ext4 -q image; mount -o loop -t ext4 image at; cp -a tree/. at/",
    "xfs": "truncate -s 320m image; mkfs.xfs -q image; mount -o loop -t xfs image at; cp -a tree/. at/",
}
NEEDS = {
    "fuse": ("fuse-overlayfs",),
    "erofs": ("mkfs.erofs",),
    "squashfs": ("mksquashfs",),
    "composefs": ("mkfs.erofs",),
    "btrfs": ("mkfs.btrfs", "btrfs"),
    "ext4": ("mkfs.ext4",),
    "xfs": ("mkfs.xfs",),
}
PIVOT = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
os.chdir(sys.argv[1])
here = b"."
if libc.syscall(155 if os.uname().machine == "x86_64" else 41, here, here):
    sys.exit(os.strerror(ctypes.get_errno()))
if libc.umount2(here, 2):
    sys.exit(os.strerror(ctypes.get_errno()))
os.chdir("/")
os.write(1, b"ready\\n")
os.execv("/bin/sh", ["sh", "-c", "read forever"])
"""


@contextlib.contextmanager
def box(directory: Path, kind: str) -> Iterator[int]:
    """Yield the pid of a process whose root is a filesystem of this kind, in namespaces of its own.

    What was mounted on the way, and who serves it, stays in a mount namespace around it.
    """
    requirements.commands("unshare", "python3", *NEEDS.get(kind, ()))
    (directory / "pivot.py").write_text(PIVOT)
    within = 'exec unshare --mount --uts --ipc --propagation private python3 "$1/pivot.py" "$1/at"'
    with subprocess.Popen(
        (
            *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"),
            *("sh", "-c", f"{TREE}\n{MAKE[kind]}\n{within}", "sh", str(directory)),
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            if "ready\n" not in iter(process.stdout.readline, ""):
                requirements.absent_here(
                    f"{kind} cannot be mounted: {process.stderr.read()[-300:]}"
                )
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            yield int(children)
        finally:
            process.kill()


def rootfs(pid: int) -> JSON:
    """Return what a dump says of the root of the container that a process is in."""
    said = command.succeed("dump", "--section", "containers", environment=seen.HIDDEN)
    return next(one for one in json.loads(said)["containers"] if pid in one["pids"])["rootfs"]


@pytest.mark.parametrize(
    ("kind", "driver", "about"),
    [
        ("tmpfs", "tmpfs", "in memory"),
        ("erofs", "erofs", "an EROFS image, read-only"),
        ("squashfs", "squashfs", "a squashfs image, read-only"),
        ("btrfs", "btrfs", "a btrfs subvolume, as a rule a snapshot of the image's: /box"),
        ("ext4", "ext4", "a ext4 filesystem of its own, on /dev/loop"),
        ("xfs", "xfs", "a xfs filesystem of its own, on /dev/loop"),
        ("composefs", "overlay", "composefs, or the like: an overlay with data-only layers"),
        ("fuse", "fuse.fuse-overlayfs", "fuse-overlayfs: an overlay that a process makes"),
    ],
)
def test_a_root_of_each_kind_is_told(tmp_path, kind, driver, about):
    with box(tmp_path, kind) as pid:
        told = rootfs(pid)
    assert told["driver"] == driver
    assert told["about"].startswith(about)
    if kind == "btrfs":
        assert told["dataset"] == "/box"
    if kind == "composefs":
        (objects,) = told["data_layers"]
        assert objects.endswith(f"{tmp_path}/objects")
    if kind == "fuse":
        layers = {one["role"]: one["path"] for one in told["layers"]}
        assert layers["upper"] == str(tmp_path / "upper")
        assert layers["lower"] == str(tmp_path / "tree")
