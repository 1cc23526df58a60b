"""Controllers that few hosts have together: what a runtime set is in the kernel's files, and in a dump.

One container and one dump serve all of it: under emulation a command takes seconds.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import requirements
from tests.live import host
from tests.live.engine import Engine

pytestmark = [pytest.mark.root, pytest.mark.timeout(400)]

OCI = str(Path(sys.executable).with_name("cinspect-oci"))
HUGE = 2 << 20
"""Bytes of the page size that x86_64 always has."""
CLOCK_OFFSET_SECONDS = 864_000
READ_BYTES = 1 << 20
"""What may be read from the disk in a second."""
WEIGHT, WEIGHT_OF_V2 = 300, 2930
"""Of 10 to 1000, and the same of 1 to 10000."""
TIME = os.path.exists("/proc/self/ns/time")


def huge_pages() -> bool:
    """Tell whether a cgroup can have them: below a root that is none, processes may be in the way."""
    if not host.UNIFIED or not Path("/sys/fs/cgroup/cgroup.type").exists():
        return "hugetlb" in host.controllers()
    return "hugetlb" in Path("/sys/fs/cgroup/cgroup.subtree_control").read_text().split()


def disk(directory: str) -> tuple[int, int] | None:
    """Return the numbers of the whole disk that a directory is on, if it is on one."""
    device = os.stat(directory).st_dev
    place = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    if not place.exists():
        return None
    whole = place.resolve().parent if (place / "partition").exists() else place
    major, minor = (whole / "dev").read_text().split(":")
    return int(major), int(minor)


def has_weights() -> bool:
    """Tell whether cgroups have a file for their share of a disk."""
    names = ("*/io.weight", "*/io.bfq.weight") if host.UNIFIED else ("blkio/*/blkio.bfq.weight",)
    return any(True for name in names for _ in Path("/sys/fs/cgroup").glob(name))


def spec(rootfs: str) -> dict[str, Any]:
    """Return a config.json that asks for each controller this host has."""
    have = host.controllers()
    resources: dict[str, Any] = {"devices": [{"allow": True, "access": "rwm"}]}
    if "cpuset" in have:
        resources["cpu"] = {"cpus": "0"}
    if huge_pages():
        resources["hugepageLimits"] = [{"pageSize": "2MB", "limit": 3 * HUGE}]
    if "memory" in have:
        resources["memory"] = {"limit": 64 << 20}
    if ("io" if host.UNIFIED else "blkio") in have and (numbers := disk(rootfs)):
        device = {"major": numbers[0], "minor": numbers[1]}
        throttles = {"throttleReadBpsDevice": [{**device, "rate": READ_BYTES}]}
        resources["blockIO"] = {**throttles, **({"weight": WEIGHT} if has_weights() else {})}
    kinds = ["pid", "mount", "ipc", "uts", "cgroup", *(["time"] if TIME else [])]
    linux: dict[str, Any] = {
        "namespaces": [{"type": kind} for kind in kinds],
        "cgroupsPath": f"/cinspect-test-{os.getpid()}/controllers",
        "resources": resources,
    }
    if TIME:
        linux["timeOffsets"] = {"boottime": {"secs": CLOCK_OFFSET_SECONDS}}
    return {
        "ociVersion": "1.2.0",
        "root": {"path": rootfs, "readonly": True},
        "process": {"cwd": "/", "args": ["/bin/sleep", "1000"], "env": ["PATH=/bin"]},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": linux,
    }


@pytest.fixture(scope="module")
def made(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Any]]:
    """Return the pid of a container with all of them, and a dump of the host meanwhile."""
    requirements.commands("busybox")
    directory = tmp_path_factory.mktemp("controllers")
    rootfs = directory / "rootfs"
    for name in ("bin", "proc"):
        (rootfs / name).mkdir(parents=True)
    busybox = Path(subprocess.check_output(("which", "busybox"), text=True).strip())
    (rootfs / "bin/sleep").write_bytes(busybox.read_bytes())
    (rootfs / "bin/sleep").chmod(0o755)
    (rootfs / "data").write_bytes(bytes(3 * READ_BYTES))
    os.sync()
    (directory / "config.json").write_text(json.dumps(spec(str(rootfs))))
    name = f"controllers-{os.getpid()}"
    command = (OCI, "--root", str(directory / "state"))
    pid_file = directory / "pid"
    subprocess.run(
        (*command, "run", "-d", "--pid-file", str(pid_file), "-b", str(directory), name),
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        timeout=120,
    )
    try:
        yield int(pid_file.read_text()), engine.dump()
    finally:
        subprocess.run((*command, "delete", "--force", name), check=True, timeout=120)


def container(made: tuple[int, Any]) -> Any:
    pid, frame = made
    (found,) = (each for each in frame["containers"] if each["pid"] == pid)
    return found


def test_it_runs_on_the_cpus_of_its_cpuset_alone(made: tuple[int, Any]) -> None:
    host.require("cpuset")
    status = Path(f"/proc/{made[0]}/status").read_text()
    assert "Cpus_allowed_list:\t0\n" in status
    assert container(made)["resources"]["cpu"]["cpuset"] == "0"


def test_huge_pages_are_limited(made: tuple[int, Any]) -> None:
    if not huge_pages():
        requirements.absent_here("no hugetlb controller that could be enabled on this host")
    found = container(made)
    (file,) = (
        Path("/sys/fs/cgroup" + found["cgroups"].get("", "/"), "hugetlb.2MB.max")
        if host.UNIFIED
        else Path(
            "/sys/fs/cgroup/hugetlb" + found["cgroups"]["hugetlb"], "hugetlb.2MB.limit_in_bytes"
        ),
    )
    assert file.read_text() == f"{3 * HUGE}\n"
    limited = [
        each["hugetlb"]["2MB"]
        for each in made[1]["cgroups"]
        if each["container"] == found["id"] and each["hugetlb"]
    ]
    assert [each["limit_bytes"] for each in limited] == [3 * HUGE]


def io(made: tuple[int, Any]) -> tuple[Path, Any]:
    """Return the container's cgroup for IO, and what the dump says of that."""
    name = "io" if host.UNIFIED else "blkio"
    host.require(name)
    if disk(f"/proc/{made[0]}/root") is None:
        requirements.absent_here("the tests' directory is on no disk")
    found = container(made)
    path = found["cgroups"]["" if host.UNIFIED else name]
    (told,) = (
        each["io"]
        for each in made[1]["cgroups"]
        if each["container"] == found["id"] and each["io"] and each["io"].get("limits")
    )
    return Path("/sys/fs/cgroup" + ("" if host.UNIFIED else f"/{name}") + path), told


