"""Root: reads files in full, says what failed in words that can be acted on, and never mixes two processes."""

import errno
import os
from pathlib import Path

import pytest

from collectors.errors import CollectError, Denied, Gone, Missing, Problem, Problems, Unsupported
from collectors.root import Root, translate
from tests.collectors.kernel import made


@pytest.mark.parametrize("size", [0, 1, 3071, 3072, 4031, 4033, 4096, 65536, 65537, 300_000])
def test_a_file_of_any_size_is_read_in_full(tmp_path: Path, size: int):
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    root = Root(str(tmp_path))
    assert root.read("file") == data
    with root.directory("") as directory:
        assert directory.read("file") == data
        assert directory.told("file") == root.told("file") == data


def test_a_directory_of_a_filesystem_that_counts_is_listed_by_kind_too(tmp_path: Path):
    for name in ("inner", "leaf"):
        (tmp_path / name).mkdir()
    for name in ("file", "leaf/one", "leaf/two"):
        (tmp_path / name).write_bytes(b"")
    root = Root(str(tmp_path))
    with root.directory("", listed=True) as directory:
        files, below = directory.counted_entries()
        assert (files, sorted(below)) == (["file"], ["inner", "leaf"])
    with root.directory("leaf", listed=True) as directory:
        files, below = directory.counted_entries()
        assert (sorted(files), below) == (["one", "two"], [])


def test_a_file_of_proc_that_is_longer_than_a_page_is_read_in_full():
    data = Root().read("proc/self/smaps")
    assert len(data) > 8192
    assert data.endswith(b"\n")
    assert data.count(b"VmFlags:") == data.count(b"KernelPageSize:")


LONG_MOUNTS = """
unshare(NEWNS)
mount(b"none", b"/", None, 0x4000 | 0x40000)  # MS_REC | MS_PRIVATE
for length in (3900, 10, 3900, 2000, 2000):
    mount(b"s" * length, b"/mnt", b"tmpfs", 0)
say("ready")
wait()
"""


@pytest.mark.root
def test_a_file_whose_lines_are_almost_pages_is_read_in_full():
    """The kernel then gives a line or two at a time: a short answer is not the last one."""
    with made.process(LONG_MOUNTS) as (pid, _):
        data = Root().read(f"proc/{pid}/mountinfo")
        assert data == Path(f"/proc/{pid}/mountinfo").read_bytes()
    assert [data.count(b" " + b"s" * length + b" ") for length in (10, 2000, 3900)] == [1, 2, 2]


def test_a_pipe_in_a_recorded_tree_does_not_stop_the_reader(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    assert Root(str(tmp_path)).read("pipe") == b""


@pytest.mark.parametrize("name", ["proc/1/stat", "/proc/1/stat"])
@pytest.mark.parametrize("path", ["{}", "{}/"])
def test_names_are_below_the_root_with_and_without_slashes(tmp_path: Path, path: str, name: str):
    (tmp_path / "proc/1").mkdir(parents=True)
    (tmp_path / "proc/1/stat").write_bytes(b"here")
    assert Root(path.format(tmp_path)).read(name) == b"here"


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, Missing),
        (errno.ENOTDIR, Missing),
        (errno.ESRCH, Gone),
        (errno.ENODEV, Gone),
        (errno.EACCES, Denied),
        (errno.EPERM, Denied),
        (errno.EINVAL, Unsupported),
        (errno.EOPNOTSUPP, Unsupported),
        (errno.EIO, CollectError),
    ],
)
def test_an_error_says_what_can_be_done_and_where(number: int, kind: type[CollectError]):
    error = translate(OSError(number, os.strerror(number)), "proc/1/stat", "read")
    assert type(error) is kind
    problem = error.problem()
    assert (problem.path, problem.operation) == ("/proc/1/stat", "read")
    assert problem.message == os.strerror(number)


def test_what_is_missing_is_named_with_the_call_that_failed(tmp_path: Path):
    root = Root(str(tmp_path))
    with pytest.raises(Missing, match=r"^/nothing: open: "):
        root.read("nothing")
    with pytest.raises(Missing, match=r"^/nothing: readdir: "):
        root.names("nothing")
    with pytest.raises(Missing, match=r"^/nothing: readlink: "):
        root.link("nothing")
    with pytest.raises(Missing, match=r"^/nothing: open: "):
        root.directory("nothing")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CollectError, match=r"^/folder: read: Is a directory"):
        root.read("folder")


def test_a_link_whose_target_is_not_utf_8_is_told_as_text(tmp_path: Path):
    os.symlink(b"/a\xff", os.fsencode(tmp_path) + b"/link")
    root = Root(str(tmp_path))
    assert root.link("link") == "/a\\xff"
    with root.directory("") as directory:
        assert directory.link("link") == "/a\\xff"


def test_a_directory_below_is_listed_by_kind(tmp_path: Path):
    (tmp_path / "top/below").mkdir(parents=True)
    (tmp_path / "top/file").touch()
    (tmp_path / "top/link").symlink_to("below")
    with Root(str(tmp_path)).directory("top", listed=True) as top:
        assert top.entries() == (["file"], ["below"])
        assert top.inode() == (tmp_path / "top").stat().st_ino
        with top.directory("below") as below:
            assert below.names() == []
            with pytest.raises(Missing, match=r"^/top/gone: open: "):
                below.read("../gone")


def test_what_was_read_is_counted(tmp_path: Path):
    (tmp_path / "file").touch()
    root = Root(str(tmp_path))
    root.read("file")
    root.names("")
    with root.directory("") as directory:
        directory.read("file")
    assert root.reads.files == 4


def test_no_descriptor_is_left_open_when_reading_fails(tmp_path: Path):
    root = Root(str(tmp_path))
    (tmp_path / "folder").mkdir()
    before = len(os.listdir("/proc/self/fd"))
    for name in ("nothing", "folder"):
        with pytest.raises(CollectError):
            root.read(name)
    assert len(os.listdir("/proc/self/fd")) == before


def test_many_problems_of_one_kind_are_one_that_counts_them():
    problems = Problems()
    for pid in range(1, 4):
        problems.add(Problem(f"/proc/{pid}/ns/net", "readlink", "denied", "Permission denied"))
    problems.add(Problem("/proc/9/ns/net", "readlink", "denied", "another reason"))
    assert problems.all() == (
        Problem(
            "/proc/1/ns/net",
            "readlink",
            "denied",
            "Permission denied (3 such files, this is the first)",
        ),
        Problem("/proc/9/ns/net", "readlink", "denied", "another reason"),
    )
