"""Copies between roots: Docker's rules for names, and hostile trees that lead nowhere."""

import os
import socket
import threading
from pathlib import Path

import pytest

from collectors.inside import Inside
from collectors.root import Root
from inspector.errors import Failure
from inspector.layers import copying
from inspector.layers.copying import Rules
from inspector.layers.sources import Mounted


@pytest.fixture
def box(tmp_path):
    root = tmp_path / "box"
    (root / "src/below").mkdir(parents=True)
    (root / "src/file").write_text("contents")
    (root / "src/below/link").symlink_to("../file")
    (tmp_path / "out").mkdir()
    return root


def copy(box, path, to, *, follow=False, rules=None):
    with Inside.of_directory(Root(), str(box)) as inside, Inside.of_directory(Root(), "/") as host:
        return copying.copy(
            Mounted(inside), path, host, str(to), rules=rules or Rules(), follow=follow
        )


def into(box, path, to, rules=None):
    with Inside.of_directory(Root(), str(box)) as inside, Inside.of_directory(Root(), "/") as host:
        return copying.copy(Mounted(host), str(path), inside, to, rules=rules or Rules())


def names(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def test_a_file_gets_the_name_that_was_said(box, tmp_path):
    copied = copy(box, "/src/file", tmp_path / "out/named")
    assert (tmp_path / "out/named").read_text() == "contents"
    assert (copied.files, copied.size_bytes) == (1, 8)


@pytest.mark.parametrize("to", ["out", "out/"])
def test_a_file_goes_into_a_directory_that_is_there_under_its_own_name(box, tmp_path, to):
    copy(box, "/src/file", f"{tmp_path}/{to}")
    assert names(tmp_path / "out") == {"file"}


def test_a_file_into_a_directory_that_is_not_there_is_refused(box, tmp_path):
    with pytest.raises(Failure, match="no such directory"):
        copy(box, "/src/file", f"{tmp_path}/none/")
    with pytest.raises(Failure, match="none"):
        copy(box, "/src/file", f"{tmp_path}/none/below")
    assert not (tmp_path / "none").exists()


def test_a_directory_that_is_new_has_the_contents_and_one_that_is_there_gets_the_directory(
    box, tmp_path
):
    whole = {"file", "below", "below/link"}
    copy(box, "/src", tmp_path / "new")
    assert names(tmp_path / "new") == whole
    copy(box, "/src", tmp_path / "out")
    assert names(tmp_path / "out") == {"src", *(f"src/{name}" for name in whole)}


def test_slash_dot_is_the_contents(box, tmp_path):
    copy(box, "/src/.", tmp_path / "out")
    assert names(tmp_path / "out") == {"file", "below", "below/link"}


def test_a_directory_over_a_file_is_refused(box, tmp_path):
    (tmp_path / "out/file").write_text("mine")
    with pytest.raises(Failure, match="no directory"):
        copy(box, "/src", tmp_path / "out/file")
    assert (tmp_path / "out/file").read_text() == "mine"


def test_a_link_is_copied_as_one_and_followed_when_asked(box, tmp_path):
    copy(box, "/src/below/link", tmp_path / "out/link")
    assert (tmp_path / "out/link").readlink() == Path("../file")
    copy(box, "/src/below/link", tmp_path / "out/file", follow=True)
    assert (tmp_path / "out/file").read_text() == "contents"


def test_times_and_modes_are_kept_and_set_user_id_is_not_on_the_way_out(box, tmp_path):
    (box / "src/file").chmod(0o6755)
    os.utime(box / "src/file", (1000, 2000))
    copy(box, "/src/file", tmp_path / "out")
    status = (tmp_path / "out/file").stat()
    assert (status.st_mode & 0o7777, status.st_mtime) == (0o755, 2000)
    copy(box, "/src/file", tmp_path / "out/kept", rules=Rules(set_id=True))
    assert (tmp_path / "out/kept").stat().st_mode & 0o7777 == 0o6755


def test_a_file_that_is_there_is_replaced_whole(box, tmp_path):
    (tmp_path / "out/file").write_text("longer than the new contents")
    (tmp_path / "out/other").hardlink_to(tmp_path / "out/file")
    copy(box, "/src/file", tmp_path / "out/file")
    assert (tmp_path / "out/file").read_text() == "contents"
    assert (tmp_path / "out/other").read_text() == "longer than the new contents"
    assert names(tmp_path / "out") == {"file", "other"}


def test_a_link_at_the_destination_is_replaced_and_what_it_points_to_is_not_touched(box, tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "out/file").symlink_to(tmp_path / "precious")
    copy(box, "/src", tmp_path / "out/src")
    copy(box, "/src/.", tmp_path / "out")
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "out/file").is_symlink()


