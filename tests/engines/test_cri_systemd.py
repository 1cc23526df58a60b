"""Pods over the CRI in slices of systemd, as kubelet's `systemd` driver has them: on our two runtimes."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import command, requirements
from tests.engines import kubelet, seen
from tests.engines.daemons import Engine
from tests.engines.kubelet import Kubelet
from tests.engines.test_oci_systemd import systemd  # noqa: F401 - every test here needs it
from tests.live import host

pytestmark = [pytest.mark.engine, pytest.mark.root, pytest.mark.timeout(300)]

BIN = Path(sys.executable).parent
CONFIGURED = 'plugins."io.containerd.grpc.v1.cri".containerd'
PLUGIN = f"{CONFIGURED}.runtimes"
RUNTIMES = f"""
        [{CONFIGURED}]
        default_runtime_name = "shim"
        [{PLUGIN}.shim]
        runtime_type = "io.containerd.cinspect.v1"
        [{PLUGIN}.shim.options]
        SystemdCgroup = true
        [{PLUGIN}.oci]
        runtime_type = "io.containerd.runc.v2"
        [{PLUGIN}.oci.options]
        BinaryName = "{BIN}/cinspect-oci"
        SystemdCgroup = true
"""
TYPES = {"shim": "io.containerd.cinspect.v1", "oci": "io.containerd.runc.v2"}
UID = "0a1b2c3d-0000-1111-2222-333344445555"
SLICE = f"kubepods-pod{UID.replace('-', '_')}.slice"
ROOT = Path("/sys/fs/cgroup")
STOPPED = 2
"""`ContainerState.CONTAINER_EXITED`."""
MEMORY = ROOT if host.UNIFIED else ROOT / "memory"


@pytest.fixture(scope="module")
def runtime(scratch: Path, rootfs_tar: Path) -> Iterator[Engine]:
    requirements.commands("containerd", "ctr", "runc")
    path = f"{BIN}:{os.environ['PATH']}"
    with kubelet.containerd(scratch, rootfs_tar, runtimes=RUNTIMES, path=path) as engine:
        yield engine
    shutil.rmtree("/run/containerd/runc/k8s.io", ignore_errors=True)
    # kubelet would stop the slices, which it has made.
    subprocess.run(("systemctl", "stop", "kubepods.slice"), check=True)


@pytest.fixture(params=["shim", "oci"])
async def pod(
    runtime: Engine, request: pytest.FixtureRequest
) -> AsyncIterator[tuple[Kubelet, str, str]]:
    """Return who makes pods, a pod's sandbox, and a container in it with a limit of memory."""
    assert runtime.address
    maker = Kubelet(runtime.address, f"/kubepods.slice/{SLICE}", request.param)
    sandbox = await maker.run_pod("web-7d4", namespace="shop", uid=UID)
    try:
        words = ["sleep", "1000"]
        yield (
            maker,
            sandbox,
            await maker.run_container(sandbox, "nginx", words, memory_bytes=64 << 20),
        )
    finally:
        await maker.remove_pod(sandbox)
    command.eventually(lambda: scopes() == set())


def scopes() -> set[str]:
    listed = (
        "systemctl",
        "list-units",
        "--all",
        "--plain",
        "--no-legend",
        "cri-containerd-*.scope",
    )
    done = subprocess.run(listed, check=True, capture_output=True, text=True)
    return {line.split()[0] for line in done.stdout.splitlines()}


def group(container: str) -> str:
    return f"kubepods.slice/{SLICE}/cri-containerd-{container}.scope"


def limit(container: str) -> str:
    file = "memory.max" if host.UNIFIED else "memory.limit_in_bytes"
    return (MEMORY / group(container) / file).read_text().strip()


def shown(container: str) -> str:
    name = "MemoryMax" if host.UNIFIED else "MemoryLimit"
    show = ("systemctl", "show", f"cri-containerd-{container}.scope", "-p", name, "--value")
    return subprocess.run(show, check=True, capture_output=True, text=True).stdout.strip()


async def test_a_pods_processes_are_in_scopes_of_its_slice(pod: tuple[Kubelet, str, str]) -> None:
    maker, sandbox, container = pod
    assert scopes() == {f"cri-containerd-{each}.scope" for each in (sandbox, container)}
    info = (await maker.status_of(container))["info"]
    assert info["runtimeType"] == TYPES[maker.handler]
    pid = info["pid"]
    assert f"/{group(container)}" in Path(f"/proc/{pid}/cgroup").read_text()
    status, told = await maker.execute(container, ["cat", "/proc/1/cmdline", "/proc/self/cgroup"])
    assert status == 0
    assert told.startswith(b"sleep\x001000")
    assert (await maker.execute(container, ["sh", "-c", "exit 7"]))[0] == 7


async def test_a_limit_is_the_units_and_changes(pod: tuple[Kubelet, str, str]) -> None:
    maker, _, container = pod
    assert (limit(container), shown(container)) == (str(64 << 20), str(64 << 20))
    await maker.limit_memory(container, 96 << 20)
    assert (limit(container), shown(container)) == (str(96 << 20), str(96 << 20))
    said = (await maker.words_of(container))["stats"]
    assert 3 in said  # the memory that is in use


async def test_an_end_is_told_with_its_status(pod: tuple[Kubelet, str, str]) -> None:
    maker, sandbox, container = pod
    ended = await maker.run_container(sandbox, "done", ["sh", "-c", "exit 3"])
    async with asyncio.timeout(20):
        while (said := (await maker.status_of(ended))["status"]).get(3) != [STOPPED]:
            await asyncio.sleep(0.05)
    assert said[7] == [3]
    await maker.stop_container(container)
    said = (await maker.status_of(container))["status"]
    assert said[7] == [137]


async def test_a_dump_tells_the_pod_of_its_containers(
    runtime: Engine, pod: tuple[Kubelet, str, str]
) -> None:
    _, sandbox, container = pod

    def named() -> Any:  # where all is slow the socket may not have answered in time at first
        one = seen.container(container, runtime.environment)
        return one if one["name"] == "nginx" else None

    one = command.eventually(named, seconds=150)
    assert (one["pod"], one["role"]) == ("shop/web-7d4", "container")
    assert one["resources"]["memory"]["limit_bytes"] == 64 << 20
    assert seen.container(sandbox, runtime.environment)["role"] == "pod_sandbox"
