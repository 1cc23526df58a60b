"""Containers that runc or crun made by itself, with no engine above it."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import command, requirements, traces
from tests.engines import seen

pytestmark = [pytest.mark.engine, pytest.mark.root]


def bundle(directory: Path, rootfs: Path, **changes: Any) -> Path:
    """Make a bundle whose command sleeps; return its directory."""
    directory.mkdir()
    subprocess.run(("runc", "spec", "--bundle", directory), check=True)
    path = directory / "config.json"
    specification = json.loads(path.read_text())
    specification["process"] |= {"terminal": False, "args": ["sleep", "1000"], "rlimits": []}
    specification["root"] = {"path": str(rootfs), "readonly": True}
    specification["linux"] |= changes
    path.write_text(json.dumps(specification))
    return directory


@contextlib.contextmanager
def running(runtime: tuple[str, ...], directory: Path, identifier: str) -> Iterator[None]:
    """Run a bundle detached until the end of the block."""
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    try:
        subprocess.run(
            (*runtime, "run", "--detach", "--bundle", directory, identifier),
            check=True,
            **silent,  # type: ignore[call-overload]
        )
        yield
    finally:
        subprocess.run((*runtime, "delete", "--force", identifier), check=False, **silent)  # type: ignore[call-overload]
        for cgroup in traces.cgroups(f"/{identifier}"):
            traces.remove_cgroup(cgroup)


def without_hybrid() -> tuple[str, ...]:
    """Return what hides a cgroup v2 beside v1 from a command: crun refuses to see both."""
    if not os.path.ismount("/sys/fs/cgroup/unified"):
        return ()
    script = 'umount /sys/fs/cgroup/unified; exec "$@"'
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh")


def test_a_runc_container_is_found_with_its_id(scratch: Path, rootfs: Path) -> None:
    identifier = f"cinspect-runc-{scratch.name[-4:]}"
    limits = {"memory": {"limit": 64 << 20}, "pids": {"limit": 50}}
    directory = bundle(
        scratch / "runc-bundle", rootfs, resources=limits, cgroupsPath=f"/{identifier}"
    )
    runtime = ("runc",)
    with running(runtime, directory, identifier):
        state = json.loads(
            subprocess.run((*runtime, "state", identifier), check=True, capture_output=True).stdout
        )
        found = [one for one in seen.containers() if one["pid"] == state["pid"]]
        assert len(found) == 1
        assert identifier in (found[0]["id"], found[0]["name"])
        assert found[0]["resources"]["memory"]["limit_bytes"] == 64 << 20
        assert found[0]["resources"]["pids"]["limit"] == 50
    assert state["pid"] not in [one["pid"] for one in seen.containers()]


def test_a_crun_container_without_cgroups_is_found_by_its_namespaces(
    scratch: Path, rootfs: Path
) -> None:
    requirements.commands("crun")
    identifier = f"cinspect-crun-{scratch.name[-4:]}"
    directory = bundle(scratch / "crun-bundle", rootfs, resources={})
    runtime = (*without_hybrid(), "crun", "--cgroup-manager", "disabled")
    with running(runtime, directory, identifier):
        state = json.loads(
            subprocess.run((*runtime, "state", identifier), check=True, capture_output=True).stdout
        )
        one = command.eventually(
            lambda: next((one for one in seen.containers() if one["pid"] == state["pid"]), None)
        )
        assert one["namespaces"]["pid"] is not None
        assert "pid" not in one["shared_with_host"]
        assert one["evidence"]
