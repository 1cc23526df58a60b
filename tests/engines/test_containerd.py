"""containerd's containers, seen through its socket and without it."""

import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

import pytest

from tests import command, traces
from tests.engines import seen, specified
from tests.engines.daemons import Engine
from tests.engines.side_by_side import Dump, Table, Words, find, unnoticed

pytestmark = [pytest.mark.engine, pytest.mark.root]


@pytest.fixture(scope="module")
def task(containerd: Engine, containerd_image: str) -> Iterator[str]:
    """Return the id of a running container with a limit and a label."""
    identifier = "cinspect-task"
    containerd(
        *(
            "run",
            "--detach",
            "--fifo-dir",
            f"{containerd.scratch}/fifos",
            "--memory-limit",
            str(64 << 20),
            "--label",
            "tier=front",
        ),
        *(containerd_image, identifier, "sleep", "1000"),
    )
    yield identifier
    containerd("tasks", "rm", "--force", identifier)
    containerd("containers", "rm", identifier)


def test_its_socket_gives_image_labels_and_namespace(containerd: Engine, task: str) -> None:
    one = seen.container(task, containerd.environment)
    assert one["engine"] == "containerd"
    assert one["engine_namespace"] == containerd.scratch.name
    assert one["image"].endswith("cinspect-test:1")
    assert one["labels"]["tier"] == "front"
    assert one["status"] == "running"
    assert one["runtime"] == "io.containerd.runc.v2"


def test_the_kernel_alone_finds_it_by_its_shim(task: str) -> None:
    one = seen.container(task)
    assert one["engine"] == "containerd"
    assert one["shim"]["pid"] > 1
    assert one["resources"]["memory"]["limit_bytes"] == 64 << 20


def test_its_first_process_is_the_tasks(containerd: Engine, task: str) -> None:
    lines = [line.split() for line in containerd("tasks", "ls").splitlines()[1:]]
    pids = {name: int(pid) for name, pid, _ in lines}
    assert seen.container(task)["pid"] == pids[task]


def test_a_paused_one_is_paused_with_and_without_the_socket(containerd: Engine, task: str) -> None:
    containerd("tasks", "pause", task)
    try:
        assert seen.container(task)["status"] == "paused"
        assert seen.container(task, containerd.environment)["status"] == "paused"
    finally:
        containerd("tasks", "resume", task)


def test_freeze_shows_in_containerds_own_list(containerd: Engine, task: str) -> None:
    command.succeed("freeze", task, environment=containerd.environment)
    try:
        assert "PAUSED" in containerd("tasks", "ls")
    finally:
        command.succeed("thaw", task, environment=containerd.environment)
    assert "PAUSED" not in containerd("tasks", "ls")


def test_its_layers_have_the_digests_that_the_image_gives_them(
    containerd: Engine, task: str
) -> None:
    one = seen.container(task, containerd.environment)
    told = [layer["digest"] for layer in one["rootfs"]["layers"] if layer["role"] == "lower"]
    manifest = containerd.json("content", "get", one["image_digest"])
    config = containerd.json("content", "get", manifest["config"]["digest"])
    assert told == list(reversed(config["rootfs"]["diff_ids"]))


LIMITED: Final = (
    *("--memory-limit", str(64 << 20), "--cpus", "0.5", "--cpu-shares", "512"),
    *("--label", "tier=front", "--env", "A=1", "--read-only", "--seccomp"),
    *("--cap-drop", "CAP_CHOWN", "--cap-drop", "CAP_KILL"),
)
STATUS: Final = {"RUNNING": "running", "PAUSED": "paused", "STOPPED": "stopped"}
MIB: Final = 1 << 20


@pytest.fixture(scope="module")
def tasks(containerd: Engine, containerd_image: str) -> Iterator[Mapping[str, Engine]]:
    """Return `ctr` in the namespace of each container, one in every state."""
    beside = f"{containerd.scratch.name}-other"
    other = Engine((*containerd.command[:-1], beside), containerd.environment)
    archive = containerd.scratch / "side.tar"
    containerd("images", "export", str(archive), containerd_image)
    other("images", "import", str(archive))
    made = {"running": containerd, "paused": containerd, "ended": containerd, "idle": containerd}
    made |= {"elsewhere": other}

    def run(ctr: Engine, name: str, *options: str) -> None:
        fifos = ("--fifo-dir", f"{containerd.scratch}/fifos")
        arguments = (containerd_image, f"cinspect-side-{name}", *options[-2:])
        ctr("run", "--detach", *fifos, *options[:-2], *arguments)

    try:
        run(containerd, "running", *LIMITED, "sleep", "1000")
        run(containerd, "paused", "sleep", "1000")
        run(containerd, "ended", "sleep", "0")
        run(other, "elsewhere", "--net-host", "sleep", "1000")
        containerd("containers", "create", containerd_image, "cinspect-side-idle", "true")
        containerd("tasks", "pause", "cinspect-side-paused")
        command.eventually(lambda: _task(containerd, "cinspect-side-ended")[1] == "STOPPED")
        yield made
    finally:
        for name, ctr in made.items():
            ctr("tasks", "rm", "--force", f"cinspect-side-{name}", check=False)
            ctr("containers", "rm", f"cinspect-side-{name}", check=False)
        shutil.rmtree(f"/run/containerd/runc/{beside}", ignore_errors=True)
        for cgroup in traces.cgroups(beside):
            traces.remove_cgroup(cgroup)


