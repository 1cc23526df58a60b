"""A snap, run by Debian's own snap-confine: what is told of it, beside what snap-confine made for it.

The snap is made by hand, and snapd does not run: no snap can be had from where the tests run. All that
snap-confine wants of a host is in a root of the test's own.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import requirements
from tests.engines import seen
from tests.machines import kernel

pytestmark = [pytest.mark.engine, pytest.mark.root]

FREEZER = Path("/sys/fs/cgroup/freezer")
HOST = r"""
set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs "$SCRATCH"
mkdir "$SCRATCH/upper" "$SCRATCH/work" "$SCRATCH/root" "$SCRATCH/base"
mount -t overlay overlay -o "lowerdir=/,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work" "$SCRATCH/root"
for place in proc sys dev; do mount --rbind "/$place" "$SCRATCH/root/$place"; done
for place in tmp run var/lib; do mount -t tmpfs tmpfs "$SCRATCH/root/$place"; done
cd "$SCRATCH/base"
mkdir -p bin dev etc home lib lib64 media meta mnt opt proc root run snap srv sys tmp usr/bin usr/src \
  usr/share usr/lib/snapd var/lib/snapd var/log var/tmp var/snap lib/modules lib/firmware lib/udev
cp "$BUSYBOX" bin/busybox; ln -s busybox bin/sleep
touch etc/hosts etc/hostname etc/resolv.conf etc/nsswitch.conf etc/os-release
mksquashfs . "$SCRATCH/base.snap" -quiet > /dev/null
mkdir -p "$SCRATCH/root/usr/lib/snapd"; cp -a "$SNAPD/." "$SCRATCH/root/usr/lib/snapd"
cd "$SCRATCH/root"
mkdir -p snap/base/1 "snap/$NAME/1/meta" var/snap var/lib/snapd/seccomp/bpf var/lib/snapd/mount run/snapd/ns
mount -o loop -t squashfs "$SCRATCH/base.snap" snap/base/1
ln -s 1 snap/base/current; ln -s 1 "snap/$NAME/current"
echo @unrestricted > tmp/profile
mkdir old; pivot_root . old; cd /
/usr/lib/snapd/snap-seccomp compile /tmp/profile "/var/lib/snapd/seccomp/bpf/snap.$NAME.app.bin"
export SNAP_INSTANCE_NAME="$NAME" SNAP_NAME="$NAME" SNAP_REVISION=1
exec /usr/lib/snapd/snap-confine --base base "snap.$NAME.app" /bin/sleep 9875
"""


@contextlib.contextmanager
def snap(name: str, scratch: Path) -> Iterator[Path]:
    """Run a snap of a sleep on a host of its own; yield what it says."""
    requirements.commands("mksquashfs", "busybox", "unshare", "dpkg-deb")
    package = kernel.unpacked(scratch, "snapd")
    environment = {
        **os.environ,
        "SCRATCH": str(scratch / "host"),
        "SNAPD": str(package / "usr/lib/snapd"),
        "BUSYBOX": "/bin/busybox",
        "NAME": name,
    }
    (scratch / "host").mkdir()
    said = scratch / "said"
    # It reads the mount namespace of process 1, which may be another's that nobody may look at.
    command = (
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "sh",
        "-c",
        HOST,
    )
    with said.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        yield said
    finally:
        process.kill()
        process.wait()
        deadline = time.monotonic() + 10
        while (FREEZER / f"snap.{name}").exists() and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                (FREEZER / f"snap.{name}").rmdir()
            time.sleep(0.05)


def test_a_snap_is_told_by_its_name_and_the_processes_that_snap_confine_froze_together(
    tmp_path: Path,
) -> None:
    if not FREEZER.is_dir():
        requirements.absent_here("snap-confine makes a cgroup by itself in v1's freezer alone")
    name = f"shown-{os.getpid()}"
    with snap(name, tmp_path) as said:
        deadline = time.monotonic() + 60
        while not (members := _members(name)):
            assert time.monotonic() < deadline, said.read_text()
            time.sleep(0.1)
        while Path(f"/proc/{members[0]}/cmdline").read_bytes() != b"/bin/sleep\x009875\0":
            assert time.monotonic() < deadline, said.read_text()
            time.sleep(0.1)
        (one,) = [one for one in seen.containers() if one["engine"] == "snap"]
        print("snap-confine", members, one["id"], one["pids"], one["rootfs"])  # noqa: T201 - its own word
    assert (one["id"], one["name"], one["pids"]) == (name, name, members)
    assert one["cgroups"]["freezer"] == f"/snap.{name}"
    assert one["rootfs"]["driver"] == "squashfs"  # its base, which is mounted nowhere on this host


def _members(name: str) -> list[int]:
    """Return the processes of the cgroup that snap-confine has made."""
    try:
        return [int(pid) for pid in (FREEZER / f"snap.{name}/cgroup.procs").read_text().split()]
    except FileNotFoundError:
        return []
