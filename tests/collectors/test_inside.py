"""Paths of a container, looked up from outside: none leads out, and only what is safe is opened."""

import os
import socket
import threading

import pytest

from collectors.errors import CollectError, Gone, Missing, Unsupported
from collectors.inside import Inside, read
from collectors.members import namespace
from collectors.root import Root
from tests.collectors.overlay.made import container, make

pytestmark = pytest.mark.root


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "secret").write_text("of the host")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/name").write_text("inside")
    (root / "secret").write_text("of the container")
    return root


def text(root, path, most=1000):
    with Inside.of_directory(Root(), str(root)) as inside:
        fd = inside.file(path)
        try:
            return read(fd, path, most).decode()
        finally:
            os.close(fd)


@pytest.mark.parametrize("path", ["/etc/name", "etc/name", "/../../etc/./name", "//etc//name"])
def test_a_path_is_the_containers_with_a_slash_or_without(tree, path):
    assert text(tree, path) == "inside"


@pytest.mark.parametrize("target", ["/secret", "../secret", "../../../../secret", "/../secret"])
def test_a_link_that_points_out_stays_inside(tree, target):
    (tree / "etc/link").symlink_to(target)
    assert text(tree, "/etc/link") == "of the container"


def test_a_directory_link_that_points_out_stays_inside(tree):
    (tree / "up").symlink_to("..")
    assert text(tree, "/up/secret") == "of the container"


def test_a_loop_of_links_is_an_error_that_names_the_path(tree):
    (tree / "loop").symlink_to("loop")
    with pytest.raises(CollectError, match="/loop"):
        text(tree, "/loop")


def test_a_magic_link_is_not_followed(tree):
    (tree / "fd").mkdir()
    os.system(f"mount --bind /proc/self {tree}/fd")
    try:
        with pytest.raises(CollectError):
            text(tree, "/fd/root/etc/passwd")
    finally:
        assert os.system(f"umount -l {tree}/fd") == 0


def test_what_is_no_regular_file_is_refused_and_never_waited_for(tree):
    os.mkfifo(tree / "fifo")
    os.mknod(tree / "null", 0o20666, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tree / "socket"))
    for name, said in {
        "fifo": "FIFO",
        "null": "device",
        "socket": "socket",
        "etc": "directory",
    }.items():
        with pytest.raises(Unsupported, match=said):
            text(tree, f"/{name}")


@pytest.mark.parametrize("path", ["/none", "/etc/name/below", "a\0b", "x" * 300])
def test_a_path_that_is_not_there_says_so(tree, path):
    with pytest.raises(CollectError):
        text(tree, path)


def test_no_more_than_asked_for_is_read(tree):
    assert text(tree, "/etc/name", 3) == "ins"
    assert text(tree, "/etc/name", 0) == ""


def test_links_swapped_while_a_path_is_looked_up_lead_nowhere_else(tree):
    (tree / "dir").mkdir()
    (tree / "dir/secret").write_text("of the container")
    (tree / "out").symlink_to("../..")
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            os.rename(tree / "dir", tree / "kept")
            os.rename(tree / "out", tree / "dir")
            os.rename(tree / "dir", tree / "out")
            os.rename(tree / "kept", tree / "dir")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        found = set()
        for _ in range(3000):
            try:
                found.add(text(tree, "/dir/secret"))
            except CollectError:
                continue
        assert found <= {"of the container"}
    finally:
        stop.set()
        thread.join()


def test_a_running_containers_own_root_is_what_is_read(tmp_path):
    layers = make(tmp_path)
    (layers.lowers[0] / "greeting").write_text("hello from below")
    with container(layers) as pid:
        mnt = namespace(Root(), pid, "mnt")
        with Inside.of_process(Root(), pid, mnt) as inside:
            fd = inside.file("/greeting")
            assert read(fd, "/greeting", 100) == b"hello from below"
            os.close(fd)
        with pytest.raises(Gone, match="another mount namespace"):
            Inside.of_process(Root(), pid, mnt + 1)
    with pytest.raises(Missing):
        Inside.of_process(Root(), pid, mnt)


def test_no_descriptor_is_left_whatever_was_asked(tree):
    os.mkfifo(tree / "fifo")
    before = sorted(os.listdir("/proc/self/fd"))
    for path in ("/etc/name", "/fifo", "/none", "/etc"):
        try:
            text(tree, path)
        except CollectError:
            continue
    with pytest.raises(CollectError):
        Inside.of_process(Root(), os.getpid(), 1)
    assert sorted(os.listdir("/proc/self/fd")) == before
