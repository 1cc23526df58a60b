"""Device rules of a container that runs are changed as its limits are, on cgroup v1 and v2."""

import json
import os
from pathlib import Path

import pytest

from runtime.linux import bpf
from tests import requirements
from tests.live import host
from tests.runtime.command.conftest import Runtime

pytestmark = pytest.mark.root

NODE = {"path": "/dev/rose", "type": "c", "major": 10, "minor": 229}
NONE = {"allow": False, "access": "rwm"}
ONE = {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"}


def forbidden(runtime: Runtime) -> bool:
    """Tell whether the cgroup keeps the node from being opened; the kernel may have no such device."""
    script = "exec 3<>/dev/rose"
    return (
        "Operation not permitted" in runtime("exec", "one", "sh", "-c", script, check=False).stderr
    )


def update(runtime: Runtime, resources: dict) -> None:
    path = runtime.directory / "resources.json"
    path.write_text(json.dumps(resources))
    runtime("update", "--resources", str(path), "one")


def programs(runtime: Runtime) -> int:
    """Return how many programs decide for the container's v2 cgroup."""
    group = Path("/proc", str(runtime.state("one")["pid"]), "cgroup").read_text().splitlines()[-1]
    directory = os.open(f"/sys/fs/cgroup{group[3:]}", os.O_RDONLY)
    try:
        return len(bpf.attached_devices(directory))
    finally:
        os.close(directory)


@pytest.mark.parametrize("driver", [(), ("--systemd-cgroup",)], ids=["cgroupfs", "systemd"])
def test_rules_change_both_ways(runtime: Runtime, driver: tuple[str, ...]) -> None:
    changes = {"devices": [NODE], "resources": {"devices": [NONE]}}
    if driver:
        if not os.path.isdir("/run/systemd/system"):
            requirements.absent_here("systemd is not the first process of this host")
        runtime.command = (*runtime.command, *driver)
        changes["cgroupsPath"] = f"system.slice:{runtime.name}:one"
    runtime.running("one", linux=changes)
    assert forbidden(runtime)
    update(runtime, {"devices": [NONE, ONE]})
    assert not forbidden(runtime)
    update(runtime, {"cpu": {}})
    assert not forbidden(runtime)
    update(runtime, {"devices": [NONE]})
    assert forbidden(runtime)
    if host.UNIFIED:
        assert programs(runtime) == 1
    runtime("exec", "one", "sh", "-c", ": > /dev/null")
