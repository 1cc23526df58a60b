"""`cinspect-oci` as a user without rights: a user namespace first, cgroups where they are given."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import requirements, users
from tests.runtime.command.conftest import MAIN, Runtime, make_root, merged
from tests.users import User

pytestmark = pytest.mark.root


@dataclass
class UsersRuntime(Runtime):
    """A runtime that a user calls, with a bundle for one."""

    user: User | None = None

    def bundle(self, *arguments: str, **changes) -> str:
        assert self.user
        directory = self.directory / f"bundle{len(self.made)}"
        directory.mkdir()
        self.user.give(directory)
        self.made.append(directory)
        self("spec", "--rootless", "--bundle", str(directory))
        path = directory / "config.json"
        spec = json.loads(path.read_text())
        spec["process"] |= {"terminal": False, "args": list(arguments)}
        spec["root"] |= {"path": str(self.directory / "rootfs"), "readonly": False}
        path.write_text(json.dumps(merged(spec, changes)))
        return str(directory)


@contextmanager
def used_by(user: User, *, idle: bool = True) -> Iterator[UsersRuntime]:
    """Yield the runtime of a user, who unless told otherwise has no processes but containers'."""
    command = (user.python, "-I", "-S", "-c", MAIN.format(str(user.directory / "source")))
    made = UsersRuntime(user.directory, user.name, user.command(*command), user=user)
    make_root(user.directory / "rootfs")
    for directory in ("", "data", "dev", "proc", "sys", "tmp", "etc", "bin"):
        user.give(user.directory / "rootfs" / directory)
    try:
        yield made
        for name in made.left()["state"]:
            made("delete", "--force", name)
        assert made.left() == {"state": [], "cgroups": [], "mounts": []}
        assert not idle or [pid for pid in user.processes() if alive(pid)] == []
    finally:
        for pid in user.processes():
            if idle and alive(pid):
                os.kill(pid, 9)


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.fixture
def rootless() -> Iterator[UsersRuntime]:
    """Return the runtime of a user without subordinate ids."""
    requirements.commands("busybox")
    with users.user(subordinate=False) as user, used_by(user) as made:
        yield made


@pytest.fixture
def many() -> Iterator[UsersRuntime]:
    """Return the runtime of a user with subordinate ids."""
    requirements.commands("busybox", "newuidmap", "newgidmap")
    with users.user(subordinate=True) as user, used_by(user) as made:
        yield made


def mapped(user: User, size: int) -> dict:
    """Return maps of the user's own id and of so many subordinate ones."""
    first = users.subordinates(user.name).start
    maps = [
        {"containerID": 0, "hostID": user.uid, "size": 1},
        {"containerID": 1, "hostID": first, "size": size},
    ]
    return {"uidMappings": maps, "gidMappings": maps}


def test_a_user_is_root_of_a_namespace_of_its_own(rootless: UsersRuntime) -> None:
    assert rootless.user
    told = rootless.sh("id -u; cat /proc/self/uid_map /proc/self/setgroups; id -G").split()
    assert told == ["0", "0", str(rootless.user.uid), "1", "deny", "0"]


def test_its_devices_are_the_hosts_and_it_can_make_none(rootless: UsersRuntime) -> None:
    script = (
        ": > /dev/null && echo null; stat -c %t:%T /dev/zero; "
        "busybox mknod /dev/kmsg c 1 11 || echo none"
    )
    assert rootless.sh(script).split() == ["null", "1:5", "none"]


def test_with_the_hosts_network_it_sees_the_hosts_sysfs(rootless: UsersRuntime) -> None:
    sysfs = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro", "nosuid"]}
    script = (
        "ls /sys/class/net; busybox mkdir /sys/fs/cgroup/mine 2>&1; grep -c ' /sys ' /proc/mounts"
    )
    for mounts in (None, [sysfs]):
        changes = {} if mounts is None else {"mounts": kept(rootless, sysfs)}
        told = rootless.sh(script, **changes)
        assert "lo" in told
        assert "Read-only file system" in told


def kept(rootless: UsersRuntime, *more: dict) -> list[dict]:
    spec = json.loads(Path(rootless.bundle("true"), "config.json").read_text())
    return [*(each for each in spec["mounts"] if each["destination"] != "/sys"), *more]


def test_with_a_network_of_its_own_it_has_a_sysfs_of_its_own(rootless: UsersRuntime) -> None:
    sysfs = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro", "nosuid"]}
    spec = json.loads(Path(rootless.bundle("true"), "config.json").read_text())
    changes = {
        "mounts": kept(rootless, sysfs),
        "linux": {"namespaces": [*spec["linux"]["namespaces"], {"type": "network"}]},
    }
    assert rootless.sh("ls /sys/class/net", **changes).split() == ["lo"]


