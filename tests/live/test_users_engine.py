"""The embedded engine of a user who was given a part of cgroup v2's tree: limits, freezing, removal."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import command, requirements, traces, users
from tests.inspector.cli_engine.test_rootless import Rootless, name, prepared
from tests.live import host
from tests.runtime.command.test_delegated import ENTER, ROOT, give
from tests.users import User

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]


class Inside(User):
    """A user whose commands begin in a cgroup of the user's own."""

    def command(self, *words: str) -> tuple[str, ...]:
        own = ROOT / self.name / "given/own"
        return ("sh", "-c", ENTER, str(own), *super().command(*words))


@pytest.fixture
def given() -> Iterator[Rootless]:
    if not host.UNIFIED:
        requirements.absent_here("cgroup v2 is not what this host has")
    requirements.commands("busybox", "newuidmap", "newgidmap")
    with users.user(subordinate=True) as made:
        user = Inside(**vars(made))
        try:
            give(user, ROOT / user.name / "given")
            yield prepared(user)
            assert not (ROOT / user.name / "given/cinspect").exists()
        finally:
            for left in traces.cgroups(user.name):
                traces.remove_cgroup(left)


@contextlib.contextmanager
def held(given: Rootless, *options: str) -> Iterator[Path]:
    """Run a container; yield its cgroup."""
    words = ("run", "-d", "--name", "held", *options, *given.rootfs, "sleep", "1000")
    identifier = given(*words)
    try:
        yield ROOT / given.user.name / "given/cinspect" / identifier
    finally:
        given("rm", "--force", "held")


def test_a_users_container_is_frozen_and_entered(given: Rootless) -> None:
    with held(given) as group:
        assert len((group / "cgroup.procs").read_text().split()) == 1
        given("freeze", "held")
        assert "frozen 1" in (group / "cgroup.events").read_text()
        assert "(Paused)" in given("ps", "--all")
        given("thaw", "held")
        # In the machines the host's hierarchies of version 1 are told of too.
        assert given("exec", "held", "cat", "/proc/self/cgroup").splitlines()[-1] == "0::/"
    assert not group.exists()


def test_a_users_container_is_removed_though_its_shim_was_killed(given: Rootless) -> None:
    with held(given) as group:
        for pid in given.user.processes():
            if name(pid) == "containerd-shim":
                os.kill(pid, signal.SIGKILL)
    assert not group.exists()
    command.eventually(lambda: given.user.processes() == [])


def test_a_user_limits_a_container_where_controllers_were_given(given: Rootless) -> None:
    host.require("pids", "memory")
    for directory in (ROOT, ROOT / given.user.name):
        (directory / "cgroup.subtree_control").write_text("+pids +memory")
    with held(given, "--pids-limit", "20", "--memory", "64m") as group:
        assert (group / "pids.max").read_text() == "20\n"
        assert (group / "memory.max").read_text() == f"{64 << 20}\n"
        given("update", "--pids-limit", "30", "held")
        assert (group / "pids.max").read_text() == "30\n"


def test_a_limit_that_was_not_given_is_refused_by_name(given: Rootless) -> None:
    host.require("pids")
    done = given.run("run", "--rm", "--pids-limit", "20", *given.rootfs, "true")
    assert done.returncode == 125
    assert "linux.resources.pids: the pids controller is not delegated" in done.stderr
    assert given("ps", "--all").count("\n") == 0
