"""Podman without root: a user's own containers, seen by root, by that user, with a service and without."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from tests import command, requirements, traces
from tests.engines import daemons, inspected, seen
from tests.engines.daemons import SILENT, Engine
from tests.engines.side_by_side import find, unnoticed

pytestmark = [pytest.mark.engine, pytest.mark.root]

NAMES: Final = ("plain", "mapped", "sharing", "ended", "created")


class User:
    """A user of the tests' own, with a home and a runtime directory."""

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        self.home = home
        self.uid = int(subprocess.check_output(("id", "-u", name)))
        self.runtime = Path("/run/user", str(self.uid))
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "USER": name,
            "XDG_RUNTIME_DIR": str(self.runtime),
        }

    def command(self, *words: str, privileges: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return what runs a command as this user, with nothing of the caller's environment."""
        ids = (f"--reuid={self.name}", f"--regid={self.name}", "--init-groups", *privileges)
        said = (f"{key}={value}" for key, value in self.environment.items())
        return ("setpriv", *ids, "env", "-i", f"--chdir={self.home}", *said, *words)


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    requirements.commands("useradd", "userdel", "setpriv", "newuidmap")
    home = Path(tempfile.mkdtemp(prefix="cinspect-rootless-", dir="/var/tmp"))
    name = home.name.lower().replace("_", "-")
    subprocess.run(("useradd", "--no-create-home", "--home-dir", home, name), check=True)
    made = User(name, home)
    with traces.none_left(home.name):
        try:
            os.chown(home, made.uid, made.uid)
            made.runtime.mkdir(parents=True, exist_ok=True)
            os.chmod(made.runtime, 0o700)
            os.chown(made.runtime, made.uid, made.uid)
            yield made
        finally:
            _end(made.uid)
            subprocess.run(("userdel", name), check=True, **SILENT)
            shutil.rmtree(made.runtime, ignore_errors=True)
            with contextlib.suppress(OSError):
                os.rmdir("/run/user")
    shutil.rmtree(home)


def _end(uid: int) -> None:
    """End what runs as this user: the process that keeps the user namespace among it."""
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if directory.stat().st_uid == uid:
                os.kill(int(directory.name), signal.SIGKILL)
    time.sleep(0.1)


@pytest.fixture(scope="module")
def podman(user: User, rootfs_tar: Path) -> Iterator[Engine]:
    """Return that user's `podman`, and where its service listens once it runs."""
    requirements.commands("podman", "conmon", "runc", "catatonit")
    archive = user.home / "rootfs.tar"
    shutil.copy(rootfs_tar, archive)
    os.chmod(archive, 0o644)
    socket = f"unix://{user.runtime}/podman/podman.sock"
    options = ("--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", "runc")
    words = user.command("podman", *options)
    engine = Engine(words, {"CONTAINER_HOST": socket}, socket, user.home)
    engine("import", "--quiet", str(archive), daemons.IMAGE)
    try:
        yield engine
    finally:
        # Those first whose user namespace is another's.
        engine("rm", "--force", "--time", "0", "cinspect-sharing", check=False)
        engine("rm", "--all", "--force", "--time", "0")
        # What is owned by ids of the user's range, only that user may remove.
        engine("unshare", "rm", "-rf", str(user.home / ".local"), check=False)


@pytest.fixture(scope="module")
def started(podman: Engine) -> Mapping[str, str]:
    """Return the ids of containers, by what they are."""
    options = {
        "plain": ("--label", "tier=front", daemons.IMAGE, "sleep", "1000"),
        "mapped": ("--userns", "keep-id", daemons.IMAGE, "sleep", "1000"),
        "sharing": ("--userns", "container:cinspect-mapped", daemons.IMAGE, "sleep", "1000"),
        "ended": (daemons.IMAGE, "sh", "-c", "exit 3"),
    }
    ids = {
        name: podman("run", "--detach", "--name", f"cinspect-{name}", "--network", "none", *words)
        for name, words in options.items()
    }
    ids["created"] = podman("create", "--network", "none", daemons.IMAGE, "true")
    podman("wait", ids["ended"])
    return ids


@pytest.fixture(scope="module")
def service(podman: Engine, user: User) -> Iterator[Engine]:
    """Run that user's service, where it listens by itself."""
    socket = user.runtime / "podman" / "podman.sock"
    socket.parent.mkdir(exist_ok=True)
    os.chown(socket.parent, user.uid, user.uid)
    words = (*podman.command, "system", "service", "--time", "0", str(podman.address))
    with daemons.daemon(words, user.home, socket.exists):
        yield podman


def test_root_sees_them_by_the_users_storage_without_a_service(
    podman: Engine, started: Mapping[str, str]
) -> None:
    by_id = {one["id"]: one for one in seen.containers()}
    for name, identifier in started.items():
        said, one = podman.json("inspect", identifier)[0], by_id[identifier]
        told = (one["engine"], one["name"], one["image"], one["pid"])
        expected = ("podman", said["Name"], said["ImageName"], said["State"]["Pid"] or None)
        assert told == expected, name
        status = "running" if said["State"]["Running"] else "stopped"
        assert one["status"] == status, name
    assert not [one for one in by_id.values() if "catatonit" in " ".join(one["command"])]


def test_their_user_namespaces_are_told_with_their_maps(
    podman: Engine, started: Mapping[str, str]
) -> None:
    by_id = {one["id"]: one for one in seen.containers()}
    for name in ("plain", "mapped", "sharing"):
        one = by_id[started[name]]
        lines = Path(f"/proc/{one['pid']}/uid_map").read_text().splitlines()
        maps = [
            dict(zip(("inside", "outside", "count"), map(int, line.split()), strict=True))
            for line in lines
        ]
        assert one["security"]["uid_map"] == maps
        assert "user" not in one["shared_with_host"]
        assert one["security"]["privileged"] is False
    assert by_id[started["sharing"]]["shared_with"]["user"] == [started["mapped"]]
    assert by_id[started["mapped"]]["shared_with"]["user"] == [started["sharing"]]
    assert "user" not in by_id[started["plain"]]["shared_with"]


def test_podman_without_root_and_the_dump_say_the_same(
    service: Engine, started: Mapping[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    def ask() -> Mapping[str, Any]:
        return {name: inspected.words_of(service, one) for name, one in started.items()}

    before = ask()
    sections = [f"--section={name}" for name in inspected.SECTIONS]
    # Root finds the user's socket by itself: nothing names it.
    frame = command.dump("dump", *sections, environment=seen.HIDDEN)
    after = ask()
    for name in NAMES:
        compare = partial(inspected.compare, "podman", before[name], after[name])
        table = compare(frame)
        table.show(capsys)
        assert table.differing() == []
    plain = partial(inspected.compare, "podman", before["plain"], after["plain"])
    claimed = ("name", "image", "image_digest", "labels", "command", "pid", "pids", "shim.pid")
    assert unnoticed(plain, frame, started["plain"], (*claimed, "shared_with_host")) == []


def test_the_user_sees_them_too_and_once_though_docker_host_names_the_service(
    service: Engine, user: User, started: Mapping[str, str]
) -> None:
    # The tests' Python may be in a directory that only root may enter; all else is the user's.
    reading = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    named = (f"DOCKER_HOST={service.address}", f"PYTHONPATH={Path(__file__).parents[2]}")
    words = (sys.executable, "-m", "inspector", "dump", "--section", "containers")
    done = subprocess.run(
        user.command(*named, *words, privileges=reading),
        check=True,
        capture_output=True,
        timeout=60,
    )
    frame = json.loads(done.stdout)
    for name, identifier in started.items():
        one = find(frame, identifier)
        assert one["engine"] == "podman", name
        assert one["image"].endswith(daemons.IMAGE), name
    one = find(frame, started["plain"])
    assert (one["name"], one["status"]) == ("cinspect-plain", "running")
    assert "user" in one["namespaces"]
    assert "user" not in one["shared_with_host"]
