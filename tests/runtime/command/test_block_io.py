"""Limits of input and output hold on a real block device, one made of a file."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import requirements
from tests.live import host

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]

MIB = 1 << 20
READ, WRITE = "if=/dev/rose of=/dev/null iflag=direct", "if=/dev/zero of=/dev/rose oflag=direct"


class Disk(NamedTuple):
    """A block device."""

    name: str
    major: int
    minor: int

    def limited(self, **limits: object) -> dict:
        """Return what a container needs to use it within limits."""
        numbers = {"type": "b", "major": self.major, "minor": self.minor}
        return {
            "linux": {
                "devices": [{"path": "/dev/rose", "fileMode": 0o600, **numbers}],
                "resources": {
                    "devices": [{"allow": False, "access": "rwm"}, {"allow": True, **numbers}],
                    "blockIO": limits,
                },
            },
            "process": {"capabilities": {}},
        }

    def of(self, **more: int) -> list[dict]:
        """Return one entry of a list of devices."""
        return [{"major": self.major, "minor": self.minor, **more}]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    host.require("io" if host.UNIFIED else "blkio")
    requirements.commands("losetup")
    image = tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(16 * MIB)
    done = subprocess.run(
        ("losetup", "--find", "--show", str(image)), check=False, capture_output=True, text=True
    )
    if done.returncode:
        requirements.absent_here(f"no loop device is to be had: {done.stderr.strip()}")
    name = done.stdout.strip()
    number = os.stat(name).st_rdev
    try:
        yield Disk(os.path.basename(name), os.major(number), os.minor(number))
    finally:
        subprocess.run(("losetup", "--detach", name), check=True)


def seconds(runtime, copying: str, limits: dict) -> float:
    """Return how long a command in the container copied, as the container itself sees it."""
    applet = runtime.directory / "rootfs/bin/dd"
    if not applet.exists():
        applet.symlink_to("busybox")
    read = "read now rest < /proc/uptime"
    script = (
        f"{read}; began=$now; dd {copying} 2> /tmp/said || cat /tmp/said; {read}; echo $began $now"
    )
    began, ended = runtime.sh(script, root={"readonly": False}, **limits).split()
    return float(ended) - float(began)


@pytest.mark.parametrize(
    ("key", "rate", "copying"),
    [
        ("throttleReadBpsDevice", MIB, f"{READ} bs=1M count=3"),
        ("throttleWriteBpsDevice", MIB, f"{WRITE} bs=1M count=3"),
        ("throttleReadIOPSDevice", 10, f"{READ} bs=4k count=30"),
        ("throttleWriteIOPSDevice", 10, f"{WRITE} bs=4k count=30"),
    ],
)
def test_a_throttle_holds(runtime, disk, key, rate, copying):
    """What would be done at once takes the three seconds that the rate allows for, less a burst."""
    limits = disk.limited(**{key: disk.of(rate=rate)})
    assert seconds(runtime, copying, limits) > 1.8
    assert seconds(runtime, copying, disk.limited()) < 1.5
    other = "Write" if "Read" in key else "Read"
    opposite = key.replace("Read", other).replace("Write", other)
    assert seconds(runtime, copying, disk.limited(**{opposite: disk.of(rate=rate)})) < 1.5


def test_a_weight_is_that_of_the_device_s_scheduler(runtime, disk):
    queue = Path(f"/sys/block/{disk.name}/queue/scheduler")
    if "bfq" not in queue.read_text():
        requirements.absent_here("this kernel has no bfq scheduler")
    queue.write_text("bfq")
    runtime.running("one", **disk.limited(weight=200, weightDevice=disk.of(weight=300)))
    path = f"/{runtime.name}/c1"
    directory = Path(f"/sys/fs/cgroup{path}" if host.UNIFIED else f"/sys/fs/cgroup/blkio{path}")
    if host.UNIFIED:
        told = (directory / "io.bfq.weight").read_text().split()
        assert told == ["default", "200", f"{disk.major}:{disk.minor}", "300"]
    else:
        assert (directory / "blkio.bfq.weight").read_text() == "200\n"
        told = (directory / "blkio.bfq.weight_device").read_text().splitlines()
        assert f"{disk.major}:{disk.minor} 300" in told


def test_a_device_that_is_not_there_is_refused_by_name(refused):
    host.require("io" if host.UNIFIED else "blkio")
    rates = [{"major": 4000, "minor": 1, "rate": MIB}]
    said = refused(linux={"resources": {"blockIO": {"throttleReadBpsDevice": rates}}})
    assert "linux.resources.blockIO: " in said
    assert "there is no device as in '4000:1 " in said


def test_a_weight_of_leaves_is_refused_by_name_where_no_kernel_has_it(refused):
    host.require("blkio")  # v2 has none at all
    if Path("/sys/fs/cgroup/blkio/blkio.leaf_weight").exists():
        requirements.absent_here("this kernel has the cfq scheduler")
    said = refused(linux={"resources": {"blockIO": {"leafWeight": 100}}})
    assert "linux.resources.blockIO: " in said
    assert "blkio.leaf_weight: this kernel has no such limit" in said
