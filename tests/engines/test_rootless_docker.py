"""Docker without root: a user's own daemon and its containers, as root sees them."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest

from tests import command, requirements
from tests.engines import daemons, seen
from tests.engines.daemons import Engine
from tests.engines.side_by_side import Dump, Table, Words, find, unnoticed
from tests.engines.test_rootless import User, user

__all__ = ("user",)

pytestmark = [pytest.mark.engine, pytest.mark.root]

ROOTLESS = "/usr/share/docker.io/contrib/dockerd-rootless.sh"
"""Where Debian has what Docker's own packages have in the path."""


@pytest.fixture(scope="module")
def docker(user: User, rootfs_tar: Path) -> Iterator[Engine]:
    """Return that user's `docker`, whose daemon is at the socket that such a daemon is found at."""
    requirements.commands("dockerd", "docker", "rootlesskit", "slirp4netns", "newuidmap")
    archive = user.home / "rootfs.tar"
    shutil.copy(rootfs_tar, archive)
    os.chmod(archive, 0o644)
    socket = f"unix://{user.runtime}/docker.sock"
    path = f"/usr/sbin:/sbin:{user.environment['PATH']}"
    # A network of its own would need /dev/net/tun for everyone: it shares the host's, with none of
    # its own for containers. Debian's script is what runs within, as it would run itself there.
    daemon = user.command(
        *(f"PATH={path}", "_DOCKERD_ROOTLESS_CHILD=1", "rootlesskit", "--net=host"),
        *("--copy-up=/etc", "--copy-up=/run", ROOTLESS),
        *("--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs"),
        *("--userland-proxy-path=/usr/sbin/docker-proxy",),
    )
    cli = Engine(user.command("docker", "--host", socket), {}, socket, user.home)
    with daemons.daemon(daemon, user.home, lambda: cli("version")):
        cli("import", str(archive), daemons.IMAGE)
        yield cli
        if ids := cli("ps", "--all", "--quiet").split():
            cli("rm", "--force", *ids)


@pytest.fixture(scope="module")
def started(docker: Engine) -> Mapping[str, str]:
    """Return the ids of containers, by what they are."""
    options = {
        "running": ("--label", "tier=front", "--read-only", daemons.IMAGE, "sleep", "1000"),
        "ended": (daemons.IMAGE, "sh", "-c", "exit 3"),
    }
    ids = {
        name: docker("run", "--detach", "--name", f"cinspect-{name}", "--network", "none", *words)
        for name, words in options.items()
    }
    docker("wait", ids["ended"])
    return ids


def compare(said: Words, frame: Dump) -> Table:
    """Return Docker's words of one container beside the dump's.

    Without cgroups of their own, as on a host with cgroup v1, Docker itself has no numbers and
    cannot list processes: what it inspects is all that it says.
    """
    one, state = find(frame, said["Id"]), said["State"]
    table = Table(f"Docker without root: {said['Name']}")
    table.same("name", said["Name"].removeprefix("/"), one["name"])
    table.same("engine", "docker", one["engine"])
    table.same("image", said["Config"]["Image"], one["image"])
    table.same("labels", said["Config"]["Labels"], one["labels"])
    table.same("command", [said["Path"], *said["Args"]], one["command"])
    table.same("status", {"exited": "stopped"}.get(state["Status"], state["Status"]), one["status"])
    table.same("pid", state["Pid"] or None, one["pid"])
    table.same("exit code", state["ExitCode"] if not state["Running"] else None, one["exit_code"])
    table.same("runtime", said["HostConfig"]["Runtime"], one["runtime"])
    table.time("created", said["Created"], one["created_at"])
    ended = state["FinishedAt"] if not state["Running"] else None
    table.time("finished", ended, one["finished_at"])
    return table


def test_docker_without_root_and_the_dump_say_the_same(
    docker: Engine, started: Mapping[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    # Root finds the user's socket by itself: nothing names it.
    frame = command.dump("dump", "--section", "containers", environment=seen.HIDDEN)
    claimed = ("name", "engine", "image", "labels", "command", "status", "pid", "created_at")
    ended = ("exit_code", "finished_at")
    for name, identifier in started.items():
        said = docker.json("inspect", identifier)[0]
        table = compare(said, frame)
        table.show(capsys)
        assert table.differing() == []
        paths = claimed if name == "running" else (*claimed, *ended)
        assert unnoticed(partial(compare, said), frame, identifier, paths) == []


def test_its_containers_are_in_the_users_namespaces(
    user: User, docker: Engine, started: Mapping[str, str]
) -> None:
    one = seen.container(started["running"])
    assert "user" not in one["shared_with_host"]
    assert (0, user.uid) in [
        (line["inside"], line["outside"]) for line in one["security"]["uid_map"]
    ]
    # Around it are the namespaces that rootlesskit made for the daemon.
    (outer,) = [each for each in seen.containers() if each["id"] == one["parent"]]
    assert any("dockerd" in word for word in commands(outer["pids"]))


def commands(pids: Sequence[int]) -> set[str]:
    return {Path(f"/proc/{pid}/cmdline").read_bytes().decode() for pid in pids}
