"""The embedded engine for a user without rights: containers in a user namespace of the user's own."""

import os
import shutil
import signal
import subprocess
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import command, requirements, traces, users
from tests.runtime.command.conftest import make_root
from tests.users import User

pytestmark = pytest.mark.root

PACKAGES = ("inspector", "collectors", "screens")
MAIN = "import sys; sys.path[:0] = {paths!r}; from inspector.cli.main import main; sys.exit(main())"


@dataclass(frozen=True)
class Rootless:
    """Runs `cinspect` as a user who has a root directory for containers."""

    user: User

    @property
    def rootfs(self) -> tuple[str, str]:
        return "--rootfs", str(self.user.directory / "rootfs")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        paths = [str(self.user.directory / "source"), sysconfig.get_path("purelib")]
        words = (self.user.python, "-I", "-S", "-c", MAIN.format(paths=paths), *arguments)
        return subprocess.run(
            self.user.command(*words),
            check=False, capture_output=True, text=True, timeout=100, cwd="/",
        )  # fmt: skip

    def __call__(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout.strip()

    def sh(self, script: str, *options: str) -> str:
        return self("run", "--rm", *options, *self.rootfs, "sh", "-c", script)


@pytest.fixture
def rootless() -> Iterator[Rootless]:
    requirements.commands("busybox", "newuidmap", "newgidmap")
    with users.user(subordinate=True) as user:
        yield prepared(user)
        left = [path.name for path in (user.run_directory / "cinspect/tasks/default").glob("*")]
        assert left == []


def prepared(user: User) -> Rootless:
    """Give a user what the programs are made of, and a root directory."""
    root = Path(__file__).parents[3]
    for name in PACKAGES:
        shutil.copytree(
            root / name,
            user.directory / "source" / name,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    make_root(user.directory / "rootfs")
    for name in ("", "data", "dev", "proc", "sys", "tmp", "etc", "bin"):
        user.give(user.directory / "rootfs" / name)
    return Rootless(user)


def test_a_user_is_root_in_a_container_and_has_the_subordinate_ids(rootless: Rootless) -> None:
    first = users.subordinates(rootless.user.name).start
    told = rootless.sh("id -u; cat /proc/self/uid_map").split()
    assert told == ["0", "0", str(rootless.user.uid), "1", "1", str(first), "65536"]


def test_its_layer_takes_files_of_other_ids_and_goes_with_it(rootless: Rootless) -> None:
    layers = rootless.user.directory / ".local/share/cinspect/snapshots"
    assert rootless.sh("echo x > /tmp/a; chown 7:8 /tmp/a; stat -c %u:%g /tmp/a") == "7:8"
    assert list(layers.iterdir()) == []


def test_later_commands_find_it(rootless: Rootless) -> None:
    identifier = rootless("run", "-d", "--name", "held", *rootless.rootfs, "sleep", "1000")
    try:
        assert identifier[:12] in rootless("ps")
        assert rootless("exec", "held", "sh", "-c", "echo in; : > /tmp/new") == "in"
        assert "sleep 1000" in rootless("top", "held")
        assert rootless("diff", "held").split() == ["C", "/tmp", "A", "/tmp/new"]
        rootless("stop", "-t", "0", "held")
        rootless("start", "held")
        assert "sleep 1000" in rootless("top", "held")
    finally:
        rootless("rm", "--force", "held")
    assert not traces.processes(identifier)


def test_files_come_into_a_stopped_one_too(rootless: Rootless) -> None:
    given = rootless.user.directory / "data"
    given.mkdir()
    rootless.user.give(given)
    volume = ("--volume", f"{given}:/data")
    script = "cat /etc/new /data/new 2> /dev/null; true"
    identifier = rootless(
        "run", "-d", "--name", "ended", *volume, *rootless.rootfs, "sh", "-c", script
    )
    try:
        rootless("wait", "ended")
        source = given.parent / "new"
        source.write_text("in\n")
        for to in ("/etc/new", "/data/"):
            rootless("cp", str(source), f"ended:{to}")
        rootless("start", "ended")
        rootless("wait", "ended")
        assert rootless("logs", "ended").split() == ["in", "in"]
    finally:
        rootless("rm", "--force", "ended")
    assert not traces.processes(identifier)


def test_one_whose_shim_was_killed_is_removed(rootless: Rootless) -> None:
    identifier = rootless("run", "-d", "--name", "held", *rootless.rootfs, "sleep", "1000")
    shims = [pid for pid in rootless.user.processes() if name(pid) == "containerd-shim"]
    assert shims
    for pid in shims:
        os.kill(pid, signal.SIGKILL)
    rootless("rm", "--force", "held")
    command.eventually(lambda: rootless.user.processes() == [])
    assert not traces.processes(identifier)


def name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def test_what_needs_a_cgroup_is_refused_by_its_name(rootless: Rootless) -> None:
    limited = rootless.run("run", "--rm", "--memory", "64m", *rootless.rootfs, "true")
    assert limited.returncode == 125
    assert "linux.resources.memory: this user may make no cgroup to limit it" in limited.stderr
    rootless("run", "-d", "--name", "held", *rootless.rootfs, "sleep", "1000")
    try:
        frozen = rootless.run("freeze", "held")
        assert frozen.returncode == 1
        assert "has no cgroups, and its processes cannot be frozen" in frozen.stderr
    finally:
        rootless("rm", "--force", "held")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("@host", "true"), "a user namespace cannot have a directory with mounts on it"),
        (("--userns", "auto", "@host", "true"), "--userns auto: without root"),
    ],
)
def test_what_a_user_cannot_have_is_refused(
    rootless: Rootless, arguments: tuple[str, ...], reason: str
) -> None:
    done = rootless.run("run", "--rm", *arguments)
    assert done.returncode == 125
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert len(rootless("ps", "--all").splitlines()) == 1


def test_a_user_without_subordinate_ids_is_told_what_is_lacking() -> None:
    requirements.commands("busybox")
    with users.user(subordinate=False) as user:
        done = prepared(user).run("run", "--rm", "--rootfs", str(user.directory / "rootfs"), "true")
        assert done.returncode == 125
        assert "/etc/subuid has no range of 65536 ids" in done.stderr
        assert not (user.directory / ".local").exists()
