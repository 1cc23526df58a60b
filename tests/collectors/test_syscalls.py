"""Opening below a directory, by openat2(2) and by the way that old kernels need: the same answers."""

import errno
import os

import pytest

from collectors import syscalls


@pytest.fixture(params=["openat2", "stepwise"])
def open_beneath(request, monkeypatch):
    if request.param == "stepwise":
        # A number that no kernel has: the call fails with ENOSYS, as on a kernel before 5.6.
        monkeypatch.setattr(syscalls, "_SYS_OPENAT2", 9999)
    return syscalls.open_beneath


@pytest.fixture
def base(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("a")
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("path", ["", "a", "a/b"])
def test_a_directory_below_is_opened(open_beneath, base, tmp_path, path):
    fd = open_beneath(base, path)
    try:
        assert os.fstat(fd).st_ino == (tmp_path / path).stat().st_ino
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("path", "numbers"),
    [
        ("absent", {errno.ENOENT}),
        ("file", {errno.ENOTDIR}),
        ("link", {errno.ELOOP, errno.ENOTDIR}),
        ("link/b", {errno.ELOOP, errno.ENOTDIR}),
        ("..", {errno.EXDEV, errno.EINVAL}),
        ("a/../../..", {errno.EXDEV, errno.EINVAL}),
        ("/etc", {errno.EXDEV, errno.EINVAL}),
    ],
)
def test_nothing_else_is_opened(open_beneath, base, path, numbers):
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=r".") as raised:
        open_beneath(base, path)
    assert raised.value.errno in numbers
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.root
def test_another_filesystem_is_not_entered(open_beneath):
    fd = os.open("/", os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="proc") as raised:
            open_beneath(fd, "proc")
    finally:
        os.close(fd)
    assert raised.value.errno == errno.EXDEV


def test_setns_into_what_is_no_namespace_says_so():
    with open("/dev/null") as file, pytest.raises(OSError, match="setns") as raised:
        syscalls.setns(file.fileno(), syscalls.CLONE_NEWNET)
    assert raised.value.errno == errno.EINVAL