def test_a_disk_is_read_no_faster_than_allowed(made: tuple[int, Any]) -> None:
    group, told = io(made)
    numbers = disk(f"/proc/{made[0]}/root")
    assert numbers is not None
    device = f"{numbers[0]}:{numbers[1]}"
    file = group / ("io.max" if host.UNIFIED else "blkio.throttle.read_bps_device")
    assert file.read_text().startswith(
        f"{device} rbps={READ_BYTES} wbps=max" if host.UNIFIED else f"{device} {READ_BYTES}\n"
    )
    assert [(each["device"], each["read_bytes"]) for each in told["limits"]] == [
        (device, READ_BYTES)
    ]
    data = Path(f"/proc/{made[0]}/root/data")
    script = 'echo $$ > "$0/cgroup.procs" && exec dd "if=$1" of=/dev/null bs=256k iflag=direct'
    begun = time.monotonic()
    subprocess.run(("sh", "-c", script, group, data), check=True, stderr=subprocess.DEVNULL)
    assert time.monotonic() - begun > 1.5  # 3 MiB, of which some may go at once


def test_its_share_of_a_disk_is_the_weight_asked_for(made: tuple[int, Any]) -> None:
    if not has_weights():
        requirements.absent_here("no weights of disks on this kernel")
    group, told = io(made)
    names = ("io.bfq.weight", "io.weight", "blkio.bfq.weight", "blkio.weight")
    said = next(path.read_text() for name in names if (path := group / name).exists())
    assert int(said.split()[-1]) in {WEIGHT, WEIGHT_OF_V2}
    assert told["weight"] == int(said.split()[-1])


def test_pressure_is_told_of_it(made: tuple[int, Any]) -> None:
    own = container(made)["cgroups"].get("", "/")
    files = (Path(f"/sys/fs/cgroup{own}/{kind}.pressure") for kind in ("cpu", "memory", "io"))
    if not host.UNIFIED or not all(path.exists() for path in files):
        requirements.absent_here("no pressure stalls of cgroups where cgroup v2 is alone")
    pressure = container(made)["resources"]["pressure"]
    assert set(pressure) == {"cpu", "memory", "io"}
    for kind in pressure.values():
        assert kind["some"]["total_usec"] >= 0


def test_clocks_of_its_own_are_a_namespace_of_its_own(made: tuple[int, Any]) -> None:
    if not TIME:
        requirements.absent_here("no time namespaces in this kernel")
    offsets = Path(f"/proc/{made[0]}/timens_offsets").read_text()
    assert [line.split()[:2] for line in offsets.splitlines()][1] == [
        "boottime", str(CLOCK_OFFSET_SECONDS),
    ]  # fmt: skip
    found = container(made)
    assert "time" not in found["shared_with_host"]
    inode = os.stat(f"/proc/{made[0]}/ns/time").st_ino
    assert found["namespaces"]["time"] == inode
    assert inode in {each["inode"] for each in made[1]["namespaces"] if each["type"] == "time"}


@pytest.mark.parametrize("name", ["rdma", "misc"])
def test_a_rare_controller_is_shown_where_the_host_has_it(made: tuple[int, Any], name: str) -> None:
    host.require(name)
    shown = {each for group in made[1]["cgroups"] for each in group["controllers"]}
    assert name in shown
