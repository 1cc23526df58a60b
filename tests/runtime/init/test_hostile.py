"""Images and volumes that try to lead out of the container do not; failures leave nothing.

That nothing is left behind, of mounts, cgroups, descriptors or processes, is asserted by `play`.
"""

import ctypes
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from tests import requirements

pytestmark = pytest.mark.root


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Return a small root directory: a static busybox, and nothing else."""
    busybox = shutil.which("busybox")
    if busybox is None:
        requirements.lacking("busybox is not installed (busybox-static)")
    linked = subprocess.run(["ldd", busybox], capture_output=True, check=False).returncode == 0
    if linked:
        requirements.lacking("busybox is not static (busybox-static)")
    root = tmp_path / "image"
    (root / "bin").mkdir(parents=True)
    shutil.copy(busybox, root / "bin/busybox")
    for name in ("sh", "true", "cat", "ls", "touch", "sleep"):
        (root / "bin" / name).symlink_to("busybox")
    return root


def test_a_root_without_any_directory_gets_what_it_needs(play, image):
    result = play(lower=str(image), process={"args": ["ls", "/"]})
    assert result["init"]["output"].split() == ["bin", "dev", "proc", "sys"]


@pytest.mark.parametrize("name", ["proc", "dev", "sys"])
def test_a_link_in_place_of_a_kernel_directory_is_refused(play, image, tmp_path, name):
    (tmp_path / "host").mkdir()
    (image / name).symlink_to(f"/../../../../..{tmp_path}/host")
    result = play(lower=str(image))
    assert result["error"] == "Internal"
    assert f"/{name}" in result["message"]
    assert list((tmp_path / "host").iterdir()) == []


def test_a_link_of_the_image_below_dev_is_covered_by_the_new_dev(play, image, tmp_path):
    (tmp_path / "host").mkdir()
    (image / "dev").mkdir()
    (image / "dev/shm").symlink_to(f"/../../../../..{tmp_path}/host")
    result = play(lower=str(image), process={"args": ["touch", "/dev/shm/made"]})
    assert result["init"]["status"] == 0
    assert list((tmp_path / "host").iterdir()) == []


def test_a_volume_on_a_link_to_the_root_stays_inside(play, image, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/secret").write_text("s")
    (image / "link").symlink_to("/../../../../../../")
    mount = {"destination": "/link/target", "source": str(tmp_path / "data"), "options": ["bind"]}
    result = play(lower=str(image), process={"args": ["ls", "/target"]}, **{"+mounts": [mount]})
    assert result["init"]["output"] == "secret\n"
    assert not Path("/target").exists()


def test_a_volume_over_the_root_is_refused(play, image, tmp_path):
    for destination in ("/", "/..", "/x/.."):
        mount = {"destination": destination, "source": str(tmp_path), "options": ["bind"]}
        result = play(lower=str(image), **{"+mounts": [mount]})
        assert result["error"] == "InvalidArgument"


@pytest.mark.parametrize("destination", ["/proc", "/proc/self", "/proc/sys/kernel", "/x/../proc/1"])
def test_nothing_may_be_mounted_on_proc(play, image, tmp_path, destination):
    mount = {"destination": destination, "source": str(tmp_path), "options": ["bind"]}
    result = play(lower=str(image), **{"+mounts": [mount]})
    assert result["error"] == "InvalidArgument"
    assert "/proc" in result["message"]


def test_masking_uses_no_file_that_pretends_to_be_the_null_device(play, image, tmp_path):
    pretender = tmp_path / "null"
    pretender.write_text("writable")
    mount = {"destination": "/dev/null", "source": str(pretender), "options": ["bind"]}
    result = play(lower=str(image), **{"+mounts": [mount]})
    assert "error" in result
    assert pretender.read_text() == "writable"


def test_a_masked_path_that_is_a_link_is_followed_inside_only(play, image):
    (image / "etc").mkdir()
    (image / "etc/real").write_text("inside")
    (image / "secret").symlink_to("/../../../etc/real")
    linux = {"maskedPaths": ["/secret"]}
    result = play(lower=str(image), linux=linux, process={"args": ["cat", "/etc/real"]})
    assert result["init"]["output"] == ""
    with open("/etc/hostname") as file:
        assert file.read() != ""


@pytest.mark.parametrize("kind", ["fifo", "directory", "device", "huge"])
def test_a_passwd_that_is_no_file_is_refused(play, image, kind):
    (image / "etc").mkdir()
    passwd = image / "etc/passwd"
    match kind:
        case "fifo":
            os.mkfifo(passwd)
        case "directory":
            passwd.mkdir()
        case "device":
            passwd.symlink_to("/dev/zero")
        case _:
            with passwd.open("wb") as file:
                file.truncate(1 << 30)
    result = play(lower=str(image), process={"user": {"username": "web"}})
    assert result["error"] == "InvalidArgument"
    assert "/etc/passwd" in result["message"]


def test_a_link_swapped_in_while_containers_are_made_leads_nowhere(play, image, tmp_path):
    shared, outside, data = (tmp_path / name for name in ("shared", "outside", "data"))
    for each in (shared, outside, data):
        each.mkdir()
    (shared / "a").mkdir()
    (shared / "link").symlink_to(outside)
    swapping = True
    exchange = ctypes.CDLL(None).renameat2  # glibc 2.28, musl 1.2.5
    names = [os.fsencode(shared / name) for name in ("a", "link")]

    def swap() -> None:
        while swapping:
            assert exchange(-100, names[0], -100, names[1], 2) == 0

    racer = threading.Thread(target=swap)
    racer.start()
    try:
        mounts = [
            {"destination": "/vol", "source": str(shared), "options": ["bind"]},
            {"destination": "/vol/a/made", "source": str(data), "options": ["bind"]},
        ]
        for _ in range(15):
            play(lower=str(image), **{"+mounts": mounts})
            assert list(outside.iterdir()) == []
    finally:
        swapping = False
        racer.join()


FAILURES = {
    "a volume that is not there": (
        {"+mounts": [{"destination": "/v", "source": "/no/such/source", "options": ["bind"]}]},
        "bind /no/such/source on /v",
    ),
    "a file system that is not known": (
        {"+mounts": [{"destination": "/v", "type": "nosuchfs", "source": "x"}]},
        "mount nosuchfs on /v",
    ),
    "a wrong option": (
        {
            "+mounts": [
                {"destination": "/v", "type": "tmpfs", "source": "x", "options": ["bogus=1"]}
            ]
        },
        "mount tmpfs on /v",
    ),
    "a limit that is not known": (
        {"process": {"rlimits": [{"type": "RLIMIT_MAGIC", "soft": 1, "hard": 1}]}},
        "RLIMIT_MAGIC",
    ),
    "a class of service where nobody has planned one": (
        {"linux": {"intelRdt": {}}},
        "linux.intelRdt: is not supported",
    ),
    "a kernel parameter that is not there": (
        {"linux": {"sysctl": {"net.no.such": "1"}}},
        "linux.sysctl.net.no.such",
    ),
    "a namespace that is not there": (
        {
            "linux": {
                "namespaces": [
                    {"type": "mount"},
                    {"type": "uts"},
                    {"type": "ipc", "path": "/nowhere"},
                ]
            }
        },
        "join the ipc namespace /nowhere",
    ),
    "a user that is not there": ({"process": {"user": {"username": "ghost"}}}, "ghost"),
    "a filter that cannot be": (
        {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_DANCE"}}},
        "SCMP_ACT_DANCE",
    ),
    "a device of an unknown type": (
        {"linux": {"devices": [{"path": "/dev/x", "type": "q"}]}},
        "/dev/x",
    ),
    "a host name that is too long": ({"hostname": "x" * 65}, "set the host name"),
    "a cgroup limit that cannot be": (
        {"linux": {"resources": {"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]}}},
        "huge",
    ),
}


@pytest.mark.parametrize("what", FAILURES)
def test_a_failure_names_what_failed_and_leaves_nothing(play, image, what):
    changes, words = FAILURES[what]
    result = play(["create"], lower=str(image), **changes)
    assert words in result["message"]
