"""Controllers that few hosts have together: what a runtime set is in the kernel's files, and in a dump.

One container and one dump serve all of it: under emulation a command takes seconds.
"""

import json
import os
import subprocess
import sys
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
TIME = os.path.exists("/proc/self/ns/time")


def huge_pages() -> bool:
    """Tell whether a cgroup can have them: below a root that is none, processes may be in the way."""
    if not host.UNIFIED or not Path("/sys/fs/cgroup/cgroup.type").exists():
        return "hugetlb" in host.controllers()
    return "hugetlb" in Path("/sys/fs/cgroup/cgroup.subtree_control").read_text().split()


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
