"""Neither links, nor links swapped in while it works, lead the runtime out of the container's root."""

import contextlib
import fcntl
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.runtime.command.conftest import NOTHING, Runtime
from tests.runtime.security.conftest import bare

pytestmark = pytest.mark.root
OUT = "/../../../../../.."


def test_a_file_that_is_a_stream_keeps_its_owner(runtime):
    """Only pipes and the own terminal are given to the user: a file is the host's."""
    bundle = runtime.bundle("id", "-u", process={"user": {"uid": 7, "gid": 8}})
    told = runtime.directory / "told"
    with told.open("w") as file:
        words = (*runtime.command, "--root", str(runtime.directory / "state"), "run")
        subprocess.run(
            (*words, "--bundle", bundle, "one"),
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    assert told.read_text() == "7\n"
    assert told.stat().st_uid == 0


@pytest.fixture
def chrooted(runtime: Runtime) -> Runtime:
    """Return the runtime as it is within a chroot, which is a mount of the host's whole tree."""
    root = runtime.directory / "host"
    root.mkdir()
    script = 'mount --rbind / "$0" && exec chroot "$0" "$@"'
    enter = ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, str(root))
    return replace(runtime, command=(*enter, *runtime.command))


@pytest.mark.parametrize("flags", [(), ("--no-pivot",)])
def test_a_runtime_in_a_chroot_leaves_nothing_of_the_host_above_the_root(runtime, chrooted, flags):
    """The root of the mount namespace is the container's: nothing can climb, nor be led, above it."""
    bundle = chrooted.bundle("sleep", "1000")
    chrooted.quietly("create", *flags, "--bundle", bundle, "one")
    inside = sorted(os.listdir(runtime.directory / "rootfs"))
    for each in (chrooted, runtime):
        assert each("exec", "one", "ls", "/").stdout.split() == inside
        if not flags:
            assert "/host" not in each("exec", "one", "cat", "/proc/self/mountinfo").stdout


def leak(path: str) -> int:
    """Return an open directory of the host, as a careless caller would leave it open."""
    with contextlib.ExitStack() as stack:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        stack.callback(os.close, directory)
        return fcntl.fcntl(directory, fcntl.F_DUPFD, 50)


