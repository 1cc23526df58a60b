"""Flatpak's applications: a real one, installed from a repository of the tests' own."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests import requirements, traces
from tests.command import eventually
from tests.engines import seen
from tests.engines.daemons import SILENT
from tests.engines.side_by_side import Table

pytestmark = [pytest.mark.engine, pytest.mark.root]

RUNTIME: Final = "org.example.Platform"
APPLICATION: Final = "org.example.Sleeper"


class Flatpak:
    """`flatpak` with directories of its own."""

    def __init__(self, home: Path) -> None:
        names = {"HOME": "home", "XDG_DATA_HOME": "data", "XDG_RUNTIME_DIR": "run"}
        names["FLATPAK_USER_DIR"] = "user"
        self.home = home
        self.environment = {key: str(home / name) for key, name in names.items()}
        for path in self.environment.values():
            Path(path).mkdir(parents=True)

    def __call__(self, *words: str) -> str:
        done = subprocess.run(
            ("flatpak", *words),
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self.home,
            env={**os.environ, **self.environment},
            timeout=60,
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def flatpak(scratch: Path) -> Flatpak:
    """Return one with a runtime of busybox alone, and an application that needs nothing else."""
    requirements.commands("flatpak", "bwrap", "busybox")
    tool = Flatpak(scratch / "flatpak")
    busybox = shutil.which("busybox")
    assert busybox
    programs = tool.home / "runtime" / "files" / "bin"
    programs.mkdir(parents=True)
    (tool.home / "runtime" / "files" / "etc").mkdir()
    shutil.copy(busybox, programs / "busybox")
    (programs / "sleep").symlink_to("busybox")
    needed = f"runtime={RUNTIME}/x86_64/1\nsdk={RUNTIME}/x86_64/1\n"
    metadata = tool.home / "runtime" / "metadata"
    metadata.write_text(f"[Runtime]\nname={RUNTIME}\n{needed}")
    tool("build-export", "--runtime", "--files=files", "repository", "runtime", "1")
    (tool.home / "application" / "files").mkdir(parents=True)
    (tool.home / "application" / "export").mkdir()
    metadata = tool.home / "application" / "metadata"
    metadata.write_text(f"[Application]\nname={APPLICATION}\n{needed}command=sleep\n")
    tool("build-export", "repository", "application", "1")
    repository = str(tool.home / "repository")
    tool("remote-add", "--user", "--no-gpg-verify", "tests", repository)
    for name in (RUNTIME, APPLICATION):
        tool("install", "--user", "--assumeyes", "tests", f"{name}//1")
    return tool


@pytest.fixture
def run(flatpak: Flatpak) -> Iterator[int]:
    """Return the pid of a running application, which flatpak has become."""
    words = ("flatpak", "run", "--user", "--command=/usr/bin/sleep", APPLICATION, "1000")
    environment = {**os.environ, **flatpak.environment}
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, env=environment, **SILENT) as process:
        try:
            eventually(lambda: str(process.pid) in flatpak("ps", "--columns=pid"))
            eventually(lambda: inside(process.pid))
            yield process.pid
        finally:
            for pid in (*inside(process.pid), process.pid):
                os.kill(pid, 9)
    eventually(lambda: not traces.processes(f"{flatpak.home}"))


def inside(pid: int) -> list[int]:
    """Return the process that bubblewrap has put into the sandbox, its process 1."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children]


def test_flatpak_and_the_dump_say_the_same(
    flatpak: Flatpak, run: int, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = "--columns=instance,pid,application,runtime"
    told = [line.split() for line in flatpak("ps", columns).splitlines()]
    (instance, pid, application, runtime) = next(line for line in told if line[2] == APPLICATION)
    one = _one(flatpak.environment, run)
    table = Table(f"flatpak: {application}")
    table.same("engine", "flatpak", one["engine"])
    table.same("name", application, one["name"])
    table.same("id", f"{application}-{pid}", one["id"])
    table.same("instance", instance, one["labels"].get("instance"))
    table.same("runtime", True, runtime in str(one["labels"].get("runtime")))
    table.same("pid", inside(run), [one["pid"]])
    table.same("command", ["/usr/bin/sleep", "1000"], one["command"])
    table.same("status", "running", one["status"])
    table.same("monitor", run, one["shim"]["pid"])
    table.show(capsys)
    assert table.differing() == []


def test_the_kernel_alone_tells_bubblewrap(run: int) -> None:
    assert _one({}, run)["engine"] == "bubblewrap"


def test_one_that_ended_is_gone_though_its_directory_is_not(flatpak: Flatpak, run: int) -> None:
    directory = Path(flatpak.environment["XDG_RUNTIME_DIR"]) / ".flatpak"
    ended = directory / "1"
    shutil.copytree(next(path for path in directory.iterdir() if path.name.isdecimal()), ended)
    (ended / "pid").write_text("4194304")
    (ended / "bwrapinfo.json").write_text('{"child-pid": 4194303}')
    try:
        found = [one for one in seen.containers(flatpak.environment) if one["name"] == APPLICATION]
    finally:
        shutil.rmtree(ended)
    assert [one["shim"]["pid"] for one in found] == [run]


def _one(environment: Mapping[str, str], monitor: int) -> Any:
    found = [
        one
        for one in seen.containers(environment)
        if one["shim"] is not None and one["shim"]["pid"] == monitor
    ]
    assert len(found) == 1
    return found[0]
