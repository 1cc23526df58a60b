"""Containers that runc or crun made by itself, with no engine above it."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from tests import command, requirements, traces
from tests.engines import seen, specified
from tests.engines.daemons import SILENT
from tests.engines.side_by_side import Dump, Table, Words, find, unnoticed

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


ASKED: Final[Any] = {
    "resources": {
        "memory": {"limit": 64 << 20},
        "cpu": {"quota": 50000, "period": 100000, "shares": 512, "cpus": "0"},
        "pids": {"limit": 50},
    }
}
MIB: Final = 1 << 20
STATES: Final = ("running", "paused", "created", "stopped")


class Tool:
    """runc or crun, as a command line."""

    def __init__(self, name: str) -> None:
        self.name = name
        hidden = (*without_hybrid(), "crun", "--cgroup-manager", "cgroupfs")
        self.command = ("runc",) if name == "runc" else hidden

    def __call__(self, *words: str, check: bool = True) -> str:
        """Run a command that prints; return what it printed."""
        done = subprocess.run((*self.command, *words), check=check, stdout=subprocess.PIPE)
        return done.stdout.decode()

    def start(self, verb: str, directory: Path, identifier: str) -> None:
        """Run a command that leaves a process with its own output behind."""
        arguments = (*self.command, *verb.split(), "--bundle", str(directory), identifier)
        subprocess.run(arguments, check=True, stdin=subprocess.DEVNULL, **SILENT)

    def words_of(self, identifier: str) -> Words:
        """Return what it says of a container, and the spec that it made it from."""
        state = json.loads(self("state", identifier))
        runs = state["status"] in {"running", "paused"}
        lines = self("ps", identifier).split() if runs and self.name == "crun" else []
        return {
            "state": state,
            "spec": json.loads((Path(state["bundle"]) / "config.json").read_text()),
            "pids": [int(line) for line in lines[1:]]
            if self.name == "crun"
            else json.loads(self("ps", "--format", "json", identifier)),
            "stats": json.loads(self("events", "--stats", identifier))["data"]
            if runs and self.name == "runc"
            else None,
        }


@pytest.fixture(scope="module", params=("runc", "crun"))
def tool(request: pytest.FixtureRequest) -> Tool:
    requirements.commands("crun", "runc")
    return Tool(request.param)


@pytest.fixture(scope="module")
def made(tool: Tool, scratch: Path, rootfs: Path) -> Iterator[Mapping[str, str]]:
    """Return the id of a container in each state."""
    prefix = f"cinspect-{tool.name}-{scratch.name[-4:]}"
    ids = {state: f"{prefix}-{state}" for state in STATES}
    try:
        for state, identifier in ids.items():
            where = scratch / f"{tool.name}-{state}"
            directory = bundle(where, rootfs, cgroupsPath=f"/{prefix}/{state}", **ASKED)
            if state == "stopped":
                _change(directory, ["true"])
            verb = "create" if state == "created" else "run --detach"
            tool.start(verb, directory, identifier)
        tool("pause", ids["paused"])

        def stopped() -> bool:
            return json.loads(tool("state", ids["stopped"]))["status"] == "stopped"

        command.eventually(stopped)
        yield ids
    finally:
        for identifier in ids.values():
            subprocess.run((*tool.command, "delete", "--force", identifier), check=False, **SILENT)
        for cgroup in traces.cgroups(f"/{prefix}"):
            traces.remove_cgroup(cgroup)


def _change(directory: Path, args: list[str]) -> None:
    path = directory / "config.json"
    specification = json.loads(path.read_text())
    specification["process"]["args"] = args
    path.write_text(json.dumps(specification))


@pytest.fixture(scope="module")
def told(tool: Tool, made: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a dump, and by state what the runtime said before and after it."""

    def ask() -> Mapping[str, Any]:
        return {state: tool.words_of(identifier) for state, identifier in made.items()}

    before = ask()
    sections = [f"--section={name}" for name in ("containers", "mounts", "processes")]
    frame = command.dump("dump", *sections, environment=seen.HIDDEN)
    return {"frame": frame, "before": before, "after": ask()}


def compare(name: str, before: Words, after: Words, frame: Dump) -> Table:
    state, stats = before["state"], before["stats"]
    one = find(frame, state["id"])
    table = Table(f"{name}: {state['id']}")
    table.same("engine", name, one["engine"])
    table.same("runtime", name, one["runtime"])
    table.same("status", state["status"], one["status"])
    table.time("created", state["created"], one["created_at"])
    ended = state["status"] == "stopped"
    table.same("pid", None if ended else state["pid"], one["pid"])
    table.same("labels", state.get("annotations") or {}, one["labels"])
    if before["pids"]:
        table.same("processes", before["pids"], one["pids"])
    if state["status"] in {"running", "paused"}:
        specified.compare(table, before["spec"], one, frame)
    else:
        table.same("command", before["spec"]["process"]["args"], one["command"])
    if stats is not None:
        got = one["resources"]
        cpu = [said["stats"]["cpu"]["usage"]["total"] // 1000 for said in (before, after)]
        table.between("cpu microseconds", cpu[0], got["cpu"]["usage_usec"], cpu[1], within=1)
        memory = stats["memory"]["usage"]
        table.near("memory", memory["usage"], got["memory"]["current_bytes"], within=MIB)
        table.same("memory limit", memory["limit"], got["memory"]["limit_bytes"])
        table.same("tasks", stats["pids"]["current"], got["pids"]["current"])
        table.same("most tasks", stats["pids"]["limit"], got["pids"]["limit"])
    return table


@pytest.mark.parametrize("state", STATES)
def test_the_runtime_and_the_dump_say_the_same(
    state: str, tool: Tool, told: Mapping[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    table = compare(tool.name, told["before"][state], told["after"][state], told["frame"])
    table.show(capsys)
    assert table.differing() == []


CLAIMED: Final = (
    *("engine", "runtime", "status", "created_at", "pid", "labels", "pids", "command"),
    *("shared_with_host", "security.seccomp", "security.masked_paths", "security.readonly_paths"),
    *("security.capabilities.effective", "security.no_new_privs", "resources.cpu.limit_cores"),
    *("resources.cpu.shares", "resources.cpu.cpuset", "resources.memory.limit_bytes"),
    *("resources.pids.limit", "cgroups", "/processes", "/mounts"),
)
COUNTED: Final = (
    *("resources.cpu.usage_usec", "resources.memory.current_bytes", "resources.pids.current"),
)


def test_the_comparison_notices_each_value_that_is_wrong(
    tool: Tool, told: Mapping[str, Any], made: Mapping[str, str]
) -> None:
    both = partial(compare, tool.name, told["before"]["running"], told["after"]["running"])
    claimed = (*CLAIMED, *(COUNTED if tool.name == "runc" else ()))
    assert unnoticed(both, told["frame"], made["running"], claimed) == []