def test_a_target_swapped_for_a_link_makes_nothing_outside(runtime, host, race):
    """CVE-2021-30465, CVE-2024-45310: directories, a file, a device below what is swapped."""
    shared = runtime.directory / "shared"
    (shared / "a").mkdir(parents=True)
    (shared / "link").symlink_to(host)
    source = runtime.directory / "source"
    source.write_text("")
    mounts = [
        {"destination": "/vol", "source": str(shared), "options": ["bind"]},
        {"destination": "/vol/a/one/two", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/vol/a/file", "source": str(source), "options": ["bind"]},
    ]
    device = {"path": "/vol/a/node", "type": "c", "major": 1, "minor": 3}
    with race(shared / "a", shared / "link"):
        for number in range(40):
            bundle = runtime.bundle("true", linux={"devices": [device]}, **{"+mounts": mounts})
            runtime("run", "-b", bundle, f"c{number}", check=False)
            assert runtime.left() == NOTHING


@pytest.mark.parametrize("climb", ["", OUT])
def test_a_link_in_a_volume_s_path_stays_inside(runtime, host, climb):
    (runtime.directory / "rootfs/data/link").symlink_to(f"{climb}{host}")
    mount = {"destination": "/data/link/sub/made", "type": "tmpfs", "source": "tmpfs"}
    bundle = runtime.bundle("true", **{"+mounts": [mount]})
    runtime("run", "-b", bundle, "one", check=False)
    assert not list(runtime.directory.glob("rootfs/**/host/file"))


@pytest.mark.parametrize("target", ["{host}", f"{OUT}{{host}}", "/data"])
def test_a_link_in_place_of_dev_gets_no_node(runtime, host, target):
    """CVE-2026-41579."""
    (runtime.directory / "rootfs/dev").rmdir()
    (runtime.directory / "rootfs/dev").symlink_to(target.format(host=host))
    bundle = bare(runtime, "true", without=("/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"))
    done = runtime("run", "-b", bundle, "one", check=False)
    assert done.returncode == 1
    assert "/dev" in done.stderr
    assert os.listdir(runtime.directory / "rootfs/data") == []


@pytest.mark.parametrize("name", ["dev", "proc", "sys"])
def test_a_kernel_directory_that_is_a_link_inside_is_refused(runtime, name):
    """CVE-2019-19921: what is written to /proc must be where it seems to be."""
    (runtime.directory / "rootfs" / name).rmdir()
    (runtime.directory / "rootfs" / name).symlink_to("/data")
    done = runtime("run", "-b", runtime.bundle("true"), "one", check=False)
    assert done.returncode == 1
    assert f"/{name}" in done.stderr
    assert not list((runtime.directory / "rootfs/data").iterdir())


def test_another_file_in_place_of_a_device_is_refused(runtime):
    (runtime.directory / "rootfs/dev/zero").write_text("")
    bundle = bare(runtime, "true", without=("/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"))
    done = runtime("run", "-b", bundle, "one", check=False)
    assert "/dev/zero: another file is there" in done.stderr


def test_devices_that_are_asked_for_are_there_with_owner_and_mode(runtime):
    device = {"path": "/dev/sub/full", "type": "c", "major": 1, "minor": 7}
    fifo = {"path": "/data/pipe", "type": "p"}
    devices = [device | {"fileMode": 0o640, "uid": 5, "gid": 6}, fifo]
    script = "stat -c '%t:%T %a %u:%g' /dev/sub/full; stat -c '%F %a' /data/pipe"
    said = runtime.sh(script, linux={"devices": devices}, root={"readonly": False})
    assert said.splitlines() == ["1:7 640 5:6", "fifo 666"]


@pytest.mark.parametrize("destination", ["/proc", "/proc/sys", "/proc/self", "/x/../proc/1"])
@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_no_volume_covers_proc(refused, host, destination, kind):
    mount = {"destination": destination, "type": kind, "source": str(host)}
    options = ["bind"] if kind == "bind" else []
    assert "/proc" in refused(**{"+mounts": [mount | {"options": options}]})


def test_a_working_directory_cannot_be_a_leaked_descriptor(runtime, host):
    """CVE-2024-21626, for a new container and for one more process."""
    leaked = leak("/")
    (runtime.directory / "rootfs/link").symlink_to(f"/proc/self/fd/{leaked}")
    try:
        runtime.running("target")
        numbers = (*range(3, 14), leaked)
        for path in (*(f"/proc/self/fd/{number}" for number in numbers), "/link"):
            bundle = runtime.bundle("ls", process={"cwd": path})
            made = runtime("run", "-b", bundle, "one", check=False, pass_fds=(leaked,))
            assert (made.returncode, made.stdout) == (1, ""), path
        for path in (f"/proc/self/fd/{leaked}", "/link", f"/proc/1/fd/{leaked}"):
            words = ("exec", "--cwd", path, "target", "ls")
            assert runtime(*words, check=False, pass_fds=(leaked,)).returncode == 255, path
    finally:
        os.close(leaked)


def test_a_command_cannot_be_reached_by_a_leaked_descriptor(runtime):
    leaked = leak("/")
    try:
        for path in (f"/proc/self/fd/{leaked}/bin/true", "/proc/self/exe", "/proc/thread-self/exe"):
            done = runtime(
                "run", "-b", runtime.bundle(path), "one", check=False, pass_fds=(leaked,)
            )
            assert done.returncode == 1, path
            assert "proc" in done.stderr
        (runtime.directory / "rootfs/bin/me").symlink_to("/proc/self/exe")
        assert runtime("run", "-b", runtime.bundle("me"), "one", check=False).returncode == 1
        names = runtime(
            "run", "-b", runtime.bundle("ls", "/proc/self/fd"), "one", pass_fds=(leaked,)
        ).stdout
        assert names.split() == ["0", "1", "2", "3"]  # the last one is of ls itself
    finally:
        os.close(leaked)


def test_the_null_stream_is_the_container_s_own(runtime):
    bundle = runtime.bundle("stat", "-L", "-c", "%d", "/proc/self/fd/0", "/dev/null")
    words = (*runtime.command, "--root", str(runtime.directory / "state"), "run", "-b", bundle)
    done = subprocess.run(
        (*words, "one"), check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    inside = done.stdout.split()
    assert inside[0] == inside[1] != str(Path("/dev/null").stat().st_dev)


SHARED = """
cat /proc/self/mountinfo > before
"$@" < /dev/null > said 2>&1
cat /proc/self/mountinfo > after
"""


def test_a_host_that_shares_its_mounts_sees_none_of_a_container(runtime):
    mount = {"destination": "/data", "type": "tmpfs", "source": "tmpfs"}
    words = ("run", "--detach", "--bundle", runtime.bundle("sleep", "1000", **{"+mounts": [mount]}))
    apart = ("unshare", "--mount", "--propagation", "shared", "sh", "-ec", SHARED, "sh")
    state = str(runtime.directory / "state")
    subprocess.run(
        (*apart, *runtime.command, "--root", state, *words, "one"),
        check=True,
        cwd=runtime.directory,
    )
    before, after = ((runtime.directory / name).read_text() for name in ("before", "after"))
    assert " shared:" in before
    assert after == before
    inside = runtime("exec", "one", "cat", "/proc/self/mountinfo").stdout
    assert " /data " in inside
    assert "shared:" not in inside
    assert "master:" not in inside
