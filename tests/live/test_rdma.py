"""The limit of RDMA handles, held by the kernel against a container: on an adapter that is software (rdma_rxe)."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import requirements
from tests.live import host
from tests.runtime.command.conftest import make_root

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

OCI = str(Path(sys.executable).with_name("cinspect-oci"))
HANDLES = 2
OPEN = """
import ctypes, os, struct, sys
group, device, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open(f"{group}/cgroup.procs", "w") as file:
    file.write(str(os.getpid()))
answer = ctypes.create_string_buffer(64)
# IB_USER_VERBS_CMD_GET_CONTEXT of rdma/ib_user_verbs.h: command, words in and out, where to answer
command = struct.pack("=IHHQ", 0, 4, 4, ctypes.addressof(answer))
for number in range(count):
    try:
        os.write(os.open(device, os.O_RDWR), command)
    except BlockingIOError:
        print("refused", number)
print(open(f"{group}/rdma.current").read())
"""


def run(*words: str) -> None:
    subprocess.run(words, check=True, timeout=120, stdin=subprocess.DEVNULL)


@pytest.fixture
def adapter() -> Iterator[str]:
    """Make an adapter upon a network interface of its own; return its name."""
    host.require("rdma")
    requirements.commands("modprobe", "rdma", "ip")
    run("modprobe", "--all", "rdma_rxe", "ib_uverbs")
    interface, name = f"cit{os.getpid()}", f"rxe_cit{os.getpid()}"
    run("ip", "link", "add", interface, "type", "dummy")
    try:
        run("ip", "link", "set", interface, "up")
        run("rdma", "link", "add", name, "type", "rxe", "netdev", interface)
        yield name
        run("rdma", "link", "delete", name)
    finally:
        run("ip", "link", "delete", interface)


def device_of(adapter: str) -> str:
    """Return the node by which programs reach an adapter, once it is there."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for each in Path("/sys/class/infiniband_verbs").glob("uverbs*"):
            node = Path("/dev/infiniband", each.name)
            if (each / "ibdev").read_text().strip() == adapter and node.exists():
                return str(node)
        time.sleep(0.1)
    raise AssertionError(f"no device of {adapter}")


def test_more_handles_than_allowed_are_refused_by_the_kernel(adapter: str, tmp_path: Path) -> None:
    rootfs = tmp_path / "rootfs"
    make_root(rootfs)
    name = f"rdma-{os.getpid()}"
    spec = {
        "ociVersion": "1.2.0",
        "root": {"path": str(rootfs)},
        "process": {"cwd": "/", "args": ["sleep", "1000"], "env": ["PATH=/bin"]},
        "linux": {
            "namespaces": [{"type": "pid"}, {"type": "mount"}],
            "cgroupsPath": f"/cinspect-test-{os.getpid()}/rdma",
            "resources": {
                "devices": [{"allow": True, "access": "rwm"}],
                "rdma": {adapter: {"hcaHandles": HANDLES, "hcaObjects": 50}},
            },
        },
    }
    (tmp_path / "config.json").write_text(json.dumps(spec))
    command, pid_file = (OCI, "--root", str(tmp_path / "state")), tmp_path / "pid"
    with (tmp_path / "out").open("wb") as out:
        subprocess.run(
            (*command, "run", "-d", "--pid-file", str(pid_file), "-b", str(tmp_path), name),
            check=True, timeout=120, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        group = group_of(pid_file.read_text())
        assert f"{adapter} hca_handle={HANDLES} hca_object=50" in (group / "rdma.max").read_text()
        words = (sys.executable, "-c", OPEN, str(group), device_of(adapter), str(HANDLES + 1))
        told = subprocess.run(words, check=True, timeout=120, capture_output=True, text=True).stdout
        assert f"refused {HANDLES}\n" in told
        assert told.count("refused") == 1
        assert f"{adapter} hca_handle={HANDLES} " in told
        refused = subprocess.run(
            (*command, "update", "--resources", "-", name),
            check=False, timeout=120, capture_output=True, text=True,
            input=json.dumps({"rdma": {"nothing": {"hcaHandles": 1}}}),
        )  # fmt: skip
        assert refused.returncode == 1
        assert "rdma" in refused.stderr
    finally:
        subprocess.run((*command, "delete", "--force", name), check=True, timeout=120)


def group_of(pid: str) -> Path:
    """Return the directory of a process's cgroup of the controller."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if names == "" and host.UNIFIED:
            return Path(f"/sys/fs/cgroup{path}")
        if "rdma" in names.split(","):
            return Path(f"/sys/fs/cgroup/rdma{path}")
    raise AssertionError(f"process {pid} is in no such cgroup")
