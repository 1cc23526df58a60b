"""Pods of a real containerd, made over the CRI: their names, what runs in them, and the sandboxes."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from collectors.engines.cri import CriEngine
from collectors.errors import Missing
from tests import requirements, traces
from tests.engines import kubelet, seen
from tests.engines.daemons import Engine
from tests.engines.kubelet import Kubelet

pytestmark = [pytest.mark.engine, pytest.mark.root]

UID = "0a1b2c3d-0000-1111-2222-333344445555"


@pytest.fixture(scope="module")
def runtime(scratch: Path, rootfs_tar: Path) -> Iterator[Engine]:
    requirements.commands("containerd", "ctr", "runc")
    with kubelet.containerd(scratch, rootfs_tar) as engine:
        yield engine
    shutil.rmtree("/run/containerd/runc/k8s.io", ignore_errors=True)
    # kubelet would remove the pods' own cgroups, which it has made.
    for cgroup in traces.cgroups(f"{scratch.name}/kubepods"):
        os.rmdir(cgroup)


@pytest.fixture
async def pod(runtime: Engine) -> AsyncIterator[tuple[str, str, Kubelet]]:
    """Return a pod's sandbox, a container in it, and who made both."""
    assert runtime.address
    maker = Kubelet(runtime.address, f"/{runtime.scratch.parent.name}/kubepods/pod{UID}")
    sandbox = await maker.run_pod("web-7d4", namespace="shop", uid=UID)
    try:
        yield sandbox, await maker.run_container(sandbox, "nginx", ["sleep", "1000"]), maker
    finally:
        await maker.remove_pod(sandbox)


async def test_the_engine_tells_pods_and_containers(
    runtime: Engine, pod: tuple[str, str, Kubelet]
) -> None:
    sandbox, container, maker = pod
    assert runtime.address
    engine = CriEngine(runtime.address)
    reading = await engine.collect()
    assert reading.version is not None
    assert reading.version in runtime("version")
    by_id = {one.id: one for one in reading.containers}
    assert by_id[sandbox].sandbox
    one = by_id[container]
    assert (one.name, one.pod, one.engine) == ("nginx", "shop/web-7d4", "containerd")
    assert (one.status, one.command) == ("running", ("sleep", "1000"))
    assert one.pid is not None
    assert f"/{UID}/" in Path(f"/proc/{one.pid}/cgroup").read_text().replace("pod", "")
    await maker.stop_container(container)
    (one,) = [one for one in (await engine.collect()).containers if one.id == container]
    assert (one.status, one.exit_code, one.pid) == ("stopped", 137, None)
    assert one.finished_at is not None


async def test_a_pods_container_is_one_row_with_its_pods_name(
    runtime: Engine, pod: tuple[str, str, Kubelet]
) -> None:
    sandbox, container, _ = pod
    one = seen.container(container, runtime.environment)
    assert (one["name"], one["pod"]) == ("nginx", "shop/web-7d4")
    assert (one["engine"], one["engine_namespace"]) == ("containerd", "k8s.io")
    assert one["image"].endswith("cinspect-pause:1")
    assert one["labels"]["tier"] == "front"
    assert one["role"] == "container"
    assert seen.container(sandbox, runtime.environment)["role"] == "pod_sandbox"


async def test_the_kernel_alone_tells_a_pod_and_its_sandbox(
    pod: tuple[str, str, Kubelet],
) -> None:
    sandbox, container, _ = pod
    one = seen.container(container)
    assert (one["pod"], one["role"], one["engine"]) == (UID, "container", "containerd")
    other = seen.container(sandbox)
    assert (other["pod"], other["role"]) == (UID, "pod_sandbox")


async def test_a_containerd_without_the_plugin_is_no_cri(containerd: Engine) -> None:
    assert containerd.address
    with pytest.raises(Missing, match="not served"):
        await CriEngine(containerd.address).collect()