def test_a_directory_is_never_written_through_a_link_that_stands_for_it(box, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out/below").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Failure, match="below"):
        copy(box, "/src/.", tmp_path / "out")
    assert names(tmp_path / "elsewhere") == set()


def test_a_link_in_the_box_that_points_out_of_it_writes_inside(box, tmp_path):
    (tmp_path / "host-file").write_text("from the host")
    (box / "evil").symlink_to("../../../../../../../../../../../../" + str(tmp_path / "out"))
    (box / str(tmp_path / "out").lstrip("/")).mkdir(parents=True)
    into(box, tmp_path / "host-file", "/evil/")
    assert names(tmp_path / "out") == set()
    assert (box / str(tmp_path / "out").lstrip("/") / "host-file").read_text() == "from the host"


def test_what_cannot_be_copied_is_skipped_and_named(box, tmp_path):
    os.mkfifo(box / "src/fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(box / "src/socket"))
    copied = copy(box, "/src", tmp_path / "new")
    assert sorted(copied.skipped) == ["/src/fifo", "/src/socket"]
    assert copied.files == 1


def test_a_hole_stays_a_hole(box, tmp_path):
    with (box / "sparse").open("wb") as file:
        file.write(b"head")
        file.seek(1 << 33)
        file.write(b"tail")
        file.truncate((1 << 33) + (1 << 20))
    copy(box, "/sparse", tmp_path / "out")
    copied = tmp_path / "out/sparse"
    assert copied.stat().st_size == (1 << 33) + (1 << 20)
    assert copied.stat().st_blocks * 512 < 1 << 20
    with copied.open("rb") as file:
        assert file.read(4) == b"head"
        file.seek(1 << 33)
        assert file.read(5) == b"tail\0"


@pytest.mark.parametrize("name", [b"a\nb", b"\x1b[2J", b"n" * 255, b"\xff\xfe", b"-rf"])
def test_any_name_is_copied_byte_for_byte(box, tmp_path, name):
    path = os.fsencode(box / "src") + b"/" + name
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    copy(box, "/src", tmp_path / "new")
    assert name in os.listdir(os.fsencode(tmp_path / "new"))


def test_too_deep_a_tree_is_refused_in_words(box, tmp_path):
    fd = os.open(box / "src", os.O_RDONLY)
    for _ in range(210):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    with pytest.raises(Failure, match="directories within each other"):
        copy(box, "/src", tmp_path / "new")


def test_somebody_who_wants_it_to_stop_leaves_no_half_file(box, tmp_path):
    (box / "big").write_bytes(b"x" * (3 << 20))
    asked = iter([False, True])
    with pytest.raises(Failure, match="stopped"):
        copy(box, "/big", tmp_path / "out", rules=Rules(stop=lambda: next(asked)))
    assert names(tmp_path / "out") == set()


def test_a_tree_that_changes_while_it_is_copied_breaks_nothing(box, tmp_path):
    stop = threading.Event()

    def churn():
        while not stop.is_set():
            (box / "src/coming").write_text("x")
            (box / "src/coming").rename(box / "src/going")
            (box / "src/going").unlink()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for index in range(100):
            copy(box, "/src", tmp_path / f"out/{index}")
    finally:
        stop.set()
        thread.join()
    assert not [name for name in names(tmp_path / "out") if ".cinspect-" in name]


@pytest.mark.root
def test_what_comes_in_belongs_to_the_owner_that_was_said(box, tmp_path):
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir/file").write_text("x")
    (tmp_path / "dir/link").symlink_to("file")
    into(box, tmp_path / "dir", "/", rules=Rules(owner=(1234, 5678)))
    for name in ("dir", "dir/file", "dir/link"):
        status = (box / name).lstat()
        assert (status.st_uid, status.st_gid) == (1234, 5678), name


def test_no_descriptor_is_left_whatever_happened(box, tmp_path):
    before = sorted(os.listdir("/proc/self/fd"))
    copy(box, "/src", tmp_path / "new")
    with pytest.raises(Failure):
        copy(box, "/none", tmp_path / "new")
    with pytest.raises(Failure):
        copy(box, "/src/file", tmp_path / "none/below")
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_file_that_is_there_stays_when_it_may_not_be_replaced(box, tmp_path):
    there = tmp_path / "out" / "file"
    there.write_text("mine")
    with (
        Inside.of_directory(Root(), "/") as host,
        (box / "src/file").open("rb") as file,
    ):
        for to in (there, there.parent):
            with pytest.raises(FileExistsError):
                copying.save(file.fileno(), "/src/file", host, str(to), rules=Rules(replace=False))
        assert there.read_text() == "mine"
        copying.save(file.fileno(), "/src/file", host, str(there), rules=Rules())
    assert there.read_text() == "contents"
    assert names(there.parent) == {"file"}
