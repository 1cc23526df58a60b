"""Podman of a user has the user's own systemd make the cgroups, and `cinspect-oci` the containers."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import command, requirements, users
from tests.engines import daemons
from tests.engines.daemons import Engine
from tests.engines.test_oci_rootless import podman_of
from tests.engines.test_oci_runtime import QUIET, sleeping, status
from tests.users import User

pytestmark = [pytest.mark.engine, pytest.mark.root, pytest.mark.timeout(300)]

ROOT = Path("/sys/fs/cgroup")
DELEGATED = ("memory", "pids")
LIMITS = (
    ("pids", "pids", ("--pids-limit", "50")),
    ("io", "blockIO", ("--device-read-bps", "/dev/null:1mb")),
    ("cpuset", "cpu", ("--cpuset-cpus", "0")),
)


@pytest.fixture(scope="module")
def at_home() -> Iterator[User]:
    """Return a user whose own systemd runs."""
    if not os.path.isdir("/run/systemd/system") or not (ROOT / "cgroup.controllers").exists():
        requirements.absent_here("there are no users' systemds with cgroup v2")
    requirements.commands("podman", "conmon", "newuidmap", "newgidmap", "busybox")
    with users.user(subordinate=True) as user, users.own_systemd(user) as found:
        yield found


@pytest.fixture(scope="module")
def podman(at_home: User, rootfs_tar: Path) -> Iterator[Engine]:
    with podman_of(at_home, rootfs_tar, "systemd") as cli:
        yield cli


@pytest.fixture
def free(at_home: User) -> tuple[str, ...]:
    """Return what keeps Podman from limiting processes where a user cannot have that."""
    return () if "pids" in offered(at_home) else ("--pids-limit", "0")


def offered(user: User) -> list[str]:
    """Return the controllers that the user's systemd was given."""
    own = ROOT / f"user.slice/user-{user.uid}.slice/user@{user.uid}.service"
    return (own / "cgroup.controllers").read_text().split()


def asked(user: User, *words: str) -> str:
    """Ask the user's own systemd."""
    done = subprocess.run(
        user.command("systemctl", "--user", *words), check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def scopes(user: User) -> list[str]:
    listed = asked(user, "list-units", "--all", "--plain", "--no-legend", "libpod-*.scope")
    names = [line.split()[0] for line in listed.splitlines()]
    return [name for name in names if not name.startswith("libpod-conmon-")]


def test_its_containers_are_in_scopes_of_the_users_systemd(
    podman: Engine, at_home: User, free: tuple[str, ...]
) -> None:
    assert podman("info", "--format", "{{.Host.CgroupManager}} {{.Host.Security.Rootless}}") == (
        "systemd true"
    )
    with sleeping(podman, "scoped", *free) as name:
        (scope,) = scopes(at_home)
        pid = podman("inspect", "--format", "{{.State.Pid}}", name)
        group = asked(at_home, "show", scope, "-p", "ControlGroup", "--value")
        assert f"/user@{at_home.uid}.service/" in group
        assert Path(f"/proc/{pid}/cgroup").read_text().splitlines()[-1] == f"0::{group}"
        assert podman("exec", name, "cat", "/proc/1/cmdline").startswith("sleep")
        podman("pause", name)
        assert status(podman, name) == "paused"
        assert "frozen 1" in (ROOT / group[1:] / "cgroup.events").read_text()
        podman("unpause", name)
        assert status(podman, name) == "running"
        assert "sleep 1000" in podman("top", name)
        podman("stop", "--time", "0", name)
        assert status(podman, name) == "exited"
        podman("start", name)
        assert status(podman, name) == "running"
    command.eventually(lambda: scopes(at_home) == [])


def test_one_more_process_is_in_the_scope_too(
    podman: Engine, at_home: User, free: tuple[str, ...]
) -> None:
    with sleeping(podman, "more", *free) as name:
        (scope,) = scopes(at_home)
        podman("exec", "--detach", name, "sleep", "2000")
        group = asked(at_home, "show", scope, "-p", "ControlGroup", "--value")
        members = ROOT / group[1:] / "cgroup.procs"
        command.eventually(lambda: len(members.read_text().split()) == 2)


def test_its_limits_are_the_units_and_the_kernels(podman: Engine, at_home: User) -> None:
    for controller in DELEGATED:
        if controller not in offered(at_home):
            requirements.absent_here(f"this host has no {controller} controller for users")
    with sleeping(podman, "limited", "--memory", "64m", "--pids-limit", "50") as name:
        (scope,) = scopes(at_home)
        assert asked(at_home, "show", scope, "-p", "TasksMax", "--value") == "50"
        group = ROOT / asked(at_home, "show", scope, "-p", "ControlGroup", "--value")[1:]
        assert (group / "memory.max").read_text() == f"{64 << 20}\n"
        assert (group / "pids.max").read_text() == "50\n"
        usage = podman("stats", "--no-stream", "--format", "{{.MemUsage}}", name)
        assert usage.split("/")[1].strip() in {"64MiB", "67.11MB"}
    command.eventually(lambda: scopes(at_home) == [])


def test_what_was_not_delegated_is_refused_by_name(podman: Engine, at_home: User) -> None:
    (key, options) = next(
        (f"linux.resources.{key}", options)
        for controller, key, options in LIMITS
        if controller not in offered(at_home)
    )
    inner = (*podman.command, "run", "--rm", *QUIET, *options, daemons.IMAGE, "true")
    done = subprocess.run(inner, check=False, capture_output=True, text=True)
    assert done.returncode == 126
    assert f"cinspect-oci: {key}: the " in done.stderr
    command.eventually(lambda: scopes(at_home) == [])
