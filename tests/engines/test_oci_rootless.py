"""Podman of a user without rights runs containers on `cinspect-oci`."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import command, requirements, users
from tests.engines import daemons
from tests.engines.daemons import Engine
from tests.engines.test_oci_runtime import QUIET, sleeping, status
from tests.users import User

pytestmark = [pytest.mark.engine, pytest.mark.root, pytest.mark.timeout(300)]

MAIN = "import sys; sys.path.insert(0, {!r}); from runtime.command.start import main; main()"


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    requirements.commands("podman", "conmon", "newuidmap", "newgidmap", "busybox")
    with users.user(subordinate=True) as made:
        yield made


@pytest.fixture(scope="module")
def podman(user: User, rootfs_tar: Path) -> Iterator[Engine]:
    """Return the user's podman, with stores of its own and our runtime."""
    with podman_of(user, rootfs_tar, "cgroupfs") as cli:
        yield cli


@contextlib.contextmanager
def podman_of(user: User, rootfs_tar: Path, cgroup_manager: str) -> Iterator[Engine]:
    """Yield a user's podman on our runtime, and remove all that it has at the end."""
    runtime = user.directory / "cinspect-oci"
    source = MAIN.format(str(user.directory / "source"))
    runtime.write_text(f"#!{user.python} -IS\n{source}\n")
    runtime.chmod(0o755)
    places = {"root": "podman", "runroot": "podman-run", "tmpdir": "podman-tmp"}
    words = (
        "podman",
        *(
            word
            for key, value in places.items()
            for word in (f"--{key}", f"{user.directory}/{value}")
        ),
        *("--cgroup-manager", cgroup_manager, "--events-backend", "file"),
        *("--storage-driver", "vfs", "--runtime", str(runtime)),
    )
    # What it starts begins where the user may be.
    with contextlib.chdir("/"):
        cli = Engine(user.command(*words), scratch=user.directory)
        tar = user.directory / "rootfs.tar"
        tar.write_bytes(rootfs_tar.read_bytes())
        cli("import", "--quiet", str(tar), daemons.IMAGE)
        try:
            yield cli
        finally:
            if ids := cli("ps", "--all", "--quiet").split():
                cli("rm", "--force", "--time", "0", *ids)
            cli("system", "migrate", check=False)
            subprocess.run(
                user.command("podman", "unshare", "rm", "-rf", f"{user.directory}/podman"),
                check=True,
                cwd="/",
            )


def test_a_users_podman_runs_a_container(podman: Engine) -> None:
    arguments = ("run", "--name", "ends", *QUIET, daemons.IMAGE)
    try:
        assert podman(*arguments, "sh", "-c", "id -u; exit 5", check=False) == "0"
        assert podman("inspect", "--format", "{{.State.ExitCode}}", "ends") == "5"
    finally:
        podman("rm", "--force", "ends")


def test_a_users_podman_executes_stops_and_starts(podman: Engine) -> None:
    with sleeping(podman, "lives") as name:
        assert podman("exec", name, "cat", "/proc/1/cmdline").startswith("sleep")
        assert podman("exec", "--user", "7:8", name, "id", "-g") == "8"
        assert podman("exec", "--tty", name, "ls", "-l", "/proc/self/fd/0").rstrip().endswith("/0")
        beside = ("run", "--rm", "--pid", f"container:{name}", *QUIET, daemons.IMAGE)
        assert podman(*beside, "cat", "/proc/1/cmdline").startswith("sleep")
        podman("stop", "--time", "0", name)
        assert status(podman, name) == "exited"
        podman("start", name)
        assert status(podman, name) == "running"
        podman("kill", name)
        command.eventually(lambda: status(podman, name) == "exited")


def test_a_users_podman_has_options_obeyed(podman: Engine) -> None:
    script = "id -u; id -g; pwd; echo x > /scratch/f && cat /scratch/f; cat /proc/self/uid_map"
    options = (
        "--user",
        "7:8",
        "--workdir",
        "/tmp",
        "--read-only",
        "--tmpfs",
        "/scratch:size=1m,mode=1777",
    )
    words = podman("run", "--rm", *QUIET, *options, daemons.IMAGE, "sh", "-c", script).split()
    assert words[:4] == ["7", "8", "/tmp", "x"]


def test_a_users_container_keeps_the_users_own_id(podman: Engine, user: User) -> None:
    options = ("--userns", "keep-id", *QUIET)
    assert podman("run", "--rm", *options, daemons.IMAGE, "id", "-u") == str(user.uid)
