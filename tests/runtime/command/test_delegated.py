"""`cinspect-oci` of a user who was given a part of cgroup v2's tree, as root does it with chown(1)."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import requirements, traces, users
from tests.live import host
from tests.runtime.command.test_rootless import UsersRuntime, used_by
from tests.users import User

pytestmark = pytest.mark.root

ROOT = Path("/sys/fs/cgroup")
ENTER = 'echo 0 > "$0/cgroup.procs"; exec "$@"'
LIMITS = {
    "pids": ({"pids": {"limit": 7}}, "pids.max", "7\n"),
    "memory": ({"memory": {"limit": 64 << 20}}, "memory.max", f"{64 << 20}\n"),
    "cpu": ({"cpu": {"quota": 20000, "period": 100000}}, "cpu.max", "20000 100000\n"),
    "hugetlb": (
        {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 << 20}]},
        "hugetlb.2MB.max",
        f"{4 << 20}\n",
    ),
}


@dataclass
class Given:
    """A user's runtime, called from within the directory that the user was given."""

    runtime: UsersRuntime
    words: tuple[str, ...]
    directory: Path

    def at(self, directory: Path) -> UsersRuntime:
        """Have the runtime called from this cgroup on."""
        self.runtime.command = ("sh", "-c", ENTER, str(directory), *self.words)
        return self.runtime

    def cgroup(self, container: str) -> Path:
        """Return the cgroup that a container's init is in."""
        pid = self.runtime.state(container)["pid"]
        text = Path(f"/proc/{pid}/cgroup").read_text().splitlines()[-1]
        return ROOT / text.removeprefix("0::/")


@pytest.fixture
def given() -> Iterator[Given]:
    """Give a user a directory, with a place in it for the user's own processes."""
    if not host.UNIFIED:
        requirements.absent_here("cgroup v2 is not what this host has")
    requirements.commands("busybox")
    with users.user(subordinate=False) as user, used_by(user) as runtime:
        above = ROOT / user.name
        directory = above / "given"
        try:
            give(user, directory)
            made = Given(runtime, runtime.command, directory)
            made.at(directory / "own")
            yield made
            made.at(directory / "own")
            for name in runtime.left()["state"]:
                runtime("delete", "--force", name)
            assert {each.name for each in directory.iterdir() if each.is_dir()} == {"own", "second"}
        finally:
            for left in traces.cgroups(user.name):
                traces.remove_cgroup(left)


def give(user: User, directory: Path) -> None:
    """Make a cgroup and two below it, and give them to a user (cgroup-v2.rst, "Delegation")."""
    files = Path("/sys/kernel/cgroup/delegate").read_text().split()
    for each in (directory, directory / "own", directory / "second"):
        each.mkdir(parents=True)
        user.give(each)
        for path in (each / file for file in files):
            if path.exists():
                user.give(path)


def offer(given: Given) -> str:
    """Give the user what controllers there are; return one that is among them."""
    for directory in (ROOT, given.directory.parent):
        for controller in host.controllers():
            with contextlib.suppress(OSError):
                (directory / "cgroup.subtree_control").write_text(f"+{controller}")
    given_to = (given.directory / "cgroup.controllers").read_text().split()
    for controller in LIMITS:
        if controller in given_to:
            return controller
    return requirements.absent_here("no controller of cgroup v2 can be enabled here")


def test_a_container_is_beside_its_users_own_processes(given: Given) -> None:
    given.runtime.running("one", linux={"cgroupsPath": None})
    assert given.cgroup("one") == given.directory / "cinspect-oci/one"
    given.runtime.quietly("exec", "--detach", "one", "sleep", "1000")
    assert len((given.cgroup("one") / "cgroup.procs").read_text().split()) == 2
    assert len(given.runtime("ps", "--format", "json", "one").stdout.split(",")) == 2
    given.runtime("pause", "one")
    assert given.runtime.state("one")["status"] == "paused"
    assert "frozen 1" in (given.directory / "cinspect-oci/one/cgroup.events").read_text()
    given.runtime("resume", "one")
    assert given.runtime.state("one")["status"] == "running"
    given.runtime("kill", "--all", "one", "KILL")
    given.runtime("delete", "--force", "one")
    assert not (given.directory / "cinspect-oci").exists()


