"""Pods of a real containerd, made over the CRI: their names, what runs in them, and the sandboxes."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from collectors.engines.cri import CriEngine
from collectors.errors import Missing
from tests import command, requirements, traces
from tests.engines import kubelet, seen, specified
from tests.engines.daemons import Engine
from tests.engines.kubelet import Kubelet
from tests.engines.side_by_side import Dump, Table, Words, find, unnoticed

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


STATES: Final = {0: "created", 1: "running", 2: "stopped"}


def _text(fields: Words, number: int) -> str:
    found: bytes = fields[number][0]
    return found.decode()


def _nested(fields: Words, number: int, inner: int) -> int:
    """Return field 1 of a message within a message: how the CRI writes a number that may be absent."""
    value: int = kubelet.decode(kubelet.decode(fields[number][0])[inner][0])[1][0]
    return value


def compare(before: Words, after: Words, frame: Dump) -> Table:
    status, info = before["status"], before["info"]
    one = find(frame, _text(status, 1))
    table = Table(f"CRI: {_text(kubelet.decode(status[2][0]), 1)}")
    table.same("name", _text(kubelet.decode(status[2][0]), 1), one["name"])
    table.same("status", STATES[status.get(3, [0])[0]], one["status"])
    for name, number, ours in (
        ("created", 4, "created_at"),
        ("started", 5, "started_at"),
        ("finished", 6, "finished_at"),
    ):
        said = status.get(number, [0])[0]
        moment = datetime.fromtimestamp(said / 1e9, UTC).isoformat() if said else None
        table.time(name, moment, one[ours])
    ended = one["status"] == "stopped"
    table.same("exit code", status.get(7, [0])[0] if ended else None, one["exit_code"])
    table.same("image", _text(kubelet.decode(status[8][0]), 1), one["image"])
    table.same("image digest", _text(status, 9), one["image_digest"])
    labels = dict(kubelet.entry(each) for each in status[12])
    table.same("labels", labels, {key: one["labels"].get(key) for key in labels})
    table.same("pid", None if ended else info["pid"], one["pid"])
    table.same(
        "pod's sandbox", True, info["sandboxID"] in {each["id"] for each in _sandboxes(frame)}
    )
    table.same(
        "snapshotter", info["snapshotter"] == "overlayfs", one["rootfs"]["driver"] == "overlay"
    )
    if ended:
        table.same("command", info["runtimeSpec"]["process"]["args"], one["command"])
        return table
    specified.compare(table, info["runtimeSpec"], one, frame)
    got = one["resources"]
    cpu = [_nested(said["stats"], 2, 2) // 1000 for said in (before, after)]
    table.between("cpu microseconds", cpu[0], got["cpu"]["usage_usec"], cpu[1], within=1)
    memory = _nested(before["stats"], 3, 2)
    table.near("working set", memory, got["memory"]["working_set_bytes"], within=1 << 20)
    return table


def _sandboxes(frame: Dump) -> list[Any]:
    return [one for one in frame["containers"] if one["role"] == "pod_sandbox"]


async def test_the_cri_and_the_dump_say_the_same(
    runtime: Engine, pod: tuple[str, str, Kubelet], capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox, container, maker = pod
    ended = await maker.run_container(sandbox, "done", ["sh", "-c", "exit 3"])
    command.eventually(lambda: seen.container(ended, runtime.environment)["status"] == "stopped")
    for identifier in (container, ended):
        before = await maker.words_of(identifier)
        sections = [f"--section={name}" for name in ("containers", "mounts", "processes")]
        environment = {**seen.HIDDEN, **runtime.environment}
        frame = command.dump("dump", *sections, environment=environment)
        both = partial(compare, before, await maker.words_of(identifier))
        table = both(frame)
        table.show(capsys)
        assert table.differing() == []
        claimed = ["name", "status", "created_at", "started_at", "image", "image_digest", "labels"]
        claimed += ["command"]
        if identifier == ended:
            claimed += ["exit_code", "finished_at"]
        else:
            claimed += ["pid", "resources.cpu.usage_usec", "resources.memory.working_set_bytes"]
            claimed += ["shared_with_host", "security.capabilities.bounding", "/mounts"]
        assert unnoticed(both, frame, identifier, claimed) == []
