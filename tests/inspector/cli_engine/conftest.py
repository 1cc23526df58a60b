"""The real executable on engine directories of its own, of which nothing may be left."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
_CGROUPS = Path("/sys/fs/cgroup")


class Cinspect:
    """Runs `cinspect` with its own --root and --state."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "root"
        self.state = directory / "state"
        self.argv = [
            *(sys.executable, "-m", "inspector"),
            *("--root", str(self.root), "--state", str(self.state)),
        ]
        self.environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}

    def start(self, *words: str, **options) -> subprocess.Popen:
        return subprocess.Popen([*self.argv, *words], env=self.environment, **options)

    def run(self, *words: str, stdin: bytes = b"", timeout: float = 60):
        return subprocess.run(
            [*self.argv, *words],
            env=self.environment,
            input=stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
        )

    def ok(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def detached(self, *words: str) -> str:
        return self.ok("run", "-d", *words).strip()

    def ids(self) -> list[str]:
        return self.ok("ps", "-aq", "--no-trunc").split()

    def remains(self) -> list[str]:
        """What of these directories' containers is still there on the host."""
        found = [
            line
            for line in Path("/proc/self/mountinfo").read_text().splitlines()
            if str(self.root) in line or str(self.state) in line
        ]
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(self.state) in command:
                found.append(f"{pid}: {command}")
        return found


def cgroups_of(container_id: str) -> list[str]:
    return [str(path) for path in _CGROUPS.glob(f"*/cinspect/{container_id}")]


@pytest.fixture
def cinspect(tmp_path):
    made = Cinspect(tmp_path)
    yield made
    ids = made.ids()
    if ids:
        made.run("rm", "-f", *ids)
    deadline = time.monotonic() + 5
    while (left := made.remains()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left
    assert not [path for each in ids for path in cgroups_of(each)]
    assert os.listdir(made.state / "clients") == [] if (made.state / "clients").exists() else True


@pytest.fixture
def sandbox():
    """The id of a container that no engine made: `unshare` with a sleep as its pid 1."""
    name = f"{os.getpid()}.{time.monotonic_ns() % 1000000}"
    process = subprocess.Popen(
        ["unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child", "sleep", f"9{name}"]
    )
    try:
        yield f"unshare-{first_process(process.pid)}"
    finally:
        process.kill()
        process.wait()


def first_process(parent: int) -> int:
    """The child of a process, once there is one."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        if children:
            time.sleep(0.05)  # it has forked, and not yet executed
            return int(children[0])
        time.sleep(0.01)
    raise AssertionError(f"process {parent} has no child")