def _task(ctr: Engine, name: str) -> tuple[int, str | None]:
    """Return the pid and the status that containerd tells of a task; None where there is none."""
    lines = [line.split() for line in ctr("tasks", "ls").splitlines()[1:]]
    return next(((int(pid), status) for task, pid, status in lines if task == name), (0, None))


def words_of(ctr: Engine, name: str) -> Words:
    pid, status = _task(ctr, name)
    runs = status in {"RUNNING", "PAUSED"}
    record = ctr.json("containers", "info", name)
    images = [line.split() for line in ctr("images", "ls").splitlines()[1:]]
    return {
        "namespace": ctr.command[-1],
        "record": record,
        "pid": pid,
        "status": status,
        "digest": next(line[2] for line in images if line[0] == record["Image"]),
        "mount": ctr("snapshots", "mounts", "/mnt", name),
        "metrics": ctr.json("tasks", "metrics", "--format", "json", name) if runs else None,
        "pids": [int(line.split()[0]) for line in ctr("tasks", "ps", name).splitlines()[1:]]
        if runs
        else [],
    }


def compare(before: Words, after: Words, frame: Dump) -> Table:
    record = before["record"]
    one = find(frame, record["ID"])
    table = Table(f"containerd: {record['ID']}")
    table.same("engine", "containerd", one["engine"])
    table.same("namespace", before["namespace"], one["engine_namespace"])
    table.same("image", record["Image"], one["image"])
    table.same("image digest", before["digest"], one["image_digest"])
    table.same("labels", record["Labels"], one["labels"])
    table.same("runtime", record["Runtime"]["Name"], one["runtime"])
    table.time("created", record["CreatedAt"], one["created_at"])
    status = STATUS[before["status"]] if before["status"] else "created"
    table.same("status", status, one["status"])
    runs = before["metrics"] is not None
    table.same("pid", before["pid"] if runs else None, one["pid"])
    table.same("processes", before["pids"], one["pids"])
    # What containerd says that an overlay is made of; `ctr` prints it as a command line.
    told = dict(word.partition("=")[::2] for word in before["mount"].split(" -o ")[1].split(","))
    paths = {role: _paths(one, role) for role in ("upper", "lower")}
    table.same("upper directory", told["upperdir"], ":".join(paths["upper"]))
    table.same("lower directories", told["lowerdir"], ":".join(paths["lower"]))
    if runs:
        specified.compare(table, record["Spec"], one, frame)
        _usage(table, before["metrics"], one["resources"], after["metrics"])
    else:
        table.same("command", record["Spec"]["process"]["args"], one["command"])
    return table


def _paths(one: Any, role: str) -> list[str]:
    return [layer["path"] for layer in one["rootfs"]["layers"] if layer["role"] == role]


def _usage(table: Table, before: Words, got: Any, after: Words) -> None:
    """Compare what the metrics of either version of cgroups have, in their words."""

    def usec(said: Words) -> int:
        cpu = said["cpu"]
        return int(cpu["usage_usec"] if "usage_usec" in cpu else cpu["usage"]["total"] // 1000)

    cpu = usec(before), got["cpu"]["usage_usec"], usec(after)
    table.between("cpu microseconds", *cpu, within=1)
    memory = before["memory"]["usage"]
    memory = memory["usage"] if isinstance(memory, dict) else memory
    table.near("memory", memory, got["memory"]["current_bytes"], within=MIB)
    table.same("tasks", before["pids"]["current"], got["pids"]["current"])


@pytest.fixture(scope="module")
def asked(tasks: Mapping[str, Engine]) -> Mapping[str, Any]:
    """Return a dump, and by container what containerd said before and after it."""

    def ask() -> Mapping[str, Any]:
        return {name: words_of(ctr, f"cinspect-side-{name}") for name, ctr in tasks.items()}

    before = ask()
    sections = [f"--section={name}" for name in ("containers", "mounts", "processes")]
    environment = {**seen.HIDDEN, **tasks["running"].environment}
    frame = command.dump("dump", *sections, environment=environment)
    return {"frame": frame, "before": before, "after": ask()}


@pytest.mark.parametrize("name", ["running", "paused", "ended", "idle", "elsewhere"])
def test_containerd_and_the_dump_say_the_same(
    name: str, asked: Mapping[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    table = compare(asked["before"][name], asked["after"][name], asked["frame"])
    table.show(capsys)
    assert table.differing() == []


CLAIMED: Final = (
    *("engine", "engine_namespace", "image", "image_digest", "labels", "runtime", "created_at"),
    *("status", "pid", "pids", "rootfs.layers", "command", "shared_with_host", "security.seccomp"),
    *("security.masked_paths", "security.readonly_paths", "security.capabilities.effective"),
    *("security.no_new_privs", "resources.cpu.limit_cores", "resources.memory.limit_bytes"),
    *("resources.cpu.usage_usec", "resources.memory.current_bytes", "resources.pids.current"),
    *("cgroups", "/processes", "/mounts"),
)


def test_the_comparison_notices_each_value_that_is_wrong(asked: Mapping[str, Any]) -> None:
    both = partial(compare, asked["before"]["running"], asked["after"]["running"])
    assert unnoticed(both, asked["frame"], "cinspect-side-running", CLAIMED) == []