def test_a_container_of_a_user_lives(rootless: UsersRuntime) -> None:
    rootless.running("one")
    assert rootless.state("one")["status"] == "running"
    assert rootless("exec", "one", "id", "-u").stdout == "0\n"
    assert rootless("list", "--quiet").stdout == "one\n"
    assert rootless("delete", "one", check=False).returncode == 1
    rootless("kill", "one", "KILL")
    rootless("delete", "--force", "one")
    assert rootless("list", "--quiet").stdout == ""


def test_its_state_is_below_its_run_directory(rootless: UsersRuntime) -> None:
    assert rootless.user
    words = (*rootless.command, "run", "--bundle", rootless.bundle("sh", "-c", "exit 3"), "x")
    done = subprocess.run(words, check=False, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 3
    assert (rootless.user.run_directory / "cinspect-oci").is_dir()


def test_without_cgroups_it_says_what_it_cannot_do(rootless: UsersRuntime) -> None:
    rootless.running("free")
    for words in (("pause", "free"), ("update", "--pids-limit", "5", "free"), ("ps", "free")):
        done = rootless(*words, check=False)
        assert done.returncode == 1
        assert "has no cgroups" in done.stderr
    assert rootless.state("free")["status"] == "running"


@pytest.mark.parametrize("limits", [{"pids": {"limit": 5}}, {"unified": {"pids.max": "5"}}])
def test_a_limit_without_a_cgroup_is_refused(rootless: UsersRuntime, limits: dict) -> None:
    bundle = rootless.bundle("true", linux={"resources": limits})
    done = rootless("create", "--bundle", bundle, "no", check=False)
    assert done.returncode == 1
    assert "cgroup" in done.stderr or "the pids controller is not available" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_path_without_a_cgroup_is_refused(rootless: UsersRuntime) -> None:
    bundle = rootless.bundle("true", linux={"cgroupsPath": "/mine/x"})
    done = rootless("create", "--bundle", bundle, "no", check=False)
    assert done.returncode == 1
    assert "mine: cannot make the cgroup: " in done.stderr


def test_whoever_says_that_rights_are_there_is_told_where_not(rootless: UsersRuntime) -> None:
    bundle = rootless.bundle("true")
    done = rootless("--rootless", "false", "create", "--bundle", bundle, "no", check=False)
    assert done.returncode == 1
    assert "cannot make the cgroup" in done.stderr
    assert rootless("--rootless", "true", "run", "--bundle", bundle, "yes").returncode == 0
    done = rootless("--rootless", "perhaps", "run", "--bundle", bundle, "yes", check=False)
    assert "--rootless: 'perhaps' is not true, false or auto" in done.stderr


def test_groups_that_it_cannot_have_are_refused(rootless: UsersRuntime) -> None:
    bundle = rootless.bundle("true", process={"user": {"uid": 0, "gid": 0, "additionalGids": [7]}})
    done = rootless("run", "--bundle", bundle, "no", check=False)
    assert done.returncode == 1
    assert "additionalGids" in done.stderr


def test_a_map_that_is_not_its_own_is_refused(rootless: UsersRuntime) -> None:
    requirements.commands("newuidmap")
    bundle = rootless.bundle(
        "true", linux={"uidMappings": [{"containerID": 0, "hostID": 0, "size": 1}]}
    )
    done = rootless("run", "--bundle", bundle, "no", check=False)
    assert done.returncode == 1
    assert "newuidmap" in done.stderr
    assert rootless.left()["state"] == []


def test_subordinate_ids_are_mapped_by_the_helpers(many: UsersRuntime) -> None:
    assert many.user
    changes = {
        "linux": mapped(many.user, 100),
        "process": {
            "user": {"uid": 0, "gid": 0, "additionalGids": [7]},
            "capabilities": {
                kind: ["CAP_CHOWN", "CAP_SETUID"] for kind in ("bounding", "effective", "permitted")
            },
        },
    }
    assert many.sh("id -G; echo > /data/f; busybox chown 5:6 /data/f", **changes) == "0 7\n"
    status = (many.directory / "rootfs" / "data" / "f").stat()
    first = users.subordinates(many.user.name).start
    assert (status.st_uid, status.st_gid) == (first + 4, first + 5)


def test_processes_with_subordinate_ids_are_killed_too(many: UsersRuntime) -> None:
    assert many.user
    changes = {"linux": mapped(many.user, 100), "process": {"user": {"uid": 5, "gid": 5}}}
    many.running("five", **changes)
    first = users.subordinates(many.user.name).start
    assert os.stat(f"/proc/{many.state('five')['pid']}").st_uid == first + 4
    assert many("exec", "five", "id", "-u").stdout == "5\n"
    many("delete", "--force", "five")
    assert [pid for pid in many.user.processes() if alive(pid)] == []


def test_more_ids_than_it_has_are_refused(many: UsersRuntime) -> None:
    assert many.user
    size = len(users.subordinates(many.user.name)) + 1
    bundle = many.bundle("true", linux=mapped(many.user, size))
    done = many("run", "--bundle", bundle, "no", check=False)
    assert done.returncode == 1
    assert "newuidmap" in done.stderr
    assert many.left()["state"] == []