def test_limits_that_were_given_hold_and_change(given: Given) -> None:
    controller = offer(given)
    limits, file, said = LIMITS[controller]
    given.runtime.running("limited", linux={"cgroupsPath": None, "resources": limits})
    group = given.cgroup("limited")
    assert (group / file).read_text() == said
    assert os.stat(group / file).st_uid == os.stat(given.directory).st_uid
    if controller == "pids":
        given.runtime("update", "--pids-limit", "3", "limited")
        assert (group / file).read_text() == "3\n"


def test_a_limit_holds_the_container_back(given: Given) -> None:
    if offer(given) != "pids":
        requirements.absent_here("this host has no pids controller")
    script = "for each in 1 2 3 4 5 6; do sleep 5 & done; wait"
    limits = {"cgroupsPath": None, "resources": {"pids": {"limit": 4}}}
    bundle = given.runtime.bundle("sh", "-c", script, linux=limits)
    done = given.runtime("run", "--bundle", bundle, "forks", check=False)
    assert "can't fork: Resource temporarily unavailable" in done.stderr


def test_a_controller_that_was_not_given_is_named(given: Given) -> None:
    offered = offer(given)
    control = given.directory.parent / "cgroup.subtree_control"
    for controller in control.read_text().split():
        control.write_text(f"-{controller}")
    limits, _, _ = LIMITS[offered]
    changes = {"cgroupsPath": None, "resources": limits}
    bundle = given.runtime.bundle("true", linux=changes)
    done = given.runtime("run", "--bundle", bundle, "no", check=False)
    assert done.returncode == 1
    assert f"the {offered} controller is not delegated: {control} lacks it" in done.stderr
    assert not (given.directory / "cinspect-oci").exists()


def test_whoever_is_in_the_way_is_told_of(given: Given) -> None:
    """Processes where containers should go keep controllers from being enabled there."""
    offered = offer(given)
    given.at(given.directory)
    limits, _, _ = LIMITS[offered]
    bundle = given.runtime.bundle("true", linux={"cgroupsPath": None, "resources": limits})
    done = given.runtime("run", "--bundle", bundle, "no", check=False)
    assert done.returncode == 1
    assert f"the {offered} controller cannot be enabled below {given.directory}: " in done.stderr
    assert (given.directory / "cgroup.type").read_text() == "domain\n"


def test_a_whole_path_into_what_was_given_is_taken(given: Given) -> None:
    path = given.directory / "mine/x"
    given.runtime.running("there", linux={"cgroupsPath": f"/{path.relative_to(ROOT)}"})
    assert given.cgroup("there") == path


def test_it_is_found_from_another_place_too(given: Given) -> None:
    given.runtime.running("one", linux={"cgroupsPath": None})
    group = given.cgroup("one")
    given.at(given.directory / "second")
    given.runtime("pause", "one")
    assert "frozen 1" in (group / "cgroup.events").read_text()
    given.runtime("resume", "one")
    given.runtime("exec", "one", "true")
    given.runtime("delete", "--force", "one")
    assert not group.exists()


def test_whoever_comes_from_elsewhere_is_told_that_no_process_may_be_moved(given: Given) -> None:
    path = given.directory / "mine"
    bundle = given.runtime.bundle("true", linux={"cgroupsPath": f"/{path.relative_to(ROOT)}"})
    given.at(ROOT)
    done = given.runtime("run", "--bundle", bundle, "no", check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "no process may be moved from this one's cgroup to the container's" in done.stderr
    assert not path.exists()
